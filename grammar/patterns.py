"""The left side of a signature: a pattern that is matched against a type.

It is compiled once to a function of an environment. A pattern binds the names that are not bound
yet and compares the others; a run `*s` or `each d` binds a list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ein.grammar.diagnostics import Span, fail
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Env, Evaluate, Inapplicable, compile_expr, formula, free_names
from ein.grammar.types import (
    Bundle,
    Size,
    Tensor,
    ValueType,
    merge,
    merge_sizes,
    plain,
)

Bindings: TypeAlias = dict[str, Any]
Match: TypeAlias = Callable[[ValueType, Env], list[Bindings]]
"""All ways to match; more than one only where a shape has two runs, and a guard must choose."""

Kinds: TypeAlias = Mapping[str, tuple[tuple[str, ...], str]]
"""The declared kinds, each with its axes and its element type."""

KIND = "any"
"""The name under which a signature's `any` is bound; no dimension can be called so."""

ELEMENT = "element of any"
"""The name under which the element type of that kind is bound."""


def compile_pattern(
    type: s.Type,
    bound: set[str],
    kinds: Kinds,
    tensors_only: bool = False,
    lengths: Mapping[str, Evaluate] | None = None,
) -> Match:
    """The matcher of `type`; adds to `bound` the names it binds.

    With `tensors_only` a bare `t` is one tensor, as in operators that compute. `lengths` are those
    of runs that a guard fixes (`len(s) == axis - 1`), so that there is one split to try.
    """
    lengths = lengths or {}
    match type:
        case s.Blank():
            return _anything(tensors_only)
        case s.TypeName(name):
            no_bare_kind(type, kinds)
            return _variable(name, bound, tensors_only, type.span)
        case s.KindType(_, dims):
            _no_each(dims)
            return _tensor_pattern(type, bound, kinds, lengths)
        case s.BundleType((member,)):
            return compile_pattern(member.type, bound, kinds, tensors_only, lengths)
        case s.BundleType(members):
            parts = [compile_pattern(member.type, bound, kinds, tensors_only, lengths) for member in members]
            return _bundle_pattern(parts, type)
        case s.PowerType(base, count):
            return _power_pattern(base, count, bound, kinds, tensors_only, lengths)


def _anything(tensors_only: bool) -> Match:
    def match(value: ValueType, env: Env) -> list[Bindings]:
        if tensors_only and isinstance(value, Bundle):
            raise Inapplicable("needs one tensor, and this is {!r}", None, (value,))
        return [dict(env)]

    return match


def _variable(name: str, bound: set[str], tensors_only: bool, span: Span) -> Match:
    bound.add(name)

    def match(value: ValueType, env: Env) -> list[Bindings]:
        if tensors_only and isinstance(value, Bundle):
            raise Inapplicable("needs one tensor, and this is {!r}", None, (value,))
        known = env.get(name)
        if not isinstance(known, Tensor | Bundle | None):
            raise fail("E301", f"`{name}` is a size, not a type", span)
        merged = value if known is None else merge((known, value))
        if merged is None:
            raise Inapplicable("needs equal types, and these are {!r} and {!r}", None, (known, value))
        return [{**env, name: merged}]

    return match


def _bundle_pattern(parts: list[Match], type: s.Type) -> Match:
    def match(value: ValueType, env: Env) -> list[Bindings]:
        if not isinstance(value, Bundle) or len(value.members) != len(parts):
            raise Inapplicable("needs {} inputs, and this is {!r}", None, (len(parts), value))
        states: list[Bindings] = [dict(env)]
        for part, member in zip(parts, value.members, strict=True):
            states = [found for state in states for found in part(member, state)]
        return states

    return match


