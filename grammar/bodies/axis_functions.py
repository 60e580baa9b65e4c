"""Calls `name[axes](…)` of an operator's body, and what each function takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ein.grammar.bodies import selection, spectral, structure
from ein.grammar.bodies.contractions import dot
from ein.grammar.bodies.named_arguments import named_arguments
from ein.grammar.bodies.tensors import Value, distinct
from ein.grammar.bodies.vetted import ALONG, REDUCTIONS
from ein.grammar.diagnostics import fail
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Inapplicable, nearest

if TYPE_CHECKING:
    from ein.grammar.bodies.expressions import Expressions

OPEN = object()
"""The number that may be left out, where the axis has a size already."""

_Make: TypeAlias = "Callable[[Expressions, Sequence[str], list[Any], s.Expr], Any]"


def _of_several(make: Callable[..., Value]) -> _Make:
    """`f[axis](x, y, …)`, or of a bundle."""

    def made(body: Expressions, names: Sequence[str], values: list[Any], expr: s.Expr) -> Value:
        parts = values[0] if len(values) == 1 and isinstance(values[0], list) else values
        if not parts:
            raise fail("E405", "a function of several tensors is applied to none", expr.span)
        return make(body.tape, names, [body.tensor(part, expr) for part in parts], expr.span)

    return made


def _of_one(make: Callable[..., Any]) -> _Make:
    """`f[axes](x, n, …)` with whole numbers, or none."""

    def made(body: Expressions, names: Sequence[str], values: list[Any], expr: s.Expr) -> Any:
        numbers = [_integer(body, names, value, expr) for value in values[1:]]
        return make(body.tape, names, body.tensor(values[0], expr), *numbers, expr.span)

    return made


def _named(make: Callable[..., Value], name: str) -> _Make:
    """A function that several names share."""
    return _of_one(lambda tape, *rest: make(tape, name, *rest))


def _gather(body: Expressions, names: Sequence[str], values: list[Any], expr: s.Expr) -> Value:
    table, *indices = [body.tensor(value, expr) for value in values]
    return selection.gather(body.tape, names, table, indices, expr.span)


def _dropout(body: Expressions, names: Sequence[str], values: list[Any], expr: s.Expr) -> Value:
    return spectral.dropout(body.tape, names, body.tensor(values[0], expr), real(values[1], "p", expr), expr.span)


def _range(body: Expressions, names: Sequence[str], values: list[Any], expr: s.Expr) -> Value:
    if len(names) != 1:
        raise fail("E417", "`range` takes one axis: `range[axis]`", expr.span)
    size = _integer(body, names, values[0], expr)
    if size is None:
        raise fail("E403", f"the axis `{names[0]}` has no size", expr.span, help=f"write `range[{names[0]}](n)`")
    if size < 1:
        raise Inapplicable(f"a range has 1 or more positions, not {size}", expr.span)
    return structure.positions(body.tape, names[0], size)


_Row: TypeAlias = "tuple[Mapping[str, Any], _Make]"

_ONE = {"x": None}
_FUNCTIONS: dict[str, _Row] = {
    "range": ({"n": OPEN}, _range),
    "split": ({**_ONE, "parts": None}, _of_one(structure.split)),
    "unstack": (_ONE, _of_one(structure.unstack)),
    "index": ({**_ONE, "at": None}, _of_one(structure.index)),
    "slice": ({**_ONE, "first": None, "end": None}, _of_one(structure.slice_)),
    "pad": ({**_ONE, "before": None, "after": None}, _of_one(structure.pad)),
    "windows": ({**_ONE, "size": None, "step": 1}, _of_one(structure.windows)),
    "copies": ({**_ONE, "n": OPEN}, _of_one(structure.copies)),
    "roll": ({**_ONE, "shift": None}, _of_one(structure.roll)),
    "topk": ({**_ONE, "k": None}, _of_one(selection.topk)),
    "one_hot": ({**_ONE, "n": OPEN}, _of_one(selection.one_hot)),
    "dropout": ({**_ONE, "p": None}, _dropout),
    **{name: (_ONE, _named(selection.reduce, name)) for name in REDUCTIONS},
    **{name: (_ONE, _named(spectral.along, name)) for name in ALONG},
    **{name: (_ONE, _named(spectral.transform, name)) for name in ("fft", "ifft", "rfft")},
    "irfft": ({**_ONE, "n": OPEN}, _of_one(spectral.inverse)),
}

_OF_SEVERAL: dict[str, _Make] = {
    "dot": _of_several(dot),
    "concat": _of_several(structure.concat),
    "stack": _of_several(structure.stack),
    "gather": _gather,
}

NAMES = frozenset(_FUNCTIONS) | frozenset(_OF_SEVERAL)


def call(
    body: Expressions, name: str, axes: tuple[s.Axis, ...], arguments: tuple[s.Argument, ...], expr: s.Expr
) -> Any:
    """The value of `name[axes](arguments)`; raises EinError for what is not on the list or takes something else."""
    names = [part for axis in axes for part in body.axes.axis_names(axis)]
    distinct(names, expr.span)
    if name in _OF_SEVERAL:
        if any(argument.name is not None for argument in arguments):
            raise fail("E405", f"`{name}` takes its arguments by position", expr.span)
        return _OF_SEVERAL[name](body, names, [body.evaluate(argument.value) for argument in arguments], expr)
    if name not in _FUNCTIONS:
        help = nearest(name, NAMES)
        raise fail("E404", f"`{name}` is not on the list of axis functions", expr.span, help=help)
    parameters, make = _FUNCTIONS[name]
    return make(body, names, list(named_arguments(body, name, arguments, parameters, expr).values()), expr)


def positions(body: Expressions, axes: tuple[s.Axis, ...], expr: s.Expr) -> Value:
    """`range[axis]` without a number."""
    found = call(body, "range", axes, (), expr)
    assert isinstance(found, Value)
    return found


def real(value: Any, name: str, expr: s.Expr) -> float:
    """A number; raises EinError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise fail("E416", f"`{name}` is a number", expr.span)
    return float(value)


def _integer(body: Expressions, names: Sequence[str], value: Any, expr: s.Expr) -> int | None:
    """A whole number; in place of one that may be left out, the size of the last axis, or None."""
    if value is OPEN:
        return body.size(names[-1]) if names else None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise fail("E416", "a whole number is needed here", expr.span)
    return value
