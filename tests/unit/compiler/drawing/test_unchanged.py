"""Laws of what can be folded together, over random graphs."""

from graphlib import TopologicalSorter

from hypothesis import given
from hypothesis import strategies as st

from ein.compiler.drawing.unchanged import distances, together

Wires = list[tuple[int, int]]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[str | None], Wires]:
    count = draw(st.integers(1, 12))
    kinds = draw(st.lists(st.sampled_from(["a", "a", "b", None]), min_size=count, max_size=count))
    ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    return kinds, sorted({(min(pair), max(pair)) for pair in draw(st.lists(ends, max_size=24)) if pair[0] != pair[1]})


def is_acyclic(groups: list[list[int]], wires: Wires) -> bool:
    home = {place: at for at, group in enumerate(groups) for place in group}
    before: dict[int, set[int]] = {at: set() for at in range(len(groups))}
    for source, target in wires:
        if home[source] != home[target]:
            before[home[target]].add(home[source])
    try:
        TopologicalSorter(before).prepare()
    except ValueError:
        return False
    return True


def is_connected(group: list[int], wires: Wires) -> bool:
    reached, waiting = {group[0]}, [group[0]]
    while waiting:
        one = waiting.pop()
        beside = {b for a, b in wires if a == one} | {a for a, b in wires if b == one}
        waiting += (beside & set(group)) - reached
        reached |= beside & set(group)
    return reached == set(group)


@given(graphs())
def test_groups_are_connected_and_of_one_kind_and_close_no_cycle(found: tuple[list[str | None], Wires]) -> None:
    kinds, wires = found
    groups = together(kinds, wires)
    assert sorted(place for group in groups for place in group) == list(range(len(kinds)))
    assert is_acyclic(groups, wires)
    for group in groups:
        assert len({kinds[place] for place in group}) == 1 and is_connected(group, wires)
        assert len(group) == 1 or kinds[group[0]] is not None


@given(graphs())
def test_no_two_groups_beside_each_other_could_be_one(found: tuple[list[str | None], Wires]) -> None:
    kinds, wires = found
    groups = together(kinds, wires)
    home = {place: at for at, group in enumerate(groups) for place in group}
    for source, target in wires:
        a, b = home[source], home[target]
        if a != b and kinds[source] is not None and kinds[source] == kinds[target]:
            joined = [group for at, group in enumerate(groups) if at not in (a, b)]
            assert not is_acyclic([*joined, groups[a] + groups[b]], wires)


@given(graphs(), st.dictionaries(st.integers(0, 11), st.integers(0, 1)))
def test_distances_are_the_least(found: tuple[list[str | None], Wires], starts: dict[int, int]) -> None:
    kinds, wires = found
    starts = {place: away for place, away in starts.items() if place < len(kinds)}
    away = distances(starts, wires)
    for place, number in away.items():
        beside = {b for a, b in wires if a == place} | {a for a, b in wires if b == place}
        least = min((away[other] + 1 for other in beside), default=number)
        assert number == min(least, starts.get(place, least))
        assert beside <= away.keys()
    assert starts.keys() <= away.keys()
