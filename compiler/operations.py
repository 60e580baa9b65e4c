"""What the steps of an operator's body compute, by torch: (the step, whether each operand has the batch in front,
operands) -> value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from ein.grammar.bodies.elements import is_truth
from ein.grammar.bodies.tensors import Step

Value: TypeAlias = "Tensor | int | float"


def _function(step: Step, batched: list[bool], *tensors: Tensor) -> Tensor:
    function: Callable[..., Tensor] = getattr(F, step.name.removeprefix("F."))
    return function(*tensors, **dict(step.arguments))


def _pointwise(step: Step, batched: list[bool], *operands: Value) -> Tensor:
    if step.name == "where":
        return _where(step, *operands)
    if step.name == "//" and step.element == "int":
        return operands[0] // operands[1]  # type: ignore[return-value]
    function = POINTWISE[step.name] if step.name in POINTWISE else getattr(torch, step.name)
    return _number(function(*operands), operands) if is_truth(step) else function(*operands)


def _number(truth: Tensor, operands: Sequence[Value]) -> Tensor:
    """A truth as 0 and 1, of the element type of the first number that it is about; about flags it stays one."""
    about = [operand.dtype for operand in operands if isinstance(operand, Tensor) and operand.dtype != torch.bool]
    floats = [dtype for dtype in about if dtype.is_floating_point]
    return truth.to([*floats, *about, torch.bool][0])


def _tensors(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Numbers among the operands become tensors like the first operand that is one."""

    def applied(*operands: Any) -> Tensor:
        like = next(operand for operand in operands if isinstance(operand, Tensor))
        return function(*(o if isinstance(o, Tensor) else _filled_like(like, o) for o in operands))

    return applied


def _filled_like(like: Tensor, number: float) -> Tensor:
    return torch.full_like(like, number, dtype=torch.result_type(like, number))


def _where(step: Step, condition: Any, a: Any, b: Any) -> Tensor:
    """Numbers become floats, unless all is of integers."""
    if step.element != "int":
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
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "and": torch.logical_and,
    "or": torch.logical_or,
    "not": torch.logical_not,
    "gelu": F.gelu,
    "silu": F.silu,
    "softplus": F.softplus,
    "minimum": _tensors(torch.minimum),
    "maximum": _tensors(torch.maximum),
    "clamp": _tensors(lambda x, low, high: torch.minimum(torch.maximum(x, low), high)),
}


def _axis(step: Step, axis: int) -> int:
    return axis + int(step.batched)


def _reduce(step: Step, batched: list[bool], x: Tensor) -> Tensor:
    """A run of no axes leaves `x`, its size or zeros; torch would take none for all."""
    axes = [_axis(step, axis) for axis in step.argument("axes")]
    if is_truth(step):
        truth = x != 0
        for axis in reversed(axes):
            truth = getattr(torch, step.name)(truth, axis)
        return _number(truth, [x])
    if step.name in ("argmax", "argmin"):
        found: Tensor = getattr(torch, step.name)(x, axes[0])
        return found
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
    if step.name == "sort":
        return torch.sort(x, axis).values
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
    if step.name == "unbind":
        return x.select(axis, step.argument("index"))
    size = x.shape[axis] // step.argument("of")
    return x.narrow(axis, step.argument("index") * size, size)


def _expand(step: Step, batched: list[bool], x: Tensor, like: Tensor) -> Tensor:
    return x.expand(len(like), *x.shape)


def _filled(step: Step, batched: list[bool], like: Tensor, examples: Tensor) -> Tensor:
    sizes = [len(examples), *step.sizes] if step.batched else step.sizes
    return like.new_full(sizes, step.argument("value"))


def _slice(step: Step, batched: list[bool], x: Tensor) -> Tensor:
    first, end = step.argument("first"), step.argument("end")
    return x.narrow(_axis(step, step.argument("axis")), first, end - first)


def _pad(step: Step, batched: list[bool], x: Tensor) -> Tensor:
    behind = x.ndim - 1 - _axis(step, step.argument("axis"))
    return F.pad(x, [0, 0] * behind + [step.argument("before"), step.argument("after")])


def _windows(step: Step, batched: list[bool], x: Tensor) -> Tensor:
    return x.unfold(_axis(step, step.argument("axis")), step.argument("size"), step.argument("by"))


def _copies(step: Step, batched: list[bool], x: Tensor) -> Tensor:
    first = int(step.batched)
    return x.unsqueeze(first).expand(*x.shape[:first], step.argument("count"), *x.shape[first:])


def _roll(step: Step, batched: list[bool], x: Tensor) -> Tensor:
    return torch.roll(x, step.argument("by"), _axis(step, step.argument("axis")))


def _look_up(step: Step, batched: list[bool], table: Tensor, *indices: Tensor) -> Tensor:
    """Where examples are looked up too, their numbers are the first index."""
    whole = step.argument("axis") + int(batched[0] and not step.argument("examples"))
    found: Tensor = table[(slice(None),) * whole + indices]
    return found


def _examples(step: Step, batched: list[bool], x: Tensor) -> Tensor:
    return torch.arange(len(x), device=x.device).reshape([-1, *step.sizes])


def _zeros(step: Step, batched: list[bool], x: Tensor) -> Tensor:
    dtype = {"int": torch.long, "bool": torch.bool}.get(step.element, x.dtype if x.is_floating_point() else None)
    return torch.zeros(len(x), *step.sizes, dtype=dtype, device=x.device)


def _spectrum(step: Step, batched: list[bool], x: Tensor) -> Tensor:
    axes = [_axis(step, axis) for axis in step.argument("axes")]
    if step.name in ("fft", "ifft"):
        found: Tensor = getattr(torch.fft, f"{step.name}n")(x, dim=axes)
    else:
        found = getattr(torch.fft, step.name)(x, step.argument("size"), dim=axes[0])
    return found


def dropout(step: Step, x: Tensor, training: bool) -> Tensor:
    """A fate for each entry, or one for all along the axes of the step."""
    axes = [_axis(step, axis) for axis in step.argument("axes")]
    if not axes:
        return F.dropout(x, step.argument("p"), training)
    shape = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    return x * F.dropout(x.new_ones(shape), step.argument("p"), training)


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
    "cast": lambda step, batched, x, like: x.type_as(like),
    "truth": lambda step, batched, x: x != 0,
    "whole": lambda step, batched, x: x.long(),
    "zeros": _zeros,
    "slice": _slice,
    "pad": _pad,
    "windows": _windows,
    "copies": _copies,
    "roll": _roll,
    "lookup": _look_up,
    "examples": _examples,
    "take": lambda step, batched, x, at: torch.gather(x, _axis(step, step.argument("axis")), at),
    "topk": lambda step, batched, x: torch.topk(x, step.argument("count"), _axis(step, step.argument("axis"))).indices,
    "one_hot": lambda step, batched, x: F.one_hot(x, step.argument("count")),
    "spectrum": _spectrum,
    "broadcast": lambda step, batched, x: x.expand([*x.shape[: int(step.batched)], *step.sizes]),
    "as_float": lambda step, batched, x: x.float(),
    "filled": _filled,
    "item": lambda step, batched, values: values[step.argument("which")],
    "eye": lambda step, batched: torch.eye(*step.sizes),
    "svd": lambda step, batched, x: torch.linalg.svd(x, full_matrices=False),
    "qr": lambda step, batched, x: torch.linalg.qr(x),
}
