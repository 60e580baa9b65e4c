"""What an operator at given arguments does to every input of one form, with the places of its names found once.

`Operator.apply` matches patterns over environments and can say why it refuses. Here kind, number of axes and number
of inputs are known, so each name of a signature stands at a known axis, and what is left to do for a type is to read
sizes, compare some and compute others. Both must agree; where a signature leaves the places open there is no closed
form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

from ein.grammar.computed import build_dim
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Evaluate, Inapplicable, formula
from ein.grammar.patterns import ELEMENT, KIND
from ein.grammar.types import Bundle, Regular, ValueType, merge, merge_sizes

if TYPE_CHECKING:
    from ein.grammar.operators import Operator

Read: TypeAlias = Callable[[Any], Any]
"""A size, a run of sizes or a type out of the input."""

Check: TypeAlias = Callable[[Any], bool]

Column: TypeAlias = list[tuple[int, int]]
"""Axes that are of one size: the number of the input, and of its axis."""


class _Open(Exception):
    """The form does not say where everything stands."""


@dataclass(slots=True, eq=False)
class ClosedForm:
    """`guards` and `doubts` (sizes of the output that may not exist) are functions of the values read."""

    merges: bool
    checks: list[Check]
    constants: dict[str, Any]
    reads: list[tuple[str, Read]]
    needed: list[tuple[str, Read]]
    guards: list[Evaluate]
    doubts: list[Callable[[dict[str, Any], list[Any]], None]]
    build: Callable[[dict[str, Any]], ValueType]

    def result(self, input: ValueType) -> ValueType | None:
        """The output; None where the signature or a guard says no."""
        try:
            env = self._values(input, self.reads)
            return None if env is None else self.build(env)
        except Inapplicable:
            return None

    def fits(self, input: ValueType) -> bool:
        """Whether there is an output."""
        try:
            env = self._values(input, self.needed)
            if env is None:
                return False
            for doubt in self.doubts:
                doubt(env, [])
            return True
        except Inapplicable:
            return False

    def _values(self, input: ValueType, reads: list[tuple[str, Read]]) -> dict[str, Any] | None:
        if self.merges:
            assert isinstance(input, Bundle)
            merged = merge(input.members)
            if merged is None:
                return None
            input = merged
        for check in self.checks:
            if not check(input):
                return None
        env = self.constants.copy()
        for name, read in reads:
            env[name] = read(input)
        for guard in self.guards:
            if not guard(env):
                return None
        return env


def closed_form(operator: Operator, arguments: Mapping[str, Any], form: Regular) -> ClosedForm | bool:
    """For inputs of a form; False: it takes none of them; True: they have to be asked one by one."""
    if operator.kills or operator.host is not None:
        return True
    places = _Places(arguments, form)
    try:
        if not places.input(operator.declaration.input, operator.declaration.guards):
            return False
        return places.closed(operator)
    except _Open:
        return True
    except Inapplicable:
        return False


class _Places:
    """Where the names of a pattern stand in an input of a form."""

    def __init__(self, arguments: Mapping[str, Any], form: Regular) -> None:
        self.kind, self.axes, self.count = form
        self.constants: dict[str, Any] = {**arguments, KIND: self.kind, ELEMENT: "float"}
        self.arguments = frozenset(arguments)
        self.checks: list[Check] = []
        self.reads: dict[str, Read] = {}
        self.runs: dict[str, int] = {}
        self.merges = False

    # --- the left side

    def input(self, type: s.Type, guards: Sequence[s.Expr]) -> bool:
        """Whether the form fits at all; raises _Open."""
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
        raise _Open

    def _copies(self, number: s.Expr) -> bool:
        if isinstance(number, s.Name) and number.name not in self.constants:
            self.constants[number.name] = self.count
            return True
        counted = formula(number)
        if not counted.names <= self.arguments:
            raise _Open
        return bool(counted.evaluate(self.constants) == self.count)

    def _power(self, base: s.Type, guards: Sequence[s.Expr]) -> bool:
        if isinstance(base, s.KindType) and any(isinstance(dim, s.EachDim) for dim in base.dims):
            return self._each(base, guards)
        self.merges = True
        return self._one(base, guards)

    def _one(self, type: s.Type, guards: Sequence[s.Expr]) -> bool:
        match type:
            case s.TypeName(name) if name not in self.constants:
                self.reads[name] = lambda tensor: tensor
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
        raise _Open

    def _alone(self, dim: s.Dim, first: int, last: int) -> None:
        match dim:
            case s.Star(s.Name(name)):
                self._new(name, lambda tensor: list(tensor.shape[first:last]))
                self.runs[name] = last - first
            case s.Group(items):
                names = [item.value.name for item in items if isinstance(item.value, s.Name)]
                if len(names) < len(items):
                    raise _Open
                parts = len(items)
                self.checks.append(
                    lambda tensor: type(tensor.shape[first]) is tuple and len(tensor.shape[first]) == parts
                )
                for part, name in enumerate(names):
                    self._new(name, _part(first, part))
            case s.Name(name) if name not in self.constants:
                self._new(name, lambda tensor: tensor.shape[first])
            case s.Blank():
                pass
            case _:
                if isinstance(dim, s.EachDim):
                    raise _Open
                self._compared(dim, first)

    def _compared(self, dim: s.Expr, axis: int) -> None:
        wanted = formula(dim)
        if not wanted.names <= self.arguments:
            raise _Open
        size = wanted.evaluate(self.constants)
        self.checks.append(lambda tensor: tensor.sizes[axis] == size)

    def _new(self, name: str, read: Read) -> None:
        if name in self.constants or name in self.reads:
            raise _Open
        self.reads[name] = read

    def _each(self, base: s.KindType, guards: Sequence[s.Expr]) -> bool:
        """Members that agree on all axes but those of `each`."""
        spans = self._spans(base.kind, base.dims, guards)
        if spans is None:
            return False
        free = {first for dim, first, _ in spans if isinstance(dim, s.EachDim)}
        kept = [axis for axis in range(self.axes) if axis not in free]
        self.checks.append(lambda bundle: _agree(bundle.members, kept))
        for dim, first, last in spans:
            match dim:
                case s.EachDim(name):
                    self._new(name, _column(first))
                case s.Star(s.Name(name)):
                    self._new(name, _shared_run([_all_at(axis, self.count) for axis in range(first, last)]))
                    self.runs[name] = last - first
                case s.Name(name):
                    self._new(name, _shared(_all_at(first, self.count)))
                case s.Blank():
                    pass
                case _:
                    raise _Open
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
                        raise _Open
        for name, places in runs.items():
            if len({last - first for _, first, last in places}) > 1:
                return False
            self.runs[name] = places[0][2] - places[0][1]
            columns = [[(member, first + i) for member, first, _ in places] for i in range(self.runs[name])]
            for column in columns:
                self._equal(column)
            self._new(name, _shared_run(columns))
        for name, column in found.items():
            self._equal(column)
            self._new(name, _shared(column))
        return True

    def _equal(self, column: Column) -> None:
        first, *others = column
        self.checks += [_same_size(first, other) for other in others]

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
                raise _Open
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

    def closed(self, operator: Operator) -> ClosedForm | bool:
        guards = []
        for guard in operator.guards:
            if set(_free_but_lengths(guard.expr)) <= self.constants.keys():
                known = {name: [1] * length for name, length in self.runs.items()}
                if not guard.evaluate({**self.constants, **known}):
                    return False
            else:
                guards.append(guard)
        doubts, doubtful = self._doubts(operator.declaration.output)
        wanted = doubtful.union(*(guard.names for guard in guards))
        outputs = set(_free(operator.declaration.output)) | wanted
        return ClosedForm(
            self.merges,
            self.checks,
            self.constants,
            [(name, read) for name, read in self.reads.items() if name in outputs],
            [(name, read) for name, read in self.reads.items() if name in wanted],
            [guard.evaluate for guard in guards],
            doubts,
            operator.build,
        )

    def _doubts(self, type: s.Type) -> tuple[list[Callable[[dict[str, Any], list[Any]], None]], set[str]]:
        """The sizes of an output that may not exist, and the names that they are computed from."""
        match type:
            case s.TypeName():
                return [], set()
            case s.BundleType(members):
                parts = [self._doubts(member.type) for member in members]
                return [doubt for doubts, _ in parts for doubt in doubts], set().union(*(names for _, names in parts))
            case s.PowerType(base, number):
                count = formula(number)
                if not count.names <= self.constants.keys():
                    raise _Open
                copies = count.evaluate(self.constants)
                if not isinstance(copies, int) or not 2 <= copies <= 4096 // max(self.count, 1):
                    raise _Open
                return self._doubts(base)
            case s.KindType(_, dims):
                bound = {*self.constants, *self.reads}
                unsure = [dim for dim in dims if not self._sure(dim)]
                names = {name for dim in unsure for name in _free(dim)}
                return [build_dim(dim, bound) for dim in unsure], names
        raise _Open

    def _sure(self, dim: s.Dim) -> bool:
        """Whether the size is one of the input's."""
        match dim:
            case s.Star(s.Name(name)) | s.Name(name):
                return name in self.reads
            case _:
                return False


