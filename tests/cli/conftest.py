"""The command line as a user meets it: in this process where that is enough, in one of its own where it is not."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ein.cli import run

ROOT = Path(__file__).parents[2]
SMALL = """\
ein 1

grammar small(classes = 10)
import std

input im[3, 32, 32]
output vec[classes]

rule Net = Block >> max_pool >> Block >> head(classes)
rule Block = Conv | Conv >> Block | residual(Same)
rule Conv = conv(out in {16, 32, 64}, k in {1, 3}) >> batch_norm >> relu
rule Same : im[c, h, w] -> im[c, h, w] = conv(c, k in {3, 5}) >> batch_norm >> relu

limit modules <= 60, params <= 1M
"""


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str


Ein = Callable[..., Ended]
Process = Callable[..., subprocess.CompletedProcess[bytes]]


class _Input:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for each test, with `small.ein` in it; it is the current one."""
    (tmp_path / "small.ein").write_text(SMALL, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def ein(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ein:
    """`ein(*arguments, stdin=b"")` in this process."""

    def call(*arguments: str, stdin: bytes = b"") -> Ended:
        capfd.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", _Input(stdin))
            code = run(arguments)
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Ended(code, out, err)

    return call


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "PYTHONHASHSEED")}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), **changes}


@pytest.fixture
def process() -> Process:
    """`process(*arguments, stdin=b"", **environment)`: `python -m ein` to its end."""

    def call(*arguments: str, stdin: bytes = b"", **changes: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "ein", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, env=environment(**changes), timeout=120)

    return call
