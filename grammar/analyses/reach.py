"""What types can reach what rule, and which alternatives nothing can come of.

An abstract interpretation to a fixed point: of every rule at every shape (`ein.grammar.analyses.abstract`) that
can reach it, the shapes that it can come to. First with the types themselves, as long as they are few,
and otherwise with kinds and numbers of axes only. What is found to be impossible is so for certain;
limits are not looked at, nor whether values depend on the input.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias

from ein.grammar import cfg
from ein.grammar.analyses.flow import Terms, known_name
from ein.grammar.analyses.frames import Exhausted, Frame, Refusal, Shapes, Way, claimed, ways
from ein.grammar.analyses.partial import OPEN, Node, Nodes, closed, rows
from ein.grammar.analyses.shapes import Anything, Shape, Side, count_axes, form, meet
from ein.grammar.diagnostics import EinError
from ein.grammar.numbers import Inapplicable
from ein.grammar.space import Space
from ein.grammar.types import Bundle, Tensor, ValueType

MAX_TYPES = 24
"""Types of one rule, going in or coming out, with which the exact analysis goes on."""

MAX_SHAPES = 24
"""Shapes of one rule that are told apart, going in or coming out."""

MAX_VISITS = 1_000
"""Rules taken up in one analysis, with repeats."""

MAX_ROWS = 200
"""Values of an alternative's choices that are told apart."""

Key: TypeAlias = tuple[Node, Shape]
Place: TypeAlias = tuple[str, int]
"""A rule and the index of an alternative."""


@dataclass(slots=True)
class Fate:
    """Whether some value of an alternative's choices applies, whether something can come of it, and if not, why."""

    applies: bool = False
    ends: bool = False
    refusal: Refusal | None = None

    def add(self, other: Fate) -> None:
        self.applies |= other.applies
        self.ends |= other.ends
        self.refusal = self.refusal or other.refusal


@dataclass(slots=True)
class Row:
    """An alternative with the values of its choices; `env` is None where there are none, perhaps with a reason."""

    index: int
    way: Way
    env: Mapping[str, Any] | None
    reason: Inapplicable | None
    fate: Fate = field(default_factory=Fate)


@dataclass(slots=True)
class Entry:
    """A rule at a shape: what it can come to, and who needs to know.

    `rows` is None before the first visit; those of which the number is in `stale` are to be gone through again.
    """

    outputs: Shapes = field(default_factory=set)
    users: dict[tuple[Key, int], None] = field(default_factory=dict)
    refusal: Refusal | None = None
    rows: list[Row] | None = None
    stale: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Reach:
    """The fates of the alternatives of the rules that were reached, and the shapes of the whole."""

    fates: Mapping[Place, Fate]
    outputs: frozenset[Shape]

    @property
    def dead(self) -> set[Place]:
        """Alternatives that no derivation has."""
        return {place for place, fate in self.fates.items() if not fate.ends}

    def complete(self, output: ValueType | None) -> bool:
        """Whether some derivation may come to the output that is asked for."""
        return any(output is None or meet(output, shape) is not None for shape in self.outputs)


def reach(space: Space) -> Reach | None:
    """From the start at the grammar's input; None where there are too many rules and shapes to tell."""
    start, input = (space.start.rule.name, space.start.values), space.grammar.input
    assert input is not None
    for seed, exact in ((input, True), (form(input), False)):
        try:
            flow = _Flow(space, exact)
            outputs = flow.run([(start, seed)])
            return Reach(flow.fates(), frozenset(outputs))
        except Exhausted:
            continue
    return None


def anywhere(space: Space) -> Reach | None:
    """Of all rules, whatever their parameters and whatever flows into them."""
    rules = [rule for rule in space.grammar.rules.values() if not rule.name.startswith("arch ")]
    seeds: list[Key] = [((rule.name, (OPEN,) * len(rule.parameters)), Anything()) for rule in rules]
    try:
        flow = _Flow(space, False)
        flow.run(seeds)
        return Reach(flow.fates(seeds), frozenset())
    except Exhausted:
        return None


