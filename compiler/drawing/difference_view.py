"""What changed between two architectures: the operators of both in one picture, each kept, added, removed or changed.

conv(64) -> relu -> y
conv(128) -> norm -> relu -> y
-->
[± conv(64) -> conv(128)] -> [+ norm] -> [relu] -> y
"""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

from ein.compiler.drawing.changes import bundled, cost_change, is_retyped, joined_box, joined_wire
from ein.compiler.drawing.difference_items import Items, Laid
from ein.compiler.drawing.folding import MOST, fitted
from ein.compiler.drawing.graph_view import graph_scene
from ein.compiler.drawing.overlay import Ends, Overlay, overlay
from ein.compiler.drawing.scene import Box, Change, Look, Scene, Wire, boxes
from ein.compiler.drawing.texts import type_text
from ein.compiler.graph import OpGraph, cost
from ein.compiler.lower import lower
from ein.compiler.nodes import Node
from ein.compiler.passes.wires import remove_wires
from ein.grammar.cfg import Cost
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.term import TypedTerm

Comparable: TypeAlias = "Derivation | TypedTerm | OpGraph"
SHORT = 8
"""Digits of an id in a title."""


def difference_scene(
    first: Comparable,
    second: Comparable,
    title: str = "",
    direction: str | None = None,
    *,
    wires: bool = False,
    costs: tuple[str, ...] = ("params", "macs"),
    most: int = MOST,
) -> Scene:
    """`costs` and `wires` as of a graph. Boxes that are kept or changed stand for an operator of each.

    An operator is changed where it has other arguments or types at the same place. In a larger picture frames fold
    that hold no change and have none nearby, and so do those in which types alone are others.
    """
    ours, theirs = _graph(first), _graph(second)
    shown = (ours, theirs) if wires else (remove_wires(ours).graph, remove_wires(theirs).graph)
    over = overlay(*shown)
    laid = _laid(over, *shown, costs)
    items = Items(laid, over, costs)
    counts = Counter(box.change for box in laid.boxes if box.look is not Look.END)
    changes = tuple((change, counts[change]) for change in Change if counts[change])
    words = _words(laid, dict(changes), (cost(ours).modules, cost(theirs).modules))
    scene = Scene(
        title or _title(first, second),
        "; ".join((words, *_totals(cost(ours), cost(theirs)))),
        f"The difference of two operation graphs of {_count(shown[0])} and {_count(shown[1])}: {words}.",
        tuple(items.all(most)),
        tuple(bundled(laid.wires)),
        changes=changes,
        direction=direction or "TB",
    )
    return fitted(scene, most)


def _graph(what: Comparable) -> OpGraph:
    if isinstance(what, OpGraph):
        return what
    return lower(what.term if isinstance(what, Derivation) else what)


def _title(first: Comparable, second: Comparable) -> str:
    """The grammars of derivations; where it is one, what tells them apart."""
    if not isinstance(first, Derivation) or not isinstance(second, Derivation):
        return "Difference"
    (one, _, before), (other, _, after) = (each.id.partition(":") for each in (first, second))
    if one == other:
        return f"{one.partition('@')[0]} {_both(before[:SHORT], after[:SHORT])}"
    return _both(one.partition("@")[0], other.partition("@")[0])


def _both(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"


def _laid(over: Overlay, first: OpGraph, second: OpGraph, costs: tuple[str, ...]) -> Laid:
    ours, theirs = (_Drawn(graph, costs) for graph in (first, second))
    drawn = tuple(joined_box(f"n{at}", ours.at(a), theirs.at(b), costs) for at, (a, b) in enumerate(over.pairs))
    wires = tuple(
        joined_wire(f"n{wire.source}", f"n{wire.target}", ours.wire(wire.first), theirs.wire(wire.second), wire.moved)
        for wire in over.wires
    )
    quiet = frozenset(
        at
        for at, (a, b) in enumerate(over.pairs)
        if a is not None and b is not None and drawn[at].change is Change.CHANGED
        if is_retyped(first.node(a), second.node(b))
    )
    return Laid(drawn, wires, quiet, frozenset(at for at, wire in enumerate(over.wires) if wire.moved or None in wire))


class _Drawn:
    """The boxes and wires of one of the two, as its own picture has them."""

    def __init__(self, graph: OpGraph, costs: tuple[str, ...]) -> None:
        scene = graph_scene(graph, costs=costs, wires=True)
        self.graph = graph
        self.boxes = {box.id: box for box in boxes(scene.items)}

    def at(self, number: int | None) -> tuple[Box, Node] | None:
        return None if number is None else (self.boxes[f"n{number}"], self.graph.node(number))

    def wire(self, ends: Ends | None) -> Wire | None:
        if ends is None:
            return None
        (number, port), type = ends.target, type_text(self.graph.type(ends.source))
        says = f"{self.graph.node(ends.source.node).text} -> input {port + 1} of {self.graph.node(number).text}: {type}"
        return Wire(f"n{ends.source.node}", f"n{number}", type, says)


def _words(laid: Laid, counts: dict[Change, int], modules: tuple[int, int]) -> str:
    found = [(change, counts[change]) for change in Change if change is not Change.KEPT and change in counts]
    if found:
        (change, count), *others = found
        parts = [f"{count:,} operator{'s' * (count != 1)} {change.value}", *(f"{n:,} {c.value}" for c, n in others)]
        if laid.quiet:
            only = (
                "in types only" if counts[Change.CHANGED] == len(laid.quiet) else f"{len(laid.quiet):,} in types only"
            )
            parts[-1] += f" ({only})"
        return ", ".join(parts)
    wires = Counter(wire.change for wire in laid.wires)
    parts = [f"{wires[c]:,} {c.value}" for c in Change if c is not Change.KEPT and wires[c]]
    if parts:
        return f"no operator changed; of the wires {', '.join(parts)}"
    if modules[0] != modules[1]:
        return f"nothing changed but identities and clones, {modules[0]:,} -> {modules[1]:,} modules"
    return "nothing changed"


def _totals(before: Cost, after: Cost) -> list[str]:
    return cost_change(before, after) or ["no params, no MACs"]


def _count(graph: OpGraph) -> str:
    return f"{len(graph.uses())} operators"
