"""What came out of a search, from its trials alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from ein.search.protocol import Trial, score
from ein.search.record import json_text


@dataclass(frozen=True, slots=True)
class Tally:
    """How many trials of each kind and status; `improved` children of `judged` beat their parent's score.

    Judged are children that were trained and have scores, as their parents have; duplicates are not.
    """

    seeds: int
    founders: int
    children: int
    judged: int
    improved: int
    statuses: Mapping[str, int]
    reasons: Mapping[str, int]
    """of trials that gave no scores, most frequent first"""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table of the best. `gain`: over the parent's score, None without a parent."""

    rank: int
    number: int
    score: float
    gain: float | None
    kind: str
    modules: int
    seconds: float
    id: str
    term: str


def best(trials: Sequence[Trial], n: int = 1, objective: str | None = None) -> list[Trial]:
    """The `n` trials of the highest scores, best first, no network twice; of equals the earlier."""
    scored = [trial for trial in trials if trial.status == "ok"]
    return sorted(scored, key=lambda trial: (-score(trial, objective), trial.number))[:n]


def table(trials: Sequence[Trial], n: int = 10, objective: str | None = None) -> list[Row]:
    """The rows of `best`."""
    return [
        Row(
            rank,
            trial.number,
            score(trial, objective),
            gain(trials, trial, objective),
            trial.kind,
            trial.modules,
            trial.seconds,
            trial.id,
            trial.term,
        )
        for rank, trial in enumerate(best(trials, n, objective), start=1)
    ]


def gain(trials: Sequence[Trial], trial: Trial, objective: str | None = None) -> float | None:
    """By how much a trial beats its parent; None where one of the two has no scores."""
    parent = None if trial.parent is None else trials[trial.parent]
    if parent is None or not parent.scores or not trial.scores:
        return None
    return score(trial, objective) - score(parent, objective)


def tally(trials: Sequence[Trial], objective: str | None = None) -> Tally:
    kinds = Counter(trial.kind for trial in trials)
    gains = [gain(trials, trial, objective) for trial in trials if trial.status == "ok"]
    judged = [each for each in gains if each is not None]
    reasons = Counter(trial.reason for trial in trials if trial.reason and trial.status != "duplicate")
    return Tally(
        seeds=kinds["seed"],
        founders=kinds["founder"],
        children=kinds["child"],
        judged=len(judged),
        improved=sum(each > 0 for each in judged),
        statuses=dict(Counter(trial.status for trial in trials)),
        reasons=dict(reasons.most_common()),
    )


def json_line(trial: Trial) -> str:
    """`{"id":…,"term":…,"status":…,"scores":{…},…}`: what is asked for most comes first."""
    first = {"id": trial.id, "term": trial.term, "status": trial.status, "scores": trial.scores}
    return json_text({**first, **asdict(trial)})
