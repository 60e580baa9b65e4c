"""From a term back to a derivation: the most probable one that a grammar has for it.

The term is a series of items (operators, bundles of branches, copies). A rule covers a stretch of a
series; each alternative's steps are laid along the stretch in every way that fits, and the most
probable cover of every stretch is kept. Types are known throughout, since the term is typed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from math import log
from typing import Any, TypeAlias

from ein.grammar import term as t
from ein.grammar.cfg import Application
from ein.grammar.derivation import Choices, Derivation, replay
from ein.grammar.diagnostics import NOWHERE, EinError, fail
from ein.grammar.numbers import Inapplicable
from ein.grammar.options import options
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
    Load,
    Loop,
    Meet,
    Pack,
    Program,
    Step,
    Unpack,
    members,
)
from ein.grammar.types import ValueType, bundle


@dataclass(frozen=True, slots=True, eq=False)
class _Items:
    """A series of the term without its names: what stands in a row, outermost first."""

    parts: tuple[t.Op | t.Parallel | t.Copies | t.Repeated | t.Let | t.Variable, ...]
    inner: tuple[tuple[_Items, ...], ...]
    """For each part, the series inside it."""
    variables: Mapping[str, ValueType]
    """The types of the values named around it."""


_Found: TypeAlias = "tuple[float, _Made] | None"
_Made: TypeAlias = "tuple[Any, ...]"
"""Choices in pre-order as a tree of tuples: (choice, part, part, …) or (part, part, …)."""
_Task: TypeAlias = "Generator[tuple[Any, ...], _Found, _Found]"
_Meant: TypeAlias = frozenset[tuple[str, str]]
"""Which variable of the term each variable of the rule stands for."""


_STRETCH = 6
"""Items of a stretch that is tried alone, to say where a term leaves the grammar."""


def derive(space: Space, term: t.TypedTerm) -> Derivation:
    """The most probable derivation of `space` whose term is `term`. Raises EinError where there is none."""
    items = _items(term, {})
    matcher = _Matcher(space)
    found = matcher.solve(("rule", space.start, items, 0, len(items.parts), frozenset()))
    if found is None:
        raise _leaves(space, matcher, items)
    choices = tuple(_flat(found[1]))
    try:
        made = replay(space, choices, term.input)
    except Inapplicable as error:  # a goal may take the structure of a dimension, which the printed term keeps
        raise fail("E707", f"`{space.grammar.name}` does not derive this term: {error.reason}", error.span) from None
    return Derivation(space, choices, t.cost(made).modules, term.input)


def _leaves(space: Space, matcher: _Matcher, items: _Items) -> EinError:
    """Says the first item that no rule covers in any short stretch."""
    covered: set[int] = set()
    count = len(items.parts)
    for first in range(count):
        for last in range(first + 1, min(first + _STRETCH, count) + 1):
            if last - 1 not in covered or first not in covered:
                rules = [rule for rule in space.instances.values() if not rule.rule.packed]
                if any(matcher.solve(("rule", rule, items, first, last, frozenset())) is not None for rule in rules):
                    covered.update(range(first, last))
    missing = next((at for at in range(count) if at not in covered), None)
    message = f"`{space.grammar.name}` does not derive this term"
    if missing is None:
        return fail("E707", message, help="its rules cover every part of it, but not all of it together")
    part = items.parts[missing]
    said = t.text(part)
    shown = said if len(said) <= 60 else f"{said[:57]}..."
    return fail("E707", f"{message}: no rule gives `{shown}` there", part.span if isinstance(part, t.Op) else None)


def _items(term: t.TypedTerm, variables: Mapping[str, ValueType]) -> _Items:
    """Names and nested series dissolved; recursion goes as deep as branches nest."""
    parts: list[Any] = []
    stack: list[t.TypedTerm] = [term]
    while stack:
        node = stack.pop()
        match node:
            case t.Named(_, body):
                stack.append(body)
            case t.Series(inside):
                stack += reversed(inside)
            case _:
                parts.append(node)
    inner = tuple(tuple(_inside(part, variables)) for part in parts)
    return _Items(tuple(parts), inner, variables)


def _inside(part: t.TypedTerm, variables: Mapping[str, ValueType]) -> Iterator[_Items]:
    if not isinstance(part, t.Let):
        yield from (_items(child, variables) for child in t.children(part))
        return
    for names, value in part.bindings:
        yield _items(value, variables)
        types = [value.output] if len(names) == 1 else members(value.output, len(names), NOWHERE)
        variables = {**variables, **dict(zip(names, types, strict=True))}
    yield _items(part.body, variables)


def _flat(made: _Made) -> Choices:
    found: list[tuple[int, tuple[Any, ...]]] = []
    stack: list[Any] = [made]
    while stack:
        node = stack.pop()
        if isinstance(node, _Chosen):
            found.append(node.choice)
        else:
            stack += reversed(node)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Chosen:
    choice: tuple[int, tuple[Any, ...]]


class _Matcher:
    """Fills its table on demand; tasks are generators on an explicit stack, so length is no limit."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.table: dict[tuple[Any, ...], _Found] = {}
        self.running: set[tuple[Any, ...]] = set()

    def solve(self, goal: tuple[Any, ...]) -> _Found:
        stack: list[tuple[tuple[Any, ...], _Task]] = [(self._key(goal), self._task(goal))]
        self.running.add(stack[0][0])
        answer: _Found = None
        send = False
        while stack:
            key, task = stack[-1]
            try:
                wanted = task.send(answer) if send else next(task)
            except StopIteration as done:
                answer, send = done.value, True
                self.table[key] = answer
                self.running.discard(key)
                stack.pop()
                continue
            wanted_key = self._key(wanted)
            if wanted_key in self.table:
                answer, send = self.table[wanted_key], True
            elif wanted_key in self.running:
                answer, send = None, True  # a rule that needs itself on the same stretch adds nothing
            else:
                self.running.add(wanted_key)
                stack.append((wanted_key, self._task(wanted)))
                send = False
        return answer

    def _key(self, goal: tuple[Any, ...]) -> tuple[Any, ...]:
        kind, what, items, first, last, meant = goal
        return kind, id(what) if kind == "rule" else what, id(items), first, last, meant

    def _task(self, goal: tuple[Any, ...]) -> _Task:
        kind, what, items, first, last, meant = goal
        task = self._rule if kind == "rule" else self._program
        return task(what, items, first, last, meant)

    def _rule(self, instance: Instance, items: _Items, first: int, last: int, meant: _Meant) -> _Task:
        best: _Found = None
        inner: _Meant = meant if instance.rule.packed else frozenset()
        for candidate, probability in self._candidates(instance, items, first, meant):
            program = tuple(step for step in candidate.program if not isinstance(step, Pack | Unpack | Meet))
            if not self._may_fit(program, items, first, last):
                continue
            found = yield ("program", program, items, first, last, inner)
            if found is not None and (best is None or found[0] + log(probability) > best[0]):
                best = found[0] + log(probability), (_Chosen(candidate.choice), found[1])
        return best

    def _candidates(
        self, instance: Instance, items: _Items, first: int, meant: _Meant
    ) -> Iterator[tuple[Candidate, float]]:
        input = items.parts[first].input
        if instance.rule.packed:
            names = dict(meant)
            types = items.variables
            input = bundle([input, *(types[names[name]] for name in instance.rule.packed)])
        table = options(self.space, instance, input)
        return zip(table.candidates, table.probabilities, strict=True)

    def _may_fit(self, program: Program, items: _Items, first: int, last: int) -> bool:
        """Quick refusals: too few items, a first or last step that is another operator, a fixed length."""
        if last - first < len(program):
            return False
        if isinstance(program[0], Apply) and not _same(program[0].application, items.parts[first]):
            return False
        end = program[-1]
        if isinstance(end, Apply) and not _same(end.application, items.parts[last - 1]):
            return False
        return any(isinstance(step, Call | Enter | Loop) for step in program) or last - first == len(program)

    def _program(self, program: Program, items: _Items, first: int, last: int, meant: _Meant) -> _Task:
        """The steps laid along the stretch: the first takes 1 … items, the others what is left."""
        program = tuple(step for step in program if not isinstance(step, Pack | Meet))
        if not program:
            return (0.0, ()) if first == last else None
        step, rest = program[0], program[1:]
        if not rest:
            return (yield from self._step(step, items, first, last, meant))
        best: _Found = None
        longest = last - len(rest)
        shortest = first + 1
        if isinstance(step, _SINGLE):
            longest = min(longest, shortest)
        elif all(isinstance(later, _SINGLE) for later in rest):
            shortest = longest  # what follows takes one item each
        for cut in range(shortest, longest + 1):
            left = yield from self._step(step, items, first, cut, meant)
            if left is None:
                continue
            right = yield ("program", rest, items, cut, last, meant)
            if right is not None and (best is None or left[0] + right[0] > best[0]):
                best = left[0] + right[0], (left[1], right[1])
        return best

    def _step(self, step: Step, items: _Items, first: int, last: int, meant: _Meant) -> _Task:
        part = items.parts[first]
        single = last == first + 1
        match step:
            case Apply(application):
                return (0.0, ()) if single and _same(application, part) else None
            case Load(name):
                fits = single and isinstance(part, t.Variable) and (name, part.name) in meant
                return (0.0, ()) if fits else None
            case Call(instance):
                return (yield ("rule", instance, items, first, last, meant))
            case Enter():
                return (yield ("program", self._entered(step, part.input), items, first, last, meant))
            case Fork(programs):
                fits = single and isinstance(part, t.Parallel) and part.takes == step.takes
                return (yield from self._branches(programs, items.inner[first], meant)) if fits else None
            case Copy(count, program, tied):
                fits = single and isinstance(part, t.Copies) and (part.count, part.tied) == (count, tied)
                return (yield from self._branches((program,), items.inner[first], meant)) if fits else None
            case Loop(count, program, tied):
                fits = single and isinstance(part, t.Repeated) and (len(part.parts), part.tied) == (count, tied)
                return (yield from self._branches((program,), items.inner[first][:1], meant)) if fits else None
            case Bind():
                fits = single and isinstance(part, t.Let) and len(part.bindings) == len(step.bindings)
                return (yield from self._bound(step, part, items.inner[first], meant)) if fits else None  # type: ignore[arg-type]
        return None

    def _entered(self, step: Enter, input: ValueType) -> Program:
        try:
            return self.space.enter(step, input)
        except Inapplicable:
            return ()

    def _branches(self, programs: tuple[Program, ...], inner: tuple[_Items, ...], meant: _Meant) -> _Task:
        total, made = 0.0, []
        for program, items in zip(programs, inner, strict=True):
            found = yield ("program", program, items, 0, len(items.parts), meant)
            if found is None:
                return None
            total += found[0]
            made.append(found[1])
        return total, tuple(made)

    def _bound(self, step: Bind, part: t.Let, inner: tuple[_Items, ...], meant: _Meant) -> _Task:
        total, made = 0.0, []
        for i, program in enumerate(step.programs):
            found = yield ("program", program, inner[i], 0, len(inner[i].parts), meant)
            if found is None:
                return None
            total += found[0]
            made.append(found[1])
            if i < len(step.bindings):
                mine, theirs = step.bindings[i][0], part.bindings[i][0]
                if len(mine) != len(theirs):
                    return None
                kept = {pair for pair in meant if pair[0] not in mine and pair[1] not in theirs}
                meant = frozenset(kept | set(zip(mine, theirs, strict=True)))
        return total, tuple(made)


_SINGLE = Apply | Fork | Copy | Bind | Load
"""Steps that are one item."""


def _same(application: Application, part: object) -> bool:
    """The same operator with the same arguments, though perhaps of another file."""
    if not isinstance(part, t.Op):
        return False
    other = part.application
    if other is application:
        return True
    mine, theirs = application.overloads, other.overloads
    return application.text == other.text and [o.declaration for o in mine] == [o.declaration for o in theirs]
