"""Linear maps in a row."""

from __future__ import annotations

from ein.compiler.graph import OpGraph, Port
from ein.compiler.passes.maps import Alone, Map
from ein.compiler.passes.rewritten import Rewritten, in_turn
from ein.compiler.weights import Folded, Moved


def merge_linears(graph: OpGraph) -> Rewritten:
    """Two linear maps in a row are one.

        x -> linear(a) -> linear(b) -> y
        -->
        x -> linear(b) -> y

    Keeps: every other node. Needs: the first is read by the second alone; weights that no other node has; no more
    multiplications than before: a narrow middle stays.
    Exact: equal outputs for the weights as they are folded, up to rounding. Training goes another way: never by itself.
    """
    return in_turn(_merge_one, graph)


def _merge_one(graph: OpGraph) -> Rewritten:
    alone = Alone.of(graph)
    for number, _ in graph.uses():
        outer = _outer(alone, graph, number)
        inner = None if outer is None else alone.read_once(graph, graph.sources(number)[0])
        if outer is not None and inner is not None and inner.layer.name == "nn.Linear" and _pays(inner, outer):
            return _merged(graph, inner, outer)
    return Rewritten(graph)


def _outer(alone: Alone, graph: OpGraph, number: int) -> Map | None:
    found = alone.map_at(graph, Port(number, 0))
    return found if found is not None and found.layer.name == "nn.Linear" else None


def _pays(inner: Map, outer: Map) -> bool:
    given, middle = inner.layer.argument("in_features"), inner.layer.argument("out_features")
    made = outer.layer.argument("out_features")
    return bool(given * made <= middle * (given + made))


def _merged(graph: OpGraph, inner: Map, outer: Map) -> Rewritten:
    bias = inner.has_bias or outer.has_bias
    features = inner.layer.argument("in_features")
    new = outer.again(inner.node.inputs[0], outer.node.outputs[0], in_features=features, bias=bias)
    draft = graph.draft()
    draft.replace(outer.number, new, graph.sources(inner.number))
    draft.remove_unused()
    return Rewritten(draft.done(), (_moves(inner, outer, bias),))


def _moves(inner: Map, outer: Map, bias: bool) -> dict[str, Moved | Folded]:
    first, second = inner.entry("weight"), outer.entry("weight")
    sizes = (second.sizes[0], first.sizes[1])
    moves: dict[str, Moved | Folded] = {second.name: Folded("product", (second, first), sizes)}
    name = f"{second.name.removesuffix('weight')}bias"
    own = [outer.entry("bias")] if outer.has_bias else []
    if inner.has_bias:
        moves[name] = Folded("product_bias", (second, inner.entry("bias"), *own), sizes[:1])
    return moves
