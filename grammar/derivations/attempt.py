"""One walk through the choices of a derivation, abandoned at the first that cannot fit.

Choices are made top-down and left to right. Sizes are charged when a choice is made, with the fewest
modules that its rules can come to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from ein.grammar.cfg import Limits
from ein.grammar.computed import side_by_side
from ein.grammar.derivations.derivation import retyped
from ein.grammar.derivations.options import options, outcome, outcome_cost, refusals
from ein.grammar.diagnostics import Span
from ein.grammar.numbers import Inapplicable, Lifeless
from ein.grammar.space import Space
from ein.grammar.steps import (
    Apply,
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
    refusal,
)
from ein.grammar.types import ValueType

MAX_CHOICES = 1_000_000
"""Choices of one derivation: what stops a space without limits that does not end by itself."""

Choose: TypeAlias = Callable[[Instance, Options], Candidate]


class DeadEnd(Exception):
    """An attempt that cannot be finished: why, and where in the file."""

    def __init__(self, kind: str, why: str | Inapplicable, span: Span | None = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.why = why
        self.span = span
        self.made: tuple[Candidate, ...] = ()

    @property
    def place(self) -> Span | None:
        """Tells dead ends apart, without looking for the reason."""
        return self.span

    @property
    def reason(self) -> str:
        return self.why.reason if isinstance(self.why, Inapplicable) else self.why


class Stuck(DeadEnd):
    """No alternative of a rule applies to a type; which came nearest is looked for when it is asked."""

    def __init__(self, space: Space, instance: Instance, type: ValueType) -> None:
        Exception.__init__(self, "type")
        self.kind = "type"
        self.made = ()
        self.at = (space, instance, type)

    @property
    def place(self) -> Span:
        return self.at[1].rule.span

    @cached_property
    def _cause(self) -> tuple[Inapplicable, Span | None]:
        """The last failure in the order of the file, if all are at one place."""
        space, instance, type = self.at
        reasons = [reason for reason in refusals(space, instance, type) if reason.span is not None]
        if len({reason.span for reason in reasons}) == 1:
            return reasons[0], reasons[0].span
        return Inapplicable("no alternative of `{!r}` applies to {!r}", None, (instance, type)), instance.rule.span

    @property
    def why(self) -> Inapplicable:  # type: ignore[override]
        return self._cause[0]

    @property
    def span(self) -> Span | None:  # type: ignore[override]
        return self._cause[1]


@dataclass(slots=True)
class _Join:
    """What a frame waits for: the results of branches, of copies, of a loop, or the values of a `let`."""

    step: Fork | Copy | Loop | Bind
    input: ValueType
    inputs: tuple[ValueType, ...]
    results: list[ValueType] = field(default_factory=list)
    made: int = 0
    """choices that were made before"""


class _Goal:
    """Waits for the end of a rule that declares its output."""

    __slots__ = ("input", "instance")

    def __init__(self, instance: Instance, input: ValueType) -> None:
        self.instance = instance
        self.input = input


class Attempt:
    """One walk through the choices; `run` raises DeadEnd or returns the output type."""

    def __init__(self, space: Space, limits: Limits) -> None:
        self.space = space
        self.limits = limits
        self.modules_left = limits.modules if limits.modules is not None else 1 << 60
        self.bounded = (limits.parameters, limits.macs, limits.elements) != (None, None, None)
        self.made: list[Candidate] = []

    def run(self, input: ValueType, choose: Choose) -> ValueType:
        """Makes the choices of a derivation, in pre-order, into `self.made`."""
        space, limits = self.space, self.limits
        start = space.start
        left = self.modules_left - start.minimum
        if left < 0:
            raise DeadEnd("modules", "more modules than the limit")
        max_depth = limits.depth if limits.depth is not None else 1 << 60
        bounded, costs = self.bounded, [0, 0, 0]
        made = self.made
        program: Program = (Call(start, start.rule.span),)
        at, depth, times, weights = 0, 0, 1, 1  # tied copies run `times` but hold `weights` weights
        type = input
        variables: Variables = {}
        stack: list[tuple[Program, int, int, int, int, Variables, _Join | _Goal | None]] = []
        while True:
            if at == len(program):
                if not stack:
                    break
                program, at, depth, times, weights, variables, waiting = stack.pop()
                if waiting is not None:
                    if isinstance(waiting, _Goal):
                        type = self._meets(waiting, type)
                        continue
                    waiting.results.append(type)
                    again = self._next(waiting, variables)
                    if again is None:
                        type = self._joined(waiting, variables)
                    else:
                        stack.append((program, at, depth, times, weights, variables, waiting))
                        factor = _factor(waiting.step)
                        times *= factor
                        weights *= 1 if _tied(waiting.step) else factor
                        program, type = again
                        at = 0
                continue
            step = program[at]
            at += 1
            if isinstance(step, Call):
                instance = step.instance
                table = instance.table.get(type)
                if table is None:
                    table = options(space, instance, type)
                if not table.candidates:
                    raise Stuck(space, instance, type)
                candidate = choose(instance, table)
                made.append(candidate)
                if len(made) > MAX_CHOICES:
                    raise DeadEnd("choices", f"more than {MAX_CHOICES:,} choices")
                if candidate.simple:
                    output = type
                    if candidate.first is not None:
                        output = candidate.first.results.get(type) or space.result(candidate.first, type)
                    left -= (candidate.minimum - instance.minimum) * times
                else:
                    result = candidate.outcomes.get(type) or outcome(space, candidate, type)
                    output = result.output
                    left -= (result.minimum - instance.minimum) * times
                if left < 0:
                    raise DeadEnd("modules", "more modules than the limit")
                if bounded:
                    self._charge(candidate, type, times, weights, costs)
                deeper = depth + instance.deepens
                if deeper > max_depth:
                    raise DeadEnd("depth", "deeper than the limit")
                if candidate.rest or instance.claims:
                    if at < len(program) or instance.claims:
                        wait = _Goal(instance, type) if instance.claims else None
                        stack.append((program, at, depth, times, weights, variables, wait))
                    program, at, depth = candidate.rest, 0, deeper
                    if candidate.binds:
                        variables = {} if candidate.simple else result.variables.copy()
                type = output
            elif isinstance(step, Apply):
                applied = step.application.table.get(type) or step.application.look(type)
                if isinstance(applied, Inapplicable):
                    raise DeadEnd("type", refusal(step, applied), step.span)
                if bounded:
                    self._charge_step(step, type, times, weights, costs)
                type = applied.output
            elif isinstance(step, Enter):
                inner = _checked(space.enter, step, type)
                left -= (space.least(inner) - space.minimum(step)) * times
                if left < 0:
                    raise DeadEnd("modules", "more modules than the limit")
                stack.append((program, at, depth, times, weights, variables, None))
                program, at = inner, 0
            elif isinstance(step, Compound) and not step.settled:
                join = _checked(_begin, step, type)
                join.made = len(made)
                stack.append((program, at, depth, times, weights, variables, join))
                factor = _factor(step)
                times *= factor
                weights *= 1 if _tied(step) else factor
                program = step.programs[0] if isinstance(step, Fork | Bind) else step.program
                type, at = join.inputs[0], 0
            else:
                output, used = _checked(space.run, step, type, variables)
                left -= (used - space.minimum(step)) * times
                if left < 0:
                    raise DeadEnd("modules", "more modules than the limit")
                if bounded and used:
                    self._charge_settled(step, type, variables, times, weights, costs)
                type = output
        self.modules_left = int(left)
        return type

    def _charge(self, candidate: Candidate, type: ValueType, times: int, weights: int, costs: list[int]) -> None:
        if candidate.simple:
            if candidate.first is None:
                return
            cost = candidate.first.at(type).cost
        else:
            cost = outcome_cost(self.space, candidate, type)
        self._add(cost.parameters * weights, cost.macs * times, cost.elements * times, costs)

    def _charge_step(self, step: Apply, type: ValueType, times: int, weights: int, costs: list[int]) -> None:
        cost = step.application.at(type).cost
        self._add(cost.parameters * weights, cost.macs * times, cost.elements * times, costs)

    def _charge_settled(
        self, step: Step, type: ValueType, variables: Variables, times: int, weights: int, costs: list[int]
    ) -> None:
        cost = self.space.cost((step,), type, variables)
        self._add(cost.parameters * weights, cost.macs * times, cost.elements * times, costs)

    def _add(self, parameters: int, macs: int, elements: int, costs: list[int]) -> None:
        limits = self.limits
        costs[0] += parameters
        costs[1] += macs
        costs[2] += elements
        if limits.elements is not None and costs[2] > limits.elements:
            raise DeadEnd("elements", "more elements than the limit")
        if limits.macs is not None and costs[1] > limits.macs:
            raise DeadEnd("macs", "more MACs than the limit")
        if limits.parameters is not None and costs[0] > limits.parameters:
            raise DeadEnd("params", "more parameters than the limit")

    def _next(self, join: _Join, variables: Variables) -> tuple[Program, ValueType] | None:
        step, done = join.step, len(join.results)
        if isinstance(step, Bind) and done <= len(step.bindings):
            _checked(assign, step.bindings[done - 1][0], join.results[-1], variables, step.span)
        if isinstance(step, Fork | Bind) and done < len(join.inputs):
            return step.programs[done], join.inputs[done]
        return None

    def _joined(self, join: _Join, variables: Variables) -> ValueType:
        step = join.step
        match step:
            case Fork():
                return self._beside(join.results, step.span)
            case Bind():
                return join.results[-1]
            case Copy() | Loop():

                def again(type: ValueType) -> ValueType:
                    choices = tuple(candidate.choice for candidate in self.made[join.made :])
                    return retyped(self.space, step.program, choices, type, variables)

                output: ValueType = _checked(step.output, join.input, join.results[0], again)
                return output

    def _beside(self, parts: list[ValueType], span: Span) -> ValueType:
        try:
            return side_by_side(parts, span)
        except Inapplicable as error:
            raise DeadEnd("type", error, span) from None

    def _meets(self, goal: _Goal, type: ValueType) -> ValueType:
        try:
            return self.space.meet(goal.instance, goal.input, type)
        except Inapplicable as error:
            kind = "dead" if isinstance(error, Lifeless) else "goal"
            raise DeadEnd(kind, error, error.span or goal.instance.rule.span) from None


def _begin(step: Fork | Copy | Loop | Bind, type: ValueType) -> _Join:
    match step:
        case Fork():
            return _Join(step, type, step.inputs(type))
        case Copy():
            return _Join(step, type, (step.input(type),))
        case Loop():
            return _Join(step, type, (type,))
        case Bind():
            return _Join(step, type, (type,) * len(step.programs))


def _factor(step: Fork | Copy | Loop | Bind) -> int:
    return step.count if isinstance(step, Copy | Loop) else 1


def _tied(step: Fork | Copy | Loop | Bind) -> bool:
    return isinstance(step, Copy | Loop) and step.tied


def _checked(function: Callable[..., Any], *given: Any) -> Any:
    try:
        return function(*given)
    except Inapplicable as error:
        raise DeadEnd("type", error, error.span) from None
