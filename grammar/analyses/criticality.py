"""How a grammar grows: uses of rules by one use of a rule, and what sizes that comes to.

A use of a rule makes, in the mean, so many further uses of each rule. These numbers are the mean
matrix of a branching process, once for what is drawn (a copied branch is drawn once) and once for
what is built (`^ n` and `* n` count n times). The process ends with finite expected size exactly
where the spectral radius of its matrix is below 1.

Types are left out: the chances are those of all alternatives that can apply at some type, and a
guard that asks for the type counts as true. `rank` in a choice set is that of the grammar's input.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ein.grammar import cfg
from ein.grammar.analyses.matrices import components, contracted, restricted, spectral_radius, totals
from ein.grammar.analyses.partial import Node, Nodes, Row, closed, copies, rows
from ein.grammar.diagnostics import EinError
from ein.grammar.space import Space
from ein.grammar.types import rank
from ein.grammar.weights import Group, shares, weigh


@dataclass(slots=True)
class Uses:
    """Expected uses of operators and of rules, drawn or built."""

    modules: float = 0.0
    rules: dict[Node, float] = field(default_factory=dict)

    def add(self, other: Uses, times: float) -> None:
        self.modules += times * other.modules
        for node, uses in other.rules.items():
            self.rules[node] = self.rules.get(node, 0.0) + times * uses


@dataclass(frozen=True, slots=True)
class Mean:
    """What one use of an alternative or a rule makes."""

    drawn: Uses
    built: Uses


@dataclass(frozen=True, slots=True)
class Weighed:
    """An alternative as the rule's parameters leave it: its weight, and what it makes."""

    index: int
    weight: float
    percentage: bool
    mean: Mean


@dataclass(frozen=True, slots=True)
class Recursion:
    """Rules that need each other. `matrix` is over those of them that need themselves directly, the others
    written into it, so that `radius` counts from one use of such a rule to the next."""

    members: tuple[Node, ...]
    matrix: Mapping[Node, Mapping[Node, float]]
    radius: float


@dataclass(frozen=True)
class Growth:
    """The mean matrices of a grammar, over the rules that its start can come to."""

    start: Node
    alternatives: Mapping[Node, tuple[Weighed, ...]]

    @cached_property
    def means(self) -> dict[Node, Mean]:
        return {node: mean(found) for node, found in self.alternatives.items()}

    @cached_property
    def drawn(self) -> float:
        """The spectral radius of what is drawn."""
        return max((found.radius for found in self.recursions(False)), default=0.0)

    @cached_property
    def built(self) -> float:
        """The spectral radius of what is built."""
        return max((found.radius for found in self.recursions(True)), default=0.0)

    def matrix(self, built: bool) -> dict[Node, dict[Node, float]]:
        return {node: (mean.built if built else mean.drawn).rules for node, mean in self.means.items()}

    def recursions(self, built: bool) -> Iterator[Recursion]:
        matrix = self.matrix(built)
        for component in components(matrix):
            inside = restricted(matrix, component)
            if any(inside.values()):
                left = contracted(inside)
                yield Recursion(tuple(component), left, spectral_radius(left))

    def expected_size(self, built: bool) -> float:
        """Modules of one use of the start; inf where they have no mean."""
        own = {n: (mean.built if built else mean.drawn).modules for n, mean in self.means.items()}
        return totals(self.matrix(built), own)[self.start]

    def reweighed(self, rule: str, index: int, share: float) -> Growth:
        """With one alternative of a rule drawn with the chance `share`, and the others in proportion."""
        changed = {
            node: tuple(_with_chance(found, index, share))
            for node, found in self.alternatives.items()
            if node[0] == rule
        }
        return Growth(self.start, {**self.alternatives, **changed})


def _with_chance(found: Sequence[Weighed], index: int, share: float) -> Iterator[Weighed]:
    shares = chances(found)
    others = sum(each for alternative, each in zip(found, shares, strict=True) if alternative.index != index)
    for alternative, each in zip(found, shares, strict=True):
        mine = share if alternative.index == index else (1.0 - share) * each / others if others else 0.0
        yield replace(alternative, weight=mine, percentage=True)


