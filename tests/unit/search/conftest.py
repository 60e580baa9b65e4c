"""A space small enough to search in milliseconds, and the parts of a search over it."""

from __future__ import annotations

import pytest

from ein.grammar.check import load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source

TOY = """ein 1
grammar toy(longest = 24)
import std
input vec[8]
output vec[8]
rule Net = Unit @ 25% | Unit >> Net
rule Unit = identity | relu | leaky_relu | softmax | norm
limit modules <= longest
"""


@pytest.fixture(scope="session")
def sampler() -> Sampler:
    return Sampler.of(load_grammar(Source("toy", TOY)))


@pytest.fixture(scope="session")
def other() -> Sampler:
    """Of another grammar."""
    return Sampler.of(load_grammar(Source("toy", TOY.replace("softmax", "linear(8)"))))
