"""The use of a macro: its arguments bound, its names made its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ein.grammar import cfg
from ein.grammar.arguments import bind_declared
from ein.grammar.computed import compile_type
from ein.grammar.diagnostics import Label, Span, fail
from ein.grammar.names import leaves_open, type_names
from ein.grammar.notation import syntax as s
from ein.grammar.patterns import Match, compile_pattern
from ein.grammar.resolve import Resolver
from ein.grammar.scopes import Closure, Context, Meaning, Scope, Value


@dataclass(frozen=True, slots=True)
class MacroUse:
    """`inside` is what names mean in the body; `dims` are those that the signature binds."""

    declaration: s.MacroDecl
    inside: Context
    span: Span
    match: Match | None = None
    goal: cfg.Goal | None = None
    dims: frozenset[str] = frozenset()
    signature: s.Goal | None = None


def claim_of(goal: s.Goal, bound: set[str], scope: Scope) -> tuple[Match, cfg.Goal | None]:
    """Compiles `input -> output`; adds to `bound` the names of the input."""
    match = compile_pattern(goal.input, bound, scope.kinds)
    if goal.output is None:
        return match, None
    if leaves_open(goal.output, bound):
        fits = compile_pattern(goal.output, set(bound), scope.kinds)
        return match, cfg.Goal(None, fits, goal.live, goal.output.span)
    return match, cfg.Goal(compile_type(goal.output, bound, scope.kinds), None, goal.live, goal.output.span)


class Macros:
    """Enters macros from terms of the file whose scope is `scope`."""

    def __init__(self, scope: Scope, resolver: Resolver) -> None:
        self.scope = scope
        self.resolver = resolver

    def use(
        self,
        home: Context,
        name: str,
        arguments: tuple[s.Argument, ...],
        context: Context,
        found: list[cfg.Choice],
        span: Span,
    ) -> MacroUse:
        """The macro that `name` is in `home`, with arguments as they are meant in `context`."""
        declaration, scope = home.scope.macros[name]
        self._no_cycle(declaration, home, span)
        inside = self.parameters(scope)
        chain = (*home.macros, (declaration, span))
        bound = bind_declared(name, declaration.parameters, arguments, span)
        for parameter in declaration.parameters:
            inside[parameter.name] = self._argument(parameter, bound, context, scope, inside, found, chain)
        if declaration.goal is None:
            return MacroUse(declaration, Context(scope, inside, chain), span)
        signature, renamed = self.own_names(declaration.goal, inside, scope)
        inside |= renamed
        dims = frozenset(m.name for m in renamed.values())
        known = {m.name for m in inside.values() if isinstance(m, Value)} - dims
        match, claim = claim_of(signature, known, scope)
        return MacroUse(declaration, Context(scope, inside, chain), span, match, claim, dims, signature)

    def parameters(self, scope: Scope) -> dict[str, Meaning]:
        """Those of the root file are in the environment; those of an imported file have their defaults."""
        if scope is self.scope:
            return {name: Value(name) for name in scope.parameters}
        found: dict[str, Meaning] = {}
        for name, default in scope.defaults.items():
            found[name] = Closure(default, Context(scope, dict(found)))
        return found

    def _argument(
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
            unique = self.resolver.fresh(parameter.name)
            found.append(cfg.Choice(unique, self.resolver.choices(argument.value, context), argument.span))
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

    def own_names(self, goal: s.Goal, inside: Mapping[str, Meaning], scope: Scope) -> tuple[s.Goal, dict[str, Value]]:
        """A signature with the names that it binds made unique, and what they are called now."""
        renamed = {
            name: Value(self.resolver.fresh(name)) for name in type_names(goal.input) if name not in inside
        }  # a name that is a parameter is compared, not bound
        names = {**inside, **renamed}
        input = self.resolver.type(goal.input, Context(scope, names))
        if goal.output is None:
            return replace(goal, input=input), renamed
        left_open = {name: Value(self.resolver.fresh(name)) for name in type_names(goal.output) if name not in names}
        output = self.resolver.type(goal.output, Context(scope, {**names, **left_open}))
        return replace(goal, input=input, output=output), renamed
