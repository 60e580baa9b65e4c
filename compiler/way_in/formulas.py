"""Computations that no operator of `std` does, over axes with names: what the body of an own operator says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from typing import TypeAlias


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """An axis, by identity. `of` is the axis that it was before a part of it was taken: it keeps its name."""

    size: int
    of: Label | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """Tensor `which` that flows in."""

    which: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A weight of the operator."""

    name: str


@dataclass(frozen=True, slots=True)
class Number:
    value: float | int


@dataclass(frozen=True, slots=True)
class Range:
    """Positions along an axis."""

    axis: Label


@dataclass(frozen=True, slots=True)
class Infix:
    operator: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Apply:
    """`name[axes](arguments, numbers…)`; `named` are arguments with names, as they are written."""

    name: str
    axes: tuple[Label, ...]
    arguments: tuple[Expr, ...]
    named: tuple[tuple[str, str], ...] = ()


Expr: TypeAlias = Given | Kept | Number | Range | Infix | Apply
Group: TypeAlias = tuple[Label, ...]
Reading: TypeAlias = tuple[Group, ...]
"""The axes of a tensor, each by the labels that it is made of."""


@dataclass(frozen=True, slots=True, eq=False)
class Formula:
    """`reads` says how each tensor that flows in is read, `kept` how each weight is, `out` the axes of the result."""

    reads: tuple[Reading, ...]
    kept: tuple[tuple[str, Group], ...]
    body: Expr
    out: Reading
    sources: tuple[int, ...] = ()
    """Which tensor each reading is of, where one is read in several ways."""

    def source(self, which: int) -> int:
        return self.sources[which] if self.sources else which

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(prod(label.size for label in group) for group in self.out)


def children(expr: Expr) -> tuple[Expr, ...]:
    match expr:
        case Infix(_, left, right):
            return (left, right)
        case Apply(_, _, arguments):
            return arguments
        case _:
            return ()


def walk(expr: Expr) -> Iterator[Expr]:
    yield expr
    for child in children(expr):
        yield from walk(child)


def rebuilt(expr: Expr, change: Callable[[Expr], Expr], labels: Callable[[Label], Label]) -> Expr:
    """The expression with its leaves changed and its axes called otherwise."""
    match expr:
        case Infix(operator, left, right):
            return Infix(operator, rebuilt(left, change, labels), rebuilt(right, change, labels))
        case Apply(name, axes, arguments, named):
            parts = tuple(rebuilt(each, change, labels) for each in arguments)
            return Apply(name, tuple(map(labels, axes)), parts, named)
        case Range(axis):
            return Range(labels(axis))
        case _:
            return change(expr)


def renamed(formula: Formula, out: Reading, mark: str) -> Formula | None:
    """The same, giving these axes and with its weights marked; None where the two cut an axis differently."""
    known: dict[Label, Label] = {}
    for made, read in zip(formula.out, out, strict=True):
        if [label.size for label in made] != [label.size for label in read]:
            return None
        known |= dict(zip(made, read, strict=True))

    def label(each: Label) -> Label:
        if each not in known:
            known[each] = Label(each.size, None if each.of is None else label(each.of))
        return known[each]

    def group(labels: Group) -> Group:
        return tuple(map(label, labels))

    body = rebuilt(formula.body, lambda leaf: Kept(leaf.name + mark) if isinstance(leaf, Kept) else leaf, label)
    reads = tuple(tuple(map(group, reading)) for reading in formula.reads)
    kept = tuple((name + mark, group(labels)) for name, labels in formula.kept)
    return Formula(reads, kept, body, tuple(map(group, formula.out)), formula.sources)


def weight(expr: Expr) -> int:
    """How much is written."""
    return sum(1 for _ in walk(expr))
