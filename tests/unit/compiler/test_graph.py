"""The operation graph: what `verify` refuses, how it prints, and that it is a value."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from ein.compiler.graph import Draft, Input, InternalError, OpGraph, Output, Port, Use, cost, verify
from ein.compiler.graph_text import to_text
from ein.compiler.lower import lower
from ein.compiler.passes import optimise
from ein.compiler.passes.wires import remove_wires
from ein.compiler.standard import application
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source
from ein.grammar.types import Tensor, tensor

GOLDEN = Path(__file__).parents[2] / "golden" / "emit"


def graph_of(text: str) -> OpGraph:
    return lower(architecture(load_grammar(Source("test.ein", f"ein 1\nimport std\n{text}\n"))).term)


def vec(n: int) -> Tensor:
    return tensor("vec", (n,))


def use(name: str, input: Tensor, key: str = "", **given: int) -> Use:
    found = application(name, *given.items())
    return Use(found, found.at(input), key or f"{name}_1")


def test_one_value_twice_keeps_both_edges() -> None:
    graph = remove_wires(graph_of("input vec[3]\narch net = clone(2) >> add")).graph
    ((number, node),) = graph.uses()
    assert node.text == "add"
    assert graph.sources(number) == (Port(graph.input, 0), Port(graph.input, 0))
    assert graph.targets(graph.input) == ((0, Port(number, 0)), (0, Port(number, 1)))
    assert [data["target"] for _, _, data in graph.to_networkx().in_edges(number, data=True)] == [0, 1]


def test_networkx_has_records_ports_and_types() -> None:
    graph = graph_of("input vec[4]\narch net = split(2, 1) >> (relu & linear(5))")
    plain = graph.to_networkx()
    assert plain.number_of_nodes() == len(graph) and isinstance(plain.nodes[graph.input]["node"], Input)
    edges = {(data["source"], data["target"], repr(data["type"])) for _, _, data in plain.edges(data=True)}
    assert edges == {(0, 0, "vec[4]"), (0, 0, "vec[2]"), (1, 0, "vec[2]"), (0, 1, "vec[5]")}
    plain.clear()
    verify(graph)


def test_a_draft_leaves_its_graph_alone() -> None:
    graph = graph_of("input vec[4]\narch net = relu >> identity >> relu")
    before = to_text(graph)
    draft = graph.draft()
    draft.bypass(2, draft.sources(2))
    assert len(draft.done()) == len(graph) - 1
    assert to_text(graph) == before


def edited(random: Random, graph: OpGraph) -> OpGraph:
    """Random uses more, wires elsewhere, and nodes gone; numbers do not always grow along the wires."""
    draft, numbers = graph.draft(), list(graph.order)
    for at in range(30):
        number, source = random.choice(numbers), random.choice(numbers)
        match random.choice(("add", "replace", "bypass")):
            case "add":
                numbers.append(draft.add(use("relu", vec(4), f"relu_{at}"), [Port(source, 0)]))
            case "replace" if number and number not in before(draft, source):
                draft.replace(number, draft.node(number), [Port(source, 0)])
            case "bypass" if number:
                draft.bypass(number, draft.sources(number))
                numbers.remove(number)
    return draft.done()


def before(draft: Draft, number: int) -> set[int]:
    """A node and what it depends on."""
    found = {number}
    for source, _ in draft.sources(number):
        found |= before(draft, source)
    return found


def wired(graph: OpGraph) -> list[tuple[object, ...]]:
    return [(number, graph.sources(number), graph.targets(number)) for number in graph.order]


@pytest.mark.parametrize("seed", range(50))
def test_drafts_of_drafts_leave_each_other_alone(seed: int) -> None:
    random = Random(seed)
    made: list[tuple[OpGraph, list[tuple[object, ...]]]] = []
    graph = unfinished().done()
    for _ in range(4):
        graph = edited(random, graph)
        made.append((graph, wired(graph)))
        graph, _wires = random.choice(made)
    for graph, wires in made:
        assert wired(OpGraph(graph._nodes, graph._sources, graph._readers)) == wires
        read: dict[int, list[tuple[int, Port]]] = {number: [] for number in graph.order}
        for number in graph.order:
            for at, source in enumerate(graph.sources(number)):
                read[source.node].append((source.port, Port(number, at)))
        assert all(graph.targets(number) == tuple(sorted(found)) for number, found in read.items())


@pytest.mark.parametrize("seed", range(50))
def test_order_takes_the_smallest_that_is_free(seed: int) -> None:
    graph = edited(Random(seed), unfinished().done())
    left, found = set(graph.order), list[int]()
    while left:
        found.append(min(each for each in left if all(source.node in found for source in graph.sources(each))))
        left.remove(found[-1])
    assert graph.order == tuple(found)


def test_uses_are_found_by_their_bodies() -> None:
    graph = graph_of("input vec[4]\narch net = linear(5) >> relu >> linear(5) >> softmax")
    assert graph.names("nn.Linear", "softmax") and not graph.names("nn.Linear", "einsum")
    layers = graph.having(lambda body: any(step.op == "layer" for step in body.steps))
    assert [node.key for _, node in layers] == ["linear_1", "linear_2"]
    assert len(graph.bodies) == len({id(node.applied.body) for _, node in graph.uses()})


def test_unused_nodes_go_with_what_only_they_read() -> None:
    draft = Draft()
    given = draft.add(Input((vec(4),)))
    kept = draft.add(use("relu", vec(4)), [Port(given, 0)])
    lost = draft.add(use("relu", vec(4), "relu_2"), [Port(kept, 0)])
    draft.add(use("relu", vec(4), "relu_3"), [Port(lost, 0)])
    draft.add(Output((vec(4),)), [Port(kept, 0)])
    draft.remove_unused()
    graph = draft.done()
    verify(graph)
    assert [number for number, _ in graph.uses()] == [kept]


def unfinished(*nodes: tuple[Use, int]) -> Draft:
    """An input, and uses that read the result of a node each."""
    draft = Draft()
    draft.add(Input((vec(4),)))
    for node, source in nodes:
        draft.add(node, [Port(source, 0)])
    return draft


def test_verify_names_the_port_that_is_not_fed() -> None:
    draft = unfinished()
    number = draft.add(use("relu", vec(4)))
    draft.add(Output((vec(4),)), [Port(number, 0)])
    with pytest.raises(InternalError, match=r"node 1 \(relu\) has 1 inputs, and 0 are fed"):
        verify(draft.done())


def test_verify_names_the_port_that_does_not_exist() -> None:
    draft = unfinished()
    draft.add(Output((vec(4),)), [Port(0, 1)])
    with pytest.raises(InternalError, match=r"node 1 \(output\) reads port 1 of node 0: there is none"):
        verify(draft.done())


def test_verify_compares_types() -> None:
    draft = unfinished((use("linear", vec(4), out=5), 0))
    draft.add(Output((vec(4),)), [Port(1, 0)])
    with pytest.raises(InternalError, match=r"input 0 of node 2 \(output\) is vec\[4\] and is fed with vec\[5\]"):
        verify(draft.done())


def test_verify_finds_cycles() -> None:
    draft = unfinished((use("relu", vec(4)), 0), (use("relu", vec(4), "relu_2"), 1))
    draft.replace(1, use("relu", vec(4)), [Port(2, 0)])
    draft.add(Output((vec(4),)), [Port(2, 0)])
    with pytest.raises(InternalError, match=r"a cycle through the nodes \[1, 2, 3\]"):
        verify(draft.done())


def test_verify_finds_results_that_no_one_reads() -> None:
    draft = unfinished((use("relu", vec(4)), 0))
    draft.add(Output((vec(4),)), [Port(0, 0)])
    with pytest.raises(InternalError, match=r"nothing reads the results of node 1 \(relu\)"):
        verify(draft.done())


def test_verify_compares_weights_that_are_shared() -> None:
    draft = unfinished((use("linear", vec(4), out=5), 0), (use("linear", vec(5), out=4), 1))
    draft.add(Output((vec(4),)), [Port(2, 0)])
    with pytest.raises(InternalError, match="are to share the weights linear_1, and these differ"):
        verify(draft.done())


def test_verify_wants_one_output() -> None:
    with pytest.raises(InternalError, match="exactly one Output"):
        verify(unfinished().done())


def test_shared_weights_cost_once() -> None:
    apart = cost(graph_of("input vec[4]\narch net = clone(3) >> linear(4) ^ 3 >> add"))
    shared = cost(graph_of("input vec[4]\narch net = clone(3) >> tied linear(4) ^ 3 >> add"))
    assert (apart.parameters, shared.parameters) == (60, 20)
    assert apart.macs == shared.macs == 48 and apart.modules == shared.modules == 5


@pytest.mark.parametrize("stage", ["lowered", "optimised"])
def test_golden_text(stage: str) -> None:
    """Rewritten with EIN_REWRITE_GOLDEN=1, and then read."""
    text = (GOLDEN / "sampled.ein").read_text("utf-8")
    graph = lower(architecture(load_grammar(Source("sampled.ein", text))).term)
    graph = optimise(graph).graph if stage == "optimised" else graph
    made = to_text(graph) + "\n"
    path = GOLDEN / f"sampled-{stage}.txt"
    if os.environ.get("EIN_REWRITE_GOLDEN"):
        path.write_text(made, "utf-8")
    assert made == path.read_text("utf-8")
