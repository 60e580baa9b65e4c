"""An operator's declaration -> the operator: its signature, guards and parameters compiled."""

from __future__ import annotations

from ein.grammar import cfg
from ein.grammar.arguments import KINDS, check_kind
from ein.grammar.computed import compile_type
from ein.grammar.diagnostics import fail
from ein.grammar.host import Host, implementation
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Evaluate, formula, free_names
from ein.grammar.patterns import compile_pattern
from ein.grammar.scopes import Scope


def operator(declaration: s.OpDecl, scope: Scope, host: Host | None = None) -> cfg.Operator:
    """An overload with its signature compiled; `host` is what an `op` without a body stands for, by default what is
    registered. Raises EinError."""
    if declaration.body is None and host is None:
        host = implementation(declaration)
    parameters = _op_parameters(declaration)
    names = [p.name for p in parameters]
    kinds = scope.kinds
    bound = set(names)
    computes = declaration.body != s.Name("wires")
    lengths = _run_lengths(declaration.guards, frozenset(names))
    match = compile_pattern(declaration.input, bound, kinds, computes, lengths)
    guards = tuple(formula(guard, frozenset(bound)) for guard in declaration.guards)
    build = compile_type(declaration.output, bound, kinds)
    return cfg.Operator(declaration, parameters, match, guards, build, kinds, scope.module, host)


def _run_lengths(guards: tuple[s.Expr, ...], parameters: frozenset[str]) -> dict[str, Evaluate]:
    """What guards of the form `len(s) == axis - 1` say: where a run ends, so that one split is tried."""
    lengths: dict[str, Evaluate] = {}
    for guard in guards:
        match guard:
            case s.Binary("==", s.Call(s.Name("len"), (s.Argument(s.Name(run)),)), expr) if (
                free_names(expr).keys() <= parameters and run not in lengths
            ):
                lengths[run] = formula(expr, parameters).evaluate
            case _:
                pass
    return lengths


def _op_parameters(declaration: s.OpDecl) -> tuple[cfg.Parameter, ...]:
    found: list[cfg.Parameter] = []
    for parameter in declaration.parameters:
        earlier = frozenset(p.name for p in found)
        if parameter.name in earlier:
            raise fail("E210", f"the parameter `{parameter.name}` stands twice", parameter.span)
        kind = parameter.kind
        if kind is not None and kind not in KINDS:
            known = [k for k in KINDS if k is not None]
            raise fail("E213", f"there is no kind `{kind}`", parameter.span, help=f"the kinds are {', '.join(known)}")
        default = parameter.default
        if isinstance(default, s.Name) and kind in ("fn", "name"):
            default = s.String(default.name, span=default.span)
        compiled = None if default is None else formula(default, earlier)
        if kind is None and compiled is not None and not isinstance(default, s.Group):
            kind = "int"
        found.append(cfg.Parameter(parameter.name, kind, compiled, parameter.span))
        if compiled is not None and not compiled.names:
            check_kind(compiled, found[-1])
    return tuple(found)
