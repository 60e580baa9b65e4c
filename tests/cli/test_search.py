"""`ein search`, `top`, `export`: small searches on the digits, killed, resumed and read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ein.grammar.diagnostics import EinError
from ein.search.protocol import Trial
from ein.search.study import Study

Ein = Callable[..., Any]
"""The fixture: `ein(*arguments)` in this process, with its code, out and err."""

COMMON = ("search", "einspace", "--data", "digits", "--steps", "2", "--population", "3", "--limit", "modules <= 12")


def trials(folder: Path) -> list[Trial]:
    """The trials of a study, without what depends on the clock."""
    return [replace(trial, seconds=0.0, facts={}) for trial in Study.read(folder).trials]


def ended(folder: Path) -> int:
    """Outcomes in the study so far, read beside the writer."""
    try:
        return sum(trial.finished for trial in Study.read(folder).trials)
    except EinError:
        return 0


def best_of(folder: Path) -> Trial:
    return Study.read(folder).best(1)[0]


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that nothing interrupted, with two workers."""
    folder = tmp_path_factory.mktemp("straight") / "runs"
    search = [sys.executable, "-m", "ein", *COMMON, "--evals", "7", "--workers", "2", "--out", str(folder), "--test"]
    done = subprocess.run(search, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "test accuracy of trial" in done.stdout
    assert "7 trials" in done.stdout
    return folder


def test_the_best_is_kept_as_text_code_picture_and_weights(straight: Path, ein: Ein) -> None:
    kept = {path.name for path in straight.iterdir()}
    assert {"best.ein", "best.py", "best.svg", "best.png", "best-derivation.svg", "study.db"} <= kept
    best = best_of(straight)
    assert [path.stem for path in (straight / "weights").iterdir()] == [str(best.number)]
    assert json.loads(ein("show", str(straight / "best.ein"), "--json").out)["term"] == best.term


def test_killed_and_resumed_it_is_the_same_search(straight: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    search = [sys.executable, "-m", "ein", *COMMON, "--evals", "7", "--workers", "1", "--out", str(folder)]
    process = subprocess.Popen(search, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and ended(folder) < 2:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    before = ended(folder)
    assert 2 <= before < 7
    subprocess.run([*search, "--resume"], check=True, capture_output=True)
    assert trials(folder) == trials(straight)


def test_ctrl_c_keeps_what_ended(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    search = [sys.executable, "-m", "ein", *COMMON, "--evals", "500", "--out", str(folder)]
    process = subprocess.Popen(search, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and ended(folder) < 1:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert "--resume" in said
    assert ended(folder) >= 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--resume",), "--resume goes with --out"),
        (("--epochs", "1"), "one of epochs, steps and seconds"),
        (("--seeds", "zoo/resnet8"), "does not derive this term"),
        (("--seeds", "zoo/resnet80"), "there is no library module"),
        (("--data", "nowhere"), "there is no data `nowhere`"),
        (("--input", "im[3, 8, 8]"), "needs im[1, 8, 8] -> vec[10]"),
        (("--strategy", "random", "--tournament", "3"), "random search has no"),
    ],
)
def test_mistakes_are_told_before_anything_runs(more: tuple[str, ...], said: str, ein: Ein) -> None:
    done = ein(*COMMON, "--evals", "3", *more)
    assert done.code in (1, 2)
    assert said in done.err


def test_another_search_is_not_mixed_into_a_study(straight: Path, ein: Ein) -> None:
    search = [*COMMON, "--evals", "9", "--out", str(straight)]
    again = ein(*search)
    assert again.code == 1
    assert "already holds a study of 7 trials" in again.err
    other = ein(*search, "--resume", "--seed", "5")
    assert other.code == 1
    assert "seed is 0 in the study and 5 here" in other.err


def test_a_damaged_study_is_told(tmp_path: Path, ein: Ein) -> None:
    (tmp_path / "study.db").write_bytes(b"no database" * 100)
    done = ein("top", str(tmp_path))
    assert done.code == 1
    assert "study.db" in done.err


def test_top_and_export_agree(straight: Path, ein: Ein) -> None:
    rows = json.loads(ein("top", str(straight), "--json").out)
    lines = [json.loads(line) for line in ein("export", str(straight)).out.splitlines()]
    assert [line["number"] for line in lines] == list(range(7))
    assert all({"id", "term", "status", "scores"} <= line.keys() for line in lines)
    scores = {line["number"]: line["scores"]["accuracy"] for line in lines if line["status"] == "ok"}
    assert [row["score"] for row in rows] == sorted(scores.values(), reverse=True)
    assert all(scores[row["number"]] == row["score"] for row in rows)
