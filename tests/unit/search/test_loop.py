"""The loop: what runs when, what is told, and how it stops and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, fail
from ein.search.evolution import Evolution
from ein.search.executor import Inline, Outcome
from ein.search.loop import run
from ein.search.protocol import Kind, Proposal, Status, Strategy, Trial
from ein.search.random_search import RandomSearch
from ein.search.results import best, gain, table, tally
from ein.search.study import Study, header


def size(derivation: Derivation) -> float:
    return float(derivation.modules)


def text(derivation: Derivation) -> str:
    return derivation.text


def study_of(strategy: Strategy, sampler: Sampler, folder: Path | None = None, lag: int = 8) -> Study:
    return Study.open(folder, header(strategy, sampler, lag), resume=True, durable=False)


class Latest:
    """Many workers, of which always the one that began last ends first."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.inside: list[tuple[int, Derivation]] = []
        self.most = 0

    def submit(self, number: int, derivation: Derivation) -> None:
        self.inside.append((number, derivation))
        self.most = max(self.most, len(self.inside))

    def wait(self, timeout: float | None = None) -> list[tuple[int, Outcome]]:
        number, derivation = self.inside.pop()
        return [(number, Outcome.of(size(derivation)))]

    def close(self) -> None:
        self.inside.clear()


@pytest.mark.parametrize(("workers", "lag", "most"), [(1, 8, 1), (3, 8, 3), (12, 8, 8), (2, 1, 1)])
def test_all_workers_are_busy_up_to_the_lag(sampler: Sampler, workers: int, lag: int, most: int) -> None:
    strategy, executor = Evolution(sampler, 0, 8, 2), Latest(workers)
    with study_of(strategy, sampler, lag=lag) as study:
        run(study, strategy, executor, 30, text)
        assert executor.most == most and len(study) == 30


def test_each_trial_is_told_at_its_start_and_at_its_end(sampler: Sampler) -> None:
    strategy = Evolution(sampler, 0, 8, 2)
    told: list[Trial] = []
    with study_of(strategy, sampler) as study:
        run(study, strategy, Inline(size), 40, text, told.append)
        assert [trial.number for trial in told] == [number for number in range(40) for _ in range(2)]
        assert [trial.finished for trial in told] == [False, True] * 40
        assert told[1::2] == list(study.trials)


def test_more_evaluations_go_on_where_the_first_stopped(sampler: Sampler, tmp_path: Path) -> None:
    strategy = Evolution(sampler, 0, 8, 2)
    with study_of(strategy, sampler) as straight:
        run(straight, strategy, Inline(size), 40, text)
    for evals in (0, 15, 10, 40):
        with study_of(strategy, sampler, tmp_path) as study:
            run(study, strategy, Inline(size), evals, text)
    without_clock = [[replace(trial, seconds=0) for trial in each.trials] for each in (study, straight)]
    assert without_clock[0] == without_clock[1]


def test_what_fails_is_never_a_parent(sampler: Sampler) -> None:
    def picky(derivation: Derivation) -> float:
        if "softmax" in derivation.text:
            raise ValueError("no softmax here")
        return size(derivation)

    strategy = Evolution(sampler, 0, 8, 2)
    with study_of(strategy, sampler) as study:
        run(study, strategy, Inline(picky), 100, text)
        parents = {study[trial.parent].status for trial in study.trials if trial.parent is not None}
        assert "error" not in parents and {trial.status for trial in study.trials} >= {"ok", "error"}


def test_an_error_of_the_space_ends_the_search_and_loses_nothing(sampler: Sampler) -> None:
    class Exhausted(RandomSearch):
        __slots__ = ()

        def propose(self, number: int, attempt: int, seen: Sequence[Trial]) -> Proposal:
            if number == 5:
                raise fail("E704", "no derivation was found")
            return RandomSearch.propose(self, number, attempt, seen)

    strategy = Exhausted(sampler, 0)
    with study_of(strategy, sampler) as study:
        with pytest.raises(EinError, match="no derivation was found"):
            run(study, strategy, Inline(size), 10, text)
        assert len(study) == 5 and all(trial.finished for trial in study.trials)


def test_ctrl_c_keeps_what_has_ended_and_runs_the_rest_again(sampler: Sampler, tmp_path: Path) -> None:
    strategy, tried = Evolution(sampler, 0, 8, 2), list[str]()

    def interrupted(derivation: Derivation) -> float:
        tried.append(derivation.trace)
        if len(tried) == 13:
            raise KeyboardInterrupt
        return size(derivation)

    with study_of(strategy, sampler, tmp_path) as study:
        with pytest.raises(KeyboardInterrupt):
            run(study, strategy, Inline(interrupted), 30, text)
        assert [trial.finished for trial in study.trials] == [True] * 12 + [False]
        run(study, strategy, Inline(interrupted), 30, text)
        assert all(trial.finished for trial in study.trials) and len(study) == 30
    assert tried[12] == tried[13] and len(tried) == 31 - sum(trial.twin is not None for trial in study.trials)


