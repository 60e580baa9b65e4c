"""Two ways from a graph to a result: node by node, and through emitted source. They agree to rounding.

The interpreter takes each step of a body literally; the emitter inlines, names, and picks other functions of torch.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn

from ein.compiler.emit import EmittedSource, emit, weight_map
from ein.compiler.graph import OpGraph, cost, verify
from ein.compiler.interpret import Interpreter
from ein.compiler.load import load
from ein.compiler.lower import lower
from ein.compiler.passes import optimise
from ein.grammar import term as t
from ein.grammar.architecture import architecture
from ein.grammar.cfg import Grammar
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source
from ein.grammar.term import TypedTerm
from ein.strategies import derivations

SMALL = {"elements": 200_000, "macs": 3_000_000, "params": 500_000, "modules": 120}
SAMPLES = 300


def graph_of(text: str, name: str = "net") -> OpGraph:
    """The graph of the architecture `name` of a file; verified."""
    graph = lower(architecture(load_grammar(Source("test.ein", f"ein 1\nimport std\n{text}\n")), name).term)
    verify(graph)
    return graph


@cache
def sampler(space: str = "einspace", input: str = "im[3, 8, 8]") -> Sampler:
    return Sampler.of(load_grammar(space, Request(input=input, limits=SMALL)))


@cache
def samples() -> list[TypedTerm]:
    return [sampler().draw(11, index).term for index in range(SAMPLES)]


def inputs_of(graph: OpGraph, batch: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    types = graph.node(graph.input).outputs
    return [torch.randn(batch, *leaf.sizes, generator=generator) for leaf in types]


def pair(graph: OpGraph) -> tuple[Interpreter, nn.Module, EmittedSource]:
    """Interpreter and emitted module with the same weights, and the source."""
    torch.manual_seed(0)
    reference, source = Interpreter(graph), emit(graph)
    module = load(source)
    names, state = weight_map(graph), reference.state_dict()
    assert names.keys() == state.keys()
    module.load_state_dict({names[name]: value for name, value in state.items()})
    return reference, module, source


def run(module: nn.Module, inputs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Results, and gradients of inputs and weights, those of weights in the order of the state."""
    given = [value.clone().requires_grad_() for value in inputs]
    results = module(*given)
    results = list(results) if isinstance(results, tuple) else [results]
    loss = torch.stack([result.square().mean() for result in results]).sum()
    if loss.requires_grad:  # what only compares has no gradient
        torch.autograd.backward(loss)
    return results, [value.grad if value.grad is not None else torch.zeros(()) for value in given]


def assert_close(found: Tensor, wanted: Tensor, source: str) -> None:
    torch.testing.assert_close(
        found, wanted, rtol=1e-4, atol=1e-5 * max(1.0, _size(wanted)), equal_nan=True, msg=lambda m: f"{m}\n{source}"
    )


def _size(value: Tensor) -> float:
    """The largest magnitude among finite entries."""
    finite = value.detach()[value.detach().isfinite()]
    return float(finite.abs().max()) if finite.numel() else 1.0


def assert_same(graph: OpGraph) -> EmittedSource:
    """In training and evaluation: results, gradients, and what is kept afterwards."""
    reference, module, source = pair(graph)
    inputs, names = inputs_of(graph), weight_map(graph)
    for training in (True, False):
        reference.train(training)
        module.train(training)
        (wanted, wanted_grads), (found, found_grads) = run(reference, inputs), run(module, inputs)
        assert [tuple(result.shape[1:]) for result in found] == [x.sizes for x in graph.node(graph.output).inputs]
        for one, other in zip([*found, *found_grads], [*wanted, *wanted_grads], strict=True):
            assert_close(one, other, source)
    weights = dict(module.named_parameters())
    for name, weight in reference.named_parameters():
        other = weights[names[name]]
        assert (weight.grad is None) == (other.grad is None)
        if weight.grad is not None and other.grad is not None:
            assert_close(other.grad, weight.grad, source)
    kept = module.state_dict()
    for name, value in reference.state_dict().items():
        assert_close(kept[names[name]], value, source)
    return source


