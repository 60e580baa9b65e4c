"""Forms of operator bodies: an operator `f`, its use, the type of its input, and what it gives, in torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Form: TypeAlias = tuple[str, str, str, Callable[..., Any]]
"""(the operator, its use, the input, what it gives: a function of the inputs and then the parameters)."""

KINDS = "type vol[c, d, h, w]\ntype flag[l] : bool\ntype grid[h, w, two]\ntype pair[l, k] : int\n"

SEQ, IM = "seq[6, 8]", "im[4, 6, 8]"
SAME = "seq[l, d] -> seq[l, d]"


def op(signature: str, body: str, guard: str = "") -> str:
    return f"op f : {signature}{f' where {guard}' if guard else ''} = {body}"


def _windows(x: Tensor) -> Tensor:
    return torch.stack([x[:, i : i + 3] for i in range(0, 4, 2)], 1)


def _looked_up(x: Tensor) -> Tensor:
    """The row that the largest of the first entries of each row says."""
    return torch.stack([torch.stack([one[row[:6].argmax()] for row in one]) for one in x])


STRUCTURE: dict[str, Form] = {
    "zeros": (op("t -> t", "zeros"), "f", SEQ, torch.zeros_like),
    "zeros of another shape": (op("seq[l, d] -> im[2, l, d]", "zeros"), "f", SEQ, lambda x: x.new_zeros(3, 2, 6, 8)),
    "zeros of several": (
        op("seq[l, d] -> (tok[l], vec[d])", "zeros"),
        "f",
        SEQ,
        lambda x: (torch.zeros(3, 6, dtype=torch.long), x.new_zeros(3, 8)),
    ),
    "einsum": (
        op("(seq[i, d], seq[j, d]) -> seq[i, j]", "einsum"),
        "f",
        "(seq[5, 4], seq[6, 4])",
        lambda x, y: torch.einsum("bid,bjd->bij", x, y),
    ),
    "einsum of grids": (
        op("(im[c, h, w], seq[(h, w), d]) -> seq[(d, c), w]", "einsum"),
        "f",
        "(im[4, 2, 3], seq[(2, 3), 5])",
        lambda x, y: torch.einsum("bchw,bhwd->bdcw", x, y.reshape(3, 2, 3, 5)).flatten(1, 2),
    ),
    "einsum of one": (op("im[c, h, w] -> seq[w, c]", "einsum"), "f", IM, lambda x: x.sum(2).transpose(1, 2)),
    "einsum of three": (
        op("(seq[i, j], seq[j, k], seq[k, l]) -> seq[l, i]", "einsum"),
        "f",
        "(seq[2, 3], seq[3, 4], seq[4, 5])",
        lambda x, y, z: (x @ y @ z).mT,
    ),
    "rearrange of a bundle": (
        op("seq[l, d] ^ b -> seq[l, (b, d)]", "rearrange"),
        "clone(3) >> (relu & identity & sigmoid) >> f",
        SEQ,
        lambda x: torch.stack([x.relu(), x, x.sigmoid()], 2).flatten(2),
    ),
    "rearrange to a bundle": (
        op("seq[l, (b, d)] -> seq[d, l] ^ b", "rearrange"),
        "merge_heads >> f",
        "seq[6, 4] ^ 2",
        lambda x, y: [x.transpose(1, 2), y.transpose(1, 2)],
    ),
    "unstack": (
        op("seq[l, d] -> (seq[l, d // 2], seq[l, d // 2])", "unstack[two](x[l, (two = 2, e)])", "d % 2 == 0"),
        "f",
        SEQ,
        lambda x: x.chunk(2, 2),
    ),
    "one of unstack": (
        "op f : seq[l, d] -> seq[l, d] where d % 2 == 0\n let a, b = unstack[two](x[l, (two = 2, e)])\n"
        " = stack[two](b, b) -> [l, (two, e)]",
        "f",
        SEQ,
        lambda x: x[:, :, 4:].repeat(1, 1, 2),
    ),
    "results": (
        op("seq[l, d] -> (seq[d, l], vec[d])", "(relu(x), sum[l](x))"),
        "f",
        SEQ,
        lambda x: (x.relu().transpose(1, 2), x.sum(1)),
    ),
    "a bundle inside a bundle": (
        op("(t ^ b, t) -> t", "sum(x) * y"),
        "f",
        "(vec[4] ^ 3, vec[4])",
        lambda x, y, z, u: (x + y + z) * u,
    ),
    "named bundles": (
        op("(all: seq[l, d] ^ b, k: seq[l, d]) -> seq[l, d]", "max[b](stack[b](all)) - k"),
        "f",
        "(seq[2, 3] ^ 2, seq[2, 3])",
        lambda x, y, k: torch.maximum(x, y) - k,
    ),
    "slice": (
        op("seq[l, d] -> seq[l - 1, d]", "slice[l](x, 1, l) - slice[l](x, 0, l - 1)", "l > 1"),
        "f",
        SEQ,
        lambda x: x[:, 1:] - x[:, :-1],
    ),
    "slice of the last": (
        op("seq[l, d] -> seq[l, 2]", "slice[d](x, first = 1, end = 3)", "d > 2"),
        "f",
        SEQ,
        lambda x: x[..., 1:3],
    ),
    "pad": (
        op("im[c, h, w] -> im[c, h + 3, w + 1]", "pad[w](pad[h](x, 1, 2), before = 0, after = 1)"),
        "f",
        IM,
        lambda x: F.pad(x, (0, 1, 1, 2)),
    ),
    "a choice among tensors of any kind": (
        "op f : t ^ b -> t param v[b] ~ normal(0, 1) = dot[b](softmax[b](v), stack[b](xs))",
        "f",
        "seq[6, 8] ^ 3",
        lambda x, y, z, v: torch.einsum("n,nbld->bld", v.softmax(0), torch.stack([x, y, z])),
    ),
    "windows": (
        op("seq[l, d] -> im[(l - 3) // 2 + 1, 3, d]", "windows[l, k](x, 3, step = 2)[n, d, k] -> [n, k, d]", "l > 2"),
        "f",
        SEQ,
        _windows,
    ),
    "copies": (
        op("seq[l, d] -> im[3, l, d]", "copies[n](x, 3)"),
        "f",
        SEQ,
        lambda x: x[:, None].expand(-1, 3, -1, -1),
    ),
    "copies of a weight": (
        "op f : seq[l, d] -> seq[l, d] param p[d] ~ normal(0, 1) = x + sum[k](copies[k](p, 4) * range[k])",
        "f",
        SEQ,
        lambda x, p: x + 6 * p,
    ),
    "an axis of one": (op("seq[l, d] -> vec[1]", "sum[l, d](x) -> [1]"), "f", SEQ, lambda x: x.sum((1, 2))[:, None]),
    "axes of one among others": (
        op("seq[l, d] -> vol[1, d, 1, l]", "x -> [1, d, 1, l]"),
        "f",
        SEQ,
        lambda x: x.transpose(1, 2)[:, None, :, None],
    ),
    "groups with sizes": (
        op("seq[l, d] -> seq[l, d]", "flip[i](x[(n, i = 3), d]) -> [(n, i), d]", "l % 3 == 0"),
        "f",
        SEQ,
        lambda x: x.unflatten(1, (2, 3)).flip(2).flatten(1, 2),
    ),
    "a grid under other names": (
        op("seq[(h, w), d] -> seq[(h, w), (h, w)]", "dot[d](x, x[(i = h, j = w), d]) -> [(h, w), (i, j)]"),
        "f",
        "seq[(2, 3), 4]",
        lambda x: x @ x.mT,
    ),
    "roll": (op(SAME, "roll[l](x, 2) - roll[d](x, shift = -1)"), "f", SEQ, lambda x: x.roll(2, 1) - x.roll(-1, 2)),
    "concat in another order": (
        op("seq[l, d] -> seq[l, 2 * d]", "concat[d](x, x[l, d] -> [d, l])"),
        "f",
        SEQ,
        lambda x: torch.cat([x, x], 2),
    ),
    "split keeps names": (
        "op f : seq[l, d] -> seq[l, l] where d % 2 == 0\n let a, b = split[d](x, 2)\n = dot[d](a, b[j, d = d // 2])",
        "f",
        SEQ,
        lambda x: x[..., :4] @ x[..., 4:].mT,
    ),
}

WIRES: dict[str, Form] = {
    "take": ("op f(i) : t ^ b -> t where i >= 1, i <= b = wires", "f(2)", "seq[6, 8] ^ 3", lambda x, y, z: y),
    "drop": ("op f(n) : t ^ b -> t ^ (b - n) where b - n >= 2 = wires", "f(1)", "vec[4] ^ 3", lambda x, y, z: [y, z]),
    "append": ("op f : (t ^ b, t) -> t ^ (b + 1) = wires", "f", "(vec[4] ^ 2, vec[4])", lambda x, y, z: [x, y, z]),
    "swap": ("op f : (t, u) -> (u, t) = wires", "f", "(vec[4] ^ 2, seq[2, 3])", lambda x, y, z: [z, x, y]),
    "kinds": (
        "op f : (vec[d], seq[l, d], vec[d]) -> (seq[l, d], vec[d], vec[d]) = wires",
        "f",
        "(vec[4], seq[2, 4], vec[4])",
        lambda x, y, z: [y, x, z],
    ),
    "integers": ("op f : (tok[l], t) -> (t, tok[l]) = wires", "f", "(tok[5], vec[4])", lambda x, y: [y, x]),
}

SELECTION: dict[str, Form] = {
    "range": (
        op(SAME, "x * range[l] + range[d](d) ** 2"),
        "f",
        SEQ,
        lambda x: x * torch.arange(6)[:, None] + torch.arange(8) ** 2,
    ),
    "a causal mask": (
        op("seq[l, l] -> seq[l, l]", "x[i, j] * (range[i] >= range[j])"),
        "f",
        "seq[5, 5]",
        torch.tril,
    ),
    "integers of a range": (
        op(SAME, "x + (range[l] // 4) * (range[l] % 3) + (1 + range[d]) / 2 + clamp(range[d], 1, 2.5)"),
        "f",
        SEQ,
        lambda x: (
            x
            + ((torch.arange(6) // 4) * (torch.arange(6) % 3))[:, None]
            + (1 + torch.arange(8)) / 2
            + torch.arange(8).clamp(1, 2.5)
        ),
    ),
    "words": (
        "op f(n) : tok[l] -> seq[l, 4] where n >= 1 param table[n, d = 4] ~ normal(0, 1) = gather[n](table, x)",
        "f(3)",
        "tok[5]",
        lambda x, table: table[x],
    ),
    "words on a later axis": (
        "op f(n) : tok[l] -> seq[l, 4] where n >= 1 param table[d = 4, n] ~ normal(0, 1) = gather[n](table, x)",
        "f(3)",
        "tok[5]",
        lambda x, table: table.T[x],
    ),
    "positions of a weight": (
        "op f : seq[l, d] -> seq[l, l] param p[far = 2 * l - 1] ~ normal(0, 1)"
        " = dot[d](x[i, d], x[j, d]) + gather[far](p, range[i](l) - range[j](l) + (l - 1))",
        "f",
        SEQ,
        lambda x, p: x @ x.mT + p[torch.arange(6)[:, None] - torch.arange(6) + 5],
    ),
    "two axes at once": (
        "op f : seq[l, 2] -> seq[l, 4] param t[gy = 3, f = 4, gx = 5] ~ normal(0, 1)\n"
        " let u, v = unstack[xy](clamp(floor(x[l, xy] + 1), 0, 2)) = gather[gx, gy](t, u, v)",
        "f",
        "seq[6, 2]",
        lambda x, t: t.permute(0, 2, 1)[
            (x[..., 1] + 1).floor().clamp(0, 2).long(), (x[..., 0] + 1).floor().clamp(0, 2).long()
        ],
    ),
    "the input at fixed places": (
        op("seq[l, d] -> seq[l, d]", "gather[l](x, (l - 1) - range[n](l))"),
        "f",
        SEQ,
        lambda x: x.flip(1),
    ),
    "the input at two fixed places": (
        op("im[c, h, w] -> vec[c]", "gather[c, w](x, range[k](c), 0 * range[k](c))[k, h] -> [h, k]").replace(
            "vec[c]", "seq[h, c]"
        ),
        "f",
        IM,
        lambda x: x[:, :, :, 0].transpose(1, 2),
    ),
    "each example in its own": (
        op("seq[l, d] -> seq[l, d]", "gather[j](x[j, d], argmax[k](x[l, k]))").replace(
            "x[l, k]", "slice[k](x[l, k], 0, min(l, d))"
        ),
        "f",
        SEQ,
        _looked_up,
    ),
    "in place of an axis": (
        op("seq[l, d] -> seq[l, 3]", "gather[d](x, topk[d, pick](x, 3))", "d >= 3"),
        "f",
        SEQ,
        lambda x: x.topk(3, 2).values,
    ),
    "where axes are shared": (
        op("(seq[l, d], pair[l, k]) -> im[l, k, 2]", "gather[a](x[l, (a, two = 2)], y)", "d % 2 == 0, d > 5"),
        "f",
        "(seq[6, 8], pair[6, 5])",
        lambda x, y: torch.gather(x.unflatten(2, (4, 2)), 2, y[..., None].expand(-1, -1, -1, 2)),
    ),
    "a table of weights with a shared axis": (
        "op f : tok[l] -> seq[l, 4] param t[l, n = 3, d = 4] ~ normal(0, 1) = gather[n](t, x)",
        "f",
        "tok[5]",
        lambda x, t: torch.stack([t[torch.arange(5), one] for one in x]),
    ),
    "topk": (
        op("seq[l, d] -> pair[l, 2]", "topk[d, pick](x, k = 2)", "d > 1"),
        "f",
        SEQ,
        lambda x: x.topk(2, 2).indices,
    ),
    "one_hot": (
        op("tok[l] -> seq[l, 3]", "1.0 * one_hot[n](x, 3)"),
        "f",
        "tok[5]",
        lambda x: F.one_hot(x, 3).float(),
    ),
    "a hard choice": (
        op("seq[l, d] -> seq[l, d]", "x * sum[pick](one_hot[d](topk[d, pick](x, 2)))", "d > 1"),
        "f",
        SEQ,
        lambda x: x * (x >= x.topk(2, 2).values[..., 1:]),
    ),
    "a product with integers": (
        op("seq[l, d] -> vec[d]", "dot[l](x, range[l])"),
        "f",
        SEQ,
        lambda x: torch.einsum("bld,l->bd", x, torch.arange(6).float()),
    ),
    "argmax": (op("seq[l, d] -> tok[l]", "argmax[d](x) - argmin[d](x)"), "f", SEQ, lambda x: x.argmax(2) - x.argmin(2)),
    "sort": (op(SAME, "sort[l](x)"), "f", SEQ, lambda x: x.sort(1).values),
    "integers in": (
        op("(tok[l], seq[l, d]) -> seq[l, d]", "x * y + (x + 1) / 2"),
        "f",
        "(tok[6], seq[6, 8])",
        lambda x, y: x[..., None] * y + (x[..., None] + 1) / 2,
    ),
    "integers all along": (
        op("tok[l] -> tok[l]", "where(x == 2, 7, x * 2 - 1) + cumsum[l](x) // 2"),
        "f",
        "tok[5]",
        lambda x: torch.where(x == 2, 7, x * 2 - 1) + x.cumsum(1) // 2,
    ),
}

TRUTHS: dict[str, Form] = {
    "any and all": (
        op("seq[l, d] -> vec[l]", "any[d](x > 1) + 2 * all[d](x < 1) + any[d](x)"),
        "f",
        SEQ,
        lambda x: (x > 1).any(2).float() + 2 * (x < 1).all(2).float() + 1,
    ),
    "over several axes": (
        op("im[c, h, w] -> vec[c]", "1 - all[h, w](x > -2)"),
        "f",
        IM,
        lambda x: 1 - (x > -2).all(3).all(2).float(),
    ),
    "and or not": (
        op(SAME, "where(x > 0 and not x > 1 or x < -1, x, 0) + (x > 0 or x)"),
        "f",
        SEQ,
        lambda x: torch.where((x > 0) & ~(x > 1) | (x < -1), x, 0.0) + 1,
    ),
    "as numbers": (op(SAME, "2 * (x > 0 and x < 1) - (not x)"), "f", SEQ, lambda x: 2 * ((x > 0) & (x < 1)).float()),
    "flags in": (
        op("(flag[l], seq[l, d]) -> seq[l, d]", "where(not x or y > 9, 2 * y, y) + (x and y > 0)"),
        "f",
        "(flag[6], seq[6, 8])",
        lambda x, y: torch.where(x[..., None], y, 2 * y) + (x[..., None] & (y > 0)),
    ),
    "flags out": (
        op("seq[l, d] -> flag[l]", "any[d](x > 1) or index[d](x, 0) > 0"),
        "f",
        SEQ,
        lambda x: (x > 1).any(2) | (x[..., 0] > 0),
    ),
    "flags of numbers": (op("seq[l, d] -> flag[l]", "index[d](relu(x), 0)"), "f", SEQ, lambda x: x[..., 0] > 0),
    "flags chosen": (
        op("(flag[l], flag[l]) -> flag[l]", "where(x, y, not y)"),
        "f",
        "(flag[6], flag[6])",
        lambda x, y: x == y,
    ),
}

ALONG: dict[str, Form] = {
    "softmax over neighbours": (
        op("im[c, h, w] -> im[c, h, w]", "softmax[h, w](x)"),
        "f",
        IM,
        lambda x: x.flatten(2).softmax(2).view_as(x),
    ),
    "softmax over others": (
        op("im[c, h, w] -> im[c, h, w]", "log_softmax[w, c](x)"),
        "f",
        IM,
        lambda x: x - x.logsumexp((1, 3), keepdim=True),
    ),
    "flip of two": (op("im[c, h, w] -> im[c, h, w]", "flip[h, w](x)"), "f", IM, lambda x: x.flip(2, 3)),
    "fft": (
        op(SAME, "real(fft[l, d](x)) + imag(fft[l](x))"),
        "f",
        SEQ,
        lambda x: torch.fft.fft2(x).real + torch.fft.fft(x, dim=1).imag,
    ),
    "there and back": (
        "op f : im[c, h, w] -> im[c, h, w] param a[c, h, v = w // 2 + 1] ~ normal(0, 1), b[c, h, v = w // 2 + 1] = 1\n"
        " = irfft[v, w](ifft[h](fft[h](rfft[w, v](x)) * complex(a, b)))",
        "f",
        IM,
        lambda x, a, b: torch.fft.irfft2(torch.fft.rfft2(x) * torch.complex(a, b), s=(6, 8)),
    ),
    "there and back to a size": (
        op("seq[l, d] -> seq[l, d]", "irfft[v, w](rfft[d, v](x), d)[l, d]"),
        "f",
        "seq[3, 7]",
        lambda x: x,
    ),
    "magnitudes": (
        op("seq[l, d] -> seq[l // 2 + 1, d]", "abs(rfft[l, v](x))"),
        "f",
        SEQ,
        lambda x: torch.fft.rfft(x, dim=1).abs(),
    ),
    "complex products": (
        op("seq[l, d] -> seq[l, l]", "real(dot[d](fft[d](x), x[j, d]))"),
        "f",
        SEQ,
        lambda x: torch.einsum("bld,bjd->blj", torch.fft.fft(x), x.to(torch.complex64)).real,
    ),
    "dropout": (op(SAME, "dropout(x, p = 0.5)"), "f", SEQ, lambda x: x),
    "dropout along axes": (
        op("im[c, h, w] -> im[c, h, w]", "dropout[c, w](dropout[h, w](x, 0.5), p = 0.1)"),
        "f",
        IM,
        lambda x: x,
    ),
    "a function by name": (
        "op f(g: fn = silu) : any[*s] -> any[*s] = g(x) - sigmoid(x)",
        "f >> f(g = tanh)",
        SEQ,
        lambda x: (F.silu(x) - x.sigmoid()).tanh() - (F.silu(x) - x.sigmoid()).sigmoid(),
    ),
    "by infinity": (op(SAME, "clamp(x, -inf, max = 0.5)"), "f", SEQ, lambda x: x.clamp(max=0.5)),
    "by itself": (op(SAME, "x / 1 * 1 ** 2"), "f", SEQ, lambda x: x),
}


# --- layers and functions of torch


def _lstm(x: Tensor, *w: Tensor) -> Tensor:
    """Gates in torch's order: input, forget, cell, output."""
    wi, wh, bi, bh = w
    h = c = x.new_zeros(len(x), wh.shape[1])
    states = []
    for t in range(x.shape[1]):
        i, f, g, o = (x[:, t] @ wi.T + bi + h @ wh.T + bh).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        states.append(h)
    return torch.stack(states, 1)


