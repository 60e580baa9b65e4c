"""What the rest of the program works on: rules, their terms, and the grammar that holds them.

A `Grammar` is what `check` makes of a file. Rules carry terms that may hold rules, choices and
names; a derivation's term (`ein.grammar.term`) holds none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from ein.grammar.computed import Build
from ein.grammar.diagnostics import Diagnostic, Span
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Choices, Formula, Inapplicable, Lifeless
from ein.grammar.operators import Application, Applied, Cost, Operator, Parameter, value_text
from ein.grammar.patterns import Match
from ein.grammar.types import ValueType, is_dead, leaves, merge, with_life

__all__ = ["Application", "Applied", "Cost", "Operator", "Parameter", "value_text"]


@dataclass(frozen=True, slots=True)
class Use:
    """An operator with arguments that may depend on names and choices."""

    overloads: tuple[Operator, ...]
    arguments: tuple[tuple[str, Formula], ...]
    span: Span


@dataclass(frozen=True, slots=True)
class RuleUse:
    """`packed`: the variables that a group is handed beside its input."""

    rule: str
    arguments: tuple[Formula, ...]
    span: Span
    packed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    parts: tuple[Term, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Parallel:
    """Branches. `takes` says which of them take an input: one that begins with a variable does not."""

    parts: tuple[Term, ...]
    takes: tuple[bool, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Copies:
    """`body ^ count`; where the body begins with a variable, the copies take no input (`takes`)."""

    body: Term
    count: Formula
    tied: bool
    takes: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Repeated:
    """`body * count`."""

    body: Term
    count: Formula
    tied: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Expanded:
    """A macro in place. `match` binds the dimensions `bound` of its signature, `goal` is its output."""

    macro: str
    body: Term
    span: Span
    match: Match | None = None
    goal: Goal | None = None
    bound: frozenset[str] = frozenset()
    signature: s.Goal | None = None


@dataclass(frozen=True, slots=True)
class Let:
    """`let a = …, (b, c) = … : body`: each right side takes what flows in here, and so does the body.

    The names of the variables are unique within a rule.
    """

    bindings: tuple[tuple[tuple[str, ...], Term], ...]
    body: Term
    span: Span


@dataclass(frozen=True, slots=True)
class Variable:
    """The value of a `let`; takes no input."""

    name: str
    span: Span


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The body of an alternative of a group that mentions variables around it: the group's input is a
    bundle of what flows in and the values of `names`."""

    names: tuple[str, ...]
    body: Term
    span: Span


Term: TypeAlias = Use | RuleUse | Series | Parallel | Copies | Repeated | Expanded | Let | Variable | Unpacked


def parts(term: Term) -> tuple[Term, ...]:
    """The terms that a term is directly made of, in order."""
    match term:
        case Use() | RuleUse() | Variable():
            return ()
        case Series(inner) | Parallel(inner):
            return inner
        case Copies(body) | Repeated(body) | Expanded(_, body) | Unpacked(_, body):
            return (body,)
        case Let(bindings, body):
            return (*(value for _, value in bindings), body)


@dataclass(frozen=True, slots=True)
class Goal:
    """The output that a rule or macro claims: `build` computes it; where sizes are left open, `match` compares."""

    build: Build | None
    match: Match | None
    live: bool
    span: Span

    def meet(self, env: Mapping[str, Any], found: ValueType, name: str) -> ValueType:
        """The output, its dimensions as structured as the claim; raises Inapplicable where it is another."""
        if self.match is not None:
            self._matches(env, found, name)
            met = found
        else:
            assert self.build is not None
            wanted = self.build(dict(env))
            merged = merge((wanted, found))
            if merged is None:
                raise Inapplicable("`{}` declares {!r} and gives {!r}", self.span, (name, wanted, found))
            met = with_life(merged, [leaf.live for leaf in leaves(found)]) if merged is not found else found
        if self.live and is_dead(met):
            text = "`{}` declares a live result, and what it gives does not depend on the input"
            raise Lifeless(text, self.span, (name,))
        return met

    def _matches(self, env: Mapping[str, Any], found: ValueType, name: str) -> None:
        assert self.match is not None
        try:
            ways = self.match(found, dict(env))
        except Inapplicable as error:
            text = "`{}` declares `{}`, and {!r} does not fit: {}"
            raise Inapplicable(text, self.span, (name, self.span.text, found, error.reason)) from None
        if not ways:
            raise Inapplicable("`{}` declares `{}`, and gives {!r}", self.span, (name, self.span.text, found))


