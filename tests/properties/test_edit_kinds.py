"""Laws of all kinds of edits, on every space of the library and on spaces small enough to be listed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ein.grammar import term as t
from ein.grammar.check import load_grammar
from ein.grammar.derivations.derivation import Choices, Derivation, replay
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, Source
from ein.grammar.editing.edit import KINDS, crossed, mutant, mutate
from ein.grammar.editing.mutate import taken
from ein.grammar.editing.sites import Sites, sites_of
from ein.grammar.load import library_names
from ein.grammar.types import merge

ROOT = Path(__file__).parents[2]
FORMS = """\
ein 1
grammar forms(classes = 4)
import std
input im[4, 8, 8]
output vec[classes]
rule Net = Body * 2 >> tied Same * 3 >> (let a = Same, b = a >> (relu | norm) : (a & b) >> add) >> head(classes)
rule Body = clone(2) >> (Same & (relu | norm)) >> add | residual(Same) | tied Wide(2) * 2 | relu >> Body
rule Same : im[c, h, w] -> im[c, h, w] = conv(c, k in {1, 3}) @ 2 | relu | split(2, 1) >> relu ^ 2 >> concat(1)
rule Wide(n) : im[c, h, w] -> im[c, h, w] = split(n, 1) >> Same ^ n >> concat(1)
limit modules <= 60
"""
PAIR = "ein 1\nimport std\ninput im[3, 8, 8]\nrule Net = A >> A\nrule A = relu | norm | sigmoid\n"


@cache
def space(name: str) -> Sampler:
    return Sampler.of(load_grammar(Source("forms", FORMS) if name == "forms" else name))


def _with_rules() -> list[str]:
    grammars = {name: load_grammar(name) for name in library_names() if "/" not in name}
    return [name for name, grammar in grammars.items() if grammar.start is not None and grammar.input is not None]


SPACES = [*_with_rules(), "forms"]


def of(text: str) -> Sampler:
    return Sampler.of(load_grammar(Source("text", text)))


def located(sampler: Sampler, derivation: Derivation) -> Sites:
    return sites_of(sampler.space, derivation.choices, derivation.input, True)


def edits(sampler: Sampler, parents: Sequence[Derivation], seed: int) -> Iterator[tuple[str, list[Derivation], Any]]:
    """Every kind of edit of every parent: the kind, the parents, the child; those that there are not are left out."""

    def of_kind(kind: str) -> Callable[[int, Derivation], tuple[list[Derivation], Derivation]]:
        return lambda i, p: ([p], mutant(sampler, p, seed, i, kind=kind))

    calls = {kind: of_kind(kind) for kind in KINDS}
    calls["kept"] = lambda i, p: ([p], mutant(sampler, p, seed, i, keep="type"))
    calls["deep"] = lambda i, p: ([p], mutant(sampler, p, seed, i, sites="depth"))
    calls["cross"] = lambda i, p: ([p, parents[i - 1]], crossed(sampler, p, parents[i - 1], seed, i))
    calls["cross kept"] = lambda i, p: ([p, parents[i - 1]], crossed(sampler, p, parents[i - 1], seed, i, keep="type"))
    for name, call in calls.items():
        for index, parent in enumerate(parents):
            try:
                yield name, *call(index, parent)
            except EinError as error:
                assert [found.code for found in error.diagnostics] == ["E706"]


def test_the_library_is_covered() -> None:
    assert {"einspace", "nb201", "hnb201", "hnb201_cell", "darts", "sequence", "hybrid", "tabular"} <= set(SPACES)


@pytest.mark.parametrize("name", SPACES)
def test_the_sites_of_a_derivation_are_those_of_its_term(name: str) -> None:
    sampler = space(name)
    for index in range(8):
        drawn = sampler.draw(3, index)
        found = located(sampler, drawn)
        nodes = [node for node in t.walk(drawn.term) if isinstance(node, t.Named) and not node.macro]
        assert found.cost == drawn.cost
        assert len(nodes) == len(found.sites) == len(drawn.choices)
        for at, (site, node) in enumerate(zip(found.sites, nodes, strict=True)):
            assert (site.instance.rule.name, site.instance.values) == (node.name, node.arguments)
            assert site.output is node.output
            assert site.instance.rule.packed or site.input is node.input
            assert site.cost == t.cost(node)
            inside = [each for each in t.walk(node) if isinstance(each, t.Named) and not each.macro]
            assert site.end == at + len(inside)


@pytest.mark.parametrize("name", SPACES)
def test_every_edit_is_valid_within_the_limits_and_no_parent(name: str) -> None:
    sampler = space(name)
    parents = [sampler.draw(5, index) for index in range(4)]
    seen = Counter[str]()
    for kind, given_, child in edits(sampler, parents, 11):
        seen[kind] += 1
        assert all(child.choices != parent.choices for parent in given_)
        term = replay(sampler.space, child.choices, child.input)
        _within(sampler, child, term)
        _of_its_kind(sampler, kind, given_, child)
    assert seen["subtree"] == len(parents)
    assert seen["small"] and seen["cross"] and seen["deep"]


def _within(sampler: Sampler, child: Derivation, term: t.TypedTerm) -> None:
    limits, cost = sampler.limits, t.cost(term)
    assert child.modules == cost.modules
    found = {"modules": cost.modules, "depth": t.depth(term), "parameters": cost.parameters}
    found |= {"macs": cost.macs, "elements": cost.elements}
    assert all(getattr(limits, k) is None or v <= getattr(limits, k) for k, v in found.items())
    if sampler.grammar.output is not None:
        assert merge((sampler.grammar.output, term.output)) is not None


def _of_its_kind(sampler: Sampler, kind: str, parents: list[Derivation], child: Derivation) -> None:
    ours, theirs = parents[0].choices, child.choices
    first = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), -1)
    match kind:
        case "value":
            assert ours[first][0] == theirs[first][0]
        case "alternative":
            assert ours[first][0] != theirs[first][0]
        case "insert" | "duplicate":
            assert len(theirs) > len(ours) and _inside(ours, theirs)
        case "delete":
            assert len(theirs) < len(ours) and _inside(theirs, ours)
        case "swap":
            assert Counter(ours) == Counter(theirs)
        case "kept":
            assert _replaced(located(sampler, parents[0]), located(sampler, child))
        case "cross" | "cross kept":
            donor = located(sampler, parents[1])
            assert _crossed(located(sampler, parents[0]), donor, located(sampler, child), kind == "cross kept")


def _inside(few: Choices, many: Choices) -> bool:
    """Whether all of `few` are in `many` in their order."""
    left = iter(many)
    return all(choice in left for choice in few)


def _replaced(parent: Sites, child: Sites) -> bool:
    """Whether some subtree is another one of the same types, all else being what it was."""
    return any(
        child.choices == parent.choices[:at] + child.subtree(at) + parent.choices[site.end :]
        and child.sites[at].output is site.output
        for at, site in enumerate(parent.sites[: len(child.sites)])
    )


def _crossed(first: Sites, second: Sites, child: Sites, kept: bool) -> bool:
    """Whether every choice of the child comes from one of the two: those of one subtree from the second."""
    return any(
        child.choices == first.choices[:at] + second.subtree(donor) + first.choices[site.end :]
        and (not kept or child.sites[at].output is site.output)
        for at, site in enumerate(first.sites)
        for donor, other in enumerate(second.sites)
        if other.instance is site.instance
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(KINDS), st.sampled_from(["uniform", "depth"]))
def test_an_edit_is_a_function_of_parent_seed_and_index(seed: int, kind: str, sites: Any) -> None:
    sampler = space("einspace")
    parent = sampler.draw(seed, size=(3, 60))
    try:
        child = mutant(sampler, parent, seed, 3, kind=kind, sites=sites)
    except EinError:
        return
    sampler.space.clear()
    mutant(sampler, parent, seed + 1, 3, sites=sites)
    assert mutant(sampler, parent, seed, 3, kind=kind, sites=sites).choices == child.choices


_TRACES = """
from ein.grammar.check import load_grammar
from ein.grammar.editing.edit import KINDS, crossed, mutant
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError
for name in ("einspace", "hybrid"):
    sampler = Sampler.of(load_grammar(name))
    parents = [sampler.draw(2, i, size=(5, 60)) for i in range(3)]
    for i, parent in enumerate(parents):
        for kind in KINDS:
            try:
                print(kind, mutant(sampler, parent, 7, i, kind=kind, sites="depth").trace)
            except EinError as error:
                print(kind, error)
        print(crossed(sampler, parent, parents[i - 1], 7, i).trace)
