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
    Step,
    Variables,
    assign,
)
from ein.grammar.types import ValueType

Made: TypeAlias = tuple[Candidate, Any] | None
"""The choices made so far, the last one first: (candidate, those before)."""


@dataclass(frozen=True, slots=True, eq=False)
class _Join:
    """What a frame waits for: the results of branches, of copies, of a loop, or the values of a `let`."""

    step: Fork | Copy | Loop | Bind
    input: ValueType
    inputs: tuple[ValueType, ...]
    made: int
    results: tuple[ValueType, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Claim:
    """What a frame waits for: the end of a rule that declares its output."""

    instance: Instance
    input: ValueType


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """The rest of a program, with what is around it. `times` counts copies, `weights` those with weights of their
    own, `level` the uses of rules around it."""

    program: Program
    at: int
    depth: int
    level: int
    times: int
    weights: int
    variables: Variables
    waiting: _Join | _Claim | None
    below: _Frame | None


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a rule is used and nothing is chosen yet, or the end. `type` is what flows in there.

    `left` are the modules that the limit leaves beyond the fewest that everything still to come needs; a use of
    this rule counts `times`. `level` counts the uses of rules around it, `depth` those with a name.
    """

    instance: Instance | None
    type: ValueType
    options: Options
    left: int
    times: int
    level: int
    depth: int
    count: int
    _made: Made
    _costs: tuple[int, int, int]
    _frame: _Frame

    @property
    def choices(self) -> Choices:
        return _choices(self._made, self.count)


_NONE = Options([], [], [])


class Walk:
    """The places of a space within limits. `level` is that of the last dead end."""

    def __init__(self, space: Space, limits: Limits, input: ValueType) -> None:
        self.space = space
        self.limits = limits
        self.input = input
        self.modules = limits.modules if limits.modules is not None else 1 << 60
        self.level = 0
        self._depth = limits.depth if limits.depth is not None else 1 << 60
        self._bounded = (limits.parameters, limits.macs, limits.elements) != (None, None, None)

    def begin(self) -> Place:
        """Before the first choice. Raises DeadEnd."""
        start = self.space.start
        self.level = 0
        left = self.modules - start.minimum
        if left < 0:
            raise DeadEnd("modules", "more modules than the limit")
        frame = _Frame((Call(start, start.rule.span),), 0, 0, 0, 1, 1, {}, None, None)
        return self._onward(frame, self.input, int(left), None, 0, (0, 0, 0))

    def take(self, place: Place, candidate: Candidate) -> Place:
        """The place after a choice. Raises DeadEnd where nothing fits there."""
        instance, type, frame = place.instance, place.type, place._frame
        assert instance is not None
        self.level = place.level
        found = outcome(self.space, candidate, type)
        left = self._spend(place.left, (found.minimum - instance.minimum) * frame.times)
        costs = place._costs
        if self._bounded:
            costs = self._charge(outcome_cost(self.space, candidate, type), frame, costs)
        depth = frame.depth + instance.deepens
        if depth > self._depth:
            raise DeadEnd("depth", "deeper than the limit")
        made, count = (candidate, place._made), place.count + 1
        if candidate.rest or instance.claims:
            claim = _Claim(instance, type) if instance.claims else None
            below = replace(frame, waiting=claim) if claim or frame.at < len(frame.program) else frame.below
            variables = {**found.variables} if candidate.binds else frame.variables
            frame = _Frame(
                candidate.rest, 0, depth, frame.level + 1, frame.times, frame.weights, variables, None, below
            )
        return self._onward(frame, found.output, left, made, count, costs)

    def _onward(
        self, frame: _Frame, type: ValueType, left: int, made: Made, count: int, costs: tuple[int, int, int]
    ) -> Place:
        """Runs what follows without a choice."""
        space = self.space
        while True:
            self.level = frame.level
            if frame.at == len(frame.program):
                if frame.below is None:
                    return Place(None, type, _NONE, left, 1, -1, 0, count, made, costs, frame)
                frame, type = self._return(frame.below, type, made, count)
                continue
            step = frame.program[frame.at]
            if isinstance(step, Call):
                after = _after(frame)
                found = step.instance.table.get(type) or options(space, step.instance, type)
                if not found.candidates:
                    raise Stuck(space, step.instance, type)
                return Place(
                    step.instance, type, found, left, frame.times, frame.level, frame.depth, count, made, costs, after
                )
            if isinstance(step, Enter):
                inner = _checked(space.enter, step, type)
                left = self._spend(left, (space.least(inner) - space.minimum(step)) * frame.times)
                frame = replace(frame, program=inner, at=0, waiting=None, below=_after(frame))
            elif isinstance(step, Compound) and not step.settled:
                join = _begin(step, type, count)
                factor, tied = (step.count, step.tied) if isinstance(step, Copy | Loop) else (1, True)
                frame = replace(
                    frame,
                    program=step.programs[0] if isinstance(step, Fork | Bind) else step.program,
                    at=0,
                    times=frame.times * factor,
                    weights=frame.weights * (1 if tied else factor),
                    waiting=None,
                    below=replace(_after(frame), waiting=join),
                )
                type = join.inputs[0]
            else:
                output, used = _checked(space.run, step, type, frame.variables)
                left = self._spend(left, (used - space.minimum(step)) * frame.times)
                if self._bounded and used:
                    costs = self._charge(space.cost((step,), type, frame.variables), frame, costs)
                frame, type = _after(frame), output

    def _return(self, frame: _Frame, type: ValueType, made: Made, count: int) -> tuple[_Frame, ValueType]:
        """What a frame does with the result of the one above it."""
        waiting = frame.waiting
        self.level = frame.level
        if waiting is None:
            return frame, type
        if isinstance(waiting, _Claim):
            return replace(frame, waiting=None), self._meet(waiting, type)
        step, results = waiting.step, (*waiting.results, type)
        variables = frame.variables
        if isinstance(step, Bind) and len(results) <= len(step.bindings):
            variables = {**variables}
            _checked(assign, step.bindings[len(results) - 1][0], type, variables, step.span)
        if isinstance(step, Fork | Bind) and len(results) < len(waiting.inputs):
            below = replace(frame, variables=variables, waiting=replace(waiting, results=results))
            program, input = step.programs[len(results)], waiting.inputs[len(results)]
            return replace(frame, program=program, at=0, variables=variables, waiting=None, below=below), input
        made_inside = _choices(made, count - waiting.made)

        def again(other: ValueType) -> ValueType:
            assert isinstance(step, Copy | Loop)
            return retyped(self.space, step.program, made_inside, other, variables)

        output = _joined(step, waiting.input, results, again)
        return replace(frame, variables=variables, waiting=None), output

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

    def _charge(self, cost: Cost, frame: _Frame, costs: tuple[int, int, int]) -> tuple[int, int, int]:
        parameters = costs[0] + cost.parameters * frame.weights
        macs = costs[1] + cost.macs * frame.times
        elements = costs[2] + cost.elements * frame.times
        limits = self.limits
        if limits.elements is not None and elements > limits.elements:
            raise DeadEnd("elements", "more elements than the limit")
        if limits.macs is not None and macs > limits.macs:
            raise DeadEnd("macs", "more MACs than the limit")
        if limits.parameters is not None and parameters > limits.parameters:
            raise DeadEnd("params", "more parameters than the limit")
        return parameters, macs, elements


def _after(frame: _Frame) -> _Frame:
    return replace(frame, at=frame.at + 1)


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


def _joined(
    step: Step, input: ValueType, results: tuple[ValueType, ...], again: Callable[[ValueType], ValueType]
) -> ValueType:
    output: ValueType
    match step:
        case Fork():
            output = _checked(side_by_side, results, step.span)
        case Copy() | Loop():
            output = _checked(step.output, input, results[0], again)
        case _:
            output = results[-1]
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
