"""Rules laid over a term: the most probable choices that give it, for every type that can come out.

The term is a series of items (operators, bundles of branches, copies). A rule covers a stretch of a
series; each alternative's steps are laid along the stretch in every way that fits, and the most
probable cover of every stretch is kept. A goal may forget how a size was put together, so types are
followed along the cover: those of the term hold without goals only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from math import log
from typing import Any, TypeAlias

from ein.grammar import term as t
from ein.grammar.cfg import Application
from ein.grammar.computed import side_by_side
from ein.grammar.derivations.derivation import Choices, retyped
from ein.grammar.derivations.options import options
from ein.grammar.derivations.rounds import Found, Made, Rounds, Task
from ein.grammar.numbers import Inapplicable
from ein.grammar.space import Space
from ein.grammar.steps import (
    Again,
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
    Variables,
    assign,
    holds_rule,
)
from ein.grammar.types import ValueType, bundle

MAX_VARIANTS = 64
"""Covers that are kept of a bundle or a `let`, which differ in the types of their parts."""


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """A series of the term without its names: what stands in a row, outermost first."""

    parts: tuple[t.Op | t.Parallel | t.Copies | t.Repeated | t.Let | t.Variable, ...]
    inner: tuple[tuple[Items, ...], ...]
    """For each part, the series inside it."""


Meant: TypeAlias = frozenset[tuple[str, str, ValueType]]
"""For each variable of the rule, the one of the term that it stands for, and its type."""

Goal: TypeAlias = tuple[str, Any, Items, int, int, Meant, ValueType]
"""`rule` or `program`, the instance or program, the stretch, the variables, and what flows in."""

_Task: TypeAlias = Task[Goal]


def items_of(term: t.TypedTerm) -> Items:
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
    return Items(tuple(parts), tuple(tuple(map(items_of, t.children(part))) for part in parts))


@dataclass(frozen=True, slots=True)
class _Chosen:
    choice: tuple[int, tuple[Any, ...]]


def choices_of(made: Made) -> Choices:
    found: list[tuple[int, tuple[Any, ...]]] = []
    stack: list[Any] = [made]
    while stack:
        node = stack.pop()
        if isinstance(node, _Chosen):
            found.append(node.choice)
        else:
            stack += reversed(node)
    return tuple(found)


class Cover:
    """The covers of one grammar, kept from one question to the next."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.rounds = Rounds(self._begin)

    def solve(self, goal: Goal) -> Found:
        return self.rounds.solve(goal)

    def _begin(self, goal: Goal) -> _Task:
        kind, what, items, first, last, meant, input = goal
        lay = self._rule if kind == "rule" else self._program
        return lay(what, items, first, last, meant, input)

    # --- rules and programs

    def _rule(self, instance: Instance, items: Items, first: int, last: int, meant: Meant, input: ValueType) -> _Task:
        best: Found = {}
        inner: Meant = meant if instance.rule.packed else frozenset()
        for candidate, probability in self._candidates(instance, meant, input):
            program = _bare(candidate.program)
            if not _may_fit(program, items, first, last):
                continue
            found = yield "program", program, items, first, last, inner, input
            if instance.rule.goal is not None:
                found = _each(found, lambda output, _: self.space.meet(instance, input, output))
            for output, (score, made) in found.items():
                _better(best, output, score + log(probability), (_Chosen(candidate.choice), made))
        return best

    def _candidates(self, instance: Instance, meant: Meant, input: ValueType) -> Iterator[tuple[Candidate, float]]:
        if instance.rule.packed:
            types = _types(meant)
            input = bundle([input, *(types[name] for name in instance.rule.packed)])
        table = options(self.space, instance, input)
        return zip(table.candidates, table.probabilities, strict=True)

    def _program(self, program: Program, items: Items, first: int, last: int, meant: Meant, input: ValueType) -> _Task:
        """The steps laid along the stretch: the first takes 1 … items, the others what is left."""
        step, rest = program[0], program[1:]
        if not rest:
            return (yield from self._step(step, items, first, last, meant, input))
        best: Found = {}
        for cut in _cuts(step, rest, first, last):
            left = yield from self._step(step, items, first, cut, meant, input)
            for middle, (score, made) in left.items():
                right = yield "program", rest, items, cut, last, meant, middle
                for output, (more, following) in right.items():
                    _better(best, output, score + more, (made, following))
        return best

    # --- steps

    def _step(self, step: Step, items: Items, first: int, last: int, meant: Meant, input: ValueType) -> _Task:
        part, inner = items.parts[first], items.inner[first]
        single = last == first + 1
        try:
            match step, part:
                case Call(instance), _:
                    return (yield "rule", instance, items, first, last, meant, input)
                case Enter(), _:
                    return (yield from self._entered(step, items, first, last, meant, input))
                case Apply(application), t.Op() if single and _same(application, part.application):
                    return {application.at(input).output: (0.0, ())}
                case Load(name), t.Variable() if single:
                    return {type: (0.0, ()) for mine, theirs, type in meant if (mine, theirs) == (name, part.name)}
                case Fork(), t.Parallel() if single and part.takes == step.takes:
                    return (yield from self._branches(step, inner, meant, input))
                case Copy(count, _, tied), t.Copies() if single and (part.count, part.tied) == (count, tied):
                    return (yield from self._copies(step, inner[0], meant, input))
                case Loop(count, _, tied), t.Repeated() if single and (len(part.parts), part.tied) == (count, tied):
                    return (yield from self._rounds(step, inner[0], meant, input))
                case Bind(bindings), t.Let() if single and len(part.bindings) == len(bindings):
                    return (yield from self._bound(step, part, inner, meant, input))
        except Inapplicable:
            pass
        return {}

    def _entered(self, step: Enter, items: Items, first: int, last: int, meant: Meant, input: ValueType) -> _Task:
        program = self.space.enter(step, input)
        met = program[-1]
        found = yield "program", _bare(program), items, first, last, meant, input
        if not isinstance(met, Meet):
            return found
        return _each(found, lambda output, _: met.goal.meet(met.env, output, met.macro))

    def _branches(self, step: Fork, inner: tuple[Items, ...], meant: Meant, input: ValueType) -> _Task:
        covers: list[tuple[float, tuple[ValueType, ...], Made]] = [(0.0, (), ())]
        for program, items, given in zip(step.programs, inner, step.inputs(input), strict=True):
            found = yield _whole(program, items, meant, given)
            pairs = ((cover, each) for cover in covers for each in found.items())
            covers = _likeliest(
                [(score + more, (*types, type), (*made, own)) for (score, types, made), (type, (more, own)) in pairs]
            )
        best: Found = {}
        for score, types, made in covers:
            _better(best, side_by_side(types, step.span), score, made)
        return best

    def _copies(self, step: Copy, items: Items, meant: Meant, input: ValueType) -> _Task:
        given = step.input(input)
        found = yield _whole(step.program, items, meant, given)
        return _each(found, lambda output, made: step.output(input, output, self._again(step.program, made, meant)))

    def _rounds(self, step: Loop, items: Items, meant: Meant, input: ValueType) -> _Task:
        found = yield _whole(step.program, items, meant, input)
        if not holds_rule(step):
            return _each(found, lambda *_: self.space.run(step, input, _types(meant))[0])
        return _each(found, lambda output, made: step.output(input, output, self._again(step.program, made, meant)))

    def _again(self, program: Program, made: Made, meant: Meant) -> Again:
        return lambda type: retyped(self.space, program, choices_of(made), type, _types(meant))

    def _bound(self, step: Bind, part: t.Let, inner: tuple[Items, ...], meant: Meant, input: ValueType) -> _Task:
        covers: list[tuple[float, Meant, Made]] = [(0.0, meant, ())]
        for (names, program), (theirs, _), items in zip(step.bindings, part.bindings, inner, strict=False):
            if len(names) != len(theirs):
                return {}
            grown = []
            for score, known, made in covers:
                found = yield _whole(program, items, known, input)
                for value, (more, own) in found.items():
                    within = _named(known, step, names, theirs, value)
                    if within is not None:
                        grown.append((score + more, within, (*made, own)))
            covers = _likeliest(grown)
        best: Found = {}
        for score, known, made in covers:
            found = yield _whole(step.body, inner[-1], known, input)
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


