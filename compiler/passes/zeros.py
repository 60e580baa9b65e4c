"""Zeros: sums without what is known to be 0."""

from __future__ import annotations

from collections.abc import Sequence

from ein.compiler.graph import Draft, OpGraph, Port
from ein.compiler.memo import names, per_body
from ein.compiler.nodes import Use
from ein.compiler.passes.rewritten import Rewritten
from ein.compiler.passes.traced import LOOKING
from ein.grammar.bodies.tensors import Body, Step
from ein.grammar.numbers import Inapplicable
from ein.grammar.types import Tensor, bundle, merge


def fold_zeros(graph: OpGraph) -> Rewritten:
    """What is added to zeros, and what is made of zeros alone.

        x -> clone(2) -> (zero -> relu, f) -> add -> y
        -->
        x -> f -> y

    Keeps: zeros that something else reads; of several of one type the first one.
    Needs: typed ports. A sum is known by its body, which adds inputs and does nothing else. Known to be 0 are `zeros`,
    their rearrangements, sums, means and maxima, and functions of them that give 0 at 0.
    Exact: x + 0 is x for every x, infinite ones and NaN too; only of the two zeros -0 becomes 0, which is equal to it.
    A product with zeros is left as it is, since infinite numbers and NaN make it NaN; so is all that has weights,
    which may not be finite.
    """
    if not graph.names("zeros"):
        return Rewritten(graph)
    zeros, near = _zeros(graph)
    draft, changed = graph.draft(), False
    first: dict[tuple[str, tuple[int, ...], str], Port] = {}
    for number, node in near:
        if all(Port(number, at) in zeros for at in range(len(node.outputs))):
            made = [
                first.setdefault((t.kind, t.sizes, t.element), Port(number, at)) for at, t in enumerate(node.outputs)
            ]
            if all(port.node != number for port in made):
                draft.bypass(number, made)
                changed = True
            continue
        kept = [source not in zeros for source in graph.sources(number)]
        if not all(kept) and _is_sum(node):
            changed |= _shorten(draft, number, node, kept)
    if not changed:
        return Rewritten(graph)
    draft.remove_unused()
    return Rewritten(draft.done())


def _shorten(draft: Draft, number: int, node: Use, kept: Sequence[bool]) -> bool:
    """The sum of what is kept, in place; False where nothing is to be done."""
    sources = draft.sources(number)
    rest = [source for source, keep in zip(sources, kept, strict=True) if keep]
    if len(rest) == len(sources):
        return False
    types = [_type(draft, source) for source in rest]
    if len(rest) == 1:
        draft.bypass(number, rest)
        return True
    try:
        applied = node.application.at(bundle(types))
    except Inapplicable:
        return False
    shorter = Use(node.application, applied, node.key, node.span, node.path)
    if not _is_sum(shorter) or merge((shorter.outputs[0], node.outputs[0])) is None:
        return False
    draft.replace(number, shorter, rest)
    return True


def _type(draft: Draft, port: Port) -> Tensor:
    return draft.node(port.node).outputs[port.port]


def _is_sum(node: Use) -> bool:
    """Whether it adds its inputs, each once, and they are of the kind of the result."""
    result = node.outputs[0]
    return _adds(node.applied.body) and all(type is result or merge((type, result)) for type in node.inputs)


@per_body
def _adds(body: Body) -> bool:
    inputs = [step for step in body.steps if step.op != "pointwise"]
    sums = [step for step in body.steps if step.op == "pointwise"]
    if len(sums) != len(inputs) - 1 or not sums or any(step.op != "input" for step in inputs):
        return False
    read = [source for step in sums for source in step.inputs]
    once = len(set(read)) == len(read) and all(step.name == "+" for step in sums)
    last = len(body.steps) - 1
    return once and body.results == (last,) and last not in read


# --- what is known to be 0


def _zeros(graph: OpGraph) -> tuple[set[Port], list[tuple[int, Use]]]:
    """The ports that are 0, and the uses that give them or read them."""
    found: set[Port] = set()
    near: list[tuple[int, Use]] = []
    known: dict[tuple[int, tuple[bool, ...]], list[bool]] = {}
    makers = {number for number, _ in graph.having(lambda body: "zeros" in names(body))}
    for number, node in graph.uses():
        sources = graph.sources(number)
        if number not in makers and found.isdisjoint(sources):
            continue
        near.append((number, node))
        body, given = node.applied.body, tuple([source in found for source in sources])
        made = known.get((id(body), given))
        if made is None:
            made = known[id(body), given] = _results(body, given)
        found.update([Port(number, at) for at, zero in enumerate(made) if zero])
    return found, near


def _results(body: Body, given: Sequence[bool]) -> list[bool]:
    """For each result whether it is known to be 0."""
    known: list[bool] = []
    for step in body.steps:
        operands = [known[source] for source in step.inputs]
        known.append(given[step.argument("which")] if step.op == "input" else _is_zero(step, operands))
    return [known[result] for result in body.results]


_AT_ZERO = frozenset(
    "+ - neg abs sign floor ceil round sin tan asin atan sinh tanh erf expm1 log1p relu gelu silu"
    " minimum maximum".split()
)
_FUNCTIONS = frozenset(
    "F.leaky_relu F.elu F.celu F.gelu F.selu F.mish F.hardswish F.unfold F.max_pool1d F.max_pool2d F.avg_pool1d"
    " F.avg_pool2d F.adaptive_avg_pool1d F.adaptive_avg_pool2d F.adaptive_max_pool2d".split()
)


def _is_zero(step: Step, operands: Sequence[bool]) -> bool:
    """All these functions give 0 where all their tensors are 0."""
    if step.op == "zeros":
        return True
    if not operands or not all(operands):
        return False
    match step.op:
        case "pointwise":
            return step.name in _AT_ZERO
        case "reduce":
            return step.name in ("sum", "mean", "max", "min")
        case "function":
            return step.name in _FUNCTIONS
        case _:
            return step.op in LOOKING or step.op in ("concat", "stack", "pad")
