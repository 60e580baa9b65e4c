"""What an operator computes: its body, over named axes, made into a list of plain steps.

`elaborate` walks the body once, at given sizes and without torch. The steps that it gives are
what the costs are read from, what the interpreter runs and what the emitter prints, so the three
cannot disagree about axes. Axis numbers in steps leave the batch out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

from ein.grammar import syntax as s
from ein.grammar.axes import Axes, later
from ein.grammar.diagnostics import Span, fail
from ein.grammar.numbers import Inapplicable, compile_expr, nearest
from ein.grammar.tensors import Body, Tape, Value, distinct, position
from ein.grammar.types import Tensor, ValueType, leaves, plain
from ein.grammar.vetted import (
    ALONG,
    FUNCTIONS,
    LATER,
    LAYERS,
    POINTWISE,
    POINTWISE_MANY,
    REDUCTIONS,
    STRUCTURE,
    Row,
    bind,
)

MAX_DEPTH = 60


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that has not been applied yet."""

    row: Row
    arguments: dict[str, Any]
    span: Span


Operand: TypeAlias = "Value | int | float | bool | str | None"

DISTRIBUTIONS = {"normal": 2, "uniform": 2, "trunc_normal": 1, "kaiming": 0, "xavier": 0, "orthogonal": 0}
"""Starts of a weight after `~`, with their number of arguments."""


def elaborate(declaration: s.OpDecl, env: Mapping[str, Any], input: ValueType, output: ValueType) -> Body:
    """The steps of an operator at the sizes of `env`.

    Raises Inapplicable where sizes do not fit, EinError where the body is wrong whatever the sizes.
    """
    return _Elaborator(declaration, env, input, output).run()


