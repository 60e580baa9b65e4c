"""How a network hangs together: which nodes everything goes through, and where branches come together again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

Port = tuple[int, int]


@dataclass(slots=True, eq=False)
class Wires:
    """`inputs` of each node in `order`, which goes from sources to readers. With `bare_sink` the last node is no
    operator but the results side by side. `counts`: results of a node, where it has several."""

    source: int
    sink: int
    order: tuple[int, ...]
    inputs: Mapping[int, tuple[Port, ...]]
    counts: Mapping[int, int]
    bare_sink: bool = False
    _readers: dict[int, list[int]] = field(default_factory=dict)

    def ports(self, node: int) -> int:
        return self.counts.get(node, 1)

    def single(self, node: int) -> Wires:
        """The same with one of several results of a node as its only one."""
        return replace(self, counts={each: count for each, count in self.counts.items() if each != node}, _readers={})

    def readers(self, node: int, within: frozenset[int]) -> list[int]:
        """Once for each input that is fed."""
        if not self._readers:
            for reader, ports in self.inputs.items():
                for source, _ in ports:
                    self._readers.setdefault(source, []).append(reader)
        return [reader for reader in self._readers.get(node, ()) if reader in within]

    def above(self, node: int, within: frozenset[int]) -> frozenset[int]:
        """The node and what leads to it, `within` a set."""
        found: set[int] = set()
        stack = [node]
        while stack:
            here = stack.pop()
            if here in within and here not in found:
                found.add(here)
                stack += [source for source, _ in self.inputs[here]]
        return frozenset(found)

    def below(self, node: int, within: frozenset[int]) -> frozenset[int]:
        """What is led to from a node, without it."""
        found: set[int] = set()
        stack = self.readers(node, within)
        while stack:
            here = stack.pop()
            if here not in found:
                found.add(here)
                stack += self.readers(here, within)
        return frozenset(found)

    def between(self, start: int, end: int, within: frozenset[int]) -> frozenset[int]:
        """What lies on the ways from one node to another, without both."""
        return (self.above(end, within) & self.below(start, within | {end})) - {start, end}

    def cuts(self, start: int, end: int, within: frozenset[int]) -> list[int]:
        """The nodes that all ways from one node to another go through, with both, in order."""
        if start == end:
            return [start]
        on_the_way = self.between(start, end, within) | {end}
        order = [node for node in self.order if node in on_the_way]
        place = {node: number for number, node in enumerate(order)}
        found, reach = [start], max(place[reader] for reader in self.readers(start, on_the_way))
        for number, node in enumerate(order):
            if number == reach:
                found.append(node)
            ahead = [place[reader] for reader in self.readers(node, on_the_way)]
            reach = max([reach, *ahead])
        return found

    def joins(self, node: int, within: frozenset[int]) -> int | None:
        """The first node that all ways from here go through."""
        ahead = self.below(node, within)
        order = [each for each in self.order if each in ahead]
        place = {each: number for number, each in enumerate(order)}
        readers = self.readers(node, within)
        if not readers:
            return None
        reach = max(place[reader] for reader in readers)
        for number, each in enumerate(order):
            if number == reach:
                return each
            further = [place[reader] for reader in self.readers(each, within)]
            if not further:
                return None
            reach = max([reach, *further])
        return None

    def dominator(self, node: int, start: int, within: frozenset[int]) -> int:
        """The last node before this one that all ways from `start` to it go through."""
        cuts = self.cuts(start, node, within)
        return cuts[-2] if len(cuts) > 1 else start


def wires(inputs: Sequence[tuple[Port, ...]], counts: Sequence[int], results: Sequence[Port]) -> Wires:
    """Of the nodes that the results depend on; node 0 is the source."""
    live: set[int] = {0}
    stack = [node for node, _ in results]
    while stack:
        node = stack.pop()
        if node not in live:
            live.add(node)
            stack += [source for source, _ in inputs[node]]
    order = tuple(sorted(live - {0}))
    found = {node: inputs[node] for node in order}
    several = {node: counts[node] for node in live if counts[node] > 1}
    if len(results) == 1 and counts[results[0][0]] == 1:
        return Wires(0, results[0][0], order, found, several)
    sink = len(inputs)
    return Wires(0, sink, (*order, sink), {**found, sink: tuple(results)}, several, bare_sink=True)
