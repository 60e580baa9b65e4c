"""Laws of edit paths and of offspring by alignment."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ein.grammar import term as t
from ein.grammar.alignment import offspring as paths_crossover
from ein.grammar.alignment.align import distance
from ein.grammar.alignment.offspring import accepted, offspring, steps
from ein.grammar.alignment.paths import Edit, path
from ein.grammar.cfg import Limits
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.derivation import Derivation, replay
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, Source

NAMED = """\
ein 1
grammar named(classes = 4)
import std
input im[4, 8, 8]
output vec[classes]
rule Net = Body * 2 >> (Wide(2) | Wide(4)) >> head(classes)
rule Body = let a = Same : (Same & a) >> add | residual(Same) | tied Wide(2) * 2
rule Same : im[c, h, w] -> im[c, h, w] = Same >> Same | conv(c, k in {1, 3}) @ 2 | relu | norm | Sized(c)
rule Sized(n) : im[c, h, w] -> im[c, h, w] = conv(n) | conv(n, k = 1) >> Same
rule Wide(n) : im[c, h, w] -> im[c, h, w] = split(n, 1) >> Same ^ n >> concat(1)
limit modules <= 60
"""
SPACES = ("einspace", "einspace1d", "hnb201_cell", "nb201", "named")
SEEDS = st.integers(0, 10**6)


@cache
def sampler(name: str) -> Sampler:
    return Sampler.of(load_grammar(Source(name, NAMED) if name == "named" else name))


@cache
def draw(name: str, index: int) -> Derivation:
    return sampler(name).draw(4, index)


def within(derivation: Derivation, limits: Limits) -> bool:
    cost = t.cost(derivation.term)
    found = {"modules": cost.modules, "depth": t.depth(derivation.term), "parameters": cost.parameters}
    found |= {"macs": cost.macs, "elements": cost.elements}
    return all(getattr(limits, k) is None or v <= getattr(limits, k) for k, v in found.items())


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=60)
@given(SEEDS, SEEDS)
def test_no_edit_gives_the_first_and_all_edits_the_second(name: str, i: int, j: int) -> None:
    a, b = draw(name, i % 300), draw(name, j % 300)
    way = path(a, b)
    assert way.choices(()) == a.choices
    assert way.choices(range(len(way))) == b.choices
    assert sum(edit.cost for edit in way.edits) == distance(a, b)
    assert all(edit.cost > 0 for edit in way.edits)
    assert [edit.place for edit in way.edits] == sorted(edit.place for edit in way.edits)
    assert all(0 <= edit.place < len(a.choices) for edit in way.edits)


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=40)
@given(SEEDS, SEEDS, SEEDS)
def test_what_some_edits_give_lies_between(name: str, i: int, j: int, k: int) -> None:
    """On a shortest path: the way to it and the way from it add up to the distance."""
    a, b = draw(name, i % 300), draw(name, j % 300)
    way = path(a, b)
    random = Random(k)
    made = [index for index in range(len(way)) if random.random() < 0.5]
    child = accepted(sampler(name), way.choices(made), a.input)
    if child is not None:
        assert distance(a, child) <= sum(way.edits[index].cost for index in made)
        assert distance(a, child) + distance(child, b) == distance(a, b)


@pytest.mark.parametrize("name", SPACES)
def test_offspring_are_valid_within_the_limits_and_no_parent(name: str) -> None:
    space = sampler(name)
    random = Random("offspring").random
    found = 0
    for index in range(60):
        a, b = draw(name, 2 * index), draw(name, 2 * index + 1)
        if len(path(a, b)) < 3:
            continue
        child = offspring(space, a, b, random)
        found += 1
        assert child.choices not in (a.choices, b.choices) and child.text not in (a.text, b.text)
        assert within(child, space.limits)
        assert child.modules == child.cost.modules
        assert repr(child.type) == repr(a.type)
        assert t.text(replay(space.space, child.choices, child.input)) == child.text
        assert distance(a, child) + distance(child, b) == distance(a, b)
    assert found > 25


def test_the_share_says_how_much_of_the_second_parent_is_taken() -> None:
    pairs = [(draw("hnb201_cell", 2 * index), draw("hnb201_cell", 2 * index + 1)) for index in range(40)]
    taken = []
    for share in (0.1, 0.5, 0.9):
        random = Random(1).random
        children = [(a, offspring(sampler("hnb201_cell"), a, b, random, share)) for a, b in pairs]
        taken.append(sum(distance(a, child) for a, child in children) / sum(distance(a, b) for a, b in pairs))
    assert taken[0] < 0.3 < taken[1] < 0.7 < taken[2]


def test_most_sets_of_edits_between_networks_of_einspace_are_networks() -> None:
    """Of uniform sets of edits two thirds are valid networks, and of pairs all but those one edit apart cross."""
    space = sampler("einspace")
    random = Random("acceptance")
    valid = crossed = far = total = 0
    for index in range(120):
        a, b = (space.draw(1, 2 * index + each, (5, 60)) for each in (0, 1))
        way = path(a, b)
        sets = [{i for i in range(len(way)) if random.random() < 0.5} for _ in range(6)]
        kept = [made for made in sets if 0 < len(made) < len(way)]
        total += len(kept)
        valid += sum(accepted(space, way.choices(made), a.input) is not None for made in kept)
        if len(way) > 2:
            far += 1
            crossed += offspring(space, a, b, random.random) is not None
    assert valid / total > 0.5
    assert crossed == far > 80


def test_the_same_random_numbers_give_the_same_child_whatever_the_tables_hold() -> None:
    space = sampler("einspace")
    pairs = [(draw("einspace", 2 * index), draw("einspace", 2 * index + 1)) for index in range(20)]
    pairs = [(a, b) for a, b in pairs if len(path(a, b)) > 2]
    first = [offspring(space, a, b, Random(i).random).trace for i, (a, b) in enumerate(pairs)]
    space.space.clear()
    assert first == [offspring(space, a, b, Random(i).random).trace for i, (a, b) in enumerate(pairs)]


_CHILDREN = """\
from random import Random
import ein
from ein.grammar.alignment.paths import path
from ein.grammar.alignment.offspring import offspring
space = ein.load("einspace")
a, b = (space.sample(2, index, size=(20, 60)) for index in range(2))
print(ein.distance(a, b), *path(a, b).edits)
print(*(offspring(space.sampler, a, b, Random(i).random).trace for i in range(9)))
"""


def test_paths_and_children_do_not_depend_on_the_hash_seed() -> None:
    said = set()
    for seed in ("0", "1", "77"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        ended = subprocess.run([sys.executable, "-c", _CHILDREN], env=environment, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        said.add(ended.stdout)
    assert len(said) == 1


@pytest.mark.parametrize("name", ("einspace", "named"))
def test_the_steps_of_a_path_go_from_one_to_the_other(name: str) -> None:
    space = sampler(name)
    valid = total = 0
    for index in range(40):
        a, b = draw(name, 2 * index), draw(name, 2 * index + 1)
        way = path(a, b)
        found = steps(space, way)
        assert sorted(map(str, (step.edit for step in found))) == sorted(map(str, way.edits))
        assert not found or found[-1].derivation == b
        left = distance(a, b)
        for step in found:
            left -= step.edit.cost
            if step.derivation is not None:
                assert distance(step.derivation, b) == left
        total += len(found)
        valid += sum(step.derivation is not None for step in found)
    assert valid > 0.8 * total > 40


def test_steps_without_tries_left_take_the_edits_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths_crossover, "WALKED", 0)
    way = path(draw("einspace", 3), draw("einspace", 14))
    assert len(way) > 2
    assert [step.edit for step in steps(sampler("einspace"), way)] == list(way.edits)


TOY = """\
ein 1
import std
input im[4, 8, 8]
rule A = relu | norm | conv(4, k in {1, 3}) | A >> A | clone(2) >> (A & A) >> add | B >> A
rule B = relu >> relu | norm >> A
"""


def between(a: str, b: str) -> list[Edit]:
    """Edits between two derivations, given by their choices."""
    space = Sampler.of(load_grammar(Source("toy", TOY)))
    derivations = [_derivation(space, trace) for trace in (a, b)]
    return list(path(*derivations).edits)


def _derivation(space: Sampler, trace: str) -> Derivation:
    from ein.grammar.derivations.derivation import read_trace

    assert space.grammar.input is not None
    found = accepted(space, read_trace(trace), space.grammar.input)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("a", "b", "edits"),
    [
        ("0", "0", []),
        ("0", "1", [("change", 0.5, 0, "relu -> norm")]),
        ("2:1", "2:3", [("change", 0.25, 0, "conv(4, k = 1) -> conv(4)")]),
        ("0", "3 2:3 0", [("insert", 1.125, 0, "insert conv(4) >> …")]),
        ("3 0 2:3", "0", [("delete", 1.125, 0, "delete … >> conv(4)")]),
        ("3 0 1", "4 0 1", [("change", 1.875, 0, "… >> … -> clone(2) >> (… & …) >> add")]),
        ("3 1 3 2:3 0", "0", [("delete", 1.125, 0, "delete norm >> …"), ("delete", 1.125, 2, "delete conv(4) >> …")]),
        ("5 0 0", "5 1 2:3 0", [("change", 2.0, 1, "relu >> relu -> norm >> conv(4)")]),
        ("5 0 1", "3 2:3 1", [("change", 3.25, 0, "relu >> relu >> … -> conv(4) >> …")]),
    ],
)
def test_edits_read_as_the_parts_that_they_take_out_and_put_in(
    a: str, b: str, edits: list[tuple[str, float, int, str]]
) -> None:
    assert [(each.kind, each.cost, each.place, str(each)) for each in between(a, b)] == edits


def test_parents_without_a_child_are_told() -> None:
    space = Sampler.of(load_grammar(Source("toy", TOY)))
    one, other = _derivation(space, "0"), _derivation(space, "1")
    for a, b in ((one, other), (one, one)):
        with pytest.raises(EinError, match="no network between these two") as caught:
            offspring(space, a, b, Random(0).random)
        assert [each.code for each in caught.value.diagnostics] == ["E717"]


def test_parents_of_another_space_are_told() -> None:
    elsewhere = Sampler.of(load_grammar("einspace", Request(input="im[1, 8, 8]")))
    a, b = draw("einspace", 0), draw("einspace", 1)
    with pytest.raises(EinError, match="no derivation of `einspace`"):
        offspring(elsewhere, a, b, Random(0).random)
    with pytest.raises(EinError, match="no derivation of `einspace`"):
        steps(elsewhere, path(a, b))


def test_choices_that_do_not_fit_are_not_accepted() -> None:
    space = sampler("einspace")
    a = draw("einspace", 0)
    assert accepted(space, a.choices, a.input) == a
    assert accepted(space, a.choices[:-1], a.input) is None
    assert accepted(space, (*a.choices, (0, ())), a.input) is None
    assert accepted(space, ((99, ()), *a.choices[1:]), a.input) is None
