"""The operation graph: what a network computes, as uses of operators and the wires between their ports.

Every port carries one tensor; a bundle is as many ports as it has leaves. A port may feed several others,
and the same one twice (`x + x`). Nodes are integers with a frozen record each. A graph is a value: whoever
changes one takes a `Draft` of it and gets a new graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from heapq import heapify, heappop, heappush
from math import prod
from typing import NamedTuple

import networkx as nx

from ein.compiler.memo import names
from ein.compiler.nodes import Input, Node, Output, Use
from ein.grammar.bodies.tensors import Body
from ein.grammar.cfg import Cost
from ein.grammar.types import Tensor, merge

__all__ = ["Draft", "Input", "InternalError", "Node", "OpGraph", "Output", "Port", "Use", "cost", "verify"]


class InternalError(Exception):
    """An invariant of ours is broken; never the user's fault."""


class Port(NamedTuple):
    """The result number `port` of `node`, or its input of that number."""

    node: int
    port: int


class OpGraph:
    """One `Input`, one `Output`, and the uses of operators between them; not changed after it is made."""

    __slots__ = ("__dict__", "_nodes", "_readers", "_sources", "_targets")

    def __init__(
        self, nodes: Mapping[int, Node], sources: Mapping[int, tuple[Port, ...]], readers: Mapping[int, set[int]]
    ) -> None:
        """`readers` are the nodes that read each node."""
        self._nodes = nodes
        self._sources = sources
        self._readers = readers
        self._targets: dict[int, tuple[tuple[int, Port], ...]] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def __repr__(self) -> str:
        return f"<OpGraph of {len(self._nodes)} nodes>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """For notebooks: the text, and a picture."""
        from ein.compiler.drawing.notebook import bundle

        return bundle(self)

    def node(self, number: int) -> Node:
        return self._nodes[number]

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Every node after its sources; among those that are free, the smallest number first.

        Raises InternalError if the wires form a cycle.
        """
        if all([source[0] < number for number, sources in self._sources.items() for source in sources]):
            return tuple(sorted(self._nodes))
        return tuple(self._ordered())

    def _ordered(self) -> list[int]:
        missing = {number: len({source[0] for source in sources}) for number, sources in self._sources.items()}
        ready = [number for number, count in missing.items() if not count]
        heapify(ready)
        found = []
        while ready:
            number = heappop(ready)
            found.append(number)
            for reader in self._readers[number]:
                missing[reader] -= 1
                if not missing[reader]:
                    heappush(ready, reader)
        if len(found) != len(self._nodes):
            left = sorted(number for number, count in missing.items() if count)
            raise InternalError(f"the operation graph has a cycle through the nodes {left[:10]}")
        return found

    @cached_property
    def input(self) -> int:
        return next(number for number, node in self._nodes.items() if isinstance(node, Input))

    @cached_property
    def output(self) -> int:
        return next(number for number, node in self._nodes.items() if isinstance(node, Output))

    def nodes(self) -> Iterator[tuple[int, Node]]:
        """Numbers and records in the order of `order`."""
        return ((number, self._nodes[number]) for number in self.order)

    def uses(self) -> Sequence[tuple[int, Use]]:
        """The uses of operators in the order of `order`."""
        return self._uses

    @cached_property
    def _uses(self) -> tuple[tuple[int, Use], ...]:
        return tuple([(number, node) for number in self.order if isinstance(node := self._nodes[number], Use)])

    @cached_property
    def bodies(self) -> tuple[Body, ...]:
        """What the uses compute, each body once: there are few."""
        return tuple({id(node.applied.body): node.applied.body for _, node in self._uses}.values())

    def names(self, *wanted: str) -> bool:
        """Whether its bodies have steps of all these names: `einsum`, `nn.Linear`."""
        return self._names.issuperset(wanted)

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset().union(*map(names, self.bodies))

    def has(self, property: Callable[[Body], object]) -> bool:
        """Whether a body of the graph has a property."""
        return any(map(property, self.bodies))

    def having(self, property: Callable[[Body], object]) -> list[tuple[int, Use]]:
        """The uses whose bodies have a property, in the order of `order`."""
        found = {id(body) for body in self.bodies if property(body)}
        return [each for each in self._uses if id(each[1].applied.body) in found] if found else []

    def wires(self) -> dict[int, tuple[Port, ...]]:
        """The sources of every node, all at once."""
        return dict(self._sources)

    def sources(self, number: int) -> tuple[Port, ...]:
        """What feeds the inputs of a node, in the order of its inputs."""
        return self._sources[number]

    def targets(self, number: int) -> tuple[tuple[int, Port], ...]:
        """The wires that leave a node, as (port of the node, what it feeds), by port and then target."""
        found = self._targets.get(number)
        if found is None:
            found = self._targets[number] = _wires(number, self._readers[number], self._sources)
        return found

    def type(self, port: Port) -> Tensor:
        """The tensor that a node gives at a port."""
        return self._nodes[port.node].outputs[port.port]

    def draft(self) -> Draft:
        return Draft(self)

    def to_networkx(self) -> nx.MultiDiGraph:
        """Nodes with `node` (the record), edges with `source`, `target` (ports, which are their key too) and `type`."""
        made = nx.MultiDiGraph()
        for number, node in self.nodes():
            made.add_node(number, node=node)
        for number in self.order:
            for at, source in enumerate(self._sources[number]):
                wire = {"source": source.port, "target": at, "type": self.type(source)}
                made.add_edge(source.node, number, (source.port, at), **wire)
        return made


