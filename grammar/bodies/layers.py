"""Layers of torch that a body may build."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

from ein.grammar.bodies.rows import REQUIRED, Arguments, Facts, Row, Sizes, need, positive, ranked, window


def _linear(a: Arguments, x: Sizes) -> Facts:
    positive(a, "in_features", "out_features")
    inner, outer = a["in_features"], a["out_features"]
    need(len(x) >= 1 and x[-1] == inner, f"nn.Linear({inner}, {outer}) is applied to {list(x)}")
    weights = {"weight": (outer, inner)} | ({"bias": (outer,)} if a["bias"] else {})
    return Facts((*x[:-1], outer), weights, prod(x) * outer)


def _conv(spatial: int) -> Callable[[Arguments, Sizes], Facts]:
    def facts(a: Arguments, x: Sizes) -> Facts:
        name = f"nn.Conv{spatial}d"
        ranked(x, spatial + 1, name)
        positive(a, "in_channels", "out_channels", "groups")
        c, out, k, groups = a["in_channels"], a["out_channels"], a["kernel_size"], a["groups"]
        need(x[0] == c, f"{name} expects {c} channels, and there are {x[0]}")
        need(c % groups == 0 and out % groups == 0, f"{groups} groups do not divide {c} and {out} channels")
        spots = tuple(window(size, k, a["stride"], a["padding"], a["dilation"], name) for size in x[1:])
        weight = (out, c // groups, *(k,) * spatial)
        weights = {"weight": weight} | ({"bias": (out,)} if a["bias"] else {})
        return Facts((out, *spots), weights, prod(spots) * prod(weight))

    return facts


def _conv_transpose(spatial: int) -> Callable[[Arguments, Sizes], Facts]:
    name = f"nn.ConvTranspose{spatial}d"

    def facts(a: Arguments, x: Sizes) -> Facts:
        ranked(x, spatial + 1, name)
        positive(a, "in_channels", "out_channels", "kernel_size", "stride", "groups", "dilation")
        c, out, k, s, p, d = (a[n] for n in _TRANSPOSED)
        groups, extra = a["groups"], a["output_padding"]
        need(p >= 0 and 0 <= extra < max(s, d), f"the paddings {p} and {extra} of {name} do not fit")
        need(x[0] == c, f"{name} expects {c} channels, and there are {x[0]}")
        need(c % groups == 0 and out % groups == 0, f"{groups} groups do not divide {c} and {out} channels")
        spots = tuple((size - 1) * s - 2 * p + d * (k - 1) + 1 + extra for size in x[1:])
        need(min(spots) >= 1, f"{name} would give {list(spots)}")
        weight = (c, out // groups, *(k,) * spatial)
        weights = {"weight": weight} | ({"bias": (out,)} if a["bias"] else {})
        return Facts((out, *spots), weights, prod(x[1:]) * prod(weight))

    return facts


def _batch_norm(rank: int) -> Callable[[Arguments, Sizes], Facts]:
    def facts(a: Arguments, x: Sizes) -> Facts:
        n = a["num_features"]
        fits = len(x) == rank if rank > 1 else len(x) in (1, 2)
        need(fits and x[0] == n, f"the batch norm of {n} channels is applied to {list(x)}")
        return Facts(x, {"weight": (n,), "bias": (n,)})

    return facts


def _instance_norm(spatial: int) -> Callable[[Arguments, Sizes], Facts]:
    def facts(a: Arguments, x: Sizes) -> Facts:
        name, n = f"nn.InstanceNorm{spatial}d", a["num_features"]
        ranked(x, spatial + 1, name)
        need(x[0] == n, f"{name}({n}) is applied to {list(x)}")
        need(prod(x[1:]) > 1, f"{name} needs more than one position")
        return Facts(x, {"weight": (n,), "bias": (n,)} if a["affine"] else {})

    return facts


def _layer_norm(a: Arguments, x: Sizes) -> Facts:
    n = a["normalized_shape"]
    need(len(x) >= 1 and x[-1] == n, f"nn.LayerNorm({n}) is applied to {list(x)}")
    return Facts(x, {"weight": (n,), "bias": (n,)})


def _group_norm(a: Arguments, x: Sizes) -> Facts:
    groups, n = a["num_groups"], a["num_channels"]
    need(len(x) >= 1 and x[0] == n, f"nn.GroupNorm of {n} channels is applied to {list(x)}")
    need(groups >= 1 and n % groups == 0, f"{groups} groups do not divide {n} channels")
    need(prod(x) > groups, "nn.GroupNorm needs more than one value in a group")
    return Facts(x, {"weight": (n,), "bias": (n,)})


def _embedding(a: Arguments, x: Sizes) -> Facts:
    positive(a, "num_embeddings", "embedding_dim")
    return Facts((*x, a["embedding_dim"]), {"weight": (a["num_embeddings"], a["embedding_dim"])})


def _recurrent(name: str, gates: int) -> Callable[[Arguments, Sizes], Facts]:
    """(l, d) -> (l, h), or twice as wide in both directions: torch's sequence, without its last state."""

    def facts(a: Arguments, x: Sizes) -> Facts:
        ranked(x, 2, name)
        positive(a, "input_size", "hidden_size", "num_layers")
        width, h, ways = a["input_size"], a["hidden_size"], 1 + a["bidirectional"]
        need(x[1] == width, f"{name} expects {width} features, and there are {x[1]}")
        weights: dict[str, Sizes] = {}
        macs = 0
        for layer in range(a["num_layers"]):
            for way in range(ways):
                end = f"_l{layer}{'_reverse' * way}"
                weights |= {f"weight_ih{end}": (gates * h, width), f"weight_hh{end}": (gates * h, h)}
                if a["bias"]:
                    weights |= {f"bias_ih{end}": (gates * h,), f"bias_hh{end}": (gates * h,)}
                macs += x[0] * gates * h * (width + h)
            width = ways * h
        return Facts((x[0], width), weights, macs)

    return facts


