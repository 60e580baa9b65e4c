"""The nodes of a graph by the rules and macros that they stand in: a tree, in an order in which each part can be
computed as a whole.

Wires are gone here: who reads an identity reads what it was given. So is what no result depends on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import heapify, heappop, heappush
from typing import TypeAlias

from ein.compiler.graph import OpGraph, Port
from ein.compiler.nodes import Input, Scope, Use
from ein.compiler.template import Template, Templates

Item: TypeAlias = "int | Region"

MIN_NAME = 3
"""Letters of a name that says something."""

MAX_DEPTH = 64
"""Of scopes in scopes; what is deeper stands in the last of them."""


@dataclass(slots=True, eq=False)
class Region:
    """What stands under one scope, and the whole graph at the root.

    `inputs` are the ports outside that it reads, in the order in which it does, and `outputs` those inside that
    something outside reads. `first` is its place in the order of the graph.
    """

    scope: Scope | None
    name: str
    parent: Region | None
    depth: int
    first: int
    items: list[Item] = field(default_factory=list)
    inputs: dict[Port, int] = field(default_factory=dict)
    outputs: dict[Port, None] = field(default_factory=dict)
    is_whole: bool = True
    """Whether it can be a module of its own: its weights are built one after another, and no one else has them."""


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """`sources` of each live node without wires (None where nothing live reads it), and its live results.

    `keeps` are the nodes with weights, by the place of their key in the order in which weights are built.
    """

    graph: OpGraph
    templates: Templates
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
    origin: dict[Port, Port] = {}
    given: dict[int, tuple[Port, ...]] = {}
    parts: dict[int, Template] = {}
    uses: dict[int, Use] = {}
    wires = graph.wires()
    for number, node in graph.nodes():
        sources = given[number] = tuple(origin[source] for source in wires[number])
        if isinstance(node, Use):
            uses[number] = node
            parts[number] = part = templates.of(node.applied)[0]
            for port, alias in enumerate(part.aliases):
                origin[Port(number, port)] = Port(number, port) if alias is None else sources[alias]
        elif isinstance(node, Input):
            origin |= {Port(number, port): Port(number, port) for port in range(len(node.outputs))}
    live, read = _live(graph, given, parts)
    order = tuple(number for number in graph.order if number in live)
    kept = {number: uses[number].key for number in order if templates.slots(uses[number].applied)}
    keys = Counter(kept.values())
    places = {key: place for place, key in enumerate(keys)}
    keeps = {number: places[key] for number, key in kept.items()}
    shared = frozenset(key for key, count in keys.items() if count > 1)
    return Flow(graph, templates, order, uses, read, live, given[graph.output], keeps, shared)


def _live(
    graph: OpGraph, given: dict[int, tuple[Port, ...]], parts: dict[int, Template]
) -> tuple[dict[int, tuple[int, ...]], dict[int, tuple[Port | None, ...]]]:
    """The results of each node that something depends on, and what these are made of."""
    wanted: dict[int, set[int]] = defaultdict(set)
    for port in given[graph.output]:
        wanted[port.node].add(port.port)
    live: dict[int, tuple[int, ...]] = {}
    sources: dict[int, tuple[Port | None, ...]] = {}
    for number in reversed(graph.order):
        if number not in wanted or number not in parts:
            continue
        live[number] = tuple(sorted(wanted[number]))
        reads = parts[number].reads
        read = frozenset().union(*(reads[result] for result in live[number])) if len(reads) > 1 else reads[0]
        sources[number] = tuple(port if at in read else None for at, port in enumerate(given[number]))
        for at in read:
            port = given[number][at]
            wanted[port.node].add(port.port)
    return live, sources


def whole(found: Flow) -> Region:
    """All of it, with no regions inside."""
    return Region(None, "", None, 0, 0, list(found.order))


def tree(found: Flow) -> list[Region]:
    """The regions of a graph, each after the one around it; the first is all of it.

    Scopes whose nodes cannot be computed as a whole (something outside needs one of them and is needed by another)
    are dissolved, and their nodes stand one level higher.
    """
    regions, home = _grown(found)
    while True:
        _fill(found, regions, home)
        edges = _wired(found, home, regions[0])
        stuck = {scope for region, own in edges.items() for scope in _arranged(region, own)}
        if not stuck:
            regions = _collapsed(regions)
            _weigh(found, regions)
            return regions
        regions = _dissolved(regions, home, stuck)


def _grown(found: Flow) -> tuple[list[Region], dict[int, Region]]:
    """Regions without items, by their first nodes, and the innermost one around each node."""
    root = Region(None, "", None, 0, 0)
    regions, home = [root], {}
    at: dict[tuple[Scope, ...], Region] = {(): root}
    for place, number in enumerate(found.order):
        path = found.uses[number].path[:MAX_DEPTH]
        home[number] = at.get(path) or _opened(at, path, place, regions)
    return regions, home


def _opened(at: dict[tuple[Scope, ...], Region], path: tuple[Scope, ...], place: int, regions: list[Region]) -> Region:
    """The region at the end of a path, with those around it that are not known yet."""
    fresh: list[tuple[Scope, ...]] = []
    while path not in at:
        fresh.append(path)
        path = path[:-1]
    region = at[path]
    for path in reversed(fresh):
        region = at[path] = Region(path[-1], _name(path[-1].label), region, region.depth + 1, place)
        regions.append(region)
    return region


def _dissolved(regions: list[Region], home: dict[int, Region], gone: set[Scope]) -> list[Region]:
    """The regions without those of these scopes; what stands in them stands one level higher, in place."""
    for region in regions:
        if region.parent is not None:
            region.parent = _kept(region.parent, gone)
            region.depth = region.parent.depth + 1
    for number, region in home.items():
        home[number] = _kept(region, gone)
    return [region for region in regions if region.scope not in gone]


def _kept(region: Region, gone: set[Scope]) -> Region:
    while region.parent is not None and region.scope in gone:
        region = region.parent
    return region


def _fill(found: Flow, regions: list[Region], home: dict[int, Region]) -> None:
    """Gives the regions their items, in the order of the first nodes of these, and takes what is known of ports."""
    fresh: dict[int, list[Region]] = defaultdict(list)
    for region in regions:
        region.items, region.inputs, region.outputs = [], {}, {}
        fresh[region.first].append(region)
    for place, number in enumerate(found.order):
        for region in fresh.get(place, ()):
            if region.parent is not None:
                region.parent.items.append(region)
        home[number].items.append(number)


@lru_cache(maxsize=4096)
def _name(label: str) -> str:
    """Without arguments; an architecture's is none."""
    name = label.partition("(")[0]
    return name if name.isidentifier() else ""


