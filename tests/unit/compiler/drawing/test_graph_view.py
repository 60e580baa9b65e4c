"""What a picture of an operation graph shows."""

import pytest

from ein.compiler.drawing.graph_view import graph_scene
from ein.compiler.drawing.groups import group
from ein.compiler.drawing.scene import Box, Frame, Item, Look, Run, Scene, boxes
from ein.compiler.drawing.texts import amount, cost_text, type_text
from ein.compiler.graph import OpGraph
from ein.compiler.lower import lower
from ein.grammar.architecture import architecture
from ein.grammar.cfg import Cost
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source
from ein.grammar.types import bundle, tensor


def graph_of(text: str) -> OpGraph:
    source = Source("test.ein", f"ein 1\nimport std\n{text}")
    return lower(architecture(load_grammar(source), "net").term)


def names(scene: Scene) -> list[str]:
    return [box.name for box in boxes(scene.items)]


def frames(items: tuple[Item, ...]) -> list[Frame]:
    """All of them, outer ones first."""
    found: list[Frame] = []
    for item in items:
        if not isinstance(item, Box):
            found += [item] if isinstance(item, Frame) else []
            found += frames(item.items)
    return found


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("clone(2) >> add", [Look.BRANCHING, Look.AGGREGATION]),
        ("split(3, 1) >> concat(1)", [Look.BRANCHING, Look.AGGREGATION]),
        ("clone(2) >> matmul", [Look.BRANCHING, Look.AGGREGATION]),
        ("identity >> permute((2, 1, 3))", [Look.ROUTING, Look.ROUTING]),
        ("im2col(2, s = 2) >> col2im", [Look.ROUTING, Look.ROUTING]),
        ("relu >> linear(4) >> norm", [Look.COMPUTATION] * 3),
        ("max_pool(2) >> pos_enc >> softmax", [Look.COMPUTATION] * 3),
    ],
)
def test_groups_follow_from_signature_and_body(term: str, expected: list[Look]) -> None:
    graph = graph_of(f"input im[3, 8, 8]\narch net = {term}")
    assert [group(use.applied) for _, use in graph.uses()] == expected


def test_every_node_and_every_wire_is_drawn() -> None:
    graph = graph_of("input im[3, 8, 8]\narch net = clone(2) >> (relu & identity) >> add >> linear(16)")
    scene = graph_scene(graph, wires=True)
    assert names(scene) == ["input", "clone(2)", "relu", "identity", "+", "linear(16)", "output"]
    shapes = [wire.text for wire in scene.wires]
    assert shapes == ["im 3 x 8 x 8"] * 6 + ["im 3 x 8 x 16"]


def test_identities_and_clones_are_wires() -> None:
    graph = graph_of("input im[3, 8, 8]\narch net = clone(2) >> (relu & identity) >> add")
    scene = graph_scene(graph)
    assert names(scene) == ["input", "relu", "+", "output"]
    assert {(wire.source, wire.target) for wire in scene.wires} >= {("n0", "n2"), ("n0", "n4")}
    assert scene.subtitle.startswith("4 modules"), "what is not drawn is counted"


def test_two_wires_between_the_same_nodes_are_two() -> None:
    scene = graph_scene(graph_of("input im[3, 8, 8]\narch net = clone(2) >> add"), wires=True)
    wires = [wire for wire in scene.wires if wire.source == "n1"]
    text = "clone(2) -> input {} of add: im 3 x 8 x 8"
    assert [wire.hover for wire in wires] == [text.format(1), text.format(2)]


def test_costs_stand_in_the_nodes_and_above() -> None:
    graph = graph_of("input im[3, 8, 8]\narch net = conv(64, k = 3) >> relu >> linear(4)")
    conv = 64 * 3 * 9 + 64
    macs = 64 * 3 * 9 * 64
    scene = graph_scene(graph, title="a net")
    _, first, relu, _, _ = boxes(scene.items)
    assert first.notes == (f"1.79 K params · {amount(macs)} MACs",)
    assert relu.notes == (), "nothing is said of costs that are zero"
    assert dict(first.facts)["parameters"] == f"{conv:,}"
    assert scene.subtitle == f"3 modules · 1.83 K params · {amount(macs + 64 * 8 * 8 * 4)} MACs"
    memory = [box.notes for box in boxes(graph_scene(graph, costs=("memory",)).items)]
    assert memory[1:4] == [("16.4 KB",), ("16.4 KB",), ("8.19 KB",)]


