"""One warm fence for all tests of the runtime: its server takes seconds to import torch, a job takes milliseconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ein.runtime.candidate import PREPARE
from ein.runtime.fence import Fence, Limits


@pytest.fixture(scope="session")
def fence() -> Iterator[Fence]:
    """With the modules it preloads for everyone, the digits, and the jobs of `fence_jobs.py`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))
        with Fence(Limits(seconds=40, bytes=1 << 30)) as opened:
            opened.prepare(PREPARE, {"data": "digits"})
            yield opened
