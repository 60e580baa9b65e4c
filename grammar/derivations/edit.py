"""Editing derivations: mutation, as a subtree redrawn at its type with the rest typed anew."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from ein.grammar.derivations.attempt import Attempt, DeadEnd
from ein.grammar.derivations.derivation import Choices, Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, fail
from ein.grammar.steps import Candidate, Instance, Options, rule_uses

TRIES = 16
"""Attempts at one place before another is taken."""

PLACES = 500
"""Places before a derivation is said to have no mutant."""


def mutate(sampler: Sampler, parent: Derivation, random: Callable[[], float]) -> Derivation:
    """A valid derivation within the limits that differs from its parent in one subtree.

    A use of a rule is taken uniformly and redrawn from the stated distribution at its type; what
    follows keeps its choices and is typed anew. A place where nothing fits in `TRIES` attempts gives
    way to another, so places that are easy to redraw are favoured. Copies are edited together, since
    a copied branch is one derivation. Raises EinError where no mutant is found.
    """
    sampler.trim()
    uses = _uses(sampler, parent)
    for _ in range(PLACES):
        place = int(random() * len(uses))
        end = _end(uses, place)
        for _ in range(TRIES):
            child = _redraw(sampler, parent, place, end, random)
            if child is not None:
                return child
            if not _can_change(uses, place, end):
                break
    message = f"no mutant of this derivation of {parent.modules} modules fits within the limits"
    raise fail("E706", message, help="loosen the limits of the grammar")


def _uses(sampler: Sampler, parent: Derivation) -> list[tuple[Candidate, int]]:
    """The candidates that a derivation chose, each with the number of alternatives it had."""
    found: list[tuple[Candidate, int]] = []
    choices = iter(parent.choices)

    def choose(instance: Instance, table: Options) -> Candidate:
        choice = next(choices)
        candidate = next((c for c in table.candidates if c.choice == choice), None)
        if candidate is None:
            raise DeadEnd("type", f"`{instance!r}` has no choice {choice}")
        found.append((candidate, len(table.candidates)))
        return candidate

    try:
        Attempt(sampler.space, sampler.unlimited).run(parent.input, choose)
    except (DeadEnd, StopIteration):
        raise EinError(fail("E706", "the parent is no derivation of this grammar").diagnostics) from None
    return found


def _end(uses: list[tuple[Candidate, int]], place: int) -> int:
    """Where the subtree that begins at `place` ends in the pre-order."""
    open_uses, at = 1, place
    while open_uses:
        open_uses += rule_uses(uses[at][0].rest) - 1
        at += 1
    return at


def _can_change(uses: list[tuple[Candidate, int]], place: int, end: int) -> bool:
    return any(count > 1 for _, count in uses[place:end])


def _redraw(
    sampler: Sampler, parent: Derivation, place: int, end: int, random: Callable[[], float]
) -> Derivation | None:
    """The parent with the subtree from `place` to `end` drawn anew; None where that does not fit."""
    choices = parent.choices
    made: list[tuple[int, tuple[object, ...]]] = []
    state = [0, 1]  # the next choice of the parent to follow; open uses of the new subtree

    def choose(instance: Instance, table: Options) -> Candidate:
        at = state[0]
        if at == place and state[1]:
            candidate = table.candidates[bisect_right(table.cumulative, random())]
            state[1] += rule_uses(candidate.rest) - 1
            if not state[1]:
                state[0] = end
        else:
            candidate = _same(table, choices[at], instance)
            state[0] = at + 1
        made.append(candidate.choice)
        if not state[1] and state[0] == end and _unchanged(made, choices, place, end):
            raise DeadEnd("parent", "the same subtree again")
        return candidate

    attempt = Attempt(sampler.space, sampler.limits)
    try:
        output = attempt.run(parent.input, choose)
        sampler.ends(output)
        allowed = sampler.limits.modules if sampler.limits.modules is not None else 1 << 60
        found = Derivation(sampler.space, tuple(made), allowed - attempt.modules_left, parent.input)
        sampler.shares(found)
    except DeadEnd:
        return None
    return found


def _unchanged(made: list[tuple[int, tuple[object, ...]]], choices: Choices, place: int, end: int) -> bool:
    return len(made) == end and tuple(made[place:]) == choices[place:end]


def _same(table: Options, choice: tuple[int, tuple[object, ...]], instance: Instance) -> Candidate:
    for candidate in table.candidates:
        if candidate.choice == choice:
            return candidate
    raise DeadEnd("type", f"`{instance!r}` has no choice {choice} here")
