"""Copies that are computed at once give what they give one by one; what only looks like copies is left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
import torch

from ein.compiler import copying
from ein.compiler.carry import carry
from ein.compiler.emit import emit, weight_map
from ein.compiler.graph import OpGraph, cost
from ein.compiler.graph_reading import read_graph
from ein.compiler.graph_text import graph_file
from ein.compiler.interpret import Interpreter
from ein.compiler.load import load
from ein.compiler.lower import lower
from ein.compiler.made import MadeApplication
from ein.compiler.passes import PIPELINE, batching, optimise
from ein.compiler.passes.batched import moves
from ein.compiler.passes.batching import batch_copies
from ein.grammar.architecture import architecture
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source

from .passes import TIMES, assert_exact, fires, graphs, names, without_wires

COPIES = """
grammar copies
import std
input {input}
rule Net = Fork | Fork >> Net | Part >> Net | Nested
rule Fork = for b in {{2, 3, 4}} : clone(b) >> Branch ^ b >> Join(b) | split(2, {axis}) >> Branch ^ 2 >> Join(2)
          | clone(2) >> Branch ^ 2 >> (Part & Branch) >> add | clone(3) >> Branch ^ 3 >> take(2) >> Part
rule Nested = clone(2) >> (clone(3) >> Branch ^ 3 >> Join(3)) ^ 2 >> Join(2)
            | clone(2) >> (Part >> clone(2) >> (clone(2) >> Branch ^ 2 >> Join(2)) ^ 2 >> Join(2)) ^ 2 >> Join(2)
            | clone(2) >> (Part >> split(2, {axis}) >> Branch ^ 2 >> Join(2)) ^ 2 >> Join(2)
rule Branch = Part | Part >> Branch | clone(2) >> (Part & Part >> Same) >> Join(2)
            | clone(2) >> (Part & identity) >> add
rule Join(b) = add | mean | mul | concat(axis in {{1..{rank}}}) | {pair} if b == 2
rule Part = {parts}
rule Same = {same}
limit modules <= 60, params <= 100K, elements <= 100K, macs <= 2M
"""
KINDS = {
    "seq": {
        "input": "seq[4, 8]",
        "axis": "axis in {1..2}",
        "rank": "2",
        "pair": "matmul | scaled_matmul",
        "parts": "linear(out in {2, 4, 8}) | norm | rms_norm | leaky_relu | softmax | pos_enc | permute((2, 1)) | gelu"
        " | layer_scale(init = 0.5) | clone(3) >> linear(4) ^ 3 >> attend(2) | batch_norm | activate(f = tanh)"
        " | square_relu | class_token | rotary | fourier_mix | linear(4, bias = false) | pos_enc_sine | causal_conv(4)",
        "same": "norm | gelu | softmax | pos_enc",
    },
    "im": {
        "input": "im[4, 4, 4]",
        "axis": "axis in {1..3}",
        "rank": "3",
        "pair": "matmul",
        "parts": "for k in {1, 3} : conv(out in {2, 4}, k = k) | dwconv | conv_transpose(2) | norm | group_norm(2)"
        " | prelu | instance_norm | max_pool | avg_pool(2) | relu | layer_norm | squeeze_excite(2) | linear(4)"
        " | pixel_shuffle(2) | permute(order in orders(rank)) | upsample | channel_shuffle(2) | softmax"
        " | layer_scale(init = 0.5) | im2col(2, s = 2) >> linear(4) >> col2im | global_filter"
        " | conv(4, groups = 2) | adaptive_pool(2)",
        "same": "norm | relu | prelu | pos_enc",
    },
    "vec": {
        "input": "vec[8]",
        "axis": "1",
        "rank": "1",
        "pair": "add",
        "parts": "linear(out in {2, 4, 8}) | norm | batch_norm | relu | softmax | pos_enc | l2_norm",
        "same": "norm | relu | softmax | batch_norm",
    },
}

NO_COPIES = """
grammar almost
import std
input seq[4, 8]
op alone : seq[l, d] -> seq[l, d] param a[d] = -(1 + range[d]) = a * x
op tokens : seq[l, d] -> tok[l] = argmax[d](x)
rule Net = Pair | Pair >> Part | Part >> Pair
rule Pair
  = clone(2) >> (linear(4) & linear(4, bias = false)) >> add | clone(2) >> (norm & rms_norm) >> add
  | clone(2) >> (relu >> linear(8) & gelu >> linear(8)) >> add | clone(2) >> (norm & softmax >> norm) >> mul
  | clone(3) >> tied (linear(8) >> norm) ^ 3 >> add | clone(2) >> tied pos_enc ^ 2 >> add
  | clone(3) >> (relu & relu & relu) >> add | clone(2) >> softmax ^ 2 >> concat(1)
  | clone(2) >> dropout ^ 2 >> add | clone(2) >> drop_path ^ 2 >> concat(2)
  | clone(2) >> lstm(4) ^ 2 >> add | clone(2) >> ssm ^ 2 >> add | clone(2) >> alone ^ 2 >> add
  | linear(8) * 2 >> norm * 2 | clone(2) >> (linear(8) & norm >> linear(8)) >> matmul >> linear(8)
  | clone(2) >> (tokens >> embed(9, 4, key = wte) & tokens >> embed(9, 4, key = wte)) >> add
  | split(2, 2) >> swap >> (relu & gelu) >> concat(2)