class _Elaborator:
    def __init__(self, declaration: s.OpDecl, env: Mapping[str, Any], input: ValueType, output: ValueType) -> None:
        self.declaration = declaration
        self.env = env
        self.input = input
        self.output = output
        self.values: dict[str, Any] = {}
        self.tape = Tape(declaration.span)
        self.axes = Axes(env, self.tape.sizes, self._number)
        self.depth = 0

    def run(self) -> Body:
        declaration, body = self.declaration, self.declaration.body
        if body is None:
            raise fail("E410", f"`{declaration.name}` computes nothing: it has no `= body`", declaration.span)
        inputs = [self._input(i, leaf) for i, leaf in enumerate(leaves(self.input))]
        match body:
            case s.Name("wires"):
                return self._body(_route(declaration, self.input, self.output))
            case s.Name("rearrange"):
                return self._body([self._rearrange(inputs, body)])
            case s.Name("einsum" | "zeros" as word):
                raise later(f"the body `{word}`", body.span)
        self._name_inputs(inputs)
        for line in declaration.lines:
            self._line(line)
        result = self._eval(body)
        return self._body([v.step for v in self._results(result, body)])

    def _body(self, results: Sequence[int]) -> Body:
        return Body(tuple(self.tape.steps), tuple(results), self.tape.parameters, self.tape.macs, self.tape.several)

    # --- inputs and weights

    def _input(self, index: int, leaf: Tensor) -> Value:
        step = self.tape.step("input", (), leaf.sizes, arguments=(("which", index),))
        return Value(step, (None,) * len(leaf.sizes), leaf.sizes, True)

    def _name_inputs(self, inputs: list[Value]) -> None:
        """Binds `x`, `x y z`, `xs`, or the names that the signature gives."""
        pattern = _unwrap(self.declaration.input)
        match pattern:
            case s.BundleType(members):
                names = [m.name or default for m, default in zip(members, _default_names(len(members)), strict=True)]
                types = [m.type for m in members]
                if any(isinstance(_unwrap(t), s.BundleType | s.PowerType) for t in types):
                    raise later("a bundle inside a bundle as the input of a body", self.declaration.span)
                for name, value, type in zip(names, inputs, types, strict=True):
                    self.values[name] = self._named(value, type)
            case s.PowerType(base, _):
                self.values["xs"] = [self._named(value, base, i) for i, value in enumerate(inputs)]
            case _:
                if len(inputs) != 1:
                    raise fail("E411", "a body computes with tensors, and a bare `t` can be a bundle", pattern.span)
                name = "x"
                if isinstance(self.declaration.input, s.BundleType) and self.declaration.input.members[0].name:
                    name = self.declaration.input.members[0].name
                self.values[name] = self._named(inputs[0], pattern)

    def _named(self, value: Value, type: s.Type, member: int = 0) -> Value:
        """The input with the axes that its pattern names; a grid `(h, w)` is split in two."""
        if not isinstance(type, s.KindType):
            return value
        groups = [self.axes.dim_axes(dim, member) for dim in type.dims]
        flat = [group for entry in groups for group in entry]
        return self.tape.split_axes(value, flat, type.span)

    def _line(self, line: s.Line) -> None:
        match line:
            case s.WeightLine("param", weights):
                for weight in weights:
                    self._weight(weight)
            case s.WeightLine(role, _):
                raise later(f"`{role}`", line.span)
            case s.Assignment((name,), value, _):
                self.values[name] = self._eval(value)
            case s.Assignment():
                raise later("`let` of several names", line.span)
            case s.Scan():
                raise later("`scan`", line.span)
            case s.Repeat():
                raise later("`repeat`", line.span)

    def _weight(self, weight: s.Weight) -> None:
        if weight.tied_by is not None:
            raise later("`tied by`", weight.span)
        groups = [group for axis in weight.axes or () for group in self.axes.axis(axis, declare=True)]
        axes = tuple(name for group in groups for name, _ in group)
        sizes = tuple(size for group in groups for _, size in group)
        distinct(axes, weight.span)
        for name, size in zip(axes, sizes, strict=True):
            if name is not None:
                self.tape.sizes[name] = size
        start = self._start(weight)
        step = self.tape.step("weight", (), sizes, weight.name, (("start", start),), batched=False)
        self.tape.parameters += prod(sizes)
        self.values[weight.name] = Value(step, axes, sizes, False)

    def _start(self, weight: s.Weight) -> tuple[Any, ...]:
        """`("constant", 1.0)` or `("normal", 0.0, 1.0)`."""
        value = weight.value
        if not weight.random:
            number = self._eval(value)
            if isinstance(number, Value):
                raise later("a weight that starts from a tensor", value.span)
            return ("constant", float(number))
        name, arguments = (value.function, value.arguments) if isinstance(value, s.Call) else (value, ())
        if not isinstance(name, s.Name) or name.name not in DISTRIBUTIONS:
            raise fail(
                "E412", "after `~` stands a distribution", value.span, help=f"there are {', '.join(DISTRIBUTIONS)}"
            )
        if len(arguments) != DISTRIBUTIONS[name.name]:
            raise fail("E412", f"`{name.name}` takes {DISTRIBUTIONS[name.name]} argument(s)", value.span)
        return (name.name, *(float(self._number(argument.value)) for argument in arguments))

    # --- expressions

    def _eval(self, expr: s.Expr) -> Any:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise fail("E107", "this body is nested too deeply", expr.span)
        try:
            return self._dispatch(expr)
        finally:
            self.depth -= 1

    def _dispatch(self, expr: s.Expr) -> Any:
        match expr:
            case s.Number() | s.Boolean() | s.String() | s.Percent():
                return expr.value
            case s.Name(name):
                return self._lookup(name, expr)
            case s.Unary(operator, operand):
                return self._unary(operator, self._eval(operand), expr)
            case s.Binary(operator, left, right):
                return self._binary(operator, self._eval(left), self._eval(right), expr)
            case s.Index(operand, axes):
                value = self._tensor(self._eval(operand), operand)
                groups = [group for axis in axes for group in self.axes.axis(axis, value=value)]
                return self.tape.split_axes(value, groups, expr.span)
            case s.Layout(operand, axes):
                return self._lay_out(self._tensor(self._eval(operand), operand), axes, expr.span)
            case s.Alternative(body, (), None, guard, otherwise) if guard is not None and otherwise is not None:
                condition = self._eval(guard)
                if isinstance(condition, Value):
                    raise fail(
                        "E413", "a condition is decided when the network is built; use `where(c, a, b)`", guard.span
                    )
                return self._eval(body if condition else otherwise)
            case s.Call(function, arguments):
                return self._call(function, arguments, expr)
            case s.Dotted(name):
                raise fail("E414", f"`{name}` needs its arguments", expr.span)
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
        if name == "inf":
            return float("inf")
        known = {*self.values, *self.env, *self.tape.sizes}
        raise fail("E403", f"there is no value `{name}` in this body", expr.span, help=nearest(name, known))

    def _unary(self, operator: str, value: Any, expr: s.Expr) -> Any:
        if operator == "-":
            return self.tape.pointwise("neg", [value], expr.span) if isinstance(value, Value) else -value
        if operator == "not" and not isinstance(value, Value):
            return not value
        raise fail("E415", f"`{operator}` cannot stand before a tensor", expr.span)

    def _binary(self, operator: str, left: Any, right: Any, expr: s.Expr) -> Any:
        if isinstance(left, Value) or isinstance(right, Value):
            if operator in ("^", "and", "or"):
                raise fail("E415", f"`{operator}` is not for tensors", expr.span)
            return self.tape.pointwise(operator, self._operands([left, right], expr), expr.span)
        return _static(operator, left, right, expr.span)

    def _number(self, expr: s.Expr) -> Any:
        value = self._eval(expr)
        if isinstance(value, Value | list | Layer | str) or value is None:
            raise fail("E416", "a number is needed here", expr.span)
        return value

    def _tensor(self, value: Any, expr: s.Expr) -> Value:
        if isinstance(value, Layer):
            raise fail("E414", f"{value.row.name} is applied by a second call: `{value.row.name}(…)(x)`", expr.span)
        if isinstance(value, list):
            raise fail(
                "E416", "this is a bundle, and one tensor is needed", expr.span, help="`concat[axis](xs)`, `sum(xs)`"
            )
        if not isinstance(value, Value):
            raise fail("E416", "a tensor is needed here", expr.span)
        return value

    def _operands(self, values: list[Any], expr: s.Expr) -> list[Value | float]:
        """What is computed with element by element: tensors and numbers."""
        return [v if isinstance(v, int | float) else self._tensor(v, expr) for v in values]

    # --- calls

    def _call(self, function: s.Expr, arguments: tuple[s.Argument, ...], expr: s.Expr) -> Any:
        match function:
            case s.Dotted(name):
                return self._vetted(name, arguments, expr)
            case s.Index(s.Name(name), axes):
                return self._axis_function(name, axes, arguments, expr)
            case s.Name(name):
                return self._named_function(name, arguments, expr)
        layer = self._eval(function)
        if not isinstance(layer, Layer) or len(arguments) != 1:
            raise fail("E414", "only a layer is applied by a second call, to one tensor", expr.span)
        return self.apply_layer(layer, self._tensor(self._eval(arguments[0].value), arguments[0].value), expr.span)

    def _vetted(self, name: str, arguments: tuple[s.Argument, ...], expr: s.Expr) -> Any:
        table = LAYERS if name.startswith("nn.") else FUNCTIONS
        row = table.get(name)
        if row is None:
            what = "layer" if name.startswith("nn.") else "function"
            raise fail(
                "E404", f"`{name}` is not on the list of {what}s", expr.span, help=nearest(name, table, _listing(table))
            )
        positional = [self._eval(a.value) for a in arguments if a.name is None]
        named = {a.name: self._eval(a.value) for a in arguments if a.name is not None}
        if len(positional) + len(named) < len(arguments):
            raise fail("E405", f"an argument of `{name}` is given twice", expr.span)
        count = 0 if name.startswith("nn.") else row.tensors
        if len(positional) < count:
            what = "the tensor it is" if count == 1 else f"the {count} tensors it is"
            raise fail("E414", f"`{name}` needs {what} applied to", expr.span)
        tensors = [self._tensor(value, expr) for value in positional[:count]]
        try:
            bound = bind(row, positional[count:], named)
        except ValueError as error:
            raise fail("E405", str(error), expr.span) from None
        if not count:
            return Layer(row, bound, expr.span)
        return self.tape.opaque("function", row, bound, tensors, expr.span)

    def apply_layer(self, layer: Layer, value: Value, span: Span) -> Value:
        return self.tape.opaque("layer", layer.row, layer.arguments, [value], span)

    def _named_function(self, name: str, arguments: tuple[s.Argument, ...], expr: s.Expr) -> Any:
        name = self.env[name] if isinstance(self.env.get(name), str) else name
        values = [self._eval(argument.value) for argument in arguments]
        if name in ("sum", "prod", "max", "min") and len(values) == 1 and isinstance(values[0], list):
            return self._fold({"sum": "+", "prod": "*", "max": "maximum", "min": "minimum"}[name], values[0], expr)
        if name in ("max", "min") and all(isinstance(v, int | float) for v in values):
            return (max if name == "max" else min)(values)
        if name in POINTWISE or name in POINTWISE_MANY:
            wanted = POINTWISE_MANY.get(name, 1)
            if len(values) != wanted:
                raise fail("E405", f"`{name}` takes {wanted} argument(s), {len(values)} given", expr.span)
            if not any(isinstance(v, Value) for v in values):
                raise fail("E416", f"`{name}` needs a tensor", expr.span)
            return self.tape.pointwise(name, self._operands(values, expr), expr.span)
        if name in REDUCTIONS | ALONG | STRUCTURE:
            raise fail("E417", f"`{name}` needs the axes it works on: `{name}[…](x)`", expr.span)
        if name in LATER:
            raise later(f"`{name}`", expr.span)
        known = POINTWISE | REDUCTIONS | ALONG | STRUCTURE | set(POINTWISE_MANY)
        raise fail("E404", f"`{name}` is not on the list of functions", expr.span, help=nearest(name, known))

    def _fold(self, operator: str, values: list[Value], expr: s.Expr) -> Value:
        total = values[0]
        for value in values[1:]:
            total = self.tape.pointwise(operator, [total, value], expr.span)
        return total

    def _axis_function(
        self, name: str, axes: tuple[s.Axis, ...], arguments: tuple[s.Argument, ...], expr: s.Expr
    ) -> Any:
        values = [self._eval(argument.value) for argument in arguments]
        names = [part for axis in axes for part in self.axes.axis_names(axis)]
        match name:
            case "dot":
                return self.tape.dot(names, [self._tensor(v, expr) for v in values], expr.span)
            case "concat":
                parts = values[0] if len(values) == 1 and isinstance(values[0], list) else values
                return self.tape.concat(names, [self._tensor(v, expr) for v in parts], expr.span)
            case "split" if len(values) == 2:
                return self.tape.split(names, self._tensor(values[0], expr), values[1], expr.span)
            case "index" if len(values) == 2:
                return self.tape.index(names, self._tensor(values[0], expr), values[1], expr.span)
            case "stack":
                parts = values[0] if len(values) == 1 and isinstance(values[0], list) else values
                return self.tape.stack(names, [self._tensor(part, expr) for part in parts], expr.span)
        if name in REDUCTIONS and len(values) == 1:
            return self.tape.reduce(name, names, self._tensor(values[0], expr), expr.span)
        if name in ALONG and len(values) == 1:
            value = self._tensor(values[0], expr)
            at = [position(value, axis, expr.span) for axis in names]
            if len(at) != 1:
                raise later(f"`{name}` over several axes", expr.span)
            step = self.tape.step("along", (value.step,), value.sizes, name, (("axis", at[0]),), value.batched)
            return Value(step, value.axes, value.sizes, value.batched)
        if name in LATER or name in STRUCTURE:
            raise later(f"`{name}`", expr.span)
        known = REDUCTIONS | ALONG | STRUCTURE
        raise fail("E404", f"`{name}` is not on the list of axis functions", expr.span, help=nearest(name, known))

    # --- along and across axes

    # --- element by element

    # --- shape

    def _lay_out(self, value: Value, axes: tuple[s.Axis, ...], span: Span) -> Value:
        """`e -> [a, (b, c)]`: permutes by name and merges groups."""
        groups = [[name for name, _ in group] for axis in axes for group in self.axes.axis(axis, value=value)]
        return self.tape.arrange(value, groups, span)

    def _rearrange(self, inputs: list[Value], body: s.Expr) -> int:
        """What the signature says: split the grids of the left, order as the right, merge its grids."""
        pattern, result = _unwrap(self.declaration.input), _unwrap(self.declaration.output)
        if len(inputs) != 1 or not isinstance(pattern, s.KindType) or not isinstance(result, s.KindType):
            raise later("`rearrange` of bundles", body.span)
        value = self._named(inputs[0], pattern)
        if value.axes.count(None):
            raise fail("E418", "`rearrange` needs a name for every axis on the left", self.declaration.input.span)
        groups = [[name for name, _ in group] for dim in result.dims for group in self.axes.dim_axes(dim, 0)]
        return self.tape.arrange(value, groups, self.declaration.output.span).step

    # --- axes as written in `[…]`

    # --- results

    def _results(self, result: Any, body: s.Expr) -> list[Value]:
        wanted = list(leaves(self.output))
        if isinstance(result, Layer):
            result = self.apply_layer(result, self._tensor(self.values.get("x"), body), body.span)
        values = result if isinstance(result, list) else [self._tensor(result, body)]
        if len(values) != len(wanted):
            raise Inapplicable(f"the body gives {len(values)} tensors, and the signature {len(wanted)}", body.span)
        pattern = _unwrap(self.declaration.output)
        pattern = pattern.base if isinstance(pattern, s.PowerType) else pattern
        return [self._fit(value, leaf, pattern, body) for value, leaf in zip(values, wanted, strict=True)]

    def _fit(self, value: Value, wanted: Tensor, pattern: s.Type, body: s.Expr) -> Value:
        """Lays a result out as the signature says where all names agree; else sizes must agree as they stand."""
        if not value.batched:
            raise fail("E416", "the result does not depend on the input", body.span)
        if isinstance(pattern, s.KindType) and None not in value.axes:
            groups = [[name for name, _ in group] for dim in pattern.dims for group in self.axes.dim_axes(dim, 0)]
            names = [name for group in groups for name in group]
            if len(names) == len(value.axes) and set(names) == set(value.axes):
                value = self.tape.arrange(value, groups, body.span)
        if value.sizes != wanted.sizes:
            raise Inapplicable(f"the body gives {list(value.sizes)}, and the signature {list(wanted.sizes)}", body.span)
        return value


