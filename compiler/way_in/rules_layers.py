"""Layers with weights: linear maps, convolutions, norms, tables, recurrences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ein.compiler.way_in.calls import Call, Unsaid
from ein.compiler.way_in.formulas import Apply, Infix, Number
from ein.compiler.way_in.labelling import computed, labelled
from ein.compiler.way_in.network import Network
from ein.compiler.way_in.views import View, Weight, axis, joined, reshaped

Rule = Callable[[Network, Call], Any]


def square(given: Any, count: int = 2) -> int:
    """One number for all directions, which is what operators take."""
    numbers = given if isinstance(given, list | tuple) else [given]
    if len(set(numbers)) > 1:
        raise Unsaid(f"it is given {list(numbers)}, and one number for all directions is what operators take")
    return int(numbers[0])


def _last(view: View) -> int:
    return len(view.dims) - 1


def _weights(net: Network, prefix: str, **given: Any) -> dict[str, View]:
    return {f"{prefix}.{name}": net.weight(value) for name, value in given.items() if value is not None}


def _linear(net: Network, call: Call) -> View:
    view, weight, bias = (call.arguments[name] for name in ("input", "weight", "bias"))
    weight = net.weight(weight)
    tied = _unembedding(net, view, weight, bias)
    if tied is not None:
        return tied
    weight = _patch_order(view, weight)
    if weight is not call.arguments["weight"]:
        view = View(view.base, (*view.dims[:-1], _by_axes(view.dims[-1])))
    last = [_last(view)]
    out = weight.sizes[0]
    on_channels = _channels_last(net, view)
    if on_channels is not None:
        kernel = reshaped(weight, (*weight.sizes, 1, 1))
        value, groups = on_channels
        made = net.use(
            "conv", [value], _weights(net, "conv2d", weight=kernel, bias=bias), out=out, k=1, bias=bias is not None
        )
        fresh = View(made, view.dims)
        dims = [dim for at, dim in enumerate(view.dims) if at != last[0]]
        return View(fresh.base, (*dims, axis(1, out)))
    value, groups = net.gather(view, last)
    made = net.use("linear", [value], _weights(net, "linear", weight=weight, bias=bias), out=out, bias=bias is not None)
    return net.viewed(view, last, groups, made)


def _channels_last(net: Network, view: View) -> Any:
    """A linear map over the channels of an image, which is a convolution of 1 × 1."""
    base = view.base
    if isinstance(base, Weight) or base.type.kind != "im":
        return None
    c, h, w = (axis(at, n) for at, n in enumerate(base.sizes, 1))
    rest = joined(sorted((d for dim in view.dims[:-1] for d in dim if d.axis > 0), key=lambda d: (d.axis, -d.stride)))
    return (base, ()) if c and h + w and view.dims[-1] == c and rest == (*h, *w) else None


def _by_axes(dim: Any) -> Any:
    return joined(sorted(dim, key=lambda d: (d.axis, -d.stride)))


def _patch_order(view: View, weight: View) -> View:
    """The weight for the rows of patches as `im2col` has them: channels, rows, columns."""
    base = view.base
    if isinstance(base, Weight) or base.type.kind != "im" or len({digit.axis for digit in view.dims[-1]}) < 3:
        return weight
    ordered = sorted(view.dims[-1], key=lambda digit: (digit.axis, -digit.stride))
    if tuple(ordered) == view.dims[-1]:
        return weight
    columns = reshaped(weight, (weight.sizes[0], *(digit.size for digit in view.dims[-1])))
    if columns is None:
        return weight
    places = {digit: columns.dims[1 + at] for at, digit in enumerate(view.dims[-1])}
    return View(weight.base, (columns.dims[0], tuple(d for digit in ordered for d in places[digit])))


def _unembedding(net: Network, view: View, weight: View, bias: Any) -> View | None:
    """A linear map with the table that words were looked up in."""
    base = weight.base
    key = net.tables.get(base.name) if isinstance(base, Weight) else None
    if key is None or bias is not None:
        return None
    value, groups = net.gather(view, [_last(view)])
    if value.type.kind != "seq":
        return None
    made = net.use("unembed", [value], {"param_table": weight}, vocab=weight.sizes[0], key=key)
    return net.viewed(view, [_last(view)], groups, made)


def _embedding(net: Network, call: Call) -> View:
    table, view = net.weight(call.arguments["weight"]), call.arguments["indices"]
    if isinstance(view.base, Weight):
        return _looked_up(net, table, view)
    if view.base.type.kind != "tok":
        raise Unsaid("a table is looked up with the input of the network, whole numbers of kind `tok`")
    assert isinstance(table.base, Weight)
    vocab, d = table.sizes
    key = net.tables.get(table.base.name)
    given = {} if key is None else {"key": key}
    made = net.use("embed", [view.base], {"param_table": table}, vocab=vocab, d=d, **given)
    return View(made, (*view.dims, axis(len(made.sizes), d)))


def _index(net: Network, call: Call) -> View:
    """`table[x]`."""
    table, indices = call.arguments["self"], call.arguments["indices"]
    if (
        not isinstance(table.base, Weight)
        or len(table.dims) != 2
        or len(indices) != 1
        or not isinstance(indices[0], View)
    ):
        raise Unsaid("entries of a tensor at positions that are computed")
    return _embedding(net, replace(call, arguments={"weight": table, "indices": indices[0]}))


def _looked_up(net: Network, table: View, view: View) -> View:
    """Rows of a table at positions that are constants: where they are 0, 1, 2, …, the first rows of it."""
    assert isinstance(table.base, Weight) and isinstance(view.base, Weight)
    positions = net.weights[view.base.name].flatten().tolist()
    if positions != list(range(len(positions))):
        raise Unsaid("a table is looked up at fixed positions other than 0, 1, 2, …")
    if len(positions) < table.sizes[0]:
        table = net.part(table.base, 0, 0, len(positions))
    return View(table.base, (*((),) * (len(view.dims) - 1), *table.dims)) if len(view.dims) > 1 else table


def _conv2d(net: Network, call: Call) -> View:
    a = call.arguments
    weight = net.weight(a["weight"])
    view = _rank(a["input"], 4)
    k, s, dilation = square(weight.sizes[2:]), square(a["stride"]), square(a["dilation"])
    p = _padding(a["padding"], k, dilation)
    value, groups = net.gather(view, [1, 2, 3])
    kept = _weights(net, "conv2d", weight=weight, bias=a["bias"])
    given = {"k": k, "s": s, "dilation": dilation, "p": p, "bias": a["bias"] is not None}
    out, c = weight.sizes[0], value.sizes[0]
    if a["groups"] == c == out and c > 1:
        made = net.use("dwconv", [value], kept, **given)
    else:
        made = net.use("conv", [value], kept, out=out, groups=a["groups"], **given)
    return net.viewed(view, [1, 2, 3], groups, made)


def _padding(given: Any, k: int, dilation: int) -> int:
    if given == "valid":
        return 0
    if given == "same":
        if dilation * (k - 1) % 2:
            raise Unsaid("padding on one side only")
        return dilation * (k - 1) // 2
    return square(given)


def _rank(view: View, count: int) -> View:
    if len(view.dims) != count:
        raise Unsaid(f"it works on {count - 1} axes behind the batch, and there are {len(view.dims) - 1}")
    return view


def _conv1d(net: Network, call: Call) -> View:
    a = call.arguments
    weight, view = net.weight(a["weight"]), _rank(a["input"], 3)
    k, s, dilation = weight.sizes[2], square(a["stride"]), square(a["dilation"])
    given = {"out": weight.sizes[0], "k": k, "s": s, "dilation": dilation, "p": _padding(a["padding"], k, dilation)}
    value, groups = net.gather(view, [2, 1])
    kept = _weights(net, "conv1d", weight=weight, bias=a["bias"])
    made = net.use("conv1d" if a["bias"] is not None else "conv1d_plain", [value], kept, groups=a["groups"], **given)
    return net.viewed(view, [2, 1], groups, made)


def _conv_transpose2d(net: Network, call: Call) -> View:
    a = call.arguments
    weight, view = net.weight(a["weight"]), _rank(a["input"], 4)
    k, s, p = square(weight.sizes[2:]), square(a["stride"]), square(a["padding"])
    extra, dilation, groups, bias = square(a["output_padding"]), square(a["dilation"]), a["groups"], a["bias"]
    value, lying = net.gather(view, [1, 2, 3])
    kept = _weights(net, "convtranspose2d", weight=weight, bias=bias)
    out = weight.sizes[1] * groups
    if (extra, dilation, groups) == (0, 1, 1) and bias is not None:
        made = net.use("conv_transpose", [value], kept, out=out, k=k, s=s, p=p)
    else:
        rest = {"extra": extra, "groups": groups, "dilation": dilation, "bias": bias is not None}
        made = net.use("conv_transpose_full", [value], kept, out=out, k=k, s=s, p=p, **rest)
    return net.viewed(view, [1, 2, 3], lying, made)


# --- norms


def _channels(view: View) -> list[int]:
    """The axes of an image as they are, or of a sequence with its features last."""
    if len(view.dims) not in (2, 3, 4):
        raise Unsaid(f"a norm over channels works on one to three axes behind the batch, not {len(view.dims) - 1}")
    return {2: [1], 3: [2, 1], 4: [1, 2, 3]}[len(view.dims)]


def _batch_norm(net: Network, call: Call) -> View:
    a, view = call.arguments, call.arguments["input"]
    if a["running_mean"] is None or a["weight"] is None:
        raise Unsaid("a batch norm without running averages or without weights")
    if a["momentum"] != 0.1:
        raise Unsaid(f"a batch norm with momentum {a['momentum']}, and those of the language have 0.1")
    active = _channels(view)
    value, groups = net.gather(view, active)
    prefix = f"batchnorm{2 if len(active) == 3 else 1}d"
    kept = _weights(net, prefix, **{name: a[name] for name in ("weight", "bias", "running_mean", "running_var")})
    counted = net.counter(a["running_mean"])
    kept |= {} if counted is None else {f"{prefix}.num_batches_tracked": counted}
    return net.viewed(view, active, groups, _norm(net, "batch_norm", value, kept, a["eps"]))


def _norm(net: Network, name: str, value: Any, kept: dict[str, View], eps: float, **given: Any) -> Any:
    if eps == 1e-5 and not (name == "group_norm" and value.type.kind != "im"):
        return net.use(name, [value], kept, **given)
    return net.use(f"{name}_eps", [value], kept, **given, eps=eps)


def _group_norm(net: Network, call: Call) -> View:
    a, view = call.arguments, call.arguments["input"]
    if a["weight"] is None:
        raise Unsaid("a group norm without weights")
    active = _channels(view)
    value, groups = net.gather(view, active)
    kept = _weights(net, "groupnorm", weight=a["weight"], bias=a["bias"])
    return net.viewed(view, active, groups, _norm(net, "group_norm", value, kept, a["eps"], g=a["num_groups"]))


def _instance_norm(net: Network, call: Call) -> View:
    a, view = call.arguments, call.arguments["input"]
    if a["running_mean"] is not None:
        raise Unsaid("an instance norm with running averages")
    active = _channels(view)
    value, groups = net.gather(view, active)
    kept = _weights(net, f"instancenorm{len(active) - 1}d", weight=a["weight"], bias=a["bias"])
    if len(active) == 3 and kept and a["eps"] == 1e-5:
        made = net.use("instance_norm", [value], kept)
    else:
        made = net.use("instance_norm_eps", [value], kept, eps=a["eps"], affine=bool(kept))
    return net.viewed(view, active, groups, made)


def _layer_norm(net: Network, call: Call) -> View:
    a, view = call.arguments, call.arguments["input"]
    if len(a["normalized_shape"]) != 1:
        raise Unsaid(f"a layer norm over {len(a['normalized_shape'])} axes")
    kept, eps = _weights(net, "layernorm", weight=a["weight"], bias=a["bias"]), a["eps"]
    base = view.base
    if (
        len(kept) == 2
        and not isinstance(base, Weight)
        and base.type.kind == "im"
        and view.dims[-1] == axis(1, base.sizes[0])
    ):
        return View(net.use("layer_norm", [base], kept, eps=eps), view.dims)
    value, groups = net.gather(view, [_last(view)])
    if len(kept) == 2:
        name = "layer_norm_last" if value.type.kind == "im" else "layer_norm"
        made = net.use(name, [value], kept, eps=eps)
    elif kept:
        made = net.use("layer_norm_scale", [value], {"param_g": net.weight(a["weight"])}, eps=eps)
    else:
        made = net.use("layer_norm_plain", [value], eps=eps)
    return net.viewed(view, [_last(view)], groups, made)


def _rms_norm(net: Network, call: Call) -> View:
    a, view = call.arguments, call.arguments["input"]
    if len(a["normalized_shape"]) != 1:
        raise Unsaid(f"a norm over {len(a['normalized_shape'])} axes")
    eps = a["eps"] if a["eps"] is not None else 2.0**-23
    value, groups = net.gather(view, [_last(view)])
    if a["weight"] is not None:
        made = net.use("rms_norm", [value], {"param_g": net.weight(a["weight"])}, eps=eps)
        return net.viewed(view, [_last(view)], groups, made)
    keys = range(len(view.dims))
    found = labelled([view], [keys])
    last = found.group(keys[-1])

    def body(given: Any) -> Any:
        mean = Apply("mean", last, (Infix("**", given[0], Number(2)),))
        return Infix("*", given[0], Apply("rsqrt", (), (Infix("+", mean, Number(eps)),)))

    return computed(net, found, keys, body)


# --- recurrences


def _recurrent(name: str, gates: int) -> Rule:
    def rule(net: Network, call: Call) -> Any:
        a, view = call.arguments, call.arguments["input"]
        if a["dropout"]:
            raise Unsaid("dropout between the layers of a recurrence")
        _starts_at_zero(net, a["hx"])
        active = [1, 2] if a["batch_first"] else [0, 2]
        view = _rank(view, 3)
        value, groups = net.gather(view, active)
        params, layers, bias, both = a["params"], a["num_layers"], a["has_biases"], a["bidirectional"]
        kept, rest = {}, iter(params)
        for layer in range(layers):
            for end in ("", "_reverse")[: 1 + both]:
                for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if bias else 2]:
                    kept[f"{name}.{part}_l{layer}{end}"] = net.weight(next(rest))
        out = kept[f"{name}.weight_hh_l0"].sizes[1]
        if both:
            made = net.use(f"{name}_both_ways", [value], kept, out=out, layers=layers, bias=bias)
        elif (layers, bias) == (1, True):
            made = net.use(name, [value], kept, out=out)
        else:
            made = net.use(f"{name}_layers", [value], kept, out=out, layers=layers, bias=bias)
        return (net.viewed(view, active, groups, made), *(None,) * gates)

    return rule


def _starts_at_zero(net: Network, given: Any) -> None:
    for each in given if isinstance(given, Sequence) else [given]:
        zero = isinstance(each, View) and isinstance(each.base, Weight) and not net.weights[each.base.name].any()
        if not zero:
            raise Unsaid("a recurrence that starts from a state of its own")


RULES: dict[str, Rule] = {
    "linear": _linear,
    "embedding": _embedding,
    "index": _index,
    "conv2d": _conv2d,
    "conv1d": _conv1d,
    "conv_transpose2d": _conv_transpose2d,
    "batch_norm": _batch_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "gru": _recurrent("gru", 1),
    "lstm": _recurrent("lstm", 2),
}
