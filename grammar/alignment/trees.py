"""Derivations and terms as labelled ordered trees, equal subtrees once.

Of a derivation a node is the use of a rule: its symbol is the name of the rule, its label the alternative with the
values of its choices, and below it stand the rules that the alternative uses. Of a term without rules a node
is an operator or a form that joins parts (a series, branches, copies, a repetition, a `let`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ein.grammar import term as t
from ein.grammar.alignment.text import ATOM, HIDDEN, SLOT, Template, Written, template
from ein.grammar.cfg import value_text
from ein.grammar.derivations.derivation import Choices, Derivation

ONE = 8
"""The cost of one module. Costs are kept in eighths, as whole numbers, so that sums are exact."""

STRUCTURE = 1
"""What a node without operators of its own costs: an eighth of a module."""

VALUES, ALTERNATIVE = 2, 4
"""Other values of one alternative (or other arguments of one operator); another alternative or operator."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A subtree; equal subtrees of one `Trees` are one object. `own` and `weight` are in eighths of a module."""

    number: int
    symbol: str
    instance: str
    """The rule with its arguments: with others it may have other alternatives."""
    key: str
    said: str
    own: int
    children: tuple[Part, ...]
    template: Template
    choice: tuple[int, tuple[Any, ...]] | None
    weight: int
    size: int
    symbols: int
    """A bit for each symbol in the subtree."""

    @property
    def positional(self) -> bool:
        """Whether a child means what its place says, as below a rule; in a series only the order counts."""
        return self.choice is not None


@dataclass(frozen=True, slots=True)
class _Piece:
    """What the fold over a term knows of a node: the parts in it, how it is written, its operators."""

    parts: tuple[Part, ...]
    template: Template
    operators: int = 0
    series: bool = False


class Trees:
    """Makes the parts of the trees that are to be aligned with each other.

    One choice can read differently at different types. With `as_written` such parts are kept apart.
    """

    def __init__(self, as_written: bool = False) -> None:
        self._as_written = as_written
        self._parts: dict[tuple[Any, ...], Part] = {}
        self._bits: dict[str, int] = {}

    def tree(self, derivation: Derivation, rules: bool) -> Part:
        """The uses of rules; or the operators and how they are joined, where rules and macros leave no trace."""
        term, names = derivation.term, t.shown_names(derivation.term)
        if rules:
            return t.fold(term, lambda node, below: self._rule(node, below, names)).parts[0]
        return self._sealed(t.fold(term, lambda node, below: self._operator(node, below, names))).parts[0]

    def _rule(self, node: t.TypedTerm, below: list[_Piece], names: dict[int, tuple[str, ...]]) -> _Piece:
        if isinstance(node, t.Repeated):
            below = below[:1]
        written = template(node, [piece.template for piece in below], names.get(id(node), ()))
        parts = tuple(part for piece in below for part in piece.parts)
        operators = isinstance(node, t.Op) + sum(piece.operators for piece in below)
        if not isinstance(node, t.Named) or node.choice is None:
            return _Piece(parts, written, operators)
        index, values = node.choice
        said = ",".join(map(value_text, values))
        part = self._part(node.name, node.label, str(index), said, operators, parts, written, node.choice)
        return _Piece((part,), SLOT)

    def _operator(self, node: t.TypedTerm, below: list[_Piece], names: dict[int, tuple[str, ...]]) -> _Piece:
        if isinstance(node, t.Named):
            return below[0]
        if isinstance(node, t.Series):
            parts = tuple(part for piece in below for part in piece.parts)
            return _Piece(parts, template(node, [SLOT] * len(parts), ()), 0, len(parts) > 1)
        if isinstance(node, t.Repeated):
            below = below[:1]
        shown = names.get(id(node), ())
        parts = tuple(self._sealed(piece).parts[0] for piece in below)
        written = template(node, [SLOT] * len(parts), shown)
        kind, key, said = _form(node, shown)
        return _Piece((self._part(kind, kind, key, said, kind == "operator", parts, written, None),), written)

    def _sealed(self, piece: _Piece) -> _Piece:
        """A series as one part, now that no outer series takes its parts."""
        if not piece.series:
            return piece
        return _Piece((self._part("series", "series", "", "", 0, piece.parts, piece.template, None),), SLOT)

    def _part(
        self,
        symbol: str,
        instance: str,
        key: str,
        said: str,
        operators: int,
        children: tuple[Part, ...],
        written: Template,
        choice: tuple[int, tuple[Any, ...]] | None,
    ) -> Part:
        text = written.pieces if self._as_written else ()
        home = (instance, key, said, operators, text, *(child.number for child in children))
        found = self._parts.get(home)
        if found is None:
            own = operators * ONE or STRUCTURE
            symbols = 1 << self._bits.setdefault(symbol, len(self._bits))
            for child in children:
                symbols |= child.symbols
            weight = own + sum(child.weight for child in children)
            size = 1 + sum(child.size for child in children)
            number = len(self._parts)
            found = Part(number, symbol, instance, key, said, own, children, written, choice, weight, size, symbols)
            self._parts[home] = found
        return found


