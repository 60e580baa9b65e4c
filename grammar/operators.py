"""Operators: a declaration, its use with arguments, and that use at a type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ein.grammar.bodies.elaborate import Trace, trace
from ein.grammar.bodies.pruned import pruned
from ein.grammar.bodies.tensors import Body, Sizes
from ein.grammar.bodies.told import Told, told
from ein.grammar.bodies.words import unwrap
from ein.grammar.closed_forms import ClosedForm, closed_form
from ein.grammar.computed import Build
from ein.grammar.diagnostics import NOWHERE, Span, fail
from ein.grammar.host import Host
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Formula, Inapplicable, Order
from ein.grammar.patterns import KIND, Kinds, Match
from ein.grammar.types import Bundle, Regular, ValueType, elements, leaves, with_life


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

    @property
    def charged(self) -> tuple[int, int, int]:
        """What limits other than that of modules bound."""
        return self.parameters, self.macs, self.elements

    def times(self, n: int) -> Cost:
        return Cost(self.modules * n, self.parameters * n, self.macs * n, self.elements * n)


@dataclass(frozen=True, slots=True)
class Parameter:
    """`kind` is int, real, bool, name, fn, percent, string, or None: an integer or an order of axes."""

    name: str
    kind: str | None
    default: Formula | None
    span: Span = field(default=NOWHERE, compare=False)


@dataclass(frozen=True, eq=False)
class Operator:
    """One overload of an operator: its declaration, and its signature compiled; `host` is what a body would say."""

    declaration: s.OpDecl
    parameters: tuple[Parameter, ...]
    match: Match
    guards: tuple[Formula, ...]
    build: Build
    kinds: Kinds
    module: str
    host: Host | None = None

    @property
    def name(self) -> str:
        return self.declaration.name

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return tuple(parameter.name for parameter in self.parameters)

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(self.order)

    @cached_property
    def required(self) -> frozenset[str]:
        return frozenset(parameter.name for parameter in self.parameters if parameter.default is None)

    @cached_property
    def parameter_kinds(self) -> Mapping[str, str | None]:
        return {parameter.name: parameter.kind for parameter in self.parameters}

    @cached_property
    def is_free(self) -> bool:
        """Whether the body has neither weights nor products, whatever the sizes; then its cost needs no look at it."""
        return self.host is None and not _weighs(self.declaration)

    @cached_property
    def told(self) -> Told | None:
        """What tells the cost of its body without a look at it, if there is something."""
        return told(self.declaration) if self.host is None else None

    @cached_property
    def keys(self) -> frozenset[str]:
        """The parameters that tie weights to those of other operators."""
        lines = [line.weights for line in self.declaration.lines if isinstance(line, s.WeightLine)]
        return frozenset(weight.tied_by for weights in lines for weight in weights if weight.tied_by is not None)

    @cached_property
    def routes(self) -> bool:
        """Whether the operator only moves values: its body is `wires`."""
        return self.declaration.body == s.Name("wires")

    @cached_property
    def alike(self) -> bool:
        """Whether all tensors that it takes are of one kind, and they are several."""
        type = unwrap(self.declaration.input)
        if isinstance(type, s.BundleType):
            return all(isinstance(each.type, s.KindType) and each.type.kind == KIND for each in type.members)
        return isinstance(type, s.PowerType)

    @cached_property
    def kills(self) -> bool:
        """Whether its result does not depend on its input: its body is `zeros`."""
        return self.declaration.body == s.Name("zeros")

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
                output = self.build(env)
                if self.kills or not input.live:
                    output = self._life(arguments, env, input, output)
                return Applied(self, arguments, env, input, output)
            except Inapplicable as error:
                failure = error
        raise failure or Inapplicable(f"does not fit {input!r}")

    def _life(
        self, arguments: Mapping[str, Any], env: Mapping[str, Any], input: ValueType, output: ValueType
    ) -> ValueType:
        """A wire is live if its source is; what is computed, if one of the inputs is."""
        sources = [leaf.live for leaf in leaves(input)]
        if self.routes:
            body = Applied(self, arguments, env, input, output).body
            return with_life(output, [sources[body.steps[result].argument("which")] for result in body.results])
        count = output.tensors if isinstance(output, Bundle) else 1
        return with_life(output, [any(sources) and not self.kills] * count)

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
            return any(map(_weighs, s.parts(node)))
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
        """What it computes, step by step; see `ein.grammar.bodies.elaborate`."""
        if self.operator.host is not None:
            return self.operator.host.body(self.env, self.input, self.output)
        body = pruned(*self._trace)
        self.__dict__.pop("_trace", None)  # the body holds what is needed of it
        return body

    @cached_property
    def _trace(self) -> Trace:
        return trace(self.operator.declaration, self.env, self.input, self.output)

    def try_body(self) -> None:
        """Raises what `body` raises, and is quicker."""
        _ = self.body if self.operator.host is not None or "body" in self.__dict__ else self._trace

    @cached_property
    def checked_body(self) -> Body:
        """The body where the type is known to fit; raises EinError where it refuses what the signature takes."""
        try:
            return self.body
        except Inapplicable as error:
            said = ", ".join(f"{name} = {value_text(value)}" for name, value in self.arguments.items())
            where = f"{self.input!r}{f' with {said}' if said else ''}"
            message = f"the signature of `{self.operator.name}` takes {where}, and its body does not: {error.reason}"
            help = "say it in a guard: `where …`"
            raise fail("E401", message, error.span or self.operator.declaration.span, help=help) from None

    @cached_property
    def ties(self) -> Mapping[str, Sizes]:
        """Shapes of the parameters that have a key, by key."""
        return self.checked_body.ties if self.operator.keys else {}

    @cached_property
    def cost(self) -> Cost:
        """Wires hold nothing, so only computed results count as elements."""
        held = 0 if self.operator.routes else elements(self.output)
        if self.operator.is_free:
            return Cost(1, 0, 0, held)
        return Cost(1, self.checked_body.parameters, self.checked_body.macs, held)


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


FEW = 8
"""Inputs that are looked at one by one: a closed form takes as long to make."""


@dataclass(frozen=True, eq=False)
class Application:
    """An operator's name with its arguments, before its input is known; a table per type."""

    overloads: tuple[Operator, ...]
    given: tuple[tuple[str, Any], ...]
    table: dict[ValueType, Applied | Inapplicable] = field(default_factory=dict)
    tried: set[Operator] = field(default_factory=set)
    """Overloads whose body took these arguments once."""
    results: dict[ValueType, ValueType | None] = field(default_factory=dict)
    costs: dict[ValueType, tuple[int, int, int]] = field(default_factory=dict)
    """Parameters, MACs and elements."""
    closed: dict[Regular, dict[Operator, ClosedForm | bool]] = field(default_factory=dict)
    ready: dict[Regular | None, tuple[ClosedForm, ...]] = field(default_factory=dict)
    """Those of which all bodies were tried."""

    @property
    def name(self) -> str:
        return self.overloads[0].name

    def look(self, input: ValueType) -> Applied | Inapplicable:
        """The first overload that fits, or why none does."""
        found = self.table.get(input)
        if found is None:
            found = self.table[input] = self._resolve(input)
        return found

    def result(self, input: ValueType) -> ValueType | None:
        """The output of the first overload that fits, or None: what `look` finds, without the reasons."""
        if input in self.results:
            return self.results[input]
        closed = self.ready.get(input.regular)
        if closed is None:
            closed = self._closed(input)
        output = None
        if closed is None:
            found = self.look(input)
            output = found.output if isinstance(found, Applied) else None
        else:
            for each in closed:
                output = each.result(input)
                if output is not None:
                    break
        self.results[input] = output
        return output

    def cost(self, input: ValueType) -> tuple[int, int, int]:
        """Parameters, MACs and elements of what is known to take the input."""
        found = self.costs[input] = self._told(input) or self.at(input).cost.charged
        return found

    def _told(self, input: ValueType) -> tuple[int, int, int] | None:
        """The cost where sizes tell it without the body."""
        closed = self.ready.get(input.regular) or ()
        form = closed[0] if len(closed) == 1 else next((each for each in closed if each.fits(input)), None)
        if form is None:
            return None
        output = self.results.get(input) or form.output(input)
        if form.operator.is_free:
            return 0, 0, 0 if form.operator.routes else elements(output)
        return form.cost(input, output)

    def refusal(self, input: ValueType) -> Inapplicable:
        """Why no overload fits."""
        found = self.look(input)
        assert isinstance(found, Inapplicable)
        return found

    def fits(self, input: ValueType) -> bool:
        """Whether some overload takes the input; without a table where that is told at once."""
        closed = self.ready.get(input.regular)
        if closed is None:
            closed = self._closed(input)
        if closed is None:
            return self.result(input) is not None
        return closed[0].fits(input) if len(closed) == 1 else any(each.fits(input) for each in closed)

    @cached_property
    def alike(self) -> bool:
        """Whether no overload takes tensors of several kinds."""
        return all(operator.alike for operator, _ in self.forms)

    def _closed(self, input: ValueType) -> tuple[ClosedForm, ...] | None:
        """The overloads that may take the input; None: they are to be tried one by one."""
        form = input.regular
        if form is None:
            return () if isinstance(input, Bundle) and input.mixed and self.alike else None
        if len(self.table) < FEW:
            return None
        if form not in self.closed:
            self.closed[form] = {op: closed_form(op, arguments, form) for op, arguments in self.forms}
        closed = {op: each for op, each in self.closed[form].items() if each is not False}
        if True in closed.values() or not closed.keys() <= self.tried:  # a body may refuse what its signature takes
            return None
        found = self.ready[form] = tuple(each for each in closed.values() if isinstance(each, ClosedForm))
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
                applied = operator.apply(arguments, input)
                if operator not in self.tried or any([leaf.element != "float" for leaf in leaves(input)]):
                    applied.try_body()  # refuses arguments such as `p = -1`, and what is for floats alone
                    self.tried.add(operator)
                return applied
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
