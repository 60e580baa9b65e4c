"""What the rest of the program works on: operators, rules, and the grammar that holds them.

A `Grammar` is what `check` makes of a file. Rules carry terms that may hold rules, choices and
names; a derivation's term (`ein.grammar.term`) holds none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, TypeAlias

from ein.grammar import syntax as s
from ein.grammar.bodies import elaborate
from ein.grammar.computed import Build
from ein.grammar.diagnostics import NOWHERE, Diagnostic, Span
from ein.grammar.numbers import Choices, Formula, Inapplicable, Order
from ein.grammar.patterns import Match
from ein.grammar.tensors import Body
from ein.grammar.types import ValueType, elements


@dataclass(frozen=True, slots=True)
class Cost:
    """Of the network as built: uses of operators, trained numbers, multiply-accumulates and
    elements of all computed results, the last two for one example."""

    modules: int = 0
    parameters: int = 0
    macs: int = 0
    elements: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.modules + other.modules,
            self.parameters + other.parameters,
            self.macs + other.macs,
            self.elements + other.elements,
        )

    def times(self, n: int) -> Cost:
        return Cost(self.modules * n, self.parameters * n, self.macs * n, self.elements * n)


# --- operators


@dataclass(frozen=True, slots=True)
class Parameter:
    """`kind` is int, real, bool, name, fn, percent, string, or None: an integer or an order of axes."""

    name: str
    kind: str | None
    default: Formula | None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, eq=False)
class Operator:
    """One overload of an operator: its declaration, and its signature compiled."""

    declaration: s.OpDecl
    parameters: tuple[Parameter, ...]
    match: Match
    guards: tuple[Formula, ...]
    build: Build
    module: str

    @property
    def name(self) -> str:
        return self.declaration.name

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(parameter.name for parameter in self.parameters)

    @cached_property
    def is_free(self) -> bool:
        """Whether the body has neither weights nor products, whatever the sizes; then its cost needs no look at it."""
        return not _weighs(self.declaration)

    @cached_property
    def routes(self) -> bool:
        """Whether the operator only moves values: its body is `wires`."""
        return self.declaration.body == s.Name("wires")

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All arguments in the order of the parameters, defaults computed from earlier ones."""
        full: dict[str, Any] = {}
        for parameter in self.parameters:
            if parameter.name in given:
                full[parameter.name] = given[parameter.name]
            else:
                assert parameter.default is not None
                full[parameter.name] = parameter.default.evaluate(full)
        return full

    def apply(self, arguments: Mapping[str, Any], input: ValueType) -> Applied:
        """The operator with all its arguments on a type; raises Inapplicable where the signature or a guard says no."""
        failure: Inapplicable | None = None
        for env in self.match(input, arguments):
            try:
                self._guard(env)
                return Applied(self, arguments, env, input, self.build(env))
            except Inapplicable as error:
                failure = error
        raise failure or Inapplicable(f"does not fit {input!r}")

    def _guard(self, env: Mapping[str, Any]) -> None:
        for guard in self.guards:
            if not guard.evaluate(env):
                raise Inapplicable("needs `{}`, and {}", guard.expr.span, (guard.expr.span.text, _Known(guard, env)))


def _weighs(node: Any) -> bool:
    """Whether a layer, a weight or a contraction stands anywhere in an operator."""
    match node:
        case s.Dotted(name):
            return name.startswith("nn.") or name == "F.scaled_dot_product_attention"
        case s.Name("dot" | "einsum") | s.WeightLine() | s.Scan() | s.Repeat():
            return True
        case tuple():
            return any(map(_weighs, node))
        case s.Node():
            return any(_weighs(getattr(node, each.name)) for each in fields(node) if each.name != "span")
        case _:
            return False


@dataclass(frozen=True, eq=False)
class Applied:
    """An operator at given arguments and types. `env` holds the arguments and the matched dimensions."""

    operator: Operator
    arguments: Mapping[str, Any]
    env: Mapping[str, Any]
    input: ValueType
    output: ValueType

    @cached_property
    def body(self) -> Body:
        """What it computes, step by step; see `ein.grammar.bodies`."""
        return elaborate(self.operator.declaration, self.env, self.input, self.output)

    @cached_property
    def cost(self) -> Cost:
        """Wires hold nothing, so only computed results count as elements."""
        held = 0 if self.operator.routes else elements(self.output)
        if self.operator.is_free:
            return Cost(1, 0, 0, held)
        return Cost(1, self.body.parameters, self.body.macs, held)


