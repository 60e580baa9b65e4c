"""What each production of `ein.lark` becomes: one function for each name behind `->`, or of a rule without one.

An action gets the source range of what it is made of and the children, which are nodes, the texts of tokens,
tuples of them, or None for a part that is absent. Where the children are the fields of a node, it is the node's class.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ein.grammar.diagnostics import Span, fail
from ein.grammar.notation import syntax as s

Action = Callable[..., Any]

MAX_BITS = 64


def _tuple(_: Span, *children: Any) -> tuple[Any, ...]:
    return children


# --- atoms


def _number(span: Span, text: str) -> s.Number:
    number = s.Number(text, span=span)
    if len(text) < 16 and text.isdigit():
        return number
    if len(text) > 400 or not _is_small(number.value):
        raise fail("E107", f"this number has more than {MAX_BITS} bits", span, help="numbers are less than 2 ** 64")
    return number


def _is_small(value: int | float) -> bool:
    return abs(value) < 2**MAX_BITS if isinstance(value, int) else math.isfinite(value)


def _percent(span: Span, text: str) -> s.Percent:
    percent = s.Percent(text, span=span)
    if percent.value >= 2**MAX_BITS:
        raise fail("E107", f"this percentage has more than {MAX_BITS} bits", span)
    return percent


def _string(span: Span, text: str) -> s.String:
    return s.String(text[1:-1], span=span)


# --- expressions


def _call(span: Span, function: s.Expr, arguments: tuple[s.Argument, ...] | None) -> s.Call:
    return s.Call(function, arguments or (), span=span)


def _selection(span: Span, arguments: tuple[s.Argument, ...]) -> s.Call:
    word = Span(span.source, span.start, span.start + len("where"))
    return s.Call(s.Name("where", span=word), arguments, span=span)


def _item(
    span: Span, first: s.Expr, last: s.Expr | None, star: str | None, step: s.Expr | None, weight: s.Expr | None
) -> s.Item:
    return s.Item(first, last, step, star is not None, weight, span=span)


def _binary(span: Span, left: s.Expr, operator: s.BinaryOperator, right: s.Expr) -> s.Binary:
    return s.Binary(operator, left, right, span=span)


def _star_axis(span: Span, operand: s.Expr) -> s.Axis:
    return s.Axis(s.Star(operand, span=span), span=span)


def _binding(span: Span, *children: Any) -> s.Binding:
    *names, value = children
    return s.Binding(tuple(names), value, span=span)


Qualifiers = tuple["s.Expr | s.Each | None", "s.Expr | None", "s.Expr | None"]


def _weighted(_: Span, weight: s.Expr | s.Each, guard: tuple[s.Expr, s.Expr | None] | None) -> Qualifiers:
    return (weight, *(guard or (None, None)))


def _guarded(_: Span, guard: tuple[s.Expr, s.Expr | None]) -> Qualifiers:
    return (None, *guard)


def _bound_term(
    span: Span, binders: tuple[s.Binder, ...], body: s.Expr, qualifiers: Qualifiers | None
) -> s.Alternative:
    return s.Alternative(body, binders, *(qualifiers or (None, None, None)), span=span)


def _conditional(span: Span, body: s.Expr, guard: s.Expr, otherwise: s.Expr) -> s.Alternative:
    return s.Alternative(body, guard=guard, otherwise=otherwise, span=span)


# --- statements


def _version(span: Span, number: str) -> s.Version:
    if number != "1":
        message = f"version {number} of the language is not known here; this is version 1"
        raise fail("E108", message, span, help="write `ein 1`, or install an `ein` that knows the newer version")
    return s.Version(number, span=span)


def _op(
    span: Span,
    name: str,
    parameters: tuple[s.Parameter, ...] | None,
    taken: s.Type,
    made: s.Type,
    guards: tuple[s.Expr, ...] | None,
    lines: tuple[s.Line, ...] | None,
    body: s.Expr | None,
) -> s.OpDecl:
    return s.OpDecl(name, parameters or (), taken, made, guards or (), lines or (), body, span=span)


def _weight(
    span: Span, name: str, axes: tuple[s.Axis, ...] | None, sign: str, value: s.Expr, key: str | None
) -> s.Weight:
    return s.Weight(name, axes, sign == "~", value, key, span=span)


def _derivation(
    span: Span,
    of: s.Name,
    space: str,
    arguments: tuple[s.Argument, ...] | None,
    digest: s.Name,
    value: str,
    trace: s.Name,
    choices: str,
) -> s.DerivationDecl:
    for word, wanted in ((of, "of"), (digest, "digest"), (trace, "trace")):
        if word.name != wanted:
            shape = 'derivation of "space" (p = 32%) digest "3f2a91c0" trace "…"'
            raise fail("E101", f"expected `{wanted}`, found `{word.name[:40]}`", word.span, help=f"write `{shape}`")
    return s.DerivationDecl(space[1:-1], arguments or (), value[1:-1], choices[1:-1], span=span)


ACTIONS: dict[str, Action] = {
    **dict.fromkeys(("aliases", "args", "axes", "binders", "bounds", "dims", "guards", "lines", "names"), _tuple),
    **dict.fromkeys(("parameters", "states", "steps", "guard"), _tuple),
    "number": _number,
    "percent": _percent,
    "string": _string,
    "name": s.Name,
    "camel": s.Camel,
    "dotted": s.Dotted,
    "true": lambda span: s.Boolean(True, span=span),
    "false": lambda span: s.Boolean(False, span=span),
    "call": _call,
    "selection": _selection,
    "index": s.Index,
    "layout": s.Layout,
    "group": lambda span, *items: s.Group(items, span=span),
    "choice_set": lambda span, *items: s.ChoiceSet(items, span=span),
    "item": _item,
    "argument": s.Argument,
    "named_argument": lambda span, name, value: s.Argument(value, name, span=span),
    "choice_argument": lambda span, name, value: s.Argument(value, name, True, span=span),
    "axis": s.Axis,
    "named_axis": lambda span, name, value: s.Axis(value, name, span=span),
    "star_axis": _star_axis,
    "unary": s.Unary,
    "binary": _binary,
    "sequence": lambda span, *parts: s.Sequence(parts, span=span),
    "branches": lambda span, *parts: s.Branches(parts, span=span),
    "alternatives": lambda span, *parts: s.Alternatives(parts, span=span),
    "choice": lambda _, name, value: (name, value),
    "binding": _binding,
    "for_binder": lambda span, *choices: s.ForBinder(choices, span=span),
    "let_binder": lambda span, *bindings: s.LetBinder(bindings, span=span),
    "each": s.Each,
    "weighted": _weighted,
    "guarded": _guarded,
    "qualified": lambda span, body, qualifiers: s.Alternative(body, (), *qualifiers, span=span),
    "bound_term": _bound_term,
    "conditional": _conditional,
    "kind_type": s.KindType,
    "type_name": s.TypeName,
    "blank": lambda span, _: s.Blank(span=span),
    "bundle_type": lambda span, *members: s.BundleType(members, span=span),
    "member": lambda span, name, member: s.Member(member, name, span=span),
    "power_type": s.PowerType,
    "star": s.Star,
    "each_dim": s.EachDim,
    "input_goal": s.Goal,
    "goal": s.Goal,
    "live_goal": lambda span, taken, made: s.Goal(taken, made, True, span=span),
    "version": _version,
    "grammar": lambda span, name, parameters: s.GrammarDecl(name, parameters or (), span=span),
    "parameter": s.Parameter,
    "import_library": lambda span, name, names: s.Import(name, False, names or (), span=span),
    "import_path": lambda span, path, names: s.Import(path[1:-1], True, names or (), span=span),
    "alias": s.Alias,
    "type_decl": s.TypeDecl,
    "op": _op,
    "weights": lambda span, role, *weights: s.WeightLine(role, weights, span=span),
    "weight": _weight,
    "let": s.Assignment,
    "step": lambda span, names, value: s.Assignment(names, value, False, span=span),
    "scan": s.Scan,
    "state": s.State,
    "repeat": s.Repeat,
    "def": lambda span, name, parameters, goal, body: s.MacroDecl(name, parameters or (), goal, body, span=span),
    "rule": lambda span, name, parameters, goal, body: s.RuleDecl(name, parameters or (), goal, body, span=span),
    "arch": s.ArchDecl,
    "input": s.InputDecl,
    "output": s.OutputDecl,
    "limit": s.LimitDecl,
    "bound": s.Bound,
    "start": s.StartDecl,
    "derivation": _derivation,
}

_EXPRESSIONS = "call selection index layout group choice_set unary binary sequence branches alternatives"
NESTING = frozenset(f"{_EXPRESSIONS} qualified bound_term conditional bundle_type power_type".split())
"""The productions that put a node into a node; how deep they may stand in one another is bounded."""
