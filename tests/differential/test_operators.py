"""What each operator of einspace computes, against a formula in torch written for this test."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ein.compiler.interpret import Interpreter
from ein.compiler.lower import lower
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source
from ein.grammar.types import Tensor as TensorType

READOUT = """op readout(classes) : im[c, h, w] -> vec[classes] = nn.Linear(c, classes)(mean[h, w](x))
op readout(classes) : seq[s, d]   -> vec[classes] = nn.Linear(s, classes)(mean[d](x))
"""


def run(type: str, term: str, x: Tensor, train: bool = False) -> tuple[Tensor, list[Tensor]]:
    """The result, and the weights in the order of the network."""
    text = f"ein 1\nimport std\n{READOUT}input {type}\narch a = {term}\n"
    made = architecture(load_grammar(Source("a.ein", text)))
    torch.manual_seed(3)
    net = Interpreter(lower(made.term)).train(train)
    result = net(x)
    assert isinstance(result, Tensor) and isinstance(made.type, TensorType)
    assert tuple(result.shape) == (x.shape[0], *made.type.sizes)
    return result, list(net.parameters())


def same(type: str, term: str, formula: Callable[..., Tensor], train: bool = False) -> None:
    sizes = [int(n) for n in type[type.index("[") + 1 : -1].split(",")]
    x = torch.randn(3, *sizes, generator=torch.Generator().manual_seed(1))
    result, weights = run(type, term, x, train)
    torch.testing.assert_close(result, formula(x, *weights), rtol=1e-5, atol=1e-5)


IMAGES = ["im[4, 6, 8]", "im[2, 5, 7]", "im[1, 3, 3]"]
SEQUENCES = ["seq[6, 4]", "seq[5, 3]", "seq[1, 8]"]
TENSORS = [*IMAGES, *SEQUENCES]
types = pytest.mark.parametrize("type", TENSORS)
images = pytest.mark.parametrize("type", IMAGES)


@types
@pytest.mark.parametrize(
    ("term", "formula"),
    [
        ("identity", lambda x: x),
        ("relu", lambda x: x.clamp(min=0)),
        ("leaky_relu", lambda x: torch.where(x > 0, x, 0.01 * x)),
        ("leaky_relu(slope = 0.3)", lambda x: torch.where(x > 0, x, 0.3 * x)),
        ("softmax", lambda x: x.exp() / x.exp().sum(-1, keepdim=True)),
        ("pos_enc", lambda x, p: x + p),
        ("linear(5)", lambda x, w, b: torch.einsum("...d,od->...o", x, w) + b),
        ("linear(5, bias = false)", lambda x, w: torch.einsum("...d,od->...o", x, w)),
        ("clone(3) >> add", lambda x: 3 * x),
        ("clone(2) >> (relu & identity) >> add", lambda x: x.relu() + x),
        (
            "clone(3) >> linear(2) ^ 3 >> add",
            lambda x, *w: sum(x @ a.T + b for a, b in zip(w[::2], w[1::2], strict=True)),
        ),
        ("clone(3) >> tied linear(2) ^ 3 >> add", lambda x, w, b: 3 * (x @ w.T + b)),
        ("tied pos_enc * 3", lambda x, p: x + 3 * p),
        ("pos_enc * 3", lambda x, p, q, r: x + p + q + r),
    ],
)
def test_on_any_tensor(type: str, term: str, formula: Callable[..., Tensor]) -> None:
    same(type, term, formula)


def test_a_position_starts_as_the_normal_distribution() -> None:
    """As in the reference: standard deviation 1, one value for each position and feature."""
    _, [p] = run("seq[200, 100]", "pos_enc", torch.zeros(1, 200, 100))
    assert p.shape == (200, 100)
    assert abs(p.mean().item()) < 0.02 and abs(p.std().item() - 1) < 0.02
    _, [q] = run("seq[200, 100]", "pos_enc(std = 0.02)", torch.zeros(1, 200, 100))
    assert abs(q.std().item() - 0.02) < 0.001


SPLITS = [
    (type, axis, parts)
    for type in TENSORS
    for axis, size in enumerate(map(int, type[type.index("[") + 1 : -1].split(",")), 1)
    for parts in (2, 3, 4)
    if size % parts == 0
]


@pytest.mark.parametrize(("type", "axis", "parts"), SPLITS)
def test_split_and_concat_on_each_axis(type: str, axis: int, parts: int) -> None:
    same(type, f"split({parts}, {axis}) >> concat({axis})", lambda x: x)
    same(type, f"split({parts}, {axis}) >> add", lambda x: torch.stack(x.chunk(parts, axis)).sum(0))
    if parts == 2:
        half = f"split(2, {axis}) >> (relu & identity) >> concat({axis})"
        same(type, half, lambda x: torch.cat([x.chunk(2, axis)[0].relu(), x.chunk(2, axis)[1]], axis))


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_concat_of_parts_that_differ(axis: int) -> None:
    """Contiguous parts in the order of the branches."""
    widths = {
        1: "conv(2, k = 1, bias = false)",
        2: "permute((1, 3, 2)) >> linear(2) >> permute((1, 3, 2))",
        3: "linear(2)",
    }

    def formula(x: Tensor, *w: Tensor) -> Tensor:
        if axis == 1:
            return torch.cat([F.conv2d(x, w[0]), x], 1)
        y = x.transpose(2, 3) if axis == 2 else x
        y = y @ w[0].T + w[1]
        return torch.cat([y.transpose(2, 3) if axis == 2 else y, x], axis)

    same("im[4, 6, 8]", f"clone(2) >> ({widths[axis]} & identity) >> concat({axis})", formula)


@pytest.mark.parametrize(
    ("type", "order"),
    [(type, order) for type in TENSORS for order in permutations(range(1, 4 if type.startswith("im") else 3))],
)
def test_permute(type: str, order: tuple[int, ...]) -> None:
    same(type, f"permute({order})", lambda x: x.permute(0, *order))


@images
@pytest.mark.parametrize(("k", "s", "p"), [(1, 1, 0), (1, 2, 0), (3, 1, 1), (3, 2, 1), (2, 2, 0), (3, 3, 2)])
def test_im2col_has_the_order_of_unfold(type: str, k: int, s: int, p: int) -> None:
    """Positions row by row; features channel-major, then rows and columns of the window."""

    def slowly(x: Tensor) -> Tensor:
        x = F.pad(x, (p, p, p, p))
        rows = range(0, x.shape[2] - k + 1, s)
        columns = range(0, x.shape[3] - k + 1, s)
        return torch.stack([x[:, :, i : i + k, j : j + k].flatten(1) for i in rows for j in columns], 1)

    same(type, f"im2col({k}, s = {s}, p = {p})", slowly)
    same(type, f"im2col({k}, s = {s}, p = {p})", lambda x: F.unfold(x, k, padding=p, stride=s).transpose(1, 2))


@images
def test_col2im_undoes_im2col_of_single_positions(type: str) -> None:
    same(type, "im2col(1) >> col2im", lambda x: x)


@images
@pytest.mark.parametrize(("k", "s", "p"), [(1, 1, 0), (3, 1, 1), (3, 2, 1)])
def test_im2col_linear_col2im_is_a_convolution(type: str, k: int, s: int, p: int) -> None:
    def formula(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return F.conv2d(x, w.view(5, x.shape[1], k, k), b, stride=s, padding=p)

    same(type, f"im2col({k}, s = {s}, p = {p}) >> linear(5) >> col2im", formula)


@images
@pytest.mark.parametrize("arguments", ["", ", s = 2", ", k = 1", ", k = 5, p = 2", ", dilation = 2", ", bias = false"])
def test_conv(type: str, arguments: str) -> None:
    given: dict[str, Any] = dict(part.split(" = ") for part in arguments.split(", ")[1:])
    k, s, d = (int(given.get(name, default)) for name, default in (("k", 3), ("s", 1), ("dilation", 1)))
    p = int(given.get("p", d * (k // 2)))
    same(type, f"conv(6{arguments})", lambda x, w, b=None: F.conv2d(x, w, b, stride=s, padding=p, dilation=d))


def test_conv_in_groups() -> None:
    same("im[4, 6, 8]", "conv(6, groups = 2)", lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=2))


@images
def test_pools(type: str) -> None:
    same(type, "max_pool", lambda x: F.max_pool2d(x, 2))
    same(type, "max_pool(3, s = 2, p = 1)", lambda x: F.max_pool2d(x, 3, stride=2, padding=1))
    same(type, "pool", lambda x: x.mean((2, 3)))


def test_a_sequence_is_pooled_over_its_positions() -> None:
    same("seq[6, 4]", "pool", lambda x: x.mean(1))


def standardised(x: Tensor, axes: tuple[int, ...], w: Tensor, b: Tensor, channels: int) -> Tensor:
    shape = [1] * x.dim()
    shape[channels] = -1
    mean, var = x.mean(axes, keepdim=True), x.var(axes, unbiased=False, keepdim=True)
    return (x - mean) / (var + 1e-5).sqrt() * w.view(shape) + b.view(shape)


@pytest.mark.parametrize("term", ["norm", "batch_norm"])
def test_an_image_is_normalised_over_batch_and_positions(term: str) -> None:
    for type in IMAGES:
        same(type, term, lambda x, w, b: standardised(x, (0, 2, 3), w, b, 1), train=True)
        same(type, term, lambda x, w, b: x / (1 + 1e-5) ** 0.5, train=False)


def test_a_sequence_is_normalised_by_position_or_by_batch() -> None:
    for type in SEQUENCES:
        same(type, "norm", lambda x, w, b: standardised(x, (2,), w, b, 2))
        same(type, "batch_norm", lambda x, w, b: standardised(x, (0, 1), w, b, 2), train=True)


@pytest.mark.parametrize("type", ["im[2, 5, 5]", "im[4, 6, 6]", "seq[5, 5]"])
def test_products_of_matrices(type: str) -> None:
    last = int(type[type.rindex(" ") : -1])
    same(type, "clone(2) >> matmul", lambda x: x @ x)
    same(type, "clone(2) >> scaled_matmul", lambda x: x @ x / last**0.5)


def test_products_contract_the_last_axis_with_the_last_but_one() -> None:
    turned = "clone(2) >> (identity & permute((2, 1))) >> "
    same("seq[5, 3]", f"{turned}matmul", lambda x: x @ x.transpose(1, 2))
    same("seq[5, 3]", f"{turned}scaled_matmul", lambda x: x @ x.transpose(1, 2) / 3**0.5)
    text = "clone(2) >> (linear(4) & permute((1, 3, 2)) >> linear(7) >> permute((1, 3, 2)) >> linear(2)) >> add"
    with pytest.raises(Exception, match="`add` needs equal tensors"):
        run("im[2, 3, 4]", text, torch.zeros(1, 2, 3, 4))


def test_residual_and_head() -> None:
    same("im[4, 6, 8]", "residual(relu)", lambda x: x.relu() + x)
    same("im[4, 6, 8]", "head(7)", lambda x, w, b: x.mean((2, 3)) @ w.T + b)
    same("seq[6, 4]", "head(7)", lambda x, w, b: x.mean(1) @ w.T + b)


def test_the_readout_of_einspace_averages_positions_of_images_and_features_of_sequences() -> None:
    """Appendix B.1 of the paper: a sequence is classified from its positions."""
    same("im[4, 6, 8]", "readout(7)", lambda x, w, b: x.mean((2, 3)) @ w.T + b)
    same("seq[6, 4]", "readout(7)", lambda x, w, b: x.mean(2) @ w.T + b)
