"""The names that files declare, and what imports bring: a scope for each module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

from ein.grammar import cfg
from ein.grammar.diagnostics import Diagnostic, EinError, Label, fail
from ein.grammar.host import MODULE, registered
from ein.grammar.load import Module, library_outline, library_source
from ein.grammar.notation import syntax as s
from ein.grammar.notation.outline import Piece
from ein.grammar.notation.parser import parse_statement
from ein.grammar.numbers import nearest
from ein.grammar.patterns import KIND
from ein.grammar.scopes import Scope
from ein.grammar.signatures import operator
from ein.grammar.unread import Names


class Declarations:
    """`scope` is that of the root file; `modules` are all that were read, the imported before those that import."""

    def __init__(self, module: Module, diagnostics: list[Diagnostic]) -> None:
        self.module = module
        self.diagnostics = diagnostics
        self.scopes: dict[int, Scope] = {}
        self.modules: list[Module] = []
        self.scope = self._scope(module, True)

    def operators(self) -> list[tuple[cfg.Operator, ...]]:
        """Those that are declared in the root file."""
        own = {x.name for x in self.module.file.statements if isinstance(x, s.OpDecl)}
        found = [self.scope.operators[name] for name in self.scope.operators if name in own]
        return [ops for ops in found if ops[0].module == self.module.name]

    def _scope(self, module: Module, root: bool = False) -> Scope:
        if id(module) in self.scopes:
            return self.scopes[id(module)]
        if module.outline is not None:
            self.modules.append(module)
            scope = self.scopes[id(module)] = outlined(module.name)
            return scope
        scope = self.scopes[id(module)] = Scope(module.name)
        imported: dict[str, s.Import] = {}
        for statement, other in module.imports:
            self._take(statement, self._scope(other), scope, imported)
        self.modules.append(module)
        self._declare(module, scope, imported, root)
        return scope

    def _take(self, statement: s.Import, other: Scope, scope: Scope, imported: dict[str, s.Import]) -> None:
        tables: list[tuple[Names[Any], Names[Any]]] = [
            (other.operators, scope.operators),
            (other.macros, scope.macros),
            (other.rules, scope.rules),
        ]
        scope.kinds.update(other.kinds)
        if not statement.names:
            imported.update(dict.fromkeys(other.kinds, statement))
            for theirs, ours in tables:
                ours.take_all(theirs)
                imported.update(dict.fromkeys(theirs, statement))
            return
        for alias in statement.names:
            called = alias.alias or alias.name
            homes = [(theirs, ours) for theirs, ours in tables if alias.name in theirs]
            if alias.name in other.kinds:
                scope.kinds[called] = other.kinds[alias.name]
                imported[called] = statement
            elif not homes:
                known = {*other.kinds, *(name for theirs, _ in tables for name in theirs)}
                text = f"`{statement.module}` declares no `{alias.name}`"
                self._report(fail("E201", text, alias.span, help=nearest(alias.name, known)))
            for theirs, ours in homes:
                ours.take(theirs, alias.name, called)
                imported[called] = statement

    def _declare(self, module: Module, scope: Scope, imported: Mapping[str, s.Import], root: bool) -> None:
        statements = module.file.statements
        first: dict[tuple[str, str], s.Node] = {}
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
                    self._shadow(name, imported, statement, root)
                    scope.rules[name] = (statement, scope)
                case s.ArchDecl(name):
                    self._once(first, "arch", name, statement)
                case s.InputDecl():
                    self._once(first, "input", "", statement)
                case s.OutputDecl():
                    self._once(first, "output", "", statement)
                case s.StartDecl():
                    self._once(first, "start", "", statement)
                case s.LimitDecl(bounds):
                    for bound in bounds:
                        self._once(first, "limit", bound.name, bound)
                case _:
                    pass
        self._declare_operators(statements, scope, imported, root)
        if root:
            _add_registered(scope)

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

    def _once(self, first: dict[tuple[str, str], s.Node], what: str, name: str, statement: s.Node) -> None:
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


@cache
def outlined(name: str) -> Scope:
    """What a module of the library declares that has an outline: made once in a process, and read as it is needed."""
    scope = Scope(name)
    overloads: dict[str, list[Piece]] = {}
    for piece in library_outline(name) or ():
        match piece.word:
            case "op":
                overloads.setdefault(piece.name, []).append(piece)
            case "def":
                scope.macros.leave(piece.name, partial(_macro, piece, scope))
            case _:
                declared = _read(piece, scope)
                assert isinstance(declared, s.TypeDecl)
                scope.kinds[piece.name] = (declared.axes, declared.element or "float")
    for name, pieces in overloads.items():
        scope.operators.leave(name, partial(_overloads, pieces, scope))
    return scope


def _read(piece: Piece, scope: Scope) -> s.Statement:
    return parse_statement(library_source(scope.module), piece.start, piece.end)


def _macro(piece: Piece, scope: Scope) -> tuple[s.MacroDecl, Scope]:
    declared = _read(piece, scope)
    assert isinstance(declared, s.MacroDecl)
    return declared, scope


def _overloads(pieces: list[Piece], scope: Scope) -> tuple[cfg.Operator, ...]:
    declared = [_read(piece, scope) for piece in pieces]
    return tuple(operator(each, scope) for each in declared if isinstance(each, s.OpDecl))


def _add_registered(scope: Scope) -> None:
    """Operators of the host program, under names that the file leaves free."""
    taken = {*scope.operators, *scope.macros, *scope.broken}
    for name, host in registered().items():
        if name not in taken and host.kinds <= scope.kinds.keys():
            scope.operators[name] = (replace(operator(host.declaration, scope), module=MODULE),)
