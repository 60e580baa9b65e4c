"""Steps for several copies at once: what works element by element, along axes, or only looks at tensors another way."""

from __future__ import annotations

from collections.abc import Mapping

from ein.compiler.copying import Copying, Layout, Many, Rule, letter
from ein.grammar.bodies.tensors import Step


def _pointwise(made: Copying, step: Step, operands: list[Many]) -> Many:
    folded = _folded_alike(made, step, operands)
    if folded is not None:
        inputs = [value.forms[None] if value.shared else made.form(value, folded) for value in operands]
        return made.many(step, folded, step, inputs)
    rank = len(step.sizes)
    first = min((v for v in operands if not v.shared), key=lambda value: not value.one.batched)
    axis = made.split(first).axis + rank - len(first.one.sizes)
    return made.many(step, Layout(axis), step, [made.aligned(value, rank, axis) for value in operands])


def _folded_alike(made: Copying, step: Step, operands: list[Many]) -> Layout | None:
    """The folded layout of the operands, where the step can be made in it without repeating anything."""
    first = next((v.layout for v in operands if not v.shared and v.one.batched and v.layout.folded), None)
    if first is None:
        return None
    behind = len(step.sizes) - first.axis
    for value in operands:
        if value.shared:
            reach = value.one.sizes[-behind:][:1] if len(value.one.sizes) >= behind else (1,)
            if reach != (1,):
                return None
        elif len(value.one.sizes) != len(step.sizes) or value.one.sizes[first.axis] != step.sizes[first.axis]:
            return None
    return first


def _reduce(made: Copying, step: Step, operands: list[Many]) -> Many:
    (value,) = operands
    axes: tuple[int, ...] = step.argument("axes")
    layout = _outside(made, value, axes)
    shifted = tuple(_moved(layout, axis) for axis in axes)
    after = Layout(layout.axis - sum(axis < layout.axis for axis in axes), layout.folded)
    return made.many(step, after, step, [value.forms[layout]], axes=shifted)


def _along(made: Copying, step: Step, operands: list[Many]) -> Many:
    """One axis is worked on, and kept."""
    (value,) = operands
    layout = _outside(made, value, (step.argument("axis"),))
    return made.many(step, layout, step, [value.forms[layout]], axis=_moved(layout, step.argument("axis")))


def _spectrum(made: Copying, step: Step, operands: list[Many]) -> Many:
    (value,) = operands
    layout = _outside(made, value, step.argument("axes"))
    axes = tuple(_moved(layout, axis) for axis in step.argument("axes"))
    return made.many(step, layout, step, [value.forms[layout]], axes=axes)


def _outside(made: Copying, value: Many, axes: tuple[int, ...]) -> Layout:
    """The layout of a value in which the copies are not folded into one of these axes."""
    return made.split(value) if value.layout.folded and value.layout.axis in axes else value.layout


def _moved(layout: Layout, axis: int) -> int:
    """Where an axis of one copy stands among those of all."""
    return axis + (not layout.folded and layout.axis <= axis)


def _permute(made: Copying, step: Step, operands: list[Many]) -> Many:
    (value,) = operands
    order: tuple[int, ...] = step.argument("order")
    if value.layout.folded:
        after = Layout(order.index(value.layout.axis), folded=True)
        return made.many(step, after, step, [value.forms[value.layout]])
    axis = value.layout.axis
    moved = [_moved(value.layout, each) for each in order]
    return made.many(step, value.layout, step, [value.forms[value.layout]], order=(*moved[:axis], axis, *moved[axis:]))


def _unflatten(made: Copying, step: Step, operands: list[Many]) -> Many:
    (value,) = operands
    axis, sizes = step.argument("axis"), step.argument("sizes")
    layout = value.layout
    if layout.folded and layout.axis == axis:
        sizes = (made.copies * sizes[0], *sizes[1:])
        return made.many(step, layout, step, [value.forms[layout]], sizes=sizes)
    after = Layout(layout.axis + (len(sizes) - 1) * (layout.axis > axis), layout.folded)
    return made.many(step, after, step, [value.forms[layout]], axis=_moved(layout, axis))


