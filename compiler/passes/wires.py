"""Wires: operators that compute nothing are taken out."""

from __future__ import annotations

from ein.compiler.graph import OpGraph
from ein.compiler.memo import per_body
from ein.compiler.nodes import Use
from ein.compiler.passes.rewritten import Rewritten
from ein.grammar.bodies.tensors import Body


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
    removable = [(number, node) for number, node in graph.having(_route) if _keeps_kinds(node)]
    if not removable:
        return Rewritten(graph)
    draft = graph.draft()
    for number, node in removable:
        sources = draft.sources(number)
        draft.bypass(number, [sources[at] for at in _route(node.applied.body)])
    draft.remove_unused()
    return Rewritten(draft.done())


@per_body
def _route(body: Body) -> tuple[int, ...]:
    """For each result, the input that it is; none where one is computed."""
    given = [body.steps[result] for result in body.results]
    return tuple(step.argument("which") for step in given) if all(step.op == "input" for step in given) else ()


def _keeps_kinds(node: Use) -> bool:
    pairs = zip(_route(node.applied.body), node.outputs, strict=True)
    return all(node.inputs[at].kind == output.kind for at, output in pairs)
