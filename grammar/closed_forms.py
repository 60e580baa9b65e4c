"""What an operator at given arguments does to every input of one form, with the places of its names found once.

`Operator.apply` matches patterns over environments and can say why it refuses. Here kind, number of axes and number
of inputs are known, so each name of a signature stands at a known axis, and what is left to do for a type is to read
sizes, compare some and compute others. Both must agree; where a signature leaves the places open there is no closed
form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ein.grammar.closed_outputs import Doubt, Make, Open, Output
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Evaluate, Formula, Inapplicable, formula
from ein.grammar.patterns import ELEMENT, KIND
from ein.grammar.size_places import (
    Check,
    Column,
    Pair,
    Read,
    all_at,
    all_same,
    few_sizes,
    names_but_lengths,
    shared_run,
    shared_size,
    size_part,
    sizes_at,
)
from ein.grammar.types import MAX_SIZE, Bundle, Regular, Tensor, ValueType, merge

if TYPE_CHECKING:
    from ein.grammar.operators import Operator

@dataclass(slots=True, eq=False)
class ClosedForm:
    """`guards` and `doubts` (sizes of the output that may not exist) are functions of the values read."""

    operator: Operator
    merges: bool
    pairs: tuple[Pair, ...]
    """Sizes that have to be the same."""
    checks: list[Check]
    constants: dict[str, Any]
    reads: list[tuple[str, Read]]
    guards: list[Evaluate]
    doubts: list[Doubt]
    make: Make
    axes: tuple[int, ...] | None
    """Those of the few sizes that alone decide whether there is an output; None where there is more to it."""
    known: dict[Any, bool] = field(default_factory=dict)
    """Answers by these sizes."""

    sums: bool = False
    """Whether sizes are added up over the inputs."""
    told: list[tuple[str, Read]] | None = None
    """What `Operator.told` needs; None where it does not tell the cost."""

    @property
    def settled(self) -> bool:
        """Whether there is an output wherever the pairs are right, if the input has no more elements than `MAX_SIZE`:
        then no sum of sizes is more."""
        return not self.guards and not self.doubts and not self.checks

    def result(self, input: ValueType) -> ValueType | None:
        """The output; None where the signature or a guard says no."""
        try:
            found = self._values(input)
            return None if found is None else self.make(*found)
        except Inapplicable:
            return None

    def output(self, input: ValueType) -> ValueType:
        """The output, where there is known to be one."""
        if self.merges:
            assert isinstance(input, Bundle)
            merged = merge(input.members)
            assert merged is not None
            input = merged
        return self.make(input, {**self.constants, **{name: read(input) for name, read in self.reads}})

    def cost(self, input: ValueType, output: ValueType) -> tuple[int, int, int] | None:
        """Parameters, MACs and elements, where they are told without the body."""
        told = self.operator.told
        if self.told is None or told is None or not isinstance(input, Tensor) or not isinstance(output, Tensor):
            return None
        env = {**self.constants, **{name: read(input) for name, read in self.told}}
        found = told.tell(env, input.sizes, output.sizes) if output.element == "float" else None
        return None if found is None else (*found, output.elements)

    def fits(self, input: ValueType) -> bool:
        """Whether there is an output."""
        if self.axes is None:
            return self._fits(input)
        sizes = tuple([input.shape[axis] for axis in self.axes])  # type: ignore[union-attr]
        found = self.known.get(sizes)
        if found is None:
            found = self.known[sizes] = self._fits(input)
        return found

    def _fits(self, input: ValueType) -> bool:
        try:
            found = self._values(input)
            if found is None:
                return False
            for doubt in self.doubts:
                doubt(found[1], [])
            return not self.sums or input.elements <= MAX_SIZE or self.result(input) is not None
        except Inapplicable:
            return False

    def _values(self, input: ValueType) -> tuple[ValueType, dict[str, Any]] | None:
        """The input, of equal members one, and the values that guards and computed sizes need."""
        if self.pairs:
            assert isinstance(input, Bundle)
            if not all_same(input.members, self.pairs):
                return None
        if self.merges:
            assert isinstance(input, Bundle)
            merged = merge(input.members)
            if merged is None:
                return None
            input = merged
        for check in self.checks:
            if not check(input):
                return None
        if not self.reads:
            return input, self.constants
        env = {**self.constants}
        for name, read in self.reads:
            env[name] = read(input)
        for guard in self.guards:
            if not guard(env):
                return None
        return input, env


def closed_form(operator: Operator, arguments: Mapping[str, Any], form: Regular) -> ClosedForm | bool:
    """For inputs of a form; False: it takes none of them; True: they have to be asked one by one."""
    if operator.kills or operator.host is not None:
        return True
    places = _Places(arguments, form)
    try:
        if not places.input(operator.declaration.input, operator.declaration.guards):
            return False
        return places.closed(operator)
    except Open:
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

    def _told(self, operator: Operator) -> list[tuple[str, Read]] | None:
        told = operator.told
        if told is None or not told.names <= self.constants.keys() | self.reads.keys():
            return None
        return [(name, read) for name, read in self.reads.items() if name in told.names]

    def _remembered(self, guard: Formula) -> Evaluate:
        """The guard, with the answers for few sizes kept."""
        names = few_sizes(guard.expr, self.reads, self.spans)
        if names is None:
            return guard.evaluate
        known: dict[Any, Any] = {}

        def remembered(env: Mapping[str, Any]) -> Any:
            sizes = tuple([env[name] for name in names])
            found = known.get(sizes)
            if found is None:
                found = known[sizes] = guard.evaluate(env)
            return found

        return remembered

    def closed(self, operator: Operator) -> ClosedForm | bool:
        guards = []
        for guard in operator.guards:
            if set(names_but_lengths(guard.expr)) <= self.constants.keys():
                known = {name: [1] * length for name, length in self.runs.items()}
                if not guard.evaluate({**self.constants, **known}):
                    return False
            else:
                guards.append(guard)
        form = self.kind, self.axes, self.count
        right = Output(form, self.constants, self.reads, self.spans, operator.kinds, self.each)
        make = right.make(operator.declaration.output)
        wanted = right.names.union(*(guard.names for guard in guards)) & self.reads.keys()
        few = not self.pairs and not self.checks and wanted <= self.sizes and len(wanted) <= 2
        reads = [(name, read) for name, read in self.reads.items() if name in wanted]
        return ClosedForm(
            operator,
            self.merges,
            tuple(self.pairs),
            self.checks,
            self.constants,
            reads,
            [self._remembered(guard) for guard in guards],
            right.doubts,
            make,
            tuple([self.spans[name][0] for name, _ in reads]) if few else None,
            sums=right.sums,
            told=self._told(operator),
        )
