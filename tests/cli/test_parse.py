"""`ein parse`, and what is said where a derivation file has outlived its grammar."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ein as page

Ein = Callable[..., Any]


def test_the_derivation_of_an_architecture_of_the_library(ein: Ein) -> None:
    ended = ein("parse", "einspace", "zoo/einspace/resnet8", "--json")
    facts = json.loads(ended.out)
    shown = json.loads(ein("show", "zoo/einspace/resnet8", "--json").out)
    assert (facts["term"], facts["params"], ended.err) == (shown["term"], shown["params"], "")
    space = page.load("einspace")
    found = space.parse("zoo/einspace/resnet8")
    assert (found.id, found.trace) == (facts["id"], facts["trace"])
    assert space.parse(page.architecture("zoo/einspace/resnet8")) == space.parse(found.term) == found


def test_a_term_as_text(ein: Ein) -> None:
    term = "conv(16) >> batch_norm >> relu >> max_pool >> conv(32, k = 1) >> batch_norm >> relu >> head(10)"
    line, probability, trace = ein("parse", "small.ein", "--term", term).out.splitlines()
    assert line.endswith("pool >> linear(10)") and "9 modules" in line
    assert probability.startswith("probability 10^-") and trace == "trace 0 0 0:16,3 0 0:32,1"
    assert page.load("small.ein").parse(term).trace == trace.removeprefix("trace ")


def test_sizes_are_those_that_are_asked_for(ein: Ein) -> None:
    term = "norm >> norm >> readout(7)"
    found = json.loads(
        ein("parse", "einspace", "--term", term, "--input", "im[1, 8, 8]", "--set", "classes=7", "--json").out
    )
    assert (found["input"], found["output"]) == ("im[1, 8, 8]", "vec[7]")


def test_where_a_term_leaves_the_grammar(ein: Ein) -> None:
    ended = ein("parse", "einspace", "zoo/resnet8")
    assert (ended.code, ended.out) == (1, "")
    assert "no rule gives `conv(16, bias = false)` there" in ended.err and "^" in ended.err
    with pytest.raises(page.EinError, match="does not derive"):
        page.load("einspace").parse("relu >> relu")


@pytest.mark.parametrize("given", [[], ["zoo/resnet8", "--term", "relu"]])
def test_one_of_both_is_needed(ein: Ein, given: list[str]) -> None:
    ended = ein("parse", "einspace", *given)
    assert ended.code == 2 and "an architecture or --term is needed, and not both" in ended.err


def test_a_file_without_rules_is_told(ein: Ein) -> None:
    ended = ein("parse", "zoo/resnet8", "zoo/resnet8")
    assert ended.code == 1 and ended.err.startswith("error[E501]")


def test_a_derivation_file_outlives_its_grammar(ein: Ein, folder: Path) -> None:
    (line,) = ein("sample", "small.ein", "--json", "-o", "drawn").out.splitlines()
    before = json.loads(line)
    show = ["show", "drawn/small-0-0.ein", "--json"]
    assert ein(*show).err == ""
    text = (folder / "small.ein").read_text()
    for change in (text.replace("| Conv >> Block", "| Conv >> Block @ 2"), text.replace("Block", "Part"), None):
        if change is None:
            (folder / "small.ein").unlink()
        else:
            (folder / "small.ein").write_text(change)
        ended = ein(*show)
        after = json.loads(ended.out)
        assert (after["id"], after["term"], after["params"]) == (before["id"], before["term"], before["params"])
        assert ended.code == 0 and len(ended.err.split("\n\n")[0].splitlines()) == 1
        assert ended.err.startswith("note[W721]: `small` ") and before["id"][6:14] in ended.err
        if change is not None:
            found = ein("parse", "small.ein", "drawn/small-0-0.ein", "--json")
            assert json.loads(found.out)["term"] == before["term"]


def test_the_python_page_packs_and_unpacks(folder: Path) -> None:
    space = page.load("einspace", input="im[1, 28, 28]", classes=7)
    for derivation in space.samples(5):
        assert space.unpack(page.pack(derivation)) == pickle.loads(pickle.dumps(derivation)) == derivation
    with pytest.raises(page.EinError, match="is not what these derivations were drawn from"):
        page.load("einspace").unpack(page.pack(space.sample()))
