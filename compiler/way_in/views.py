"""How a tensor of torch reads a value that the network keeps: by digits of its axes.

Views, permutations and reshapes compute nothing. They are kept as a `View`: for each axis of torch's tensor the
digits of the base's axes that it is made of, the most significant first. Flattening the rows and columns of an image
and splitting features into heads are two ways of writing digits in a row, so whatever torch code does between two
operators comes out as one arrangement. Axis 0 of a base is the batch; weights have no axis 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import TypeAlias

from ein.grammar.types import Tensor

BATCH = 0
SPREAD = -1
"""The axis of a digit that repeats what is there, as `expand` does."""


@dataclass(frozen=True, slots=True)
class Digit:
    """`index // stride % size` of an axis of the base."""

    axis: int
    size: int
    stride: int = 1


Dim: TypeAlias = tuple[Digit, ...]
"""An axis of a tensor, the most significant digit first; none for an axis of size 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """Result `port` of a node of the network."""

    node: int
    port: int
    type: Tensor

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.type.sizes


@dataclass(frozen=True, slots=True, eq=False)
class Weight:
    """A parameter, a buffer or a constant of the module, by its name there."""

    name: str
    sizes: tuple[int, ...]
    trained: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class View:
    base: Value | Weight
    dims: tuple[Dim, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(map(size, self.dims))


def size(dim: Dim) -> int:
    return prod(digit.size for digit in dim)


def axis(number: int, length: int) -> Dim:
    """The whole of an axis."""
    return (Digit(number, length),) if length > 1 else ()


def whole(value: Value, batch: int) -> View:
    """A value as it is, the batch in front."""
    return View(value, (axis(BATCH, batch), *(axis(i, n) for i, n in enumerate(value.sizes, 1))))


def whole_weight(weight: Weight) -> View:
    return View(weight, tuple(axis(i, n) for i, n in enumerate(weight.sizes, 1)))


def joined(digits: Iterable[Digit]) -> Dim:
    """Neighbours that are one digit of an axis become one."""
    out: list[Digit] = []
    for digit in digits:
        last = out[-1] if out else None
        if last is not None and last.axis == digit.axis and last.stride == digit.stride * digit.size:
            out[-1] = Digit(digit.axis, last.size * digit.size, digit.stride)
        else:
            out.append(digit)
    return tuple(out)


def split(dim: Dim, sizes: Sequence[int]) -> tuple[Dim, ...] | None:
    """The axis as several of these sizes, or None where a digit would be cut unevenly."""
    rest = list(reversed(dim))
    found: list[Dim] = []
    for wanted in sizes:
        taken: list[Digit] = []
        while wanted > 1:
            if not rest:
                return None
            digit = rest.pop()
            if wanted % digit.size == 0:
                taken.append(digit)
                wanted //= digit.size
            elif digit.size % wanted == 0:
                low = digit.size // wanted
                taken.append(Digit(digit.axis, wanted, digit.stride * low))
                rest.append(Digit(digit.axis, low, digit.stride))
                wanted = 1
            else:
                return None
        found.append(joined(taken))
    return None if rest else tuple(found)


def reshaped(view: View, sizes: Sequence[int]) -> View | None:
    dims = split(joined(digit for dim in view.dims for digit in dim), sizes)
    return None if dims is None else replace(view, dims=dims)


def refined(dims: Sequence[Dim]) -> list[Dim] | None:
    """Axes of equal sizes with their digits cut in the same places, or None."""
    cuts: set[int] = set()
    total = size(dims[0])
    for dim in dims:
        below = total
        for digit in dim:
            below //= digit.size
            cuts.add(below)
    ordered = sorted(cuts | {total}, reverse=True)
    if any(high % low for high, low in pairwise(ordered)):
        return None
    sizes = [high // low for high, low in pairwise(ordered)]
    pieces = [split(dim, sizes) for dim in dims]
    if any(piece is None or any(len(part) != 1 for part in piece) for piece in pieces):
        return None
    return [tuple(part[0] for part in piece) for piece in pieces if piece is not None]


def digits_of(dims: Iterable[Dim]) -> Iterator[Digit]:
    for dim in dims:
        yield from dim


def passive(view: View, active: Sequence[int]) -> tuple[Dim, ...]:
    """The axes of the base, without the batch, as far as the axes `active` of the view leave them, in its order."""
    used = [digit for at, dim in enumerate(view.dims) if at not in active for digit in dim]
    by_axis: dict[int, list[Digit]] = {}
    for digit in sorted(used, key=lambda d: (d.axis, -d.stride)):
        if digit.axis > BATCH:
            by_axis.setdefault(digit.axis, []).append(digit)
    return tuple(joined(found) for found in by_axis.values())


def moved(dims: Iterable[Dim], groups: Sequence[Dim]) -> tuple[Dim, ...]:
    """Axes in digits of a base whose axes 1, 2, … were `groups`, written in those of the base that has them."""
    return tuple(joined(piece for digit in dim for piece in _moved(digit, groups)) for dim in dims)


def _moved(digit: Digit, groups: Sequence[Dim]) -> Iterator[Digit]:
    if digit.axis <= BATCH:
        yield digit
        return
    for number, group in enumerate(groups, 1):
        below = size(group)
        for held in group:
            below //= held.size
            if held.axis == digit.axis and _inside(digit, held):
                yield Digit(number, digit.size, below * (digit.stride // held.stride))
                return
    # a digit that a group holds in pieces
    for number, group in enumerate(groups, 1):
        below = size(group)
        for held in group:
            below //= held.size
            if held.axis == digit.axis and _inside(held, digit):
                yield Digit(number, held.size, below)


def _inside(inner: Digit, outer: Digit) -> bool:
    return inner.stride >= outer.stride and inner.stride * inner.size <= outer.stride * outer.size
