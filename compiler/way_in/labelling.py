"""Tensors of torch whose axes meet -> a formula over axes with names."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ein.compiler.way_in.calls import Unsaid
from ein.compiler.way_in.formulas import Expr, Formula, Given, Group, Kept, Label, Reading
from ein.compiler.way_in.moves import read
from ein.compiler.way_in.views import BATCH, SPREAD, Digit, Dim, Value, View, axis, joined, refined, size

if TYPE_CHECKING:
    from ein.compiler.way_in.network import Network

Keys = Sequence[Hashable]
"""For each axis of a tensor what it is called; axes that are called the same meet."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """`groups`: the labels of each key, None standing for the batch; `digits`: those of each tensor."""

    views: tuple[View, ...]
    groups: Mapping[Hashable, tuple[Label | None, ...]]
    digits: tuple[Mapping[Digit, Label], ...]

    def group(self, key: Hashable) -> Group:
        return tuple(label for label in self.groups[key] if label is not None)

    def reading(self, at: int) -> Reading:
        """Of a value that flows in."""
        base = self.views[at].base
        assert isinstance(base, Value)
        return read(base.sizes, dict(self.digits[at]))


def aligned(views: Sequence[View]) -> tuple[list[Keys], Keys]:
    """The keys of tensors that meet element by element, counted from the last axis, and those of the result."""
    longest = max(len(view.dims) for view in views)
    return [range(longest - len(view.dims), longest) for view in views], range(longest)


def labelled(views: Sequence[View], keys: Sequence[Keys]) -> Labelled:
    """Raises Unsaid where axes that meet are made of parts that do not."""
    groups: dict[Hashable, tuple[Label | None, ...]] = {}
    digits: list[dict[Digit, Label]] = [{} for _ in views]
    for key in dict.fromkeys(key for row in keys for key in row):
        meeting = [
            (at, view.dims[row.index(key)])
            for at, (view, row) in enumerate(zip(views, keys, strict=True))
            if key in row
        ]
        meeting = [(at, dim) for at, dim in meeting if size(dim) > 1]
        if not meeting:
            groups[key] = ()
            continue
        cut = refined([dim for _, dim in meeting])
        if cut is None:
            raise Unsaid("axes that meet are made of parts that do not")
        groups[key] = tuple(_meet(digits, [at for at, _ in meeting], row) for row in zip(*cut, strict=True))
    return Labelled(tuple(views), groups, tuple(digits))


def _meet(digits: list[dict[Digit, Label]], tensors: Sequence[int], row: Sequence[Digit]) -> Label | None:
    """The label of digits that meet; None for the batch."""
    kinds = {min(digit.axis, 1) for digit in row if digit.axis != SPREAD}
    if kinds == {BATCH}:
        return None
    if BATCH in kinds:
        raise Unsaid("the batch meets another axis of its size")
    label = Label(row[0].size)
    for at, digit in zip(tensors, row, strict=True):
        if digit.axis != SPREAD:
            if digit in digits[at]:
                raise Unsaid("a tensor is read along its diagonal")
            digits[at][digit] = label
    return label


def computed(
    net: Network, found: Labelled, result: Keys, body: Callable[[Sequence[Expr]], Expr], kind: str = ""
) -> View:
    """The result of a formula, its axes called `result`; `body` is given the operands."""
    values = [at for at, view in enumerate(found.views) if isinstance(view.base, Value)]
    if not values:
        raise Unsaid("it computes with weights alone")
    operands: list[Expr] = []
    kept: list[tuple[str, Group]] = []
    weights: dict[str, View] = {}
    for at, view in enumerate(found.views):
        if at in values:
            operands.append(Given(values.index(at)))
        else:
            name = f"p{len(kept) + 1}"
            group, weights[name] = weight_read(view, found.digits[at])
            kept.append((name, group))
            operands.append(Kept(name))
    reads = tuple(found.reading(at) for at in values)
    wanted = [label for key in result for label in found.group(key)]
    out = _out(reads, wanted, [found.group(key) for key in result])
    formula = Formula(reads, tuple(kept), body(operands), out)
    inputs = [view.base for view in found.views if isinstance(view.base, Value)]
    value = net.local(formula, inputs, weights, formula.sizes, kind)
    return View(value, tuple(_placed(found.groups[key], out, net.batch) for key in result))


def weight_read(view: View, digits: Mapping[Digit, Label]) -> tuple[Group, View]:
    """A weight with an axis for each label, and how it lies in the module's."""
    return tuple(digits.values()), View(view.base, tuple((digit,) for digit in digits))


def _out(reads: Sequence[Reading], wanted: Sequence[Label], groups: Sequence[Group]) -> Reading:
    """The axes of the result: as a tensor that flows in has them, if it has all; else as torch lays them out."""
    for reading in reads:
        labels = [label for group in reading for label in group]
        if set(labels) == set(wanted) and len(labels) == len(wanted):
            return reading
    return tuple(group for group in groups if group)


def _placed(labels: Sequence[Label | None], out: Reading, batch: int) -> Dim:
    digits: list[Digit] = []
    for label in labels:
        digits += axis(BATCH, batch) if label is None else [place(label, out)]
    return joined(digits)


def place(label: Label, out: Reading) -> Digit:
    """Where an axis is in a result whose axes are `out`."""
    for number, group in enumerate(out, 1):
        below = 1
        for each in reversed(group):
            if each is label:
                return Digit(number, label.size, below)
            below *= each.size
    raise AssertionError("the result lacks an axis")