rule Part = linear(8) | norm | softmax | relu
limit modules <= 20
"""


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that can be batched is, whether it pays or not."""
    monkeypatch.setattr(batching, "gain", lambda *given: 1e9)


def batched(graph: OpGraph) -> list[str]:
    return [node.text for _, node in graph.uses() if isinstance(node.application, MadeApplication)]


def graph_of(term: str, input: str = "seq[4, 8]") -> OpGraph:
    text = f"ein 1\nimport std\ninput {input}\narch net = {term}\n"
    return without_wires(lower(architecture(load_grammar(Source("net.ein", text))).term))


def einspace(seed: int, input: str = "im[3, 8, 8]") -> Iterator[OpGraph]:
    limits = {"elements": 200_000, "macs": 3_000_000, "params": 500_000, "modules": 300}
    sampler = Sampler.of(load_grammar("einspace", Request(input=input, limits=limits)))
    return (lower(sampler.draw(seed, index).term) for index in range(10**6))


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("kind", KINDS)
def test_batching_fires(kind: str) -> None:
    fires(COPIES.format(**KINDS[kind]), batch_copies, without_wires)


@pytest.mark.usefixtures("eager")
def test_batching_leaves_the_rest_alone() -> None:
    """Other operators or inputs, shared or computed weights, chance, recurrence, no weights, one after another."""
    for _, graph in zip(range(TIMES), map(without_wires, graphs(NO_COPIES)), strict=False):
        assert batch_copies(graph).graph is graph


@pytest.mark.usefixtures("eager")
def test_broken_batching_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The copies get each other's weights."""
    monkeypatch.setattr(batching, "moves", lambda made, key, members: moves(made, key, members[::-1]))
    with pytest.raises(AssertionError, match="not close"):
        fires(COPIES.format(**KINDS["seq"]), batch_copies, without_wires)


