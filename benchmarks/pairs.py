"""Two networks timed side by side: forward and backward, one after the other and in turns, so that a noisy machine
treats both alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import comb, exp, log
from statistics import median
from time import perf_counter

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Ratio:
    """Time of the one over time of the other, of each pair."""

    ratios: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.ratios)

    @property
    def interval(self) -> tuple[float, float]:
        """Of the median, at 95 %: the order statistics that the binomial distribution says; no shape is assumed."""
        ordered, n = sorted(self.ratios), len(self.ratios)
        tail, rank = 0.0, 0
        while rank < n // 2 and tail + comb(n, rank) / 2**n <= 0.025:
            tail += comb(n, rank) / 2**n
            rank += 1
        return ordered[max(0, rank - 1)], ordered[n - max(1, rank)]


def step(net: nn.Module, given: Sequence[Tensor]) -> Callable[[], float]:
    """One forward and backward pass; what is called gives the seconds that it took."""

    def run() -> float:
        began = perf_counter()
        found = net(*given)
        results = found if isinstance(found, tuple) else (found,)
        sum(result.float().sum() for result in results).backward()
        if given[0].is_cuda:
            torch.cuda.synchronize()
        return perf_counter() - began

    return run


def compare(one: nn.Module, other: nn.Module, given: Sequence[Tensor], pairs: int, seconds: float = 60) -> Ratio:
    """So many pairs, or at least 5 and what fits into `seconds`; which one goes first changes from pair to pair."""
    runs = (step(one, given), step(other, given))
    for run in (*runs, *runs):
        run()
    began, ratios = perf_counter(), []
    while len(ratios) < pairs and (len(ratios) < 5 or perf_counter() - began < seconds):
        first = len(ratios) % 2
        times = {which: runs[which]() for which in (first, 1 - first)}
        ratios.append(times[0] / times[1])
    return Ratio(tuple(ratios))


def geometric_mean(values: Sequence[float]) -> float:
    return exp(sum(map(log, values)) / len(values))
