"""Functions that exist only while a network is built: what draws are taken apart with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ein.grammar.bodies.tensors import Tape, Value, distinct
from ein.grammar.diagnostics import Span, fail
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Inapplicable

if TYPE_CHECKING:
    from ein.grammar.bodies.expressions import Expressions

START_FUNCTIONS = frozenset(("svd", "qr"))


def start_function(
    body: Expressions, name: str, axes: tuple[s.Axis, ...], values: list[Any], expr: s.Expr
) -> list[Value]:
    """`svd[r](w)` and `qr[r](w)`, of the last two axes of `w`."""
    named = _sized(body, axes)
    if len(named) != 1 or len(values) != 1:
        raise fail("E417", f"`{name}[r](w)` takes one new axis and one tensor", expr.span)
    if body.env.get(named[0][0]) == 0:
        raise Inapplicable(f"`{named[0][0]}` is 0, and a size is at least 1", expr.span)
    value = body.tensor(values[0], expr)
    if len(value.axes) < 2:
        raise fail("E417", f"`{name}` is of matrices, and this has {len(value.axes)} axis", expr.span)
    return (
        _svd(body.tape, *named[0], value, expr.span) if name == "svd" else _qr(body.tape, *named[0], value, expr.span)
    )


def eye(body: Expressions, axes: tuple[s.Axis, ...], span: Span) -> Value:
    """`eye[i, j = n]`: 1 where both positions are equal, else 0."""
    named = _sized(body, axes)
    if len(named) != 2:
        raise fail("E417", "`eye[i, j]` has two axes", span)
    open_axis = next((axis for axis, size in named if not size), None)
    if open_axis is not None:
        raise fail("E403", f"the axis `{open_axis}` has no size", span, help=f"write `{open_axis} = size`")
    names, sizes = tuple(axis for axis, _ in named), tuple(size for _, size in named)
    distinct(names, span)
    body.tape.sizes.update(named)
    return Value(body.tape.step("eye", (), sizes, batched=False), names, sizes, False)


def _sized(body: Expressions, axes: tuple[s.Axis, ...]) -> list[tuple[str, int]]:
    groups = [group for axis in axes for group in body.axes.axis(axis)]
    return [(axis, size) for group in groups for axis, size in group if axis is not None]


def _svd(tape: Tape, axis: str, size: int, value: Value, span: Span) -> list[Value]:
    """`u[…, m, r]`, `s[…, r]`, `v[…, r, n]` of `w[…, m, n]`: the `r` largest singular values, in falling order."""
    *run, m, n = value.sizes
    most = min(m, n)
    step = _of_draws(tape, "svd", value, axis, size or most, span)
    front, (left, right) = value.axes[:-2], value.axes[-2:]
    u = _item(tape, step, 0, (*front, left, axis), (*run, m, most), span)
    s = _item(tape, step, 1, (*front, axis), (*run, most), span)
    v = _item(tape, step, 2, (*front, axis, right), (*run, most, n), span)
    return [_first(tape, part, axis, size or most) for part in (u, s, v)]


def _first(tape: Tape, value: Value, axis: str, count: int) -> Value:
    """The first positions of an axis."""
    at = value.axes.index(axis)
    if value.sizes[at] == count:
        return value
    sizes = (*value.sizes[:at], count, *value.sizes[at + 1 :])
    return tape.value("slice", [value], value.axes, sizes, "", (("axis", at), ("first", 0), ("end", count)))


def _qr(tape: Tape, axis: str, size: int, value: Value, span: Span) -> list[Value]:
    """`q[…, m, r]` with orthonormal columns and `r[…, r, n]`, triangular; `r` is the smaller of `m` and `n`."""
    *run, m, n = value.sizes
    kept = min(m, n)
    if size not in (0, kept):
        raise Inapplicable(f"`{axis}` is {size}, and the smaller axis of this matrix is {kept}", span)
    step = _of_draws(tape, "qr", value, axis, kept, span)
    front, (left, right) = value.axes[:-2], value.axes[-2:]
    parts = [((*front, left, axis), (*run, m, kept)), ((*front, axis, right), (*run, kept, n))]
    return [_item(tape, step, i, *part, span) for i, part in enumerate(parts)]


def _of_draws(tape: Tape, name: str, value: Value, axis: str, size: int, span: Span) -> int:
    most = min(value.sizes[-2:])
    if size > most:
        raise Inapplicable(f"`{axis}` is {size}, and the smaller axis of this matrix is {most}", span)
    if value.step not in tape.drawn:
        text = f"`{name}` is for starts: it takes what is drawn apart, while the network is built"
        raise fail("E420", text, span, help="`draw w[…] ~ normal(0, 1)`")
    tape.sizes[axis] = size
    return tape.step(name, (value.step,), (), batched=False)


def _item(tape: Tape, step: int, which: int, axes: tuple[str | None, ...], sizes: tuple[int, ...], span: Span) -> Value:
    distinct(axes, span)
    return Value(tape.step("item", (step,), sizes, "", (("which", which),), False), axes, sizes, False)
