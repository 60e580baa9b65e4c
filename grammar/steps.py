"""The steps that an alternative comes to once the values in it are known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from ein.grammar import cfg
from ein.grammar.cfg import Application, Cost
from ein.grammar.computed import side_by_side
from ein.grammar.diagnostics import Span
from ein.grammar.numbers import Inapplicable
from ein.grammar.together import Together
from ein.grammar.types import Bundle, Regular, ValueType, leaves, merge, with_life

if TYPE_CHECKING:
    from ein.grammar.derivations.linked import Cell

CALL, APPLY, COMPOUND, LOAD, ENTER, SETTLED = range(6)
"""What a drawing does at a step; `SETTLED` is what needs no choice and is no operator alone."""


@dataclass(frozen=True, eq=False)
class Apply:
    application: Application
    span: Span
    code: ClassVar[int] = APPLY


@dataclass(frozen=True, eq=False)
class Call:
    instance: Instance
    span: Span
    code: ClassVar[int] = CALL


class Compound:
    """A step made of programs. It runs as `factor` copies of them that hold `copies` times their weights."""

    factor = 1
    copies = 1
    binds: ClassVar[bool] = False

    @cached_property
    def settled(self) -> bool:
        """Whether no rule is in it, so that its type follows without a choice."""
        return not holds_rule(self)  # type: ignore[arg-type]

    @cached_property
    def code(self) -> int:
        return SETTLED if self.settled else COMPOUND

    @cached_property
    def named(self) -> bool:
        """Whether a value that `let` names is set or read in it."""
        return names_values((self,))  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Fork(Compound):
    """One program for each member of a bundle; a branch that does not take an input gets none."""

    programs: tuple[Program, ...]
    takes: tuple[bool, ...]
    span: Span

    @cached_property
    def wanted(self) -> int:
        """How many branches take an input."""
        return sum(self.takes)

    def begins(self, input: ValueType) -> tuple[ValueType, ...]:
        return self.inputs(input)

    def inputs(self, input: ValueType) -> tuple[ValueType, ...]:
        """What each branch begins with; raises Inapplicable."""
        wanted = self.wanted
        if wanted == len(self.takes):
            return members(input, wanted, self.span)
        if not wanted:
            return (input,) * len(self.takes)
        given = iter((input,) if wanted < 2 else members(input, wanted, self.span))
        return tuple(next(given) if takes else input for takes in self.takes)


Again: TypeAlias = Callable[[ValueType], ValueType]
"""What a part gives on a type that differs in what is live, the same choices made; raises Inapplicable."""


@dataclass(frozen=True, eq=False)
class Copy(Compound):
    count: int
    program: Program
    tied: bool
    takes: bool
    span: Span

    @cached_property
    def programs(self) -> tuple[Program, ...]:
        return (self.program,)

    @cached_property
    def factor(self) -> int:  # type: ignore[override]
        return self.count

    @cached_property
    def copies(self) -> int:  # type: ignore[override]
        return 1 if self.tied else self.count

    def begins(self, input: ValueType) -> tuple[ValueType, ...]:
        return (self.input(input),)

    def input(self, input: ValueType) -> ValueType:
        """What each copy begins with; raises Inapplicable."""
        return equal_members(input, self.count, self.span) if self.takes else input

    def output(self, input: ValueType, result: ValueType, again: Again) -> ValueType:
        """The results side by side, where `self.input` gave the `result`; what is less live is asked `again`."""
        if not self.takes or input.live or not isinstance(input, Bundle):
            return side_by_side([result] * self.count, self.span)
        taken = self.input(input)
        results = {taken: result}
        each = [with_life(taken, [leaf.live for leaf in leaves(member)]) for member in input.members]
        for member in each:
            if member not in results:
                results[member] = again(member)
        return side_by_side([results[member] for member in each], self.span)


@dataclass(frozen=True, eq=False)
class Loop(Compound):
    count: int
    program: Program
    tied: bool
    span: Span

    @cached_property
    def programs(self) -> tuple[Program, ...]:
        return (self.program,)

    @cached_property
    def factor(self) -> int:  # type: ignore[override]
        return self.count

    @cached_property
    def copies(self) -> int:  # type: ignore[override]
        return 1 if self.tied else self.count

    def begins(self, input: ValueType) -> tuple[ValueType, ...]:
        return (input,)

    def output(self, input: ValueType, result: ValueType, again: Again) -> ValueType:
        """What the last round gives of a part with rules in it, where the first gave `result`; raises Inapplicable.

        The type must stay; what is live may become less from round to round, so those are asked `again`.
        """
        if self.count > 1 and not same_but_life(result, input):
            why = "a repeated part with rules in it must keep the type, and this goes from {!r} to {!r}"
            raise Inapplicable(why, self.span, (input, result))
        results = {input: result}
        for _ in range(self.count - 1):
            if result not in results:
                results[result] = again(result)
            result = results[result]
        return result


@dataclass(frozen=True, eq=False)
class Enter:
    """A macro. With a signature its program waits for the type; see `Space.enter`."""

    macro: cfg.Expanded
    env: Mapping[str, Any]
    program: Program | None
    table: dict[ValueType, Program] = field(default_factory=dict)
    code: ClassVar[int] = ENTER


@dataclass(frozen=True, eq=False)
class Bind(Compound):
    """`let`: each binding's program on the input, its results under the names; then the body on the input."""

    bindings: tuple[tuple[tuple[str, ...], Program], ...]
    body: Program
    span: Span
    binds: ClassVar[bool] = True

    @cached_property
    def programs(self) -> tuple[Program, ...]:
        return (*(program for _, program in self.bindings), self.body)

    def begins(self, input: ValueType) -> tuple[ValueType, ...]:
        return (input,) * len(self.programs)


