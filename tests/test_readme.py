"""README.md is true: its grammar checks, its commands print what it shows, its Python runs, its picture is current."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from shutil import copyfile

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
GALLERY = ROOT / "docs" / "gallery"
IDS = re.compile(r"@[0-9a-f]{8}:[0-9a-f]{16}")
TRAINING = {"train": "--seconds 1", "search": "--evals 2 --steps 2"}
"""The budget that these commands get here instead of the one they show."""


def blocks(kind: str) -> list[str]:
    return re.findall(rf"(?ms)^```{kind}\n(.*?)^```$", TEXT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the file of the tour, and a command `ein` on the path, as after an installation."""
    (tmp_path / "small.ein").write_text(blocks("ein")[0], encoding="utf-8")
    command = tmp_path / "bin" / "ein"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ein "$@"\n')
    command.chmod(0o755)
    return tmp_path


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src")}
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(line, shell=True, cwd=folder, env=environment, text=True, timeout=120, **both)  # type: ignore[call-overload,no-any-return]


def test_every_grammar_checks_and_is_in_canonical_form(folder: Path) -> None:
    assert blocks("ein")
    for number, text in enumerate(blocks("ein")):
        (folder / f"{number}.ein").write_text(text, encoding="utf-8")
        assert shell(f"ein check {number}.ein && ein fmt --check {number}.ein", folder).returncode == 0


def test_every_grammar_can_be_drawn_from(folder: Path) -> None:
    """Its attempts succeed: the first one of the tour once asked for branches of a single tensor."""
    ended = shell("ein sample small.ein -n 50 --attempts 100", folder)
    assert (ended.returncode, len(ended.stdout.splitlines())) == (0, 50)


def test_the_console_shows_what_the_commands_print(folder: Path) -> None:
    parts = re.split(r"(?m)^\$ (.*)\n", "".join(blocks("console")))
    commands = list(zip(parts[1::2], parts[2::2], strict=True))
    assert len(commands) >= 3
    for command, shown in commands:
        assert shell(command, folder).stdout.rstrip() == shown.rstrip()


def test_the_emitted_source_is_what_compile_writes(folder: Path) -> None:
    drawing, compiling = re.findall(r"`(ein (?:draw|compile) [^`]+)`", TEXT)[::-1]
    for command in ("ein sample small.ein --seed 6 -o drawn", compiling, drawing):
        assert shell(command, folder).returncode == 0
    shown = next(block for block in blocks("python") if "class Net" in block)
    assert IDS.sub("ID", (folder / "net.py").read_text()) == IDS.sub("ID", shown)
    _current(folder / "small.svg")


def _current(picture: Path) -> None:
    """The gallery's picture of that name says the same; EIN_REWRITE_GOLDEN=1 replaces it: look at it then."""
    kept = GALLERY / picture.name
    if os.environ.get("EIN_REWRITE_GOLDEN"):
        copyfile(picture, kept)
    assert _words(picture) == _words(kept)
    assert kept.stat().st_size < 100_000


def _words(picture: Path) -> list[str]:
    """What the picture says, wherever the layout engine of this machine puts it."""
    found = ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")
    return sorted("".join(text.itertext()) for text in found)


def test_the_gallery_is_current_and_small(folder: Path) -> None:
    assert shell("ein draw zoo/resnet8 -o resnet8.svg", folder).returncode == 0
    _current(folder / "resnet8.svg")
    assert len(_words(folder / "resnet8.svg")) > 80


def test_the_python_runs(folder: Path) -> None:
    (code,) = (block for block in blocks("python") if "class Net" not in block)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "class Net(nn.Module):" in ended.stdout
    ET.parse(folder / "arch.svg")


@pytest.mark.parametrize("commands", ["sample show draw train", pytest.param("search top", marks=pytest.mark.slow)])
def test_the_shell_lines_run(folder: Path, commands: str) -> None:
    """All that begin with `ein`; those that train with a small budget."""
    lines = [line.partition("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    lines = [line for line in lines if line.startswith("ein ")]
    assert all(line.split()[1] in "sample show draw train search top".split() for line in lines)
    lines = [line for line in lines if line.split()[1] in commands.split()]
    assert len(lines) >= 2
    for line in lines:
        budget = TRAINING.get(line.split()[1])
        if budget is not None:
            line = re.sub(r"--(seconds|evals) \S+", "", line) + f" {budget}"
        ended = shell(line, folder)
        assert ended.returncode == 0, ended.stdout


def test_the_targets_of_make_are_there() -> None:
    targets = re.findall(r"(?m)^make (\w+)", "".join(blocks("sh")))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert targets
    assert all(re.search(rf"(?m)^{target}:", makefile) for target in targets)


def test_the_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", TEXT) + re.findall(r'src="([^":]+)"', TEXT)
    assert len(links) >= 3
    assert all((ROOT / link).exists() for link in links)
