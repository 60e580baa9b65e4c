"""Single calls of torch, and small patterns, imported: what each computes, and how some of them read."""

# mypy: disable-error-code="no-any-return, no-untyped-call"
# calling a module of torch gives Any

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from import_judging import judged, randomised
from test_import_models import given, squeezed, term_of
from torch import Tensor, nn

import ein

Forward = Callable[[Any, Tensor], Tensor]
"""`m` has the layers of the case as `m.a`, `m.b`, …"""


class Case(nn.Module):
    def __init__(self, forward: Forward, *layers: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.run = forward
        for name, layer in zip("abcd", layers, strict=False):
            setattr(self, name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


def weight(*sizes: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*sizes))


IM, SEQ, VEC = "im[4, 6, 6]", "seq[6, 8]", "vec[8]"
LAYERS: list[tuple[str, str, Forward, tuple[Any, ...]]] = [
    ("conv(6, s = 2, bias = false)", IM, lambda m, x: m.a(x), (nn.Conv2d(4, 6, 3, 2, 1, bias=False),)),
    ("dwconv(k = 5)", IM, lambda m, x: m.a(x), (nn.Conv2d(4, 4, 5, padding="same", groups=4),)),
    ("conv_transpose(3)", IM, lambda m, x: m.a(x), (nn.ConvTranspose2d(4, 3, 2, 2),)),
    (
        "conv_transpose_full(3, 3, 2, 1, 1, 1, 1, false)",
        IM,
        lambda m, x: m.a(x),
        (nn.ConvTranspose2d(4, 3, 3, 2, 1, output_padding=1, bias=False),),
    ),
    ("transpose >> conv1d(5) >> transpose", SEQ, lambda m, x: m.a(x), (nn.Conv1d(6, 5, 3, padding=1),)),
    ("conv1d_plain(5, 3)", SEQ, lambda m, x: m.a(x.mT).mT, (nn.Conv1d(8, 5, 3, padding=1, bias=False),)),
    ("batch_norm", SEQ, lambda m, x: m.a(x.mT).mT, (nn.BatchNorm1d(8),)),
    ("batch_norm_eps(0.001)", IM, lambda m, x: m.a(x), (nn.BatchNorm2d(4, eps=1e-3),)),
    ("group_norm(2)", IM, lambda m, x: m.a(x), (nn.GroupNorm(2, 4),)),
    ("group_norm_eps(2, 1e-5)", SEQ, lambda m, x: m.a(x.mT).mT, (nn.GroupNorm(2, 8),)),
    ("instance_norm", IM, lambda m, x: m.a(x), (nn.InstanceNorm2d(4, affine=True),)),
    (
        "instance_norm_eps(1e-5, false) >> conv(2)",
        IM,
        lambda m, x: m.b(m.a(x)),
        (nn.InstanceNorm2d(4), nn.Conv2d(4, 2, 3, 1, 1)),
    ),
    ("layer_norm(eps = 1e-6)", SEQ, lambda m, x: m.a(x), (nn.LayerNorm(8, eps=1e-6),)),
    ("layer_norm_last(1e-5)", IM, lambda m, x: m.a(x), (nn.LayerNorm(6),)),
    ("layer_norm_scale(1e-5)", SEQ, lambda m, x: m.a(x), (nn.LayerNorm(8, bias=False),)),
    ("layer_norm", IM, lambda m, x: m.a(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), (nn.LayerNorm(4),)),
    ("conv(5, k = 1)", IM, lambda m, x: m.a(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), (nn.Linear(4, 5),)),
    ("rms_norm(eps = 0.001)", SEQ, lambda m, x: m.a(x), (nn.RMSNorm(8, eps=1e-3),)),
    ("prelu", IM, lambda m, x: m.a(x), (nn.PReLU(4),)),
    ("", IM, lambda m, x: m.a(x), (nn.PReLU(),)),
    ("gru(5)", SEQ, lambda m, x: m.a(x)[0], (nn.GRU(8, 5, batch_first=True),)),
    ("lstm_layers(5, 2, false)", SEQ, lambda m, x: m.a(x)[0], (nn.LSTM(8, 5, 2, bias=False, batch_first=True),)),
    ("gru_both_ways(5, 1, true)", SEQ, lambda m, x: m.a(x)[0], (nn.GRU(8, 5, batch_first=True, bidirectional=True),)),
    ("linear(5, bias = false)", SEQ, lambda m, x: x @ m.a, (weight(8, 5),)),
    ("linear(5)", VEC, lambda m, x: torch.addmm(m.b, x, m.a), (weight(8, 5), weight(5))),
    ("layer_scale", SEQ, lambda m, x: m.a * x, (weight(8),)),
    ("layer_scale", IM, lambda m, x: x * m.a[:, None, None], (weight(4),)),
    ("pos_enc(std = 0.02)", SEQ, lambda m, x: x + m.a, (weight(1, 6, 8),)),
    ("pos_enc", SEQ, lambda m, x: x + m.a(torch.arange(6)), (nn.Embedding(9, 8),)),
    ("class_token", SEQ, lambda m, x: torch.cat((m.a.expand(len(x), 1, -1), x), 1), (weight(1, 8),)),
    ("", SEQ, lambda m, x: x + m.a, (weight(8),)),
    ("tied linear(8) * 3", VEC, lambda m, x: m.a(m.a(m.a(x))), (nn.Linear(8, 8),)),
    ("clone(2) >> tied linear(4) ^ 2 >> mul", VEC, lambda m, x: m.a(x) * m.a(x), (nn.Linear(8, 4),)),
    (
        "linear(8) >> split(2, 1) >> (identity & sigmoid) >> mul",
        VEC,
        lambda m, x: F.glu(m.a(x), -1),
        (nn.Linear(8, 8),),
    ),
]
PLAIN: list[tuple[str, str, Forward]] = [
    ("max_pool(k = 3, s = 2, p = 1)", IM, lambda m, x: F.max_pool2d(x, 3, 2, 1)),
    ("avg_pool", IM, lambda m, x: F.avg_pool2d(x, 2)),
    ("adaptive_pool(3)", IM, lambda m, x: F.adaptive_avg_pool2d(x, 3)),
    ("adaptive_max_pool(2)", IM, lambda m, x: F.adaptive_max_pool2d(x, 2)),
    ("pool", IM, lambda m, x: F.adaptive_avg_pool2d(x, 1).flatten(1)),
    ("pool", IM, lambda m, x: x.flatten(2).mean(-1)),
    ("pool_features", SEQ, lambda m, x: x.mean(2)),
    ("max_pool1d(2)", SEQ, lambda m, x: F.max_pool1d(x.mT, 2).mT),
    ("avg_pool1d(3)", SEQ, lambda m, x: F.avg_pool1d(x.mT, 3).mT),
    ("", SEQ, lambda m, x: x.amax(1)),
    ("", SEQ, lambda m, x: x.max(dim=2, keepdim=True)[0] - x),
    ("", SEQ, lambda m, x: x.sum(1) + x[:, 2]),
    ("first_token", SEQ, lambda m, x: x[:, 0]),
    ("", SEQ, lambda m, x: x[:, 1:]),
    ("", SEQ, lambda m, x: x[:, -1]),
    ("", SEQ, lambda m, x: torch.cat((x[:, :2], x[:, 3:]), 1)),
    ("upsample(r = 3)", IM, lambda m, x: F.interpolate(x, scale_factor=3)),
    ("upsample_bilinear", IM, lambda m, x: F.interpolate(x, size=(12, 12), mode="bilinear")),
    ("pixel_shuffle(2)", IM, lambda m, x: F.pixel_shuffle(x, 2)),
    ("channel_shuffle(2)", IM, lambda m, x: x.view(-1, 2, 2, 6, 6).transpose(1, 2).reshape(-1, 4, 6, 6)),
    ("im2col(3, p = 1)", IM, lambda m, x: F.unfold(x, 3, padding=1).mT),
    ("im2col(2, s = 2) >> col2im", IM, lambda m, x: F.unfold(x, 2, stride=2).unflatten(2, (3, 3))),
    ("flatten", IM, lambda m, x: x.permute(0, 2, 3, 1).reshape(len(x), 36, 4)),
    ("permute((3, 1, 2))", IM, lambda m, x: x.permute(0, 3, 1, 2)),
    ("", IM, lambda m, x: F.pad(x, (1, 0, 2, 1))),
    ("", IM, lambda m, x: x.roll((1, -2), (2, 3))),
    ("", SEQ, lambda m, x: x.flip(1)),
    ("", SEQ, lambda m, x: x.cumsum(1)),
    ("", SEQ, lambda m, x: x.log_softmax(-1)),
    ("softmax", SEQ, lambda m, x: F.softmax(x, -1)),
    ("transpose >> softmax >> transpose", SEQ, lambda m, x: x.softmax(1)),
    ("", SEQ, lambda m, x: x @ x.mT),
    ("", SEQ, lambda m, x: torch.einsum("bld,bmd->bml", x, x.tanh())),
    ("leaky_relu(slope = 0.2)", VEC, lambda m, x: F.leaky_relu(x, 0.2)),
    ("gelu_tanh", VEC, lambda m, x: F.gelu(x, approximate="tanh")),
    ("gelu_tanh", VEC, lambda m, x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
    ("gelu", VEC, lambda m, x: x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))),
    ("residual(zero)", VEC, lambda m, x: x + torch.zeros_like(x)),
    ("square_relu", VEC, lambda m, x: F.relu(x) ** 2),
    ("relu6", VEC, lambda m, x: F.hardtanh(x, 0, 6)),
    ("mish", VEC, lambda m, x: F.mish(x)),
    ("hardswish", VEC, lambda m, x: F.hardswish(x)),
    ("", VEC, lambda m, x: F.elu(x, 0.5)),
    ("", VEC, lambda m, x: F.hardsigmoid(x) + F.selu(x)),
    ("", VEC, lambda m, x: x.clamp(min=-0.5)),
    ("", VEC, lambda m, x: torch.where(torch.arange(8) > 3, x, -x)),
    ("", VEC, lambda m, x: (x - x.mean(-1, keepdim=True)) / (1 + x.abs())),
    ("", VEC, lambda m, x: 1 / (1 + torch.exp(-1.7 * x))),
    ("", VEC, lambda m, x: torch.maximum(x, x.cos()) - 3),
    ("residual(clone(2) >> add)", VEC, lambda m, x: x + x + x),
    ("", VEC, lambda m, x: torch.cat(x.tanh().chunk(2, -1)[::-1], -1)),
    ("", SEQ, lambda m, x: x.split([3, 5], -1)[1].split([2, 3], -1)[0] * 2),
]


@pytest.mark.parametrize(("term", "input", "forward", "layers"), LAYERS, ids=range(len(LAYERS)))
def test_layers(term: str, input: str, forward: Forward, layers: tuple[Any, ...]) -> None:
    model = randomised(Case(forward, *layers))
    if isinstance(getattr(model, "a", None), nn.Embedding):
        model.a = nn.Embedding(6, 8)
    found = ein.from_torch(model, input)
    judged(model, found, given(input))
    assert not term or term_of(found) == squeezed(term)


@pytest.mark.parametrize(("term", "input", "forward"), PLAIN, ids=range(len(PLAIN)))
def test_functions(term: str, input: str, forward: Forward) -> None:
    model = Case(forward)
    found = ein.from_torch(model, input)
    judged(model, found, given(input))
    assert not term or term_of(found) == squeezed(term)
