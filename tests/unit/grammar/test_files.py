"""Derivation files of a grammar of one's own: found beside or above, and only if it is what it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from ein.grammar import term as t
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.files import derivation_text, read_architecture, write
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Diagnostic, EinError

GRAMMAR = """\
ein 1
grammar g(classes = 10)
import std
input im[3, 8, 8]
output vec[classes]
op twice : im[c, h, w] -> im[c, h, w] = x * 2
rule Net = Block >> head(classes)
rule Block = twice | conv(out in {4, 8}) >> Block
"""


@pytest.fixture
def grammar(tmp_path: Path) -> Path:
    path = tmp_path / "my space.ein"
    path.write_text(GRAMMAR, encoding="utf-8")
    return path


@pytest.mark.parametrize("folder", [".", "drawn"])
def test_it_comes_back_with_its_rules(grammar: Path, tmp_path: Path, folder: str) -> None:
    drawn = Sampler.of(load_grammar(str(grammar), Request({"classes": 4}))).draw(3)
    file = tmp_path / folder / "net.ein"
    write(file, derivation_text(drawn))
    found = read_architecture(str(file))
    assert (found.id, found.text, found.trace) == (drawn.id, drawn.text, drawn.trace)
    assert [n.name for n in t.walk(found.term) if isinstance(n, t.Named)][:2] == ["Net", "Block"]


@pytest.mark.parametrize("change", ["gone", "changed"])
def test_without_its_grammar_the_term_stands_for_it(grammar: Path, tmp_path: Path, change: str) -> None:
    drawn = Sampler.of(load_grammar(str(grammar))).draw(3)
    file = tmp_path / "net.ein"
    write(file, derivation_text(drawn))
    if change == "gone":
        grammar.unlink()
    else:
        grammar.write_text(GRAMMAR.replace("{4, 8}", "{8, 4}"), encoding="utf-8")
    found = read_architecture(str(file))
    assert (found.id, found.text, found.cost) == (drawn.id, drawn.text, drawn.cost)
    assert found.finished


@pytest.mark.parametrize("space", ["../my space", "/etc/passwd", "a\\\\b", ""])
def test_a_strange_name_of_a_space_is_not_looked_for(grammar: Path, tmp_path: Path, space: str) -> None:
    folder = tmp_path / "drawn"
    drawn = Sampler.of(load_grammar(str(grammar))).draw(3)
    file = folder / "net.ein"
    write(file, derivation_text(drawn).replace('of "g"', f'of "{space}"'))
    assert read_architecture(str(file)).finished


def test_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EinError, match="cannot be written"):
        write(tmp_path / "file" / "net.ein", "text")


def said(file: Path) -> tuple[bool, list[str]]:
    """Whether the term stands for the derivation, and what is told."""
    notes: list[Diagnostic] = []
    found = read_architecture(str(file), say=notes.append)
    assert all((note.code, note.severity) == ("W721", "note") for note in notes)
    return found.finished, [note.message for note in notes]


CHANGES = {
    "a weight": ("twice |", "twice @ 3 |"),
    "a rule's name": ("Block", "Part"),
    "an operator": ("x * 2", "x * 3"),
    "a parameter": ("g(classes = 10)", "g(classes = 10, more = 1)"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_grammar_is_told(grammar: Path, tmp_path: Path, change: str) -> None:
    drawn = Sampler.of(load_grammar(str(grammar))).draw(3)
    file = tmp_path / "net.ein"
    write(file, derivation_text(drawn))
    assert said(file) == (False, [])
    before, after = CHANGES[change]
    assert before in GRAMMAR
    grammar.write_text(GRAMMAR.replace(before, after), encoding="utf-8")
    now = load_grammar(str(grammar)).digest
    stands = "the term that the file keeps stands for it"
    then = drawn.space.grammar.digest
    told = f"`g` has changed since this was drawn from it: {then} then, {now} now; {stands}"
    if change == "a parameter":
        assert now != then
    assert said(file) == (True, [told])
    assert read_architecture(str(file)).id == drawn.id


def test_a_grammar_that_is_gone_or_has_mistakes_is_told(grammar: Path, tmp_path: Path) -> None:
    drawn = Sampler.of(load_grammar(str(grammar))).draw(3)
    file, digest = tmp_path / "net.ein", drawn.space.grammar.digest
    write(file, derivation_text(drawn))
    grammar.write_text(GRAMMAR.replace("twice |", "twce |"), encoding="utf-8")
    assert said(file)[1][0].startswith(f"`g` has changed since this was drawn from it: {digest} then, with mistakes")
    grammar.unlink()
    assert said(file)[1][0].startswith(f"`g` ({digest}) is neither in the library nor beside, above or here")


def test_choices_that_give_another_term_are_told(grammar: Path, tmp_path: Path) -> None:
    drawn = Sampler.of(load_grammar(str(grammar))).draw(3)
    file = tmp_path / "net.ein"
    write(file, derivation_text(drawn).replace(f'trace "{drawn.trace}"', 'trace "0 1:4 1:4 1:4 0"'))
    assert said(file)[1][0].startswith("the choices in this file are not those that `g` makes for its term")


def test_a_space_may_be_called_as_one_of_the_library(tmp_path: Path) -> None:
    space = tmp_path / "space.ein"
    space.write_text(GRAMMAR.replace("grammar g(", "grammar einspace("), encoding="utf-8")
    drawn = Sampler.of(load_grammar(str(space))).draw(3)
    write(tmp_path / "net.ein", derivation_text(drawn))
    assert read_architecture(str(tmp_path / "net.ein")).trace == drawn.trace
