"""The law of searching: what is tried depends on settings and outcomes alone, not on workers, order, kills or hashes.

Run as a script, this file is the process that the tests kill.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ein.grammar.check import load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source
from ein.search.evolution import Evolution
from ein.search.executor import Fitness, Inline, Outcome
from ein.search.loop import run
from ein.search.protocol import Strategy, Trial
from ein.search.random_search import RandomSearch
from ein.search.study import Study, header

TOY = """ein 1
grammar toy
import std
input vec[8]
output vec[8]
rule Net = Unit @ 25% | Unit >> Net
rule Unit = identity | relu | leaky_relu | softmax | norm
limit modules <= 24
"""
WANTED = ["relu", "norm", "softmax", "leaky_relu", "norm", "relu", "softmax", "softmax", "norm", "leaky_relu"]
SAMPLER = Sampler.of(load_grammar(Source("toy", TOY)))
LAG = 8


def units(derivation: Derivation) -> list[str]:
    return [unit for unit in derivation.text.split(" >> ") if unit != "identity"]


def identity(derivation: Derivation) -> str:
    return " ".join(units(derivation))


def likeness(derivation: Derivation) -> float:
    """Right units at the right places, less what is too long."""
    found = units(derivation)
    return sum(a == b for a, b in zip(found, WANTED, strict=False)) - 0.1 * max(0, len(found) - len(WANTED))


def fragile(derivation: Derivation) -> float:
    """As `likeness`, and a fifth of the networks fail."""
    digest = hashlib.sha256(identity(derivation).encode()).digest()
    if digest[0] % 5 == 0:
        raise RuntimeError(f"bad luck {digest[1]}")
    return likeness(derivation)


class Shuffled:
    """Runs several trials at a time and gives back any of them, in any order; `stops` counts down to Ctrl-C."""

    def __init__(self, fitness: Fitness, workers: int, order: random.Random, stops: int | None = None) -> None:
        self.workers = workers
        self.fitness = fitness
        self.order = order
        self.stops = stops
        self.inside: dict[int, Derivation] = {}

    def submit(self, number: int, derivation: Derivation) -> None:
        assert len(self.inside) < self.workers
        self.inside[number] = derivation

    def wait(self, timeout: float | None = None) -> list[tuple[int, Outcome]]:
        if self.stops is not None:
            self.stops -= 1
            if self.stops < 0:
                raise KeyboardInterrupt
        found = self.order.sample(sorted(self.inside), self.order.randint(1, len(self.inside)))
        return [(number, self._run(self.inside.pop(number))) for number in found]

    def _run(self, derivation: Derivation) -> Outcome:
        inline = Inline(self.fitness)
        inline.submit(0, derivation)
        return inline.wait()[0][1]

    def close(self) -> None:
        self.inside.clear()


def evolution(seed: int, seeds: int = 0, population: int = 8) -> Evolution:
    return Evolution(SAMPLER, seed, population, 3, tuple(SAMPLER.draw(99, index) for index in range(seeds)))


def facts(study: Study) -> list[Trial]:
    """The trials without what a clock said."""
    return [replace(trial, seconds=0.0) for trial in study.trials]


def searched(
    strategy: Strategy, evals: int, fitness: Fitness = fragile, workers: int = 1, order: int = 0, lag: int = LAG
) -> list[Trial]:
    """The trials of a search in memory."""
    with Study.open(None, header(strategy, SAMPLER, lag)) as study:
        run(study, strategy, Shuffled(fitness, workers, random.Random(order)), evals, identity)
        return facts(study)


@given(workers=st.integers(1, 12), order=st.integers(0, 10**6), seed=st.integers(0, 5), seeds=st.integers(0, 3))
@settings(max_examples=60)
def test_neither_workers_nor_order_of_arrival_change_the_trials(
    workers: int, order: int, seed: int, seeds: int
) -> None:
    strategy = evolution(seed, seeds)
    assert searched(strategy, 50, workers=workers, order=order) == searched(strategy, 50)


def test_the_outcomes_do_change_the_trials() -> None:
    ascending, descending = searched(evolution(0), 50, likeness), searched(evolution(0), 50, lambda d: -likeness(d))
    founders = [trial.trace for trial in ascending if trial.kind == "founder"]
    assert founders == [trial.trace for trial in descending if trial.kind == "founder"]
    assert [trial.trace for trial in ascending] != [trial.trace for trial in descending]


def test_a_proposal_knows_the_outcomes_up_to_its_lag_and_no_others() -> None:
    """Trials after `number - lag` get other scores: proposal `number` stays, and some later one changes."""
    before = searched(evolution(3), 60, likeness)
    for number in (12, 20, 33):
        known = {trial.identity for trial in before[: number - LAG + 1]}
        changed = searched(evolution(3), 60, partial(_turned, known))
        assert [t.trace for t in changed[: number + 1]] == [t.trace for t in before[: number + 1]]
        assert [t.trace for t in changed] != [t.trace for t in before]


def _turned(known: set[str], derivation: Derivation) -> float:
    score = likeness(derivation)
    return score if identity(derivation) in known else 100 - score


@given(stops=st.lists(st.integers(0, 15), max_size=8), order=st.integers(0, 10**6), seeds=st.integers(0, 2))
@settings(max_examples=30)
def test_interrupted_and_resumed_is_as_uninterrupted(stops: list[int], order: int, seeds: int) -> None:
    strategy, shuffle = evolution(1, seeds), random.Random(order)
    with tempfile.TemporaryDirectory() as folder:
        for count in (*stops, None):
            with Study.open(folder, header(strategy, SAMPLER, LAG), resume=True, durable=False) as study:
                executor = Shuffled(fragile, shuffle.randint(1, 6), shuffle, count)
                with contextlib.suppress(KeyboardInterrupt):
                    run(study, strategy, executor, 50, identity)
                in_memory = facts(study)
            assert facts(Study.read(folder)) == in_memory
    assert in_memory == searched(strategy, 50)


@pytest.mark.parametrize(
    "strategy", [evolution(4), evolution(4, seeds=2), RandomSearch(SAMPLER, 4)], ids=["bred", "from seeds", "random"]
)
def test_no_network_is_trained_twice(strategy: Strategy) -> None:
    trained: list[str] = []

    def counted(derivation: Derivation) -> float:
        trained.append(identity(derivation))
        return fragile(derivation)

    trials = searched(strategy, 120, counted, workers=4)
    assert len(trained) == len(set(trained)) == len([trial for trial in trials if trial.twin is None])
    assert any(trial.attempt for trial in trials), "no duplicate was drawn: the test sees nothing"


def test_a_space_that_is_used_up_gives_duplicates_with_the_scores_of_their_twins() -> None:
    small = Sampler.of(load_grammar(Source("toy", TOY.replace("<= 24", "<= 2"))))
    strategy = Evolution(small, 0, 8, 2)
    with Study.open(None, header(strategy, small, LAG)) as study:
        run(study, strategy, Shuffled(likeness, 4, random.Random(0)), 60, identity)
        trained = [trial for trial in study.trials if trial.twin is None]
        duplicates = [trial for trial in study.trials if trial.status == "duplicate"]
        assert {trial.identity for trial in trained} == {trial.identity for trial in study.trials}
        assert len(trained) == 1 + 4 + 16 and len(duplicates) == 60 - 21
        for trial in duplicates:
            assert trial.twin is not None and trial.scores == study[trial.twin].scores != {}
        assert len(study.best(60)) == 21


def test_evolution_beats_random_search_at_equal_evaluations() -> None:
    """Paired over 20 fixed seeds: t is above 7 once in 10^6 studies of two equal strategies, and near 12 here."""
    gains = []
    for seed in range(20):
        bred = searched(Evolution(SAMPLER, seed, population=8, tournament=5), 200, likeness)
        drawn = searched(RandomSearch(SAMPLER, seed), 200, likeness)
        gains.append(max(t.scores["score"] for t in bred) - max(t.scores["score"] for t in drawn))
    assert mean(gains) / (stdev(gains) / len(gains) ** 0.5) > 7


def script(*arguments: object, hash_seed: str = "random", limit: float = 100) -> str:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, __file__, *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=limit, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_hash_seeds_change_nothing() -> None:
    assert script("digest", hash_seed="1") == script("digest", hash_seed="2") != ""


@pytest.mark.parametrize("workers", [1, 4])
def test_a_hundred_kills_lose_nothing_and_change_nothing(workers: int, tmp_path: Path) -> None:
    report = json.loads(script("kill", tmp_path, workers, 100))
    assert report["kills"] >= 100 and report["studies"] >= 2, report
    assert report["wrong"] == [], report


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_a_thousand_kills(workers: int, tmp_path: Path) -> None:
    report = json.loads(script("kill", tmp_path, workers, 1000, limit=1000))
    assert report["kills"] >= 1000 and report["wrong"] == [], report


def digest() -> str:
    trials = searched(evolution(5, seeds=2), 80, workers=3)
    return hashlib.sha256(repr(trials).encode()).hexdigest()


def killed(folder: Path, workers: int, least: int) -> dict[str, Any]:
    """Studies whose process is killed at random moments until they are done, each held against an undisturbed one."""
    wanted = searched(evolution(6, seeds=1), 60)
    moments = random.Random()
    kills, studies, wrong = 0, 0, list[str]()
    while kills < least or studies < 2:
        place = folder / str(studies)
        place.mkdir()
        while not _ran(partial(_search, place, workers), 10 ** moments.uniform(-4, -1)):
            kills += 1
            wrong += _lost(place)
        studies += 1
        if facts(Study.read(place)) != wanted:
            wrong.append(f"{place}: other trials")
    return {"kills": kills, "studies": studies, "wrong": wrong}


def _ran(work: Callable[[], None], seconds: float) -> bool:
    """Whether a fork came to its end before it was killed."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or status == 0, "the search failed"
    return status == 0


def _search(place: Path, workers: int) -> None:
    """Writes the number of each trial to a log once its end was told, which is after it was recorded."""
    strategy = evolution(6, seeds=1)
    log = os.open(place / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with Study.open(place, header(strategy, SAMPLER, LAG), resume=True) as study:
        executor = Shuffled(fragile, workers, random.Random())
        run(study, strategy, executor, 60, identity, partial(_tell, log))


def _tell(log: int, trial: Trial) -> None:
    if trial.finished:
        os.write(log, b"%d\n" % trial.number)


def _lost(place: Path) -> list[str]:
    """Trials whose end was told, and that the study does not have or was told of twice."""
    told = (place / "log").read_text().split() if (place / "log").exists() else []
    if not told:
        return []
    kept = {str(trial.number) for trial in Study.read(place).trials if trial.finished}
    return [f"{place}: lost {number}" for number in set(told) - kept] + (
        [f"{place}: ended twice"] if len(told) != len(set(told)) else []
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["digest"]:
            print(digest())
        case ["kill", folder, workers, kills]:
            print(json.dumps(killed(Path(folder), int(workers), int(kills))))
