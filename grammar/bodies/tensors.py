"""Tensors whose axes have names, as a list of plain steps that grows.

A `Tape` records what is computed without computing it: sizes, names of axes, costs. Nothing here
knows the syntax of a body; `ein.grammar.bodies.elaborate` reads that and calls this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeAlias

from ein.grammar.bodies import elements
from ein.grammar.bodies.vetted import Facts, Row
from ein.grammar.diagnostics import Span, fail
from ein.grammar.numbers import Inapplicable

MAX_ELEMENTS = 2**40
"""Elements of one intermediate value of a body."""

STARTING = frozenset(("draw", "eye", "svd", "qr"))
"""Steps that are made only while a network is built."""

Sizes: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One tensor, computed from earlier steps.

    `op` is one of: input (which: the leaf), weight and buffer (name; start; after: how many starts come before it;
    a weight may have a key, which ties it to others), number (value),
    layer (name: nn.…), function (name: F.…), pointwise (name), reduce (name, axes), along (name, axis),
    permute (order), unflatten (axis, sizes), flatten (first, last), unsqueeze (axes), einsum (letters),
    concat (axis), part (axis, index, of: parts; name unbind: the axis is gone), stack (axis), index (axis, at),
    expand (the second operand only says how many examples there are), cast (the second operand only says the
    element type), range, zeros, slice (axis, first, end), pad (axis, before, after), windows (axis, size, by),
    copies (count), roll (axis, by), lookup (axis, count, examples), take (axis), topk (axis, count), one_hot (count),
    examples, whole, truth, spectrum (name, axes, size), dropout (axes, p),
    host (host: an operator of the host program, and what it is made with),
    filled (value; in the element type of the first operand, for the examples of the second), as_float.
    A function of several tensors has as many operands.

    Several tensors are: scan (body: one step; sliced: the axis that is walked along, of each captured input; length;
    the starts of the states are the last inputs), svd and qr (kept). An item (which) is one of them.
    Only while a network is built there are: draw (name, start), eye, svd, qr. A broadcast repeats its operand.
    """

    op: str
    inputs: tuple[int, ...]
    sizes: tuple[int, ...]
    name: str = ""
    arguments: tuple[tuple[str, Any], ...] = ()
    batched: bool = True
    element: str = "float"
    """float, int, bool or complex. A truth (see `is_truth`) is 0 or 1 of this type."""
    label: str = ""
    """The name that the author gave it."""

    def argument(self, name: str) -> Any:
        return dict(self.arguments)[name]

    def reading(self, inputs: tuple[int, ...]) -> Step:
        return Step(
            self.op, inputs, self.sizes, self.name, self.arguments, self.batched, self.element, self.label
        )  # fmt: skip

    def labelled(self, name: str) -> Step:
        return Step(
            self.op, self.inputs, self.sizes, self.name, self.arguments, self.batched, self.element, name
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Body:
    """Steps in order; `results` are the steps of the output's tensors; costs are for one example.

    `starts` are computed once, when the network is built: what weights start from.
    """

    steps: tuple[Step, ...]
    results: tuple[int, ...]
    parameters: int
    macs: int
    needs_several_values: bool = False
    starts: tuple[Step, ...] = ()

    @property
    def ties(self) -> dict[str, Sizes]:
        """Shapes of the parameters that have a key, by key."""
        keyed = [(dict(step.arguments).get("key"), step.sizes) for step in self.steps if step.op == "weight"]
        return {key: sizes for key, sizes in keyed if key is not None}


def all_steps(body: Body) -> Iterator[Step]:
    """The steps of a body, with those inside of its scans."""
    for step in body.steps:
        yield step
        if step.op == "scan":
            yield from all_steps(step.argument("body"))


@dataclass(frozen=True, slots=True)
class Charge:
    """What one step adds to the costs of its body."""

    parameters: int = 0
    macs: int = 0
    needs_several_values: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """A step with the names of its axes; an axis without a name is None."""

    step: int
    axes: tuple[str | None, ...]
    sizes: tuple[int, ...]
    batched: bool
    element: str = "float"


class Tape:
    """Steps so far, with what each of them costs; `span` is the place that is being read."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.steps: list[Step] = []
        self.sizes: dict[str, int] = {}
        self.charges: dict[int, Charge] = {}
        self.drawn: set[int] = set()
        """Steps that exist only while a network is built."""
        self.kept: set[int] = set()
        """Steps that depend on weights, and not on the input."""

    def step(
        self,
        op: str,
        inputs: tuple[int, ...],
        sizes: tuple[int, ...],
        name: str = "",
        arguments: tuple[tuple[str, Any], ...] = (),
        batched: bool = True,
        element: str = "float",
    ) -> int:
        total = prod(sizes)
        if total > MAX_ELEMENTS:
            raise Inapplicable(f"an intermediate value of {total:,} elements", self.span)
        number = len(self.steps)
        if not batched or self.drawn or op in STARTING:
            self._classify(number, op, inputs, batched)
        self.steps.append(Step(op, inputs, sizes, name, arguments, batched, element))
        return number

    def _classify(self, number: int, op: str, inputs: tuple[int, ...], batched: bool) -> None:
        """Raises EinError where what is drawn at the start meets what is computed later."""
        drawn = op in STARTING or not self.drawn.isdisjoint(inputs)
        kept = op in ("weight", "buffer") or not self.kept.isdisjoint(inputs)
        if drawn and (kept or batched):
            raise fail(
                "E420",
                "what is drawn exists only while the network is built",
                self.span,
                help="start a `param` or a `buffer` from it, and compute with that",
            )
        if drawn:
            self.drawn.add(number)
        elif kept:
            self.kept.add(number)

    def value(
        self,
        op: str,
        inputs: Sequence[Value],
        axes: Sequence[str | None],
        sizes: Sequence[int],
        name: str = "",
        arguments: tuple[tuple[str, Any], ...] = (),
        element: str | None = None,
    ) -> Value:
        """A step with names for its axes; it depends on the input where an operand does, and is of the element
        type of the first one where nothing else is said."""
        batched = True in [value.batched for value in inputs]
        element = element or inputs[0].element
        sizes = tuple(sizes)
        step = self.step(op, tuple([value.step for value in inputs]), sizes, name, arguments, batched, element)
        return Value(step, tuple(axes), sizes, batched, element)

    def constant(self, value: float) -> int:
        return self.step("number", (), (), "", (("value", value),), batched=False)

    def cast(self, value: Value, like: Value) -> Value:
        """The value in the element type of another."""
        if value.element == like.element:
            return value
        step = self.step("cast", (value.step, like.step), value.sizes, "", (), value.batched, like.element)
        return Value(step, value.axes, value.sizes, value.batched, like.element)

    def opaque(self, op: str, row: Row, arguments: dict[str, Any], values: Sequence[Value], span: Span) -> Value:
        """Layers and functions of torch take the written order of axes; their result has no names."""
        if False in [value.batched for value in values]:
            raise fail("E416", f"`{row.name}` is applied to what depends on the input", span)
        elements.only(row.name, values, (row.element,), span)
        try:
            facts: Facts = row.facts(arguments, *[value.sizes for value in values])
        except Inapplicable as error:
            raise Inapplicable(error.reason, span) from None
        inputs = tuple([value.step for value in values])
        step = self.step(op, inputs, facts.sizes, row.name, tuple(arguments.items()))
        parameters = sum(map(prod, facts.weights.values()))
        self.charges[step] = Charge(parameters, facts.macs, row.needs_several_values)
        keeps = op == "function" and len(values) == 1 and facts.sizes == values[0].sizes
        return Value(step, values[0].axes if keeps else (None,) * len(facts.sizes), facts.sizes, True)

    def expand(self, value: Value, like: Value) -> Value:
        """The value for each of the examples of `like`; one that depends on the input as it is."""
        if value.batched:
            return value
        return self.value("expand", [value, like], value.axes, value.sizes)

    def alike(self, values: Sequence[Value]) -> list[Value]:
        """The values, all for each example where one of them is."""
        like = next((value for value in values if value.batched), None)
        return list(values) if like is None else [self.expand(value, like) for value in values]

    def pointwise(self, name: str, operands: Sequence[Value | float], span: Span) -> Value:
        """Aligns the operands by the names of their axes and computes element by element."""
        tensors = [v for v in operands if isinstance(v, Value)]
        element = elements.pointwise(name, operands, span)
        if name in ("*", "/", "**") and isinstance(operands[0], Value) and _is_one(operands[1], operands[0], element):
            return operands[0]
        order = self.merged_axes(tensors, span)
        aligned = [self.align(v, order) if isinstance(v, Value) else v for v in operands]
        first = _batched_first(tensors)[0]
        sizes = first.sizes if order is None else tuple(order.values())
        axes = first.axes if order is None else tuple(order)
        inputs = tuple([v.step if isinstance(v, Value) else self.constant(v) for v in aligned])
        step = self.step("pointwise", inputs, sizes, name, (), first.batched, element)
        return Value(step, axes, sizes, first.batched, element)

    def merged_axes(self, tensors: list[Value], span: Span) -> dict[str, int] | None:
        """Axes of the result with their sizes, the input-dependent operand first; None: by position."""
        if any([None in v.axes for v in tensors]):
            first = tensors[0]
            for other in tensors[1:]:
                if other.sizes != first.sizes:
                    raise Inapplicable(f"{list(first.sizes)} and {list(other.sizes)} differ", span)
            return None
        sizes: dict[str, int] = {}
        for value in _batched_first(tensors):
            for axis, size in zip(value.axes, value.sizes, strict=True):
                assert axis is not None
                if sizes.setdefault(axis, size) != size:
                    raise Inapplicable(f"`{axis}` is {sizes[axis]} and {size}", span)
        return sizes

    def align(self, value: Value, order: dict[str, int] | None) -> Value:
        if order is None or value.axes == tuple(order):
            return value
        wanted = [axis for axis in order if axis in value.axes]
        value = self.permute(value, [value.axes.index(axis) for axis in wanted])
        positions = [i for i, axis in enumerate(order) if axis not in value.axes]
        leading = len(order) - len(value.axes)
        if positions == list(range(leading)) and not value.batched:
            return value  # torch lines up trailing axes by itself
        if not positions:
            return value
        return self.unsqueeze(value, positions, tuple(order))

    def unsqueeze(self, value: Value, positions: Sequence[int], axes: Sequence[str | None]) -> Value:
        """With axes of size 1 at `positions` of the result."""
        given = iter(value.sizes)
        sizes = [1 if i in positions else next(given) for i in range(len(axes))]
        return self.value("unsqueeze", [value], axes, sizes, "", (("axes", tuple(positions)),))

    def broadcast(self, value: Value, axes: tuple[str | None, ...], sizes: Sizes, span: Span) -> Value:
        """The value with just these axes in this order, repeated along those that it has not."""
        if None in (*axes, *value.axes):
            if value.sizes != sizes:
                raise Inapplicable(f"{list(value.sizes)} is no start of {list(sizes)}", span)
            return replace(value, axes=axes)
        wanted = {axis: size for axis, size in zip(axes, sizes, strict=True) if axis is not None}
        for axis, size in zip(value.axes, value.sizes, strict=True):
            if axis not in wanted:
                raise fail("E418", f"`{axis}` is left over: it is no axis of what starts from this", span)
            if wanted[axis] != size:
                raise Inapplicable(f"`{axis}` is {wanted[axis]} and {size}", span)
        aligned = self.align(value, wanted)
        return (
            replace(aligned, axes=axes) if aligned.sizes == sizes else self.value("broadcast", [aligned], axes, sizes)
        )

    def permute(self, value: Value, order: list[int]) -> Value:
        if order == list(range(len(order))):
            return value
        sizes = tuple(value.sizes[i] for i in order)
        axes = tuple(value.axes[i] for i in order)
        return self.value("permute", [value], axes, sizes, "", (("order", tuple(order)),))

    def unflatten(self, value: Value, axis: int, sizes: list[int]) -> Value:
        full = (*value.sizes[:axis], *sizes, *value.sizes[axis + 1 :])
        arguments = (("axis", axis), ("sizes", tuple(sizes)))
        axes = (*value.axes[:axis], *(None,) * len(sizes), *value.axes[axis + 1 :])
        return self.value("unflatten", [value], axes, full, "", arguments)

    def flatten(self, value: Value, first: int, count: int) -> Value:
        size = prod(value.sizes[first : first + count])
        full = (*value.sizes[:first], size, *value.sizes[first + count :])
        arguments = (("first", first), ("last", first + count - 1))
        axes = (*value.axes[:first], None, *value.axes[first + count :])
        return self.value("flatten", [value], axes, full, "", arguments)

    def arrange(self, value: Value, groups: list[list[str | None]], span: Span) -> Value:
        """Permuted to `groups`, each group one axis; an empty group is a new axis of size 1."""
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
        if [*value.axes] == names and len(groups) == len(names) and [] not in groups:
            return value
        value = self.permute(value, [value.axes.index(name) for name in names])
        axes: list[str | None] = []
        for group in groups:
            if len(group) > 1:
                value = self.flatten(value, len(axes), len(group))
            if group:
                axes.append(group[0] if len(group) == 1 else None)
        value = Value(value.step, tuple(axes), value.sizes, value.batched, value.element)
        single = [i for i, group in enumerate(groups) if not group]
        if not single:
            return value
        names_left = iter(axes)
        return self.unsqueeze(value, single, [next(names_left) if group else None for group in groups])

    def split_axes(self, value: Value, groups: list[list[tuple[str | None, int]]], span: Span) -> Value:
        """Names the axes of `value`; a group of several names splits its axis, one size may be open (0)."""
        if len(groups) != len(value.sizes):
            raise Inapplicable(f"{len(groups)} axes are named, and there are {len(value.sizes)}", span)
        axes: list[str | None] = []
        for group in groups:
            axis, size = len(axes), value.sizes[len(axes)]
            if len(group) < 2:
                name, wanted = group[0] if group else (None, 1)
                if not group and size != 1:
                    raise Inapplicable(f"the size of this axis is 1, and it is {size}", span)
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
        return Value(value.step, tuple(axes), value.sizes, value.batched, value.element)


def _batched_first(values: list[Value]) -> list[Value]:
    """Those that depend on the input before the others."""
    if len(values) < 2 or (values[0].batched and False not in [v.batched for v in values[1:]]):
        return values
    return [v for v in values if v.batched] + [v for v in values if not v.batched]


def _is_one(factor: Value | float, value: Value, element: str) -> bool:
    """Whether `value` times, by or to the power of `factor` is the value itself."""
    return isinstance(factor, int | float) and factor == 1 and element == value.element


def _fill_open(sizes: list[int], total: int, span: Span) -> list[int]:
    known = prod(size for size in sizes if size)
    if sizes.count(0) > 1:
        raise fail("E419", "of a group only one size may be left open", span)
    if total % known or (0 not in sizes and known != total):
        raise Inapplicable(f"an axis of {total} cannot be split into {' x '.join(str(n or '?') for n in sizes)}", span)
    return [size or total // known for size in sizes]


def distinct(axes: Sequence[str | None], span: Span) -> None:
    names = [name for name in axes if name is not None]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise fail("E418", f"two axes are called `{twice}`", span, help="name one of them otherwise: `x[i, j]`")


def position(value: Value, axis: str, span: Span) -> int:
    if axis not in value.axes:
        named = [f"`{name}`" for name in value.axes if name is not None]
        have = ", ".join(named) if named else "none with a name"
        raise fail("E418", f"there is no axis `{axis}` here", span, help=f"the axes are {have}")
    return value.axes.index(axis)
