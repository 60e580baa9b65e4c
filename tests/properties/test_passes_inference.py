"""Passes for networks that only evaluate: exact there for the weights as they are folded, and never by themselves."""

from __future__ import annotations

import pytest
import torch

from ein.compiler.carry import carry, carry_back
from ein.compiler.graph import OpGraph, verify
from ein.compiler.interpret import Interpreter
from ein.compiler.lower import lower
from ein.compiler.passes import INFERENCE, PIPELINE, Pass, Rewritten, linears, norms, optimise, scales
from ein.compiler.weights import Entry, Folded, Recipe
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source

from .passes import TIMES, graphs, names, without_wires

OPERATORS = """
op scaled(s: real) : t -> t = s * x
op divided(s: real) : t -> t = x / s
"""

NORMS = f"""
grammar norms
import std
start Net
input im[3, 5, 5]
{OPERATORS}
rule Net = Image | Image >> flatten >> Words | Image >> pool >> Features
rule Image = Folds | Folds >> Image | Part >> Image
rule Folds = Conv >> batch_norm | Conv >> norm >> Part | clone(2) >> (Conv2 >> batch_norm & Conv2) >> add
           | Conv >> batch_norm >> batch_norm | clone(2) >> tied (conv(3) >> batch_norm) ^ 2 >> add >> Conv >> norm
rule Conv  = for out in {{1..4}}, k in {{1, 3}}, bias in {{true, false}} : conv(out, k = k, bias = bias)
rule Conv2 = conv(4, bias = false) | conv(4)
rule Words = linear(out in {{1..4}}) >> batch_norm | linear(3, bias = false) >> batch_norm >> tanh
rule Features = linear(out in {{2..4}}) >> batch_norm
rule Part  = relu | tanh | dwconv
limit modules <= 30
"""

NO_NORMS = f"""
grammar almost
import std
start Net
input im[4, 4, 4]
{OPERATORS}
rule Net = One | One >> relu >> Net
rule One
  = conv(4) >> relu >> batch_norm | conv(4) >> clone(2) >> (batch_norm & identity) >> add | batch_norm >> conv(4)
  | conv(4) >> layer_norm | linear(4) >> batch_norm | conv(4) >> instance_norm
  | conv(4) >> permute((2, 1, 3)) >> batch_norm
  | clone(2) >> tied (conv(4) >> batch_norm) ^ 2 >> add | max_pool(1, s = 1) >> batch_norm
  | clone(2) >> tied conv(4) ^ 2 >> batch_norm ^ 2 >> add | clone(2) >> conv(4) ^ 2 >> tied batch_norm ^ 2 >> add
limit modules <= 30
"""

SCALES = f"""
grammar scales
import std
start Net
input im[3, 5, 5]
{OPERATORS}
rule Net = Two | Two >> Net | Part >> Net
rule Two = Map >> Scale | Scale >> Map | Scale >> Map >> Scale | Map >> Scale >> Scale >> Map
         | clone(2) >> (linear(5) >> Scale & linear(5)) >> add
rule Map = conv(out in {{1..4}}) | linear(5) | conv(3, bias = false) | dwconv
rule Scale = scaled(s in {{0.5, -2}}) | divided(3)
rule Part = relu | norm | tanh
limit modules <= 30
"""

NO_SCALES = f"""
grammar almost
import std
start Net
input im[3, 5, 5]
{OPERATORS}
op shifted : t -> t = x + 2
op inverse : t -> t = 2 / x
op learnt  : im[c, h, w] -> im[c, h, w] param s[c] = 2 = s * x
rule Net = One | One >> tanh >> Net
rule One
  = conv(3) >> relu >> scaled(2) | scaled(2) >> relu >> conv(3) | conv(3) >> (shifted | inverse | learnt | norm)
  | conv(3) >> clone(2) >> (scaled(2) & identity) >> add | scaled(2) >> clone(2) >> (conv(3) & identity) >> add
  | clone(2) >> tied conv(3) ^ 2 >> (scaled(2) & identity) >> add | norm >> scaled(2)
limit modules <= 30
"""

LINEARS = """
grammar linears
import std
input seq[5, 6]
rule Net = Two | Two >> Net | tanh >> Net
rule Two = Wide >> Last | Wide >> Wide >> Last | clone(2) >> (Wide >> linear(6) & linear(6)) >> add
rule Wide = for out in {6..9}, bias in {true, false} : linear(out, bias = bias)
rule Last = for out in {3..6}, bias in {true, false} : linear(out, bias = bias) | linear(6) >> relu
limit modules <= 30
"""

