"""One browser for all tests of this folder, which use each other's scenes."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chromium import NAMES, Chromium, chromium, found


@pytest.fixture(scope="session")
def browser() -> Iterator[Chromium]:
    program = found()
    if program is None:
        pytest.skip(f"needs one of {', '.join(NAMES)} on PATH")
    with chromium(program) as running:
        yield running
