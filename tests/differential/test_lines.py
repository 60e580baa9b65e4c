"""The lines of a body: interpreter, emitted source and formulas in torch agree, and weights start as they should."""

from __future__ import annotations

import atexit
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import pytest
import torch
import torch.nn.functional as F
from test_interpret_emit import assert_same, graph_of
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ein.compiler.emit import emit, weight_map
from ein.compiler.graph import OpGraph, cost, verify
from ein.compiler.interpret import Interpreter
from ein.compiler.load import load
from ein.compiler.lower import lower
from ein.compiler.passes import optimise
from ein.compiler.verify_ops import verify as disagreements
from ein.grammar.architecture import architecture
from ein.grammar.cfg import Grammar
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source

LINES = (Path(__file__).parent / "lines.ein").read_text("utf-8")
ARCHITECTURES = re.findall(r"^arch (\w+)", LINES, re.MULTILINE)
every = pytest.mark.parametrize("name", ARCHITECTURES)


@cache
def lines() -> Grammar:
    return load_grammar(Source("lines.ein", LINES))


@cache
def graph(name: str) -> OpGraph:
    found = lower(architecture(lines(), name).term)
    verify(found)
    return found


# --- all forms


@every
def test_interpreter_and_source_agree(name: str) -> None:
    assert_same(graph(name))
    assert_same(optimise(graph(name), checked=True).graph)


@every
def test_the_same_seed_starts_both_alike(name: str) -> None:
    """Draws, parameters, buffers and layers in textual order."""
    names = weight_map(graph(name))
    torch.manual_seed(5)
    wanted = Interpreter(graph(name)).state_dict()
    torch.manual_seed(5)
    found = load(graph(name)).state_dict()
    assert len(found) == len(wanted)
    for entry, value in wanted.items():
        assert torch.equal(found[names[entry]], value), entry


@every
def test_parameters_are_those_that_the_costs_say(name: str) -> None:
    term = architecture(lines(), name)
    assert cost(graph(name)) == term.cost
    for net in (Interpreter(graph(name)), load(graph(name))):
        assert sum(weight.numel() for weight in net.parameters()) == term.cost.parameters


@every
def test_no_two_weights_share_memory(name: str) -> None:
    """What starts from one draw is trained on its own."""
    for net in (Interpreter(graph(name)), load(graph(name))):
        kept = list(net.state_dict().values())
        assert len({tensor.data_ptr() for tensor in kept}) == len(kept)
        for tensor in kept:
            assert tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()
            assert tensor.dtype in (torch.float32, torch.int64)


def test_torch_agrees_on_every_shape() -> None:
    overloads = [operator for found in lines().operators.values() for operator in found]
    assert disagreements([operator for operator in overloads if operator.module == "lines.ein"], lines().kinds) == []


