"""docs/tutorial.md can be followed: files are saved, commands run and compared, in the order of the page.

EIN_REWRITE_GOLDEN=1 writes what the commands print into the page: read it then.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ein = Callable[..., Any]
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
TEXT = PAGE.read_text(encoding="utf-8")
FENCE = re.compile(r"(?ms)^```(\w+)(?: ([^\n]*))?\n(.*?)^```$")
IDS = re.compile(r"@[0-9a-f]{8}:[0-9a-f]{16}|^[0-9a-f]{16}", re.MULTILINE)


def blocks(kind: str) -> list[str]:
    return [text for found, _, text in FENCE.findall(TEXT) if found == kind]


def follow(ein: Ein, folder: Path, compared: bool) -> str:
    """Does what the page says down to the search; with `compared`, what it shows is what comes. Gives the page anew."""

    def step(found: re.Match[str]) -> str:
        kind, name, text = found.groups()
        if kind == "ein":
            (folder / name).write_text(text, encoding="utf-8")
            assert ein("fmt", "--check", name).code == 0
        if kind != "console":
            return found[0]
        shown = "".join(_told(ein, command) for command in re.findall(r"(?m)^\$ (.*)", text))
        assert not compared or IDS.sub("ID", shown).rstrip() == IDS.sub("ID", text).rstrip()
        return f"```console\n{shown.rstrip()}\n```"

    return FENCE.sub(step, TEXT)


def _told(ein: Ein, command: str) -> str:
    assert command.startswith("ein ")
    ended = ein(*shlex.split(command)[1:])
    assert ended.code in (0, 1)
    return f"$ {command}\n{ended.out}{ended.err}"


def test_the_steps_give_what_the_page_shows(ein: Ein, folder: Path) -> None:
    rewrite = bool(os.environ.get("EIN_REWRITE_GOLDEN"))
    page = follow(ein, folder, not rewrite)
    if rewrite:
        PAGE.write_text(page, encoding="utf-8")
    ET.parse(folder / "net.svg")
    assert ein("check", "mine.ein").out == "mine.ein: no mistakes\n"


def test_the_page_shows_mistakes_and_their_end() -> None:
    told = [text for text in blocks("console") if "error[" in text]
    assert len(told) >= 2
    assert {"E201", "E702", "E401"} <= set(re.findall(r"error\[(\w+)\]", "".join(told)))
    assert {"W503", "W504"} <= set(re.findall(r"warning\[(\w+)\]", "".join(blocks("console"))))


def test_the_codes_that_are_named_have_a_page() -> None:
    from ein.cli.explain import codes

    named = re.findall(r"ein explain (\w+)", TEXT)
    assert named and set(named) <= set(codes())


def test_the_python_runs(ein: Ein, folder: Path) -> None:
    follow(ein, folder, False)
    for code in blocks("python"):
        path = f"{ROOT / 'src'}{os.pathsep}{folder}"
        command = [sys.executable, "-c", code]
        ended = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=120
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout


def test_the_numbers_of_the_text_are_those_of_the_file(ein: Ein, folder: Path) -> None:
    """Four blocks on average, of which 10 % are gates. 600 draws; one false alarm in some thousands."""
    from ein.grammar.check import load_grammar
    from ein.grammar.derivations.sample import Sampler
    from ein.grammar.diagnostics import Source

    (text,) = (text for text in blocks("ein") if "params <=" in text)
    kept = r"rule Block : im[c, h, w] = relu @ 90% | gate @ 10%" + "\n" + r"rule "
    text = re.sub(r"(?s)rule Block.*", "", text) + kept.removesuffix("rule ")
    sampler = Sampler.of(load_grammar(Source("m.ein", text)))
    drawn = [sampler.draw(0, index).text.split(" >> ")[2:-2] for index in range(600)]
    every = [block for body in drawn for block in body]
    assert 3.4 < len(every) / len(drawn) < 4.6
    assert 0.07 < every.count("gate") / len(every) < 0.13


@pytest.mark.slow
def test_the_shell_lines_run(ein: Ein, folder: Path) -> None:
    """With two steps of training in place of seconds, and fewer networks."""
    follow(ein, folder, False)
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert [line.split()[1] for line in lines] == ["search", "top", "search", "show", "train"]
    lines.insert(0, re.findall(r"`(ein train [^`]*)`", TEXT)[0])
    for line in lines:
        line = re.sub(r"--evals (\d+)", lambda found: f"--evals {int(found[1]) // 4}", line)
        if line.split()[1] in ("search", "train"):
            line = re.sub(r"--seconds \S+", "--steps 2", line)
        ended = ein(*shlex.split(line)[1:])
        assert ended.code == 0, ended.err


def test_the_links_lead_somewhere() -> None:
    prose = re.sub(r"`[^`\n]*`", "", FENCE.sub("", TEXT))
    links = re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", prose)
    assert len(links) >= 3
    assert all((PAGE.parent / link).exists() for link in links)