def _module(module: nn.Module, x: Tensor, w: tuple[Tensor, ...], sequence: bool = False) -> Tensor:
    with torch.no_grad():
        for own, other in zip(module.parameters(), w, strict=True):
            own.copy_(other)
    found: Tensor = module(x)[0] if sequence else module(x)
    return found


def layer(
    signature: str, body: str, input: str, build: Callable[[], nn.Module], sequence: bool = False, guard: str = ""
) -> Form:
    return op(signature, body, guard), "f", input, lambda x, *w: _module(build(), x, w, sequence)


LAYERS: dict[str, Form] = {
    "nn.ConvTranspose1d": layer(
        "seq[l, d] -> seq[6, 2 * d + 1]",
        "nn.ConvTranspose1d(l, 6, 3, stride = 2)(x)",
        "seq[4, 5]",
        lambda: nn.ConvTranspose1d(4, 6, 3, stride=2),
    ),
    "nn.ConvTranspose2d": layer(
        "im[c, h, w] -> im[6, 2 * h, 2 * w]",
        "nn.ConvTranspose2d(c, 6, 3, stride = 2, padding = 1, output_padding = 1, groups = 2) ",
        "im[4, 5, 6]",
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        guard="c % 2 == 0",
    ),
    "nn.ConvTranspose3d": layer(
        "vol[c, d, h, w] -> vol[2, d + 2, h + 2, w + 2]",
        "nn.ConvTranspose3d(c, 2, 2, dilation = 2, bias = false)",
        "vol[3, 2, 3, 4]",
        lambda: nn.ConvTranspose3d(3, 2, 2, dilation=2, bias=False),
    ),
    "nn.InstanceNorm1d": layer(
        "seq[l, d] -> seq[l, d]",
        "nn.InstanceNorm1d(l, affine = true)",
        SEQ,
        lambda: nn.InstanceNorm1d(6, affine=True),
        guard="d > 1",
    ),
    "nn.Embedding": (op("tok[l] -> seq[l, 4]", "nn.Embedding(3, 4)"), "f", "tok[5]", lambda x, w: w[x]),
    "nn.LSTM": (op("seq[l, d] -> seq[l, 5]", "nn.LSTM(d, 5)"), "f", SEQ, _lstm),
    "nn.LSTM both ways": layer(
        "seq[l, d] -> seq[l, 10]",
        "nn.LSTM(d, 5, num_layers = 2, bias = false, bidirectional = true)",
        SEQ,
        lambda: nn.LSTM(8, 5, num_layers=2, bias=False, bidirectional=True, batch_first=True),
        sequence=True,
    ),
    "nn.GRU": layer(
        "seq[l, d] -> seq[l, 5]",
        "relu(nn.GRU(d, 5)(x))",
        SEQ,
        lambda: nn.GRU(8, 5, batch_first=True),
        sequence=True,
    ),
    "nn.Bilinear": (
        op("(seq[l, d], seq[l, e]) -> seq[l, 3]", "nn.Bilinear(d, e, 3)(x, y)"),
        "f",
        "(seq[6, 8], seq[6, 4])",
        lambda x, y, w, b: torch.einsum("bld,ode,ble->blo", x, w, y) + b,
    ),
    "nn.PReLU": layer("im[c, h, w] -> im[c, h, w]", "nn.PReLU(c, init = 0.1)", IM, lambda: nn.PReLU(4, 0.1)),
    "nn.PReLU of one": layer("vec[d] -> vec[d]", "nn.PReLU()", "vec[5]", nn.PReLU),
}
LAYERS["nn.GRU"] = (*LAYERS["nn.GRU"][:3], lambda x, *w: _module(nn.GRU(8, 5, batch_first=True), x, w, True).relu())


