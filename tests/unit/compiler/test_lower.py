"""From terms to graphs: wires, weights that are shared and that are not, provenance."""

from __future__ import annotations

from ein.compiler.graph import OpGraph, Port, verify
from ein.compiler.lower import lower
from ein.grammar import term as t
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import NOWHERE, Source


def term_of(text: str) -> t.TypedTerm:
    return architecture(load_grammar(Source("test.ein", f"ein 1\nimport std\n{text}\n"))).term


def graph_of(text: str) -> OpGraph:
    graph = lower(term_of(text))
    verify(graph)
    return graph


def keys(graph: OpGraph, name: str) -> list[str]:
    return [node.key for _, node in graph.uses() if node.application.name == name]


def test_every_operator_is_a_node() -> None:
    graph = graph_of("input vec[4]\narch net = identity >> clone(2) >> (identity & relu) >> add")
    assert [node.text for _, node in graph.uses()] == ["identity", "clone(2)", "identity", "relu", "add"]


def test_branches_read_their_part_of_a_bundle() -> None:
    graph = graph_of(
        "input (vec[1], vec[2], vec[3], vec[4])\n"
        "arch net = (identity & relu & identity & relu) >> (relu & identity & relu & linear(5))"
    )
    assert [leaf.sizes for leaf in graph.node(graph.output).inputs] == [(1,), (2,), (3,), (5,)]
    assert [graph.sources(number) for number, _ in graph.uses()][:4] == [(Port(0, at),) for at in range(4)]
    assert graph.sources(graph.output) == tuple(Port(number, 0) for number in (5, 6, 7, 8))


def test_nested_bundles_are_flat() -> None:
    graph = graph_of(
        "input vec[8]\narch net = clone(2) >> (split(2, 1) & split(4, 1)) >> (add & concat(1)) >> concat(1)"
    )
    assert [len(node.outputs) for _, node in graph.uses()] == [2, 2, 4, 1, 1, 1]
    assert graph.sources(5) == (Port(3, 0), Port(3, 1), Port(3, 2), Port(3, 3))


def test_copies_have_weights_of_their_own() -> None:
    graph = graph_of("input vec[4]\narch net = clone(2) >> (linear(4) >> linear(4)) ^ 2 >> add >> linear(4) * 2")
    assert keys(graph, "linear") == [f"linear_{n}" for n in (1, 2, 3, 4, 5, 6)]


def test_tied_copies_share_them() -> None:
    graph = graph_of(
        "input vec[4]\narch net = clone(3) >> tied (linear(4) >> linear(4)) ^ 3 >> add >> tied linear(4) * 2"
    )
    assert keys(graph, "linear") == ["linear_1", "linear_2"] * 3 + ["linear_3"] * 2


def test_tied_inside_copies_and_copies_inside_tied() -> None:
    inside = graph_of("input vec[4]\narch net = clone(2) >> (tied linear(4) * 2 >> linear(4)) ^ 2 >> add")
    assert keys(inside, "linear") == ["linear_1", "linear_1", "linear_2", "linear_3", "linear_3", "linear_4"]
    around = graph_of("input vec[4]\narch net = clone(2) >> tied (linear(4) * 2 >> tied linear(4) * 2) ^ 2 >> add")
    assert keys(around, "linear") == ["linear_1", "linear_2", "linear_3", "linear_3"] * 2


def test_keys_do_not_depend_on_what_follows() -> None:
    short = graph_of("input vec[4]\narch net = linear(4) >> relu >> linear(4)")
    long = graph_of("input vec[4]\narch net = linear(4) >> relu >> linear(4) >> relu >> linear(4)")
    assert keys(long, "linear")[:2] == keys(short, "linear")


def test_provenance_is_the_rules_and_macros_around() -> None:
    text = "input vec[4]\ndef twice(f) = f >> f\ndef block(n) = linear(n) >> relu\narch net = twice(block(4)) >> relu"
    graph = graph_of(text)
    paths = [node.path for _, node in graph.uses()]
    assert [str(scope) for scope in paths[0][-2:]] == ["twice", "block"]
    assert paths[0] == paths[1] and paths[2] == paths[3]
    assert len(paths[-1]) == len(paths[0]) - 2
    assert [node.span.text for _, node in graph.uses()] == ["linear(n)", "relu", "linear(n)", "relu", "relu"]


def test_each_use_of_a_macro_is_a_scope_of_its_own() -> None:
    text = "input vec[4]\ndef block(n) = linear(n) >> relu\narch net = block(4) >> block(4) * 2 >> tied block(4) * 2"
    paths = [node.path for _, node in graph_of(text).uses()]
    assert {str(path[-1]) for path in paths} == {"block"}
    assert [paths.index(path) for path in paths] == [0, 0, 2, 2, 4, 4, 6, 6, 8, 8]


def test_nesting_has_no_limit() -> None:
    term = term_of("input vec[4]\narch net = relu")
    for depth in range(20_000):
        term = t.Named("deep", term, term.input, term.output, NOWHERE, macro=True, anonymous=depth > 10)
        term = t.Series((term,), term.input, term.output)
    graph = lower(term)
    assert len(graph) == 3
