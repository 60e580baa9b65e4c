"""Founding, selection, survival: the parts that strategies are made of. All are functions of their arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.search.protocol import Proposal, Trial, score

Random: TypeAlias = Callable[[], float]
"""Uniform in [0, 1)."""

Size: TypeAlias = tuple[int, int]
"""Fewest and most modules."""

Mutate: TypeAlias = Callable[[Sampler, Derivation, Random], Derivation]
"""A child that differs from its parent; raises EinError where none is found."""


def founder(sampler: Sampler, seed: int, number: int, attempt: int, size: Size | None = None) -> Proposal:
    """Draws from the stated distribution. Attempt 0 is draw `number` of `seed`, as `ein sample` makes it."""
    return Proposal(sampler.draw(seed, attempt << 32 | number, size), "founder")


def youngest(seen: Sequence[Trial], population: int, seeds: int) -> list[Trial]:
    """The population after `seen`, oldest first: whoever was born last, out of the trials with scores.

    The first `seeds` trials are seeds. They stand at the beginning in as many copies, in turn, as fill the
    population; a copy costs no trial, and dies of age like any other.
    """
    later: list[Trial] = []
    for trial in reversed(seen[seeds:]):
        if len(later) == population:
            break
        if trial.scores:
            later.append(trial)
    ancestors = [trial for trial in seen[:seeds] if trial.scores]
    born = max(population, len(ancestors))
    copies = range(born - population + len(later), born) if ancestors else range(0)
    return [ancestors[copy % len(ancestors)] for copy in copies] + later[::-1]


def tournament(members: Sequence[Trial], size: int, objective: str | None, random: Random) -> Trial:
    """The best of `size` members, drawn with replacement; of equals the one drawn first."""
    drawn = [members[int(random() * len(members))] for _ in range(size)]
    return max(drawn, key=lambda trial: score(trial, objective))
