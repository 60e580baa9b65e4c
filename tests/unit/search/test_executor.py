"""Outcomes: whatever a fitness does, but Ctrl-C, is one of them."""

from __future__ import annotations

import math
from time import sleep
from typing import Any

import numpy as np
import pytest

from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import fail
from ein.search.executor import Inline, Outcome


@pytest.mark.parametrize(
    ("value", "scores"),
    [
        (0.5, {"score": 0.5}),
        (3, {"score": 3.0}),
        (np.float32(0.25), {"score": 0.25}),
        ({"accuracy": 0.9, "macs": -10}, {"accuracy": 0.9, "macs": -10.0}),
    ],
)
def test_numbers_are_scores(value: Any, scores: dict[str, float]) -> None:
    outcome = Outcome.of(value, 1.5, {"epochs": 3})
    assert outcome == Outcome("ok", scores, "", 1.5, {"epochs": 3})
    assert all(type(each) is float for each in outcome.scores.values())


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "the fitness is nan"),
        (-math.inf, "the fitness is -inf"),
        (None, "the fitness is None, which is no number"),
        ("0.5", "the fitness is '0.5', which is no number"),
        ([1, 2], "the fitness is a list, which is no number"),
        ({}, "the fitness gave no scores"),
        ({"accuracy": 0.5, "loss": math.nan}, "`loss` is nan"),
    ],
)
def test_what_is_no_finite_number_is_an_error(value: Any, reason: str) -> None:
    assert Outcome.of(value) == Outcome("error", {}, reason)


@pytest.mark.parametrize(
    ("status", "scores"), [("ok", {}), ("error", {"score": 1.0}), ("ok", {"score": math.nan})], ids=str
)
def test_scores_and_status_of_an_outcome_agree(status: Any, scores: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="scores"):
        Outcome(status, scores)


def judged(fitness: Any, sampler: Sampler) -> Outcome:
    inline = Inline(fitness)
    inline.submit(7, sampler.draw(0))
    ((number, outcome),) = inline.wait()
    assert number == 7 and inline.wait() == []
    return outcome


def test_an_exception_is_an_error_that_says_where(sampler: Sampler) -> None:
    def broken(derivation: Derivation) -> float:
        raise KeyError("what\nis this")

    outcome = judged(broken, sampler)
    assert outcome.status == "error"
    assert outcome.reason.startswith("KeyError: 'what\\nis this' (") and outcome.reason.endswith(", in broken)")
    assert "test_executor.py:" in outcome.reason


def test_an_error_of_ours_is_told_by_its_message(sampler: Sampler) -> None:
    def refused(derivation: Derivation) -> float:
        raise fail("E811", "it does not fit")

    assert judged(refused, sampler).reason == "it does not fit"


def test_no_memory_left_is_an_outcome(sampler: Sampler) -> None:
    def greedy(derivation: Derivation) -> float:
        raise MemoryError

    assert judged(greedy, sampler).status == "memory"


def test_a_fitness_that_cannot_be_called_is_an_error(sampler: Sampler) -> None:
    assert judged(None, sampler).reason == "TypeError: 'NoneType' object is not callable"


def test_ctrl_c_passes_through(sampler: Sampler) -> None:
    def interrupted(derivation: Derivation) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judged(interrupted, sampler)


def test_seconds_are_those_of_the_fitness(sampler: Sampler) -> None:
    def slow(derivation: Derivation) -> float:
        sleep(0.05)
        return 1.0

    assert judged(slow, sampler).seconds >= 0.05


def test_nothing_runs_after_close(sampler: Sampler) -> None:
    inline = Inline(lambda derivation: 1.0)
    inline.submit(0, sampler.draw(0))
    inline.close()
    assert inline.wait() == []
