"""The steps that an alternative comes to once the values in it are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from ein.grammar import cfg
from ein.grammar.cfg import Application, Cost
from ein.grammar.diagnostics import Span
from ein.grammar.numbers import Inapplicable
from ein.grammar.types import Bundle, ValueType, merge


@dataclass(frozen=True, eq=False)
class Apply:
    application: Application
    span: Span


@dataclass(frozen=True, eq=False)
class Call:
    instance: Instance
    span: Span


class _Compound:
    """A step made of programs."""

    @cached_property
    def settled(self) -> bool:
        """Whether no rule is in it, so that its type follows without a choice."""
        return not holds_rule(self)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Fork(_Compound):
    """One program for each member of a bundle."""

    programs: tuple[Program, ...]
    span: Span


@dataclass(frozen=True, eq=False)
class Copy(_Compound):
    count: int
    program: Program
    tied: bool
    span: Span


@dataclass(frozen=True, eq=False)
class Loop(_Compound):
    count: int
    program: Program
    tied: bool
    span: Span


@dataclass(frozen=True, eq=False)
class Enter:
    """A macro. With a signature its program waits for the type; see `Space.enter`."""

    macro: cfg.Expanded
    env: Mapping[str, Any]
    program: Program | None
    table: dict[ValueType, Program] = field(default_factory=dict)


Step: TypeAlias = Apply | Call | Fork | Copy | Loop | Enter
Program: TypeAlias = tuple[Step, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What an alternative does at a type before its first rule: `rest` of its steps is still to run.

    `modules` are those of the leading steps; `minimum` adds the fewest that the rest can come to.
    """

    output: ValueType
    modules: int
    minimum: int
    cost: list[Cost] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """An alternative with values for its choices. `leading` of its steps stand before the first
    step that holds a rule; `weight` is the product of the weights of the values."""

    choice: tuple[int, tuple[Any, ...]]
    weight: float
    program: Program
    leading: int
    rest: Program
    outcomes: dict[ValueType, Outcome] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """The candidates that apply, with cumulative probabilities; `reasons` why others do not."""

    cumulative: list[float]
    candidates: list[Candidate]
    probabilities: list[float]
    reasons: tuple[Inapplicable, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """The candidates for one kind and rank; `sure` says whether each takes all of the form, none
    (left out), or it depends (None). `shared` has the options for each set that applies."""

    candidates: list[Candidate]
    sure: list[bool | None]
    reasons: tuple[Inapplicable, ...]
    shared: dict[tuple[int, ...], Options] = field(default_factory=dict)


@dataclass(eq=False)
class Instance:
    """A rule with the values of its parameters; `minimum` is the fewest modules it can come to."""

    rule: cfg.Rule
    values: tuple[Any, ...]
    env: Mapping[str, Any]
    table: dict[ValueType, Options] = field(default_factory=dict)
    forms: dict[tuple[str, int | None], Form] = field(default_factory=dict)
    minimum: float = 1

    def __repr__(self) -> str:
        return f"{self.rule.name}({', '.join(map(cfg.value_text, self.values))})" if self.values else self.rule.name


@dataclass(frozen=True, slots=True)
class _Refused:
    """Which operator refuses, and why; put together only when it is read."""

    step: Apply
    reason: Inapplicable

    def __str__(self) -> str:
        return f"`{self.step.application.text}` {self.reason.reason}"


def refusal(step: Apply, reason: Inapplicable) -> Inapplicable:
    """A refusal of an operator, at the place where the operator is used."""
    return Inapplicable("{}", step.span, (_Refused(step, reason),))


def holds_rule(step: Step) -> bool:
    match step:
        case Apply():
            return False
        case Call():
            return True
        case Fork(programs):
            return any(holds_rule(inner) for program in programs for inner in program)
        case Copy(_, program) | Loop(_, program):
            return any(map(holds_rule, program))
        case Enter(macro, _, program):
            return any(map(holds_rule, program)) if program is not None else has_rule(macro.body)


def calls(program: Program) -> Iterator[Call]:
    for step in program:
        match step:
            case Call():
                yield step
            case Fork(programs):
                for inner in programs:
                    yield from calls(inner)
            case Copy(_, inner) | Loop(_, inner):
                yield from calls(inner)
            case Enter(_, _, program_) if program_ is not None:
                yield from calls(program_)
            case _:
                pass


def rule_uses(program: Program) -> int:
    """Uses of rules in a program, those of a copied part once."""
    count = 0
    stack: list[Step | cfg.Term] = [*program]
    while stack:
        match stack.pop():
            case Call() | cfg.RuleUse():
                count += 1
            case Fork(programs):
                stack += [step for inner in programs for step in inner]
            case Copy(_, inner) | Loop(_, inner):
                stack += inner
            case Enter(macro, _, inner_program):
                stack += inner_program if inner_program is not None else (macro.body,)
            case cfg.Series(parts) | cfg.Parallel(parts):
                stack += parts
            case cfg.Copies(body) | cfg.Repeated(body) | cfg.Expanded(_, body):
                stack.append(body)
            case _:
                pass
    return count


def shared(one: Cost, count: int, tied: bool) -> Cost:
    """The cost of `count` copies; tied copies have their weights once."""
    total = one.times(count)
    return Cost(total.modules, one.parameters, total.macs, total.elements) if tied else total


def keeps_type(before: ValueType, after: ValueType, span: Span) -> None:
    if merge((before, after)) is None:
        raise Inapplicable(f"a repeated part must keep the type, and this goes from {before!r} to {after!r}", span)


def members(input: ValueType, count: int, span: Span) -> tuple[ValueType, ...]:
    if not isinstance(input, Bundle):
        raise Inapplicable(
            f"{count} branches need a bundle of {count}, and this is {input!r};"
            f" put `clone({count})` or `split` before them",
            span,
        )
    if len(input.members) != count:
        raise Inapplicable(f"{count} branches are given, and the bundle has {len(input.members)} members", span)
    return input.members


def equal_members(input: ValueType, count: int, span: Span) -> ValueType:
    parts = members(input, count, span)
    merged = merge(parts)
    if merged is None:
        raise Inapplicable(f"copies need equal inputs, and these are {input!r}", span)
    return merged


def has_rule(term: cfg.Term) -> bool:
    match term:
        case cfg.Use():
            return False
        case cfg.RuleUse():
            return True
        case cfg.Series(parts) | cfg.Parallel(parts):
            return any(map(has_rule, parts))
        case cfg.Copies(body) | cfg.Repeated(body) | cfg.Expanded(_, body):
            return has_rule(body)


def fewest(term: cfg.Term) -> int:
    match term:
        case cfg.Use() | cfg.RuleUse():
            return 1
        case cfg.Series(parts) | cfg.Parallel(parts):
            return sum(map(fewest, parts))
        case cfg.Copies(body) | cfg.Repeated(body) | cfg.Expanded(_, body):
            return fewest(body)
