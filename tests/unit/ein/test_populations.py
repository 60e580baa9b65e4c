"""The architectures of folders and of studies: which they are, in what order, and what is said of the others."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from ein.grammar.check import Request
from ein.grammar.diagnostics import EinError
from ein.populations import Member, members
from ein.search.record import FILE
from ein.search.study import Study

from .populations import NET, SPACE, TWO, filled, searched

ANY = Request({}, None, None, {})


OTHER = "(select trace from proposals as other where other.term != proposals.term limit 1)"
"""The choices of another trial."""


def read(folder: Path, count: int | None = None, request: Request = ANY) -> tuple[list[Member], list[str]]:
    said: list[str] = []
    return members(folder, request, count, said.append), said


def names(found: list[Member]) -> list[str]:
    return [member.name for member in found]


def refused(folder: Path, request: Request = ANY) -> tuple[str, str, str]:
    with pytest.raises(EinError) as caught:
        read(folder, request=request)
    (told,) = caught.value.diagnostics
    return told.code, told.message, told.help


def test_files_stand_by_name_and_each_architecture_is_one(tmp_path: Path) -> None:
    found, said = read(filled(tmp_path, b=NET, a=TWO, c=NET))
    assert (names(found), said) == (["a-one", "a-two", "b", "c"], [])
    assert found[2].note == "2 modules · 112 params · 6.91 K MACs"
    assert found[0].derivation.text == "relu"


def test_what_cannot_be_drawn_is_told_in_one_line_each(tmp_path: Path) -> None:
    filled(
        tmp_path, good=NET, space=SPACE, broken="ein 1\narch net = (((", wrong=NET.replace("relu", "reluu"), empty=""
    )
    (tmp_path / "folder.ein").mkdir()
    (tmp_path / "binary.ein").write_bytes(bytes(range(256)))
    (tmp_path / "gone.ein").symlink_to("nowhere.ein")
    (tmp_path / "notes.txt").write_text("not looked at")
    found, said = read(tmp_path)
    assert names(found) == ["good"]
    left = {"binary", "broken", "empty", "folder", "gone", "space", "wrong"}
    assert {Path(line.partition(" is left out: ")[0]).stem for line in said} == left
    assert len(said) == len(left) and all(line.count("\n") == 0 and line.partition(": ")[2] for line in said)


def test_names_of_files_are_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "two\nlines\x1b[31m.ein").write_text("ein 1\narch net = (((")
    filled(tmp_path, good=NET)
    _, [line] = read(tmp_path)
    assert "\n" not in line and "\x1b" not in line


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_a_count_is_of_what_is_drawn(tmp_path: Path, count: int) -> None:
    folder = filled(tmp_path, a="ein 1\narch net = (((", b=TWO, c=NET, d=NET)
    assert names(read(folder, count)[0]) == ["b-one", "b-two", "c", "d"][:count]


def test_nothing_behind_the_last_one_is_read(tmp_path: Path) -> None:
    assert read(filled(tmp_path, a=NET, b="ein 1\narch net = ((("), 1)[1] == []


def test_a_folder_without_architectures(tmp_path: Path) -> None:
    assert refused(tmp_path / "none")[:2] == ("E601", f"there is no folder `{tmp_path / 'none'}`")
    assert refused(tmp_path)[0] == "E705"
    code, message, help = refused(filled(tmp_path, space=SPACE))
    assert (code, message) == ("E705", f"`{tmp_path}` holds no architecture")
    assert "ein sample" in help


def test_a_request_holds_for_each_file(tmp_path: Path) -> None:
    found, _ = read(filled(tmp_path, a=NET), request=Request({}, "im[3, 16, 16]", None, {}))
    assert repr(found[0].derivation.input) == "im[3, 16, 16]"


def test_a_study_is_read_best_first(tmp_path: Path) -> None:
    folder = searched(tmp_path / "runs")
    filled(tmp_path, toy=SPACE)
    found, said = read(folder)
    best = Study.read(folder).best(99)
    assert len(best) > 3 and said == []
    assert names(found) == [f"trial-{trial.number:04}" for trial in best]
    assert [member.derivation.text for member in found] == [trial.term for trial in best]
    sizes = [member.derivation.modules for member in found]
    assert sizes == sorted(sizes, reverse=True)
    assert found[0].note == f"{sizes[0]:.4f} · {sizes[0]} module{'s' * (sizes[0] != 1)}"
    assert names(read(folder, 2)[0]) == names(found)[:2]


@pytest.mark.parametrize("place", ["runs", ".", "elsewhere"])
def test_the_space_is_looked_for_around_the_study(tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = searched(tmp_path / "runs")
    filled(tmp_path / place, toy=SPACE)
    monkeypatch.chdir(tmp_path / place)
    assert read(folder)[0]


@pytest.mark.parametrize(
    "text", [None, SPACE.replace("gelu", "relu"), "ein 1\nrule S = (((", SPACE.replace("3)", "4)")]
)
def test_a_study_whose_space_is_another_or_gone(tmp_path: Path, text: str | None) -> None:
    folder = searched(tmp_path / "runs")
    if text is not None:
        filled(tmp_path, toy=text)
    code, message, help = refused(folder)
    assert code == "E862"
    assert message.startswith("the space `toy` (") and message.endswith(f"of the study `{folder}` is not at hand")
    assert help.startswith("put its file beside the study, unchanged")


def test_what_the_space_was_set_to_is_given_again(tmp_path: Path) -> None:
    folder = searched(tmp_path / "runs", p="5")
    filled(tmp_path, toy=SPACE)
    assert refused(folder)[0] == "E862"
    assert read(folder, request=Request({"p": "5"}, None, None, {}))[0]


@pytest.mark.parametrize("change", ["'[]'", "'nonsense'", "trace || 'x'", OTHER])
def test_a_trial_that_was_changed_is_named(tmp_path: Path, change: str) -> None:
    folder = searched(tmp_path / "runs")
    filled(tmp_path, toy=SPACE)
    number = Study.read(folder).best(1)[0].number
    with sqlite3.connect(folder / FILE) as database:
        database.execute("drop trigger proposals_keep_UPDATE")
        database.execute(f"update proposals set trace = {change} where number = {number}")
    code, message, _ = refused(folder)
    assert (code, message) == ("E862", f"trial {number} of `{folder}` is not a derivation of its space")


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.ein")).write_text(NET)
    (member,), said = read(tmp_path)
    assert said == []
    assert os.fsencode(member.name) == b"a\xff"
