"""Operation graphs as text: what is read back is the same network, and what is not a graph is told by line."""

from __future__ import annotations

import re

import pytest
import torch

from ein.compiler.emit import emit
from ein.compiler.graph import OpGraph
from ein.compiler.graph_reading import read_graph
from ein.compiler.graph_text import graph_file, to_text
from ein.compiler.identity import identity
from ein.compiler.interpret import Interpreter
from ein.compiler.lower import lower
from ein.compiler.passes import optimise
from ein.grammar.architecture import architecture
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.files import read_architecture
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, Source

LIMITS = {"elements": 200_000, "macs": 3_000_000, "params": 500_000, "modules": 100}
OWN = """ein 1
import std
type cols[d, l] : float
op to_cols : seq[l, d] -> cols[d, l] = rearrange
op both(f: fn = gelu) : (x: cols[n, m], y: seq[m, p]) -> seq[n, p] = dot[m](f(x), y)
input (seq[5, 6], seq[5, 6])
def twice(f) = f >> f
arch net = ((to_cols & twice(tied linear(6) * 2)) >> both(f = silu) & embed(7, 3, key = wte)) >> swap
"""


def graph_of(text: str) -> OpGraph:
    return lower(architecture(load_grammar(Source("test.ein", text))).term)


def plain(text: str) -> str:
    """Without numbers of nodes, places in files and blanks that align."""
    rows = [re.sub(r"\s+", " ", line.split("  # ")[0]).strip() for line in text.splitlines()]
    numbers: dict[str, str] = {}
    return re.sub(r"%\d+", lambda found: numbers.setdefault(found[0], f"%{len(numbers)}"), "\n".join(rows))


def assert_read_back(graph: OpGraph) -> None:
    again = read_graph(graph_file(graph))
    assert plain(graph_file(again)) == plain(graph_file(graph))
    assert emit(again) == emit(graph)
    assert identity(again) == identity(graph)
    assert Interpreter(again).state_dict().keys() == Interpreter(graph).state_dict().keys()


@pytest.mark.parametrize("name", ["zoo/resnet8", "zoo/vit", "zoo/unet_named", "zoo/mobilenet_v2", "zoo/einspace/vit"])
def test_architectures_are_read_back(name: str) -> None:
    graph = lower(read_architecture(name).term)
    assert_read_back(graph)
    assert_read_back(optimise(graph).graph)


@pytest.mark.parametrize("name", ["einspace", "hnb201", "nb201", "darts", "hybrid", "sequence", "tabular"])
def test_drawn_networks_are_read_back(name: str) -> None:
    limits = LIMITS if name == "einspace" else {}
    input = "im[3, 8, 8]" if name == "einspace" else None
    sampler = Sampler.of(load_grammar(name, Request(input=input, limits=limits)))
    for index in range(6):
        graph = lower(sampler.draw(11, index).term)
        assert_read_back(graph)
        assert_read_back(optimise(graph).graph)


OWN_INPUTS = OWN.replace("(seq[5, 6], seq[5, 6])", "((seq[5, 6], seq[5, 6]), tok[4])")


def test_own_kinds_operators_keys_and_nested_bundles_are_read_back() -> None:
    graph = graph_of(OWN_INPUTS)
    assert_read_back(graph)
    text = graph_file(graph)
    assert "type cols[d, l]" in text and "op both(f: fn = gelu)" in text and "key = wte" in text
    again = read_graph(text)
    torch.manual_seed(0)
    one, other = Interpreter(graph), Interpreter(again)
    other.load_state_dict(one.state_dict())
    given = [torch.randn(2, 5, 6), torch.randn(2, 5, 6), torch.randint(0, 7, (2, 4))]
    torch.testing.assert_close(other(*given), one(*given))


@pytest.mark.parametrize("last", ["norm", "relu >> norm", "col2im", "pos_enc"])
def test_what_reads_several_copies_in_one_axis_is_read_back(last: str) -> None:
    """The axis of 4 is one of (2, 2) before: sizes are those that the line says."""
    copies = "linear(4) >> split(2, 2) >> relu ^ 2 >> concat(2)"
    text = f"ein 1\nimport std\ninput seq[(5, 6), 8]\narch net = {copies} >> {last}\n"
    graph = optimise(graph_of(text)).graph
    assert "relu ^ 2 in 2" in graph_file(graph)
    assert_read_back(graph)


