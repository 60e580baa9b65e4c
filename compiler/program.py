"""A graph as one list of steps, in which wires are gone: every value says which values it is made of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from ein.compiler.emit_body import cast, is_comparison
from ein.compiler.graph import OpGraph, Port
from ein.compiler.nodes import Input, Use
from ein.compiler.weights import slots
from ein.grammar.tensors import Step

Slot: TypeAlias = tuple[str, str]
"""Where weights are kept: (key of the use, name of the slot in its body)."""


@dataclass(frozen=True, slots=True)
class Value:
    """A step whose `inputs` are values of the program."""

    step: Step
    slot: Slot | None = None
    in_order: bool = False
    """It changes what the network keeps, and another value does too: their order matters."""


@dataclass(frozen=True, eq=False)
class Program:
    """`values` in order, sources first; `inputs` and `results` are numbers of values."""

    values: tuple[Value, ...]
    inputs: tuple[int, ...]
    results: tuple[int, ...]

    def step(self, number: int) -> Step:
        return self.values[number].step

    @cached_property
    def live(self) -> frozenset[int]:
        """Values that a result depends on."""
        found = {*self.results, *self.inputs}
        stack = list(self.results)
        while stack:
            fresh = [source for source in self.step(stack.pop()).inputs if source not in found]
            found.update(fresh)
            stack += fresh
        return frozenset(found)


def program(graph: OpGraph) -> Program:
    """The values of a graph, in the order of its nodes."""
    return _Flattening(graph).run()


class _Flattening:
    def __init__(self, graph: OpGraph) -> None:
        self.graph = graph
        self.values: list[Value] = []
        self.at: dict[Port, int] = {}
        self.weights: dict[Slot, int] = {}
        self.parts: dict[Step, int] = {}
        self.casts: dict[int, int] = {}
        keys = Counter(node.key for _, node in graph.uses())
        self.shared = {key for key, count in keys.items() if count > 1}

    def run(self) -> Program:
        inputs: tuple[int, ...] = ()
        results: tuple[int, ...] = ()
        for number, node in self.graph.nodes():
            match node:
                case Input(types):
                    made = [self._add(Value(Step("input", (), leaf.sizes))) for leaf in types]
                    self.at |= {Port(number, i): value for i, value in enumerate(made)}
                    inputs = tuple(made)
                case Use():
                    self._use(number, node)
                case _:
                    results = tuple(self.at[source] for source in self.graph.sources(number))
        return Program(tuple(self.values), inputs, results)

    def _use(self, number: int, node: Use) -> None:
        body = node.applied.body
        sources = [self.at[source] for source in self.graph.sources(number)]
        slot_names = {slot.index: (node.key, slot.name) for slot in slots(body)}
        local: list[int] = []
        for index, step in enumerate(body.steps):
            if step.op == "input":
                local.append(sources[step.argument("which")])
            else:
                inputs = tuple(self._operand(step, i, local[source]) for i, source in enumerate(step.inputs))
                local.append(self._step(step, inputs, slot_names.get(index), node.key))
        for port, result in enumerate(body.results):
            self.at[Port(number, port)] = self._number(local[result])

    def _step(self, step: Step, inputs: tuple[int, ...], slot: Slot | None, key: str) -> int:
        if step.op == "weight" and slot in self.weights:
            return self.weights[slot]
        moved = Step(step.op, inputs, step.sizes, step.name, step.arguments, step.batched)
        if step.op == "part" and moved in self.parts:
            return self.parts[moved]
        made = self._add(Value(moved, slot, step.name.startswith("nn.BatchNorm") and key in self.shared))
        if step.op == "weight" and slot is not None:
            self.weights[slot] = made
        if step.op == "part":
            self.parts[moved] = made
        return made

    def _operand(self, step: Step, index: int, value: int) -> int:
        """A comparison is a truth value as the condition of `where` alone."""
        is_condition = step.op == "pointwise" and step.name == "where" and index == 0
        return value if is_condition else self._number(value)

    def _number(self, value: int) -> int:
        step = self.values[value].step
        if not is_comparison(step):
            return value
        if value not in self.casts:
            like = next(source for source in step.inputs if self.values[source].step.op != "number")
            self.casts[value] = self._add(Value(cast(value, like, step)))
        return self.casts[value]

    def _add(self, value: Value) -> int:
        self.values.append(value)
        return len(self.values) - 1
