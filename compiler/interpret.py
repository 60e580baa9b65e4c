"""A graph run node by node: what its operators mean, and what emitted source is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ein.compiler.graph import OpGraph, Port
from ein.compiler.nodes import Use
from ein.compiler.weights import Start, slots, start
from ein.grammar.tensors import Step

Value: TypeAlias = "Tensor | int | float"


class Interpreter(nn.Module):
    """`forward` takes and gives one tensor for each port of the graph, the batch first; one result comes bare.

    Names of the state are those of `ein.compiler.weights`. Weights start as the operators say, from torch's
    generator, in the order of the nodes.
    """

    def __init__(self, graph: OpGraph) -> None:
        super().__init__()
        self.graph = graph
        self.uses = tuple(graph.uses())
        for _, node in self.uses:
            if node.weights and node.key not in self._modules:
                self.add_module(node.key, Cell(node))

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
        cell = self._modules.get(node.key)
        names = {slot.index: slot.name for slot in slots(body)}
        values: list[Any] = []
        for index, step in enumerate(body.steps):
            if step.op == "input":
                values.append(inputs[step.argument("which")])
            elif step.op == "weight":
                values.append(getattr(cell, names[index]))
            elif step.op == "layer":
                values.append(getattr(cell, names[index])(values[step.inputs[0]]))
            else:
                batched = [body.steps[source].batched for source in step.inputs]
                values.append(OPERATIONS[step.op](step, batched, *(values[source] for source in step.inputs)))
        return [values[result] for result in body.results]


class Cell(nn.Module):
    """The layers and parameters of one use of an operator, or of several that share them."""

    def __init__(self, node: Use) -> None:
        super().__init__()
        for slot in slots(node.applied.body):
            if slot.step.op == "weight":
                self.register_parameter(
                    slot.name, nn.Parameter(initialise(torch.empty(slot.step.sizes), start(slot.step)))
                )
            else:
                layer = getattr(nn, slot.step.name.removeprefix("nn."))
                self.add_module(slot.name, layer(**dict(slot.step.arguments)))


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


# --- steps: (the step, whether each operand has the batch in front, operands) -> value


def _function(step: Step, batched: list[bool], *tensors: Tensor) -> Tensor:
    function: Callable[..., Tensor] = getattr(F, step.name.removeprefix("F."))
    return function(*tensors, **dict(step.arguments))


def _pointwise(step: Step, batched: list[bool], *operands: Value) -> Tensor:
    return POINTWISE[step.name](*operands) if step.name in POINTWISE else getattr(torch, step.name)(*operands)


def _compared(compare: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
    """As 0 and 1, of the element type of the first tensor."""

    def function(a: Any, b: Any) -> Tensor:
        return compare(a, b).to((a if isinstance(a, Tensor) else b).dtype)

    return function


def _tensors(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Numbers among the operands become tensors like the first operand that is one."""

    def applied(*operands: Any) -> Tensor:
        like = next(operand for operand in operands if isinstance(operand, Tensor))
        return function(*(o if isinstance(o, Tensor) else torch.full_like(like, o) for o in operands))

    return applied


def _where(condition: Any, a: Any, b: Any) -> Tensor:
    a, b = (float(value) if isinstance(value, int) else value for value in (a, b))
    return torch.where(condition != 0, a, b)


POINTWISE: dict[str, Callable[..., Tensor]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: torch.floor(a / b),
    "%": lambda a, b: a % b,
    "**": lambda a, b: a**b,
    "neg": torch.neg,
    "<": _compared(lambda a, b: a < b),
    "<=": _compared(lambda a, b: a <= b),
    ">": _compared(lambda a, b: a > b),
    ">=": _compared(lambda a, b: a >= b),
    "==": _compared(lambda a, b: a == b),
    "!=": _compared(lambda a, b: a != b),
    "gelu": F.gelu,
    "silu": F.silu,
    "softplus": F.softplus,
    "minimum": _tensors(torch.minimum),
    "maximum": _tensors(torch.maximum),
    "clamp": _tensors(lambda x, low, high: torch.minimum(torch.maximum(x, low), high)),
    "where": _where,
}


def _axis(step: Step, axis: int) -> int:
    return axis + int(step.batched)


def _reduce(step: Step, batched: list[bool], x: Tensor) -> Tensor:
    """A run of no axes leaves `x`, its size or zeros; torch would take none for all."""
    axes = [_axis(step, axis) for axis in step.argument("axes")]
    return _REDUCTIONS[step.name](x, axes) if axes else _OVER_NOTHING.get(step.name, torch.clone)(x)


def _prod(x: Tensor, axes: list[int]) -> Tensor:
    for axis in reversed(axes):
        x = torch.prod(x, axis)
    return x


_REDUCTIONS: dict[str, Callable[[Tensor, list[int]], Tensor]] = {
    "sum": torch.sum,
    "mean": torch.mean,
    "max": torch.amax,
    "min": torch.amin,
    "prod": _prod,
    "logsumexp": torch.logsumexp,
    "var": lambda x, axes: torch.var(x, axes, correction=0),
    "norm": lambda x, axes: torch.linalg.vector_norm(x, dim=axes),
}
_OVER_NOTHING: dict[str, Callable[[Tensor], Tensor]] = {"norm": torch.abs, "var": torch.zeros_like}


def _along(step: Step, batched: list[bool], x: Tensor) -> Tensor:
    axis = _axis(step, step.argument("axis"))
    function: Callable[..., Tensor] = getattr(torch, step.name)
    return function(x, [axis] if step.name == "flip" else axis)


def _permute(step: Step, batched: list[bool], x: Tensor) -> Tensor:
    order = [_axis(step, axis) for axis in step.argument("order")]
    return x.permute([0, *order] if step.batched else order)


def _unflatten(step: Step, batched: list[bool], x: Tensor) -> Tensor:
    return x.reshape([*x.shape[: int(step.batched)], *step.sizes])


def _unsqueeze(step: Step, batched: list[bool], x: Tensor) -> Tensor:
    for axis in step.argument("axes"):
        x = x.unsqueeze(_axis(step, axis))
    return x


def _einsum(step: Step, batched: list[bool], *operands: Tensor) -> Tensor:
    """The letter `b` is the batch; no axis has it."""
    terms, result = step.argument("letters")
    written = ["b" * has + term for has, term in zip(batched, terms, strict=True)]
    return torch.einsum(f"{','.join(written)}->{'b' * step.batched}{result}", *operands)


def _part(step: Step, batched: list[bool], x: Tensor) -> Tensor:
    axis = _axis(step, step.argument("axis"))
    size = x.shape[axis] // step.argument("of")
    return x.narrow(axis, step.argument("index") * size, size)


def _expand(step: Step, batched: list[bool], x: Tensor, like: Tensor) -> Tensor:
    return x.expand(len(like), *x.shape)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "number": lambda step, batched: step.argument("value"),
    "function": _function,
    "pointwise": _pointwise,
    "reduce": _reduce,
    "along": _along,
    "permute": _permute,
    "unflatten": _unflatten,
    "flatten": _unflatten,
    "unsqueeze": _unsqueeze,
    "einsum": _einsum,
    "concat": lambda step, batched, *parts: torch.cat(parts, _axis(step, step.argument("axis"))),
    "stack": lambda step, batched, *parts: torch.stack(parts, _axis(step, step.argument("axis"))),
    "part": _part,
    "index": lambda step, batched, x: x.select(_axis(step, step.argument("axis")), step.argument("at")),
    "expand": _expand,
}
