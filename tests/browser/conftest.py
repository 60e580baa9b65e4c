"""One browser for all tests of this folder."""

from collections.abc import Iterator

import pytest

from .chromium import NAMES, Chromium, chromium, found


@pytest.fixture(scope="session")
def browser() -> Iterator[Chromium]:
    program = found()
    if program is None:
        pytest.skip(f"needs one of {', '.join(NAMES)} on PATH")
    with chromium(program) as running:
        yield running
