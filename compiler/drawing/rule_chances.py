"""How probable the alternatives of a grammar's rules are, and how often its rules are used.

Types are left out, as in `criticality`: an alternative that fits nowhere keeps its chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

from ein.grammar import cfg
from ein.grammar.analyses.criticality import Growth, Weighed, chances, growth
from ein.grammar.analyses.matrices import totals
from ein.grammar.analyses.partial import Node
from ein.grammar.numbers import Inapplicable, Percentage
from ein.grammar.space import Space
from ein.grammar.weights import shares


@dataclass(frozen=True, slots=True)
class Form:
    """A rule with the values of its parameters: the chance of each alternative."""

    values: tuple[Any, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Chances:
    """Of one rule. `shares` is the mean over its forms by how often each is used, and sums to 1; where that has no
    mean all forms count the same. `uses` in one derivation; inf where it has no mean."""

    shares: tuple[float, ...]
    uses: float
    forms: tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Grown:
    """`modules` are those built, in the mean; inf where there is no mean."""

    rules: dict[str, Chances]
    modules: float
    radius: float


def grown(grammar: cfg.Grammar, names: Sequence[str]) -> Grown:
    """Raises EinError where it is not known how to draw."""
    found = growth(Space(grammar))
    used = _used(found)
    rules = {name: _chances(grammar, found, used, name) for name in names}
    return Grown(rules, found.expected_size(built=True), found.drawn)


def _used(found: Growth) -> dict[Node, float]:
    """How often each rule with its values is drawn in one derivation: the sum over all ways from the start."""
    users: dict[Node, dict[Node, float]] = {node: {} for node in found.alternatives}
    for node, row in found.matrix(built=False).items():
        for target, times in row.items():
            users[target][node] = times
    return totals(users, {node: float(node == found.start) for node in users})


def _chances(grammar: cfg.Grammar, found: Growth, used: dict[Node, float], name: str) -> Chances:
    rule = grammar.rules[name]
    nodes = sorted((node for node, met in found.alternatives.items() if node[0] == name and met), key=_order)
    if not nodes:
        return Chances(tuple(_written(grammar, rule)), 0.0, ())
    forms = tuple(Form(node[1], _shares(found.alternatives[node], len(rule.alternatives))) for node in nodes)
    weights = [used[node] for node in nodes]
    total = sum(weights)
    if not isfinite(total) or not total:
        weights = [1.0] * len(nodes)
    return Chances(_mean([form.shares for form in forms], weights), total, forms)


def _order(node: Node) -> list[tuple[bool, float, str]]:
    """Numbers by their size, before what is no number."""
    return [(False, each, "") if isinstance(each, int | float) else (True, 0.0, repr(each)) for each in node[1]]


def _shares(found: Sequence[Weighed], count: int) -> tuple[float, ...]:
    known = {each.index: share for each, share in zip(found, chances(found), strict=True)}
    return tuple(known.get(index, 0.0) for index in range(count))


def _mean(rows: Sequence[tuple[float, ...]], weights: Sequence[float]) -> tuple[float, ...]:
    total = sum(weights)
    columns = zip(*rows, strict=True)
    return tuple(sum(w * share for w, share in zip(weights, column, strict=True)) / total for column in columns)


def _written(grammar: cfg.Grammar, rule: cfg.Rule) -> list[float]:
    """The weights of a rule that no derivation comes to, as far as they are numbers."""
    values = [_number(grammar, alternative) for alternative in rule.alternatives]
    parts = list(shares([(value, isinstance(value, Percentage), [1.0]) for value in values]))
    total = sum(parts)
    return [part / total if total else 1 / len(parts) for part in parts]


def _number(grammar: cfg.Grammar, alternative: cfg.Alternative) -> float:
    if alternative.weight is None or not alternative.weight.names <= grammar.env.keys():
        return 1.0
    try:
        value: float = alternative.weight.evaluate(grammar.env)
    except Inapplicable:
        return 1.0
    return value


def mean_text(number: float) -> str:
    """`0.33`, `12.5`; for inf, in words."""
    return "no mean" if number == inf else f"{number:.3g}"
