"""Parsed modules -> Grammar: names, kinds, operators, parameters, input and output, rules.

Every stage collects what it finds; `check` returns all of it in the order of the file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ein.grammar import cfg
from ein.grammar import syntax as s
from ein.grammar.computed import compile_type
from ein.grammar.diagnostics import Diagnostic, EinError, Label, Source, Span, fail, order
from ein.grammar.expand import Expander, Scope
from ein.grammar.load import Module, load_modules
from ein.grammar.names import type_names
from ein.grammar.numbers import Inapplicable, Percentage, evaluate_constant, nearest
from ein.grammar.parser import parse_expression, parse_limit, parse_type
from ein.grammar.patterns import KIND
from ein.grammar.printer import print_statement
from ein.grammar.signatures import operator
from ein.grammar.types import Tensor, ValueType

LIMITS = {"modules": "modules", "depth": "depth", "params": "parameters", "macs": "macs", "elements": "elements"}
"""The name of a limit in a file, and in `Limits`."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asks of a file: values of parameters, other input and output types, limits."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    input: str | None = None
    output: str | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    by: str = ""
    """Who asks for the input and output, for messages: data `iris`."""


def load_grammar(what: str | Source, request: Request | None = None) -> cfg.Grammar:
    """The checked grammar of a library name, path or text. Raises EinError with every diagnostic."""
    grammar, diagnostics = check(what, request)
    errors = [d for d in diagnostics if d.severity == "error"]
    if errors or grammar is None:
        raise EinError(diagnostics)
    return grammar


def check(what: str | Source, request: Request | None = None) -> tuple[cfg.Grammar | None, list[Diagnostic]]:
    """The grammar, where there are no errors, and all diagnostics in the order of the file."""
    from ein.grammar.analysis import analyse, mistyped
    from ein.grammar.prove import prove

    diagnostics: list[Diagnostic] = []
    module = load_modules(what, diagnostics)
    checker = _Checker(module, request or Request(), diagnostics)
    grammar = checker.grammar()
    for operators in checker.local_operators():
        diagnostics += prove(operators, checker.scope.kinds)
    if any(d.severity == "error" for d in diagnostics):
        diagnostics += mistyped(grammar)
        diagnostics = _without_consequences(diagnostics)
    else:
        diagnostics += analyse(grammar)
    diagnostics = order(_distinct(diagnostics))
    if any(d.severity == "error" for d in diagnostics):
        return None, diagnostics
    grammar.warnings = tuple(diagnostics)
    return grammar, diagnostics


def _distinct(diagnostics: list[Diagnostic]) -> Iterator[Diagnostic]:
    """Without repeats: a macro that is used twice is wrong once."""
    seen = set()
    for diagnostic in diagnostics:
        place = (diagnostic.span.source.name, diagnostic.span.start) if diagnostic.span else None
        key = (diagnostic.code, place, diagnostic.message)
        if key not in seen:
            seen.add(key)
            yield diagnostic


