"""Statements -> documents; the lines of an operator and the alternatives of a rule stand on their own."""

from __future__ import annotations

from itertools import chain
from typing import assert_never

from ein.grammar.diagnostics import Span
from ein.grammar.notation import syntax as s
from ein.grammar.notation.documents import ALTERNATIVE, OR, SUM, argument, axes, bracketed, expression, type_
from ein.grammar.notation.layout import LINE, Doc, Group, Nest, join


def _arrow(taken: s.Type, made: s.Type, live: bool = False) -> Doc:
    return Group((type_(taken), LINE, "-> live " if live else "-> ", type_(made)), taken.span.to(made.span))


def _goal(goal: s.Goal | None) -> Doc | None:
    if goal is None:
        return None
    return type_(goal.input) if goal.output is None else _arrow(goal.input, goal.output, goal.live)


def statement(node: s.Statement) -> Doc:
    match node:
        case s.Version(number):
            return f"ein {number}"
        case s.GrammarDecl(name, parameters):
            return (f"grammar {name}", _parameters(parameters, node.span))
        case s.Import(module, path, names):
            shown = f'"{module}"' if path else module
            return (f"import {shown}", (" ", bracketed("(", map(_alias, names), ")", node.span)) if names else ())
        case s.TypeDecl(name, names, element):
            return f"type {name}[{', '.join(names)}]" + (f" : {element}" if element else "")
        case s.OpDecl():
            return _op(node)
        case s.MacroDecl(name, parameters, goal, body):
            return _definition(f"def {name}", parameters, _goal(goal), body, node.span)
        case s.RuleDecl(name, parameters, goal, body):
            return _definition(f"rule {name}", parameters, _goal(goal), body, node.span)
        case s.ArchDecl(name, taken, made, body):
            shape = _arrow(taken, made) if taken is not None and made is not None else None
            return _definition(f"arch {name}", (), shape, body, node.span)
        case s.InputDecl(kind):
            return ("input ", type_(kind))
        case s.OutputDecl(kind):
            return ("output ", type_(kind))
        case s.LimitDecl(bounds):
            return Group(("limit ", Nest(2, join((",", LINE), [_bound(bound) for bound in bounds]))), node.span)
        case s.StartDecl(rule):
            return f"start {rule}"
        case s.DerivationDecl():
            return _derivation(node)
        case _:
            assert_never(node)


def _parameters(parameters: tuple[s.Parameter, ...], span: Span) -> Doc:
    return bracketed("(", map(_parameter, parameters), ")", span) if parameters else ()


def _parameter(parameter: s.Parameter) -> Doc:
    kind = f": {parameter.kind}" if parameter.kind else ""
    default = (" = ", expression(parameter.default, OR)) if parameter.default is not None else ()
    return (f"{parameter.name}{kind}", default)


def _alias(alias: s.Alias) -> Doc:
    return alias.name if alias.alias is None else f"{alias.name} as {alias.alias}"


def _bound(bound: s.Bound) -> Doc:
    return (f"{bound.name} <= ", expression(bound.value, SUM))


def _head(head: str, parameters: tuple[s.Parameter, ...], goal: Doc | None, span: Span) -> Doc:
    shown = (head, _parameters(parameters, span))
    return Group((shown, Nest(2, (LINE, ": ", goal)))) if goal is not None else shown


def _definition(head: str, parameters: tuple[s.Parameter, ...], goal: Doc | None, body: s.Expr, span: Span) -> Doc:
    return (_head(head, parameters, goal, span), Group(_body(body), span))


def _body(body: s.Expr) -> Doc:
    """`= body`; the alternatives of a rule stand one below the other as soon as they need more than a line."""
    if not isinstance(body, s.Alternatives):
        return Nest(2, (LINE, "= ", Nest(2, expression(body))))
    parts = [Nest(2, expression(part, ALTERNATIVE)) for part in body.parts]
    return Nest(2, (LINE, "= ", join((LINE, "| "), list(parts))))


def _op(node: s.OpDecl) -> Doc:
    head = _head(f"op {node.name}", node.parameters, _arrow(node.input, node.output), node.span)
    body = _body(node.body) if node.body is not None else ()
    if not node.guards and not node.lines:
        return (head, Group(body, node.span))
    lines = [_line(line) for line in node.lines]
    if node.guards:
        guards: list[Doc] = [expression(guard, OR) for guard in node.guards]
        lines.insert(0, Group(("where ", Nest(2, join((",", LINE), guards)))))
    return (head, Nest(2, tuple(chain.from_iterable((LINE, line) for line in lines))), body)


def _line(line: s.Line) -> Doc:
    match line:
        case s.WeightLine(role, weights):
            return Group(
                (f"{role} ", Nest(2, join((",", LINE), [_weight_of(weight) for weight in weights]))), line.span
            )
        case s.Assignment():
            return _assignment(line)
        case s.Scan(states, axis, steps):
            shown: list[Doc] = [(state.name, axes(state.axes), " = ", expression(state.start)) for state in states]
            return (
                Group(("scan ", Nest(2, join((",", LINE), shown)), f" over {axis} {{"), line.span),
                _block(steps, line.span),
            )
        case s.Repeat(name, first, last, steps):
            bounds = (expression(first, SUM), "..", expression(last, SUM))
            return (f"repeat {name} in ", bounds, " {", _block(steps, line.span))
        case _:
            assert_never(line)


def _weight_of(weight: s.Weight) -> Doc:
    shape = axes(weight.axes) if weight.axes is not None else ()
    key = f" tied by {weight.tied_by}" if weight.tied_by else ""
    return (weight.name, shape, " ~ " if weight.random else " = ", Nest(2, expression(weight.value)), key)


def _block(steps: tuple[s.Assignment, ...], span: Span) -> Doc:
    """One step may stay on the line; more stand each on its own."""
    doc = (Nest(2, tuple(chain.from_iterable((LINE, _assignment(step)) for step in steps))), LINE, "}")
    return Group(doc, span) if len(steps) == 1 else doc


def _assignment(line: s.Assignment) -> Doc:
    lead = "let " if line.let else ""
    return (f"{lead}{', '.join(line.names)} = ", Nest(2, expression(line.value)))


def _derivation(node: s.DerivationDecl) -> Doc:
    arguments = (" ", bracketed("(", map(argument, node.arguments), ")", node.span)) if node.arguments else ()
    rest = (LINE, f'digest "{node.digest}"', LINE, f'trace "{node.trace}"')
    return Group((f'derivation of "{node.space}"', arguments, Nest(2, rest)), node.span)
