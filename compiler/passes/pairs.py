"""Rearrangements on both sides of what computes element by element."""

from __future__ import annotations

from itertools import count

from ein.compiler import standard
from ein.compiler.graph import OpGraph, Port
from ein.compiler.nodes import Use
from ein.compiler.passes import views
from ein.compiler.passes.dataflow import replayed
from ein.compiler.passes.layouts import declared, layout
from ein.compiler.passes.rearrange import rearranging, row
from ein.compiler.passes.rewritten import Rewritten, in_turn
from ein.grammar.bodies.tensors import Step
from ein.grammar.cfg import Applied
from ein.grammar.numbers import Inapplicable
from ein.grammar.types import Tensor, leaves


def join_pairs(graph: OpGraph) -> Rewritten:
    """What is computed element by element does not mind how its elements are laid out.

        x -> permute(p) -> relu -> scale(2) -> permute(q) -> y
        -->
        x -> relu -> scale(2) -> permute(p then q) -> y         (or no permutation, where they undo each other)

    Keeps: every other node. Needs: no wires between them; each of them is read by the next one alone; operators that
    take the other layout and do the same there; nothing random, whose draws would fall on other elements. The one
    rearrangement has no more steps than the two.
    Exact: the same function of each element.
    """
    return in_turn(_join_one, graph)


def _join_one(graph: OpGraph) -> Rewritten:
    for number, node in graph.having(row):
        last = rearranging(node)
        between = _between(graph, number) if last is not None else []
        if last is None or not between:
            continue
        first = graph.node(graph.sources(between[0])[0].node)
        steps = rearranging(first) if isinstance(first, Use) else None
        if steps is not None:
            found = _joined(graph, number, between, [*steps, *last])
            if found is not None:
                return found
    return Rewritten(graph)


def _between(graph: OpGraph, number: int) -> list[int]:
    """The operators before a node that compute element by element, first one first; all are read once, and so is what
    the first of them reads."""
    found: list[int] = []
    at = graph.sources(number)[0].node
    while len(graph.targets(at)) == 1 and _is_elementwise(graph.node(at)):
        found.insert(0, at)
        at = graph.sources(at)[0].node
    return found if found and len(graph.targets(at)) == 1 else []


_FUNCTIONS = frozenset("F.leaky_relu F.elu F.celu F.hardtanh F.gelu F.selu F.mish F.hardswish F.hardsigmoid".split())


def _is_elementwise(node: object) -> bool:
    """Of one tensor and of numbers."""
    if not isinstance(node, Use) or len(node.inputs) != 1 or len(node.outputs) != 1:
        return False
    return all(
        step.op in ("input", "number", "pointwise") or (step.op == "function" and step.name in _FUNCTIONS)
        for step in node.applied.body.steps
    )


def _joined(graph: OpGraph, number: int, between: list[int], steps: list[Step]) -> Rewritten | None:
    source = graph.sources(graph.sources(between[0])[0].node)[0]
    draft, port, given = graph.draft(), source, graph.type(source)
    for at in between:
        moved = _moved(graph.node(at), given)
        if moved is None:
            return None
        port, given = Port(draft.add(moved, [port]), 0), moved.outputs[0]
    node = graph.node(number)
    assert isinstance(node, Use)
    view = replayed(steps, views.whole("given", given.sizes))
    found = None if view is None else layout(view, given.sizes, (f"a{at}" for at in count()))
    if found is None:
        return None
    if found.is_plain and given.kind == node.outputs[0].kind:
        draft.bypass(number, [port])
    else:
        text = declared("rearranged", [("x", given)], node.outputs[0], found.of("x"))
        if text is None:
            return None
        application = standard.written(text)
        applied = application.at(given)
        if len(applied.body.steps) > len(steps) + 1:
            return None
        draft.replace(number, Use(application, applied, node.key, node.span, node.path), [port])
    draft.remove_unused()
    return Rewritten(draft.done())


def _moved(node: object, given: Tensor) -> Use | None:
    """The same operator on another type, if it does the same there."""
    assert isinstance(node, Use)
    try:
        applied = node.application.at(given)
    except Inapplicable:
        return None
    (output,) = leaves(applied.output)
    if (
        _said(node.applied) != _said(applied)
        or output.sizes != given.sizes
        or node.inputs[0].sizes != node.outputs[0].sizes
    ):
        return None
    return Use(node.application, applied, node.key, node.span, node.path)


def _said(applied: Applied) -> list[tuple[object, ...]]:
    return [(step.op, step.name, step.inputs, step.arguments) for step in applied.body.steps]
