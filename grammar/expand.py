"""Terms as written -> terms of rules: names resolved, macros expanded, choices collected.

Expansion is hygienic: names that a macro binds are renamed, names in its arguments mean what they
mean where the macro is called, and its body sees the names of its own file.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, count

from ein.grammar import cfg
from ein.grammar.arguments import bind, bind_declared, check_kind, takes, weight_is_sane, wrong_arguments
from ein.grammar.diagnostics import Diagnostic, EinError, Label, Span, fail
from ein.grammar.macros import Macros, MacroUse, claim_of
from ein.grammar.misplaced import LetNames, term_meant, written
from ein.grammar.names import free_of_alternative, takes_input, variables
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Formula, constant, formula, nearest
from ein.grammar.resolve import Resolver
from ein.grammar.scopes import Closure, Context, Meaning, Scope, Value, Variable

MAX_NESTING = 100
MAX_REPORTS = 100
"""Mistakes in rules, after which the others are not looked at."""


class Expander:
    """Expands the rules of a file; collects diagnostics and anonymous rules on the way."""

    def __init__(self, scope: Scope, diagnostics: list[Diagnostic]) -> None:
        self.scope = scope
        self.diagnostics = diagnostics
        self.anonymous: dict[str, cfg.Rule] = {}
        self.resolver = Resolver()
        self.macros = Macros(scope, self.resolver)
        self.imported: dict[int, str] = {}
        self.waiting: deque[tuple[str, s.RuleDecl, Scope]] = deque()
        self.unused: set[int] = set()
        self.let_names = LetNames()
        self.mistakes = 0
        self.stopped = False
        self.nesting = 0

    def rules(self, declared: Iterable[s.RuleDecl]) -> dict[str, cfg.Rule]:
        """The rules of the root file, and those of other files that they use."""
        found = {}
        self.waiting.extendleft([(rule.name, rule, self.scope) for rule in declared][::-1])
        while self.waiting:
            key, rule, home = self.waiting.popleft()
            parameters = tuple(parameter.name for parameter in rule.parameters)
            try:
                found[key] = self.rule(key, parameters, rule.goal, rule.body, rule.span, home)
            except EinError as error:
                self.diagnostics += error.diagnostics
        return found

    def rule(
        self,
        name: str,
        parameters: tuple[str, ...],
        goal: s.Goal | None,
        body: s.Expr,
        span: Span,
        home: Scope | None = None,
    ) -> cfg.Rule:
        """A rule (or the body of an architecture) with everything in it resolved."""
        if self.stopped:
            raise EinError()
        self.resolver.begin(name)
        self.let_names = LetNames()
        home = home or self.scope
        names: dict[str, Meaning] = {**self.macros.parameters(home), **{n: Value(n) for n in parameters}}
        match = claim = None
        if goal is not None:
            known = {meaning.name for meaning in names.values() if isinstance(meaning, Value)}
            if home is not self.scope:
                goal, renamed = self.macros.own_names(goal, names, home)
                names |= renamed
            bound = set(known)
            match, claim = claim_of(goal, bound, home)
            names |= {n: Value(n) for n in bound - known if "$" not in n}
        context = Context(home, names)
        alternatives = tuple(self._alternatives(body, context))
        return cfg.Rule(name, parameters, alternatives, span, match=match, goal=claim, signature=goal)

    # --- alternatives

    def _alternatives(self, body: s.Expr, context: Context) -> Iterator[cfg.Alternative]:
        parts = body.parts if isinstance(body, s.Alternatives) else (body,)
        for part in parts if not self.stopped else ():
            before = self.mistakes
            try:
                yield self._alternative(part, context)
            except EinError as error:
                self.diagnostics += error.diagnostics
                if self._stop(before, part):
                    return

    def _stop(self, before: int, part: s.Expr) -> bool:
        """Counts the mistake of a part, unless it was counted inside; whether there are so many that nothing more is
        looked at."""
        self.mistakes = max(self.mistakes, before + 1)
        if self.mistakes >= MAX_REPORTS and not self.stopped:
            self.stopped = True
            message = f"stopped here after {MAX_REPORTS} mistakes; the rules that follow were not looked at"
            self.diagnostics.append(Diagnostic("E109", message, part.span, severity="note"))
        return self.stopped

    def _alternative(self, part: s.Expr, context: Context) -> cfg.Alternative:
        if not isinstance(part, s.Alternative):
            part = s.Alternative(part, span=part.span)
        if part.otherwise is not None:
            raise fail(
                "E304", "`else` belongs to operator bodies", part.otherwise.span,
                help="write two alternatives: `a if c | b if not c`",
            )  # fmt: skip
        found: list[cfg.Choice] = []
        body, context = self._bound(part.binders, part.body, context, found)
        self._nothing_joint(found, part)
        each = isinstance(part.weight, s.Each)
        weight = (
            None
            if part.weight is None or isinstance(part.weight, s.Each)
            else self.resolver.formula(part.weight, context)
        )
        guard = None if part.guard is None else self.resolver.formula(part.guard, context)
        if weight is not None and not weight.names:
            weight_is_sane(weight)
        return cfg.Alternative(tuple(found), body, part.span, weight, each, guard)

    def _bound(
        self, binders: tuple[s.Binder, ...], body: s.Expr, context: Context, found: list[cfg.Choice]
    ) -> tuple[cfg.Term, Context]:
        """The body under its `for` and `let`, and what names mean in it."""
        if not binders:
            return self._term(body, context, found), context
        binder, rest = binders[0], binders[1:]
        if isinstance(binder, s.LetBinder):
            return self._let(binder, rest, body, context, found)
        for name, values in binder.choices:
            unique = self.resolver.fresh(name)
            found.append(cfg.Choice(unique, self.resolver.choices(values, context), binder.span))
            context = replace(context, names={**context.names, name: Value(unique)})
        return self._bound(rest, body, context, found)

    def _let(
        self, binder: s.LetBinder, rest: tuple[s.Binder, ...], body: s.Expr, context: Context, found: list[cfg.Choice]
    ) -> tuple[cfg.Term, Context]:
        bindings: list[tuple[tuple[str, ...], cfg.Term, s.Binding]] = []
        _bound_once(binder)
        for i, binding in enumerate(binder.bindings):
            value = self._let_value(binder, i, context, found)
            fresh = {name: self.resolver.fresh(name) for name in binding.names}
            bindings.append((tuple(fresh.values()), value, binding))
            context = replace(context, names={**context.names, **{n: Variable(unique) for n, unique in fresh.items()}})
        inner, context = self._bound(rest, body, context, found)
        kept = []
        used = variables(inner)
        finished = self.resolver.owner.startswith("arch ") and not context.macros  # what was drawn is what is read back
        for names, value, binding in reversed(bindings):
            is_used = bool(used & set(names))
            if is_used or finished:
                kept.append((names, value))
                used |= variables(value)
            if not is_used:
                self._unused(binding, "" if finished else ", so it is left out")
        return (cfg.Let(tuple(reversed(kept)), inner, binder.span) if kept else inner), context

    def _let_value(self, binder: s.LetBinder, index: int, context: Context, found: list[cfg.Choice]) -> cfg.Term:
        if context.macros:
            return self._term(binder.bindings[index].value, context, found)
        self.let_names.read(binder, index)
        try:
            return self._term(binder.bindings[index].value, context, found)
        finally:
            self.let_names.over(binder)

    def _unused(self, binding: s.Binding, consequence: str) -> None:
        """Reported once, however often the macro that it stands in is used."""
        if id(binding) in self.unused:
            return
        self.unused.add(id(binding))
        said = " and ".join(f"`{name}`" for name in binding.names)
        message = f"{said} is never used{consequence}"
        warning = Diagnostic("W205", message, binding.span, severity="warning", help="use it, or delete it")
        self.diagnostics.append(warning)

    def _nothing_joint(self, found: list[cfg.Choice], part: s.Alternative) -> None:
        if len(found) > 12:
            raise fail(
                "E505", f"one alternative makes {len(found)} choices at once", part.span,
                help="12 is the limit; give a part of it a rule of its own",
            )  # fmt: skip

    # --- terms

    def _term(self, expr: s.Expr, context: Context, found: list[cfg.Choice]) -> cfg.Term:
        self.resolver.grow(expr.span)
        self.nesting += 1
        try:
            if self.nesting > MAX_NESTING:
                raise fail(
                    "E506",
                    f"`{self.resolver.owner}` is nested more than {MAX_NESTING} deep after its macros are expanded",
                    expr.span,
                )
            return self._dispatch(expr, context, found)
        finally:
            self.nesting -= 1

    def _dispatch(self, expr: s.Expr, context: Context, found: list[cfg.Choice]) -> cfg.Term:
        match expr:
            case s.Name(name):
                return self._named(name, (), context, found, expr.span)
            case s.Call(s.Name(name), arguments):
                return self._named(name, arguments, context, found, expr.span)
            case s.Camel(name):
                return self._rule_use(name, (), context, expr.span, found)
            case s.Sequence(parts):
                return cfg.Series(self._all(parts, context, found), expr.span)
            case s.Branches(parts):
                terms = self._all(parts, context, found)
                return cfg.Parallel(terms, tuple(map(self._takes, terms)), expr.span)
            case s.Binary("^" | "*" as operator, left, right):
                return self._copies(operator, left, right, context, found, expr.span)
            case s.Alternative(body, binders, None, None, None) if all(isinstance(b, s.LetBinder) for b in binders):
                return self._bound(binders, body, context, found)[0]
            case s.Alternatives() | s.Alternative():
                return self._group(expr, context)
            case s.Call(s.Camel(name), arguments):
                return self._rule_use(name, arguments, context, expr.span, found)
            case s.Unary("tied", _):
                raise fail("E305", "`tied` stands before copies: `tied a ^ n`, `tied a * n`", expr.span)
            case s.Dotted(name) | s.Call(s.Dotted(name)):
                help = _other_case(name.partition(".")[2], context.scope.operators, "operator")
                raise fail("E306", f"`{name}` belongs to operator bodies; a term uses operators", expr.span, help=help)
            case s.Layout() | s.Index():
                raise fail("E306", "`->` and `f[…]` belong to operator bodies; a term uses operators", expr.span)
            case _:
                text = "a term is expected here: an operator, a macro or a rule"
                raise fail("E307", text, expr.span, help=term_meant(expr))

    def _all(self, parts: tuple[s.Expr, ...], context: Context, found: list[cfg.Choice]) -> tuple[cfg.Term, ...]:
        """All parts, so that every one that is wrong is reported."""
        terms = []
        errors: list[Diagnostic] = []
        for part in parts:
            before = self.mistakes
            try:
                terms.append(self._term(part, context, found))
            except EinError as error:
                if any(diagnostic.code == "E506" for diagnostic in error.diagnostics):
                    raise
                errors += list(error.diagnostics)
                if self._stop(before, part):
                    break
        if len(terms) < len(parts):
            raise EinError(errors)
        return tuple(terms)

    def _copies(
        self, operator: str, left: s.Expr, right: s.Expr, context: Context, found: list[cfg.Choice], span: Span
    ) -> cfg.Term:
        if isinstance(left, s.Number) and isinstance(right, s.Name | s.Call | s.Camel):
            help = f"the term comes first: `{written(right, 'a')} {operator} {left.span.text}`"
            raise fail("E307", "a term is expected here, and the number behind it", left.span, help=help)
        tied = isinstance(left, s.Unary) and left.operator == "tied"
        body = self._term(left.operand if isinstance(left, s.Unary) and tied else left, context, found)
        if isinstance(right, s.ChoiceSet):
            unique = self.resolver.fresh("n")
            found.append(cfg.Choice(unique, self.resolver.choices(right, context), right.span))
            count = formula(s.Name(unique, span=right.span))
        else:
            count = self.resolver.formula(right, context)
        if operator == "^":
            return cfg.Copies(body, count, tied, self._takes(body), span)
        return cfg.Repeated(body, count, tied, span)

    def _takes(self, branch: cfg.Term) -> bool:
        """Whether a branch takes an input: what it is handed must not depend on a choice inside it."""
        answers = takes_input(branch, self.anonymous)
        if len(answers) > 1:
            raise fail(
                "E312", "some alternatives of this branch begin with a value of `let`, and others take an input",
                branch.span, help="begin the others with `identity`, which takes an input: `identity >> a`",
            )  # fmt: skip
        return True in answers

    def _group(self, expr: s.Expr, context: Context) -> cfg.Term:
        """`(a | b)`: a rule without a name, which is handed the values it mentions."""
        alternatives = tuple(self._alternatives(expr, context))
        self.resolver.count += 1
        name = f"{self.resolver.owner}/{self.resolver.count}"
        free = sorted(set().union(*map(free_of_alternative, alternatives)) - {"rank"} - self.scope.parameters)
        packed = tuple(sorted(set().union(*(variables(alternative.body) for alternative in alternatives))))
        if packed:
            alternatives = tuple(
                replace(alternative, body=cfg.Unpacked(packed, alternative.body, alternative.span))
                for alternative in alternatives
            )
        self.anonymous[name] = cfg.Rule(
            name, tuple(free), alternatives, expr.span, anonymous=True, packed=packed
        )  # fmt: skip
        return cfg.RuleUse(name, tuple(formula(s.Name(n, span=expr.span)) for n in free), expr.span, packed)

    def _named(
        self, name: str, arguments: tuple[s.Argument, ...], context: Context, found: list[cfg.Choice], span: Span
    ) -> cfg.Term:
        meaning = context.names.get(name)
        if isinstance(meaning, Variable):
            return self._variable(name, meaning, arguments, span)
        if isinstance(meaning, Closure) and not arguments:
            return self._term(meaning.expr, meaning.context, found)
        if isinstance(meaning, Closure) and isinstance(meaning.expr, s.Name):
            return self._named_in(meaning.context, meaning.expr.name, arguments, context, found, span)
        if isinstance(meaning, Closure):
            raise fail("E307", f"`{name}` stands for `{meaning.expr.span.text}`, which takes no arguments", span)
        return self._named_in(context, name, arguments, context, found, span)

    def _variable(self, name: str, meaning: Variable, arguments: tuple[s.Argument, ...], span: Span) -> cfg.Term:
        if arguments:
            raise fail("E307", f"`{name}` is a value of `let`, which takes no arguments", span)
        return cfg.Variable(meaning.name, span)

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
            return self._macro(self.macros.use(home, name, arguments, context, found, span), found)
        if name in home.scope.operators:
            return self._use(home.scope.operators[name], arguments, context, found, span)
        if name in home.scope.broken:
            raise EinError()
        if isinstance(meaning, Variable):
            return self._variable(name, meaning, arguments, span)
        if isinstance(meaning, Value):
            raise fail("E307", f"`{name}` is a number, and a term is expected here", span)
        known = {*home.scope.operators, *home.scope.macros}
        help = "" if home.macros else self.let_names.advice(name)
        help = help or _other_case(name, context.scope.rules, "rule")
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
        fitting = [op for op in overloads if takes(op.order, op.required, arguments)]
        if not fitting:
            raise wrong_arguments(overloads[0].name, overloads[0].parameters, arguments, span)
        bound = bind(fitting[0].order, arguments)
        given = []
        for parameter in fitting[0].parameters if bound else ():
            if parameter.name in bound:
                value = self._argument(bound[parameter.name], parameter, context, found)
                given.append((parameter.name, value))
        return cfg.Use(tuple(fitting), tuple(given), span)

    def _argument(
        self, argument: s.Argument, parameter: cfg.Parameter, context: Context, found: list[cfg.Choice]
    ) -> Formula:
        if argument.choice:
            unique = self.resolver.fresh(parameter.name)
            values = self.resolver.choices(argument.value, context)
            found.append(cfg.Choice(unique, values, argument.span))
            return formula(s.Name(unique, span=argument.span))
        word = argument.value
        if isinstance(word, s.ChoiceSet):
            help = f"write `{parameter.name} in {word.span.text}`"
            raise fail("E205", f"one value of `{parameter.name}` is needed, not a choice set", word.span, help=help)
        if parameter.kind in ("fn", "name") and isinstance(word, s.Name) and word.name not in context.names:
            return constant(word.name)
        value = self.resolver.formula(word, context)
        if not value.names:
            check_kind(value, parameter)
        return value

    def _rule_use(
        self, name: str, arguments: tuple[s.Argument, ...], context: Context, span: Span, found: list[cfg.Choice]
    ) -> cfg.Term:
        if name not in context.scope.rules:
            help = _other_case(name, [*context.scope.operators, *context.scope.macros], "operator")
            help = help or nearest(name, context.scope.rules, "a rule is declared with `rule Name = …`")
            raise fail("E201", f"there is no rule `{name}`", span, help=help)
        rule, home = context.scope.rules[name]
        bound = bind_declared(name, rule.parameters, arguments, span)
        values = []
        for parameter in rule.parameters:
            if parameter.name in bound:
                plain = cfg.Parameter(parameter.name, parameter.kind, None)
                values.append(self._argument(bound[parameter.name], plain, context, found))
            else:
                assert parameter.default is not None
                values.append(self.resolver.formula(parameter.default, Context(home, self.macros.parameters(home))))
        return cfg.RuleUse(self._key(rule, home), tuple(values), span)

    def _key(self, rule: s.RuleDecl, home: Scope) -> str:
        """The name of a rule in the grammar; an imported one that meets another of its name gets a number."""
        if home is self.scope:
            return rule.name
        key = self.imported.get(id(rule))
        if key is None:
            own = {name for name, (_, scope) in self.scope.rules.items() if scope is self.scope}
            taken = own | set(self.imported.values())
            numbered = (f"{rule.name}{i}" for i in count(2))
            key = next(each for each in chain([rule.name], numbered) if each not in taken)
            self.imported[id(rule)] = key
            self.waiting.append((key, rule, home))
        return key

    def _macro(self, use: MacroUse, found: list[cfg.Choice]) -> cfg.Term:
        own: list[cfg.Choice] = []
        body = self._term(use.declaration.body, use.inside, own)
        name = use.declaration.name
        for choice in own:
            if choice.values.names & use.dims:
                raise fail(
                    "E308", f"a choice in the macro `{name}` depends on the dimensions of its signature", choice.span,
                    help="make it a rule with that signature: a macro's choices are drawn before its input is known",
                )  # fmt: skip
        found += own
        return cfg.Expanded(name, body, use.span, use.match, use.goal, use.dims, use.signature)


def _bound_once(binder: s.LetBinder) -> None:
    """Raises E311 at the second of two bindings of one name."""
    seen: dict[str, s.Binding] = {}
    for binding in binder.bindings:
        for name in binding.names:
            if name in seen:
                first = seen[name]
                labels = [Label(first.span, "the first one")] if first is not binding else []
                raise fail("E311", f"`{name}` is bound twice in one `let`", binding.span, labels=labels)
            seen[name] = binding


def _other_case(name: str, known: Iterable[str], what: str) -> str:
    """`did you mean the rule `Block`?`, where only the case or underscores differ."""
    plain = name.replace("_", "").lower()
    found = next((each for each in known if each.replace("_", "").lower() == plain), None)
    return f"did you mean the {what} `{found}`?" if found else ""
