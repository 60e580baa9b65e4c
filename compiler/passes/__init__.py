"""Rewritings of operation graphs that keep what a network computes; one in each file."""

from __future__ import annotations

from collections.abc import Sequence

from ein.compiler.graph import OpGraph, verify
from ein.compiler.passes.attention import fuse_attention
from ein.compiler.passes.convolution import fuse_convolutions
from ein.compiler.passes.grids import raise_grids
from ein.compiler.passes.groups import group_convolutions
from ein.compiler.passes.patches import cut_patches
from ein.compiler.passes.permutes import fuse_permutes
from ein.compiler.passes.rewritten import Pass, Rewritten
from ein.compiler.passes.wires import remove_wires
from ein.compiler.weights import Moves

__all__ = ["PIPELINE", "Pass", "Rewritten", "optimise"]

PIPELINE = (
    Pass("wires", remove_wires),
    Pass("permutes", fuse_permutes),
    Pass("attention", fuse_attention),
    Pass("patches", cut_patches),
    Pass("grids", raise_grids),
    Pass("convolution", fuse_convolutions),
    Pass("groups", group_convolutions),
)
"""In the order in which they run."""


def optimise(graph: OpGraph, passes: Sequence[Pass] = PIPELINE, checked: bool = False) -> Rewritten:
    """The graph after all passes, and where its weights come from; `checked` verifies before and after each."""
    weights: Moves = ()
    if checked:
        verify(graph)
    for step in passes:
        graph, moved = step.rewrite(graph)
        weights += moved
        if checked:
            verify(graph)
    return Rewritten(graph, weights)
