"""Laws of folding: what is seen stands for all that is there, wires end at what is seen, and pictures fit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ein.compiler.drawing import folding
from ein.compiler.drawing.columns import in_columns
from ein.compiler.drawing.draw import Options, drawn
from ein.compiler.drawing.folding import fitted, resolved, unfolded
from ein.compiler.drawing.graph_view import graph_scene
from ein.compiler.drawing.scene import Box, Frame, Item, Look, Run, Scene, Wire, boxes

from .networks import SPACES, ZOO, graph_of, of_zoo, parts, sampled, written

TIMES = re.compile(r"(?:^| )x (\d+)(?: in parallel)?$")


@dataclass(frozen=True, slots=True)
class Case:
    """A picture of a network of the library."""

    name: str
    index: int
    wires: bool
    most: int

    def scene(self) -> Scene:
        network = of_zoo(self.name) if self.name in ZOO else sampled(self.name, self.index)
        return graph_scene(graph_of(network), wires=self.wires, most=self.most)


CASES = st.builds(
    Case, st.sampled_from((*ZOO, *SPACES)), st.integers(0, 20), st.booleans(), st.sampled_from((1, 8, 20, 60, 120, 400))
)


def seen(item: Item) -> dict[str, str]:
    """For each box below `item` what is drawn in its place."""
    match item:
        case Box():
            return {item.id: item.id}
        case Frame(folded=True):
            return {box.id: item.id for box in boxes(item.items)}
        case Run(folded=True):
            first = seen(item.items[0])
            order = list(first.values())
            return {box.id: at for each in item.items for box, at in zip(boxes((each,)), order, strict=True)}
        case _:
            return {box: at for each in item.items for box, at in seen(each).items()}


def apart(scene: Scene) -> dict[str, dict[str, int]]:
    """For each box the folded runs around it, with the item that it is in; those of a folded frame are not counted."""
    found: dict[str, dict[str, int]] = {box.id: {} for box in boxes(scene.items)}
    for run in parts(scene):
        if isinstance(run, Run) and run.folded:
            for number, each in enumerate(run.items):
                for box in boxes((each,)):
                    found[box.id][run.id] = number
    return found


def drawn_pairs(scene: Scene) -> set[tuple[str, str]]:
    """Between what is seen there has to be a wire where there is one below, but for those inside runs."""
    at = {box: place for item in scene.items for box, place in seen(item).items()}
    runs = apart(scene)
    pairs = set()
    for wire in scene.wires:
        one, other = runs[wire.source], runs[wire.target]
        if at[wire.source] != at[wire.target] and all(one[run] == other[run] for run in one.keys() & other.keys()):
            pairs.add((at[wire.source], at[wire.target]))
    return pairs


def shown(items: tuple[Item, ...], times: int = 1) -> Iterator[tuple[Box, int]]:
    """What a resolved scene shows, with how often it stands there by the names around it."""
    for item in items:
        assert isinstance(item, Box | Frame), "no run is left"
        found = TIMES.search(item.name)
        more = times * int(found[1]) if found else times
        if isinstance(item, Box):
            yield item, more
        else:
            assert not item.folded
            yield from shown(item.items, more)


def depth(item: Item) -> int:
    return 0 if isinstance(item, Box) else 1 + max(map(depth, item.items))


def check(scene: Scene) -> Scene:
    made = resolved(scene)
    inside = {part.id: len(list(boxes(part.items))) for part in parts(scene) if isinstance(part, Frame)}
    found = list(shown(made.items))
    assert sum(times * inside.get(box.id, 1) for box, times in found) == len(list(boxes(scene.items)))
    ids = [box.id for box, _ in found]
    assert len(set(ids)) == len(ids)
    assert {end for wire in made.wires for end in (wire.source, wire.target)} <= set(ids)
    assert {(wire.source, wire.target) for wire in made.wires} == drawn_pairs(scene)
    assert nx.is_directed_acyclic_graph(nx.DiGraph([(wire.source, wire.target) for wire in made.wires]))
    below = Counter((wire.source, wire.target, wire.text, wire.row) for wire in scene.wires)
    drawn = Counter((wire.source, wire.target, wire.text, wire.row) for wire in made.wires)
    assert all(count <= max(1, below[key]) for key, count in drawn.items()), "what has moved is drawn once"
    return made


@settings(max_examples=40)
@given(CASES)
def test_what_is_seen_stands_for_all(case: Case) -> None:
    check(case.scene())


@pytest.mark.parametrize("name", (*ZOO, *SPACES))
def test_laws_of_each(name: str) -> None:
    graph = graph_of(of_zoo(name) if name in ZOO else sampled(name, 0))
    check(graph_scene(graph))
    scene = unfolded(graph_scene(graph, wires=True))
    made = check(scene)
    assert made.wires == scene.wires
    assert {box.id for box in boxes(made.items)} == {f"n{number}" for number, _ in graph.nodes()}
    wires = {(f"n{source.node}", f"n{number}") for number, _ in graph.nodes() for source in graph.sources(number)}
    assert {(wire.source, wire.target) for wire in made.wires} == wires


@settings(max_examples=30)
@given(CASES, st.integers(0, 4))
def test_frames_inside_frames_are_bounded(case: Case, deepest: int) -> None:
    """Those of a run carry how often it is there, and stay."""
    scene = case.scene()
    kept = {run.items[0].id for run in parts(scene) if isinstance(run, Run)}
    made = resolved(scene, deepest)
    stack = [(item, 0) for item in made.items]
    while stack:
        item, above = stack.pop()
        if isinstance(item, Frame):
            assert above < deepest or item.id in kept
            stack += [(each, above + 1) for each in item.items]
    assert [box.name for box in boxes(made.items)] == [box.name for box in boxes(resolved(scene).items)]


def visible(scene: Scene) -> int:
    return len(set(seen_places(scene)))


def seen_places(scene: Scene) -> list[str]:
    return [place for item in scene.items for place in seen(item).values()]


def with_runs(item: Item) -> Item:
    """With its runs folded and its frames open."""
    if isinstance(item, Box):
        return item
    items: tuple[Any, ...] = tuple(map(with_runs, item.items))
    return replace(item, items=items, folded=isinstance(item, Run))


def shut(item: Item) -> int:
    """How many boxes `item` shows when it opens and all in it is folded."""
    assert isinstance(item, Frame)
    return sum(len(each.items) if isinstance(each, Run) and not each.folded else 1 for each in item.items)


@settings(max_examples=30)
@given(CASES, st.booleans(), st.integers(1, 150))
def test_a_picture_fits_and_opens_as_much_as_fits(case: Case, opened: bool, most: int) -> None:
    scene = unfolded(case.scene())
    if not opened:
        scene = replace(scene, items=tuple(map(with_runs, scene.items)))
    made = fitted(scene, most)
    assert made == fitted(scene, most)
    least = sum(len(item.items) if isinstance(item, Run) and not item.folded else 1 for item in made.items)
    count = visible(made)
    assert count <= max(most, least)
    assert count == len(list(boxes(resolved(made).items)))
    places = set(seen_places(made))
    closed = [part for part in parts(made) if isinstance(part, Frame) and part.id in places]
    assert all(count + shut(frame) - 1 > most for frame in closed)


DEEP = {
    "chain": "input im[4, 8, 8]\narch net = relu >> " + " >> ".join(["gelu", "norm", "relu"] * 1666),
    "copies": "input im[4, 8, 8]\narch net = (relu >> norm) * 2500",
    "rules": "rule Net = R(2)\nrule R(n) = relu >> R(n - 1) if n > 0 | norm >> relu if n == 0\n"
    "input im[4, 8, 8]\narch net = gelu >> R(3000)",
    "branches": "rule Net = R(2)\nrule R(n) = residual(R(n - 1)) if n > 0 | norm >> relu if n == 0\n"
    "input im[4, 8, 8]\narch net = gelu >> R(1000)",
}


@pytest.mark.parametrize("name", DEEP)
def test_long_and_deep_networks_are_drawn(name: str) -> None:
    """Without recursion as deep as the network is."""
    graph = graph_of(written(DEEP[name]), plain=True)
    assert len(graph) > 1000
    scene = graph_scene(graph, most=100)
    assert len(list(boxes(resolved(scene).items))) <= 100
    whole = resolved(unfolded(scene))
    assert len(list(boxes(whole.items))) == len(graph)
    assert len(list(boxes(in_columns(whole).items))) >= len(graph)


def test_a_page_of_what_no_file_can_hold() -> None:
    """Nested deeper than a file may be, so it cannot be offered as one."""
    [page] = drawn([written(DEEP["branches"].replace("R(1000)", "R(120)"))], "html", [Options()])
    assert isinstance(page, bytes) and page.startswith(b"<!DOCTYPE html>")


def test_a_folded_box_says_what_it_folds() -> None:
    graph = graph_of(written("def b = linear(4) >> relu\ninput im[4, 8, 4]\narch net = gelu >> b * 3 >> norm"))
    frame = next(item for item in resolved(graph_scene(graph)).items if isinstance(item, Frame))
    assert (frame.name, frame.notes[0]) == ("b x 3", "2 operators each")
    [box] = [box for box in boxes(resolved(graph_scene(graph, most=3)).items) if box.look is Look.FOLDED]
    assert box.name == "b x 3"
    assert box.hover.startswith("b · 2 operators")


def test_wires_of_the_other_items_are_seen_when_they_go_astray(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(written("def b = linear(4) >> relu\ninput im[4, 8, 4]\narch net = gelu >> b * 3 >> norm"))
    check(graph_scene(graph))
    monkeypatch.setattr(folding._Seen, "_apart", lambda self, wire: False)
    with pytest.raises(AssertionError):
        check(graph_scene(graph))


def test_a_wire_that_moves_onto_one_that_stays_is_not_drawn_twice() -> None:
    a, b, c = (Box(f"n{i}", "x", Look.RULE) for i in range(3))
    scene = Scene("", "", "", (a, Run("r1", (b, c), series=False)), (Wire("n0", "n1", "t"), Wire("n0", "n2", "t")))
    assert resolved(scene).wires == (Wire("n0", "n1", "t"),)
    other = Scene("", "", "", scene.items, (Wire("n0", "n1", "t"), Wire("n0", "n2", "u")))
    assert [wire.text for wire in resolved(other).wires] == ["t", "u"]