# --- sampled networks


def test_sampled_networks_agree() -> None:
    seen: Counter[str] = Counter()
    for term in samples():
        graph = lower(term)
        verify(graph)
        assert cost(graph) == t.cost(term)
        seen.update({node.application.name for _, node in graph.uses()})
        assert_same(graph)
    operators = "identity clone split concat add matmul scaled_matmul permute im2col col2im linear norm leaky_relu"
    assert all(seen[name] >= 2 for name in [*operators.split(), "softmax", "pos_enc", "readout"]), seen


@settings(max_examples=120)
@given(derivations(sampler().grammar, max_modules=40))
def test_optimised_networks_agree(d: Derivation) -> None:
    """What fails comes back small: every alternative of einspace is as likely as the others here."""
    assert_same(optimise(lower(d.term), checked=True).graph)


def test_parameters_are_those_that_the_costs_say() -> None:
    for term in samples()[:100]:
        module = load(lower(term))
        assert sum(weight.numel() for weight in module.parameters()) == t.cost(term).parameters


def test_the_same_seed_starts_both_alike() -> None:
    for term in samples()[:100]:
        graph = lower(term)
        names = weight_map(graph)
        torch.manual_seed(5)
        wanted = Interpreter(graph).state_dict()
        torch.manual_seed(5)
        found = load(graph).state_dict()
        for name, value in wanted.items():
            assert torch.equal(found[names[name]], value), name


# --- what a body can say

ELEMENTWISE = (
    "exp(x)", "log1p(abs(x))", "expm1(x)", "sqrt(abs(x))", "rsqrt(abs(x) + 1)", "sign(x)", "floor(x)",
    "ceil(x)", "round(x)", "sin(x)", "cos(x)", "tan(x)", "acos(tanh(x))", "asin(tanh(x))", "atan(x)", "sinh(x)",
    "cosh(x)", "sigmoid(x)", "erf(x)", "relu(x)", "gelu(x)", "silu(x)", "softplus(x)", "2 - x", "x - 2 - 1",
    "x - (x - 1)", "x // 0.5", "x % 0.7", "7 // (abs(x) + 1)", "x / (x * x + 1)", "2 / (1 + abs(x)) / 3",
    "-x ** 2", "(-x) ** 2", "2 ** x", "(abs(x) + 1) ** -0.5", "(abs(x) + 1) ** x ** 2", "(x ** 2) ** 2",
    "-(x - 1)", "-(-x)", "x * -1", "-0.5 * x", "(x > 0) * x", "x > 0", "where(x > 0, x, 0.1 * x)",
    "where(x > 0, 1, 0)", "where(x, 1, x)", "where(x > 0, x, -inf)", "(x >= 0) - (x < 1)", "x <= 0.5", "x == x",
    "x != x", "1 < x", "where((x > 0) > (x > 1), x, 2)", "log(abs(x) + 1)", "minimum(x, 0.5)", "maximum(0, x)",
    "minimum(x, x * x)", "clamp(x, -1, 1)", "clamp(x, 0, inf)", "clamp(0.3, x, x + 1)", "clamp(0.3, 0, x)",
    "clamp(x, -1, x + 0.1)", "clamp(x, x - 1, x + 1)", "F.leaky_relu(x, 0.2)", "clamp(x, x - 1, 0.5)",
    "F.elu(x)", "F.elu(x, alpha = 0.5)", 'F.gelu(x, approximate = "tanh")', "F.mish(x) + F.hardtanh(x)",
    "x * 1e-30 * 1e30", "x + 3.0", "exp(-0.5 * (x - 1) ** 2)",
)  # fmt: skip


@pytest.mark.parametrize("body", ELEMENTWISE)
def test_elementwise(body: str) -> None:
    assert_same(graph_of(f"op f : any[*s] -> any[*s] = {body}\narch net : im[2, 3, 5] -> im[2, 3, 5] = f"))


REDUCED = ("sum", "mean", "prod", "max", "min", "logsumexp", "var", "norm")


