"""What only moves values: views, parts, joins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from ein.compiler.way_in.calls import Call, Unsaid
from ein.compiler.way_in.formulas import Apply, Label, Number
from ein.compiler.way_in.labelling import Labelled, computed, labelled
from ein.compiler.way_in.network import Network
from ein.compiler.way_in.views import (
    BATCH,
    SPREAD,
    Digit,
    Dim,
    Value,
    View,
    Weight,
    axis,
    joined,
    moved,
    reshaped,
    size,
    split,
)

Rule = Callable[[Network, Call], Any]


def at(view: View, dim: int) -> int:
    return dim % max(1, len(view.dims))


def _same(net: Network, call: Call) -> View:
    return call.arguments["self"]  # type: ignore[no-any-return]


def _reshape(net: Network, call: Call) -> View:
    view: View = call.arguments["self"]
    sizes = call.sizes
    assert sizes is not None
    found = reshaped(view, sizes)
    if found is None:
        flat = net.laid_out(view, (joined(digit for dim in view.dims[1:] for digit in dim),))
        found = reshaped(View(flat, (view.dims[0], axis(1, flat.sizes[0]))), sizes)
    if found is None:
        raise Unsaid("it cuts axes in a way that mixes the examples of a batch")
    return found


def _permute(net: Network, call: Call) -> View:
    view: View = call.arguments["self"]
    return replace(view, dims=tuple(view.dims[at(view, dim)] for dim in call.arguments["dims"]))


def _transpose(net: Network, call: Call) -> View:
    view: View = call.arguments["self"]
    return swapped(view, call.arguments["dim0"], call.arguments["dim1"])


def swapped(view: View, one: int, other: int) -> View:
    dims = list(view.dims)
    one, other = at(view, one), at(view, other)
    dims[one], dims[other] = dims[other], dims[one]
    return replace(view, dims=tuple(dims))


def _movedim(net: Network, call: Call) -> View:
    view: View = call.arguments["self"]
    sources = [at(view, dim) for dim in call.arguments["source"]]
    targets = [at(view, dim) for dim in call.arguments["destination"]]
    rest = iter(dim for number, dim in enumerate(view.dims) if number not in sources)
    placed = {target: view.dims[source] for source, target in zip(sources, targets, strict=True)}
    return replace(view, dims=tuple(placed[n] if n in placed else next(rest) for n in range(len(view.dims))))


def _matrix_transpose(net: Network, call: Call) -> View:
    view: View = call.arguments["self"]
    return swapped(view, -2, -1) if len(view.dims) > 1 else view


def _squeeze(net: Network, call: Call) -> View:
    view: View = call.arguments["self"]
    dims = call.arguments.get("dim")
    chosen = (
        range(len(view.dims))
        if dims is None
        else [at(view, dim) for dim in (dims if isinstance(dims, list) else [dims])]
    )
    return replace(view, dims=tuple(dim for n, dim in enumerate(view.dims) if n not in chosen or size(dim) > 1))


def _unsqueeze(net: Network, call: Call) -> View:
    view: View = call.arguments["self"]
    where = call.arguments["dim"] % (len(view.dims) + 1)
    return replace(view, dims=(*view.dims[:where], (), *view.dims[where:]))


def _expand(net: Network, call: Call) -> View:
    view: View = call.arguments["self"]
    sizes = call.sizes
    assert sizes is not None
    dims = [()] * (len(sizes) - len(view.dims)) + list(view.dims)
    spread = [(Digit(SPREAD, n),) if n > 1 and size(dim) == 1 else dim for n, dim in zip(sizes, dims, strict=True)]
    return replace(view, dims=tuple(spread))


# --- parts


def divided(net: Network, view: View, dim: int, count: int) -> list[View] | None:
    """Equal parts along an axis of the view, by `split`; None where they are no parts of an axis of the base."""
    cut = split(view.dims[dim], [count, size(view.dims[dim]) // count])
    if cut is None or len(cut[0]) != 1:
        return None
    (high,), low = cut
    if high.axis <= BATCH or isinstance(view.base, Weight):
        return _rows(net, view, dim, high, low) if isinstance(view.base, Weight) and high.axis > BATCH else None
    length = view.base.sizes[high.axis - 1]
    if high.size * high.stride != length or high.stride != size(
        tuple(d for d in _digits(view, dim, low) if d.axis == high.axis)
    ):
        return None
    parts = net.split(view.base, high.axis, count)
    dims = tuple(low if n == dim else each for n, each in enumerate(view.dims))
    return [View(part, dims) for part in parts]


def _digits(view: View, dim: int, low: Dim) -> list[Digit]:
    return [*low, *(digit for n, each in enumerate(view.dims) if n != dim for digit in each)]


def _rows(net: Network, view: View, dim: int, high: Digit, low: Dim) -> list[View] | None:
    base = view.base
    assert isinstance(base, Weight)
    if high.size * high.stride != base.sizes[high.axis - 1]:
        return None
    dims = tuple(low if n == dim else each for n, each in enumerate(view.dims))
    starts = range(0, high.size * high.stride, high.stride)
    return [View(net.part(base, high.axis - 1, start, start + high.stride).base, dims) for start in starts]


def _select(net: Network, call: Call) -> View:
    view, index = call.arguments["self"], call.arguments["index"]
    return selected(net, view, at(view, call.arguments["dim"]), index)


def selected(net: Network, view: View, dim: int, index: int) -> View:
    count = size(view.dims[dim])
    index %= count
    rest = tuple(each for n, each in enumerate(view.dims) if n != dim)
    if count == 1:
        return replace(view, dims=rest)
    if isinstance(view.base, Weight) or (view.dims[dim][0].axis > BATCH and not _whole_axis(view, dim)):
        parts = divided(net, view, dim, count)
        if parts is not None:
            return replace(parts[index], dims=tuple(each for n, each in enumerate(parts[index].dims) if n != dim))
    base = view.base
    if isinstance(base, Value) and base.type.kind == "seq" and index == 0 and view.dims[dim] == axis(1, base.sizes[0]):
        made = net.use("first_token", [base])
        return View(made, moved(rest, [axis(2, base.sizes[1])]))
    keys = range(len(view.dims))
    found = labelled([view], [keys])
    label = _only(found, dim)
    return computed(
        net, found, [key for key in keys if key != dim], lambda x: Apply("index", (label,), (x[0], Number(index)))
    )


def _whole_axis(view: View, dim: int) -> bool:
    return isinstance(view.base, Value) and any(view.dims[dim] == axis(n, s) for n, s in enumerate(view.base.sizes, 1))


def _only(found: Labelled, key: int) -> Label:
    group = found.group(key)
    if len(group) != 1:
        raise Unsaid("a part of an axis that is made of several, or of the batch")
    return group[0]


def _slice(net: Network, call: Call) -> View:
    view, dim, step = call.arguments["self"], at(call.arguments["self"], call.arguments["dim"]), call.arguments["step"]
    count = size(view.dims[dim])
    start, end, _ = slice(call.arguments["start"], call.arguments["end"]).indices(count)
    if step != 1:
        raise Unsaid(f"every {step}th entry of an axis")
    return sliced(net, view, dim, start, end)


def sliced(net: Network, view: View, dim: int, start: int, end: int) -> View:
    count, length = size(view.dims[dim]), end - start
    if length == count:
        return view
    if isinstance(view.base, Weight):
        if view.dims[dim] != axis(*_axis_of(view, dim)):
            raise Unsaid("a part of a weight that is no run of its rows")
        number = view.dims[dim][0].axis
        made = net.part(view.base, number - 1, start, end)
        return View(made.base, tuple(axis(number, length) if n == dim else each for n, each in enumerate(view.dims)))
    if length and count % length == 0 and start % length == 0 and count // length <= 4:
        parts = divided(net, view, dim, count // length)
        if parts is not None:
            return parts[start // length]
    keys = range(len(view.dims))
    found = labelled([view], [keys])
    label = _only(found, dim)
    after = Label(length, label)
    found = replace(found, groups={**found.groups, "part": (after,)})
    result = ["part" if key == dim else key for key in keys]
    return computed(net, found, result, lambda x: Apply("slice", (label,), (x[0], Number(start), Number(end))))


def _axis_of(view: View, dim: int) -> tuple[int, int]:
    digits = view.dims[dim]
    assert isinstance(view.base, Weight)
    number = digits[0].axis if digits else 1
    return number, view.base.sizes[number - 1]


def _parts(net: Network, view: View, dim: int, sizes: Sequence[int]) -> tuple[View, ...]:
    if len(sizes) == 1:
        return (view,)
    if len(set(sizes)) == 1:
        found = divided(net, view, dim, len(sizes))
        if found is not None:
            return tuple(found)
    ends = [sum(sizes[:n]) for n in range(len(sizes) + 1)]
    return tuple(sliced(net, view, dim, start, end) for start, end in pairwise(ends))


def _chunk(net: Network, call: Call) -> tuple[View, ...]:
    view, dim = call.arguments["self"], at(call.arguments["self"], call.arguments["dim"])
    count = size(view.dims[dim])
    return _parts(net, view, dim, _cut(count, -(-count // call.arguments["chunks"])))


def _cut(count: int, each: int) -> list[int]:
    return [min(each, count - start) for start in range(0, count, each)]


def _split(net: Network, call: Call) -> tuple[View, ...]:
    a = call.arguments
    view, dim = a["self"], at(a["self"], a["dim"])
    sizes = a.get("split_size", a.get("split_sizes"))
    return _parts(net, view, dim, sizes if isinstance(sizes, list) else _cut(size(view.dims[dim]), sizes))


def _unbind(net: Network, call: Call) -> tuple[View, ...]:
    view, dim = call.arguments["self"], at(call.arguments["self"], call.arguments["dim"])
    return tuple(selected(net, view, dim, index) for index in range(size(view.dims[dim])))


def _getitem(net: Network, call: Call) -> Any:
    return call.arguments["0"][call.arguments["1"]]


# --- joins


def _cat(net: Network, call: Call) -> View:
    views = call.arguments["tensors"]
    dim = at(views[0], call.arguments["dim"])
    token = _class_token(net, views, dim)
    if token is not None:
        return token
    if len(views) == 1:
        return views[0]  # type: ignore[no-any-return]
    first = views[0]
    number = next((n for n, s in enumerate(_sizes(first), 1) if first.dims[dim] == axis(n, s)), None)
    if number is None or any(
        _without(view, dim) != _without(first, dim)
        or (view.dims[dim][:1] and view.dims[dim] != axis(number, _sizes(view)[number - 1]))
        for view in views
    ):
        values, number, lying = [net.forced(view) for view in views], dim, None
    else:
        values, lying = [view.base for view in views], first.dims
    made = net.concat(values, number)
    if lying is None:
        return View(made, (axis(BATCH, net.batch), *(axis(n, s) for n, s in enumerate(made.sizes, 1))))
    return View(made, tuple(axis(number, made.sizes[number - 1]) if n == dim else each for n, each in enumerate(lying)))


def _sizes(view: View) -> tuple[int, ...]:
    if isinstance(view.base, Weight):
        raise Unsaid("weights are joined to values, other than a class token in front of a sequence")
    return view.base.sizes


def _without(view: View, dim: int) -> tuple[Dim, ...]:
    return tuple(each for n, each in enumerate(view.dims) if n != dim)


def _class_token(net: Network, views: Sequence[View], dim: int) -> View | None:
    if len(views) != 2 or dim != 1 or len(views[0].dims) != 3 or not isinstance(views[1].base, Value):
        return None
    token, sequence = views
    if not isinstance(token.base, Weight) or not token.base.trained or token.dims[1]:
        return None
    value = net.forced(sequence)
    if value.type.kind != "seq":
        return None
    made = net.use("class_token", [value], {"param_cls": View(token.base, ((), token.dims[2]))})
    return View(made, (axis(BATCH, net.batch), axis(1, made.sizes[0]), axis(2, made.sizes[1])))


def _pad(net: Network, call: Call) -> View:
    view: View = call.arguments["self"]
    pads = call.arguments["pad"]
    if call.arguments.get("mode", "constant") != "constant" or call.arguments.get("value") not in (None, 0, 0.0):
        raise Unsaid("padding with something else than zeros")
    for pair in range(len(pads) // 2):
        before, after = pads[2 * pair : 2 * pair + 2]
        if before or after:
            view = _padded(net, view, len(view.dims) - 1 - pair, before, after)
    return view


def _padded(net: Network, view: View, dim: int, before: int, after: int) -> View:
    if before < 0 or after < 0:
        raise Unsaid("padding by less than nothing")
    keys = range(len(view.dims))
    found = labelled([view], [keys])
    label = _only(found, dim)
    wider = Label(label.size + before + after, label)
    found = replace(found, groups={**found.groups, "part": (wider,)})
    result = ["part" if key == dim else key for key in keys]
    return computed(net, found, result, lambda x: Apply("pad", (label,), (x[0], Number(before), Number(after))))


RULES: dict[str, Rule] = {
    **dict.fromkeys(("contiguous", "clone", "detach", "alias", "to", "_to_copy", "type_as", "lift_fresh_copy"), _same),
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "flatten", "unflatten", "view_as", "reshape_as"), _reshape),
    **dict.fromkeys(("expand", "expand_as"), _expand),
    **dict.fromkeys(("t", "numpy_T", "mT"), _matrix_transpose),
    **dict.fromkeys(("split", "split_with_sizes", "tensor_split"), _split),
    "permute": _permute,
    "transpose": _transpose,
    "swapaxes": _transpose,
    "movedim": _movedim,
    "squeeze": _squeeze,
    "unsqueeze": _unsqueeze,
    "select": _select,
    "slice": _slice,
    "narrow": lambda net, call: sliced(
        net,
        call.arguments["self"],
        at(call.arguments["self"], call.arguments["dim"]),
        call.arguments["start"],
        call.arguments["start"] + call.arguments["length"],
    ),
    "chunk": _chunk,
    "unbind": _unbind,
    "getitem": _getitem,
    "cat": _cat,
    "concat": _cat,
    "pad": _pad,
    "constant_pad_nd": _pad,
}
