"""Operators of the host program in emitted source: their text if it stands by itself, else an import of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from sys import stdlib_module_names
from typing import Any

from ein.compiler.source import Doc, Expression, Group, Hole, number
from ein.grammar.bodies.tensors import Step
from ein.grammar.host import Host, HostUse


def hosts(steps: Iterable[Step]) -> tuple[Host, ...]:
    """Those that occur among the steps, in their order."""
    return tuple(dict.fromkeys(step.argument("host").host for step in steps if step.op == "host"))


def import_lines(own: Sequence[str], used: Sequence[Host]) -> list[str]:
    """The imports `own` with those that the operators need, as `ruff` would sort them; an operator whose text cannot
    stand in the file is imported too."""
    if not used:
        return list(own)
    lines = {*own, *(line for host in used if host.source is not None for line in host.imports)}
    standard = {line for line in lines if line.split()[1].partition(".")[0] in stdlib_module_names}
    taken = {
        f"from {host.home} import {host.name}  # the operator `{host.declaration.name}` of the program that wrote this"
        for host in used
        if host.source is None
    }
    sections = [section for section in (_sorted(standard), _sorted(lines - standard), sorted(taken)) if section]
    return [line for i, section in enumerate(sections) for line in (*[""] * bool(i), *section)]


def _sorted(lines: Set[str]) -> list[str]:
    """Modules first, then names, those of one module together."""
    names: dict[str, list[str]] = {}
    for line in sorted(lines):
        if line.startswith("from "):
            home, _, name = line.removeprefix("from ").partition(" import ")
            names.setdefault(home, []).append(name)
    made = [f"from {home} import {', '.join(sorted(names[home]))}" for home in sorted(names)]
    return [*sorted(line for line in lines if line.startswith("import ")), *made]


def definitions(used: Iterable[Host]) -> list[str]:
    """The lines of those that stand by themselves, each once, with two blank ones behind each."""
    texts = dict.fromkeys(host.source for host in used if host.source is not None)
    return [line for text in texts if text is not None for line in (*text.splitlines(), "", "")]


def construction(step: Step) -> Group:
    """`Swish(beta=0.5)`."""
    use: HostUse = step.argument("host")
    return Group(use.host.name, _arguments(use))


def application(step: Step, attribute: Doc) -> Expression:
    """A layer that is called, a function with its arguments."""
    use: HostUse = step.argument("host")
    operands: tuple[Doc, ...] = tuple(map(Hole, range(len(step.inputs))))
    if use.host.is_layer:
        return Expression(Group(attribute, operands))
    return Expression(Group(use.host.name, (*operands, *_arguments(use))))


def _arguments(use: HostUse) -> tuple[Doc, ...]:
    return tuple(f"{name}={_literal(value)}" for name, value in use.given)


def _literal(value: Any) -> str:
    match value:
        case bool() | None:
            return str(value)
        case str():
            return f'"{value}"'
        case tuple():
            return f"({', '.join(map(_literal, value))}{',' if len(value) == 1 else ''})"
        case _:
            return number(value)
