"""Scenes of every kind for the page: residual and parallel branches, frames, runs, rows, heat, changes, many boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

from ein.compiler.drawing.scene import Box, Change, Frame, Item, Look, Row, Run, Scene, Wire
from ein.compiler.drawing.scene import boxes as all_boxes

COMPUTATION, ROUTING = Look.COMPUTATION, Look.ROUTING


class Sketch:
    """Boxes with new ids, and wires between them."""

    def __init__(self) -> None:
        self.wires: list[Wire] = []
        self._count = 0

    def id(self) -> str:
        self._count += 1
        return f"n{self._count}"

    def box(self, name: str, look: Look = COMPUTATION, *notes: str, small: bool = False) -> Box:
        facts = (("operator", name), ("parameters", "36.9 K"), ("place", "sketch.ein:10:13"), ("line", "x = self.a(x)"))
        return Box(
            self.id(), name, look, notes, small=small, hover=f"{name}: im 64 x 8 x 8 -> im 64 x 8 x 8", facts=facts
        )

    def wire(self, source: Box, target: Box, text: str = "im 64 x 8 x 8") -> None:
        self.wires.append(Wire(source.id, target.id, text, f"{source.name} -> {target.name}"))

    def chain(self, *boxes: Box, text: str = "im 64 x 8 x 8") -> None:
        for source, target in pairwise(boxes):
            self.wire(source, target, text)

    def frame(self, name: str, *items: Item, folded: bool = False, notes: Sequence[str] = ()) -> Frame:
        facts = (("parameters", "73.9 K"), ("place", "sketch.ein:4:1"))
        return Frame(self.id(), name, items, tuple(notes), folded, f"{name}: a macro", facts)

    def scene(self, title: str, *items: Item, **more: object) -> Scene:
        made = Scene(title, "4 modules · 1.2 M params · 3.4 G MACs", f"A picture of {title}.", items, tuple(self.wires))
        return replace(made, **more)  # type: ignore[arg-type]


def basic(s: Sketch, channels: int, down: bool, folded: bool) -> tuple[Frame, Box, Box]:
    """A residual block with where it begins and ends."""
    split = s.box("clone 2", Look.BRANCHING)
    conv, norm, act = s.box(f"conv3x3({channels})", COMPUTATION, "36.9 K params"), s.box("batch_norm"), s.box("relu")
    again, norm2 = s.box(f"conv3x3({channels})", COMPUTATION, "36.9 K params"), s.box("batch_norm")
    add, last = s.box("+", Look.AGGREGATION, small=True), s.box("relu")
    s.chain(split, conv, norm, act, again, norm2, add, last, text=f"im {channels} x 16 x 16")
    items = [split, conv, norm, act, again, norm2, add, last]
    if down:
        side, norm3 = s.box(f"conv1x1({channels}, stride=2)"), s.box("batch_norm")
        s.chain(split, side, norm3, add, text=f"im {channels} x 16 x 16")
        items[6:6] = [side, norm3]
    else:
        s.wire(split, add, f"im {channels} x 16 x 16")
    return (
        s.frame("down_block" if down else "basic_block", *items, folded=folded, notes=("73.9 K params",)),
        split,
        last,
    )


def resnet(folded: bool = False) -> Scene:
    s = Sketch()
    start, stem, pool = s.box("input", Look.END, "im 3 x 32 x 32"), s.box("conv7x7(64)"), s.box("max_pool")
    s.chain(start, stem, pool, text="im 64 x 32 x 32")
    items: list[Item] = [start, stem, pool]
    last = pool
    for channels in (64, 128, 256, 512):
        blocks = []
        for at in range(2):
            frame, first, end = basic(s, channels, at == 0 and channels > 64, folded)
            s.wire(last, first, f"im {channels} x 16 x 16")
            blocks.append(frame)
            last = end
        items += [Run(s.id(), tuple(blocks), True)] if channels == 64 else blocks
    mean, linear, end = s.box("mean"), s.box("linear(1000)"), s.box("output", Look.END, "vec 1000")
    s.chain(last, mean, linear, end, text="vec 512")
    return s.scene("ResNet-18", *items, mean, linear, end)


def branches(count: int = 6) -> Scene:
    """Parallel branches of several lengths, one of them a run in parallel, between a split and a concatenation."""
    s = Sketch()
    start, split = s.box("input", Look.END), s.box(f"split({count})", Look.BRANCHING)
    join, end = s.box("concat", Look.AGGREGATION), s.box("output", Look.END)
    s.chain(start, split)
    items: list[Item] = [start, split]
    for at in range(count):
        row = [s.box(f"conv{2 * at + 1}x{2 * at + 1}", COMPUTATION if at % 2 else ROUTING) for _ in range(1 + at % 3)]
        s.chain(split, *row, join, text=f"im {at + 1} x 8 x 8")
        items += row
    heads = []
    for _ in range(4):
        query, soft = s.box("linear(16)"), s.box("softmax")
        s.chain(split, query, soft, join, text="seq 16 x 16")
        heads.append(s.frame("head", query, soft))
    s.chain(join, end)
    return s.scene("Branches", *items, Run(s.id(), tuple(heads), False), join, end)


def derivation(depth: int = 4) -> Scene:
    s = Sketch()
    items: list[Item] = []

    def grow(level: int) -> Box:
        box = s.box("Network" if level % 2 == 0 else "sequential", Look.RULE if level % 2 == 0 else Look.MACRO)
        items.append(box)
        for _ in range((3, 1, 2, 2)[level % 4] if level < depth else 0):
            s.wire(box, grow(level + 1), "")
        return box

    grow(0)
    return s.scene("Derivation", *items, tree=True)


def grammar() -> Scene:
    """Rules with rows; one leads back, one to itself."""
    s = Sketch()

    def rule(name: str, *rows: tuple[str, float]) -> Box:
        total = sum(weight for _, weight in rows)
        made = tuple(Row(text, f"{weight:g}", weight / total) for text, weight in rows)
        return replace(s.box(name, Look.RULE), rows=made)

    network = rule("Network", ("seq(Block, Network)", 2), ("Block", 1))
    block = rule("Block", ("residual(Block)", 1), ("Unit", 3), ("branch(Block, Block)", 1))
    unit = rule("Unit", ("conv3x3", 2), ("conv1x1", 1), ("relu", 4.5))
    for source, row, target in (
        (network, 0, block),
        (network, 0, network),
        (network, 1, block),
        (block, 0, block),
        (block, 1, unit),
    ):
        s.wires.append(Wire(source.id, target.id, row=row))
    s.wires.append(Wire(unit.id, network.id, row=2))
    return s.scene("Grammar", network, block, unit, direction="LR")


def difference() -> Scene:
    s = Sketch()
    boxes = [s.box(name) for name in ("conv3x3(64)", "batch_norm", "gelu", "relu", "conv3x3(128)")]
    changes = (Change.KEPT, Change.KEPT, Change.ADDED, Change.REMOVED, Change.CHANGED)
    marked = [replace(box, change=change) for box, change in zip(boxes, changes, strict=True)]
    s.wires = [
        Wire(boxes[a].id, boxes[b].id, change=change)
        for a, b, change in (
            (0, 1, Change.KEPT),
            (1, 2, Change.ADDED),
            (1, 3, Change.REMOVED),
            (2, 4, Change.ADDED),
            (3, 4, Change.REMOVED),
        )
    ]
    return s.scene("Difference", *marked)


def heated() -> Scene:
    made = resnet()

    def warm(item: Item, at: int) -> Item:
        if isinstance(item, Box):
            return replace(item, heat=(int(item.id[1:]) * 37 % 101) / 100)
        items: Any = tuple(warm(inner, at) for inner in item.items)
        return replace(item, items=items)

    return replace(made, items=tuple(warm(item, 0) for item in made.items), heat=("parameters", "0", "2.36 M"))


def many(count: int = 5000) -> Scene:
    """About `count` boxes: stages of runs of blocks of runs of units."""
    s = Sketch()
    last, items = s.box("input", Look.END), []
    first = last
    stages = max(1, count // 500)
    for stage in range(stages):
        blocks = []
        for _ in range(10):
            units: list[Frame] = []
            for _ in range(5):
                frame, begin, end = basic(s, 16 * (stage + 1), True, False)
                s.wire(last, begin)
                units.append(frame)
                last = end
            blocks.append(s.frame("block", Run(s.id(), tuple(units), True)))
        items.append(s.frame(f"stage {stage + 1}", Run(s.id(), tuple(blocks), True), folded=True))
    end = s.box("output", Look.END)
    s.wire(last, end)
    return s.scene(f"{count} boxes", first, *items, end)


HOSTILE = (
    "</script><script>document.title='broken'</script>",
    "<img src=x onerror=\"document.title='broken'\">",
    "\"onmouseover=\"document.title='broken'",
    "]]><!--<svg/onload=alert(1)>",
    "javascript:document.title='broken'",
    "${document.title='broken'} $title \\u003c &lt;b&gt;",
    "\u202eright\u202c \x00\ud800 \u2028 \u2029",
    "very long " * 300,
)


def hostile() -> Scene:
    s = Sketch()
    boxes = [
        replace(s.box(text, COMPUTATION, text), hover=text, facts=((text, text),), rows=(Row(text, text, 0.5),))
        for text in HOSTILE
    ]
    s.chain(*boxes, text=HOSTILE[1])
    frames = [s.frame(text, box, notes=(text,)) for text, box in zip(HOSTILE, boxes, strict=True)]
    return s.scene(
        HOSTILE[0], *frames, subtitle=HOSTILE[1], summary=HOSTILE[2], heat=(HOSTILE[0], HOSTILE[1], HOSTILE[2])
    )


def random_scene(seed: int, boxes: int = 24) -> Scene:
    """A random graph without cycles, in random nested frames and runs; paths may leave a frame and enter it again."""
    draw, s = Random(seed), Sketch()
    looks = (COMPUTATION, ROUTING, Look.BRANCHING, Look.AGGREGATION)
    notes = ("36.9 K params", "a longer note of several words", "")

    def grow(count: int, depth: int) -> list[Item]:
        items: list[Item] = []
        while count > 0:
            size = 1 + int(draw.random() * count)
            if depth < 3 and size > 1 and draw.random() < 0.5:
                items.append(s.frame(f"frame {depth}", *grow(size, depth + 1), folded=draw.random() < 0.2))
            elif depth < 3 and draw.random() < 0.1:
                state = draw.getrandbits(64)
                same = []
                for _ in range(3):
                    again = Random(state)
                    same.append(
                        s.frame(
                            "same", *(s.box(f"b{int(again.random() * 9)}") for _ in range(1 + int(again.random() * 3)))
                        )
                    )
                items.append(Run(s.id(), tuple(same), draw.random() < 0.5, draw.random() < 0.6))
                size = 3
            else:
                small = draw.random() < 0.2
                name = "+" if small else "name " * (1 + int(draw.random() * 3)) + str(count)
                note = notes[int(draw.random() * 3)]
                items.append(
                    s.box(name, looks[int(draw.random() * 4)], *([note] if note and not small else []), small=small)
                )
                size = 1
            count -= size
        return items

    items = tuple(grow(boxes, 0))
    flat = list(all_boxes(items))
    mixed = flat if draw.random() < 0.8 else sorted(flat, key=lambda _: draw.random())
    types = ("im 64 x 8 x 8", "vec 10", "")
    for at, target in enumerate(mixed[1:], 1):
        for _ in range(1 + int(draw.random() * 2.2)):
            back = 1 + int(draw.random() ** 2 * min(at, 9))
            s.wire(mixed[at - back], target, types[int(draw.random() * 3)])
    return s.scene(f"random {seed}", *items, direction="LR" if draw.random() < 0.4 else "TB")


def opened(scene: Scene) -> Scene:
    """With nothing folded."""

    def open_one(item: Item) -> Item:
        if isinstance(item, Box):
            return item
        inner: Any = tuple(open_one(one) for one in item.items)
        return replace(item, items=inner, folded=False)

    return replace(scene, items=tuple(open_one(item) for item in scene.items))


def nested(depth: int) -> Scene:
    s = Sketch()
    item: Item = s.box("core")
    for _ in range(depth):
        item = s.frame("shell", item)
    return s.scene("Nested", item)
