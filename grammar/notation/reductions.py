"""The symbols that an LALR(1) run has read so far, and what each production makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from ein.grammar.diagnostics import EinError, Source, Span, fail
from ein.grammar.notation.actions import ACTIONS, NESTING, Action
from ein.grammar.notation.table import Rule, load

MAX_NESTING = 100


@dataclass(frozen=True, slots=True)
class Reduction:
    """A production that makes one symbol of `length` symbols.

    `node`: the action is a class of nodes. `only` is the one child that it keeps; None: see `rule`. The tree becomes
    `level` deeper.
    """

    length: int
    origin: str
    action: Action | None
    node: bool
    only: int | None
    level: int
    rule: Rule


@cache
def reductions() -> list[Reduction | None]:
    """By the number of the production; None for one that changes nothing but the state."""
    return [None if rule.is_unit else _reduction(rule) for rule in load().rules]


def _reduction(rule: Rule) -> Reduction:
    action = ACTIONS[rule.action] if rule.action else None
    only = rule.picks[0] if len(rule.picks) == 1 and not rule.spread and rule.picks[0] >= 0 else None
    level = int(rule.action in NESTING)
    return Reduction(rule.length, rule.origin, action, isinstance(action, type), only, level, rule)


class Symbols:
    """A stack, and of each symbol on it the value, where it begins and ends in the text, and how deep its tree is."""

    __slots__ = ("depths", "ends", "source", "starts", "values")

    def __init__(self, source: Source) -> None:
        self.source = source
        self.values: list[Any] = []
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.depths: list[int] = []

    def push(self, text: str, start: int, end: int) -> None:
        self.values.append(text)
        self.starts.append(start)
        self.ends.append(end)
        self.depths.append(0)

    def reduce(self, by: Reduction) -> None:
        """Take the symbols of the production off the stack and put one in their place."""
        length = by.length
        parts = self.values[-length:]
        del self.values[-length:]
        if length > 1:
            self.depths[-length:] = (max(self.depths[-length:]),)
            self.ends[-length:] = (self.ends[-1],)
            del self.starts[1 - length :]
        if by.level:
            self._deepen()
        children = _children(by.rule, parts) if by.only is None else [parts[by.only]]
        if by.action is None:
            made = children if by.rule.repetition else children[0]
        elif by.node:
            made = by.action(*children, span=Span(self.source, self.starts[-1], self.ends[-1]))
        else:
            made = by.action(Span(self.source, self.starts[-1], self.ends[-1]), *children)
        self.values.append(made)

    def _deepen(self) -> None:
        self.depths[-1] += 1
        if self.depths[-1] > MAX_NESTING:
            raise too_deep(Span(self.source, self.starts[-1], self.ends[-1]))


def _children(rule: Rule, parts: list[Any]) -> list[Any]:
    """The children that the production keeps. A list that begins them is extended in place."""
    picks, spread = rule.picks, rule.spread
    if not spread:
        return [None if pick < 0 else parts[pick] for pick in picks]
    children: list[Any] = parts[picks[0]] if picks[0] in spread else [parts[picks[0]]]
    for pick in picks[1:]:
        if pick in spread:
            children += parts[pick]
        else:
            children.append(None if pick < 0 else parts[pick])
    return children


def too_deep(span: Span) -> EinError:
    return fail(
        "E107",
        f"this is nested deeper than {MAX_NESTING} levels",
        span,
        help="give a part of it a name: `def` for a term, `let` for a value",
    )
