"""Small edits of a derivation: each changes one choice, or moves, adds or takes away one subtree.

What they do follows from the rules alone: a module can be added where an alternative of a rule uses the rule itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from types import MappingProxyType
from typing import TypeAlias

from ein.grammar.derivations.derivation import Choices, Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.editing.mutate import Fairness, nothing, taken
from ein.grammar.editing.plans import DRAWN, Drawn, Node, Part, Random, made_of, parent_sites
from ein.grammar.editing.sites import Sites
from ein.grammar.steps import Candidate, Instance, calls

TRIES = 500
"""Moves that are tried before a derivation is said to have none."""

REDRAWS = 4
"""Attempts of a move that has a part to draw."""

Move: TypeAlias = Sequence[Part]
"""What takes the place of a subtree."""


def change_value(found: Sites, at: int) -> Iterator[Move]:
    """The same alternative with other values of its choices; what stands below stays."""
    site = found.sites[at]
    for candidate in site.table.candidates:
        if candidate.choice[0] == site.candidate.choice[0] and candidate is not site.candidate:
            yield (Node(candidate.choice, _children(found, at), by_name=True),)


def change_alternative(found: Sites, at: int) -> Iterator[Move]:
    """Another alternative. Subtrees stay where it uses the same rules; what it needs beside them is drawn."""
    site = found.sites[at]
    for candidate in site.table.candidates:
        if candidate.choice[0] != site.candidate.choice[0]:
            yield (Node(candidate.choice, _children(found, at)),)


def insert(found: Sites, at: int) -> Iterator[Move]:
    """An alternative that uses the rule itself, around the subtree; what it needs beside that is drawn."""
    site, subtree = found.sites[at], found.subtree(at)
    for candidate in site.table.candidates:
        uses = _uses(candidate)
        for slot, instance in enumerate(uses):
            if instance is site.instance:
                rest = [DRAWN] * (len(uses) - slot - 1)
                yield (candidate.choice,), *[DRAWN] * slot, subtree, *rest


def duplicate(found: Sites, at: int) -> Iterator[Move]:
    """The same, with what stands there already in all places: of the subtree, or of what is directly in it."""
    site, subtree = found.sites[at], found.subtree(at)
    inside = {instance: choices for instance, choices in reversed(_children(found, at))}
    ready = {**inside, site.instance: subtree}
    for candidate in site.table.candidates:
        uses = _uses(candidate)
        if len(uses) > 1 and site.instance in uses and all(instance in ready for instance in uses):
            yield (candidate.choice,), *[ready[instance] for instance in uses]


def delete(found: Sites, at: int) -> Iterator[Move]:
    """A subtree of the same rule inside the subtree, in its place."""
    site = found.sites[at]
    for below in range(at + 1, site.end):
        if found.sites[below].instance is site.instance:
            yield (found.subtree(below),)


def swap(found: Sites, at: int) -> Iterator[Move]:
    """Two subtrees of one rule that stand directly below, each in the place of the other."""
    children = _children(found, at)
    for first, second in combinations(range(len(children)), 2):
        if children[first][0] is children[second][0] and children[first][1] != children[second][1]:
            order = list(range(len(children)))
            order[first], order[second] = second, first
            yield (found.choices[at],), *[children[each][1] for each in order]


_NONE = "has no place for one in it"

Moves: TypeAlias = Callable[[Sites, int], Iterator[Move]]

MOVES: Mapping[str, Moves] = MappingProxyType(
    {
        "value": change_value,
        "alternative": change_alternative,
        "insert": insert,
        "delete": delete,
        "swap": swap,
        "duplicate": duplicate,
    }
)
"""The small edits by name."""

SMALL: Mapping[str, float] = MappingProxyType(dict.fromkeys(MOVES, 1.0))
"""Weights of the kinds in `small`."""


def edit_one(
    sampler: Sampler, parent: Derivation, kind: str, random: Random, sites: Fairness = "uniform"
) -> Derivation:
    """A valid derivation within the limits, other than its parent, by one edit of a kind out of `MOVES`.

    A site that has such edits is taken (`sites`), one of its edits uniformly, and the next where that does not fit.
    Raises EinError where none fits, or none of `TRIES`.
    """
    found = parent_sites(sampler, parent)
    child, tried = _edited(sampler, parent, found, MOVES[kind], random, sites)
    if child is None:
        raise nothing(f"no edit of the kind `{kind}`", parent, tried, _NONE)
    return child


def small(
    sampler: Sampler,
    parent: Derivation,
    random: Random,
    sites: Fairness = "uniform",
    weights: Mapping[str, float] = SMALL,
) -> Derivation:
    """One small edit of a kind drawn by weight; where there is none of that kind, of another. Raises EinError."""
    found = parent_sites(sampler, parent)
    left = {kind: weight for kind, weight in weights.items() if weight > 0}
    tried = False
    while left:
        kind = _weighted(left, random)
        del left[kind]
        child, some = _edited(sampler, parent, found, MOVES[kind], random, sites)
        if child is not None:
            return child
        tried |= some
    raise nothing("no small edit", parent, tried, _NONE)


def _weighted(weights: Mapping[str, float], random: Random) -> str:
    at = random() * sum(weights.values())
    for kind, weight in weights.items():
        at -= weight
        if at < 0:
            return kind
    return kind


def _edited(
    sampler: Sampler, parent: Derivation, found: Sites, moves: Moves, random: Random, sites: Fairness
) -> tuple[Derivation | None, bool]:
    """A child, and whether there was anything to try."""
    open = list(range(len(found.sites)))
    left: dict[int, list[Move]] = {}
    tried = 0
    while open and tried < TRIES:
        at = taken(found, open, random, sites)
        if at not in left:
            left[at] = list(moves(found, at))
        if not left[at]:
            open.remove(at)
            continue
        move = left[at].pop(int(random() * len(left[at])))
        tried += 1
        child = _applied(sampler, parent, found, at, move, random)
        if child is not None:
            return child, True
    return None, tried > 0


def _applied(
    sampler: Sampler, parent: Derivation, found: Sites, at: int, move: Move, random: Random
) -> Derivation | None:
    choices, end = found.choices, found.sites[at].end
    for _ in range(REDRAWS if any(isinstance(part, Drawn | Node) for part in move) else 1):
        child = made_of(sampler, parent.input, (choices[:at], *move, choices[end:]), random)
        if child is not None and child.choices != choices:
            return child
    return None


def _children(found: Sites, at: int) -> tuple[tuple[Instance, Choices], ...]:
    return tuple((found.sites[child].instance, found.subtree(child)) for child in found.children(at))


def _uses(candidate: Candidate) -> list[Instance]:
    """The rules that a candidate uses, in order; none where a macro waits for its type to say them."""
    found = [call.instance for call in calls(candidate.rest)]
    return found if len(found) == candidate.opens else []