@pytest.mark.parametrize("name", REDUCED)
def test_reductions(name: str) -> None:
    several = f"op f : im[c, h, w] -> vec[c] = {name}[h, w](x)"
    one = f"op g : any[*s, d] -> any[*s, d] = x - {name}[d](x)"
    none = f"op e : any[*s, d] -> any[*s, d] = x * {name}[*s](x)"
    assert_same(graph_of(f"{several}\n{one}\n{none}\narch net : im[2, 3, 5] -> vec[2] = g >> f >> e >> g"))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "cumsum", "cumprod", "flip"])
def test_along(name: str) -> None:
    text = f"op f : im[c, h, w] -> im[c, h, w] = {name}[h](x)\nop g : any[*s, d] -> any[*s, d] = {name}[d](x)"
    assert_same(graph_of(f"{text}\narch net : im[2, 3, 5] -> im[2, 3, 5] = f >> g"))


BODIES = (Path(__file__).parent / "bodies.ein").read_text("utf-8")
ARCHITECTURES = re.findall(r"^arch (\w+)", BODIES, re.MULTILINE)


@cache
def bodies() -> Grammar:
    return load_grammar(Source("bodies.ein", BODIES))


def architecture_graph(name: str) -> OpGraph:
    graph = lower(architecture(bodies(), name).term)
    verify(graph)
    return graph


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures(name: str) -> None:
    graph = architecture_graph(name)
    assert_same(graph)
    assert_same(optimise(graph, checked=True).graph)


BETWEEN_TENSORS = {
    "attention over runs": "op f : (q: any[*a, i, d], k: any[*a, j, d], v: any[*a, j, e]) -> any[*a, i, e]"
    " = F.scaled_dot_product_attention(q, k, v)\narch net : (im[2, 3, 4], im[2, 5, 4], im[2, 5, 6]) -> im[2, 3, 6] = f",
    "attention with its options": "op f(s: real) : (q: seq[i, d], k: seq[i, d], v: seq[i, e]) -> seq[i, e]"
    " = F.scaled_dot_product_attention(q, k, relu(v), is_causal = true, scale = s)\n"
    "arch net : (seq[3, 4], seq[3, 4], seq[3, 6]) -> seq[3, 6] = f(0.3)",
    "attention of one tensor": "op f : seq[l, d] -> seq[l, d]"
    " = F.scaled_dot_product_attention(x, x, nn.Linear(d, d)(x))\narch net : seq[5, 4] -> seq[5, 4] = f >> f",
    "heads": "arch net : seq[5, 6] -> seq[5, 6] = qkv(3) >> qkv(2, causal = true) >> norm",
    "attention found": "arch net : seq[5, 6] -> seq[5, 6]"
    " = clone(2) >> (clone(2) >> (linear(4) & linear(4) >> transpose) >> scaled_matmul >> softmax & relu) >> matmul",
    "positions": "op f : im[c, h, w] -> im[c, h, w] where h > 1"
    " = x - index[h](x, 1) * index[c](x, c - 1) + index[w](x, 0)\n"
    "arch net : im[2, 3, 5] -> im[2, 3, 5] = f >> f",
    "a position of a weight": "op f : seq[l, d] -> seq[l, d]"
    " param p[n = 3, d] ~ normal(0, 1), q[d, n = 2] ~ normal(0, 1) = x * index[n](p, 2) + index[n](q, 1)\n"
    "arch net : seq[5, 6] -> seq[5, 6] = f",
    "a weight beside the input": "op f : any[*s, l, d] -> any[*s, l + 3, d]"
    " param p[*s, l = 1, d] ~ normal(0, 1), q[*s, l = 2, d] ~ normal(0, 1)"
    " = concat[l](p, x, q)\narch net : im[2, 3, 4] -> im[2, 9, 4] = f >> relu >> f",
    "weights beside each other": "op f : seq[l, d] -> seq[l, d]"
    " param p[n = 1, d] ~ normal(0, 1), q[n = 2, d] ~ normal(0, 1) = x + sum[k](concat[n](p, q)[k, d])\n"
    "arch net : seq[5, 6] -> seq[5, 6] = f",
    "a token": "arch net : seq[5, 6] -> vec[6] = class_token >> relu >> class_token >> norm >> first_token",
}


