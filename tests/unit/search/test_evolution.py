"""What evolution proposes, proposal by proposal; and strategies by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, fail
from ein.search.evolution import Evolution, population_for, tournament_for
from ein.search.named import strategy
from ein.search.operators import Random
from ein.search.protocol import TRIES, Proposal, Trial, lag_for, rebuilt
from ein.search.random_search import RandomSearch
from ein.search.study import header


def recorded(number: int, proposal: Proposal, score: float | None = 1.0) -> Trial:
    drawn = proposal.derivation
    scores = {} if score is None else {"score": score}
    status: Any = "ok" if scores else "error"
    return Trial(
        number, proposal.kind, proposal.parent, 0, drawn.id, drawn.trace, drawn.text, drawn.modules, drawn.text,
        None, status, scores,
    )  # fmt: skip


@pytest.fixture
def founders(sampler: Sampler) -> list[Trial]:
    """Ten, of which number 4 is the best."""
    strategy = RandomSearch(sampler, 0)
    return [recorded(number, strategy.propose(number, 0, ()), -abs(number - 4)) for number in range(10)]


@pytest.mark.parametrize(
    ("evals", "population", "tournament"), [(1, 8, 2), (48, 8, 2), (200, 25, 2), (300, 37, 3), (1000, 100, 10)]
)
def test_usual_settings(evals: int, population: int, tournament: int) -> None:
    assert (population_for(evals), tournament_for(population_for(evals))) == (population, tournament)


def test_first_founders_then_children_of_the_best(sampler: Sampler, founders: list[Trial]) -> None:
    evolution = Evolution(sampler, 0, population=10, tournament=100)
    assert [evolution.propose(number, 0, ()).kind for number in range(10)] == ["founder"] * 10
    for number in range(10, 30):
        child = evolution.propose(number, 0, founders)
        assert (child.kind, child.parent) == ("child", 4)
        assert child.derivation.trace != founders[4].trace
        assert child == evolution.propose(number, 0, founders)


def test_another_attempt_number_or_seed_is_another_child(sampler: Sampler, founders: list[Trial]) -> None:
    evolution = Evolution(sampler, 0, population=10, tournament=100)
    asked = [(evolution, 10, attempt) for attempt in range(8)] + [(evolution, number, 0) for number in range(11, 19)]
    asked += [(replace(evolution, seed=seed), 10, 0) for seed in range(1, 9)]
    children = {each.propose(number, attempt, founders).derivation for each, number, attempt in asked}
    assert len(children) >= 18  # of 24; equal ones are chance


def test_founders_where_nobody_is_left_or_draws_are_duplicates(sampler: Sampler, founders: list[Trial]) -> None:
    evolution = Evolution(sampler, 0, population=4)
    failed = [replace(trial, status="timeout", scores={}) for trial in founders]
    assert evolution.propose(12, 0, failed).kind == "founder"
    assert evolution.propose(12, 0, ()).kind == "founder"
    assert evolution.propose(12, TRIES // 2 - 1, founders).kind == "child"
    assert evolution.propose(12, TRIES // 2, founders).kind == "founder"


def test_a_parent_without_mutants_gives_way_to_a_founder(sampler: Sampler, founders: list[Trial]) -> None:
    def barren(sampler: Sampler, parent: Derivation, random: Random) -> Derivation:
        raise fail("E706", "no mutant")

    evolution = Evolution(sampler, 0, population=4, mutate=barren)
    assert evolution.propose(12, 0, founders) == RandomSearch(sampler, 0).propose(12, 0, founders)


def test_seeds_come_first_and_are_parents_before_their_scores_are_known(sampler: Sampler) -> None:
    seeds = (sampler.draw(7, 0, (5, 24)), sampler.draw(7, 1, (5, 24)))
    evolution = Evolution(sampler, 0, population=8, tournament=50, seeds=seeds)
    first = [evolution.propose(number, 0, ()) for number in range(2)]
    assert [(each.kind, each.derivation) for each in first] == [("seed", seeds[0]), ("seed", seeds[1])]
    unknown = [evolution.propose(number, 0, ()) for number in range(2, 22)]
    assert {each.kind for each in unknown} == {"child"} and {each.parent for each in unknown} == {0, 1}
    known = [recorded(0, first[0], 1.0), recorded(1, first[1], 2.0)]
    assert {evolution.propose(number, 0, known).parent for number in range(2, 22)} == {1}
    failed = [recorded(0, first[0], None)]
    assert {evolution.propose(number, 0, failed).parent for number in range(2, 22)} == {1}
    failed.append(recorded(1, first[1], None))
    assert evolution.propose(2, 0, failed).kind == "founder"


def test_settings_that_are_wrong(sampler: Sampler, other: Sampler) -> None:
    with pytest.raises(ValueError, match="population is at least 1, got 0"):
        Evolution(sampler, population=0)
    with pytest.raises(ValueError, match="tournament is at least 1, got -2"):
        Evolution(sampler, tournament=-2)
    with pytest.raises(ValueError, match="a seed is to be a derivation of `toy`, got <Derivation toy@"):
        Evolution(sampler, seeds=(other.draw(0),))


def test_a_trial_gives_its_derivation_back(sampler: Sampler, founders: list[Trial]) -> None:
    for number, trial in enumerate(founders):
        assert rebuilt(sampler, trial) == sampler.draw(0, number)
        assert rebuilt(sampler, trial).text == trial.term
    with pytest.raises(EinError, match="the record of trial 0 is damaged"):
        rebuilt(sampler, replace(founders[0], trace="0 x:1"))


def test_the_lag_keeps_all_workers_busy() -> None:
    assert [lag_for(workers) for workers in (1, 8, 9, 64)] == [8, 8, 9, 64]


def test_strategies_by_name(sampler: Sampler) -> None:
    usual = strategy(None, sampler, 300)
    assert usual == Evolution(sampler, 0, 37, 3)
    assert strategy("einspace", sampler, 300, seed=2) == Evolution(sampler, 2, 100, 10)
    assert strategy("evolution", sampler, 300, population=9, tournament=4) == Evolution(sampler, 0, 9, 4)
    assert strategy("random", sampler, 300, seed=2, size=(3, 9)) == RandomSearch(sampler, 2, (3, 9))


def test_names_and_settings_that_are_not_there(sampler: Sampler) -> None:
    with pytest.raises(EinError, match="there is no strategy `evolutoin`") as raised:
        strategy("evolutoin", sampler, 10)
    assert raised.value.diagnostics[0].help == "did you mean `evolution`?"
    with pytest.raises(EinError, match="random search has no `population` and no `seeds`"):
        strategy("random", sampler, 10, population=8, seeds=(sampler.draw(0),))


def test_what_is_not_said_is_as_the_study_has_it(sampler: Sampler) -> None:
    begun = Evolution(sampler, 5, 11, 3, (sampler.draw(1), sampler.draw(2)), "accuracy", (2, 20))
    kept = header(begun, sampler, 8)
    assert strategy(None, sampler, 5000, kept=kept) == begun
    assert strategy(None, sampler, 5000, population=12, seed=1, kept=kept) == replace(begun, seed=1, population=12)
    drawn = RandomSearch(sampler, 3, (2, 20))
    assert strategy(None, sampler, 5000, kept=header(drawn, sampler, 8)) == drawn
