"""Where things are in an SVG of the wheel: texts by the length they carry, boxes and frames by their lines."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field

SVG = "{http://www.w3.org/2000/svg}"
RISE, FALL = 0.72, 0.2
"""Of the size of the font: how high capitals stand above the line of a text, and how deep letters go below it."""

SPACE = 0.5
"""Of the size of the font: how wide a no-break space of the wheel is."""


@dataclass(frozen=True, slots=True)
class Area:
    left: float
    top: float
    right: float
    bottom: float

    def inside(self, other: Area, slack: float = 0.5) -> bool:
        return (
            self.left >= other.left - slack
            and self.right <= other.right + slack
            and self.top >= other.top - slack
            and self.bottom <= other.bottom + slack
        )

    def meets(self, other: Area, slack: float = 0.5) -> bool:
        """Whether they overlap by more than `slack`, across and down."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > slack and down > slack


@dataclass(frozen=True, slots=True)
class Written:
    """A text of a box or of the heading, or the name of a frame or wire, which stands above all."""

    text: str
    area: Area
    name: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """A node, edge, cluster or graph of Graphviz. `area`: of its lines; None where it has none."""

    kind: str
    id: str
    area: Area | None
    texts: tuple[Written, ...] = field(default=())


def groups(svg: str) -> Iterator[Group]:
    for element in ET.fromstring(svg).iter(f"{SVG}g"):
        kind = element.get("class", "")
        if kind in ("node", "edge", "cluster", "graph"):
            texts = tuple(_written(text) for text in _own(element, "text") if (text.text or "").strip("\u00a0 "))
            yield Group(kind, element.get("id", ""), _area(element) if kind != "edge" else None, texts)


def page(svg: str) -> Area:
    """The picture in the coordinates of its groups: Graphviz moves them by one step and never scales them here."""
    root = ET.fromstring(svg)
    left, top, width, height = map(float, (root.get("viewBox") or "").split())
    graph = root.find(f"{SVG}g")
    assert graph is not None
    found = re.search(r"scale\(1 1\).*translate\(([-0-9.]+)[ ,]+([-0-9.]+)\)", graph.get("transform", ""))
    assert found
    x, y = float(found[1]), float(found[2])
    return Area(left - x, top - y, left - x + width, top - y + height)


def _own(element: ET.Element, tag: str) -> Iterator[ET.Element]:
    """Those of a group and not of groups of Graphviz inside it; links have groups of their own."""
    for child in element:
        if child.tag == f"{SVG}{tag}":
            yield child
        elif child.tag in (f"{SVG}g", f"{SVG}a") and child.get("class") is None:
            yield from _own(child, tag)


def _written(element: ET.Element) -> Written:
    text = element.text or ""
    size, x, y = (float(element.attrib[name]) for name in ("font-size", "x", "y"))
    length = float(element.attrib["textLength"])
    left = x - {"start": 0.0, "middle": length / 2, "end": length}[element.get("text-anchor", "start")]
    space = SPACE * size
    before, after = len(text) - len(text.lstrip("\u00a0")), len(text) - len(text.rstrip("\u00a0"))
    area = Area(left + before * space, y - RISE * size, left + length - after * space, y + FALL * size)
    return Written(text, area, "paint-order" in element.attrib)


def _area(element: ET.Element) -> Area | None:
    numbers: list[tuple[float, float]] = []
    for polygon in _own(element, "polygon"):
        numbers += _pairs(polygon.attrib["points"])
    for path in _own(element, "path"):
        numbers += _pairs(path.attrib["d"])
    for ellipse in _own(element, "ellipse"):
        cx, cy, rx, ry = (float(ellipse.attrib[name]) for name in ("cx", "cy", "rx", "ry"))
        numbers += [(cx - rx, cy - ry), (cx + rx, cy + ry)]
    if not numbers:
        return None
    across, down = zip(*numbers, strict=True)
    return Area(min(across), min(down), max(across), max(down))


def _pairs(text: str) -> list[tuple[float, float]]:
    found = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]
    return list(zip(found[::2], found[1::2], strict=True))
