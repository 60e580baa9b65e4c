"""`ein explain`, and the pages it prints: every code has one, and what a page shows is what happens.

A page shows a file and what `ein check` says of it, or a command and its output; the last file is the first put right.
EIN_REWRITE_GOLDEN=1 rewrites what is said and the index; read them then.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ein.cli.explain import PAGES, codes
from ein.grammar.check import check
from ein.grammar.diagnostics import Source, render_all

Ein = Callable[..., Any]
ROOT = Path(__file__).parents[2]
REWRITE = bool(os.environ.get("EIN_REWRITE_GOLDEN"))
FENCE = re.compile(r"(?ms)^```(\w+)\n(.*?)^```$")
TOPICS = {
    "1": "Reading the text",
    "2": "Names, numbers and arguments",
    "3": "Terms and types",
    "4": "Operator bodies",
    "5": "Rules and weights",
    "6": "Files",
    "7": "Spaces and architectures",
    "8": "Data, training and search",
}


def _text(code: str) -> str:
    return (PAGES / f"{code}.md").read_text("utf-8")


def _blocks(code: str, *kinds: str) -> list[str]:
    return [text for kind, text in FENCE.findall(_text(code)) if kind in kinds]


def _with(code: str, kind: str, shown: str) -> None:
    """Puts the first block of that kind anew."""
    text = _text(code)
    found = re.search(rf"(?ms)^```{kind}\n.*?^```$", text)
    assert found is not None
    (PAGES / f"{code}.md").write_text(f"{text[: found.start()]}```{kind}\n{shown}```{text[found.end() :]}", "utf-8")


CHECKED = [code for code in codes() if not _blocks(code, "console") and len(_blocks(code, "ein")) == 2]
RUN = [code for code in codes() if _blocks(code, "console")]


def _codes_of_source() -> set[str]:
    folders = [ROOT / name for name in ("grammar", "compiler", "runtime", "search")]
    files = [path for folder in folders for path in folder.rglob("*.py")]
    files += [*(ROOT / "src/ein").glob("*.py"), *(ROOT / "src/ein/cli").glob("*.py")]
    return {code for path in files for code in re.findall(r'"([EW]\d{3})"', path.read_text("utf-8"))}


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert set(codes()) == _codes_of_source()


@pytest.mark.parametrize("code", codes())
def test_a_page_begins_with_its_code_and_says_what_it_means_and_what_to_do(code: str) -> None:
    title, meaning, *rest = _text(code).split("\n\n")
    assert re.fullmatch(rf"# {code}: [a-z`].*[^.]", title)
    assert len(meaning) > 60
    assert "```" not in meaning
    prose = FENCE.sub("", "\n\n".join(rest)).replace("`ein check` prints", "").split()
    assert len(prose) > 2
    assert "TODO" not in _text(code)


def _index() -> str:
    lines = [
        "# Diagnostics",
        "",
        "What `ein` says has a code, and each code a page: what it means, an example, and how to put it right.",
        "`ein explain E301` prints one. The pages leave out the last line of `ein check`, which counts what it found.",
        "Codes with `E` are errors, those with `W` warnings or notes.",
    ]
    for topic, title in TOPICS.items():
        rows = [code for code in codes() if code[1] == topic]
        if rows:
            lines += ["", f"## {title}", "", "| code | means |", "| --- | --- |"]
            lines += [f"| [{code}]({code}.md) | {_title(code)} |" for code in rows]
    return "\n".join(lines) + "\n"


def _title(code: str) -> str:
    return _text(code).partition("\n")[0].partition(": ")[2]


def test_the_index_lists_the_pages() -> None:
    if REWRITE:
        (PAGES / "README.md").write_text(_index(), "utf-8")
    assert (PAGES / "README.md").read_text("utf-8") == _index()


@pytest.mark.parametrize("code", CHECKED)
def test_the_example_is_wrong_as_the_page_says(code: str) -> None:
    wrong, _ = _blocks(code, "ein")
    found = check(Source("example.ein", wrong))[1]
    shown = render_all(found) + "\n"
    if REWRITE:
        _with(code, "text", shown)
    assert {d.code for d in found} == {code}
    assert _blocks(code, "text")[0] == shown
    assert "`ein check` prints" in _text(code)


@pytest.mark.parametrize("code", [code for code in codes() if len(_blocks(code, "ein")) == 2])
def test_the_example_put_right_is_right(code: str) -> None:
    right = _blocks(code, "ein")[-1]
    assert render_all(check(Source("example.ein", right))[1]) == ""


@pytest.mark.parametrize("code", RUN)
def test_the_command_says_what_the_page_shows(ein: Ein, folder: Path, code: str) -> None:
    for text in _blocks(code, "ein")[:1]:
        (folder / "example.ein").write_text(text, "utf-8")
    command = _blocks(code, "console")[0].partition("\n")[0]
    ended = ein(*shlex.split(command.removeprefix("$ "))[1:])
    shown = f"{command}\n{ended.out}{ended.err.rstrip()}\n"
    if REWRITE:
        _with(code, "console", shown)
    assert ended.code == 1
    assert _blocks(code, "console")[0] == shown
    assert f"error[{code}]" in shown


@pytest.mark.parametrize("code", sorted(set(codes()) - set(CHECKED) - set(RUN)))
def test_what_is_only_quoted_is_of_the_page(code: str) -> None:
    """These need data, a machine or a history that no example has; their own tests bring them about."""
    (shown,) = _blocks(code, "text")
    assert re.findall(r"(?:error|warning|note)\[(\w+)\]", shown) == [code]


def test_explain_prints_the_page(ein: Ein) -> None:
    for asked in ("E301", "e301", "301"):
        ended = ein("explain", asked)
        assert (ended.code, ended.out, ended.err) == (0, _text("E301"), "")
    assert ein("explain", "w502").out == _text("W502")


@pytest.mark.parametrize(
    ("asked", "nearest"), [("E300", "E301, E302, E303"), ("W500", "W501, E501, W502"), ("e", None), ("€", None)]
)
def test_an_unknown_code_is_told_with_the_nearest(ein: Ein, asked: str, nearest: str | None) -> None:
    ended = ein("explain", asked)
    assert (ended.code, ended.out) == (2, "")
    assert f"there is no diagnostic `{asked}`; the nearest are " in ended.err
    named = re.findall(r"[EW]\d{3}", ended.err.partition("nearest are")[2])
    assert len(named) == 3
    assert set(named) <= set(codes())
    assert nearest is None or ", ".join(named) == nearest