NO_LINEARS = """
grammar almost
import std
input seq[5, 6]
rule Net = One | One >> tanh >> Net
rule One
  = linear(2) >> linear(6) | linear(6) >> relu >> linear(6) | linear(6) >> clone(2) >> (linear(6) & identity) >> add
  | linear(5) >> transpose >> linear(6) >> transpose >> relu >> linear(6)
  | clone(2) >> tied linear(6) ^ 2 >> tied linear(6) ^ 2 >> add
  | linear(6) >> norm | linear(6) >> conv1d(6)
limit modules <= 30
"""

CASES = {
    "norms": (norms.fold_norms, NORMS, NO_NORMS),
    "scales": (scales.fold_scales, SCALES, NO_SCALES),
    "linears": (linears.merge_linears, LINEARS, NO_LINEARS),
}


def assert_exact(before: OpGraph, rewritten: Rewritten) -> None:
    """Equal results in evaluation, of a network whose running statistics have seen a batch and whose weights moved."""
    verify(rewritten.graph)
    torch.manual_seed(0)
    one, other = Interpreter(before), Interpreter(rewritten.graph)
    given = [torch.randn(4, *leaf.sizes) for leaf in before.node(before.input).outputs]
    with torch.no_grad():
        one(*given)
        for parameter in one.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    other.load_state_dict(carry(rewritten.weights, other.state_dict(), one.state_dict()))
    torch.testing.assert_close(other.eval()(*given), one.eval()(*given), rtol=1e-3, atol=1e-4)


def fires(case: str, rewritings: int = TIMES) -> None:
    rewrite, often, _ = CASES[case]
    changed = 0
    for graph in map(without_wires, graphs(often)):
        rewritten = rewrite(graph)
        if rewritten.graph is graph:
            continue
        assert_exact(graph, rewritten)
        assert any(isinstance(move, Folded) for step in rewritten.weights for move in step.values())
        changed += 1
        if changed == rewritings:
            return


@pytest.mark.parametrize("case", CASES)
def test_passes_of_inference_fire(case: str) -> None:
    fires(case)


@pytest.mark.parametrize("case", CASES)
def test_passes_of_inference_leave_the_rest_alone(case: str) -> None:
    """Something between, other readers, other axes, shared weights, a narrow middle, other functions."""
    rewrite, _, never = CASES[case]
    for _, graph in zip(range(TIMES), map(without_wires, graphs(never)), strict=False):
        assert rewrite(graph).graph is graph


@pytest.mark.parametrize("case", CASES)
def test_broken_recipes_are_seen(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bias or a number that is lost."""
    module = {"norms": norms, "scales": scales, "linears": linears}[case]

    def lost(recipe: Recipe, sources: tuple[Entry, ...], sizes: tuple[int, ...], number: float = 0.0) -> Folded:
        kept = sources[:2] if recipe == "product_bias" else sources
        return Folded(recipe, kept, sizes, 1.0 if recipe == "scaled" else number + 0.5)

    monkeypatch.setattr(module, "Folded", lost)
    with pytest.raises(AssertionError, match="not close"):
        fires(case)


@pytest.mark.parametrize("case", CASES)
def test_inference_finds_nothing_twice(case: str) -> None:
    for _, graph in zip(range(50), graphs(CASES[case][1]), strict=False):
        found = optimise(graph, (*PIPELINE, *INFERENCE), checked=True)
        assert_exact(graph, found)
        assert optimise(found.graph, (*PIPELINE, *INFERENCE)).graph is found.graph


def test_none_of_them_runs_by_itself() -> None:
    assert not {step.name for step in PIPELINE} & {step.name for step in INFERENCE}
    assert all(isinstance(step, Pass) for step in INFERENCE)


def test_there_is_no_way_back() -> None:
    text = "import std\ninput im[3, 5, 5]\narch net = conv(4) >> batch_norm\n"
    graph = lower(architecture(load_grammar(Source("net.ein", f"ein 1\n{text}"))).term)
    found = norms.fold_norms(graph)
    assert names(found.graph) == ["conv"]
    state = Interpreter(found.graph).state_dict()
    with pytest.raises(ValueError, match=r"conv_1\.conv2d\.bias was folded"):
        carry_back(found.weights, Interpreter(graph).state_dict(), state)


def test_a_chain_becomes_one_layer() -> None:
    text = f"import std\n{OPERATORS}\ninput im[3, 5, 5]\narch net = scaled(2) >> conv(4) >> divided(3) >> batch_norm\n"
    graph = lower(architecture(load_grammar(Source("net.ein", f"ein 1\n{text}"))).term)
    found = optimise(graph, (*PIPELINE, *INFERENCE), checked=True)
    assert names(found.graph) == ["conv"]
    assert_exact(graph, found)
