"""Laws of the edit distance: a metric, and the least cost of all matchings, by trying them."""

from __future__ import annotations

from functools import cache
from itertools import combinations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ein
from ein.grammar import term as t
from ein.grammar.alignment.align import Alignment, align, distance
from ein.grammar.alignment.trees import ONE, Part, Trees, choices, shown, substitution, tokens, walk
from ein.grammar.architecture import architecture
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.files import derivation_text
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, Source

TOY = """\
ein 1
grammar toy(name = 1)
import std
input im[4, 8, 8]
rule A = relu | norm @ 2 | A >> A | B @ 2 | B >> norm | clone(2) >> (A & A) >> add
rule B = conv(4, k in {1, 3}) | A >> B
limit modules <= 24, depth <= 60
"""
ENDING = """\
ein 1
grammar ending
import std
input im[4, 8, 8]
rule A = (relu | norm) >> A | conv(4, k in {1, 3}) | clone(2) >> (A & A >> relu) >> add | A >> (relu >> norm | A)
limit modules <= 24, depth <= 60
"""
LIBRARY = ("einspace", "einspace1d", "nb201", "hnb201_cell", "darts")
SEEDS = st.integers(0, 10**6)


@cache
def sampler(name: str) -> Sampler:
    text = {"toy": TOY, "ending": ENDING}.get(name)
    return Sampler.of(load_grammar(name if text is None else Source(name, text)))


@cache
def draw(name: str, index: int, most: int = 0) -> Derivation:
    return sampler(name).draw(3, index, (1, most) if most else None)


@cache
def as_term(derivation: Derivation) -> Derivation:
    """The finished architecture of a derivation."""
    return architecture(load_grammar(Source("net", derivation_text(derivation))))


@pytest.mark.parametrize("name", (*LIBRARY, "toy", "ending"))
@settings(max_examples=40)
@given(SEEDS, SEEDS, SEEDS)
def test_the_distance_is_a_metric_on_the_derivations_of_a_space(name: str, i: int, j: int, k: int) -> None:
    a, b, c = (draw(name, index % 400) for index in (i, j, k))
    assert distance(a, b) == distance(b, a)
    assert (distance(a, b) == 0) == (a == b)
    assert distance(a, c) <= distance(a, b) + distance(b, c)
    assert distance(a, a) == 0


@pytest.mark.parametrize("name", ("einspace", "toy", "ending"))
@settings(max_examples=40)
@given(SEEDS, SEEDS, SEEDS)
def test_the_distance_is_a_metric_on_terms(name: str, i: int, j: int, k: int) -> None:
    a, b, c = (as_term(draw(name, index % 60, 20)) for index in (i, j, k))
    assert not align(a, b).rules
    assert distance(a, b) == distance(b, a)
    assert (distance(a, b) == 0) == (a.text == b.text)
    assert distance(a, c) <= distance(a, b) + distance(b, c)


@settings(max_examples=200)
@given(SEEDS, SEEDS, SEEDS)
def test_the_cost_of_one_node_for_another_is_a_metric_that_keeps_to_the_weights(i: int, j: int, k: int) -> None:
    trees = Trees()
    random = Random(f"{i} {j} {k}")
    a, b, c = (random.choice(list(walk(trees.tree(draw("einspace", n % 100), True)))) for n in (i, j, k))
    assert substitution(a, b) == substitution(b, a)
    assert substitution(a, c) <= substitution(a, b) + substitution(b, c)
    assert abs(a.own - b.own) <= substitution(a, b) <= a.own + b.own


def test_triples_of_near_neighbours_keep_the_triangle() -> None:
    """Far derivations keep it easily; these differ in a few places."""
    drawn = [draw("toy", index, 7) for index in range(36)]
    table = {(a, b): distance(a, b) for a in drawn for b in drawn}
    assert all(table[a, c] <= table[a, b] + table[b, c] for a in drawn for b in drawn for c in drawn)


@pytest.mark.parametrize("rules", (True, False))
@settings(max_examples=150)
@given(SEEDS, SEEDS, st.sampled_from(("toy", "ending")))
def test_no_matching_is_cheaper(rules: bool, i: int, j: int, name: str) -> None:
    a, b = (draw(name, index % 200, 4) for index in (i, j))
    trees = Trees()
    first, second = trees.tree(a, rules), trees.tree(b, rules)
    found = align(a, b).distance if rules else align(as_term(a), as_term(b)).distance
    assert found * ONE == cheapest(first, second)


Node = tuple[int, ...]
"""A node by the way from the root: the index of the child at each step."""


def nodes(root: Part, way: Node = ()) -> dict[Node, Part]:
    found = {way: root}
    for index, child in enumerate(root.children):
        found |= nodes(child, (*way, index))
    return found


def common(one: Node, other: Node) -> Node:
    """The lowest common ancestor."""
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    return one[:same]


