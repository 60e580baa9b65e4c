"""The nodes of an operation graph as nested parts: uses of rules and macros, and equal ones beside each other as runs.

A part is kept where it says something: it holds two nodes or more (of a rule three), is not all of what is around it,
and no wire leaves it and comes back. A rule inside itself is not drawn again, unless the graph is so large that it has
to be folded.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import networkx as nx

from ein.compiler.graph import OpGraph
from ein.compiler.nodes import COPY, Scope, Use

DEEPEST = 100
"""Parts inside parts; what is deeper is not told apart."""
LEAST_BOXES = 3
"""Of single nodes that make a run; of parts two do."""
MOST_OF = 0.8
"""Of what is around it: a rule that holds more than this share is no part."""
LEAST_NODES = 3
"""Of a rule that is a part."""
WIDEST = 60
"""Items of a part in a large graph; more are cut into pieces of about this many."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What came from one use of a rule or macro; `name` is "" for a copy of what has no name, and for pieces."""

    name: str
    items: tuple[Node, ...]
    nodes: tuple[int, ...]
    """All that are in it, in the order of the items."""


@dataclass(frozen=True, slots=True, eq=False)
class Same:
    """Items of one structure, in series or side by side."""

    items: tuple[int | Part, ...]
    series: bool


Node: TypeAlias = "int | Part | Same"
Members: TypeAlias = "list[tuple[int, int]]"
"""Nodes, each with the place in its path of the next scope around it."""


def tree(graph: OpGraph, large: int) -> tuple[Node, ...]:
    """The items of the whole graph; its uses of operators are the leaves. A graph of more than `large` nodes keeps
    rules inside themselves."""
    return _Tree(graph, len(graph) > large).whole()


class _Tree:
    def __init__(self, graph: OpGraph, large: bool) -> None:
        self.graph = graph
        self.large = large
        self.uses: dict[int, Use] = dict(graph.uses())
        self.paths = {number: use.path[:DEEPEST] for number, use in self.uses.items()}

    def whole(self) -> tuple[Node, ...]:
        return self._items([(number, 0) for number in self.uses], ())

    def _items(self, members: Members, rules: tuple[str, ...]) -> tuple[Node, ...]:
        """The items of `members`, inside uses of `rules`."""
        found: list[int | Part] = []
        for scope, own in self._groups(members):
            if scope is None or len(own) == 1:
                found += [number for number, _ in own]
                continue
            inner = [(number, at + 1) for number, at in own]
            within = (*rules, _name(scope)) if _name(scope)[:1].isupper() else rules
            if len(own) == len(members):
                return self._items(inner, within)
            items = self._items(inner, within)
            found.append(Part("" if scope.label == COPY else scope.label, items, tuple(nodes(items))))
        runs = _Runs(self.graph, self.uses, found).items()
        most = MOST_OF * len(members)
        items = tuple(each for item in runs for each in self._loosened(item, rules, most))
        return _pieces(items) if self.large else items

    def _loosened(self, item: Node, rules: tuple[str, ...], most: float) -> tuple[Node, ...]:
        """What a part holds, where the part itself says nothing."""
        if not isinstance(item, Part):
            return (item,)
        again = item.name.partition("(")[0] in (rules[-1:] if self.large else rules)
        rule = item.name[:1].isupper()
        says_little = rule and (len(item.items) == 1 or not LEAST_NODES <= len(item.nodes) <= most)
        return item.items if again or says_little or not item.name else (item,)

    def _groups(self, members: Members) -> list[tuple[Scope | None, Members]]:
        """`members` by the scope they stand in, in the order of the graph; a scope that wires leave and come back to
        is given up."""
        while True:
            groups: dict[object, tuple[Scope | None, Members]] = {}
            for member in members:
                scope = self._scope(*member)
                groups.setdefault(scope or member, (scope, []))[1].append(member)
            found = list(groups.values())
            bad = self._cyclic(found) if len(found) > 1 else set()
            if not bad:
                return found
            members = [(number, at + (self._scope(number, at) in bad)) for number, at in members]

    def _scope(self, number: int, at: int) -> Scope | None:
        path = self.paths[number]
        return path[at] if at < len(path) else None

    def _cyclic(self, groups: list[tuple[Scope | None, Members]]) -> set[Scope]:
        home = {number: at for at, (_, own) in enumerate(groups) for number, _ in own}
        read = ((home.get(source.node, at), at) for number, at in home.items() for source in self.graph.sources(number))
        wires = nx.DiGraph(list({(source, at) for source, at in read if source != at}))
        knots = (knot for knot in nx.strongly_connected_components(wires) if len(knot) > 1)
        return {scope for knot in knots for at in knot if (scope := groups[at][0]) is not None}


