"""Copies and repeats in tables: one part whose choices stand for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from ein.grammar.counting.joins import Table
from ein.grammar.matching.lanes import Scope, Value, lane, lanes, width
from ein.grammar.numbers import Inapplicable
from ein.grammar.steps import Copy, Loop
from ein.grammar.types import Bundle, ValueType, leaves, with_life

Inner: TypeAlias = Callable[[Value, Scope], Table]
"""What the part gives, at a value and scope."""

Wanted: TypeAlias = tuple[tuple[int, ValueType], ...]
"""The types on which the part is run for the same choices, each with the lane outside that needs it."""


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """`weight` choices of the part, run on `value`, give `result`; then all copies or rounds give `output`."""

    value: Value
    scope: Scope
    result: Value
    weight: Any
    output: Value


class Missing(Exception):
    """The part was not run on a type that a lane needs."""

    def __init__(self, lane: int, type: ValueType) -> None:
        self.wanted = lane, type


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Copies or rounds, in the lanes `outside`, of a part that is run on all types that are wanted."""

    step: Copy | Loop
    outside: tuple[ValueType, ...]
    scope: Scope
    wanted: Wanted

    def more(self, missing: Missing) -> Trial:
        return Trial(self.step, self.outside, self.scope, (*self.wanted, missing.wanted))

    @property
    def inside(self) -> tuple[Value, Scope]:
        """What the part is run on."""
        wide = tuple((name, lanes([lane(each, i) for i, _ in self.wanted])) for name, each in self.scope)
        return lanes([type for _, type in self.wanted]), wide

    def output(self, result: Value) -> Value:
        """What comes out; raises Missing, Inapplicable."""
        return lanes([self._output(i, type, result) for i, type in enumerate(self.outside)])

    def _output(self, outer: int, type: ValueType, result: Value) -> ValueType:
        given = {each: lane(result, i) for i, (owner, each) in enumerate(self.wanted) if owner == outer}

        def again(each: ValueType) -> ValueType:
            if each not in given:
                raise Missing(outer, each)
            return given[each]

        return self.step.output(type, next(iter(given.values())), again)


def trial(step: Copy | Loop, value: Value, scope: Scope) -> Trial:
    """With the types that are known to be wanted; raises Inapplicable where the step does not take the value."""
    outside = tuple(lane(value, i) for i in range(width([value, *(each for _, each in scope)])))
    wanted: Wanted = ()
    for i, type in enumerate(outside):
        wanted += tuple((i, each) for each in dict.fromkeys(_inputs(step, type)))
    return Trial(step, outside, scope, wanted)


def _inputs(step: Copy | Loop, type: ValueType) -> list[ValueType]:
    """The types on which the part is run, the one that is drawn for first."""
    if isinstance(step, Loop):
        return [type]
    taken = step.input(type)
    if not step.takes or type.live or not isinstance(type, Bundle):
        return [taken]
    return [taken, *(with_life(taken, [leaf.live for leaf in leaves(member)]) for member in type.members)]


def rounds(tried: Trial, inner: Inner, known: Value | None = None) -> Iterator[Round]:
    """All that copies or rounds come to, of those whose part gives `known` on all types wanted but the last."""
    value, scope = tried.inside
    more: dict[Wanted, tuple[Trial, list[Value]]] = {}
    for result, weight in inner(value, scope).items():
        if known is not None and not _begins(result, known, len(tried.wanted) - 1):
            continue
        try:
            yield Round(value, scope, result, weight, tried.output(result))
        except Missing as missing:
            wider = tried.more(missing)
            more.setdefault(wider.wanted, (wider, []))[1].append(result)
        except Inapplicable:
            continue
    for wider, results in more.values():
        for each in results:
            yield from rounds(wider, inner, each)


def _begins(result: Value, known: Value, count: int) -> bool:
    return all(lane(result, i) is lane(known, i) for i in range(count))
