"""Each line of source knows the uses of operators that it comes from, and so do errors in it."""

from __future__ import annotations

import gc
import json
import traceback
import weakref

import pytest
import torch
from torch import nn

from ein.compiler.emit import emit, source_map
from ein.compiler.graph import OpGraph
from ein.compiler.load import load
from ein.compiler.lower import lower
from ein.compiler.passes import optimise
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source

TEXT = """ein 1
import std
def part(c)
  = conv(c) >> batch_norm >> relu
    >> conv(c, k = 1) >> batch_norm
input im[3, 8, 8]
arch net = part(4) >> part(6) >> relu >> part(8) >> head(10)
"""


def graph_of(text: str = TEXT) -> OpGraph:
    return lower(architecture(load_grammar(Source("test.ein", text))).term)


def test_lines_lead_to_operators_and_places() -> None:
    graph = graph_of()
    rows = emit(graph).splitlines()
    found = source_map(graph)

    def uses(start: str) -> list[str]:
        (line,) = (number for number, row in enumerate(rows, 1) if row.strip().startswith(start))
        return [found.uses[number].text for number in found.lines[line]]

    assert uses("self.conv1 = ") == ["conv(4)", "conv(6)", "conv(8)"]
    assert uses("x = F.relu(self.batch_norm1(self.conv1(x)))") == [
        *("conv(4)", "batch_norm", "relu"), *("conv(6)", "batch_norm", "relu"), *("conv(8)", "batch_norm", "relu")
    ]  # fmt: skip
    assert uses("return self.linear(") == ["pool", "linear(10)"]
    assert uses("self.part = Part(6, 8)") == ["conv(8)", "batch_norm", "relu", "conv(8, k = 1)", "batch_norm"]


def test_every_use_has_a_line_in_forward() -> None:
    for blocks in (True, False):
        sampler = Sampler.of(load_grammar("einspace"))
        for index in range(20):
            graph = optimise(lower(sampler.draw(3, index).term)).graph
            source, found = emit(graph, blocks=blocks), source_map(graph, blocks=blocks)
            rows = source.splitlines()
            built = {line for line, row in enumerate(rows, 1) if row.startswith("        self.")}
            called = {number for line, numbers in found.lines.items() if line not in built for number in numbers}
            bodies = {number: use.applied.body for number, use in graph.uses()}
            kept = {number for number, body in bodies.items() if any(step.op != "input" for step in body.steps)}
            once = {number for number in kept if {step.op for step in bodies[number].steps} <= {"input", "part"}}
            assert called <= kept and kept - called <= once, "what is divided twice alike is written once"


def test_as_json() -> None:
    told = source_map(graph_of()).to_json()
    assert json.loads(json.dumps(told)) == told
    assert told["uses"][0] == {"operator": "conv(4)", "path": ["arch net", "part"], "place": "test.ein:4:5"}
    assert all(0 <= at < len(told["uses"]) for places in told["lines"].values() for at in places)


def test_an_error_says_where_in_the_file_it_comes_from() -> None:
    net = load(graph_of())
    layer = net.get_submodule("parts.1")
    layer.conv2 = nn.Conv2d(5, 6, 1)
    with pytest.raises(RuntimeError) as caught:
        net(torch.zeros(2, 3, 8, 8))
    place = "of arch net > part, test.ein:5:8"
    assert caught.value.__notes__ == [f"in `conv(4, k = 1)` {place} or `conv(6, k = 1)` {place}"], "one of a row"


def test_an_error_names_the_instance_where_the_lines_tell_it() -> None:
    net = load(graph_of())
    net.get_submodule("part").conv2 = nn.Conv2d(5, 6, 1)
    with pytest.raises(RuntimeError) as caught:
        net(torch.zeros(2, 3, 8, 8))
    assert caught.value.__notes__ == ["in `conv(8, k = 1)` of arch net > part, test.ein:5:8"]
    net = load(graph_of().draft().done())
    with pytest.raises(RuntimeError) as caught:
        net(torch.zeros(2, 4, 8, 8))
    assert "in `conv(4)` of arch net > part, test.ein:4:5" in "".join(traceback.format_exception(caught.value))


def test_what_is_kept_for_messages_goes_with_the_network() -> None:
    net = load(graph_of())
    kind = weakref.ref(type(net))
    del net
    gc.collect()
    assert kind() is None


def test_networks_compile_and_export_as_before() -> None:
    """The function around `forward` is none that torch would have to leave the graph for."""
    net, x = load(graph_of()).eval(), torch.randn(2, 3, 8, 8)
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), net(x))
    torch.testing.assert_close(torch.export.export(net, (x,)).module()(x), net(x))
