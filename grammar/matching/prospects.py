"""What the rules of a space can begin with, and how much of a series they cover: what a chart asks before it tries.

Held here is what follows from the space alone, so it serves every term that is laid under its rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import log
from typing import Any, TypeAlias

from ein.grammar import cfg
from ein.grammar.derivations.options import options
from ein.grammar.matching.items import BRANCHES, COPIES, LET, REPEATED, VARIABLE, Catalogue, Kind
from ein.grammar.numbers import Inapplicable
from ein.grammar.space import Space
from ein.grammar.steps import Apply, Bind, Call, Copy, Enter, Fork, Instance, Load, Loop, Meet, Pack, Program, Unpack
from ein.grammar.types import ValueType

_ANYTHING = ""
"""Stands for every kind of item, where a beginning depends on more than a type."""

_KINDS: dict[type, Kind] = {Fork: BRANCHES, Copy: COPIES, Loop: REPEATED, Bind: LET, Load: VARIABLE}


@dataclass(frozen=True, slots=True)
class Chosen:
    choice: tuple[int, tuple[Any, ...]]


@dataclass(slots=True, eq=False)
class Rest:
    """The steps of a program from one on.

    `kind`: the kind of item that the step is, where it is one. `length`: the items that the steps after this one
    cover, -1 where that is open. `again`: the step is the rule that the step before it is, too.
    """

    step: Any
    next: Rest | None
    kind: Kind | None
    length: int
    again: bool
    entered: dict[ValueType, Rest | None] = field(default_factory=dict)


Fitting: TypeAlias = tuple[float, Chosen, Rest, bool]
"""Logarithm of the probability, the choice, its steps, and whether these are the rule itself, twice."""


class Prospects:
    """Filled on demand. A space is handed in where one is needed, so that the space can own this."""

    def __init__(self, grammar: cfg.Grammar) -> None:
        self.catalogue = Catalogue()
        self.lengths = _lengths(grammar.rules)
        self.ending = _ending_in_themselves(grammar.rules, self.lengths)
        """Rules whose end is worth knowing beforehand."""
        self._rests: dict[Program, Rest] = {}
        self._fitting: dict[tuple[Instance, ValueType, Kind | None], list[Fitting]] = {}
        self._starts: dict[tuple[Instance, ValueType], frozenset[Kind]] = {}
        self._doubling: dict[tuple[Instance, ValueType], float] = {}

    @property
    def entries(self) -> int:
        return len(self._fitting) + len(self._rests) + len(self.catalogue.series)

    def rest(self, program: Program) -> Rest:
        """A program without the steps that stand for no item, but with the claims of macros."""
        found = self._rests.get(program)
        if found is None:
            made = self._linked(program, None)
            assert made is not None
            found = self._rests[program] = made
        return found

    def _linked(self, program: Program, after: Rest | None) -> Rest | None:
        steps = [step for step in program if not isinstance(step, Pack | Unpack)]
        for before, step in reversed(list(zip([None, *steps], steps, strict=False))):
            length = 0 if after is None else self._length(after)
            again = isinstance(before, Call) and isinstance(step, Call) and before.instance is step.instance
            after = Rest(step, after, self._kind(step), length, again)
        return after

    def _kind(self, step: Any) -> Kind | None:
        if isinstance(step, Apply):
            return self.catalogue.number_of_own(step.application)
        return _KINDS.get(type(step))

    def _length(self, rest: Rest) -> int:
        if rest.length < 0:
            return -1
        match rest.step:
            case Call(instance):
                own = self.lengths[instance.rule.name]
            case Enter(macro):
                own = _length(macro.body, self.lengths)
            case Meet():
                own = 0
            case _:
                own = 1
        return -1 if own is None or own < 0 else own + rest.length

    def entered(self, space: Space, rest: Rest, input: ValueType) -> Rest | None:
        """The steps of a macro at a type and what follows it; None where the macro does not take the type."""
        if input not in rest.entered:
            try:
                rest.entered[input] = self._linked(space.enter(rest.step, input), rest.next)
            except Inapplicable:
                rest.entered[input] = None
        return rest.entered[input]

    # --- beginnings

    def fitting(self, space: Space, instance: Instance, input: ValueType, kind: Kind | None) -> list[Fitting]:
        """The candidates at a type (of a group: bundled with its variables) that an item of a kind can begin.

        Without a kind: all of them.
        """
        found = self._fitting.get((instance, input, kind))
        if found is None:
            found = self._fitting[instance, input, kind] = list(self._fit(space, instance, input, kind))
        return found

    def _fit(self, space: Space, instance: Instance, input: ValueType, kind: Kind | None) -> Iterator[Fitting]:
        table = options(space, instance, input)
        for candidate, probability in zip(table.candidates, table.probabilities, strict=True):
            rest = self.rest(candidate.program)
            if kind is None or instance.rule.packed or self._begins(space, rest, input, kind):
                yield log(probability), Chosen(candidate.choice), rest, _doubles(instance, rest)

    def _begins(self, space: Space, rest: Rest, input: ValueType, kind: Kind) -> bool:
        while isinstance(rest.step, Enter):
            inner = self.entered(space, rest, input)
            if inner is None:
                return False
            rest = inner
        if not isinstance(rest.step, Call):
            return rest.kind == kind
        if rest.step.instance.rule.packed:
            return True
        starts = self._begin_with(space, rest.step.instance, input)
        return kind in starts or _ANYTHING in starts

    def _begin_with(self, space: Space, instance: Instance, input: ValueType) -> frozenset[Kind]:
        """The kinds of items that a rule can begin with at a type."""
        found = self._starts.get((instance, input))
        if found is None:
            found = self._starts[instance, input] = self._search(space, instance, input)
        return found

    def _search(self, space: Space, instance: Instance, input: ValueType) -> frozenset[Kind]:
        kinds: set[Kind] = set()
        seen = {instance}
        stack = [self.rest(candidate.program) for candidate in options(space, instance, input).candidates]
        while stack:
            rest = stack.pop()
            if isinstance(rest.step, Enter):
                inner = self.entered(space, rest, input)
                stack += [] if inner is None else [inner]
            elif rest.kind is not None:
                kinds.add(rest.kind)
            elif rest.step.instance.rule.packed:
                kinds.add(_ANYTHING)
            elif rest.step.instance not in seen:
                seen.add(rest.step.instance)
                table = options(space, rest.step.instance, input)
                stack += [self.rest(candidate.program) for candidate in table.candidates]
        return frozenset(kinds)

    def doubling(self, space: Space, instance: Instance, input: ValueType) -> float:
        """How probable it is at a type that a rule becomes itself twice: `M = … | M >> M`."""
        found = self._doubling.get((instance, input))
        if found is None:
            table = options(space, instance, input)
            own = zip(table.candidates, table.probabilities, strict=True)
            found = sum(p for candidate, p in own if _doubles(instance, self.rest(candidate.program)))
            self._doubling[instance, input] = found
        return found


def _doubles(instance: Instance, rest: Rest) -> bool:
    after = rest.next
    return (
        isinstance(rest.step, Call)
        and rest.step.instance is instance
        and after is not None
        and after.again
        and after.next is None
    )


# --- what follows from the rules as they are written

_Lengths: TypeAlias = dict[str, int | None]
"""Items that each rule covers: None not known yet, -1 not always the same."""


def _lengths(rules: Mapping[str, cfg.Rule]) -> _Lengths:
    found: _Lengths = dict.fromkeys(rules)
    changed = True
    while changed:
        changed = False
        for name, rule in rules.items():
            each = {_length(alternative.body, found) for alternative in rule.alternatives} - {None}
            now = None if not each else each.pop() if len(each) == 1 else -1
            if now != found[name]:
                found[name], changed = now, True
    return found


def _length(term: cfg.Term, known: Mapping[str, int | None]) -> int | None:
    match term:
        case cfg.RuleUse(rule):
            return known[rule]
        case cfg.Expanded(_, body) | cfg.Unpacked(_, body):
            return _length(body, known)
        case cfg.Series(parts):
            each = [_length(part, known) for part in parts]
            if None in each:
                return None
            return -1 if -1 in each else sum(length for length in each if length is not None)
        case _:
            return 1


def _ending_in_themselves(rules: Mapping[str, cfg.Rule], lengths: Mapping[str, int | None]) -> frozenset[str]:
    """Rules in which the end of one rule is that of another again and again, `M >> M` apart: where the outermost
    ends is where all of them do. And the rules that come to one of these so many items before their own end."""
    last = {name: {rule for a in own.alternatives for rule in _last(name, a.body)} for name, own in rules.items()}
    found = set(last)
    while ends := {name for name in found if not last[name] & found}:
        found -= ends
    near = {name: {rule for a in own.alternatives for rule in _near(a.body, lengths)} for name, own in rules.items()}
    while more := {name for name in near if name not in found and near[name] & found}:
        found |= more
    return frozenset(found)


def _last(name: str, term: cfg.Term) -> Iterator[str]:
    """The rule that a term ends in."""
    while not isinstance(term, cfg.RuleUse):
        match term:
            case cfg.Expanded(_, body) | cfg.Unpacked(_, body):
                term = body
            case cfg.Series((cfg.RuleUse(first), cfg.RuleUse(second))) if first == second == name:
                return
            case cfg.Series(parts):
                term = parts[-1]
            case _:
                return
    yield term.rule


def _near(term: cfg.Term, lengths: Mapping[str, int | None]) -> Iterator[str]:
    """The rules that are followed by a fixed number of items."""
    match term:
        case cfg.RuleUse(rule):
            yield rule
        case cfg.Expanded(_, body) | cfg.Unpacked(_, body):
            yield from _near(body, lengths)
        case cfg.Series(parts):
            for part in reversed(parts):
                yield from _near(part, lengths)
                if _length(part, lengths) in (None, -1):
                    return
