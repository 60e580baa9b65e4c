"""What is read of what in a graph.

Wires are gone here: who reads an identity reads what it was given. So is what no result depends on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from ein.compiler.graph import OpGraph, Port
from ein.compiler.nodes import Use
from ein.compiler.template import Filled, Templates


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """`sources` of each live node without wires (None where nothing live reads it), and its live results.

    `keeps` are the nodes with weights, by the place of their key in the order in which weights are built.
    """

    graph: OpGraph
    filled: dict[int, Filled]
    order: tuple[int, ...]
    uses: dict[int, Use]
    sources: dict[int, tuple[Port | None, ...]]
    live: dict[int, tuple[int, ...]]
    results: tuple[Port, ...]
    keeps: dict[int, int]
    shared: frozenset[str]
    """Keys of several uses."""


def flow(graph: OpGraph) -> Flow:
    templates = Templates()
    moved: dict[Port, Port] = {}
    given = graph.wires()
    filled: dict[int, Filled] = {}
    for number, use in graph.uses():
        if moved:
            given[number] = tuple([moved.get(source, source) for source in given[number]])
        part = filled[number] = templates.of(use.applied.body)
        for port, alias in enumerate(part.template.aliases):
            if alias is not None:
                moved[Port(number, port)] = given[number][alias]
    results = tuple([moved.get(source, source) for source in given[graph.output]])
    live, read = _live(graph, given, filled, results)
    uses = {number: use for number, use in graph.uses() if number in live}
    kept = {number: use.key for number, use in uses.items() if filled[number].slots}
    keys = Counter(kept.values())
    places = {key: place for place, key in enumerate(keys)}
    keeps = {number: places[key] for number, key in kept.items()}
    shared = frozenset(key for key, count in keys.items() if count > 1)
    return Flow(graph, filled, tuple(uses), uses, read, live, results, keeps, shared)


def _live(
    graph: OpGraph, given: dict[int, tuple[Port, ...]], filled: dict[int, Filled], results: tuple[Port, ...]
) -> tuple[dict[int, tuple[int, ...]], dict[int, tuple[Port | None, ...]]]:
    """The results of each node that something depends on, and what these are made of."""
    wanted: dict[int, set[int]] = defaultdict(set)
    for node, port in results:
        wanted[node].add(port)
    live: dict[int, tuple[int, ...]] = {}
    sources: dict[int, tuple[Port | None, ...]] = {}
    for number, _ in reversed(graph.uses()):
        if number not in wanted:
            continue
        live[number] = tuple(sorted(wanted[number]))
        reads = filled[number].template.reads
        read = frozenset().union(*(reads[result] for result in live[number])) if len(reads) > 1 else reads[0]
        own = given[number]
        for at in read:
            node, port = own[at]
            wanted[node].add(port)
        whole = len(read) == len(own)
        sources[number] = own if whole else tuple([port if at in read else None for at, port in enumerate(own)])
    return live, sources
