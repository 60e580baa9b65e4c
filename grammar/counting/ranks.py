"""The rank of a derivation: the inverse of `Making.unrank`."""

from __future__ import annotations

from typing import Any

from ein.grammar.counting.branches import Spread
from ein.grammar.counting.copies import Round
from ein.grammar.counting.joins import Table
from ein.grammar.counting.making import Doing, Emit, Give, Making, number
from ein.grammar.counting.reading import PartNode, RuleNode, StepNode, Task, trampoline
from ein.grammar.counting.ways import (
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
    task_label,
)
from ein.grammar.matching.lanes import Scope, Value, beside, label
from ein.grammar.numbers import Inapplicable
from ein.grammar.steps import Bind, Call, Copy, Enter, Fork, Loop


class Ranks:
    def __init__(self, making: Making) -> None:
        self.making = making

    def rank(self, entry: Entry, node: RuleNode) -> int:
        """Raises Inapplicable where the derivation is not of the entry."""
        found: int = trampoline(self._rank(entry, node))
        return found

    def _rank(self, entry: Doing, node: Any) -> Task:
        """Of a use of a rule, a program, or the parts of a `let`, in the entry that stands for it."""
        if isinstance(entry, Give):
            return 0
        assert isinstance(entry, RuleEntry | PartEntry | BoundEntry)
        ways = self.making.backward.ways(entry)
        at = self._place(entry, ways, node)
        found = yield from self._inside(entry, ways.ways[at], node)
        return ways.before(at) + found

    def _place(self, entry: Entry, ways: Ways, node: Any) -> int:
        match entry:
            case RuleEntry():
                output = node.head.value if node.body is None else node.body.output
                choice = node.head.candidate.choice
                found = ways.places((choice, output)) or ways.places((choice, self.making.tables.classes.of(output)))
            case BoundEntry(done=done):
                found = ways.places((node[done].n, node[done].output))
            case PartEntry(program) if len(program) > 1:
                found = self._parted(ways, node)
            case _:
                step: StepNode = node.steps[0]
                if isinstance(step.step, Fork):
                    found = ways.places(tuple(part.n for part in step.inside))
                else:
                    found = ways.places((step.inside.value, step.inside.output))
        if not found:
            raise Inapplicable("the derivation is not one of these")
        return found[0]

    def _parted(self, ways: Ways, node: PartNode) -> list[int]:
        """Where a program of several steps is: after a value, its class, or joining branches."""
        before, last = node.first(len(node.program) - 1), node.steps[-1]
        made = self._product(before)
        if made is not None:
            choice = last.inside.head.candidate.choice if isinstance(last.inside, RuleNode) else None
            values = [part.output for part in made[1]]
            for key in (choice, None):
                for at in ways.places((before.n, made[0], key)):
                    way = ways.ways[at]
                    assert isinstance(way, Joining)
                    if all(value in table for value, table in zip(values, way.met.group, strict=True)):
                        return [at]
        output = before.output
        return ways.places((before.n, output)) or ways.places((before.n, self.making.tables.classes.of(output)))

    def _product(self, node: PartNode) -> tuple[Any, list[PartNode], list[PartNode]] | None:
        """The label of the product that a program ends in, its branches, and the programs before them."""
        tasks: list[Any] = []
        parts: list[PartNode] = []
        while True:
            last = node.steps[-1]
            if len(node.steps) > 1:
                parts.append(node.first(len(node.steps) - 1))
                tasks.append((parts[-1].n, label(parts[-1].output)))
            value = parts[-1].output if len(node.steps) > 1 else node.value
            match last.step:
                case Call(instance):
                    inside: RuleNode = last.inside
                    if instance.claims or inside.body is None:
                        return None
                    tasks.append(task_label(("choice", inside.head.candidate.choice)))
                    node = inside.body
                case Enter() if last.inside is not None:
                    node = last.inside
                case Fork() as step if last.inside is not None:
                    table = self._branches(step, value, node.scope, last.n)
                    if not isinstance(table, Spread):
                        return None
                    return (tuple(tasks), tuple(part.n for part in last.inside)), last.inside, parts
                case _:
                    return None

    def _branches(self, step: Fork, value: Value, scope: Scope, n: int) -> Table:
        found: Table = self.making.tables.solve(lambda: self.making.tables.branches(step, value, scope, n))
        return found

    def _inside(self, entry: Entry, way: Any, node: Any) -> Task:
        match entry, way:
            case RuleEntry(_, _, n, _, _, plain), Chosen(head, output, whole):
                if not head.program:
                    return 0
                plain = plain and not entry.instance.claims
                inner = self.making.entry(head.program, head.value, head.scope, n - head.modules, output, whole, plain)
                return (yield self._rank(inner, opened(node.body)))
            case PartEntry(program, value, scope, n, goal, by, plain), Split(k, output, formal, weight, more):
                before, last = node.first(len(program) - 1), node.steps[-1]
                first = self.making.entry(program[:-1], value, scope, k, output, formal, formal is None)
                one = yield self._rank(first, opened(before))
                after = self.making.entry(program[-1:], before.output, scope, n - k, goal, by, plain)
                two = yield self._rank(after, opened(PartNode(program[-1:], before.output, scope, (last,))))
                return number((one, two), (weight, more))
            case PartEntry(), Joining():
                return (yield self._rank_joining(entry, way, node))
            case PartEntry((Fork(),)), Sizes(weights=weights):
                tasks = self.making.plan(entry, way)
                found = []
                for (task, _), part in zip(tasks, node.steps[0].inside, strict=False):
                    found.append((yield self._rank(task, opened(part))))
                return number(found, weights)
            case PartEntry((Copy() | Loop(),)), Round():
                [(task, _), _] = self.making.plan(entry, way)
                return (yield self._rank(task, opened(node.steps[0].inside)))
            case BoundEntry(step, done), Named(weight=weight, more=more):
                [(first, _), (rest, _)] = self.making.plan(entry, way)
                one = yield self._rank(first, opened(node[done]))
                same = isinstance(rest, BoundEntry) and rest.step is step
                two = yield self._rank(rest, node if same else opened(node[done + 1]))
                return number((one, two), (weight, more))
        raise AssertionError(entry)

    def _rank_joining(self, entry: PartEntry, way: Joining, node: PartNode) -> Task:
        made = self._product(node.first(len(node.program) - 1))
        assert made is not None
        _, branches, parts = made
        found = []
        waiting = iter(parts)
        for _, task in way.product.tasks:
            inner = self.making.task(task)
            found.append(0 if isinstance(inner, Emit) else (yield self._rank(inner, opened(next(waiting)))))
        for (program, value, scope, n), table, part in zip(way.product.sources, way.met.group, branches, strict=True):
            values, until = self.making.group(table)
            at = values.index(part.output)
            one = yield self._rank(self.making.entry(program, value, scope, n, part.output), opened(part))
            found.append(one + (until[at - 1] if at else 0))
        doing = self.making.joined(entry, way, [part.output for part in branches], 0)
        last = node.steps[-1]
        if way.met.rest is None:
            alone = PartNode(entry.program[-1:], beside([part.output for part in branches]), entry.scope, (last,))
            found.append((yield self._rank(doing[0][0], opened(alone))))
        elif way.met.rest:
            found.append((yield self._rank(doing[-1][0], opened(last.inside.body))))
        else:
            found.append(0)
        return number(found, self.making.radices(way))


def opened(node: PartNode | None) -> Any:
    """What stands for a program in `Ranks._entry`: its one step, where that is made of others."""
    while node is not None and len(node.steps) == 1:
        step = node.steps[0]
        if isinstance(step.step, Enter) and step.inside is not None:
            node = step.inside
        elif isinstance(step.step, Call | Bind):
            return step.inside
        else:
            return node
    return node
