"""Attention, whether torch's function or written with products and a softmax.

Products of two values are remembered as scores (`Scores`), and what is done with them: a scale, the mask of the past,
a softmax, a dropout. A product with what came out of the softmax then is attention.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ein.compiler.way_in.calls import Call, Unsaid
from ein.compiler.way_in.labelling import labelled, place
from ein.compiler.way_in.views import BATCH, Dim, Value, View, Weight, axis, joined, size, split

if TYPE_CHECKING:
    from ein.compiler.way_in.network import Network

FAR = -1e4
"""What is added to scores below this hides them."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """`query · key * scale`, seen as `dims` of the node that has them; axes (…, i, a) and (…, j, a)."""

    query: View
    key: View
    dims: tuple[Dim, ...]
    scale: float = 1
    causal: bool = False
    softmax: bool = False
    p: float = 0


def same_place(scores: Scores, view: View) -> bool:
    """Whether a view sees the scores as they were computed, but for axes of the batch and the heads put together."""
    return _flat(scores.dims) == _flat(view.dims)


def _flat(dims: tuple[Dim, ...]) -> tuple[Any, ...]:
    return (joined(digit for dim in dims[:-2] for digit in dim), *dims[-2:])


def follow(net: Network, call: Call, result: Any) -> None:
    """Remembers what a call did with scores, or that it scaled a value by a number."""
    if not isinstance(result, View) or not isinstance(result.base, Value):
        return
    a = call.arguments
    given = a.get("self", a.get("input"))
    if call.op == "where":
        given = a["self"] if isinstance(a["self"], View) and isinstance(a["self"].base, Value) else a["other"]
    factor = _factor(call)
    if factor is None and call.op == "mul" and isinstance(a["other"], View) and not isinstance(given, View):
        return
    if not isinstance(given, View) or not isinstance(given.base, Value) or given.base.node == result.base.node:
        return
    if factor is not None:
        net.scaled[result.base.node] = (given, factor, result.dims)
    scores = net.scores.get(given.base.node)
    if scores is None or not same_place(scores, given):
        return
    scores = replace(scores, dims=given.dims)
    made = _done(net, call, scores, factor)
    if made is not None:
        net.scores[result.base.node] = replace(made, dims=result.dims)


def _factor(call: Call) -> float | None:
    other = call.arguments.get("other")
    if call.op in ("mul", "div") and isinstance(other, int | float) and other:
        return float(other) if call.op == "mul" else 1 / other
    return None


def _done(net: Network, call: Call, scores: Scores, factor: float | None) -> Scores | None:
    a = call.arguments
    if factor is not None and not scores.softmax:
        return replace(scores, scale=scores.scale * factor)
    if call.op == "softmax" and a["dim"] in (-1, len(scores.dims) - 1) and not scores.softmax:
        return replace(scores, softmax=True)
    if call.op == "dropout" and scores.softmax:
        return replace(scores, p=float(a["p"]))
    if scores.softmax or scores.causal:
        return None
    if call.op == "masked_fill" and _hides(a["value"]) and is_causal(net, a["mask"], kept=False):
        return replace(scores, causal=True)
    if call.op == "where" and _hides(a["other"]) and is_causal(net, a["condition"], kept=True):
        return replace(scores, causal=True)
    if call.op == "add" and isinstance(a["other"], View) and is_causal(net, a["other"], kept=True):
        return replace(scores, causal=True)
    return None


def _hides(value: Any) -> bool:
    return isinstance(value, int | float) and value <= FAR


def is_causal(net: Network, mask: View, kept: bool) -> bool:
    """Whether a constant is the mask of the past. Flags say what is `kept`, or what is not; numbers are added."""
    if not isinstance(mask, View) or not isinstance(mask.base, Weight) or mask.base.trained:
        return False
    value = net.weights[mask.base.name]
    sizes = [n for n in value.shape if n > 1]
    if len(sizes) != 2 or sizes[0] != sizes[1]:
        return False
    value = value.reshape(sizes)
    past = value.new_ones(sizes).bool().tril()
    if value.is_floating_point() and not bool(((value == 0) | (value == 1)).all()):
        return bool((value[past] == 0).all()) and bool((value[~past] <= FAR).all())
    if value.is_floating_point() and kept:
        return False
    return bool((value.bool() == (past if kept else ~past)).all())


def attention(net: Network, scores: Scores, value: View) -> View:
    """`softmax(scores) · value`, by heads. Axes of `value` are (…, j, f)."""
    query, key, scale = scores.query, scores.key, scores.scale
    query, scale = _unscaled(net, query, scale)
    key, scale = _unscaled(net, key, scale)
    if any(isinstance(view.base, Weight) for view in (query, key, value)):
        raise Unsaid("attention in which a weight is the query, the key or the value")
    query, key, value = (_three(view) for view in (query, key, value))
    found = labelled([query, key, value], [["lead", "i", "a"], ["lead", "j", "a"], ["lead", "j", "f"]])
    heads = found.group("lead")
    parts = (("i", "a"), ("j", "a"), ("j", "f"))
    laid = []
    for number, (view, (along, features)) in enumerate(zip((query, key, value), parts, strict=True)):
        digits = {label: digit for digit, label in found.digits[number].items()}
        if any(label not in digits for label in heads) or any(
            found.groups[each] != found.group(each) for each in (along, features)
        ):
            raise Unsaid("attention whose heads share keys and values, or that goes over the batch")
        wanted = (found.group(along), (*heads, *found.group(features)))
        laid.append(net.laid_out(view, tuple(tuple(digits[label] for label in group) for group in wanted)))
    count = 1
    for label in heads:
        count *= label.size
    made = _attend(net, laid, count, scores, scale)
    out = (found.group("i"), (*heads, *found.group("f")))
    lead = joined(
        digit
        for label in found.groups["lead"]
        for digit in (axis(BATCH, net.batch) if label is None else (place(label, out),))
    )
    ends = [joined(place(label, out) for label in found.group(key)) for key in ("i", "f")]
    return _leading(net, View(made, (lead, *ends)), scores.query)


def _unscaled(net: Network, view: View, scale: float) -> tuple[View, float]:
    """What was scaled by a number before it was multiplied."""
    known = net.scaled.get(view.base.node) if isinstance(view.base, Value) else None
    if known is None:
        return view, scale
    before, factor, dims = known
    if dims != before.dims:
        return view, scale
    return View(before.base, view.dims), scale * factor


def _three(view: View) -> View:
    """(…, i, a) with the axes in front put together."""
    return View(view.base, (joined(digit for dim in view.dims[:-2] for digit in dim), *view.dims[-2:]))


def _leading(net: Network, view: View, like: View) -> View:
    lead = split(view.dims[0], [size(dim) for dim in like.dims[:-2]])
    if lead is None:
        raise Unsaid("attention whose heads are cut otherwise afterwards")
    return View(view.base, (*lead, *view.dims[1:]))


def _attend(net: Network, laid: list[Value], heads: int, scores: Scores, scale: float) -> Value:
    width = laid[0].sizes[1] // heads
    usual = abs(scale * width**0.5 - 1) < 1e-6
    if usual and not scores.p:
        return net.use("attend", laid, heads=heads, causal=scores.causal)
    if usual:
        return net.use("attend_dropout", laid, heads=heads, causal=scores.causal, p=scores.p)
    if scores.p:
        raise Unsaid("attention with both dropout and a scale of its own")
    if heads == 1 and not scores.causal:
        return net.use("attention", laid, scale=float(scale))
    return net.use("attend_scaled", laid, heads=heads, causal=scores.causal, scale=float(scale))
