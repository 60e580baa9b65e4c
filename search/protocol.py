"""What a search is made of: proposals, trials, and strategies that go from trials to proposals.

Proposal `i` of a strategy is a function of its settings, of `i`, of how many draws for `i` were duplicates, and of
trials 0 … i - lag. It is no function of the order in which trials ended, nor of how many ran at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from ein.grammar.derivations.derivation import Derivation, read_trace
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import fail

Kind = Literal["seed", "founder", "child"]
Ending = Literal["ok", "error", "timeout", "memory", "crash", "refused"]
Status = Literal[Ending, "duplicate", "unfinished"]

LAG = 8
"""A proposal may be made while so many trials, itself included, have not ended."""

TRIES = 32
"""Draws for one proposal before a duplicate is let stand."""


def lag_for(workers: int) -> int:
    """The lag of a new study: one that keeps all workers busy, and the same for any number up to `LAG`."""
    return max(LAG, workers)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A derivation to try. `parent` is the number of the trial whose derivation a child was made from."""

    derivation: Derivation
    kind: Kind
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A proposal as it was recorded, and how it ended.

    `attempt` counts the duplicates that were drawn for it before. `twin` is the first trial of the same identity:
    a duplicate is not run and has the scores of its twin. `scores` are higher for better, and empty for all but
    `ok` and duplicates of it. `seconds` are wall seconds; `facts` are plain data.
    """

    number: int
    kind: Kind
    parent: int | None
    attempt: int
    id: str
    trace: str
    term: str
    modules: int
    identity: str
    twin: int | None = None
    status: Status = "unfinished"
    scores: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        return self.status != "unfinished"


class Strategy(Protocol):
    """Chooses what to try next. Keeps nothing between calls that changes what it proposes."""

    @property
    def seed(self) -> int: ...

    def settings(self) -> Mapping[str, Any]:
        """Name and settings as plain data: a study goes on only with the same."""
        ...

    def propose(self, number: int, attempt: int, seen: Sequence[Trial]) -> Proposal:
        """Draw `attempt` for proposal `number`; `seen` are trials 0, 1, …, in order, all of them finished.

        Raises EinError where the space gives nothing.
        """
        ...


def rebuilt(sampler: Sampler, trial: Trial) -> Derivation:
    """The derivation of a recorded trial. Raises EinError where its trace is no list of choices."""
    input = sampler.grammar.input
    assert input is not None
    try:
        choices = read_trace(trial.trace)
    except ValueError as error:
        raise fail("E851", f"the record of trial {trial.number} is damaged: {error}") from None
    return Derivation(sampler.space, choices, trial.modules, input)


def score(trial: Trial, objective: str | None = None) -> float:
    """The score of that name, or the first. Raises EinError where a trial with scores has none of that name."""
    if objective is None:
        return next(iter(trial.scores.values()))
    if objective not in trial.scores:
        known = ", ".join(f"`{name}`" for name in trial.scores)
        raise fail("E859", f"trial {trial.number} has no score `{objective}`", help=f"it has {known}")
    return trial.scores[objective]
