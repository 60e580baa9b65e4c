"""One walk through the choices of a derivation, abandoned at the first that cannot fit.

Choices are made top-down and left to right. Sizes are charged when a choice is made, with the fewest
modules that its rules can come to.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeAlias

from ein.grammar.cfg import Limits
from ein.grammar.computed import side_by_side
from ein.grammar.derivations.derivation import Choices, retyped
from ein.grammar.derivations.linked import CLAIM, JOIN, RETURN, Cell, linked
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
    Call,
    Candidate,
    Choice,
    Copy,
    Fork,
    Instance,
    Loop,
    Options,
    Variables,
    assign,
    refusal,
)
from ein.grammar.types import ValueType

NO_LIMIT = 1 << 60

MAX_CHOICES = 1_000_000
"""Choices of one derivation: what stops a space without limits that does not end by itself."""

Choose: TypeAlias = Callable[[Instance, Options], Candidate]
Given: TypeAlias = Iterator[Choice]


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


class Attempt:
    """One walk through the choices; `run` raises DeadEnd or returns the output type."""

    def __init__(self, space: Space, limits: Limits) -> None:
        self.space = space
        self.limits = limits
        self.modules_left = limits.modules if limits.modules is not None else NO_LIMIT
        self.made: list[Candidate] = []

    def run(self, input: ValueType, choose: Choose) -> ValueType:
        """Makes the choices of a derivation, in pre-order, into `self.made`."""
        return self._tried(input, choose, None, None)

    def draw(self, input: ValueType, random: Callable[[], float]) -> ValueType:
        """As `run`, with each choice drawn by its probability; `random` gives numbers in [0, 1)."""
        return self._tried(input, None, random, None)

    def follow(self, input: ValueType, choices: Choices) -> ValueType:
        """As `run`, with these choices, of which some may be left."""
        return self._tried(input, None, None, iter(choices))

    def _tried(
        self, input: ValueType, choose: Choose | None, random: Callable[[], float] | None, given: Given | None
    ) -> ValueType:
        try:
            return self._run(input, choose, random, given)
        except Inapplicable as error:
            raise DeadEnd("type", error, error.span) from None

    def _run(
        self, input: ValueType, choose: Choose | None, random: Callable[[], float] | None, given: Given | None
    ) -> ValueType:
        space, limits, made = self.space, self.limits, self.made
        start = space.start
        left = self.modules_left - start.minimum
        if left < 0:
            raise DeadEnd("modules", "more modules than the limit")
        shallow, max_depth = limits.depth is not None, limits.depth or 0
        max_parameters = NO_LIMIT if limits.parameters is None else limits.parameters
        max_macs = NO_LIMIT if limits.macs is None else limits.macs
        max_elements = NO_LIMIT if limits.elements is None else limits.elements
        bounded = (limits.parameters, limits.macs, limits.elements) != (None, None, None)
        parameters = macs = elements = 0
        cell = start.entry
        if cell is None:
            cell = start.entry = linked((Call(start, start.rule.span),))
        depth, times, weights = 0, 1, 1  # tied copies run `times` but hold `weights` weights
        type = input
        variables: Variables = {}
        held: Any = None
        stack: list[tuple[Cell, int, Any]] = []
        add = made.append
        while True:
            if cell is None:
                if not stack:
                    break
                cell, depth, held = stack.pop()
            code = cell.code
            if code == CALL:
                instance = cell.instance
                table = instance.always or cell.options.get(type)
                if table is None:
                    table = options(space, instance, type)
                candidates = table.candidates
                if not candidates:
                    raise Stuck(space, instance, type)
                if random is not None:
                    candidate = candidates[bisect_right(table.cumulative, random())]
                elif given is not None:
                    candidate = (table.known or table.by_choice).get(next(given, None))
                    if candidate is None:
                        raise DeadEnd("type", "there is no such choice here")
                else:
                    candidate = choose(instance, table)  # type: ignore[misc]
                add(candidate)
                cost = None
                first = candidate.first
                if first is not None:
                    output = first.results.get(type) or space.result(first, type)
                    if bounded:
                        cost = first.costs.get(type) or first.cost(type)
                    left -= (candidate.minimum - instance.minimum) * times
                elif candidate.simple:
                    output = type
                    left -= (candidate.minimum - instance.minimum) * times
                else:
                    result = candidate.outcomes.get(type) or outcome(space, candidate, type)
                    output = result.output
                    left -= (result.minimum - instance.minimum) * times
                    if bounded:
                        cost = outcome_cost(space, candidate, type).charged
                if left < 0:
                    raise DeadEnd("modules", "more modules than the limit")
                if shallow and depth + instance.deepens > max_depth:
                    raise DeadEnd("depth", "deeper than the limit")
                inner = candidate.chain
                if inner is None:
                    if not instance.claims:
                        cell = cell.next
                    else:
                        met = instance.met.get((type, output))
                        if met is not None:
                            cell, output = cell.next, met
                        else:
                            stack.append((cell.claim, depth, type))
                            cell = None
                else:
                    if candidate.binds:
                        stack.append((cell.back, depth, variables))
                        variables = {} if candidate.simple else result.variables.copy()
                        if instance.claims:
                            stack.append((cell.end, depth, type))
                    elif instance.claims:
                        stack.append((cell.claim, depth, type))
                    elif cell.next is not None:
                        stack.append((cell.next, depth, None))
                    cell = inner
                    depth += instance.deepens
                    if len(made) > MAX_CHOICES:
                        break
                type = output
            elif code == CLAIM:
                type = cell.instance.met.get((held, type)) or self._meets(cell.instance, held, type)
                cell = cell.next
                continue
            elif code == APPLY:
                application = cell.application
                found = application.results.get(type) or application.result(type)
                if found is None:
                    raise refusal(cell.step, application.refusal(type))
                cost = application.costs.get(type) or application.cost(type) if bounded else None
                type = found
                cell = cell.next
            elif code == JOIN:
                inputs, results, entered, made_first, times_around, weights_around, variables = held
                results.append(type)
                done = len(results)
                step = cell.step
                if step.binds and done <= len(step.bindings):
                    assign(step.bindings[done - 1][0], type, variables, step.span)
                if done < len(inputs):
                    stack.append((cell, depth, held))
                    name = cell.names[done]
                    type = inputs[done] if name is None else variables[name]
                    cell = cell.cells[done]
                else:
                    times, weights = times_around, weights_around
                    if not step.binds:
                        type = self._joined(step, results, entered, made_first, variables)
                    cell = cell.next
                continue
            elif code == COMPOUND:
                step = cell.step
                inputs = (type,) * cell.width if cell.width else step.begins(type)
                stack.append((cell.end, depth, (inputs, [], type, len(made), times, weights, variables)))
                times *= step.factor
                weights *= step.copies
                name = cell.names[0]
                type = inputs[0] if name is None else variables[name]
                cell = cell.cells[0]
                continue
            elif code == LOAD:
                type = variables[cell.name]
                cell = cell.next
                continue
            elif code == RETURN:
                cell, variables = cell.next, held
                continue
            elif code == ENTER:
                least, inner = self._entered(cell, type)
                left -= (least - space.minimum(cell.step)) * times
                if left < 0:
                    raise DeadEnd("modules", "more modules than the limit")
                if cell.next is not None:
                    stack.append((cell.next, depth, None))
                cell = inner
                continue
            else:
                type, used, cost = self._settled(cell, type, variables, bounded)
                left -= (used - space.minimum(cell.step)) * times
                if left < 0:
                    raise DeadEnd("modules", "more modules than the limit")
                cell = cell.next
            if cost is not None:
                trained, multiplied, kept = cost
                elements += kept * times
                if elements > max_elements:
                    raise DeadEnd("elements", "more elements than the limit")
                if multiplied:
                    macs += multiplied * times
                    if macs > max_macs:
                        raise DeadEnd("macs", "more MACs than the limit")
                if trained:
                    parameters += trained * weights
                    if parameters > max_parameters:
                        raise DeadEnd("params", "more parameters than the limit")
        if len(made) > MAX_CHOICES:
            raise DeadEnd("choices", f"more than {MAX_CHOICES:,} choices")
        self.modules_left = int(left)
        return type

    def _entered(self, cell: Cell, type: ValueType) -> tuple[float, Cell | None]:
        """The fewest modules and the first cell of what a macro is at a type."""
        assert cell.table is not None
        found = cell.table.get(type)
        if found is None:
            program = self.space.enter(cell.step, type)
            found = self.space.least(program), linked(program)
            self.space.keep(cell.table, type, found)
        return found

    def _settled(
        self, cell: Cell, type: ValueType, variables: Variables, bounded: bool
    ) -> tuple[ValueType, int, tuple[int, int, int] | None]:
        """Output, modules and cost of a step without rules; kept where no value that has a name is in it."""
        step, table = cell.step, cell.table
        found = None if table is None else table.get(type)
        if found is None or (bounded and found[1] and found[2] is None):
            output, used = self.space.run(step, type, variables)
            cost = self.space.cost((step,), type, variables).charged if bounded and used else None
            found = output, used, cost
            if table is not None:
                self.space.keep(table, type, found)
        return found

    def _joined(
        self, step: Fork | Copy | Loop, results: list[ValueType], input: ValueType, first: int, variables: Variables
    ) -> ValueType:
        """What parts that gave `results` come to together; the choices from `first` on are theirs."""
        if isinstance(step, Fork):
            return side_by_side(results, step.span)

        def again(type: ValueType) -> ValueType:
            choices = tuple(candidate.choice for candidate in self.made[first:])
            return retyped(self.space, step.program, choices, type, variables)

        return step.output(input, results[0], again)

    def _meets(self, instance: Instance, input: ValueType, type: ValueType) -> ValueType:
        try:
            return self.space.meet(instance, input, type)
        except Inapplicable as error:
            kind = "dead" if isinstance(error, Lifeless) else "goal"
            raise DeadEnd(kind, error, error.span or instance.rule.span) from None