@dataclass(frozen=True, slots=True)
class _Known:
    """The values of a guard's names, as `h = 3, k = 5`."""

    guard: Formula
    env: Mapping[str, Any]

    def __str__(self) -> str:
        names = sorted(name for name in self.guard.names if name in self.env)
        return ", ".join(f"{name} = {value_text(self.env[name])}" for name in names)


@dataclass(frozen=True, slots=True)
class _Reasons:
    """Why each overload does not fit; put together only when it is read."""

    failures: list[Inapplicable]

    def __str__(self) -> str:
        return "; ".join(failure.reason for failure in self.failures)


@dataclass(frozen=True, eq=False)
class Application:
    """An operator's name with its arguments, before its input is known; a table per type."""

    overloads: tuple[Operator, ...]
    given: tuple[tuple[str, Any], ...]
    table: dict[ValueType, Applied | Inapplicable] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.overloads[0].name

    def look(self, input: ValueType) -> Applied | Inapplicable:
        """The first overload that fits, or why none does."""
        found = self.table.get(input)
        if found is None:
            found = self.table[input] = self._resolve(input)
        return found

    def at(self, input: ValueType) -> Applied:
        """The first overload that fits; raises Inapplicable."""
        found = self.look(input)
        if isinstance(found, Inapplicable):
            raise Inapplicable(found.text, found.span, found.values)
        return found

    def _resolve(self, input: ValueType) -> Applied | Inapplicable:
        failures = []
        for operator, arguments in self.forms:
            try:
                return operator.apply(arguments, input)
            except Inapplicable as error:
                failures.append(error.bare())
        if len(failures) == 1:
            return failures[0]
        return Inapplicable("has no form for {!r}: {}", None, (input, _Reasons(failures)))

    @cached_property
    def forms(self) -> tuple[tuple[Operator, dict[str, Any]], ...]:
        """The overloads that take these arguments, each with all of its own."""
        given = dict(self.given)
        return tuple((op, op.arguments(given)) for op in self.overloads if given.keys() <= op.names)

    @cached_property
    def text(self) -> str:
        """As it is written: `conv(64, k = 1)`; arguments without a default stand without their name."""
        parts = []
        parameters = {p.name: p for p in self.overloads[0].parameters}
        positional = True
        for name, value in self.given:
            positional = positional and parameters[name].default is None
            parts.append(value_text(value) if positional else f"{name} = {value_text(value)}")
        return f"{self.name}({', '.join(parts)})" if parts else self.name


def value_text(value: Any) -> str:
    """A value as the language writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case Order():
            return repr(value)
        case list():
            return f"[{', '.join(map(value_text, value))}]"
        case _:
            return str(value) if not isinstance(value, float) else repr(value)


# --- terms of rules


@dataclass(frozen=True, slots=True)
class Use:
    """An operator with arguments that may depend on names and choices."""

    overloads: tuple[Operator, ...]
    arguments: tuple[tuple[str, Formula], ...]
    span: Span


@dataclass(frozen=True, slots=True)
class RuleUse:
    rule: str
    arguments: tuple[Formula, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Series:
    parts: tuple[Term, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Parallel:
    parts: tuple[Term, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Copies:
    """`body ^ count`."""

    body: Term
    count: Formula
    tied: bool
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
    """A macro in place. `match` binds the dimensions `bound` of its signature, `build` computes its output."""

    macro: str
    body: Term
    span: Span
    match: Match | None = None
    build: Build | None = None
    bound: frozenset[str] = frozenset()


Term: TypeAlias = Use | RuleUse | Series | Parallel | Copies | Repeated | Expanded


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
    """A nonterminal. A group `(a | b)` inside a term is a rule that is `anonymous`."""

    name: str
    parameters: tuple[str, ...]
    alternatives: tuple[Alternative, ...]
    span: Span
    anonymous: bool = False
    match: Match | None = None
    build: Build | None = None


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

    `digest` is of the resolved space: the text of all modules, the parameters, input and output.
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
    digest: str
    warnings: tuple[Diagnostic, ...] = ()
    output_span: Span | None = None
    applications: dict[tuple[tuple[Operator, ...], tuple[tuple[str, Any], ...]], Application] = field(
        default_factory=dict
    )

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
