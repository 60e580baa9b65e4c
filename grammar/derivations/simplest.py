"""The choices at a place, the simplest first, and the simplest way out of a dead end.

Simplest is the alternative that needs the fewest modules to be finished, then the one with the fewest values to
choose from, then the first in the file; among the values of a choice, likewise. All searches here are bounded and
make the same choices whenever they are made.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, groupby, zip_longest
from math import inf
from typing import Any, TypeAlias

from ein.grammar.derivations.attempt import DeadEnd
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.derivations.shape import Shape, rules_used
from ein.grammar.derivations.walk import Place, Walk
from ein.grammar.diagnostics import EinError
from ein.grammar.space import Space
from ein.grammar.steps import Candidate, Options

TRIES = 60
"""Choices that are tried from one place to get past a dead end."""

SEARCH = 2_000
"""Choices that are tried for a smallest derivation, for each number of modules."""

ATTEMPTS = 5_000
"""Of the sampler, where no search finds a derivation."""

KEPT = 20_000
"""Sets of candidates whose order is kept."""

Path: TypeAlias = list[Place]


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """The values of one choice with what is then left to choose; `least`: the fewest modules that each can come to."""

    least: list[int]
    each: list[Values | Candidate]

    def within(self, modules: float) -> int:
        """How many of them, from the first, can be finished with so many modules."""
        return bisect_right(self.least, modules)


@dataclass(frozen=True, slots=True, eq=False)
class Alternative:
    """An alternative that applies. `candidates` are those of `values`, the simplest first, each with its least."""

    values: Values
    candidates: list[tuple[int, Candidate]]
    growing: int
    """how many of the rules that it uses can come to more and more modules"""
    open: bool
    """whether one of them can do so by any number of modules"""
    height: float
    number: int | None
    """among the alternatives of all rules of kin, the simplest first"""

    @property
    def least(self) -> int:
        return self.values.least[0]


@dataclass(eq=False)
class Simplest:
    """The order of the choices in a space within limits; `least` are the fewest modules that are wanted.

    The space has to be the sampler's alone: what its rules can come to is bounded more tightly here.
    """

    sampler: Sampler
    least: int = 0
    shape: Shape = field(init=False)
    walk: Walk = field(init=False)
    _alternatives: dict[Options, list[Alternative]] = field(default_factory=dict)
    _smallest: Derivation | EinError | None = None

    def __post_init__(self) -> None:
        grammar = self.sampler.grammar
        assert grammar.input is not None
        self.shape = Shape.of(grammar.rules)
        _tighten(self.sampler.space, self.shape)
        self.walk = Walk(self.sampler.space, self.sampler.limits, grammar.input, self.shape.steady)

    # --- what there is to choose

    def alternatives(self, place: Place, slack: int) -> list[Alternative]:
        """Those that can be finished with `slack` modules beyond the fewest, and within the depth; never empty.

        While modules are wanted that nothing else to come could bring, those that grow stand alone.
        """
        instance, deepest = place.instance, self.walk.limits.depth
        assert instance is not None
        every = self._alternatives.get(place.options) or self._sorted(place.options, instance.rule.name)
        most = instance.minimum + slack // place.times
        room = inf if deepest is None else deepest - place.depth - instance.deepens
        found = [each for each in every if each.values.least[0] <= most and each.height <= room]
        if not found:
            return every[:1]
        if place.open == 1 and self._steady(place) and self.missing(place) > 0:
            return [each for each in found if each.open] or found
        return found

    def span(self, place: Place) -> str | None:
        """What can stand in place of each other has the same name; None for a rule that recurs through others only."""
        assert place.instance is not None
        name = place.instance.rule.name
        kin = self.shape.kin.get(name)
        return kin.name if kin is not None else name if name in self.shape.knots else None

    def grows(self, place: Place) -> bool:
        """Whether the rule there can come to more and more modules."""
        return place.instance is not None and place.instance.rule.name in self.shape.grows

    def _steady(self, place: Place) -> bool:
        """Whether it can do so by any number of modules."""
        return place.times == 1 and place.instance is not None and place.instance.rule.name in self.shape.steady

    def missing(self, place: Place) -> int:
        """The modules that are wanted beyond those that will come at least."""
        return self.least - self.walk.modules + place.left

    def _sorted(self, options: Options, rule: str) -> list[Alternative]:
        if len(self._alternatives) >= KEPT:
            self._alternatives.clear()
        groups = (list(own) for _, own in groupby(options.candidates, lambda each: each.choice[0]))
        kin = self.shape.kin.get(rule)
        found = [self._alternative(own, None if kin is None else kin.numbers[own[0].choice[0]]) for own in groups]
        found.sort(key=lambda each: (each.number or 0, each.least, len(each.candidates)))
        self._alternatives[options] = found
        return found

    def _alternative(self, candidates: list[Candidate], number: int | None) -> Alternative:
        space = self.sampler.space
        ordered = sorted(((_least(space, each), each) for each in candidates), key=lambda pair: pair[0])
        uses = tuple(rules_used(candidates[0].rest))
        growing = sum(name in self.shape.grows for name, _ in uses)
        open = any(times == 1 and name in self.shape.steady for name, times in uses)
        values = _values([(_least(space, each), each) for each in candidates], 0)
        height = self.shape.height([name for name, _ in uses])
        return Alternative(values, ordered, growing, open, height, number)

    # --- the end

    def derivation(self, place: Place) -> Derivation:
        """What was chosen before the end. Raises DeadEnd where its output, size or shared weights are not right."""
        self.walk.level = -1
        self.sampler.ends(place.type)
        modules = self.walk.modules - place.left
        if modules < self.least:
            raise DeadEnd("size", f"fewer than {self.least} modules")
        made = Derivation(self.sampler.space, place.choices, modules, self.walk.input)
        self.sampler.shares(made)
        return made

    def smallest(self) -> Derivation:
        """The first that is found, the limit on modules raised step by step. Raises EinError where there is none."""
        if self._smallest is None:
            try:
                self._smallest = self._search() or self._sampled()
            except EinError as error:
                self._smallest = error
        if isinstance(self._smallest, EinError):
            raise EinError(self._smallest.diagnostics)
        return self._smallest

    def _search(self) -> Derivation | None:
        walk = self.walk
        least = max(int(self.sampler.space.start.minimum), self.least)
        try:
            for more in (0, 1, 2, 4, 8, 16, 32):
                limits = replace(walk.limits, modules=min(walk.modules, least + more))
                self.walk = Walk(walk.space, limits, walk.input, walk.steady)
                found = self._past(self.walk.begin(), -1, SEARCH)
                if found is not None:
                    return self.derivation(found[-1])
        except DeadEnd:
            pass
        finally:
            self.walk = walk
        return None

    def _sampled(self) -> Derivation:
        """Raises EinError."""
        found = self.sampler.draw(0, 0, None, ATTEMPTS, inf)
        if found.modules < self.least:
            found = self.sampler.draw(0, 0, (self.least, self.walk.modules), ATTEMPTS, inf)
        return found

    # --- dead ends

    def past(self, path: Path, level: int) -> Path | None:
        """A path past a dead end: its last place is nowhere inside the use of a rule at `level`, or is the end.

        The last choice of `path` is made anew, then the last two, four, eight, and so on, each with the simplest that
        leads past. None where the search is given up.
        """
        back = 1
        while True:
            first = max(0, len(path) - back)
            found = self._past(path[first], level, TRIES)
            if found is not None:
                return path[:first] + found
            if not first:
                return None
            back *= 2

    def _past(self, place: Place, level: int, tries: int) -> Path | None:
        """The first path from `place` that ends at `level` or less, alternatives before further values of each."""
        path, waiting = [place], [self._each(place)]
        while waiting and tries:
            candidate = next(waiting[-1], None)
            if candidate is None:
                path.pop()
                waiting.pop()
                continue
            tries -= 1
            try:
                found = self.walk.take(path[-1], candidate)
                if found.instance is None:
                    self.derivation(found)
            except DeadEnd:
                continue
            path.append(found)
            if found.level <= level or found.instance is None:
                return path
            waiting.append(self._each(found))
        return None

    def _each(self, place: Place) -> Iterator[Candidate]:
        alternatives = self.alternatives(place, place.left)
        rounds = chain.from_iterable(zip_longest(*(each.candidates for each in alternatives)))
        return (pair[1] for pair in rounds if pair is not None)


def _tighten(space: Space, shape: Shape) -> None:
    """Operators count where the minima leave out alternatives that need a type."""
    for instance in space.instances.values():
        instance.minimum = max(instance.minimum, shape.fewest[instance.rule.name])
    space.minima.clear()


def _least(space: Space, candidate: Candidate) -> int:
    """The fewest modules that a candidate can come to, as far as that can be told without a type."""
    return int(candidate.minimum if candidate.simple else space.least(candidate.program))


def _values(candidates: list[tuple[int, Candidate]], at: int) -> Values:
    """The candidates of an alternative, which differ in no value before `at`."""
    count = len(candidates[0][1].choice[1])
    groups: list[list[tuple[int, Candidate]]] = [candidates]
    while len(groups) == 1 and at < count:
        groups = [list(own) for _, own in groupby(candidates, partial(_value, at))]
        at += 1
    found: list[tuple[int, Values | Candidate]] = []
    for own in groups:
        inner = _values(own, at) if len(own) > 1 else None
        found.append((own[0][0], own[0][1]) if inner is None else (inner.least[0], inner))
    found.sort(key=lambda pair: pair[0])
    return Values([least for least, _ in found], [each for _, each in found])


def _value(at: int, candidate: tuple[int, Candidate]) -> Any:
    return candidate[1].choice[1][at]
