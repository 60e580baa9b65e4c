"""`ein mutate` and `ein crossover`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ein = Callable[..., Any]


@pytest.fixture
def drawn(ein: Ein) -> list[str]:
    assert ein("sample", "small.ein", "-n", "3", "--seed", "6", "-o", "drawn").code == 0
    return [f"drawn/small-6-{index}.ein" for index in range(3)]


def test_a_mutant_is_written_and_can_be_mutated_again(ein: Ein, drawn: list[str], folder: Path) -> None:
    first = ein("mutate", "small.ein", drawn[0], "-n", "12", "-o", "mutants")
    assert first.code == 0 and first.err == ""
    files = sorted(path.name for path in (folder / "mutants").iterdir())
    assert files == [f"small-mutant-0-{index:02}.ein" for index in range(12)]
    shown = ein("show", "mutants/small-mutant-0-07.ein", "--json")
    again = ein("mutate", "small.ein", "mutants/small-mutant-0-07.ein", "--json")
    assert json.loads(shown.out)["id"].endswith(first.out.splitlines()[7].split()[0])
    assert again.code == 0 and json.loads(again.out)["id"] != json.loads(shown.out)["id"]


@pytest.mark.parametrize("options", [[], ["--kind", "small"], ["--keep", "type"], ["--sites", "depth"]])
def test_mutant_number_3_is_the_same_however_many_there_are(ein: Ein, drawn: list[str], options: list[str]) -> None:
    few = ein("mutate", "small.ein", drawn[0], "-n", "4", "--seed", "5", *options).out.splitlines()
    many = ein("mutate", "small.ein", drawn[0], "-n", "9", "--seed", "5", *options).out.splitlines()
    other = ein("mutate", "small.ein", drawn[0], "-n", "9", "--seed", "6", *options).out.splitlines()
    assert few == many[:4] and len(set(many)) > 2 and many != other


def test_a_kind_keeps_to_what_it_is(ein: Ein, drawn: list[str]) -> None:
    parent = json.loads(ein("show", drawn[0], "--json").out)
    longer = json.loads(ein("mutate", "small.ein", drawn[0], "--kind", "insert", "--json").out)
    assert longer["modules"] > parent["modules"]
    values = ein("mutate", "small.ein", drawn[0], "-n", "5", "--kind", "value", "--json").out.splitlines()
    assert {json.loads(line)["modules"] for line in values} == {parent["modules"]}


def test_a_child_is_neither_parent(ein: Ein, drawn: list[str]) -> None:
    parents = {json.loads(ein("show", each, "--json").out)["id"] for each in drawn[:2]}
    ended = ein("crossover", "small.ein", *drawn[:2], "-n", "6", "--json", "-o", "children")
    children = {json.loads(line)["id"] for line in ended.out.splitlines()}
    assert ended.code == 0 and children and not children & parents
    assert ein("show", "children/small-child-0-0.ein").code == 0


def test_an_architecture_without_rules_is_parsed(ein: Ein) -> None:
    given = ["--input", "im[1, 28, 28]", "--output", "vec[7]"]
    ended = ein("mutate", "einspace", "zoo/einspace/resnet8", "--json", *given)
    told = json.loads(ended.out)
    assert (ended.code, told["input"], told["output"]) == (0, "im[1, 28, 28]", "vec[7]")
    outside = ein("mutate", "einspace", "zoo/resnet8")
    assert outside.code == 1 and outside.err.startswith("error[E707]: `einspace` does not derive this term")


def test_limits_hold_for_mutants(ein: Ein, drawn: list[str]) -> None:
    ended = ein("mutate", "small.ein", drawn[0], "-n", "20", "--limit", "modules <= 12", "--json")
    assert ended.code == 0
    assert max(json.loads(line)["modules"] for line in ended.out.splitlines()) <= 12
    none = ein("mutate", "small.ein", drawn[0], "--kind", "insert", "--limit", "modules <= 12")
    assert none.code == 1 and none.err.startswith("error[E706]: no edit of the kind `insert` of this derivation of 12")


def test_the_kinds_are_those_of_the_grammar() -> None:
    from ein.cli.edit import KINDS
    from ein.grammar.editing import edit

    assert KINDS == edit.KINDS


def test_wrong_usage(ein: Ein, drawn: list[str]) -> None:
    assert ein("mutate", "small.ein", drawn[0], "--kind", "swap", "--keep", "type").code == 2
    assert ein("mutate", "small.ein", drawn[0], "--kind", "shuffle").code == 2
    assert ein("crossover", "small.ein", drawn[0]).code == 2
