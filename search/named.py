"""Strategies by name, with what was said about them, what a study says, and what is usual, in this order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ein.grammar.derivations.derivation import Derivation, read_trace
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import fail
from ein.grammar.numbers import nearest
from ein.search.evolution import Evolution, population_for, tournament_for
from ein.search.operators import Size
from ein.search.protocol import Strategy
from ein.search.random_search import RandomSearch

NAMES = ("evolution", "einspace", "random")
"""`einspace`: evolution with population 100 and tournament 10, as in Ericsson et al., appendix B."""


def strategy(
    name: str | None,
    sampler: Sampler,
    evals: int,
    *,
    seed: int | None = None,
    population: int | None = None,
    tournament: int | None = None,
    seeds: Sequence[Derivation] = (),
    objective: str | None = None,
    size: Size | None = None,
    kept: Mapping[str, Any] | None = None,
) -> Strategy:
    """The strategy of that name. `kept` is the header of a study to go on with: what is not said is as there.

    Raises EinError for a name that is none, and for settings that the strategy does not have.
    """
    if name is not None and name not in NAMES:
        raise fail("E859", f"there is no strategy `{name}`", help=nearest(name, NAMES, f"there are {', '.join(NAMES)}"))
    old: Mapping[str, Any] = (kept or {}).get("strategy", {})
    begun = int((kept or {}).get("seed", 0)) if seed is None else seed
    window = size or (None if old.get("size") is None else (old["size"][0], old["size"][1]))
    if (name or old.get("name", "evolution")) == "random":
        _has_none_of({"population": population, "tournament": tournament, "seeds": seeds, "objective": objective})
        return RandomSearch(sampler, begun, window)
    usual = {"population": 100, "tournament": 10} if name == "einspace" else old
    members = population or usual.get("population") or population_for(evals)
    return Evolution(
        sampler,
        begun,
        members,
        tournament or usual.get("tournament") or tournament_for(members),
        tuple(seeds) or _kept_seeds(sampler, old),
        objective or old.get("objective"),
        window,
    )


def _has_none_of(settings: Mapping[str, Any]) -> None:
    given = [f"`{name}`" for name, value in settings.items() if value]
    if given:
        raise fail("E859", f"random search has no {' and no '.join(given)}", help="`--strategy evolution` has")


def _kept_seeds(sampler: Sampler, settings: Mapping[str, Any]) -> tuple[Derivation, ...]:
    input = sampler.grammar.input
    assert input is not None
    return tuple(
        Derivation(sampler.space, read_trace(trace), modules, input) for modules, trace in settings.get("seeds", ())
    )
