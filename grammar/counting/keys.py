"""What a signature asks of several inputs: the sizes that all of them must share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ein.grammar.cfg import Application, Operator
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Formula, Inapplicable, formula, permuted
from ein.grammar.patterns import KIND

Form: TypeAlias = tuple[str, int]
"""Kind and number of axes."""

Outline: TypeAlias = tuple[Any, ...]
"""Of the sizes of a shape, 0 for a number; for what is put together of several, theirs."""

Sort: TypeAlias = tuple[str, Any]
"""A form or, where a size is put together of others, a kind and an outline."""

Forms: TypeAlias = tuple[Form | None, ...]
"""Of each member; None: it is no live tensor of floats."""


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """The axes of each member whose sizes are the key; `exact`: members of equal keys always fit together, and
    what comes out is of one form, provided that the sizes of the axis `summed` add up to a size."""

    axes: tuple[tuple[int, ...], ...]
    exact: bool = False
    summed: int | None = None
    same: bool = False
    """Whether members that are equal give one of them."""
    added: bool = False
    """Whether members that agree but for the axis `summed` give their type with the sum of its sizes there."""


NO_KEY = Key(())


def sort_of(kind: str, outline: Outline) -> Sort:
    return kind, outline if any(outline) else len(outline)


def form_of(sort: Sort) -> Form:
    kind, axes = sort
    return kind, axes if isinstance(axes, int) else len(axes)


def key_of(application: Application, forms: tuple[Form, ...]) -> Key | None:
    """None: members of these forms are refused."""
    found = []
    for operator, arguments in application.forms:
        key = _of_operator(operator, arguments, forms)
        if key is not None:
            found.append(key)
    if not found:
        return None
    return found[0] if len(found) == 1 else NO_KEY


def _of_operator(operator: Operator, arguments: Mapping[str, Any], forms: Any) -> Key | None:
    places = _Places(operator, arguments, len(forms))
    try:
        return places.key(operator.declaration.input, forms)
    except _Open:
        return NO_KEY


def sort_after(application: Application, sort: Sort) -> Sort | None:
    """The sort of what an operator makes of one tensor of a sort, wherever it takes it; None: it may be another."""
    kind, axes = sort
    outline = (0,) * axes if isinstance(axes, int) else axes
    found: set[Sort | None] = set()
    for operator, arguments in application.forms:
        places = _Places(operator, arguments, 1)
        try:
            if places.one(operator.declaration.input, (kind, len(outline))):
                found.add(places.output(sort, outline))
        except _Open:
            return None
    return found.pop() if len(found) == 1 else None


class _Open(Exception):
    """The signature does not say which sizes are compared."""


class _Places:
    def __init__(self, operator: Operator, arguments: Mapping[str, Any], count: int) -> None:
        self.operator = operator
        self.arguments = arguments
        self.count = count
        self.runs: dict[str, int] = {}
        self.places: list[tuple[s.Dim, int, int]] = []
        self.exact = operator.host is None and not operator.kills

    def key(self, type: s.Type, forms: tuple[Form, ...]) -> Key | None:
        match type:
            case s.BundleType((member,)):
                return self.key(member.type, forms)
            case s.PowerType(base, number):
                if not self._copies(number) or len(set(forms)) > 1:
                    return None
                return self._power(base, forms[0])
            case s.BundleType(members) if len(members) == self.count:
                return self._members([member.type for member in members], forms)
            case s.TypeName() | s.Blank():
                raise _Open
            case _:
                return None

    def one(self, type: s.Type, form: Form) -> bool:
        """Whether a single tensor of the form may fit; raises _Open."""
        match type:
            case s.BundleType((member,)):
                return self.one(member.type, form)
            case s.KindType():
                spans = self._spans(type, form)
                self.places = spans or []
                return spans is not None
            case s.TypeName() | s.Blank():
                return True
            case _:
                return False

    def output(self, sort: Sort, outline: Outline) -> Sort | None:
        """After `one`, of an input whose axes are put together as `outline` says."""
        match self.operator.declaration.output:
            case _ if not self.exact:
                return None
            case s.TypeName(name) if self.operator.declaration.input == s.TypeName(name):
                return sort
            case s.KindType(kind, dims) if kind == KIND or self.operator.kinds[kind][1] == "float":
                found = self._outlines(dims, self._named(outline), any(outline))
                return None if found is None else sort_of(sort[0] if kind == KIND else kind, found)
            case _:
                return None

    def _named(self, outline: Outline) -> dict[str, Outline]:
        """What the names of the pattern stand for; those of which there are several are numbers alone."""
        found: dict[str, Outline] = {}
        for dim, first, last in self.places:
            match dim:
                case s.Name(name) | s.Star(s.Name(name)):
                    known = found.get(name, outline[first:last])
                    found[name] = known if known == outline[first:last] else (0,) * (last - first)
                case s.Group(items) if isinstance(outline[first], tuple):
                    names = [item.value.name for item in items if isinstance(item.value, s.Name)]
                    found |= {name: (part,) for name, part in zip(names, outline[first], strict=False)}
        return found

    def _outlines(self, dims: Sequence[s.Dim], named: Mapping[str, Outline], any: bool) -> Outline | None:
        """Of what dimensions stand for; what is computed is a number."""
        found: list[Any] = []
        for dim in dims:
            match dim:
                case s.Star(s.Name(run)) if run in named:
                    found += named[run]
                case s.Star(s.Call(s.Name("permuted"), (s.Argument(s.Name(run)), s.Argument(s.Name(order))))) if (
                    run in named and order in self.arguments
                ):
                    found += permuted(list(named[run]), self.arguments[order])
                case s.Star():
                    return None
                case s.Group(items):
                    parts = self._outlines([item.value for item in items], named, any)
                    if parts is None:
                        return None
                    found.append(parts)
                case s.Name(name):
                    found += named.get(name, (0,))
                case s.Binary() | s.Number():
                    found.append(0)
                case _ if any:
                    return None
                case _:
                    found.append(0)
        return tuple(found)

    def _copies(self, number: s.Expr) -> bool:
        if isinstance(number, s.Name) and number.name not in self.arguments:
            self.arguments = {**self.arguments, number.name: self.count}
            return True
        wanted = formula(number)
        if not wanted.names <= self.arguments.keys():
            raise _Open
        return bool(wanted.evaluate(self.arguments) == self.count)

    def _power(self, base: s.Type, form: Form) -> Key | None:
        every = tuple(range(form[1]))
        if not isinstance(base, s.KindType):
            exact = self.exact and isinstance(base, s.TypeName) and not self.operator.guards
            exact = exact and isinstance(self.operator.declaration.output, s.TypeName)
            return Key((every,) * self.count, exact, None, exact)
        spans = self._spans(base, form)
        if spans is None:
            return None
        free = [(first, dim.name) for dim, first, _ in spans if isinstance(dim, s.EachDim)]
        kept = tuple(axis for axis in every if axis not in {first for first, _ in free})
        if not free:
            return Key((every,) * self.count)
        sure = len(free) == 1 and self._all_names(spans)
        summed, fits = self._output(free[0][1])
        exact = self.exact and sure and fits and self._guards()
        added = exact and summed and self._added(base, free[0][1])
        return Key((kept,) * self.count, exact, free[0][0] if summed else None, False, added)

    def _added(self, base: s.KindType, each: str) -> bool:
        """Whether the output is written as an input, with the sum of sizes in the place of `each`."""
        output = self.operator.declaration.output
        if not isinstance(output, s.KindType) or (output.kind, len(output.dims)) != (base.kind, len(base.dims)):
            return False
        total = s.Call(s.Name("sum"), (s.Argument(s.Name(each)),))
        return all(
            after == (total if isinstance(before, s.EachDim) else before)
            for before, after in zip(base.dims, output.dims, strict=True)
        )

    def _members(self, types: Sequence[s.Type], forms: tuple[Form, ...]) -> Key | None:
        """One pattern for each member: what all of them name is the key."""
        places: list[dict[str, list[int]]] = []
        for type, form in zip(types, forms, strict=True):
            if not isinstance(type, s.KindType):
                raise _Open
            spans = self._spans(type, form)
            if spans is None:
                return None
            self.exact = self.exact and self._all_names(spans)
            places.append({})
            for dim, first, last in spans:
                name = _name(dim)
                if name is not None:
                    places[-1][name] = list(range(first, last))
        if any(isinstance(type, s.KindType) and type.kind == KIND for type in types):
            kinds = {form[0] for type, form in zip(types, forms, strict=True) if type.kind == KIND}  # type: ignore[union-attr]
            if len(kinds) > 1:
                return None
        shared = [name for name in places[0] if all(name in other for other in places[1:])]
        if any(len(other[name]) != len(places[0][name]) for name in shared for other in places):
            return None
        alone = all(sum(name in other for other in places) == 1 for p in places for name in p if name not in shared)
        axes = tuple(tuple(axis for name in shared for axis in place[name]) for place in places)
        _, fits = self._output(None)
        return Key(axes, self.exact and alone and fits and self._guards())

    def _all_names(self, spans: Sequence[tuple[s.Dim, int, int]]) -> bool:
        """Whether each dimension is a name of its own, so that nothing else is compared."""
        names = [name for dim, _, _ in spans if (name := _name(dim)) is not None]
        return len(names) == len(spans) == len(set(names)) and not set(names) & self.arguments.keys()

    def _guards(self) -> bool:
        """Whether all guards hold by the arguments and the numbers of axes alone."""
        env = {**self.arguments, **{name: [1] * length for name, length in self.runs.items()}}
        return all(
            guard.names <= env.keys() and _lengths_only(guard.expr, self.runs) and _holds(guard, env)
            for guard in self.operator.guards
        )

    def _output(self, each: str | None) -> tuple[bool, bool]:
        """Whether the sizes of `each` are summed, and whether all other sizes of the output are those of inputs."""
        output = self.operator.declaration.output
        if not isinstance(output, s.KindType):
            return False, False
        summed = False
        for dim in output.dims:
            match dim:
                case s.Name(name) if name != each and name not in self.arguments:
                    pass
                case s.Star(s.Name()):
                    pass
                case s.Call(s.Name("sum"), (s.Argument(s.Name(name)),)) if name == each:
                    summed = True
                case _:
                    return False, False
        return summed, True

    def _spans(self, pattern: s.KindType, form: Form) -> list[tuple[s.Dim, int, int]] | None:
        """The axes that each dimension of a pattern stands for; None: there are too few or too many."""
        kind, axes = form
        stars = [dim for dim in pattern.dims if isinstance(dim, s.Star)]
        free = axes - (len(pattern.dims) - len(stars))
        if pattern.kind not in (KIND, kind) or free < 0 or (free and not stars):
            return None
        if not all(map(_named, stars)):
            raise _Open
        ways = [way for way in _lengths(free, len(stars)) if self._allowed(stars, way)]
        if not ways:
            return None
        if len(ways) > 1:
            raise _Open
        found, at, left = [], 0, iter(ways[0])
        for dim in pattern.dims:
            wide = next(left) if isinstance(dim, s.Star) else 1
            found.append((dim, at, at + wide))
            at += wide
        self.runs |= {star.operand.name: length for star, length in zip(stars, ways[0], strict=True)}  # type: ignore[union-attr]
        return found

    def _allowed(self, stars: Sequence[s.Star], lengths: Sequence[int]) -> bool:
        """Whether the guards that depend on numbers of axes alone let runs have these lengths."""
        env: dict[str, Any] = {**self.arguments}
        env |= {star.operand.name: [1] * length for star, length in zip(stars, lengths, strict=True)}  # type: ignore[union-attr]
        for guard in self.operator.guards:
            decided = guard.names <= env.keys() and _lengths_only(guard.expr, env.keys() - self.arguments.keys())
            if decided and not _holds(guard, env):
                return False
        return True


def _holds(guard: Formula, env: Mapping[str, Any]) -> bool:
    try:
        return bool(guard.evaluate(env))
    except Inapplicable:
        return False


def _named(star: s.Star) -> bool:
    return isinstance(star.operand, s.Name)


def _name(dim: s.Dim) -> str | None:
    match dim:
        case s.Name(name) | s.EachDim(name) | s.Star(s.Name(name)):
            return name
        case _:
            return None


def _lengths(free: int, runs: int) -> list[tuple[int, ...]]:
    if runs < 2:
        return [(free,) * runs]
    return [(length, *rest) for length in range(free + 1) for rest in _lengths(free - length, runs - 1)]


def _lengths_only(expr: s.Expr, runs: Any) -> bool:
    """Whether the runs stand in `len(s)` only."""
    match expr:
        case s.Call(s.Name("len"), (s.Argument(s.Name()),)):
            return True
        case s.Name(name):
            return name not in runs
        case s.Binary(_, left, right):
            return _lengths_only(left, runs) and _lengths_only(right, runs)
        case s.Number():
            return True
        case _:
            return False