SLOW = """
import sys, time
from ein.grammar.check import load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.search.executor import Inline
from ein.search.loop import run
from ein.search.random_search import RandomSearch
from ein.search.study import Study, header

sampler = Sampler.of(load_grammar("einspace"))
strategy = RandomSearch(sampler, 0)
def slow(derivation):
    time.sleep(0.02)
    return derivation.modules
try:
    with Study.open(sys.argv[1], header(strategy, sampler, 8)) as study:
        run(study, strategy, Inline(slow), 10000, lambda d: d.text, lambda t: print(t.number, flush=True))
except KeyboardInterrupt:
    print("stopped", sum(trial.finished for trial in study.trials))
"""


def test_a_signal_stops_a_real_process_cleanly(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command, pipe = [sys.executable, "-c", SLOW, str(tmp_path)], subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        assert process.stdout is not None
        for _ in range(9):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and err == ""
    finished = sum(trial.finished for trial in Study.read(tmp_path).trials)
    assert out.splitlines()[-1] == f"stopped {finished}" and finished >= 4
    assert not list(tmp_path.glob("*-wal"))


def test_a_strategy_that_proposes_otherwise_than_recorded_is_refused(sampler: Sampler, tmp_path: Path) -> None:
    """As after a change of how ein draws: the settings are equal, and the proposals are not."""

    class Changed(RandomSearch):
        __slots__ = ()

        def propose(self, number: int, attempt: int, seen: Sequence[Trial]) -> Proposal:
            return RandomSearch.propose(self, number + 1, attempt, seen)

    with study_of(RandomSearch(sampler, 0), sampler, tmp_path) as study:
        run(study, RandomSearch(sampler, 0), Inline(size), 12, text)
    with study_of(Changed(sampler, 0), sampler, tmp_path) as study:
        with pytest.raises(EinError) as raised:
            run(study, Changed(sampler, 0), Inline(size), 20, text)
        assert len(study) == 12
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == "E857"
    assert diagnostic.message == f"proposal 0 of the study is `{study[0].term}`, and would now be another"


def test_the_best_and_how_they_came_about(sampler: Sampler) -> None:
    seeds = (sampler.draw(1, 0), sampler.draw(1, 0), sampler.draw(1, 1))
    strategy = Evolution(sampler, 0, 8, 3, seeds)
    with study_of(strategy, sampler) as study:
        run(study, strategy, Inline(size), 80, text)
    counted = study.tally()
    assert (counted.seeds, counted.seeds + counted.founders + counted.children) == (3, 80)
    assert [trial.status for trial in study.trials[:3]] == ["ok", "duplicate", "ok"]
    children = [t for t in study.trials if t.kind == "child" and t.status == "ok"]
    beaten = [t for t in children if t.parent is not None and t.scores["score"] > study[t.parent].scores["score"]]
    assert (counted.judged, counted.improved) == (len(children), len(beaten)) and beaten
    top = study.best(5)
    assert [t.scores["score"] for t in top] == sorted((size_of(t) for t in study.trials if not t.twin), reverse=True)[
        :5
    ]
    assert len({trial.identity for trial in study.best(80)}) == len(study.best(80))
    rows = table(study.trials, 3)
    assert [(row.rank, row.number, row.gain) for row in rows] == [
        (rank, trial.number, gain(study.trials, trial)) for rank, trial in enumerate(top[:3], 1)
    ]


def size_of(trial: Trial) -> float:
    return trial.scores["score"]


def trial(number: int, status: Status, score: float | None, kind: Kind = "child", parent: int | None = 0) -> Trial:
    scores = {} if score is None else {"score": score}
    reason = "" if scores else "60 s are over"
    return Trial(number, kind, parent, 0, "", "", "", 1, "", None, status, scores, reason)


def test_only_children_that_were_trained_are_judged() -> None:
    trials = [
        trial(0, "ok", 1.0, "founder", None),
        trial(1, "ok", 2.0),
        trial(2, "ok", 1.0),
        trial(3, "timeout", None),
        trial(4, "duplicate", 2.0),
        trial(5, "ok", 2.0, parent=3),
        trial(6, "ok", 0.5),
    ]
    counted = tally(trials)
    assert (counted.judged, counted.improved) == (3, 1)
    assert counted.statuses == {"ok": 5, "timeout": 1, "duplicate": 1}
    assert counted.reasons == {"60 s are over": 1}
    assert [each.number for each in best(trials, 3)] == [1, 5, 0]
