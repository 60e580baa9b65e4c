"""Where a derivation can be edited: each use of a rule with its types, its subtree and what it takes of the limits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from ein.grammar.computed import side_by_side
from ein.grammar.derivations.derivation import Choices, retyped
from ein.grammar.derivations.options import options, outcome, outcome_cost
from ein.grammar.numbers import Inapplicable
from ein.grammar.operators import Cost
from ein.grammar.space import Space
from ein.grammar.steps import (
    Apply,
    Bind,
    Call,
    Candidate,
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

KEPT = 1_024
"""Derivations of a space whose sites are remembered."""


@dataclass(slots=True, eq=False)
class Site:
    """A use of a rule. Its subtree is `choices[own index : end]`, which is built `times` times and holds its
    weights `weights` times; `cost` is that of one."""

    instance: Instance
    input: ValueType
    table: Options
    candidate: Candidate
    within: int
    """The site around it, -1 for the first."""
    level: int
    """Sites around it."""
    depth: int
    """Those of them that count towards the limit of depth."""
    times: int
    weights: int
    cost: Cost
    output: ValueType
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Sites:
    """The sites of a derivation, in pre-order. `cost` is that of all; modules alone, unless costs were asked for."""

    choices: Choices
    sites: Sequence[Site]
    cost: Cost
    retypes: bool
    """Whether copies are typed one by one, so that what a part gives is not all that follows from it."""
    changeable: Sequence[int]
    """Those in whose subtree something else could have been chosen."""

    def children(self, at: int) -> Iterator[int]:
        """The sites directly below one, in order."""
        child, end = at + 1, self.sites[at].end
        while child < end:
            yield child
            child = self.sites[child].end

    def subtree(self, at: int) -> Choices:
        return self.choices[at : self.sites[at].end]


_remembered: WeakKeyDictionary[Space, OrderedDict[tuple[Choices, ValueType, bool], Sites]] = WeakKeyDictionary()


def sites_of(space: Space, choices: Choices, input: ValueType, costs: bool) -> Sites:
    """The sites of a derivation of `space`; with `costs`, what each takes of parameters, MACs and elements.

    Remembered for the derivations asked for last. Raises Inapplicable where a choice is not to be had.
    """
    known = _remembered.setdefault(space, OrderedDict())
    key = (choices, input, costs)
    found = known.get(key)
    if found is None:
        found = known[key] = _Trace(space, choices, costs).run(input)
        if len(known) > KEPT:
            known.popitem(last=False)
    else:
        known.move_to_end(key)
    return found


@dataclass(slots=True)
class _Join:
    """Waits for the results of branches, of copies, of a loop, or for the values of a `let`."""

    step: Fork | Copy | Loop | Bind
    input: ValueType
    inputs: tuple[ValueType, ...]
    first: int
    """The choices made before it."""
    results: list[ValueType] = field(default_factory=list)


class _Trace:
    """One walk along given choices, in the order in which they were made."""

    def __init__(self, space: Space, choices: Choices, costs: bool) -> None:
        self.space = space
        self.choices = choices
        self.costs = costs
        self.sites: list[Site] = []
        self.modules = self.parameters = self.macs = self.elements = 0
        self.retypes = False

    def run(self, input: ValueType) -> Sites:
        space, start = self.space, self.space.start
        program: Program = (Call(start, start.rule.span),)
        at, within, times, weights, type = 0, -1, 1, 1, input
        variables: Variables = {}
        stack: list[tuple[Program, int, int, int, int, Variables, Site | _Join | None]] = []
        while True:
            if at == len(program):
                if not stack:
                    break
                program, at, within, times, weights, variables, waiting = stack.pop()
                if isinstance(waiting, Site):
                    type = self._closed(waiting, type)
                elif waiting is not None:
                    waiting.results.append(type)
                    following = self._next(waiting, variables)
                    if following is None:
                        type = self._joined(waiting, variables)
                    else:
                        stack.append((program, at, within, times, weights, variables, waiting))
                        (program, type), at = following, 0
                continue
            step = program[at]
            at += 1
            if isinstance(step, Call):
                site = self._opened(step.instance, type, within, times, weights)
                stack.append((program, at, within, times, weights, variables, site))
                program, at, within = site.candidate.rest, 0, len(self.sites) - 1
                type, variables = self._leading(site)
            elif isinstance(step, Apply):
                type = self._applied(step, type, times, weights)
            elif isinstance(step, Enter):
                stack.append((program, at, within, times, weights, variables, None))
                program, at = space.enter(step, type), 0
            elif isinstance(step, Fork | Copy | Loop | Bind) and not step.settled:
                join = _Join(step, type, step.begins(type), len(self.sites))
                stack.append((program, at, within, times, weights, variables, join))
                times, weights = times * step.factor, weights * step.copies
                program, at, type = step.programs[0], 0, join.inputs[0]
            else:
                type = self._settled(step, type, variables, times, weights)
        if len(self.sites) < len(self.choices):
            raise Inapplicable("there are more choices than the derivation makes")
        cost = Cost(self.modules, self.parameters, self.macs, self.elements)
        return Sites(self.choices, self.sites, cost, self.retypes, _changeable(self.sites))

    def _opened(self, instance: Instance, type: ValueType, within: int, times: int, weights: int) -> Site:
        made = len(self.sites)
        table = options(self.space, instance, type)
        candidate = table.by_choice.get(self.choices[made]) if made < len(self.choices) else None
        if candidate is None:
            raise Inapplicable("`{!r}` does not have the choice that was made at {!r}", None, (instance, type))
        around = self.sites[within] if within >= 0 else None
        level = around.level + 1 if around else 0
        depth = around.depth + around.instance.deepens if around else 0
        before = Cost(self.modules, self.parameters, self.macs, self.elements)
        site = Site(instance, type, table, candidate, within, level, depth, times, weights, before, type, made + 1)
        self.sites.append(site)
        return site

    def _leading(self, site: Site) -> tuple[ValueType, Variables]:
        """What flows after the steps before the first rule, and the values that they name."""
        candidate, type = site.candidate, site.input
        if not candidate.simple:
            found = outcome(self.space, candidate, type)
            cost = outcome_cost(self.space, candidate, type) if self.costs else None
            self._charge(found.modules, cost, site.times, site.weights)
            return found.output, found.variables.copy()
        if candidate.first is None:
            return type, {}
        first = candidate.program[0]
        assert isinstance(first, Apply)
        return self._applied(first, type, site.times, site.weights), {}

    def _applied(self, step: Apply, type: ValueType, times: int, weights: int) -> ValueType:
        output = step.application.result(type)
        if output is None:
            raise refusal(step, Inapplicable("does not take {!r}", None, (type,)))
        self._charge(1, step.application.at(type).cost if self.costs else None, times, weights)
        return output

    def _settled(self, step: Step, type: ValueType, variables: Variables, times: int, weights: int) -> ValueType:
        output, used = self.space.run(step, type, variables)
        cost = self.space.cost((step,), type, variables) if self.costs and used else None
        self._charge(used, cost, times, weights)
        return output

    def _charge(self, modules: int, cost: Cost | None, times: int, weights: int) -> None:
        self.modules += modules * times
        if cost is not None:
            self.parameters += cost.parameters * weights
            self.macs += cost.macs * times
            self.elements += cost.elements * times

    def _closed(self, site: Site, type: ValueType) -> ValueType:
        if site.instance.claims:
            type = self.space.meet(site.instance, site.input, type)
        site.output, site.end = type, len(self.sites)
        before, times = site.cost, site.times
        site.cost = Cost(
            (self.modules - before.modules) // times,
            (self.parameters - before.parameters) // site.weights,
            (self.macs - before.macs) // times,
            (self.elements - before.elements) // times,
        )
        return type

    def _next(self, join: _Join, variables: Variables) -> tuple[Program, ValueType] | None:
        """The next branch with what flows into it; None after the last."""
        step, done = join.step, len(join.results)
        if isinstance(step, Bind) and done <= len(step.bindings):
            assign(step.bindings[done - 1][0], join.results[-1], variables, step.span)
        return (step.programs[done], join.inputs[done]) if done < len(join.inputs) else None

    def _joined(self, join: _Join, variables: Variables) -> ValueType:
        step, result = join.step, join.results[-1]
        if isinstance(step, Bind):
            return result
        if isinstance(step, Fork):
            return side_by_side(join.results, step.span)
        self.retypes |= not join.input.live or (isinstance(step, Loop) and result is not join.input)
        made = self.choices[join.first : len(self.sites)]
        return step.output(join.input, result, lambda type: retyped(self.space, step.program, made, type, variables))


def _changeable(sites: Sequence[Site]) -> list[int]:
    last = -1
    found = []
    for at in range(len(sites) - 1, -1, -1):
        if len(sites[at].table.candidates) > 1:
            last = at
        if last >= 0 and last < sites[at].end:
            found.append(at)
    return found[::-1]
