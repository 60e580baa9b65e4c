"""Tensors whose axes have names, as a list of plain steps that grows.

A `Tape` records what is computed without computing it: sizes, names of axes, costs. Nothing here
knows the syntax of a body; `ein.grammar.bodies` reads that and calls this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from ein.grammar.diagnostics import Span, fail
from ein.grammar.numbers import Inapplicable, nearest
from ein.grammar.vetted import Facts, Row

MAX_ELEMENTS = 2**40
"""Elements of one intermediate value of a body."""


@dataclass(frozen=True, slots=True)
class Step:
    """One tensor, computed from earlier steps.

    `op` is one of: input (which: the leaf), weight (name: of the parameter; start), number (value),
    layer (name: nn.…), function (name: F.…), pointwise (name), reduce (name, axes), along (name, axis),
    permute (order), unflatten (axis, sizes), flatten (first, last), unsqueeze (axes), einsum (letters),
    concat (axis), part (axis, index, of: parts), stack (axis), index (axis, at), expand (the second operand
    only says how many examples there are). A function of several tensors has as many operands.
    """

    op: str
    inputs: tuple[int, ...]
    sizes: tuple[int, ...]
    name: str = ""
    arguments: tuple[tuple[str, Any], ...] = ()
    batched: bool = True

    def argument(self, name: str) -> Any:
        return dict(self.arguments)[name]


@dataclass(frozen=True, slots=True)
class Body:
    """Steps in order; `results` are the steps of the output's tensors; costs are for one example."""

    steps: tuple[Step, ...]
    results: tuple[int, ...]
    parameters: int
    macs: int
    needs_several_values: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """A step with the names of its axes; an axis without a name is None."""

    step: int
    axes: tuple[str | None, ...]
    sizes: tuple[int, ...]
    batched: bool


