"""What an operator at given arguments does to every input of one form, with the places of its names found once.

`Operator.apply` matches patterns over environments and can say why it refuses. Here kind, number of axes and number
of inputs are known, so each name of a signature stands at a known axis, and what is left to do for a type is to read
sizes, compare some and compute others. Both must agree; where a signature leaves the places open there is no closed
form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ein.grammar.closed_outputs import Doubt, Make, Open, Output
from ein.grammar.closed_places import Places
from ein.grammar.numbers import Evaluate, Formula, Inapplicable
from ein.grammar.size_places import Check, Pair, Read, all_same, few_sizes, names_but_lengths
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
        return self.make(input, self._env(input))

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
        env = self._env(input)
        for guard in self.guards:
            if not guard(env):
                return None
        return input, env

    def _env(self, input: ValueType) -> dict[str, Any]:
        """What guards and computed sizes need."""
        if not self.reads:
            return self.constants
        env = self.constants.copy()
        for name, read in self.reads:
            env[name] = read(input)
        return env


def closed_form(operator: Operator, arguments: Mapping[str, Any], form: Regular) -> ClosedForm | bool:
    """For inputs of a form; False: it takes none of them; True: they have to be asked one by one."""
    if operator.kills or operator.host is not None:
        return True
    places = Places(arguments, form)
    try:
        if not places.input(operator.declaration.input, operator.declaration.guards):
            return False
        return _closed(places, operator)
    except Open:
        return True
    except Inapplicable:
        return False


def _closed(places: Places, operator: Operator) -> ClosedForm | bool:
    guards = []
    for guard in operator.guards:
        if set(names_but_lengths(guard.expr)) <= places.constants.keys():
            known = {name: [1] * length for name, length in places.runs.items()}
            if not guard.evaluate({**places.constants, **known}):
                return False
        else:
            guards.append(guard)
    form = places.kind, places.axes, places.count
    right = Output(form, places.constants, places.reads, places.spans, operator.kinds, places.each)
    make = right.make(operator.declaration.output)
    wanted = right.names.union(*(guard.names for guard in guards)) & places.reads.keys()
    few = not places.pairs and not places.checks and wanted <= places.sizes and len(wanted) <= 2
    reads = [(name, read) for name, read in places.reads.items() if name in wanted]
    return ClosedForm(
        operator,
        places.merges,
        tuple(places.pairs),
        places.checks,
        places.constants,
        reads,
        [_remembered(places, guard) for guard in guards],
        right.doubts,
        make,
        tuple([places.spans[name][0] for name, _ in reads]) if few else None,
        sums=right.sums,
        told=_told(places, operator),
    )


def _told(places: Places, operator: Operator) -> list[tuple[str, Read]] | None:
    told = operator.told
    if told is None or not told.names <= places.constants.keys() | places.reads.keys():
        return None
    return [(name, read) for name, read in places.reads.items() if name in told.names]


def _remembered(places: Places, guard: Formula) -> Evaluate:
    """The guard, with the answers for few sizes kept."""
    names = few_sizes(guard.expr, places.reads, places.spans)
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
