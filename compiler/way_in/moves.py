"""From one arrangement of axes to another: by the operators of `std` that move values, or by one of the file's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ein.compiler.way_in.calls import Unsaid
from ein.compiler.way_in.formulas import Formula, Given, Label
from ein.compiler.way_in.views import Digit, Dim, Value, axis, joined, size
from ein.grammar.numbers import Order

if TYPE_CHECKING:
    from ein.compiler.way_in.network import Network

MAX_AXES = 3


def move(net: Network, value: Value, groups: Sequence[Dim]) -> Value:
    """The value with the axes `groups`, written in digits of its own. Raises Unsaid where an axis is left out."""
    sizes = [n for n in value.sizes]
    own = [axis(i, n) for i, n in enumerate(sizes, 1)]
    wanted = [joined(group) for group in groups]
    if wanted == own:
        return value
    return (
        _pooled(net, value, wanted, own)
        or _permuted(net, value, wanted, own)
        or _flattened(net, value, wanted, own)
        or _gridded(net, value, wanted, own)
        or _patched(net, value, wanted, own)
        or _shuffled(net, value, wanted, own)
        or rearranged(net, value, wanted)
    )


def _pooled(net: Network, value: Value, wanted: list[Dim], own: list[Dim]) -> Value | None:
    """The mean of an image as features, which torch code keeps as an image of 1 × 1."""
    made = net.nodes[value.node]
    if made.name == "adaptive_pool" and made.given == (("n", 1),) and wanted == own[:1]:
        return net.use("pool", made.inputs)
    return None


def _permuted(net: Network, value: Value, wanted: list[Dim], own: list[Dim]) -> Value | None:
    order, left = [], list(range(len(own)))
    for dim in wanted:
        place = next((at for at in left if own[at] == dim), None)
        if place is None:
            return None
        left.remove(place)
        order.append(place + 1)
    if left:
        return None
    if value.type.kind == "seq":
        return net.use("transpose", [value])
    return net.use("permute", [value], order=Order(order))


def _flattened(net: Network, value: Value, wanted: list[Dim], own: list[Dim]) -> Value | None:
    if value.type.kind != "im":
        return None
    c, h, w = own
    rows = joined((*h, *w))
    if wanted == [rows, c]:
        return net.use("flatten", [value])
    if wanted == [c, rows]:
        return net.use("transpose", [net.use("flatten", [value])])
    if wanted == [joined((*c, *h, *w))]:
        return net.use("to_vec", [value])
    return None


def _gridded(net: Network, value: Value, wanted: list[Dim], own: list[Dim]) -> Value | None:
    """A sequence whose length is a grid, as an image."""
    if value.type.kind != "seq" or len(wanted) != 3 or not isinstance(value.type.shape[0], tuple):
        return None
    grid = value.type.shape[0]
    if wanted[0] == own[1] and tuple(map(size, wanted[1:])) == grid and joined((*wanted[1], *wanted[2])) == own[0]:
        return net.use("col2im", [value])
    return None


def _patched(net: Network, value: Value, wanted: list[Dim], own: list[Dim]) -> Value | None:
    """Patches that do not overlap, a row of channels × rows × columns for each."""
    if value.type.kind != "im" or len(wanted) != 2:
        return None
    c, h, w = value.sizes
    k = round((size(wanted[1]) / c) ** 0.5)
    if k < 2 or h % k or w % k:
        return None
    rows = joined((*_digit(2, h // k, k), *_digit(3, w // k, k)))
    row = joined((*own[0], *_digit(2, k), *_digit(3, k)))
    return net.use("im2col", [value], k=k, s=k) if wanted == [rows, row] else None


def _shuffled(net: Network, value: Value, wanted: list[Dim], own: list[Dim]) -> Value | None:
    if value.type.kind != "im" or len(wanted) != 3:
        return None
    c, h, _ = value.sizes
    if wanted[1:] == own[1:]:
        for g in range(2, c):
            if c % g == 0 and wanted[0] == joined((*_digit(1, c // g), *_digit(1, g, c // g))):
                return net.use("channel_shuffle", [value], g=g)
        return None
    r = size(wanted[1]) // h
    if r > 1 and c % (r * r) == 0:
        rows, columns = (*own[1], *_digit(1, r, r)), (*own[2], *_digit(1, r))
        if wanted == [_digit(1, c // (r * r), r * r), joined(rows), joined(columns)]:
            return net.use("pixel_shuffle", [value], r=r)
    return None


def _digit(number: int, length: int, stride: int = 1) -> Dim:
    return (Digit(number, length, stride),) if length > 1 else ()


def rearranged(net: Network, value: Value, wanted: Sequence[Dim]) -> Value:
    """By an operator of the file's own: axes split, put in order and merged."""
    if not 1 <= len(wanted) <= MAX_AXES:
        raise Unsaid(f"std has no kind of tensor with {len(wanted)} axes behind the batch")
    labels = {digit: Label(digit.size) for dim in wanted for digit in dim}
    reading = read(value.sizes, labels)
    out = tuple(tuple(labels[digit] for digit in dim) for dim in wanted)
    return net.local(Formula((reading,), (), Given(0), out), [value], {}, [size(dim) for dim in wanted])


def read(sizes: Sequence[int], labels: dict[Digit, Label]) -> tuple[tuple[Label, ...], ...]:
    """How a tensor of these sizes is read. Raises Unsaid unless the digits make up every axis."""
    found = []
    for number, length in enumerate(sizes, 1):
        digits = sorted((digit for digit in labels if digit.axis == number), key=lambda digit: -digit.stride)
        below = length
        for digit in digits:
            below //= digit.size
            if digit.stride != below:
                raise Unsaid("an axis is cut in two ways that do not go together")
        if below > 1:
            raise Unsaid("a part of an axis is missing")
        found.append(tuple(labels[digit] for digit in digits))
    return tuple(found)
