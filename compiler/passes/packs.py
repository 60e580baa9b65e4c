"""Packs: uses of one operator that could be computed at once, as they are found on a graph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ein.compiler.copies import parts
from ein.compiler.graph import OpGraph, Port
from ein.compiler.nodes import Use

Group: TypeAlias = tuple[str, int, int]
"""Tensors that could be one: ("pack", its index, which result), or ("parts", a node that cuts a tensor up, 0)."""


@dataclass(frozen=True, slots=True)
class Shared:
    """An input that all members read from one port."""


@dataclass(frozen=True, slots=True)
class Whole:
    """An input for which the members read all of a group, each its own place, in order."""

    group: Group


@dataclass(frozen=True, slots=True)
class Apart:
    """An input for which the members read tensors that have nothing to do with each other."""


@dataclass(frozen=True, slots=True)
class Chunks:
    """The only input: each member reads so many of a group, one for each of its inputs."""

    group: Group
    size: int


Operand: TypeAlias = Shared | Whole | Apart | Chunks


@dataclass(frozen=True, slots=True)
class Pack:
    """Nodes in order; `operands` are for each input, or one of `Chunks`."""

    members: tuple[int, ...]
    operands: tuple[Operand, ...]


def find_packs(graph: OpGraph, may: Callable[[int, Use], bool]) -> list[Pack]:
    """Packs without common members, sources first. What a member depends on looks like what the others depend on: it
    is as deep in the graph, so no member depends on another one, and no two packs on each other."""
    return _Finding(graph, may).run()


class _Finding:
    def __init__(self, graph: OpGraph, may: Callable[[int, Use], bool]) -> None:
        self.graph = graph
        self.may = may
        self.packs: list[Pack] = []
        self.at: dict[int, tuple[int, int]] = {}
        """The pack of a node, and its place there."""
        self.waiting: set[int] = set()
        """What reads from packs and is in none: another round will find it changed."""
        self.cut = {number: len(use.outputs) for number, use in graph.having(parts)}

    def run(self) -> list[Pack]:
        for bucket in _alike(self.graph):
            allowed = [number for number in bucket if self._may(number)]
            for members in self._divided(allowed) if len(allowed) > 1 else ():
                self._add(members)
            self.waiting |= {number for number in bucket if number not in self.at and self._waits(number)}
        return self.packs

    def _may(self, number: int) -> bool:
        node = self.graph.node(number)
        return isinstance(node, Use) and self.may(number, node)

    def place(self, port: Port) -> tuple[Group, int] | None:
        """The group that a port belongs to, and its place there."""
        if port.node in self.at:
            pack, place = self.at[port.node]
            return ("pack", pack, port.port), place
        return (("parts", port.node, 0), port.port) if port.node in self.cut else None

    def _divided(self, numbers: Sequence[int]) -> Iterator[list[int]]:
        """Those that read from the same groups; where some read the very same, these go first and the others wait."""
        families: dict[tuple[Group | Port, ...], list[int]] = defaultdict(list)
        for number in numbers:
            families[self._family(number)].append(number)
        alone: list[int] = []
        for members in families.values():
            same: dict[tuple[Port, ...], list[int]] = defaultdict(list)
            for number in members:
                same[self.graph.sources(number)].append(number)
            if len(same) == 1 or len(same) == len(members):
                if len(members) > 1:
                    yield from self._by_reader(sorted(members, key=self._rank))
                elif not self._waits(members[0]):
                    alone += members
            else:
                yield from (each for some in same.values() if len(some) > 1 for each in self._by_reader(some))
        if len(alone) > 1:
            yield alone

    def _by_reader(self, members: list[int]) -> Iterator[list[int]]:
        """All together, or those that one node reads: where several nodes read two or more of them each."""
        readers: dict[int, list[int]] = defaultdict(list)
        for number in members:
            for reader in {port.node for _, port in self.graph.targets(number)}:
                readers[reader].append(number)
        apart = len(readers) > 1 and min(map(len, readers.values())) > 1
        if apart and sum(map(len, readers.values())) == len(members):
            yield from readers.values()
        else:
            yield members

    def _waits(self, number: int) -> bool:
        return any(source.node in self.at or source.node in self.waiting for source in self.graph.sources(number))

    def _family(self, number: int) -> tuple[Group | Port, ...]:
        found = []
        for source in self.graph.sources(number):
            place = self.place(source)
            found.append(source if place is None else place[0])
        return tuple(found)

    def _rank(self, number: int) -> tuple[list[int], int]:
        places = [self.place(source) for source in self.graph.sources(number)]
        return [-1 if place is None else place[1] for place in places], number

    def _add(self, members: Sequence[int]) -> None:
        rows = [self.graph.sources(number) for number in members]
        chunks = self._chunks([source for row in rows for source in row], len(rows[0]))
        operands = (chunks,) if chunks else tuple(self._operand(column) for column in zip(*rows, strict=True))
        if members[0] in self.cut and isinstance(operands[0], Whole) and operands[0].group[0] == "parts":
            return  # what is cut up twice is read by the inner parts first
        index = len(self.packs)
        self.packs.append(Pack(tuple(members), operands))
        self.at |= {number: (index, place) for place, number in enumerate(members)}

    def _operand(self, ports: Sequence[Port]) -> Operand:
        if len(set(ports)) == 1:
            return Shared()
        group = self._group(ports)
        return Apart() if group is None else Whole(group)

    def _chunks(self, ports: Sequence[Port], size: int) -> Chunks | None:
        group = self._group(ports) if size > 1 else None
        return None if group is None else Chunks(group, size)

    def _group(self, ports: Sequence[Port]) -> Group | None:
        """The group that these ports are, all of it and in order."""
        places = [self.place(port) for port in ports]
        first = places[0]
        if first is None or [p for p in places] != [(first[0], at) for at in range(len(ports))]:
            return None
        kind, index, _ = first[0]
        size = len(self.packs[index].members) if kind == "pack" else self.cut[index]
        return first[0] if size == len(ports) else None


def _alike(graph: OpGraph) -> list[list[int]]:
    """Uses that apply the same operator to what was made alike, least deep ones first."""
    signs: dict[object, int] = {}
    shown: dict[int, Sequence[object]] = {graph.input: range(-len(graph.node(graph.input).outputs), 0)}
    """What a node gives at each port, as a sign; with the type where it gives several."""
    depth: dict[int, int] = {graph.input: 0}
    buckets: list[list[int]] = []
    for number, node in graph.uses():
        sources = graph.sources(number)
        made = (id(node.applied), *[shown[source][port] for source, port in sources])
        sign = signs.setdefault(made, len(buckets))
        shown[number] = (sign,) if len(node.outputs) == 1 else [(sign, type) for type in node.outputs]
        depth[number] = 1 + max([depth[source] for source, _ in sources], default=0)
        if sign == len(buckets):
            buckets.append([number])
        else:
            buckets[sign].append(number)
    return sorted([each for each in buckets if len(each) > 1], key=lambda each: (depth[each[0]], each))
