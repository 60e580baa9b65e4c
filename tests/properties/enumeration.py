"""Every derivation of a grammar up to a number of modules, with its probability, from the definition.

The oracle knows nothing of `ein.grammar`: grammars are encoded by hand beside their text, with the types and
operators of enumerated_types.py. What it counts is what fits; probabilities are those of the choices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

from .enumerated_types import (
    NoFit,
    Op,
    Type,
    Value,
    alike,
    all_alike,
    beside,
    bundled,
    either,
    lives,
    members,
    need,
)

# --- terms of rules


@dataclass(frozen=True)
class Use:
    """Of a rule, or of a group `(a | b)`, which sees the values around it; either all its alternatives take an
    input, or none."""

    rule: str
    values: tuple[Any, ...] = ()
    group: bool = False
    takes: bool = True


@dataclass(frozen=True)
class Seq:
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Par:
    parts: tuple[Any, ...]


@dataclass(frozen=True)
class Copies:
    body: Any
    count: int
    tied: bool = False


@dataclass(frozen=True)
class Repeat:
    body: Any
    count: int
    tied: bool = False


@dataclass(frozen=True)
class Let:
    """One name takes the value whole, several take the members of a bundle. Names that macros brought in are told
    apart by primes, which are not printed."""

    bindings: tuple[tuple[tuple[str, ...], Any], ...]
    body: Any


@dataclass(frozen=True)
class Var:
    name: str


@dataclass(frozen=True)
class Goal:
    """The claim of a rule or macro: `meet` is given the types of input and output, and gives the output or raises."""

    meet: Callable[[Type, Type], Type]
    live: bool = False

    def check(self, input: Value, out: Value) -> Value:
        met = self.meet(input.type, out.type)
        need(not self.live or lives(out.life))
        return Value(met, out.life)


def computed(output: Callable[[Type], Type]) -> Callable[[Type, Type], Type]:
    return lambda input, out: alike(output(input), out)


@dataclass(frozen=True, eq=False)
class Claim:
    """The use of a macro with a signature: its body may depend on the type, and `goal` on the result."""

    body: Callable[[Type], Any]
    goal: Goal
    rules: bool = False
    """whether one is in the body"""


@dataclass(frozen=True)
class Alt:
    """One value of an alternative's choices. `weight` is that of the whole alternative, `each` sums over the
    values, `share` is the weight of this value; `percent` says that `weight` is a probability."""

    index: int
    body: Any
    values: tuple[Any, ...] = ()
    weight: float = 1.0
    share: float = 1.0
    percent: bool = False
    each: bool = False
    by_value: bool = False


def seq(*parts: Any) -> Seq:
    return Seq(parts)


def par(*parts: Any) -> Par:
    return Par(parts)


def group(name: str, *values: Any, takes: bool = True) -> Use:
    return Use(name, values, True, takes)


def let(*parts: Any, **bound: Any) -> Let:
    """`let(body, a=…, b=…)`, or with tuples of names `let(body, (("a", "b"), …))`."""
    return Let((*parts[1:], *(((name,), value) for name, value in bound.items())), parts[0])


def takes_input(body: Any) -> bool:
    """What begins with a name takes nothing."""
    match body:
        case Var():
            return False
        case Use():
            return body.takes
        case Seq(parts):
            return takes_input(parts[0])
        case Par(parts):
            return any(map(takes_input, parts))
        case Copies(inner) | Repeat(inner):
            return takes_input(inner)
        case Let(bindings, inner):
            return takes_input(inner) or any(takes_input(value) for _, value in bindings)
    return True


def holds_use(body: Any) -> bool:
    match body:
        case Use():
            return True
        case Claim():
            return body.rules
        case Seq(parts) | Par(parts):
            return any(map(holds_use, parts))
        case Copies(inner, _) | Repeat(inner, _):
            return holds_use(inner)
        case Let(bindings, inner):
            return holds_use(inner) or any(holds_use(value) for _, value in bindings)
    return False


def fewest(body: Any) -> int:
    """Modules that `body` has at least; names are no modules."""
    match body:
        case Op():
            return 1
        case Use():
            return int(not body.group)
        case Seq(parts) | Par(parts):
            return sum(map(fewest, parts))
        case Copies(inner, count) | Repeat(inner, count):
            return count * fewest(inner)
        case Let(bindings, inner):
            return fewest(inner) + sum(fewest(value) for _, value in bindings)
    return 0


# --- derivations

Choices: TypeAlias = tuple[tuple[int, tuple[Any, ...]], ...]
Scope: TypeAlias = tuple[tuple[str, Value], ...]
"""Names and their values, the innermost last."""


class Found(NamedTuple):
    """Probability, choices in pre-order, what comes out, the term as a tree for `printed`, modules."""

    p: float
    choices: Choices
    out: Value
    tree: Any
    used: int


@dataclass(frozen=True, eq=False)
class Case:
    """A grammar as text, and by hand: alternatives of a rule at its values and a type, in the order of the file.

    `goals` are the outputs that rules declare. The number given to `rules` scales one weight: the planted mistake.
    `files` are those that the text imports, `operators` declarations that its networks need.
    """

    name: str
    text: str
    input: Type
    rules: Callable[[float], Callable[[str, tuple[Any, ...], Type], list[Alt]]]
    modules: int
    goals: Mapping[str, Goal] = field(default_factory=dict)
    operators: str = ""
    files: Mapping[str, str] = field(default_factory=dict)


class Oracle:
    def __init__(self, case: Case, weight: float) -> None:
        self.rules = case.rules(weight)
        self.goals = case.goals
        self.rule = cache(self._rule)

    def _rule(self, use: Use, value: Value, budget: int, scope: Scope) -> tuple[Found, ...]:
        if budget < fewest(use):
            return ()
        found = []
        goal = self.goals.get(use.rule)
        for alt, probability in self.shares(use, value, scope):
            for each in self.term(alt.body, value, budget, scope):
                try:
                    out = each.out if goal is None else goal.check(value, each.out)
                except NoFit:
                    continue
                choices = ((alt.index, alt.values), *each.choices)
                found.append(Found(probability * each.p, choices, out, each.tree, each.used))
        return tuple(found)

    def shares(self, use: Use, value: Value, scope: Scope) -> list[tuple[Alt, float]]:
        """The alternatives that apply, with their probabilities."""
        alternatives = self.rules(use.rule, use.values, value.type)
        groups = [
            list(alts)
            for _, alts in groupby((a for a in alternatives if self.applies(a.body, value, scope)), lambda a: a.index)
        ]
        weights = []
        for alts in groups:
            inside = sum(a.share * (a.weight if a.by_value else 1) for a in alts)
            weights.append(inside if alts[0].each or alts[0].by_value else alts[0].weight)
        percent = sum(w for alts, w in zip(groups, weights, strict=True) if alts[0].percent)
        rest = sum(w for alts, w in zip(groups, weights, strict=True) if not alts[0].percent)
        scale = percent if rest == 0 or percent > 1 else 1.0
        found = []
        for alts, weight in zip(groups, weights, strict=True):
            whole = weight / scale if alts[0].percent else max(0.0, 1 - percent) * weight / rest
            values = [a.share * (a.weight if a.by_value else 1) for a in alts]
            found += [(a, whole * v / sum(values)) for a, v in zip(alts, values, strict=True) if whole]
        return found

    def applies(self, body: Any, value: Value, scope: Scope) -> bool:
        try:
            self.before_rule(body, value, scope)
        except NoFit:
            return False
        return True

    def before_rule(self, body: Any, value: Value, scope: Scope) -> Value | None:
        """The value after `body`, or None where its first rule was met."""
        match body:
            case Use():
                return None
            case Op():
                return body.on(value)
            case Var(name):
                return dict(scope)[name]
            case Seq(parts):
                current: Value | None = value
                for part in parts:
                    current = None if current is None else self.before_rule(part, current, scope)
                return current
            case Par(parts):
                outs = []
                for part, given in zip(parts, handed(parts, value), strict=True):
                    outs.append(self.before_rule(part, given, scope))
                    if outs[-1] is None:
                        return None
                return beside(outs)  # type: ignore[arg-type]
            case Copies(inner, count):
                outs = [self.before_rule(inner, given, scope) for given in copied(inner, count, value)]
                return None if None in outs else beside(outs)  # type: ignore[arg-type]
            case Repeat(inner, count):
                for _ in range(count):
                    after = self.before_rule(inner, value, scope)
                    if after is None:
                        return None
                    if body.tied:
                        alike(value.type, after.type)
                    value = after
                return value
            case Let(bindings, inner):
                for names, part in bindings:
                    bound = self.before_rule(part, value, scope)
                    if bound is None:
                        return None
                    scope = named(names, bound, scope)
                return self.before_rule(inner, value, scope)
            case Claim():
                out = self.before_rule(body.body(value.type), value, scope)
                return None if out is None else body.goal.check(value, out)
        raise AssertionError(body)

    def term(self, body: Any, value: Value, budget: int, scope: Scope) -> Iterator[Found]:
        """Everything that `body` can become on `value` within `budget` modules."""
        if budget < fewest(body):
            return
        try:
            match body:
                case Op():
                    yield Found(1.0, (), body.on(value), ("op", body.text), 1)
                case Var(name):
                    yield Found(1.0, (), dict(scope)[name], ("var", name), 0)
                case Use():
                    yield from self.rule(body, value, budget, scope if body.group else ())
                case Seq(parts):
                    yield from self.series(parts, value, budget, scope)
                case Par(parts):
                    for p, choices, outs, trees, used in self.parallel(parts, handed(parts, value), budget, scope):
                        yield Found(p, choices, beside(outs), ("branches", trees), used)
                case Copies():
                    yield from self.copies(body, value, budget, scope)
                case Repeat():
                    yield from self.repeated(body, value, budget, scope)
                case Let(bindings, inner):
                    yield from self.bound(bindings, inner, value, budget, scope)
                case Claim():
                    for each in self.term(body.body(value.type), value, budget, scope):
                        try:
                            yield each._replace(out=body.goal.check(value, each.out))
                        except NoFit:
                            continue
        except NoFit:
            return

    def series(self, parts: tuple[Any, ...], value: Value, budget: int, scope: Scope) -> Iterator[Found]:
        for first in self.term(parts[0], value, budget - sum(map(fewest, parts[1:])), scope):
            if len(parts) == 1:
                yield first
                continue
            for rest in self.series(parts[1:], first.out, budget - first.used, scope):
                choices = (*first.choices, *rest.choices)
                yield Found(
                    first.p * rest.p, choices, rest.out, ("series", (first.tree, rest.tree)), first.used + rest.used
                )

    def parallel(
        self, parts: tuple[Any, ...], given: list[Value], budget: int, scope: Scope
    ) -> Iterator[tuple[float, Choices, list[Value], tuple[Any, ...], int]]:
        if not parts:
            yield 1.0, (), [], (), 0
            return
        for p, choices, out, tree, used in self.term(parts[0], given[0], budget - sum(map(fewest, parts[1:])), scope):
            for q, more, outs, trees, others in self.parallel(parts[1:], given[1:], budget - used, scope):
                yield p * q, (*choices, *more), [out, *outs], (tree, *trees), used + others

    def copies(self, body: Copies, value: Value, budget: int, scope: Scope) -> Iterator[Found]:
        """One derivation, drawn for what is alive in one of the members, that fits each of them."""
        given = copied(body.body, body.count, value)
        whole = given[0]
        for each in given:
            whole = Value(whole.type, either(whole.life, each.life))
        for p, choices, _, tree, used in self.term(body.body, whole, budget // body.count, scope):
            outs = [self.again(body.body, each, choices, used, scope) for each in given]
            if None not in outs:
                tree = "copies", tree, body.count, body.tied
                yield Found(p, choices, beside(outs), tree, used * body.count)  # type: ignore[arg-type]

    def repeated(self, body: Repeat, value: Value, budget: int, scope: Scope) -> Iterator[Found]:
        """With rules inside the type must stay; without, the part is typed copy by copy."""
        inner, count = body.body, body.count
        for p, choices, out, tree, used in self.term(inner, value, budget // count, scope):
            after: Value | None = out
            for _ in range(count - 1):
                if after is None or (holds_use(inner) and after.type != value.type):
                    after = None
                    break
                after = self.again(inner, after, choices, used, scope)
            if after is not None and (not body.tied or equal(out.type, value.type)):
                yield Found(p, choices, after, ("repeat", tree, count, body.tied), used * count)

    def again(self, body: Any, value: Value, choices: Choices, used: int, scope: Scope) -> Value | None:
        """What comes out where the same choices are made on another value."""
        return next((each.out for each in self.term(body, value, used, scope) if each.choices == choices), None)

    def bound(
        self, bindings: tuple[Any, ...], body: Any, value: Value, budget: int, scope: Scope, done: tuple[Any, ...] = ()
    ) -> Iterator[Found]:
        """Each right side takes what flows in, and so does the body."""
        if not bindings:
            for each in self.term(body, value, budget, scope):
                yield each._replace(tree=("let", done, each.tree))
            return
        (names, part), rest = bindings[0], bindings[1:]
        later = fewest(body) + sum(fewest(value) for _, value in rest)
        for p, choices, out, tree, used in self.term(part, value, budget - later, scope):
            try:
                inside = named(names, out, scope)
            except NoFit:
                continue
            for each in self.bound(rest, body, value, budget - used, inside, (*done, (names, tree))):
                yield Found(p * each.p, (*choices, *each.choices), each.out, each.tree, used + each.used)


def equal(first: Type, second: Type) -> bool:
    try:
        alike(first, second)
    except NoFit:
        return False
    return True


def handed(parts: tuple[Any, ...], value: Value) -> list[Value]:
    """What each branch is given: those that take an input share a bundle, and a single one beside others gets all."""
    takes = [takes_input(part) for part in parts]
    if sum(takes) == 1 or not any(takes):
        return [value] * len(parts)
    given = members(value)
    need(len(given) == sum(takes))
    left = iter(given)
    return [next(left) if each else value for each in takes]


def copied(body: Any, count: int, value: Value) -> list[Value]:
    """What each copy is given: equal types, and each its own life."""
    if not takes_input(body):
        return [value] * count
    need(len(bundled(value.type)) == count)
    merged = all_alike(value.type[1])
    return [Value(merged, each.life) for each in members(value)]


def named(names: tuple[str, ...], value: Value, scope: Scope) -> Scope:
    if len(names) == 1:
        return (*scope, (names[0], value))
    need(len(bundled(value.type)) == len(names))
    return (*scope, *zip(names, members(value), strict=True))
