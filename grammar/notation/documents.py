"""Syntax -> documents: where each part stands, where a line may break, and parentheses where precedence needs them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from ein.grammar.diagnostics import Span
from ein.grammar.notation import syntax as s
from ein.grammar.notation.layout import LINE, SOFT, Align, Doc, Group, Nest, join

# The rungs of the ladder, loosest first. A node of a lower rung than its place asks for stands in parentheses.
EXPR, ALTERNATIVES, ALTERNATIVE, BRANCHES, SEQUENCE, OR, AND, NOT, COMPARISON, SUM, PRODUCT, UNARY, POWER, PRIMARY = (
    range(14)
)

_BINARY: dict[str, tuple[int, int, int]] = {
    "or": (OR, OR, AND),
    "and": (AND, AND, NOT),
    **dict.fromkeys(("<=", ">=", "==", "!=", "<", ">"), (COMPARISON, SUM, SUM)),
    **dict.fromkeys(("+", "-"), (SUM, SUM, PRODUCT)),
    **dict.fromkeys(("*", "^", "/", "//", "%"), (PRODUCT, PRODUCT, UNARY)),
    "**": (POWER, PRIMARY, UNARY),
}
"""The rungs of the operator, of its left and of its right side."""


def _rung(node: s.Expr) -> int:
    match node:
        case s.Layout():
            return EXPR
        case s.Alternatives():
            return ALTERNATIVES
        case s.Alternative():
            return ALTERNATIVE
        case s.Branches():
            return BRANCHES
        case s.Sequence():
            return SEQUENCE
        case s.Binary(operator):
            return _BINARY[operator][0]
        case s.Unary("not"):
            return NOT
        case s.Unary():
            return UNARY
        case _:
            return PRIMARY


def expression(node: s.Expr, rung: int = EXPR) -> Doc:
    """The expression at a place that takes the rungs from `rung` on."""
    doc = _bare(node)
    return ("(", Align(doc), ")") if _rung(node) < rung else doc


def _bare(node: s.Expr) -> Doc:
    match node:
        case s.Number(text) | s.Percent(text) | s.Name(text) | s.Camel(text) | s.Dotted(text):
            return text
        case s.String(value):
            return f'"{value}"'
        case s.Boolean(value):
            return "true" if value else "false"
        case s.Call(function, arguments):
            return (_called(function), bracketed("(", map(argument, arguments), ")", node.span))
        case s.Star(operand):
            return ("*", expression(operand, PRIMARY))
        case s.Index(operand, entries):
            return (expression(operand, PRIMARY), axes(entries))
        case s.Layout(operand, entries):
            return (expression(operand, ALTERNATIVES), Group(Nest(2, (LINE, "-> ", axes(entries))), node.span))
        case s.Group(items):
            return bracketed("(", map(argument, items), ")", node.span)
        case s.ChoiceSet(items):
            return bracketed("{", map(_item, items), "}", node.span)
        case s.Unary(operator, operand):
            rung = NOT if operator == "not" else UNARY
            return (operator if operator == "-" else f"{operator} ", expression(operand, rung))
        case s.Binary():
            return _chain(node)
        case s.Sequence(parts):
            return _infix(">> ", [expression(part, OR) for part in parts], node.span)
        case s.Branches(parts):
            return _infix("& ", [expression(part, SEQUENCE) for part in parts], node.span)
        case s.Alternatives(parts):
            return _infix("| ", [expression(part, ALTERNATIVE) for part in parts], node.span)
        case s.Alternative():
            return _alternative(node)
        case _:
            assert_never(node)


def _called(function: s.Expr) -> Doc:
    """`20%(…)` would be read as a remainder."""
    return ("(", expression(function), ")") if isinstance(function, s.Percent) else expression(function, PRIMARY)


def _chain(node: s.Binary) -> Doc:
    """`a + b - c` as one group."""
    rung, _, right = _BINARY[node.operator]
    links: list[Doc] = []
    first: s.Expr = node
    last = node
    while isinstance(first, s.Binary) and _continues(first, last, rung):
        links.append((LINE, f"{first.operator} ", expression(first.right, right)))
        last, first = first, first.left
    left = _BINARY[last.operator][1]
    mixed = isinstance(first, s.Binary) and _rung(first) == PRODUCT == rung
    return Group((expression(first, UNARY if mixed else left), *reversed(links)), node.span)


def _continues(left: s.Binary, right: s.Binary, rung: int) -> bool:
    """Whether `left`, on the left of `right`, belongs to its chain. `M ^ 2 * k` would, and is written `(M ^ 2) * k`."""
    if left is right:
        return True
    same = _BINARY[left.operator][0] == rung and rung not in (COMPARISON, POWER)
    return same and (left.operator == "^") == (right.operator == "^")


def _alternative(node: s.Alternative) -> Doc:
    weight: Doc = () if node.weight is None else (" @ ", _weight(node.weight))
    guard: Doc = () if node.guard is None else (LINE, "if ", expression(node.guard, OR))
    otherwise: Doc = () if node.otherwise is None else (LINE, "else ", _otherwise(node.otherwise))
    doc: Doc = (expression(node.body, BRANCHES), weight, Group(Nest(2, (guard, otherwise)), node.span))
    for binder in reversed(node.binders):
        doc = _bound_by(binder, doc)
    return Group(doc, node.span)


def _bound_by(binder: s.Binder, doc: Doc) -> Doc:
    match binder:
        case s.ForBinder(choices):
            entries: list[Doc] = [(f"{name} in ", expression(value, SUM)) for name, value in choices]
            return (Group(("for ", Nest(4, join((",", LINE), entries)), " :"), binder.span), Nest(2, (LINE, doc)))
        case s.LetBinder(bindings):
            shown = [_binding(binding) for binding in bindings]
            return ("let ", Nest(4, join((",", LINE), shown)), LINE, ": ", Nest(2, doc))
        case _:
            assert_never(binder)


def _weight(weight: s.Expr | s.Each) -> Doc:
    return "each" if isinstance(weight, s.Each) else expression(weight, SUM)


def _otherwise(node: s.Expr) -> Doc:
    if isinstance(node, s.Alternative) and not node.binders and node.weight is None and node.otherwise is not None:
        return _alternative(node)
    return expression(node, BRANCHES)


def _binding(binding: s.Binding) -> Doc:
    names = ", ".join(binding.names)
    shown = f"({names})" if len(binding.names) > 1 else names
    return Group((f"{shown} = ", Nest(2, expression(binding.value, BRANCHES))), binding.span)


def argument(argument: s.Argument) -> Doc:
    if argument.name is None:
        return expression(argument.value)
    if argument.choice:
        return (f"{argument.name} in ", expression(argument.value, SUM))
    return (f"{argument.name} = ", Nest(2, expression(argument.value)))


def _item(item: s.Item) -> Doc:
    parts: list[Doc] = [expression(item.first, SUM)]
    if item.last is not None:
        parts += ["..", expression(item.last, SUM)]
    if item.step is not None:
        parts += [" by *" if item.geometric else " by ", expression(item.step, SUM)]
    if item.weight is not None:
        parts += [" @ ", expression(item.weight, SUM)]
    return tuple(parts)


def axes(entries: tuple[s.Axis, ...]) -> Doc:
    return ("[", join(", ", [_axis(entry) for entry in entries]), "]")


def _axis(axis: s.Axis) -> Doc:
    if axis.name is None:
        return expression(axis.value, SUM)
    return (f"{axis.name} = ", expression(axis.value, SUM))


def _infix(sign: str, parts: list[Doc], span: Span) -> Doc:
    return Group(join((LINE, sign), [Nest(2, part) for part in parts]), span)


def bracketed(opener: str, entries: Iterable[Doc], closer: str, span: Span) -> Doc:
    docs = list(entries)
    if not docs:
        return opener + closer
    return Group((opener, Nest(2, (SOFT, join((",", LINE), docs))), SOFT, closer), span)


# --- types


def type_(node: s.Type) -> Doc:
    match node:
        case s.KindType(kind, dims):
            return (kind, bracketed("[", map(_dim, dims), "]", node.span))
        case s.TypeName(name):
            return name
        case s.Blank():
            return "_"
        case s.BundleType(members):
            return bracketed("(", map(_member, members), ")", node.span)
        case s.PowerType(base, count):
            bare = isinstance(count, s.Number | s.Name)
            return (type_(base), " ^ ", expression(count, PRIMARY) if bare else ("(", expression(count, SUM), ")"))
        case _:
            assert_never(node)


def _dim(dim: s.Dim) -> Doc:
    match dim:
        case s.EachDim(name):
            return f"each {name}"
        case s.Blank():
            return "_"
        case _:
            return expression(dim, SUM)


def _member(member: s.Member) -> Doc:
    return type_(member.type) if member.name is None else (f"{member.name}: ", type_(member.type))
