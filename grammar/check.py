"""Parsed modules -> Grammar: names, kinds, operators, parameters, input and output, rules.

Every stage collects what it finds; `check` returns all of it in the order of the file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from ein.grammar import cfg
from ein.grammar.analyses.consequences import distinct, independent
from ein.grammar.computed import compile_type
from ein.grammar.declarations import Declarations
from ein.grammar.diagnostics import Diagnostic, EinError, Source, fail, order
from ein.grammar.expand import Expander
from ein.grammar.host import MODULE
from ein.grammar.load import Module, load_modules
from ein.grammar.names import leaves_open, mentioned
from ein.grammar.notation import syntax as s
from ein.grammar.notation.printer import print_statement
from ein.grammar.numbers import Inapplicable, nearest
from ein.grammar.patterns import Kinds
from ein.grammar.request import Asked, same_form
from ein.grammar.request import Request as Request
from ein.grammar.request import parse_limits as parse_limits
from ein.grammar.types import ValueType


def load_grammar(what: str | Source, request: Request | None = None) -> cfg.Grammar:
    """The checked grammar of a library name, path or text. Raises EinError with every diagnostic."""
    grammar, diagnostics = check(what, request)
    errors = [d for d in diagnostics if d.severity == "error"]
    if errors or grammar is None:
        raise EinError(diagnostics)
    return grammar


def check(what: str | Source, request: Request | None = None) -> tuple[cfg.Grammar | None, list[Diagnostic]]:
    """The grammar, where there are no errors, and all diagnostics in the order of the file."""
    from ein.grammar.analyses.analysis import analyse, mistyped
    from ein.grammar.bodies.prove import prove

    diagnostics: list[Diagnostic] = []
    module = load_modules(what, diagnostics)
    checker = _Checker(module, request or Request(), diagnostics)
    grammar = checker.grammar()
    for operators in checker.declarations.operators():
        diagnostics += prove(operators, checker.scope.kinds)
    if any(d.severity == "error" for d in diagnostics):
        diagnostics += mistyped(grammar)
        diagnostics = independent(diagnostics, module, checker.scope.parameters - set(grammar.env))
    else:
        diagnostics += analyse(grammar)
    diagnostics = order(distinct(diagnostics))
    if any(d.severity == "error" for d in diagnostics):
        return None, diagnostics
    grammar.warnings = tuple(diagnostics)
    return grammar, diagnostics


def declared_operators(what: str | Source) -> tuple[tuple[cfg.Operator, ...], Kinds]:
    """The operators that a file declares, as far as their signatures can be read, and the kinds that it knows.

    Raises EinError where there is no file.
    """
    checker = _Checker(load_modules(what, []), Request(), [])
    declared = checker.declarations.operators()
    return tuple(operator for overloads in declared for operator in overloads), checker.scope.kinds


def declared_grammar(what: str | Source, request: Request | None = None) -> cfg.Grammar:
    """The grammar before its types are looked at. Raises EinError where names or arguments are wrong."""
    diagnostics: list[Diagnostic] = []
    grammar = _Checker(load_modules(what, diagnostics), request or Request(), diagnostics).grammar()
    if any(d.severity == "error" for d in diagnostics):
        raise EinError(diagnostics)
    return grammar


class _Checker:
    def __init__(self, module: Module, request: Request, diagnostics: list[Diagnostic]) -> None:
        self.module = module
        self.request = request
        self.diagnostics = diagnostics
        self.declarations = Declarations(module, diagnostics)
        self.scope = self.declarations.scope
        self.asked = Asked(module.name, module.file.statements, self.scope, request, diagnostics)

    def _report(self, error: EinError) -> None:
        self.diagnostics += error.diagnostics

    def grammar(self) -> cfg.Grammar:
        statements = self.module.file.statements
        declared = next((x for x in statements if isinstance(x, s.GrammarDecl)), None)
        env = self.asked.parameters(declared)
        input, output = self.asked.endpoints(env)
        limits = self.asked.limits(env)
        expander = Expander(self.scope, self.diagnostics)
        rules = expander.rules(x for x in statements if isinstance(x, s.RuleDecl))
        architectures = self._architectures(expander, rules, env, input, output)
        rules |= expander.rules(())
        rules |= expander.anonymous
        start = self._start(statements)
        name = declared.name if declared else self.module.name.rsplit("/", 1)[-1].removesuffix(".ein")
        output_span = next((x.span for x in statements if isinstance(x, s.OutputDecl)), None)
        return cfg.Grammar(
            name, rules, start, input, output, limits, env, self.scope.operators, architectures, self.scope.kinds,
            partial(self._digest, env, input, output), output_span=output_span,
        )  # fmt: skip

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
            known = self._errors()
            try:
                name = f"arch {statement.name}"
                goal = _arch_goal(statement, env)
                rules[name] = expander.rule(name, (), goal, statement.body, statement.span)
                ends = self._arch_types(statement, env, input, output)
                if self._errors() > known or not rules[name].alternatives:
                    continue
                found[statement.name] = cfg.Architecture(statement.name, name, *ends, statement.span)
            except EinError as error:
                self._report(error)
        return found

    def _errors(self) -> int:
        return sum(diagnostic.severity == "error" for diagnostic in self.diagnostics)

    def _arch_types(
        self, arch: s.ArchDecl, env: Mapping[str, Any], input: ValueType | None, output: ValueType | None
    ) -> tuple[ValueType | None, ValueType | None]:
        """Input and expected output of an architecture; another input leaves the output open."""
        asked = self.asked.override("input", self.request.input)
        if arch.input is None:
            return asked or input, output
        declared = self._computed(arch.input, env)
        if declared is None:
            return asked or input, None
        if asked is not None and asked is not declared:
            same_form(declared, asked, arch.input.span, "input", self.request.by)
            return asked, None
        return declared, self._computed(arch.output, env) if arch.output is not None else None

    def _computed(self, type: s.Type, env: Mapping[str, Any]) -> ValueType | None:
        """The type as numbers, or None where a name in it is open."""
        if not mentioned(type) <= set(env) or leaves_open(type, set(env)):
            return None
        try:
            return compile_type(type, set(env), self.scope.kinds)(dict(env))
        except Inapplicable as error:
            raise fail("E207", error.reason, error.span or type.span) from None

    def _undeclared(self) -> list[s.OpDecl]:
        """Operators of the host program that the file mentions and does not declare."""
        words = set(re.findall(r"\w+", self.module.file.source.text))
        hosted = [self.scope.operators[name][0] for name in sorted(words.intersection(self.scope.operators))]
        return [operator.declaration for operator in hosted if operator.module == MODULE]

    def _digest(self, env: Mapping[str, Any], input: ValueType | None, output: ValueType | None) -> str:
        """Eight hex digits of the resolved space; comments and layout do not count."""
        texts = ["\n".join(map(print_statement, module.file.statements)) for module in self.declarations.modules]
        texts += [print_statement(declaration) for declaration in self._undeclared()]
        values = ", ".join(f"{name} = {cfg.value_text(value)}" for name, value in sorted(env.items()))
        whole = "\0".join([*texts, values, repr(input), repr(output)])
        return hashlib.sha256(whole.encode()).hexdigest()[:8]


def _arch_goal(arch: s.ArchDecl, env: Mapping[str, Any]) -> s.Goal | None:
    """Binds the open names of the input; an output that mentions them, or is open itself, is met as that of a rule."""
    if arch.input is None:
        return None
    input = _open_sizes(arch.input, env)
    follows = arch.output is not None and (leaves_open(arch.output, set(env)) or not mentioned(arch.output) <= set(env))
    return s.Goal(input, arch.output if follows else None, span=arch.span)


def _open_sizes(type: s.Type, env: Mapping[str, Any]) -> s.Type:
    """The pattern that binds the open names of an input and takes any number elsewhere."""
    if not isinstance(type, s.KindType):
        return type
    dims = tuple(d if isinstance(d, s.Name) and d.name not in env else s.Blank(span=d.span) for d in type.dims)
    return s.KindType(type.kind, dims, span=type.span)
