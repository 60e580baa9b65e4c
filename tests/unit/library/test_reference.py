"""Grammars of published spaces against what the authors' code draws from: options, shares, known networks."""

from __future__ import annotations

from itertools import product

import pytest

import ein
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.options import options
from ein.grammar.diagnostics import EinError, Source
from ein.grammar.matching.match import derive
from ein.grammar.space import Space
from ein.grammar.types import ValueType, bundle, tensor

IMAGE = tensor("im", (64, 32, 32))
GRID = tensor("seq", ((16, 16), 256))
SEQUENCE = tensor("seq", (256, 256))

# How many equally likely options the reference has where all of them apply, arities that do not fit left out
OPTIONS: list[tuple[str, tuple[int, ...], ValueType, int]] = [
    ("S", (), IMAGE, 3),
    ("Fork", (), IMAGE, 12),
    ("Fork", (), SEQUENCE, 9),
    ("Before", (), IMAGE, 13),
    ("Before", (), SEQUENCE, 2),
    ("After", (), IMAGE, 6),
    ("After", (), GRID, 3),
    ("After", (), SEQUENCE, 2),
    ("Join", (2,), bundle([IMAGE] * 2), 6),
    ("Join", (2,), bundle([SEQUENCE] * 2), 5),
    ("Join", (4,), bundle([IMAGE] * 4), 4),
    ("Join", (8,), bundle([SEQUENCE] * 8), 3),
    ("C", (), IMAGE, 13),
    ("C", (), SEQUENCE, 13),
]
ONE_DIMENSION: list[tuple[str, tuple[int, ...], ValueType, int]] = [
    ("S", (), SEQUENCE, 3),
    ("Fork", (), SEQUENCE, 9),
    ("Turn", (), SEQUENCE, 2),
    ("Join", (2,), bundle([SEQUENCE] * 2), 5),
    ("Join", (8,), bundle([SEQUENCE] * 8), 3),
    ("C", (), SEQUENCE, 29),
]
ROWS = [("einspace", *row) for row in OPTIONS] + [("einspace1d", *row) for row in ONE_DIMENSION]


@pytest.mark.parametrize(("space", "rule", "values", "type", "count"), ROWS)
def test_options_of_einspace(space: str, rule: str, values: tuple[int, ...], type: ValueType, count: int) -> None:
    assert shares(space, rule, values, type) == pytest.approx([1 / count] * count)


@pytest.mark.parametrize("space", ["einspace", "einspace1d"])
def test_a_computation_has_its_share(space: str) -> None:
    assert sorted(shares(space, "M", (), SEQUENCE)) == pytest.approx([0.68 / 3] * 3 + [0.32])


def test_an_operation_of_darts() -> None:
    """Seven, as in cells that have been derived; pairs of different earlier nodes."""
    assert shares("darts", "Op", (), IMAGE) == pytest.approx([1 / 7] * 7)
    assert shares("darts", "Node", (5,), bundle([IMAGE] * 5)) == pytest.approx([1 / 10] * 10)


def test_functions_of_the_activation_space() -> None:
    assert shares("hnb201_act", "Unary", (), IMAGE) == pytest.approx([1 / 25] * 25)
    assert shares("hnb201_act", "Binary", (), bundle([IMAGE] * 2)) == pytest.approx([1 / 10] * 10)


def shares(space: str, rule: str, values: tuple[int, ...], type: ValueType) -> list[float]:
    made = Space(load_grammar(space))
    return options(made, made.instance(rule, values), type).probabilities


# --- NAS-Bench-201: operations of the six edges, in the order of the cell's arguments

EDGES = {
    "none": "zero",
    "skip": "identity",
    "conv1": "relu_conv_bn(c, k = 1)",
    "conv3": "relu_conv_bn(c, k = 3)",
    "pool": "avg_pool(3, s = 1, p = 1)",
}


def nb201(*operations: str) -> Derivation:
    edges = ", ".join(EDGES[operation].replace("(c,", "(CHANNELS,") for operation in operations)
    stages = " >> res_block >> ".join(f"cell({edges}) * 5".replace("CHANNELS", str(c)) for c in (16, 32, 64))
    text = (
        "ein 1\nimport std\nimport nb201 (cell, relu_conv_bn, res_block)\n"
        f"arch net : im[3, 32, 32] -> vec[10] = conv_bn(16) >> {stages} >> batch_norm >> relu >> head(10)\n"
    )
    return architecture(load_grammar(Source("net.ein", text)))


@pytest.mark.parametrize(
    ("operations", "parameters"),
    [
        # the largest and the smallest of the benchmark's table, and those between that a layer adds to
        (["conv3"] * 6, 1_531_546),
        (["none"] * 6, 73_306),
        (["pool"] * 6, 73_306),
        (["skip"] * 5 + ["conv1"], 73_306 + 5 * (16 * 18 + 32 * 34 + 64 * 66)),
    ],
)
def test_networks_of_nb201(operations: list[str], parameters: int) -> None:
    found = nb201(*operations)
    assert found.cost.parameters == parameters
    derivation = derive(Space(load_grammar("nb201")), found.term)
    assert (derivation.text, derivation.cost) == (found.text, found.cost)


def test_cells_that_nothing_gets_through() -> None:
    """They are words of nb201 and not of hnb201_cell: 341 of the 15,625."""
    dead = sum(not gets_through(*cell) for cell in product([True] * 4 + [False], repeat=6))
    assert (dead, 5**6 - dead) == (341, 15_284), "as the comment of hnb201_cell says"
    cells = [
        ["none"] * 6,
        ["skip", "none", "none", "none", "none", "conv3"],
        ["none", "pool"] + ["none"] * 3 + ["skip"],
    ]
    alive = [gets_through(*(operation != "none" for operation in cell)) for cell in cells]
    assert alive == [False, False, True]
    for cell, lives in zip(cells, alive, strict=True):
        term = nb201(*cell).term
        assert derive(Space(load_grammar("nb201")), term)
        assert is_word("hnb201_cell", term) == lives


def gets_through(e12: bool, e13: bool, e23: bool, e14: bool, e24: bool, e34: bool) -> bool:
    return e14 or (e12 and e24) or (e13 and e34) or (e12 and e23 and e34)


def is_word(space: str, term: object) -> bool:
    try:
        derive(Space(load_grammar(space)), term)  # type: ignore[arg-type]
    except EinError as error:
        assert "does not derive" in error.diagnostics[0].message
        return False
    return True


def test_a_drawn_network_depends_on_its_input() -> None:
    for name in ("hnb201", "hnb201_cell"):
        assert all(derivation.type.live for derivation in ein.load(name).samples(20, seed=3))
    assert not nb201(*["none"] * 6).type.live
