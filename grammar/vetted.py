"""The functions and layers that an operator's body may name, and the shapes they give.

Sizes leave the batch out. A row computes, without torch, the result's sizes, the weights, the
multiply-accumulates of one example, and refuses sizes that torch would refuse. No listed name
has a shape that depends on values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

from ein.grammar.numbers import Inapplicable

Sizes: TypeAlias = tuple[int, ...]
Arguments: TypeAlias = Mapping[str, Any]

POINTWISE = frozenset(
    "exp log log1p expm1 sqrt rsqrt abs sign floor ceil round sin cos tan acos asin atan sinh cosh tanh sigmoid erf"
    " relu gelu silu softplus".split()
)
"""Functions of one tensor, element by element."""

POINTWISE_MANY = {"minimum": 2, "maximum": 2, "clamp": 3, "where": 3}
"""Functions of several tensors or numbers, element by element."""

REDUCTIONS = frozenset("sum mean prod max min logsumexp var norm".split())
"""`f[axes](x)` removes the axes."""

ALONG = frozenset("softmax log_softmax cumsum cumprod flip".split())
"""`f[axis](x)` keeps the axes."""

STRUCTURE = frozenset("dot concat split stack unstack index".split())

LATER = frozenset(
    "any all argmax argmin roll sort range copies pad slice windows gather topk one_hot fft ifft rfft irfft real"
    " imag complex dropout svd qr eye".split()
)
"""On the list, and not yet understood by the checker."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a row knows of one use: sizes of the result, shapes of the weights, multiply-accumulates."""

    sizes: Sizes
    weights: Mapping[str, Sizes] = field(default_factory=dict)
    macs: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """`parameters` are (name, kind, default) in torch's order; `required` marks a missing default.

    `facts` takes the arguments and the sizes of each tensor.
    """

    name: str
    parameters: tuple[tuple[str, str, Any], ...]
    facts: Callable[..., Facts]
    needs_several_values: bool = False
    """In training, raises on a single value per channel (batch 1, one position)."""
    tensors: int = 1
    """How many tensors it is applied to; they stand before the parameters."""


class Required:
    """Marks a parameter that has no default."""


REQUIRED = Required()


def _need(condition: bool, reason: str) -> None:
    if not condition:
        raise Inapplicable(reason)


def _rank(x: Sizes, rank: int, name: str) -> None:
    _need(len(x) == rank, f"{name} needs {rank} axes, and there are {len(x)}: {list(x)}")


def _positive(arguments: Arguments, *names: str) -> None:
    for name in names:
        _need(arguments[name] >= 1, f"`{name}` is at least 1, not {arguments[name]}")


def _linear(a: Arguments, x: Sizes) -> Facts:
    _positive(a, "in_features", "out_features")
    inner, outer = a["in_features"], a["out_features"]
    _need(len(x) >= 1 and x[-1] == inner, f"nn.Linear({inner}, {outer}) is applied to {list(x)}")
    weights = {"weight": (outer, inner)} | ({"bias": (outer,)} if a["bias"] else {})
    return Facts((*x[:-1], outer), weights, prod(x) * outer)


def _window(size: int, k: int, s: int, p: int, d: int, what: str) -> int:
    _need(k >= 1 and s >= 1 and p >= 0 and d >= 1, f"{what} needs kernel, stride and dilation of at least 1")
    span = d * (k - 1) + 1
    _need(size + 2 * p >= span, f"the window of {span} of {what} exceeds {size} with padding {p}")
    return (size + 2 * p - span) // s + 1


