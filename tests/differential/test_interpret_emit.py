"""Two ways from a graph to a result: node by node, and through emitted source. They agree to rounding.

The interpreter takes each step of a body literally; the emitter inlines, names, and picks other functions of torch.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ein.compiler.emit import EmittedSource, emit, weight_map
from ein.compiler.graph import OpGraph, cost, verify
from ein.compiler.interpret import Interpreter
from ein.compiler.load import load
from ein.compiler.lower import lower
from ein.compiler.passes import optimise
from ein.grammar import term as t
from ein.grammar.architecture import architecture
from ein.grammar.check import Request, load_grammar
from ein.grammar.diagnostics import Source
from ein.grammar.sample import Sampler
from ein.grammar.term import TypedTerm

SMALL = {"elements": 200_000, "macs": 3_000_000, "params": 500_000, "modules": 120}
SAMPLES = 300


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """These networks are so small that threads cost more than they bring."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
        loss.backward()
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


def test_optimised_networks_agree() -> None:
    for term in samples()[:150]:
        assert_same(optimise(lower(term), checked=True).graph)


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
    "exp(x)", "log1p(abs(x))", "log(abs(x) + 1)", "expm1(x)", "sqrt(abs(x))", "rsqrt(abs(x) + 1)", "sign(x)", "floor(x)",
    "ceil(x)", "round(x)", "sin(x)", "cos(x)", "tan(x)", "acos(tanh(x))", "asin(tanh(x))", "atan(x)", "sinh(x)",
    "cosh(x)", "sigmoid(x)", "erf(x)", "relu(x)", "gelu(x)", "silu(x)", "softplus(x)", "2 - x", "x - 2 - 1",
    "x - (x - 1)", "x // 0.5", "x % 0.7", "7 // (abs(x) + 1)", "x / (x * x + 1)", "2 / (1 + abs(x)) / 3", "-x ** 2",
    "(-x) ** 2", "2 ** x", "(abs(x) + 1) ** -0.5", "(abs(x) + 1) ** x ** 2", "(x ** 2) ** 2", "-(x - 1)", "-(-x)",
    "x * -1", "-0.5 * x", "(x > 0) * x", "x > 0", "where(x > 0, x, 0.1 * x)", "where(x > 0, 1, 0)", "where(x, 1, x)",
    "where(x > 0, x, -inf)", "(x >= 0) - (x < 1)", "x <= 0.5", "x == x", "x != x", "1 < x", "where((x > 0) > (x > 1), x, 2)",
    "minimum(x, 0.5)", "maximum(0, x)", "minimum(x, x * x)", "clamp(x, -1, 1)", "clamp(x, 0, inf)", "clamp(x, x - 1, 0.5)",
    "clamp(0.3, x, x + 1)", "clamp(0.3, 0, x)", "clamp(x, -1, x + 0.1)", "clamp(x, x - 1, x + 1)", "F.leaky_relu(x, 0.2)",
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


OPERATORS = {
    "constant": "op f : any[*s, d] -> any[*s, d] param p[d] = 1, q[d] = 0, r[d] = 2.5 = p * x + q - r / 3",
    "normal": "op f : any[*s, d] -> any[*s, d] param p[d] ~ normal(0, 1), q[d] ~ normal(1, 0.02) = p * x * q",
    "uniform": "op f : any[*s, d] -> any[*s, d] param p[d] ~ uniform(-1, 1), q[d, e = 4] ~ kaiming = dot[e](q, q) * x * p",
    "other starts": "op f : any[*s, d] -> any[*s, d] param p[a = 3, d] ~ xavier, q[a = 3, d] ~ trunc_normal(0.02) = sum[a](x * p * q)",
    "orthogonal": "op f : any[*s, d] -> any[*s, d] param p[e = 4, d] ~ orthogonal, q[n = 2, e = 4, d] ~ orthogonal = sum[n](dot[e](p, q)) * x",
    "weights by name": "op f : im[c, h, w] -> im[c, h, w] param a[c] = 0.25, b[w, h] ~ normal(0, 1) = where(x > 0, x, a * x) + b",
    "a weight used twice": "op f : any[*s, d] -> any[*s, d] param p[d] ~ normal(0, 1) = p * x + exp(p) + p",
    "of weights alone": "op f : any[*s, d] -> any[*s, d] param p[d] ~ normal(0, 1) let n = sqrt(sum[d](p ** 2)) + 1 = x * (p / n) + n",
    "bounds by weights": "op f : any[*s, d] -> any[*s, d] param lo[d] = -1, hi[d] = 1 = clamp(x, lo, hi) + clamp(x, -2, hi) + minimum(x, hi) + clamp(0, lo, x)",
    "norms": "op f(e: real = 1e-6) : any[*s, d] -> any[*s, d] param g[d] = 1 = x * rsqrt(mean[d](x ** 2) + e) * g",
    "layers": "op f(r = 2) : im[c, h, w] -> im[c, h, w] where r >= 1 let g = relu(nn.Linear(c, c * r)(mean[h, w](x))[m]) = x * sigmoid(nn.Linear(c * r, c)(g)[c])",
    "layer norm of channels": "op f : im[c, h, w] -> im[c, h, w] = nn.LayerNorm(c, eps = 1e-3)(x[c, h, w] -> [h, w, c])[h, w, c]",
    "groups of axes": "op f(g) : im[c, h, w] -> im[c, h, w] where c % g == 0 = x[(g, m), h, w] -> [(m, g), h, w]",
    "elements meet": "op f : im[c, h, w] -> im[c, h, w] = x * mean[c](x) + mean[h](x) * mean[w](x)",
}  # fmt: skip
USES = {"groups of axes": "f(2)", "layers": "f >> f(r = 3)"}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str) -> None:
    text = f"{OPERATORS[name]}\narch net : im[4, 3, 5] -> im[4, 3, 5] = {USES.get(name, 'f')}"
    assert_same(graph_of(text))


