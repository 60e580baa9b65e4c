"""`ein check --json`: the fields that docs/cli.md names, and nothing else on standard output."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

Ein = Callable[..., Any]
PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text("utf-8")
PLACE = {"file", "line", "column", "end_line", "end_column"}
FIELDS = {"code", "severity", "message", "help", "labels"} | PLACE

WRONG = """ein 1
import std
input im[3, 8, 8]
output vec[10]
rule Net = clone(2) >> (conv(16) & conv(32)) >> add >> head(10)
rule Unused = relu
"""


def _reported(ein: Ein, text: str) -> list[dict[str, Any]]:
    ended = ein("check", "-", "--json", stdin=text.encode())
    assert ended.err == ""
    found: list[dict[str, Any]] = json.loads(ended.out)
    assert ended.out.count("\n") == 1
    assert ended.code == any(each["severity"] == "error" for each in found)
    return found


def test_the_page_names_the_fields() -> None:
    section = PAGE.partition("\n## ein check\n")[2].partition("\n## ")[0]
    listed = section[section.index("Each item") : section.index("Lines and columns")]
    named = set(re.findall(r"`(\w+)`", listed))
    assert named == FIELDS | {"text"}


def test_a_report_has_exactly_these_fields_and_its_labels_theirs(ein: Ein) -> None:
    unused, join = sorted(_reported(ein, WRONG), key=lambda each: str(each["code"]), reverse=True)
    assert set(unused) == set(join) == FIELDS
    assert (unused["code"], unused["severity"], unused["labels"]) == ("W501", "warning", [])
    assert (join["code"], join["severity"], join["file"]) == ("E301", "error", "-")
    assert [set(label) for label in join["labels"]] == [PLACE | {"text"}] * 3
    assert join["message"] == "`add` needs equal tensors, and these are (im[16, 8, 8], im[32, 8, 8])"
    assert join["help"] == "give the branches one type, or join them with `concat(axis = 1)`"


def test_places_are_those_of_the_text_and_the_first_label_stands_beside_the_carets(ein: Ein) -> None:
    join = next(each for each in _reported(ein, WRONG) if each["code"] == "E301")
    assert [(_at(label), label["text"]) for label in join["labels"]] == [
        ("add", "every attempt of 400 stopped here"),
        ("conv(16)", "im[16, 8, 8]"),
        ("conv(32)", "im[32, 8, 8]"),
    ]
    assert _at(join) == "add"


def _at(place: dict[str, Any]) -> str:
    assert place["line"] == place["end_line"]
    text: str = WRONG.splitlines()[place["line"] - 1][place["column"] - 1 : place["end_column"] - 1]
    return text


def test_what_has_no_place_has_null_there_and_a_note_is_no_error(ein: Ein) -> None:
    missing = json.loads(ein("check", "nope.ein", "--json").out)
    assert [{name: each[name] for name in PLACE} for each in missing] == [dict.fromkeys(PLACE)]
    (note,) = _reported(ein, "ein 1\nimport std\nrule Net = relu\n")
    assert (note["code"], note["severity"]) == ("W701", "note")
    assert _reported(ein, "ein 1\nimport std\ninput im[3, 8, 8]\nrule Net = relu\n") == []
