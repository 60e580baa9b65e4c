"""Tensors that are there already: what a chain of rearrangements brings back to what it was."""

from __future__ import annotations

from collections.abc import Mapping

from ein.compiler.graph import OpGraph, Port
from ein.compiler.memo import per_body
from ein.compiler.passes import traced
from ein.compiler.passes.rewritten import Rewritten
from ein.compiler.passes.views import View
from ein.grammar.bodies.tensors import Body


def remove_detours(graph: OpGraph) -> Rewritten:
    """What has the elements of a tensor before it, in their order, is that tensor.

        x -> split(2, 1) -> concat(1) -> y          x, z -> concat(2) -> split(2, 2) -> y, w
        x -> flatten -> col2im -> y                 x -> upsample(1) -> permute((1, 2, 3)) -> y
        -->
        x -> y                                      x -> y, z -> w

    Keeps: what the network still reads of the operators between, split and concat too where only some parts cancel.
    Needs: equal kinds, sizes and element types. Pools and windows count where each window holds one entry; bilinear
    upsampling by 1 does not, since it also adds 0 times a neighbour.
    Exact: no number is computed, and no number is another one.
    """
    if not graph.has(_looks):
        return Rewritten(graph)
    known: dict[tuple[View, str, str], Port] = {}
    instead: dict[Port, Port] = {}
    for port, view in traced.repeats(graph).items():
        type = graph.type(port)
        first = known.setdefault((view, type.kind, type.element), port)
        if first != port:
            instead[port] = first
    return Rewritten(graph) if not instead else redirected(graph, instead)


def redirected(graph: OpGraph, instead: Mapping[Port, Port]) -> Rewritten:
    """The graph with every reader of a port reading another one, without what nobody reads then."""
    draft, changed = graph.draft(), False
    for number, node in graph.nodes():
        sources = graph.sources(number)
        if not instead.keys().isdisjoint(sources):
            draft.replace(number, node, [instead.get(source, source) for source in sources])
            changed = True
    if not changed:
        return Rewritten(graph)
    draft.remove_unused()
    return Rewritten(draft.done())


@per_body
def _looks(body: Body) -> bool:
    """Whether a result may be a view of what the body is given."""
    return any(body.steps[result].op in _LAST for result in body.results)


_LAST = frozenset((*traced.LOOKING, "concat", "stack", "function"))
