"""Activations that have nothing left to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from ein.compiler.graph import OpGraph, Port
from ein.compiler.memo import per_body
from ein.compiler.nodes import Use
from ein.compiler.passes.detours import redirected
from ein.compiler.passes.rewritten import Rewritten
from ein.compiler.passes.traced import LOOKING
from ein.grammar.bodies.tensors import Body, Step
from ein.grammar.types import merge

Doing: TypeAlias = tuple[tuple[Any, ...], ...]


def remove_idle_activations(graph: OpGraph) -> Rewritten:
    """What an activation does is done already.

        x -> relu -> relu -> y          x -> relu6 -> max_pool -> relu -> y          x -> floor -> floor -> y
        -->
        x -> relu -> y                  x -> relu6 -> max_pool -> y                  x -> floor -> y

    Keeps: every other node; the first of two, whoever reads it. Needs: equal kinds; for `relu` that no number before
    it is below 0, as sums, means, maxima and rearrangements of what is not below 0 are; for the others the same
    function with the same numbers.
    Exact: it leaves numbers as they are, NaN too. So do the derivatives: where `relu` would stop them, at a 0, what
    made the 0 stops them.
    """
    if not graph.has(_may_be_idle):
        return Rewritten(graph)
    above: set[Port] = set()
    known: dict[tuple[int, tuple[bool, ...]], list[bool]] = {}
    instead: dict[Port, Port] = {}
    for number, node in graph.having(_matters):
        body, given = node.applied.body, graph.sources(number)
        if _may_be_idle(body):
            source = instead.get(given[0], given[0])
            if _is_idle(graph, node, source, given[0] in above):
                instead[Port(number, 0)] = source
        signs = tuple([port in above for port in given])
        made = known.get((id(body), signs))
        if made is None:
            made = known[id(body), signs] = _not_below(body, signs)
        above.update([Port(number, at) for at, sign in enumerate(made) if sign])
    return Rewritten(graph) if not instead else redirected(graph, instead)


_IDEMPOTENT = frozenset(("relu", "abs", "sign", "floor", "ceil", "round", "clamp"))


@per_body
def _may_be_idle(body: Body) -> bool:
    return _doing(body) is not None and body.steps[-1].name in _IDEMPOTENT


@per_body
def _doing(body: Body) -> Doing | None:
    """What an operator of one tensor and of numbers does element by element, if it is one function."""
    steps = body.steps
    if body.results != (len(steps) - 1,) or steps[-1].op != "pointwise":
        return None
    if steps[0].op != "input" or any(step.op != "number" for step in steps[1:-1]):
        return None
    if steps[-1].inputs != tuple(range(len(steps) - 1)):
        return None
    return tuple((step.op, step.name, step.arguments) for step in steps)


def _is_idle(graph: OpGraph, node: Use, source: Port, above: bool) -> bool:
    before = graph.node(source.node)
    again = isinstance(before, Use) and _doing(before.applied.body) == _doing(node.applied.body)
    done = again or (above and node.applied.body.steps[-1].name == "relu")
    return done and merge((graph.type(source), node.outputs[0])) is not None


# --- what is not below 0


@per_body
def _matters(body: Body) -> bool:
    """Whether it may be idle, or may give numbers that are not below 0: where it is given no others."""
    inputs = [step.argument("which") for step in body.steps if step.op == "input"]
    return _may_be_idle(body) or any(_not_below(body, [True] * (max(inputs, default=0) + 1)))


def _not_below(body: Body, given: Sequence[bool]) -> list[bool]:
    """For each result whether no number of it is below 0; if so, then also where fewer inputs are."""
    signs: list[bool] = []
    for step in body.steps:
        operands = [signs[source] for source in step.inputs]
        signs.append(given[step.argument("which")] if step.op == "input" else _sign(step, operands, body.steps))
    return [signs[result] for result in body.results]


_ABOVE = frozenset(("relu", "abs", "sigmoid", "exp"))
_POOLS = frozenset(
    "F.max_pool1d F.max_pool2d F.avg_pool1d F.avg_pool2d F.adaptive_avg_pool1d F.adaptive_avg_pool2d F.unfold".split()
)


def _sign(step: Step, operands: Sequence[bool], steps: Sequence[Step]) -> bool:
    match step.op:
        case "number":
            return bool(step.argument("value") >= 0)
        case "pointwise" if step.name in _ABOVE:
            return True
        case "pointwise" if step.name == "clamp":
            low = steps[step.inputs[1]]
            return low.op == "number" and low.argument("value") >= 0
        case "along":
            return step.name == "softmax"
        case "pointwise":
            return step.name in ("+", "*") and all(operands)
        case "reduce":
            return step.name in ("sum", "mean", "max", "min") and all(operands)
        case "function":
            return step.name in _POOLS and all(operands)
        case "concat" | "stack":
            return all(operands)
        case _:
            return step.op in LOOKING and all(operands)
