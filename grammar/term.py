"""The term of a derivation: operators only, every part with its types.

`Named` nodes remember which rule or macro a part came from; they mean nothing and are not printed.
All walks are iterative: a term may be deeper than Python's stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import log10
from typing import Any, TypeAlias, TypeVar

from ein.grammar.cfg import Application, Applied, Cost, value_text
from ein.grammar.diagnostics import Span
from ein.grammar.types import ValueType

T = TypeVar("T")


class Printed:
    """Prints as the language writes it."""

    __slots__ = ()

    def __str__(self) -> str:
        return text(self)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Op(Printed):
    """One use of an operator, with its place in the file."""

    application: Application
    applied: Applied
    span: Span

    @property
    def input(self) -> ValueType:
        return self.applied.input

    @property
    def output(self) -> ValueType:
        return self.applied.output


@dataclass(frozen=True, slots=True, eq=False)
class Series(Printed):
    """One part or more, each applied to the result of the one before."""

    parts: tuple[TypedTerm, ...]
    input: ValueType
    output: ValueType


@dataclass(frozen=True, slots=True, eq=False)
class Parallel(Printed):
    """As many parts as the input bundle has members."""

    parts: tuple[TypedTerm, ...]
    input: ValueType
    output: ValueType


@dataclass(frozen=True, slots=True, eq=False)
class Copies(Printed):
    """`count` branches of one structure, side by side; with `tied` they share their weights."""

    body: TypedTerm
    count: int
    tied: bool
    input: ValueType
    output: ValueType


@dataclass(frozen=True, slots=True, eq=False)
class Repeated(Printed):
    """`parts` in a row, of one structure; with `tied` they share their weights.

    Where the type stays, the parts are one object; else they differ in their types only.
    """

    parts: tuple[TypedTerm, ...]
    tied: bool
    input: ValueType
    output: ValueType


@dataclass(frozen=True, eq=False)
class Named(Printed):
    """The use of a rule or macro. For a rule: the choice made, and its probability here."""

    name: str
    body: TypedTerm
    input: ValueType
    output: ValueType
    span: Span
    macro: bool = False
    anonymous: bool = False
    arguments: tuple[Any, ...] = ()
    choice: tuple[int, tuple[Any, ...]] | None = None
    probability: float = 1.0

    @cached_property
    def label(self) -> str:
        """`Join(4)`."""
        return f"{self.name}({', '.join(map(value_text, self.arguments))})" if self.arguments else self.name


TypedTerm: TypeAlias = Op | Series | Parallel | Copies | Repeated | Named


def children(term: TypedTerm) -> tuple[TypedTerm, ...]:
    match term:
        case Op():
            return ()
        case Series() | Parallel():
            return term.parts
        case Repeated(parts):
            return parts[:1] if parts[0] is parts[-1] else parts
        case Copies() | Named():
            return (term.body,)


def fold(term: TypedTerm, combine: Callable[[TypedTerm, list[T]], T]) -> T:
    """`combine(node, results of its children)`, from the leaves up."""
    results: list[T] = []
    stack: list[tuple[TypedTerm, bool]] = [(term, False)]
    while stack:
        node, ready = stack.pop()
        below = children(node)
        if ready or not below:
            found = results[len(results) - len(below) :]
            del results[len(results) - len(below) :]
            results.append(combine(node, found))
        else:
            stack.append((node, True))
            stack += [(child, False) for child in reversed(below)]
    return results[0]


def walk(term: TypedTerm) -> Iterator[TypedTerm]:
    """Every node once, parents first, from left to right; a copied body once."""
    stack = [term]
    while stack:
        node = stack.pop()
        yield node
        stack += reversed(children(node))


def cost(term: TypedTerm) -> Cost:
    """Of the network as built: copies count as often as they are made, tied weights once."""

    def combine(node: TypedTerm, below: list[Cost]) -> Cost:
        match node:
            case Op(_, applied):
                return applied.cost
            case Copies(_, count, tied):
                total = below[0].times(count)
                return _shared(total, below[0]) if tied else total
            case Repeated(parts, tied):
                total = below[0].times(len(parts)) if len(below) == 1 else sum(below, Cost())
                return _shared(total, below[0]) if tied else total
            case _:
                return sum(below, Cost())

    return fold(term, combine)


def _shared(total: Cost, one: Cost) -> Cost:
    return Cost(total.modules, one.parameters, total.macs, total.elements)


def depth(term: TypedTerm) -> int:
    """The longest chain of nested rule uses."""

    def combine(node: TypedTerm, below: list[int]) -> int:
        counts = isinstance(node, Named) and not node.macro and not node.anonymous
        return max(below, default=0) + counts

    return fold(term, combine)


def log10_probability(term: TypedTerm) -> float:
    return sum(log10(node.probability) for node in walk(term) if isinstance(node, Named))


_SERIES, _PARALLEL, _PRODUCT, _ATOM = 1, 0, 2, 3


def text(term: TypedTerm) -> str:
    """The term as the language writes it, on one line; `parse` gives the same term back."""
    return fold(term, _text)[0]


def _text(node: TypedTerm, below: list[tuple[str, int]]) -> tuple[str, int]:
    """The text and how tightly it binds."""
    match node:
        case Op(application):
            return application.text, _ATOM
        case Named():
            return below[0]
        case Series():
            if len(below) == 1:
                return below[0]
            # `a >> (b >> c)` is `a >> b >> c`: the parts of a nested series stand bare
            return " >> ".join(_closed(part, _SERIES) for part in below), _SERIES
        case Parallel():
            return " & ".join(_closed(part, _SERIES) for part in below), _PARALLEL
        case Copies(_, count, tied):
            return f"{'tied ' * tied}{_closed(below[0], _ATOM)} ^ {count}", _PRODUCT
        case Repeated(parts, tied):
            return f"{'tied ' * tied}{_closed(below[0], _ATOM)} * {len(parts)}", _PRODUCT


def _closed(part: tuple[str, int], least: int) -> str:
    words, binding = part
    return words if binding >= least else f"({words})"
