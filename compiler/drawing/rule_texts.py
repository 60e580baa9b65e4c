"""Rules and macros as their files write them: heads, signatures, alternatives on one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ein.compiler.graph_text import place
from ein.grammar import cfg
from ein.grammar.diagnostics import Span
from ein.grammar.notation import syntax as s
from ein.grammar.notation.parser import parse_statement
from ein.grammar.notation.printer import print_expression, print_type

LONGEST = 84
"""Characters of a row."""
SHORTEST = 28
"""The body of an alternative that would have less beside its binders and guard takes half of the row."""
SHORTEST_PART = 12
"""Of a part of a chain that is not shown whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Declared:
    """A rule or macro of a file. `bodies` are the alternatives of a rule, and the one body of a macro."""

    head: str
    signature: str
    bodies: tuple[s.Expr, ...]
    span: Span

    @property
    def place(self) -> str:
        return place(self.span)


def declared_rule(rule: cfg.Rule) -> Declared:
    """The declaration of a rule that has a name. An imported one has the name that it has in the grammar."""
    node = parse_statement(rule.span.source, rule.span.start, rule.span.end)
    assert isinstance(node, s.RuleDecl)
    bodies = node.body.parts if isinstance(node.body, s.Alternatives) else (node.body,)
    return Declared(_head(rule.name, node.parameters), _signature(node.goal), bodies, rule.span)


def declared_macro(node: s.MacroDecl) -> Declared:
    return Declared(_head(node.name, node.parameters), _signature(node.goal), (node.body,), node.span)


def _head(name: str, parameters: tuple[s.Parameter, ...]) -> str:
    return f"{name}({', '.join(map(_parameter, parameters))})" if parameters else name


def _parameter(parameter: s.Parameter) -> str:
    kind = f": {parameter.kind}" if parameter.kind else ""
    default = f" = {print_expression(parameter.default)}" if parameter.default is not None else ""
    return f"{parameter.name}{kind}{default}"


def _signature(goal: s.Goal | None) -> str:
    if goal is None:
        return ""
    output = "" if goal.output is None else f" -> {'live ' * goal.live}{print_type(goal.output)}"
    return f"{print_type(goal.input)}{output}"


def row_text(body: s.Expr, longest: int = LONGEST) -> str:
    """An alternative on one line, without a weight that is a number, which stands beside it as per cent.

    Where that is too long, parts in the middle of its chain give way to `…`; its binders and guard stay longest.
    """
    if not isinstance(body, s.Alternative):
        return _cut_term(body, longest)
    before, after = _binders(body), _condition(body)
    term = s.Alternative(body.body, span=body.span)
    whole = f"{before}{print_expression(term)}{after}"
    return whole if len(whole) <= longest else _cut_alternative(before, term, after, longest)


def _cut_alternative(before: str, node: s.Alternative, after: str, longest: int) -> str:
    after = _cut(after, longest // 2)
    room = longest - len(before) - len(after)
    term = _cut_term(node, room if room >= SHORTEST else longest // 2)
    return f"{_cut_binders(before, longest - len(term) - len(after))}{term}{after}"


def _cut_binders(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{_cut(text, longest - 3)} : "


def _binders(node: s.Alternative) -> str:
    """`for k in {3, 5} : `"""
    if not node.binders:
        return ""
    return print_expression(s.Alternative(s.Name("_"), node.binders, span=node.span)).removesuffix("_")


def _condition(node: s.Alternative) -> str:
    """` @ each if k > 3`"""
    weight = node.weight if isinstance(node.weight, s.Each) else None
    if weight is None and node.guard is None:
        return ""
    return print_expression(s.Alternative(s.Name("_"), (), weight, node.guard, span=node.span)).removeprefix("_")


def _cut_term(node: s.Expr, longest: int) -> str:
    text = print_expression(node)
    chain = node.body if isinstance(node, s.Alternative) else node
    if len(text) <= longest or not isinstance(chain, s.Sequence):
        return _cut(text, longest)
    *parts, last = [print_expression(s.Sequence((part,), span=chain.span)) for part in chain.parts]
    return _cut_chain(parts, f"… >> {last}", longest) or _cut(text, longest)


def _cut_chain(parts: Sequence[str], end: str, longest: int) -> str:
    """`a >> b >> … >> z` with as much of the parts before the end as there is room for; empty if that is little."""
    room = longest - len(end)
    if room < SHORTEST_PART:
        return ""
    starts = ["", *(f"{' >> '.join(parts[:count])} >> " for count in range(1, len(parts) + 1))]
    whole = max((start for start in starts if len(start) <= room), key=len)
    if room - len(whole) < SHORTEST_PART:
        return f"{whole}{end}"
    return f"{_cut(starts[-1], room).removesuffix('…')}{end}"


def _cut(text: str, longest: int) -> str:
    """Behind a word, where one ends near."""
    if len(text) <= longest:
        return text
    start = text[: max(longest - 1, 1)]
    return f"{start[: start.rfind(' ') + 1] if start.rfind(' ') > 0.7 * longest else start}…"
