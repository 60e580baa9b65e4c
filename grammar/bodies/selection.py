"""Functions over named axes that choose: positions looked up in tables, the largest entries, one-hot vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ein.grammar.bodies import elements
from ein.grammar.bodies.structure import one, positions, two
from ein.grammar.bodies.tensors import Tape, Value, position
from ein.grammar.diagnostics import Span, fail
from ein.grammar.numbers import Inapplicable


def gather(tape: Tape, names: Sequence[str], table: Value, indices: Sequence[Value], span: Span) -> Value:
    """What `table` has at the positions `indices` of the axes `names`, in whose place the axes of the indices come.

    Where an index has an axis that is left over in the table, or both depend on the input, each entry looks
    into its own part. Positions may be floats that are whole numbers. Raises EinError for wrong axes.
    """
    if len(indices) != len(names):
        raise fail("E417", "`gather[a, b](table, i, j)` takes an index for each axis", span)
    if any(axis is None for value in (table, *indices) for axis in value.axes):
        raise fail("E418", "`gather` works on named axes: name them with `[…]`", span)
    pairs = sorted(zip(names, indices, strict=True), key=lambda pair: position(table, pair[0], span))
    whole = [_whole(tape, value, span) for _, value in pairs]
    order = tape.merged_axes(whole, span) or {}
    shared = [axis for axis in table.axes if axis in order and axis not in names]
    for axis in shared:
        if axis is not None and order[axis] != table.sizes[table.axes.index(axis)]:
            raise Inapplicable(f"`{axis}` is {table.sizes[table.axes.index(axis)]} and {order[axis]}", span)
    if len(names) == 1 and _is_taken(table, names[0], whole[0], shared):
        return _take(tape, names[0], table, whole[0])
    return _look_up(tape, [name for name, _ in pairs], table, whole, order, [a for a in shared if a is not None])


def _whole(tape: Tape, value: Value, span: Span) -> Value:
    """Positions as integers."""
    elements.only("gather", [value], ("int", "float"), span)
    if value.element == "int":
        return value
    return tape.value("whole", [value], value.axes, value.sizes, element="int")


def _is_taken(table: Value, name: str, index: Value, shared: Sequence[str | None]) -> bool:
    """Whether the index has all axes of the table, and one in place of `name`: then torch has a word for it."""
    rest = [axis for axis in table.axes if axis != name]
    return table.batched == index.batched and list(shared) == rest and len(index.axes) == len(table.axes)


def _take(tape: Tape, name: str, table: Value, index: Value) -> Value:
    at = table.axes.index(name)
    new = next(axis for axis in index.axes if axis not in table.axes or axis == name)
    axes = [*table.axes[:at], new, *table.axes[at + 1 :]]
    index = tape.permute(index, [index.axes.index(axis) for axis in axes])
    return tape.value("take", [table, index], axes, index.sizes, "", (("axis", at),))


def _look_up(
    tape: Tape, names: list[str], table: Value, indices: list[Value], order: dict[str, int], shared: list[str]
) -> Value:
    """By torch's advanced indexing, which puts the new axes in place of the old ones where those are neighbours."""
    batched = any(index.batched for index in indices)
    table, at = _neighbours(tape, names, table, shared, batched)
    count = len(shared) + len(names)
    found = [tape.align(replace(positions(tape, axis, order[axis]), axes=(axis,)), order) for axis in shared]
    found += [tape.align(index, order) for index in indices]
    each = batched and table.batched
    if each:
        ones = (1,) * len(order)
        examples = tape.value("examples", [table], tuple(order), ones, element="int")
        found = [examples, *found]
    axes = [*table.axes[:at], *order, *table.axes[at + count :]]
    sizes = [*table.sizes[:at], *order.values(), *table.sizes[at + count :]]
    arguments = (("axis", at), ("count", count), ("examples", each))
    return tape.value("lookup", [table, *found], axes, sizes, "", arguments)


def _neighbours(tape: Tape, names: list[str], table: Value, shared: list[str], batched: bool) -> tuple[Value, int]:
    """The table with the axes that are looked up beside each other, and where they begin."""
    at = [table.axes.index(name) for name in names]
    if not shared and not batched and at == list(range(at[0], at[0] + len(at))):
        return table, at[0]
    wanted = [*(table.axes.index(axis) for axis in shared), *at]
    return tape.permute(table, [*wanted, *(i for i in range(len(table.axes)) if i not in wanted)]), 0


def topk(tape: Tape, names: Sequence[str], value: Value, count: int, span: Span) -> Value:
    """The positions of the `count` largest entries along an axis, largest first, along a new axis in its place."""
    at = two("topk", names, value, span)
    elements.only("topk", [value], ("float", "int"), span)
    if not 1 <= count <= value.sizes[at]:
        raise Inapplicable(f"of {value.sizes[at]} entries there are no {count} largest", span)
    tape.sizes[names[1]] = count
    axes = [*value.axes[:at], names[1], *value.axes[at + 1 :]]
    sizes = [*value.sizes[:at], count, *value.sizes[at + 1 :]]
    return tape.value("topk", [value], axes, sizes, "", (("axis", at), ("count", count)), "int")


def one_hot(tape: Tape, names: Sequence[str], value: Value, count: int | None, span: Span) -> Value:
    """1 at the positions that `value` says along a new last axis, and 0 elsewhere."""
    if len(names) != 1 or names[0] in value.axes:
        raise fail("E417", "`one_hot` takes the name of a new axis: `one_hot[axis](positions)`", span)
    if count is None:
        raise fail("E403", f"the axis `{names[0]}` has no size", span, help=f"write `one_hot[{names[0]}](x, n)`")
    if count < 1:
        raise Inapplicable(f"an axis has 1 or more positions, not {count}", span)
    value = _whole(tape, value, span)
    tape.sizes.setdefault(names[0], count)
    axes, sizes = (*value.axes, names[0]), (*value.sizes, count)
    return tape.value("one_hot", [value], axes, sizes, "", (("count", count),), "int")


def reduce(tape: Tape, name: str, names: Sequence[str], value: Value, span: Span) -> Value:
    """`name[axes](value)`; the axes are gone."""
    element = elements.reduced(name, value, span)
    if name in ("argmax", "argmin"):
        one(name, names, value, span)
    at = tuple(sorted(position(value, axis, span) for axis in names))
    keep = [i for i in range(len(value.axes)) if i not in at]
    sizes, axes = [value.sizes[i] for i in keep], [value.axes[i] for i in keep]
    return tape.value("reduce", [value], axes, sizes, name, (("axes", at),), element)