def _bilinear(a: Arguments, x: Sizes, y: Sizes) -> Facts:
    """(*s, m), (*s, n) -> (*s, out). Torch's counter of operations leaves it out; it is counted here."""
    positive(a, "in1_features", "in2_features", "out_features")
    m, n, out = a["in1_features"], a["in2_features"], a["out_features"]
    fits = len(x) >= 1 and x[-1:] == (m,) and y == (*x[:-1], n)
    need(fits, f"nn.Bilinear({m}, {n}, {out}) is applied to {list(x)} and {list(y)}")
    weights = {"weight": (out, m, n)} | ({"bias": (out,)} if a["bias"] else {})
    return Facts((*x[:-1], out), weights, prod(x) * n * out)


def _prelu(a: Arguments, x: Sizes) -> Facts:
    n = a["num_parameters"]
    need(n == 1 or (n > 1 and x[:1] == (n,)), f"nn.PReLU({n}) is applied to {list(x)}")
    return Facts(x, {"weight": (n,)})


_TRANSPOSED = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation")
_WINDOW = (("stride", "int", 1), ("padding", "int", 0), ("dilation", "int", 1))
_CONV = (
    ("in_channels", "int", REQUIRED),
    ("out_channels", "int", REQUIRED),
    ("kernel_size", "int", REQUIRED),
    *_WINDOW,
    ("groups", "int", 1),
    ("bias", "bool", True),
)
_CONV_TRANSPOSE = (
    *_CONV[:3],
    ("stride", "int", 1),
    ("padding", "int", 0),
    ("output_padding", "int", 0),
    ("groups", "int", 1),
    ("bias", "bool", True),
    ("dilation", "int", 1),
)
_RECURRENT = (
    ("input_size", "int", REQUIRED),
    ("hidden_size", "int", REQUIRED),
    ("num_layers", "int", 1),
    ("bias", "bool", True),
    ("bidirectional", "bool", False),
)
_SEQUENCE: dict[str, Any] = {"fixed": (("batch_first", True),), "several_results": True}
_NORM = (("num_features", "int", REQUIRED), ("eps", "real", 1e-5))
LAYERS: Mapping[str, Row] = {
    row.name: row
    for row in (
        Row(
            "nn.Linear",
            (("in_features", "int", REQUIRED), ("out_features", "int", REQUIRED), ("bias", "bool", True)),
            _linear,
        ),
        Row("nn.Conv1d", _CONV, _conv(1)),
        Row("nn.Conv2d", _CONV, _conv(2)),
        Row("nn.Conv3d", _CONV, _conv(3)),
        *(Row(f"nn.ConvTranspose{n}d", _CONV_TRANSPOSE, _conv_transpose(n)) for n in (1, 2, 3)),
        Row("nn.BatchNorm1d", _NORM, _batch_norm(1), True),
        Row("nn.BatchNorm2d", _NORM, _batch_norm(3), True),
        Row("nn.BatchNorm3d", _NORM, _batch_norm(4), True),
        Row("nn.InstanceNorm1d", (*_NORM, ("affine", "bool", False)), _instance_norm(1)),
        Row("nn.InstanceNorm2d", (*_NORM, ("affine", "bool", False)), _instance_norm(2)),
        Row("nn.LayerNorm", (("normalized_shape", "int", REQUIRED), ("eps", "real", 1e-5)), _layer_norm),
        Row(
            "nn.GroupNorm",
            (("num_groups", "int", REQUIRED), ("num_channels", "int", REQUIRED), ("eps", "real", 1e-5)),
            _group_norm,
        ),
        Row(
            "nn.Embedding",
            (("num_embeddings", "int", REQUIRED), ("embedding_dim", "int", REQUIRED)),
            _embedding,
            element="int",
        ),
        Row("nn.LSTM", _RECURRENT, _recurrent("nn.LSTM", 4), **_SEQUENCE),
        Row("nn.GRU", _RECURRENT, _recurrent("nn.GRU", 3), **_SEQUENCE),
        Row(
            "nn.Bilinear",
            (
                ("in1_features", "int", REQUIRED),
                ("in2_features", "int", REQUIRED),
                ("out_features", "int", REQUIRED),
                ("bias", "bool", True),
            ),
            _bilinear,
            tensors=2,
        ),
        Row("nn.PReLU", (("num_parameters", "int", 1), ("init", "real", 0.25)), _prelu),
    )
}
