"""Branches joined by an operator, without looking at every pair of what they give.

Where a signature asks sizes of its inputs to agree (all of `t ^ b`, all but `each d`, what several members name), those
sizes are a key: outputs of the branches are grouped by it, and only equal keys are joined. A key is a necessary
condition; the operator is still applied to what is joined, unless the signature says that it takes all of a group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from ein.grammar.cfg import Application
from ein.grammar.computed import side_by_side
from ein.grammar.counting.keys import NO_KEY, Form, Forms, Key, Sort, key_of
from ein.grammar.numbers import Inapplicable
from ein.grammar.types import MAX_SIZE, Tensor, ValueType, tensor

if TYPE_CHECKING:
    from ein.grammar.counting.classes import Classes

Table: TypeAlias = dict[Any, Any]
"""Weights by value."""

Groups: TypeAlias = dict[tuple[int, ...], Table]

KEPT = 512
"""Tables that are kept by form or by key."""


Sorting: TypeAlias = Callable[[Any], Sort | None]


def form(value: Any) -> Form | None:
    return value.form if isinstance(value, Tensor) and value.regular is not None else None


class Joins:
    """The keys of operators at the forms of their inputs; tables by form and by key, some of them kept."""

    def __init__(self) -> None:
        self.keys: dict[tuple[Application, Forms], Key | None] = {}
        self.outputs: dict[Any, ValueType | None] = {}
        self.kept: dict[Any, tuple[Table, Any]] = {}

    def key(self, application: Application, forms: Forms) -> Key | None:
        """None: members of these forms are refused."""
        if (application, forms) not in self.keys:
            known = tuple(form for form in forms if form is not None)
            self.keys[application, forms] = key_of(application, known) if len(known) == len(forms) else NO_KEY
        return self.keys[application, forms]

    def matches(
        self, application: Application, members: Sequence[Table]
    ) -> Iterator[tuple[tuple[ValueType, ...], ValueType]]:
        """The combinations of members that the operator takes, each with the output, in a fixed order."""
        for key, _, tables in self._sorted(application, members, form):
            for group in self._equal_keys(key, tables):
                yield from _fitting(application, group, key.same)

    def totals(
        self, application: Application, members: Sequence[Table], by: Classes | None, apart: bool
    ) -> Iterator[Joined]:
        """As `matches`, with all of a group in one where the operator takes it and all that comes out is of one class.

        Not `apart`: such groups are added up, and are not told.
        """
        for key, sorts, tables in self._sorted(application, members, form if by is None else by.meeting):
            exact = key.exact and _sums(key, tables)
            output = self._output(application, (by, sorts), key, tables) if exact else None
            if exact and output is None:
                continue
            whole = output is not None and by is not None and by.coarse(output)
            if not whole and apart:
                for group in self._equal_keys(key, tables):
                    yield from _singles(application, group, key.same)
            elif output is None or not whole:
                for each, weight in self._written(application, key, tables).items():
                    yield Joined(weight, each, ())
            elif apart:
                for group in self._equal_keys(key, tables):
                    yield Joined(prod([sum(table.values()) for table in group]), output, group)
            elif total := self._sum(key, tables):
                yield Joined(total, output, ())

    def _sorted(
        self, application: Application, members: Sequence[Table], sort: Sorting
    ) -> Iterator[tuple[Key, tuple[Sort | None, ...], list[Table]]]:
        for parts in product(*(self.sorted(table, sort).items() for table in members)):
            sorts = tuple([each for each, _ in parts])
            key = self.key(application, tuple([form(next(iter(table))) for _, table in parts]))
            if key is not None:
                yield key, sorts, [table for _, table in parts]

    def _output(self, application: Application, sorts: Any, key: Key, tables: Sequence[Table]) -> ValueType | None:
        """One that stands for the class of all; None: none is taken."""
        if (application, sorts) not in self.outputs:
            for group in self._equal_keys(key, tables):
                self.outputs[application, sorts] = joined(application, [next(iter(table)) for table in group])
                break
        return self.outputs.get((application, sorts))

    def _written(self, application: Application, key: Key, tables: Sequence[Table]) -> Table:
        """What comes out of all combinations."""
        out: Table = {}
        for group in self._equal_keys(key, tables):
            if key.exact and key.summed is not None and len(group) == 2:
                _add_summed(application, key, key.summed, group, out)
                continue
            for combination, output in _fitting(application, group, key.same):
                weight = prod([table[value] for value, table in zip(combination, group, strict=True)])
                out[output] = out.get(output, 0) + weight
        return out

    def _sum(self, key: Key, tables: Sequence[Table]) -> Any:
        """The combinations of equal keys."""
        first, *others = (self._sums(table, axes) for table, axes in zip(tables, key.axes, strict=True))
        total: Any = 0
        for sizes, weight in first.items():
            for other in others:
                weight = weight * other.get(sizes, 0)
            total += weight
        return total

    def _sums(self, table: Table, axes: tuple[int, ...]) -> dict[tuple[int, ...], Any]:
        def make() -> Any:
            found: dict[tuple[int, ...], Any] = {}
            for value, weight in table.items():
                key = tuple([value.sizes[axis] for axis in axes])
                found[key] = found.get(key, 0) + weight
            return found

        sums: dict[tuple[int, ...], Any] = self._keep(table, ("sums", axes), make)
        return sums

    def sorted(self, table: Table, sort: Sorting) -> dict[Sort | None, Table]:
        def make() -> Any:
            found: dict[Sort | None, Table] = {}
            for value, weight in table.items():
                found.setdefault(sort(value), {})[value] = weight
            return found

        parts: dict[Sort | None, Table] = self._keep(table, sort, make)
        return parts

    def _groups(self, table: Table, axes: tuple[int, ...]) -> Groups:
        """Tensors by their sizes on `axes`."""

        def make() -> Any:
            found: Groups = {}
            for value, weight in table.items():
                sizes = value.sizes
                found.setdefault(tuple([sizes[axis] for axis in axes]), {})[value] = weight
            return found

        groups: Groups = self._keep(table, ("groups", axes), make)
        return groups

    def _equal_keys(self, key: Key, members: Sequence[Table]) -> Iterator[tuple[Table, ...]]:
        """The parts of the tables that agree in the key."""
        if not key.axes:
            yield tuple(members)
            return
        first, *others = (self._groups(table, axes) for table, axes in zip(members, key.axes, strict=True))
        for sizes, mine in first.items():
            same = [other.get(sizes) for other in others]
            if None not in same:
                yield (mine, *same)  # type: ignore[arg-type]

    def _keep(self, table: Table, what: Any, make: Callable[[], Any]) -> Any:
        key = id(table), what
        found = self.kept.get(key)
        if found is None:
            if len(self.kept) >= KEPT:
                self.kept.clear()
            found = self.kept[key] = table, make()  # holding the table keeps its id its own
        return found[1]


@dataclass(slots=True, eq=False)
class Joined:
    """Groups that an operator takes whole: `weight` is the product of their sums, `output` that of one of them."""

    weight: Any
    output: ValueType
    group: tuple[Table, ...]


def _singles(application: Application, group: Sequence[Table], same: bool) -> Iterator[Joined]:
    for combination, output in _fitting(application, group, same):
        one = tuple([{value: table[value]} for value, table in zip(combination, group, strict=True)])
        yield Joined(prod([table[value] for value, table in zip(combination, one, strict=True)]), output, one)


def _add_summed(application: Application, key: Key, axis: int, group: Sequence[Table], out: Table) -> None:
    """Pairs whose sizes on `axis` have one sum, and which are put together alike elsewhere, give one type."""
    first, second = (_alike(table, axis) for table in group)
    for (shape, ones), (other_shape, others) in product(first.items(), second.items()):
        sums: dict[Any, tuple[Any, tuple[ValueType, ValueType]]] = {}
        for size, (one, weight) in ones.items():
            for second_size, (other, more) in others.items():
                plain = type(size) is int and type(second_size) is int
                total = size + second_size if plain else (size, second_size)
                known = sums.get(total)
                sums[total] = (weight * more, (one, other)) if known is None else (known[0] + weight * more, known[1])
        added = key.added and shape == other_shape
        for total, (weight, pair) in sums.items():
            if added and type(total) is int and total <= MAX_SIZE:
                output: ValueType | None = tensor(pair[0].kind, (*shape[:axis], total, *shape[axis:]))  # type: ignore[union-attr]
            else:
                output = joined(application, pair)
            if output is not None:
                out[output] = out.get(output, 0) + weight


def _alike(table: Table, axis: int) -> dict[Any, dict[Any, tuple[Any, Any]]]:
    """Tensors by all sizes but that of `axis`, then by that, each with its weight."""
    found: dict[Any, dict[Any, tuple[Any, Any]]] = {}
    for value, weight in table.items():
        shape = value.shape
        found.setdefault(shape[:axis] + shape[axis + 1 :], {})[shape[axis]] = value, weight
    return found


def _fitting(
    application: Application, group: Sequence[Table], same: bool
) -> Iterator[tuple[tuple[ValueType, ...], ValueType]]:
    """`same`: of equal members the output is one of them."""
    for combination in product(*group):
        if same and all(member is combination[0] for member in combination):
            yield combination, combination[0]
            continue
        output = joined(application, combination)
        if output is not None:
            yield combination, output


def joined(application: Application, members: Sequence[Any]) -> ValueType | None:
    """The output on a bundle, which is not kept."""
    try:
        input = side_by_side(members)
    except Inapplicable:
        return None
    output = application.result(input)
    application.results.pop(input, None)
    application.table.pop(input, None)
    return output


def _sums(key: Key, tables: Sequence[Table]) -> bool:
    """Whether the largest sizes of the axis that is summed still make a size."""
    if key.summed is None:
        return True
    axis = key.summed
    largest: int = sum(max(value.sizes[axis] for value in table) for table in tables)
    return largest <= MAX_SIZE
