"""Rewritings of operation graphs that keep what a network computes; one in each file."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ein.compiler.graph import OpGraph, verify
from ein.compiler.passes.activations import remove_idle_activations
from ein.compiler.passes.attention import fuse_attention
from ein.compiler.passes.batching import batch_copies
from ein.compiler.passes.common import share_common
from ein.compiler.passes.convolution import fuse_convolutions
from ein.compiler.passes.detours import remove_detours
from ein.compiler.passes.grids import raise_grids
from ein.compiler.passes.groups import group_convolutions
from ein.compiler.passes.heads import join_heads
from ein.compiler.passes.linears import merge_linears
from ein.compiler.passes.norms import fold_norms
from ein.compiler.passes.pairs import join_pairs
from ein.compiler.passes.patches import cut_patches
from ein.compiler.passes.permutes import fuse_permutes
from ein.compiler.passes.rearrange import fuse_rearrangements
from ein.compiler.passes.rewritten import Pass, Rewritten
from ein.compiler.passes.scales import fold_scales
from ein.compiler.passes.wires import remove_wires
from ein.compiler.passes.zeros import fold_zeros
from ein.compiler.weights import Moves

__all__ = ["EVALUATION", "INFERENCE", "PIPELINE", "Pass", "Rewritten", "optimise"]

PIPELINE = (
    Pass("wires", remove_wires),
    Pass("zeros", fold_zeros),
    Pass("permutes", fuse_permutes),
    Pass("attention", fuse_attention),
    Pass("heads", join_heads),
    Pass("patches", cut_patches),
    Pass("grids", raise_grids),
    Pass("convolution", fuse_convolutions),
    Pass("groups", group_convolutions),
    Pass("detours", remove_detours),
    Pass("rearrange", fuse_rearrangements),
    Pass("pairs", join_pairs),
    Pass("activations", remove_idle_activations),
    Pass("common", share_common),
    Pass("batching", batch_copies, settles=True, last=True),  # others see uses one by one
)
"""In the order in which they run."""

INFERENCE = (
    Pass("norms", fold_norms),
    Pass("scales", fold_scales),
    Pass("linears", merge_linears),
)
"""For networks that only evaluate, with weights that were trained without these passes."""

EVALUATION = (*PIPELINE, *INFERENCE)
"""What runs where they are asked for."""


def optimise(graph: OpGraph, passes: Sequence[Pass] = PIPELINE, checked: bool = False) -> Rewritten:
    """The graph after all passes, in turn until none of them finds anything to do, and where its weights come from.

    `checked` verifies before and after each.
    """
    weights: Moves = ()
    if checked:
        verify(graph)
    made: dict[str, OpGraph] = {}
    waiting = _in_turn(passes)
    while waiting:
        step, before = waiting.popleft(), graph
        if step.settles and made.get(step.name) is graph:
            continue
        graph, moved = step.rewrite(before)
        if graph is before:
            continue
        weights += moved
        made[step.name] = graph
        waiting = _in_turn([*waiting, *(each for each in passes if each not in waiting)])
        if checked:
            verify(graph)
    return Rewritten(graph, weights)


def _in_turn(passes: Sequence[Pass]) -> deque[Pass]:
    return deque(sorted(passes, key=lambda step: step.last))
