"""A graph run node by node: what its operators mean, and what emitted source is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ein.compiler.graph import OpGraph, Port
from ein.compiler.nodes import Use
from ein.compiler.operations import OPERATIONS, dropout
from ein.compiler.weights import TIED, Slot, Start, slots, start
from ein.grammar.bodies.tensors import Body, Step
from ein.grammar.bodies.vetted import LAYERS


@dataclass(frozen=True, slots=True)
class Kept:
    """What a body keeps: by the path of a slot the parameter, the buffer or the layer."""

    slots: Mapping[tuple[int, ...], Any]
    training: bool = False


class Interpreter(nn.Module):
    """`forward` takes and gives one tensor for each port of the graph, the batch first; one result comes bare.

    Names of the state are those of `ein.compiler.weights`. Weights start as the operators say, from torch's
    generator, in the order of the nodes.
    """

    def __init__(self, graph: OpGraph) -> None:
        super().__init__()
        self.graph = graph
        self.uses = tuple(graph.uses())
        tied = nn.Module()
        self.add_module(TIED, tied)
        for _, node in self.uses:
            if slots(node.applied.body) and node.key not in self._modules:
                self.add_module(node.key, Cell(node.applied.body, tied))

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        at = {Port(self.graph.input, port): value for port, value in enumerate(inputs)}
        for number, node in self.uses:
            given = [at[source] for source in self.graph.sources(number)]
            at |= {Port(number, port): value for port, value in enumerate(self.run(node, given))}
        results = tuple(at[source] for source in self.graph.sources(self.graph.output))
        return results[0] if len(results) == 1 else results

    def run(self, node: Use, inputs: list[Tensor]) -> list[Tensor]:
        """The results of one use of an operator."""
        body = node.applied.body
        values = run_steps(body, self._modules.get(node.key), inputs, self.training)
        return [values[result] for result in body.results]


class Cell(nn.Module):
    """The layers, parameters and buffers of one use of an operator, or of several that share them.

    Parameters with a key are kept in `tied`, which many cells have in common.
    """

    tied: nn.Module

    def __init__(self, body: Body, tied: nn.Module | None = None) -> None:
        super().__init__()
        self.__dict__["tied"] = tied or nn.Module()  # no part of this module, which does not own it
        computed: list[Any] = []
        for slot in slots(body):
            if slot.step.op == "layer":
                layer = getattr(nn, slot.step.name.removeprefix("nn."))
                self.add_module(slot.name, layer(**dict((*slot.step.arguments, *LAYERS[slot.step.name].fixed))))
            elif slot.step.op == "host":
                self.add_module(slot.name, slot.step.argument("host").make())
            elif slot.key is None or not hasattr(self.tied, slot.home("")[1]):
                self._compute(body.starts, slot.step.argument("after"), computed)
                self._keep(slot, computed)

    @torch.no_grad()
    def _compute(self, steps: Sequence[Step], count: int, computed: list[Any]) -> None:
        """What the first `count` starts are, in `computed`: so that all that is drawn is drawn in textual order."""
        for step in steps[len(computed) : count]:
            if step.op == "draw":
                computed.append(initialise(torch.empty(step.sizes), start(step)))
            else:
                computed.append(_value(step, computed, steps, Kept({}), (), ()))

    def _keep(self, slot: Slot, computed: list[Any]) -> None:
        begin = start(slot.step)
        if begin.kind == "computed":
            value = computed[int(begin.numbers[0])].clone(memory_format=torch.contiguous_format)
        else:
            value = initialise(torch.empty(slot.step.sizes), begin)
        if slot.step.op == "buffer":
            self.register_buffer(slot.name, value)
        elif slot.key is not None:
            self.tied.register_parameter(slot.home("")[1], nn.Parameter(value))
        else:
            self.register_parameter(slot.name, nn.Parameter(value))

    def kept(self, slot: Slot) -> Any:
        return getattr(self, slot.name) if slot.key is None else getattr(self.tied, slot.home("")[1])


def run_steps(body: Body, cell: nn.Module | None, inputs: Sequence[Tensor], training: bool = False) -> list[Any]:
    """The value of each step; `cell` is the `Cell` of the body, and may be left out where the body keeps nothing."""
    kept = {slot.path: cell.kept(slot) for slot in slots(body)} if isinstance(cell, Cell) else {}
    return _run(body, Kept(kept, training), inputs, ())


def _run(body: Body, kept: Kept, inputs: Sequence[Tensor], path: tuple[int, ...]) -> list[Any]:
    values: list[Any] = []
    for step in body.steps:
        values.append(_value(step, values, body.steps, kept, inputs, (*path, len(values))))
    return values


def _value(
    step: Step, values: list[Any], steps: Sequence[Step], kept: Kept, inputs: Sequence[Tensor], path: tuple[int, ...]
) -> Any:
    """What a step gives; `values` are those of the steps before it."""
    operands = [values[source] for source in step.inputs]
    match step.op:
        case "input":
            return inputs[step.argument("which")]
        case "weight" | "buffer":
            return kept.slots[path]
        case "layer":
            result = kept.slots[path](*operands)
            return result[0] if LAYERS[step.name].several_results else result
        case "host":
            return (kept.slots[path] if path in kept.slots else step.argument("host").make())(*operands)
        case "range":
            return torch.arange(*step.sizes, device=inputs[0].device if inputs else None)
        case "dropout":
            return dropout(step, operands[0], kept.training)
        case "scan":
            return _scan(step, [steps[source].batched for source in step.inputs], operands, kept, path)
        case _:
            return OPERATIONS[step.op](step, [steps[source].batched for source in step.inputs], *operands)


def _scan(
    step: Step, batched: list[bool], operands: list[Tensor], kept: Kept, path: tuple[int, ...]
) -> tuple[Tensor, ...]:
    """All values of each state, the axis that is walked along in front."""
    body, sliced = step.argument("body"), step.argument("sliced")
    fixed, states = operands[: len(sliced)], operands[len(sliced) :]
    rows: list[list[Tensor]] = []
    for at in range(step.argument("length")):
        given = [
            value if axis is None else value.select(axis + int(has), at)
            for value, axis, has in zip(fixed, sliced, batched, strict=False)
        ]
        values = _run(body, kept, [*given, *states], path)
        states = [values[result] for result in body.results]
        rows.append(states)
    return tuple(torch.stack(column, int(step.batched)) for column in zip(*rows, strict=True))


@torch.no_grad()
def initialise(tensor: Tensor, begin: Start) -> Tensor:
    """The tensor, filled in place."""
    match begin:
        case Start("constant", (value,)):
            return tensor.fill_(value)
        case Start("uniform", (low, high)):
            return tensor.uniform_(low, high)
        case Start("normal", (mean, std)):
            return tensor.normal_(mean, std)
        case Start("trunc_normal", (std,)):
            return nn.init.trunc_normal_(tensor, std=std)
        case Start("orthogonal"):
            for block in tensor.flatten(0, -3) if tensor.ndim > 3 else tensor if tensor.ndim == 3 else [tensor]:
                nn.init.orthogonal_(block)
            return tensor
    raise ValueError(f"there is no start `{begin.kind}`")