def _without_consequences(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """Without names that are missing because their declaration, or the import of it, could not be read."""
    places = [(d.code, d.span.source) for d in diagnostics if d.span is not None]
    cut_off = {source.name for code, source in places if code.startswith("E60")}
    unread = {source for code, source in places if code.startswith("E1")}
    hidden = {f"`{name}`" for source in unread for name in _DECLARED.findall(source.text)}

    def follows(d: Diagnostic) -> bool:
        if d.code not in ("E201", "E202") or d.span is None or d.help.startswith("did you mean"):
            return False
        return d.span.source.name in cut_off or any(name in d.message for name in hidden)

    return [d for d in diagnostics if not follows(d)]


_DECLARED = re.compile(r"\b(?:op|def|rule|type)\s+(\w+)")


class _Checker:
    def __init__(self, module: Module, request: Request, diagnostics: list[Diagnostic]) -> None:
        self.module = module
        self.request = request
        self.diagnostics = diagnostics
        self.scopes: dict[int, Scope] = {}
        self.modules: list[Module] = []
        self.scope = self._scope(module, True)

    def local_operators(self) -> list[tuple[cfg.Operator, ...]]:
        """Those that are declared in the root file."""
        return [ops for ops in self.scope.operators.values() if ops[0].module == self.module.name]

    # --- names

    def _scope(self, module: Module, root: bool = False) -> Scope:
        if id(module) in self.scopes:
            return self.scopes[id(module)]
        scope = self.scopes[id(module)] = Scope(module.name)
        imported: dict[str, s.Import] = {}
        for statement, other in module.imports:
            self._take(statement, self._scope(other), scope, imported)
        self.modules.append(module)
        self._declare(module, scope, imported, root)
        return scope

    def _take(self, statement: s.Import, other: Scope, scope: Scope, imported: dict[str, s.Import]) -> None:
        tables: list[tuple[dict[str, Any], dict[str, Any]]] = [
            (other.kinds, scope.kinds),
            (other.operators, scope.operators),
            (other.macros, scope.macros),
            (other.rules, scope.rules),
        ]
        if not statement.names:
            for theirs, ours in tables[:3]:
                ours.update(theirs)
                imported.update(dict.fromkeys(theirs, statement))
            return
        scope.kinds.update(other.kinds)
        for alias in statement.names:
            homes = [(theirs, ours) for theirs, ours in tables[:3] if alias.name in theirs]
            if not homes:
                known = {name for theirs, _ in tables[:3] for name in theirs}
                text = f"`{statement.module}` declares no `{alias.name}`"
                self._report(fail("E201", text, alias.span, help=nearest(alias.name, known)))
            for theirs, ours in homes:
                ours[alias.alias or alias.name] = theirs[alias.name]
                imported[alias.alias or alias.name] = statement

    def _declare(self, module: Module, scope: Scope, imported: Mapping[str, s.Import], root: bool) -> None:
        statements = module.file.statements
        first: dict[tuple[str, str], s.Statement] = {}
        operators = {x.name for x in statements if isinstance(x, s.OpDecl)}
        for statement in statements:
            self._distinct_parameters(statement)
            match statement:
                case s.GrammarDecl(_, parameters):
                    self._once(first, "grammar", "", statement)
                    scope.parameters = frozenset(p.name for p in parameters)
                    scope.defaults = {p.name: p.default for p in parameters if p.default is not None}
                case s.TypeDecl(name, axes, element):
                    self._once(first, "type", name, statement)
                    if element not in (None, "int", "bool", "float"):
                        self._report(fail("E209", f"an element is int, bool or float, not `{element}`", statement.span))
                    if name == KIND:
                        self._report(fail("E209", "`any` stands for every kind and cannot be declared", statement.span))
                    scope.kinds[name] = (axes, element or "float")
                case s.MacroDecl(name):
                    self._once(first, "def", name, statement)
                    if name in operators:
                        text = f"`{name}` is declared as a macro, and as an operator too"
                        self._report(fail("E210", text, statement.span))
                    self._shadow(name, imported, statement, root)
                    scope.operators.pop(name, None)
                    scope.macros[name] = (statement, scope)
                case s.RuleDecl(name):
                    self._once(first, "rule", name, statement)
                    scope.rules[name] = statement
                case s.ArchDecl(name):
                    self._once(first, "arch", name, statement)
                case s.InputDecl():
                    self._once(first, "input", "", statement)
                case s.OutputDecl():
                    self._once(first, "output", "", statement)
                case s.StartDecl():
                    self._once(first, "start", "", statement)
                case _:
                    pass
        self._declare_operators(statements, scope, imported, root)

    def _declare_operators(
        self, statements: tuple[s.Statement, ...], scope: Scope, imported: Mapping[str, s.Import], root: bool
    ) -> None:
        local: dict[str, list[cfg.Operator]] = {}
        for statement in statements:
            if isinstance(statement, s.OpDecl):
                overloads = local.setdefault(statement.name, [])
                try:
                    overloads.append(operator(statement, scope))
                except EinError as error:
                    self.diagnostics += error.diagnostics
                    scope.broken.add(statement.name)
        for name, overloads in local.items():
            scope.macros.pop(name, None)
            if name in scope.broken:
                scope.operators.pop(name, None)
                continue
            self._shadow(name, imported, overloads[0].declaration, root)
            scope.operators[name] = tuple(overloads)

    def _once(self, first: dict[tuple[str, str], s.Statement], what: str, name: str, statement: s.Statement) -> None:
        earlier = first.setdefault((what, name), statement)
        if earlier is not statement:
            label = Label(earlier.span, "the first one")
            text = f"`{what} {name}` is declared twice" if name else f"`{what}` stands twice in the file"
            self._report(fail("E210", text, statement.span, labels=[label]))

    def _distinct_parameters(self, statement: s.Statement) -> None:
        """Of an operator `_op_parameters` sees to it."""
        if isinstance(statement, s.GrammarDecl | s.MacroDecl | s.RuleDecl):
            seen: set[str] = set()
            for parameter in statement.parameters:
                if parameter.name in seen:
                    self._report(fail("E210", f"the parameter `{parameter.name}` stands twice", parameter.span))
                seen.add(parameter.name)

    def _shadow(self, name: str, imported: Mapping[str, s.Import], statement: s.Statement, root: bool) -> None:
        if name in imported and root:
            message = f"`{name}` hides the one imported from `{imported[name].module}`"
            self.diagnostics.append(Diagnostic("W201", message, statement.span, severity="warning"))

    def _report(self, error: EinError) -> None:
        self.diagnostics += error.diagnostics

    # --- the grammar

    def grammar(self) -> cfg.Grammar:
        statements = self.module.file.statements
        declared = next((x for x in statements if isinstance(x, s.GrammarDecl)), None)
        env = self._parameters(declared)
        input, output = self._endpoints(statements, env)
        limits = self._limits(statements, env)
        expander = Expander(self.scope, self.diagnostics)
        rules = self._rules(expander)
        architectures = self._architectures(expander, rules, env, input, output)
        rules |= expander.anonymous
        start = self._start(statements)
        name = declared.name if declared else self.module.name.rsplit("/", 1)[-1].removesuffix(".ein")
        output_span = next((x.span for x in statements if isinstance(x, s.OutputDecl)), None)
        return cfg.Grammar(
            name, rules, start, input, output, limits, env, self.scope.operators, architectures, self.scope.kinds,
            self._digest(env, input, output), output_span=output_span,
        )  # fmt: skip

    def _rules(self, expander: Expander) -> dict[str, cfg.Rule]:
        rules = {}
        for statement in self.module.file.statements:
            if isinstance(statement, s.RuleDecl):
                names = tuple(p.name for p in statement.parameters)
                try:
                    rules[statement.name] = expander.rule(
                        statement.name, names, statement.goal, statement.body, statement.span
                    )
                except EinError as error:
                    self._report(error)
        return rules

    def _start(self, statements: tuple[s.Statement, ...]) -> str | None:
        said = next((x for x in statements if isinstance(x, s.StartDecl)), None)
        rules = [x for x in statements if isinstance(x, s.RuleDecl)]
        if said is not None and said.rule not in {r.name for r in rules}:
            help = nearest(said.rule, {r.name for r in rules})
            self._report(fail("E201", f"there is no rule `{said.rule}`", said.span, help=help))
            return None
        start = next((r for r in rules if said is None or r.name == said.rule), None)
        if start is not None and start.parameters:
            text = f"`{start.name}` is the start and cannot have parameters"
            self._report(fail("E504", text, (said or start).span, help="name another rule with `start`"))
            return None
        return start.name if start else None

    def _architectures(
        self,
        expander: Expander,
        rules: dict[str, cfg.Rule],
        env: Mapping[str, Any],
        input: ValueType | None,
        output: ValueType | None,
    ) -> dict[str, cfg.Architecture]:
        found = {}
        for statement in self.module.file.statements:
            if not isinstance(statement, s.ArchDecl):
                continue
            known = len(self.diagnostics)
            try:
                name = f"arch {statement.name}"
                goal = None if statement.input is None else s.Goal(_open_sizes(statement.input, env))
                rules[name] = expander.rule(name, (), goal, statement.body, statement.span)
                ends = self._arch_types(statement, env, input, output)
                if len(self.diagnostics) > known or not rules[name].alternatives:
                    continue
                found[statement.name] = cfg.Architecture(statement.name, name, *ends, statement.span)
            except EinError as error:
                self._report(error)
        return found

    def _arch_types(
        self, arch: s.ArchDecl, env: Mapping[str, Any], input: ValueType | None, output: ValueType | None
    ) -> tuple[ValueType | None, ValueType | None]:
        """Input and expected output of an architecture; another input leaves the output open."""
        asked = self._override("input", self.request.input)
        if arch.input is None:
            return asked or input, output
        declared = self._computed(arch.input, env)
        if declared is None:
            if asked is None and input is None:
                text = f"the sizes of the input of `{arch.name}` are open"
                raise fail("E701", text, arch.input.span, help='give them: `--input "im[3, 32, 32]"`')
            return asked or input, None
        if asked is not None and asked is not declared:
            _same_form(declared, asked, arch.input.span, "input", self.request.by)
            return asked, None
        return declared, self._computed(arch.output, env) if arch.output is not None else None

    def _computed(self, type: s.Type, env: Mapping[str, Any]) -> ValueType | None:
        """The type as numbers, or None where a name in it is open."""
        if not set(type_names(type)) <= set(env):
            return None
        try:
            return compile_type(type, set(env), self.scope.kinds)(dict(env))
        except Inapplicable as error:
            raise fail("E207", error.reason, error.span or type.span) from None

    # --- parameters

    def _parameters(self, declared: s.GrammarDecl | None) -> dict[str, Any]:
        env: dict[str, Any] = {}
        parameters = declared.parameters if declared else ()
        for parameter in parameters:
            if parameter.default is None:
                text = f"the parameter `{parameter.name}` needs a default; it says what kind it is"
                self._report(fail("E211", text, parameter.span))
                continue
            try:
                default = evaluate_constant(parameter.default, env)
                env[parameter.name] = self._parameter_value(parameter, default)
            except EinError as error:
                self._report(error)
        for name in self.request.parameters:
            if name not in {p.name for p in parameters}:
                known = [p.name for p in parameters]
                help = nearest(name, known, f"it has {', '.join(known) or 'none'}")
                self._report(fail("E212", f"`{self.module.name}` has no parameter `{name}`", help=help))
        return env

    def _parameter_value(self, parameter: s.Parameter, default: Any) -> Any:
        if parameter.name not in self.request.parameters:
            return default
        given = self.request.parameters[parameter.name]
        value = (
            _constant_from_text(given, parameter.name)
            if isinstance(given, str) and not isinstance(default, str)
            else given
        )
        if isinstance(default, Percentage):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                text = f"`{parameter.name}` is a percentage, and `{given}` is none"
                raise fail("E212", text, help="write 40%, or 0.4")
            return Percentage(value)
        wanted = (int, float) if isinstance(default, float) else (type(default),)
        if not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool):
            text = f"`{parameter.name}` takes values such as {cfg.value_text(default)}, and `{given}` is none"
            raise fail("E212", text)
        return value

    # --- input and output

    def _endpoints(
        self, statements: tuple[s.Statement, ...], env: dict[str, Any]
    ) -> tuple[ValueType | None, ValueType | None]:
        ends: list[ValueType | None] = []
        for what, kind, text in (
            ("input", s.InputDecl, self.request.input),
            ("output", s.OutputDecl, self.request.output),
        ):
            declared = next((x.type for x in statements if isinstance(x, kind)), None)
            try:
                ends.append(self._endpoint(what, declared or self._only_arch(what), text, env))
            except EinError as error:
                self._report(error)
                ends.append(None)
        return ends[0], ends[1]

    def _only_arch(self, what: str) -> s.Type | None:
        """The input or output of the file's only architecture, where its sizes can be computed."""
        found = [x for x in self.module.file.statements if isinstance(x, s.ArchDecl)]
        type = getattr(found[0], what) if len(found) == 1 else None
        known = type is not None and set(type_names(type)) <= self.scope.parameters
        return type if known else None

    def _endpoint(self, what: str, declared: s.Type | None, text: str | None, env: dict[str, Any]) -> ValueType | None:
        asked = self._override(what, text)
        if declared is None:
            return asked
        try:
            usual = compile_type(declared, set(env), self.scope.kinds)(dict(env))
        except Inapplicable as error:
            raise fail("E207", error.reason, error.span or declared.span) from None
        if asked is None:
            return usual
        _same_form(usual, asked, declared.span, what, self.request.by)
        self._bind_names(declared, asked, env)
        return asked

    def _bind_names(self, declared: s.Type, asked: ValueType, env: dict[str, Any]) -> None:
        """`output vec[classes]` with `vec[7]` asked for: `classes` is 7."""
        if not isinstance(declared, s.KindType) or not isinstance(asked, Tensor):
            return
        for dim, size in zip(declared.dims, asked.sizes, strict=True):
            if isinstance(dim, s.Name) and dim.name in env:
                if dim.name in self.request.parameters and env[dim.name] != size:
                    text = f"`{dim.name}` is set to {env[dim.name]}, and {asked!r} makes it {size}"
                    raise fail("E212", text)
                env[dim.name] = size

    def _override(self, what: str, text: str | None) -> ValueType | None:
        if text is None:
            return None
        type, found = parse_type(Source(f"--{what}", text))
        if found or type is None:
            raise EinError(found)
        try:
            return compile_type(type, set(), self.scope.kinds)({})
        except Inapplicable as error:
            raise fail("E207", error.reason, error.span) from None

    def _limits(self, statements: tuple[s.Statement, ...], env: Mapping[str, Any]) -> cfg.Limits:
        limits = cfg.Limits()
        for statement in statements:
            for bound in statement.bounds if isinstance(statement, s.LimitDecl) else ():
                try:
                    limits = replace(limits, **_limit(bound, env))
                except EinError as error:
                    self._report(error)
        for name, value in self.request.limits.items():
            if name not in LIMITS:
                self._report(fail("E702", f"there is no limit `{name}`", help=nearest(name, LIMITS, _limit_names())))
            else:
                limits = replace(limits, **{LIMITS[name]: value})
        return limits

    def _digest(self, env: Mapping[str, Any], input: ValueType | None, output: ValueType | None) -> str:
        """Eight hex digits of the resolved space; comments and layout do not count."""
        texts = ["\n".join(map(print_statement, module.file.statements)) for module in self.modules]
        values = ", ".join(f"{name} = {cfg.value_text(value)}" for name, value in sorted(env.items()))
        whole = "\0".join([*texts, values, repr(input), repr(output)])
        return hashlib.sha256(whole.encode()).hexdigest()[:8]


