"""What only a process of its own can show: pipes, signals, terminals, hash seeds, start-up."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

Process = Callable[..., "subprocess.CompletedProcess[bytes]"]
SOURCE = Path(__file__).parents[2] / "src"


def _begin(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([sys.executable, "-m", "ein", *arguments], env=environment, start_new_session=True, **pipes)


def _until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not begin in time"
        time.sleep(0.02)


def test_the_same_seed_gives_the_same_bytes_under_other_hash_seeds(process: Process, folder: Path) -> None:
    def outputs(seed: str) -> list[bytes]:
        sample = process("sample", "einspace", "-n", "30", "--json", PYTHONHASHSEED=seed)
        process("sample", "small.ein", "-n", "3", "-o", seed, PYTHONHASHSEED=seed)
        written = [path.read_bytes() for path in sorted((folder / seed).iterdir())]
        compiled = process("compile", "zoo/resnet8", PYTHONHASHSEED=seed)
        assert len(written) == 3
        return [sample.stdout, compiled.stdout, *written]

    assert b"" not in outputs("1") == outputs("2")


@pytest.mark.parametrize("arguments", ["sample einspace -n 100000", "list", "--help"])
def test_a_reader_may_go_away(arguments: str) -> None:
    """Standard output is a pipe that nobody reads."""
    end, pipe = os.pipe()
    os.close(end)
    running = _begin(*arguments.split(), stdout=pipe)
    os.close(pipe)
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (0, b"")


def test_output_that_cannot_be_written_is_told() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "wb") as full:
        running = _begin("list", stdout=full)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 1
    assert b"No space left on device" in said
    assert b"Traceback" not in said


def test_closed_streams_change_no_status() -> None:
    command = f"{sys.executable} -m ein check nope.ein 2>&-"
    ended = subprocess.run(command, shell=True, env={**os.environ, "PYTHONPATH": str(SOURCE)}, timeout=60)
    assert ended.returncode == 1


def test_stopping_sample_leaves_whole_files(process: Process, folder: Path) -> None:
    out = folder / "drawn"
    running = _begin("sample", "einspace", "-n", "1000000", "-o", "drawn", stdout=subprocess.DEVNULL)
    _until(lambda: out.is_dir() and len(list(out.iterdir())) > 4)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert said.strip() == b"stopped"
    files = sorted(out.iterdir())
    assert {path.suffix for path in files} == {".ein"}
    assert process("check", *(str(path) for path in files[-5:])).returncode == 0


def test_ctrl_c_is_not_lost_where_a_weak_reference_is_cleared() -> None:
    code = (
        "import ein.cli, signal, sys, time, weakref\n"
        "class Thing: pass\n"
        "def work(*_, **__):\n"
        "    thing = Thing()\n"
        "    kept = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))\n"
        "    del thing\n"
        "    for _ in range(100): time.sleep(0.1)\n"
        "ein.cli.program.main = work\n"
        "ein.cli.main([])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, timeout=15)
    assert (ended.returncode, ended.stderr.strip()) == (130, b"stopped")


def test_stopping_the_start_is_quiet(folder: Path) -> None:
    """SIGINT while the program is being imported: at the import of click, which blocks here."""
    (folder / "click.py").write_text("import signal, time\nprint('here', flush=True)\ntime.sleep(60)\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(SOURCE)))}
    command = [sys.executable, "-m", "ein", "list"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"here\n"
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert (running.returncode, said) == (130, b"stopped\n")


@pytest.mark.parametrize(
    "stop", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)], ids=["Ctrl-C", "kill"]
)
def test_stopping_train_leaves_no_process_and_no_file(folder: Path, stop: signal.Signals) -> None:
    running = _begin("train", "zoo/resnet8", "--data", "digits", "--seconds", "60", "-o", "net")
    family = psutil.Process(running.pid)
    _until(lambda: len(family.children(recursive=True)) >= 2)
    time.sleep(1)
    children = family.children(recursive=True)
    running.send_signal(stop)
    _, said = running.communicate(timeout=30)
    assert running.returncode == (130 if stop == signal.SIGINT else -stop)
    assert b"Traceback" not in said
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert list((folder / "net").iterdir()) == []


def _on_a_terminal(**changes: str) -> bytes:
    terminal, side = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, "-m", "ein", "check", "nope.ein"]
    environment |= {"PYTHONPATH": str(SOURCE), "TERM": "xterm", **changes}
    subprocess.run(command, stderr=side, stdout=side, env=environment, timeout=60)
    os.close(side)
    said = os.read(terminal, 10_000)
    os.close(terminal)
    return said


def test_colour_on_a_terminal_only_and_not_with_no_color(process: Process) -> None:
    assert b"\x1b[1;31merror" in _on_a_terminal()
    assert b"\x1b" not in _on_a_terminal(NO_COLOR="1")
    assert b"\x1b[" in _on_a_terminal(NO_COLOR="")
    assert b"\x1b" not in process("check", "nope.ein").stderr


@pytest.mark.parametrize(
    "arguments", ["check einspace", "explain E301", "fmt --check einspace", "list", "--help", "train --help"]
)
def test_quick_commands_load_no_torch(arguments: str) -> None:
    """`benchmarks/check.py` says how quick they are."""
    program = "import sys; from ein.cli import run; run(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", program, *arguments.split()]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert not {"torch", "networkx", "numpy"} & set(ended.stderr.split())