def _agree(members: Sequence[Any], axes: Sequence[int]) -> bool:
    first = members[0].sizes
    for member in members:
        sizes = member.sizes
        for axis in axes:
            if sizes[axis] != first[axis]:
                return False
    return True


def _same_size(one: tuple[int, int], other: tuple[int, int]) -> Check:
    (member, axis), (second, place) = one, other
    return lambda bundle: bundle.members[member].sizes[axis] == bundle.members[second].sizes[place]


def _part(axis: int, part: int) -> Read:
    return lambda tensor: tensor.shape[axis][part]


def _column(axis: int) -> Read:
    return lambda bundle: [member.shape[axis] for member in bundle.members]


def _all_at(axis: int, count: int) -> Column:
    return [(member, axis) for member in range(count)]


def _shared(column: Column) -> Read:
    """One size for axes that agree."""
    if len(column) == 1:
        [(member, axis)] = column
        return lambda bundle: bundle.members[member].shape[axis]
    return lambda bundle: merge_sizes([bundle.members[member].shape[axis] for member, axis in column])


def _shared_run(columns: list[Column]) -> Read:
    reads = [_shared(column) for column in columns]
    return lambda bundle: [read(bundle) for read in reads]


def _free(node: Any) -> Iterator[str]:
    """Every name that stands anywhere in a type or dimension."""
    match node:
        case s.Name(name) | s.TypeName(name) | s.EachDim(name):
            yield name
        case tuple():
            for each in node:
                yield from _free(each)
        case s.Node():
            for each in fields(node):
                if each.name != "span":
                    yield from _free(getattr(node, each.name))


def _free_but_lengths(node: Any) -> Iterator[str]:
    match node:
        case s.Call(s.Name("len"), (s.Argument(s.Name()),)):
            pass
        case s.Call(s.Name(), arguments):
            yield from _free_but_lengths(arguments)
        case s.Name(name):
            yield name
        case tuple():
            for each in node:
                yield from _free_but_lengths(each)
        case s.Node():
            for each in fields(node):
                if each.name != "span":
                    yield from _free_but_lengths(getattr(node, each.name))