def mean(found: Sequence[Weighed]) -> Mean:
    """Of a rule, from its alternatives and their chances."""
    drawn, built = Uses(), Uses()
    for alternative, share in zip(found, chances(found), strict=True):
        drawn.add(alternative.mean.drawn, share)
        built.add(alternative.mean.built, share)
    return Mean(drawn, built)


def chances(found: Sequence[Weighed]) -> list[float]:
    parts = list(shares([(a.weight, a.percentage, [1.0]) for a in found]))
    total = sum(parts)
    return [part / total if total else 0.0 for part in parts]


def growth(space: Space, dead: Container[tuple[str, int]] = ()) -> Growth:
    """Of the grammar of `space`; alternatives in `dead` (rule, index) never apply and are left out."""
    start = (space.start.rule.name, space.start.values)
    found: dict[Node, tuple[Weighed, ...]] = {}
    reader = _Reader(space, dead)
    waiting = [start]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found[node] = tuple(reader.alternatives(node))
            waiting += [other for each in found[node] for other in each.mean.drawn.rules]
    return Growth(start, found)


class _Reader:
    def __init__(self, space: Space, dead: Container[tuple[str, int]]) -> None:
        self.space = space
        self.nodes = Nodes(space.grammar)
        self.dead = dead
        axes = rank(space.grammar.input) if space.grammar.input is not None else None
        self.rank = {} if axes is None else {"rank": axes}

    def alternatives(self, node: Node) -> Iterator[Weighed]:
        env = self.nodes.environment(node)
        for index, alternative in enumerate(self.space.grammar.rules[node[0]].alternatives):
            if (node[0], index) not in self.dead:
                weighed = self._weighed(index, alternative, env)
                if weighed is not None:
                    yield weighed

    def _weighed(self, index: int, alternative: cfg.Alternative, env: Mapping[str, Any]) -> Weighed | None:
        """The alternative, its values averaged; None where no value of its choices is left."""
        asks_type = alternative.guard is not None and "rank" in alternative.guard.names
        known = closed(replace(alternative, guard=None) if asks_type else alternative, {*env, *self.rank})
        found = list(rows(self.space, known, {**env, **self.rank}, []))
        if not found:
            return None
        weight, percentage, weights = _weigh(known, env, found)
        drawn, built, total = Uses(), Uses(), sum(weights)
        for part, (_, _, full) in zip(weights, found, strict=True):
            if part:
                self._count(alternative.body, full, part / total, part / total, drawn, built)
        return Weighed(index, weight, percentage, Mean(drawn, built))

    def _count(
        self, term: cfg.Term, env: Mapping[str, Any], drawn: float, built: float, into: Uses, into_built: Uses
    ) -> None:
        """Adds what a term makes that is drawn `drawn` and built `built` times."""
        match term:
            case cfg.Use():
                into.modules += drawn
                into_built.modules += built
            case cfg.RuleUse(rule, arguments):
                node = self.nodes.use(rule, arguments, env)
                into.rules[node] = into.rules.get(node, 0.0) + drawn
                into_built.rules[node] = into_built.rules.get(node, 0.0) + built
            case cfg.Copies(body, count):
                self._count(body, env, drawn, built * copies(count, env, 2), into, into_built)
            case cfg.Repeated(body, count):
                self._count(body, env, drawn, built * copies(count, env, 1), into, into_built)
            case _:
                for part in cfg.parts(term):
                    self._count(part, env, drawn, built, into, into_built)


def _weigh(alternative: cfg.Alternative, env: Mapping[str, Any], found: Sequence[Row]) -> Group:
    """A weight that asks for the type, or is none here, counts as 1: drawing has the last word on it."""
    values = [row[:2] for row in found]
    try:
        if alternative.weight is None or "rank" not in alternative.weight.names:
            return weigh(alternative, env, values)
    except EinError:
        pass
    return weigh(replace(alternative, weight=None), env, values)