def _named(meant: Meant, step: Bind, names: Sequence[str], theirs: Sequence[str], value: ValueType) -> Meant | None:
    """With the names of a binding; None where it names more values than there are."""
    types: Variables = {}
    try:
        assign(tuple(names), value, types, step.span)
    except Inapplicable:
        return None
    kept = {each for each in meant if each[0] not in names and each[1] not in theirs}
    return frozenset(kept | {(mine, their, types[mine]) for mine, their in zip(names, theirs, strict=True)})


def _whole(program: Program, items: Items, meant: Meant, input: ValueType) -> Goal:
    return "program", _bare(program), items, 0, len(items.parts), meant, input


def _bare(program: Program) -> Program:
    """The steps that stand for items."""
    return tuple(step for step in program if not isinstance(step, Pack | Unpack | Meet))


_SINGLE = Apply | Fork | Copy | Bind | Load
"""Steps that are one item."""


def _may_fit(program: Program, items: Items, first: int, last: int) -> bool:
    """Quick refusals: too few items, a first or last step that is another operator, a fixed length."""
    if last - first < len(program):
        return False
    for step, part in ((program[0], items.parts[first]), (program[-1], items.parts[last - 1])):
        if isinstance(step, Apply) and not (isinstance(part, t.Op) and _same(step.application, part.application)):
            return False
    return any(isinstance(step, Call | Enter | Loop) for step in program) or last - first == len(program)


def _cuts(step: Step, rest: Program, first: int, last: int) -> range:
    """Where the items of the first step may end."""
    shortest, longest = first + 1, last - len(rest)
    if isinstance(step, _SINGLE):
        longest = min(longest, shortest)
    elif all(isinstance(later, _SINGLE) for later in rest):
        shortest = longest  # what follows takes one item each
    return range(shortest, longest + 1)


def _same(application: Application, other: Application) -> bool:
    """The same operator with the same arguments, though perhaps of another file."""
    if other is application:
        return True
    mine, theirs = application.overloads, other.overloads
    return application.text == other.text and [o.declaration for o in mine] == [o.declaration for o in theirs]
