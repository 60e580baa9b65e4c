"""Numbers of any length as text and back, however Python's own conversion is limited."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ein.grammar.counting.decimals import PIECE, brief, decimal, whole

NUMBERS = st.one_of(
    st.integers(0, 10**30),
    st.builds(lambda power, more: max(0, 10**power + more), st.integers(0, 5 * PIECE), st.integers(-2, 2)),
    st.builds(lambda bits, seed: seed << bits, st.integers(0, 20_000), st.integers(0, 10**6)),
)


@pytest.fixture
def least_limit() -> Iterator[None]:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(sys.int_info.str_digits_check_threshold)
    yield
    sys.set_int_max_str_digits(before)


@given(NUMBERS)
def test_there_and_back(n: int) -> None:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        expected = str(n)
    finally:
        sys.set_int_max_str_digits(limit)
    assert decimal(n) == expected
    assert whole(expected) == n
    assert whole("000" + expected) == n


@pytest.mark.usefixtures("least_limit")
def test_the_least_limit_that_python_takes_is_enough() -> None:
    n = 7**20_000
    assert whole(decimal(n)) == n
    assert brief(n) == f"{decimal(n)[:6]}… (16,902 digits)"


def test_messages_show_the_beginning_of_a_long_number() -> None:
    assert brief(1_234_567) == "1,234,567"
    assert brief(10**60 - 1) == f"{10**60 - 1:,}"
    assert brief(10**60) == "100000… (61 digits)"
