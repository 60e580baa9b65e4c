"""Operators and blocks of the packs: the interpreter and the emitted source against torch, as in test_forms.py.

Weights are moved away from where they start, so that none is 0 or 1, and norms have met other data. Gradients of
the formulas agree too, those of inputs and those of weights. Below stand laws from the papers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from pack_cases import PACKS, cox_de_boor, splines
from scipy.interpolate import BSpline  # type: ignore[import-untyped]
from test_forms import assert_costs, graph_of, inputs_of, listed, pair
from torch import Tensor, nn

from ein.compiler.emit import weight_map
from ein.compiler.graph import OpGraph, cost
from ein.compiler.interpret import Interpreter
from ein.grammar.check import load_grammar
from ein.grammar.notation.printer import print_statement

NAMES = ("metamixer", "graphs", "experts", "structured", "snnk", "kan", "retrieval", "mega", "fields")


def given(graph: OpGraph) -> list[Tensor]:
    """A graph has edges of 0.7 and no loops, and its first node no neighbours."""
    leaves = graph.node(graph.input).outputs
    inputs = inputs_of(graph)
    for index, (leaf, x) in enumerate(zip(leaves, inputs, strict=True)):
        if leaf.kind == "graph":
            upper = 0.7 * (x > 0.3).float().triu(1)
            upper[:, 0] = 0
            inputs[index] = upper + upper.mT
    return inputs


def moved(graph: OpGraph) -> tuple[Interpreter, nn.Module]:
    """With the same weights, none of which is where it started."""
    reference, module, _ = pair(graph)
    with torch.no_grad():
        for weight in reference.parameters():
            weight.add_(torch.randn_like(weight), alpha=0.3)
        for name, value in reference.named_buffers():
            if "running" in name:
                value.copy_(torch.rand_like(value) + 0.5)
    names = weight_map(graph)
    module.load_state_dict({names[name]: value for name, value in reference.state_dict().items()})
    return reference, module


def buffers(net: nn.Module) -> list[Tensor]:
    return [value for value in net.buffers() if value.is_floating_point()]


def results_and_gradients(
    made: Any, inputs: list[Tensor], weights: Sequence[Tensor]
) -> tuple[list[Tensor], list[Tensor]]:
    results = listed(made)
    loss = torch.stack([result.sin().sum() for result in results]).sum()
    found = torch.autograd.grad(loss, [*inputs, *weights], allow_unused=True)
    zeros = (torch.zeros_like(x) for x in (*inputs, *weights))
    return results, [zero if x is None else x for x, zero in zip(found, zeros, strict=True)]


def same(found: list[Tensor], wanted: list[Tensor]) -> None:
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", PACKS)
def test_means(name: str) -> None:
    *written, formula = PACKS[name]
    graph = graph_of(*written)
    reference, module = moved(graph)
    inputs = [x.requires_grad_() for x in given(graph)]
    weights = list(reference.parameters())
    wanted = results_and_gradients(formula(*inputs, *weights, *buffers(reference)), inputs, weights)
    assert all(one.isfinite().all() for one in (*wanted[0], *wanted[1]))
    names, own = weight_map(graph), dict(module.named_parameters())
    emitted = [own[names[key]] for key, _ in reference.named_parameters()]
    for net, trained in ((reference, weights), (module, emitted)):
        found = results_and_gradients(net(*inputs), inputs, trained)
        assert [tuple(x.shape[1:]) for x in found[0]] == [leaf.sizes for leaf in graph.node(graph.output).inputs]
        same([*found[0], *found[1]], [*wanted[0], *wanted[1]])
    assert_costs(graph, inputs)


@pytest.mark.parametrize("pack", NAMES)
def test_no_operator_is_left_out(pack: str) -> None:
    grammar = load_grammar(pack)
    declared = {
        each.declaration for overloads in grammar.operators.values() for each in overloads if each.module == pack
    }
    used = {
        print_statement(node.applied.operator.declaration)
        for header, use, input, _ in PACKS.values()
        if header == f"import {pack}\n"
        for _, node in graph_of(header, use, input).uses()
    }
    assert declared and {print_statement(each) for each in declared} <= used


def net_of(pack: str, use: str, input: str) -> Interpreter:
    return pair(graph_of(f"import {pack}\n", use, input))[0]


# --- metamixer


def test_parameters_of_the_token_mixer() -> None:
    """As many as in the paper: C² + 2C + 2 (49C + 2C + 9C + 2C)."""
    graph = graph_of("import metamixer\n", "ffn_attention(repvgg_dw, repvgg_dw)", "im[8, 5, 5]")
    assert cost(graph).parameters == 8**2 + 2 * 8 + (49 * 8 + 2 * 8 + 9 * 8 + 2 * 8) * 2


# --- structured


def test_a_low_rank_map_starts_balanced() -> None:
    """Both factors have the roots of the singular values, in falling order, and directions that are orthogonal."""
    u, v, b = net_of("structured", "lowrank(20, 5)", "vec[12]").parameters()
    torch.testing.assert_close(u.T @ u, v @ v.T)
    values = (u.T @ u).diagonal()
    torch.testing.assert_close(u.T @ u, torch.diag(values), atol=1e-5, rtol=1e-5)
    assert (values.diff() <= 0).all() and values[-1] > 0 and not b.any()


def test_each_block_starts_orthogonal() -> None:
    v, u = net_of("structured", "block_dense(9, 8, b = 2)", "vec[12]").parameters()
    for block in v:
        torch.testing.assert_close(block @ block.T, torch.eye(4), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(u.T @ u, torch.eye(8), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("use", "parameters"),
    [("lowrank(8, 4, bias = false)", 80), ("block_dense(8, 4)", 44), ("block_shuffle(8, b = 4)", 40)],
)
def test_parameters_of_structured_maps(use: str, parameters: int) -> None:
    """r (N + M); rN / b + Mr; (N + M) min(N, M) / b."""
    assert cost(graph_of("import structured\n", use, "vec[12]")).parameters == parameters


# --- snnk


def test_random_features_come_close_to_a_sine() -> None:
    """20,000 features; the error has standard deviation 0.006 at most, and 0.04 is more than six of them."""
    net = net_of("snnk", "snnk_sine(3, 20000)", "vec[4]")
    x = torch.nn.functional.normalize(torch.randn(5, 4, generator=torch.Generator().manual_seed(2)), dim=1) * 0.5
    w, b = net.parameters()
    with torch.no_grad():
        b.copy_(torch.tensor([0.1, -0.7, 1.2]))
        assert (net(x) - torch.sin(x @ w.T + b)).abs().max() < 0.04


def test_frozen_features_are_no_parameters() -> None:
    net = net_of("snnk", "snnk_relu(3, 5)", "vec[4]")
    assert [tuple(weight.shape) for weight in net.parameters()] == [(3, 5)]
    assert [tuple(value.shape) for value in net.buffers()] == [(5, 4)]


# --- kan


@pytest.mark.parametrize(("grid", "order"), [(8, 3), (5, 1), (6, 2), (4, 4)])
def test_splines_are_those_of_scipy(grid: int, order: int) -> None:
    """On the whole interval with both ends, where they sum to 1."""
    knots = np.arange(-order, grid + order + 1, dtype=float)
    x = torch.linspace(-1, 1, 41)
    wanted = BSpline.design_matrix((x.double().numpy() + 1) * grid / 2, knots, order).toarray()
    basis = {"kan_spline_any": torch.eye(grid + order)}
    if order == 3:
        basis["kan_spline"] = torch.eye(grid + order)
    for operator, each in basis.items():
        arguments = f"{len(each)}, grid = {grid}" + (f", order = {order}" if operator == "kan_spline_any" else "")
        net = net_of("kan", f"{operator}({arguments})", "vec[1]")
        coef, base = net.parameters()
        with torch.no_grad():
            coef.copy_(each[:, None])
            base.zero_()
            found = net(x[:, None])
        np.testing.assert_allclose(found.numpy(), wanted, atol=2e-6)
        torch.testing.assert_close(found.sum(1), torch.ones(41))


def test_the_recursion_of_the_tests_is_right() -> None:
    """A quadratic spline in its closed form, and the sum of all."""
    u = torch.tensor([0.25, 1.5, 2.75])
    torch.testing.assert_close(cox_de_boor(u, 0, 2), torch.tensor([0.25**2 / 2, 0.75, 0.25**2 / 2]))
    torch.testing.assert_close(splines(torch.linspace(-2, 2, 9), 4, 3).sum(-1), torch.ones(9))


def test_a_choice_becomes_one_of_the_families() -> None:
    """As the temperature falls, the mixture is that with the largest weight."""
    net = net_of("kan", "select", "vec[5] ^ 3")
    xs = torch.randn(3, 2, 5)
    with torch.no_grad():
        torch.testing.assert_close(net(*xs), xs.mean(0))
        next(net.parameters()).copy_(torch.tensor([0.1, 0.5, 0.3]))
        next(net.buffers()).fill_(0.005)
        torch.testing.assert_close(net(*xs), xs[1])


# --- retrieval


def test_only_the_best_tokens_of_a_document_learn() -> None:
    net = net_of("retrieval", "maxsim", "(seq[2, 5], seq[9, 5])")
    q, doc = torch.randn(1, 2, 5), torch.randn(1, 9, 5, requires_grad=True)
    torch.autograd.backward(net(q, doc).sum())
    assert doc.grad is not None
    best = set((q @ doc.mT).argmax(2).flatten().tolist())
    assert set(doc.grad.abs().sum(2).nonzero()[:, 1].tolist()) == best


# --- mega


@pytest.mark.parametrize("k", [1, 2, 3])
def test_how_far_a_tcn_sees(k: int) -> None:
    """1 + 7 (k - 1) positions, none of them ahead."""
    net, far = net_of("mega", f"tcn(k = {k})", "seq[20, 2]").double(), 7 * (k - 1)
    x = torch.randn(1, 20, 2, dtype=torch.float64)
    with torch.no_grad():
        x2 = x.clone()
        x2[:, 4] += 1
        changed = (net(x2) - net(x)).abs().sum(2)[0].nonzero().flatten().tolist()
    assert changed[0] == 4 and changed[-1] == min(4 + far, 19)


@pytest.mark.parametrize("use", ["mega(4, z = 3, v = 5)", "tcnca(4)"])
def test_nothing_sees_ahead(use: str) -> None:
    net = net_of("mega", use, "seq[12, 6]").double()
    x = torch.randn(1, 12, 6, dtype=torch.float64)
    with torch.no_grad():
        for place in (0, 5, 8, 11):
            x2 = x.clone()
            x2[:, place] += 1
            changed = (net(x2) - net(x)).abs().sum(2)[0]
            assert not changed[:place].any() and changed[place] > 0


# --- packs together


TOGETHER = """import metamixer
import graphs
import experts
import structured
import snnk
import kan
import retrieval
import mega
import fields
"""

GRAPHS = "(nodes[5, 3], graph[5, 5])"
NETWORKS = {
    "FFNet": (
        "conv_bn(8, s = 2) >> gelu >> ff_block(ffn_attention(repvgg_dw, repvgg_dw)) >> repvgg_dw(s = 2)"
        " >> ff_block(ffn_attention(dwconv, dwconv), k = 7) >> head(3)",
        "im[3, 12, 12]",
    ),
    "convolutional KAN": (
        "im2col(k = 3, p = 1) >> s_kan(4) >> col2im >> max_pool >> to_vec >> s_kan(2)",
        "im[2, 6, 6]",
    ),
    "graph with virtual nodes": (
        "let (x, adj) = identity & normalise_graph, h = (x & adj) >> gcn(4) >> relu"
        " : (h & adj) >> gat(4) >> virtual_nodes(2) >> linear(3)",
        GRAPHS,
    ),
    "GraphSAGE": ("let (x, adj) = identity & identity, h = (x & adj) >> sage(4) : (h & adj) >> sage(2)", GRAPHS),
    "language": (
        "embed(11, 8) >> mega(4, z = 4, v = 8) >> tcnca(2) >> residual(expert_ffn(8, 4, 2)) >> unembed(11)",
        "tok[8]",
    ),
    "late interaction": ("tied colbert_ffn(4) ^ 2 >> maxsim", "seq[6, 8] ^ 2"),
    "field": (
        "clone(3) >> (grid2d(4, 2) & grid2d(8, 2) & fourier_features(3)) >> concat(axis = 2) >> rbf_fast(6)"
        " >> linear(3)",
        "points[7, 2]",
    ),
    "MLP": (
        "lowrank(8, 3) >> gelu >> block_dense(8, 4) >> gelu >> block_shuffle(8) >> snnk_relu(6, 4) >> snnk_sine(3, 9)",
        "vec[8]",
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name: str) -> None:
    """All packs can be imported together; both ways of running agree, in training too."""
    graph = graph_of(TOGETHER, *NETWORKS[name])
    reference, module = moved(graph)
    inputs = given(graph)
    for training in (False, True):
        same(listed(module.train(training)(*inputs)), listed(reference.train(training)(*inputs)))
    trained = [weight for weight in module.parameters() if weight.requires_grad]
    loss = torch.stack([result.sin().sum() for result in listed(module(*inputs))]).sum()
    torch.autograd.backward(loss)
    unmoved = [weight for weight in trained if weight.grad is None]
    assert len(unmoved) == (2 if "expert_ffn" in NETWORKS[name][0] else 0)
