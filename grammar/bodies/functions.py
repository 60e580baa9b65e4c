"""Functions of torch that a body may call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import floor, prod

from ein.grammar.bodies.rows import REQUIRED, Arguments, Facts, Row, Sizes, among, each, need, positive, ranked, window


def _same(a: Arguments, x: Sizes) -> Facts:
    return Facts(x)


def _gelu(a: Arguments, x: Sizes) -> Facts:
    need(a["approximate"] in ("none", "tanh"), f"`approximate` is none or tanh, not {a['approximate']}")
    return Facts(x)


def _unfold(a: Arguments, x: Sizes) -> Facts:
    ranked(x, 3, "F.unfold")
    k = a["kernel_size"]
    spots = [window(n, k, a["stride"], a["padding"], a["dilation"], "F.unfold") for n in x[1:]]
    return Facts((x[0] * k * k, prod(spots)))


def _fold(a: Arguments, x: Sizes) -> Facts:
    """(c * k * k, positions) -> (c, h, w): what stands at a place in several windows is added."""
    ranked(x, 2, "F.fold")
    k, size = a["kernel_size"], each(a["output_size"], 2, "F.fold")
    spots = prod(window(n, k, a["stride"], a["padding"], a["dilation"], "F.fold") for n in size)
    need(x[0] % (k * k) == 0, f"{x[0]} features are no windows of {k} x {k}")
    need(x[1] == spots, f"F.fold to {list(size)} needs {spots} positions, and there are {x[1]}")
    return Facts((x[0] // (k * k), *size))


def _pool(name: str, spatial: int) -> Callable[[Arguments, Sizes], Facts]:
    def facts(a: Arguments, x: Sizes) -> Facts:
        ranked(x, spatial + 1, name)
        k, p = a["kernel_size"], a.get("padding", 0)
        s = k if a["stride"] is None else a["stride"]
        need(2 * p <= k, f"{name}: the padding {p} exceeds half of the window {k}")
        return Facts((x[0], *(window(size, k, s, p, 1, name) for size in x[1:])))

    return facts


def _adaptive_pool(spatial: int) -> Callable[[Arguments, Sizes], Facts]:
    def facts(a: Arguments, x: Sizes) -> Facts:
        ranked(x, spatial + 1, "adaptive pooling")
        return Facts((x[0], *each(a["output_size"], spatial, "adaptive pooling")))

    return facts


_MODES = {"nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3), "linear": (1,), "bilinear": (2,)} | {
    "bicubic": (2,),
    "trilinear": (3,),
}
"""The modes of F.interpolate, each with the numbers of axes that it stretches."""


def _interpolate(a: Arguments, x: Sizes) -> Facts:
    """(c, *s) -> (c, *t), to a size or by a factor."""
    name, spatial, scale = "F.interpolate", len(x) - 1, a["scale_factor"]
    among(a, "mode", *_MODES)
    need(spatial in _MODES[a["mode"]], f"{name} by {a['mode']} does not stretch {list(x)}")
    need((a["size"] is None) != (scale is None), f"{name} needs a size or a scale_factor, and not both")
    aligns = a["mode"].endswith("linear") or a["mode"] == "bicubic"
    need(a["align_corners"] is None or aligns, f"`align_corners` is nothing that {a['mode']} has")
    if scale is None:
        return Facts((x[0], *each(a["size"], spatial, name)))
    need(0 < scale < float("inf"), f"a scale_factor is above 0, not {scale}")
    return Facts((x[0], *each(tuple(floor(size * scale) for size in x[1:]), spatial, name)))


def _grid_sample(a: Arguments, x: Sizes, grid: Sizes) -> Facts:
    """(c, h, w), (i, j, 2) -> (c, i, j); a place of the grid is (column, row), from -1 to 1."""
    ranked(x, 3, "F.grid_sample")
    need(len(grid) == 3 and grid[2] == 2, f"F.grid_sample needs a grid of (i, j, 2), and this is {list(grid)}")
    among(a, "mode", "bilinear", "nearest", "bicubic")
    among(a, "padding_mode", "zeros", "border", "reflection")
    return Facts((x[0], *grid[:2]))


def _pixel_shuffle(a: Arguments, x: Sizes) -> Facts:
    ranked(x, 3, "F.pixel_shuffle")
    positive(a, "upscale_factor")
    r = a["upscale_factor"]
    need(x[0] % (r * r) == 0, f"{x[0]} channels are not {r} x {r} times as many")
    return Facts((x[0] // (r * r), x[1] * r, x[2] * r))


def _pixel_unshuffle(a: Arguments, x: Sizes) -> Facts:
    ranked(x, 3, "F.pixel_unshuffle")
    positive(a, "downscale_factor")
    r = a["downscale_factor"]
    need(x[1] % r == 0 and x[2] % r == 0, f"{r} does not divide {x[1]} x {x[2]}")
    return Facts((x[0] * r * r, x[1] // r, x[2] // r))


def _response_norm(a: Arguments, x: Sizes) -> Facts:
    need(len(x) >= 2, f"F.local_response_norm needs channels and positions, and this is {list(x)}")
    positive(a, "size")
    return Facts(x)


def _layer_norm(a: Arguments, x: Sizes) -> Facts:
    shape = a["normalized_shape"]
    need(isinstance(shape, tuple), "F.layer_norm takes the sizes of the last axes: `(h, w)`")
    need(
        0 < len(shape) <= len(x) and x[-len(shape) :] == shape,
        f"F.layer_norm over {list(shape)} is applied to {list(x)}",
    )
    return Facts(x)


def _hardtanh(a: Arguments, x: Sizes) -> Facts:
    need(a["min_val"] < a["max_val"], f"`min_val` {a['min_val']} is not below `max_val` {a['max_val']}")
    return Facts(x)


def _celu(a: Arguments, x: Sizes) -> Facts:
    need(a["alpha"] != 0, "`alpha` is not 0")
    return Facts(x)


def _attention(a: Arguments, q: Sizes, k: Sizes, v: Sizes) -> Facts:
    """(*a, i, d), (*a, j, d), (*a, j, e) -> (*a, i, e); a causal mask saves nothing, as torch counts."""
    name = "F.scaled_dot_product_attention"
    need(
        len(q) == len(k) == len(v) >= 2,
        f"{name} needs equally many axes, two at least: {list(q)}, {list(k)}, {list(v)}",
    )
    (*run, i, d), (j, e) = q, v[-2:]
    need(
        k == (*run, j, d),
        f"{name} with queries {list(q)} and values {list(v)} needs keys {[*run, j, d]}, not {list(k)}",
    )
    need(v == (*run, j, e), f"{name} with queries {list(q)} needs values {[*run, j, e]}, not {list(v)}")
    return Facts((*run, i, e), macs=prod(run) * i * j * (d + e))


_UNFOLD = (("kernel_size", "int", REQUIRED), ("dilation", "int", 1), ("padding", "int", 0), ("stride", "int", 1))
_POOL = (("kernel_size", "int", REQUIRED), ("stride", "int", None), ("padding", "int", 0))
_ADAPTIVE = (("output_size", "size", REQUIRED),)

FUNCTIONS: Mapping[str, Row] = {
    row.name: row
    for row in (
        Row("F.unfold", _UNFOLD, _unfold),
        Row("F.fold", (("output_size", "size", REQUIRED), *_UNFOLD), _fold),
        *(Row(f"F.{kind}_pool{n}d", _POOL, _pool(f"F.{kind}_pool{n}d", n)) for kind in ("max", "avg") for n in (1, 2)),
        Row("F.lp_pool2d", (("norm_type", "real", REQUIRED), *_POOL[:2]), _pool("F.lp_pool2d", 2)),
        Row("F.adaptive_avg_pool1d", (("output_size", "int", REQUIRED),), _adaptive_pool(1)),
        Row("F.adaptive_avg_pool2d", _ADAPTIVE, _adaptive_pool(2)),
        Row("F.adaptive_max_pool2d", _ADAPTIVE, _adaptive_pool(2)),
        Row(
            "F.interpolate",
            (
                ("size", "size", None),
                ("scale_factor", "real", None),
                ("mode", "name", "nearest"),
                ("align_corners", "bool", None),
            ),
            _interpolate,
        ),
        Row(
            "F.grid_sample",
            (
                ("mode", "name", "bilinear"),
                ("padding_mode", "name", "zeros"),
                ("align_corners", "bool", REQUIRED),
            ),
            _grid_sample,
            tensors=2,
        ),
        Row("F.pixel_shuffle", (("upscale_factor", "int", REQUIRED),), _pixel_shuffle),
        Row("F.pixel_unshuffle", (("downscale_factor", "int", REQUIRED),), _pixel_unshuffle),
        Row(
            "F.local_response_norm",
            (("size", "int", REQUIRED), ("alpha", "real", 1e-4), ("beta", "real", 0.75), ("k", "real", 1.0)),
            _response_norm,
        ),
        Row("F.layer_norm", (("normalized_shape", "size", REQUIRED), ("eps", "real", 1e-5)), _layer_norm),
        Row("F.leaky_relu", (("negative_slope", "real", 0.01),), _same),
        Row("F.elu", (("alpha", "real", 1.0),), _same),
        Row("F.celu", (("alpha", "real", 1.0),), _celu),
        Row("F.hardtanh", (("min_val", "real", -1.0), ("max_val", "real", 1.0)), _hardtanh),
        Row("F.gelu", (("approximate", "name", "none"),), _gelu),
        Row(
            "F.scaled_dot_product_attention",
            (("is_causal", "bool", False), ("scale", "real", None)),
            _attention,
            tensors=3,
        ),
        *(Row(f"F.{name}", (), _same) for name in "selu mish hardswish hardsigmoid".split()),
    )
}
