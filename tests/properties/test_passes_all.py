"""All passes on networks of the library's spaces: exact in training and evaluation, and done after one run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from ein.compiler.carry import carry
from ein.compiler.graph import OpGraph
from ein.compiler.interpret import Interpreter
from ein.compiler.lower import lower
from ein.compiler.nodes import Use
from ein.compiler.passes import EVALUATION, PIPELINE, Rewritten, optimise
from ein.grammar.bodies.tensors import all_steps
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.types import Tensor as Type

SMALL = {"elements": 300_000, "macs": 5_000_000, "params": 500_000}
SPACES: dict[str, tuple[int, Request]] = {
    "einspace": (12, Request(input="im[3, 8, 8]", limits=SMALL)),
    "einspace1d": (12, Request(input="seq[1, 64]", limits=SMALL)),
    "hnb201": (1, Request(input="im[3, 8, 8]", parameters={"channels": 2})),
    "hnb201_act": (3, Request(input="im[3, 8, 8]", parameters={"channels": 2})),
    "hnb201_cell": (2, Request(input="im[3, 8, 8]", parameters={"channels": 2, "cells": 1})),
    "nb201": (4, Request(input="im[3, 8, 8]", parameters={"channels": 2, "cells": 1})),
    "darts": (1, Request(input="im[3, 16, 16]", parameters={"channels": 2})),
    "hybrid": (4, Request(input="im[3, 16, 16]", parameters={"width": 8})),
    "sequence": (6, Request(input="tok[16]", parameters={"width": 8})),
    "tabular": (12, Request()),
}


@pytest.fixture(autouse=True)
def doubles() -> Iterator[None]:
    """Some of these networks make a rounding of float32 a hundred thousand times as large."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize("name", SPACES)
def test_all_passes_are_exact(name: str) -> None:
    count, request = SPACES[name]
    sampler = Sampler.of(load_grammar(name, request))
    for index in range(count):
        graph = lower(sampler.draw(7, index).term)
        found = optimise(graph, checked=True)
        assert optimise(found.graph).graph is found.graph, "a second run finds nothing"
        assert_exact(graph, found, evaluates=False)
        folded = optimise(graph, EVALUATION, checked=True)
        assert optimise(folded.graph, EVALUATION).graph is folded.graph, "a second run finds nothing"
        assert_exact(graph, folded, evaluates=True)


def assert_exact(before: OpGraph, rewritten: Rewritten, evaluates: bool) -> None:
    """In evaluation, and unless that is all it is for, in training; there not where chance has a part."""
    torch.manual_seed(0)
    one, other = Interpreter(before), Interpreter(rewritten.graph)
    given = [example(leaf) for leaf in before.node(before.input).outputs]
    if not evaluates and not any(draws(node) for _, node in before.uses()):
        other.load_state_dict(carry(rewritten.weights, other.state_dict(), one.state_dict()))
        torch.testing.assert_close(other(*given), one(*given), rtol=1e-6, atol=1e-7)
    else:
        one(*given)
    other.load_state_dict(carry(rewritten.weights, other.state_dict(), one.state_dict()))
    torch.testing.assert_close(other.eval()(*given), one.eval()(*given), rtol=1e-6, atol=1e-7)


def example(leaf: Type) -> Tensor:
    if leaf.element == "int":
        return torch.randint(0, 8, (3, *leaf.sizes))
    return torch.randn(3, *leaf.sizes)


def draws(node: Use) -> bool:
    return any(step.op == "dropout" for step in all_steps(node.applied.body))


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("nb201", {"wires", "zeros", "common"}), ("darts", {"wires", "common"})],
)
def test_passes_fire_on_the_library(name: str, wanted: set[str]) -> None:
    sampler = Sampler.of(load_grammar(name, SPACES[name][1]))
    fired: Counter[str] = Counter()
    for index in range(5):
        graph: Any = lower(sampler.draw(5, index).term)
        for step in PIPELINE:
            after = step.rewrite(graph).graph
            fired[step.name] += after is not graph
            graph = after
    assert all(fired[each] >= 3 for each in wanted), fired
