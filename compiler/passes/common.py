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
    numbers: dict[int, int] = {}
    instead: dict[Port, Port] = {}
    for number, node in graph.uses():
        sources = tuple(instead.get(source, source) for source in graph.sources(number))
        body = node.applied.body
        meaning = numbers.get(id(body))
        if meaning is None:
            meaning = numbers[id(body)] = meanings.setdefault(_meaning(body), len(meanings))
        kinds = tuple((type.kind, type.element) for type in node.outputs)
        first = known.setdefault((sources, meaning, kinds, _weights(node)), number)
        if first != number and _is_steady(body):
            instead |= {Port(number, at): Port(first, at) for at in range(len(node.outputs))}
    return Rewritten(graph) if not instead else redirected(graph, instead)


def _weights(node: Use) -> str | None:
    """The key of what it keeps."""
    return node.key if node.weights else None


def _meaning(body: Body) -> Hashable:
    """What a body computes, whatever its file calls it."""
    steps = tuple((step.op, step.inputs, step.sizes, step.name, step.arguments, step.element) for step in body.steps)
    return steps, body.results


@per_body
def _is_steady(body: Body) -> bool:
    """Whether the same input always gives the same, and nothing is kept of it."""
    return not any(
        step.op in ("host", "dropout") or (step.op == "layer" and step.name.startswith("nn.BatchNorm"))
        for step in all_steps(body)
    )
