"""docs/cli.md against the program: commands, options, defaults, and every example."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import ein as page
from ein.cli import COMMANDS
from ein.compiler.passes import PIPELINE

Ein = Callable[..., Any]
ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")
IDS = re.compile(r"@[0-9a-f]{8}:[0-9a-f]{16}|@[0-9a-f]{8}(?=#)|(?<=digest \")[0-9a-f]{8}")


def _sections() -> dict[str, str]:
    parts = re.split(r"(?m)^## (.*)\n", TEXT)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"(?ms)^```{kind}\n(.*?)^```$", TEXT)


def _transcript() -> list[tuple[str, str]]:
    """Every command of the console blocks with the output that the page shows."""
    parts = re.split(r"(?m)^\$ (.*)\n", "".join(_blocks("console")))
    return list(zip(parts[1::2], parts[2::2], strict=True))


def _options_of_page(section: str) -> set[str]:
    rows = re.findall(r"(?m)^\| (`.*?`.*?) \|", section)
    return {option for row in rows for quoted in re.findall(r"`(.*?)`", row) for option in OPTION.findall(quoted)}


def test_every_command_has_a_section() -> None:
    named = [title.removeprefix("ein ") for title in _sections() if title.startswith("ein ")]
    assert named == list(COMMANDS)
    contents = TEXT[: TEXT.index("The examples use")]
    assert all(f"[{name}](#ein-{name})" in contents for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_lists_the_options_of_help(ein: Ein, command: str) -> None:
    told = ein(command, "--help").out.partition("\nOptions:\n")[2]
    rows = re.findall(r"(?m)^  (-.*?)(?:  |$)", told)
    options = {option for row in rows for option in OPTION.findall(row)} - {"-h", "--help"}
    assert _options_of_page(_sections()[f"ein {command}"]) == options


def test_a_planted_option_is_seen() -> None:
    assert _options_of_page("| `-o`, `--out FILE` | x `--no` |\n| `--size K` or `A..B` | y |") == {
        "-o",
        "--out",
        "--size",
    }


def test_the_passes_and_limits_are_named() -> None:
    assert all(f"`{step.name}`" in _sections()["ein show"] for step in PIPELINE)


def test_the_training_settings_and_their_defaults() -> None:
    from ein.runtime.settings import TrainSettings

    rows = re.findall(r"(?m)^\| `(\w+)` \| (.*?) \|", _sections()["Training settings"])
    assert rows == [(name, str(value)) for name, value in asdict(TrainSettings()).items()]


def test_the_built_in_data_are_named() -> None:
    from ein.runtime.sources import BUILT_IN

    assert ", ".join(f"`{name}`" for name in BUILT_IN) in _sections()["Data"]


def test_the_python_page_is_whole() -> None:
    named = set(re.findall(r"`ein\.(\w+)", _sections()["From Python"]))
    functions = {name for name in page.__all__ if name[0].islower() and name[0] != "_"}
    assert functions - {"search"} <= named <= set(page.__all__) | {"search"}


def test_the_example_file_is_that_of_the_tests(folder: Path) -> None:
    assert _blocks("ein") == [(folder / "small.ein").read_text()]


def test_the_console_examples_print_what_the_page_shows(folder: Path, ein: Ein) -> None:
    for command, shown in _transcript():
        first, pipe, last = command.rpartition(" | ")
        given = subprocess.run(first, shell=True, capture_output=True, check=True).stdout if pipe else b""
        if not last.startswith("ein "):
            said = subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout
        else:
            ended = ein(*_arguments(last), stdin=given)
            said = ended.out + ended.err
        assert IDS.sub("ID", said).rstrip() == IDS.sub("ID", shown).rstrip(), command


def test_the_pages_show_one_digest_of_the_example() -> None:
    """The comparison above leaves ids out, since they change with the library."""
    pages = TEXT + (ROOT / "README.md").read_text(encoding="utf-8")
    told = re.findall(r"small@([0-9a-f]{8})|digest \"([0-9a-f]{8})", pages)
    assert len(told) >= 5 and len({space or file for space, file in told}) == 1


def _arguments(command: str) -> list[str]:
    import shlex

    return shlex.split(command)[1:]


@pytest.mark.parametrize("commands", ["compile draw", pytest.param("train search top export", marks=pytest.mark.slow)])
def test_the_shell_examples_run(ein: Ein, commands: str) -> None:
    """Those that train take a budget of two steps here; the README's are run always."""
    ein("sample", "small.ein", "--seed", "6", "-o", "drawn")
    ein("mutate", "small.ein", "drawn/small-6-0.ein", "-n", "2", "-o", "mutants")
    lines = [line for block in _blocks("sh") for line in block.splitlines() if line.split()[1] in commands.split()]
    assert len(lines) >= 4
    for line in lines:
        arguments = _arguments(re.sub(r"--seconds \S+|--steps \S+", "--steps 2", line))
        ended = ein(*arguments)
        assert (ended.code, line) == (0, line), ended.err


def test_the_python_example_runs(folder: Path) -> None:
    (code,) = _blocks("python")
    command = [sys.executable, "-c", code]
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": ""}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith("did you mean `einspace`?\n")
    assert (folder / "resnet8.svg").is_file()