@dataclass(frozen=True, eq=False)
class Load:
    """The value of a variable, whatever flows in."""

    name: str
    span: Span
    code: ClassVar[int] = LOAD


@dataclass(frozen=True, eq=False)
class Pack:
    """What flows in and the values of variables, side by side, for a group."""

    names: tuple[str, ...]
    span: Span
    code: ClassVar[int] = SETTLED


@dataclass(frozen=True, eq=False)
class Unpack:
    """The values of variables out of what `Pack` made; what flowed in flows on."""

    names: tuple[str, ...]
    span: Span
    code: ClassVar[int] = SETTLED


@dataclass(frozen=True, eq=False)
class Meet:
    """The end of a macro that claims its output."""

    goal: cfg.Goal
    env: Mapping[str, Any]
    macro: str
    span: Span
    code: ClassVar[int] = SETTLED


Variables: TypeAlias = dict[str, ValueType]
"""Types of the values that `let` named, in one use of a rule."""

Step: TypeAlias = Apply | Call | Fork | Copy | Loop | Enter | Bind | Load | Pack | Unpack | Meet
Program: TypeAlias = tuple[Step, ...]

Choice: TypeAlias = tuple[int, tuple[Any, ...]]
"""The number of an alternative, and the values of its choices."""


@dataclass(slots=True, eq=False)
class Outcome:
    """What an alternative does at a type before its first rule: `rest` of its steps is still to run.

    `modules` are those of the leading steps; `minimum` adds the fewest that the rest can come to.
    """

    output: ValueType
    modules: int
    minimum: int
    variables: Variables
    cost: Cost | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """An alternative with values for its choices. `leading` of its steps stand before the first
    step that holds a rule; `weight` is the product of the weights of the values.

    It is `simple` if nothing stands before its first rule but at most one operator, `first`: then `minimum`, the
    fewest modules it can come to, does not depend on the type.
    """

    choice: Choice
    weight: float
    program: Program
    leading: int
    rest: Program
    binds: bool = False
    """Whether its steps name values."""
    simple: bool = False
    first: Application | None = None
    minimum: float = 0
    begins: bool = False
    """Whether it is branches or copies that all begin with a rule."""
    chain: Cell | None = None
    """The first cell of its `rest`."""
    opens: int = 0
    """Uses of rules in it, those of a copied part once."""
    outcomes: dict[ValueType, Outcome] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """The candidates that apply, with cumulative probabilities."""

    cumulative: list[float]
    candidates: list[Candidate]
    probabilities: list[float]
    known: dict[Choice | None, Candidate] = field(default_factory=dict)

    @property
    def by_choice(self) -> dict[Choice | None, Candidate]:
        """The candidates by their choices."""
        if not self.known:
            self.known.update((candidate.choice, candidate) for candidate in self.candidates)
        return self.known


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """The candidates for one kind and rank but those that take none of it; `unsure` are those that may refuse some.

    `shared` has the options for each set of these that applies.
    """

    candidates: list[Candidate]
    unsure: list[Candidate]
    reasons: tuple[Inapplicable, ...]
    shared: dict[tuple[bool, ...], Options] = field(default_factory=dict)
    together: dict[Regular, Together] = field(default_factory=dict)
    """What asks the unsure ones about inputs of a form, once all of them can be asked so."""


@dataclass(eq=False)
class Instance:
    """A rule with the values of its parameters; `minimum` is the fewest modules it can come to."""

    rule: cfg.Rule
    values: tuple[Any, ...]
    env: Mapping[str, Any]
    table: dict[ValueType, Options] = field(default_factory=dict)
    forms: dict[tuple[str, int | None], Form] = field(default_factory=dict)
    met: dict[tuple[ValueType, ValueType], ValueType] = field(default_factory=dict)
    """What the rule's claim makes of an output for an input."""
    unmet: dict[tuple[ValueType, ValueType], Inapplicable] = field(default_factory=dict)
    """Why it refuses one."""
    minimum: float = 1
    always: Options | None = None
    """The options at all types, where they do not depend on them; `varies`: whether they do, None: not yet known."""
    varies: bool | None = None
    entry: Cell | None = None
    """The first cell of a drawing that begins with it."""
    claims: bool = field(init=False)
    """Whether its output is looked at when it ends."""
    deepens: int = field(init=False)

    def __post_init__(self) -> None:
        self.claims = self.rule.goal is not None
        self.deepens = 0 if self.rule.anonymous else 1

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


