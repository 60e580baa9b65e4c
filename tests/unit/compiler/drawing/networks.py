"""What tests of pictures share: networks of the library, drawn and by hand, and what is in a scene."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from ein.compiler.drawing.scene import Frame, Item, Run, Scene
from ein.compiler.graph import OpGraph
from ein.compiler.lower import lower
from ein.compiler.passes.wires import remove_wires
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source
from ein.grammar.load import library_names, library_source

SPACES = tuple(name for name in library_names() if "\nrule " in library_source(name).text)
ZOO = tuple(name for name in library_names() if name.startswith("zoo/"))


@cache
def of_zoo(name: str) -> Derivation:
    grammar = load_grammar(name)
    [arch] = grammar.architectures
    return architecture(grammar, arch)


@cache
def sampler(space: str) -> Sampler:
    return Sampler.of(load_grammar(space))


@cache
def sampled(space: str, index: int) -> Derivation:
    return sampler(space).draw(7, index)


@cache
def graph_of(derivation: Derivation, plain: bool = False) -> OpGraph:
    """As it is said; `plain` without identities and clones, as pictures show it."""
    graph = lower(derivation.term)
    return remove_wires(graph).graph if plain else graph


def written(text: str) -> Derivation:
    """The architecture `net` of a text that stands below the import of `std`."""
    return architecture(load_grammar(Source("test.ein", f"ein 1\nimport std\n{text}")), "net")


def parts(scene: Scene) -> Iterator[Frame | Run]:
    """All frames and runs, outer ones first."""
    stack: list[Item] = list(reversed(scene.items))
    while stack:
        item = stack.pop()
        if isinstance(item, Frame | Run):
            yield item
            stack += reversed(item.items)
