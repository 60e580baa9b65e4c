"""What the weights of a body start from, what is kept and not trained, and tensors that several places share."""

from __future__ import annotations

from math import prod

import pytest
import torch
import torch.nn.functional as F
from test_interpret_emit import architecture_graph as bodies_graph
from test_interpret_emit import graph_of
from test_lines import ARCHITECTURES, built, graph, lines, of, run
from torch import Tensor

from ein.compiler.carry import carry
from ein.compiler.emit import emit, weight_map
from ein.compiler.graph import cost
from ein.compiler.identity import identity
from ein.compiler.interpret import Interpreter
from ein.compiler.load import load
from ein.compiler.passes import optimise
from ein.grammar.architecture import architecture

# --- starts


def weights_of(declaration: str, seed: int = 0) -> list[Tensor]:
    """What `param p…` starts as, by the interpreter and by emitted source."""
    text = f"op f : vec[d] -> vec[d] {declaration} = x + sum[a, b](p)\ninput vec[2]\narch net = f"
    found = graph_of(text)
    torch.manual_seed(seed)
    [first] = [value for name, value in Interpreter(found).named_parameters()]
    torch.manual_seed(seed)
    [second] = load(found).parameters()
    assert torch.equal(first, second)
    return [first.detach(), second.detach()]


@pytest.mark.parametrize("role", ["param p[a = 300, b = 200] ~ {}", "draw q[a = 300, b = 200] ~ {} param p[a, b] = q"])
@pytest.mark.parametrize(
    ("start", "mean", "std", "low", "high"),
    [
        ("normal(2, 0.5)", 2, 0.5, -2, 6),
        ("uniform(-1, 3)", 1, 4 / 12**0.5, -1, 3),
        ("trunc_normal(0.3)", 0, 0.3, -2, 2),
        ("kaiming", 0, 200**-0.5 / 3**0.5, -(200**-0.5), 200**-0.5),
        ("xavier", 0, (2 / 500) ** 0.5, -((6 / 500) ** 0.5), (6 / 500) ** 0.5),
    ],
)
def test_distributions(role: str, start: str, mean: float, std: float, low: float, high: float) -> None:
    """Of 60,000 numbers the mean is within five of its own standard deviations."""
    p, _ = weights_of(role.format(start))
    assert abs(p.mean().item() - mean) < 5 * std / 60_000**0.5
    assert abs(p.std().item() / std - 1) < 0.02
    assert low <= p.min().item() and p.max().item() <= high
    assert p.min().item() < mean - 1.5 * std and p.max().item() > mean + 1.5 * std


@pytest.mark.parametrize("lines", ["param p[{}] ~ orthogonal", "draw q[{}] ~ orthogonal param p[a, b, e, g] = q"])
def test_orthogonal_blocks(lines: str) -> None:
    declared = lines.format("a = 3, b = 2, e = 4, g = 7")
    text = f"op f : vec[d] -> vec[d] {declared} = x + sum[a, b, e, g](p)\ninput vec[2]\narch net = f"
    [p] = load(graph_of(text)).parameters()
    torch.testing.assert_close(p @ p.mT, torch.eye(4).expand(3, 2, 4, 4), rtol=0, atol=1e-5)
    assert len({round(block[0, 0].item(), 5) for block in p.flatten(0, 1)}) == 6


def test_the_low_rank_start_is_the_best_one() -> None:
    """`u v` is the truncated singular value decomposition of the draw, and both factors have half of each value."""
    torch.manual_seed(8)
    w = torch.empty(8, 6).normal_(0, 6**-0.5)
    u0, s0, v0 = torch.linalg.svd(w, full_matrices=False)
    _, _, [u, v, b] = of("lowrank(8, 3)", "vec[6]", seed=8)
    torch.testing.assert_close(u @ v, (u0[:, :3] * s0[:3]) @ v0[:3])
    torch.testing.assert_close(u.T @ u, torch.diag(s0[:3]), rtol=1e-4, atol=1e-5)
    assert not b.any()


def test_exact_starts() -> None:
    _, _, [a, b, c, k] = of("positions(3)", "vec[2]")
    assert a.tolist() == [[-1, -2, -3]] * 2 and b.tolist() == [[0, 0.5]] * 3
    assert c.tolist() == [[1, 0, 0], [0, 1, 0]] and k.tolist() == [0, 1, 2]


def test_starts_of_one_draw_are_one_matrix_in_three_layouts() -> None:
    _, _, [_, _, c, f, k] = of("in_order", "vec[6]")
    assert torch.equal(c, 2 * f.T) and torch.equal(k, f.T)


def test_draws_in_textual_order() -> None:
    """a, w, b: what is drawn between two weights comes between them."""
    torch.manual_seed(3)
    a, w, b = torch.randn(6), torch.randn(6, 3), torch.randn(6)
    _, _, [found_a, found_b, _, f, _] = of("in_order", "vec[6]")
    assert torch.equal(found_a, a) and torch.equal(f, w) and torch.equal(found_b, b)


def test_qr_gives_an_orthogonal_and_a_triangular_matrix() -> None:
    _, _, [q, r, i] = of("reflected", "vec[5]")
    torch.testing.assert_close(q.T @ q, torch.eye(5), rtol=0, atol=1e-5)
    assert torch.equal(r, r.triu())
    torch.testing.assert_close(i, torch.eye(5) - 0.5 * q @ r)


# --- buffers


def test_buffers_are_kept_and_not_trained() -> None:
    net, found = load(graph("features_net")), architecture(lines(), "features_net")
    assert found.cost.parameters == 0 and not list(net.parameters())
    assert sorted(net.state_dict()) == [f"features{i}_{name}" for i in (1, 2) for name in ("g", "scale", "shift")]
    first = Interpreter(graph("random_net_net"))
    assert sorted(first.state_dict()) == ["random_net_1.buffer_g", "random_net_1.param_theta"]
    assert [name for name, _ in first.named_parameters()] == ["random_net_1.param_theta"]


