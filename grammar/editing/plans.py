"""Derivations put together from parts of others and from parts that are drawn."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ein.grammar.cfg import Limits
from ein.grammar.derivations.attempt import NO_LIMIT, Attempt, DeadEnd
from ein.grammar.derivations.derivation import Choices, Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import fail
from ein.grammar.editing.sites import Site, Sites, sites_of
from ein.grammar.numbers import Inapplicable
from ein.grammar.space import Space
from ein.grammar.steps import Candidate, Choice, Instance, Options
from ein.grammar.types import ValueType

Random: TypeAlias = Callable[[], float]
"""Uniform in [0, 1)."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A subtree that is drawn from the stated distribution."""


@dataclass(frozen=True, slots=True)
class Node:
    """A choice, and below it a subtree for each use of a rule in it: the first of `pool` that is left for that
    instance of a rule (`by_name`: for that rule), else one that is drawn."""

    choice: Choice
    pool: tuple[tuple[Instance, Choices], ...]
    by_name: bool = False


Part: TypeAlias = Choices | Drawn | Node
"""Choices are those of any number of uses of rules in a row, in pre-order."""

DRAWN = Drawn()


def made_of(sampler: Sampler, input: ValueType, parts: Sequence[Part], random: Random) -> Derivation | None:
    """The derivation that the parts make in a row; None where they do not fit, or not within the limits."""
    if all(isinstance(part, tuple) for part in parts):
        return followed(sampler, input, tuple(choice for part in parts if isinstance(part, tuple) for choice in part))
    return _walked(sampler, lambda attempt: attempt.run(input, _Plan(parts, random).choose), input)


def followed(sampler: Sampler, input: ValueType, choices: Choices) -> Derivation | None:
    """The derivation of given choices; None where they make none within the limits."""
    found = _walked(sampler, lambda attempt: attempt.follow(input, choices), input)
    return found if found is not None and len(found.choices) == len(choices) else None


def _walked(sampler: Sampler, run: Callable[[Attempt], ValueType], input: ValueType) -> Derivation | None:
    attempt = Attempt(sampler.space, sampler.limits)
    try:
        sampler.ends(run(attempt))
        allowed = sampler.limits.modules if sampler.limits.modules is not None else NO_LIMIT
        choices = tuple([candidate.choice for candidate in attempt.made])
        found = Derivation(sampler.space, choices, allowed - attempt.modules_left, input)
        sampler.shares(found)
    except DeadEnd:
        return None
    return found


def drawn_at(sampler: Sampler, site: Site, limits: Limits, random: Random) -> tuple[Choices, ValueType, int] | None:
    """A subtree from the stated distribution in place of a site's, its output and modules; None in a dead end."""

    return _at(sampler, site, limits, lambda attempt: attempt.draw(site.input, random))


def fitted(sampler: Sampler, site: Site, limits: Limits, choices: Choices) -> tuple[ValueType, int] | None:
    """Output and modules of given choices in place of a site's subtree; None where they do not fit."""
    found = _at(sampler, site, limits, lambda attempt: attempt.follow(site.input, choices))
    return (found[1], found[2]) if found is not None and len(found[0]) == len(choices) else None


def _at(
    sampler: Sampler, site: Site, limits: Limits, run: Callable[[Attempt], ValueType]
) -> tuple[Choices, ValueType, int] | None:
    attempt = Attempt(_Rooted(sampler.space, site.instance), limits)
    try:
        output = run(attempt)
    except DeadEnd:
        return None
    allowed = limits.modules if limits.modules is not None else NO_LIMIT
    return tuple([candidate.choice for candidate in attempt.made]), output, allowed - attempt.modules_left


class _Rooted(Space):
    """A space with its tables, as if it began with another rule."""

    __slots__ = ("_start",)

    def __init__(self, space: Space, start: Instance) -> None:
        self.__dict__ = space.__dict__
        self._start = start

    @property
    def start(self) -> Instance:  # type: ignore[override]
        return self._start


