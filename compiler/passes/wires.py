"""Wires: operators that compute nothing are taken out."""

from __future__ import annotations

from ein.compiler.graph import OpGraph
from ein.compiler.nodes import Use
from ein.compiler.passes.rewritten import Rewritten


def remove_wires(graph: OpGraph) -> Rewritten:
    """Identities, clones, and whatever else gives its inputs as they are.

        x -> clone(2) -> (f, identity) -> add -> y
        -->
        x -> f -\\
                 add -> y
        x ------/

    Keeps: every node that computes and that the output depends on; one that a wire has dropped goes.
    Needs: typed ports; an operator that changes the kind of a tensor stays.
    Exact: the same operations on the same weights.
    """
    removable = [(number, node) for number, node in graph.uses() if _routes(node)]
    if not removable:
        return Rewritten(graph)
    draft = graph.draft()
    for number, node in removable:
        sources = draft.sources(number)
        draft.bypass(number, [sources[at] for at in _route(node)])
    draft.remove_unused()
    return Rewritten(draft.done())


def _routes(node: Use) -> bool:
    """Whether every result is one of the inputs, of the same kind."""
    body = node.applied.body
    if any(body.steps[result].op != "input" for result in body.results):
        return False
    pairs = zip(_route(node), node.outputs, strict=True)
    return all(node.inputs[at].kind == output.kind for at, output in pairs)


def _route(node: Use) -> list[int]:
    """For each result, the input that it is."""
    body = node.applied.body
    return [body.steps[result].argument("which") for result in body.results]
