"""Laws of the parts of a graph: nothing is lost, runs are of equal things, and folding leaves no circle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ein.compiler.drawing import graph_tree
from ein.compiler.drawing.graph_tree import DEEPEST, LEAST_BOXES, WIDEST, Node, Part, Same, nodes, tree
from ein.compiler.graph import OpGraph
from ein.compiler.nodes import Use
from ein.grammar.derivations.derivation import Derivation

from .networks import SPACES, ZOO, graph_of, of_zoo, sampled, written

LARGE = 400
SMALLEST = 10
"""So few nodes count as large in half of the trials, so that pieces are made."""


@st.composite
def networks(draw: st.DrawFn) -> Derivation:
    if draw(st.booleans()):
        return of_zoo(draw(st.sampled_from(ZOO)))
    return sampled(draw(st.sampled_from(SPACES)), draw(st.integers(0, 40)))


def below(items: tuple[Node, ...], depth: int = 0) -> Iterator[tuple[int, tuple[Node, ...]]]:
    """The items of each part and run, with how deep they are."""
    yield depth, items
    for item in items:
        if not isinstance(item, int):
            yield from below(item.items, depth + 1)


def home(items: tuple[Node, ...]) -> dict[int, int]:
    return {number: at for at, item in enumerate(items) for number in nodes([item])}


def wires(graph: OpGraph, items: tuple[Node, ...]) -> nx.DiGraph:
    """The items, by their places, with a wire where one reads another."""
    at, found = home(items), nx.DiGraph()
    found.add_nodes_from(range(len(items)))
    for number, place in at.items():
        sources = {at[source.node] for source in graph.sources(number) if source.node in at}
        found.add_edges_from((source, place) for source in sources if source != place)
    return found


def use(graph: OpGraph, number: int) -> Use:
    found = graph.node(number)
    assert isinstance(found, Use)
    return found


def equal(graph: OpGraph, one: Node, other: Node) -> bool:
    """Of one structure: operator for operator, with the same types, nesting, inner wires, and inputs from outside
    that are one where those of the other are."""
    if not nested_alike(one, other):
        return False
    pairs = dict(zip(nodes([one]), nodes([other]), strict=True))
    outside: dict[Any, Any] = {}
    for a, b in pairs.items():
        first, second = use(graph, a), use(graph, b)
        if (first.text, first.inputs, first.outputs) != (second.text, second.inputs, second.outputs):
            return False
        for source, twin in zip(graph.sources(a), graph.sources(b), strict=True):
            inside = source.node in pairs
            if inside and (pairs[source.node], source.port) != (twin.node, twin.port):
                return False
            if not inside and (twin.node in pairs.values() or outside.setdefault(source, twin) != twin):
                return False
    return True


def nested_alike(one: Node, other: Node) -> bool:
    match one, other:
        case int(), int():
            return True
        case Part(name, items, _), Part(twin, others, _) if name == twin:
            pass
        case Same(items, series), Same(others, twin_series) if series == twin_series:
            pass
        case _:
            return False
    return len(items) == len(others) and all(map(nested_alike, items, others))


def check_runs(graph: OpGraph, items: tuple[Node, ...]) -> None:
    for run in (item for item in items if isinstance(item, Same)):
        least = 2 if isinstance(run.items[0], Part) else LEAST_BOXES
        assert len(run.items) >= least
        assert all(equal(graph, run.items[0], other) for other in run.items[1:])
        ends = [outside(graph, item) for item in run.items]
        inner = [set(nodes([item])) for item in run.items]
        if run.series:
            for at in range(len(inner) - 1):
                assert ends[at][1] <= inner[at + 1], "what leaves an item goes to the next alone"
                assert ends[at + 1][0] <= inner[at], "what comes into an item is from the one before alone"
        else:
            assert all(end == ends[0] for end in ends)


def outside(graph: OpGraph, item: Node) -> tuple[set[int], set[int]]:
    """The nodes that it reads and those that read it."""
    own = set(nodes([item]))
    read = {source.node for number in own for source in graph.sources(number)}
    fed = {target.node for number in own for _, target in graph.targets(number)}
    return read - own, fed - own


def check(graph: OpGraph, large: int = LARGE) -> tuple[Node, ...]:
    made = tree(graph, large)
    assert sorted(nodes(made)) == sorted(number for number, _ in graph.uses())
    for depth, items in below(made):
        assert depth <= 3 * DEEPEST, "a run and pieces beside each part"
        assert len(items) <= WIDEST or len(graph) <= large
        assert nx.is_directed_acyclic_graph(wires(graph, items))
        check_runs(graph, items)
        for item in items:
            if isinstance(item, Part):
                assert item.nodes == tuple(nodes(item.items))
                assert len(item.items) > 1 or isinstance(item.items[0], Same), "a part says something"
                assert len(item.nodes) > 1
    return made


@settings(max_examples=60)
@given(networks(), st.booleans(), st.sampled_from((LARGE, SMALLEST)))
def test_laws_of_parts(network: Derivation, plain: bool, large: int) -> None:
    check(graph_of(network, plain), large)


@pytest.mark.parametrize("name", (*ZOO, *SPACES))
def test_laws_of_parts_of_each(name: str) -> None:
    check(graph_of(of_zoo(name) if name in ZOO else sampled(name, 0), plain=True))


ALMOST = {
    "types": "def b = linear(8)\ndef a = b >> relu\ninput im[4, 8, 4]\narch net = gelu >> a >> a >> norm",
    "wires": "def b(f) = clone(2) >> f >> add\ninput im[4, 8, 8]\n"
    "arch net = gelu >> b((relu >> relu & relu)) >> b((relu & relu >> relu)) >> norm",
}
"""Neighbours that differ in one thing alone: `a` gets 4 channels first and 8 then."""


def blind_to_types(self: Any, part: Any) -> Any:
    return graph_tree._shape(part), tuple(self.uses[number].text for number in graph_tree._own(part))


def blind_to_wires(self: Any, part: Any) -> Any:
    uses = (self.uses[number] for number in graph_tree._own(part))
    return graph_tree._shape(part), tuple((use.text, use.inputs, use.outputs) for use in uses)


@pytest.mark.parametrize("what", ALMOST)
def test_what_differs_in_one_thing_is_no_run(what: str) -> None:
    made = check(graph_of(written(ALMOST[what]), plain=True))
    assert len(made) == 4
    assert not any(isinstance(item, Same) for item in made)


@pytest.mark.parametrize(("what", "key"), [("types", blind_to_types), ("wires", blind_to_wires)])
def test_a_key_that_ignores_it_is_seen(what: str, key: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_tree._Runs, "_key", key)
    with pytest.raises(AssertionError):
        check(graph_of(written(ALMOST[what]), plain=True))


def test_wires_back_into_a_part_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The two operators of `b` stand in two pieces of the argument, so `b` has a wire from itself through `relu`."""
    text = "def b(f) = linear(4) >> f >> norm\ninput im[4, 8, 4]\narch net = gelu >> b(relu) >> gelu"
    graph = graph_of(written(text), plain=True)
    check(graph)
    moved = 0
    for _, each in graph.uses():
        moved += each.text == "relu"
        if each.text == "relu":
            object.__setattr__(each, "path", ())
    assert moved == 1
    assert not any(isinstance(item, Part) for item in check(graph)), "the scope is given up"
    monkeypatch.setattr(graph_tree._Tree, "_cyclic", lambda self, groups: set())
    with pytest.raises(AssertionError):
        check(graph)