Edges: TypeAlias = list[tuple[Item, Item]]
"""Items of a region: one that is read, and one that reads it."""


def _wired(found: Flow, home: dict[int, Region], root: Region) -> dict[Region, Edges]:
    """Into the regions what they read and give; and the edges of those in which an item stands before one it reads."""
    place = {number: at for at, number in enumerate(found.order)}
    edges: dict[Region, Edges] = defaultdict(list)
    unsorted: dict[Region, None] = {}
    for number in found.order:
        for source in found.sources[number]:
            if source is None:
                continue
            above, read, reader = _meeting(source, home.get(source.node, root), number, home[number])
            if source.node in home:
                edges[above].append((read, reader))
                if _first(read, place) > _first(reader, place):
                    unsorted[above] = None
    for port in found.results:
        if port.node in home:
            _meeting(port, home[port.node], found.graph.output, root)
    return {region: edges[region] for region in unsorted}


def _meeting(port: Port, there: Region, reader: Item, here: Region) -> tuple[Region, Item, Item]:
    """The innermost region around a port and its reader, and its items that they are in; those between have the port as
    an output or input."""
    read: Item = port.node
    while here is not there:
        if here.depth >= there.depth:
            here.inputs.setdefault(port, len(here.inputs))
            reader, around = here, here.parent
            assert around is not None
            here = around
        else:
            there.outputs[port] = None
            read, around = there, there.parent
            assert around is not None
            there = around
    return here, read, reader


def _first(item: Item, place: dict[int, int]) -> int:
    """Items of a region stand in the order of these."""
    return item.first if isinstance(item, Region) else place[item]


def _arranged(region: Region, edges: Edges) -> set[Scope]:
    """Puts the items in an order in which each is after what it reads, in place; the scopes for which there is none."""
    place = {item: at for at, item in enumerate(region.items)}
    pairs = list({(place[read], place[reader]) for read, reader in edges})
    order = _sorted(len(region.items), pairs)
    if len(order) == len(region.items):
        region.items = [region.items[at] for at in order]
        return set()
    left = set(range(len(region.items))) - set(order)
    back = [(reader, read) for read, reader in pairs if {read, reader} <= left]
    behind = set(_sorted(len(region.items), back))
    stuck = [region.items[at] for at in sorted(left - behind)]
    return {item.scope for item in stuck if isinstance(item, Region) and item.scope is not None}


def _sorted(count: int, edges: list[tuple[int, int]]) -> list[int]:
    """Numbers below `count`, each after those that lead to it, the smallest first; without those in cycles."""
    targets: dict[int, list[int]] = defaultdict(list)
    missing = [0] * count
    for source, target in edges:
        targets[source].append(target)
        missing[target] += 1
    ready = [at for at in range(count) if not missing[at]]
    heapify(ready)
    order = []
    while ready:
        order.append(heappop(ready))
        for target in targets[order[-1]]:
            missing[target] -= 1
            if not missing[target]:
                heappush(ready, target)
    return order


def _collapsed(regions: list[Region]) -> list[Region]:
    """Without regions of one operator, and without those that hold another one and nothing else; that has the outer
    name of both, unless it says little."""
    gone: set[Region] = set()
    for region in reversed(regions):
        for at, item in enumerate(region.items):
            if isinstance(item, Region) and _is_operator(item):
                gone.add(item)
                region.items[at] = item.items[0]
        inner = region.items[0] if len(region.items) == 1 else None
        if not isinstance(inner, Region) or region.parent is None:
            continue
        gone.add(inner)
        region.items, region.outputs, region.inputs = inner.items, inner.outputs, inner.inputs
        region.name = region.name if len(region.name) >= MIN_NAME or not inner.name else inner.name
        for item in region.items:
            if isinstance(item, Region):
                item.parent = region
    return [region for region in regions if region not in gone]


def _is_operator(region: Region) -> bool:
    return len(region.items) == 1 and not isinstance(region.items[0], Region)


def _weigh(found: Flow, regions: list[Region]) -> None:
    """Says of each region whether its weights are built one after another, and have no ties to others."""
    keys: dict[Region, set[int]] = {}
    tied: set[Region] = set()
    for region in reversed(regions):
        own: set[int] = set()
        for item in region.items:
            if isinstance(item, Region):
                own |= keys.pop(item)
                if item in tied:
                    tied.add(region)
            elif item in found.keeps:
                own.add(found.keeps[item])
                if found.uses[item].ties:
                    tied.add(region)
        keys[region] = own
        together = not own or max(own) - min(own) + 1 == len(own)
        region.is_whole = together and region not in tied


def nodes(region: Region) -> Iterator[int]:
    """In the order in which they are computed."""
    stack: list[Item] = list(reversed(region.items))
    while stack:
        item = stack.pop()
        if isinstance(item, Region):
            stack += reversed(item.items)
        else:
            yield item
