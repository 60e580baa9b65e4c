"""Common subexpressions: what is computed twice from the same is computed once."""

from __future__ import annotations

from collections.abc import Hashable

from ein.compiler.graph import OpGraph, Port
from ein.compiler.memo import per_body
from ein.compiler.nodes import Use
from ein.compiler.passes.detours import redirected
from ein.compiler.passes.rewritten import Rewritten
from ein.grammar.bodies.tensors import Body, all_steps


def share_common(graph: OpGraph) -> Rewritten:
    """Operators that do the same to the same.

        x -> (softmax -> f, softmax -> g) -> add -> y
        -->
        x -> softmax -> (f, g) -> add -> y

    Keeps: the first of them. Needs: equal bodies and kinds, equal sources once their own are shared, and no weights
    of their own but the same ones (`tied`). What draws, what a host program computes and what keeps count while it
    trains (batch norms, which would see a batch once instead of twice) stays.
    Exact: the same operations on the same weights; derivatives are sums of the same terms.
    """
    known: dict[Hashable, int] = {}
    meanings: dict[Hashable, int] = {}
    numbers: dict[int, tuple[int, bool]] = {}
    instead: dict[Port, Port] = {}
    for number, node in graph.uses():
        applied, sources = node.applied, graph.sources(number)
        if not instead.keys().isdisjoint(sources):
            sources = tuple([instead.get(source, source) for source in sources])
        found = numbers.get(id(applied))
        if found is None:
            meaning = meanings.setdefault(_meaning(node), len(meanings))
            found = numbers[id(applied)] = meaning, _keeps(node)
        meaning, keeps = found
        first = known.setdefault((meaning, sources, node.key if keeps else None), number)
        if first != number and _is_steady(applied.body):
            instead |= {Port(number, at): Port(first, at) for at in range(len(node.outputs))}
    return Rewritten(graph) if not instead else redirected(graph, instead)


def _keeps(node: Use) -> bool:
    """Whether it has weights, or anything else under its key."""
    return bool(node.weights)


def _meaning(node: Use) -> Hashable:
    """What a use computes, whatever its file calls it."""
    kinds = tuple((type.kind, type.element) for type in node.outputs)
    return kinds, _said(node.applied.body)


@per_body
def _said(body: Body) -> Hashable:
    steps = tuple((step.op, step.inputs, step.sizes, step.name, step.arguments, step.element) for step in body.steps)
    return steps, body.results


@per_body
def _is_steady(body: Body) -> bool:
    """Whether the same input always gives the same, and nothing is kept of it."""
    return not any(
        step.op in ("host", "dropout") or (step.op == "layer" and step.name.startswith("nn.BatchNorm"))
        for step in all_steps(body)
    )
