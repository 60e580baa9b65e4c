"""Alternatives of a rule that stand there twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass
from typing import Any

from ein.grammar import cfg
from ein.grammar.diagnostics import Diagnostic, Label
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Formula, Inapplicable


def duplicates(grammar: cfg.Grammar) -> Iterator[Diagnostic]:
    """W505 for alternatives of one rule with the same term, choices and guard: one term, derived in two ways."""
    for rule in grammar.rules.values():
        for similar in _grouped(rule.alternatives, lambda alternative: _outline(alternative.body)):
            for found in _grouped(similar, _meaning):
                yield _several(rule, found)


def _grouped(
    alternatives: Sequence[cfg.Alternative], key: Callable[[cfg.Alternative], Any]
) -> Iterator[list[cfg.Alternative]]:
    """Those that share a key, where there are several."""
    alike: dict[Any, list[cfg.Alternative]] = {}
    for alternative in alternatives if len(alternatives) > 1 else ():
        alike.setdefault(key(alternative), []).append(alternative)
    return (found for found in alike.values() if len(found) > 1)


def _outline(term: cfg.Term) -> Any:
    """Quickly told, and equal where `_plain` is."""
    match term:
        case cfg.Use(overloads):
            return overloads[0].name
        case cfg.RuleUse(rule):
            return rule
        case cfg.Expanded(_, body, match=None):
            return _outline(body)
        case cfg.Series(parts) | cfg.Parallel(parts):
            return tuple(map(_outline, parts))
        case _:
            return type(term)


def _several(rule: cfg.Rule, found: list[cfg.Alternative]) -> Diagnostic:
    first, second, *_ = found
    message = f"{len(found)} alternatives of `{rule.name.partition('/')[0]}` are the same"
    plain = all(alternative.weight is None and not alternative.each for alternative in found)
    weight = f"`@ {len(found)}`" if plain else "the sum of the weights"
    help = f"write it once, with {weight}, so that every term has one derivation"
    return Diagnostic("W505", message, second.span, "", (Label(first.span, "the first"),), help, "warning")


def _meaning(alternative: cfg.Alternative) -> Any:
    """What an alternative says, whatever its weight; the names of its choices do not count."""
    names: dict[str, str] = {}
    choices = tuple((_plain(choice.values.expr, names), _renamed(choice.name, names)) for choice in alternative.choices)
    return choices, _plain(alternative.body, names), _plain(alternative.guard, names)


def _plain(node: Any, names: dict[str, str]) -> Any:
    """The node as tuples that are equal where they mean the same: without places, numbers worked out."""
    match node:
        case Formula():
            return _number(node, names)
        case s.Name(name) | cfg.Variable(name):
            return type(node).__name__, _renamed(name, names)
        case cfg.RuleUse(rule, arguments, packed=packed):
            return rule, _plain(arguments, names), tuple(_renamed(name, names) for name in packed)
        case cfg.Let(bindings, body):
            bound = tuple((_plain(v, names), tuple(_renamed(n, names) for n in own)) for own, v in bindings)
            return "let", bound, _plain(body, names)
        case cfg.Expanded(_, body, match=None):
            return _plain(body, names)
        case cfg.Expanded():
            return node.macro, _plain(node.signature, names), _plain(node.body, names)
        case tuple():
            return tuple(_plain(part, names) for part in node)
        case cfg.Operator():
            return id(node)
        case _:
            fields: tuple[str, ...] = getattr(type(node), "__match_args__", ())
            kept = [_plain(getattr(node, name), names) for name in fields if name != "span"]
            return (type(node).__name__, *kept) if is_dataclass(node) else node


def _number(node: Formula, names: dict[str, str]) -> Any:
    if node.names:
        return _plain(node.expr, names)
    try:
        return "value", repr(node.evaluate({}))
    except Inapplicable:
        return _plain(node.expr, names)


def _renamed(name: str, names: dict[str, str]) -> str:
    """Names that expansion made unique, by their first place."""
    return names.setdefault(name, f"${len(names)}") if "$" in name else name