PRODUCTS = {
    "a matrix of weights": "op f(o) : any[*s, d] -> any[*s, o] param w[o, d] ~ normal(0, 1) = dot[d](x, w)",
    "transposed": "op f(o) : any[*s, d] -> any[*s, o] param w[d, o] ~ normal(0, 1) = dot[d](w, x)",
    "of two inputs": "op f(o) : seq[l, d] -> seq[l, d] param w[d, e = 3] ~ normal(0, 1) = dot[j](dot[e](dot[d](x, w), dot[d](x[j, d], w)), x[j, d])",
    "the other way": "op f(o) : seq[l, d] -> seq[l, d] = dot[e](x[l, e], dot[l](x[l, e], x)) -> [l, d]",
    "scaled": "op f(o) : seq[l, d] -> seq[l, d] = dot[j](softmax[j](dot[d](x, x[j, d]) * d ** -0.5), x[j, d])",
    "of three": "op f(o) : seq[l, d] -> seq[l, d] param w[d] = 1, v[l] = 2 = dot[l](x, w, v) * x",
    "weights with weights": "op f(o) : seq[l, d] -> seq[l, d] param u[d, r = 2] ~ normal(0, 1), v[r = 2, d2 = d] ~ normal(0, 1) = dot[d](x, dot[r](u, v))[l, d]",
    "to a number": "op f(o) : seq[l, d] -> seq[l, d] = x * dot[l, d](x, x)",
}  # fmt: skip


@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name: str) -> None:
    assert_same(graph_of(f"{PRODUCTS[name]}\ninput seq[4, 6]\narch net = f(5)"))


TERMS = {
    "add twice": "clone(2) >> add >> clone(3) >> (relu & identity & relu) >> add",
    "many parts": "split(4, 2) >> (relu & identity & leaky_relu & relu) >> concat(3) >> split(5, 3) >> relu ^ 5 >> concat(1)",
    "a part twice": "clone(2) >> (split(2, 2) & split(2, 2)) >> (add & concat(2) >> split(2, 2) >> add) >> (linear(6) & linear(6)) >> concat(2)",
    "divided two ways": "clone(2) >> (split(2, 2) >> concat(3) & split(4, 2) >> concat(3)) >> (linear(3) & linear(3)) >> concat(2)",
    "products": "split(2, 1) >> (linear(3) & permute((1, 3, 2))) >> (permute((1, 3, 2)) & permute((1, 3, 2))) >> (identity & permute((1, 3, 2)) >> linear(8) >> permute((1, 3, 2))) >> matmul",
    "tied": "tied (linear(10) >> norm) * 3 >> clone(4) >> tied (linear(5) >> norm >> leaky_relu) ^ 4 >> add",
    "tied inside": "clone(2) >> (tied (norm >> norm) * 2 >> linear(3)) ^ 2 >> tied (identity) ^ 2 >> add",
    "sums of many": "clone(20) >> linear(4) ^ 20 >> add >> clone(9) >> (linear(4) >> relu) ^ 9 >> concat(3)",
    "deep": "(clone(2) >> (linear(10) & identity) >> add >> relu) * 12",
    "conv": "conv(6) >> batch_norm >> relu >> conv(8, s = 2, dilation = 2, groups = 2, bias = false) >> max_pool >> pool >> linear(3)",
    "concat of many": "clone(40) >> linear(11) ^ 40 >> concat(3)",
    "many results": "clone(40)",
    "more results": "clone(30) >> (linear(12345) >> relu) ^ 30",
    "nothing": "identity >> identity",
    "two of one": "clone(2)",
    "two": "clone(2) >> (relu & identity)",
}


@pytest.mark.parametrize("name", TERMS)
def test_terms(name: str) -> None:
    graph = graph_of(f"input im[2, 8, 10]\narch net = {TERMS[name]}")
    assert_same(graph)
    assert_same(optimise(graph, checked=True).graph)


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
    graphs += [graph_of(f"input im[2, 8, 10]\narch net = {term}") for term in TERMS.values()]
    long = "a_name_so_long_that_no_one_would_ever_write_it_by_hand"
    graphs.append(graph_of(f"op {long}(o) : any[*s, d] -> any[*s, o] param p[o, d] ~ uniform(-0.123456789012, 0.345678901234)"
                           f" = dot[d](x, p)\ninput im[2, 8, 10]\narch net = {long}(1024) >> {long}(70)"))  # fmt: skip
    for index, graph in enumerate(graphs):
        (tmp_path / f"net{index}.py").write_text(emit(graph), "utf-8")
    assert len(graphs) > 190
    check = ["check", "--isolated", "--no-cache", "--select", "E4,E7,E9,F,E,W,I,UP,B,RUF", "--line-length", "88"]
    for command in (check, ["format", "--isolated", "--no-cache", "--check", "--diff"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_the_text_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "from ein.compiler.emit import emit; from ein.compiler.lower import lower; from ein.compiler.graph import to_text\n"
        "from ein.compiler.passes import optimise\n"
        "from ein.grammar.check import load_grammar; from ein.grammar.sample import Sampler\n"
        "sampler = Sampler.of(load_grammar('einspace'))\n"
        "for i in range(30):\n"
        "    graph = lower(sampler.draw(17, i).term)\n"
        "    print(to_text(graph), emit(graph), emit(optimise(graph).graph))\n"
    )

    def output(seed: str) -> bytes:
        environment: dict[str, Any] = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout

    assert b"class Net" in output("1") and output("1") == output("2")
