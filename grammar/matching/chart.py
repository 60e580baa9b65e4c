"""A chart: the rules laid along one series, from left to right, all that can still fit at once.

Where the chart stands is a number of items behind it. A `_State` is a program laid that far; a `_Wanted` is a rule
asked for at a place, with the states that wait for it, so what is asked for twice is laid once. The rules that
end at a place are finished from the shortest stretch to the longest, and among those of one stretch from the most
probable to the least: so each is final when it is used, though rules may come to themselves.

`M >> M` in a rule, or anywhere in a grammar where `M` can become `M >> M`, gives the same term however the parts
are bracketed. Where it is as probable at every type that `M` is asked for at, and a claim of `M` changes nothing,
all bracketings are as probable, and one that is `M` and then something else stands for all.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import isclose
from typing import TYPE_CHECKING, Any, TypeAlias

from ein.grammar.matching.items import VARIABLE, Items, Kind
from ein.grammar.matching.prospects import Rest
from ein.grammar.numbers import Inapplicable
from ein.grammar.steps import Apply, Call, Enter, Instance, Meet
from ein.grammar.types import ValueType, bundle

if TYPE_CHECKING:
    from ein.grammar.matching.cover import Cover

Made: TypeAlias = "tuple[Any, ...]"
"""Choices in pre-order as a tree of tuples: (choice, part) or (part, part)."""

Found: TypeAlias = dict[ValueType, tuple[float, Made]]
"""For each type that can come out, the most probable choices with the logarithm of their probability."""

Meant: TypeAlias = frozenset[tuple[str, str, ValueType]]
"""For each variable of the rule, the one of the term that it stands for, and its type."""

Goal: TypeAlias = tuple[Rest, Items, Meant, ValueType]
"""A program that is to cover a whole series, the variables, and what flows in."""

Task: TypeAlias = Generator[Goal, Found, Found]
"""Asks for goals and gives the answer to its own."""


class Uneven(Exception):
    """The bracketings of a rule that becomes itself twice are not all as probable in this series."""

    def __init__(self, instance: Instance) -> None:
        super().__init__(repr(instance))
        self.instance = instance


@dataclass(slots=True, eq=False)
class _Wanted:
    """A rule asked for at the place `first`; without an instance, the program that the chart is for.

    `until`: the only end that is of use, 0 where any is.
    """

    instance: Instance | None
    first: int
    until: int
    input: ValueType
    meant: Meant
    waiting: list[State] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class State:
    """A program up to `rest`, with what flows there; the score is that of the choices made so far."""

    wanted: _Wanted
    rest: Rest
    input: ValueType
    score: float
    made: Made


class Chart:
    """Of one program and series. `passed` is the number of items that something was laid over, `states` the programs
    that stood before the next one, and `refused` why a claim was not met at the last."""

    def __init__(self, cover: Cover, items: Items, uneven: set[Instance]) -> None:
        self.cover = cover
        self.space = cover.space
        self.items = items
        self.uneven = uneven
        self.level: dict[Instance, float] = {}
        self.found: Found = {}
        self.place = 0
        self.passed = 0
        self.refused: Inapplicable | None = None
        self.numbers = count()
        self.best: dict[tuple[_Wanted, ValueType], float] = {}
        self.ended: list[tuple[int, float, int, _Wanted, ValueType, Made]] = []
        self.following: dict[tuple[_Wanted, Rest, ValueType], State] = {}
        self.states: list[State] = []

    def run(self, rest: Rest, meant: Meant, input: ValueType) -> Generator[Goal, Found, Found]:
        """Raises Uneven where it has to be begun anew."""
        top = _Wanted(None, 0, len(self.items.parts), input, meant)
        self.following[top, rest, input] = State(top, rest, input, 0.0, ())
        for place, item in enumerate(self.items.parts):
            if not self.following:
                break
            self._begin(place)
            wanted: dict[Any, _Wanted] = {}
            for state in self.states:  # grows
                step = state.rest.step
                if state.rest.kind == item.kind:
                    if isinstance(step, Apply):
                        applied = step.application.look(state.input)
                        if not isinstance(applied, Inapplicable):
                            self.passed = place + 1
                            self._past(state, applied.output, state.score, state.made)
                    elif item.kind == VARIABLE:
                        self._load(state, item.detail)
                    else:
                        inner = yield from self.cover.step(step, item, state.wanted.meant, state.input)
                        for output, (score, made) in inner.items():
                            self.passed = place + 1
                            self._past(state, output, state.score + score, (state.made, made))
                elif isinstance(step, Call):
                    self._want(state, step.instance, item.kind, wanted)
                elif isinstance(step, Enter):
                    entered = self.cover.prospects.entered(self.space, state.rest, state.input)
                    if entered is not None:
                        self.states.append(State(state.wanted, entered, state.input, state.score, state.made))
            self._finish(place + 1)
        if self.passed > self.place:
            self.states = list(self.following.values())
        return self.found

    def _begin(self, place: int) -> None:
        self.place = place
        self.refused = None
        self.states = list(self.following.values())
        self.following = {}

    def _load(self, state: State, name: str) -> None:
        for mine, theirs, type in state.wanted.meant:
            if (mine, theirs) == (state.rest.step.name, name):
                self.passed = self.place + 1
                self._past(state, type, state.score, state.made)

    # --- asking for rules

    def _want(self, state: State, instance: Instance, kind: Kind | None, wanted: dict[Any, _Wanted]) -> None:
        rule, prospects = instance.rule, self.cover.prospects
        meant: Meant = state.wanted.meant if rule.packed else frozenset()
        single = state.rest.again and instance not in self.uneven
        until = 0
        if state.wanted.until and state.rest.length >= 0 and rule.name in prospects.ending:
            until = state.wanted.until - state.rest.length
        key = instance, state.input, until, single, meant
        asked = wanted.get(key)
        if asked is None:
            asked = wanted[key] = _Wanted(instance, self.place, until, state.input, meant)
            given = state.input
            if rule.packed:
                types = {mine: type for mine, _, type in meant}
                given = bundle([given, *(types[name] for name in rule.packed)])
            self._levels(instance, given)
            for score, chosen, rest, doubles in prospects.fitting(self.space, instance, given, kind):
                if not (doubles and single):
                    self.states.append(State(asked, rest, state.input, score, (chosen,)))
        asked.waiting.append(state)

    def _levels(self, instance: Instance, input: ValueType) -> None:
        probability = self.cover.prospects.doubling(self.space, instance, input)
        if not isclose(self.level.setdefault(instance, probability), probability) and instance not in self.uneven:
            raise Uneven(instance)

    # --- what has been covered

    def _past(self, state: State, output: ValueType, score: float, made: Made) -> None:
        """The step is done: what follows waits for the next place, or the program is at its end."""
        rest = state.rest.next
        while rest is not None and isinstance(rest.step, Meet):
            try:
                output = rest.step.goal.meet(rest.step.env, output, rest.step.macro)
            except Inapplicable as error:
                self.refused = error
                return
            rest = rest.next
        if rest is None:
            self._end(state.wanted, output, score, made)
            return
        known = self.following.get((state.wanted, rest, output))
        if known is None:
            self.following[state.wanted, rest, output] = State(state.wanted, rest, output, score, made)
        elif score > known.score:
            known.score, known.made = score, made

    def _end(self, wanted: _Wanted, output: ValueType, score: float, made: Made) -> None:
        if wanted.until and wanted.until != self.place + 1:
            return
        instance = wanted.instance
        if instance is not None and instance.rule.goal is not None:
            try:
                output = self.space.meet(instance, wanted.input, output)
            except Inapplicable as error:
                self.refused = error
                return
            if output is not wanted.input and self.level[instance] and instance not in self.uneven:
                raise Uneven(instance)
        known = self.best.get((wanted, output))
        if known is None or score > known:
            self.best[wanted, output] = score
            heappush(self.ended, (-wanted.first, -score, next(self.numbers), wanted, output, made))

    def _finish(self, place: int) -> None:
        """Hands every rule that ends at a place to what waits for it."""
        while self.ended:
            _, negated, _, wanted, output, made = heappop(self.ended)
            score = -negated
            if self.best[wanted, output] > score:
                continue
            if wanted.instance is None:
                self.found[output] = score, made
            for state in wanted.waiting:
                self._past(state, output, state.score + score, (state.made, made))
        self.best.clear()
