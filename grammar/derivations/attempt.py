"""One walk through the choices of a derivation, abandoned at the first that cannot fit.

Choices are made top-down and left to right. Sizes are charged when a choice is made, with the fewest
modules that its rules can come to.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property
from typing import TypeAlias

from ein.grammar.cfg import Application, Cost, Limits
from ein.grammar.computed import side_by_side
from ein.grammar.derivations.derivation import retyped
from ein.grammar.derivations.options import options, outcome, outcome_cost, refusals
from ein.grammar.diagnostics import Span
from ein.grammar.numbers import Inapplicable, Lifeless
from ein.grammar.space import Space
from ein.grammar.steps import (
    APPLY,
    CALL,
    COMPOUND,
    ENTER,
    LOAD,
    Bind,
    Call,
    Candidate,
    Compound,
    Copy,
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
from ein.grammar.types import Bundle, Tensor, ValueType

NO_LIMIT = 1 << 60

MAX_CHOICES = 1_000_000
"""Choices of one derivation: what stops a space without limits that does not end by itself."""

_TYPES = (Tensor, Bundle)

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


class _Join:
    """What a frame waits for: the results of branches, of copies, of a loop, or the values of a `let`."""

    __slots__ = ("input", "inputs", "made", "results", "step")

    def __init__(self, step: Fork | Copy | Loop | Bind, input: ValueType, made: int) -> None:
        self.step = step
        self.input = input
        self.inputs = step.begins(input)
        self.results: list[ValueType] = []
        self.made = made
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
        self.modules_left = limits.modules if limits.modules is not None else NO_LIMIT
        self.made: list[Candidate] = []

    def run(self, input: ValueType, choose: Choose) -> ValueType:
        """Makes the choices of a derivation, in pre-order, into `self.made`."""
        return self._tried(input, choose, None)

    def draw(self, input: ValueType, random: Callable[[], float]) -> ValueType:
        """As `run`, with each choice drawn by its probability; `random` gives numbers in [0, 1)."""
        return self._tried(input, None, random)

    def _tried(self, input: ValueType, choose: Choose | None, random: Callable[[], float] | None) -> ValueType:
        try:
            return self._run(input, choose, random)
        except Inapplicable as error:
            raise DeadEnd("type", error, error.span) from None

    def _run(self, input: ValueType, choose: Choose | None, random: Callable[[], float] | None) -> ValueType:
        space, limits, made = self.space, self.limits, self.made
        start = space.start
        left = self.modules_left - start.minimum
        if left < 0:
            raise DeadEnd("modules", "more modules than the limit")
        max_depth = NO_LIMIT if limits.depth is None else limits.depth
        max_parameters = NO_LIMIT if limits.parameters is None else limits.parameters
        max_macs = NO_LIMIT if limits.macs is None else limits.macs
        max_elements = NO_LIMIT if limits.elements is None else limits.elements
        bounded = (limits.parameters, limits.macs, limits.elements) != (None, None, None)
        parameters = macs = elements = 0
        program: Program = (Call(start, start.rule.span),)
        at, depth, times, weights = 0, 0, 1, 1  # tied copies run `times` but hold `weights` weights
        type = input
        variables: Variables = {}
        stack: list[tuple[Program, int, int, int, int, Variables, _Join | _Goal | None]] = []
        while True:
            if at == len(program):
                if not stack:
                    break
                program, at, depth, times, weights, variables, waiting = stack[-1]
                if waiting is None:
                    stack.pop()
                elif isinstance(waiting, _Goal):
                    stack.pop()
                    claimed = waiting.instance.met.get((waiting.input, type))
                    type = claimed if isinstance(claimed, _TYPES) else self._meets(waiting, type)
                else:
                    results, join = waiting.results, waiting.step
                    results.append(type)
                    done = len(results)
                    if isinstance(join, Bind) and done <= len(join.bindings):
                        assign(join.bindings[done - 1][0], type, variables, join.span)
                    if done < len(waiting.inputs):
                        program, at, type = join.programs[done], 0, waiting.inputs[done]
                    else:
                        stack.pop()
                        type = type if isinstance(join, Bind) else self._joined(waiting, variables)
                continue
            step = program[at]
            at += 1
            code = step.code
            cost: Cost | None = None
            if code == CALL:
                instance: Instance = step.instance  # type: ignore[union-attr]
                table = instance.table.get(type)
                if table is None:
                    table = options(space, instance, type)
                if not table.candidates:
                    raise Stuck(space, instance, type)
                if random is not None:
                    candidate = table.candidates[bisect_right(table.cumulative, random())]
                else:
                    candidate = choose(instance, table)  # type: ignore[misc]
                made.append(candidate)
                if len(made) > MAX_CHOICES:
                    raise DeadEnd("choices", f"more than {MAX_CHOICES:,} choices")
                output = type
                if candidate.simple:
                    first = candidate.first
                    if first is not None:
                        output = first.results.get(type) or space.result(first, type)
                        if bounded:
                            cost = first.costs.get(type) or first.cost(type)
                    left -= (candidate.minimum - instance.minimum) * times
                else:
                    result = candidate.outcomes.get(type) or outcome(space, candidate, type)
                    output = result.output
                    left -= (result.minimum - instance.minimum) * times
                    if bounded:
                        cost = outcome_cost(space, candidate, type)
                if left < 0:
                    raise DeadEnd("modules", "more modules than the limit")
                deeper = depth + instance.deepens
                if deeper > max_depth:
                    raise DeadEnd("depth", "deeper than the limit")
                if instance.claims:
                    stack.append((program, at, depth, times, weights, variables, _Goal(instance, type)))
                elif candidate.rest and at < len(program):
                    stack.append((program, at, depth, times, weights, variables, None))
                if candidate.rest or instance.claims:
                    program, at, depth = candidate.rest, 0, deeper
                    if candidate.binds:
                        variables = {} if candidate.simple else result.variables.copy()
                type = output
            elif code == APPLY:
                application: Application = step.application  # type: ignore[union-attr]
                found = application.results.get(type) or application.result(type)
                if found is None:
                    raise refusal(step, application.refusal(type))  # type: ignore[arg-type]
                if bounded:
                    cost = application.costs.get(type) or application.cost(type)
                type = found
            elif code == COMPOUND:
                waiting = _Join(step, type, len(made))  # type: ignore[arg-type]
                stack.append((program, at, depth, times, weights, variables, waiting))
                times *= step.factor  # type: ignore[union-attr]
                weights *= step.copies  # type: ignore[union-attr]
                program, at, type = step.programs[0], 0, waiting.inputs[0]  # type: ignore[union-attr]
            elif code == LOAD:
                type = variables[step.name]  # type: ignore[union-attr]
            elif code == ENTER:
                inner = space.enter(step, type)  # type: ignore[arg-type]
                left -= (space.least(inner) - space.minimum(step)) * times
                if left < 0:
                    raise DeadEnd("modules", "more modules than the limit")
                stack.append((program, at, depth, times, weights, variables, None))
                program, at = inner, 0
            else:
                type, used, cost = self._settled(step, type, variables, bounded)
                left -= (used - space.minimum(step)) * times
                if left < 0:
                    raise DeadEnd("modules", "more modules than the limit")
            if cost is not None:
                parameters += cost.parameters * weights
                macs += cost.macs * times
                elements += cost.elements * times
                if elements > max_elements:
                    raise DeadEnd("elements", "more elements than the limit")
                if macs > max_macs:
                    raise DeadEnd("macs", "more MACs than the limit")
                if parameters > max_parameters:
                    raise DeadEnd("params", "more parameters than the limit")
        self.modules_left = int(left)
        return type

    def _settled(
        self, step: Step, type: ValueType, variables: Variables, bounded: bool
    ) -> tuple[ValueType, int, Cost | None]:
        """Output, modules and cost of a step without rules; kept where no value that has a name is in it."""
        if not isinstance(step, Compound):
            return (*self.space.run(step, type, variables), None)
        found = step.table.get(type)
        if found is None or (bounded and found[2] is None):
            output, used = self.space.run(step, type, variables)
            found = output, used, self.space.cost((step,), type, variables) if bounded else None
            if not step.named:
                self.space.keep(step.table, type, found)
        return found

    def _joined(self, join: _Join, variables: Variables) -> ValueType:
        step = join.step
        if isinstance(step, Copy | Loop):

            def again(type: ValueType) -> ValueType:
                choices = tuple(candidate.choice for candidate in self.made[join.made :])
                return retyped(self.space, step.program, choices, type, variables)

            return step.output(join.input, join.results[0], again)
        return side_by_side(join.results, step.span)

    def _meets(self, goal: _Goal, type: ValueType) -> ValueType:
        try:
            return self.space.meet(goal.instance, goal.input, type)
        except Inapplicable as error:
            kind = "dead" if isinstance(error, Lifeless) else "goal"
            raise DeadEnd(kind, error, error.span or goal.instance.rule.span) from None
