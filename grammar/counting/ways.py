"""How each entry of the tables comes about: the ways whose weights add up to it, in a fixed order.

An entry says a part of the grammar, the value that flows in, its modules, and what is to come out: a value or, if it
has `by`, a class of these; `plain`: only what the table has written out, no products. The order is that of the file
among alternatives, of sizes, and of the text of types. It decides which derivation has which rank, so a change here
changes what a rank means.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple, TypeAlias

from ein.grammar.cfg import value_text
from ein.grammar.counting.branches import Met, Product, Spread, Task, met_by, written
from ein.grammar.counting.classes import Classes
from ein.grammar.counting.copies import Round
from ein.grammar.counting.counts import Tables
from ein.grammar.counting.joins import Table
from ein.grammar.matching.lanes import Head, Scope, Value, inputs, label, lane, split, text, width
from ein.grammar.steps import Bind, Copy, Fork, Instance, Loop, Program, Step
from ein.grammar.types import Bundle


class RuleEntry(NamedTuple):
    instance: Instance
    value: Value
    n: int
    goal: Any
    by: Classes | None = None
    plain: bool = False


class PartEntry(NamedTuple):
    """A program."""

    program: Program
    value: Value
    scope: Scope
    n: int
    goal: Any
    by: Classes | None = None
    plain: bool = False


class BoundEntry(NamedTuple):
    """A `let` of which `done` names have their values."""

    step: Bind
    done: int
    value: Value
    scope: Scope
    n: int
    goal: Any
    by: Classes | None


Entry: TypeAlias = RuleEntry | PartEntry | BoundEntry


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A candidate; `output` is what its rules are to come to before the rule's claim is met."""

    head: Head
    output: Any
    whole: Classes | None
    """Of which `output` is one."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The last step of a program comes after `output`, of k modules, a class if `formal`. `more` is its own weight."""

    k: int
    output: Any
    formal: Classes | None
    weight: Any
    more: Any


@dataclass(frozen=True, slots=True, eq=False)
class Joining:
    """The last step of a program joins branches; before it are k modules."""

    k: int
    product: Product
    met: Met
    more: Any


@dataclass(frozen=True, slots=True, eq=False)
class Sizes:
    """The branches have so many modules."""

    sizes: tuple[int, ...]
    weights: tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """The next name of a `let` stands for `output`, of k modules."""

    k: int
    output: Value
    scope: Scope
    weight: Any
    more: Any


Way: TypeAlias = Chosen | Split | Joining | Sizes | Named | Round


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """The ways of an entry; `until` has the sums of their weights."""

    ways: list[Way]
    until: list[Any]
    index: dict[Any, list[int]]

    def find(self, rank: Any) -> tuple[Way, Any]:
        """The way of a rank, and the rank within it."""
        at = bisect_right(self.until, rank)
        return self.ways[at], rank - self.before(at)

    def before(self, at: int) -> Any:
        return self.until[at - 1] if at else 0

    def places(self, key: Any) -> list[int]:
        """Where the ways of a key are."""
        if not self.index:
            for at, way in enumerate(self.ways):
                self.index.setdefault(key_of(way), []).append(at)
        return self.index.get(key, [])


def key_of(way: Way) -> Any:
    match way:
        case Chosen(head, output):
            return head.candidate.choice, output
        case Split(k, output) | Named(k, output):
            return k, output
        case Joining(k, product, met):
            return k, product_label(product), met.candidate and met.candidate.choice
        case Sizes(sizes):
            return sizes
        case Round(value, _, result):
            return value, result


def weight_of(table: Table, goal: Any, plain: bool = False) -> Any:
    """Of what comes out in a table, with its products unless `plain`."""
    found = table.get(goal, 0)
    if isinstance(table, Spread) and isinstance(goal, Bundle) and not plain:
        for each in table.products:
            if len(each.members) == len(goal.members):
                weight = each.weight
                for member, value in zip(each.members, goal.members, strict=True):
                    weight *= member.get(value, 0)
                found += weight
    return found


