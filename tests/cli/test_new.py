"""`ein new`: what it writes checks, draws and trains; what is there stays."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ein.cli.new import PATTERN
from ein.grammar.check import check, load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source

Ein = Callable[..., Any]


def test_the_grammar_checks_and_is_in_canonical_form(ein: Ein, folder: Path) -> None:
    assert ein("new", "first").code == 0
    assert ein("check", "first.ein", "--json").out == "[]\n"
    assert ein("fmt", "--check", "first.ein").code == 0
    text = (folder / "first.ein").read_text()
    assert "grammar first(" in text
    assert "my_space" not in text


def test_the_lines_fit_a_screen_and_the_operator_has_a_comment() -> None:
    lines = PATTERN.read_text().splitlines()
    assert max(map(len, lines)) <= 120
    assert all(before.startswith("#") for before, line in pairwise(lines) if line.startswith("op"))


def test_every_alternative_is_drawn() -> None:
    """So nothing in it is there to be looked at only."""
    sampler = Sampler.of(load_grammar(Source("my_space.ein", PATTERN.read_text())))
    texts = " ".join(sampler.draw(0, index).text for index in range(60))
    for part in ("gate", "max_pool", "s = 2", "k = 1", "k = 5", "relu", "gelu", "silu", "add"):
        assert part in texts


def test_the_three_blocks_of_the_comment() -> None:
    """The mean of 400 draws without limits; the chance of a false alarm is below one in a thousand."""
    text = re.sub(r"(?m)^limit .*", "limit modules <= 10K, params <= 1G", PATTERN.read_text())
    text = re.sub(r"rule Block : .*", "rule Block : im[c, h, w] = relu", text)
    sampler = Sampler.of(load_grammar(Source("my_space.ein", text)))
    assert 2.6 < sum(sampler.draw(0, index).modules - 4 for index in range(400)) / 400 < 3.4


def test_what_it_says_to_do_next_can_be_done(ein: Ein) -> None:
    said = ein("new", "first").err.splitlines()
    commands = [line.split()[1:] for line in said if line.startswith("  ein ")]
    assert [command[0] for command in commands] == ["check", "sample", "search"]
    assert all(ein(*command).code == 0 for command in commands[:2])


def test_its_networks_learn(ein: Ein) -> None:
    ein("new", "first")
    ein("sample", "first.ein", "--seed", "1", "-o", "drawn")
    ended = ein("train", "drawn/first-1-0.ein", "--data", "digits", "--steps", "2")
    assert (ended.code, "accuracy" in ended.out + ended.err) == (0, True)


@pytest.mark.slow
def test_its_search_runs(ein: Ein) -> None:
    said = ein("new", "first").err.splitlines()
    (command,) = (line.split()[1:] for line in said if "search" in line)
    assert ein(*command, "--evals", "2", "--seconds", "1").code == 0
    assert ein("top", command[-1]).code == 0


def test_what_is_there_stays(ein: Ein, folder: Path) -> None:
    (folder / "mine.ein").write_text("mine")
    (folder / "link.ein").symlink_to("nowhere")
    for name in ("mine", "mine.ein", "link"):
        ended = ein("new", name)
        assert (ended.code, ended.out) == (1, "")
        assert "error[E605]" in ended.err and "is already there" in ended.err
    assert (folder / "mine.ein").read_text() == "mine"
    assert not (folder / "nowhere").exists()


def test_a_folder_is_made(ein: Ein, folder: Path) -> None:
    ended = ein("new", "some spaces/first.ein")
    assert ended.code == 0
    assert "ein check 'some spaces/first.ein'" in ended.err
    assert "grammar first(" in (folder / "some spaces" / "first.ein").read_text()


@pytest.mark.parametrize(
    ("name", "offered"),
    [("My-Space", "my_space"), ("3", "my_space"), ("rule", "rule_space"), ("2nd try", "nd_try"), ("a/B", "b")],
)
def test_a_name_that_a_grammar_cannot_have(ein: Ein, folder: Path, name: str, offered: str) -> None:
    before = set(folder.rglob("*"))
    ended = ein("new", name)
    assert (ended.code, set(folder.rglob("*"))) == (2, before)
    assert f"try `{offered}`" in ended.err
    assert not [d for d in check(Source("n.ein", f"ein 1\ngrammar {offered}\n"))[1] if d.code.startswith("E1")]
