"""A derivation along the grammar: each use of a rule, and each program, with values, modules and what is inside."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

from ein.grammar.counting.copies import Missing, trial
from ein.grammar.counting.counts import Tables
from ein.grammar.derivations.derivation import Choices
from ein.grammar.matching.lanes import Head, Scope, Value, beside, enter, inputs, named, run
from ein.grammar.numbers import Inapplicable
from ein.grammar.steps import Bind, Call, Copy, Enter, Fork, Instance, Loop, Program, Step, holds_rule


@dataclass(frozen=True, slots=True, eq=False)
class RuleNode:
    instance: Instance
    value: Value
    head: Head
    body: PartNode | None
    output: Value
    n: int


@dataclass(frozen=True, slots=True, eq=False)
class StepNode:
    """`inside`: the use of a rule, the program of a macro, branches, what is copied, or what a `let` is made of."""

    step: Step
    output: Value
    n: int
    inside: Any = None


@dataclass(frozen=True, slots=True, eq=False)
class PartNode:
    program: Program
    value: Value
    scope: Scope
    steps: tuple[StepNode, ...]

    @property
    def output(self) -> Value:
        return self.steps[-1].output

    @property
    def n(self) -> int:
        return sum(step.n for step in self.steps)

    def first(self, count: int) -> PartNode:
        """The program without what comes after `count` steps."""
        return PartNode(self.program[:count], self.value, self.scope, self.steps[:count])


Task: TypeAlias = Generator[Any, Any, Any]


def trampoline(task: Task) -> Any:
    """What a generator returns that yields the generators whose results it needs: recursion without Python's stack."""
    stack: list[Task] = [task]
    result: Any = None
    while stack:
        try:
            stack.append(stack[-1].send(result))
            result = None
        except StopIteration as done:
            stack.pop()
            result = done.value
    return result


class Reader:
    """Reads the choices of one derivation; raises Inapplicable where one is not to be had."""

    def __init__(self, tables: Tables, choices: Choices) -> None:
        self.tables = tables
        self.choices = choices
        self.at = 0

    def read(self, instance: Instance, value: Value) -> RuleNode:
        node: RuleNode = trampoline(self._rule(instance, value))
        if self.at < len(self.choices):
            raise Inapplicable("there are more choices than the derivation makes")
        return node

    def _rule(self, instance: Instance, value: Value) -> Task:
        head = self._head(instance, value)
        body = yield self._part(head.program, head.value, head.scope)
        output = head.value if body is None else body.output
        met = self.tables.met(instance, value, output)
        if met is None:
            raise Inapplicable("`{!r}` claims another output", instance.rule.span, (instance,))
        return RuleNode(instance, value, head, body, met, head.modules + (0 if body is None else body.n))

    def _head(self, instance: Instance, value: Value) -> Head:
        if self.at == len(self.choices):
            raise Inapplicable("the choices end before the derivation does")
        choice = self.choices[self.at]
        self.at += 1
        for head in self.tables.candidates(instance, value):
            if head.candidate.choice == choice:
                return head
        raise Inapplicable(f"`{instance!r}` has no choice {choice} at {value!r}", instance.rule.span)

    def _part(self, program: Program, value: Value, scope: Scope) -> Task:
        steps: list[StepNode] = []
        current = value
        for step in program:
            steps.append((yield self._step(step, current, scope)))
            current = steps[-1].output
        return PartNode(program, value, scope, tuple(steps)) if steps else None

    def _step(self, step: Step, value: Value, scope: Scope) -> Task:
        match step:
            case Call(instance):
                inside = yield self._rule(instance, value)
                return StepNode(step, inside.output, inside.n, inside)
            case _ if not holds_rule(step):
                output, modules = run(self.tables.space, step, value, scope)
                return StepNode(step, output, modules)
            case Enter():
                inside = yield self._part(enter(self.tables.space, step, value), value, scope)
                return StepNode(step, inside.output, inside.n, inside)
            case Fork(programs):
                parts = []
                for program, given in zip(programs, inputs(step, value), strict=True):
                    parts.append((yield self._part(program, given, scope)))
                output = beside([part.output for part in parts], step.span)
                return StepNode(step, output, sum(part.n for part in parts), parts)
            case Bind():
                return (yield self._bound(step, value, scope))
            case Copy() | Loop():
                return (yield self._copied(step, value, scope))
        raise AssertionError(step)

    def _bound(self, step: Bind, value: Value, scope: Scope) -> Task:
        parts = []
        for names, program in step.bindings:
            parts.append((yield self._part(program, value, scope)))
            scope = named(names, parts[-1].output, scope, step.span)
        parts.append((yield self._part(step.body, value, scope)))
        return StepNode(step, parts[-1].output, sum(part.n for part in parts), parts)

    def _copied(self, step: Copy | Loop, value: Value, scope: Scope) -> Task:
        """The part is read again with more types until those are enough for all copies."""
        tried = trial(step, value, self.tables.scope(step.program, scope))
        begin = self.at
        while True:
            self.at = begin
            part = yield self._part(step.program, *tried.inside)
            try:
                return StepNode(step, tried.output(part.output), part.n * step.count, part)
            except Missing as missing:
                tried = tried.more(missing)