def _same_form(declared: ValueType, asked: ValueType, span: Span, what: str, by: str) -> None:
    same = isinstance(declared, Tensor) and isinstance(asked, Tensor)
    if not same or declared.kind != asked.kind or len(declared.sizes) != len(asked.sizes):  # type: ignore[union-attr]
        text = (
            f"the {what} of this space is {declared!r}, and {f'{by} needs' if by else 'what is asked for is'} {asked!r}"
        )
        raise fail("E703", text, span, help="only the numbers can be replaced: the kind and the number of axes stay")


def _open_sizes(type: s.Type, env: Mapping[str, Any]) -> s.Type:
    """The pattern that binds the open names of an input and takes any number elsewhere."""
    if not isinstance(type, s.KindType):
        return type
    dims = tuple(d if isinstance(d, s.Name) and d.name not in env else s.Blank(span=d.span) for d in type.dims)
    return s.KindType(type.kind, dims, span=type.span)


def _limit(bound: s.Bound, env: Mapping[str, Any]) -> dict[str, int]:
    if bound.name not in LIMITS:
        raise fail(
            "E702", f"there is no limit `{bound.name}`", bound.span, help=nearest(bound.name, LIMITS, _limit_names())
        )
    value = evaluate_constant(bound.value, env)
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 1:
        raise fail("E702", f"a limit is a number of at least 1, not {cfg.value_text(value)}", bound.value.span)
    return {LIMITS[bound.name]: int(value)}


def _limit_names() -> str:
    return f"the limits are {', '.join(LIMITS)}"


def parse_limits(text: str) -> dict[str, int]:
    """`modules <= 60, params <= 5M` as given on the command line. Raises EinError."""
    declaration, found = parse_limit(Source("--limit", text))
    if found or declaration is None:
        raise EinError(found)
    names = {v: k for k, v in LIMITS.items()}
    return {names[key]: value for bound in declaration.bounds for key, value in _limit(bound, {}).items()}


def _constant_from_text(text: str, name: str) -> Any:
    """A value given on the command line: `40%`, `64`, `0.5`, `true`."""
    expr, found = parse_expression(Source(f"--set {name}", text))
    if found or expr is None:
        raise EinError(found)
    return evaluate_constant(expr, {})
