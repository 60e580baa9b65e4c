"""einspace from the library against Ericsson et al. (NeurIPS 2024), counted by hand at several types."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import permutations
from math import isclose, log, sqrt
from typing import Any

import pytest

from ein.grammar import term as t
from ein.grammar.architecture import architecture
from ein.grammar.cfg import Grammar, Limits
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.options import options
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source
from ein.grammar.minima import settle
from ein.grammar.space import Space
from ein.grammar.types import Tensor, ValueType, bundle, leaves, tensor

RGB = tensor("im", (3, 32, 32))
GREY = tensor("im", (1, 28, 28))
GRID = tensor("seq", ((32, 32), 3))
FLAT = tensor("seq", (1024, 3))
ODD = tensor("seq", (784, 9))


@cache
def grammar() -> Grammar:
    return load_grammar("einspace")


@cache
def space() -> Space:
    made = Space(grammar())
    settle(made)
    return made


def chances(rule: str, at: ValueType, *values: int) -> dict[str, float]:
    """The operators that an alternative begins with (a rule stands as itself), with their probabilities."""
    table = options(space(), space().instance(rule, values), at)
    found: dict[str, float] = {}
    for candidate, probability in zip(table.candidates, table.probabilities, strict=True):
        first = candidate.program[0]
        name = first.application.text if hasattr(first, "application") else repr(getattr(first, "instance", first))
        assert name not in found or rule in ("M", "S")
        found[name] = found.get(name, 0.0) + probability
    return found


def uniform(*names: str) -> dict[str, float]:
    return dict.fromkeys(names, 1 / len(names))


def same(found: dict[str, float], wanted: dict[str, float]) -> bool:
    return found.keys() == wanted.keys() and all(isclose(found[k], wanted[k], rel_tol=1e-9) for k in wanted)


ORDERS = [f"permute({order})" for order in permutations((1, 2, 3)) if order != (1, 2, 3)]
COMPUTATION = [
    "identity",
    "norm",
    "leaky_relu",
    "softmax",
    "pos_enc",
    *(f"linear({2**i})" for i in range(4, 12)),
]
WINDOWS = ["im2col(1)", "im2col(1, s = 2)", "im2col(3, p = 1)", "im2col(3, s = 2, p = 1)"]


def test_thirteen_computations_wherever_one_stands() -> None:
    for at in (RGB, GREY, GRID, FLAT):
        assert same(chances("C", at), uniform(*COMPUTATION))


def test_fourteen_ways_before_of_which_an_image_takes_thirteen() -> None:
    patches = ["im2col(4, s = 4)", "im2col(8, s = 8)", "im2col(16, s = 16)"]
    assert same(chances("Before", RGB), uniform("identity", *ORDERS, *WINDOWS, *patches))
    small = tensor("im", (64, 8, 7))
    assert same(chances("Before", small), uniform("identity", *ORDERS, *WINDOWS, patches[0]))
    strip = tensor("im", (3, 1, 5))  # a window of 3 reaches into the padding
    assert same(chances("Before", strip), uniform("identity", *ORDERS, *WINDOWS))
    for at in (GRID, FLAT):
        assert same(chances("Before", at), uniform("identity", "permute((2, 1))"))


def test_col2im_needs_a_grid_and_takes_any_that_is_left() -> None:
    assert same(chances("After", RGB), uniform("identity", *ORDERS))
    assert same(chances("After", GRID), uniform("identity", "permute((2, 1))", "col2im"))
    assert same(chances("After", FLAT), uniform("identity", "permute((2, 1))"))


def test_splits_need_a_size_that_divides() -> None:
    clones = [f"clone({b})" for b in (2, 4, 8)]
    both = [f"split({b}, {axis})" for b in (2, 4, 8) for axis in (2, 3)]
    assert same(chances("Fork", RGB), uniform(*clones, *both))
    grey = [f"split({b}, {axis})" for b in (2, 4) for axis in (2, 3)]  # 28 is no multiple of 8
    assert same(chances("Fork", GREY), uniform(*clones, *grey))
    assert same(chances("Fork", ODD), uniform(*clones, *(f"split({b}, 1)" for b in (2, 4, 8))))
    assert same(chances("Fork", tensor("seq", (7, 5))), uniform(*clones))


def test_joins_of_two_by_the_types_that_meet() -> None:
    concats = ["concat(1)", "concat(2)", "concat(3)"]
    equal = bundle([RGB, RGB])
    assert same(chances("Join", equal, 2), uniform("add", *concats, "matmul", "scaled_matmul"))
    wider = bundle([RGB, tensor("im", (3, 32, 16))])
    assert same(chances("Join", wider, 2), uniform("concat(3)", "matmul", "scaled_matmul"))
    chain = bundle([tensor("seq", (10, 4)), tensor("seq", (4, 7))])
    assert same(chances("Join", chain, 2), uniform("matmul", "scaled_matmul"))
    assert not chances("Join", bundle([RGB, FLAT]), 2)
    assert not chances("Join", bundle([tensor("seq", (10, 4)), tensor("seq", (5, 7))]), 2)


def test_joins_of_four_and_eight_add_or_concatenate() -> None:
    assert same(chances("Join", bundle([RGB] * 4), 4), uniform("add", "concat(1)", "concat(2)", "concat(3)"))
    assert same(chances("Join", bundle([FLAT] * 8), 8), uniform("add", "concat(1)", "concat(2)"))


def test_two_branches_are_two_derivations_and_more_are_one() -> None:
    two = options(space(), space().instance("Inner", (2,)), bundle([RGB] * 2))
    four = options(space(), space().instance("Inner", (4,)), bundle([RGB] * 4))
    assert [type(c.program[0]).__name__ for c in two.candidates] == ["Fork"]
    assert [(type(c.program[0]).__name__, c.program[0].count) for c in four.candidates] == [("Copy", 4)]  # type: ignore[union-attr]


@pytest.mark.parametrize("p", [0.32, 0.5, 0.0, 1.0])
def test_computation_has_its_share_and_the_others_what_remains(p: float) -> None:
    made = Space(load_grammar("einspace", Request(parameters={"p": p})))
    table = options(made, made.instance("M", ()), RGB)
    by_alternative = {c.choice[0]: q for c, q in zip(table.candidates, table.probabilities, strict=True)}
    wanted = {0: p, 1: (1 - p) / 3, 2: (1 - p) / 3, 3: (1 - p) / 3}
    assert by_alternative.keys() == {i for i, q in wanted.items() if q > 0}
    assert all(isclose(by_alternative[i], q) for i, q in wanted.items() if q > 0)


def test_the_root_computes_nothing_by_itself() -> None:
    table = options(space(), space().instance("S", ()), RGB)
    assert [c.choice[0] for c in table.candidates] == [0, 1, 2]
    assert all(isclose(q, 1 / 3) for q in table.probabilities)


# --- what is drawn

DRAWN = 20_000
SIZES = {3: 0.1204, 4: 0.3937, 5: 0.1252, 6: 0.1174, 7: 0.1826, 8: 0.0608}
"""Modules with the head, at a budget of 8: inside weights by type and size, computed apart to four digits."""


def departs(observed: Counter[int], probabilities: dict[int, float]) -> bool:
    """A chi-square of k degrees exceeds k + 2 sqrt(k t) + 2 t with probability below exp(-t), here 1e-6."""
    n, total = observed.total(), sum(probabilities.values())
    statistic = sum((observed[k] - n * p / total) ** 2 / (n * p / total) for k, p in probabilities.items())
    k, limit = len(probabilities) - 1, log(1e6)
    return statistic > k + 2 * sqrt(k * limit) + 2 * limit


@cache
def sizes(p: float) -> Counter[int]:
    sampler = Sampler.of(load_grammar("einspace", Request(parameters={"p": p})), Limits(modules=8, elements=None))
    return Counter(d.modules for d in sampler.samples(DRAWN, seed=11))


def test_sizes_of_small_derivations_are_the_exact_ones() -> None:
    assert set(sizes(0.32)) == set(SIZES)
    assert not departs(sizes(0.32), SIZES)


def test_a_share_of_computation_that_is_wrong_by_a_fifth_is_seen() -> None:
    assert departs(sizes(0.32 * 1.2), SIZES)


@cache
def draws() -> tuple[Derivation, ...]:
    return tuple(Sampler.of(grammar()).samples(250, seed=21))


@cache
def afresh(d: Derivation) -> Derivation:
    """The printed term, parsed and typed as an architecture of a file of its own."""
    head = """ein 1