class Backward:
    """The ways of all entries of some tables, found when they are asked for."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.known: dict[Entry, Ways] = {}

    def ways(self, entry: Entry) -> Ways:
        found = self.known.get(entry)
        if found is None:
            both = self.tables.solve(lambda: [(way, weight) for way, weight in self._ways(entry) if weight])
            until = list(accumulate(weight for _, weight in both))
            found = self.known[entry] = Ways([way for way, _ in both], until, {})
        return found

    def _ways(self, entry: Entry) -> Iterator[tuple[Way, Any]]:
        match entry:
            case RuleEntry():
                return self._rule(entry)
            case PartEntry(program) if len(program) > 1:
                return self._program(entry)
            case PartEntry((Fork() as step,)):
                return self._branches(step, entry)
            case PartEntry((Copy() | Loop() as step,)):
                return self._rounds(step, entry)
            case BoundEntry():
                return self._bound(entry)
        raise AssertionError(entry)

    def _rule(self, entry: RuleEntry) -> Iterator[tuple[Way, Any]]:
        tables, (instance, value, n, goal, by, plain) = self.tables, entry
        whole = None if instance.claims else by

        def meets(output: Any) -> bool:
            if whole is not None:
                return bool(output == goal)
            met = tables.met(instance, value, output)
            return met is not None and (met if by is None else by.of(met)) == goal

        for head in tables.candidates(instance, value):
            weight, left = tables.weight(head.probability), n - head.modules
            if not head.program:
                output = head.value if whole is None else whole.of(head.value)
                if left == 0 and meets(output):
                    yield Chosen(head, output, whole), weight
            elif tables.least(head.program) <= left <= tables.most(head.program):
                table = tables.program(head.program, head.value, head.scope, left, whole)
                if not instance.claims:
                    yield Chosen(head, goal, whole), weight * weight_of(table, goal, plain)
                    continue
                for output, each in sorted(written(table).items(), key=lambda both: label(both[0])):
                    if meets(output):
                        yield Chosen(head, output, None), weight * each

    def _program(self, entry: PartEntry) -> Iterator[tuple[Way, Any]]:
        tables, (program, value, scope, n, goal, by, plain) = self.tables, entry
        before, last = program[:-1], program[-1]
        for k in tables.sizes(before, n, (last,)):
            formal = by if by is not None and by.formal(last, n - k) else None
            table = tables.prefix(before, value, scope, k, formal)
            for output in sorted(table, key=label):
                after = (
                    formal.after(last, output, n - k)
                    if formal is not None and isinstance(output, tuple)
                    else tables.step(last, output, scope, n - k, by)
                )
                more = weight_of(after or {}, goal, plain)
                yield Split(k, output, formal, table[output], more), table[output] * more
            if isinstance(table, Spread):
                for each in sorted(table.products, key=product_label):
                    yield from self._joining(last, k, each, entry)

    def _joining(self, last: Step, k: int, before: Product, entry: PartEntry) -> Iterator[tuple[Way, Any]]:
        tables, n = self.tables, entry.n - k
        found = sorted(met_by(tables, last, before, n, entry.by), key=_met_label)
        for met in found:
            more = tables.then(last, met, entry.scope, n, entry.by).get(entry.goal, 0)
            yield Joining(k, before, met, more), met.weight * more

    def _branches(self, step: Fork, entry: PartEntry) -> Iterator[tuple[Way, Any]]:
        if entry.plain and isinstance(self.tables.branches(step, entry.value, entry.scope, entry.n), Spread):
            return
        wanted = split_bundle(entry.goal)
        given = inputs(step, entry.value)
        for sizes, found in self.tables.splits(step.programs, given, entry.scope, entry.n):
            weights = tuple(table.get(value, 0) for table, value in zip(found, wanted, strict=True))
            yield Sizes(sizes, weights), prod(weights)

    def _rounds(self, step: Copy | Loop, entry: PartEntry) -> Iterator[tuple[Way, Any]]:
        found = self.tables.rounds(step, entry.value, entry.scope, entry.n)
        for each in sorted(found, key=lambda each: (text(each.value), text(each.result))):
            output = each.output if entry.by is None else entry.by.of(each.output)
            if output == entry.goal:
                yield each, each.weight

    def _bound(self, entry: BoundEntry) -> Iterator[tuple[Way, Any]]:
        step, done, value, scope, n, goal, by = entry
        found = self.tables.bindings(step, done, value, scope, n)
        for k, output, weight, inside in sorted(found, key=lambda each: (each[0], text(each[1]))):
            more = weight_of(self.tables.bound(step, done + 1, value, inside, n - k, by), goal)
            yield Named(k, output, inside, weight, more), weight * more


def split_bundle(value: Value) -> list[Value]:
    """The members of a bundle, of all lanes."""
    bundles = [lane(value, i) for i in range(width([value]))]
    return split([each.members for each in bundles if isinstance(each, Bundle)])


def product_label(product: Product) -> tuple[Any, ...]:
    """Tells the products of a table apart: what stands before the branches, and their modules."""
    return tuple(task_label(task) for _, task in product.tasks), tuple(source[3] for source in product.sources)


def task_label(task: Task) -> tuple[Any, ...]:
    if task[0] == "choice":
        index, values = task[1]
        return index, *map(value_text, values)
    return task[4], label(task[5])


def _met_label(met: Met) -> tuple[Any, ...]:
    choice = ("", ()) if met.candidate is None else task_label(("choice", met.candidate.choice))
    return str(choice), [min(map(label, table)) for table in met.group]
