"""Attention: what a term spells as two products with a softmax between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ein.compiler import standard
from ein.compiler.graph import Draft, OpGraph, Port
from ein.compiler.nodes import Use
from ein.compiler.passes.permutes import Axes, composed, permutation
from ein.compiler.passes.rewritten import Rewritten
from ein.grammar.cfg import Application, Applied
from ein.grammar.numbers import Inapplicable, Order
from ein.grammar.tensors import Step
from ein.grammar.types import Tensor, bundle, merge


def fuse_attention(graph: OpGraph) -> Rewritten:
    """The product of queries and keys, softmax along the keys, and the product with the values.

        q -------------\\
        k -> permute -> matmul -> softmax -\\
        v ----------------------------------> matmul -> y
        -->
        q, k, v -> attention(scale = 1) -> y            (`scaled_matmul` of d features first: scale = d ** -0.5)

    Keeps: every other node; the permutation too, where something else reads it. Keys that are read as they are
    written, with the features first, get a permutation; one that the graph has already is not applied twice.
    Needs: no wires between the three; the scores and their softmax are each read by the next one alone; all of one
    kind; the last product is not scaled.
    Exact: the same sums. `scaled_dot_product_attention` takes them in another order, so results agree to rounding.

    The three are known by what their bodies do, not by their names.
    """
    found = list(_matches(graph))
    if not found:
        return Rewritten(graph, {})
    draft = graph.draft()
    taken: set[int] = set()
    for match in found:
        if match.scores not in taken:  # the result of one attention may be the scores of the next one
            _rewrite(draft, match)
            taken.add(match.last)
    if not taken:
        return Rewritten(graph, {})
    draft.remove_unused()
    return Rewritten(draft.done(), {})


@dataclass(frozen=True, slots=True)
class _Side:
    """An operand: where it comes from, and whether its last two axes stand the other way round."""

    port: Port
    turned: bool


@dataclass(frozen=True, slots=True)
class _Product:
    """`first[*a, i, m]` times `second[*a, m, j]`, times `scale`."""

    first: _Side
    second: _Side
    scale: float


@dataclass(frozen=True, slots=True)
class _Match:
    """An attention to stand at the node `last`, whose scores are those of the node `scores`."""

    last: int
    scores: int
    sides: tuple[_Side, _Side, _Side]
    scale: float
    applied: Applied
    application: Application


def _matches(graph: OpGraph) -> Iterator[_Match]:
    for number, node in graph.uses():
        match = _match(graph, number, node)
        if match is not None:
            yield match


def _match(graph: OpGraph, number: int, node: Use) -> _Match | None:
    """The attention that ends at a node, if one does."""
    outer = _product(graph, number, node)
    if outer is None or outer.scale != 1 or outer.first.turned:
        return None
    softmax = outer.first.port.node
    if not _is_softmax(graph, softmax) or len(graph.targets(softmax)) > 1:
        return None
    scores = graph.sources(softmax)[0].node
    product = graph.node(scores)
    if not isinstance(product, Use) or len(graph.targets(scores)) > 1:
        return None
    inner = _product(graph, scores, product)
    if inner is None:
        return None
    keys = _Side(inner.second.port, not inner.second.turned)
    sides = (inner.first, keys, outer.second)
    application = standard.application("attention", ("scale", inner.scale))
    try:
        applied = application.at(bundle([_type(graph, side) for side in sides]))
    except Inapplicable:
        return None
    if merge((applied.output, node.outputs[0])) is None:
        return None
    return _Match(number, scores, sides, inner.scale, applied, application)
