"""The text of `ein check --stats`."""

from __future__ import annotations

from math import inf

from ein.grammar.analyses.statistics import SEED, DeadEnds, Measured, Statistics
from ein.grammar.derivations.sample import DEAD_ENDS
from ein.grammar.diagnostics import render

SHOWN = 5
"""Dead ends that are told apart; the rest are summed."""


def describe(found: Statistics) -> str:
    """A line for each figure, below the name of the grammar."""
    rows = [
        ("radius", f"{found.radius_drawn:.2f} as drawn, {found.radius_built:.2f} as built"),
        ("expected modules", f"{_size(found.size_drawn)} as drawn, {_size(found.size_built)} as built"),
        *([] if found.measured is None else _measured(found.measured)),
    ]
    head = f"{found.name}: {found.rules} rules, {found.alternatives} alternatives, {found.operators} operators"
    lines = [head, *(f"  {name:<18}{text}" for name, text in rows)]
    if found.growth is not None and found.growth.severity == "note":
        lines += ["", render(found.growth)]
    return "\n".join(lines)


def _size(modules: float) -> str:
    return "infinite" if modules == inf else f"{modules:,.1f}"


def _measured(found: Measured) -> list[tuple[str, str]]:
    rows = [("acceptance", f"{found.acceptance:.1%} of {found.attempts:,} attempts, seed {SEED}")]
    if found.sizes:
        least, low, middle, high, large, most = found.sizes
        text = f"{middle:,} in the median, half {low:,} to {high:,}, 95% up to {large:,}, all {least:,} to {most:,}"
        rows.append(("modules", text))
    ends = [*found.dead_ends[:SHOWN]]
    rest = sum(end.share for end in found.dead_ends[SHOWN:])
    texts = [_dead_end(end) for end in ends] + ([f"{rest:.1%} elsewhere"] if rest else [])
    return rows + [("dead ends" if i == 0 else "", text) for i, text in enumerate(texts)]


def _dead_end(end: DeadEnds) -> str:
    return f"{end.share:.1%} {DEAD_ENDS[end.kind]}" + ("" if end.line is None else f", line {end.line}")
