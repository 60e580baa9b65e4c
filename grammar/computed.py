"""The right side of a signature: types computed from an environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ein.grammar.diagnostics import Span, fail
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Inapplicable, formula
from ein.grammar.patterns import ELEMENT, KIND, Bindings, Kinds, check_kind, no_bare_kind
from ein.grammar.types import MAX_SIZE, Bundle, Size, Tensor, ValueType, bundle, plain, tensor

MAX_TENSORS = 4096
"""Tensors side by side."""

Build: TypeAlias = Callable[[Bindings], ValueType]
"""Raises Inapplicable where a size does not exist."""


def compile_type(type: s.Type, bound: set[str], kinds: Kinds) -> Build:
    """The function that computes a type from an environment; raises Inapplicable."""
    match type:
        case s.Blank():
            raise fail("E302", "`_` cannot be computed; it stands for any type on the left only", type.span)
        case s.TypeName(name):
            no_bare_kind(type, kinds)
            if name not in bound:
                raise fail("E302", f"`{name}` is not bound on the left", type.span)
            return lambda env: _type_named(name, env, type.span)
        case s.KindType():
            return _tensor_type(type, bound, kinds)
        case s.BundleType((member,)):
            return compile_type(member.type, bound, kinds)
        case s.BundleType(members):
            parts = [compile_type(member.type, bound, kinds) for member in members]
            return lambda env: side_by_side([part(env) for part in parts])
        case s.PowerType(base, count):
            member_type = compile_type(base, bound, kinds)
            number = formula(count, frozenset(bound)).evaluate
            return lambda env: _power(member_type(env), number(env))


def _type_named(name: str, env: Bindings, span: Span) -> ValueType:
    found = env[name]
    if not isinstance(found, Tensor | Bundle):
        raise fail("E302", f"`{name}` is a size, not a type", span)
    return found


def _power(member: ValueType, count: Any) -> ValueType:
    if not isinstance(count, int) or not 2 <= count <= 4096:
        raise Inapplicable(f"a bundle has 2 to 4096 members, not {count}")
    return side_by_side([member] * count)


def side_by_side(parts: Sequence[ValueType], span: Span | None = None) -> ValueType:
    """The bundle of `parts`; raises Inapplicable where it would hold more than `MAX_TENSORS`."""
    found = bundle(parts)
    if found.tensors > MAX_TENSORS:
        raise Inapplicable(f"a bundle holds at most {MAX_TENSORS:,} tensors, not {found.tensors:,}", span)
    return found


def _tensor_type(type: s.KindType, bound: set[str], kinds: Kinds) -> Build:
    check_kind(type, kinds)
    if type.kind == KIND and KIND not in bound:
        raise fail("E302", "`any` on the right is the kind of an `any` on the left, and there is none", type.span)
    dims = [build_dim(dim, bound) for dim in type.dims]
    kind = None if type.kind == KIND else type.kind
    element = "float" if kind is None else kinds[kind][1]

    def build(env: Bindings) -> ValueType:
        shape: list[Size] = []
        for dim in dims:
            dim(env, shape)
        if kind is None:
            return tensor(env[KIND], shape, element=env.get(ELEMENT, "float"))
        return tensor(kind, shape, element=element)

    return build


def build_dim(dim: s.Dim, bound: set[str]) -> Callable[[Bindings, list[Size]], None]:
    """A function that appends the size (of a run: the sizes) of `dim` to a shape."""
    match dim:
        case s.Star(s.Name(name)):
            _known(name, dim, bound)
            return lambda env, shape: shape.extend(_run(env[name], dim.span))
        case s.Star(operand):
            run = formula(operand, frozenset(bound)).evaluate
            return lambda env, shape: shape.extend(_run(run(env), dim.span))
        case s.Name(name):
            _known(name, dim, bound)

            def named(env: Bindings, shape: list[Size]) -> None:
                size = env[name]
                shape.append(size if type(size) is int and 1 <= size <= MAX_SIZE else check_size(size, dim))

            return named
        case s.Group(items):
            parts = [build_dim(item.value, bound) for item in items]

            def grid(env: Bindings, shape: list[Size]) -> None:
                inner: list[Size] = []
                for part in parts:
                    part(env, inner)
                shape.append(check_size(tuple(inner), dim))

            return grid
        case s.Blank() | s.EachDim():
            raise fail("E302", "the right side is computed: it has sizes only", dim.span)
        case _:
            number = formula(dim, frozenset(bound)).evaluate
            return lambda env, shape: shape.append(check_size(number(env), dim))


def _run(value: Any, span: Span) -> list[Size]:
    if not isinstance(value, list):
        raise fail("E302", "`*` stands before a run of axes, `*s`, and this is none", span)
    return value


def _known(name: str, dim: s.Dim, bound: set[str]) -> None:
    if name not in bound:
        raise fail(
            "E302",
            f"`{name}` is not bound on the left",
            dim.span,
            help="in an operator every size on the right follows from the left and the parameters",
        )


def check_size(size: Any, dim: s.Dim) -> Size:
    """The size itself; raises Inapplicable if it is no size."""
    number = plain(size) if isinstance(size, tuple) else size
    if not isinstance(number, int) or isinstance(number, bool):
        raise Inapplicable(f"a size is an integer, not {number!r}", dim.span)
    if not 1 <= number <= MAX_SIZE:
        raise Inapplicable(f"a size is at least 1 and at most 2^31, not {number}", dim.span)
    checked: Size = size
    return checked
