"""Terms as written -> terms of rules: names resolved, macros expanded, choices collected.

Expansion is hygienic: names that a macro binds are renamed, names in its arguments mean what they
mean where the macro is called, and its body sees the names of its own file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from ein.grammar import cfg
from ein.grammar import syntax as s
from ein.grammar.arguments import bind, bind_declared, check_kind, required, takes, weight_is_sane, wrong_arguments
from ein.grammar.axes import later
from ein.grammar.computed import Build, compile_type
from ein.grammar.diagnostics import Diagnostic, EinError, Label, Span, fail
from ein.grammar.names import free_of_alternative, type_names
from ein.grammar.numbers import (
    FUNCTIONS,
    Choices,
    Formula,
    Inapplicable,
    choices,
    constant,
    formula,
    nearest,
    no_function,
)
from ein.grammar.patterns import Match, compile_pattern

MAX_TERM = 100_000
"""Parts of one rule after its macros are expanded."""

MAX_NESTING = 100


@dataclass(frozen=True, slots=True)
class Value:
    """A name that stands for a number, under the name it has in the environment."""

    name: str


@dataclass(frozen=True, slots=True)
class Closure:
    """An argument of a macro: a term or a number, meant as it is where the macro is called."""

    expr: s.Expr
    context: Context


Meaning: TypeAlias = Value | Closure


@dataclass(eq=False)
class Scope:
    """What the names of one file mean."""

    module: str
    kinds: dict[str, tuple[tuple[str, ...], str]] = field(default_factory=dict)
    operators: dict[str, tuple[cfg.Operator, ...]] = field(default_factory=dict)
    macros: dict[str, tuple[s.MacroDecl, Scope]] = field(default_factory=dict)
    rules: dict[str, s.RuleDecl] = field(default_factory=dict)
    parameters: frozenset[str] = frozenset()
    defaults: dict[str, s.Expr] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    """Operators whose declaration is wrong: that is reported once, and not at every use."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where a term stands: its file, what its own names mean, and the macros around it."""

    scope: Scope
    names: Mapping[str, Meaning]
    macros: tuple[tuple[s.MacroDecl, Span], ...] = ()


