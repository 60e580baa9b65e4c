"""From a term back to a derivation: the most probable one that a grammar has for it.

The term is a series of items (operators, bundles of branches, copies). A rule covers a stretch of a
series; each alternative's steps are laid along the stretch in every way that fits, and the most
probable cover of every stretch is kept. Types are known throughout, since the term is typed.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from math import log
from typing import Any, TypeAlias

from ein.grammar import term as t
from ein.grammar.cfg import Application
from ein.grammar.derivation import Choices, Derivation, replay
from ein.grammar.diagnostics import EinError, fail
from ein.grammar.numbers import Inapplicable
from ein.grammar.options import options
from ein.grammar.space import Space
from ein.grammar.steps import Apply, Call, Copy, Enter, Fork, Instance, Loop, Program, Step
from ein.grammar.types import ValueType


@dataclass(frozen=True, slots=True, eq=False)
class _Items:
    """A series of the term without its names: what stands in a row, outermost first."""

    parts: tuple[t.Op | t.Parallel | t.Copies | t.Repeated, ...]
    inner: tuple[tuple[_Items, ...], ...]
    """For each part, the series inside it."""


_Found: TypeAlias = "tuple[float, _Made] | None"
_Made: TypeAlias = "tuple[Any, ...]"
"""Choices in pre-order as a tree of tuples: (choice, part, part, …) or (part, part, …)."""
_Task: TypeAlias = "Generator[tuple[Any, ...], _Found, _Found]"


_STRETCH = 6
"""Items of a stretch that is tried alone, to say where a term leaves the grammar."""


def derive(space: Space, term: t.TypedTerm) -> Derivation:
    """The most probable derivation of `space` whose term is `term`. Raises EinError where there is none."""
    items = _items(term)
    matcher = _Matcher(space)
    found = matcher.solve(("rule", space.start, items, 0, len(items.parts)))
    if found is None:
        raise _leaves(space, matcher, items)
    choices = tuple(_flat(found[1]))
    try:
        made = replay(space, choices, term.input)
    except Inapplicable as error:
        raise AssertionError(f"a matched term does not replay: {error.reason}") from None
    return Derivation(space, choices, t.cost(made).modules, term.input)


def _leaves(space: Space, matcher: _Matcher, items: _Items) -> EinError:
    """Says the first item that no rule covers in any short stretch."""
    covered: set[int] = set()
    count = len(items.parts)
    for first in range(count):
        for last in range(first + 1, min(first + _STRETCH, count) + 1):
            if last - 1 not in covered or first not in covered:
                rules = list(space.instances.values())
                if any(matcher.solve(("rule", rule, items, first, last)) is not None for rule in rules):
                    covered.update(range(first, last))
    missing = next((at for at in range(count) if at not in covered), None)
    message = f"`{space.grammar.name}` does not derive this term"
    if missing is None:
        return fail("E707", message, help="its rules cover every part of it, but not all of it together")
    part = items.parts[missing]
    said = t.text(part)
    shown = said if len(said) <= 60 else f"{said[:57]}..."
    return fail("E707", f"{message}: no rule gives `{shown}` there", part.span if isinstance(part, t.Op) else None)


def _items(term: t.TypedTerm) -> _Items:
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
    inner = tuple(tuple(map(_items, t.children(part))) for part in parts)
    return _Items(tuple(parts), inner)


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
        kind, what, items, first, last = goal
        return kind, id(what) if kind == "rule" else what, id(items), first, last

    def _task(self, goal: tuple[Any, ...]) -> _Task:
        kind, what, items, first, last = goal
        return self._rule(what, items, first, last) if kind == "rule" else self._program(what, items, first, last)

    def _rule(self, instance: Instance, items: _Items, first: int, last: int) -> _Task:
        best: _Found = None
        table = options(self.space, instance, items.parts[first].input)
        for candidate, probability in zip(table.candidates, table.probabilities, strict=True):
            if not self._may_fit(candidate.program, items, first, last):
                continue
            found = yield ("program", candidate.program, items, first, last)
            if found is not None and (best is None or found[0] + log(probability) > best[0]):
                best = found[0] + log(probability), (_Chosen(candidate.choice), found[1])
        return best

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

    def _program(self, program: Program, items: _Items, first: int, last: int) -> _Task:
        """The steps laid along the stretch: the first takes 1 … items, the others what is left."""
        if not program:
            return (0.0, ()) if first == last else None
        step, rest = program[0], program[1:]
        if not rest:
            return (yield from self._step(step, items, first, last))
        best: _Found = None
        longest = last - len(rest)
        shortest = first + 1
        if isinstance(step, Apply | Fork | Copy):
            longest = min(longest, shortest)
        elif all(isinstance(later, Apply | Fork | Copy) for later in rest):
            shortest = longest  # what follows takes one item each
        for cut in range(shortest, longest + 1):
            left = yield from self._step(step, items, first, cut)
            if left is None:
                continue
            right = yield ("program", rest, items, cut, last)
            if right is not None and (best is None or left[0] + right[0] > best[0]):
                best = left[0] + right[0], (left[1], right[1])
        return best

    def _step(self, step: Step, items: _Items, first: int, last: int) -> _Task:
        part = items.parts[first]
        match step:
            case Apply(application):
                return (0.0, ()) if last == first + 1 and _same(application, part) else None
            case Call(instance):
                return (yield ("rule", instance, items, first, last))
            case Enter():
                return (yield ("program", self._entered(step, part.input), items, first, last))
            case Fork(programs):
                fits = last == first + 1 and isinstance(part, t.Parallel) and len(part.parts) == len(programs)
                return (yield from self._branches(programs, items.inner[first])) if fits else None
            case Copy(count, program, tied):
                fits = last == first + 1 and isinstance(part, t.Copies) and (part.count, part.tied) == (count, tied)
                return (yield from self._branches((program,), items.inner[first])) if fits else None
            case Loop(count, program, tied):
                fits = last == first + 1 and isinstance(part, t.Repeated)
                same = fits and isinstance(part, t.Repeated) and (len(part.parts), part.tied) == (count, tied)
                return (yield from self._branches((program,), items.inner[first][:1])) if same else None

    def _entered(self, step: Enter, input: ValueType) -> Program:
        try:
            return self.space.enter(step, input)
        except Inapplicable:
            return ()

    def _branches(self, programs: tuple[Program, ...], inner: tuple[_Items, ...]) -> _Task:
        total, made = 0.0, []
        for program, items in zip(programs, inner, strict=True):
            found = yield ("program", program, items, 0, len(items.parts))
            if found is None:
                return None
            total += found[0]
            made.append(found[1])
        return total, tuple(made)


def _same(application: Application, part: object) -> bool:
    """The same operator with the same arguments, though perhaps of another file."""
    if not isinstance(part, t.Op):
        return False
    other = part.application
    if other is application:
        return True
    mine, theirs = application.overloads, other.overloads
    return application.text == other.text and [o.declaration for o in mine] == [o.declaration for o in theirs]
