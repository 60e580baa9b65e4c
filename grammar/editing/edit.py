"""Editing derivations: the kinds of edits by name. Each is a function of its parents and of random numbers alone."""

from __future__ import annotations

from dataclasses import replace
from random import Random as Generator

from ein.grammar.alignment.offspring import offspring
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import fail
from ein.grammar.editing.crossover import crossover
from ein.grammar.editing.mutate import Fairness, Keep, mutate
from ein.grammar.editing.plans import Random
from ein.grammar.editing.small_edits import MOVES, SMALL, edit_one, small
from ein.grammar.matching.match import derive
from ein.grammar.numbers import nearest

__all__ = [
    "CROSSOVERS",
    "KINDS",
    "SMALL",
    "Fairness",
    "Keep",
    "crossed",
    "crossover",
    "edit_one",
    "mutant",
    "mutate",
    "ruled",
    "small",
]

KINDS = ("subtree", "small", *MOVES)
"""`subtree` is `mutate`; `small` is one of those after it."""

CROSSOVERS = ("subtree", "alignment")


def mutant(
    sampler: Sampler,
    parent: Derivation,
    seed: int = 0,
    index: int = 0,
    *,
    kind: str = "subtree",
    keep: Keep = None,
    sites: Fairness = "uniform",
) -> Derivation:
    """Mutant `index` of `seed`, of a kind out of `KINDS`; `keep` is for `subtree`.

    A parent that is no derivation of the sampler's grammar is parsed into it. Raises ValueError, EinError.
    """
    _check(keep, sites)
    if kind not in KINDS:
        raise ValueError(f"there is no kind of edit `{kind}`; {nearest(kind, KINDS, f'the kinds are {KINDS}')}")
    if keep is not None and kind != "subtree":
        raise ValueError(f'`keep` is for the kind "subtree", and this is "{kind}"')
    parent, random = ruled(sampler, parent), _random("mutate", seed, index)
    if kind == "subtree":
        return mutate(sampler, parent, random, keep=keep, sites=sites)
    if kind == "small":
        return small(sampler, parent, random, sites)
    return edit_one(sampler, parent, kind, random, sites)


def crossed(
    sampler: Sampler,
    first: Derivation,
    second: Derivation,
    seed: int = 0,
    index: int = 0,
    *,
    kind: str = "subtree",
    keep: Keep = None,
    sites: Fairness = "uniform",
) -> Derivation:
    """Child `index` of `seed` of two derivations, which are parsed into the grammar as `mutant` does.

    `kind` is out of `CROSSOVERS`: a subtree of the second in the first, for which `keep` and `sites` are, or about
    half of the edits on the shortest way from the first to the second. Raises ValueError, EinError.
    """
    _check(keep, sites)
    if kind not in CROSSOVERS:
        raise ValueError(f"there is no crossover `{kind}`; {nearest(kind, CROSSOVERS, f'the kinds are {CROSSOVERS}')}")
    first, second = ruled(sampler, first), ruled(sampler, second)
    random = _random("crossover", seed, index)
    if kind == "alignment":
        if keep is not None or sites != "uniform":
            raise ValueError('`keep` and `sites` are for the kind "subtree"')
        return offspring(sampler, first, second, random)
    return crossover(sampler, first, second, random, keep=keep, sites=sites)


def ruled(sampler: Sampler, architecture: Derivation) -> Derivation:
    """An architecture as a derivation of the sampler's grammar. Raises EinError where its rules do not derive it."""
    grammar = sampler.grammar
    if architecture.input is not grammar.input:
        message = f"this architecture takes {architecture.input!r}, and `{grammar.name}` takes {grammar.input!r}"
        raise fail("E707", message, help=f'give both the same input: --input "{architecture.input!r}"')
    if architecture.space is sampler.space:
        return architecture
    if not architecture.finished and architecture.space.grammar.digest == grammar.digest:
        return replace(architecture, space=sampler.space)
    return derive(sampler.space, architecture.term)


def _random(what: str, seed: int, index: int) -> Random:
    return Generator(f"ein {what} {seed} {index}").random


def _check(keep: object, sites: object) -> None:
    if keep not in (None, "type"):
        raise ValueError(f'`keep` is None or "type", got {keep!r}')
    if sites not in ("uniform", "depth"):
        raise ValueError(f'`sites` is "uniform" or "depth", got {sites!r}')
