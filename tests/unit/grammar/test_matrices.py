"""Sparse matrices against numpy and networkx."""

from __future__ import annotations

from math import inf

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ein.grammar.analyses import matrices
from ein.grammar.analyses.matrices import components, contracted, restricted, spectral_radius, totals

Matrix = dict[int, dict[int, float]]


@st.composite
def sparse(draw: st.DrawFn) -> Matrix:
    n = draw(st.integers(1, 9))
    entry = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1), st.floats(0.05, 1.5))
    found: Matrix = {i: {} for i in range(n)}
    for row, column, value in draw(st.lists(entry, max_size=3 * n)):
        found[row][column] = value
    return found


def dense(matrix: Matrix) -> np.ndarray:
    keys = list(matrix)
    return np.array([[matrix[a].get(b, 0.0) for b in keys] for a in keys])


def largest(matrix: Matrix) -> float:
    return float(max(abs(np.linalg.eigvals(dense(matrix)))))


@given(sparse())
def test_components_are_those_of_networkx_and_in_order(matrix: Matrix) -> None:
    graph = nx.DiGraph([(a, b) for a, row in matrix.items() for b in row])
    graph.add_nodes_from(matrix)
    found = components(matrix)
    assert {frozenset(c) for c in found} == {frozenset(c) for c in nx.strongly_connected_components(graph)}
    place = {key: i for i, component in enumerate(found) for key in component}
    assert all(place[b] <= place[a] for a, row in matrix.items() for b in row)


@given(sparse())
def test_the_radius_is_the_largest_eigenvalue(matrix: Matrix) -> None:
    for component in components(matrix):
        inside = restricted(matrix, component)
        assert spectral_radius(inside) == pytest.approx(largest(inside), rel=1e-6, abs=1e-6)


@given(sparse())
def test_contraction_stays_on_its_side_of_one(matrix: Matrix) -> None:
    for component in components(matrix):
        inside = restricted(matrix, component)
        before = largest(inside)
        left = contracted(inside)
        assert len(left) == 1 or all(key in row for key, row in left.items())
        if abs(before - 1) > 1e-6:
            assert (spectral_radius(left) < 1) == (before < 1)


def test_contraction_counts_from_one_use_to_the_next() -> None:
    """M makes 0.4 of itself, and one half F, each of which makes two M."""
    assert contracted({"M": {"M": 0.4, "F": 0.5}, "F": {"M": 2.0}}) == {"M": {"M": 1.4}}


@given(sparse(), st.lists(st.floats(0, 3), min_size=9, max_size=9), st.booleans())
def test_totals_are_the_least_solution(matrix: Matrix, own: list[float], iterate: bool) -> None:
    given_ = {key: own[key] for key in matrix}
    with pytest.MonkeyPatch.context() as patch:
        if iterate:
            patch.setattr(matrices, "MAX_DENSE", 0)
        found = totals(matrix, given_)
    finite = {key for key in matrix if found[key] != inf}
    for component in components(matrix):
        inside = restricted(matrix, component)
        below = set(matrix) & {b for a in component for b in matrix[a]} - set(component)
        if abs(largest(inside) - 1) > 1e-3:
            ends = largest(inside) < 1 and below <= finite
            assert set(component) <= finite if ends else not finite & set(component)
    if finite:
        inside = restricted(matrix, sorted(finite))
        solved = np.linalg.solve(np.eye(len(inside)) - dense(inside), np.array([given_[k] for k in inside]))
        assert [found[k] for k in inside] == pytest.approx(list(solved), rel=1e-4, abs=1e-6)