def _route(declaration: s.OpDecl, input: ValueType, output: ValueType) -> list[int]:
    """For `wires`: which input leaf each output leaf is."""
    have, wanted = list(leaves(input)), list(leaves(output))
    left, right = _unwrap(declaration.input), _unwrap(declaration.output)
    if isinstance(left, s.TypeName) and right == left:
        return list(range(len(have)))
    if isinstance(left, s.TypeName) and isinstance(right, s.PowerType) and right.base == left:
        return [i % len(have) for i in range(len(wanted))]
    raise later("this form of `wires`", declaration.span)


def _unwrap(type: s.Type) -> s.Type:
    """A bundle of one is its member."""
    return _unwrap(type.members[0].type) if isinstance(type, s.BundleType) and len(type.members) == 1 else type


def _default_names(count: int) -> list[str]:
    return ["x", "y", "z"][:count] if count <= 3 else [f"x{i + 1}" for i in range(count)]


def _static(operator: str, left: Any, right: Any, span: Span) -> Any:
    """Arithmetic between numbers, at the time the network is built; here `/` is ordinary division."""
    if operator == "/":
        if right == 0:
            raise Inapplicable("a division by zero", span)
        return left / right
    if operator == "**" and isinstance(left, int) and isinstance(right, int) and right < 0:
        left = float(left)
    try:
        names = {"left": left, "right": right}
        return compile_expr(s.Binary(operator, s.Name("left"), s.Name("right"), span=span))(names)  # type: ignore[arg-type]
    except ZeroDivisionError:
        raise Inapplicable("a division by zero", span) from None


def _listing(table: Mapping[str, Any]) -> str:
    return f"the list: {', '.join(sorted(table))}"
