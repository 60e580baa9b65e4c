"""Networks between two derivations: offspring that take some of the edits, and the steps of a shortest path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ein.grammar.alignment.paths import Edit, Path, path
from ein.grammar.derivations.attempt import Attempt, DeadEnd
from ein.grammar.derivations.derivation import Choices, Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, fail
from ein.grammar.types import ValueType

TRIES = 200
"""Sets of edits that are tried before two parents are said to have no offspring."""

WALKED = 2_000
"""Sets of edits that are tried for the steps of one path; after that the edits come in their order."""


@dataclass(frozen=True, slots=True)
class Step:
    """One edit of a path, and the derivation after it; None where that is no valid network within the limits."""

    edit: Edit
    derivation: Derivation | None


def offspring(
    sampler: Sampler, a: Derivation, b: Derivation, random: Callable[[], float], share: float = 0.5
) -> Derivation:
    """`a` with some of the edits that lead to `b`: each with the probability `share`, by itself.

    The set of edits is drawn anew until the child is valid, within the limits, and reads otherwise than both parents;
    so with a share of a half it is uniform among the sets for which that holds. A function of what `random` gives.
    Raises EinError where `TRIES` sets give no child, the parents are of another space, or are too large.
    """
    _check_space(sampler, a, b)
    sampler.trim()
    way = path(a, b)
    tried: set[frozenset[int]] = {frozenset(), frozenset(range(len(way)))}
    for _ in range(TRIES):
        if len(way) < TRIES.bit_length() and len(tried) >= 2 ** len(way):
            break
        made = frozenset(index for index in range(len(way)) if random() < share)
        if made not in tried:
            tried.add(made)
            child = accepted(sampler, way.choices(made), a.input)
            if child is not None and child.text not in (a.text, b.text):
                return child
    apart = "1 edit lies" if len(way) == 1 else f"{len(way)} edits lie"
    message = f"no network between these two was found within the limits: {apart} between them"
    raise fail("E717", message, help="take parents that differ in more places, or loosen the limits of the grammar")


def steps(sampler: Sampler, way: Path) -> list[Step]:
    """The edits one after another; each time the first after which the network is valid.

    Where no single edit leads to a valid network the first is made all the same, and its step says None.
    Raises EinError where the two are not of the sampler's space.
    """
    _check_space(sampler, way.alignment.a, way.alignment.b)
    sampler.trim()
    made: set[int] = set()
    left, found, tries = list(range(len(way))), [], WALKED
    while left:
        taken, derivation = left[0], None
        for index in left if tries > 0 else left[:1]:
            tries -= 1
            derivation = _reached(sampler, way, made | {index})
            if derivation is not None:
                taken = index
                break
        left.remove(taken)
        made.add(taken)
        found.append(Step(way.edits[taken], derivation))
    return found


def _reached(sampler: Sampler, way: Path, made: set[int]) -> Derivation | None:
    if len(made) == len(way):
        return way.alignment.b
    return accepted(sampler, way.choices(made), way.alignment.a.input)


def accepted(sampler: Sampler, choices: Choices, input: ValueType) -> Derivation | None:
    """The derivation of these choices; None where they do not fit, or not within the limits of the sampler."""
    attempt = Attempt(sampler.space, sampler.limits)
    try:
        sampler.ends(attempt.follow(input, choices))
        if len(attempt.made) < len(choices):
            return None
        allowed = sampler.limits.modules if sampler.limits.modules is not None else 1 << 60
        found = Derivation(sampler.space, choices, allowed - attempt.modules_left, input)
        sampler.shares(found)
    except DeadEnd:
        return None
    return found


def _check_space(sampler: Sampler, *parents: Derivation) -> None:
    digest = sampler.grammar.digest
    if any(parent.finished or parent.space.grammar.digest != digest for parent in parents):
        message = f"a parent is no derivation of `{sampler.grammar.name}`"
        raise EinError(fail("E717", message, help="derivations of one space can be crossed").diagnostics)
