"""The items of a difference: frames of both architectures, runs of what the same befell, and what is far folded."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from ein.compiler.drawing.graph_tree import LEAST_BOXES, Node, Part, Same, nodes, tree
from ein.compiler.drawing.overlay import Overlay
from ein.compiler.drawing.scene import Box, Change, Frame, Item, Look, Run, Wire
from ein.compiler.drawing.texts import cost_text
from ein.compiler.drawing.unchanged import distances, together
from ein.compiler.nodes import Use
from ein.grammar.cfg import Cost

FEW = 24
"""Boxes that are all seen; of more, those far from every change are folded."""
NEAR = 2
"""Wires from a change within which everything is seen."""
WORDS = {Change.KEPT: "unchanged", Change.CHANGED: "with other types"}


@dataclass(frozen=True, slots=True)
class Laid:
    """The boxes of the places of an overlay, and its wires."""

    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    quiet: frozenset[int]
    """Places that differ in their types and in nothing else."""
    moved: frozenset[int]
    """Wires, by their order, that lead elsewhere now: more than their type is another."""


class Items:
    def __init__(self, laid: Laid, over: Overlay, costs: tuple[str, ...]) -> None:
        self.laid = laid
        self.over = over
        self.costs = costs
        self.frames = 0
        self.ends = [(wire.source, wire.target) for wire in over.wires]
        self.beside: dict[int, list[int]] = {place: [] for place in range(len(laid.boxes))}
        """The wires of each place, by their order."""
        for number, (source, target) in enumerate(self.ends):
            self.beside[source].append(number)
            self.beside[target].append(number)
        self.far = self._far() if len(laid.boxes) > FEW else {}

    def all(self, most: int) -> Iterator[Item]:
        """The input, what is between, and the output. Graphs of more than `most` nodes keep all frames."""
        ends = [box for box in self.laid.boxes if box.look is Look.END]
        yield ends[0]
        yield from self._items(tree(self.over.graph, most), None, bool(self.far))
        yield from ends[1:]

    def _far(self) -> dict[int, Change]:
        """What became of the places that can be folded: kept, or changed in their types."""
        boxes = self.laid.boxes
        changed = {place for place, box in enumerate(boxes) if box.change is not Change.KEPT}
        loud = changed - self.laid.quiet
        wires = {place for at in self.laid.moved for place in self.ends[at]}
        starts = dict.fromkeys(wires, 1) | dict.fromkeys(loud, 0) or dict.fromkeys(changed, 0)
        away = distances(starts, self.ends) if starts else dict.fromkeys(range(len(boxes)), 0)
        found = {at: box.change for at, box in enumerate(boxes) if away.get(at, NEAR + 1) > NEAR}
        return {at: change for at, change in found.items() if change is not None}

    def _items(self, found: Iterable[Node], within: Change | None, fold: bool) -> Iterator[Item]:
        """`within`: what became of all that is in the frame around them; `fold`: those that are far."""
        parts = [part for item in found for part in self._pieces(item)]
        kinds = [self._all(part) if fold else None for part in parts]
        home = {place: at for at, part in enumerate(parts) for place in nodes([part])}
        ends = {(home.get(a, -1), home.get(b, -1)) for a, b in self.ends}
        for group in together(kinds, sorted(each for each in ends if each[0] != each[1] and -1 not in each)):
            own = [parts[at] for at in group]
            kind = kinds[group[0]]
            if kind is None or len(list(nodes(own))) == 1:
                yield from (self._item(part, within, fold) for part in own)
            else:
                yield self._folded(own, kind)

    def _all(self, part: Node) -> Change | None:
        """What became of all of a part, if all of it is far."""
        found = {self.far.get(place) for place in nodes([part])}
        return found.pop() if len(found) == 1 else None

    def _pieces(self, item: Node) -> Iterator[Node]:
        """Of a run, the runs of those items that the same befell."""
        if not isinstance(item, Same):
            yield item
            return
        for _, found in groupby(item.items, self._fate):
            row = tuple(found)
            if len(row) >= (2 if isinstance(row[0], Part) else LEAST_BOXES):
                yield Same(row, item.series)
            else:
                yield from (each for part in row for each in _named(part))

    def _fate(self, part: int | Part) -> Hashable:
        """What befell all boxes and wires of an item of a run."""
        places = list(nodes([part]))
        at = {place: number for number, place in enumerate(places)}
        boxes = tuple((box.change, box.name, box.notes) for box in map(self.laid.boxes.__getitem__, places))
        wires = (number for place in places for number in self.beside[place])
        return boxes, frozenset(self._wire_fate(number, at) for number in wires)

    def _wire_fate(self, number: int, at: Mapping[int, int]) -> tuple[object, ...]:
        wire, (source, target) = self.laid.wires[number], self.ends[number]
        return wire.change, wire.text, at.get(source), at.get(target)

    def _item(self, item: Node, within: Change | None, fold: bool) -> Item:
        match item:
            case int():
                return self.laid.boxes[item]
            case Part():
                return self._frame(item, within, fold)
            case Same(parts, series):
                id = self._id("r")
                items = [self._frame(p, within, False) if isinstance(p, Part) else self.laid.boxes[p] for p in parts]
                return Run(id, tuple(items), series)

    def _frame(self, part: Part, within: Change | None, fold: bool) -> Frame:
        """Marked as added or removed if all of it is, and what is around it is not."""
        id = self._id("f")
        changes = {self.laid.boxes[place].change for place in part.nodes}
        change = changes.pop() if len(changes) == 1 else None
        shown = change if change in (Change.ADDED, Change.REMOVED) and change is not within else None
        count, price = f"{len(part.nodes)} operators", self._price(part.nodes)
        return Frame(
            id,
            part.name,
            tuple(self._items(part.items, shown or within, fold)),
            tuple(text for text in (count, price) if text),
            hover=" · ".join(text for text in (part.name, count, price) if text),
            facts=(("part", part.name or "copy"), ("operators", str(len(part.nodes)))),
            change=shown,
        )

    def _folded(self, parts: list[Node], change: Change) -> Frame:
        id = self._id("f")
        places = list(nodes(parts))
        only = parts[0] if len(parts) == 1 else None
        name = f"{only.name}: " if isinstance(only, Part) and only.name else ""
        text = f"{len(places)} operators {WORDS[change]}"
        price = self._price(places)
        inner = only.items if isinstance(only, Part) else parts
        return Frame(
            id,
            name + text,
            tuple(self._items(inner, change, False)),
            (price,) if price else (),
            folded=True,
            hover=" · ".join(part for part in (name + text, price) if part),
            facts=(("operators", str(len(places))),),
            change=change,
        )

    def _price(self, places: Iterable[int]) -> str:
        """As it is now, or was where it went."""
        found = (self.over.graph.node(place) for place in places)
        return cost_text(sum((use.applied.cost for use in found if isinstance(use, Use)), Cost()), self.costs)

    def _id(self, letter: str) -> str:
        self.frames += 1
        return f"{letter}{self.frames}"


def _named(part: int | Part) -> tuple[Node, ...]:
    """What a copy without a name holds says no less when it is no longer in a run."""
    return part.items if isinstance(part, Part) and not part.name else (part,)