def cheapest(first: Part, second: Part) -> int:
    """The least cost of all matchings that the definition allows."""
    ours, theirs = nodes(first), nodes(second)
    best = total = sum(part.own for part in (*ours.values(), *theirs.values()))
    order = list(ours)

    def extend(at: int, matching: dict[Node, Node], cost: int) -> None:
        nonlocal best
        if at == len(order):
            if allowed(matching, ours):
                best = min(best, cost)
            return
        extend(at + 1, matching, cost)
        node = order[at]
        for partner, part in theirs.items():
            if partner not in matching.values() and part.symbol == ours[node].symbol:
                saved = ours[node].own + part.own - substitution(ours[node], part)
                extend(at + 1, matching | {node: partner}, cost - saved)

    extend(0, {}, total)
    return best


def allowed(matching: dict[Node, Node], ours: dict[Node, Part]) -> bool:
    for (u, v), (x, y) in combinations(sorted(matching.items()), 2):
        above, theirs = common(u, x), common(v, y)
        if matching.get(above) != theirs or not v < y:
            return False
        places = (x[len(above)], y[len(theirs)])
        if ours[above].positional and above == u and places[0] != places[1]:
            return False
    return True


def test_equal_trees_are_one_part_and_tokens_tell_trees_apart() -> None:
    trees = Trees()
    drawn = [draw("einspace", index) for index in range(80)]
    parts = [trees.tree(each, True) for each in drawn]
    said = [" ".join(tokens(part)) for part in parts]
    for a, b in combinations(range(len(drawn)), 2):
        assert (drawn[a] == drawn[b]) == (parts[a] is parts[b]) == (said[a] == said[b])
    assert all(choices(part) == each.choices for part, each in zip(parts, drawn, strict=True))


@pytest.mark.parametrize("name", (*LIBRARY, "toy", "ending"))
def test_a_tree_reads_like_its_derivation(name: str) -> None:
    for index in range(25):
        derivation = draw(name, index)
        assert shown(Trees(as_written=True).tree(derivation, True)) == derivation.text
        assert shown(Trees().tree(derivation, False)) == derivation.text


def test_tokens_of_a_derivation() -> None:
    source = Source("one", "ein 1\nimport std\ninput im[4, 8, 8]\nrule A = conv(4, k in {3}) >> B\nrule B = relu\n")
    part = Trees().tree(Sampler.of(load_grammar(source)).draw(0), True)
    assert tokens(part) == ["A:0:3", "[", "B:0", "]"]


@pytest.mark.parametrize(
    ("one", "other", "cost"),
    [
        ("relu", "relu", 0),
        ("relu", "norm", 0.5),
        ("conv(4, k = 1)", "conv(4, k = 3)", 0.25),
        ("relu >> norm", "relu >> norm >> relu", 1),
        ("norm >> relu >> relu", "relu >> relu", 1),
        ("relu", "norm >> relu", 1.125),
        ("relu ^ 2 >> add", "relu ^ 3 >> add", 0.25),
        ("(relu >> norm) >> relu", "relu >> (norm >> relu)", 0),
    ],
)
def test_what_edits_of_a_term_cost(one: str, other: str, cost: float) -> None:
    kinds = [f"clone({text[-8]}) >> {text}" if "^" in text else text for text in (one, other)]
    a, b = (
        architecture(load_grammar(Source("n", f"ein 1\nimport std\narch n : im[4, 8, 8] -> im[4, 8, 8] = {text}\n")))
        for text in kinds
    )
    extra = 0.25 if "^" in one else 0  # clone(2) for clone(3)
    assert distance(a, b) == ein.distance(a, b) == cost + extra


def test_derivations_of_other_spaces_are_compared_by_their_terms() -> None:
    other = Sampler.of(load_grammar(Source("toy", TOY), Request({"name": "2"})))
    a, b = draw("toy", 1), other.draw(3, 1)
    found = align(a, b)
    assert (found.rules, found.distance) == (False, 0)
    assert align(a, as_term(a)).rules is False and align(a, draw("toy", 2)).rules


def test_what_is_too_large_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ein.grammar.alignment.align.MAX_PAIRS", 100)
    with pytest.raises(EinError, match="too large to be aligned") as caught:
        align(draw("darts", 0), draw("darts", 1))
    assert [each.code for each in caught.value.diagnostics] == ["E716"]


def test_deep_derivations_are_aligned_without_recursion() -> None:
    text = "ein 1\nimport std\ninput im[3, 8, 8]\nrule A = relu @ 1% | (relu | norm) >> A\n"
    space = Sampler.of(load_grammar(Source("long", f"{text}limit modules <= 3000, depth <= 5000\n")))
    a, b = (space.draw(0, index, (300, 700)) for index in range(2))
    found: Alignment = align(a, b)
    assert 0 < found.distance <= a.modules + b.modules + (len(a.choices) + len(b.choices)) / ONE
    assert max(t.depth(a.term), t.depth(b.term)) > 100
