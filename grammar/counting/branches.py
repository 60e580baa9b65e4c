"""Tables of bundles: what branches give is kept apart until something joins it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from ein.grammar.counting.joins import Table, form
from ein.grammar.derivations.options import options
from ein.grammar.matching.lanes import Lanes, Scope, Value, beside
from ein.grammar.numbers import Inapplicable, Percentage
from ein.grammar.steps import Apply, Call, Candidate, Instance, Program, Step
from ein.grammar.types import bundle

if TYPE_CHECKING:
    from ein.grammar.counting.classes import Classes
    from ein.grammar.counting.counts import Tables

Source: TypeAlias = tuple[Program, Value, Scope, int]
"""A program at a value with so many modules."""

Task: TypeAlias = tuple[Any, ...]
"""What stands before branches: `("choice", choice)`, or `("part", *source, output)`."""


@dataclass(slots=True, eq=False)
class Product:
    """Any member of the first table beside any of the second, and so on.

    `tasks` are what stands before the branches, each with its weight, `weight` together; `sources` are the branches.
    """

    weight: Any
    members: tuple[Table, ...]
    sources: tuple[Source, ...]
    tasks: tuple[tuple[Any, Task], ...] = ()

    def after(self, weight: Any, task: Task) -> Product:
        return Product(weight * self.weight, self.members, self.sources, ((weight, task), *self.tasks))

    def combinations(self) -> Iterator[tuple[Value, Any]]:
        for members in product(*(table.items() for table in self.members)):
            with suppress(Inapplicable):
                yield beside([value for value, _ in members]), self.weight * prod([weight for _, weight in members])


class Spread(Table):
    """A table with more bundles than are written out: those of its products."""

    def __init__(self, table: Iterable[tuple[Any, Any]] | Table = ()) -> None:
        super().__init__(table)
        self.products: list[Product] = []

    def __bool__(self) -> bool:
        return len(self) > 0 or bool(self.products)

    def plain(self) -> Table:
        """Itself, or a table where nothing is left to write out."""
        return self if self.products else dict(self)


def written(table: Table) -> Table:
    """The table with everything written out."""
    if not isinstance(table, Spread):
        return table
    out = dict(table)
    for each in table.products:
        for value, weight in each.combinations():
            out[value] = out.get(value, 0) + weight
    return out


def add(out: Spread, table: Table, weight: Any, task: Task = ()) -> None:
    """Adds a table, times a weight; `task` is what stands before it."""
    for value, more in table.items():
        out[value] = out.get(value, 0) + weight * more
    if isinstance(table, Spread):
        out.products += [each.after(weight, task) for each in table.products]


def bundles(branches: list[tuple[tuple[Table, ...], tuple[Source, ...]]], small: int) -> Table:
    """The bundles of what branches give, for each way to share out their modules; written out where they are few."""
    out = Spread()
    many = any(prod(map(len, tables)) > small for tables, _ in branches)
    if many and not any(isinstance(value, Lanes) for tables, _ in branches for table in tables for value in table):
        out.products += [Product(1, tables, sources) for tables, sources in branches]
        return out
    for tables, sources in branches:
        for value, weight in Product(1, tables, sources).combinations():
            out[value] = out.get(value, 0) + weight
    return out.plain()


# --- what joins them


@dataclass(slots=True, eq=False)
class Met:
    """Members of a product that meet, `weight` of them; any of `group`, which are tables of the branches.

    `candidate` of a rule has joined them to `value`, or an operator, and `rest` is to follow; where `rest` is None,
    nothing has, and `value` is the bundle.
    """

    weight: Any
    value: Value
    group: tuple[Table, ...]
    candidate: Candidate | None = None
    rest: Program | None = None


def met_by(
    tables: Tables, last: Step, before: Product, n: int, by: Classes | None, apart: bool = True
) -> Iterator[Met]:
    """How a step of n modules begins with the members of a product; not `apart`: with no word of which."""
    if isinstance(last, Apply) and not tables.sharing.any:
        if n == tables.module:
            yield from _applied(tables, last, before, by, apart)
        return
    if not isinstance(last, Call):
        yield from _beside(before, list(product(*before.members)))
        return
    for parts in product(*(tables.joins.sorted(table, form).items() for table in before.members)):
        part = Product(before.weight, tuple(table for _, table in parts), before.sources, before.tasks)
        if None in (each for each, _ in parts) or tables.sharing.any:
            yield from _beside(part, list(product(*part.members)))
        else:
            yield from _called(tables, last.instance, part, n, by, apart)


def _beside(before: Product, combinations: Iterable[tuple[Any, ...]]) -> Iterator[Met]:
    for values in combinations:
        group = tuple({value: table[value]} for value, table in zip(values, before.members, strict=True))
        weight = prod([table[value] for value, table in zip(values, group, strict=True)])
        try:
            yield Met(before.weight * weight, beside(values), group)
        except Inapplicable:
            continue


def _applied(
    tables: Tables, step: Apply, before: Product, by: Classes | None, apart: bool, candidate: Candidate | None = None
) -> Iterator[Met]:
    for joined in tables.joins.totals(step.application, before.members, by, apart):
        yield Met(before.weight * joined.weight, joined.output, joined.group, candidate, ())


def _called(
    tables: Tables, instance: Instance, before: Product, n: int, by: Classes | None, apart: bool
) -> Iterator[Met]:
    """Where all candidates of a rule begin with an operator, each joins by itself.

    If weights decide how probable each is, or whether it is had at all, all that meet in one way or another are put
    together for the rule to say.
    """
    candidates = _candidates(tables, instance, before)
    if candidates is None:
        yield from _beside(before, list(product(*before.members)))
        return
    if tables.probabilities or instance.claims or not _certain(instance):
        found: dict[tuple[Any, ...], None] = {}
        for candidate in candidates:
            assert candidate.first is not None
            found |= {values: None for values, _ in tables.joins.matches(candidate.first, before.members)}
        yield from _beside(before, found)
        return
    for candidate in candidates:
        assert candidate.first is not None
        step = Apply(candidate.first, instance.rule.span)
        if not candidate.rest and n == tables.module:
            yield from _applied(tables, step, before, by, apart, candidate)
        elif candidate.rest and n - tables.module >= tables.least(candidate.rest):
            for met in _applied(tables, step, before, None, apart, candidate):
                yield Met(met.weight, met.value, met.group, candidate, candidate.rest)


def _candidates(tables: Tables, instance: Instance, before: Product) -> list[Candidate] | None:
    """The candidates that bundles of these forms may take, if all begin with an operator."""
    if instance.rule.match is not None or instance.rule.packed:
        return None
    some = bundle([next(iter(table)) for table in before.members])
    options(tables.space, instance, some)
    known = instance.forms.get(("", some.rank))
    if known is None or not all(candidate.simple and candidate.first is not None for candidate in known.candidates):
        return None
    return known.candidates


def _certain(instance: Instance) -> bool:
    """Whether each alternative has some probability wherever it applies."""
    for alternative in instance.rule.alternatives:
        if alternative.weight is None or alternative.each:
            continue
        if alternative.weight.names:
            return False
        value = alternative.weight.evaluate({})
        if isinstance(value, Percentage) or value <= 0:
            return False
    return True
