"""How the oracle in enumeration.py prints terms and types: trees of `(form, parts)`, names resolved from outside in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .enumerated_types import Type

LET, BRANCHES, SERIES, COPIES, ATOM = range(5)


def printed(tree: Any) -> str:
    return _printed(tree, {}, frozenset(_operators(tree)))[0]


def _operators(tree: Any) -> set[str]:
    """The names of the operators; a variable is printed with another one."""
    if tree[0] == "op":
        return {tree[1].partition("(")[0]}
    return set().union(*(_operators(each) for each in _inside(tree)))


def _inside(tree: Any) -> tuple[Any, ...]:
    match tree:
        case ("series" | "branches", trees):
            return tuple(trees)
        case ("copies" | "repeat", inner, _, _):
            return (inner,)
        case ("let", bindings, inner):
            return (*(value for _, value in bindings), inner)
    return ()


def _printed(tree: Any, names: Mapping[str, str], taken: frozenset[str]) -> tuple[str, int]:
    """The text and how tightly it binds. `taken` are names of operators and of values around."""

    def closed(inner: Any, least: int) -> str:
        text, binding = _printed(inner, names, taken)
        return text if binding >= least else f"({text})"

    match tree:
        case ("op", text):
            return text, ATOM
        case ("var", name):
            return names[name], ATOM
        case ("series", trees):
            return " >> ".join(closed(each, SERIES) for each in trees), SERIES
        case ("branches", trees):
            return " & ".join(closed(each, SERIES) for each in trees), BRANCHES
        case ("copies" | "repeat" as form, inner, count, tied):
            return f"{'tied ' * tied}{closed(inner, ATOM)} {'^' if form == 'copies' else '*'} {count}", COPIES
        case ("let", bindings, inner):
            said = []
            for bound, value in bindings:
                right = closed(value, BRANCHES)
                for name in bound:
                    shown = _free(name.rstrip("'"), taken)
                    names, taken = {**names, name: shown}, taken | {shown}
                left = ", ".join(names[name] for name in bound)
                said.append(f"{f'({left})' if len(bound) > 1 else left} = {right}")
            return f"let {', '.join(said)} : {_printed(inner, names, taken)[0]}", LET
    raise AssertionError(tree)


def _free(name: str, taken: frozenset[str]) -> str:
    number = 2
    shown = name
    while shown in taken:
        shown, number = f"{name}_{number}", number + 1
    return shown


def shown(type: Type) -> str:
    kind, shape = type
    if kind == "bundle":
        same = len(set(shape)) == 1
        return f"{shown(shape[0])} ^ {len(shape)}" if same else f"({', '.join(map(shown, shape))})"
    return f"{kind}[{', '.join(map(str, shape))}]"