@dataclass(frozen=True, slots=True)
class Choice:
    """A name of an alternative with the set that its value is drawn from."""

    name: str
    values: Choices
    span: Span


@dataclass(frozen=True, slots=True)
class Alternative:
    """`weight` None is 1; `each`: the sum over the values that the choices can take."""

    choices: tuple[Choice, ...]
    body: Term
    span: Span
    weight: Formula | None = None
    each: bool = False
    guard: Formula | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A nonterminal. A group `(a | b)` inside a term is a rule that is `anonymous`; one that mentions
    variables takes a bundle of its input and their values (`packed`)."""

    name: str
    parameters: tuple[str, ...]
    alternatives: tuple[Alternative, ...]
    span: Span
    anonymous: bool = False
    match: Match | None = None
    goal: Goal | None = None
    packed: tuple[str, ...] = ()
    signature: s.Goal | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """None: no bound. `elements` of a file that names none is 64M."""

    modules: int | None = None
    depth: int | None = None
    parameters: int | None = None
    macs: int | None = None
    elements: int | None = 64 * 10**6


@dataclass(frozen=True, eq=False)
class Architecture:
    """A finished network of a file; `rule` has one alternative and no choices."""

    name: str
    rule: str
    input: ValueType | None
    output: ValueType | None
    span: Span


@dataclass(eq=False)
class Grammar:
    """A checked file: everything resolved, parameters bound, input and output as asked for.

    `digest` is of the resolved space: the text of all modules, the parameters, input and output. It is made by
    `digested` when it is first asked for, since printing the modules takes longer than checking them.
    """

    name: str
    rules: Mapping[str, Rule]
    start: str | None
    input: ValueType | None
    output: ValueType | None
    limits: Limits
    env: Mapping[str, Any]
    operators: Mapping[str, tuple[Operator, ...]]
    architectures: Mapping[str, Architecture]
    kinds: Mapping[str, tuple[tuple[str, ...], str]]
    digested: Callable[[], str]
    warnings: tuple[Diagnostic, ...] = ()
    output_span: Span | None = None
    applications: dict[tuple[tuple[Operator, ...], tuple[tuple[str, Any], ...]], Application] = field(
        default_factory=dict
    )

    @cached_property
    def digest(self) -> str:
        return self.digested()

    def application(self, overloads: tuple[Operator, ...], given: tuple[tuple[str, Any], ...]) -> Application:
        """The one object for an operator with these arguments; those equal to a default are dropped."""
        key = (overloads, given)
        found = self.applications.get(key)
        if found is None:
            kept = given
            if overloads == self.operators.get(overloads[0].name):  # else fewer arguments would fit more overloads
                needed = {name for operator in overloads for name, _ in _without_defaults(operator, given)}
                kept = tuple((name, value) for name, value in given if name in needed)
            found = self.applications.get((overloads, kept)) or Application(overloads, kept)
            self.applications[key] = self.applications[(overloads, kept)] = found
        return found


def _without_defaults(operator: Operator, given: tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Any], ...]:
    """The arguments that differ from what `operator` would take by itself."""
    values = dict(given)
    full: dict[str, Any] = {}
    kept = []
    for parameter in operator.parameters:
        default = parameter.default.evaluate(full) if parameter.default is not None else None
        value = full[parameter.name] = values.get(parameter.name, default)
        if parameter.name in values and (
            parameter.default is None or value != default or type(value) is not type(default)
        ):
            kept.append((parameter.name, value))
    return tuple(kept)
