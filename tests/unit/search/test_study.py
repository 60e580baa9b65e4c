"""The file of a study: what it keeps, whom it refuses, and what it says of files that are none."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError
from ein.search.evolution import Evolution
from ein.search.executor import Inline, Outcome
from ein.search.loop import run
from ein.search.protocol import Trial
from ein.search.random_search import RandomSearch
from ein.search.record import VERSION
from ein.search.study import Study, header

Filled = Callable[..., Path]


def size(derivation: Any) -> float:
    return float(derivation.modules)


@pytest.fixture
def head(sampler: Sampler) -> dict[str, Any]:
    return header(Evolution(sampler, 1, 8, 2), sampler, 8, task={"name": "digits", "epochs": 3})


@pytest.fixture
def filled(tmp_path: Path, sampler: Sampler, head: dict[str, Any]) -> Filled:
    """Searches in a folder up to so many trials."""

    def fill(evals: int = 20, folder: Path = tmp_path / "runs" / "a") -> Path:
        with Study.open(folder, head, resume=True) as study:
            run(study, Evolution(sampler, 1, 8, 2), Inline(size), evals, lambda d: d.text)
        return folder

    return fill


def error(of: pytest.ExceptionInfo[EinError]) -> tuple[str, str, str]:
    (diagnostic,) = of.value.diagnostics
    return diagnostic.code, diagnostic.message, diagnostic.help


def test_what_was_recorded_is_read_back(filled: Filled, head: dict[str, Any]) -> None:
    folder = filled()
    study = Study.read(folder)
    with Study.open(folder, head, resume=True) as again:
        assert again.trials == study.trials and len(study) == 20
    assert study.header == head == Study.kept_header(folder)
    assert [trial.number for trial in study.trials] == list(range(20))
    assert all(trial.finished for trial in study.trials)
    assert sorted(path.name for path in folder.iterdir()) == ["study.db", "study.lock"]


def test_every_field_of_a_trial_is_kept(tmp_path: Path, head: dict[str, Any]) -> None:
    trial = Trial(0, "child", 0, 3, "toy@1:2", "0 1:(2, 1)", "relu >> é", 2, "1:ab")
    outcome = Outcome("ok", {"b": 0.1 + 0.2, "a": -1e-300}, "", 1.25, {"history": [1, {"loss": float("nan")}]})
    with Study.open(tmp_path, head) as study:
        assert study.propose(trial) == []
        (ended,) = study.finish([(0, outcome)])
        assert study.trials == (ended,)
    (kept,) = Study.read(tmp_path).trials
    expected = replace(trial, status="ok", scores={"b": 0.1 + 0.2, "a": -1e-300}, seconds=1.25)
    assert kept == ended == replace(expected, facts={"history": [1, {"loss": None}]})
    assert list(kept.scores) == ["b", "a"]


def test_a_proposal_without_an_outcome_is_unfinished(tmp_path: Path, head: dict[str, Any]) -> None:
    trial = Trial(0, "founder", None, 0, "", "0", "relu", 1, "1")
    with Study.open(tmp_path, head) as study:
        study.propose(trial)
        study.propose(replace(trial, number=1, twin=0))
        assert Study.read(tmp_path).trials == study.trials == (trial, replace(trial, number=1, twin=0))
        assert not any(each.finished for each in study.trials)
        first, second = study.finish([(0, Outcome("timeout", reason="60 s are over", seconds=60))])
    assert (second.number, second.status, second.reason) == (1, "duplicate", "the network of trial 0")
    assert (first.status, second.scores, second.seconds) == ("timeout", {}, 0)
    assert Study.read(tmp_path).trials == (first, second)


def test_a_study_can_be_read_while_it_is_written(tmp_path: Path, sampler: Sampler, head: dict[str, Any]) -> None:
    seen: list[int] = []

    def reading(trial: Trial) -> None:
        read = Study.read(tmp_path)
        assert read.trials == study.trials
        seen.append(sum(each.finished for each in read.trials))

    with Study.open(tmp_path, head) as study:
        run(study, Evolution(sampler, 1, 8, 2), Inline(size), 10, lambda d: d.text, reading)
    assert seen == sorted(seen) and set(seen) == set(range(11))


def test_a_study_is_not_begun_twice(filled: Filled, head: dict[str, Any]) -> None:
    folder = filled(9)
    with pytest.raises(EinError) as raised:
        Study.open(folder, head)
    code, message, help = error(raised)
    assert (code, message) == ("E856", f"`{folder}` already holds a study of 9 trials")
    assert help == "--resume goes on with it; another --out begins a new one"


def test_another_search_is_refused_with_what_differs(filled: Filled, sampler: Sampler, other: Sampler) -> None:
    folder = filled()
    asked = header(Evolution(other, 2, 9, 2), other, 16, task={"name": "digits", "epochs": 5}, device="cpu")
    with pytest.raises(EinError) as raised:
        Study.open(folder, asked, resume=True)
    code, message, _ = error(raised)
    assert code == "E853"
    assert message == (
        f"the study in `{folder}` is of another search: "
        f"space is toy@{sampler.grammar.digest} in the study and toy@{other.grammar.digest} here; "
        "strategy.population is 8 in the study and 9 here; seed is 1 in the study and 2 here; "
        "lag is 8 in the study and 16 here; task.epochs is 3 in the study and 5 here; "
        "device is not set in the study and cpu here"
    )
    with pytest.raises(EinError, match=r"strategy\.name is evolution in the study and random here"):
        Study.open(folder, header(RandomSearch(sampler, 1), sampler, 8), resume=True)


def test_notes_are_kept_and_may_differ(tmp_path: Path, head: dict[str, Any]) -> None:
    Study.open(tmp_path, head, notes={"version": "1"}).close()
    with Study.open(tmp_path, head, resume=True, notes={"version": "2"}) as study:
        assert study.notes == {"version": "1"}


def test_a_lag_below_one_is_refused(sampler: Sampler) -> None:
    with pytest.raises(ValueError, match="lag is at least 1, got 0"):
        header(RandomSearch(sampler), sampler, 0)


def test_a_second_writer_is_refused_and_may_write_later(tmp_path: Path, head: dict[str, Any]) -> None:
    with Study.open(tmp_path, head):
        with pytest.raises(EinError) as raised:
            Study.open(tmp_path, head, resume=True)
        code, message, help = error(raised)
        assert code == "E854"
        assert message.startswith(f"process {os.getpid()} on ")
        assert message.endswith(f" is writing to the study in `{tmp_path}`")
        assert help.startswith("wait until it ends")
    Study.open(tmp_path, head, resume=True).close()


HOLD = (
    "import sys; from ein.search.study import Study; s = Study.open(sys.argv[1], {'lag': 8}); print('open', flush=True)"
)


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the study open."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", f"{HOLD}; sys.stdin.read()", str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        assert process.stdout is not None and process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_a_writer_that_was_killed_holds_no_lock(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(EinError, match=f"process {holder.pid} on .* is writing"):
        Study.open(tmp_path, {"lag": 8}, resume=True)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    Study.open(tmp_path, {"lag": 8}, resume=True).close()


def test_without_a_folder_nothing_is_written(
    tmp_path: Path, sampler: Sampler, head: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Study.open(None, head) as study:
        run(study, Evolution(sampler, 1, 8, 2), Inline(size), 12, lambda d: d.text)
        study.reload()
    assert len(study.trials) == 12 and not list(tmp_path.iterdir())


def test_a_folder_without_a_study(tmp_path: Path) -> None:
    for begun in (False, True):
        with pytest.raises(EinError) as raised:
            Study.read(tmp_path)
        assert error(raised)[:2] == ("E858", f"there is no study in `{tmp_path}`")
        assert Study.kept_header(tmp_path) is None
        if not begun:
            (tmp_path / "study.db").touch()  # as a writer leaves it that was killed at once


@pytest.mark.parametrize("resume", [False, True])
def test_an_empty_beginning_becomes_a_study(tmp_path: Path, head: dict[str, Any], resume: bool) -> None:
    (tmp_path / "study.db").touch()
    with Study.open(tmp_path, head, resume=resume) as study:
        assert study.trials == () and study.header == head


def opened(folder: Path) -> None:
    Study.open(folder, {"lag": 8}, resume=True)


@pytest.mark.parametrize("open", [Study.read, opened])
def test_files_that_are_no_study(tmp_path: Path, open: Callable[[Path], object]) -> None:
    path = tmp_path / "study.db"
    path.write_text("not a database, and long enough to be looked at " * 30)
    with pytest.raises(EinError) as raised:
        open(tmp_path)
    assert error(raised)[:2] == ("E850", f"`{path}` is not a study of ein")
    path.unlink()
    with sqlite3.connect(path) as foreign:
        foreign.execute("CREATE TABLE trials (number INTEGER)")
    foreign.close()
    before = path.read_bytes()
    with pytest.raises(EinError) as raised:
        open(tmp_path)
    assert error(raised)[:2] == ("E850", f"`{path}` is not a study of ein")
    assert path.read_bytes() == before


def test_a_study_of_a_later_version(filled: Filled, head: dict[str, Any]) -> None:
    folder = filled()
    with sqlite3.connect(folder / "study.db") as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    with pytest.raises(EinError) as raised:
        Study.open(folder, head, resume=True)
    code, message, _ = error(raised)
    assert code == "E852" and f"later version of ein (format {VERSION + 1}, known up to {VERSION})" in message


@pytest.mark.parametrize("open", [Study.read, opened])
def test_a_damaged_study(filled: Filled, open: Callable[[Path], object]) -> None:
    path = filled(40) / "study.db"
    whole = path.read_bytes()
    assert len(whole) > 5 * 4096
    for harmed in (whole[: 2 * 4096], whole[:4096] + b"\xff" * 16000 + whole[20096:]):
        path.write_bytes(harmed)
        with pytest.raises(EinError) as raised:
            open(path.parent)
        code, message, help = error(raised)
        assert (code, help) == ("E851", "restore the folder from a copy, or begin a new study in another")
        assert message.startswith(f"`{path}` is damaged: ")


def test_a_record_that_somebody_changed(filled: Filled) -> None:
    path = filled() / "study.db"
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TRIGGER outcomes_keep_UPDATE")
        connection.execute("UPDATE outcomes SET scores = '{' WHERE number = 3")
    connection.close()
    with pytest.raises(EinError) as raised:
        Study.read(path.parent)
    assert error(raised)[0] == "E851"


@pytest.mark.parametrize("table", ["meta", "proposals", "outcomes"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET rowid = rowid + 1000"])
def test_the_file_is_only_added_to(filled: Filled, table: str, change: str) -> None:
    connection = sqlite3.connect(filled() / "study.db")
    with pytest.raises(sqlite3.IntegrityError, match="a study is only added to"):
        connection.execute(change.format(table))
    connection.close()


def test_a_folder_that_cannot_be_made(tmp_path: Path, head: dict[str, Any]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EinError) as raised:
        Study.open(tmp_path / "file" / "runs", head)
    assert error(raised)[0] == "E605"


FULL = """
import resource, sys
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import EinError
from ein.grammar.derivations.sample import Sampler
from ein.search.executor import Inline
from ein.search.loop import run
from ein.search.random_search import RandomSearch
from ein.search.study import Study, header

