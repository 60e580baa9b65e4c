"""A scene as JSON for the page: flat lists, each text once, nothing that could end a script element."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

from ein.compiler.drawing.scene import Box, Facts, Frame, Item, Look, Run, Scene, Wire
from ein.compiler.drawing.texts import clean, without_controls
from ein.compiler.drawing.theme import THEMES, Theme

Entry: TypeAlias = "dict[str, Any]"
ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


class Texts:
    """Numbers for texts, in the order in which they are first asked for."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._given: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        if text not in self._given:
            self._given[text] = self._numbers.setdefault(clean(text), len(self._numbers))
        return self._given[text]

    def all(self) -> list[str]:
        return list(self._numbers)


def clean_lines(text: str) -> str:
    """Of a text of many lines each as it is, but for tabs and controls."""
    return "\n".join(map(without_controls, text.expandtabs(4).splitlines()))


def scene_json(scene: Scene, source: str = "") -> str:
    """ASCII, without `<`, `>` and `&`.

    Nodes stand in order of the tree, each with the number of the one it is in (`up`), and wires name their ends by
    number. What has its default is left out.
    """
    texts = Texts()
    nodes = list(_nodes(scene.items, texts))
    numbers = {node["id"]: number for number, node in enumerate(nodes)}
    data: Entry = {
        "title": clean(scene.title),
        "subtitle": clean(scene.subtitle),
        "summary": clean(scene.summary),
        "heat": scene.heat and [clean(text) for text in scene.heat],
        "tree": scene.tree,
        "direction": scene.direction,
        "source": clean_lines(source),
        "nodes": nodes,
        "wires": [_wire(wire, numbers, texts) for wire in scene.wires],
        "texts": texts.all(),
        "looks": {look.name.lower(): look.value for look in Look},
        "themes": {name: _theme(theme) for name, theme in THEMES.items()},
    }
    return json.dumps(data, separators=(",", ":")).translate(ESCAPES)


def _theme(theme: Theme) -> Entry:
    looks = {look.name.lower(): (style.fill, style.line, style.style) for look, style in theme.looks.items()}
    marks = {change.value: (mark.line, mark.style) for change, mark in theme.marks.items()}
    plain = {name: getattr(theme, name) for name in ("background", "ink", "faint", "wire", "frame", "heat")}
    return plain | {"looks": looks, "marks": marks}


def _nodes(items: tuple[Item, ...], texts: Texts) -> Iterator[Entry]:
    """In order, by a stack: frames may be nested deeper than Python's calls."""
    stack: list[tuple[Item, int | None]] = [(item, None) for item in reversed(items)]
    number = 0
    while stack:
        item, up = stack.pop()
        entry = _box(item, texts) if isinstance(item, Box) else _holder(item, texts)
        yield {"id": item.id} | ({} if up is None else {"up": up}) | entry
        if not isinstance(item, Box):
            stack += [(inner, number) for inner in reversed(item.items)]
        number += 1


def _box(box: Box, texts: Texts) -> Entry:
    rows = [[texts(row.text), texts(row.weight), round(row.share, 4)] for row in box.rows]
    found = {"look": box.look.name.lower(), "rows": rows, "small": box.small}
    return _set(found) | _said(box, texts)


def _holder(holder: Frame | Run, texts: Texts) -> Entry:
    if isinstance(holder, Run):
        return {"kind": "run"} | _set({"series": holder.series, "folded": holder.folded})
    return {"kind": "frame"} | _set({"folded": holder.folded}) | _said(holder, texts)


def _said(item: Box | Frame, texts: Texts) -> Entry:
    found: Entry = {
        "notes": [texts(note) for note in item.notes],
        "hover": texts(item.hover) if item.hover else None,
        "facts": _facts(item.facts, texts),
        "change": item.change and item.change.value,
    }
    heat = {} if item.heat is None else {"heat": round(min(max(item.heat, 0.0), 1.0), 4)}
    return {"name": texts(item.name)} | _set(found) | heat


def _facts(facts: Facts, texts: Texts) -> list[tuple[int, int]]:
    return [(texts(name), texts(text)) for name, text in facts]


def _wire(wire: Wire, numbers: dict[str, int], texts: Texts) -> Entry:
    found: Entry = {
        "text": texts(wire.text) if wire.text else None,
        "hover": texts(wire.hover) if wire.hover else None,
        "row": wire.row,
        "change": wire.change and wire.change.value,
    }
    named = {name: value for name, value in found.items() if value is not None}
    return {"from": numbers[wire.source], "to": numbers[wire.target]} | named


def _set(entry: Entry) -> Entry:
    """Without what is false, none or empty; a number of a text may be 0, and is no False."""
    return {name: value for name, value in entry.items() if value or (value == 0 and value is not False)}
