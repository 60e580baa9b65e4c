"""Two operation graphs laid over each other: what both have stands once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from typing import NamedTuple, TypeAlias

from ein.compiler.drawing.contexts import flow
from ein.compiler.drawing.matching import matched, partners
from ein.compiler.graph import Draft, OpGraph, Port
from ein.compiler.nodes import Node, Scope, Use


class Pair(NamedTuple):
    """A node of the first, of the second, or one of each."""

    first: int | None
    second: int | None


class Ends(NamedTuple):
    """A wire of a graph."""

    source: Port
    target: Port


Between: TypeAlias = "Mapping[tuple[int, int], list[Ends]]"
"""Wires by the places that they join."""


class Joined(NamedTuple):
    """A wire of the first, of the second, or one of each, between two places of the overlay."""

    source: int
    target: int
    first: Ends | None
    second: Ends | None

    @property
    def moved(self) -> str:
        """`input 1 -> 2`: where it goes into another port than before, or comes out of one; "" where neither is."""
        if self.first is None or self.second is None:
            return ""
        pairs = (("output", self.first.source, self.second.source), ("input", self.first.target, self.second.target))
        return ", ".join(f"{name} {a.port + 1} -> {b.port + 1}" for name, a, b in pairs if a.port != b.port)


@dataclass(frozen=True, slots=True)
class Overlay:
    """`graph` has a node for each pair, numbered in the order of the wires, with the wires of both. Records are those
    of the second where there is one; ports may not fit."""

    pairs: tuple[Pair, ...]
    wires: tuple[Joined, ...]
    graph: OpGraph


def overlay(first: OpGraph, second: OpGraph) -> Overlay:
    there = matched(first, second)
    back = {b: a for a, b in there.items()}
    pairs = _sorted(first, second, there, back)
    ours = {pair.first: at for at, pair in enumerate(pairs) if pair.first is not None}
    theirs = {pair.second: at for at, pair in enumerate(pairs) if pair.second is not None}
    wires = _wires(_ends(first, ours), _ends(second, theirs))
    paths = _paths(first, second, there)
    sources: list[list[Port]] = [[] for _ in pairs]
    for wire in wires:
        ends = wire.second or wire.first
        assert ends is not None
        sources[wire.target].append(Port(wire.source, ends.source.port))
    draft = Draft()
    for (a, b), ports in zip(pairs, sources, strict=True):
        draft.add(second.node(b) if b is not None else _within(first, a, paths), ports)
    return Overlay(pairs, wires, draft.done())


def _within(graph: OpGraph, number: int | None, paths: Mapping[int, tuple[Scope, ...]]) -> Node:
    assert number is not None, "a pair of nothing"
    node = graph.node(number)
    return replace(node, path=paths[number]) if isinstance(node, Use) else node


def _sorted(first: OpGraph, second: OpGraph, there: Mapping[int, int], back: Mapping[int, int]) -> tuple[Pair, ...]:
    """Each pair after those that feed it, as near to the order of the first as that goes; what only the second has
    comes just before what follows it there."""
    place = {number: at for at, number in enumerate(first.order)}
    rank = {Pair(number, there.get(number)): (at, 0, 0) for number, at in place.items()}
    following = len(place)
    for at, number in reversed([*enumerate(second.order)]):
        if number in back:
            following = place[back[number]]
        else:
            rank[Pair(None, number)] = (following, -1, at)
    ours = {pair.first: pair for pair in rank if pair.first is not None}
    theirs = {pair.second: pair for pair in rank if pair.second is not None}
    after: dict[Pair, set[Pair]] = {pair: set() for pair in rank}
    for graph, home in ((first, ours), (second, theirs)):
        for number, pair in home.items():
            for source in graph.sources(number):
                after[home[source.node]].add(pair)
    missing = {pair: 0 for pair in rank}
    for readers in after.values():
        for pair in readers:
            missing[pair] += 1
    ready = [(rank[pair], pair) for pair, count in missing.items() if not count]
    heapify(ready)
    found = []
    while ready:
        _, pair = heappop(ready)
        found.append(pair)
        for reader in after[pair]:
            missing[reader] -= 1
            if not missing[reader]:
                heappush(ready, (rank[reader], reader))
    assert len(found) == len(rank), "the pairs close a cycle"
    return tuple(found)


def _ends(graph: OpGraph, home: Mapping[int, int]) -> Between:
    found: dict[tuple[int, int], list[Ends]] = defaultdict(list)
    for number in graph.order:
        for at, source in enumerate(graph.sources(number)):
            found[home[source.node], home[number]].append(Ends(source, Port(number, at)))
    return found


def _wires(
    ours: Mapping[tuple[int, int], list[Ends]], theirs: Mapping[tuple[int, int], list[Ends]]
) -> tuple[Joined, ...]:
    """Between two places wires at equal ports meet first, then the others in their order."""
    found = []
    for source, target in sorted({*ours, *theirs}, key=lambda ends: ends[::-1]):
        mine, other = list(ours.get((source, target), ())), list(theirs.get((source, target), ()))
        for wire in list(mine):
            same = next((each for each in other if _ports(each) == _ports(wire)), None)
            if same is not None:
                found.append(Joined(source, target, wire, same))
                mine.remove(wire)
                other.remove(same)
        both = min(len(mine), len(other))
        found += [Joined(source, target, a, b) for a, b in zip(mine, other, strict=False)]
        found += [Joined(source, target, a, None) for a in mine[both:]]
        found += [Joined(source, target, None, b) for b in other[both:]]
    return tuple(found)


def _ports(wire: Ends) -> tuple[int, int]:
    return wire.source.port, wire.target.port


def _paths(first: OpGraph, second: OpGraph, there: Mapping[int, int]) -> dict[int, tuple[Scope, ...]]:
    """For each use of the first, its path with those scopes of the second that its scopes correspond to."""
    ours, theirs = flow(first), flow(second)
    at, to = ({n: i for i, n in enumerate(each.numbers)} for each in (ours, theirs))
    same = partners(((at[a], to[b]) for a, b in there.items()), ours, theirs)
    scopes: dict[int, Scope] = {}
    for place, number in enumerate(theirs.numbers):
        node = second.node(number)
        if isinstance(node, Use):
            scopes |= zip(theirs.scopes[place], node.path, strict=True)
    found = {}
    for number, use in first.uses():
        path = zip(ours.scopes[at[number]], use.path, strict=True)
        found[number] = tuple(scopes[same[s]] if s in same else own for s, own in path)
    return found
