"""`ein distance`: what it prints, what it compares, and that it is the same everywhere."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ein as page

Ein = Callable[..., Any]
GOLDEN = Path(__file__).parents[1] / "golden" / "cli" / "distance.txt"


@pytest.fixture
def drawn(ein: Ein, folder: Path) -> list[str]:
    """Derivation files of einspace, of several sizes."""
    assert ein("sample", "einspace", "-n", "4", "--seed", "7", "--size", "10..20", "-o", "drawn").code == 0
    return sorted(str(path) for path in Path("drawn").iterdir())


def test_what_is_printed(ein: Ein, drawn: list[str]) -> None:
    pairs = [(drawn[0], drawn[1]), (drawn[2], drawn[3]), (drawn[1], drawn[1]), ("zoo/mixer_s", "zoo/vit_s")]
    said = "".join(f"$ ein distance {a} {b} --path\n{ein('distance', a, b, '--path').out}\n" for a, b in pairs)
    said = re.sub(r"@[0-9a-f]{8}:[0-9a-f]{16}", "@ID", said)  # ids change with the library
    if os.environ.get("EIN_REWRITE_GOLDEN"):
        GOLDEN.write_text(said, encoding="utf-8")
    assert said == GOLDEN.read_text(encoding="utf-8")


def test_the_edits_add_up_and_lead_to_the_second(ein: Ein, drawn: list[str]) -> None:
    a, b = (page.architecture(each) for each in drawn[:2])
    found = json.loads(ein("distance", *drawn[:2], "--path", "--json").out)
    assert (found["a"], found["b"], found["compared"]) == (a.id, b.id, "derivations")
    assert found["distance"] == page.distance(a, b) == sum(edit["cost"] for edit in found["edits"]) > 0
    assert (found["edits"][-1]["id"], found["edits"][-1]["modules"]) == (b.id, b.modules)
    assert {edit["kind"] for edit in found["edits"]} <= {"change", "insert", "delete", "replace"}


def test_without_path_there_are_no_edits(ein: Ein, drawn: list[str]) -> None:
    assert set(json.loads(ein("distance", *drawn[:2], "--json").out)) == {"a", "b", "distance", "compared"}


def test_a_derivation_and_an_architecture_are_compared_by_their_terms(ein: Ein, drawn: list[str]) -> None:
    found = json.loads(ein("distance", drawn[0], "zoo/resnet8", "--json", "--path").out)
    assert found["compared"] == "terms"
    assert {edit["id"] for edit in found["edits"]} == {None}
    assert found["distance"] == sum(edit["cost"] for edit in found["edits"])


def test_a_missing_file_is_told(ein: Ein) -> None:
    ended = ein("distance", "zoo/resnet8", "nope.ein")
    assert (ended.code, ended.out) == (1, "")
    assert "nope.ein" in ended.err


def test_the_hash_seed_does_not_matter(process: Callable[..., Any], drawn: list[str]) -> None:
    outs = [process("distance", drawn[2], drawn[3], "--path", PYTHONHASHSEED=seed) for seed in ("0", "5")]
    assert outs[0].stdout == outs[1].stdout and outs[0].returncode == 0
    assert b"edit\n" in outs[0].stdout
