"""What became of a box or wire of one picture in another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ein.compiler.drawing.graph_view import BUNDLED
from ein.compiler.drawing.scene import Box, Change, Facts, Wire
from ein.compiler.drawing.texts import amount, quantity, type_text, with_unit
from ein.compiler.nodes import Node, Use
from ein.grammar.cfg import Cost

ARROW = " -> "
LONGEST = 54
"""Of a name that tells old and new; a longer old one goes below the new one."""
ELSEWHERE = frozenset({"key", "in", "place", "line", "torch"})
"""Facts that say where an operator stands, and not what it is."""


def joined_box(id: str, first: tuple[Box, Node] | None, second: tuple[Box, Node] | None, costs: tuple[str, ...]) -> Box:
    """The box of a node of one picture, or of one of each."""
    if first is None or second is None:
        only = first or second
        assert only is not None
        box, node = only
        change = Change.REMOVED if second is None else Change.ADDED
        return replace(box, id=id, name=node.text, small=False, change=change)
    (one, before), (other, after) = first, second
    facts = _facts(one.facts, other.facts)
    if _own(one) == _own(other) and _body(before) == _body(after):
        return replace(other, id=id, facts=facts, change=Change.KEPT)
    name, notes = _name(before.text, after.text)
    return replace(
        other,
        id=id,
        name=name,
        notes=(*notes, *_notes(one, other, before, after, costs)),
        small=False,
        hover=other.hover if one.hover == other.hover else f"before: {one.hover} · now: {other.hover}",
        facts=facts,
        change=Change.CHANGED,
    )


def joined_wire(source: str, target: str, first: Wire | None, second: Wire | None, moved: str) -> Wire:
    """The wire of one picture, or of one of each; `moved` says which ports are others."""
    wire = second or first
    assert wire is not None
    found = replace(wire, source=source, target=target)
    if first is None or second is None:
        return replace(found, change=Change.REMOVED if second is None else Change.ADDED)
    if not moved and first.text == second.text:
        return replace(found, change=Change.KEPT)
    text = " · ".join(part for part in (_both(first.text, second.text), moved) if part)
    return replace(found, text=text, hover=f"before: {first.hover} · now: {second.hover}", change=Change.CHANGED)


def bundled(wires: Iterable[Wire]) -> Iterator[Wire]:
    """Those that are alike from one box to another, drawn as one where they are many."""
    found: dict[tuple[object, ...], list[Wire]] = {}
    for wire in wires:
        found.setdefault((wire.source, wire.target, wire.text, wire.change), []).append(wire)
    for alike in found.values():
        if len(alike) >= BUNDLED:
            hover = "; ".join(dict.fromkeys(wire.hover for wire in alike))
            yield replace(alike[0], text=f"{len(alike)} of {alike[0].text}", hover=hover)
        else:
            yield from alike


def cost_change(before: Cost, after: Cost, names: tuple[str, ...] = ("params", "macs")) -> list[str]:
    """`24.1 K -> 36.9 K params` for each; what is zero in both is left out."""
    pairs = [(name, quantity(before, name), quantity(after, name)) for name in names]
    return [with_unit(_both(amount(old), amount(new)), name) for name, old, new in pairs if old or new]


def is_retyped(before: Node, after: Node) -> bool:
    """Whether two operators written alike are at different types."""
    return isinstance(before, Use) and before.text == after.text and _types(before) != _types(after)


def _own(box: Box) -> tuple[object, ...]:
    """What has to be equal for a box to be kept."""
    return box.name, box.notes, tuple(fact for fact in box.facts if fact[0] not in ELSEWHERE)


def _body(node: Node) -> object:
    """Two grammars can give one name to different operators."""
    return node.applied.body if isinstance(node, Use) else None


def _both(old: str, new: str) -> str:
    return new if old == new else f"{old}{ARROW}{new}"


def _name(old: str, new: str) -> tuple[str, tuple[str, ...]]:
    both = _both(old, new)
    return (both, ()) if len(both) <= LONGEST else (new, (f"was {old}",))


def _notes(one: Box, other: Box, before: Node, after: Node, costs: tuple[str, ...]) -> tuple[str, ...]:
    types = zip(("in", "out"), _types(before), _types(after), strict=True)
    notes = [f"{name}: {_both(old, new)}" for name, old, new in types if old != new]
    if isinstance(before, Use) and isinstance(after, Use):
        notes = [" · ".join(cost_change(before.applied.cost, after.applied.cost, costs)), *notes]
        if before.text == after.text and _body(before) != _body(after) and len(notes) == 1:
            notes.append("defined otherwise")
    tied = [any(note.startswith("shares") for note in box.notes) for box in (one, other)]
    if any(tied):
        notes.append("shares its weights" if all(tied) else f"{'now' if tied[1] else 'no longer'} shares its weights")
    return tuple(note for note in notes if note)


def _types(node: Node) -> tuple[str, str]:
    """What it takes and what it gives."""
    if isinstance(node, Use):
        return type_text(node.applied.input), type_text(node.applied.output)
    return ", ".join(map(type_text, node.inputs)), ", ".join(map(type_text, node.outputs))


def _facts(one: Facts, other: Facts) -> Facts:
    """Each of either once; where they differ, old and new."""
    before, after = dict(one), dict(other)
    names = [*after, *(name for name in before if name not in after)]
    return tuple((name, _both(before.get(name, "none"), after.get(name, "none"))) for name in names)