sampler = Sampler.of(load_grammar(sys.argv[2]))
strategy = RandomSearch(sampler, 0)
ended = 0
def told(trial):
    global ended
    ended += trial.finished
if sys.argv[3] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    with Study.open(sys.argv[1], header(strategy, sampler, 8), resume=True) as study:
        run(study, strategy, Inline(lambda d: d.modules), 100, lambda d: d.text, told)
except EinError as error:
    print(error, file=sys.stderr)
print(ended)
"""


def test_a_full_disk_is_one_message_and_loses_nothing(tmp_path: Path) -> None:
    """The limit on the size of a file stands in for the disk; the log of changes reaches it long before 100 trials."""
    grammar = tmp_path / "toy.ein"
    grammar.write_text(
        "ein 1\ngrammar toy\nimport std\ninput vec[8]\nrule Net = relu | relu >> Net\nlimit modules <= 9\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

    def searched(folder: str, limit: int) -> tuple[int, str]:
        command = [sys.executable, "-c", FULL, str(tmp_path / folder), str(grammar), str(limit)]
        ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=True)
        return int(ran.stdout), ran.stderr

    ended, message = searched("a", 200_000)
    assert 0 < ended < 100
    assert message.startswith("error[E855]: ") and "Traceback" not in message and message.count("error") <= 2
    assert "all that was recorded is kept, and --resume goes on from it" in message
    kept = Study.read(tmp_path / "a").trials
    assert sum(trial.finished for trial in kept) == ended
    assert searched("a", 0) == (100 - ended, "") and searched("b", 0) == (100, "")
    resumed, straight = (Study.read(tmp_path / name).trials for name in "ab")
    assert [replace(trial, seconds=0) for trial in resumed] == [replace(trial, seconds=0) for trial in straight]


def test_a_line_for_each_trial(filled: Filled) -> None:
    study = Study.read(filled())
    lines = [json.loads(line) for line in study.to_jsonl()]
    assert [line["number"] for line in lines] == list(range(20))
    for line, trial in zip(lines, study.trials, strict=True):
        assert list(line)[:4] == ["id", "term", "status", "scores"]
        assert Trial(**line) == trial
