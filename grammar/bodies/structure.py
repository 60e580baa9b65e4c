"""Functions over named axes that compute nothing: parts of tensors, and tensors put together.

Each takes the tape, the names between the brackets, its tensors and numbers, and the place that is to blame.
All raise Inapplicable where sizes do not fit, and EinError where the body is wrong whatever the sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ein.grammar.bodies.tensors import Tape, Value, distinct, position
from ein.grammar.diagnostics import Span, fail
from ein.grammar.numbers import Inapplicable

Names = Sequence[str]


def one(name: str, names: Names, value: Value, span: Span) -> int:
    """The position of the one axis that a function works on."""
    if len(names) != 1:
        raise fail("E417", f"`{name}` works on one axis: `{name}[axis](x)`", span)
    return position(value, names[0], span)


def two(name: str, names: Names, value: Value, span: Span) -> int:
    """The position of the axis that a function turns into, or puts beside, a new one."""
    if len(names) != 2:
        raise fail("E417", f"`{name}` takes an axis and the name of a new one: `{name}[axis, new](x)`", span)
    if names[1] in value.axes and names[1] != names[0]:
        raise fail("E418", f"`{names[1]}` is the name of a new axis, and there is one called so", span)
    return position(value, names[0], span)


def positions(tape: Tape, name: str, size: int) -> Value:
    """0, 1, … along an axis."""
    step = tape.step("range", (), (size,), batched=False, element="int")
    tape.sizes.setdefault(name, size)
    return Value(step, (name,), (size,), False, "int")


def concat(tape: Tape, names: Names, values: Sequence[Value], span: Span) -> Value:
    at = one("concat", names, values[0], span)
    values = _in_order(tape, values)
    first = values[0]
    for value in values:
        rest = [size for i, size in enumerate(value.sizes) if i != at]
        if value.axes != first.axes or rest != [size for i, size in enumerate(first.sizes) if i != at]:
            raise Inapplicable("`concat` needs equal axes but one", span)
        if value.element != first.element:
            raise Inapplicable(f"`concat` joins equal elements, not {first.element} and {value.element}", span)
    sizes = _with(first.sizes, at, sum(value.sizes[at] for value in values))
    return tape.value("concat", values, first.axes, sizes, "", (("axis", at),))


def stack(tape: Tape, names: Names, values: Sequence[Value], span: Span) -> Value:
    """A new axis in front."""
    if len(names) != 1:
        raise fail("E417", "`stack` takes the name of the new axis: `stack[axis](x, y)`", span)
    values = _in_order(tape, values)
    first = values[0]
    if any((v.sizes, v.axes, v.element) != (first.sizes, first.axes, first.element) for v in values):
        raise Inapplicable("`stack[axis]` needs equal tensors", span)
    axes = (names[0], *first.axes)
    distinct(axes, span)
    tape.sizes[names[0]] = len(values)
    return tape.value("stack", values, axes, (len(values), *first.sizes), "", (("axis", 0),))


def split(tape: Tape, names: Names, value: Value, parts: int, span: Span) -> list[Value]:
    at = one("split", names, value, span)
    if parts < 1 or value.sizes[at] % parts:
        raise Inapplicable(f"{value.sizes[at]} cannot be split into {parts} equal parts", span)
    sizes = _with(value.sizes, at, value.sizes[at] // parts)
    arguments = [(("axis", at), ("index", i), ("of", parts)) for i in range(parts)]
    return [tape.value("part", [value], value.axes, sizes, "", each) for each in arguments]


def unstack(tape: Tape, names: Names, value: Value, span: Span) -> list[Value]:
    """A tensor for each position of an axis, which is gone."""
    at = one("unstack", names, value, span)
    sizes, axes = _without(value.sizes, at), _without(value.axes, at)
    arguments = [(("axis", at), ("index", i), ("of", value.sizes[at])) for i in range(value.sizes[at])]
    return [tape.value("part", [value], axes, sizes, "unbind", each) for each in arguments]


def index(tape: Tape, names: Names, value: Value, at: int, span: Span) -> Value:
    """What stands at a position of an axis, counted from 0; the axis is gone."""
    axis = one("index", names, value, span)
    if not 0 <= at < value.sizes[axis]:
        raise Inapplicable(f"`{names[0]}` has {value.sizes[axis]} positions, and none has the number {at}", span)
    arguments = (("axis", axis), ("at", at))
    return tape.value("index", [value], _without(value.axes, axis), _without(value.sizes, axis), "", arguments)


def slice_(tape: Tape, names: Names, value: Value, first: int, end: int, span: Span) -> Value:
    """The positions first, …, end - 1 of an axis."""
    at = one("slice", names, value, span)
    if not 0 <= first < end <= value.sizes[at]:
        raise Inapplicable(f"of {value.sizes[at]} positions, {first} to {end} is no slice", span)
    if (first, end) == (0, value.sizes[at]):
        return value
    arguments = (("axis", at), ("first", first), ("end", end))
    return tape.value("slice", [value], value.axes, _with(value.sizes, at, end - first), "", arguments)


def pad(tape: Tape, names: Names, value: Value, before: int, after: int, span: Span) -> Value:
    """Zeros before and after."""
    at = one("pad", names, value, span)
    if before < 0 or after < 0:
        raise Inapplicable(f"a padding is at least 0, and these are {before} and {after}", span)
    if before == after == 0:
        return value
    arguments = (("axis", at), ("before", before), ("after", after))
    sizes = _with(value.sizes, at, before + value.sizes[at] + after)
    return tape.value("pad", [value], value.axes, sizes, "", arguments)


def windows(tape: Tape, names: Names, value: Value, size: int, by: int, span: Span) -> Value:
    """All stretches of `size` positions, `by` apart: the axis counts them, and the new last one runs inside."""
    at = two("windows", names, value, span)
    if not (1 <= size <= value.sizes[at] and by >= 1):
        raise Inapplicable(f"of {value.sizes[at]} positions there are no windows of {size}, {by} apart", span)
    sizes = (*_with(value.sizes, at, (value.sizes[at] - size) // by + 1), size)
    tape.sizes[names[1]] = size
    arguments = (("axis", at), ("size", size), ("by", by))
    return tape.value("windows", [value], (*value.axes, names[1]), sizes, "", arguments)


def copies(tape: Tape, names: Names, value: Value, count: int | None, span: Span) -> Value:
    """The same tensor at every position of a new first axis."""
    if len(names) != 1 or names[0] in value.axes:
        raise fail("E417", "`copies` takes the name of a new axis: `copies[axis](x, n)`", span)
    count = tape.sizes.get(names[0]) if count is None else count
    if count is None:
        raise fail("E403", f"the axis `{names[0]}` has no size", span, help=f"write `copies[{names[0]}](x, n)`")
    if count < 1:
        raise Inapplicable(f"there are 1 or more copies, not {count}", span)
    tape.sizes[names[0]] = count
    axes, sizes = (names[0], *value.axes), (count, *value.sizes)
    return tape.value("copies", [value], axes, sizes, "", (("count", count),))


def roll(tape: Tape, names: Names, value: Value, by: int, span: Span) -> Value:
    """Every position moves `by` on, and the last ones come first."""
    at = one("roll", names, value, span)
    return tape.value("roll", [value], value.axes, value.sizes, "", (("axis", at), ("by", by)))


def together(tape: Tape, names: Names, value: Value, span: Span) -> tuple[Value, int]:
    """The axes of `names` beside each other, in the order of `value`, and where they begin."""
    at = sorted(position(value, name, span) for name in names)
    if at[-1] - at[0] == len(at) - 1:
        return value, at[0]
    rest = [i for i in range(len(value.axes)) if i not in at]
    return tape.permute(value, rest + at), len(rest)


def merged(tape: Tape, value: Value, first: int, count: int) -> Value:
    """`count` axes made one, which has no name."""
    return tape.flatten(value, first, count)


def parted(tape: Tape, value: Value, at: int, like: Value, count: int) -> Value:
    """An axis made `count` again, as they are in `like`."""
    made = tape.unflatten(value, at, list(like.sizes[at : at + count]))
    return replace(made, axes=like.axes)


def _with(sizes: tuple[int, ...], at: int, size: int) -> tuple[int, ...]:
    return (*sizes[:at], size, *sizes[at + 1 :])


def _in_order(tape: Tape, values: Sequence[Value]) -> list[Value]:
    """The values, all for each example where one is, with the axes of the first one where they have the same names."""
    first, *rest = tape.alike(values)
    made = [first]
    for value in rest:
        same = None not in value.axes and set(value.axes) == set(first.axes)
        made.append(tape.permute(value, [value.axes.index(axis) for axis in first.axes]) if same else value)
    return made


def _without(entries: tuple[Any, ...], at: int) -> tuple[Any, ...]:
    return (*entries[:at], *entries[at + 1 :])
