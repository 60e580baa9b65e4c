"""Where the names of a signature's left side stand in inputs of one form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ein.grammar.closed_outputs import Open
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import formula
from ein.grammar.patterns import ELEMENT, KIND
from ein.grammar.size_places import (
    Check,
    Column,
    Pair,
    Read,
    all_at,
    shared_run,
    shared_size,
    size_part,
    sizes_at,
)
from ein.grammar.types import Regular


class Places:
    """Where the names of a pattern stand in an input of a form; `pairs` and `checks` are what it has to be like."""

    def __init__(self, arguments: Mapping[str, Any], form: Regular) -> None:
        self.kind, self.axes, self.count = form
        self.constants: dict[str, Any] = {**arguments, KIND: self.kind, ELEMENT: "float"}
        self.arguments = frozenset(arguments)
        self.checks: list[Check] = []
        self.pairs: list[Pair] = []
        self.reads: dict[str, Read] = {}
        self.runs: dict[str, int] = {}
        self.spans: dict[str, tuple[int, int]] = {}
        """Axes of the one input, or of equal ones, that a name stands for."""
        self.merges = False
        self.each: set[str] = set()
        self.sizes: set[str] = set()
        """Names that stand for one size of one input."""

    # --- the left side

    def input(self, type: s.Type, guards: Sequence[s.Expr]) -> bool:
        """Whether the form fits at all; raises Open."""
        match type:
            case s.BundleType((member,)):
                return self.input(member.type, guards)
            case s.TypeName() | s.Blank() | s.KindType() if self.count == 1:
                return self._one(type, guards)
            case s.PowerType(base, number) if self.count > 1:
                return self._copies(number) and self._power(base, guards)
            case s.BundleType(members) if len(members) == self.count and all(
                isinstance(member.type, s.KindType) for member in members
            ):
                return self._members([member.type for member in members], guards)
            case s.BundleType() | s.PowerType() | s.KindType():
                if not isinstance(type, s.BundleType) or len(type.members) != self.count:
                    return False
        raise Open

    def _copies(self, number: s.Expr) -> bool:
        if isinstance(number, s.Name) and number.name not in self.constants:
            self.constants[number.name] = self.count
            return True
        counted = formula(number)
        if not counted.names <= self.arguments:
            raise Open
        return bool(counted.evaluate(self.constants) == self.count)

    def _power(self, base: s.Type, guards: Sequence[s.Expr]) -> bool:
        if isinstance(base, s.KindType) and any(isinstance(dim, s.EachDim) for dim in base.dims):
            return self._each(base, guards)
        self.merges = True
        self._agree(range(self.axes))
        return self._one(base, guards)

    def _one(self, type: s.Type, guards: Sequence[s.Expr]) -> bool:
        match type:
            case s.TypeName(name) if name not in self.constants:
                self.reads[name] = lambda source: source
                return True
            case s.Blank():
                return True
            case s.KindType(kind, dims):
                spans = self._spans(kind, dims, guards)
                if spans is None:
                    return False
                for dim, first, last in spans:
                    self._alone(dim, first, last)
                return True
        raise Open

    def _alone(self, dim: s.Dim, first: int, last: int) -> None:
        match dim:
            case s.Star(s.Name(name)):
                self._new(name, lambda source: list(source.shape[first:last]))
                self.runs[name] = last - first
                self.spans[name] = first, last
            case s.Group(items):
                names = [item.value.name for item in items if isinstance(item.value, s.Name)]
                if len(names) < len(items):
                    raise Open
                parts = len(items)
                self.checks.append(
                    lambda source: type(source.shape[first]) is tuple and len(source.shape[first]) == parts
                )
                for part, name in enumerate(names):
                    self._new(name, size_part(first, part))
            case s.Name(name) if name not in self.constants:
                self._new(name, lambda source: source.shape[first])
                self.spans[name] = first, last
                self.sizes.add(name)
            case s.Blank():
                pass
            case _:
                if isinstance(dim, s.EachDim):
                    raise Open
                self._compared(dim, first)

    def _compared(self, dim: s.Expr, axis: int) -> None:
        wanted = formula(dim)
        if not wanted.names <= self.arguments:
            raise Open
        size = wanted.evaluate(self.constants)
        self.checks.append(lambda source: source.sizes[axis] == size)

    def _new(self, name: str, read: Read) -> None:
        if name in self.constants or name in self.reads:
            raise Open
        self.reads[name] = read

    def _each(self, base: s.KindType, guards: Sequence[s.Expr]) -> bool:
        """Members that agree on all axes but those of `each`."""
        spans = self._spans(base.kind, base.dims, guards)
        if spans is None:
            return False
        free = {first for dim, first, _ in spans if isinstance(dim, s.EachDim)}
        self._agree([axis for axis in range(self.axes) if axis not in free])
        for dim, first, last in spans:
            match dim:
                case s.EachDim(name):
                    self._new(name, sizes_at(first))
                    self.each.add(name)
                case s.Star(s.Name(name)):
                    self._new(name, shared_run([all_at(axis, self.count) for axis in range(first, last)]))
                    self.runs[name] = last - first
                case s.Name(name):
                    self._new(name, shared_size(all_at(first, self.count)))
                case s.Blank():
                    pass
                case _:
                    raise Open
        return True

    def _members(self, types: Sequence[s.Type], guards: Sequence[s.Expr]) -> bool:
        """One pattern for each member; what several of them name is of one size."""
        found: dict[str, list[tuple[int, int]]] = {}
        runs: dict[str, list[tuple[int, int, int]]] = {}
        for member, type in enumerate(types):
            assert isinstance(type, s.KindType)
            spans = self._spans(type.kind, type.dims, guards)
            if spans is None:
                return False
            for dim, first, last in spans:
                match dim:
                    case s.Star(s.Name(name)):
                        runs.setdefault(name, []).append((member, first, last))
                    case s.Name(name):
                        found.setdefault(name, []).append((member, first))
                    case s.Blank():
                        pass
                    case _:
                        raise Open
        for name, places in runs.items():
            if len({last - first for _, first, last in places}) > 1:
                return False
            self.runs[name] = places[0][2] - places[0][1]
            columns = [[(member, first + i) for member, first, _ in places] for i in range(self.runs[name])]
            for column in columns:
                self._equal(column)
            self._new(name, shared_run(columns))
        for name, column in found.items():
            self._equal(column)
            self._new(name, shared_size(column))
        return True

    def _equal(self, column: Column) -> None:
        first, *others = column
        self.pairs += [(*first, *other) for other in others]

    def _agree(self, axes: Iterable[int]) -> None:
        for axis in axes:
            self._equal(all_at(axis, self.count))

    def _spans(self, kind: str, dims: Sequence[s.Dim], guards: Sequence[s.Expr]) -> list[tuple[s.Dim, int, int]] | None:
        """Which axes each dimension of a pattern stands for; None where they are not as many."""
        stars = [dim for dim in dims if isinstance(dim, s.Star)]
        free = self.axes - (len(dims) - len(stars))
        if kind not in (KIND, self.kind) or free < 0 or (free and not stars):
            return None
        lengths = [free] if len(stars) == 1 else []
        if len(stars) > 1:
            first = self._length(stars[0], guards)
            if len(stars) > 2 or first is None:
                raise Open
            if not 0 <= first <= free:
                return None
            lengths = [first, free - first]
        spans, at, left = [], 0, iter(lengths)
        for dim in dims:
            width = next(left) if isinstance(dim, s.Star) else 1
            spans.append((dim, at, at + width))
            at += width
        return spans

    def _length(self, star: s.Star, guards: Sequence[s.Expr]) -> int | None:
        """What a guard `len(s) == axis - 1` says of a run."""
        for guard in guards:
            match guard:
                case s.Binary("==", s.Call(s.Name("len"), (s.Argument(s.Name(run)),)), expr) if (
                    isinstance(star.operand, s.Name) and run == star.operand.name
                ):
                    length = formula(expr)
                    if length.names <= self.arguments:
                        value = length.evaluate(self.constants)
                        return value if isinstance(value, int) else None
        return None

    # --- guards and the right side
