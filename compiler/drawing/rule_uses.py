"""Which rules and macros each alternative of a grammar names, by where in the file it names them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from ein.compiler.drawing.rule_texts import Declared, declared_macro
from ein.grammar import cfg
from ein.grammar.diagnostics import Source, Span
from ein.grammar.load import library_source
from ein.grammar.notation import syntax as s
from ein.grammar.notation.parser import parse

Key: TypeAlias = "str | Span"
"""The name of a rule, or where a macro is declared."""
Holder: TypeAlias = "tuple[Key, int]"
"""An alternative: its rule and its index; for a macro, 0."""


@dataclass(eq=False)
class Uses:
    """`rules` are those that the start comes to, in the order in which it does; those of a use stand apart from
    each other in the text, however often a macro repeats them."""

    rules: list[str] = field(default_factory=list)
    macros: dict[Span, Declared] = field(default_factory=dict)
    places: dict[Holder, dict[Key, set[Span]]] = field(default_factory=dict)

    def of(self, holder: Holder) -> dict[Key, int]:
        """What an alternative names, with how often, in the order of the text."""
        found = self.places.get(holder, {})
        return {key: len(found[key]) for key in sorted(found, key=lambda key: min(span.start for span in found[key]))}

    def times(self, key: Key) -> int:
        return sum(len(named[key]) for named in self.places.values() if key in named)


def uses(grammar: cfg.Grammar, start: str, shown: Callable[[Span], bool] = lambda _: True) -> Uses:
    """What is named by the rules that `start` comes to.

    A macro of the library `std`, and one whose declaration is not `shown`, is as an operator is: what its text names
    counts for the alternative that uses it.
    """
    reader = _Reader(grammar, shown)
    waiting = deque([start])
    while waiting:
        name = waiting.popleft()
        if name not in reader.found.rules:
            reader.found.rules.append(name)
            waiting += reader.rule(name)
    return reader.found


class _Reader:
    def __init__(self, grammar: cfg.Grammar, shown: Callable[[Span], bool]) -> None:
        self.grammar = grammar
        self.shown = shown
        self.found = Uses()
        self.files: dict[Source, dict[str, list[s.MacroDecl]]] = {}
        self.row = Span(Source("", ""), 0, 0)
        self.here: Holder = ("", 0)
        self.met: list[str] = []

    def rule(self, name: str) -> list[str]:
        """Reads a rule, and returns the rules that it comes to directly."""
        self.met = []
        for index, alternative in enumerate(self.grammar.rules[name].alternatives):
            self.row, self.here = alternative.span, (name, index)
            self._read(alternative.body, self.here)
        return self.met

    def _read(self, term: cfg.Term, around: Holder) -> None:
        """`around`: whose text a term stands in that is neither in the alternative nor in a macro that is shown."""
        match term:
            case cfg.RuleUse(name, _, span) if self.grammar.rules[name].anonymous:
                for alternative in self.grammar.rules[name].alternatives:
                    self._read(alternative.body, self._holder(span, around))
            case cfg.RuleUse(name, _, span):
                self.met.append(name)
                self._use(self._holder(span, around), name, span)
            case cfg.Expanded(name, body, span):
                self._expanded(name, body, span, self._holder(span, around))
            case _:
                for part in cfg.parts(term):
                    self._read(part, around)

    def _expanded(self, name: str, body: cfg.Term, span: Span, user: Holder) -> None:
        node = self._declaration(name, body)
        if node is None or not self.shown(node.span):
            self._read(body, user)
            return
        if node.span not in self.found.macros:
            self.found.macros[node.span] = declared_macro(node)
        self._use(user, node.span, span)
        self._read(body, (node.span, 0))

    def _use(self, holder: Holder, key: Key, span: Span) -> None:
        self.found.places.setdefault(holder, {}).setdefault(key, set()).add(span)

    def _holder(self, span: Span, around: Holder) -> Holder:
        if holds(self.row, span):
            return self.here
        macro = next((place for place in self.found.macros if holds(place, span)), None)
        return around if macro is None else (macro, 0)

    def _declaration(self, name: str, body: cfg.Term) -> s.MacroDecl | None:
        """The macro of which `body` is the expansion; None for one of `std`, and for one that is its argument only."""
        for span in _spans(body):
            for node in self._macros(span.source).get(name, ()):
                if holds(node.span, span):
                    return node
        return None

    def _macros(self, source: Source) -> dict[str, list[s.MacroDecl]]:
        if source not in self.files:
            statements = () if source is library_source("std") else parse(source)[0].statements
            found: dict[str, list[s.MacroDecl]] = {}
            for node in statements:
                if isinstance(node, s.MacroDecl):
                    found.setdefault(node.name, []).append(node)
            self.files[source] = found
        return self.files[source]


def holds(whole: Span, part: Span) -> bool:
    return whole.source is part.source and whole.start <= part.start and part.end <= whole.end


def _spans(term: cfg.Term) -> Iterator[Span]:
    stack = [term]
    while stack:
        current = stack.pop()
        yield current.span
        stack += reversed(cfg.parts(current))
