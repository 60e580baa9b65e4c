"""Rules of which not all is known: values that depend on a type stand open.

What is asked before anything is drawn works on these: a parameter or choice that needs dimensions
is left out of the environment, and a guard that needs it may hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, TypeAlias

from ein.grammar import cfg
from ein.grammar.numbers import Formula, Inapplicable, constant
from ein.grammar.space import Run, Space

MAX_VALUES = 1_000
"""Values that the parameters of one rule may take before they count as open."""


class _Open:
    def __repr__(self) -> str:
        return "_"


OPEN = _Open()
"""A value that depends on the type."""

Node: TypeAlias = tuple[str, tuple[Any, ...]]
"""A rule with the values of its parameters, as far as they are known."""

Row: TypeAlias = tuple[tuple[Any, ...], float, Mapping[str, Any]]
"""Values of an alternative's choices, the product of their weights, the environment with them."""


class Nodes:
    """The rules of a grammar with values, of each only so many."""

    def __init__(self, grammar: cfg.Grammar) -> None:
        self.grammar = grammar
        self.seen: dict[str, set[tuple[Any, ...]]] = {}

    def use(self, rule: str, arguments: Sequence[Formula], env: Mapping[str, Any]) -> Node:
        """The node of a use of a rule."""
        if not arguments:
            return rule, ()
        values = tuple([value(argument, env) for argument in arguments])
        seen = self.seen.setdefault(rule, set())
        if values not in seen and len(seen) >= MAX_VALUES:
            return rule, (OPEN,) * len(values)
        seen.add(values)
        return rule, values

    def environment(self, node: Node) -> dict[str, Any]:
        """The values that are known in a rule."""
        rule = self.grammar.rules[node[0]]
        own = {n: list(v) if isinstance(v, Run) else v for n, v in zip(rule.parameters, node[1], strict=True)}
        return {**self.grammar.env, **{name: v for name, v in own.items() if v is not OPEN}}


def closed(alternative: cfg.Alternative, names: Set[str]) -> cfg.Alternative:
    """Without the choices, and without the weight, that need names which are open."""
    weight = alternative.weight
    if not alternative.choices and (weight is None or weight.names <= names):
        return alternative
    choices = []
    for choice in alternative.choices:
        if choice.values.names <= names:
            choices.append(choice)
            names = {*names, choice.name}
    if weight is not None and not weight.names <= names:
        weight = constant(1)
    return replace(alternative, choices=tuple(choices), weight=weight)


def rows(
    space: Space, alternative: cfg.Alternative, env: Mapping[str, Any], reasons: list[Inapplicable]
) -> Iterator[Row]:
    """The values that the choices of a closed alternative can take, where its guard may hold."""
    for row in space.assignments(alternative, env, reasons):
        if holds(alternative.guard, row[2]):
            yield row


def holds(guard: Formula | None, env: Mapping[str, Any]) -> bool:
    """Whether a guard is true, or asks for what is open."""
    if guard is None or not guard.names <= env.keys():
        return True
    try:
        return bool(guard.evaluate(env))
    except Inapplicable:
        return False


def value(argument: Formula, env: Mapping[str, Any]) -> Any:
    if argument.names and not argument.names <= env.keys():
        return OPEN
    try:
        found = argument.evaluate(env)
    except Inapplicable:
        return OPEN
    return Run(found) if isinstance(found, list) else found


def copies(count: Formula, env: Mapping[str, Any], least: int) -> int:
    """The number of copies; where it is open, the fewest that there can be."""
    found = value(count, env)
    return max(least, found) if isinstance(found, int) else least
