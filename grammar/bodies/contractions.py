"""Products summed over named axes, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from ein.grammar.bodies import elements
from ein.grammar.bodies.tensors import Charge, Tape, Value
from ein.grammar.diagnostics import Span, fail
from ein.grammar.numbers import Inapplicable, nearest

_UNNAMED = "?"
"""Begins the names of axes that have none; no name of a file can look like it."""


def dot(tape: Tape, names: Sequence[str], values: Sequence[Value], span: Span) -> Value:
    """Sums the product over `names`; what is left keeps the order of the operands, input first.

    One operand may have axes without names, which stay. Raises EinError for an axis that is not there, or where
    several operands have axes without names; Inapplicable where sizes differ.
    """
    ordered = _named(sorted(values, key=lambda v: not v.batched), span)
    sizes = _sizes(ordered, span)
    for name in names:
        if name not in sizes:
            raise fail("E403", f"there is no axis `{name}` here", span, help=nearest(name, sizes))
    elements.only("dot", ordered, ("float", "int", "complex"), span)
    element = elements.promoted(ordered)
    like = next(value for value in ordered if value.element == element)
    ordered = [tape.cast(value, like) for value in ordered]
    letters = _letters(sizes)
    left = [axis for axis in sizes if axis not in names]
    terms = ["".join(letters[a] for a in v.axes if a is not None) for v in ordered]
    equation = (tuple(terms), "".join(letters[axis] for axis in left))
    shape = [sizes[axis] for axis in left]
    axes = [None if axis.startswith(_UNNAMED) else axis for axis in left]
    made = tape.value("einsum", ordered, axes, shape, "", (("letters", equation),), element)
    tape.charges[made.step] = Charge(macs=macs(terms, equation[1], {letters[a]: n for a, n in sizes.items()}))
    return made


def _named(values: Sequence[Value], span: Span) -> list[Value]:
    """The values, with names of ours for the axes of one that have none."""
    if sum(None in value.axes for value in values) > 1:
        raise fail("E418", "`dot` works on named axes: name them with `[…]`", span)
    made = []
    for value in values:
        if None not in value.axes:
            made.append(value)
            continue
        axes = [f"{_UNNAMED}{i}" if axis is None else axis for i, axis in enumerate(value.axes)]
        made.append(Value(value.step, tuple(axes), value.sizes, value.batched, value.element))
    return made


def _sizes(values: Sequence[Value], span: Span) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for value in values:
        for axis, size in zip(value.axes, value.sizes, strict=True):
            assert axis is not None
            if sizes.setdefault(axis, size) != size:
                raise Inapplicable(f"`{axis}` is {sizes[axis]} and {size}", span)
    return sizes


def macs(terms: Sequence[str], result: str, sizes: Mapping[str, int]) -> int:
    """Multiply-accumulates of an einsum taken from left to right, two operands at a time, as torch does.

    What only one operand has and no one needs any more is summed before the product. A product in which
    nothing is summed is one of elements, which torch does not count.
    """
    total, first = 0, set(terms[0])
    for at, term in enumerate(terms[1:], 2):
        second = set(term)
        needed = set(result).union(*terms[at:])
        summed = (first | second) - needed
        alone = summed - (first & second)
        if summed - alone:
            total += prod(sizes[axis] for axis in (first | second) - alone)
        first = (first | second) & needed
    return total


def _letters(axes: Mapping[str, int]) -> dict[str, str]:
    """A letter for each axis, its own first letter if free; `b` is kept for the batch."""
    free = [c for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" if c != "b"]
    chosen: dict[str, str] = {}
    for axis in axes:
        if not free:
            raise Inapplicable("a product of more than 51 axes")
        letter = axis[0] if axis[0] in free else free[0]
        free.remove(letter)
        chosen[axis] = letter
    return chosen