class Draft:
    """A graph while it is being built or rewritten, in place; `done` gives the graph."""

    def __init__(self, graph: OpGraph | None = None) -> None:
        self._nodes = {} if graph is None else dict(graph._nodes)
        self._sources = {} if graph is None else dict(graph._sources)
        self._readers = {} if graph is None else dict(graph._readers)
        self._own: set[int] = set()
        """The nodes whose set of readers is no longer that of the graph."""
        self._next = max(self._nodes, default=-1) + 1

    def node(self, number: int) -> Node:
        return self._nodes[number]

    def sources(self, number: int) -> tuple[Port, ...]:
        """As of a graph, and as they are now."""
        return self._sources[number]

    def targets(self, number: int) -> tuple[tuple[int, Port], ...]:
        """As of a graph, and as they are now."""
        return _wires(number, self._readers[number], self._sources)

    def add(self, node: Node, sources: Sequence[Port] = ()) -> int:
        """The number of a new node, larger than all others."""
        number = self._next
        self._next += 1
        self._nodes[number] = node
        self._readers[number] = set()
        self._own.add(number)
        self._connect(number, sources)
        return number

    def replace(self, number: int, node: Node, sources: Sequence[Port]) -> None:
        """Another record and other sources at this place; what the node feeds stays."""
        self._disconnect(number)
        self._nodes[number] = node
        self._connect(number, sources)

    def bypass(self, number: int, substitutes: Sequence[Port]) -> None:
        """Feeds what the node fed from `substitutes` instead, one for each of its results, and removes it."""
        for reader in self._readers[number]:
            ports = tuple(substitutes[port.port] if port.node == number else port for port in self._sources[reader])
            self._connect(reader, ports)
        self._remove(number)

    def remove_unused(self) -> None:
        """Removes the uses of operators that nothing reads, and then those that only these read."""
        loose = [number for number, readers in self._readers.items() if not readers and self._is_unused(number)]
        while loose:
            number = loose.pop()
            if number in self._nodes:
                sources = self._sources[number]
                self._remove(number)
                loose += [source.node for source in sources if self._is_unused(source.node)]

    def done(self) -> OpGraph:
        """The graph; the draft must not be used after it."""
        return OpGraph(self._nodes, self._sources, self._readers)

    def _is_unused(self, number: int) -> bool:
        return isinstance(self._nodes.get(number), Use) and not self._readers[number]

    def _connect(self, number: int, sources: Sequence[Port]) -> None:
        self._sources[number] = tuple(sources)
        for source, _ in sources:
            self._readers_of(source).add(number)

    def _disconnect(self, number: int) -> None:
        for source, _ in self._sources[number]:
            self._readers_of(source).discard(number)

    def _readers_of(self, number: int) -> set[int]:
        """As a set that may be changed."""
        if number not in self._own:
            self._own.add(number)
            self._readers[number] = set(self._readers[number])
        return self._readers[number]

    def _remove(self, number: int) -> None:
        self._disconnect(number)
        del self._nodes[number], self._sources[number], self._readers[number]


