"""The group of an operator: branching, aggregation, routing or computation."""

from __future__ import annotations

from ein.compiler.drawing.scene import Look
from ein.grammar.cfg import Applied
from ein.grammar.types import leaves

LAYOUT_STEPS = frozenset({"input", "permute", "unflatten", "flatten", "unsqueeze"})
LAYOUT_FUNCTIONS = frozenset({"F.unfold", "F.fold", "F.pixel_shuffle", "F.pixel_unshuffle", "F.channel_shuffle"})


def group(applied: Applied) -> Look:
    """By signature first: one value to several branches, several to fewer aggregate; then by the body."""
    before, after = len(list(leaves(applied.input))), len(list(leaves(applied.output)))
    if after > before:
        return Look.BRANCHING
    if applied.operator.routes:
        return Look.ROUTING
    if after < before:
        return Look.AGGREGATION
    return Look.ROUTING if _moves_only(applied) else Look.COMPUTATION


def _moves_only(applied: Applied) -> bool:
    """Whether the body changes the place of values and nothing else."""
    return all(
        step.op in LAYOUT_STEPS or (step.op == "function" and step.name in LAYOUT_FUNCTIONS)
        for step in applied.body.steps
    )
