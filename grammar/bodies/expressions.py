"""Expressions of an operator's body, over named axes; calls are read by `ein.grammar.bodies.calls`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from ein.grammar.bodies.axes import Axes
from ein.grammar.bodies.axis_functions import positions
from ein.grammar.bodies.calls import Layer, call
from ein.grammar.bodies.starts import eye
from ein.grammar.bodies.tensors import Tape, Value
from ein.grammar.diagnostics import Span, fail
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Evaluate, Inapplicable, compile_expr, nearest, no_power
from ein.grammar.types import plain

MAX_DEPTH = 60

_TENSORS = (Value, list, Layer)
_OPERANDS = (Value, int, float)


class Expressions:
    """Evaluates at the sizes of `env`; `values` are the names that the body has bound so far.

    A value is a tensor (`Value`), a list of them, a number, a flag, a word, or a `Layer` not yet applied.
    """

    def __init__(self, env: Mapping[str, Any], tape: Tape) -> None:
        self.env = env
        self.values: dict[str, Any] = {}
        self.tape = tape
        self.axes = Axes(env, self.tape.sizes, self.number)
        self.whole: dict[int, Value] = {}
        """Inputs with the axes of their kind, by the step that has their grids taken apart."""
        self.depth = 0

    def evaluate(self, expr: s.Expr) -> Any:
        if self.depth == MAX_DEPTH:
            raise fail("E107", "this body is nested too deeply", expr.span)
        if isinstance(expr, s.Name):
            return self._lookup(expr.name, expr)
        if isinstance(expr, s.Number):
            return expr.value
        around, self.tape.span = self.tape.span, expr.span
        self.depth += 1
        try:
            return self._dispatch(expr)
        finally:
            self.depth -= 1
            self.tape.span = around

    def _dispatch(self, expr: s.Expr) -> Any:
        match expr:
            case s.Call(function, arguments):
                return call(self, function, arguments, expr)
            case s.Binary(operator, left, right):
                return self._binary(operator, self.evaluate(left), self.evaluate(right), expr)
            case s.Index(s.Name("eye"), axes) if "eye" not in self.values:
                return eye(self, axes, expr.span)
            case s.Index(s.Name("range"), axes) if "range" not in self.values:
                return positions(self, axes, expr)
            case s.Index(operand, axes):
                value = self.tensor(self.evaluate(operand), operand)
                groups = [group for axis in axes for group in self.axes.axis(axis)]
                if len(groups) != len(value.axes):
                    value = self.whole.get(value.step, value)
                return self.tape.split_axes(value, groups, expr.span)
            case s.Layout(operand, axes):
                return self._lay_out(self.tensor(self.evaluate(operand), operand), axes, expr.span)
            case s.Unary(operator, operand):
                return self._unary(operator, self.evaluate(operand), expr)
            case s.Boolean() | s.String() | s.Percent():
                return expr.value
            case s.Alternative(body, (), None, guard, otherwise) if guard is not None and otherwise is not None:
                condition = self.evaluate(guard)
                if isinstance(condition, Value):
                    raise fail(
                        "E413", "a condition is decided when the network is built; use `where(c, a, b)`", guard.span
                    )
                return self.evaluate(body if condition else otherwise)
            case s.Group(items) if all(item.name is None for item in items):
                return [self.evaluate(item.value) for item in items]
            case s.Dotted(name):
                raise fail("E414", f"`{name}` needs its arguments", expr.span)
            case s.Alternative(_, (), weight) if weight is not None:
                text, help = "`@` gives a weight to an alternative", "a product of matrices is `dot[axis](x, y)`"
                raise fail("E415", text, expr.span, help=help)
            case _:
                raise fail("E415", "this form belongs to terms and cannot stand in a body", expr.span)

    def _lookup(self, name: str, expr: s.Expr) -> Any:
        if name in self.values:
            return self.values[name]
        if name in self.env:
            value = self.env[name]
            return plain(value) if type(value) is tuple else value
        if name in self.tape.sizes:
            return self.tape.sizes[name]
        if name in ("inf", "none"):
            return float("inf") if name == "inf" else None
        known = {*self.values, *self.env, *self.tape.sizes}
        bound = ", ".join(f"`{each}`" for each in list(self.values)[:8])
        help = nearest(name, known, f"the body has {bound}" if bound else "")
        raise fail("E403", f"there is no value `{name}` in this body", expr.span, help=help)

    def _unary(self, operator: str, value: Any, expr: s.Expr) -> Any:
        if operator not in ("-", "not"):
            raise fail("E415", f"`{operator}` cannot stand before a tensor", expr.span)
        if operator == "not" and not isinstance(value, _TENSORS):
            return not value
        if isinstance(value, int | float):
            return -value
        name = "neg" if operator == "-" else operator
        return self.tape.pointwise(name, [self.tensor(value, expr)], expr.span)

    def _binary(self, operator: s.BinaryOperator, left: Any, right: Any, expr: s.Expr) -> Any:
        if isinstance(left, _TENSORS) or isinstance(right, _TENSORS):
            both = isinstance(left, Value) and isinstance(right, Value)
            if operator == "^" or (operator in ("and", "or") and not both):
                help = "a power is written `**`" if operator == "^" else ""
                raise fail("E415", f"`{operator}` is not for tensors and numbers", expr.span, help=help)
            return self.tape.pointwise(operator, self.operands([left, right], expr), expr.span)
        return _static(operator, left, right, expr.span)

    def size(self, name: str) -> int | None:
        """The size of an axis that the signature or the body has named, or None."""
        if isinstance(self.env.get(name), int | tuple):
            return plain(self.env[name])
        return self.tape.sizes.get(name)

    def number(self, expr: s.Expr) -> Any:
        value = self.evaluate(expr)
        if isinstance(value, Value | list | Layer | str) or value is None:
            raise fail("E416", "a number is needed here", expr.span)
        return value

    def tensor(self, value: Any, expr: s.Expr) -> Value:
        if isinstance(value, Value):
            return value
        if isinstance(value, Layer):
            raise fail("E414", f"{value.row.name} is applied by a second call: `{value.row.name}(…)(x)`", expr.span)
        if isinstance(value, list):
            raise fail(
                "E416", "this is a bundle, and one tensor is needed", expr.span, help="`concat[axis](xs)`, `sum(xs)`"
            )
        raise fail("E416", "a tensor is needed here", expr.span)

    def operands(self, values: list[Any], expr: s.Expr) -> list[Value | float]:
        """What is computed with element by element: tensors and numbers."""
        return [v if isinstance(v, _OPERANDS) else self.tensor(v, expr) for v in values]

    def _lay_out(self, value: Value, axes: tuple[s.Axis, ...], span: Span) -> Value:
        """`e -> [a, (b, c)]`: permutes by name and merges groups."""
        groups = [[name for name, _ in group] for axis in axes for group in self.axes.axis(axis)]
        return self.tape.arrange(value, groups, span)


def _static(operator: s.BinaryOperator, left: Any, right: Any, span: Span) -> Any:
    """Arithmetic between numbers, at the time the network is built; here `/` is ordinary division."""
    if operator == "/":
        if right == 0:
            raise Inapplicable("a division by zero", span)
        return left / right
    if operator == "**" and isinstance(left, int) and isinstance(right, int) and right < 0:
        left = float(left)
    if operator == "^":
        raise no_power(span)
    try:
        return _of_two(operator)({"left": left, "right": right})
    except Inapplicable as error:
        raise Inapplicable(error.text, span, error.values) from None
    except ZeroDivisionError:
        raise Inapplicable("a division by zero", span) from None


@cache
def _of_two(operator: s.BinaryOperator) -> Evaluate:
    return compile_expr(s.Binary(operator, s.Name("left"), s.Name("right")))