def test_buffers_move_with_the_weights_through_the_passes() -> None:
    before = graph_of(BUFFERED)
    made = optimise(before, checked=True)
    reference, rewritten = Interpreter(before), Interpreter(made.graph)
    rewritten.load_state_dict(carry(made.weights, rewritten.state_dict(), reference.state_dict()))
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(rewritten(x), reference(x))
    assert any("conv2d" in name for name in rewritten.state_dict())


BUFFERED = """
op frozen(key: name = none) : any[*s, d] -> any[*s, d]
    buffer g[d] ~ normal(0, 1)
    param p[d] ~ normal(0, 1) tied by key
    = x * g * p
input im[4, 6, 6]
arch net = frozen(key = one) >> clone(2) >> (identity & frozen(key = one)) >> add
    >> im2col(3, p = 1) >> linear(5) >> col2im
"""


# --- one tensor under one key


def test_a_key_is_one_tensor() -> None:
    reference, source = Interpreter(graph("one_key")), emit(graph("one_key"))
    assert sorted(reference.state_dict()) == ["tied.param_one", "wide_3.param_w", "wide_4.param_w"]
    assert source.count("nn.Parameter(") == 3 and source.count("self.tied_one") == 4
    x, found, state = run("one_key")
    w = state["one"]
    hidden = (x @ w.T).relu() @ w.T @ state["w"].T
    other = [value for name, value in Interpreter(graph("one_key")).state_dict().items() if "wide_4" in name]
    assert len(other) == 1 and found.shape == hidden.shape


def test_the_gradient_of_a_tied_weight_is_the_sum_of_its_uses() -> None:
    one = load(built("wide(key = a) >> relu >> wide(key = a)", "seq[5, 6]"))
    two = load(built("wide(key = a) >> relu >> wide(key = b)", "seq[5, 6]"))
    with torch.no_grad():
        for parameter in two.parameters():
            parameter.copy_(next(one.parameters()))
    x = torch.randn(2, 5, 6)
    for net in (one, two):
        net(x).square().sum().backward()
    torch.testing.assert_close(next(one.parameters()).grad, sum(p.grad for p in two.parameters()))


def test_the_identity_of_a_network_does_not_know_the_names_of_keys() -> None:

    def id_of(term: str) -> str:
        return identity(built(term, "seq[5, 6]"))

    assert id_of("wide(key = a) >> wide(key = a)") == id_of("wide(key = b) >> wide(key = b)")
    assert id_of("wide(key = a) >> wide(key = b)") == id_of("wide >> wide") == id_of("wide >> wide(key = a)")
    assert id_of("wide(key = a) >> wide(key = a)") != id_of("wide >> wide")
    assert id_of("wide(key = a) >> wide(key = a) >> wide") != id_of("wide(key = a) >> wide >> wide(key = a)")
    assert id_of("clone(2) >> wide(key = a) ^ 2 >> add") != id_of("clone(2) >> wide ^ 2 >> add")
    assert id_of("two_keys(a, b) >> two_keys(a, b)") == id_of("two_keys(b, a) >> two_keys(b, a)")
    assert id_of("two_keys(a, b) >> two_keys(a, b)") != id_of("two_keys(a, b) >> two_keys(b, a)")


def test_words_of_torch_and_python_are_keys_like_others() -> None:
    source = emit(graph("keys_of_words"))
    assert all(f"self.tied_{word} " in source for word in ("forward", "training", "lambda"))


def test_words_in_and_words_out_share_a_table() -> None:
    made = graph_of("input tok[7]\narch net = embed(11, 4, key = wte) >> linear(4) >> unembed(11, key = wte)")
    net, source = Interpreter(made), emit(made)
    words = torch.randint(0, 11, (3, 7))
    state = net.state_dict()
    table = state["tied.param_wte"]
    assert table.shape == (11, 4) and abs(table.std().item() - 0.02) < 0.01
    hidden = F.linear(table[words], state["linear_1.linear.weight"], state["linear_1.linear.bias"])
    torch.testing.assert_close(net(words), hidden @ table.T)
    other = load(made)
    other.load_state_dict({weight_map(made)[name]: value for name, value in state.items()})
    torch.testing.assert_close(other(words), net(words))
    assert source.count("nn.Parameter(") == 1
    assert cost(made).parameters == 11 * 4 + 4 * 4 + 4 == sum(p.numel() for p in other.parameters())


def test_words_have_tables_of_their_own_without_a_key() -> None:
    made = graph_of("input tok[7]\narch net = embed(11, 4) >> unembed(11)")
    assert cost(made).parameters == 2 * 11 * 4
    assert sorted(Interpreter(made).state_dict()) == ["embed_1.param_table", "unembed_1.param_table"]


def test_other_bodies_are_written_as_before() -> None:
    """What has no such lines has no trace of them."""
    source = emit(bodies_graph("squeeze_net"))
    assert "register_buffer" not in source and "for " not in source


def test_sizes_of_weights_are_those_of_the_state() -> None:
    for name in ARCHITECTURES:
        state = Interpreter(graph(name)).state_dict()
        kept = {f"{node.key}.{entry}": sizes for _, node in graph(name).uses() for entry, sizes in node.weights.items()}
        kept |= {f"tied.param_{key}": sizes for _, node in graph(name).uses() for key, sizes in node.ties.items()}
        assert kept == {entry: tuple(value.shape) for entry, value in state.items()}, name
        counted = sum(prod(sizes) for entry, sizes in kept.items() if "buffer_" not in entry)
        assert counted == cost(graph(name)).parameters, name
