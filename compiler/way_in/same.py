"""Whether two modules compute the same, in evaluation and in training."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ein.compiler.way_in.trace import modes_kept

TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-3}
"""Of a difference, against the largest number of the result."""


class Undropped(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Dropout drops nothing, and scales as if it did: so results can be compared."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        if name == "bernoulli_":
            return args[0].fill_(1)
        if name == "native_dropout":
            return args[0] / (1 - args[1]), torch.ones_like(args[0], dtype=torch.bool)
        return function(*args, **(kwargs or {}))


def difference(model: nn.Module, network: nn.Module, inputs: Sequence[Tensor]) -> str | None:
    """Where the two part, in words, or None. Neither is changed. In double precision, where the model can be so."""
    for dtype in (torch.float64, torch.float32):
        try:
            one, other = copy.deepcopy(model).to(dtype), copy.deepcopy(network).to(dtype)
            given = [value.to(dtype) if value.is_floating_point() else value for value in inputs]
            with modes_kept(one), torch.no_grad():
                one.eval()(*given)
        except Exception:
            if dtype == torch.float32:
                raise
            continue
        return _compared(one, other, given, TOLERANCE[dtype])
    raise AssertionError("one of the two is tried")


def _compared(one: nn.Module, other: nn.Module, given: Sequence[Tensor], tolerance: float) -> str | None:
    for training, mode in ((False, "evaluation"), (True, "training")):
        with torch.no_grad(), Undropped():  # type: ignore[no-untyped-call]
            wanted, found = _all(one.train(training)(*given)), _all(other.train(training)(*given))
        if [value.shape for value in wanted] != [value.shape for value in found]:
            shapes = ", ".join(str(list(value.shape)) for value in found)
            return f"in {mode} it gives {shapes}, and the model {', '.join(str(list(v.shape)) for v in wanted)}"
        for mine, theirs in zip(found, wanted, strict=True):
            largest = float(theirs.abs().max()) if theirs.numel() else 0.0
            apart = float((mine - theirs).abs().max()) if theirs.numel() else 0.0
            if not apart <= tolerance * max(largest, 1e-6):
                return f"in {mode} their results differ by {apart:.3g}, where the model's go up to {largest:.3g}"
    return None


def _all(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, dict):
        return [each for value in result.values() for each in _all(value)]
    return [each for value in result or () for each in _all(value)]
