"""Each option of a picture changes it, and what is not one of the choices is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

import ein
from ein.compiler.drawing.draw import Options, scene_of, to_dot
from ein.compiler.drawing.folding import resolved
from ein.compiler.drawing.scene import Box, Frame, boxes

from .networks import graph_of, parts, sampler, written

NETWORK = written(
    "def unit(c) = conv(c, k = 3) >> relu\ndef block(c) = unit(c) >> clone(2) >> (unit(c) & identity) >> add\n"
    "def stage(c) = block(c) >> norm\ninput im[3, 8, 8]\narch net = unit(8) >> stage(8) >> stage(8) >> unit(4)"
)
LONG = written("input im[3, 8, 8]\narch net = " + " >> ".join(["relu", "gelu", "norm"] * 12))


def dot(**options: Any) -> str:
    return to_dot(NETWORK, Options(**options))


def names(**options: Any) -> list[str]:
    options = {"shapes": False} | options
    return [box.name for box in boxes(resolved(scene_of(NETWORK, Options(**options))).items)]


def test_costs() -> None:
    assert "params" in dot() and "MACs" in dot() and "KB" not in dot(heading=False)
    notes = {each: [box.notes for box in boxes(scene_of(NETWORK, Options(costs=(each,))).items)] for each in UNITS}
    for name, unit in UNITS.items():
        inner = notes[name][1:-1]
        assert any(inner) and all(note.endswith(unit) for lines in inner for note in lines)
    assert not any(box.notes for box in list(boxes(scene_of(NETWORK, Options(costs=())).items))[1:-1])


UNITS = {"params": "params", "macs": "MACs", "memory": "B"}


@pytest.mark.parametrize("cost", UNITS)
def test_heat(cost: str) -> None:
    scene = scene_of(NETWORK, Options(heat=cost))
    heats = [box.heat for box in boxes(scene.items)][1:-1]
    assert max(heat or 0 for heat in heats) == 1
    assert all(heat is not None and 0 <= heat <= 1 for heat in heats)
    assert scene.heat is not None and scene.heat[0].startswith(
        {"params": "param", "macs": "MAC", "memory": "act"}[cost]
    )
    assert all(box.heat is None for box in boxes(scene_of(NETWORK).items))
    assert dot(heat=cost) != dot()


def test_heat_of_what_costs_nothing() -> None:
    graph = graph_of(written("input im[3, 8, 8]\narch net = relu >> gelu"))
    assert [box.heat for box in boxes(scene_of(graph, Options(heat="params")).items)] == [None, 0.0, 0.0, None]


def test_shapes() -> None:
    assert all(wire.text for wire in scene_of(NETWORK).wires)
    assert not any(wire.text for wire in scene_of(NETWORK, Options(shapes=False)).wires)


def test_wires() -> None:
    assert not {"identity", "clone(2)"} & set(names())
    assert {"identity", "clone(2)"} <= set(names(wires=True))


def test_unfold() -> None:
    assert len(names(unfold=True)) > len(names())
    assert " x 2" in dot() and " x 2" not in dot(unfold=True)


def test_depth() -> None:
    def deepest(depth: int) -> int:
        def below(item: Any) -> int:
            return 0 if isinstance(item, Box) else 1 + max(map(below, item.items))

        text = to_dot(NETWORK, Options(depth=depth, unfold=True))
        made = resolved(scene_of(NETWORK, Options(unfold=True)), depth)
        assert text.count("subgraph") == sum(isinstance(part, Frame) for part in parts(made))
        return max(map(below, made.items))

    assert [deepest(depth) for depth in (0, 1, 2, 3, 9)] == [0, 1, 2, 3, 3]


def test_most() -> None:
    assert len(names(most=7)) <= 7 < len(names())
    assert names(most=400) == names()


def test_columns() -> None:
    made = {count: to_dot(LONG, Options(columns=count)) for count in (None, 1, 2, 3)}
    assert len({*made.values()}) >= 3
    signs = {count: text.count('shape="circle"') for count, text in made.items()}
    assert (signs[1], signs[2], signs[3]) == (0, 2, 4)


def test_heading_and_title() -> None:
    assert "A title" in dot(title="A title") and "aggregation" in dot()
    bare = dot(title="A title", heading=False)
    assert "A title" not in bare and "aggregation" not in bare
    assert scene_of(NETWORK).title == NETWORK.id


def test_direction_and_style() -> None:
    assert len({dot(direction="TB"), dot(direction="LR"), dot(style="dark"), dot(style="paper")}) == 4
    assert dot() == dot(direction="TB", style="light")


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"view": "tree"}, "view must be one of graph, derivation, grammar, difference, got 'tree'"),
    ({"direction": "down"}, "direction must be one of TB, LR, got 'down'"),
    ({"style": ""}, "style must be one of light, dark, paper, got ''"),
    ({"style": None}, "style must be one of light, dark, paper, got None"),
    ({"heat": "cost"}, "heat must be one of params, macs, memory, got 'cost'"),
    ({"costs": ("params", "flops")}, "costs must be one of params, macs, memory, got 'flops'"),
    ({"costs": "params"}, "costs must be a tuple of params, macs, memory, got 'params'"),
    ({"costs": None}, "costs must be a tuple of params, macs, memory, got None"),
    ({"scale": 0}, "scale must be from 0.1 to 10, got 0"),
    ({"scale": 10.5}, "scale must be from 0.1 to 10, got 10.5"),
    ({"scale": float("nan")}, "scale must be from 0.1 to 10, got nan"),
    ({"scale": float("inf")}, "scale must be from 0.1 to 10, got inf"),
    ({"scale": "2"}, "scale must be from 0.1 to 10, got '2'"),
    ({"most": 0}, "most must be a whole number, 1 or more, got 0"),
    ({"most": "many"}, "most must be a whole number, 1 or more, got 'many'"),
    ({"most": None}, "most must be a whole number, 1 or more, got None"),
    ({"columns": 0}, "columns must be a whole number, 1 or more, got 0"),
    ({"columns": 1.5}, "columns must be a whole number, 1 or more, got 1.5"),
    ({"depth": -1}, "depth must be a whole number, 0 or more, got -1"),
    ({"depth": "all"}, "depth must be a whole number, 0 or more, got 'all'"),
    ({"heat": "macs", "against": NETWORK}, "heat must be None for a difference, whose colours say what changed"),
    ({"view": "difference"}, "view must be difference where there is a second network (against), and only there"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_values_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Options(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize("options", [{"costs": ["macs"]}, {"scale": 1}])
def test_what_means_the_same_is_taken(options: dict[str, Any]) -> None:
    assert "digraph" in dot(**options)


def test_options_of_the_package(tmp_path: Any) -> None:
    space = ein.load("einspace")
    assert ein.draw(NETWORK, tmp_path / "a.dot", title="A title", costs=("memory",)).read_text("utf-8").count("KB") > 3
    assert "Fork" in ein.draw(space, tmp_path / "b.dot").read_text("utf-8")
    with pytest.raises(ValueError, match="view must be grammar for a grammar, got 'graph'"):
        ein.draw(space, tmp_path / "c.dot", view="graph")
    with pytest.raises(ValueError, match="view must be graph, derivation or difference for a network, got 'grammar'"):
        ein.draw(NETWORK, tmp_path / "c.dot", view="grammar")
    with pytest.raises(ValueError, match="against must be a network, and it is a grammar"):
        ein.draw(NETWORK, tmp_path / "c.dot", against=sampler("einspace").grammar)
    assert not (tmp_path / "c.dot").exists()