@pytest.mark.parametrize("name", BETWEEN_TENSORS)
def test_between_tensors(name: str) -> None:
    graph = graph_of(BETWEEN_TENSORS[name])
    assert_same(graph)
    assert_same(optimise(graph, checked=True).graph)


def test_a_token_is_written_as_people_do() -> None:
    source = emit(graph_of(BETWEEN_TENSORS["a token"]))
    assert ".expand(x.shape[0], -1, -1)" in source and "[:, 0]" in source
    assert "F.scaled_dot_product_attention(" in emit(optimise(graph_of(BETWEEN_TENSORS["attention found"])).graph)


def test_several_inputs_and_results() -> None:
    source = assert_same(graph_of("input (seq[4, 6], seq[6, 5], vec[3])\narch net = (linear(6) & identity & relu)"))
    assert "def forward(self, x, y, z):" in source
    found = assert_same(
        graph_of("input (seq[4, 6], seq[6, 5])\narch net = (linear(6) & identity) >> matmul >> clone(2)")
    )
    assert "return x, x" in found


def test_tied_copies_share_one_layer() -> None:
    graph = graph_of("input vec[6]\narch net = clone(3) >> tied linear(6) ^ 3 >> add >> (tied linear(6) * 2)")
    assert emit(graph).count("nn.Linear(") == 2
    assert emit(graph_of("input vec[6]\narch net = clone(3) >> linear(6) ^ 3 >> add")).count("nn.Linear(") == 3


# --- the text


def test_ruff_finds_nothing_to_do(tmp_path: Path) -> None:
    """With the rules that ruff has by default and isort's, and ruff's own line length."""
    graphs = [lower(sampler().draw(13, index).term) for index in range(60)]
    full = Sampler.of(load_grammar("einspace"))
    graphs += [lower(full.draw(13, index).term) for index in range(60)]
    graphs += [optimise(graph).graph for graph in graphs[60:]]
    graphs += map(architecture_graph, ARCHITECTURES)
    graphs += map(graph_of, BETWEEN_TENSORS.values())
    zoo = (load_grammar(f"zoo/{name}") for name in ("vit", "mlp_mixer", "resnet8"))
    graphs += [optimise(lower(architecture(grammar).term)).graph for grammar in zoo]
    long = "a_name_so_long_that_no_one_would_ever_write_it_by_hand"
    start = "uniform(-0.123456789012, 0.345678901234)"
    operator = f"op {long}(o) : vec[d] -> vec[o] where o >= 1 param p[o, d] ~ {start} = dot[d](x, p)"
    graphs.append(graph_of(f"{operator}\ninput vec[10]\narch net = {long}(1024) >> {long}(70)"))
    for index, graph in enumerate(graphs):
        (tmp_path / f"net{index}.py").write_text(emit(graph), "utf-8")
    assert len(graphs) > 190
    check = ["check", "--isolated", "--no-cache", "--select", "E4,E7,E9,F,E,W,I,UP,B,RUF", "--line-length", "88"]
    for command in (check, ["format", "--isolated", "--no-cache", "--check", "--diff"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_the_text_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "from ein.compiler.emit import emit; from ein.compiler.lower import lower\n"
        "from ein.compiler.graph_text import to_text; from ein.compiler.passes import optimise\n"
        "from ein.grammar.check import load_grammar; from ein.grammar.derivations.sample import Sampler\n"
        "sampler = Sampler.of(load_grammar('einspace'))\n"
        "for i in range(30):\n"
        "    graph = lower(sampler.draw(17, i).term)\n"
        "    print(to_text(graph), emit(graph), emit(optimise(graph).graph))\n"
    )

    def output(seed: str) -> bytes:
        environment: dict[str, Any] = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout

    assert b"class Net" in output("1") and output("1") == output("2")
