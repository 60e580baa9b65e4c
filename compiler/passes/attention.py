"""Attention: what a term spells as two products with a softmax between them."""

from __future__ import annotations

from dataclasses import dataclass

from ein.compiler import standard
from ein.compiler.graph import Draft, OpGraph, Port
from ein.compiler.nodes import Use
from ein.compiler.passes.permutes import Axes, composed, ordering, permutation
from ein.compiler.passes.rewritten import Rewritten
from ein.grammar.bodies.tensors import Step
from ein.grammar.cfg import Application, Applied
from ein.grammar.numbers import Inapplicable
from ein.grammar.types import Tensor, bundle, leaves, merge


def fuse_attention(graph: OpGraph) -> Rewritten:
    """Queries times keys, softmax along the keys, times values.

        k -> permute -\\
        q -----------> matmul -> softmax -> matmul -> y
        v --------------------------------/
        -->
        q, k, v -> attention -> y

    Keeps: every other node; the permutation too, where something else reads it. Keys that nothing permutes get a
    permutation: `matmul` reads them with the features first, attention reads them with the features last.
    Needs: no wires between the three; the first two each read by the next one alone; no scale after the softmax.
    The scale before it, 1 for `matmul` and d ** -0.5 for `scaled_matmul` of d features, goes to the attention.
    Exact: the same sums and the same softmax; torch may add in another order.

    The three are known by what their bodies do, not by their names.
    """
    found = [match for number, node in graph.uses() if (match := _match(graph, number, node)) is not None]
    if not found:
        return Rewritten(graph)
    draft = graph.draft()
    fused: set[int] = set()
    for match in found:
        if match.scores not in fused:  # what one attention gives may be the scores of another
            _put(draft, match)
            fused.add(match.last)
    draft.remove_unused()
    return Rewritten(draft.done())


@dataclass(frozen=True, slots=True)
class _Operand:
    """A tensor of a product; `turned`: its last two axes stand the other way round than the product has them."""

    port: Port
    turned: bool


@dataclass(frozen=True, slots=True)
class _Product:
    """`left[*a, i, m]` times `right[*a, m, j]`, times `scale`."""

    left: _Operand
    right: _Operand
    scale: float


@dataclass(frozen=True, slots=True)
class _Permuted:
    """The tensor that an operator makes of `port`, or `port` itself."""

    port: Port
    type: Tensor
    use: tuple[Application, Applied] | None = None


@dataclass(frozen=True, slots=True)
class _Match:
    """An attention that is to stand at `last`; `scores` is the node of the first product."""

    last: int
    scores: int
    application: Application
    applied: Applied
    operands: tuple[_Permuted, ...]


def _match(graph: OpGraph, number: int, node: Use) -> _Match | None:
    """The attention that ends at a node, if one does."""
    outer = _product(graph, number, node)
    if outer is None or outer.scale != 1 or outer.left.turned:
        return None
    softmax = outer.left.port.node
    if not _is_softmax(graph, softmax) or len(graph.targets(softmax)) > 1:
        return None
    scores = graph.sources(softmax)[0].node
    inner = _product(graph, scores, graph.node(scores))
    if inner is None or len(graph.targets(scores)) > 1:
        return None
    keys = _Operand(inner.right.port, not inner.right.turned)
    application = standard.application("attention", ("scale", inner.scale))
    try:
        operands = tuple(_straight(graph, each) for each in (inner.left, keys, outer.right))
        applied = application.at(bundle(each.type for each in operands))
    except Inapplicable:
        return None
    if merge((applied.output, node.outputs[0])) is None:
        return None
    return _Match(number, scores, application, applied, operands)


def _straight(graph: OpGraph, operand: _Operand) -> _Permuted:
    """The operand with its last two axes in order; a permutation that made it is taken into account."""
    port, type = operand.port, graph.type(operand.port)
    if not operand.turned:
        return _Permuted(port, type)
    rank = len(type.sizes)
    axes: Axes = (*range(rank - 2), rank - 1, rank - 2)
    node = graph.node(port.node)
    before = permutation(node) if isinstance(node, Use) else None
    if before is not None:
        axes = composed(before, axes)
        port = graph.sources(port.node)[0]
        type = graph.type(port)
    if axes == tuple(range(rank)):
        return _Permuted(port, type)
    application = ordering(axes)
    applied = application.at(type)
    return _Permuted(port, next(leaves(applied.output)), (application, applied))


def _put(draft: Draft, match: _Match) -> None:
    old = draft.node(match.last)
    assert isinstance(old, Use)
    sources = []
    for each in match.operands:
        if each.use is None:
            sources.append(each.port)
        else:
            permuting = Use(*each.use, old.key, old.span, old.path)
            sources.append(Port(draft.add(permuting, [each.port]), 0))
    draft.replace(match.last, Use(match.application, match.applied, old.key, old.span, old.path), sources)


# --- what a node does, by its body


def _product(graph: OpGraph, number: int, node: object) -> _Product | None:
    """The product of matrices that a node computes, each pair of a run of leading axes on its own."""
    if not isinstance(node, Use) or len(node.applied.body.results) != 1:
        return None
    steps = node.applied.body.steps
    inputs = sum(step.op == "input" for step in steps)
    scale = _scale(steps, inputs, node.applied.body.results[0])
    if scale is None or any(source >= inputs for source in steps[inputs].inputs):
        return None
    ports = [graph.sources(number)[steps[source].argument("which")] for source in steps[inputs].inputs]
    roles = _roles(*steps[inputs].argument("letters"))
    if roles is None:
        return None
    (left, left_turned), (right, right_turned) = roles
    return _Product(_Operand(ports[left], left_turned), _Operand(ports[right], right_turned), scale)


def _scale(steps: tuple[Step, ...], at: int, result: int) -> float | None:
    """What the einsum at `at` is multiplied by to give the result; None if that is not all that happens."""
    rest = [step.op for step in steps[at:]]
    if rest == ["einsum"] and result == at:
        return 1
    if rest != ["einsum", "number", "pointwise"] or result != at + 2:
        return None
    number, last = float(steps[at + 1].argument("value")), steps[at + 2]
    if last.name == "*" and set(last.inputs) == {at, at + 1}:
        return number
    return 1 / number if last.name == "/" and last.inputs == (at, at + 1) and number else None


def _roles(terms: tuple[str, ...], result: str) -> tuple[tuple[int, bool], tuple[int, bool]] | None:
    """Which operand is left and which right, each with whether it is turned; None if this is no product of two."""
    if len(terms) != 2 or len(result) < 2 or any(len(t) != len(result) or t[:-2] != result[:-2] for t in terms):
        return None
    last = [term[-2:] for term in terms]
    shared = set(last[0]) & set(last[1])
    if len(shared) != 1:
        return None
    m = shared.pop()
    free = [pair.replace(m, "") for pair in last]
    for left, right in ((0, 1), (1, 0)):
        if result[-2:] == free[left] + free[right]:
            return (left, last[left][0] == m), (right, last[right][1] == m)
    return None


def _is_softmax(graph: OpGraph, number: int) -> bool:
    """Along the last axis."""
    node = graph.node(number)
    if not isinstance(node, Use) or [step.op for step in node.applied.body.steps] != ["input", "along"]:
        return False
    step = node.applied.body.steps[1]
    return step.name == "softmax" and step.argument("axis") == len(step.sizes) - 1 and node.applied.body.results == (1,)
