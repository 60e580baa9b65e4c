"""How many derivations there are: the typed grammar as an ordinary one, by size.

With the type put beside the rule, the derivations of a rule at a type that have n modules follow from those of smaller
ones: a table of (rule, input type, modules) gives their number for each output type. Where nothing depends on the
output but its class (classes.py), a table of classes is enough; branches stay apart until they are joined (joins.py).
The recursion is that of Flajolet, Zimmermann and Van Cutsem (1994) with types in the nonterminals.

Weights are 1 for each choice, or its probability: then tables hold the mass of what they count (inside weights).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ein.grammar.counting.bounds import Bounds
from ein.grammar.counting.branches import Met, Spread, add, bundles, met_by, written
from ein.grammar.counting.classes import Classes, outline
from ein.grammar.counting.copies import Round, rounds, trial
from ein.grammar.counting.joins import Joins, Table, form
from ein.grammar.counting.nested import Nested
from ein.grammar.counting.sharing import Sharing
from ein.grammar.diagnostics import EinError, fail
from ein.grammar.matching.lanes import Head, Scope, Value, enter, heads, inputs, meet, mentions, named, only, run
from ein.grammar.numbers import Inapplicable
from ein.grammar.space import Space
from ein.grammar.steps import Apply, Bind, Call, Copy, Enter, Fork, Instance, Loop, Program, Step, holds_rule
from ein.grammar.types import ValueType

MAX_ENTRIES = 8_000_000
"""Of all tables together: what stops a count before it takes more than some gigabytes."""

SMALL = 4
"""Combinations of what branches give that are written out."""


@dataclass(slots=True, eq=False)
class Known:
    """The candidates of a rule at a value: what those without rules give, by modules, and the others."""

    settled: dict[int, Table]
    open: list[Head]


class Full(Exception):
    """The tables have reached their bound."""


class Tables:
    """Counts of a space whose rules are settled, in at most `most` entries.

    `probabilities`: weights are those of choices, not 1. Not `sized`: derivations of all sizes together, as size 0.
    Before what it gives is asked for, `solve`: else tables nested deeply raise an exception of their own.
    """

    def __init__(
        self,
        space: Space,
        output: ValueType | None = None,
        probabilities: bool = False,
        sized: bool = True,
        most: int = MAX_ENTRIES,
    ) -> None:
        self.space = space
        self.sized = sized
        self.probabilities = probabilities
        self.entries = 0
        self.allowed = most
        self.bounds = Bounds(space)
        self.joins = Joins()
        self.sharing = Sharing(space)
        self.outlines = Classes(self, output, outline)
        self.classes = Classes(self, output, form)
        self.calls: dict[Classes | None, dict[Instance, dict[Value, dict[int, Table]]]] = {
            None: {},
            self.classes: {},
            self.outlines: {},
        }
        self.parts: dict[Any, Table] = {}
        self.rests: dict[Program, Program] = {}
        self.alike: dict[tuple[Any, ...], Program] = {}
        self.known: dict[tuple[Instance, Value], Known] = {}
        self.nested = Nested(self.endless)
        self.mentioned: dict[Program, frozenset[str] | None] = {}

    def solve(self, ask: Callable[[], Any]) -> Any:
        """What `ask` gives. Raises EinError, Full."""
        return self.nested.solve(ask)

    def endless(self, instance: Instance | None = None) -> EinError:
        name = self.space.grammar.name
        of = "any one size" if self.sized else "all sizes together"
        where = f"`{instance!r}`" if instance is not None else "a rule"
        span = instance.rule.span if instance is not None else None
        help = "count them by size: `--size`" if not self.sized else "an alternative that is a rule alone leads back"
        message = f"`{name}` has no end of derivations of {of}: {where} comes back to itself at the same type"
        return fail("E709", message, span, help=help)

    def _charge(self, table: Table) -> None:
        self.entries += len(table) + 1
        if self.entries > self.allowed:
            raise Full

    # --- rules

    def call(self, instance: Instance, value: Value, n: int, by: Classes | None = None) -> Table:
        """What the rule gives in n modules; if `by`, by class."""
        sizes = self.calls[by].setdefault(instance, {}).setdefault(value, {})
        found = sizes.get(n)
        if found is None:
            found = sizes[n] = self.nested.begin((instance, value, n, by), self._rule, self.call)
            self._charge(found)
        return found

    def _rule(self, instance: Instance, value: Value, n: int, by: Classes | None) -> Table:
        if by is not None:
            full = self.calls[None].get(instance, {}).get(value, {}).get(n)
            if full is not None or instance.claims:
                return by.table(written(self.call(instance, value, n)))
            known_by_class = by.known(instance, value, n)
            if known_by_class is not None:
                return known_by_class
            if by is self.classes:
                return by.table(self.call(instance, value, n, self.outlines))
        known = self.heads(instance, value)
        settled = known.settled.get(n, {})
        out = Spread(settled if by is None else by.table(settled))
        for head in known.open:
            left = n - head.modules
            if self.least(head.program) <= left <= self.most(head.program):
                found = self._rest(head, left, by)
                weight = self.weight(head.probability)
                add(out, found, weight, ("choice", head.candidate.choice))
        if instance.claims:
            return self._met(instance, value, written(out))
        return out.plain() if by is None else by.table(written(out))

    def _rest(self, head: Head, n: int, by: Classes | None) -> Table:
        """What follows the first operators of a candidate; many types, and alternatives, lead to one and the same."""
        if not head.candidate.leading:
            return self.program(head.program, head.value, head.scope, n, by)
        same = self.rests.get(head.program)
        if same is None:
            same = self.rests[head.program] = self.alike.setdefault(tuple(map(_does, head.program)), head.program)
        return self.prefix(same, head.value, head.scope, n, by)

    def heads(self, instance: Instance, value: Value) -> Known:
        found = self.known.get((instance, value))
        if found is None:
            found = self.known[instance, value] = Known({}, [])
            for head in self.candidates(instance, value):
                if head.program:
                    found.open.append(head)
                else:
                    table = found.settled.setdefault(head.modules, {})
                    table[head.value] = table.get(head.value, 0) + self.weight(head.probability)
        return found

    def candidates(self, instance: Instance, value: Value) -> list[Head]:
        """In the order of the file; without those that cannot share the weights that they would share."""
        found = heads(self.space, instance, value)
        if self.sharing.any:
            found = [head for head in found if self.sharing.leading(head.candidate, value)]
        return found if self.sized else [replace(head, modules=0) for head in found]

    def _met(self, instance: Instance, value: Value, table: Table) -> Table:
        out: Table = {}
        for output, weight in table.items():
            found = self.met(instance, value, output)
            if found is not None:
                out[found] = out.get(found, 0) + weight
        return out

    def met(self, instance: Instance, value: Value, output: Value) -> Value | None:
        """The output as the rule claims it; None where it is another."""
        try:
            return meet(self.space, instance, value, output) if instance.claims else output
        except Inapplicable:
            return None

    def weight(self, probability: float) -> Any:
        return probability if self.probabilities else 1

    def least(self, program: Program) -> float:
        return self.bounds.least(program) if self.sized else 0

    def most(self, program: Program) -> float:
        return self.bounds.most(program) if self.sized else 0

    # --- programs

    def program(self, program: Program, value: Value, scope: Scope, n: int, by: Classes | None = None) -> Table:
        """What the steps give one after another, in n modules together."""
        if len(program) == 1:
            return self.step(program[0], value, scope, n, by)
        if by is self.classes:
            return by.table(self.program(program, value, scope, n, self.outlines))
        scope = self.scope(program, scope)
        before, last = program[:-1], program[-1]
        out = Spread()
        for k in self.sizes(before, n, (last,)):
            table = None
            if by is not None and by.formal(last, n - k):
                table = by.if_follows(last, self.prefix(before, value, scope, k, by), n - k)
            if table is None:
                table = self.prefix(before, value, scope, k)
            if table:
                self._follow(last, table, scope, n - k, by, out, ("part", before, value, scope, k))
        return out.plain()

    def sizes(self, before: Program, n: int, after: Program) -> range:
        """The modules that the first part of a program can have where both have n."""
        least, most = max(self.least(before), n - self.most(after)), min(self.most(before), n - self.least(after))
        return range(int(least), int(most) + 1) if least <= most else range(0)

    def prefix(self, program: Program, value: Value, scope: Scope, n: int, by: Classes | None = None) -> Table:
        """As `program`, kept."""
        if len(program) == 1:
            return self.step(program[0], value, scope, n, by)
        scope = self.scope(program, scope)
        key = program, value, scope, n, by
        found = self.parts.get(key)
        if found is None:
            found = self.parts[key] = self.program(program, value, scope, n, by)
            self._charge(found)
        return found

    def scope(self, program: Program, scope: Scope) -> Scope:
        """What of the scope the program mentions."""
        if not scope:
            return scope
        if program not in self.mentioned:
            self.mentioned[program] = mentions(program)
        return only(scope, self.mentioned[program])

    def _follow(
        self, last: Step, before: Table, scope: Scope, n: int, by: Classes | None, out: Spread, task: Any
    ) -> None:
        """Adds what `last` makes, in n modules, of each value or class of a table."""
        get = out.get
        nothing: dict[int, Table] = {}
        known = self.calls[by].get(last.instance, {}) if isinstance(last, Call) else {}
        for value, weight in before.items():
            table = known.get(value, nothing).get(n)
            if table is None:
                table = self._after(last, value, scope, n, by)
            if type(table) is dict:
                for output, more in table.items():
                    out[output] = get(output, 0) + weight * more
            elif table:
                add(out, table, weight, (*task, value))
        if isinstance(before, Spread):
            for each in before.products:
                for met in met_by(self, last, each, n, by, False):
                    for output, more in self.then(last, met, scope, n, by).items():
                        out[output] = get(output, 0) + met.weight * more

    def _after(self, last: Step, value: Any, scope: Scope, n: int, by: Classes | None) -> Table | None:
        if type(value) is tuple and by is not None:
            return by.after(last, value, n)
        return self.step(last, value, scope, n, by)

    def then(self, last: Step, met: Met, scope: Scope, n: int, by: Classes | None) -> Table:
        """What `last` makes of branches that met, where `met` has done its first operator or only put them together."""
        if met.rest is None:
            return written(self.step(last, met.value, scope, n, by))
        if met.rest:
            return written(self.program(met.rest, met.value, (), n - self.module, by))
        if n != self.module:
            return {}
        return {met.value if by is None else by.of(met.value): 1}

    @property
    def module(self) -> int:
        """What one operator counts."""
        return 1 if self.sized else 0

    # --- steps

    def step(self, step: Step, value: Value, scope: Scope, n: int, by: Classes | None = None) -> Table:
        """What a step makes of a value in n modules."""
        if isinstance(step, Call):
            return self.call(step.instance, value, n, by)
        try:
            found = self._step(step, value, scope, n, by)
        except Inapplicable:
            return {}
        return found if by is None else by.table(written(found))

    def _step(self, step: Step, value: Value, scope: Scope, n: int, by: Classes | None) -> Table:
        if not holds_rule(step):
            output, modules = run(self.space, step, value, scope)
            fits = n == (modules if self.sized else 0) and self.sharing.fits((step,), value, scope)
            return {output: 1} if fits else {}
        match step:
            case Enter():
                return self.program(enter(self.space, step, value), value, scope, n, by)
            case Fork():
                return self.branches(step, value, scope, n)
            case Bind():
                return self.bound(step, 0, value, scope, n, by)
            case Copy() | Loop():
                out: Table = {}
                for each in self.rounds(step, value, scope, n):
                    out[each.output] = out.get(each.output, 0) + each.weight
                return out
        raise AssertionError(step)

    def rounds(self, step: Copy | Loop, value: Value, scope: Scope, n: int) -> list[Round]:
        """What copies or rounds that have n modules together come to."""
        part, left = divmod(n, step.count)
        if left or not self.least(step.program) <= part <= self.most(step.program):
            return []

        def inner(value: Value, scope: Scope) -> Table:
            return written(self.prefix(step.program, value, scope, part))

        return list(rounds(trial(step, value, self.scope(step.program, scope)), inner))

    def bound(self, step: Bind, done: int, value: Value, scope: Scope, n: int, by: Classes | None = None) -> Table:
        """Of a `let` of which `done` names have their values, in n modules for what is left."""
        if done == len(step.bindings):
            return self.program(step.body, value, scope, n, by)
        scope = self.scope((step,), scope)
        key = step, done, value, scope, n, by
        found = self.parts.get(key)
        if found is None:
            out = Spread()
            for k, _, weight, inside in self.bindings(step, done, value, scope, n):
                add(out, written(self.bound(step, done + 1, value, inside, n - k, by)), weight)
            found = self.parts[key] = out.plain()
            self._charge(found)
        return found

    def bindings(
        self, step: Bind, done: int, value: Value, scope: Scope, n: int
    ) -> Iterator[tuple[int, Value, Any, Scope]]:
        """What the next name can stand for: modules, value, weight, and the scope with it."""
        names, program = step.bindings[done]
        for k in self.sizes(program, n, tuple(s for p in step.programs[done + 1 :] for s in p)):
            for output, weight in written(self.prefix(program, value, scope, k)).items():
                try:
                    yield k, output, weight, named(names, output, scope, step.span)
                except Inapplicable:
                    continue

    def branches(self, step: Fork, value: Value, scope: Scope, n: int) -> Table:
        """Bundles of what the branches give; many of them stay a product."""
        scope = self.scope((step,), scope)
        key = step, value, scope, n
        found = self.parts.get(key)
        if found is None:
            found = self.parts[key] = self._branches(step, inputs(step, value), scope, n)
            self._charge(found)
        return found

    def _branches(self, step: Fork, given: list[Value], scope: Scope, n: int) -> Table:
        found = []
        for sizes, tables in self.splits(step.programs, given, scope, n):
            found.append((tables, tuple(zip(step.programs, given, (scope,) * len(given), sizes, strict=True))))
        return bundles(found, SMALL)

    def splits(
        self, programs: tuple[Program, ...], given: list[Value], scope: Scope, n: int
    ) -> Iterator[tuple[tuple[int, ...], tuple[Table, ...]]]:
        """The modules of each of several programs that have n together, with what they give."""
        first, rest = programs[0], tuple(step for program in programs[1:] for step in program)
        for k in self.sizes(first, n, rest) if rest else (n,):
            table = written(self.prefix(first, given[0], scope, k))
            if table and not rest:
                yield (k,), (table,)
            elif table:
                for sizes, tables in self.splits(programs[1:], given[1:], scope, n - k):
                    yield (k, *sizes), (table, *tables)


def _does(step: Step) -> Any:
    """The same for steps that do the same."""
    match step:
        case Call(instance):
            return instance
        case Apply(application):
            return application
        case _:
            return step
