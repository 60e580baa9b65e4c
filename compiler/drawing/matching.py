"""Which operators of two operation graphs correspond.

First the heaviest common subsequence of the two orders, where a pair weighs more the more of its surroundings is
equal; then pairs that this order left out, such as branches that changed places, along the wires. Pairs are uses of
one operator, and the two graphs laid over each other at the pairs have no cycle.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from itertools import pairwise

from ein.compiler.drawing.contexts import Contexts, Flow, Numbers, Wire, contexts, flow
from ein.compiler.graph import OpGraph

MOST_CELLS = 300_000
"""Of the table of two orders; what is larger is first cut at places that are surely the same."""

DEEPEST = 3
"""Uses of rules and macros around an operator that are looked at, innermost first."""
TOGETHER = 4
"""What it weighs that two operators are in corresponding uses of a rule or macro."""


def matched(first: OpGraph, second: OpGraph) -> dict[int, int]:
    """Nodes of the first by their numbers, with those of the second; the other way round, the same pairs.

    Time grows with the product of the sizes of what differs.
    """
    ours, theirs = flow(first), flow(second)
    if _key(ours) <= _key(theirs):
        return {ours.numbers[a]: theirs.numbers[b] for a, b in _Matcher(ours, theirs).run()}
    return {ours.numbers[a]: theirs.numbers[b] for b, a in _Matcher(theirs, ours).run()}


def _key(flow: Flow) -> tuple[object, ...]:
    """Equal for graphs that the matcher cannot tell apart."""
    return (flow.texts, flow.types, flow.sources, flow.scopes, flow.labels)


def partners(pairs: Iterable[tuple[int, int]], ours: Flow, theirs: Flow) -> dict[int, int]:
    """The scopes of the first with those of the second that have most in common with them, each at most one, and
    within those of the scopes around them."""
    votes: Counter[tuple[int, ...]] = Counter()
    for a, b in pairs:
        around = (-1, -1)
        for depth, (s, t) in enumerate(zip(ours.scopes[a], theirs.scopes[b], strict=False)):
            if ours.labels[s] != theirs.labels[t]:
                break
            votes[depth, s, t, *around] += 1
            around = (s, t)
    found = {-1: -1}
    taken: set[int] = set()
    for _, s, t, outer, other in sorted(votes, key=lambda each: (each[0], -votes[each], each)):
        if s not in found and t not in taken and found.get(outer) == other:
            found[s] = t
            taken.add(t)
    del found[-1]
    return found


class _Matcher:
    """`there` and `back` are the pairs so far, by place."""

    def __init__(self, ours: Flow, theirs: Flow) -> None:
        self.ours, self.theirs = ours, theirs
        numbers = Numbers()
        self.mine: Contexts = contexts(ours, numbers)
        self.other: Contexts = contexts(theirs, numbers)
        self.there: dict[int, int] = {}
        self.back: dict[int, int] = {}
        self.refused: set[tuple[int, int]] = set()
        self.scopes: dict[int, int] = {}
        self.members: dict[int, list[int]] = defaultdict(list)
        for b, path in enumerate(theirs.scopes):
            for scope in path[-DEEPEST:]:
                self.members[scope].append(b)

    def run(self) -> list[tuple[int, int]]:
        """In order twice: once it is known which uses of rules correspond, what is repeated is not cut inside."""
        whole = (range(len(self.ours)), range(len(self.theirs)))
        self.scopes = partners(self._cut(*whole, 0), self.ours, self.theirs)
        for a, b in self._cut(*whole, 0):
            self._pair(a, b)
        for a, b in [pair for pair in self.there.items() if self._is_stray(*pair)]:
            del self.there[a], self.back[b]
        self._pair_ends()
        self._extend()
        return sorted(self.there.items())

    def _pair_ends(self) -> None:
        """Nothing comes before an input or after an output, so that no cycle can come of it."""
        for end in ("<input", "<output"):
            a, b = self.ours.kinds.index(end), self.theirs.kinds.index(end)
            self.back.pop(self.there.pop(a, -1), None)
            self.there.pop(self.back.pop(b, -1), None)
            self._pair(a, b)

    def _pair(self, a: int, b: int) -> None:
        self.there[a], self.back[b] = b, a

    def _cut(self, ours: range, theirs: range, depth: int) -> Iterator[tuple[int, int]]:
        """Pairs in the order of both; large tables are cut at both ends, and then at surroundings that occur once."""
        if len(ours) * len(theirs) <= MOST_CELLS:
            if ours and theirs:
                yield from self._table(ours, theirs)
            return
        start = _alike(self.mine.whole[0], self.other.whole[0], ours, theirs)
        yield from zip(ours[:start], theirs[:start], strict=True)
        ours, theirs = ours[start:], theirs[start:]
        stop = _alike(self.mine.whole[1], self.other.whole[1], ours[::-1], theirs[::-1])
        ours, last = ours[: len(ours) - stop], ours[len(ours) - stop :]
        theirs, others = theirs[: len(theirs) - stop], theirs[len(theirs) - stop :]
        if len(ours) * len(theirs) <= MOST_CELLS:
            yield from self._table(ours, theirs)
        elif depth < len(self.mine.wide):
            anchors = self._anchors(ours, theirs, self.mine.wide[depth], self.other.wide[depth])
            yield from anchors
            ends = [(ours.start - 1, theirs.start - 1), *anchors, (ours.stop, theirs.stop)]
            for (a, b), (c, d) in pairwise(ends):
                yield from self._cut(range(a + 1, c), range(b + 1, d), depth + 1)
        yield from zip(last, others, strict=True)

    def _anchors(self, ours: range, theirs: range, mine: list[int], other: list[int]) -> list[tuple[int, int]]:
        """The longest series of places that increases in both, of those whose numbers occur once in each."""
        once, again = Counter(mine[a] for a in ours), Counter(other[b] for b in theirs)
        home = {other[b]: b for b in theirs if again[other[b]] == 1}
        pairs = [(a, home[mine[a]]) for a in ours if once[mine[a]] == 1 and mine[a] in home]
        ends: list[int] = []
        last: list[int] = []
        before: dict[int, int] = {}
        for at, (_, b) in enumerate(pairs):
            length = bisect_left(ends, b)
            before[at] = last[length - 1] if length else -1
            ends[length : length + 1] = [b]
            last[length : length + 1] = [at]
        found, at = [], last[-1] if last else -1
        while at >= 0:
            found.append(pairs[at])
            at = before[at]
        return found[::-1]

    def _table(self, ours: range, theirs: range) -> Iterator[tuple[int, int]]:
        """The heaviest common subsequence."""
        kinds: dict[str, list[int]] = defaultdict(list)
        for b in theirs:
            kinds[self.theirs.kinds[b]].append(b)
        same: list[dict[int, list[int]]] = [defaultdict(list) for _ in self.other.levels]
        for found, row in zip(same, self.other.levels, strict=True):
            for b in theirs:
                found[row[b]].append(b)
        weights: list[dict[int, int]] = []
        table = [[0] * (len(theirs) + 1)]
        for a in ours:
            weight = dict.fromkeys(kinds[self.ours.kinds[a]], 1)
            for level, mine in zip(same, self.mine.levels, strict=True):
                for b in level.get(mine[a], ()):
                    weight[b] += 1
            for scope in self.ours.scopes[a][-DEEPEST:]:
                for b in self.members.get(self.scopes.get(scope, -1), ()):
                    if b in weight:
                        weight[b] += TOGETHER
            weights.append(weight)
            table.append(_row(table[-1], weight, theirs))
        i, j = len(ours), len(theirs)
        while i and j:
            gain = weights[i - 1].get(theirs[j - 1], 0)
            if gain and table[i][j] == table[i - 1][j - 1] + gain:
                i, j = i - 1, j - 1
                yield ours[i], theirs[j]
            elif table[i][j] == table[i][j - 1]:
                j -= 1
            else:
                i -= 1

    def _is_stray(self, a: int, b: int) -> bool:
        """Whether two uses with other arguments have nothing beside them in common."""
        return self.ours.texts[a] != self.theirs.texts[b] and not any(self._common(a, b))

    def _common(self, a: int, b: int) -> tuple[int, int]:
        """The wires into two places that come from one pair, and those out of them that lead to one."""
        return (
            _shared(self.there, self.ours.sources[a], self.theirs.sources[b]),
            _shared(self.there, self.ours.targets[a], self.theirs.targets[b]),
        )

    def _extend(self) -> None:
        """Pairs out of order, those with most in common first."""
        waiting: list[tuple[int, int, int]] = []
        for a, b in self._likely():
            self._propose(a, b, waiting)
        for a, b in list(self.there.items()):
            self._propose_beside(a, b, waiting)
        while waiting:
            _, a, b = heappop(waiting)
            if a in self.there or b in self.back or (a, b) in self.refused:
                continue
            if self._turns_back(a, b):
                self.refused.add((a, b))
                continue
            self._pair(a, b)
            self._propose_beside(a, b, waiting)

    def _likely(self) -> Iterator[tuple[int, int]]:
        """The n-th use with some history meets the n-th with the same, and likewise for what follows."""
        for mine, other in zip(self.mine.whole, self.other.whole, strict=True):
            free: dict[int, list[int]] = defaultdict(list)
            for b in range(len(self.theirs)):
                if b not in self.back:
                    free[other[b]].append(b)
            for found in free.values():
                found.reverse()
            for a in range(len(self.ours)):
                if a not in self.there and free.get(mine[a]):
                    yield a, free[mine[a]].pop()

    def _propose_beside(self, a: int, b: int, waiting: list[tuple[int, int, int]]) -> None:
        ends = ((self.ours.sources[a], self.theirs.sources[b]), (self.ours.targets[a], self.theirs.targets[b]))
        for mine, other in ends:
            for x, *_ in mine:
                for y, *_ in other if x not in self.there else ():
                    self._propose(x, y, waiting)

    def _propose(self, a: int, b: int, waiting: list[tuple[int, int, int]]) -> None:
        """Uses with other arguments have to stand at the same place in full."""
        if a in self.there or b in self.back or self.ours.kinds[a] != self.theirs.kinds[b]:
            return
        into, out = self._common(a, b)
        whole = sum(mine[a] == other[b] for mine, other in zip(self.mine.whole, self.other.whole, strict=True))
        alone = into < len(self.ours.sources[a]) or out < len(self.ours.targets[a])
        if alone and self.ours.texts[a] != self.theirs.texts[b]:
            return
        heappush(waiting, (-(into + out + 4 * whole), a, b))

    def _turns_back(self, a: int, b: int) -> bool:
        """Whether a pair would close a cycle: one of the two follows the other where the graphs are joined."""
        return self._leads(a, None, b) or self._leads(None, b, a)

    def _leads(self, a: int | None, b: int | None, goal: int) -> bool:
        """From place `a` of ours to the unpaired `goal` of theirs, or from `b` of theirs to `goal` of ours."""
        stack, seen = [(a, b)], {(a, b)}
        while stack:
            mine, other = stack.pop()
            if (other if a is not None else mine) == goal:
                return True
            after: list[tuple[int | None, int | None]]
            after = [] if mine is None else [(x, self.there.get(x)) for x, *_ in self.ours.targets[mine]]
            after += [] if other is None else [(self.back.get(y), y) for y, *_ in self.theirs.targets[other]]
            for each in after:
                if each not in seen:
                    seen.add(each)
                    stack.append(each)
        return False


def _alike(mine: list[int], other: list[int], ours: range, theirs: range) -> int:
    """How many places at the start of two ranges have equal numbers."""
    pairs = zip(ours, theirs, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if mine[a] != other[b]), min(len(ours), len(theirs)))


def _row(above: list[int], weight: dict[int, int], theirs: range) -> list[int]:
    row, best, diagonal = [0], 0, 0
    for b, up in zip(theirs, above[1:], strict=True):
        if up > best:
            best = up
        gain = weight.get(b)
        if gain is not None and diagonal + gain > best:
            best = diagonal + gain
        row.append(best)
        diagonal = up
    return row


def _shared(there: dict[int, int], mine: tuple[Wire, ...], other: tuple[Wire, ...]) -> int:
    ends = Counter(there.get(x) for x, *_ in mine)
    return sum((ends & Counter(y for y, *_ in other)).values())
