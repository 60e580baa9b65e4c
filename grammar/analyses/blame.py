"""Where an attempt came to its dead end: the branches that do not fit, and the macros they stand in.

Drawing keeps no account of that, so the attempt is walked once more, by the choices that it made.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from ein.grammar.analyses.advice import other_join
from ein.grammar.computed import side_by_side
from ein.grammar.diagnostics import Label, Span
from ein.grammar.numbers import Inapplicable
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
    Program,
    Step,
    Variables,
    assign,
    holds_rule,
)
from ein.grammar.types import Bundle, ValueType, all_dead, is_dead

MAX_USES = 3
"""Macros around a place that are named."""


@dataclass(frozen=True, slots=True)
class Blame:
    """The place to show, in the file itself also where a macro of another file fails."""

    span: Span
    labels: tuple[Label, ...] = ()
    help: str = ""


def blame(space: Space, input: ValueType, made: Iterable[Candidate], span: Span) -> Blame:
    """What led to the dead end at `span`, which came after the choices `made`."""
    walk = _Walk(space, made, span)
    with suppress(_Stopped, Inapplicable, RecursionError):
        walk.step(Call(space.start, span), input, None)
    if walk.fails is None:
        return Blame(span)
    return _told(space, walk.fails, walk.before, walk.input, walk.macros, span)


class _Stopped(Exception):
    """The dead end is reached."""


class _Walk:
    """`fails` is the operator at the dead end, `before` the step before it, and `macros` are those around it."""

    def __init__(self, space: Space, made: Iterable[Candidate], span: Span) -> None:
        self.space = space
        self.made = iter(made)
        self.span = span
        self.macros: list[Enter] = []
        self.stuck = False
        self.variables: Variables = {}
        self.fails: Apply | None = None
        self.before: Step | None = None
        self.input: ValueType | None = None

    def program(self, program: Program, input: ValueType) -> ValueType:
        before: Step | None = None
        for step in program:
            input = self.step(step, input, before)
            before = step
        return input

    def step(self, step: Step, input: ValueType, before: Step | None) -> ValueType:
        match step:
            case Apply(application):
                found = application.look(input)
                if isinstance(found, Inapplicable):
                    self.fails, self.before, self.input = step, before, input
                    raise _Stopped
                return found.output
            case Fork(programs):
                parts = step.inputs(input)
                results = [self.program(p, m) for p, m in zip(programs, parts, strict=True)]
                return side_by_side(results, step.span)
            case Copy(_, program):
                result = self.program(program, step.input(input))
                return step.output(input, result, lambda each: all_dead(result) if is_dead(each) else result)
            case Loop(count, program):
                return self._loop(program, 1 if any(map(holds_rule, program)) else count, input)
            case Enter():
                self.macros.append(step)
                output = self.program(self.space.enter(step, input), input)
                self.macros.pop()
                return output
            case Bind(bindings, body):
                for names, program in bindings:
                    assign(names, self.program(program, input), self.variables, step.span)
                return self.program(body, input)
            case Call(instance):
                return self._rule(instance, input)
            case _:
                return self.space.run(step, input, self.variables)[0]

    def _loop(self, program: Program, count: int, input: ValueType) -> ValueType:
        for _ in range(count):
            output = self.program(program, input)
            if output is input:
                break
            input = output
        return input

    def _rule(self, instance: Instance, input: ValueType) -> ValueType:
        candidate = next(self.made, None)
        if candidate is None:
            if not self.stuck:
                self._at_last(instance, input)
            raise _Stopped
        around, self.variables = self.variables, {}
        output = self.program(candidate.program, input)
        self.variables = around
        return output

    def _at_last(self, instance: Instance, input: ValueType) -> None:
        """The rule of which no alternative applies: stops at the first that fails at the place."""
        self.stuck = True
        env = self.space.bind(instance, input)
        around = len(self.macros)
        for alternative in instance.rule.alternatives:
            for _, _, full in self.space.assignments(alternative, env, []):
                try:
                    self.variables = {}
                    self.program(self.space.ground(alternative.body, full), input)
                except _Stopped:
                    if self.fails is not None and self.fails.span == self.span:
                        raise
                except Inapplicable:
                    pass
                self.fails = None
                del self.macros[around:]


def _told(
    space: Space, fails: Apply, before: Step | None, input: ValueType | None, macros: list[Enter], span: Span
) -> Blame:
    file = space.start.rule.span.source
    places = [fails.span, *(step.macro.span for step in reversed(macros))]
    shown = next((i for i, place in enumerate(places) if place.source is file), 0)
    labels = []
    if shown:
        text = f"`{fails.application.name}` stands here, in the macro `{macros[-1].macro.macro}`"
        labels.append(Label(fails.span, text))
    for step in macros[-shown - 1 :: -1][:MAX_USES]:
        if step.macro.span.source is file and step.macro.span != places[shown]:
            labels.append(Label(step.macro.span, f"`{step.macro.macro}` is used here"))
    help = ""
    if isinstance(before, Fork) and isinstance(input, Bundle):
        sides = zip(before.programs, input.members, strict=True)
        gives = "gives " if shown else ""
        labels += [Label(_extent(program), f"{gives}{member!r}") for program, member in sides]
        help = other_join(space.grammar, fails.application, input)
    return Blame(places[shown], tuple(labels), help)


def _extent(program: Program) -> Span:
    """From the first step to the last, where they stand in this order in one text."""
    first, last = _span(program[0]), _span(program[-1])
    return first.to(last) if first.source is last.source and first.start <= last.start else last


def _span(step: Step) -> Span:
    return step.macro.span if isinstance(step, Enter) else step.span