import std
op readout(classes) : im[c, h, w] -> vec[classes] = nn.Linear(c, classes)(mean[h, w](x))
op readout(classes) : seq[s, d]   -> vec[classes] = nn.Linear(s, classes)(mean[d](x))
"""
    text = f"{head}arch a : {d.input!r} -> {d.type!r} = {d.text}\n"
    return architecture(load_grammar(Source("printed.ein", text)))


def test_the_printed_term_is_the_same_network() -> None:
    for d in draws():
        again = afresh(d)
        assert (again.text, again.type, again.cost) == (d.text, d.type, d.cost)


def largest(term: t.TypedTerm) -> int:
    """The greatest dimension of any value."""
    nodes = (node for part in t.walk(term) for node in (part.input, part.output))
    return max(size for value in nodes for leaf in leaves(value) for size in leaf.sizes)


def test_no_limit_is_exceeded_as_counted_from_the_printed_term() -> None:
    limits = grammar().limits
    assert limits == Limits(500, 100, 50_000_000, 2_000_000_000, 16_000_000)
    for d in draws():
        cost = afresh(d).cost
        assert cost.modules == d.modules <= 500
        assert cost.parameters <= 50_000_000
        assert cost.macs <= 2_000_000_000
        assert cost.elements <= 16_000_000
        assert t.depth(d.term) <= 100
        assert largest(d.term) <= 2**31


@pytest.mark.parametrize(
    ("field", "bound"),
    [("modules", 5), ("depth", 6), ("parameters", 500), ("macs", 20_000), ("elements", 10_000)],
)
def test_each_limit_cuts_and_keeps_what_is_below(field: str, bound: int) -> None:
    """With the limit nothing lies above, and something lies right below; without it much lies above."""
    one: dict[str, Any] = {"elements": None, field: bound}
    tight = list(Sampler.of(grammar(), Limits(**{"modules": 40, **one})).samples(300, seed=2))
    loose = list(Sampler.of(grammar(), Limits(modules=40, elements=None)).samples(300, seed=2))

    def measure(d: Derivation) -> int:
        return t.depth(d.term) if field == "depth" else int(getattr(d.cost, field))

    assert max(map(measure, tight)) <= bound < max(map(measure, loose))
    assert max(map(measure, tight)) > bound // 3


def test_every_alternative_occurs() -> None:
    seen: Counter[tuple[str, int]] = Counter()
    for d in Sampler.of(grammar()).samples(600, seed=21):
        for node in t.walk(d.term):
            if isinstance(node, t.Named) and node.choice is not None:
                seen[node.name, node.choice[0]] += 1
    wanted = {(rule.name, i) for rule in grammar().rules.values() for i in range(len(rule.alternatives))}
    assert set(seen) == wanted


def test_the_first_output_is_a_vector_of_classes() -> None:
    assert {d.type for d in draws()} == {tensor("vec", (10,))}
    seven = load_grammar("einspace", Request(parameters={"classes": 7}, input="im[1, 28, 28]"))
    d = Sampler.of(seven).draw(0)
    assert isinstance(d.type, Tensor) and d.type.sizes == (7,)
    assert d.input is GREY