def test_heat_is_the_square_root_of_the_share() -> None:
    graph = graph_of(
        "input im[3, 8, 8]\narch net = conv(64, k = 3, bias = false) >> relu >> conv(3, k = 3, bias = false)"
    )
    scene = graph_scene(graph, heat="params")
    assert [box.heat for box in boxes(scene.items)] == [None, 1.0, 0.0, 1.0, None]
    assert scene.heat == ("parameters, square root", "0", "1.73 K")


def test_a_macro_is_a_frame_with_a_name() -> None:
    graph = graph_of(
        "def c(n) = conv(n) >> relu\ndef b(n) = c(n) >> norm\ndef lone = relu\n"
        "input im[3, 8, 8]\narch net = b(4) >> lone >> norm"
    )
    assert [frame.name for frame in frames(graph_scene(graph).items)] == ["b", "c"]
    outer, inner = frames(graph_scene(graph).items)
    assert [box.name for box in boxes(outer.items)] == ["conv(4)", "relu", "norm"]
    assert [box.name for box in boxes(inner.items)] == ["conv(4)", "relu"]


def test_what_fills_a_frame_has_none_of_its_own() -> None:
    graph = graph_of(
        "def b(n) = conv(n) >> relu\ndef a(n) = b(n)\ndef all(n) = a(n) >> norm >> a(n) >> relu\n"
        "input im[3, 8, 8]\narch net = all(4)"
    )
    assert len(frames(graph_scene(graph).items)) == 2


def test_a_rule_inside_itself_is_not_framed_again() -> None:
    graph = graph_of(
        "rule Net = R(2)\nrule R(n) = relu >> norm >> R(n - 1) if n > 0 | norm >> relu if n == 0\n"
        "input im[3, 8, 8]\narch net = gelu >> relu >> R(2) >> gelu >> relu"
    )
    assert [frame.name for frame in frames(graph_scene(graph).items)] == ["R(2)"]


def test_equal_parts_in_a_row_are_a_run() -> None:
    graph = graph_of("def b(n) = conv(n) >> relu\ninput im[4, 8, 8]\narch net = gelu >> b(4) * 3 >> norm")
    _, _, run, _, _ = graph_scene(graph).items
    assert isinstance(run, Run) and run.series and run.folded
    assert [each.name for each in run.items if isinstance(each, Frame)] == ["b", "b", "b"]


def test_equal_branches_are_a_run() -> None:
    graph = graph_of("input im[4, 8, 8]\narch net = clone(4) >> (relu >> norm) ^ 4 >> add")
    _, run, _, _ = graph_scene(graph).items
    assert isinstance(run, Run) and not run.series and len(run.items) == 4


def test_direction() -> None:
    graph = graph_of("input im[3, 8, 8]\narch net = relu")
    assert graph_scene(graph).direction == "TB"
    assert graph_scene(graph, direction="LR").direction == "LR"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "0"), (7, "7"), (999, "999"), (1000, "1 K"), (1234, "1.23 K"), (99_950, "100 K"), (999_499, "999 K"),
        (999_500, "1 M"), (11_689_512, "11.7 M"), (4_100_000_000, "4.1 G"), (10**13, "10 T"), (10**16, "10000 T"),
    ],
)  # fmt: skip
def test_amounts(number: int, expected: str) -> None:
    assert amount(number) == expected


def test_costs_as_words() -> None:
    assert cost_text(Cost(1, 0, 0, 5)) == ""
    assert cost_text(Cost(1, 10, 0, 5)) == "10 params"
    assert cost_text(Cost(1, 10, 2000, 5)) == "10 params · 2 K MACs"


def test_types_as_words() -> None:
    image, grid = tensor("im", [64, 32, 32]), tensor("seq", [(16, (2, 3)), 48])
    assert type_text(image) == "im 64 x 32 x 32"
    assert type_text(grid) == "seq (16·(2·3)) x 48"
    assert type_text(tensor("scalar", [])) == "scalar"
    assert type_text(bundle([image] * 4)) == "4 of im 64 x 32 x 32"
    assert type_text(bundle([image, grid])) == "(im 64 x 32 x 32, seq (16·(2·3)) x 48)"
