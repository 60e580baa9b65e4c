"""Sizes out of the inputs of an operator, by their places: what closed forms of signatures are put together from."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeAlias

from ein.grammar.notation import syntax as s
from ein.grammar.types import merge_sizes

Read: TypeAlias = Callable[[Any], Any]
"""A size, a run of sizes or a type out of the input."""

Check: TypeAlias = Callable[[Any], bool]

Column: TypeAlias = list[tuple[int, int]]
"""Axes that are of one size: the number of the input, and of its axis."""

Pair: TypeAlias = tuple[int, int, int, int]
"""Two of them."""


def all_same(members: Sequence[Any], pairs: Iterable[Pair]) -> bool:
    """Whether the sizes of each pair are."""
    return all([members[member].sizes[axis] == members[second].sizes[place] for member, axis, second, place in pairs])


def size_part(axis: int, part: int) -> Read:
    return lambda source: source.shape[axis][part]


def sizes_at(axis: int) -> Read:
    return lambda source: [member.shape[axis] for member in source.members]


def all_at(axis: int, count: int) -> Column:
    return [(member, axis) for member in range(count)]


def shared_size(column: Column) -> Read:
    """One size for axes that agree."""
    if len(column) == 1:
        [(member, axis)] = column
        return lambda source: source.members[member].shape[axis]
    return lambda source: merge_sizes([source.members[member].shape[axis] for member, axis in column])


def shared_run(columns: list[Column]) -> Read:
    reads = [shared_size(column) for column in columns]
    return lambda source: [read(source) for read in reads]


def few_sizes(node: Any, reads: Container[str], spans: Mapping[str, tuple[int, int]]) -> list[str] | None:
    """What is read of the input for an expression, if that is one size of it or two."""
    names = [name for name in dict.fromkeys(mentioned_names(node)) if name in reads]
    single = all(name in spans and spans[name][1] - spans[name][0] == 1 for name in names)
    return names if single and 1 <= len(names) <= 2 else None


def mentioned_names(node: Any) -> Iterator[str]:
    """Every name that stands anywhere in a type or dimension."""
    match node:
        case s.Name(name) | s.TypeName(name) | s.EachDim(name):
            yield name
        case tuple():
            for each in node:
                yield from mentioned_names(each)
        case s.Node():
            for each in fields(node):
                if each.name != "span":
                    yield from mentioned_names(getattr(node, each.name))


def names_but_lengths(node: Any) -> Iterator[str]:
    match node:
        case s.Call(s.Name("len"), (s.Argument(s.Name()),)):
            pass
        case s.Call(s.Name(), arguments):
            yield from names_but_lengths(arguments)
        case s.Name(name):
            yield name
        case tuple():
            for each in node:
                yield from names_but_lengths(each)
        case s.Node():
            for each in fields(node):
                if each.name != "span":
                    yield from names_but_lengths(getattr(node, each.name))