def _conv(spatial: int) -> Callable[[Arguments, Sizes], Facts]:
    def facts(a: Arguments, x: Sizes) -> Facts:
        name = f"nn.Conv{spatial}d"
        _rank(x, spatial + 1, name)
        _positive(a, "in_channels", "out_channels", "groups")
        c, out, k, groups = a["in_channels"], a["out_channels"], a["kernel_size"], a["groups"]
        _need(x[0] == c, f"{name} expects {c} channels, and there are {x[0]}")
        _need(c % groups == 0 and out % groups == 0, f"{groups} groups do not divide {c} and {out} channels")
        spots = tuple(_window(size, k, a["stride"], a["padding"], a["dilation"], name) for size in x[1:])
        weight = (out, c // groups, *(k,) * spatial)
        weights = {"weight": weight} | ({"bias": (out,)} if a["bias"] else {})
        return Facts((out, *spots), weights, prod(spots) * prod(weight))

    return facts


def _conv_transpose(a: Arguments, x: Sizes) -> Facts:
    _rank(x, 3, "nn.ConvTranspose2d")
    c, out, k, s, p = a["in_channels"], a["out_channels"], a["kernel_size"], a["stride"], a["padding"]
    _need(min(c, out, k, s) >= 1 and p >= 0, "nn.ConvTranspose2d needs sizes of at least 1")
    _need(x[0] == c, f"nn.ConvTranspose2d expects {c} channels, and there are {x[0]}")
    spots = tuple((size - 1) * s - 2 * p + k for size in x[1:])
    _need(min(spots) >= 1, f"nn.ConvTranspose2d would give {list(spots)}")
    weights = {"weight": (c, out, k, k)} | ({"bias": (out,)} if a["bias"] else {})
    return Facts((out, *spots), weights, prod(x) * out * k * k)


def _batch_norm(rank: int) -> Callable[[Arguments, Sizes], Facts]:
    def facts(a: Arguments, x: Sizes) -> Facts:
        n = a["num_features"]
        fits = len(x) == rank if rank > 1 else len(x) in (1, 2)
        _need(fits and x[0] == n, f"the batch norm of {n} channels is applied to {list(x)}")
        return Facts(x, {"weight": (n,), "bias": (n,)})

    return facts


def _instance_norm(a: Arguments, x: Sizes) -> Facts:
    _rank(x, 3, "nn.InstanceNorm2d")
    n = a["num_features"]
    _need(x[0] == n, f"nn.InstanceNorm2d({n}) is applied to {list(x)}")
    _need(x[1] * x[2] > 1, "nn.InstanceNorm2d needs more than one position")
    return Facts(x, {"weight": (n,), "bias": (n,)} if a["affine"] else {})


def _layer_norm(a: Arguments, x: Sizes) -> Facts:
    n = a["normalized_shape"]
    _need(len(x) >= 1 and x[-1] == n, f"nn.LayerNorm({n}) is applied to {list(x)}")
    return Facts(x, {"weight": (n,), "bias": (n,)})


def _group_norm(a: Arguments, x: Sizes) -> Facts:
    groups, n = a["num_groups"], a["num_channels"]
    _need(len(x) >= 1 and x[0] == n, f"nn.GroupNorm of {n} channels is applied to {list(x)}")
    _need(groups >= 1 and n % groups == 0, f"{groups} groups do not divide {n} channels")
    return Facts(x, {"weight": (n,), "bias": (n,)})


def _same(a: Arguments, x: Sizes) -> Facts:
    return Facts(x)


def _unfold(a: Arguments, x: Sizes) -> Facts:
    _rank(x, 3, "F.unfold")
    k = a["kernel_size"]
    spots = [_window(n, k, a["stride"], a["padding"], a["dilation"], "F.unfold") for n in x[1:]]
    return Facts((x[0] * k * k, prod(spots)))


def _pool(name: str) -> Callable[[Arguments, Sizes], Facts]:
    def facts(a: Arguments, x: Sizes) -> Facts:
        _rank(x, 3, name)
        k, p = a["kernel_size"], a["padding"]
        s = k if a["stride"] is None else a["stride"]
        _need(2 * p <= k, f"{name}: the padding {p} exceeds half of the window {k}")
        return Facts((x[0], *(_window(size, k, s, p, 1, name) for size in x[1:])))

    return facts


def _adaptive_pool(a: Arguments, x: Sizes) -> Facts:
    _rank(x, 3, "adaptive pooling")
    _positive(a, "output_size")
    return Facts((x[0], a["output_size"], a["output_size"]))


def _attention(a: Arguments, q: Sizes, k: Sizes, v: Sizes) -> Facts:
    """(*a, i, d), (*a, j, d), (*a, j, e) -> (*a, i, e); a causal mask saves nothing, as torch counts."""
    name = "F.scaled_dot_product_attention"
    _need(
        len(q) == len(k) == len(v) >= 2,
        f"{name} needs equally many axes, two at least: {list(q)}, {list(k)}, {list(v)}",
    )
    (*run, i, d), (j, e) = q, v[-2:]
    _need(
        k == (*run, j, d),
        f"{name} with queries {list(q)} and values {list(v)} needs keys {[*run, j, d]}, not {list(k)}",
    )
    _need(v == (*run, j, e), f"{name} with queries {list(q)} needs values {[*run, j, e]}, not {list(v)}")
    return Facts((*run, i, e), macs=prod(run) * i * j * (d + e))


_WINDOW = (("stride", "int", 1), ("padding", "int", 0), ("dilation", "int", 1))
_CONV = (
    ("in_channels", "int", REQUIRED),
    ("out_channels", "int", REQUIRED),
    ("kernel_size", "int", REQUIRED),
    *_WINDOW,
    ("groups", "int", 1),
    ("bias", "bool", True),
)
_UNFOLD = (("kernel_size", "int", REQUIRED), ("dilation", "int", 1), ("padding", "int", 0), ("stride", "int", 1))
_NORM = (("num_features", "int", REQUIRED), ("eps", "real", 1e-5))
_POOL = (("kernel_size", "int", REQUIRED), ("stride", "int", None), ("padding", "int", 0))

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
        Row(
            "nn.ConvTranspose2d",
            (
                *_CONV[:3],
                ("stride", "int", 1),
                ("padding", "int", 0),
                ("bias", "bool", True),
            ),
            _conv_transpose,
        ),
        Row("nn.BatchNorm1d", _NORM, _batch_norm(1), True),
        Row("nn.BatchNorm2d", _NORM, _batch_norm(3), True),
        Row("nn.BatchNorm3d", _NORM, _batch_norm(4), True),
        Row("nn.InstanceNorm2d", (*_NORM, ("affine", "bool", False)), _instance_norm),
        Row("nn.LayerNorm", (("normalized_shape", "int", REQUIRED), ("eps", "real", 1e-5)), _layer_norm),
        Row(
            "nn.GroupNorm",
            (("num_groups", "int", REQUIRED), ("num_channels", "int", REQUIRED), ("eps", "real", 1e-5)),
            _group_norm,
            True,
        ),
    )
}