def _power_pattern(
    base: s.Type,
    count: s.Expr,
    bound: set[str],
    kinds: Kinds,
    tensors_only: bool,
    lengths: Mapping[str, Evaluate],
) -> Match:
    each = isinstance(base, s.KindType) and any(isinstance(dim, s.EachDim) for dim in base.dims)
    name = count.name if isinstance(count, s.Name) and count.name not in bound else None
    number = None if name else formula(count, frozenset(bound)).evaluate
    if name:
        bound.add(name)
    if each and isinstance(base, s.KindType):
        member = _tensor_pattern(base, bound, kinds, lengths)
    else:
        member = compile_pattern(base, bound, kinds, tensors_only, lengths)

    def match(value: ValueType, env: Env) -> list[Bindings]:
        if not isinstance(value, Bundle):
            raise Inapplicable("needs a bundle, and this is {!r}", None, (value,))
        n = len(value.members)
        if number is not None and number(env) != n:
            raise Inapplicable(f"needs {number(env)} inputs, and there are {n}")
        if name:
            env = {**env, name: n}
        if each:
            return member(value, env)
        merged = merge(value.members)
        if merged is None:
            raise Inapplicable("needs equal tensors, and these are {!r}", None, (value,))
        return member(merged, env)

    return match


def _no_each(dims: tuple[s.Dim, ...]) -> None:
    lone = next((dim for dim in dims if isinstance(dim, s.EachDim)), None)
    if lone is not None:
        message = f"`each {lone.name}` is the axis on which tensors side by side differ, and here is one tensor"
        raise fail("E301", message, lone.span, help="behind the type stands their number: `im[c, each h, w] ^ b`")


def _tensor_pattern(type: s.KindType, bound: set[str], kinds: Kinds, lengths: Mapping[str, Evaluate]) -> Match:
    if type.kind != KIND and type.kind not in kinds:
        raise unknown_kind(type, kinds)
    if type.kind == KIND:
        bound.add(KIND)
    simple = _simple_names(type, bound)
    if simple is not None:
        bound.update(simple)
        return _names_pattern(type.kind, simple)
    each = any(isinstance(dim, s.EachDim) for dim in type.dims)
    before: list[_Dim] = []
    runs: list[tuple[str, list[_Dim]]] = []
    for dim in type.dims:
        if isinstance(dim, s.Star):
            runs.append((_run_name(dim, bound), []))
        else:
            pattern = _dim_pattern(dim, bound)
            alike = each and not isinstance(dim, s.EachDim)
            (runs[-1][1] if runs else before).append(_alike(pattern) if alike else pattern)
    shape = _Shape(type.kind, before, runs, each, [lengths.get(name) for name, _ in runs])
    if each:
        return lambda value, env: _match_each(shape, value, env)
    return lambda value, env: _match_one(shape, value, env)


_Dim: TypeAlias = Callable[[Size, Bindings], None]
"""Binds or compares one dimension in place; raises Inapplicable."""


class _Shape:
    """A shape pattern cut at its runs: `before`, then each run with what follows it."""

    __slots__ = ("before", "each", "fixed", "kind", "lengths", "runs")

    def __init__(
        self,
        kind: str,
        before: list[_Dim],
        runs: list[tuple[str, list[_Dim]]],
        each: bool,
        lengths: list[Evaluate | None],
    ) -> None:
        self.kind, self.before, self.runs, self.each, self.lengths = kind, before, runs, each, lengths
        self.fixed = len(before) + sum(len(after) for _, after in runs)

    def splits(self, rank: int, env: Env) -> list[tuple[int, ...]]:
        """The lengths of the runs that make up `rank` axes."""
        free = rank - self.fixed
        if free < 0 or (free and not self.runs):
            return []
        if len(self.runs) < 2:
            return [(free,) if self.runs else ()]
        if len(self.runs) == 2 and self.lengths[0] is not None:
            first = self.lengths[0](env)
            return [(first, free - first)] if isinstance(first, int) and 0 <= first <= free else []
        return _compositions(free, len(self.runs))


def _compositions(total: int, parts: int) -> list[tuple[int, ...]]:
    if parts == 1:
        return [(total,)]
    return [(i, *rest) for i in range(total + 1) for rest in _compositions(total - i, parts - 1)]


def _simple_names(type: s.KindType, bound: set[str]) -> list[str] | None:
    """The names of a shape of new names only, `im[c, h, w]`, which is the usual case."""
    names = [dim.name for dim in type.dims if isinstance(dim, s.Name)]
    plain_ = len(names) == len(type.dims) and len(set(names)) == len(names) and type.kind != KIND
    return names if plain_ and not bound & set(names) else None


