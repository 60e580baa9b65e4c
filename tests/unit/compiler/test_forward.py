"""How long expressions are is counted without writing them out, and has to be what their text says."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from ein.compiler import forward as compiler_forward
from ein.compiler.emit import emit
from ein.compiler.forward import Forward
from ein.compiler.graph import OpGraph
from ein.compiler.lower import lower
from ein.compiler.passes import optimise
from ein.compiler.source import flat
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source

WRITTEN = """ein 1
import std
op powers : vec[n] -> vec[n] = (x ** 2 + 1) ** 3 / (x ** (x - 1)) - -x
op bounds : vec[n] -> vec[n] = clamp(where(x > 0, x, -x), 0, 6) * (1 - x)
input vec[4]
arch net = powers >> bounds >> linear(4)
"""


def graphs() -> Iterator[OpGraph]:
    yield lower(architecture(load_grammar(Source("net.ein", WRITTEN))).term)
    for space in ("einspace", "sequence", "hybrid"):
        sampler = Sampler.of(load_grammar(space))
        yield from (lower(sampler.draw(3, index).term) for index in range(6))


def test_expressions_are_as_long_as_their_text(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = 0

    class Noted(compiler_forward._Writer):
        def run(self) -> Forward:
            nonlocal counted
            found = super().run()
            for number in self.unnamed.keys() - self.pieces:
                text = flat(self.unnamed[number].doc)
                assert self.extents[number] == (len(re.findall(r"[\w\])]\(", text)), len(text)), text
                counted += 1
            return found

    monkeypatch.setattr(compiler_forward, "_Writer", Noted)
    for graph in graphs():
        emit(graph)
        emit(optimise(graph).graph)
    assert counted > 300
