"""Which neighbours of a picture can be folded together, because no change is near.

Things are joined along wires as long as no other way leads from the one to the other, so that what is folded has no
wire that leaves it and comes back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence


def distances(starts: Mapping[int, int], wires: Iterable[tuple[int, int]]) -> dict[int, int]:
    """How many wires each place is away from a change, either way; `starts` are 0 or 1 away. Those that no way leads
    to are not in it."""
    beside: dict[int, set[int]] = defaultdict(set)
    for source, target in wires:
        beside[source].add(target)
        beside[target].add(source)
    found = dict(starts)
    ring = sorted(starts, key=starts.__getitem__)
    while ring:
        following = []
        for place in ring:
            for other in sorted(beside[place]):
                if found.get(other, found[place] + 2) > found[place] + 1:
                    found[other] = found[place] + 1
                    following.append(other)
        ring = following
    return found


def together(kinds: Sequence[Hashable | None], wires: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Places in groups that are connected and of one kind, in order; places of the kind None stay alone.

    Wires lead from a place to another, and do not form a cycle; nor do they between the groups.
    """
    return _Groups(kinds, wires).run()


class _Groups:
    def __init__(self, kinds: Sequence[Hashable | None], wires: Iterable[tuple[int, int]]) -> None:
        self.kinds = kinds
        self.home = list(range(len(kinds)))
        self.members = {place: [place] for place in range(len(kinds))}
        self.after: dict[int, set[int]] = {place: set() for place in range(len(kinds))}
        self.before: dict[int, set[int]] = {place: set() for place in range(len(kinds))}
        for source, target in wires:
            self.after[source].add(target)
            self.before[target].add(source)

    def run(self) -> list[list[int]]:
        wires = sorted((target, source) for source, found in self.after.items() for target in found)
        wires = [(b, a) for b, a in wires if self.kinds[a] is not None and self.kinds[a] == self.kinds[b]]
        while any([self._joins(a, b) for b, a in wires]):
            pass
        return [sorted(self.members[place]) for place in sorted(self.members)]

    def _joins(self, source: int, target: int) -> bool:
        """Whether the groups of two places were apart and are one now."""
        a, b = self.home[source], self.home[target]
        if a == b or self._leads_around(a, b):
            return False
        first, second = min(a, b), max(a, b)
        for place in self.members[second]:
            self.home[place] = first
        self.members[first] += self.members.pop(second)
        for ways, others in ((self.after, self.before), (self.before, self.after)):
            ways[first] = (ways[first] | ways.pop(second)) - {first, second}
            for other in ways[first]:
                others[other].discard(second)
                others[other].add(first)
        return True

    def _leads_around(self, a: int, b: int) -> bool:
        """Whether another way than a wire leads from group `a` to group `b`."""
        stack = [place for place in self.after[a] if place != b]
        seen = set(stack)
        while stack:
            place = stack.pop()
            if b in self.after[place]:
                return True
            more = self.after[place] - seen
            seen |= more
            stack += more
        return False
