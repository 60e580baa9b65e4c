"""Batch norms that only evaluate."""

from __future__ import annotations

from ein.compiler.graph import Draft, OpGraph
from ein.compiler.nodes import Use
from ein.compiler.passes.maps import Alone, Map
from ein.compiler.passes.rewritten import Rewritten
from ein.compiler.weights import Entry, Folded, Moved
from ein.grammar.bodies.tensors import Step


def fold_norms(graph: OpGraph) -> Rewritten:
    """A batch norm is a scale and a shift of each feature; the layer before it can do both.

        x -> conv(d, bias = false) -> batch_norm -> y
        -->
        x -> conv(d) -> y

    Keeps: every other node. Needs: evaluation, with running statistics; a convolution or linear map that nothing else
    reads; weights that neither shares with another node.
    Exact: equal outputs in evaluation for the weights as they are folded, up to rounding. Not in training, where a
    batch norm uses the statistics of the batch: never one of the passes that run by themselves.
    """
    alone = Alone.of(graph)
    draft: Draft | None = None
    moves: dict[str, Moved | Folded] = {}
    for number, node in graph.uses():
        norm = _norm(node)
        before = None if norm is None else alone.read_once(graph, graph.sources(number)[0])
        if norm is None or before is None or alone.keys[node.key] != 1 or norm[1] != before.axis:
            continue
        draft = draft or graph.draft()
        new = before.again(before.node.inputs[0], node.outputs[0], bias=True)
        draft.replace(number, new, graph.sources(before.number))
        moves |= _moves(before, node, norm[0], new)
    if draft is None:
        return Rewritten(graph)
    draft.remove_unused()
    return Rewritten(draft.done(), (moves,))


def _norm(node: Use) -> tuple[Step, int] | None:
    """The layer of a batch norm, and the axis of the input whose features it takes; its result is laid out alike."""
    body = node.applied.body
    layers = [step for step in body.steps if step.op == "layer" and step.name.startswith("nn.BatchNorm")]
    ops = [step.op for step in body.steps]
    if len(layers) != 1 or body.results != (len(ops) - 1,):
        return None
    if ops == ["input", "layer"]:
        return layers[0], 0
    if ops != ["input", "permute", "layer", "permute"]:
        return None
    there, back = (body.steps[at].argument("order") for at in (1, 3))
    return (layers[0], there[0]) if [there[axis] for axis in back] == list(range(len(there))) else None


def _moves(before: Map, node: Use, layer: Step, new: Use) -> dict[str, Moved | Folded]:
    kept = layer.name.removeprefix("nn.").lower()
    gamma, beta, mean, variance = (
        Entry(f"{node.key}.{kept}.{name}", node.weights[f"{kept}.{name}"])
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    eps = float(layer.argument("eps"))
    weight, had = before.entry("weight"), [before.entry("bias")] if before.has_bias else []
    after = Map(before.number, new, new.applied.body.steps[1])
    return {
        after.entry("weight").name: Folded("norm_weight", (weight, gamma, variance), weight.sizes, eps),
        after.entry("bias").name: Folded("norm_bias", (gamma, variance, mean, beta, *had), gamma.sizes, eps),
    }
