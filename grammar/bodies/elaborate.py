"""What an operator computes: its body, over named axes, made into a list of plain steps.

`elaborate` walks the body once, at given sizes and without torch. The steps that it gives are
what the costs are read from, what the interpreter runs and what the emitter prints, so the three
cannot disagree about axes. Axis numbers in steps leave the batch out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from ein.grammar.bodies import words as body_words
from ein.grammar.bodies.calls import Layer, apply_layer
from ein.grammar.bodies.expressions import Expressions
from ein.grammar.bodies.lines import read_line
from ein.grammar.bodies.pruned import pruned
from ein.grammar.bodies.tensors import Body, Tape, Value
from ein.grammar.bodies.words import unwrap
from ein.grammar.diagnostics import fail
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Inapplicable
from ein.grammar.types import Bundle, Tensor, ValueType, leaves

Trace: TypeAlias = tuple[Tape, list[int]]
"""All that a body computes, and the steps of its results."""


def elaborate(
    declaration: s.OpDecl, env: Mapping[str, Any], input: ValueType, output: ValueType, tape: Tape | None = None
) -> Body:
    """The steps of an operator at the sizes of `env`; `tape` is what they are recorded on, an empty one if not given.

    Raises Inapplicable where sizes do not fit, EinError where the body is wrong whatever the sizes.
    """
    return pruned(*trace(declaration, env, input, output, tape))


def trace(
    declaration: s.OpDecl, env: Mapping[str, Any], input: ValueType, output: ValueType, tape: Tape | None = None
) -> Trace:
    """What `elaborate` goes by, and all that can fail of it."""
    return _Elaborator(declaration, env, input, output, tape or Tape(declaration.span)).run()


class _Elaborator:
    def __init__(
        self, declaration: s.OpDecl, env: Mapping[str, Any], input: ValueType, output: ValueType, tape: Tape
    ) -> None:
        self.declaration = declaration
        self.input = input
        self.output = output
        self.body = Expressions(env, tape)
        self.values, self.tape, self.axes = self.body.values, self.body.tape, self.body.axes
        self.only: Value | None = None
        """The input, where it is one tensor."""

    def run(self) -> Trace:
        declaration, body = self.declaration, self.declaration.body
        if body is None:
            raise fail("E410", f"`{declaration.name}` has no `= body`", declaration.span)
        inputs = [self._input(i, leaf) for i, leaf in enumerate(leaves(self.input))]
        match body:
            case s.Name("wires"):
                return self.tape, body_words.route(declaration, self.body.env, self.input, self.output)
            case s.Name("zeros"):
                return self._made(body_words.zeros(self.tape, inputs[0], self.output), body)
            case s.Name("rearrange"):
                given = self._bound(declaration.input, self.input, iter(inputs))
                return self._made(body_words.rearrange(declaration, self.tape, self.axes, given), body)
            case s.Name("einsum"):
                given = self._bound(declaration.input, self.input, iter(inputs))
                return self._made(body_words.einsum(declaration, self.tape, self.axes, given), body)
        self._name_inputs(iter(inputs))
        for line in declaration.lines:
            read_line(self.body, line)
        self._label()
        return self._made(self.body.evaluate(body), body)

    def _made(self, result: Any, body: s.Expr) -> Trace:
        return self.tape, [value.step for value in self._results(result, body)]

    def _label(self) -> None:
        """Gives values the names that the author gave them."""
        for name, value in self.values.items():
            if isinstance(value, Value) and not value.batched:
                self.tape.steps[value.step] = self.tape.steps[value.step].labelled(name)

    # --- inputs

    def _input(self, index: int, leaf: Tensor) -> Value:
        step = self.tape.step("input", (), leaf.sizes, arguments=(("which", index),), element=leaf.element)
        return Value(step, (None,) * len(leaf.sizes), leaf.sizes, True, leaf.element)

    def _name_inputs(self, inputs: Iterator[Value]) -> None:
        """Binds `x`, `x y z`, `xs`, or the names that the signature gives."""
        pattern = unwrap(self.declaration.input)
        if isinstance(pattern, s.BundleType) and isinstance(self.input, Bundle):
            for name, member, type in zip(
                _names(len(pattern.members)), pattern.members, self.input.members, strict=True
            ):
                self.values[member.name or name] = self._bound(member.type, type, inputs)
            return
        default = "xs" if isinstance(pattern, s.PowerType) else "x"
        found = self._bound(pattern, self.input, inputs)
        self.only = found if isinstance(found, Value) else None
        self.values[_name_of_one(self.declaration.input) or default] = found

    def _bound(self, pattern: s.Type, type: ValueType, inputs: Iterator[Value], member: int = 0) -> Any:
        """The next of the inputs with the axes that its pattern names, or a list of such for a bundle."""
        pattern = unwrap(pattern)
        if isinstance(type, Tensor):
            return self._named(next(inputs), pattern, member)
        match pattern:
            case s.PowerType(base, _):
                return [self._bound(base, each, inputs, i) for i, each in enumerate(type.members)]
            case s.BundleType(members):
                return [self._bound(m.type, each, inputs) for m, each in zip(members, type.members, strict=True)]
        raise fail("E411", "a body computes with tensors, and a bare `t` can be a bundle", pattern.span)

    def _named(self, value: Value, type: s.Type, member: int) -> Value:
        """The input with the axes that its pattern names; a grid `(h, w)` is split in two."""
        if not isinstance(type, s.KindType):
            return value
        names = _plain_names(type)
        if names is not None:
            self.tape.sizes.update(zip(names, value.sizes, strict=True))
            named = Value(value.step, names, value.sizes, True, value.element)
            self.body.whole[named.step] = value
            return named
        groups = [self.axes.dim_axes(dim, member) for dim in type.dims]
        flat = _first_of_each([group for entry in groups for group in entry])
        named = self.tape.split_axes(value, flat, type.span)
        self.body.whole[named.step] = value
        return named

    # --- results

    def _results(self, result: Any, body: s.Expr) -> list[Value]:
        wanted = list(leaves(self.output))
        if isinstance(result, Layer):
            if self.only is None or result.row.tensors != 1:
                raise fail("E414", f"say what `{result.row.name}` is applied to: a second call", body.span)
            result = apply_layer(self.body, result, [self.only], body.span)
        values = [self.body.tensor(each, body) for each in (result if isinstance(result, list) else [result])]
        if len(values) != len(wanted):
            raise Inapplicable(f"the body gives {len(values)} tensors, and the signature {len(wanted)}", body.span)
        patterns = _leaf_patterns(self.declaration.output, self.output)
        return [self._fit(*each, body) for each in zip(values, wanted, patterns, strict=True)]

    def _fit(self, value: Value, wanted: Tensor, pattern: s.Type, body: s.Expr) -> Value:
        """Lays a result out as the signature says where all names agree; else sizes must agree as they stand."""
        if not value.batched:
            raise fail("E416", "the result does not depend on the input", body.span)
        if isinstance(pattern, s.KindType) and None not in value.axes and value.axes != _plain_names(pattern):
            groups = [[name for name, _ in group] for dim in pattern.dims for group in self.axes.dim_axes(dim, 0)]
            names = [name for group in groups for name in group]
            if len(names) == len(value.axes) and set(names) == set(value.axes):
                value = self.tape.arrange(value, groups, body.span)
        if value.sizes != wanted.sizes:
            raise Inapplicable(f"the body gives {list(value.sizes)}, and the signature {list(wanted.sizes)}", body.span)
        if wanted.element == "bool" and value.element in ("float", "int"):
            return self.tape.value("truth", [value], value.axes, value.sizes, element="bool")
        if value.element != wanted.element:
            text = f"the body gives {value.element}, and `{wanted.kind}` holds {wanted.element}"
            raise Inapplicable(text, body.span)
        return value


def _leaf_patterns(pattern: s.Type, type: ValueType) -> list[s.Type]:
    """The pattern of each tensor of a type, from left to right."""
    pattern = unwrap(pattern)
    if isinstance(type, Bundle):
        match pattern:
            case s.PowerType(base, _):
                return [each for member in type.members for each in _leaf_patterns(base, member)]
            case s.BundleType(members):
                pairs = zip(members, type.members, strict=True)
                return [each for member, inner in pairs for each in _leaf_patterns(member.type, inner)]
    return [pattern] * sum(1 for _ in leaves(type))


def _plain_names(type: s.KindType) -> tuple[str, ...] | None:
    """The axes of a shape of names that all differ, `im[c, h, w]`, which is the usual case."""
    names = tuple([dim.name for dim in type.dims if isinstance(dim, s.Name)])
    return names if len(set(names)) == len(type.dims) else None


def _first_of_each(groups: list[list[tuple[str | None, int]]]) -> list[list[tuple[str | None, int]]]:
    """The second axis of a name has none: `graph[n, n]` is to be named again, `x[i, j]`."""
    seen: set[str | None] = set()
    made = []
    for group in groups:
        made.append([(None if name in seen else name, size) for name, size in group])
        seen.update(name for name, _ in group)
    return made


def _name_of_one(type: s.Type) -> str | None:
    """The name that a single input has in a signature."""
    if isinstance(type, s.BundleType) and len(type.members) == 1:
        return type.members[0].name or _name_of_one(type.members[0].type)
    return None


def _names(count: int) -> list[str]:
    return ["x", "y", "z"][:count] if count <= 3 else [f"x{i + 1}" for i in range(count)]
