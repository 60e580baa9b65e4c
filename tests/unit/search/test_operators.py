"""Who is in the population, and who wins."""

from __future__ import annotations

from random import Random

import pytest

from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError
from ein.search.operators import founder, tournament, youngest
from ein.search.protocol import Status, Trial


def trial(number: int, score: float | None, status: Status = "ok", name: str = "score") -> Trial:
    scores = {} if score is None else {name: score}
    return Trial(number, "child", None, 0, "", "", "", 1, str(number), None, status, scores)


def numbers(members: list[Trial]) -> list[int]:
    return [member.number for member in members]


def test_the_population_is_whoever_was_born_last() -> None:
    seen = [trial(number, 1.0) for number in range(10)]
    assert numbers(youngest(seen, 4, 0)) == [6, 7, 8, 9]
    assert numbers(youngest(seen, 20, 0)) == list(range(10))
    assert youngest([], 4, 0) == []


def test_those_without_scores_take_no_place() -> None:
    seen = [trial(number, None if number % 2 else 1.0, "timeout" if number % 2 else "ok") for number in range(10)]
    assert numbers(youngest(seen, 4, 0)) == [2, 4, 6, 8]


def test_a_duplicate_with_scores_is_a_member() -> None:
    assert numbers(youngest([trial(0, 1.0), trial(1, 1.0, "duplicate"), trial(2, None, "duplicate")], 4, 0)) == [0, 1]


def test_seeds_fill_the_population_in_turn_and_die_of_age() -> None:
    seeds = [trial(0, 1.0), trial(1, 1.0)]
    children = [trial(number, 1.0) for number in range(2, 12)]
    assert numbers(youngest(seeds, 5, 2)) == [0, 1, 0, 1, 0]
    assert numbers(youngest(seeds + children[:2], 5, 2)) == [0, 1, 0, 2, 3]
    assert numbers(youngest(seeds + children[:4], 5, 2)) == [0, 2, 3, 4, 5]
    assert numbers(youngest(seeds + children[:5], 5, 2)) == [2, 3, 4, 5, 6]
    assert numbers(youngest(seeds + children, 5, 2)) == [7, 8, 9, 10, 11]


def test_more_seeds_than_places_keep_the_last() -> None:
    seeds = [trial(number, 1.0) for number in range(5)]
    assert numbers(youngest(seeds, 3, 5)) == [2, 3, 4]
    assert numbers(youngest([*seeds, trial(5, 1.0)], 3, 5)) == [3, 4, 5]


def test_the_places_of_a_failed_seed_go_to_the_others() -> None:
    assert numbers(youngest([trial(0, None, "error"), trial(1, 1.0)], 3, 2)) == [1, 1, 1]
    assert youngest([trial(0, None, "error")], 3, 1) == []


def test_the_best_of_those_drawn_wins() -> None:
    members = [trial(number, float(number)) for number in range(50)]
    random = Random(0).random
    assert tournament(members, 1000, None, random).number == 49
    winners = [tournament(members, 2, None, random).number for _ in range(4000)]
    # the larger of two uniform numbers below 50 is 32.8 on average, give or take 0.19 over 4,000
    assert abs(sum(winners) / len(winners) - 32.835) < 6 * 0.19


def test_members_are_drawn_again_after_they_were_drawn() -> None:
    draws = iter([0.0, 0.0, 0.9, 0.0])
    members = [trial(0, 0.0), trial(1, 1.0)]
    assert tournament(members, 2, None, lambda: next(draws)).number == 0
    assert tournament(members, 2, None, lambda: next(draws)).number == 1


def test_of_equals_the_one_drawn_first_wins() -> None:
    draws = iter([0.5, 0.0])
    assert tournament([trial(0, 1.0), trial(1, 1.0)], 2, None, lambda: next(draws)).number == 1


def test_the_objective_says_which_score_counts() -> None:
    first = Trial(0, "child", None, 0, "", "", "", 1, "", None, "ok", {"accuracy": 0.5, "macs": -10.0})
    second = Trial(1, "child", None, 0, "", "", "", 1, "", None, "ok", {"accuracy": 0.6, "macs": -20.0})
    assert tournament([first, second], 50, None, Random(0).random) is second
    assert tournament([first, second], 50, "macs", Random(0).random) is first
    with pytest.raises(EinError, match="trial 0 has no score `loss`") as raised:
        tournament([first], 1, "loss", Random(0).random)
    assert raised.value.diagnostics[0].help == "it has `accuracy`, `macs`"


def test_founders_are_the_draws_of_the_seed(sampler: Sampler) -> None:
    assert founder(sampler, 3, 5, 0).derivation == sampler.draw(3, 5)
    several = {founder(sampler, 3, number, attempt, (10, 24)).derivation for number in range(5) for attempt in range(5)}
    assert len(several) == 25
    assert all(10 <= derivation.modules <= 24 for derivation in several)