def _wires(
    number: int, readers: Iterable[int], sources: Mapping[int, tuple[Port, ...]]
) -> tuple[tuple[int, Port], ...]:
    found = [
        (source[1], Port(reader, at))
        for reader in readers
        for at, source in enumerate(sources[reader])
        if source[0] == number
    ]
    return tuple(found) if len(found) < 2 else tuple(sorted(found))


def verify(graph: OpGraph) -> None:
    """Raises InternalError, naming the node, unless the graph is whole.

    Whole: one input, one output, no cycle, every input port fed once by an existing port of an equal type
    (kind and sizes), every node read by something that reaches the output, equal weights under equal keys.
    """
    records = dict(graph.nodes())
    for kind in (Input, Output):
        if sum(isinstance(node, kind) for node in records.values()) != 1:
            raise InternalError(f"the operation graph needs exactly one {kind.__name__} node")
    for number, node in records.items():
        _verify_ports(graph, records, number, node)
    _verify_reached(graph)
    _verify_keys(graph)


def _verify_ports(graph: OpGraph, records: Mapping[int, Node], number: int, node: Node) -> None:
    fed = len(graph.sources(number))
    if fed != len(node.inputs):
        raise InternalError(f"{label(number, node)} has {len(node.inputs)} inputs, and {fed} are fed")
    for at, (source, wanted) in enumerate(zip(graph.sources(number), node.inputs, strict=True)):
        results = records[source.node].outputs
        if not 0 <= source.port < len(results):
            raise InternalError(f"{label(number, node)} reads port {source.port} of node {source.node}: there is none")
        if merge((results[source.port], wanted)) is None:
            found = results[source.port]
            raise InternalError(f"input {at} of {label(number, node)} is {wanted!r} and is fed with {found!r}")


def _verify_reached(graph: OpGraph) -> None:
    """An operator whose result no one reads is a mistake of ours: nothing that a term says is lost."""
    for number, node in graph.uses():
        if not graph.targets(number):
            raise InternalError(f"nothing reads the results of {label(number, node)}")


def _verify_keys(graph: OpGraph) -> None:
    first: dict[str, tuple[int, Use]] = {}
    for number, node in graph.uses():
        other, same = first.setdefault(node.key, (number, node))
        if other != number and same.weights != node.weights:
            raise InternalError(
                f"{label(number, node)} and {label(other, same)} are to share the weights {node.key},"
                f" and these differ: {node.weights} and {same.weights}"
            )
    tied: dict[str, tuple[int, ...]] = {}
    for number, node in graph.uses():
        for key, sizes in node.ties.items():
            if tied.setdefault(key, sizes) != sizes:
                raise InternalError(f"{label(number, node)} ties {key} of {sizes} to {tied[key]}")


def label(number: int, node: Node) -> str:
    return f"node {number} ({node.text})"


def cost(graph: OpGraph) -> Cost:
    """Of the graph as it is: every use of an operator is a module, shared weights count once."""
    total = Cost()
    seen: set[str] = set()
    keyed: dict[str, int] = {}
    for _, node in graph.uses():
        one = node.applied.cost
        ties = {key: prod(sizes) for key, sizes in node.ties.items()}
        own = 0 if node.key in seen else one.parameters - sum(ties.values())
        seen.add(node.key)
        keyed.update(ties)
        total += Cost(one.modules, own, one.macs, one.elements)
    return total + Cost(parameters=sum(keyed.values()))
