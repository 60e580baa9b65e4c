"""What operators of the standard library compute, in torch; see form_cases.py."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from form_cases import Form
from torch import Tensor


def _turned(x: Tensor) -> Tensor:
    """Feature i of the first half and of the second, turned by position times 10000^(-i / half)."""
    half = x.shape[2] // 2
    angle = torch.outer(torch.arange(x.shape[1]).float(), 10000.0 ** (-torch.arange(half) / half))
    turned = torch.polar(torch.ones_like(angle), angle) * torch.complex(x[..., :half], x[..., half:])
    return torch.cat([turned.real, turned.imag], 2)


def _sines(x: Tensor) -> Tensor:
    """Sine and cosine of a frequency beside each other."""
    table = torch.empty(x.shape[1:])
    for i in range(x.shape[2] // 2):
        angle = torch.arange(x.shape[1]) / 10000 ** (2 * i / x.shape[2])
        table[:, 2 * i], table[:, 2 * i + 1] = angle.sin(), angle.cos()
    return x + table


def _in_heads(x: Tensor, heads: int) -> Tensor:
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def _attended(q: Tensor, k: Tensor, v: Tensor, causal: bool = True) -> Tensor:
    q, k, v = (_in_heads(x, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)


def _windowed(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    """Over a grid of 2 x 3: the bias of a pair of places is that of their distance in rows and columns."""
    places = [(row, column) for row in range(2) for column in range(3)]
    rows = [[bias[:, a - c + 1, b - d + 2] for c, d in places] for a, b in places]
    mask = torch.stack([torch.stack(row, 1) for row in rows], 1)
    q, k, v = (_in_heads(x, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


def _causal(x: Tensor, weight: Tensor, bias: Tensor, dilation: int = 1, groups: int = 1) -> Tensor:
    """A position sees itself and what is before it."""
    padded = F.pad(x.transpose(1, 2), (dilation * (weight.shape[2] - 1), 0))
    return F.conv1d(padded, weight, bias, dilation=dilation, groups=groups).transpose(1, 2)


def _filtered(x: Tensor, re: Tensor, im: Tensor) -> Tensor:
    found: Tensor = torch.fft.irfft2(torch.fft.rfft2(x) * torch.complex(re, im), s=tuple(x.shape[2:]))
    return found


SEQ, IM = "seq[6, 8]", "im[4, 6, 7]"

STANDARD: dict[str, Form] = {
    "mean": ("", "clone(3) >> (relu & identity & sigmoid) >> mean", SEQ, lambda x: (x.relu() + x + x.sigmoid()) / 3),
    "take": ("", "take(3)", "seq[6, 8] ^ 4", lambda x, y, z, u: z),
    "drop": ("", "drop(2)", "vec[3] ^ 5", lambda *x: x[2:]),
    "drop of nothing": ("", "drop(0)", "vec[3] ^ 2", lambda *x: x),
    "append": ("", "append", "(vec[3] ^ 2, vec[3])", lambda *x: x),
    "swap": ("", "swap", "(vec[3], seq[6, 8] ^ 2)", lambda x, y, z: (y, z, x)),
    "zero": ("", "clone(2) >> (zero & identity) >> add", IM, lambda x: x),
    "split_heads": ("", "split_heads(2)", SEQ, lambda x: x.chunk(2, 2)),
    "merge_heads": ("", "split_heads(4) >> merge_heads", SEQ, lambda x: x),
    "pixel_shuffle": ("", "pixel_shuffle(2)", IM, lambda x: F.pixel_shuffle(x, 2)),
    "causal_conv": ("", "causal_conv(5, dilation = 2)", SEQ, lambda x, w, b: _causal(x, w, b, 2)),
    "causal_dwconv": ("", "causal_dwconv(k = 2)", SEQ, lambda x, w, b: _causal(x, w, b, groups=8)),
    "upsample": ("", "upsample", IM, lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3)),
    "upsample_bilinear": (
        "",
        "upsample_bilinear(3)",
        IM,
        lambda x: F.interpolate(x, scale_factor=3, mode="bilinear", align_corners=False),
    ),
    "activate": ("", "activate(tanh) >> activate(f = softplus)", SEQ, lambda x: F.softplus(x.tanh())),
    "dropout": ("", "dropout >> dropout(0.5)", SEQ, lambda x: x),
    "dropout_channels": ("", "dropout_channels(0.5)", IM, lambda x: x),
    "drop_path": ("", "drop_path(0.5)", SEQ, lambda x: x),
    "pos_enc_sine": ("", "pos_enc_sine", SEQ, _sines),
    "rotary": ("", "rotary", SEQ, _turned),
    "attend_explicit": ("", "attend_explicit(2, causal = true)", "seq[6, 8] ^ 3", _attended),
    "attend_explicit to others": (
        "",
        "attend_explicit(2)",
        "(seq[6, 8], seq[5, 8], seq[5, 4])",
        lambda q, k, v: _attended(q, k, v, False),
    ),
    "window_bias": ("", "window_bias(2)", "(seq[(2, 3), 8], seq[(2, 3), 8], seq[(2, 3), 4])", _windowed),
    "fourier_mix": ("", "fourier_mix", SEQ, lambda x: torch.fft.fft2(x).real),
    "global_filter": ("", "global_filter", IM, _filtered),
}
