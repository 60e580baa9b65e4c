"""Types: one object for equal types, structure of dimensions, and sums that do not walk."""

from __future__ import annotations

import pickle
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ein.grammar.types import Bundle, Size, ValueType, bundle, elements, leaves, merge, plain, rank, tensor

sizes: st.SearchStrategy[Size] = st.recursive(st.integers(1, 9), lambda inner: st.tuples(inner, inner), max_leaves=4)
tensors = st.builds(tensor, st.sampled_from(["im", "seq"]), st.lists(sizes, min_size=1, max_size=3))
types: st.SearchStrategy[ValueType] = st.recursive(
    tensors, lambda inner: st.lists(inner, min_size=2, max_size=3).map(bundle), max_leaves=6
)


@given(types)
def test_equal_types_are_one_object(type: ValueType) -> None:
    assert pickle.loads(pickle.dumps(type)) is type
    if isinstance(type, Bundle):
        assert bundle(type.members) is type
    else:
        assert tensor(type.kind, list(type.shape)) is type


@given(types)
def test_sums_are_those_of_the_tensors(type: ValueType) -> None:
    every = list(leaves(type))
    assert elements(type) == sum(prod(map(plain, leaf.shape)) for leaf in every)
    ranks = {len(leaf.shape) for leaf in every}
    assert rank(type) == (ranks.pop() if len(ranks) == 1 else None)
    if isinstance(type, Bundle):
        assert type.tensors == len(every)


@given(types)
def test_merging_with_the_plain_sizes_loses_structure_and_nothing_else(type: ValueType) -> None:
    def flat(value: ValueType) -> ValueType:
        return bundle(map(flat, value.members)) if isinstance(value, Bundle) else tensor(value.kind, value.sizes)

    assert merge((type, type)) is type
    assert merge((type, flat(type))) is flat(type) is merge((flat(type), type))


def test_what_differs_does_not_merge() -> None:
    a, b = tensor("im", (1, 2, 3)), tensor("im", (1, 3, 2))
    assert merge((a, b)) is None
    assert merge((a, tensor("vol", (1, 2, 3)))) is None
    assert merge((a, bundle([a, a]))) is None
    assert merge((bundle([a, a]), bundle([a, a, a]))) is None
    grid, other = tensor("seq", ((2, 6), 3)), tensor("seq", ((3, 4), 3))
    assert merge((grid, other)) is tensor("seq", (12, 3))


def test_a_bundle_of_bundles_is_counted_without_walking_it() -> None:
    """2 ** 60 tensors: any walk would not end."""
    type: ValueType = tensor("vec", (3,))
    for _ in range(60):
        type = bundle([type, type])
    assert isinstance(type, Bundle)
    assert (type.tensors, elements(type), rank(type)) == (2**60, 3 * 2**60, 1)


def test_a_bundle_has_two_members_or_more() -> None:
    with pytest.raises(ValueError, match="two members or more, got 1"):
        bundle([tensor("vec", (3,))])
    assert repr(bundle([tensor("seq", ((2, 3), 4))] * 3)) == "seq[(2, 3), 4] ^ 3"
