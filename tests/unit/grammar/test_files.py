"""Derivation files of a grammar of one's own: found beside or above, and only if it is what it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from ein.grammar import term as t
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.files import derivation_text, read_architecture, write
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError

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