def test_ruff_finds_nothing_to_do(tmp_path: Path) -> None:
    for name in ARCHITECTURES:
        (tmp_path / f"{name}.py").write_text(emit(graph(name)), "utf-8")
    check = ["check", "--isolated", "--no-cache", "--select", "E4,E7,E9,F,E,W,I,UP,B,RUF", "--line-length", "88"]
    for command in (check, ["format", "--isolated", "--no-cache", "--check", "--diff"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_dtype_and_device_are_free() -> None:
    """In double precision all of the state and every result is double."""
    for name in {*ARCHITECTURES} - {"spline_net"}:  # `where(c, 1, 0)` is of torch's default type
        net = load(graph(name)).double()
        types = graph(name).node(graph(name).input).outputs
        inputs = [torch.randn(2, *leaf.sizes, dtype=torch.float64) for leaf in types]
        assert net(*inputs).dtype == torch.float64, name


# --- formulas


def run(name: str, seed: int = 3) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Input, result, and the state by the last part of each name; the first use of an operator wins."""
    torch.manual_seed(seed)
    net = Interpreter(graph(name))
    for parameter in net.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    [type] = graph(name).node(graph(name).input).outputs
    x = torch.randn(3, *type.sizes)
    state: dict[str, Tensor] = {}
    for entry, value in net.state_dict().items():
        state.setdefault(re.sub(r"^\w+\.(param_|buffer_)?", "", entry), value)
    return x, net(x), state


def recurrence(x: Tensor, states: tuple[Tensor, ...], step: Callable[..., tuple[Tensor, ...]]) -> list[Tensor]:
    """The plain loop: all values of each state, positions first behind the batch."""
    rows: list[tuple[Tensor, ...]] = []
    for t in range(x.shape[1]):
        states = step(x[:, t], *states)
        rows.append(states)
    return [torch.stack(column, 1) for column in zip(*rows, strict=True)]


def halves(x: Tensor) -> Tensor:
    once = torch.cat([x[..., 3:], x[..., :3]], -1).relu()
    return torch.cat([once[..., 3:], once[..., :3]], -1)


def in_order(x: Tensor, a: Tensor, b: Tensor, c: Tensor, f: Tensor, k: Tensor) -> Tensor:
    return x * a + b + (c.T * f + k.T).sum(1)


def two_states(x: Tensor, a: Tensor) -> Tensor:
    def step(x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        f = torch.sigmoid(x + a * h)
        c = f * c + (1 - f) * x
        return torch.tanh(c), c

    h, c = recurrence(x, (torch.zeros_like(x[:, 0]), torch.ones_like(x[:, 0])), step)
    return h + 0.1 * c


def swapped(x: Tensor) -> Tensor:
    start = torch.zeros_like(x[:, 0])
    a, b = recurrence(x, (start, start + 0.5), lambda x, a, b: (b + x, a - 0.5 * x))
    return a * b


def past(x: Tensor) -> Tensor:
    start = torch.zeros_like(x[:, 0])
    h, before = recurrence(x, (start, start), lambda x, h, _: (0.5 * h + x, h))
    return h - before


def learned_start(x: Tensor, h0: Tensor, w: Tensor) -> Tensor:
    def step(x: Tensor, h: Tensor, g: Tensor) -> tuple[Tensor, ...]:
        h = torch.tanh(h @ w.T + x)
        return h, 0.9 * g + h

    h, g = recurrence(x, (h0.expand(len(x), -1), x[:, 0]), step)
    return h * g


def layers_inside(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    def step(x: Tensor, h: Tensor) -> tuple[Tensor]:
        z = F.linear(x, state["linear.weight"], state["linear.bias"]) + F.linear(h, state["linear_2.weight"])
        return (F.layer_norm(z.tanh(), (4,), state["layernorm.weight"], state["layernorm.bias"]),)

    return recurrence(x, (torch.zeros(len(x), 4),), step)[0]


def weights_walked(x: Tensor, p: Tensor, q: Tensor) -> Tensor:
    k, h, rows = torch.ones_like(q), torch.zeros_like(x[:, 0]), []
    for t in range(5):
        k = k * q + p[t]
        h = h + k * x[:, t] + p[t]
        rows.append(h)
    return torch.stack(rows, 1)


def spline_basis(u: Tensor, grid: int, order: int) -> Tensor:
    """Cox and de Boor's recursion, one basis function at a time."""
    knots = [i - order for i in range(grid + 2 * order + 1)]

    def basis(i: int, n: int) -> Tensor:
        if n == 0:
            return ((u >= knots[i]) & (u < knots[i + 1])).float()
        left = (u - knots[i]) / (knots[i + n] - knots[i]) * basis(i, n - 1)
        right = (knots[i + n + 1] - u) / (knots[i + n + 1] - knots[i + 1]) * basis(i + 1, n - 1)
        return left + right

    return torch.stack([basis(i, order) for i in range(grid + order)], -1)


FORMULAS: dict[str, Callable[[Tensor, dict[str, Tensor]], Tensor]] = {
    "halves_net": lambda x, s: halves(x),
    "random_net_net": lambda x, s: (x @ s["g"].T).relu() @ s["theta"].T * 8**-0.5,
    "turned_net": lambda x, s: torch.einsum("bld,nde->ble", x, s["q"]),
    "sine_features_net": lambda x, s: (
        torch.exp(x @ s["g"].T - 0.5 * (x**2).sum(-1, keepdim=True))
        @ (torch.exp(0.5 * (s["w"] ** 2).sum(-1))[:, None] * torch.sin(s["w"] @ s["g"].T + s["b"][:, None])).T
        / 9
    ),
    "every_draw_net": lambda x, s: s["p"] * x + s["q"],
    "reflected_net": lambda x, s: x @ (s["p"] @ s["t"] + s["i"]),
    "spread_net": lambda x, s: x * s["p"] + s["q"],
    "blocks_net": lambda x, s: torch.einsum("ble,ne,nd->bld", x, s["b"], s["a"]),
    "swapped_net": lambda x, s: swapped(x),
    "past_net": lambda x, s: past(x),
    "learned_start_net": lambda x, s: learned_start(x, s["h0"], s["w"]),
    "layers_inside_net": layers_inside,
    "weights_walked_net": lambda x, s: weights_walked(x, s["p"], s["q"]),
    "only_weights_net": lambda x, s: x + 1 + s["q"],
    "drawn_walk_net": lambda x, s: x + s["walk"],
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formula(name: str) -> None:
    x, found, state = run(name)
    torch.testing.assert_close(found, FORMULAS[name](x, state), rtol=1e-5, atol=1e-5)


@cache
def folder() -> Path:
    """The file's operators, to be imported: what is imported is not proved again."""
    made = Path(mkdtemp(prefix="ein-lines-"))
    atexit.register(rmtree, made)
    (made / "ops.ein").write_text(re.sub(r"^arch .*\n(    .*\n)*", "", LINES, flags=re.MULTILINE), "utf-8")
    return made


@cache
def built(term: str, type: str) -> OpGraph:
    """The graph of a term over the file's operators."""
    file = folder() / "main.ein"
    file.write_text(f'ein 1\nimport std\nimport "ops.ein"\ninput {type}\narch a = {term}\n', "utf-8")
    return lower(architecture(load_grammar(str(file))).term)


def of(term: str, type: str, seed: int = 3) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Input, result and parameters."""
    torch.manual_seed(seed)
    net = Interpreter(built(term, type))
    x = torch.randn(3, *(int(n) for n in re.findall(r"\d+", type)))
    return x, net(x), list(net.parameters())


def test_several_names() -> None:
    x, found, [w] = of("gates", "seq[5, 6]")
    a, b, c = (w[:, None, None] * x).unbind(0)
    torch.testing.assert_close(found, a * b.sigmoid() + c.tanh())


def test_a_recurrence_of_two_states() -> None:
    x, found, [a] = of("two_states", "seq[9, 4]")
    torch.testing.assert_close(found, two_states(x, a))


def test_a_scan_along_another_axis() -> None:
    x, found, _ = of("columns", "im[2, 3, 5]")
    [wanted] = recurrence(x.movedim(3, 1), (torch.zeros(3, 2, 3),), lambda x, s: (0.9 * s + x,))
    torch.testing.assert_close(found, wanted.movedim(1, 3))


def test_a_repetition_of_no_rounds_is_the_start() -> None:
    x, found, _ = of("powers(0)", "seq[5, 6]")
    torch.testing.assert_close(found, x)
    x, found, [c] = of("powers(2)", "seq[5, 6]")
    first = x * x.tanh()
    torch.testing.assert_close(found, x + c * first + c * first * x.tanh() / 2)


@pytest.mark.parametrize(("grid", "order"), [(4, 0), (4, 1), (5, 3), (2, 5)])
def test_sizes_change_between_rounds(grid: int, order: int) -> None:
    x, found, [coef] = of(f"spline({grid}, {order})", "vec[4]")
    u = (x.clamp(-1, 1) + 1) * (grid / 2)
    torch.testing.assert_close(found, (spline_basis(u, grid, order) * coef).sum(-1), rtol=1e-4, atol=1e-5)


def test_layers_in_rounds_are_as_many_layers() -> None:
    x, found, weights = of("stacked_layers(3)", "vec[4]")
    assert len(weights) == 6
    for i, (w, b) in enumerate(zip(weights[::2], weights[1::2], strict=True), 1):
        x = x + F.linear(x, w, b).relu() / i
    torch.testing.assert_close(found, x)


def test_a_weight_of_a_branch_not_taken_does_not_exist() -> None:
    _, _, with_bias = of("lowrank(4, 2)", "vec[6]")
    _, _, without = of("lowrank(4, 2, bias = false)", "vec[6]")
    assert [w.shape for w in with_bias] == [(4, 2), (2, 6), (4,)]
    assert [w.shape for w in without] == [(4, 2), (2, 6)]


def test_multiply_accumulates_of_a_scan_are_those_of_its_steps() -> None:
    made = architecture(lines(), "layers_inside_net")
    assert made.cost.macs == 5 * (6 * 4 + 4 * 4)
    with torch.device("meta"):
        net = Interpreter(graph("layers_inside_net"))
        with FlopCounterMode(display=False) as flops:
            net(torch.empty(1, 5, 6))
    assert flops.get_total_flops() // 2 == made.cost.macs


# --- recurrences of the library, in closed form


def library(term: str, type: str, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    found = graph_of(f"input {type}\narch net = {term}")
    verify(found)
    torch.manual_seed(1)
    net = Interpreter(found)
    return net(x), {name.partition(".")[2].removeprefix("param_"): value for name, value in net.state_dict().items()}


def test_the_moving_average_is_a_convolution_with_powers() -> None:
    x = torch.randn(3, 6, 2)
    found, state = library("ema", "seq[6, 2]", x)
    assert state["alpha"].tolist() == [0, 0]
    kernel = torch.tensor([[0.5 * 0.5 ** (i - j) if i >= j else 0.0 for j in range(6)] for i in range(6)])
    torch.testing.assert_close(found, torch.einsum("ij,bjd->bid", kernel, x))


def test_the_state_space_model_is_a_sum_over_the_past() -> None:
    x = torch.randn(3, 6, 2)
    found, s = library("ssm(3)", "seq[6, 2]", x)
    assert s["a"].tolist() == [[-1, -2, -3]] * 2 and s["dt"].tolist() == [-3, -3] and s["skip"].tolist() == [1, 1]
    step = F.softplus(s["dt"])[:, None]
    wanted = torch.zeros_like(x)
    for i in range(6):
        for j in range(i + 1):
            kernel = (s["c"] * torch.exp(step * s["a"]) ** (i - j) * step * s["b"]).sum(1)
            wanted[:, i] += kernel * x[:, j]
    torch.testing.assert_close(found, wanted + s["skip"] * x, rtol=1e-5, atol=1e-6)