def _names_pattern(kind: str, names: list[str]) -> Match:
    def match(value: ValueType, env: Env) -> list[Bindings]:
        if isinstance(value, Bundle) or value.kind != kind:
            raise Inapplicable("needs the kind `{}`, and this is {!r}", None, (kind, value))
        if len(value.shape) != len(names):
            raise Inapplicable("needs {} axes, and this is {!r}", None, (len(names), value))
        found = dict(env)
        found.update(zip(names, value.shape, strict=True))
        return [found]

    return match


def _match_one(shape: _Shape, value: ValueType, env: Env) -> list[Bindings]:
    tensor_ = _of_kind(shape, value, env)
    return _match_splits(shape, tensor_, tensor_.shape, env)


def _match_splits(shape: _Shape, first: Tensor, sizes: tuple[Any, ...], env: Env) -> list[Bindings]:
    """All bindings; raises the last failure where there is none."""
    failure = None
    matches = []
    for split in shape.splits(len(sizes), env):
        found = dict(env)
        if shape.kind == KIND:
            found[KIND], found[ELEMENT] = first.kind, first.element
        try:
            _match_split(shape, sizes, split, found)
        except Inapplicable as error:
            failure = error
            continue
        matches.append(found)
    if not matches:
        raise failure or _no_split(shape, len(sizes), env)
    return matches


def _no_split(shape: _Shape, rank: int, env: Env) -> Inapplicable:
    first = shape.lengths[0](env) if shape.lengths and shape.lengths[0] is not None else 0
    if isinstance(first, int) and first < 0:
        return Inapplicable("has no such axis: axes count from 1; 0 is the batch")
    if isinstance(first, int) and first > 0 and rank >= shape.fixed:
        return Inapplicable(f"needs {first + shape.fixed} or more axes, and there are {rank}")
    return Inapplicable(f"needs {_wanted(shape)} axes, and there are {rank}")


def _wanted(shape: _Shape) -> str:
    return f"{shape.fixed} or more" if shape.runs else str(shape.fixed)


def _of_kind(shape: _Shape, value: ValueType, env: Env) -> Tensor:
    if isinstance(value, Bundle):
        raise Inapplicable("needs one tensor, and this is {!r}", None, (value,))
    wanted = env.get(KIND, value.kind) if shape.kind == KIND else shape.kind
    if value.kind != wanted:
        raise Inapplicable("needs the kind `{}`, and this is {!r}", None, (wanted, value))
    return value


def _match_split(shape: _Shape, sizes: tuple[Size, ...], split: tuple[int, ...], found: Bindings) -> None:
    position = 0
    for dim in shape.before:
        dim(sizes[position], found)
        position += 1
    for (name, after), length in zip(shape.runs, split, strict=True):
        run = list(sizes[position : position + length])
        _bind_run(name, [_one_size(column) for column in run] if shape.each else run, found)
        position += length
        for dim in after:
            dim(sizes[position], found)
            position += 1


def _bind_run(name: str, run: list[Size], found: Bindings) -> None:
    known = found.get(name)
    if known is not None:
        if not isinstance(known, list):
            raise fail("E301", f"`{name}` is one size and `*{name}` a run of axes", None)
        if [plain(a) for a in known] != [plain(b) for b in run]:
            raise Inapplicable("`*{}` is {} and {}", None, (name, known, run))
        run = [merge_sizes(pair) for pair in zip(known, run, strict=True)]
    found[name] = run


def _match_each(shape: _Shape, value: ValueType, env: Env) -> list[Bindings]:
    """Members that differ in the `each` axes only: those bind lists, the others must agree."""
    assert isinstance(value, Bundle)
    tensors = [_of_kind(shape, member, env) for member in value.members]
    if len({(t.kind, len(t.shape)) for t in tensors}) != 1:
        raise Inapplicable("needs tensors of one kind and rank, and these are {!r}", None, (value,))
    columns = tuple(zip(*(t.shape for t in tensors), strict=True))
    return _match_splits(shape, tensors[0], columns, env)


def _one_size(column: Any) -> Size:
    """The size of an axis on which all members must agree; `column` has one of each member."""
    if len({plain(size) for size in column}) != 1:
        raise Inapplicable("needs equal sizes but on one axis, and these are {}", None, (column,))
    return merge_sizes(column)