class Tape:
    """Steps so far, with the parameters and multiply-accumulates they hold."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.steps: list[Step] = []
        self.sizes: dict[str, int] = {}
        self.parameters = 0
        self.macs = 0
        self.several = False

    def step(
        self,
        op: str,
        inputs: tuple[int, ...],
        sizes: tuple[int, ...],
        name: str = "",
        arguments: tuple[tuple[str, Any], ...] = (),
        batched: bool = True,
    ) -> int:
        if prod(sizes) > MAX_ELEMENTS:
            raise Inapplicable(f"an intermediate value of {prod(sizes):,} elements", self.span)
        self.steps.append(Step(op, inputs, sizes, name, arguments, batched))
        return len(self.steps) - 1

    def constant(self, value: float) -> int:
        return self.step("number", (), (), "", (("value", value),), batched=False)

    def opaque(self, op: str, row: Row, arguments: dict[str, Any], values: Sequence[Value], span: Span) -> Value:
        """Layers and functions of torch take the written order of axes; their result has no names."""
        if not all(value.batched for value in values):
            raise fail("E416", f"`{row.name}` is applied to what depends on the input", span)
        try:
            facts: Facts = row.facts(arguments, *(value.sizes for value in values))
        except Inapplicable as error:
            raise Inapplicable(error.reason, span) from None
        self.macs += facts.macs
        self.parameters += sum(prod(shape) for shape in facts.weights.values())
        self.several = self.several or row.needs_several_values
        inputs = tuple(value.step for value in values)
        step = self.step(op, inputs, facts.sizes, row.name, tuple(arguments.items()))
        keeps = op == "function" and len(values) == 1 and facts.sizes == values[0].sizes
        return Value(step, values[0].axes if keeps else (None,) * len(facts.sizes), facts.sizes, True)

    def reduce(self, name: str, names: list[str], value: Value, span: Span) -> Value:
        at = tuple(sorted(position(value, axis, span) for axis in names))
        keep = [i for i in range(len(value.axes)) if i not in at]
        sizes = tuple(value.sizes[i] for i in keep)
        step = self.step("reduce", (value.step,), sizes, name, (("axes", at),), value.batched)
        return Value(step, tuple(value.axes[i] for i in keep), sizes, value.batched)

    def dot(self, names: list[str], values: list[Value], span: Span) -> Value:
        """Sums the product over `names`; what is left keeps the order of the operands, input first."""
        ordered = sorted(values, key=lambda v: not v.batched)
        sizes: dict[str, int] = {}
        for value in ordered:
            for axis, size in zip(value.axes, value.sizes, strict=True):
                if axis is None:
                    raise fail("E418", "`dot` works on named axes: name them with `[…]`", span)
                if sizes.setdefault(axis, size) != size:
                    raise Inapplicable(f"`{axis}` is {sizes[axis]} and {size}", span)
        for name in names:
            if name not in sizes:
                raise fail("E403", f"there is no axis `{name}` here", span, help=nearest(name, sizes))
        letters = _letters(sizes)
        left = tuple(axis for axis in sizes if axis not in names)
        batched = ordered[0].batched
        terms = ["".join(letters[a] for a in v.axes if a is not None) for v in ordered]
        equation = (tuple(terms), "".join(letters[axis] for axis in left))
        shape = tuple(sizes[axis] for axis in left)
        step = self.step("einsum", tuple(v.step for v in ordered), shape, "", (("letters", equation),), batched)
        self.macs += prod(sizes.values()) * (len(ordered) - 1)
        return Value(step, left, shape, batched)

    def concat(self, names: list[str], values: list[Value], span: Span) -> Value:
        if len(names) != 1:
            raise fail("E417", "`concat` works on one axis", span)
        at = position(values[0], names[0], span)
        like = next((value for value in values if value.batched), None)
        values = [value if like is None else self._expand(value, like) for value in values]
        for value in values:
            rest = all(a == b for i, (a, b) in enumerate(zip(value.sizes, values[0].sizes, strict=False)) if i != at)
            if value.axes != values[0].axes or not rest:
                raise Inapplicable("`concat` needs equal axes but one", span)
        size = sum(value.sizes[at] for value in values)
        sizes = (*values[0].sizes[:at], size, *values[0].sizes[at + 1 :])
        axes = tuple(None if i == at else axis for i, axis in enumerate(values[0].axes))
        inputs = tuple(value.step for value in values)
        step = self.step("concat", inputs, sizes, "", (("axis", at),), values[0].batched)
        return Value(step, axes, sizes, values[0].batched)

    def _expand(self, value: Value, like: Value) -> Value:
        """The value for each of the examples of `like`; one that depends on the input as it is."""
        if value.batched:
            return value
        step = self.step("expand", (value.step, like.step), value.sizes)
        return Value(step, value.axes, value.sizes, True)

    def index(self, names: list[str], value: Value, at: Any, span: Span) -> Value:
        """What stands at a position of an axis, counted from 0; the axis is gone."""
        if len(names) != 1 or not isinstance(at, int) or isinstance(at, bool):
            raise fail("E417", "`index[axis](x, n)` takes one position of one axis, counted from 0", span)
        axis = position(value, names[0], span)
        if not 0 <= at < value.sizes[axis]:
            raise Inapplicable(f"`{names[0]}` has {value.sizes[axis]} positions, and none has the number {at}", span)
        sizes, axes = ((*whole[:axis], *whole[axis + 1 :]) for whole in (value.sizes, value.axes))
        step = self.step("index", (value.step,), sizes, "", (("axis", axis), ("at", at)), value.batched)
        return Value(step, axes, sizes, value.batched)

    def split(self, names: list[str], value: Value, parts: Any, span: Span) -> list[Value]:
        at = position(value, names[0], span) if len(names) == 1 else -1
        if at < 0 or not isinstance(parts, int) or parts < 1:
            raise fail("E417", "`split[axis](x, n)` cuts one axis into n parts", span)
        if value.sizes[at] % parts:
            raise Inapplicable(f"{value.sizes[at]} cannot be split into {parts} equal parts", span)
        sizes = (*value.sizes[:at], value.sizes[at] // parts, *value.sizes[at + 1 :])
        axes = tuple(None if i == at else axis for i, axis in enumerate(value.axes))
        made = []
        for i in range(parts):
            arguments = (("axis", at), ("index", i), ("of", parts))
            step = self.step("part", (value.step,), sizes, "", arguments, value.batched)
            made.append(Value(step, axes, sizes, value.batched))
        return made

    def stack(self, names: list[str], values: list[Value], span: Span) -> Value:
        first = values[0]
        if len(names) != 1 or any(v.sizes != first.sizes or v.axes != first.axes for v in values):
            raise Inapplicable("`stack[axis]` needs equal tensors", span)
        sizes = (len(values), *first.sizes)
        inputs = tuple(v.step for v in values)
        step = self.step("stack", inputs, sizes, "", (("axis", 0),), first.batched)
        self.sizes[names[0]] = len(values)
        return Value(step, (names[0], *first.axes), sizes, first.batched)

    def pointwise(self, name: str, operands: Sequence[Value | float], span: Span) -> Value:
        """Aligns the operands by the names of their axes and computes element by element."""
        tensors = [v for v in operands if isinstance(v, Value)]
        order = self._merged_axes(tensors, span)
        aligned = [self._align(v, order) if isinstance(v, Value) else v for v in operands]
        batched = any(v.batched for v in tensors)
        ordered = sorted(tensors, key=lambda v: not v.batched)
        sizes = ordered[0].sizes if order is None else tuple(order.values())
        axes = ordered[0].axes if order is None else tuple(order)
        inputs = tuple(v.step if isinstance(v, Value) else self.constant(v) for v in aligned)
        return Value(self.step("pointwise", inputs, sizes, name, (), batched), axes, sizes, batched)

    def _merged_axes(self, tensors: list[Value], span: Span) -> dict[str, int] | None:
        """Axes of the result with their sizes, the input-dependent operand first; None: by position."""
        if any(axis is None for v in tensors for axis in v.axes):
            first = tensors[0]
            for other in tensors[1:]:
                if other.sizes != first.sizes:
                    raise Inapplicable(f"{list(first.sizes)} and {list(other.sizes)} differ", span)
            return None
        sizes: dict[str, int] = {}
        for value in sorted(tensors, key=lambda v: not v.batched):
            for axis, size in zip(value.axes, value.sizes, strict=True):
                assert axis is not None
                if sizes.setdefault(axis, size) != size:
                    raise Inapplicable(f"`{axis}` is {sizes[axis]} and {size}", span)
        return sizes

    def _align(self, value: Value, order: dict[str, int] | None) -> Value:
        if order is None:
            return value
        wanted = [axis for axis in order if axis in value.axes]
        value = self.permute(value, [value.axes.index(axis) for axis in wanted])
        positions = [i for i, axis in enumerate(order) if axis not in value.axes]
        leading = len(order) - len(value.axes)
        if positions == list(range(leading)) and not value.batched:
            return value  # torch lines up trailing axes by itself
        if not positions:
            return value
        sizes = tuple(1 if i in positions else size for i, size in enumerate(order.values()))
        step = self.step("unsqueeze", (value.step,), sizes, "", (("axes", tuple(positions)),), value.batched)
        return Value(step, tuple(order), sizes, value.batched)

    def permute(self, value: Value, order: list[int]) -> Value:
        if order == list(range(len(order))):
            return value
        sizes = tuple(value.sizes[i] for i in order)
        axes = tuple(value.axes[i] for i in order)
        step = self.step("permute", (value.step,), sizes, "", (("order", tuple(order)),), value.batched)
        return Value(step, axes, sizes, value.batched)

    def unflatten(self, value: Value, axis: int, sizes: list[int]) -> Value:
        full = (*value.sizes[:axis], *sizes, *value.sizes[axis + 1 :])
        arguments = (("axis", axis), ("sizes", tuple(sizes)))
        step = self.step("unflatten", (value.step,), full, "", arguments, value.batched)
        axes = (*value.axes[:axis], *(None,) * len(sizes), *value.axes[axis + 1 :])
        return Value(step, axes, full, value.batched)

    def flatten(self, value: Value, first: int, count: int) -> Value:
        size = prod(value.sizes[first : first + count])
        full = (*value.sizes[:first], size, *value.sizes[first + count :])
        arguments = (("first", first), ("last", first + count - 1))
        step = self.step("flatten", (value.step,), full, "", arguments, value.batched)
        axes = (*value.axes[:first], None, *value.axes[first + count :])
        return Value(step, axes, full, value.batched)

    def arrange(self, value: Value, groups: list[list[str | None]], span: Span) -> Value:
        names = [name for group in groups for name in group]
        have = set(value.axes)
        if None in have:
            raise fail("E418", "a layout works on named axes: name them with `[…]`", span)
        if set(names) != have or len(names) != len(value.axes):
            missing = ", ".join(f"`{n}`" for n in value.axes if n not in names)
            extra = ", ".join(f"`{n}`" for n in names if n not in have)
            said = " and ".join(
                x for x in (missing and f"{missing} is left over", extra and f"{extra} is not there") if x
            )
            raise fail("E418", f"a layout names every axis once: {said or 'a name stands twice'}", span)
        value = self.permute(value, [value.axes.index(name) for name in names])
        axes: list[str | None] = []
        for group in groups:
            if len(group) > 1:
                value = self.flatten(value, len(axes), len(group))
            axes.append(group[0] if len(group) == 1 else None)
        return Value(value.step, tuple(axes), value.sizes, value.batched)

    def split_axes(self, value: Value, groups: list[list[tuple[str | None, int]]], span: Span) -> Value:
        """Names the axes of `value`; a group of several names splits its axis, one size may be open (0)."""
        if len(groups) != len(value.sizes):
            raise Inapplicable(f"{len(groups)} axes are named, and there are {len(value.sizes)}", span)
        axes: list[str | None] = []
        for group in groups:
            axis, size = len(axes), value.sizes[len(axes)]
            if len(group) == 1:
                name, wanted = group[0]
                if name is not None and wanted not in (0, size):
                    raise Inapplicable(f"`{name}` is {wanted}, and this axis is {size}", span)
                axes.append(name)
                continue
            parts = _fill_open([part for _, part in group], size, span)
            value = self.unflatten(value, axis, parts)
            axes += [name for name, _ in group]
        for name, size in zip(axes, value.sizes, strict=True):
            if name is not None:
                self.sizes[name] = size
        distinct(axes, span)
        return Value(value.step, tuple(axes), value.sizes, value.batched)


def _fill_open(sizes: list[int], total: int, span: Span) -> list[int]:
    known = prod(size for size in sizes if size)
    if sizes.count(0) > 1:
        raise fail("E419", "of a group only one size may be left open", span)
    if total % known or (0 not in sizes and known != total):
        raise Inapplicable(f"an axis of {total} cannot be split into {' x '.join(str(n or '?') for n in sizes)}", span)
    return [size or total // known for size in sizes]


def distinct(axes: Sequence[str | None], span: Span) -> None:
    names = [name for name in axes if name is not None]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise fail("E418", f"two axes are called `{twice}`", span, help="name one of them otherwise: `x[i, j]`")


def position(value: Value, axis: str, span: Span) -> int:
    if axis not in value.axes:
        named = [f"`{name}`" for name in value.axes if name is not None]
        have = ", ".join(named) if named else "none with a name"
        raise fail("E418", f"there is no axis `{axis}` here", span, help=f"the axes are {have}")
    return value.axes.index(axis)


def _letters(axes: Mapping[str, int]) -> dict[str, str]:
    """A letter for each axis, its own first letter if free; `b` is kept for the batch."""
    free = [c for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" if c != "b"]
    chosen: dict[str, str] = {}
    for axis in axes:
        letter = axis[0] if axis[0] in free else free[0]
        free.remove(letter)
        chosen[axis] = letter
    return chosen
