"""Pools, reductions, and what is done along an axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ein.compiler.way_in.calls import Call, Unsaid
from ein.compiler.way_in.formulas import Apply, Number
from ein.compiler.way_in.labelling import computed, labelled
from ein.compiler.way_in.network import Network
from ein.compiler.way_in.rules_elements import infix, on_elements
from ein.compiler.way_in.rules_layers import square
from ein.compiler.way_in.rules_shape import at, divided
from ein.compiler.way_in.views import BATCH, Value, View, axis, joined, moved

Rule = Callable[[Network, Call], Any]


def _reduced(name: str) -> Rule:
    def rule(net: Network, call: Call) -> View:
        view, dims = call.arguments["self"], call.arguments.get("dim")
        if name == "var" and call.arguments.get("correction", 1) not in (0,) and call.arguments.get("unbiased", True):
            raise Unsaid("a variance that divides by one less than the number of entries")
        return reduced(net, name, view, _dims(view, dims), bool(call.arguments.get("keepdim")))

    return rule


def _dims(view: View, dims: Any) -> list[int]:
    if dims is None or dims == []:
        raise Unsaid("it takes all axes together, the batch with them")
    return sorted(at(view, dim) for dim in (dims if isinstance(dims, list) else [dims]))


def reduced(net: Network, name: str, view: View, dims: Sequence[int], keep: bool) -> View:
    pooled = _pooled(net, view, dims) if name == "mean" else None
    if pooled is None:
        keys = range(len(view.dims))
        found = labelled([view], [keys])
        labels = tuple(label for key in dims for label in found.group(key))
        if any(found.groups[key] != found.group(key) for key in dims):
            raise Unsaid("it goes over the batch")
        rest = [key for key in keys if key not in dims]
        if not labels and name not in ("var", "norm"):
            return view if keep else View(view.base, tuple(view.dims[key] for key in rest))
        pooled = computed(net, found, rest, lambda x: Apply(name, labels, (x[0],)))
    if not keep:
        return pooled
    kept = iter(pooled.dims)
    return View(pooled.base, tuple(() if n in dims else next(kept) for n in range(len(view.dims))))


def _pooled(net: Network, view: View, dims: Sequence[int]) -> View | None:
    """The mean over an image, over a sequence, or over its features."""
    base = view.base
    if not isinstance(base, Value):
        return None
    over = joined(sorted((d for dim in dims for d in view.dims[dim]), key=lambda d: (d.axis, -d.stride)))
    rest = [dim for n, dim in enumerate(view.dims) if n not in dims]
    own = [axis(n, s) for n, s in enumerate(base.sizes, 1)]
    if not over and len(base.sizes) != len(view.dims) - 1:
        return None
    if base.type.kind == "im" and over == joined((*own[1], *own[2])) and (over or len(dims) == 2):
        return View(net.use("pool", [base]), moved(rest, own[:1]))
    if base.type.kind == "seq" and over == own[0]:
        return View(net.use("pool", [base]), moved(rest, own[1:]))
    if base.type.kind == "seq" and over == own[1]:
        return View(net.use("pool_features", [base]), moved(rest, own[:1]))
    return None


def _largest(name: str) -> Rule:
    """`x.max(dim)` gives positions too."""

    def rule(net: Network, call: Call) -> tuple[View, None]:
        view = call.arguments["self"]
        return reduced(net, name, view, _dims(view, call.arguments.get("dim")), bool(call.arguments["keepdim"])), None

    return rule


def _norm(net: Network, call: Call) -> View:
    if call.arguments["ord"] != 2:
        raise Unsaid("a norm other than the Euclidean one")
    return reduced(
        net,
        "norm",
        call.arguments["self"],
        _dims(call.arguments["self"], call.arguments["dim"]),
        call.arguments["keepdim"],
    )


def _softmax(net: Network, call: Call) -> View:
    view = call.arguments["self"]
    dim = [at(view, call.arguments["dim"])]
    value, groups = net.gather(view, dim)
    return net.viewed(view, dim, groups, net.use("softmax", [value]))


def _along(name: str) -> Rule:
    def rule(net: Network, call: Call) -> View:
        view = call.arguments["self"]
        keys = range(len(view.dims))
        found = labelled([view], [keys])
        labels = found.group(at(view, call.arguments["dim"]))
        if len(labels) != 1:
            raise Unsaid("it goes along an axis that is made of several, or along the batch")
        return computed(net, found, keys, lambda x: Apply(name, labels, (x[0],)))

    return rule


def _roll(net: Network, call: Call) -> View:
    view: View = call.arguments["self"]
    shifts, dims = call.arguments["shifts"], call.arguments["dims"]
    if len(dims) != len(shifts):
        raise Unsaid("it rolls all axes as one, the batch with them")
    for shift, dim in zip(shifts, dims, strict=True):
        view = _rolled(net, view, at(view, dim), shift)
    return view


def _rolled(net: Network, view: View, dim: int, shift: int) -> View:
    keys = range(len(view.dims))
    found = labelled([view], [keys])
    labels = found.group(dim)
    if len(labels) != 1:
        raise Unsaid("it rolls an axis that is made of several, or the batch")
    return computed(net, found, keys, lambda x: Apply("roll", labels, (x[0], Number(shift))))


def _flip(net: Network, call: Call) -> View:
    view: View = call.arguments["self"]
    for dim in call.arguments["dims"]:
        view = _along("flip")(net, replace(call, arguments={"self": view, "dim": dim}))
    return view


# --- windows


def _images(net: Network, view: View) -> tuple[Value, Any]:
    if len(view.dims) != 4:
        raise Unsaid(f"a pool over images is given {len(view.dims) - 1} axes behind the batch")
    return net.gather(view, [1, 2, 3])


def _pool2d(name: str) -> Rule:
    def rule(net: Network, call: Call) -> View:
        a, view = call.arguments, call.arguments["self"]
        value, groups = _images(net, view)
        k, s, p = _window(a)
        if p and name == "avg_pool" and not a["count_include_pad"]:
            raise Unsaid("a mean that leaves the padding out of its count")
        return net.viewed(view, [1, 2, 3], groups, net.use(name, [value], k=k, s=s, p=p))

    return rule


def _window(a: Any) -> tuple[int, int, int]:
    k, p = square(a["kernel_size"]), square(a["padding"])
    if a["ceil_mode"] or square(a.get("dilation", 1)) != 1 or a.get("divisor_override"):
        raise Unsaid("a pool with ceil_mode, dilation or a divisor of its own")
    return k, square(a["stride"]) if a["stride"] else k, p


def _pool1d(name: str) -> Rule:
    def rule(net: Network, call: Call) -> View:
        a, view = call.arguments, call.arguments["self"]
        if len(view.dims) != 3:
            raise Unsaid("a pool over a sequence is given something else")
        k, s, p = _window(a)
        if p and name == "avg_pool1d" and not a["count_include_pad"]:
            raise Unsaid("a mean that leaves the padding out of its count")
        value, groups = net.gather(view, [2, 1])
        return net.viewed(view, [2, 1], groups, net.use(name, [value], k=k, s=s, p=p))

    return rule


def _adaptive2d(name: str) -> Rule:
    def rule(net: Network, call: Call) -> View:
        view = call.arguments["self"]
        value, groups = _images(net, view)
        n = square(
            [s if o is None else o for o, s in zip(_both(call.arguments["output_size"]), value.sizes[1:], strict=True)]
        )
        if value.sizes[1:] == (n, n) and n > 1:
            return (
                View(value, view.dims)
                if groups == tuple(axis(i, s) for i, s in enumerate(value.sizes, 1))
                else _whole(net, value)
            )
        return net.viewed(view, [1, 2, 3], groups, net.use(name, [value], n=n))

    return rule


def _both(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) and len(given) == 2 else [given[0]] * 2


def _whole(net: Network, value: Value) -> View:
    return View(value, (axis(BATCH, net.batch), *(axis(n, s) for n, s in enumerate(value.sizes, 1))))


def _adaptive1d(net: Network, call: Call) -> View:
    view = call.arguments["self"]
    if call.arguments["output_size"] != [1]:
        raise Unsaid("a pool of a sequence to more than one position")
    return reduced(net, "mean", view, [len(view.dims) - 1], True)


def _unfold(net: Network, call: Call) -> View:
    a, view = call.arguments, call.arguments["self"]
    k, s, p = square(a["kernel_size"]), square(a["stride"]), square(a["padding"])
    if square(a["dilation"]) != 1:
        raise Unsaid("windows with dilation")
    value, _ = _images(net, view)
    made = net.use("im2col", [value], k=k, s=s, p=p)
    return View(made, (view.dims[0], axis(2, made.sizes[1]), axis(1, made.sizes[0])))


def _upsample(name: str) -> Rule:
    def rule(net: Network, call: Call) -> View:
        a, view = call.arguments, call.arguments.get("input", call.arguments.get("self"))
        value, groups = _images(net, view)
        assert call.sizes is not None
        factors = {after / before for after, before in zip(call.sizes[2:], value.sizes[1:], strict=True)}
        r = factors.pop()
        if factors or r != int(r):
            raise Unsaid("a change of size that is no whole factor, the same in both directions")
        if a.get("align_corners"):
            raise Unsaid("interpolation with align_corners")
        return net.viewed(view, [1, 2, 3], groups, net.use(name, [value], r=int(r)))

    return rule


def _pixel_shuffle(net: Network, call: Call) -> View:
    view: View = call.arguments["self"]
    value, groups = _images(net, view)
    return net.viewed(view, [1, 2, 3], groups, net.use("pixel_shuffle", [value], r=call.arguments["upscale_factor"]))


def _channel_shuffle(net: Network, call: Call) -> View:
    view = call.arguments.get("input", call.arguments.get("self"))
    value, groups = _images(net, view)
    return net.viewed(view, [1, 2, 3], groups, net.use("channel_shuffle", [value], g=call.arguments["groups"]))


def _glu(net: Network, call: Call) -> View:
    view, dim = call.arguments["self"], at(call.arguments["self"], call.arguments["dim"])
    parts = divided(net, view, dim, 2)
    if parts is None:
        raise Unsaid("a gate of halves of an axis that is no axis of a value")
    return infix(net, "*", parts[0], on_elements(net, parts[1], "sigmoid"))


RULES: dict[str, Rule] = {
    **{name: _reduced(name) for name in ("mean", "sum", "prod", "var", "logsumexp")},
    "amax": _reduced("max"),
    "amin": _reduced("min"),
    "max": _largest("max"),
    "min": _largest("min"),
    "linalg_vector_norm": _norm,
    "softmax": _softmax,
    "log_softmax": _along("log_softmax"),
    "cumsum": _along("cumsum"),
    "roll": _roll,
    "flip": _flip,
    "max_pool2d": _pool2d("max_pool"),
    "avg_pool2d": _pool2d("avg_pool"),
    "max_pool1d": _pool1d("max_pool1d"),
    "avg_pool1d": _pool1d("avg_pool1d"),
    "adaptive_avg_pool2d": _adaptive2d("adaptive_pool"),
    "adaptive_max_pool2d": lambda net, call: (_adaptive2d("adaptive_max_pool")(net, call), None),
    "adaptive_avg_pool1d": _adaptive1d,
    "im2col": _unfold,
    "upsample_nearest2d": _upsample("upsample"),
    "upsample_bilinear2d": _upsample("upsample_bilinear"),
    "pixel_shuffle": _pixel_shuffle,
    "channel_shuffle": _channel_shuffle,
    "glu": _glu,
}
