"""Folding: which boxes of a scene are seen.

A folded frame is one box. Of a folded run the first item is seen, with `x n` beside its name; wires of the other
items are drawn at the boxes of the first, once.

    [relu] -> [block] -> [block] -> [block] -> [add]
    -->
    [relu] -> [block x 3] -> [add]
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from ein.compiler.drawing.scene import Box, Frame, Item, Look, Run, Scene, Wire, boxes

MOST = 400
"""Boxes in one picture; what has more starts with frames folded."""
DEEPEST = 2
"""Frames inside each other; more would hide the network."""

Steps: TypeAlias = "tuple[tuple[str, int], ...]"
Part = TypeVar("Part", bound=Item)


def resolved(scene: Scene, deepest: int = DEEPEST) -> Scene:
    """The same picture without runs and folded frames, and without open frames inside more than `deepest` others."""
    seen = _Seen(deepest)
    return replace(scene, items=tuple(seen.items(scene.items, ())), wires=tuple(seen.wires(scene.wires)))


def unfolded(scene: Scene) -> Scene:
    """All frames and runs open."""
    return replace(scene, items=tuple(_opened(item) for item in scene.items))


def fitted(scene: Scene, most: int = MOST) -> Scene:
    """With frames folded until at most `most` boxes are seen, if frames can do that; larger frames open first."""
    if _visible(scene.items) <= most:
        return scene
    count = _folded_count(scene.items)
    waiting = _frames(scene.items)
    opened: set[str] = set()
    while waiting:
        frame = max(waiting, key=lambda each: (_visible(each.items), each.id))
        waiting.remove(frame)
        more = _folded_count(frame.items) - 1
        if count + more <= most:
            count += more
            opened.add(frame.id)
            waiting += _frames(frame.items)
    return replace(scene, items=tuple(_folded(item, opened) for item in scene.items))


def _frames(items: Iterable[Item]) -> list[Frame]:
    """The frames that are seen when none is open, but for those that are folded anyway."""
    firsts = [item.items[0] if isinstance(item, Run) and item.folded else item for item in items]
    found = [item for item in firsts if isinstance(item, Frame)]
    found += [each for item in firsts if isinstance(item, Run) for each in item.items if isinstance(each, Frame)]
    return [frame for frame in found if not frame.folded]


def _folded_count(items: Iterable[Item]) -> int:
    return sum(len(item.items) if isinstance(item, Run) and not item.folded else 1 for item in items)


def _visible(items: Iterable[Item]) -> int:
    total = 0
    stack = list(items)
    while stack:
        item = stack.pop()
        if isinstance(item, Box) or (isinstance(item, Frame) and item.folded):
            total += 1
        elif isinstance(item, Run) and item.folded:
            stack.append(item.items[0])
        else:
            stack += item.items
    return total


def _opened(item: Part) -> Part:
    if isinstance(item, Box):
        return item
    items: tuple[Any, ...] = tuple(map(_opened, item.items))
    return replace(item, folded=False, items=items)


def _folded(item: Part, opened: set[str]) -> Part:
    if isinstance(item, Box):
        return item
    items: tuple[Any, ...] = tuple(_folded(each, opened) for each in item.items)
    folded = item.folded or (isinstance(item, Frame) and item.id not in opened)
    return replace(item, folded=folded, items=items)


class _Seen:
    """`at`: for each box, what is seen in its place. `steps`: the folded runs around it, each with its item there."""

    def __init__(self, deepest: int) -> None:
        self.deepest = deepest
        self.at: dict[str, str] = {}
        self.steps: dict[str, Steps] = {}

    def items(self, items: Iterable[Item], steps: Steps, depth: int = 0) -> Iterator[Box | Frame]:
        for item in items:
            deep = isinstance(item, Frame) and depth >= self.deepest and item.change is None
            if not isinstance(item, Box) and not item.folded and (deep or isinstance(item, Run)):
                yield from self.items(item.items, steps, depth)
            else:
                yield self._item(item, steps, depth)

    def _item(self, item: Item, steps: Steps, depth: int) -> Box | Frame:
        match item:
            case Box():
                self._put((item,), item.id, steps)
                return item
            case Frame(folded=True):
                self._put(boxes(item.items), item.id, steps)
                return Box(
                    item.id, item.name, Look.FOLDED, item.notes, hover=item.hover, facts=item.facts, heat=item.heat,
                    change=item.change,
                )  # fmt: skip
            case Frame():
                return replace(item, items=tuple(self.items(item.items, steps, depth + 1)))
            case Run():
                return self._run(item, steps, depth)

    def _run(self, run: Run, steps: Steps, depth: int) -> Box | Frame:
        first, *others = run.items
        shown = self._item(first, (*steps, (run.id, 0)), depth)
        for number, other in enumerate(others, 1):
            for like, box in zip(boxes((first,)), boxes((other,)), strict=True):
                self.at[box.id] = self.at[like.id]
                inner = self.steps[like.id][len(steps) + 1 :]
                self.steps[box.id] = (*steps, (run.id, number), *inner)
        times = f"x {len(run.items)}{'' if run.series else ' in parallel'}"
        notes = tuple(f"{note} each" for note in shown.notes)
        return replace(shown, name=f"{shown.name} {times}".strip(), notes=notes)

    def _put(self, found: Iterable[Box], at: str, steps: Steps) -> None:
        for box in found:
            self.at[box.id] = at
            self.steps[box.id] = steps

    def wires(self, wires: Iterable[Wire]) -> Iterator[Wire]:
        """Those between different things that are seen; what folding has moved is drawn once."""
        seen: set[tuple[object, ...]] = set()
        moved = []
        for wire in wires:
            source, target = self.at[wire.source], self.at[wire.target]
            if self._apart(wire) or (source == target and wire.source != wire.target):
                continue
            if (source, target) == (wire.source, wire.target):
                seen.add((source, target, wire.text, wire.row, wire.change))
                yield wire
            else:
                moved.append(replace(wire, source=source, target=target))
        for wire in moved:
            key = (wire.source, wire.target, wire.text, wire.row, wire.change)
            if key not in seen:
                seen.add(key)
                yield wire

    def _apart(self, wire: Wire) -> bool:
        """Whether its ends are in different items of one folded run."""
        ends = dict(self.steps[wire.source])
        return any(ends.get(run, number) != number for run, number in self.steps[wire.target])
