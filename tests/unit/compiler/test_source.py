"""Docstrings that no text can leave, numbers, and lines as ruff would break them."""

from __future__ import annotations

import ast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ein.compiler.source import WIDTH, Group, layout, number, quoted, statement

HOSTILE = st.lists(
    st.sampled_from(
        ['"""', '"', "\\", "'''", "\n", "\t", " ", "\x00", "\u202e", "\ud800", "\\N{DASH}", "{x}", "import os"]
    )
    | st.text(max_size=8),
    max_size=20,
).map("".join)


@given(HOSTILE)
@example('"""\nimport os\nos.system("true")\n"""')
@example("\\" * 3 + '"')
@example('ends with "')
@example("\\u0041 is not read")
def test_no_text_leaves_its_docstring(text: str) -> None:
    if not text.strip():
        return
    source = "class A:\n" + "\n".join(quoted(text, 4)) + "\n\n    x = 1\n"
    (kind,) = ast.parse(source).body
    assert isinstance(kind, ast.ClassDef) and len(kind.body) == 2
    found = ast.get_docstring(kind, clean=False)
    assert found is not None and found.split() == text.split()
    assert source.isascii() or all(c.isprintable() or c == "\n" for c in source)


@given(st.lists(st.text("abc", min_size=1, max_size=30), min_size=1, max_size=60).map(" ".join))
def test_docstrings_are_wrapped(text: str) -> None:
    assert all(len(line) <= WIDTH and line == line.rstrip() for line in quoted(text, 4))


@pytest.mark.parametrize(
    ("value", "text"),
    [(3, "3"), (3.0, "3.0"), (1e-5, "1e-05"), (float("inf"), "torch.inf"), (float("-inf"), "-torch.inf")],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


def test_long_calls_are_broken_as_ruff_would() -> None:
    call = Group("f", ("a" * 30, "b" * 30, "c" * 16))
    assert layout("x = ", call, "", 0) == [f"x = f({'a' * 30}, {'b' * 30}, {'c' * 16})"]
    assert layout("x = ", call, "", 4) == ["    x = f(", f"        {'a' * 30}, {'b' * 30}, {'c' * 16}", "    )"]
    assert layout("x = ", Group("f", ("a" * 60, "b" * 60)), "", 0) == [
        "x = f(",
        f"    {'a' * 60},",
        f"    {'b' * 60},",
        ")",
    ]


def test_a_comment_that_does_not_fit_stands_above() -> None:
    assert statement("x = ", "y", "64 x 32", 4) == ["    x = y  # 64 x 32"]
    assert statement("x = ", "y" * 70, "64 x 32 x 32", 4) == ["    # 64 x 32 x 32", f"    x = {'y' * 70}"]
