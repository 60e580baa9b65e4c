"""Calls in an operator's body: layers and functions of torch, and functions of numbers and tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ein.grammar.bodies import axis_functions
from ein.grammar.bodies.named_arguments import named_arguments
from ein.grammar.bodies.rows import Row, bind
from ein.grammar.bodies.spectral import dropout
from ein.grammar.bodies.starts import START_FUNCTIONS, start_function
from ein.grammar.bodies.tensors import Value
from ein.grammar.bodies.vetted import FUNCTIONS, LAYERS, POINTWISE, POINTWISE_NAMED
from ein.grammar.diagnostics import Span, fail
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import nearest

if TYPE_CHECKING:
    from ein.grammar.bodies.expressions import Expressions

_FOLDS = {"sum": "+", "prod": "*", "max": "maximum", "min": "minimum"}
"""Functions of a bundle, by what they do with two of its tensors."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that has not been applied yet."""

    row: Row
    arguments: dict[str, Any]
    span: Span


def call(body: Expressions, function: s.Expr, arguments: tuple[s.Argument, ...], expr: s.Expr) -> Any:
    match function:
        case s.Dotted(name):
            return _vetted(body, name, arguments, expr)
        case s.Index(s.Name(name), axes) if name in START_FUNCTIONS:
            return start_function(body, name, axes, [body.evaluate(a.value) for a in arguments], expr)
        case s.Index(s.Name(name), axes):
            return axis_functions.call(body, name, axes, arguments, expr)
        case s.Name(name):
            return _named_function(body, name, arguments, expr)
    layer = body.evaluate(function)
    if not isinstance(layer, Layer):
        raise fail("E414", "only a layer is applied by a second call", expr.span)
    if len(arguments) != layer.row.tensors or any(argument.name is not None for argument in arguments):
        text = f"`{layer.row.name}` is applied to {_tensors(layer.row.tensors)}, and {len(arguments)} given"
        raise fail("E414", text, expr.span)
    return apply_layer(body, layer, [body.tensor(body.evaluate(a.value), a.value) for a in arguments], expr.span)


def _vetted(body: Expressions, name: str, arguments: tuple[s.Argument, ...], expr: s.Expr) -> Any:
    row = _row(name, expr)
    positional = [body.evaluate(a.value) for a in arguments if a.name is None]
    named = {a.name: body.evaluate(a.value) for a in arguments if a.name is not None}
    if len(positional) + len(named) < len(arguments):
        raise fail("E405", f"an argument of `{name}` is given twice", expr.span)
    count = 0 if name.startswith("nn.") else row.tensors
    if len(positional) < count:
        what = "the tensor it is" if count == 1 else f"the {count} tensors it is"
        raise fail("E414", f"`{name}` needs {what} applied to", expr.span)
    tensors = [body.tensor(value, expr) for value in positional[:count]]
    try:
        bound = bind(row, positional[count:], named)
    except ValueError as error:
        raise fail("E405", str(error), expr.span) from None
    if not count:
        return Layer(row, bound, expr.span)
    return body.tape.opaque("function", row, bound, tensors, expr.span)


def _row(name: str, expr: s.Expr) -> Row:
    table = LAYERS if name.startswith("nn.") else FUNCTIONS
    if name not in table:
        what = "layer" if name.startswith("nn.") else "function"
        help = nearest(name, table, f"the list: {', '.join(sorted(table))}")
        raise fail("E404", f"`{name}` is not on the list of {what}s", expr.span, help=help)
    return table[name]


def _tensors(count: int) -> str:
    return "one tensor" if count == 1 else f"{count} tensors"


def apply_layer(body: Expressions, layer: Layer, values: list[Value], span: Span) -> Value:
    return body.tape.opaque("layer", layer.row, layer.arguments, values, span)


def _named_function(body: Expressions, name: str, arguments: tuple[s.Argument, ...], expr: s.Expr) -> Any:
    """`exp(x)`, `clamp(x, 0, 1)`, `sum(xs)`, `max(1, n)`, `dropout(x, p)`, or a parameter `f: fn` as `f(x)`."""
    chosen = body.env.get(name)
    if isinstance(chosen, str):
        return _elementwise(body, _function_named(chosen, name, expr), arguments, expr)
    if name == "dropout":
        given = named_arguments(body, name, arguments, {"x": None, "p": None}, expr)
        value = body.tensor(given["x"], expr)
        return dropout(body.tape, (), value, axis_functions.real(given["p"], "p", expr), expr.span)
    if name in POINTWISE or name in POINTWISE_NAMED:
        return _elementwise(body, name, arguments, expr)
    if name in _FOLDS:
        values = [body.evaluate(argument.value) for argument in arguments]
        if len(values) == 1 and isinstance(values[0], list):
            return _fold(body, _FOLDS[name], values[0], expr)
        if name in ("max", "min") and values and all(isinstance(v, int | float) for v in values):
            return (max if name == "max" else min)(values)
    if name in axis_functions.NAMES:
        raise fail("E417", f"`{name}` needs the axes it works on: `{name}[…](x)`", expr.span)
    known = POINTWISE | set(POINTWISE_NAMED) | axis_functions.NAMES
    help = nearest(name, known, "operators are not used in bodies: `nn.BatchNorm2d(c)(x)`, or a `def`")
    raise fail("E404", f"`{name}` is not on the list of functions", expr.span, help=help)


def _function_named(chosen: str, parameter: str, expr: s.Expr) -> str:
    """The function of one tensor that a parameter names."""
    if chosen not in POINTWISE:
        help = nearest(chosen, POINTWISE, f"there are {', '.join(sorted(POINTWISE))}")
        raise fail(
            "E404", f"`{parameter}` is `{chosen}`, and no function of one tensor is called so", expr.span, help=help
        )
    return chosen


def _elementwise(body: Expressions, name: str, arguments: tuple[s.Argument, ...], expr: s.Expr) -> Value:
    wanted = POINTWISE_NAMED.get(name, ("x",))
    given = named_arguments(body, name, arguments, dict.fromkeys(wanted), expr)
    values = [given[parameter] for parameter in wanted]
    if not any(isinstance(v, Value) for v in values):
        raise fail("E416", f"`{name}` needs a tensor", expr.span)
    return body.tape.pointwise(name, body.operands(values, expr), expr.span)


def _fold(body: Expressions, operator: str, values: list[Value], expr: s.Expr) -> Value:
    total = values[0]
    for value in values[1:]:
        total = body.tape.pointwise(operator, [total, value], expr.span)
    return total
