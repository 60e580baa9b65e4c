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
from ein.grammar.diagnostics import EinError, Span, fail
from ein.grammar.numbers import Inapplicable, compile_expr, nearest, permuted
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
    Facts,
    Row,
    bind,
)

MAX_ELEMENTS = 2**40
"""Elements of one intermediate value of a body."""

MAX_DEPTH = 60


@dataclass(frozen=True, slots=True)
class Step:
    """One tensor, computed from earlier steps.

    `op` is one of: input (which: the leaf), weight (name: of the parameter; start), number (value),
    layer (name: nn.…), function (name: F.…), pointwise (name), reduce (name, axes), along (name, axis),
    permute (order), unflatten (axis, sizes), flatten (first, last), unsqueeze (axes), einsum (letters),
    concat (axis), part (axis, index, of: parts), stack (axis).
    """

    op: str
    inputs: tuple[int, ...]
    sizes: tuple[int, ...]
    name: str = ""
    arguments: tuple[tuple[str, Any], ...] = ()
    batched: bool = True

    def argument(self, name: str) -> Any:
        return dict(self.arguments)[name]


@dataclass(frozen=True, slots=True)
class Body:
    """Steps in order; `results` are the steps of the output's tensors; costs are for one example."""

    steps: tuple[Step, ...]
    results: tuple[int, ...]
    parameters: int
    macs: int
    needs_several_values: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """A step with the names of its axes; an axis without a name is None."""

    step: int
    axes: tuple[str | None, ...]
    sizes: tuple[int, ...]
    batched: bool


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
        self.steps: list[Step] = []
        self.values: dict[str, Any] = {}
        self.sizes: dict[str, int] = {}
        self.parameters = 0
        self.macs = 0
        self.several = False
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
        return Body(tuple(self.steps), tuple(results), self.parameters, self.macs, self.several)

    # --- inputs and weights

    def _input(self, index: int, leaf: Tensor) -> Value:
        step = self._step("input", (), leaf.sizes, arguments=(("which", index),))
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
        groups = [self._dim_axes(dim, member) for dim in type.dims]
        flat = [group for entry in groups for group in entry]
        return self._split_axes(value, flat, type.span)

    def _dim_axes(self, dim: s.Dim, member: int) -> list[list[tuple[str | None, int]]]:
        """For each axis that `dim` stands for: its parts as (name, size)."""
        match dim:
            case s.Name(name):
                return [[(name, plain(self.env[name]))]]
            case s.EachDim(name):
                return [[(name, plain(self.env[name][member]))]]
            case s.Star(s.Name(name)):
                return [[(run_axis(name, i), plain(size))] for i, size in enumerate(self.env[name])]
            case s.Star(s.Call(s.Name("permuted"), (run, order))):
                axes = self._dim_axes(s.Star(run.value, span=dim.span), member)
                return permuted(axes, compile_expr(order.value)(self.env), dim.span)
            case s.Group(items):
                return [[part for item in items for inner in self._dim_axes(item.value, member) for part in inner]]
            case s.Blank():
                return [[(None, 0)]]
            case s.Star():
                raise later("this run of axes", dim.span)
            case _:
                return [[(None, plain(compile_expr(dim)(self.env)))]]

    def _split_axes(self, value: Value, groups: list[list[tuple[str | None, int]]], span: Span) -> Value:
        """Names the axes of `value`; a group of several names splits its axis, one size may be open (0)."""
        if len(groups) != len(value.sizes):
            raise Inapplicable(f"{len(groups)} axes are named, and there are {len(value.sizes)}", span)
        axes: list[str | None] = []
        for group in groups:
            axis, size = len(axes), value.sizes[len(axes)]
            if len(group) == 1:
                name, wanted = group[0]
                if name is not None and wanted not in (0, size):
                    raise Inapplicable(f"`{name}` is {wanted}, and this axis is {size}", span)
                axes.append(name)
                continue
            parts = _fill_open([part for _, part in group], size, span)
            value = self._unflatten(value, axis, parts)
            axes += [name for name, _ in group]
        for name, size in zip(axes, value.sizes, strict=True):
            if name is not None:
                self.sizes[name] = size
        _distinct(axes, span)
        return Value(value.step, tuple(axes), value.sizes, value.batched)

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
        groups = [group for axis in weight.axes or () for group in self._axis(axis, declare=True)]
        axes = tuple(name for group in groups for name, _ in group)
        sizes = tuple(size for group in groups for _, size in group)
        _distinct(axes, weight.span)
        for name, size in zip(axes, sizes, strict=True):
            if name is not None:
                self.sizes[name] = size
        start = self._start(weight)
        step = self._step("weight", (), sizes, weight.name, (("start", start),), batched=False)
        self.parameters += prod(sizes)
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
                groups = [group for axis in axes for group in self._axis(axis, value=value)]
                return self._split_axes(value, groups, expr.span)
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
        if name in self.sizes:
            return self.sizes[name]
        if name == "inf":
            return float("inf")
        known = {*self.values, *self.env, *self.sizes}
        raise fail("E403", f"there is no value `{name}` in this body", expr.span, help=nearest(name, known))

    def _unary(self, operator: str, value: Any, expr: s.Expr) -> Any:
        if operator == "-":
            return self._pointwise("neg", [value], expr) if isinstance(value, Value) else -value
        if operator == "not" and not isinstance(value, Value):
            return not value
        raise fail("E415", f"`{operator}` cannot stand before a tensor", expr.span)

    def _binary(self, operator: str, left: Any, right: Any, expr: s.Expr) -> Any:
        if isinstance(left, Value) or isinstance(right, Value):
            if operator in ("^", "and", "or"):
                raise fail("E415", f"`{operator}` is not for tensors", expr.span)
            return self._pointwise(operator, [left, right], expr)
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
        tensors = [] if name.startswith("nn.") else [self._tensor(p, expr) for p in positional[:1]]
        if not name.startswith("nn.") and not tensors:
            raise fail("E414", f"`{name}` needs the tensor it is applied to", expr.span)
        try:
            bound = bind(row, positional[len(tensors) :], named)
        except ValueError as error:
            raise fail("E405", str(error), expr.span) from None
        if name.startswith("nn."):
            return Layer(row, bound, expr.span)
        return self._opaque("function", row, bound, tensors[0], expr.span)

    def apply_layer(self, layer: Layer, value: Value, span: Span) -> Value:
        return self._opaque("layer", layer.row, layer.arguments, value, span)

    def _opaque(self, op: str, row: Row, arguments: dict[str, Any], value: Value, span: Span) -> Value:
        """Layers and functions of torch take the written order of axes; their result has no names."""
        if not value.batched:
            raise fail("E416", f"`{row.name}` is applied to what depends on the input", span)
        try:
            facts: Facts = row.facts(arguments, value.sizes)
        except Inapplicable as error:
            raise Inapplicable(error.reason, span) from None
        self.macs += facts.macs
        self.parameters += sum(prod(shape) for shape in facts.weights.values())
        self.several = self.several or row.needs_several_values
        step = self._step(op, (value.step,), facts.sizes, row.name, tuple(arguments.items()))
        keep = value.axes if facts.sizes == value.sizes and op == "function" else (None,) * len(facts.sizes)
        return Value(step, keep, facts.sizes, True)

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
            return self._pointwise(name, values, expr)
        if name in REDUCTIONS | ALONG | STRUCTURE:
            raise fail("E417", f"`{name}` needs the axes it works on: `{name}[…](x)`", expr.span)
        if name in LATER:
            raise later(f"`{name}`", expr.span)
        known = POINTWISE | REDUCTIONS | ALONG | STRUCTURE | set(POINTWISE_MANY)
        raise fail("E404", f"`{name}` is not on the list of functions", expr.span, help=nearest(name, known))

    def _fold(self, operator: str, values: list[Value], expr: s.Expr) -> Value:
        total = values[0]
        for value in values[1:]:
            total = self._pointwise(operator, [total, value], expr)
        return total

    def _axis_function(
        self, name: str, axes: tuple[s.Axis, ...], arguments: tuple[s.Argument, ...], expr: s.Expr
    ) -> Any:
        values = [self._eval(argument.value) for argument in arguments]
        names = [part for axis in axes for part in self._axis_names(axis)]
        match name:
            case "dot":
                return self._dot(names, [self._tensor(v, expr) for v in values], expr.span)
            case "concat":
                parts = values[0] if len(values) == 1 and isinstance(values[0], list) else values
                return self._concat(names, [self._tensor(v, expr) for v in parts], expr.span)
            case "split" if len(values) == 2:
                return self._split(names, self._tensor(values[0], expr), values[1], expr.span)
            case "stack":
                parts = values[0] if len(values) == 1 and isinstance(values[0], list) else values
                return self._stack(names, parts, expr)
        if name in REDUCTIONS and len(values) == 1:
            return self._reduce(name, names, self._tensor(values[0], expr), expr.span)
        if name in ALONG and len(values) == 1:
            value = self._tensor(values[0], expr)
            at = [_position(value, axis, expr.span) for axis in names]
            if len(at) != 1:
                raise later(f"`{name}` over several axes", expr.span)
            step = self._step("along", (value.step,), value.sizes, name, (("axis", at[0]),), value.batched)
            return Value(step, value.axes, value.sizes, value.batched)
        if name in LATER or name in STRUCTURE:
            raise later(f"`{name}`", expr.span)
        known = REDUCTIONS | ALONG | STRUCTURE
        raise fail("E404", f"`{name}` is not on the list of axis functions", expr.span, help=nearest(name, known))

    # --- along and across axes

    def _reduce(self, name: str, names: list[str], value: Value, span: Span) -> Value:
        at = tuple(sorted(_position(value, axis, span) for axis in names))
        keep = [i for i in range(len(value.axes)) if i not in at]
        sizes = tuple(value.sizes[i] for i in keep)
        step = self._step("reduce", (value.step,), sizes, name, (("axes", at),), value.batched)
        return Value(step, tuple(value.axes[i] for i in keep), sizes, value.batched)

    def _dot(self, names: list[str], values: list[Value], span: Span) -> Value:
        """Sums the product over `names`; what is left keeps the order of the operands, input first."""
        ordered = sorted(values, key=lambda v: not v.batched)
        sizes: dict[str, int] = {}
        for value in ordered:
            for axis, size in zip(value.axes, value.sizes, strict=True):
                if axis is None:
                    raise fail("E418", "`dot` works on named axes: name them with `[…]`", span)
                if sizes.setdefault(axis, size) != size:
                    raise Inapplicable(f"`{axis}` is {sizes[axis]} and {size}", span)
        for name in names:
            if name not in sizes:
                raise fail("E403", f"there is no axis `{name}` here", span, help=nearest(name, sizes))
        letters = _letters(sizes)
        left = tuple(axis for axis in sizes if axis not in names)
        batched = ordered[0].batched
        terms = ["".join(letters[a] for a in v.axes if a is not None) for v in ordered]
        equation = (tuple(terms), "".join(letters[axis] for axis in left))
        shape = tuple(sizes[axis] for axis in left)
        step = self._step("einsum", tuple(v.step for v in ordered), shape, "", (("letters", equation),), batched)
        self.macs += prod(sizes.values()) * (len(ordered) - 1)
        return Value(step, left, shape, batched)

    def _concat(self, names: list[str], values: list[Value], span: Span) -> Value:
        if len(names) != 1:
            raise fail("E417", "`concat` works on one axis", span)
        at = _position(values[0], names[0], span)
        for value in values:
            same = value.axes == values[0].axes and value.batched == values[0].batched
            rest = all(a == b for i, (a, b) in enumerate(zip(value.sizes, values[0].sizes, strict=False)) if i != at)
            if not same or not rest:
                raise Inapplicable("`concat` needs equal axes but one", span)
        size = sum(value.sizes[at] for value in values)
        sizes = (*values[0].sizes[:at], size, *values[0].sizes[at + 1 :])
        axes = tuple(None if i == at else axis for i, axis in enumerate(values[0].axes))
        inputs = tuple(value.step for value in values)
        step = self._step("concat", inputs, sizes, "", (("axis", at),), values[0].batched)
        return Value(step, axes, sizes, values[0].batched)

    def _split(self, names: list[str], value: Value, parts: Any, span: Span) -> list[Value]:
        at = _position(value, names[0], span) if len(names) == 1 else -1
        if at < 0 or not isinstance(parts, int) or parts < 1:
            raise fail("E417", "`split[axis](x, n)` cuts one axis into n parts", span)
        if value.sizes[at] % parts:
            raise Inapplicable(f"{value.sizes[at]} cannot be split into {parts} equal parts", span)
        sizes = (*value.sizes[:at], value.sizes[at] // parts, *value.sizes[at + 1 :])
        axes = tuple(None if i == at else axis for i, axis in enumerate(value.axes))
        made = []
        for i in range(parts):
            arguments = (("axis", at), ("index", i), ("of", parts))
            step = self._step("part", (value.step,), sizes, "", arguments, value.batched)
            made.append(Value(step, axes, sizes, value.batched))
        return made

    def _stack(self, names: list[str], parts: list[Any], expr: s.Expr) -> Value:
        values = [self._tensor(part, expr) for part in parts]
        first = values[0]
        if len(names) != 1 or any(v.sizes != first.sizes or v.axes != first.axes for v in values):
            raise Inapplicable("`stack[axis]` needs equal tensors", expr.span)
        sizes = (len(values), *first.sizes)
        inputs = tuple(v.step for v in values)
        step = self._step("stack", inputs, sizes, "", (("axis", 0),), first.batched)
        self.sizes[names[0]] = len(values)
        return Value(step, (names[0], *first.axes), sizes, first.batched)

    # --- element by element

    def _pointwise(self, name: str, operands: list[Any], expr: s.Expr) -> Value:
        """Aligns the operands by the names of their axes and computes element by element."""
        tensors = [self._tensor(v, expr) for v in operands if not isinstance(v, int | float)]
        order = self._merged_axes(tensors, expr.span)
        aligned = [v if isinstance(v, int | float) else self._align(v, order, expr.span) for v in operands]
        batched = any(v.batched for v in tensors)
        ordered = sorted(tensors, key=lambda v: not v.batched)
        sizes = ordered[0].sizes if order is None else tuple(order.values())
        axes = ordered[0].axes if order is None else tuple(order)
        inputs = tuple(self._constant(v) if isinstance(v, int | float) else v.step for v in aligned)
        return Value(self._step("pointwise", inputs, sizes, name, (), batched), axes, sizes, batched)

    def _merged_axes(self, tensors: list[Value], span: Span) -> dict[str, int] | None:
        """Axes of the result with their sizes, the input-dependent operand first; None: by position."""
        if any(axis is None for v in tensors for axis in v.axes):
            first = tensors[0]
            for other in tensors[1:]:
                if other.sizes != first.sizes:
                    raise Inapplicable(f"{list(first.sizes)} and {list(other.sizes)} differ", span)
            return None
        sizes: dict[str, int] = {}
        for value in sorted(tensors, key=lambda v: not v.batched):
            for axis, size in zip(value.axes, value.sizes, strict=True):
                assert axis is not None
                if sizes.setdefault(axis, size) != size:
                    raise Inapplicable(f"`{axis}` is {sizes[axis]} and {size}", span)
        return sizes

    def _align(self, value: Value, order: dict[str, int] | None, span: Span) -> Value:
        if order is None:
            return value
        wanted = [axis for axis in order if axis in value.axes]
        value = self._permute(value, [value.axes.index(axis) for axis in wanted])
        positions = [i for i, axis in enumerate(order) if axis not in value.axes]
        leading = len(order) - len(value.axes)
        if positions == list(range(leading)) and not value.batched:
            return value  # torch lines up trailing axes by itself
        if not positions:
            return value
        sizes = tuple(1 if i in positions else size for i, size in enumerate(order.values()))
        step = self._step("unsqueeze", (value.step,), sizes, "", (("axes", tuple(positions)),), value.batched)
        return Value(step, tuple(order), sizes, value.batched)

    def _constant(self, value: float) -> int:
        return self._step("number", (), (), "", (("value", value),), batched=False)

    # --- shape

    def _permute(self, value: Value, order: list[int]) -> Value:
        if order == list(range(len(order))):
            return value
        sizes = tuple(value.sizes[i] for i in order)
        axes = tuple(value.axes[i] for i in order)
        step = self._step("permute", (value.step,), sizes, "", (("order", tuple(order)),), value.batched)
        return Value(step, axes, sizes, value.batched)

    def _unflatten(self, value: Value, axis: int, sizes: list[int]) -> Value:
        full = (*value.sizes[:axis], *sizes, *value.sizes[axis + 1 :])
        arguments = (("axis", axis), ("sizes", tuple(sizes)))
        step = self._step("unflatten", (value.step,), full, "", arguments, value.batched)
        axes = (*value.axes[:axis], *(None,) * len(sizes), *value.axes[axis + 1 :])
        return Value(step, axes, full, value.batched)

    def _flatten(self, value: Value, first: int, count: int) -> Value:
        size = prod(value.sizes[first : first + count])
        full = (*value.sizes[:first], size, *value.sizes[first + count :])
        arguments = (("first", first), ("last", first + count - 1))
        step = self._step("flatten", (value.step,), full, "", arguments, value.batched)
        axes = (*value.axes[:first], None, *value.axes[first + count :])
        return Value(step, axes, full, value.batched)

    def _lay_out(self, value: Value, axes: tuple[s.Axis, ...], span: Span) -> Value:
        """`e -> [a, (b, c)]`: permutes by name and merges groups."""
        groups = [[name for name, _ in group] for axis in axes for group in self._axis(axis, value=value)]
        return self._arrange(value, groups, span)

    def _arrange(self, value: Value, groups: list[list[str | None]], span: Span) -> Value:
        names = [name for group in groups for name in group]
        have = set(value.axes)
        if None in have:
            raise fail("E418", "a layout works on named axes: name them with `[…]`", span)
        if set(names) != have or len(names) != len(value.axes):
            missing = ", ".join(f"`{n}`" for n in value.axes if n not in names)
            extra = ", ".join(f"`{n}`" for n in names if n not in have)
            said = " and ".join(
                x for x in (missing and f"{missing} is left over", extra and f"{extra} is not there") if x
            )
            raise fail("E418", f"a layout names every axis once: {said or 'a name stands twice'}", span)
        value = self._permute(value, [value.axes.index(name) for name in names])
        axes: list[str | None] = []
        for group in groups:
            if len(group) > 1:
                value = self._flatten(value, len(axes), len(group))
            axes.append(group[0] if len(group) == 1 else None)
        return Value(value.step, tuple(axes), value.sizes, value.batched)

    def _rearrange(self, inputs: list[Value], body: s.Expr) -> int:
        """What the signature says: split the grids of the left, order as the right, merge its grids."""
        pattern, result = _unwrap(self.declaration.input), _unwrap(self.declaration.output)
        if len(inputs) != 1 or not isinstance(pattern, s.KindType) or not isinstance(result, s.KindType):
            raise later("`rearrange` of bundles", body.span)
        value = self._named(inputs[0], pattern)
        if value.axes.count(None):
            raise fail("E418", "`rearrange` needs a name for every axis on the left", self.declaration.input.span)
        groups = [[name for name, _ in group] for dim in result.dims for group in self._dim_axes(dim, 0)]
        return self._arrange(value, groups, self.declaration.output.span).step

    # --- axes as written in `[…]`

    def _axis(
        self, axis: s.Axis, value: Value | None = None, declare: bool = False
    ) -> list[list[tuple[str | None, int]]]:
        """The axes an entry stands for, each with its parts as (name, size); an open size is 0."""
        if axis.name is not None:
            return [[(axis.name, self._axis_size(axis.value))]]
        match axis.value:
            case s.Name(name):
                return [[(name, self._known_size(name, axis, declare))]]
            case s.Star(s.Name(name)):
                return [[(run_axis(name, i), plain(size))] for i, size in enumerate(self._run(name, axis))]
            case s.Group(items):
                parts = [self._axis(s.Axis(item.value, item.name, span=item.span), value, declare) for item in items]
                return [[entry for part in parts for group in part for entry in group]]
            case s.Number() as number if not declare and number.value == 1:
                raise later("`-> [1]`", axis.span)
            case _:
                raise fail("E419", "an axis is a name, a group `(h, w)`, a run `*s`, or `name = size`", axis.span)

    def _axis_size(self, expr: s.Expr) -> int:
        value = self._number(expr)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or value < 1:
            raise Inapplicable(f"a size is an integer of at least 1, not {value}", expr.span)
        return value

    def _known_size(self, name: str, axis: s.Axis, declare: bool) -> int:
        if name in self.env and isinstance(self.env[name], int | tuple):
            return plain(self.env[name])
        if name in self.sizes:
            return self.sizes[name]
        if declare:
            raise fail("E403", f"the axis `{name}` has no size", axis.span, help=f"write `{name} = size`")
        return 0

    def _run(self, name: str, axis: s.Axis) -> list[Any]:
        run = self.env.get(name)
        if not isinstance(run, list):
            raise fail("E403", f"there is no run of axes `*{name}`", axis.span)
        return run

    def _axis_names(self, axis: s.Axis) -> list[str]:
        """The axes that a function works on."""
        match axis:
            case s.Axis(s.Name(name), None):
                return [name]
            case s.Axis(s.Star(s.Name(name)), None):
                return [run_axis(name, i) for i in range(len(self._run(name, axis)))]
            case _:
                raise fail("E419", "the axes of a function are names: `sum[h, w](x)`", axis.span)

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
            groups = [[name for name, _ in group] for dim in pattern.dims for group in self._dim_axes(dim, 0)]
            names = [name for group in groups for name in group]
            if len(names) == len(value.axes) and set(names) == set(value.axes):
                value = self._arrange(value, groups, body.span)
        if value.sizes != wanted.sizes:
            raise Inapplicable(f"the body gives {list(value.sizes)}, and the signature {list(wanted.sizes)}", body.span)
        return value

    def _step(
        self,
        op: str,
        inputs: tuple[int, ...],
        sizes: tuple[int, ...],
        name: str = "",
        arguments: tuple[tuple[str, Any], ...] = (),
        batched: bool = True,
    ) -> int:
        if prod(sizes) > MAX_ELEMENTS:
            raise Inapplicable(f"an intermediate value of {prod(sizes):,} elements", self.declaration.span)
        self.steps.append(Step(op, inputs, sizes, name, arguments, batched))
        return len(self.steps) - 1


def later(what: str, span: Span) -> EinError:
    return fail("E901", f"{what} is part of the notation and not checked by this version yet", span)


def run_axis(name: str, index: int) -> str:
    """The name of one axis of a run; no name of a file can look like it."""
    return f"{name}.{index}"


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


def _fill_open(sizes: list[int], total: int, span: Span) -> list[int]:
    known = prod(size for size in sizes if size)
    if sizes.count(0) > 1:
        raise fail("E419", "of a group only one size may be left open", span)
    if total % known or (0 not in sizes and known != total):
        raise Inapplicable(f"an axis of {total} cannot be split into {' x '.join(str(n or '?') for n in sizes)}", span)
    return [size or total // known for size in sizes]


def _distinct(axes: Sequence[str | None], span: Span) -> None:
    names = [name for name in axes if name is not None]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise fail("E418", f"two axes are called `{twice}`", span, help="name one of them otherwise: `x[i, j]`")


def _position(value: Value, axis: str, span: Span) -> int:
    if axis not in value.axes:
        named = [f"`{name}`" for name in value.axes if name is not None]
        have = ", ".join(named) if named else "none with a name"
        raise fail("E418", f"there is no axis `{axis}` here", span, help=f"the axes are {have}")
    return value.axes.index(axis)


def _letters(axes: Mapping[str, int]) -> dict[str, str]:
    """A letter for each axis, its own first letter if free; `b` is kept for the batch."""
    free = [c for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" if c != "b"]
    chosen: dict[str, str] = {}
    for axis in axes:
        letter = axis[0] if axis[0] in free else free[0]
        free.remove(letter)
        chosen[axis] = letter
    return chosen


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
