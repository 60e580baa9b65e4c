"""Syntax -> documents: where each part stands, where a line may break, and parentheses where precedence needs them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import assert_never

from ein.grammar import syntax as s
from ein.grammar.diagnostics import Span
from ein.grammar.layout import LINE, SOFT, Align, Doc, Group, Nest, join

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
            return (_called(function), _bracketed("(", map(_argument, arguments), ")", node.span))
        case s.Star(operand):
            return ("*", expression(operand, PRIMARY))
        case s.Index(operand, entries):
            return (expression(operand, PRIMARY), axes(entries))
        case s.Layout(operand, entries):
            return (expression(operand, ALTERNATIVES), Group(Nest(2, (LINE, "-> ", axes(entries))), node.span))
        case s.Group(items):
            return _bracketed("(", map(_argument, items), ")", node.span)
        case s.ChoiceSet(items):
            return _bracketed("{", map(_item, items), "}", node.span)
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
    """Whether `left`, the left side of `right`, goes on its chain. `M ^ 2 * k` would be, and is written `(M ^ 2) * k`."""
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


def _argument(argument: s.Argument) -> Doc:
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


def _bracketed(opener: str, entries: Iterable[Doc], closer: str, span: Span) -> Doc:
    docs = list(entries)
    if not docs:
        return opener + closer
    return Group((opener, Nest(2, (SOFT, join((",", LINE), docs))), SOFT, closer), span)


# --- types


def type_(node: s.Type) -> Doc:
    match node:
        case s.KindType(kind, dims):
            return (kind, _bracketed("[", map(_dim, dims), "]", node.span))
        case s.TypeName(name):
            return name
        case s.Blank():
            return "_"
        case s.BundleType(members):
            return _bracketed("(", map(_member, members), ")", node.span)
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


def _arrow(taken: s.Type, made: s.Type, live: bool = False) -> Doc:
    return Group((type_(taken), LINE, "-> live " if live else "-> ", type_(made)), taken.span.to(made.span))


def _goal(goal: s.Goal) -> Doc:
    return type_(goal.input) if goal.output is None else _arrow(goal.input, goal.output, goal.live)


# --- statements


def statement(node: s.Statement) -> Doc:
    match node:
        case s.Version(number):
            return f"ein {number}"
        case s.GrammarDecl(name, parameters):
            return (f"grammar {name}", _parameters(parameters, node.span))
        case s.Import(module, path, names):
            shown = f'"{module}"' if path else module
            return (f"import {shown}", (" ", _bracketed("(", map(_alias, names), ")", node.span)) if names else ())
        case s.TypeDecl(name, names, element):
            return f"type {name}[{', '.join(names)}]" + (f" : {element}" if element else "")
        case s.OpDecl():
            return _op(node)
        case s.MacroDecl(name, parameters, goal, body):
            return _definition(f"def {name}", parameters, goal and _goal(goal), body, node.span)
        case s.RuleDecl(name, parameters, goal, body):
            return _definition(f"rule {name}", parameters, goal and _goal(goal), body, node.span)
        case s.ArchDecl(name, taken, made, body):
            return _definition(f"arch {name}", (), taken and made and _arrow(taken, made), body, node.span)
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
    return _bracketed("(", map(_parameter, parameters), ")", span) if parameters else ()


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
    arguments = (" ", _bracketed("(", map(_argument, node.arguments), ")", node.span)) if node.arguments else ()
    rest = (LINE, f'digest "{node.digest}"', LINE, f'trace "{node.trace}"')
    return Group((f'derivation of "{node.space}"', arguments, Nest(2, rest)), node.span)
