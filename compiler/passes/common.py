"""Common subexpressions: what is computed twice from the same is computed once."""

from __future__ import annotations

from collections.abc import Hashable

from ein.compiler.graph import OpGraph, Port
from ein.compiler.nodes import Use
from ein.compiler.passes.detours import redirected
from ein.compiler.passes.rewritten import Rewritten
from ein.grammar.bodies.tensors import all_steps


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
    instead: dict[Port, Port] = {}
    for number, node in graph.uses():
        sources = tuple(instead.get(source, source) for source in graph.sources(number))
        first = known.setdefault((sources, *_meaning(node)), number)
        if first != number and _is_steady(node):
            instead |= {Port(number, at): Port(first, at) for at in range(len(node.outputs))}
    return Rewritten(graph) if not instead else redirected(graph, instead)


def _meaning(node: Use) -> tuple[Hashable, ...]:
    """Equal for operators that do the same with the same weights, whatever they are called."""
    body = node.applied.body
    kinds = tuple((type.kind, type.element) for type in node.outputs)
    steps = tuple((step.op, step.inputs, step.sizes, step.name, step.arguments, step.element) for step in body.steps)
    return steps, body.results, kinds, node.key if node.weights else None


def _is_steady(node: Use) -> bool:
    """Whether the same input always gives the same, and nothing is kept of it."""
    return not any(
        step.op in ("host", "dropout") or (step.op == "layer" and step.name.startswith("nn.BatchNorm"))
        for step in all_steps(node.applied.body)
    )