@pytest.mark.usefixtures("eager")
def test_copies_that_lie_otherwise_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folded into an axis the other way round, not copy by copy."""

    def turned(made: copying.Copying, value: copying.Many, layout: copying.Layout) -> int:
        found = right(made, value, layout)
        if not layout.folded:
            return found
        axis, sizes = layout.axis, made.steps[found].sizes
        parts = (made.copies, sizes[axis] // made.copies)
        apart = made.view("unflatten", found, (*sizes[:axis], *parts, *sizes[axis + 1 :]), axis=axis, sizes=parts)
        order = (*range(axis), axis + 1, axis, *range(axis + 2, len(sizes) + 1))
        other = made.view("permute", apart, (*sizes[:axis], *parts[::-1], *sizes[axis + 1 :]), order=order)
        return made.view("flatten", other, sizes, first=axis, last=axis + 1)

    right = copying.Copying._changed
    monkeypatch.setattr(copying.Copying, "_changed", turned)
    with pytest.raises(AssertionError, match="not close"):
        fires(COPIES.format(**KINDS["im"]), batch_copies, without_wires)


# --- what becomes of it


def test_queries_keys_and_values_are_one_product() -> None:
    graph = graph_of("layer_norm >> clone(3) >> linear(8) ^ 3 >> attend(2)")
    found = batch_copies(graph)
    assert [node.text for _, node in found.graph.uses()] == [
        "layer_norm", "linear(8) ^ 3 shared", "split(3, 2)", "attend(heads = 2)"
    ]  # fmt: skip
    assert_exact(graph, found)
    source = emit(found.graph)
    assert "nn.Linear(8, 24)" in source and "x, y, z = self.linear(self.layer_norm(x)).chunk(3, dim=2)" in source


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    ("term", "input", "wanted"),
    [
        (
            "clone(4) >> (conv(8) >> norm >> relu >> conv(6) >> max_pool) ^ 4 >> concat(1)",
            "im[3, 8, 8]",
            ["conv(8) ^ 4 shared", "norm ^ 4 in 1", "relu ^ 4 in 1", "conv(6) ^ 4 in 1", "max_pool ^ 4 in 1"],
        ),
        (
            "split(2, 2) >> (linear(4) >> norm) ^ 2 >> mean",
            "seq[4, 8]",
            ["linear(4) ^ 2 in 2", "norm ^ 2 at 2", "mean of 2 at 2"],
        ),
        (
            "clone(2) >> (clone(3) >> linear(4) ^ 3 >> add) ^ 2 >> matmul",
            "im[2, 4, 4]",
            ["(linear(4) ^ 3 shared) ^ 2 shared", "(add of 3 in 3) ^ 2 in 3"],
        ),
        (
            "clone(2) >> (norm >> clone(4) >> linear(4) ^ 4 >> add) ^ 2 >> add",
            "seq[4, 8]",
            ["norm ^ 2 shared", "(linear(4) ^ 4 shared) ^ 2 at 2", "(add of 4 in 2) ^ 2 at 2", "add of 2 at 2"],
        ),
    ],
)
def test_what_copies_become(term: str, input: str, wanted: list[str]) -> None:
    graph = graph_of(term, input)
    found = batch_copies(graph)
    assert batched(found.graph) == wanted
    assert_exact(graph, found)


def nested(copies: int, depth: int) -> str:
    branch = "linear(8) >> norm >> gelu"
    for _ in range(depth):
        branch = f"norm >> clone({copies}) >> ({branch}) ^ {copies} >> add"
    return branch


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_graph_does_not_grow_with_the_copies(depth: int) -> None:
    found = [batch_copies(graph_of(nested(copies, depth), "vec[8]")) for copies in (4, 8)]
    assert len(graph_of(nested(8, depth))) > 8**depth
    sizes = [len(each.graph) for each in found]
    assert sizes[0] == sizes[1] == 2 + 3 + 2 * depth


def test_nested_copies_are_exact() -> None:
    graph = graph_of(nested(8, 2))
    assert_exact(graph, batch_copies(graph))


def test_costs_stay() -> None:
    for _, graph in zip(range(100), map(without_wires, graphs(COPIES.format(**KINDS["seq"]))), strict=False):
        before, after = cost(graph), cost(batch_copies(graph).graph)
        assert (before.parameters, before.macs) == (after.parameters, after.macs)


def test_large_copies_stay_apart() -> None:
    branch = "clone(4) >> (linear(256) >> norm >> relu >> linear(256)) ^ 4 >> add"
    large, small = graph_of(branch, "seq[256, 256]"), graph_of(branch.replace("256", "32"), "seq[4, 32]")
    assert batch_copies(large).graph is large
    assert batched(batch_copies(small).graph) == [
        "linear(32) ^ 4 shared", "norm ^ 4 in 2", "relu ^ 4 at 2", "linear(32) ^ 4 at 2", "add of 4 at 2"
    ]  # fmt: skip


def test_fresh_weights_start_as_those_of_the_copies() -> None:
    """Bounds, means and deviations of what stands in place of several layers."""
    graph = graph_of("split(4, 2) >> (linear(64) >> norm >> pos_enc) ^ 4 >> add", "seq[2, 256]")
    torch.manual_seed(0)
    found = batch_copies(graph)
    fresh = Interpreter(found.graph).state_dict()
    old = carry(found.weights, fresh, Interpreter(graph).state_dict())
    assert {"linear_1.param_weight", "linear_1.param_bias", "norm_1.param_weight"} <= fresh.keys()
    for name, value in fresh.items():
        assert value.abs().max() <= 64**-0.5 or "linear" not in name
        if value.numel() > 200:
            assert abs(value.mean() - old[name].mean()) < 6 * old[name].std() * (2 / value.numel()) ** 0.5 + 1e-9
            assert abs(value.std() - old[name].std()) < 6 * old[name].std() * value.numel() ** -0.5 + 1e-9


@pytest.mark.usefixtures("eager")
def test_emitted_source_and_text_say_the_same() -> None:
    """Batched graphs as source, and written and read back."""
    seen: Counter[str] = Counter()
    for kind in KINDS:
        for _, graph in zip(range(25), map(without_wires, graphs(COPIES.format(**KINDS[kind]))), strict=False):
            found = batch_copies(graph).graph
            seen.update(batched(found))
            torch.manual_seed(0)
            one, other = Interpreter(found), load(emit(found))
            where, state = weight_map(found), one.state_dict()
            other.load_state_dict({where[name]: state[name] for name in where})
            given = torch.randn(3, *found.node(found.input).outputs[0].sizes)
            torch.testing.assert_close(other(given), one(given), rtol=1e-4, atol=1e-5)
            again = read_graph(graph_file(found))
            assert emit(again) == emit(found) and cost(again) == cost(found)
    assert len(seen) > 60


# --- in the pipeline


def states(before: OpGraph) -> Iterator[tuple[Interpreter, Interpreter]]:
    """The network before and after all passes, in training and in evaluation."""
    found = optimise(before, checked=True)
    torch.manual_seed(0)
    one, other = Interpreter(before), Interpreter(found.graph)
    other.load_state_dict(carry(found.weights, other.state_dict(), one.state_dict()))
    for training in (True, False):
        yield one.train(training), other.train(training)


def gradient(net: Interpreter, given: list[torch.Tensor]) -> list[torch.Tensor]:
    inputs = [x.clone().requires_grad_() for x in given]
    results = net(*inputs)
    every = [results] if isinstance(results, torch.Tensor) else results
    loss = sum((result.square().sum() for result in every), torch.zeros(()))
    return list(torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True))


@pytest.mark.parametrize("input", ["im[3, 8, 8]", "im[3, 16, 16]"])
def test_the_pipeline_is_exact_on_einspace(input: str) -> None:
    fired = 0
    for index, graph in zip(range(60), einspace(9, input), strict=False):
        fired += bool(batched(optimise(graph).graph))
        given = [torch.randn(3, *leaf.sizes) for leaf in graph.node(graph.input).outputs]
        for one, other in states(graph):
            torch.testing.assert_close(other(*given), one(*given), rtol=1e-4, atol=1e-5)
            if index % 10 == 0:
                torch.testing.assert_close(gradient(other, given), gradient(one, given), rtol=1e-3, atol=1e-4)
    assert fired >= 4


@pytest.mark.parametrize("name", ["einspace1d", "sequence", "tabular"])
def test_the_pipeline_is_exact_on_other_grammars(name: str) -> None:
    sampler = Sampler.of(load_grammar(name))
    for index in range(4):
        graph = lower(sampler.draw(3, index).term)
        leaf = graph.node(graph.input).outputs[0]
        shape = (2, *leaf.sizes)
        given = torch.randn(shape) if leaf.element == "float" else torch.randint(0, 4, shape)
        for one, other in states(graph):
            torch.testing.assert_close(other(given), one(given), rtol=1e-3, atol=1e-4)


def test_batching_is_last() -> None:
    """Attention and convolutions are made first, of one branch at a time, and then their copies are batched."""
    head = "clone(2) >> (clone(2) >> linear(4) ^ 2 >> (identity & transpose) >> scaled_matmul >> softmax & linear(4))"
    graph = graph_of(f"clone(2) >> ({head} >> matmul) ^ 2 >> concat(2)")
    found = optimise(graph).graph
    assert [node.text for _, node in found.uses()] == ["linear(4) ^ 6 shared"] or "attention" in str(batched(found))
    block = "im2col(3, p = 1) >> linear(3) >> col2im >> norm"
    found = optimise(graph_of(f"clone(4) >> ({block}) ^ 4 >> add", "im[3, 6, 6]")).graph
    assert names(found) == ["conv", "norm", "add"]
    assert PIPELINE[-1].rewrite is batch_copies


def test_other_passes_leave_copies_in_one_tensor_alone() -> None:
    """Its kind is that of one copy, with an axis more: no operator can be written that goes between the two."""
    graph = graph_of(
        "im2col(1) >> split(4, 1) >> norm ^ 4 >> concat(1) >> leaky_relu >> permute((2, 1))", "im[3, 8, 8]"
    )
    found = optimise(graph)
    assert any(isinstance(node.application, MadeApplication) for _, node in found.graph.uses())
    assert_exact(graph, found)


def test_copies_of_two_readers_go_to_each_of_them() -> None:
    """Sixteen maps of one tensor, of which two concatenations take eight each: what is left is a map for each."""
    fork = "clone(8) >> linear(16) ^ 8 >> concat(2)"
    turned = "(permute((2, 1)) & norm >> permute((2, 1)))"
    graph = graph_of(f"clone(2) >> ({fork} & {fork}) >> {turned} >> concat(1)", "seq[64, 16]")
    found = optimise(graph)
    assert_exact(graph, found)
    assert sum(bool(node.weights) for _, node in found.graph.uses()) == 3
