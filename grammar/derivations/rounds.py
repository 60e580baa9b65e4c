"""Questions that ask each other, answered on an explicit stack, so that length is no limit.

Each answer is the best cover for every type that can come out. Questions that come back to themselves are
answered in rounds: the first with what the round before found, until nothing changes. Covers only get
better from round to round, and going round a circle makes none better, so the rounds end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from math import inf
from typing import Any, Generic, TypeAlias, TypeVar

from ein.grammar.types import ValueType

Goal = TypeVar("Goal")

Made: TypeAlias = "tuple[Any, ...]"
"""Choices in pre-order as a tree of tuples: (choice, part, part, …) or (part, part, …)."""

Found: TypeAlias = dict[ValueType, tuple[float, Made]]
"""For each type that can come out, the most probable choices with the logarithm of their probability."""

Task: TypeAlias = Generator[Goal, Found, Found]
"""Asks for goals and gives the answer to its own."""


@dataclass(slots=True, eq=False)
class _Running(Generic[Goal]):
    """`low` is the depth of the outermost goal that is asked for inside and not yet answered."""

    goal: Goal
    task: Task[Goal]
    low: float = inf


class Rounds(Generic[Goal]):
    """Fills a table on demand; `task` begins the work on a goal."""

    def __init__(self, task: Callable[[Goal], Task[Goal]]) -> None:
        self.task = task
        self.table: dict[Goal, Found] = {}
        self.running: dict[Goal, int] = {}
        self.guesses: dict[Goal, Found] = {}
        self.open: dict[Goal, tuple[float, bool]] = {}
        """Answers that hold for this round only: on which depth they depend, and whether they changed."""

    def solve(self, goal: Goal) -> Found:
        stack = [self._begin(goal, 0)]
        answer: Found | None = None
        while stack:
            top = stack[-1]
            try:
                wanted = next(top.task) if answer is None else top.task.send(answer)
            except StopIteration as done:
                answer = self._finished(stack, done.value)
                continue
            answer = self._known(wanted, top)
            if answer is None:
                stack.append(self._begin(wanted, len(stack)))
        assert answer is not None
        return answer

    def _begin(self, goal: Goal, depth: int) -> _Running[Goal]:
        self.running[goal] = depth
        return _Running(goal, self.task(goal))

    def _known(self, goal: Goal, asking: _Running[Goal]) -> Found | None:
        if goal in self.table:
            asking.low = min(asking.low, self.open.get(goal, (inf, False))[0])
            return self.table[goal]
        if goal in self.running:
            asking.low = min(asking.low, self.running[goal])
            return self.guesses.get(goal, {})
        return None

    def _finished(self, stack: list[_Running[Goal]], found: Found) -> Found | None:
        """The answer, or None where the goal is begun anew."""
        done = stack.pop()
        depth = len(stack)
        del self.running[done.goal]
        changed = _scores(found) != _scores(self.guesses.get(done.goal, {}))
        inside = [goal for goal, (low, _) in self.open.items() if low >= depth]
        if done.low < depth:
            for goal in inside:
                self.open[goal] = done.low, self.open[goal][1]
            self.open[done.goal] = done.low, changed
            self.guesses[done.goal] = self.table[done.goal] = found
            stack[-1].low = min(stack[-1].low, done.low)
            return found
        changed = done.low == depth and (changed or any(self.open[goal][1] for goal in inside))
        for goal in inside:
            del self.open[goal]
            if changed:
                del self.table[goal]
        if changed:
            self.guesses[done.goal] = found
            stack.append(self._begin(done.goal, depth))
            return None
        self.table[done.goal] = found
        return found


def _scores(found: Found) -> dict[ValueType, float]:
    return {type: score for type, (score, _) in found.items()}
