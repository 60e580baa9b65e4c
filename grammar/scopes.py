"""What names mean where a term stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ein.grammar import cfg
from ein.grammar.diagnostics import Span
from ein.grammar.notation import syntax as s
from ein.grammar.unread import Names


@dataclass(frozen=True, slots=True)
class Value:
    """A name that stands for a number, under the name it has in the environment."""

    name: str


@dataclass(frozen=True, slots=True)
class Closure:
    """An argument of a macro: a term or a number, meant as it is where the macro is called."""

    expr: s.Expr
    context: Context


@dataclass(frozen=True, slots=True)
class Variable:
    """A name that a `let` gave to the value of a term, under its name in the rule."""

    name: str


Meaning: TypeAlias = Value | Closure | Variable


@dataclass(eq=False)
class Scope:
    """What the names of one file mean."""

    module: str
    kinds: dict[str, tuple[tuple[str, ...], str]] = field(default_factory=dict)
    operators: Names[tuple[cfg.Operator, ...]] = field(default_factory=Names)
    macros: Names[tuple[s.MacroDecl, Scope]] = field(default_factory=Names)
    rules: Names[tuple[s.RuleDecl, Scope]] = field(default_factory=Names)
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
