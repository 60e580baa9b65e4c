"""Derivations out of the tables: the one of a rank, or drawn with the probability of its choices.

Within an entry the ranks of its ways follow one another; within a way they are the digits of a number, one for each
part, whose radices are the weights of the parts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

from ein.grammar.counting.classes import Classes
from ein.grammar.counting.copies import Round
from ein.grammar.counting.counts import Tables
from ein.grammar.counting.joins import Table, joined
from ein.grammar.counting.ways import (
    Backward,
    BoundEntry,
    Chosen,
    Entry,
    Joining,
    Named,
    PartEntry,
    RuleEntry,
    Sizes,
    Split,
    Ways,
    split_bundle,
)
from ein.grammar.derivations.derivation import Choices
from ein.grammar.matching.lanes import Scope, Value, beside, enter, inputs, label, run
from ein.grammar.steps import Bind, Call, Choice, Copy, Enter, Fork, Instance, Loop, Program, Step, holds_rule


class After(NamedTuple):
    """The last step of a program, on what the steps before it gave."""

    step: Step
    scope: Scope
    n: int
    goal: Any
    by: Classes | None
    plain: bool


class Emit(NamedTuple):
    choice: Choice


class Give(NamedTuple):
    """What flows on."""

    value: Value


class Claim(NamedTuple):
    """The end of a rule that claims its output."""

    instance: Instance
    value: Value


Doing: TypeAlias = Entry | After | Emit | Give | Claim

Random: TypeAlias = Callable[[], float]


class _Node:
    """An entry with its ways, and what is to be done for each of them, once those were asked for."""

    __slots__ = ("entry", "plans", "ways")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.ways: Ways | None = None
        self.plans: dict[int, Any] = {}


_EACH = object()
"""The plan of a way that is made anew for each rank."""


class Making:
    """Derivations out of tables: of a rank, if those are counts; with tables of probabilities, drawn."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.backward = Backward(tables)
        self.nodes: dict[Entry, _Node] = {}
        self.groups: dict[int, tuple[Table, list[Value], list[Any]]] = {}

    def unrank(self, entry: Entry, rank: int) -> Choices:
        """The choices of the derivation of a rank that an entry has."""
        return self._make(entry, rank, None)

    def draw(self, entry: Entry, random: Random) -> Choices:
        """With the probability of its choices, of all that make up the entry."""
        return self._make(entry, 0, random)

    def _make(self, entry: Entry, rank: Any, random: Random | None) -> Choices:
        made: list[Choice] = []
        flow: Any = None
        stack: list[tuple[Any, Any]] = [(self._node(entry), rank)]
        while stack:
            task, rank = stack.pop()
            kind = type(task)
            if kind is _Node:
                ways = task.ways
                if ways is None:
                    ways = task.ways = self.backward.ways(task.entry)
                if random is not None:
                    rank = _somewhere(random, ways.until[-1])
                at = bisect_right(ways.until, rank)
                if at:
                    rank -= ways.until[at - 1]
                plan = task.plans.get(at) or self._plan(task, at)
                if plan is _EACH:
                    plan = self.joining(task.entry, ways.ways[at], rank, random)
                    stack += [(self._node(doing), digit) for doing, digit in reversed(plan)]
                    continue
                for doing, radix in plan:
                    digit = 0
                    if radix is not None and random is None:
                        rank, digit = divmod(rank, radix)
                    stack.append((doing, digit))
            elif kind is Emit:
                made.append(task.choice)
            elif kind is Give:
                flow = task.value
            elif kind is Claim:
                flow = self.tables.met(task.instance, task.value, flow)
            else:
                step, scope, n, goal, by, plain = task
                stack.append((self._node(self.entry((step,), flow, scope, n, goal, by, plain)), rank))
        return tuple(made)

    def _node(self, doing: Doing) -> Any:
        """An entry with its ways and plans, the same object each time; all else as it is."""
        if not isinstance(doing, RuleEntry | PartEntry | BoundEntry):
            return doing
        found = self.nodes.get(doing)
        if found is None:
            found = self.nodes[doing] = _Node(doing)
        return found

    def _plan(self, node: _Node, at: int) -> Any:
        """Backwards, as it goes on the stack."""
        assert node.ways is not None
        way = node.ways.ways[at]
        if isinstance(way, Joining):
            node.plans[at] = _EACH
        else:
            plan = [(self._node(doing), radix) for doing, radix in self.plan(node.entry, way)]
            node.plans[at] = plan[::-1]
        return node.plans[at]

    def entry(
        self,
        program: Program,
        value: Value,
        scope: Scope,
        n: int,
        goal: Any,
        by: Classes | None = None,
        plain: bool = False,
    ) -> Doing:
        """What stands for a program, where its one step is made of others."""
        if len(program) == 1:
            step = program[0]
            if isinstance(step, Call):
                return RuleEntry(step.instance, value, n, goal, by, plain)
            if not holds_rule(step):
                return Give(run(self.tables.space, step, value, scope)[0])
            if isinstance(step, Enter):
                return self.entry(enter(self.tables.space, step, value), value, scope, n, goal, by, plain)
            if isinstance(step, Bind):
                return BoundEntry(step, 0, value, self.tables.scope(program, scope), n, goal, by)
        return PartEntry(program, value, self.tables.scope(program, scope), n, goal, by, plain)

    def plan(self, entry: Entry, way: Any) -> list[tuple[Doing, Any]]:
        """What is to be done for a way of an entry, in order, each with the radix of its rank, if it has one."""
        match entry, way:
            case RuleEntry(instance, value, n, _, _, plain), Chosen(head, output, whole):
                done: list[tuple[Doing, Any]] = [(Emit(head.candidate.choice), None)]
                if head.program:
                    plain, left = plain and not instance.claims, n - head.modules
                    inner = self.entry(head.program, head.value, head.scope, left, output, whole, plain)
                    done.append((inner, self.weigh(inner)))
                else:
                    done.append((Give(head.value), None))
                return [*done, (Claim(instance, value), None)] if instance.claims else done
            case PartEntry(program, value, scope, n, goal, by, plain), Split(k, output, formal, weight, more):
                first = self.entry(program[:-1], value, scope, k, output, formal, formal is None)
                after: Doing = After(program[-1], scope, n - k, goal, by, plain)
                if formal is None:
                    after = self.entry(program[-1:], output, scope, n - k, goal, by, plain)
                return [(first, weight), (after, more)]
            case PartEntry((Fork() as step,), value, scope, _, goal), Sizes(sizes, weights):
                wanted = zip(step.programs, inputs(step, value), sizes, split_bundle(goal), weights, strict=True)
                parts = [(self.entry(program, given, scope, k, each), w) for program, given, k, each, w in wanted]
                return [*parts, (Give(goal), None)]
            case PartEntry((Copy() | Loop() as step,), _, _, n), Round(value, scope, result, weight, output):
                inner = self.entry(step.program, value, scope, n // step.count, result)
                return [(inner, weight), (Give(output), None)]
            case BoundEntry(step, count, value, scope, n, goal, by), Named(k, output, inside, weight, more):
                first = self.entry(step.bindings[count][1], value, scope, k, output)
                return [(first, weight), (self._bound(step, count + 1, value, inside, n - k, goal, by), more)]
        raise AssertionError(entry)

    def weigh(self, doing: Doing) -> Any:
        """The ranks of an entry; None for what has one alone."""
        return self.backward.ways(doing).until[-1] if isinstance(doing, RuleEntry | PartEntry | BoundEntry) else None

    def _bound(self, step: Bind, done: int, value: Value, scope: Scope, n: int, goal: Any, by: Classes | None) -> Doing:
        if done < len(step.bindings):
            return BoundEntry(step, done, value, self.tables.scope((step,), scope), n, goal, by)
        return self.entry(step.body, value, scope, n, goal, by)

    def joining(self, entry: PartEntry, way: Joining, rank: Any, random: Random | None) -> list[tuple[Doing, Any]]:
        product, met = way.product, way.met
        ranks = iter(digits(rank, self.radices(way), random))
        done: list[tuple[Doing, Any]] = [(self.task(task), next(ranks)) for _, task in product.tasks]
        values: list[Value] = []
        for (program, value, scope, n), table in zip(product.sources, met.group, strict=True):
            chosen, left = self._member(table, next(ranks), random)
            values.append(chosen)
            done.append((self.entry(program, value, scope, n, chosen), left))
        return [*done, *self.joined(entry, way, values, next(ranks))]

    def radices(self, way: Joining) -> list[Any]:
        """Of what stands before branches, of the members that meet, and of what comes then."""
        before = [weight for weight, _ in way.product.tasks]
        return [*before, *(sum(table.values()) for table in way.met.group), way.more]

    def task(self, task: Any) -> Doing:
        if task[0] == "choice":
            return Emit(task[1])
        _, program, value, scope, n, output = task
        return self.entry(program, value, scope, n, output, None, True)

    def joined(self, entry: PartEntry, way: Joining, values: list[Value], rank: Any) -> list[tuple[Doing, Any]]:
        last, met, n = entry.program[-1], way.met, entry.n - way.k
        if met.rest is None:
            return [(self.entry((last,), beside(values), entry.scope, n, entry.goal, entry.by), rank)]
        application = met.candidate.first if met.candidate is not None else last.application  # type: ignore[union-attr]
        value = joined(application, values)  # type: ignore[arg-type]
        assert value is not None
        done: list[tuple[Doing, Any]] = [(Emit(met.candidate.choice), 0)] if met.candidate is not None else []
        if not met.rest:
            return [*done, (Give(value), rank)]
        rest = self.entry(met.rest, value, (), n - self.tables.module, entry.goal, entry.by)
        return [*done, (rest, rank)]

    def group(self, table: Table) -> tuple[list[Value], list[Any]]:
        """The values of a group in order, and the sums of their weights."""
        found = self.groups.get(id(table))
        if found is None:
            values = sorted(table, key=label)
            found = self.groups[id(table)] = table, values, list(accumulate(table[value] for value in values))
        return found[1], found[2]

    def _member(self, table: Table, rank: Any, random: Random | None) -> tuple[Value, Any]:
        values, until = self.group(table)
        if random is not None:
            rank = _somewhere(random, until[-1])
        at = bisect_right(until, rank)
        return values[at], rank - (until[at - 1] if at else 0)


def digits(rank: Any, radices: Sequence[Any], random: Random | None) -> list[Any]:
    """The digits of a number, the last the smallest; those of what is drawn do not matter."""
    if random is not None:
        return [0] * len(radices)
    found = []
    for radix in reversed(radices):
        rank, digit = divmod(rank, radix)
        found.append(digit)
    return found[::-1]


def number(found: Sequence[int], radices: Sequence[int]) -> int:
    total = 0
    for digit, radix in zip(found, radices, strict=True):
        total = total * radix + digit
    return total


def _somewhere(random: Random, total: float) -> float:
    """A point below the total."""
    return min(random() * total, total * (1 - 2**-53))
