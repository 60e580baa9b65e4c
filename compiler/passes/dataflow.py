"""The steps of all operators of a graph as one computation: what an operator reads is a step of another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ein.compiler.graph import OpGraph, Port
from ein.compiler.nodes import Use
from ein.compiler.passes.traced import looked
from ein.compiler.passes.views import View
from ein.grammar.bodies.tensors import Step


class At(NamedTuple):
    """A step of the body of a node."""

    node: int
    step: int


@dataclass(frozen=True, slots=True)
class Dataflow:
    graph: OpGraph

    def step(self, at: At) -> Step:
        node = self.graph.node(at.node)
        assert isinstance(node, Use)
        return node.applied.body.steps[at.step]

    def operands(self, at: At) -> list[At | Port]:
        """What computes each operand; a port of what the network is given."""
        return [self.resolved(At(at.node, source)) for source in self.step(at).inputs]

    def resolved(self, at: At) -> At | Port:
        """Past what only hands on an input."""
        while self.step(at).op == "input":
            which: int = self.step(at).argument("which")
            port = self.graph.sources(at.node)[which]
            source = self.graph.node(port.node)
            if not isinstance(source, Use):
                return port
            at = At(port.node, source.applied.body.results[port.port])
        return at

    def readers(self, at: At) -> int:
        """How many steps, and outputs of the network, read what a step gives."""
        node = self.graph.node(at.node)
        assert isinstance(node, Use)
        body = node.applied.body
        count = sum(step.inputs.count(at.step) for step in body.steps)
        ports = [port for port, result in enumerate(body.results) if result == at.step]
        return count + sum(self._reading(target) for port, target in self.graph.targets(at.node) if port in ports)

    def _reading(self, target: Port) -> int:
        node = self.graph.node(target.node)
        if not isinstance(node, Use):
            return 1
        steps = enumerate(node.applied.body.steps)
        handed = [index for index, step in steps if step.op == "input" and step.argument("which") == target.port]
        return sum(self.readers(At(target.node, index)) for index in handed)

    def port(self, at: At | Port) -> Port | None:
        """Where a node gives what a step of it computes."""
        if isinstance(at, Port):
            return at
        node = self.graph.node(at.node)
        assert isinstance(node, Use)
        results = node.applied.body.results
        return Port(at.node, results.index(at.step)) if at.step in results else None

    def uses(self) -> Iterator[tuple[At, Step]]:
        for number, node in self.graph.uses():
            for index, step in enumerate(node.applied.body.steps):
                yield At(number, index), step


def replayed(steps: Sequence[Step], view: View) -> View | None:
    """What these steps make of a view, one after the other."""
    for step in steps:
        found = looked(step, view)
        if found is None:
            return None
        view = found
    return view


def number_of(flow: Dataflow, at: At | Port) -> float | None:
    """The number that a step is."""
    if isinstance(at, Port) or flow.step(at).op != "number":
        return None
    return float(flow.step(at).argument("value"))


def scaled(flow: Dataflow, at: At) -> tuple[float, At | Port] | None:
    """By what a step multiplies, and what; of one tensor and a number."""
    step = flow.step(at)
    if step.op != "pointwise" or step.name not in ("*", "/"):
        return None
    left, right = flow.operands(at)
    numbers = number_of(flow, left), number_of(flow, right)
    if numbers[1] is not None:
        return (numbers[1], left) if step.name == "*" else (1 / numbers[1], left) if numbers[1] else None
    return (numbers[0], right) if numbers[0] is not None and step.name == "*" else None
