"""Random state inside a seed repeats; outside it goes on as if nothing had been."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from ein.runtime.seeding import seeded


def draws() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_inside_it_repeats_and_outside_it_goes_on() -> None:
    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    first, second = draws(), draws()
    random.seed(7), np.random.seed(7), torch.manual_seed(7)
    assert draws() == first
    with seeded(1):
        inside = draws()
    with pytest.raises(KeyError), seeded(1):
        assert draws() == inside
        raise KeyError
    with seeded(2):
        assert all(a != b for a, b in zip(draws(), inside, strict=True))
    assert draws() == second


@pytest.mark.parametrize("seed", [-1, 1 << 32])
def test_seeds_have_a_range(seed: int) -> None:
    with pytest.raises(ValueError, match="seed must be at least 0"), seeded(seed):
        pass
