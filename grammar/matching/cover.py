"""Rules laid over a term: the most probable choices that give it, for every type that can come out.

A chart lays rules along a series of items; here are the items that have series inside them (branches, copies,
repetitions, `let`), and the charts that ask for each other. A goal may forget how a size was put together, so types
are followed along the cover: those of the term hold without goals only.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import nlargest
from typing import Any
from weakref import WeakKeyDictionary

from ein.grammar.computed import side_by_side
from ein.grammar.derivations.derivation import Choices, retyped
from ein.grammar.matching.chart import Chart, Found, Goal, Made, Meant, Task, Uneven
from ein.grammar.matching.items import Item, Items
from ein.grammar.matching.prospects import Chosen, Prospects
from ein.grammar.numbers import Inapplicable
from ein.grammar.space import Space
from ein.grammar.steps import (
    Again,
    Bind,
    Copy,
    Fork,
    Instance,
    Loop,
    Program,
    Variables,
    assign,
    holds_rule,
)
from ein.grammar.types import ValueType

MAX_VARIANTS = 64
"""Covers that are kept of a bundle or a `let`, which differ in the types of their parts."""

MAX_ENTRIES = 300_000
"""Answers that are kept from one term to the next."""


class _Known:
    """What is kept for a space: nothing in it holds the space, so it goes when the space does."""

    def __init__(self, space: Space) -> None:
        self.prospects = Prospects(space.grammar)
        self.covers: dict[Goal, Found] = {}


_known: WeakKeyDictionary[Space, _Known] = WeakKeyDictionary()


def choices_of(made: Made) -> Choices:
    found: list[tuple[int, tuple[Any, ...]]] = []
    stack: list[Any] = [made]
    while stack:
        node = stack.pop()
        if isinstance(node, Chosen):
            found.append(node.choice)
        else:
            stack += reversed(node)
    return tuple(found)


class Cover:
    """The covers of one space. They are kept from one question to the next, and from one term to the next."""

    def __init__(self, space: Space) -> None:
        self.space = space
        known = _known.get(space)
        if known is None or len(known.covers) + known.prospects.entries > MAX_ENTRIES:
            known = _known[space] = _Known(space)
        self.prospects = known.prospects
        self.covers = known.covers

    def answer(self, goal: Goal) -> Found:
        """The covers of a whole series by a program, on an explicit stack."""
        if goal in self.covers:
            return self.covers[goal]
        stack = [(goal, self._chart(goal))]
        answer: Found | None = None
        while stack:
            goal, task = stack[-1]
            try:
                wanted = next(task) if answer is None else task.send(answer)
            except StopIteration as done:
                answer = self.covers[goal] = done.value
                stack.pop()
                continue
            answer = self.covers.get(wanted)
            if answer is None:
                stack.append((wanted, self._chart(wanted)))
        assert answer is not None
        return answer

    def goal(self, program: Program, items: Items, meant: Meant, input: ValueType) -> Goal:
        return self.prospects.rest(program), items, meant, input

    def _chart(self, goal: Goal) -> Task:
        rest, items, meant, input = goal
        uneven: set[Instance] = set()
        while True:
            try:
                return (yield from Chart(self, items, uneven).run(rest, meant, input))
            except Uneven as found:
                uneven.add(found.instance)

    def chart(self, goal: Goal) -> Chart:
        """The chart of a goal as it stands when there is nothing more to lay."""
        rest, items, meant, input = goal
        uneven: set[Instance] = set()
        while True:
            chart = Chart(self, items, uneven)
            task, answer = chart.run(rest, meant, input), None
            try:
                while True:
                    answer = self.answer(next(task) if answer is None else task.send(answer))
            except StopIteration:
                return chart
            except Uneven as found:
                uneven.add(found.instance)

    # --- items with series inside

    def step(self, step: Any, item: Item, meant: Meant, input: ValueType) -> Task:
        """The covers of an item by a step of its kind."""
        try:
            match step:
                case Fork() if item.detail == step.takes:
                    return (yield from self._branches(step, item.inner, meant, input))
                case Copy(count, _, tied) if item.detail == (count, tied):
                    return (yield from self._copies(step, item.inner[0], meant, input))
                case Loop(count, _, tied) if item.detail == (count, tied):
                    return (yield from self._rounds(step, item.inner[0], meant, input))
                case Bind(bindings) if len(item.detail) == len(bindings):
                    return (yield from self._bound(step, item, meant, input))
        except Inapplicable:
            pass
        return {}

    def _branches(self, step: Fork, inner: tuple[Items, ...], meant: Meant, input: ValueType) -> Task:
        covers: list[tuple[float, tuple[ValueType, ...], Made]] = [(0.0, (), ())]
        for program, items, given in zip(step.programs, inner, step.inputs(input), strict=True):
            found = yield self.goal(program, items, meant, given)
            pairs = ((cover, each) for cover in covers for each in found.items())
            covers = _likeliest(
                [(score + more, (*types, type), (*made, own)) for (score, types, made), (type, (more, own)) in pairs]
            )
            if not covers:
                return {}
        best: Found = {}
        for score, types, made in covers:
            _better(best, side_by_side(types, step.span), score, made)
        return best

    def _copies(self, step: Copy, items: Items, meant: Meant, input: ValueType) -> Task:
        given = step.input(input)
        found = yield self.goal(step.program, items, meant, given)
        return _each(found, lambda output, made: step.output(input, output, self._again(step.program, made, meant)))

    def _rounds(self, step: Loop, items: Items, meant: Meant, input: ValueType) -> Task:
        found = yield self.goal(step.program, items, meant, input)
        if not holds_rule(step):
            return _each(found, lambda *_: self.space.run(step, input, _types(meant))[0])
        return _each(found, lambda output, made: step.output(input, output, self._again(step.program, made, meant)))

    def _again(self, program: Program, made: Made, meant: Meant) -> Again:
        return lambda type: retyped(self.space, program, choices_of(made), type, _types(meant))

    def _bound(self, step: Bind, item: Item, meant: Meant, input: ValueType) -> Task:
        covers: list[tuple[float, Meant, Made]] = [(0.0, meant, ())]
        for (names, program), theirs, items in zip(step.bindings, item.detail, item.inner, strict=False):
            if len(names) != len(theirs):
                return {}
            grown = []
            for score, known, made in covers:
                found = yield self.goal(program, items, known, input)
                for value, (more, own) in found.items():
                    within = _named(known, step, names, theirs, value)
                    if within is not None:
                        grown.append((score + more, within, (*made, own)))
            covers = _likeliest(grown)
        best: Found = {}
        for score, known, made in covers:
            found = yield self.goal(step.body, item.inner[-1], known, input)
            for output, (more, own) in found.items():
                _better(best, output, score + more, (*made, own))
        return best


def _better(best: Found, type: ValueType, score: float, made: Made) -> None:
    if type not in best or score > best[type][0]:
        best[type] = score, made


def _each(found: Found, output: Callable[[ValueType, Made], ValueType]) -> Found:
    """What comes out is another type, or nothing where that raises Inapplicable."""
    best: Found = {}
    for type, (score, made) in found.items():
        try:
            _better(best, output(type, made), score, made)
        except Inapplicable:
            continue
    return best


def _likeliest(covers: list[tuple[float, Any, Made]]) -> list[tuple[float, Any, Made]]:
    return covers if len(covers) <= MAX_VARIANTS else nlargest(MAX_VARIANTS, covers, key=lambda cover: cover[0])


def _types(meant: Meant) -> Variables:
    return {mine: type for mine, _, type in meant}


def _named(meant: Meant, step: Bind, names: tuple[str, ...], theirs: tuple[str, ...], value: ValueType) -> Meant | None:
    """With the names of a binding; None where it names more values than there are."""
    types: Variables = {}
    try:
        assign(names, value, types, step.span)
    except Inapplicable:
        return None
    kept = {each for each in meant if each[0] not in names and each[1] not in theirs}
    return frozenset(kept | {(mine, their, types[mine]) for mine, their in zip(names, theirs, strict=True)})
