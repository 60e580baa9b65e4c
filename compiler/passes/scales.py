"""Scales that the layer beside them can do."""

from __future__ import annotations

from collections.abc import Iterator

from ein.compiler.graph import OpGraph
from ein.compiler.nodes import Use
from ein.compiler.passes.maps import Alone, Map, factor
from ein.compiler.passes.rewritten import Rewritten, in_turn
from ein.compiler.weights import Folded, Moved
from ein.grammar.types import merge


def fold_scales(graph: OpGraph) -> Rewritten:
    """A number times what a linear map or convolution gives, or times what it is given.

        x -> linear(d) -> scale(2) -> y           x -> scale(2) -> linear(d) -> y
        -->
        x -> linear(d) -> y

    Keeps: every other node. Needs: the first of the two is read by the second alone; weights that no other node has.
    Exact: equal outputs for the weights as they are folded, up to rounding. But training them goes another way, since
    a weight that is twice as large needs steps that are four times as long: never by itself.
    """
    return in_turn(_fold_one, graph)


def _fold_one(graph: OpGraph) -> Rewritten:
    alone = Alone.of(graph)
    for number, node in graph.uses():
        times = factor(node)
        if times is None or merge((node.inputs[0], node.outputs[0])) is None:
            continue
        before = alone.read_once(graph, graph.sources(number)[0])
        if before is not None:
            return _taken_out(graph, number, before, times, ["weight", *["bias"] * before.has_bias])
        behind = next(_behind(alone, graph, number), None)
        if behind is not None:
            return _taken_out(graph, number, behind, times, ["weight"])
    return Rewritten(graph)


def _behind(alone: Alone, graph: OpGraph, number: int) -> Iterator[Map]:
    targets = graph.targets(number)
    for port in (target for _, target in targets if len(targets) == 1):
        node = graph.node(port.node)
        found = alone.map_at(graph, port) if isinstance(node, Use) and len(node.outputs) == 1 else None
        if found is not None:
            yield found


def _taken_out(graph: OpGraph, number: int, by: Map, times: float, names: list[str]) -> Rewritten:
    entries = [by.entry(name) for name in names]
    moves: dict[str, Moved | Folded] = {entry.name: Folded("scaled", (entry,), entry.sizes, times) for entry in entries}
    draft = graph.draft()
    draft.bypass(number, draft.sources(number))
    return Rewritten(draft.done(), (moves,))
