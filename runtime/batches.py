"""The order of the training examples, and what may be done to them on the way."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ein.runtime.settings import Augment


def epoch_rows(examples: int, batch: int, generator: Generator) -> Iterator[NDArray[np.int64]]:
    """A fresh permutation in pieces of `batch`. A last piece of one example joins the piece before it.

    Batch normalisation cannot be trained on one example. Needs at least two examples and a batch of at least two.
    """
    order = torch.randperm(examples, generator=generator).numpy()
    stops = list(range(batch, examples, batch))
    if stops and examples - stops[-1] == 1:
        stops.pop()
    yield from np.split(order, stops)


def epoch_steps(examples: int, batch: int) -> int:
    """How many pieces `epoch_rows` gives."""
    return max(1, -(-examples // batch) - (examples % batch == 1))


def augmented(x: Tensor, how: Augment, generator: Generator) -> Tensor:
    """N x C x H x W: each example is mirrored or not (flip), or moved by up to an eighth of its size (shift).

    What a shift uncovers is zero, the mean of the normalised data.
    """
    if how == "none":
        return x
    if how == "flip":
        mirrored = torch.rand(len(x), 1, 1, 1, generator=generator) < 0.5
        return torch.where(mirrored.to(x.device), x.flip(3), x)
    return _shifted(x, generator)


def _shifted(x: Tensor, generator: Generator) -> Tensor:
    n, c, h, w = x.shape
    reach_h, reach_w = max(1, h // 8), max(1, w // 8)
    padded = torch.nn.functional.pad(x, (reach_w, reach_w, reach_h, reach_h))
    down = torch.randint(0, 2 * reach_h + 1, (n, 1), generator=generator) + torch.arange(h)
    right = torch.randint(0, 2 * reach_w + 1, (n, 1), generator=generator) + torch.arange(w)
    rows, columns = down.to(x.device), right.to(x.device)
    return padded[
        torch.arange(n, device=x.device)[:, None, None, None],
        torch.arange(c, device=x.device)[None, :, None, None],
        rows[:, None, :, None],
        columns[:, None, None, :],
    ]