def test_shared_weights_and_scopes_are_read_back() -> None:
    text = "ein 1\nimport std\ninput vec[4]\ndef f(n) = linear(4) >> relu\narch net = f(1) >> tied f(2) * 2 >> f(3)\n"
    graph = read_graph(graph_file(graph_of(text)))
    keys = [node.key for _, node in graph.uses() if node.weights]
    assert keys == ["linear_1", "linear_2", "linear_2", "linear_3"]
    scopes = [node.path[-1] for _, node in graph.uses()]
    assert [scope.label for scope in scopes] == ["f"] * 8 and len(set(scopes)) == 4


def test_a_line_says_where_the_file_says_so() -> None:
    graph = graph_of("ein 1\nimport std\ninput vec[4]\ndef f(n) = linear(4) >>\n  relu\narch net = f(1)\n")
    assert to_text(graph).splitlines()[1:3] == [
        "%1 = linear(4)(%0) : vec[4]  as linear_1 in arch net > f  # test.ein:4:12",
        "%2 = relu(%1) : vec[4]       in arch net > f              # test.ein:5:3",
    ]


GOOD = "ein 1\nimport std\n\n%0 = input : im[3, 8, 8]\n%1 = conv(16)(%0) : im[16, 8, 8]\n%2 = relu(%1) : im[16, 8, 8]\n"
END = "output(%2) : im[16, 8, 8]\n"


@pytest.mark.parametrize(
    ("text", "wanted", "line"),
    [
        (GOOD.replace("relu(%1) : im[16, 8, 8]", "relu(%1) : im[16, 4, 4]") + END, "the line says im[16, 4, 4]", 6),
        (GOOD.replace("relu(%1)", "relu(%7)") + END, "`%7` is no result of a line above", 6),
        (GOOD.replace("relu(%1)", "relu(%1.3)") + END, "`%1.3` is no result of a line above", 6),
        (GOOD.replace("relu(%1)", "relu(%1, x)") + END, "`x` is no result of a line above", 6),
        (GOOD.replace("relu(%1)", "relu()") + END, "is no list of results", 6),
        (GOOD.replace("relu(%1)", "relu((%1)") + END, "a line says `%1 = operator", 6),
        (GOOD.replace("relu(%1)", "relu") + END, "a line says `%1 = operator", 6),
        (GOOD.replace("conv(16)", "conv(16, k = 99, p = 0)") + END, "`conv(16, k = 99, p = 0)`", 5),
        (GOOD.replace("conv(16)", "(relu | norm)") + END, "each line uses one operator", None),
        (GOOD.replace("conv(16)", "conv(out in {1, 2})") + END, "each line uses one operator", None),
        (GOOD, "one input, one output behind it", None),
        (GOOD.replace("%0 = input : im[3, 8, 8]\n", "") + END, "one input, one output behind it", None),
        ("", "one input, one output behind it", None),
        (GOOD + "output(%2) : im[16, 8, 9]\n", "is fed with im[16, 8, 8]", None),
        (GOOD + "output(%1) : im[16, 8, 8]\n", "nothing reads the results of node 2 (relu)", None),
    ],
)
def test_what_is_no_graph_is_told_by_line(text: str, wanted: str, line: int | None) -> None:
    with pytest.raises(EinError) as caught:
        read_graph(text)
    (found,) = caught.value.diagnostics
    assert found.code == "E722" and wanted in found.message
    if line is not None:
        assert found.span is not None and found.span.source.position(found.span.start) == (line, 1)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (GOOD.replace("relu(", "rellu(") + END, "E201"),
        (GOOD.replace("import std", "import nothing") + END, "E601"),
        (GOOD.replace("conv(16)", "conv(16, 3, 3, 3, 3, 3, 3, 3, 3)") + END, "E20"),
        (GOOD.replace("im[3, 8, 8]", "im[3, 8") + END, "E1"),
    ],
)
def test_what_the_language_does_not_take_is_told_by_it(text: str, code: str) -> None:
    with pytest.raises(EinError) as caught:
        read_graph(text)
    assert caught.value.diagnostics[0].code.startswith(code)
    shown = str(caught.value)
    assert "rule U" not in shown and "--> graph:" in shown


def test_the_end_to_end_text_of_the_page() -> None:
    text = GOOD.replace("%2 = relu(%1) : im[16, 8, 8]", "%2 = relu(%1) : im[16, 4, 4]") + END
    with pytest.raises(EinError) as caught:
        read_graph(text, "net.graph")
    from ein.cli.explain import PAGES

    assert str(caught.value) in (PAGES / "E722.md").read_text("utf-8")
