"""The one place that touches global random state."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Python's, numpy's and torch's generators start from `seed` inside, and go on as before afterwards.

    torch's covers the CPU and every accelerator in use. Raises `ValueError` unless 0 <= seed < 2**32.
    """
    if not 0 <= seed < 1 << 32:
        raise ValueError(f"seed must be at least 0 and below 2**32, found {seed}")
    python_state, numpy_state = random.getstate(), np.random.get_state()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=list(devices)):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
