"""What a picture of an operation graph shows."""

import re

import pytest

from ein.compiler.draw_graph import Box, boxes, graph_picture
from ein.compiler.draw_operator import Group, amount, cost_text, group, type_text
from ein.compiler.graph import OpGraph, cost
from ein.compiler.lower import lower
from ein.grammar.architecture import architecture
from ein.grammar.cfg import Cost
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source
from ein.grammar.types import bundle, tensor


def graph_of(text: str) -> OpGraph:
    source = Source("test.ein", f"ein 1\nimport std\n{text}")
    return lower(architecture(load_grammar(source), "net").term)


def names(graph: OpGraph, box: Box) -> list[str]:
    return [graph.node(number).text for number in sorted(box.nodes)]


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("clone(2) >> add", [Group.BRANCHING, Group.AGGREGATION]),
        ("split(3, 1) >> concat(1)", [Group.BRANCHING, Group.AGGREGATION]),
        ("clone(2) >> matmul", [Group.BRANCHING, Group.AGGREGATION]),
        ("identity >> permute((2, 1, 3))", [Group.ROUTING, Group.ROUTING]),
        ("im2col(2, s = 2) >> col2im", [Group.ROUTING, Group.ROUTING]),
        ("relu >> linear(4) >> norm", [Group.COMPUTATION] * 3),
        ("max_pool(2) >> pos_enc >> softmax", [Group.COMPUTATION] * 3),
    ],
)
def test_groups_follow_from_signature_and_body(term: str, expected: list[Group]) -> None:
    graph = graph_of(f"input im[3, 8, 8]\narch net = {term}")
    assert [group(use.applied) for _, use in graph.uses()] == expected


def test_every_node_and_every_wire_is_drawn() -> None:
    graph = graph_of("input im[3, 8, 8]\narch net = clone(2) >> (relu & identity) >> add >> linear(16)")
    dot = graph_picture(graph).dot
    assert len(re.findall(r"^ *n\d+ \[", dot, re.M)) == len(graph) == 7
    wires = re.findall(r"(n\d+ -> n\d+) \[label=<<font point-size=\"8\">&#160;([^&]*)&#160;", dot)
    assert len(wires) == sum(len(graph.sources(number)) for number, _ in graph.nodes()) == 7
    assert [shape for _, shape in wires].count("im 3 x 8 x 8") == 6
    assert [shape for _, shape in wires].count("im 3 x 8 x 16") == 1


def test_two_wires_between_the_same_nodes_are_two() -> None:
    picture = graph_picture(graph_of("input im[3, 8, 8]\narch net = clone(2) >> add"))
    assert picture.dot.count("n1 -> n2 [") == 2
    wire = "clone(2) -> input {} of add: im 3 x 8 x 8"
    assert picture.hover["n1->n2"] == f"{wire.format(1)}; {wire.format(2)}"


def test_costs_stand_in_the_nodes_and_above() -> None:
    graph = graph_of("input im[3, 8, 8]\narch net = conv(64, k = 3) >> relu >> linear(4)")
    dot = graph_picture(graph, title="a net").dot
    conv = 64 * 3 * 9 + 64
    macs = 64 * 3 * 9 * 64
    assert '<b>conv(64)</b></td></tr><tr><td><font point-size="9" color="#595959">1.79 K params' in dot
    assert cost(graph).parameters == conv + 8 * 4 + 4
    assert f"3 modules · 1.83 K params · {amount(macs + 64 * 8 * 8 * 4)} MACs" in dot
    assert "[label=<<b>relu</b>>" in dot, "nothing is said of costs that are zero"
    assert "<b>a net</b>" in dot


def test_legend_has_the_groups_that_occur() -> None:
    dot = graph_picture(graph_of("input im[3, 8, 8]\narch net = relu >> identity")).dot
    assert ">computation<" in dot and ">routing<" in dot
    assert ">branching<" not in dot and ">aggregation<" not in dot


def test_boxes_are_macros_nested_twice_at_most() -> None:
    graph = graph_of(
        "def c(n) = conv(n) >> relu\n"
        "def b(n) = c(n) >> norm\n"
        "def a(n) = b(n) >> clone(2) >> add\n"
        "def lone = relu\n"
        "input im[3, 8, 8]\narch net = a(4) >> lone >> norm"
    )
    (outer,) = boxes(graph)
    assert (outer.name, names(graph, outer)) == ("a", ["conv(4)", "relu", "norm", "clone(2)", "add"])
    (inner,) = outer.inside
    assert (inner.name, names(graph, inner), inner.inside) == ("b", ["conv(4)", "relu", "norm"], ())


def test_two_uses_of_a_macro_in_a_row_are_two_boxes() -> None:
    graph = lower(architecture(load_grammar("zoo/resnet8")).term)
    found = {box.name: 0 for box in boxes(graph)}
    for box in boxes(graph):
        found[box.name] += 1
        assert names(graph, box).count("clone(2)") == (box.name in ("basic", "down"))
    assert found == {"conv_bn": 1, "basic": 1, "down": 2, "head": 1}


def test_a_macro_that_fills_its_box_has_none() -> None:
    graph = graph_of(
        "def b(n) = conv(n) >> relu\ndef a(n) = b(n)\ndef all(n) = a(n) >> norm >> a(n)\n"
        "input im[3, 8, 8]\narch net = all(4)"
    )
    assert [box.name for box in boxes(graph)] == ["a", "a"]
    assert [box.inside for box in boxes(graph)] == [(), ()]


def test_rules_give_no_boxes() -> None:
    graph = graph_of("rule R = relu >> norm\ninput im[3, 8, 8]\narch net = R >> R >> relu")
    assert boxes(graph) == ()


def test_boxed_nodes_are_drawn_once() -> None:
    graph = graph_of("def b(n) = conv(n) >> relu\ninput im[3, 8, 8]\narch net = b(4) >> norm >> b(8)")
    dot = graph_picture(graph).dot
    assert dot.count("subgraph cluster_") == 2
    assert all(len(re.findall(rf"^ *n{number} \[", dot, re.M)) == 1 for number, _ in graph.nodes())


def test_direction() -> None:
    graph = graph_of("input im[3, 8, 8]\narch net = relu")
    assert 'rankdir="TB"' in graph_picture(graph).dot
    assert 'rankdir="LR"' in graph_picture(graph, direction="LR").dot


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
