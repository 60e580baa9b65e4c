"""Rules of another file: they keep the names of their own file, and take those of this one's alias."""

from __future__ import annotations

from pathlib import Path

import pytest

from ein.grammar.check import check, load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Diagnostic

PARTS = """\
ein 1
grammar parts(wide = 4)
import std
rule Act(n = 2) = (relu | Conv) * n
rule Conv : im[c, h, w] -> im[c, h, w] = conv(c, k = 1) if c > wide | Again
rule Again = tanh
"""
HEAD = "ein 1\ngrammar g(classes = 10)\nimport std\n{}\ninput im[3, 8, 8]\noutput vec[classes]\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "parts.ein").write_text(PARTS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def texts(imported: str, rules: str) -> set[str]:
    Path("g.ein").write_text(HEAD.format(imported) + rules, encoding="utf-8")
    sampler = Sampler.of(load_grammar("g.ein"))
    return {sampler.draw(0, index).text.split(" >> pool")[0] for index in range(60)}


def found(imported: str, rules: str) -> list[Diagnostic]:
    Path("g.ein").write_text(HEAD.format(imported) + rules, encoding="utf-8")
    return check("g.ein")[1]


def test_a_rule_brings_what_it_needs() -> None:
    """`Again` is not imported here, `wide` is a parameter there, and `n` has its default."""
    drawn = texts('import "parts.ein" (Act)', "rule Net = conv(8) >> Act >> head(classes)\n")
    assert drawn == {f"conv(8) >> {each} * 2" for each in ("relu", "conv(8, k = 1)", "tanh")}


def test_an_alias_leaves_the_name_free() -> None:
    rules = "rule Net = conv(4) >> Other(1) >> Act >> head(classes)\nrule Act = gelu\nrule Again = silu\n"
    drawn = texts('import "parts.ein" (Act as Other)', rules)
    assert drawn == {"conv(4) >> relu * 1 >> gelu", "conv(4) >> tanh * 1 >> gelu"}


def test_all_rules_come_where_no_names_are_given() -> None:
    assert texts('import "parts.ein"', "rule Net = conv(4) >> Conv >> head(classes)\n") == {"conv(4) >> tanh"}


def test_a_rule_that_hides_an_imported_one_is_said() -> None:
    rules = "rule Net = conv(4) >> Again >> head(classes)\nrule Again = silu\n"
    [warning] = found('import "parts.ein"', rules)
    assert (warning.code, warning.message) == ("W201", "`Again` hides the one imported from `parts.ein`")
    assert texts('import "parts.ein" (Act)', rules) == {"conv(4) >> silu"}


def test_a_rule_that_is_not_there_is_an_error_with_its_nearest_name() -> None:
    [error] = found('import "parts.ein" (Acts)', "rule Net = head(classes)\n")
    assert error.code == "E201" and "declares no `Acts`" in error.message and "`Act`" in error.help


def test_the_start_is_a_rule_of_this_file() -> None:
    errors = found('import "parts.ein" (Act)', "rule Net = head(classes)\nstart Act\n")
    assert "E201" in [error.code for error in errors]