def inside(step: Step) -> tuple[Program, ...]:
    """The programs that a step is made of; of a macro that waits for its type there is none yet."""
    match step:
        case Fork() | Bind():
            return step.programs
        case Copy(_, program) | Loop(_, program):
            return (program,)
        case Enter(_, _, program) if program is not None:
            return (program,)
        case _:
            return ()


def flat(program: Program) -> Program:
    """The program with macros that do not wait for a type opened, at its top."""
    found: list[Step] = []
    for step in program:
        if isinstance(step, Enter) and step.program is not None:
            found += flat(step.program)
        else:
            found.append(step)
    return tuple(found)


def holds_rule(step: Step) -> bool:
    if isinstance(step, Call):
        return True
    if isinstance(step, Enter) and step.program is None:
        return has_rule(step.macro.body)
    return any(holds_rule(inner) for program in inside(step) for inner in program)


def calls(program: Program) -> Iterator[Call]:
    for step in program:
        if isinstance(step, Call):
            yield step
        for inner in inside(step):
            yield from calls(inner)


def rule_uses(program: Program) -> int:
    """Uses of rules in a program, those of a copied part once."""
    count = 0
    stack: list[Step | cfg.Term] = [*program]
    while stack:
        match stack.pop():
            case Call() | cfg.RuleUse():
                count += 1
            case Enter(macro, _, None):
                stack.append(macro.body)
            case Apply() | Fork() | Copy() | Loop() | Enter() | Bind() | Load() | Pack() | Unpack() | Meet() as step:
                stack += [each for inner in inside(step) for each in inner]
            case term:
                stack += cfg.parts(term)
    return count


def names_values(program: Program) -> bool:
    """Whether a variable is set or read in a program, rules apart."""
    for step in program:
        if isinstance(step, Bind | Load | Pack | Unpack) or any(map(names_values, inside(step))):
            return True
        if isinstance(step, Enter) and step.program is None and mentions_let(step.macro.body):
            return True
    return False


def mentions_let(term: cfg.Term) -> bool:
    if isinstance(term, cfg.Let | cfg.Variable | cfg.Unpacked):
        return True
    return (isinstance(term, cfg.RuleUse) and bool(term.packed)) or any(map(mentions_let, cfg.parts(term)))


def unpack(names: tuple[str, ...], packed: ValueType, variables: Variables) -> ValueType:
    """Sets the variables; what flowed in."""
    assert isinstance(packed, Bundle)
    flow, *values = packed.members
    variables.update(zip(names, values, strict=True))
    return flow


def assign(names: tuple[str, ...], value: ValueType, variables: Variables, span: Span) -> None:
    """One name takes the value whole, several take the members of a bundle; raises Inapplicable."""
    if len(names) == 1:
        variables[names[0]] = value
        return
    if not isinstance(value, Bundle) or len(value.members) != len(names):
        raise Inapplicable(f"`let` names {len(names)} values, and this is {value!r}", span)
    variables.update(zip(names, value.members, strict=True))


def shared(one: Cost, count: int, tied: bool) -> Cost:
    """The cost of `count` copies; tied copies have their weights once."""
    total = one.times(count)
    return Cost(total.modules, one.parameters, total.macs, total.elements) if tied else total


def keeps_type(before: ValueType, after: ValueType, span: Span) -> None:
    if merge((before, after)) is None:
        raise Inapplicable(f"a repeated part must keep the type, and this goes from {before!r} to {after!r}", span)


def same_but_life(a: ValueType, b: ValueType) -> bool:
    """Whether two types differ at most in what depends on the input."""
    return a is b or ((not a.live or not b.live) and with_life(a, [leaf.live for leaf in leaves(b)]) is b)


def before_branches(count: int, span: Span) -> str:
    """What gives the branches at `span` the members they need, or why what stands there does not."""
    if span.text.startswith(("clone(", "split(")):
        return "`>>` binds tighter than `&`: put the branches in parentheses"
    return f"put `clone({count})` or `split` before them"


def members(input: ValueType, count: int, span: Span) -> tuple[ValueType, ...]:
    if not isinstance(input, Bundle):
        raise Inapplicable(
            f"{count} branches need a bundle of {count}, and this is {input!r}; {before_branches(count, span)}",
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
    return isinstance(term, cfg.RuleUse) or any(map(has_rule, cfg.parts(term)))


def fewest(term: cfg.Term) -> int:
    """The fewest modules of a term whose type is not known: one for each operator and rule that stands in it."""
    return isinstance(term, cfg.Use | cfg.RuleUse) + sum(map(fewest, cfg.parts(term)))
