"""The files in `notation/`: the standard library, packs, whole spaces and networks, and the corners of the syntax."""

from collections import Counter
from pathlib import Path

import pytest

from ein.grammar.diagnostics import Source, render_all
from ein.grammar.notation.actions import ACTIONS
from ein.grammar.notation.lexer import tokenize
from ein.grammar.notation.parser import parse, parse_limit
from ein.grammar.notation.printer import WIDTH, format_source
from ein.grammar.notation.reductions import Reduction, Symbols
from ein.grammar.notation.table import load

FOLDER = Path(__file__).parent / "notation"
FILES = sorted(FOLDER.glob("*.ein"))
STATEMENTS = {
    "bodies": 11,
    "comments": 10,
    "comments.formatted": 10,
    "corners": 24,
    "darts": 14,
    "derivation": 5,
    "einspace": 18,
    "hierarchical": 22,
    "packs": 43,
    "resnet18": 6,
    "std": 112,
    "unet": 6,
    "vit": 7,
}


def source_of(path: Path) -> Source:
    return Source(path.name, path.read_text(encoding="utf-8"))


def test_every_file_is_counted() -> None:
    assert {path.stem for path in FILES} == set(STATEMENTS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_parses(path: Path) -> None:
    file, diagnostics = parse(source_of(path))
    assert not diagnostics, render_all(diagnostics)
    assert len(file.statements) == STATEMENTS[path.stem]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_formatting_keeps_the_tree_and_the_comments_and_is_idempotent(path: Path) -> None:
    file, _ = parse(source_of(path))
    text = format_source(file.source)
    again, diagnostics = parse(Source("formatted", text))
    assert not diagnostics
    assert again == file
    assert [comment.text for comment in again.comments] == [comment.text for comment in file.comments]
    assert format_source(again.source) == text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_formatted_lines_fit(path: Path) -> None:
    for line in format_source(source_of(path)).splitlines():
        assert len(line.split("  #")[0]) <= WIDTH
        assert line == line.rstrip()


def test_comments_are_placed_as_in_the_golden_file() -> None:
    golden = FOLDER / "comments.formatted.ein"
    assert format_source(source_of(FOLDER / "comments.ein")) == golden.read_text(encoding="utf-8")


def test_the_files_use_every_word_and_sign_of_the_language() -> None:
    used = Counter(token.kind for path in FILES for token in tokenize(source_of(path))[0])
    assert not set(load().spelling) - set(used)


def test_the_files_use_every_production_that_makes_something(monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[str] = set()
    reduce = Symbols.reduce

    def watched(symbols: Symbols, by: Reduction) -> None:
        used.add(by.rule.action)
        reduce(symbols, by)

    monkeypatch.setattr(Symbols, "reduce", watched)
    for path in FILES:
        parse(source_of(path))
    parse_limit(Source("limit", "modules <= 3"))
    assert used - {""} == set(ACTIONS)