class _Flow:
    def __init__(self, space: Space, exact: bool) -> None:
        self.space = space
        self.rules = space.grammar.rules
        self.exact = exact
        self.most = MAX_TYPES if exact else MAX_SHAPES
        self.nodes = Nodes(space.grammar)
        self.entries: dict[Key, Entry] = {}
        self.shapes: dict[Node, int] = {}
        self.waiting: dict[Key, None] = {}
        self.current: tuple[Key, int] | None = None
        self.terms = Terms(space.grammar, exact, self.use)

    def run(self, seeds: Iterable[Key]) -> set[Shape]:
        """To the fixed point; what the first seed comes to."""
        first = [self._entry(*seed) for seed in seeds]
        visits = 0
        while self.waiting:
            key = next(reversed(self.waiting))
            del self.waiting[key]
            visits += 1
            if visits > MAX_VISITS:
                raise Exhausted
            self._visit(key)
        return first[0].outputs if first else set()

    def fates(self, only: Iterable[Key] | None = None) -> dict[Place, Fate]:
        found: dict[Place, Fate] = {}
        for key in self.entries if only is None else only:
            name = key[0][0]
            for index in range(len(self.rules[name].alternatives)):
                found.setdefault((name, index), Fate())
            for row in self.entries[key].rows or ():
                found[name, row.index].add(row.fate)
        return found

    def use(self, term: cfg.RuleUse, shape: Shape, env: Mapping[str, Any]) -> tuple[Shapes, Refusal | None]:
        """What a rule can come to at a shape, as far as is known by now; the row that asks is told of more."""
        entry = self._entry(self.nodes.use(term.rule, term.arguments, env), shape)
        assert self.current is not None
        entry.users[self.current] = None
        return entry.outputs, entry.refusal

    def _entry(self, node: Node, shape: Shape) -> Entry:
        found = self.entries.get((node, shape))
        if found is not None:
            return found
        met = self.shapes.get(node, 0)
        if met >= self.most:
            if self.exact:
                raise Exhausted
            if shape != Anything():
                return self._entry(node, Anything())
        self.shapes[node] = met + 1
        found = self.entries[node, shape] = Entry()
        self.waiting[node, shape] = None
        return found

    def _visit(self, key: Key) -> None:
        (name, _), _ = key
        entry, rule = self.entries[key], self.rules[name]
        if entry.rows is None:
            entry.rows = []
            try:
                entry.rows = [row for way in self._ways(rule, *key) for row in self._rows(key[0], rule, way)]
            except Inapplicable as error:
                entry.refusal = Refusal(rule.span, "`{}`: {}", (known_name(rule.name), error.reason))
            entry.stale.update(range(len(entry.rows)))
        numbers = sorted(entry.stale)
        entry.stale.clear()
        outputs: Shapes = set()
        for number in numbers:
            self.current = (key, number)
            outputs |= self._row(rule, entry.rows[number])
        if self._grow(entry, outputs):
            for user, number in entry.users:
                self.entries[user].stale.add(number)
                self.waiting[user] = None

    def _ways(self, rule: cfg.Rule, node: Node, shape: Shape) -> Iterator[Way]:
        """The shape as the rule's signature takes it. Raises Inapplicable."""
        env = self.nodes.environment(node)
        flow = shape.members[0] if rule.packed and isinstance(shape, Bundle | Side) else shape
        axes = None if rule.packed and flow is shape else count_axes(flow)
        if axes is not None or isinstance(flow, Tensor | Bundle):
            env["rank"] = axes
        if rule.match is None or rule.signature is None:
            yield Way(env, shape)
        else:
            yield from ways(rule.signature, rule.match, shape, env, env.keys())

    def _rows(self, node: Node, rule: cfg.Rule, way: Way) -> Iterator[Row]:
        for index, alternative in enumerate(rule.alternatives):
            if not alternative.choices and alternative.guard is None:
                yield Row(index, way, way.env, None)
                continue
            reasons: list[Inapplicable] = []
            known = closed(alternative, way.env.keys())
            try:
                found = list(islice(rows(self.space, known, way.env, reasons), MAX_ROWS + 1))
            except EinError:
                found = []
                reasons.clear()
            if len(found) > MAX_ROWS:
                if self.exact:
                    raise Exhausted
                yield Row(index, way, way.env, None)
                continue
            for _, _, full in found:
                yield Row(index, way, full, None)
            if not found:
                yield Row(index, way, None, reasons[0] if reasons else self._guarded(rule, alternative))

    def _guarded(self, rule: cfg.Rule, alternative: cfg.Alternative) -> Inapplicable | None:
        """A guard over parameters is a switch, and no mistake where it is off."""
        guard = alternative.guard
        if guard is None or guard.names & {*rule.parameters, *self.space.grammar.env}:
            return None
        return Inapplicable("its guard holds for nothing that comes", guard.expr.span)

    def _row(self, rule: cfg.Rule, row: Row) -> Shapes:
        """What an alternative comes to by now; its fate is noted."""
        alternative = rule.alternatives[row.index]
        if row.env is None:
            if row.reason is not None:
                refusal = Refusal(row.reason.span or alternative.span, "{}", (row.reason.reason,), typed=False)
                row.fate = Fate(refusal=refusal)
            return set()
        frame = Frame(row.env)
        found = self.terms.flow(alternative.body, {row.way.shape}, frame)
        met = claimed(rule.goal, rule.signature, row.way, found, known_name(rule.name), frame)
        row.fate = Fate(frame.applies or bool(found), bool(met), None if met else frame.refusal)
        return met

    def _grow(self, entry: Entry, outputs: Shapes) -> bool:
        """Whether the entry has come to more than it had."""
        if entry.outputs == {Anything()} or outputs <= entry.outputs:
            return False
        entry.outputs |= outputs
        if len(entry.outputs) > self.most or Anything() in entry.outputs:
            if self.exact:
                raise Exhausted
            entry.outputs.clear()
            entry.outputs.add(Anything())
        return True