def _flatten(made: Copying, step: Step, operands: list[Many]) -> Many:
    (value,) = operands
    first, last = step.argument("first"), step.argument("last")
    layout = value.layout
    if first < layout.axis <= last:
        layout = Layout(first)
    source = made.form(value, layout)
    after = Layout(layout.axis - (last - first) * (layout.axis > last), layout.folded)
    shift = _moved(layout, first) - first
    return made.many(step, after, step, [source], first=first + shift, last=last + shift)


def _unsqueeze(made: Copying, step: Step, operands: list[Many]) -> Many:
    (value,) = operands
    axes: tuple[int, ...] = step.argument("axes")
    places = [axis for axis in range(len(step.sizes)) if axis not in axes] + [len(step.sizes)]
    after = Layout(places[value.layout.axis], value.layout.folded)
    shifted = tuple(_moved(after, axis) for axis in axes)
    return made.many(step, after, step, [value.forms[value.layout]], axes=shifted)


def _index(made: Copying, step: Step, operands: list[Many]) -> Many:
    """One place of an axis, which is gone then; or one of several equal parts of it."""
    (value,) = operands
    axis = step.argument("axis")
    gone = step.op == "index" or step.name == "unbind"
    layout = _outside(made, value, (axis,))
    after = Layout(layout.axis - (gone and axis < layout.axis), layout.folded)
    return made.many(step, after, step, [value.forms[layout]], axis=_moved(layout, axis))


def _concat(made: Copying, step: Step, operands: list[Many]) -> Many:
    """Of several tensors along an axis, or a new one."""
    axis = step.argument("axis")
    first = next(value for value in operands if not value.shared)
    layout = _outside(made, first, (axis,)) if step.op == "concat" else made.split(first)
    after = layout
    if step.op == "stack" and axis < layout.axis:
        after = Layout(layout.axis + 1)
    inputs = [made.form(value, layout) for value in operands]
    return made.many(step, after, step, inputs, axis=_moved(after, axis))


def _copies(made: Copying, step: Step, operands: list[Many]) -> Many:
    """A new first axis; with the copies in front of it they would be the first."""
    (value,) = operands
    after = Layout(value.layout.axis + 1, value.layout.folded)
    return made.many(step, after, step, [value.forms[value.layout]])


def _unchanged(made: Copying, step: Step, operands: list[Many]) -> Many:
    """Element by element, of the first operand; another one only says an element type, or how many examples."""
    layout = next(iter(operands[0].forms))
    return made.many(step, layout, step, [next(iter(value.forms.values())) for value in operands])


def _einsum(made: Copying, step: Step, operands: list[Many]) -> Many:
    terms, result = step.argument("letters")
    new = letter("".join(terms) + result)
    layouts = [None if value.shared else made.split(value) for value in operands]
    written = tuple(
        term if layout is None else f"{term[: layout.axis]}{new}{term[layout.axis :]}"
        for term, layout in zip(terms, layouts, strict=True)
    )
    first = next(layout for layout in _batched_first(operands, layouts) if layout is not None)
    after = Layout(min(first.axis, len(result)))
    letters = (written, f"{result[: after.axis]}{new}{result[after.axis :]}")
    inputs = [value.forms[layout] for value, layout in zip(operands, layouts, strict=True)]
    return made.many(step, after, step, inputs, letters=letters)


def _batched_first(operands: list[Many], layouts: list[Layout | None]) -> list[Layout | None]:
    pairs = zip(operands, layouts, strict=True)
    return [layout for _, layout in sorted(pairs, key=lambda pair: not pair[0].one.batched)]


def _zeros(made: Copying, step: Step, operands: list[Many]) -> Many:
    (value,) = operands
    return made.many(step, Layout(0), step, [next(iter(value.forms.values()))])


RULES: Mapping[str, Rule] = {
    "pointwise": _pointwise,
    "reduce": _reduce,
    "along": _along,
    "slice": _along,
    "pad": _along,
    "roll": _along,
    "topk": _along,
    "windows": _along,
    "spectrum": _spectrum,
    "permute": _permute,
    "unflatten": _unflatten,
    "flatten": _flatten,
    "unsqueeze": _unsqueeze,
    "index": _index,
    "part": _index,
    "concat": _concat,
    "stack": _concat,
    "copies": _copies,
    "cast": _unchanged,
    "expand": _unchanged,
    "truth": _unchanged,
    "whole": _unchanged,
    "as_float": _unchanged,
    "einsum": _einsum,
    "zeros": _zeros,
}
