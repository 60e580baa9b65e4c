"""Products of matrices, and the attention that is written with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ein.compiler.way_in.attention import Scores, attention, is_causal, same_place
from ein.compiler.way_in.calls import Call, Unsaid
from ein.compiler.way_in.formulas import Apply
from ein.compiler.way_in.labelling import computed, labelled
from ein.compiler.way_in.network import Network
from ein.compiler.way_in.rules_shape import swapped
from ein.compiler.way_in.views import SPREAD, Value, View, Weight, axis

Rule = Callable[[Network, Call], Any]


def _matmul(net: Network, call: Call) -> View:
    left = call.arguments["self"]
    right = call.arguments.get("other", call.arguments.get("mat2"))
    return product(net, left, right)


def product(net: Network, left: View, right: View) -> View:
    """`(…, n, m)` times `(…, m, p)`."""
    if isinstance(right.base, Weight):
        if len(right.dims) != 2 or not right.base.trained:
            raise Unsaid("a product with a constant, or with a weight that is no matrix")
        return linear(net, left, swapped(right, 0, 1))
    if isinstance(left.base, Weight):
        raise Unsaid("a product of a weight with a value, the weight in front")
    if len(left.dims) < 3 or len(right.dims) < 3:
        raise Unsaid("a product that goes over the batch")
    scores = net.scores.get(left.base.node)
    if scores is not None and scores.softmax and same_place(scores, left):
        return attention(net, scores, right)
    plain = _plain(net, left, right)
    made = plain or _dot(net, left, right)
    assert isinstance(made.base, Value)
    net.scores[made.base.node] = Scores(left, swapped(right, -2, -1), made.dims)
    return made


def linear(net: Network, view: View, weight: View) -> View:
    last = [len(view.dims) - 1]
    value, groups = net.gather(view, last)
    made = net.use("linear", [value], {"linear.weight": weight}, out=weight.sizes[0], bias=False)
    return net.viewed(view, last, groups, made)


def _plain(net: Network, left: View, right: View) -> View | None:
    """`matmul` of std, where both lie as torch has them."""
    if len(left.dims) != len(right.dims) or len(left.dims) > 4 or left.sizes[:-2] != right.sizes[:-2]:
        return None
    for view in (left, right):
        base = view.base
        assert isinstance(base, Value)
        if view.dims != (axis(0, net.batch), *(axis(n, s) for n, s in enumerate(base.sizes, 1))):
            return None
    assert isinstance(left.base, Value) and isinstance(right.base, Value)
    made = net.use("matmul", [left.base, right.base])
    return View(made, (axis(0, net.batch), *(axis(n, s) for n, s in enumerate(made.sizes, 1))))


def _dot(net: Network, left: View, right: View) -> View:
    lead = max(len(left.dims), len(right.dims)) - 2
    keys = [[*range(lead - len(view.dims) + 2, lead), *ends] for view, ends in ((left, "nm"), (right, "mp"))]
    found = labelled([left, right], keys)
    if found.groups["m"] != found.group("m"):
        raise Unsaid("a product that goes over the batch")
    return computed(net, found, [*range(lead), "n", "p"], lambda given: Apply("dot", found.group("m"), tuple(given)))


def _addmm(net: Network, call: Call) -> View:
    bias, view, weight = (call.arguments[name] for name in ("self", "mat1", "mat2"))
    if (call.arguments["beta"], call.arguments["alpha"]) != (1, 1):
        raise Unsaid("a linear map with factors")
    weight = swapped(net.weight(weight), 0, 1)
    last = [len(view.dims) - 1]
    value, groups = net.gather(view, last)
    kept = {"linear.weight": weight, "linear.bias": net.weight(bias)}
    return net.viewed(view, last, groups, net.use("linear", [value], kept, out=weight.sizes[0]))


def _einsum(net: Network, call: Call) -> View:
    equation, views = call.arguments["equation"].replace(" ", ""), call.arguments["tensors"]
    given, arrow, result = equation.partition("->")
    terms = given.split(",")
    if len(terms) != 2 or not arrow or "." in equation or any(len(set(term)) != len(term) for term in terms):
        raise Unsaid(f"einsum of `{equation}`")
    first, second = terms
    shared = [letter for letter in first if letter in second]
    lead, inner = [c for c in shared if c in result], [c for c in shared if c not in result]
    one, other = [c for c in first if c not in shared], [c for c in second if c not in shared]
    if len(inner) == 1 and len(one) == len(other) == 1 and set(result) == {*lead, *one, *other}:
        found = product(
            net, _ordered(views[0], first, [*lead, *one, *inner]), _ordered(views[1], second, [*lead, *inner, *other])
        )
        return _ordered(found, [*lead, *one, *other], result)
    if isinstance(views[1].base, Weight) and len(inner) == 1 and len(other) == 1 and not lead:
        found = linear(net, _ordered(views[0], first, [*one, *inner]), _ordered(views[1], second, [*other, *inner]))
        return _ordered(found, [*one, *other], result)
    labels = labelled(views, [first, second])
    if any(labels.groups[letter] != labels.group(letter) for letter in inner) or set(result) < {*one, *other}:
        raise Unsaid(f"einsum of `{equation}`")
    dot = tuple(label for letter in inner for label in labels.group(letter))
    return computed(net, labels, result, lambda x: Apply("dot", dot, tuple(x)))


def _ordered(view: View, letters: Sequence[str], wanted: Sequence[str]) -> View:
    return replace(view, dims=tuple(view.dims[list(letters).index(letter)] for letter in wanted))


def _fused_attention(net: Network, call: Call) -> View:
    a = call.arguments
    query, key, value = a["query"], a["key"], a["value"]
    mask, causal = a["attn_mask"], a["is_causal"]
    if mask is not None:
        if not isinstance(mask, View) or not is_causal(net, mask, kept=True):
            raise Unsaid("attention with a mask other than that of the past")
        causal = True
    if any(digit.axis == SPREAD for view in (key, value) for dim in view.dims for digit in dim) or a["enable_gqa"]:
        raise Unsaid("attention whose heads share keys and values")
    scale = a["scale"] if a["scale"] is not None else query.sizes[-1] ** -0.5
    return attention(net, Scores(query, key, (), scale, causal, True, float(a["dropout_p"])), value)


RULES: dict[str, Rule] = {
    **dict.fromkeys(("matmul", "bmm", "mm"), _matmul),
    "addmm": _addmm,
    "einsum": _einsum,
    "scaled_dot_product_attention": _fused_attention,
}
