"""A walk through the choices of a derivation that can go back: every place before a choice is kept as it was.

`Attempt` draws faster, since it forgets; what it charges and refuses is charged and refused here too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from ein.grammar.cfg import Cost, Limits
from ein.grammar.computed import side_by_side
from ein.grammar.derivations.attempt import DeadEnd, Stuck
from ein.grammar.derivations.derivation import Choices, retyped
from ein.grammar.derivations.options import options, outcome, outcome_cost
from ein.grammar.derivations.shape import rules_used
from ein.grammar.numbers import Inapplicable, Lifeless
from ein.grammar.space import Space
from ein.grammar.steps import (
    Bind,
    Call,
    Candidate,
    Compound,
    Copy,
    Enter,
    Fork,
    Instance,
    Loop,
    Options,
    Program,
    Variables,
    assign,
)
from ein.grammar.types import ValueType

Made: TypeAlias = tuple[Candidate, Any] | None
"""The choices made so far, the last one first: (candidate, those before)."""

Costs: TypeAlias = tuple[int, int, int]
"""Parameters, MACs and elements so far."""

KEPT = 20_000
"""Candidates whose rules are kept."""


@dataclass(slots=True, eq=False)
class _Join:
    """What a frame waits for: the results of branches, of copies, of a loop, or the values of a `let`."""

    step: Fork | Copy | Loop | Bind
    input: ValueType
    inputs: tuple[ValueType, ...]
    made: int
    results: tuple[ValueType, ...] = ()


@dataclass(slots=True, eq=False)
class _Claim:
    """What a frame waits for: the end of a rule that declares its output."""

    instance: Instance
    input: ValueType


@dataclass(slots=True, eq=False)
class _Frame:
    """The rest of a program, with what is around it; never changed. `times` counts copies, `weights` those that have
    weights of their own."""

    program: Program
    at: int
    depth: int
    level: int
    times: int
    weights: int
    variables: Variables
    waiting: _Join | _Claim | None
    below: _Frame | None


@dataclass(slots=True, eq=False)
class Place:
    """Where a rule is used and nothing is chosen yet, or the end; never changed. `type` is what flows in there.

    `left` are the modules that the limit leaves beyond the fewest that everything still to come needs; what is used
    here counts `times`. `level` is the number of uses of rules around it, `depth` of those with a name. `open` are the
    uses of rules to come, this one among them, that can grow by any number of modules, which no copied one can.
    """

    instance: Instance | None
    type: ValueType
    options: Options
    left: int
    times: int
    level: int
    depth: int
    open: int
    count: int
    _made: Made
    _costs: Costs
    _frame: _Frame

    @property
    def choices(self) -> Choices:
        return _choices(self._made, self.count)


_NONE = Options([], [], [])


class Walk:
    """The places of a space within limits. `steady` are the rules that `Place.open` counts; `level` is that of the
    last dead end."""

    def __init__(self, space: Space, limits: Limits, input: ValueType, steady: frozenset[str] = frozenset()) -> None:
        self.space = space
        self.limits = limits
        self.input = input
        self.steady = steady
        self.modules = limits.modules if limits.modules is not None else 1 << 60
        self.level = 0
        self._depth = limits.depth if limits.depth is not None else 1 << 60
        self._bounded = (limits.parameters, limits.macs, limits.elements) != (None, None, None)
        self._growing: dict[Candidate, int] = {}

    def begin(self) -> Place:
        """Before the first choice. Raises DeadEnd."""
        start = self.space.start
        self.level = 0
        left = self._spend(self.modules, start.minimum)
        frame = _Frame((Call(start, start.rule.span),), 0, 0, 0, 1, 1, {}, None, None)
        return self._onward(frame, self.input, left, int(start.rule.name in self.steady), None, 0, (0, 0, 0))

    def take(self, place: Place, candidate: Candidate) -> Place:
        """The place after a choice. Raises DeadEnd where nothing fits there."""
        instance, type, frame = place.instance, place.type, place._frame
        assert instance is not None
        self.level = place.level
        found = candidate.outcomes.get(type) or outcome(self.space, candidate, type)
        left = self._spend(place.left, (found.minimum - instance.minimum) * frame.times)
        costs = place._costs
        if self._bounded and candidate.leading:
            costs = self._charge(outcome_cost(self.space, candidate, type), frame.times, frame.weights, costs)
        depth = frame.depth + instance.deepens
        if depth > self._depth:
            raise DeadEnd("depth", "deeper than the limit")
        if candidate.rest or instance.claims:
            frame = self._inside(frame, place, candidate, found.variables, depth)
        open = place.open
        if place.times == 1:
            open += self._grown(candidate) - (instance.rule.name in self.steady)
        return self._onward(frame, found.output, left, open, (candidate, place._made), place.count + 1, costs)

    def _inside(self, frame: _Frame, place: Place, candidate: Candidate, variables: Variables, depth: int) -> _Frame:
        """The frame of what is left of an alternative, above that of the place."""
        instance, below = place.instance, frame.below
        assert instance is not None
        if instance.claims:
            below = _waiting(frame, _Claim(instance, place.type))
        elif frame.at < len(frame.program):
            below = frame
        named = {**variables} if candidate.binds else frame.variables
        return _Frame(candidate.rest, 0, depth, frame.level + 1, frame.times, frame.weights, named, None, below)

    def _grown(self, candidate: Candidate) -> int:
        found = self._growing.get(candidate)
        if found is None:
            if len(self._growing) >= KEPT:
                self._growing.clear()
            found = self._growing[candidate] = sum(
                times == 1 and name in self.steady for name, times in rules_used(candidate.rest)
            )
        return found

    def _onward(
        self, frame: _Frame, type: ValueType, left: int, open: int, made: Made, count: int, costs: Costs
    ) -> Place:
        """Runs what follows without a choice."""
        space = self.space
        program, at = frame.program, frame.at
        while True:
            self.level = frame.level
            if at == len(program):
                if frame.below is None:
                    return Place(None, type, _NONE, left, 1, -1, 0, 0, count, made, costs, frame)
                frame, type = self._return(frame.below, type, made, count)
                program, at = frame.program, frame.at
                continue
            step = program[at]
            at += 1
            if isinstance(step, Call):
                found = step.instance.table.get(type) or options(space, step.instance, type)
                if not found.candidates:
                    raise Stuck(space, step.instance, type)
                frame = _moved(frame, program, at, frame.below)
                times, level, depth = frame.times, frame.level, frame.depth
                return Place(step.instance, type, found, left, times, level, depth, open, count, made, costs, frame)
            if isinstance(step, Enter):
                inner = _checked(space.enter, step, type)
                left = self._spend(left, (space.least(inner) - space.minimum(step)) * frame.times)
                frame = _moved(frame, inner, 0, _moved(frame, program, at, frame.below))
                program, at = inner, 0
            elif isinstance(step, Compound) and not step.settled:
                join = _begin(step, type, count)
                frame = _branch(_waiting(_moved(frame, program, at, frame.below), join), join, 0)
                type, program, at = join.inputs[0], frame.program, 0
            else:
                output, used = _checked(space.run, step, type, frame.variables)
                if used:
                    left = self._spend(left, (used - space.minimum(step)) * frame.times)
                    if self._bounded:
                        cost = space.cost((step,), type, frame.variables)
                        costs = self._charge(cost, frame.times, frame.weights, costs)
                type = output

    def _return(self, frame: _Frame, type: ValueType, made: Made, count: int) -> tuple[_Frame, ValueType]:
        """What a frame does with the result of the one above it."""
        waiting = frame.waiting
        self.level = frame.level
        if waiting is None:
            return frame, type
        if isinstance(waiting, _Claim):
            return _waiting(frame, None), self._meet(waiting, type)
        step, results = waiting.step, (*waiting.results, type)
        join = _Join(step, waiting.input, waiting.inputs, waiting.made, results)
        done, variables = len(results), frame.variables
        if isinstance(step, Bind) and done <= len(step.bindings):
            variables = {**variables}
            _checked(assign, step.bindings[done - 1][0], type, variables, step.span)
            frame = replace(frame, variables=variables)
        if done < len(join.inputs):
            return _branch(_waiting(frame, join), join, done), join.inputs[done]

        def again(other: ValueType) -> ValueType:
            assert isinstance(step, Copy | Loop)
            return retyped(self.space, step.program, _choices(made, count - join.made), other, variables)

        return _waiting(frame, None), _joined(join, again)

    def _meet(self, claim: _Claim, type: ValueType) -> ValueType:
        try:
            return self.space.meet(claim.instance, claim.input, type)
        except Inapplicable as error:
            kind = "dead" if isinstance(error, Lifeless) else "goal"
            raise DeadEnd(kind, error, error.span or claim.instance.rule.span) from None

    def _spend(self, left: int, modules: float) -> int:
        if modules > left:
            raise DeadEnd("modules", "more modules than the limit")
        return int(left - modules)

    def _charge(self, cost: Cost, times: int, weights: int, costs: Costs) -> Costs:
        parameters = costs[0] + cost.parameters * weights
        macs = costs[1] + cost.macs * times
        elements = costs[2] + cost.elements * times
        limits = self.limits
        if limits.elements is not None and elements > limits.elements:
            raise DeadEnd("elements", "more elements than the limit")
        if limits.macs is not None and macs > limits.macs:
            raise DeadEnd("macs", "more MACs than the limit")
        if limits.parameters is not None and parameters > limits.parameters:
            raise DeadEnd("params", "more parameters than the limit")
        return parameters, macs, elements


def _moved(frame: _Frame, program: Program, at: int, below: _Frame | None) -> _Frame:
    """The same surroundings, elsewhere in a program."""
    return _Frame(program, at, frame.depth, frame.level, frame.times, frame.weights, frame.variables, None, below)


def _waiting(frame: _Frame, waiting: _Join | _Claim | None) -> _Frame:
    """The same frame, for something else."""
    found = _moved(frame, frame.program, frame.at, frame.below)
    found.waiting = waiting
    return found


def _branch(below: _Frame, join: _Join, index: int) -> _Frame:
    """The frame of one of the programs that `below` waits for."""
    step = join.step
    program = step.programs[index] if isinstance(step, Fork | Bind) else step.program
    frame = _moved(below, program, 0, below)
    if isinstance(step, Copy | Loop):
        frame.times *= step.count
        frame.weights *= 1 if step.tied else step.count
    return frame


def _begin(step: Compound, type: ValueType, made: int) -> _Join:
    match step:
        case Fork():
            return _Join(step, type, _checked(step.inputs, type), made)
        case Copy():
            return _Join(step, type, (_checked(step.input, type),), made)
        case Loop():
            return _Join(step, type, (type,), made)
        case Bind():
            return _Join(step, type, (type,) * len(step.programs), made)
    raise AssertionError(step)


def _joined(join: _Join, again: Callable[[ValueType], ValueType]) -> ValueType:
    step, output = join.step, join.results[-1]
    if isinstance(step, Fork):
        output = _checked(side_by_side, join.results, step.span)
    elif isinstance(step, Copy | Loop):
        output = _checked(step.output, join.input, join.results[0], again)
    return output


def _choices(made: Made, count: int) -> Choices:
    """The last `count` choices, in the order in which they were made."""
    found = []
    for _ in range(count):
        assert made is not None
        found.append(made[0].choice)
        made = made[1]
    return tuple(reversed(found))


def _checked(function: Callable[..., Any], *given: Any) -> Any:
    try:
        return function(*given)
    except Inapplicable as error:
        raise DeadEnd("type", error, error.span) from None
