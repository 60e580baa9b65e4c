"""The nodes of a graph by the rules and macros that they stand in: a tree, in an order in which each part can be
computed as a whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import heapify, heappop, heappush
from typing import TypeAlias

from ein.compiler.flow import Flow
from ein.compiler.graph import Port
from ein.compiler.nodes import Scope

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


def whole(found: Flow) -> Region:
    """All of it, with no regions inside."""
    return Region(None, "", None, 0, 0, list(found.order))


def tree(found: Flow) -> list[Region]:
    """The regions of a graph, each after the one around it; the first is all of it.

    Scopes whose nodes cannot be computed as a whole (something outside needs one of them and is needed by another)
    are dissolved, and their nodes stand one level higher. Scopes of one node are none.
    """
    regions, home = _grown(found)
    place = {number: at for at, number in enumerate(found.order)}
    wires, unsorted = _wired(found, home, place, regions[0])
    while unsorted:
        stuck = [inner for region in unsorted for inner in _arranged(region, _edges(region, wires[region], home))]
        regions, unsorted = _dissolved(regions, home, wires, place, stuck)
    regions = _collapsed(regions)
    _weigh(found, regions)
    return regions


def _grown(found: Flow) -> tuple[list[Region], dict[int, Region]]:
    """Regions with their items in the order of the first nodes of these, and the innermost region around each node."""
    regions, home = _entered(found)
    ahead = iter([*regions[1:], None])
    region = next(ahead)
    for place, number in enumerate(found.order):
        while region is not None and region.first == place:
            assert region.parent is not None
            region.parent.items.append(region)
            region = next(ahead)
        home[number].items.append(number)
    return regions, home


def _entered(found: Flow) -> tuple[list[Region], dict[int, Region]]:
    """Regions without items, by their first nodes; a scope is one with its second node, and until then has the place of
    the first."""
    root = Region(None, "", None, 0, 0)
    inside: dict[Region, dict[Scope, Region | int]] = {root: {}}
    paths = [found.uses[number].path[:MAX_DEPTH] for number in found.order]
    home: dict[int, Region] = {}
    for place, path in enumerate(paths):
        region = root
        while region.depth < len(path):
            scope = path[region.depth]
            inner = inside[region].get(scope)
            if inner is None:
                inside[region][scope] = place
                break
            if isinstance(inner, int):
                first = inner
                inner = inside[region][scope] = Region(scope, _name(scope.label), region, region.depth + 1, first)
                inside[inner] = dict.fromkeys(paths[first][inner.depth : inner.depth + 1], first)
                home[found.order[first]] = inner
            region = inner
        home[found.order[place]] = region
    return sorted(inside, key=lambda region: (region.first, region.depth)), home


def _dissolved(
    regions: list[Region],
    home: dict[int, Region],
    wires: dict[Region, Wires],
    place: dict[int, int],
    stuck: list[Region],
) -> tuple[list[Region], list[Region]]:
    """The regions without those that are stuck; what stands in them stands one level higher, in place. And those in
    which an item stands before one that it reads now."""
    wider: dict[Region, None] = {}
    for region in sorted(stuck, key=lambda region: region.depth, reverse=True):
        around = region.parent
        assert around is not None
        for item in region.items:
            if isinstance(item, Region):
                item.parent = around
            else:
                home[item] = around
        around.items = [*(item for item in around.items if item is not region), *region.items]
        wires[around] += wires[region]
        wider.pop(region, None)
        wider[around] = None
    for region in wider:
        region.items.sort(key=lambda item: _first(item, place))
    unsorted = [region for region in wider if _is_unsorted(_edges(region, wires[region], home), place)]
    gone = set(stuck)
    return [region for region in regions if region not in gone], unsorted


@lru_cache(maxsize=4096)
def _name(label: str) -> str:
    """Without arguments; an architecture's is none."""
    name = label.partition("(")[0]
    return name if name.isidentifier() else ""


Edges: TypeAlias = list[tuple[Item, Item]]
"""Items of a region: one that is read, and one that reads it."""

Wires: TypeAlias = list[tuple[int, int]]
"""Nodes in two items of a region: one that is read, and one that reads it."""


def _wired(
    found: Flow, home: dict[int, Region], place: dict[int, int], root: Region
) -> tuple[dict[Region, Wires], list[Region]]:
    """The wires of each region, and those in which an item stands before one that it reads; into the regions what they
    read and give."""
    wires: dict[Region, Wires] = defaultdict(list)
    unsorted: dict[Region, None] = {}
    for number in found.order:
        for source in found.sources[number]:
            if source is None:
                continue
            above, read, reader = _meeting(source, home.get(source.node, root), number, home[number])
            if source.node in home:
                wires[above].append((source.node, number))
                if _first(read, place) > _first(reader, place):
                    unsorted[above] = None
    for port in found.results:
        if port.node in home:
            _meeting(port, home[port.node], found.graph.output, root)
    return wires, list(unsorted)


def _edges(region: Region, wires: Wires, home: dict[int, Region]) -> Edges:
    return [(_item(region, read, home), _item(region, reader, home)) for read, reader in wires]


def _item(region: Region, number: int, home: dict[int, Region]) -> Item:
    """That of a region that a node is in."""
    item: Item = number
    around = home[number]
    while around is not region:
        assert around.parent is not None
        item, around = around, around.parent
    return item


def _is_unsorted(edges: Edges, place: dict[int, int]) -> bool:
    return any(_first(read, place) > _first(reader, place) for read, reader in edges)


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


def _arranged(region: Region, edges: Edges) -> list[Region]:
    """Puts the items in an order in which each is after what it reads, in place; the regions that allow none."""
    place = {item: at for at, item in enumerate(region.items)}
    pairs = list({(place[read], place[reader]) for read, reader in edges})
    order = _sorted(len(region.items), pairs)
    if len(order) == len(region.items):
        region.items = [region.items[at] for at in order]
        return []
    left = set(range(len(region.items))) - set(order)
    back = [(reader, read) for read, reader in pairs if {read, reader} <= left]
    behind = set(_sorted(len(region.items), back))
    stuck = [region.items[at] for at in sorted(left - behind)]
    return [item for item in stuck if isinstance(item, Region)]


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
    """Without those that hold another one and nothing else; that has the outer name of both, unless it says little."""
    gone: set[Region] = set()
    for region in reversed(regions):
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
