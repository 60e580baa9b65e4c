"""Strategies of hypothesis: valid derivations of a grammar, for tests of what takes networks.

Each choice is drawn among what applies to the type at hand and can be finished within the limits, the simplest first,
so that what hypothesis shrinks has fewer modules, simpler alternatives and earlier values. A use of a rule that can
recur is a span of its own: one step of the shrinker puts a part of a derivation in place of the whole.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from math import inf
from threading import local
from typing import Any
from zlib import crc32

from ein.grammar.cfg import Grammar, Limits
from ein.grammar.check import Request, load_grammar
from ein.grammar.counting.numbering import Numbering
from ein.grammar.derivations.attempt import DeadEnd
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.files import derivation_text
from ein.grammar.derivations.sample import Sampler
from ein.grammar.derivations.shape import rules_used
from ein.grammar.derivations.simplest import Alternative, Path, Simplest, Values
from ein.grammar.derivations.walk import Place
from ein.grammar.diagnostics import DISTRIBUTION, EinError
from ein.grammar.steps import Candidate
from ein.grammar.term import depth

try:
    import hypothesis
    from hypothesis import strategies as st
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"ein.strategies draws with hypothesis, and {error.name} is missing: pip install '{DISTRIBUTION}[test]'",
        name=error.name,
    ) from None

MODULES = 60
"""Modules beyond the fewest, of a grammar that can grow without end, where no number is asked for."""

NESTED = 60
"""Spans inside each other; hypothesis takes a hundred of them for a test that never ends."""

ENTRIES = 100_000
"""Entries of the tables that count, where a size is asked for: made in less than a second."""

REPAIRS = 24
"""Dead ends of one derivation before the smallest stands in for it."""


def derivations(
    grammar: str | os.PathLike[str] | Any,
    *,
    size: int | None = None,
    max_modules: int | None = None,
    min_modules: int | None = None,
    max_depth: int | None = None,
    max_parameters: int | None = None,
    input: str | None = None,
    output: str | None = None,
    **parameters: Any,
) -> st.SearchStrategy[Derivation]:
    """Valid derivations of a library grammar (`"einspace"`), of a file, or of a space that is loaded.

    They keep the limits of the grammar and those given here, and shrink to few modules and simple alternatives. A
    grammar that can grow without end stays `MODULES` above its smallest unless `max_modules` is given. With `size` they
    have exactly so many modules, and are drawn by rank where exact counts reach so far: each as likely as any other
    that keeps the limits, and shrunk towards rank 0, which is no simpler than another. `input`, `output` and other
    keywords are those of `ein.load`. With a failing example its file is printed: `ein.architecture` reads it back.
    Raises EinError with every diagnostic of the file, or, when it is drawn from, where no derivation
    keeps the limits; ValueError for bounds that exclude each other.
    """
    return _drawn(told=True, **locals())


def terms(
    grammar: str | os.PathLike[str] | Any,
    *,
    size: int | None = None,
    max_modules: int | None = None,
    min_modules: int | None = None,
    max_depth: int | None = None,
    max_parameters: int | None = None,
    input: str | None = None,
    output: str | None = None,
    **parameters: Any,
) -> st.SearchStrategy[str]:
    """The files of `derivations`: texts that stand on their own, with the term as `arch net`."""
    return _drawn(told=False, **locals()).map(derivation_text)


def _drawn(
    told: bool, size: int | None, min_modules: int | None, max_modules: int | None, **asked: Any
) -> st.SearchStrategy[Derivation]:
    if size is None:
        return _derivations(_simplest(min_modules=min_modules, max_modules=max_modules, **asked), told)
    if min_modules is not None or max_modules is not None:
        raise ValueError("size says how many modules; min_modules and max_modules are for when it is not given")
    simplest = _simplest(min_modules=size, max_modules=size, **asked)
    structural = _derivations(simplest, told)
    numbering = Numbering.of(simplest.sampler.grammar, most=ENTRIES)
    try:
        count = numbering.count(size)
    except EinError:  # too many types, or weights that cannot be counted
        return structural
    return _ranked(numbering, size, count, simplest.sampler.limits, structural, told) if count else structural


def _ranked(
    numbering: Numbering,
    size: int,
    count: int,
    limits: Limits,
    structural: st.SearchStrategy[Derivation],
    told: bool,
) -> st.SearchStrategy[Derivation]:
    @st.composite
    def derivations(draw: st.DrawFn) -> Derivation:
        made = numbering.unrank(size, draw(st.integers(0, count - 1)))
        if not _keeps(made, limits):
            return draw(structural)
        if told:
            hypothesis.note(_File(made))
        return made

    return derivations()


def _keeps(made: Derivation, limits: Limits) -> bool:
    """Counts are of all derivations, also of those beyond limits on more than modules."""
    cost = made.cost
    pairs = (
        (limits.depth, depth(made.term)),
        (limits.parameters, cost.parameters),
        (limits.macs, cost.macs),
        (limits.elements, cost.elements),
    )
    return all(limit is None or found <= limit for limit, found in pairs)


def _simplest(
    grammar: str | os.PathLike[str] | Any,
    max_modules: int | None,
    min_modules: int | None,
    max_depth: int | None,
    max_parameters: int | None,
    input: str | None,
    output: str | None,
    parameters: dict[str, Any],
) -> Simplest:
    least, most = min_modules or 0, max_modules if max_modules is not None else inf
    if least > most:
        raise ValueError(f"min_modules is at most max_modules, and {least} > {most}")
    loaded = _loaded(grammar, Request(parameters, input, output))
    limits = replace(
        loaded.limits,
        modules=_tighter(loaded.limits.modules, max_modules),
        depth=_tighter(loaded.limits.depth, max_depth),
        parameters=_tighter(loaded.limits.parameters, max_parameters),
    )
    sampler = Sampler.of(loaded, limits)
    start = sampler.space.start
    found = Simplest(sampler, least)
    if max_modules is None and start.rule.name in found.shape.grows and start.minimum < inf:
        most = max(int(start.minimum), least) + MODULES
        sampler.limits = replace(limits, modules=_tighter(limits.modules, most))
        found = Simplest(sampler, least)
    return found


def _loaded(grammar: str | os.PathLike[str] | Any, request: Request) -> Grammar:
    if isinstance(grammar, str | os.PathLike):
        return load_grammar(os.fspath(grammar), request)
    found = getattr(grammar, "grammar", grammar)
    if not isinstance(found, Grammar):
        raise TypeError(f"a grammar is a name, a path or a loaded space, not {grammar!r}")
    if request != Request():
        raise ValueError("input, output and parameters are set when a space is loaded, and this one is")
    return found


def _tighter(limit: int | None, other: int | None) -> int | None:
    return limit if other is None else other if limit is None else min(limit, other)


def _derivations(simplest: Simplest, told: bool) -> st.SearchStrategy[Derivation]:
    """`told`: with a failing example the file of the derivation is printed."""
    drawing = local()

    @st.composite
    def again(draw: st.DrawFn) -> None:
        now: _Drawing = drawing.now
        now.use(draw, now.held)

    inside = again()

    @st.composite
    def derivations(draw: st.DrawFn) -> Derivation:
        simplest.sampler.trim()
        now = drawing.now = _Drawing(simplest, inside)
        made = now.draw(draw)
        if told:
            hypothesis.note(_File(made))
        return made

    return derivations()


class _File:
    """The file of a derivation, which is printed with a failing example and not made before."""

    def __init__(self, derivation: Derivation) -> None:
        self.derivation = derivation

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(derivation_text(self.derivation))


class _Drawing:
    """One derivation in the making. `path` are the places before its choices, the next one last."""

    def __init__(self, simplest: Simplest, inside: st.SearchStrategy[None]) -> None:
        self.simplest = simplest
        self.inside = inside
        self.path: Path = []
        self.made: Derivation | None = None
        self.held = 0
        self.nested = 0
        self.repairs = 0

    def draw(self, draw: st.DrawFn) -> Derivation:
        simplest = self.simplest
        try:
            self.path.append(simplest.walk.begin())
        except DeadEnd:
            return simplest.smallest()
        self.use(draw, 0)
        assert self.made is not None
        return self.made

    def use(self, draw: st.DrawFn, held: int) -> None:
        """Chooses at the next place and everywhere inside. `held`: modules that are left for others."""
        level = self.path[-1].level
        growing = self.choose(draw, held).growing
        while self.made is None and (place := self.path[-1]).level > level:
            mine = held
            if self.simplest.grows(place):
                slack = place.left - held
                if growing > 1 and slack > 0:
                    mine = place.left - draw(_up_to(slack))
                growing -= 1
            self.inner(draw, place, mine)

    def inner(self, draw: st.DrawFn, place: Place, held: int) -> None:
        """A use of a rule inside another; in a span of its own where the rule can recur and there is a choice."""
        if self.nested == NESTED:
            self.flat(draw, held)
            return
        self.nested += 1
        name = self.simplest.span(place)
        if name is not None and len(place.options.candidates) > 1:
            self.held = held
            draw(self.inside, crc32(name.encode()))
        else:
            self.use(draw, held)
        self.nested -= 1

    def flat(self, draw: st.DrawFn, held: int) -> None:
        """As `use`, without a span for each use of a rule."""
        level = self.path[-1].level
        self.choose(draw, held)
        while self.made is None and self.path[-1].level > level:
            self.choose(draw, held)

    def choose(self, draw: st.DrawFn, held: int) -> Alternative:
        """Draws a choice, and goes on to the next place."""
        place = self.path[-1]
        assert place.instance is not None
        slack = max(0, place.left - held)
        found = self.simplest.alternatives(place, slack)
        alternative = found[0] if len(found) == 1 else _alternative(draw, found)
        most = place.instance.minimum + slack // place.times
        candidate = _value(draw, alternative.values, most)
        for _ in range(_padding(candidate) if alternative.growing else 0):
            draw(_up_to(0))
        try:
            self.path.append(self.simplest.walk.take(place, candidate))
            self.end()
        except DeadEnd:
            self.repair()
        return alternative

    def end(self) -> None:
        """At the end, makes the derivation. Raises DeadEnd where that is none."""
        place = self.path[-1]
        if place.instance is None:
            self.path.pop()
            self.made = self.simplest.derivation(place)

    def repair(self) -> None:
        """Past a dead end by the simplest choices; after many, the smallest derivation."""
        self.repairs += 1
        level = self.simplest.walk.level if self.repairs < REPAIRS else -1
        found = self.simplest.past(self.path, level) if self.repairs <= REPAIRS else None
        if found is None:
            self.made = self.simplest.smallest()
        else:
            self.path = found
            self.end()


def _alternative(draw: st.DrawFn, found: list[Alternative]) -> Alternative:
    """By its number where rules have alternatives in common, so that one choice means the same for all of them."""
    last = found[-1].number
    if last is None:
        return found[draw(_up_to(len(found) - 1))]
    drawn = draw(_up_to(last))
    return next((each for each in reversed(found) if each.number is not None and each.number <= drawn), found[0])


def _value(draw: st.DrawFn, values: Values, most: float) -> Candidate:
    """Draws the values of an alternative, one after the other."""
    count = values.within(most)
    found = values.each[draw(_up_to(count - 1)) if count > 1 else 0]
    return _value(draw, found, most) if isinstance(found, Values) else found


def _padding(candidate: Candidate) -> int:
    """Choices without a choice, for copies: what is built more often is to be longer, for that is what shrinks."""
    return sum(times for _, times in rules_used(candidate.rest) if times > 1)


@cache
def _up_to(most: int) -> st.SearchStrategy[int]:
    return st.integers(0, most)