"""


def test_edits_do_not_depend_on_the_order_of_sets() -> None:
    def said(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "src")}
        ended = subprocess.run([sys.executable, "-c", _TRACES], env=environment, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    first = said("1")
    assert first.count("\n") > 50
    assert said("2") == first


def test_copies_are_edited_together() -> None:
    text = "ein 1\nimport std\ninput im[4, 8, 8]\nrule Net = clone(3) >> A ^ 3 >> add >> tied B * 2\n"
    sampler = of(f"{text}rule A = conv(4, k in {{1, 3, 5}})\nrule B = relu | norm | sigmoid\n")
    parent, terms = sampler.draw(0), set()
    for kind in ("subtree", "value", "alternative"):
        for index in range(20):
            child = mutant(sampler, parent, 1, index, kind=kind)
            copies = [node for node in t.walk(child.term) if isinstance(node, t.Copies)]
            repeated = [node for node in t.walk(child.term) if isinstance(node, t.Repeated)]
            assert [node.count for node in copies] == [3]
            assert [len(set(map(t.text, node.parts))) for node in repeated] == [1]
            assert len(child.choices) == len(parent.choices) == 3
            terms.add(child.text)
    assert len(terms) == 8


def chi_square(counts: Mapping[Any, int], expected: Mapping[Any, float]) -> float:
    total = sum(counts.values())
    assert counts.keys() <= expected.keys()
    return sum((counts[key] - total * p) ** 2 / (total * p) for key, p in expected.items())


def mutants_of_pair(at_net: float) -> dict[tuple[int, int], float]:
    """Probability of each child of (0, 0), where the first rule is the site with `at_net` and each `A` alike else."""
    found = {}
    for first, second in product(range(3), repeat=2):
        changed = (first != 0) + (second != 0)
        if changed:
            found[first, second] = at_net / 8 + ((1 - at_net) / 2 / 2 if changed == 1 else 0)
    return found


def children_of_pair(sites: Any, random: Callable[[], float]) -> Counter[tuple[int, int]]:
    sampler = of(PAIR)
    parent = next(d for d in sampler.samples(99, 0) if d.trace == "0 0 0")
    children = (mutate(sampler, parent, random, sites=sites) for _ in range(6000))
    return Counter((child.choices[1][0], child.choices[2][0]) for child in children)


LATE = 40.0
"""A chi-square with 7 degrees of freedom is above this once in a million times."""


def test_sites_are_taken_uniformly_and_redrawn_from_the_stated_distribution() -> None:
    counts = children_of_pair("uniform", Random("uniform").random)
    assert chi_square(counts, mutants_of_pair(1 / 3)) < LATE
    assert chi_square(counts, mutants_of_pair(1 / 2)) > LATE  # the test sees another distribution of sites


def test_levels_are_taken_uniformly_where_that_is_asked_for() -> None:
    counts = children_of_pair("depth", Random("depth").random)
    assert chi_square(counts, mutants_of_pair(1 / 2)) < LATE
    assert chi_square(counts, mutants_of_pair(1 / 3)) > LATE


def test_a_planted_bias_of_sites_is_found() -> None:
    sampler = space("einspace")
    found = located(sampler, sampler.draw(4, size=(5, 5)))
    open_sites = found.changeable
    expected = dict.fromkeys(open_sites, 1 / len(open_sites))

    def counted(random: Callable[[], float]) -> float:
        return chi_square(Counter(taken(found, open_sites, random, "uniform") for _ in range(8000)), expected)

    fair = Random("sites").random
    assert 5 <= len(open_sites) <= 12
    assert counted(fair) < LATE + 10
    assert counted(lambda: fair() ** 1.2) > LATE + 10


@pytest.mark.parametrize("keep", [None, "type"])
@pytest.mark.parametrize(
    ("body", "limit", "wanted"),
    [("clone(3) >> A ^ 3 >> add", "modules <= 12", {5, 8, 11}), ("A >> norm", "depth <= 4", {2, 3, 4})],
)
def test_limits_are_kept_and_reached(body: str, limit: str, wanted: set[int], keep: Any) -> None:
    sampler = of(f"ein 1\nimport std\ninput im[3, 8, 8]\nrule Net = {body}\nrule A = relu | relu >> A\nlimit {limit}\n")
    parents = {parent.choices: parent for parent in sampler.samples(40, 0)}
    random = Random(limit).random
    children = [mutate(sampler, parent, random, keep=keep) for parent in parents.values() for _ in range(40)]
    assert {child.modules for child in children} == wanted


def test_all_mutants_that_keep_a_type_are_found_and_no_others() -> None:
    text = "ein 1\nimport std\ninput im[3, 8, 8]\nrule Net = A >> A\nrule A = relu | norm | conv(5) | conv(3)\n"
    sampler = of(text)
    parent = next(d for d in sampler.samples(99, 0) if d.trace == "0 0 2")
    random = Random("kept").random
    found = {mutate(sampler, parent, random, keep="type").trace for _ in range(400)}
    of_five = {(first, 2) for first in range(4)} | {(2, 0), (2, 1)}
    assert found == {f"0 {first} {second}" for first, second in of_five - {(0, 2)}}
