"""How far down each box of a picture is."""

from __future__ import annotations

from collections.abc import Sequence

from ein.compiler.drawing.scene import Wire


def spine(wires: Sequence[Wire]) -> set[Wire]:
    """Those on the longest ways through the picture, which are drawn straight so that what skips goes around them."""
    above = ranks([(wire.source, wire.target) for wire in wires])
    below = ranks([(wire.target, wire.source) for wire in wires])
    longest = max(above.values(), default=0)
    return {wire for wire in wires if above[wire.source] + 1 + below[wire.target] == longest}


def ranks(wires: Sequence[tuple[str, str]]) -> dict[str, int]:
    """For each box the length of the longest way to it; wires back into a way are left out."""
    sources: dict[str, list[str]] = {}
    for source, target in wires:
        sources.setdefault(source, [])
        sources.setdefault(target, []).append(source)
    found: dict[str, int] = {}
    entered: set[str] = set()
    waiting = list(sources)
    while waiting:
        at = waiting[-1]
        missing = [source for source in sources[at] if source not in entered]
        entered.add(at)
        if missing:
            waiting += missing
            continue
        found.setdefault(at, max((found.get(source, -1) + 1 for source in sources[at]), default=0))
        waiting.pop()
    return found
