"""How good a network is on examples it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ein.runtime.data import Split, Task

BATCH = 256


class OutputError(Exception):
    """The network's output cannot be read as one score for each class."""


@dataclass(frozen=True, slots=True)
class Score:
    """Accuracy between 0 and 1, and mean cross-entropy in nats, over so many examples.

    An example whose output is not finite counts as wrong, and makes the loss NaN or infinite.
    """

    accuracy: float
    loss: float
    examples: int


def evaluate(module: nn.Module, task: Task, device: str = "cpu", batch: int = BATCH) -> Score:
    """On the validation examples, at most `batch` at a time, in eval mode; the mode is restored.

    The module must be on `device`. Raises `OutputError`.
    """
    return _score(module, task, task.valid, device, batch)


def evaluate_test(module: nn.Module, task: Task, device: str = "cpu", batch: int = BATCH) -> Score:
    """On the test examples: once, for the network that was chosen on the validation examples. Raises `OutputError`."""
    return _score(module, task, task.test_split(), device, batch)


def check_output(output: object, batch: int, classes: int) -> Tensor:
    """The output itself. Raises `OutputError` unless it is a float tensor of batch x classes."""
    if not isinstance(output, Tensor):
        raise OutputError(f"the network returns a {type(output).__name__}, expected a tensor of [{batch}, {classes}]")
    if output.shape != (batch, classes):
        raise OutputError(
            f"the network gives {list(output.shape)} for a batch of {batch}, expected [{batch}, {classes}]"
        )
    if not output.is_floating_point():
        raise OutputError(f"the network gives {output.dtype} values, expected floating point")
    return output


@torch.no_grad()
def _score(module: nn.Module, task: Task, split: Split, device: str, batch: int) -> Score:
    training = module.training
    module.eval()
    right, loss = 0, 0.0
    try:
        for start in range(0, len(split), batch):
            rows = slice(start, start + batch)
            y = torch.from_numpy(np.ascontiguousarray(split.y[rows])).to(device)
            x = torch.from_numpy(task.batch(split, rows)).to(device)
            scores = check_output(module(x), len(y), task.classes).float()
            finite = scores.isfinite().all(dim=1)
            right += int(((scores.argmax(dim=1) == y) & finite).sum())
            loss += float(nn.functional.cross_entropy(scores, y, reduction="sum"))
    finally:
        module.train(training)
    return Score(right / len(split), loss / len(split), len(split))
