"""Where trials run, and how they end. An executor is handed derivations and gives back outcomes, in any order."""

from __future__ import annotations

import math
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import starmap
from time import perf_counter
from typing import Any, Protocol

from ein.grammar.derivations.derivation import Derivation
from ein.grammar.diagnostics import EinError
from ein.search.protocol import Ending

SCORE = "score"
"""The name of the one score of a fitness that gives a number."""

Fitness = Callable[[Derivation], float | Mapping[str, float]]
"""Higher is better, in each objective."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial ended: with finite scores, higher for better, if `ok`; else with a reason of one sentence.

    Wall seconds. `facts` are plain data to be kept with the trial. Raises ValueError where scores and status differ.
    """

    status: Ending
    scores: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.status == "ok") != bool(self.scores):
            raise ValueError(f"an outcome has scores if and only if it is ok, got {self.status} with {self.scores}")
        if not all(math.isfinite(value) for value in self.scores.values()):
            raise ValueError(f"scores are finite, got {self.scores}")

    @classmethod
    def of(cls, value: Any, seconds: float = 0.0, facts: Mapping[str, Any] | None = None) -> Outcome:
        """Of what a fitness gave: a number, or a mapping of names to numbers. Anything else is an error."""
        values = dict(value) if isinstance(value, Mapping) else {SCORE: value}
        wrong = next(filter(None, starmap(_objection, values.items())), "" if values else "the fitness gave no scores")
        if wrong:
            return cls("error", {}, wrong, seconds, facts or {})
        return cls("ok", {str(name): float(each) for name, each in values.items()}, "", seconds, facts or {})


class Executor(Protocol):
    """Runs at most `workers` trials at a time; used from one thread, and closed by who made it."""

    @property
    def workers(self) -> int: ...

    def submit(self, number: int, derivation: Derivation) -> None:
        """Starts a trial and returns at once. Never called while `workers` trials are running."""
        ...

    def wait(self, timeout: float | None = None) -> list[tuple[int, Outcome]]:
        """The trials that have ended since, at least one unless `timeout` seconds pass."""
        ...

    def close(self) -> None:
        """Ends what still runs."""
        ...


class Inline:
    """One trial at a time, in this process. An exception of the fitness is an outcome; Ctrl-C is not."""

    workers = 1

    def __init__(self, fitness: Fitness) -> None:
        self.fitness = fitness
        self._waiting: deque[tuple[int, Derivation]] = deque()

    def submit(self, number: int, derivation: Derivation) -> None:
        self._waiting.append((number, derivation))

    def wait(self, timeout: float | None = None) -> list[tuple[int, Outcome]]:
        """Runs a trial to its end, whatever the timeout."""
        if not self._waiting:
            return []
        number, derivation = self._waiting.popleft()
        return [(number, _judged(self.fitness, derivation))]

    def close(self) -> None:
        self._waiting.clear()


def _judged(fitness: Fitness, derivation: Derivation) -> Outcome:
    started = perf_counter()
    try:
        value = fitness(derivation)
    except MemoryError:
        return Outcome("memory", reason="this process has no memory left for it", seconds=perf_counter() - started)
    except Exception as error:
        return Outcome("error", reason=_told(error), seconds=perf_counter() - started)
    return Outcome.of(value, perf_counter() - started)


def _told(error: Exception) -> str:
    """`ValueError: … (fitness.py:12, in score)`: the place tells one mistake of a fitness from another."""
    if isinstance(error, EinError) and error.diagnostics:
        return error.diagnostics[0].message
    text = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)[1:]
    place = f" ({frames[-1].filename}:{frames[-1].lineno}, in {frames[-1].name})" if frames else ""
    return f"{type(error).__name__}{': ' if text else ''}{text}{place}"


def _objection(name: Any, value: Any) -> str:
    """What is wrong with one score; empty if nothing is."""
    named = "the fitness" if name == SCORE else f"`{name}`"
    if isinstance(value, str | bytes) or value is None:
        return f"{named} is {value!r}, which is no number"
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return f"{named} is a {type(value).__name__}, which is no number"
    return "" if math.isfinite(number) else f"{named} is {number}"