FUNCTIONS: Mapping[str, Row] = {
    row.name: row
    for row in (
        Row("F.unfold", _UNFOLD, _unfold),
        Row("F.max_pool2d", _POOL, _pool("F.max_pool2d")),
        Row("F.avg_pool2d", _POOL, _pool("F.avg_pool2d")),
        Row("F.adaptive_avg_pool2d", (("output_size", "int", REQUIRED),), _adaptive_pool),
        Row("F.adaptive_max_pool2d", (("output_size", "int", REQUIRED),), _adaptive_pool),
        Row("F.leaky_relu", (("negative_slope", "real", 0.01),), _same),
        Row("F.elu", (("alpha", "real", 1.0),), _same),
        Row("F.gelu", (("approximate", "name", "none"),), _same),
        Row(
            "F.scaled_dot_product_attention",
            (("is_causal", "bool", False), ("scale", "real", None)),
            _attention,
            tensors=3,
        ),
        *(Row(f"F.{name}", (), _same) for name in "selu mish hardswish hardsigmoid hardtanh".split()),
    )
}


def bind(row: Row, positional: list[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a row by name, defaults filled in; raises ValueError in the reader's words."""
    names = [name for name, _, _ in row.parameters]
    if len(positional) > len(names):
        raise ValueError(f"{row.name} takes {len(names)} arguments here, {len(positional)} given")
    given = dict(zip(names, positional, strict=False))
    for name, value in named.items():
        if name not in names:
            raise ValueError(f"{row.name} has no argument `{name}` here; there are {', '.join(names) or 'none'}")
        if name in given:
            raise ValueError(f"`{name}` of {row.name} is given twice")
        given[name] = value
    for name, kind, default in row.parameters:
        if name not in given:
            if isinstance(default, Required):
                raise ValueError(f"{row.name} needs `{name}`")
            given[name] = default
        elif not _is_kind(given[name], kind):
            raise ValueError(f"`{name}` of {row.name} is of kind {kind}, and {given[name]!r} is not")
    return {name: given[name] for name in names}


def _is_kind(value: Any, kind: str) -> bool:
    match kind:
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "real":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "bool":
            return isinstance(value, bool)
        case _:
            return isinstance(value, str)