def _alike(pattern: _Dim) -> _Dim:
    return lambda column, found: pattern(_one_size(column), found)


def _run_name(dim: s.Star, bound: set[str]) -> str:
    if not isinstance(dim.operand, s.Name):
        raise fail("E301", "on the left a run is a name: `*s`", dim.span)
    bound.add(dim.operand.name)
    return dim.operand.name


def _dim_pattern(dim: s.Dim, bound: set[str]) -> _Dim:
    match dim:
        case s.Blank():
            return lambda size, found: None
        case s.EachDim(name):
            bound.add(name)

            def each(size: Size, found: Bindings) -> None:
                found[name] = [size] if isinstance(size, int) else list(size)  # a column: all members

            return each
        case s.Name(name) if name not in bound:
            bound.add(name)

            def bind(size: Size, found: Bindings) -> None:
                found[name] = size

            return bind
        case s.Name(name):
            return _compared_name(name, dim.span)
        case s.Group(items):
            return _grid_pattern([_dim_pattern(item.value, bound) for item in items])
        case _:
            return _compared(dim, bound)


def _compared_name(name: str, span: Span) -> _Dim:
    def compare(size: Size, found: Bindings) -> None:
        known = found[name]
        if not isinstance(known, int | tuple):
            raise fail("E301", f"`{name}` is no size, and is compared with one", span)
        if plain(size) != plain(known):
            raise Inapplicable("`{}` is {} and {}", None, (name, plain(known), plain(size)))
        if not isinstance(known, int):
            found[name] = merge_sizes((known, size))

    return compare


def _compared(expr: s.Expr, bound: set[str]) -> _Dim:
    unbound = [name for name in free_names(expr) if name not in bound]
    if unbound:
        message = f"an expression on the left is compared, and `{unbound[0]}` is not bound before it"
        raise fail(
            "E301",
            message,
            expr.span,
            help=f"write the size as a name and compare in `where`: `where … == {unbound[0]}`",
        )
    evaluate = compile_expr(expr)

    def compare(size: Size, found: Bindings) -> None:
        wanted = evaluate(found)
        if plain(size) != wanted:
            raise Inapplicable(f"needs the size {wanted}, and this is {plain(size)}")

    return compare


def _grid_pattern(parts: list[_Dim]) -> _Dim:
    def match(size: Size, found: Bindings) -> None:
        if isinstance(size, int) or len(size) != len(parts):
            raise Inapplicable(f"needs a dimension made of {len(parts)} parts, and this is {size}")
        for part, inner in zip(parts, size, strict=True):
            part(inner, found)

    return match


def check_kind(type: s.KindType, kinds: Kinds) -> None:
    """Raises EinError for a kind that is not declared, or that has another number of axes."""
    if type.kind == KIND:
        return
    if type.kind not in kinds:
        raise unknown_kind(type, kinds)
    axes, _ = kinds[type.kind]
    open_ended = any(isinstance(dim, s.Star) for dim in type.dims)
    if len(type.dims) != len(axes) and not open_ended:
        message = f"`{type.kind}` has {len(axes)} axes, {type.kind}[{', '.join(axes)}], and here are {len(type.dims)}"
        raise fail("E214", message, type.span)


def no_bare_kind(type: s.TypeName, kinds: Kinds) -> None:
    """Raises EinError for `im` in the place of `im[c, h, w]`, which would stand for any type."""
    name = type.name.partition("$")[0]  # what follows makes the names of a macro its own
    if name in kinds:
        whole = f"{name}[{', '.join(kinds[name][0])}]"
        raise fail("E209", f"`{name}` is a kind; write `{whole}`, or another name for any type", type.span)


def unknown_kind(type: s.KindType, kinds: Kinds) -> Exception:
    from ein.grammar.numbers import nearest

    declared = ", ".join(sorted(kinds)) or "none; `import std` declares im, seq, vec"
    return fail(
        "E202",
        f"there is no tensor kind `{type.kind}`",
        type.span,
        help=nearest(type.kind, kinds, f"declared: {declared}"),
    )
