"""Convolutions: what a grammar spells as windows, a linear map and a grid."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, TypeAlias

from ein.compiler import standard
from ein.compiler.graph import OpGraph, Port
from ein.compiler.nodes import Use
from ein.compiler.passes.rewritten import Rewritten
from ein.compiler.weights import Entries, Entry, Moved
from ein.grammar.bodies.tensors import Step
from ein.grammar.numbers import Inapplicable
from ein.grammar.types import merge

Arguments: TypeAlias = tuple[tuple[str, Any], ...]


def fuse_convolutions(graph: OpGraph) -> Rewritten:
    """Windows of an image, each mapped to new channels, laid out on the grid they came from.

        x -> im2col(k, s, p) -> linear(d) -> col2im -> y
        -->
        x -> conv(d, k, s, p) -> y

    Keeps: every other node. Needs: no wires between the three; each of the first two is read by the next one
    alone; the grid is that of the windows; uses that share weights are all of this form, and alike.
    Exact: equal outputs for equal weights. The weight of the linear map, one row of k x k x channels for each
    new channel, is reshaped.

    The three are known by what their bodies do, not by their names.
    """
    found = _chains(graph)
    if not found:
        return Rewritten(graph)
    draft = graph.draft()
    moves: dict[str, Moved] = {}
    for chain in found:
        draft.replace(chain.last, chain.node, [chain.source])
        for new, sizes in chain.node.weights.items():
            old = new.replace("conv2d", "linear", 1)
            moves[f"{chain.node.key}.{new}"] = Moved((Entry(f"{chain.node.key}.{old}", chain.linear[old]),), sizes)
    draft.remove_unused()
    return Rewritten(draft.done(), (moves,))


@dataclass(frozen=True, slots=True)
class _Chain:
    """`node` is to stand at `last` and read `source`; `linear` are the weights of the linear map."""

    last: int
    source: Port
    node: Use
    given: Arguments
    linear: Entries


def _chains(graph: OpGraph) -> list[_Chain]:
    chains = [chain for number, node in graph.uses() if (chain := _chain(graph, number, node)) is not None]
    uses = Counter(node.key for _, node in graph.uses()) if chains else Counter[str]()
    alike = Counter((chain.node.key, chain.given) for chain in chains)
    return [chain for chain in chains if alike[chain.node.key, chain.given] == uses[chain.node.key]]


def _chain(graph: OpGraph, number: int, grid: Use) -> _Chain | None:
    """The chain that ends at a node, if one does."""
    if not _is_grid(grid):
        return None
    second = graph.sources(number)[0].node
    linear = graph.node(second)
    if not isinstance(linear, Use) or not _is_linear(linear) or len(graph.targets(second)) > 1:
        return None
    first = graph.sources(second)[0].node
    windows = graph.node(first)
    if not isinstance(windows, Use) or not _is_windows(windows) or len(graph.targets(first)) > 1:
        return None
    given = _arguments(windows.applied.body.steps[1], linear.applied.body.steps[1])
    application = standard.application("conv", *given)
    try:
        applied = application.at(windows.applied.input)
    except Inapplicable:
        return None
    if merge((applied.output, grid.outputs[0])) is None:
        return None
    node = Use(application, applied, linear.key, linear.span, linear.path)
    return _Chain(number, graph.sources(first)[0], node, given, linear.weights)


def _arguments(windows: Step, linear: Step) -> Arguments:
    cut, mapped = dict(windows.arguments), dict(linear.arguments)
    return (
        ("out", mapped["out_features"]),
        ("k", cut["kernel_size"]),
        ("s", cut["stride"]),
        ("dilation", cut["dilation"]),
        ("p", cut["padding"]),
        ("bias", mapped["bias"]),
    )


def _is_windows(node: Use) -> bool:
    """`im2col`: channels, rows and columns of each window, in this order, behind the axis of the windows."""
    steps = _chain_of(node, "input", "function", "permute")
    return steps is not None and steps[1].name == "F.unfold" and steps[2].argument("order") == (1, 0)


def _is_linear(node: Use) -> bool:
    steps = _chain_of(node, "input", "layer")
    return steps is not None and steps[1].name == "nn.Linear"


def _is_grid(node: Use) -> bool:
    """`col2im`: the first axis made two, the channels before them."""
    steps = _chain_of(node, "input", "unflatten", "permute")
    return steps is not None and steps[1].argument("axis") == 0 and steps[2].argument("order") == (2, 0, 1)


def _chain_of(node: Use, *wanted: str) -> tuple[Step, ...] | None:
    """The steps of a body that has just these, each reading the one before, the last one being the result."""
    body = node.applied.body
    if len(body.steps) != len(wanted) or body.results != (len(wanted) - 1,):
        return None
    in_a_row = all(step.inputs == (() if at == 0 else (at - 1,)) for at, step in enumerate(body.steps))
    matches = all(step.op == op for step, op in zip(body.steps, wanted, strict=True))
    return body.steps if in_a_row and matches else None
