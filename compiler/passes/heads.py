"""Heads: attentions side by side, each of its own part of the features, are one attention."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from math import prod
from typing import Any

from ein.compiler import standard
from ein.compiler.graph import OpGraph, Port
from ein.compiler.nodes import Use
from ein.compiler.passes import traced, views
from ein.compiler.passes.layouts import declared, layout
from ein.compiler.passes.rewritten import Rewritten, in_turn
from ein.compiler.passes.views import View
from ein.grammar.bodies.tensors import Step
from ein.grammar.types import bundle

ATTENTION = "F.scaled_dot_product_attention"


def join_heads(graph: OpGraph) -> Rewritten:
    """One attention for each head becomes one for all heads.

        q -> split_heads(n) -\\
        k -> split_heads(n) --> n times attention -> merge_heads -> y
        v -> split_heads(n) -/
        -->
        q, k, v -> attention of n heads -> y

    Keeps: every other node. Needs: all of them alike, and read by what lays them side by side alone; their queries are
    the parts of one tensor in order, and so are keys and values.
    Exact: the same sums and the same softmax; torch may add in another order.
    """
    return in_turn(_join_one, graph)


def _join_one(graph: OpGraph) -> Rewritten:
    if not graph.names(ATTENTION):
        return Rewritten(graph)
    joining = [(number, node) for number, node in graph.uses() if _joins(graph, number, node)]
    if not joining:
        return Rewritten(graph)
    shown = traced.ports(graph)
    for number, node in joining:
        new = _joined(graph, shown, number, node)
        if new is not None:
            draft = graph.draft()
            draft.replace(number, *new)
            draft.remove_unused()
            return Rewritten(draft.done())
    return Rewritten(graph)


def _joins(graph: OpGraph, number: int, node: Use) -> bool:
    """Whether it lays attentions side by side that are alike and read once, and rearranges that at most."""
    body = node.applied.body
    count_of = len(node.inputs)
    rest = body.steps[count_of:]
    if count_of < 2 or len(body.results) != 1 or not rest or rest[0].op not in ("stack", "concat"):
        return False
    if rest[0].inputs != tuple(range(count_of)) or body.results[0] != len(body.steps) - 1:
        return False
    in_a_row = all(step.inputs == (count_of + at,) and step.op in traced.LOOKING for at, step in enumerate(rest[1:]))
    sources = [source.node for source in graph.sources(number)]
    plain = [_attention(graph.node(source)) for source in sources]
    alike = plain[0] is not None and all(each == plain[0] for each in plain)
    once = len(set(sources)) == count_of and all(len(graph.targets(source)) == 1 for source in sources)
    return in_a_row and alike and once


def _attention(node: object) -> tuple[Step, ...] | None:
    """The steps of an operator that is attention of three inputs as they are, with queries along one axis."""
    if not isinstance(node, Use) or [step.op for step in node.applied.body.steps] != ["input"] * 3 + ["function"]:
        return None
    last = node.applied.body.steps[3]
    fits = last.name == ATTENTION and last.inputs == (0, 1, 2) and len(last.sizes) == 2
    return node.applied.body.steps if fits else None


def _joined(graph: OpGraph, shown: dict[Port, View], number: int, node: Use) -> tuple[Use, list[Port]] | None:
    """One attention in the place of `node`, and what it reads."""
    heads = graph.sources(number)
    steps = _attention(graph.node(heads[0].node))
    assert steps is not None
    names = (f"a{at}" for at in count())
    found = [_whole(graph, shown, [graph.sources(head.node)[which] for head in heads]) for which in range(3)]
    sizes = (len(heads), *steps[3].sizes)
    after = _after(node, views.whole("result", sizes))
    ports, texts = [], []
    for each, name in zip(found, "qkv", strict=True):
        laid = None if each is None else layout(each[1], graph.type(each[0]).sizes, names)
        if each is None or laid is None:
            return None
        ports.append(each[0])
        texts.append(laid.of(name))
    behind = None if after is None else layout(after, sizes, names)
    if behind is None:
        return None
    given = dict_of(steps[3])
    texts += [f"scale = {given['scale']!r}"] if given["scale"] is not None else []
    texts += ["is_causal = true"] if given["is_causal"] else []
    types = [graph.type(port) for port in ports]
    body = behind.of(f"{ATTENTION}({', '.join(texts)})")
    text = declared("attention", list(zip("qkv", types, strict=True)), node.outputs[0], body)
    if text is None:
        return None
    application = standard.written(text)
    return Use(application, application.at(bundle(types)), node.key, node.span, node.path), ports


def dict_of(step: Step) -> dict[str, Any]:
    return dict(step.arguments)


def _whole(graph: OpGraph, shown: dict[Port, View], parts: Sequence[Port]) -> tuple[Port, View] | None:
    """The tensor that these are the parts of, in order, and how they stand in it along an axis in front."""
    view = views.concatenated([views.unsqueezed(shown[part], (0,)) for part in parts], 0)
    if view is None:
        return None
    for port, each in shown.items():
        whole = each.root == view.root and each == views.whole(view.root, each.sizes)
        if whole and prod(each.sizes) == prod(view.sizes):
            return port, view
    return None


def _after(node: Use, result: View) -> View | None:
    """How a body lays out the heads, given side by side along a first axis."""
    joining, *rest = node.applied.body.steps[len(node.inputs) :]
    axis = joining.argument("axis")
    order = list(range(1, len(result.axes)))
    order.insert(axis, 0)
    view: View | None = views.permuted(result, order)
    if joining.op == "concat" and view is not None:
        view = views.flattened(view, axis, axis + 1)
    for step in rest:
        view = None if view is None else traced.looked(step, view)
    return view
