"""What there is to an attention: the steps from its values back to its queries and keys, wherever they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from ein.compiler.graph import Port
from ein.compiler.passes import views
from ein.compiler.passes.dataflow import At, Dataflow, number_of, replayed, scaled
from ein.compiler.passes.views import View
from ein.grammar.bodies.tensors import Step


@dataclass(frozen=True, slots=True)
class Operand:
    """Queries, keys or values as a view of what a node gives."""

    port: Port
    view: View


@dataclass(frozen=True, slots=True)
class Chain:
    """`operands` are queries, keys and values with the axes (*run, i, d), (*run, j, d), (*run, j, e); `sizes` those of
    the result (*run, i, e), and `order` the axes of it that the second product gives. `nodes` hold what is between."""

    operands: tuple[Operand, Operand, Operand]
    scale: float
    causal: bool
    features: int
    sizes: tuple[int, ...]
    order: tuple[int, ...]
    nodes: frozenset[int]


@dataclass(slots=True)
class _Scores:
    """What was met between the softmax and the first product, in place; `axes` names the axes of what is at hand."""

    at: At
    axes: list[str]
    nodes: set[int]
    scale: float = 1
    causal: tuple[str, str] | None = None
    """The axes of the queries and of the keys, by the mask."""


def chain_at(flow: Dataflow, at: At) -> Chain | None:
    """The attention that ends with the product at `at`, if one does."""
    terms, result = flow.step(at).argument("letters")
    operands = flow.operands(at)
    if len(terms) != 2 or any(len(set(term)) != len(term) for term in terms):
        return None
    for which in (0, 1):
        softmax, weights, nodes = _turned(flow, operands[which], terms[which])
        if _is_softmax(flow, softmax):
            assert isinstance(softmax, At)
            values = At(at.node, flow.step(at).inputs[1 - which])
            return _below(flow, softmax, values, (weights, terms[1 - which], result), nodes)
    return None


def _turned(flow: Dataflow, at: At | Port, axes: str) -> tuple[At | Port, str, set[int]]:
    """Past permutations that are read once, with the axes there and the nodes that were passed."""
    nodes: set[int] = set()
    while isinstance(at, At) and flow.step(at).op == "permute" and flow.readers(at) == 1:
        order = flow.step(at).argument("order")
        axes = "".join(axes[order.index(axis)] for axis in range(len(order)))
        nodes.add(at.node)
        (at,) = flow.operands(at)
    return at, axes, nodes


def _is_softmax(flow: Dataflow, at: At | Port) -> bool:
    """Of something that is read once."""
    if isinstance(at, Port) or flow.readers(at) != 1:
        return False
    step = flow.step(at)
    return step.op == "along" and step.name == "softmax" and step.batched


def _below(flow: Dataflow, softmax: At, values: At, terms: tuple[str, str, str], passed: set[int]) -> Chain | None:
    """The chain with this softmax; `terms` are the axes of what it gives, of the values and of the result."""
    weights, given, result = map(list, terms)
    scores = _scores(flow, softmax, weights)
    if scores is None:
        return None
    keys = terms[0][flow.step(softmax).argument("axis")]
    sides = _sides(flow, scores, keys)
    axes = _axes(sides.queries, sides.keys, given, weights, result)
    if axes is None or axes.keys != keys or len(axes.run) > 1:
        return None
    size = dict(zip(sides.queries, flow.step(sides.of_queries).sizes, strict=True))
    size |= dict(zip(given, flow.step(values).sizes, strict=True))
    if scores.causal not in (None, (axes.queries, axes.keys)):
        return None
    if scores.causal is not None and size[axes.queries] != size[axes.keys]:
        return None
    queries = _operand(flow, sides.of_queries, sides.queries, [*axes.run, axes.queries, axes.features], follow=True)
    read = _operand(flow, sides.of_keys, sides.keys, [*axes.run, axes.keys, axes.features], follow=True)
    value = _operand(flow, values, given, [*axes.run, axes.keys, axes.values], follow=False)
    if queries is None or read is None or value is None:
        return None
    last = [*axes.run, axes.queries, axes.values]
    return Chain(
        (queries[0], read[0], value[0]),
        scores.scale * queries[1] * read[1],
        scores.causal is not None,
        size[axes.features],
        tuple(size[axis] for axis in last),
        tuple(last.index(axis) for axis in result),
        frozenset(scores.nodes | passed | {softmax.node}),
    )


@dataclass(frozen=True, slots=True)
class _Sides:
    """The operands of the first product, and the names of their axes."""

    of_queries: At
    queries: list[str]
    of_keys: At
    keys: list[str]


def _sides(flow: Dataflow, scores: _Scores, keys: str) -> _Sides:
    """Keys are what has the axis `keys`."""
    terms, summed = flow.step(scores.at).argument("letters")
    called = dict(zip(summed, scores.axes, strict=True))
    first, second = ([called.get(letter, f"{letter} summed") for letter in term] for term in terms)
    one, other = (At(scores.at.node, source) for source in flow.step(scores.at).inputs)
    return _Sides(other, second, one, first) if keys in first else _Sides(one, first, other, second)


@dataclass(frozen=True, slots=True)
class _Axes:
    """The run of axes that all have, and those of queries, keys, features and values."""

    run: list[str]
    queries: str
    keys: str
    features: str
    values: str


def _axes(q: list[str], k: list[str], v: list[str], weights: list[str], result: list[str]) -> _Axes | None:
    """What the axes of an attention are; None if these are not those of one."""
    all_of_them = (q, k, v, weights, result)
    run = [axis for axis in result if all(axis in axes for axes in all_of_them)]
    rest = [[axis for axis in axes if axis not in run] for axes in all_of_them]
    if any(len(axes) != 2 for axes in rest):
        return None
    found = [{*rest[one]} & {*rest[other]} for one, other in ((0, 3), (1, 3), (0, 1), (2, 4))]
    if any(len(each) != 1 for each in found):
        return None
    (i,), (j,), (d,), (e,) = found
    pairs = ({i, d}, {j, d}, {j, e}, {i, j}, {i, e})
    if any({*axes} != pair for axes, pair in zip(rest, pairs, strict=True)):
        return None
    return _Axes(run, i, j, d, e)


def _operand(flow: Dataflow, at: At, axes: list[str], wanted: list[str], follow: bool) -> tuple[Operand, float] | None:
    """As a view of what a node gives, with `axes` in the order `wanted`, and the number that it is multiplied by;
    `follow` says whether to look for one."""
    scale, steps = 1.0, list[Step]()
    here = at if flow.step(at).op != "input" else flow.resolved(at)
    nearest = flow.port(here)
    while isinstance(here, At):
        step = flow.step(here)
        factor = scaled(flow, here) if follow else None
        if factor is not None:
            scale, here = scale * factor[0], factor[1]
        elif step.op in _VIEWS and not (step.op == "flatten" and flow.readers(here) > 1):
            steps.insert(0, step)
            (here,) = flow.operands(here)
        else:
            break
    order = [axes.index(axis) for axis in wanted]
    port = flow.port(here)
    view = None if port is None else replayed(steps, _whole(flow, port))
    if port is not None and view is not None:
        return Operand(port, views.permuted(view, order)), scale
    return None if nearest is None else (Operand(nearest, views.permuted(_whole(flow, nearest), order)), 1)


def _whole(flow: Dataflow, port: Port) -> View:
    return views.whole(port, flow.graph.type(port).sizes)


_VIEWS = frozenset(("permute", "unflatten", "flatten", "unsqueeze"))


def _scores(flow: Dataflow, softmax: At, axes: list[str]) -> _Scores | None:
    """From the softmax down to the first product; None where something else is met."""
    (source,) = flow.operands(softmax)
    if isinstance(source, Port):
        return None
    met = _Scores(source, axes, set())
    while flow.readers(met.at) == 1:
        step = flow.step(met.at)
        met.nodes.add(met.at.node)
        if step.op == "einsum":
            terms, _ = step.argument("letters")
            whole = len(terms) == 2 and all(len(set(term)) == len(term) for term in terms)
            return met if whole and all(_depends(flow, each) for each in flow.operands(met.at)) else None
        further = _further(flow, met, step)
        if not isinstance(further, At):
            return None
        met.at = further
    return None


def _depends(flow: Dataflow, at: At | Port) -> bool:
    """Whether a value is one for each example."""
    return isinstance(at, Port) or flow.step(at).batched


def _further(flow: Dataflow, met: _Scores, step: Step) -> At | Port | None:
    """What a step between softmax and product is of; takes note of what it does."""
    if step.op == "permute":
        names = dict(zip(step.argument("order"), met.axes, strict=True))
        met.axes = [names[axis] for axis in range(len(names))]
        return flow.operands(met.at)[0]
    factor = scaled(flow, met.at)
    if factor is not None:
        if met.causal is not None and factor[0] <= 0:
            return None
        met.scale *= factor[0]
        return factor[1]
    if step.op == "pointwise" and step.name in ("where", "+") and met.causal is None:
        return _masked(flow, met, step)
    return None


def _masked(flow: Dataflow, met: _Scores, step: Step) -> At | Port | None:
    """What a causal mask is laid on: `where(i >= j, s, -inf)`, or `s + where(i >= j, 0, -inf)`."""
    if met.scale <= 0:
        return None
    operands = flow.operands(met.at)
    if step.name == "where":
        condition, *cases = operands
        numbers = [number_of(flow, case) for case in cases]
        if numbers.count(-inf) != 1 or numbers.count(None) != 1:
            return None
        hidden = numbers.index(-inf)
        met.causal = _order(flow, condition, bool(hidden), met.axes)
        return None if met.causal is None else cases[1 - hidden]
    for mask, scores in (operands, operands[::-1]):
        mask, axes = _straight(flow, mask, met.axes)
        if isinstance(mask, Port) or flow.step(mask).name != "where" or flow.step(mask).batched:
            continue
        condition, *cases = flow.operands(mask)
        numbers = [number_of(flow, case) for case in cases]
        if sorted(map(str, numbers)) == ["-inf", "0.0"]:
            met.causal = _order(flow, condition, numbers[1] == -inf, axes)
            return None if met.causal is None else scores
    return None


def _straight(flow: Dataflow, at: At | Port, axes: Sequence[str]) -> tuple[At | Port, Sequence[str]]:
    """Past a permutation of what does not depend on the input, with the axes there."""
    if isinstance(at, Port) or flow.step(at).op != "permute" or flow.step(at).batched:
        return at, axes
    behind = axes[len(axes) - len(flow.step(at).sizes) :]
    names = dict(zip(flow.step(at).argument("order"), behind, strict=True))
    return flow.operands(at)[0], [names[axis] for axis in range(len(names))]


def _order(flow: Dataflow, at: At | Port, shown: bool, axes: Sequence[str]) -> tuple[str, str] | None:
    """The axes a and b of a condition `range[a] >= range[b]`, which says what is shown or what is hidden."""
    at, axes = _straight(flow, at, axes)
    if isinstance(at, Port):
        return None
    name = flow.step(at).name
    if flow.step(at).op != "pointwise" or name not in ((">=", "<=") if shown else ("<", ">")):
        return None
    sides = [_range(flow, each, axes) for each in flow.operands(at)]
    if name in ("<=", ">"):
        sides.reverse()
    first, second = sides
    return None if first is None or second is None or first == second else (first, second)


def _range(flow: Dataflow, at: At | Port, axes: Sequence[str]) -> str | None:
    """The axis that numbers from 0 stand along; the axes of what they are lined up with are `axes`, from the end."""
    if isinstance(at, Port):
        return None
    step = flow.step(at)
    if step.op == "range" and len(step.sizes) == 1:
        return axes[-1]
    if step.op != "unsqueeze":
        return None
    (of,) = flow.operands(at)
    if isinstance(of, Port) or flow.step(of).op != "range" or len(flow.step(of).sizes) != 1:
        return None
    (place,) = [axis for axis in range(len(step.sizes)) if axis not in step.argument("axes")]
    return axes[place - len(step.sizes)]
