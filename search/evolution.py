"""Regularised (ageing) evolution: Real, Aggarwal, Huang, Le: Regularized Evolution for Image Classifier
Architecture Search, AAAI 2019, algorithm 1. einspace (Ericsson et al., NeurIPS 2024) searches with it.

Two things differ. A trial without scores (it failed, or ran out of time) takes no place in the population. A seed is
trained once, however many copies of it the population begins with: in einspace's experiments the copies use up trials.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random as Generator
from typing import Any

from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError
from ein.grammar.editing.edit import mutate as redraw_subtree
from ein.search.operators import Mutate, Random, Size, founder, tournament, youngest
from ein.search.protocol import TRIES, Proposal, Trial, rebuilt


def population_for(evals: int) -> int:
    """Large enough for variety, small enough that most trials are children."""
    return min(100, max(8, evals // 8))


def tournament_for(population: int) -> int:
    return max(2, population // 10)


@dataclass(frozen=True, slots=True)
class Evolution:
    """The first proposals are the seeds, or `population` founders; each later one mutates the winner of a tournament.

    Where there is nobody to select from, or mutation finds nothing, or half the draws for a proposal were
    duplicates, a founder is drawn. `size` bounds the modules of founders. `objective`: see `protocol.score`.
    """

    sampler: Sampler = field(repr=False)
    seed: int = 0
    population: int = 100
    tournament: int = 10
    seeds: tuple[Derivation, ...] = ()
    objective: str | None = None
    size: Size | None = None
    mutate: Mutate = redraw_subtree

    def __post_init__(self) -> None:
        for name, value in (("population", self.population), ("tournament", self.tournament)):
            if value < 1:
                raise ValueError(f"{name} is at least 1, got {value}")
        for seed in self.seeds:
            if seed.space.grammar.digest != self.sampler.grammar.digest:
                raise ValueError(f"a seed is to be a derivation of `{self.sampler.grammar.name}`, got {seed!r}")

    def settings(self) -> Mapping[str, Any]:
        return {
            "name": "evolution",
            "population": self.population,
            "tournament": self.tournament,
            "seeds": [[seed.modules, seed.trace] for seed in self.seeds],
            "objective": self.objective,
            "size": self.size,
        }

    def propose(self, number: int, attempt: int, seen: Sequence[Trial]) -> Proposal:
        if number < len(self.seeds):
            return Proposal(self.seeds[number], "seed")
        founding = not self.seeds and number < self.population
        if not founding and attempt < TRIES // 2:
            child = self._child(seen, Generator(f"evolution {self.seed} {number} {attempt}").random)
            if child is not None:
                return child
        return founder(self.sampler, self.seed, number, attempt, self.size)

    def _child(self, seen: Sequence[Trial], random: Random) -> Proposal | None:
        found = self._parent(seen, random)
        if found is None:
            return None
        number, parent = found
        try:
            return Proposal(self.mutate(self.sampler, parent, random), "child", number)
        except EinError:  # a parent without mutants
            return None

    def _parent(self, seen: Sequence[Trial], random: Random) -> tuple[int, Derivation] | None:
        members = youngest(seen, self.population, len(self.seeds))
        if members:
            winner = tournament(members, self.tournament, self.objective, random)
            return winner.number, rebuilt(self.sampler, winner)
        running = len(self.seeds) - len(seen)  # seeds of which nothing is known yet are as good as each other
        if running > 0:
            number = len(seen) + int(random() * running)
            return number, self.seeds[number]
        return None