class Expander:
    """Expands the rules of a file; collects diagnostics and anonymous rules on the way."""

    def __init__(self, scope: Scope, diagnostics: list[Diagnostic]) -> None:
        self.scope = scope
        self.diagnostics = diagnostics
        self.anonymous: dict[str, cfg.Rule] = {}
        self.owner = ""
        self.count = 0
        self.size = 0
        self.nesting = 0

    def rule(self, name: str, parameters: tuple[str, ...], goal: s.Goal | None, body: s.Expr, span: Span) -> cfg.Rule:
        """A rule (or the body of an architecture) with everything in it resolved."""
        self.owner, self.size = name, 0
        names: dict[str, Meaning] = {n: Value(n) for n in (*self.scope.parameters, *parameters)}
        match = build = None
        if goal is not None:
            bound = {*self.scope.parameters, *parameters}
            match, build = self._signature(goal, bound, self.scope)
            names |= {n: Value(n) for n in bound}
        context = Context(self.scope, names)
        alternatives = tuple(self._alternatives(body, context))
        return cfg.Rule(name, parameters, alternatives, span, match=match, build=build)

    def _signature(self, goal: s.Goal, bound: set[str], scope: Scope) -> tuple[Match, Build | None]:
        """Compiles `input -> output`; adds to `bound` the names of the input."""
        kinds = scope.kinds
        match = compile_pattern(goal.input, bound, kinds)
        if goal.live:
            raise later("`live`", goal.span)
        if goal.output is None:
            return match, None
        return match, compile_type(goal.output, bound, kinds)

    # --- alternatives

    def _alternatives(self, body: s.Expr, context: Context) -> Iterator[cfg.Alternative]:
        parts = body.parts if isinstance(body, s.Alternatives) else (body,)
        for part in parts:
            try:
                yield self._alternative(part, context)
            except EinError as error:
                self.diagnostics += error.diagnostics

    def _alternative(self, part: s.Expr, context: Context) -> cfg.Alternative:
        if not isinstance(part, s.Alternative):
            part = s.Alternative(part, span=part.span)
        if part.otherwise is not None:
            raise fail(
                "E304", "`else` belongs to operator bodies", part.otherwise.span,
                help="write two alternatives: `a if c | b if not c`",
            )  # fmt: skip
        found: list[cfg.Choice] = []
        for binder in part.binders:
            if isinstance(binder, s.LetBinder):
                raise later("`let` in a term", binder.span)
            for name, values in binder.choices:
                unique = self._fresh(name)
                found.append(cfg.Choice(unique, self._choices(values, context), binder.span))
                context = replace(context, names={**context.names, name: Value(unique)})
        body = self._term(part.body, context, found)
        self._nothing_joint(found, part)
        each = isinstance(part.weight, s.Each)
        weight = None if part.weight is None or isinstance(part.weight, s.Each) else self._formula(part.weight, context)
        guard = None if part.guard is None else self._formula(part.guard, context, rank=True)
        if weight is not None and not weight.names:
            weight_is_sane(weight)
        return cfg.Alternative(tuple(found), body, part.span, weight, each, guard)

    def _nothing_joint(self, found: list[cfg.Choice], part: s.Alternative) -> None:
        if len(found) > 12:
            raise fail(
                "E505", f"one alternative makes {len(found)} choices at once", part.span,
                help="12 is the limit; give a part of it a rule of its own",
            )  # fmt: skip

    # --- terms

    def _term(self, expr: s.Expr, context: Context, found: list[cfg.Choice]) -> cfg.Term:
        self.size += 1
        self.nesting += 1
        try:
            if self.size > MAX_TERM:
                raise fail(
                    "E506", f"`{self.owner}` has more than {MAX_TERM:,} parts after its macros are expanded", expr.span
                )
            if self.nesting > MAX_NESTING:
                raise fail(
                    "E506",
                    f"`{self.owner}` is nested more than {MAX_NESTING} deep after its macros are expanded",
                    expr.span,
                )
            return self._dispatch(expr, context, found)
        finally:
            self.nesting -= 1

    def _dispatch(self, expr: s.Expr, context: Context, found: list[cfg.Choice]) -> cfg.Term:
        match expr:
            case s.Sequence(parts):
                return cfg.Series(self._all(parts, context, found), expr.span)
            case s.Branches(parts):
                return cfg.Parallel(self._all(parts, context, found), expr.span)
            case s.Binary("^" | "*" as operator, left, right):
                return self._copies(operator, left, right, context, found, expr.span)
            case s.Alternatives() | s.Alternative():
                return self._group(expr, context)
            case s.Name(name):
                return self._named(name, (), context, found, expr.span)
            case s.Call(s.Name(name), arguments):
                return self._named(name, arguments, context, found, expr.span)
            case s.Camel(name):
                return self._rule_use(name, (), context, expr.span, found)
            case s.Call(s.Camel(name), arguments):
                return self._rule_use(name, arguments, context, expr.span, found)
            case s.Unary("tied", _):
                raise fail("E305", "`tied` stands before copies: `tied a ^ n`, `tied a * n`", expr.span)
            case s.Dotted(name):
                raise fail("E306", f"`{name}` belongs to operator bodies; a term uses operators", expr.span)
            case s.Layout() | s.Index():
                raise fail("E306", "`->` and `f[…]` belong to operator bodies; a term uses operators", expr.span)
            case _:
                raise fail("E307", "a term is expected here: an operator, a macro or a rule", expr.span)

    def _all(self, parts: tuple[s.Expr, ...], context: Context, found: list[cfg.Choice]) -> tuple[cfg.Term, ...]:
        """All parts, so that every one that is wrong is reported."""
        terms = []
        errors: list[Diagnostic] = []
        for part in parts:
            try:
                terms.append(self._term(part, context, found))
            except EinError as error:
                if any(diagnostic.code == "E506" for diagnostic in error.diagnostics):
                    raise
                errors += list(error.diagnostics)
        if len(terms) < len(parts):
            raise EinError(errors)
        return tuple(terms)

    def _copies(
        self, operator: str, left: s.Expr, right: s.Expr, context: Context, found: list[cfg.Choice], span: Span
    ) -> cfg.Term:
        tied = isinstance(left, s.Unary) and left.operator == "tied"
        body = self._term(left.operand if isinstance(left, s.Unary) and tied else left, context, found)
        if isinstance(right, s.ChoiceSet):
            unique = self._fresh("n")
            found.append(cfg.Choice(unique, self._choices(right, context), right.span))
            count = formula(s.Name(unique, span=right.span))
        else:
            count = self._formula(right, context)
        return (cfg.Copies if operator == "^" else cfg.Repeated)(body, count, tied, span)

    def _group(self, expr: s.Expr, context: Context) -> cfg.Term:
        """`(a | b)`: a rule without a name, which is handed the values it mentions."""
        alternatives = tuple(self._alternatives(expr, context))
        self.count += 1
        name = f"{self.owner}/{self.count}"
        free = sorted(set().union(*map(free_of_alternative, alternatives)) - {"rank"} - self.scope.parameters)
        self.anonymous[name] = cfg.Rule(name, tuple(free), alternatives, expr.span, anonymous=True)
        return cfg.RuleUse(name, tuple(formula(s.Name(n, span=expr.span)) for n in free), expr.span)

    def _named(
        self, name: str, arguments: tuple[s.Argument, ...], context: Context, found: list[cfg.Choice], span: Span
    ) -> cfg.Term:
        meaning = context.names.get(name)
        if isinstance(meaning, Closure) and not arguments:
            return self._term(meaning.expr, meaning.context, found)
        if isinstance(meaning, Closure) and isinstance(meaning.expr, s.Name):
            return self._named_in(meaning.context, meaning.expr.name, arguments, context, found, span)
        if isinstance(meaning, Closure):
            raise fail("E307", f"`{name}` stands for `{meaning.expr.span.text}`, which takes no arguments", span)
        return self._named_in(context, name, arguments, context, found, span)

    def _named_in(
        self,
        home: Context,
        name: str,
        arguments: tuple[s.Argument, ...],
        context: Context,
        found: list[cfg.Choice],
        span: Span,
    ) -> cfg.Term:
        """`name` as it is meant in `home`, with arguments as they are meant in `context`."""
        meaning = home.names.get(name)
        while isinstance(meaning, Closure) and isinstance(meaning.expr, s.Name):
            home, name = meaning.context, meaning.expr.name
            meaning = home.names.get(name)
        if name in home.scope.macros:
            return self._macro(home, name, arguments, context, found, span)
        if name in home.scope.operators:
            return self._use(home.scope.operators[name], arguments, context, found, span)
        if name in home.scope.broken:
            raise EinError()
        if isinstance(meaning, Value):
            raise fail("E307", f"`{name}` is a number, and a term is expected here", span)
        known = {*home.scope.operators, *home.scope.macros}
        help = _other_case(name, context.scope.rules, "rule")
        help = help or nearest(name, known, "`ein list` shows the library's, `op` and `def` declare others")
        raise fail("E201", f"there is no operator or macro `{name}`", span, help=help)

    def _use(
        self,
        overloads: tuple[cfg.Operator, ...],
        arguments: tuple[s.Argument, ...],
        context: Context,
        found: list[cfg.Choice],
        span: Span,
    ) -> cfg.Term:
        fitting = [op for op in overloads if takes([p.name for p in op.parameters], required(op), arguments)]
        if not fitting:
            raise wrong_arguments(overloads[0].name, overloads[0].parameters, arguments, span)
        parameters = {p.name: p for p in fitting[0].parameters}
        bound = bind([p.name for p in fitting[0].parameters], arguments)
        given = []
        for name in parameters:
            if name in bound:
                value = self._argument(bound[name], parameters[name], context, found)
                given.append((name, value))
        return cfg.Use(tuple(fitting), tuple(given), span)

    def _argument(
        self, argument: s.Argument, parameter: cfg.Parameter, context: Context, found: list[cfg.Choice]
    ) -> Formula:
        if argument.choice:
            unique = self._fresh(parameter.name)
            values = self._choices(argument.value, context)
            found.append(cfg.Choice(unique, values, argument.span))
            return formula(s.Name(unique, span=argument.span))
        word = argument.value
        if parameter.kind in ("fn", "name") and isinstance(word, s.Name) and word.name not in context.names:
            return constant(word.name)
        value = self._formula(word, context)
        if not value.names:
            check_kind(value, parameter)
        return value

    def _rule_use(
        self, name: str, arguments: tuple[s.Argument, ...], context: Context, span: Span, found: list[cfg.Choice]
    ) -> cfg.Term:
        rule = context.scope.rules.get(name)
        if rule is None:
            help = _other_case(name, {**context.scope.operators, **context.scope.macros}, "operator")
            help = help or nearest(name, context.scope.rules, "a rule is declared with `rule Name = …`")
            raise fail("E201", f"there is no rule `{name}`", span, help=help)
        bound = bind_declared(name, rule.parameters, arguments, span)
        values = []
        for parameter in rule.parameters:
            if parameter.name in bound:
                plain = cfg.Parameter(parameter.name, parameter.kind, None)
                values.append(self._argument(bound[parameter.name], plain, context, found))
            else:
                assert parameter.default is not None
                values.append(formula(parameter.default, self.scope.parameters))
        return cfg.RuleUse(name, tuple(values), span)

    def _macro(
        self,
        home: Context,
        name: str,
        arguments: tuple[s.Argument, ...],
        context: Context,
        found: list[cfg.Choice],
        span: Span,
    ) -> cfg.Term:
        declaration, scope = home.scope.macros[name]
        self._no_cycle(declaration, home, span)
        inside = self._parameters_of(scope)
        chain = (*home.macros, (declaration, span))
        bound = bind_declared(name, declaration.parameters, arguments, span)
        for parameter in declaration.parameters:
            inside[parameter.name] = self._macro_argument(parameter, bound, context, scope, inside, found, chain)
        match = build = None
        dims: frozenset[str] = frozenset()
        if declaration.goal is not None:
            goal, renamed = self._rename_goal(declaration.goal, inside, scope)
            inside |= renamed
            dims = frozenset(m.name for m in renamed.values())
            known = {m.name for m in inside.values() if isinstance(m, Value)} - dims
            match, build = self._signature(goal, known, scope)
        own: list[cfg.Choice] = []
        body = self._term(declaration.body, Context(scope, inside, chain), own)
        for choice in own:
            if choice.values.names & dims:
                raise fail(
                    "E308", f"a choice in the macro `{name}` depends on the dimensions of its signature", choice.span,
                    help="make it a rule with that signature: a macro's choices are drawn before its input is known",
                )  # fmt: skip
        found += own
        return cfg.Expanded(name, body, span, match, build, dims)

    def _parameters_of(self, scope: Scope) -> dict[str, Meaning]:
        """Those of the root file are in the environment; those of an imported file have their defaults."""
        if scope is self.scope:
            return {name: Value(name) for name in scope.parameters}
        found: dict[str, Meaning] = {}
        for name, default in scope.defaults.items():
            found[name] = Closure(default, Context(scope, dict(found)))
        return found

    def _macro_argument(
        self,
        parameter: s.Parameter,
        bound: Mapping[str, s.Argument],
        context: Context,
        scope: Scope,
        inside: Mapping[str, Meaning],
        found: list[cfg.Choice],
        chain: tuple[tuple[s.MacroDecl, Span], ...],
    ) -> Meaning:
        argument = bound.get(parameter.name)
        if argument is None:
            assert parameter.default is not None
            return Closure(parameter.default, Context(scope, dict(inside), chain))
        if argument.choice:
            unique = self._fresh(parameter.name)
            found.append(cfg.Choice(unique, self._choices(argument.value, context), argument.span))
            return Value(unique)
        return Closure(argument.value, context)

    def _no_cycle(self, declaration: s.MacroDecl, home: Context, span: Span) -> None:
        """An argument is not inside the macro that it is given to: `f(f(relu))` is no cycle."""
        at = next((i for i, (entry, _) in enumerate(home.macros) if entry is declaration), None)
        if at is not None:
            cycle = " -> ".join([*(entry.name for entry, _ in home.macros[at:]), declaration.name])
            first = home.macros[at][1]
            raise fail(
                "E502", f"macros may not be recursive: {cycle}", span,
                help="what recurs is a `rule`", labels=[Label(first, "expanded here")],
            )  # fmt: skip

    def _rename_goal(
        self, goal: s.Goal, inside: Mapping[str, Meaning], scope: Scope
    ) -> tuple[s.Goal, dict[str, Value]]:
        """The signature of a macro with the names that it binds made unique."""
        renamed = {
            name: Value(self._fresh(name)) for name in type_names(goal.input) if name not in inside
        }  # a name that is a parameter is compared, not bound
        context = Context(scope, {**inside, **renamed})
        output = None if goal.output is None else self._resolve_type(goal.output, context)
        return replace(goal, input=self._resolve_type(goal.input, context), output=output), renamed

    # --- numbers

    def _formula(self, expr: s.Expr, context: Context, rank: bool = False) -> Formula:
        return formula(self._resolve(expr, context))

    def _choices(self, expr: s.Expr, context: Context) -> Choices:
        """A choice set; one that needs no values from around it is tried at once."""
        compiled = choices(self._resolve(expr, context))
        if not compiled.names:
            try:
                compiled.evaluate({})
            except Inapplicable as error:
                raise fail("E207", error.reason, error.span or expr.span) from None
        return compiled

    def _resolve(self, expr: s.Expr, context: Context) -> s.Expr:
        """The expression with every name replaced by what it stands for."""
        self.size += 1
        if self.size > MAX_TERM:
            raise fail("E506", f"`{self.owner}` grows without bound when its macros are expanded", expr.span)
        resolve = self._resolve
        match expr:
            case s.Name("rank"):
                return expr
            case s.Name(name):
                return self._resolve_name(name, expr, context)
            case s.Unary(operator, operand):
                return s.Unary(operator, resolve(operand, context), span=expr.span)
            case s.Binary(operator, left, right):
                return s.Binary(operator, resolve(left, context), resolve(right, context), span=expr.span)
            case s.Star(operand):
                return s.Star(resolve(operand, context), span=expr.span)
            case s.Call(function, arguments):
                if not isinstance(function, s.Name) or function.name not in FUNCTIONS:
                    raise no_function(expr)
                return s.Call(function, self._resolve_all(arguments, context), span=expr.span)
            case s.Group(items):
                return s.Group(self._resolve_all(items, context), span=expr.span)
            case s.ChoiceSet(items):
                return s.ChoiceSet(tuple(self._resolve_item(item, context) for item in items), span=expr.span)
            case s.Alternative(body, (), None, guard, otherwise) if guard is not None and otherwise is not None:
                parts = (resolve(body, context), resolve(guard, context), resolve(otherwise, context))
                return s.Alternative(parts[0], (), None, parts[1], parts[2], span=expr.span)
            case s.Number() | s.Percent() | s.String() | s.Boolean():
                return expr
            case _:
                raise fail("E205", "a number or condition is expected here", expr.span)

    def _resolve_name(self, name: str, expr: s.Name, context: Context) -> s.Expr:
        meaning = context.names.get(name)
        match meaning:
            case Value(unique):
                return s.Name(unique, span=expr.span)
            case Closure(inner, outer):
                return self._resolve(inner, outer)
            case None:
                known = {n for n in context.names if "$" not in n} | {"rank"}
                raise fail("E203", f"there is no value named `{name}` here", expr.span, help=nearest(name, known))

    def _resolve_all(self, arguments: tuple[s.Argument, ...], context: Context) -> tuple[s.Argument, ...]:
        return tuple(replace(argument, value=self._resolve(argument.value, context)) for argument in arguments)

    def _resolve_item(self, item: s.Item, context: Context) -> s.Item:
        def maybe(expr: s.Expr | None) -> s.Expr | None:
            return None if expr is None else self._resolve(expr, context)

        first = self._resolve(item.first, context)
        return replace(item, first=first, last=maybe(item.last), step=maybe(item.step), weight=maybe(item.weight))

    def _resolve_type(self, type: s.Type, context: Context) -> s.Type:
        match type:
            case s.KindType(kind, dims):
                return s.KindType(kind, tuple(self._resolve_dim(dim, context) for dim in dims), span=type.span)
            case s.TypeName(name):
                meaning = context.names.get(name)
                return s.TypeName(meaning.name if isinstance(meaning, Value) else name, span=type.span)
            case s.BundleType(members):
                return replace(
                    type, members=tuple(replace(m, type=self._resolve_type(m.type, context)) for m in members)
                )
            case s.PowerType(base, count):
                return s.PowerType(self._resolve_type(base, context), self._resolve(count, context), span=type.span)
            case s.Blank():
                return type

    def _resolve_dim(self, dim: s.Dim, context: Context) -> s.Dim:
        match dim:
            case s.EachDim(name):
                meaning = context.names.get(name)
                return s.EachDim(meaning.name if isinstance(meaning, Value) else name, span=dim.span)
            case s.Blank():
                return dim
            case _:
                return self._resolve(dim, context)

    def _fresh(self, name: str) -> str:
        self.count += 1
        return f"{name}${self.count}"


def _other_case(name: str, known: Mapping[str, object], what: str) -> str:
    """`did you mean the rule `Block`?`, where only the case or underscores differ."""
    plain = name.replace("_", "").lower()
    found = next((each for each in known if each.replace("_", "").lower() == plain), None)
    return f"did you mean the {what} `{found}`?" if found else ""
