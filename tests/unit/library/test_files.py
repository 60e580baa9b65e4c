"""Every file of the library: a line about it, the one canonical form, no diagnostic."""

from __future__ import annotations

import pytest

import ein
from ein.grammar.load import find, library_names
from ein.grammar.notation.printer import format_source

# What fits beside the longest name on a line of 140 characters
WIDTH = 115


@pytest.mark.parametrize("name", library_names())
def test_a_file_of_the_library(name: str) -> None:
    source, _, _ = find(name)
    first, second = source.text.splitlines()[:2]
    assert first.startswith("# ") and first.endswith(".") and len(first) <= WIDTH
    assert second == "ein 1" or second.startswith("#")
    assert format_source(source) == source.text
    assert ein.check(name) == []