def room(limits: Limits, found: Sites, at: int) -> Limits:
    """What the limits leave to one of the subtrees at a site, all else being as it is."""
    site, total = found.sites[at], found.cost
    times, weights = site.times, site.weights

    def left(limit: int | None, all: int, one: int, count: int) -> int | None:
        return None if limit is None else (limit - all) // count + one

    return Limits(
        left(limits.modules, total.modules, site.cost.modules, times),
        None if limits.depth is None else limits.depth - site.depth,
        left(limits.parameters, total.parameters, site.cost.parameters, weights),
        left(limits.macs, total.macs, site.cost.macs, times),
        left(limits.elements, total.elements, site.cost.elements, times),
    )


def most(limits: Limits, site: Site) -> Limits:
    """What the limits leave to one of the subtrees at a site, whatever becomes of all else."""

    def share(limit: int | None, count: int) -> int | None:
        return None if limit is None else limit // count

    return replace(
        limits,
        modules=share(limits.modules, site.times),
        depth=None if limits.depth is None else limits.depth - site.depth,
        parameters=share(limits.parameters, site.weights),
        macs=share(limits.macs, site.times),
        elements=share(limits.elements, site.times),
    )


def spliced(
    sampler: Sampler, parent: Derivation, found: Sites, at: int, subtree: Choices, modules: int
) -> Derivation | None:
    """The parent with another subtree, of so many modules, that leaves all else as it was; None where weights that
    places share do not fit any more."""
    site = found.sites[at]
    choices = (*found.choices[:at], *subtree, *found.choices[site.end :])
    total = found.cost.modules + (modules - site.cost.modules) * site.times
    child = Derivation(sampler.space, choices, total, parent.input)
    try:
        sampler.shares(child)
    except DeadEnd:
        return None
    return child


def bounds_costs(limits: Limits) -> bool:
    return (limits.parameters, limits.macs, limits.elements) != (None, None, None)


def parent_sites(sampler: Sampler, parent: Derivation) -> Sites:
    """Raises EinError where the parent is no derivation of the sampler's grammar."""
    sampler.trim()
    try:
        return sites_of(sampler.space, parent.choices, parent.input, bounds_costs(sampler.limits))
    except Inapplicable:
        name = sampler.grammar.name
        raise fail("E706", f"the parent is no derivation of `{name}` as it is here", help=_FOREIGN) from None


_FOREIGN = "take one that `ein sample` draws with the same settings, or an architecture that the rules derive"


def _same(table: Options, choice: Choice | None) -> Candidate:
    found = table.by_choice.get(choice)
    if found is None:
        raise DeadEnd("type", "there is no such choice here")
    return found


class _Plan:
    """Gives the choices of parts in a row, as an attempt asks for them."""

    def __init__(self, parts: Sequence[Part], random: Random) -> None:
        self.random = random
        self.todo: list[Part | _Below] = list(reversed(parts))
        self.following: list[Choice] = []
        """reversed"""
        self.open = 0
        """Uses of rules that are still to be drawn."""

    def choose(self, instance: Instance, table: Options) -> Candidate:
        if self.open:
            return self._drawn(table)
        while not self.following:
            if not self.todo:
                raise DeadEnd("type", "the parts are too few")
            part = self.todo.pop()
            if isinstance(part, _Below):
                part = part.take(instance)
            if isinstance(part, Node):
                return self._node(part, table)
            if isinstance(part, Drawn):
                self.open = 1
                return self._drawn(table)
            self.following = list(reversed(part))
        return _same(table, self.following.pop())

    def _drawn(self, table: Options) -> Candidate:
        candidate = table.candidates[bisect_right(table.cumulative, self.random())]
        self.open += candidate.opens - 1
        return candidate

    def _node(self, node: Node, table: Options) -> Candidate:
        candidate = _same(table, node.choice)
        below = _Below(list(node.pool), node.by_name)
        self.todo += [below] * candidate.opens
        return candidate


@dataclass(slots=True)
class _Below:
    """What is left of the subtrees of a `Node`."""

    pool: list[tuple[Instance, Choices]]
    by_name: bool

    def take(self, instance: Instance) -> Choices | Drawn:
        for at, (own, choices) in enumerate(self.pool):
            if own is instance or (self.by_name and own.rule is instance.rule):
                del self.pool[at]
                return choices
        return DRAWN