def nodes(items: Iterable[Node]) -> Iterator[int]:
    for item in items:
        if isinstance(item, int):
            yield item
        elif isinstance(item, Part):
            yield from item.nodes
        else:
            yield from nodes(item.items)


def _name(scope: Scope) -> str:
    return scope.label.partition("(")[0]


def _pieces(items: tuple[Node, ...]) -> tuple[Node, ...]:
    """Neighbours in the order of the graph as parts without a name, so that nothing has more than WIDEST items.

    They can be folded: wires lead from earlier pieces to later ones.
    """
    while len(items) > WIDEST:
        cuts = [items[at : at + WIDEST] for at in range(0, len(items), WIDEST)]
        items = tuple(Part("", cut, tuple(nodes(cut))) for cut in cuts)
    return items


@dataclass(slots=True)
class _Runs:
    """Finds the runs among the items of one part."""

    graph: OpGraph
    uses: dict[int, Use]
    parts: list[int | Part]

    def items(self) -> tuple[Node, ...]:
        home = {number: at for at, part in enumerate(self.parts) for number in _own(part)}
        before: list[set[int]] = []
        after: list[set[int]] = []
        for part in self.parts:
            own = set(_own(part))
            read = {source.node for number in own for source in self.graph.sources(number)} - own
            fed = {target.node for number in own for _, target in self.graph.targets(number)} - own
            before.append(read)
            after.append(fed)
        alike = Counter(map(_look, self.parts))
        keys = [self._key(part) if alike[_look(part)] > 1 else at for at, part in enumerate(self.parts)]
        runs = [*self._side(keys, before, after), *self._series(keys, before, after, home)]
        first = {run[0]: (run, series) for run, series in runs}
        gone = {at for run, _ in runs for at in run[1:]}
        return tuple(
            Same(tuple(self.parts[i] for i in first[at][0]), first[at][1]) if at in first else part
            for at, part in enumerate(self.parts)
            if at not in gone
        )

    def _key(self, part: int | Part) -> Hashable:
        """Equal for items of one structure: operators, types, nesting and the wires inside."""
        own = _own(part)
        at = {number: i for i, number in enumerate(own)}
        outside: dict[object, int] = {}
        wires = []
        for number in own:
            for source in self.graph.sources(number):
                inner = at.get(source.node)
                wires.append((inner, source.port) if inner is not None else outside.setdefault(source, len(outside)))
            wires.append(-1)
        uses = tuple((use.text, use.inputs, use.outputs) for use in map(self.uses.__getitem__, own))
        return _shape(part), uses, tuple(wires)

    def _enough(self, run: Sequence[int]) -> bool:
        return len(run) >= (2 if isinstance(self.parts[run[0]], Part) else LEAST_BOXES)

    def _side(
        self, keys: list[Hashable], before: list[set[int]], after: list[set[int]]
    ) -> Iterator[tuple[list[int], bool]]:
        """Items that read the same nodes and feed the same ones."""
        found: dict[Hashable, list[int]] = defaultdict(list)
        for at, key in enumerate(keys):
            found[key, frozenset(before[at]), frozenset(after[at])].append(at)
        return ((run, False) for run in found.values() if self._enough(run))

    def _series(
        self, keys: list[Hashable], before: list[set[int]], after: list[set[int]], home: dict[int, int]
    ) -> Iterator[tuple[list[int], bool]]:
        """Items each of which feeds the next alone, always from and to the same places."""
        follows: dict[int, int] = {}
        for at in range(len(keys)):
            fed = {home.get(number, -1) for number in after[at]}
            if len(fed) != 1 or (other := fed.pop()) < 0 or keys[other] != keys[at]:
                continue
            if {home.get(number, -1) for number in before[other]} == {at}:
                follows[at] = other
        for start in sorted(set(follows) - set(follows.values())):
            run = [start]
            while run[-1] in follows:
                following = follows[run[-1]]
                if len(run) > 1 and self._link(run[-1], following) != self._link(run[-2], run[-1]):
                    break
                run.append(following)
            if self._enough(run):
                yield run, True

    def _link(self, one: int, other: int) -> list[tuple[int, int]]:
        """The outputs of one item that another reads, in the order in which it reads them."""
        at = {number: i for i, number in enumerate(_own(self.parts[one]))}
        sources = (source for number in _own(self.parts[other]) for source in self.graph.sources(number))
        return [(at[source.node], source.port) for source in sources if source.node in at]


def _look(part: int | Part) -> Hashable:
    return (part.name, len(part.nodes)) if isinstance(part, Part) else None


def _own(part: int | Part) -> tuple[int, ...]:
    return (part,) if isinstance(part, int) else part.nodes


def _shape(item: Node) -> Hashable:
    match item:
        case int():
            return 0
        case Part(name, items, _):
            return name, tuple(map(_shape, items))
        case Same(items, series):
            return series, tuple(map(_shape, items))
