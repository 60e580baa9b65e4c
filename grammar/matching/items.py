"""A term as series of items, each series one object wherever it stands.

An item is an operator, a bundle of branches, copies, a repetition, a `let` or a variable. Names and nested
series are dissolved, and types are left out: the same structure at another type is the same series.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ein.grammar import term as t
from ein.grammar.cfg import Application

BRANCHES, COPIES, REPEATED, LET, VARIABLE = "&", "^", "*", "let", "="

Kind: TypeAlias = int | str
"""The number of an operator with its arguments, or what else an item is."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """`detail`: which branches take an input; or how many, whether tied; or the names that are bound or read."""

    kind: Kind
    detail: Any
    inner: tuple[Items, ...]
    modules: int


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """What stands in a row, outermost first."""

    parts: tuple[Item, ...]
    modules: int


@dataclass(slots=True, eq=False)
class Catalogue:
    """The series, items and operators met so far."""

    series: dict[tuple[Item, ...], Items] = field(default_factory=dict)
    items: dict[tuple[Kind, Any, tuple[Items, ...]], Item] = field(default_factory=dict)
    numbers: dict[tuple[str, tuple[Any, ...]], int] = field(default_factory=dict)
    own: dict[Application, int] = field(default_factory=dict)
    """Numbers of the operators in the grammar's rules; those of other files are not kept."""

    def number(self, application: Application) -> int:
        """One for the same operator with the same arguments, though perhaps of another file."""
        said = application.text, tuple(operator.declaration for operator in application.overloads)
        return self.numbers.setdefault(said, len(self.numbers))

    def number_of_own(self, application: Application) -> int:
        found = self.own.get(application)
        if found is None:
            found = self.own[application] = self.number(application)
        return found

    def item(self, kind: Kind, detail: Any, inner: tuple[Items, ...], modules: int) -> Item:
        found = self.items.get((kind, detail, inner))
        if found is None:
            found = self.items[kind, detail, inner] = Item(kind, detail, inner, modules)
        return found

    def row(self, parts: list[Item]) -> Items:
        key = tuple(parts)
        found = self.series.get(key)
        if found is None:
            found = self.series[key] = Items(key, sum(part.modules for part in parts))
        return found


@dataclass(slots=True, eq=False)
class _Open:
    """An item whose inner series are being read: what stood before it, and what is still to come after it."""

    node: t.TypedTerm
    before: list[Item]
    after: list[t.TypedTerm]
    wanted: list[t.TypedTerm]
    inner: list[Items] = field(default_factory=list)


def items_of(catalogue: Catalogue, term: t.TypedTerm) -> Items:
    """The series of a term, on an explicit stack."""
    foreign: dict[Application, Item] = {}
    around: list[_Open] = []
    parts: list[Item] = []
    stack = [term]
    while True:
        while stack:
            node = stack.pop()
            if isinstance(node, t.Named):
                stack.append(node.body)
            elif isinstance(node, t.Op):
                found = foreign.get(node.application)
                if found is None:
                    found = foreign[node.application] = _operator(catalogue, node.application)
                parts.append(found)
            elif isinstance(node, t.Series):
                stack += reversed(node.parts)
            elif isinstance(node, t.Variable):
                parts.append(catalogue.item(VARIABLE, node.name, (), 0))
            else:
                wanted = list(reversed(inside(node)))
                around.append(_Open(node, parts, stack, wanted))
                stack, parts = [wanted.pop()], []
        row = catalogue.row(parts)
        if not around:
            return row
        top = around[-1]
        top.inner.append(row)
        if top.wanted:
            stack, parts = [top.wanted.pop()], []
        else:
            around.pop()
            stack, parts = top.after, top.before
            parts.append(_compound(catalogue, top.node, tuple(top.inner)))


def inside(node: t.TypedTerm) -> tuple[t.TypedTerm, ...]:
    """The terms whose series an item has inside: of a repetition the first part stands for all."""
    return node.parts[:1] if isinstance(node, t.Repeated) else t.children(node)


def _operator(catalogue: Catalogue, application: Application) -> Item:
    number = catalogue.own.get(application)
    return catalogue.item(catalogue.number(application) if number is None else number, None, (), 1)


def _compound(catalogue: Catalogue, node: t.TypedTerm, inner: tuple[Items, ...]) -> Item:
    modules = sum(each.modules for each in inner)
    match node:
        case t.Parallel(_, takes):
            return catalogue.item(BRANCHES, takes, inner, modules)
        case t.Copies(_, count, tied):
            return catalogue.item(COPIES, (count, tied), inner, modules * count)
        case t.Repeated(parts, tied):
            return catalogue.item(REPEATED, (len(parts), tied), inner, modules * len(parts))
        case t.Let(bindings):
            return catalogue.item(LET, tuple(names for names, _ in bindings), inner, modules)
        case _:
            raise AssertionError(f"{type(node).__name__} is no item")
