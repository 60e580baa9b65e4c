"""What the bodies that are used most cost, told from sizes without going through the body.

These are a layer on the input or on means of it, and weights that are added to the input or multiplied with it. What
is told must be what the steps of the body come to: tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

from ein.grammar.bodies.rows import Row, Sizes, bind
from ein.grammar.bodies.tensors import MAX_ELEMENTS
from ein.grammar.bodies.vetted import LAYERS
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Inapplicable
from ein.grammar.types import plain

Tell: TypeAlias = Callable[[Mapping[str, Any], Sizes, Sizes], "tuple[int, int] | None"]
"""Parameters and MACs from the values of names and the sizes of the one input and the output; None: not told."""


@dataclass(frozen=True, slots=True)
class Told:
    """`names` are those that `tell` needs."""

    names: frozenset[str]
    tell: Tell


def told(declaration: s.OpDecl) -> Told | None:
    """For an operator on one tensor of floats that gives one; None where its body is another."""
    if not isinstance(declaration.input, s.KindType):
        return None
    axes = [_axis(dim) for dim in declaration.input.dims]
    if None in axes or len(set(axes)) < len(axes):
        return None
    match declaration.lines, declaration.body:
        case (), s.Call(s.Dotted(name), arguments):
            return _layer(name, arguments, None)
        case (), s.Call(s.Call(s.Dotted(name), arguments), (s.Argument(s.Name("x"), None),)):
            return _layer(name, arguments, None)
        case (), s.Call(
            s.Call(s.Dotted(name), arguments),
            (s.Argument(s.Call(s.Index(s.Name("mean"), over), (s.Argument(s.Name("x"), None),)), None),),
        ):
            kept = _left(declaration.input.dims, over)
            return _layer(name, arguments, kept) if kept is not None else None
        case (s.WeightLine("param", (weight,)),), s.Binary("+" | "*", s.Name("x"), s.Name(name)) if weight.name == name:
            return _weighted(weight, axes)
    return None


def _axis(dim: s.Dim) -> str | None:
    """The name of an axis, or of a run of them."""
    match dim:
        case s.Name(name) | s.Star(s.Name(name)):
            return name
        case _:
            return None


def _left(dims: Sequence[s.Dim], over: Sequence[s.Axis]) -> list[int] | None:
    """The axes that are left of a mean; None where their places are not known."""
    gone = [axis.value.name for axis in over if isinstance(axis.value, s.Name) and axis.name is None]
    names = [dim.name for dim in dims if isinstance(dim, s.Name)]
    if len(gone) < len(over) or len(names) < len(dims) or not {*gone} <= {*names} or len({*gone}) < len(gone):
        return None
    return [axis for axis, name in enumerate(names) if name not in gone]


def _layer(name: str, arguments: Sequence[s.Argument], kept: Sequence[int] | None) -> Told | None:
    """A layer on the axes of the input that are kept, None: on all."""
    row = LAYERS.get(name)
    values = [(each.name, value) for each in arguments if (value := _value(each.value)) is not None]
    needs = frozenset(each.value.name for each in arguments if isinstance(each.value, s.Name))
    if row is None or row.tensors != 1 or row.element != "float" or len(values) < len(arguments) or "x" in needs:
        return None

    def tell(env: Mapping[str, Any], input: Sizes, output: Sizes) -> tuple[int, int] | None:
        positional = [value(env) for name, value in values if name is None]
        named = {name: value(env) for name, value in values if name is not None}
        return _facts(row, positional, named, input if kept is None else tuple([input[axis] for axis in kept]), output)

    return Told(needs, tell)


def _facts(
    row: Row, positional: list[Any], named: dict[str, Any], input: Sizes, output: Sizes
) -> tuple[int, int] | None:
    try:
        facts = row.facts(bind(row, positional, named), input)
    except (Inapplicable, ValueError):
        return None
    if facts.sizes != output or max(prod(input), prod(output)) > MAX_ELEMENTS:
        return None
    return sum([prod(shape) for shape in facts.weights.values()]), facts.macs


def _value(expr: s.Expr) -> Callable[[Mapping[str, Any]], Any] | None:
    """A name or a number of a call."""
    match expr:
        case s.Name(name):
            return lambda env: plain(env[name]) if type(env[name]) is tuple else env[name]
        case s.Number() | s.Boolean():
            number = expr.value
            return lambda env: number
        case _:
            return None


def _weighted(weight: s.Weight, axes: Sequence[str | None]) -> Told | None:
    """Weights with axes of the input, that start at random."""
    own = [_axis(axis.value) if axis.name is None else None for axis in weight.axes or ()]
    match weight.value:
        case s.Call(s.Name("normal" | "uniform"), arguments) if weight.random and weight.tied_by is None:
            plainly = all(_value(argument.value) is not None and argument.name is None for argument in arguments)
        case _:
            plainly = False
    if not plainly or not own or None in own or len(set(own)) < len(own) or not set(own) <= set(axes):
        return None

    def tell(env: Mapping[str, Any], input: Sizes, output: Sizes) -> tuple[int, int] | None:
        sizes = [env[name] for name in own if name is not None]
        count = prod([prod(map(plain, size)) if isinstance(size, list) else plain(size) for size in sizes])
        return (count, 0) if input == output and prod(input) <= MAX_ELEMENTS else None

    return Told(frozenset(name for name in own if name is not None), tell)
