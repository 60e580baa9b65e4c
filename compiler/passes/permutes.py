"""Permutations: several in a row become one, or none."""

from __future__ import annotations

from typing import TypeAlias

from ein.compiler import standard
from ein.compiler.graph import Draft, OpGraph, Port
from ein.compiler.memo import per_body
from ein.compiler.nodes import Use
from ein.compiler.passes.rewritten import Rewritten
from ein.grammar.bodies.tensors import Body
from ein.grammar.cfg import Application
from ein.grammar.numbers import Inapplicable, Order
from ein.grammar.types import merge

Axes: TypeAlias = tuple[int, ...]
"""For each axis of a result, from 0 and without the batch, the axis of the input that it was."""


def fuse_permutes(graph: OpGraph) -> Rewritten:
    """Operators that only put axes in another order, whatever they are called.

        x -> permute(p) -> permute(q) -> y
        -->
        x -> permute(p then q) -> y             (or x -> y, where they undo each other)

    Keeps: every other node; the first permutation too, where something else reads it.
    Needs: no wires between the two. A change of kind that `permute` cannot make stays as it is.
    Exact: a permutation moves elements and computes nothing.
    """
    found = {number: axes for number, node in graph.having(_permutes) if (axes := permutation(node)) is not None}
    if not any(graph.sources(number)[0].node in found for number in found):
        return Rewritten(graph)
    draft, changed = graph.draft(), False
    for number, axes in found.items():
        source = draft.sources(number)[0].node
        if source in found:
            both = composed(found[source], axes)
            if _put(draft, number, draft.sources(source)[0], both):
                found[number], changed = both, True
    if not changed:
        return Rewritten(graph)
    draft.remove_unused()
    return Rewritten(draft.done())


def permutation(node: Use) -> Axes | None:
    """The order that an operator puts the axes of its input in, if it does nothing else."""
    return _order(node.applied.body)


def _permutes(body: Body) -> bool:
    return _order(body) is not None


@per_body
def _order(body: Body) -> Axes | None:
    if len(body.results) != 1 or [step.op for step in body.steps] != ["input", "permute"]:
        return None
    order: Axes = body.steps[body.results[0]].argument("order")
    return order


def composed(first: Axes, second: Axes) -> Axes:
    """The one permutation that does what two do in a row."""
    return tuple(first[axis] for axis in second)


def ordering(axes: Axes) -> Application:
    """The use of `permute` that puts axes in this order."""
    return standard.application("permute", ("order", Order(axis + 1 for axis in axes)))


def _put(draft: Draft, number: int, source: Port, axes: Axes) -> bool:
    """Makes the node one permutation of `source`, or takes it out; False where its kind forbids both."""
    node = draft.node(number)
    given = draft.node(source.node).outputs[source.port]
    assert isinstance(node, Use)
    if axes == tuple(range(len(axes))):
        if given.kind == node.outputs[0].kind:
            draft.bypass(number, [source])
            return True
        return False
    application = ordering(axes)
    try:
        applied = application.at(given)
    except Inapplicable:
        return False
    if merge((applied.output, node.outputs[0])) is None:
        return False
    draft.replace(number, Use(application, applied, node.key, node.span, node.path), [source])
    return True
