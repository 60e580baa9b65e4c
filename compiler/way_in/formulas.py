"""Computations that no operator of `std` does, over axes with names: what the body of an own operator says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from math import prod
from typing import TypeAlias

_numbers = count(1)


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
    """`reads` says how each tensor that flows in is read, `kept` how each weight is, `out` what the result's axes are."""

    reads: tuple[Reading, ...]
    kept: tuple[tuple[str, Group], ...]
    body: Expr
    out: Reading

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


def inlined(consumer: Formula, at: int, producer: Formula) -> Formula | None:
    """`consumer` with its tensor `at` computed in place by `producer`, whose tensors come last; None where the two
    cut an axis differently."""
    renamed: dict[Label, Label] = {}
    for made, read in zip(producer.out, consumer.reads[at], strict=True):
        if [label.size for label in made] != [label.size for label in read]:
            return None
        renamed |= dict(zip(made, read, strict=True))
    fresh: dict[Label, Label] = {}

    def label(each: Label) -> Label:
        if each in renamed:
            return renamed[each]
        if each not in fresh:
            fresh[each] = replace(each, of=None if each.of is None else label(each.of))
        return fresh[each]

    shift, mark = len(consumer.reads) - 1, f"_{next(_numbers)}"

    def inner(leaf: Expr) -> Expr:
        match leaf:
            case Given(which):
                return Given(shift + which)
            case Kept(name):
                return Kept(name + mark)
            case _:
                return leaf

    body = rebuilt(producer.body, inner, label)

    def outer(leaf: Expr) -> Expr:
        match leaf:
            case Given(which):
                return body if which == at else Given(which - (which > at))
            case _:
                return leaf

    reads = tuple(reading for i, reading in enumerate(consumer.reads) if i != at)
    reads += tuple(tuple(tuple(map(label, group)) for group in reading) for reading in producer.reads)
    kept = (*consumer.kept, *((name + mark, tuple(map(label, group))) for name, group in producer.kept))
    return Formula(reads, kept, rebuilt(consumer.body, outer, lambda each: each), consumer.out)


def merged(formula: Formula, first: int, second: int) -> Formula | None:
    """Two of its tensors are one; None where they are read differently."""
    renamed: dict[Label, Label] = {}
    for one, other in zip(formula.reads[first], formula.reads[second], strict=True):
        if len(one) != len(other) or any(a.size != b.size for a, b in zip(one, other, strict=True)):
            return None
        renamed |= dict(zip(other, one, strict=True))
    if any(a is not b and b in _labels(formula.reads[first]) for b, a in renamed.items()):
        return None
    clash = set(renamed.values()) & {b for b, a in renamed.items() if a is not b}
    if clash or any(a is not b for b, a in renamed.items()):
        return None

    def change(leaf: Expr) -> Expr:
        match leaf:
            case Given(which):
                return Given(first if which == second else which - (which > second))
            case _:
                return leaf

    reads = tuple(reading for i, reading in enumerate(formula.reads) if i != second)
    return replace(formula, reads=reads, body=rebuilt(formula.body, change, lambda each: each))


def _labels(reading: Sequence[Group]) -> set[Label]:
    return {label for group in reading for label in group}