FUNCTIONS: dict[str, Form] = {
    "F.fold": (
        op("seq[d, l] -> im[d // 4, 3, 5]", "F.fold(x, (3, 5), 2)", "d % 4 == 0, l == 8"),
        "f",
        "seq[12, 8]",
        lambda x: F.fold(x, (3, 5), 2),
    ),
    "F.max_pool1d": (
        op("seq[l, d] -> seq[l, d // 2]", "F.max_pool1d(x, 2)", "d > 1"),
        "f",
        SEQ,
        lambda x: F.max_pool1d(x, 2),
    ),
    "F.avg_pool1d": (
        op("seq[l, d] -> seq[l, d]", "F.avg_pool1d(x, 3, stride = 1, padding = 1)"),
        "f",
        SEQ,
        lambda x: F.avg_pool1d(x, 3, 1, 1),
    ),
    "F.adaptive_avg_pool1d": (
        op("seq[l, d] -> seq[l, 3]", "F.adaptive_avg_pool1d(x, 3)"),
        "f",
        SEQ,
        lambda x: F.adaptive_avg_pool1d(x, 3),
    ),
    "F.adaptive_avg_pool2d": (
        op("im[c, h, w] -> im[c, 2, 3]", "F.adaptive_avg_pool2d(x, (2, 3))"),
        "f",
        IM,
        lambda x: F.adaptive_avg_pool2d(x, (2, 3)),
    ),
    "F.lp_pool2d": (
        op("im[c, h, w] -> im[c, h // 2, w // 2]", "F.lp_pool2d(abs(x) + 1, 2, 2)", "h > 1, w > 1"),
        "f",
        IM,
        lambda x: F.lp_pool2d(x.abs() + 1, 2, 2),
    ),
    "F.interpolate": (
        op("im[c, h, w] -> im[c, 2 * h, 2 * w]", "F.interpolate(x, scale_factor = 2)"),
        "f",
        IM,
        lambda x: F.interpolate(x, scale_factor=2),
    ),
    "F.interpolate to a size": (
        op("im[c, h, w] -> im[c, 5, 6]", 'F.interpolate(x, size = (5, 6), mode = "bicubic", align_corners = true)'),
        "f",
        IM,
        lambda x: F.interpolate(x, size=(5, 6), mode="bicubic", align_corners=True),
    ),
    "F.interpolate of a sequence": (
        op("seq[l, d] -> seq[l, 12]", 'F.interpolate(x, 12, mode = "linear")'),
        "f",
        SEQ,
        lambda x: F.interpolate(x, 12, mode="linear"),
    ),
    "F.grid_sample": (
        op("(im[c, h, w], grid[i, j, 2]) -> im[c, i, j]", "F.grid_sample(x, y, align_corners = true)"),
        "f",
        "(im[4, 6, 8], grid[2, 3, 2])",
        lambda x, y: F.grid_sample(x, y, align_corners=True),
    ),
    "F.pixel_shuffle": (
        op("im[c, h, w] -> im[c // 4, 2 * h, 2 * w]", "F.pixel_shuffle(x, 2)", "c % 4 == 0"),
        "f",
        IM,
        lambda x: F.pixel_shuffle(x, 2),
    ),
    "F.pixel_unshuffle": (
        op("im[c, h, w] -> im[4 * c, h // 2, w // 2]", "F.pixel_unshuffle(x, 2)", "h % 2 == 0, w % 2 == 0"),
        "f",
        IM,
        lambda x: F.pixel_unshuffle(x, 2),
    ),
    "F.local_response_norm": (
        op("im[c, h, w] -> im[c, h, w]", "F.local_response_norm(x, 3, k = 2)"),
        "f",
        IM,
        lambda x: F.local_response_norm(x, 3, k=2),
    ),
    "F.layer_norm": (
        op("im[c, h, w] -> im[c, h, w]", "F.layer_norm(x, (h, w), eps = 1e-3)"),
        "f",
        IM,
        lambda x: F.layer_norm(x, (6, 8), eps=1e-3),
    ),
    "F.celu": (op(SAME, "F.celu(x, alpha = 2)"), "f", SEQ, lambda x: F.celu(x, 2.0)),
    "F.hardtanh": (op(SAME, "F.hardtanh(x, -0.5, 2)"), "f", SEQ, lambda x: x.clamp(-0.5, 2)),
}
