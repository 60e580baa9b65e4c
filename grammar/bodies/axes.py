"""Axes as they are written: in the shapes of a signature, and between the brackets of a body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ein.grammar.diagnostics import fail
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Inapplicable, compile_expr, permuted
from ein.grammar.types import plain


class Axes:
    """Reads axes at the sizes of `env`; `sizes` are those that the body has named so far, and `number`
    evaluates an expression of the body to a number."""

    def __init__(self, env: Mapping[str, Any], sizes: Mapping[str, int], number: Callable[[s.Expr], Any]) -> None:
        self.env = env
        self.sizes = sizes
        self.number = number

    def dim_axes(self, dim: s.Dim, member: int) -> list[list[tuple[str | None, int]]]:
        """For each axis that `dim` stands for: its parts as (name, size)."""
        match dim:
            case s.Name(name):
                return [[(name, plain(self.env[name]))]]
            case s.EachDim(name):
                return [[(name, plain(self.env[name][member]))]]
            case s.Star(s.Name(name)):
                return [[(run_axis(name, i), plain(size))] for i, size in enumerate(self.env[name])]
            case s.Star(s.Call(s.Name("permuted"), (run, order))):
                axes = self.dim_axes(s.Star(run.value, span=dim.span), member)
                return permuted(axes, compile_expr(order.value)(self.env), dim.span)
            case s.Group(items):
                return [[part for item in items for inner in self.dim_axes(item.value, member) for part in inner]]
            case s.Blank():
                return [[(None, 0)]]
            case s.Star(operand):
                return [[(None, plain(size))] for size in compile_expr(operand)(self.env)]
            case _:
                return [[(None, plain(compile_expr(dim)(self.env)))]]

    def axis(self, axis: s.Axis, declare: bool = False) -> list[list[tuple[str | None, int]]]:
        """The axes an entry stands for, each with its parts as (name, size); an open size is 0."""
        if axis.name is not None:
            return [[(axis.name, self.axis_size(axis.value))]]
        match axis.value:
            case s.Name(name):
                return [[(name, self.known_size(name, axis, declare))]]
            case s.Star(s.Name(name)):
                return [[(run_axis(name, i), plain(size))] for i, size in enumerate(self.run(name, axis))]
            case s.Group(items):
                parts = [self.axis(s.Axis(item.value, item.name, span=item.span), declare) for item in items]
                return [[entry for part in parts for group in part for entry in group]]
            case s.Number() as number if not declare and number.value == 1:
                return [[]]
            case _:
                raise fail("E419", "an axis is a name, a group `(h, w)`, a run `*s`, or `name = size`", axis.span)

    def axis_size(self, expr: s.Expr) -> int:
        value = self.number(expr)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or value < 1:
            raise Inapplicable(f"a size is an integer of at least 1, not {value}", expr.span)
        return value

    def known_size(self, name: str, axis: s.Axis, declare: bool) -> int:
        if name in self.env and isinstance(self.env[name], int | tuple):
            size = plain(self.env[name])
            if declare and size < 1:
                raise Inapplicable(f"`{name}` is {size}, and a size is at least 1", axis.span)
            return size
        if name in self.sizes:
            return self.sizes[name]
        if declare:
            raise fail("E403", f"the axis `{name}` has no size", axis.span, help=f"write `{name} = size`")
        return 0

    def run(self, name: str, axis: s.Axis) -> list[Any]:
        run = self.env.get(name)
        if not isinstance(run, list):
            raise fail("E403", f"there is no run of axes `*{name}`", axis.span)
        return run

    def axis_names(self, axis: s.Axis) -> list[str]:
        """The axes that a function works on."""
        match axis:
            case s.Axis(s.Name(name), None):
                return [name]
            case s.Axis(s.Star(s.Name(name)), None):
                return [run_axis(name, i) for i in range(len(self.run(name, axis)))]
            case _:
                raise fail("E419", "the axes of a function are names: `sum[h, w](x)`", axis.span)


def run_axis(name: str, index: int) -> str:
    """The name of one axis of a run; no name of a file can look like it."""
    return f"{name}.{index}"