def _form(node: t.TypedTerm, names: tuple[str, ...]) -> tuple[str, str, str]:
    """Symbol, key and the rest of the label of a node of a term."""
    match node:
        case t.Op(application):
            return "operator", application.name, application.text
        case t.Copies(_, count, tied):
            return "copies", "", f"{'tied ' * tied}{count}"
        case t.Repeated(parts, tied):
            return "repeated", "", f"{'tied ' * tied}{len(parts)}"
        case t.Let():
            return "let", "", " ".join((*names, *(str(len(bound)) for bound, _ in node.bindings)))
        case t.Variable():
            return "variable", "", names[0]
        case _:
            return "branches", "", ""


def substitution(a: Part, b: Part) -> int:
    """The cost, in eighths, of one node in place of another; never more than deleting the one and inserting the other.

    With the weights of nodes it is a metric: the least of a way through nothing and an ultrametric on labels that is
    no less than the difference of the weights.
    """
    if a.key != b.key:
        step = ALTERNATIVE
    elif a.said != b.said:
        step = VALUES
    else:
        step = 0
    return min(a.own + b.own, max(step, abs(a.own - b.own)))


def distinct(root: Part) -> list[Part]:
    """Every part of a tree once, those below a part before it."""
    found = {root.number: root}
    stack = [root]
    while stack:
        for child in stack.pop().children:
            if child.number not in found:
                found[child.number] = child
                stack.append(child)
    return [found[number] for number in sorted(found)]


def walk(root: Part) -> Iterator[Part]:
    """Every node in pre-order, equal subtrees as often as they stand in the tree."""
    stack = [root]
    while stack:
        part = stack.pop()
        yield part
        stack += reversed(part.children)


def choices(root: Part) -> Choices:
    """The choices of the nodes, in pre-order; none of a tree of operators."""
    return tuple(part.choice for part in walk(root) if part.choice is not None)


def tokens(root: Part) -> list[str]:
    """The tree as a sequence: a token for each node, and `[` and `]` around what is below it."""
    found: list[str] = []
    stack: list[Part | str] = [root]
    while stack:
        part = stack.pop()
        if isinstance(part, str):
            found.append(part)
            continue
        found.append(":".join(word for word in (part.instance, part.key, part.said) if word))
        if part.children:
            stack += ["]", *reversed(part.children), "["]
    return found


def shown(root: Part, hidden: frozenset[int] = frozenset()) -> str:
    """The text of a part; the nodes at the pre-order places `hidden` in it are written `…`."""
    results: list[Written] = []
    stack: list[tuple[Part, int, bool]] = [(root, 0, False)]
    while stack:
        part, place, ready = stack.pop()
        if place in hidden:
            results.append(HIDDEN)
        elif ready or not part.children:
            first = len(results) - len(part.children)
            below = results[first:]
            del results[first:]
            results.append(part.template.fill(below))
        else:
            stack.append((part, place, True))
            at = place + 1
            inner: list[tuple[Part, int, bool]] = []
            for child in part.children:
                inner.append((child, at, False))
                at += child.size
            stack += reversed(inner)
    words, binding = results[0]
    return f"({words})" if binding < ATOM and words.startswith("let ") else words
