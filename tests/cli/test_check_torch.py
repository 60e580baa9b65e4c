"""`ein check --torch`: the second witness, as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ein.grammar.bodies import vetted
from ein.grammar.numbers import Inapplicable

Ein = Callable[..., Any]
TEXT = "ein 1\nimport std\nop wide(n) : vec[d] -> vec[n] = nn.Linear(d, n)\nop same : vec[d] -> vec[d] = relu(x)\n"


@pytest.fixture
def file(folder: Path) -> Path:
    path = folder / "ops.ein"
    path.write_text(TEXT)
    return path


def test_nothing_is_said_where_the_two_agree(ein: Ein, file: Path) -> None:
    assert ein("check", "ops.ein", "--torch").out == "ops.ein: no mistakes\n"
    assert ein("check", "-", "--torch", stdin=TEXT.encode()).out == "-: no mistakes\n"


def test_what_both_refuse_is_said_once(ein: Ein, file: Path) -> None:
    file.write_text(TEXT.replace("nn.Linear(d, n)", "nn.Linear(n, d)"))
    assert [d["code"] for d in json.loads(ein("check", "ops.ein", "--torch", "--json").out)] == ["E401"]
    assert ein("check", "nope.ein", "--torch").code == 1


def test_a_disagreement_is_an_error_with_both_verdicts(ein: Ein, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = vetted.LAYERS["nn.Linear"]

    def facts(arguments: Any, x: tuple[int, ...]) -> vetted.Facts:
        if x[-1] > 20:
            raise Inapplicable("too wide")
        return honest.facts(arguments, x)

    monkeypatch.setitem(vetted.LAYERS, "nn.Linear", replace(honest, facts=facts))
    ended = ein("check", "ops.ein", "--torch", "--json")
    assert ended.code == 1
    ours, both = json.loads(ended.out)
    assert (ours["code"], both["code"], both["line"]) == ("E401", "E402", 3)
    assert "ein and torch disagree on whether the body of `wide`" in both["message"]
    said = "the shape rules of ein refuse it (too wide), and torch accepts it"
    assert said in ein("check", "ops.ein", "--torch").err
