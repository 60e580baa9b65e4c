"""A scene as a Mermaid flowchart, for Markdown.

Texts stand in quotes, and in them a character that Mermaid, Markdown or HTML could read as a sign is an entity code
(`#34;` is `"`). A flowchart has no tables: the rows of a box are lines of its
label, and wires leave from the box. Mermaid as GitHub runs it refuses texts of more than 50,000 characters and charts
of more than 500 wires.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ein.compiler.drawing.dot import LONGEST, LONGEST_ROW
from ein.compiler.drawing.scene import Box, Change, Frame, Item, Look, Scene, Wire, boxes
from ein.compiler.drawing.texts import clean
from ein.compiler.drawing.theme import FONT, THEMES, Style, Theme, blend

LINE = "<br/>"
WIDEST = 900
"""Pixels of a line before Mermaid breaks it; no line that we write comes to that."""
LONGEST_TITLE = 160
LONGEST_DESCRIPTION = 400
SHAPES = {
    Look.BRANCHING: ("[/", "\\]"),
    Look.AGGREGATION: ("[\\", "/]"),
    Look.ROUTING: ("{{", "}}"),
    Look.COMPUTATION: ("(", ")"),
    Look.END: ("([", "])"),
    Look.RULE: ("[", "]"),
    Look.MACRO: ("[", "]"),
    Look.JOINT: ("(", ")"),
    Look.FOLDED: ("[[", "]]"),
}
CIRCLE = ("((", "))")
STROKES = {
    "bold": {"stroke-width": "3px", "stroke-dasharray": "0"},
    "dashed": {"stroke-dasharray": "6 4"},
    "dotted": {"stroke-dasharray": "2 3"},
}
PLAIN = frozenset(" ,()=+-/·…")
"""Signs that are themselves inside of a line."""
SPACE = "#8195;"
"""An em wide; behind the name of a frame, which stands in the middle of its top, to move it off the wire there."""
BREAK = "\u200b"
"""Has no width, and is in no text that `clean` has seen."""
_READ_LATER = re.compile(r"\$(?=\$)|\\(?=n)|:(?=fa-)|ﬂ(?=°)|¶(?=ß)")
"""What Mermaid looks for when entity codes are characters again: formulas, line breaks, icons, its own codes."""
_DECIMAL_POINT = re.compile(r"(?<=\d)\.(?=\d)")


def write_mermaid(scene: Scene, *, style: str = "light") -> str:
    """The flowchart of a scene that `folding.resolved` has freed of runs and folded frames; `style` is light, dark or
    paper."""
    if style not in THEMES:
        raise ValueError(f"style must be one of {', '.join(THEMES)}, got {style!r}")
    theme = THEMES[style]
    wires = list(_joined(scene.wires))
    body = [
        f"accTitle: {escaped(scene.title)}",
        f"accDescr: {escaped(f'{scene.summary} {scene.subtitle}', LONGEST_DESCRIPTION)}",
        *_items(scene.items, theme),
        *(_wire(wire, scene.tree) for wire in wires),
        *_classes(scene, theme),
        *_heats(scene, theme),
        *_changed_wires(wires, theme),
    ]
    return "\n".join([*_front(scene, theme), f"flowchart {scene.direction}", *(f"  {line}" for line in body), ""])


def escaped(text: str, longest: int = LONGEST_ROW) -> str:
    """One line of text inside of quotes, cut to `longest` characters; never empty."""
    line = clean(text) or "\u00a0"
    cut = line if len(line) <= longest else f"{line[: longest - 1]}…"
    cut = _READ_LATER.sub(rf"\g<0>{BREAK}", cut)
    points = {found.start() for found in _DECIMAL_POINT.finditer(cut)}
    return "".join(c if _plain(c, i, cut, points) else f"#{ord(c)};" for i, c in enumerate(cut))


def _plain(char: str, index: int, line: str, points: set[int]) -> bool:
    """Not a sign at the beginning of a line, where Markdown may find a list: `- a`, `1) a`."""
    if char.isalnum() or index in points:
        return True
    if char == "%":
        return index > 0 and "%" not in (line[index - 1], line[index + 1 : index + 2])
    numbered = char == ")" and line[:index].isdecimal()
    return char in PLAIN and index > 0 and not numbered


def _front(scene: Scene, theme: Theme) -> Iterator[str]:
    """YAML, of which JSON is a part."""
    variables = {
        "background": theme.background,
        "primaryTextColor": theme.ink,
        "textColor": theme.ink,
        "titleColor": theme.ink,
        "lineColor": theme.wire,
        "edgeLabelBackground": theme.background,
        "clusterBkg": theme.background,
        "clusterBorder": theme.frame,
        "fontSize": f"{theme.text + 2}px",
    }
    config = {
        "theme": "base", "fontFamily": FONT, "themeVariables": variables, "flowchart": {"wrappingWidth": WIDEST},
    }  # fmt: skip
    yield "---"
    yield f"title: {json.dumps(_title(scene))}"
    yield f"config: {json.dumps(config)}"
    yield "---"


def _title(scene: Scene) -> str:
    """Title and subtitle without `<` and `>`: Mermaid takes tags out of a title, and has no codes for signs there."""
    heat = "{}: {} to {}".format(*scene.heat) if scene.heat else ""
    line = " · ".join(clean(word) for word in (scene.title, scene.subtitle, heat) if word)
    line = line.replace(" <= ", " ≤ ").replace(" -> ", " → ").replace("<", "‹").replace(">", "›")
    line = _READ_LATER.sub(rf"\g<0>{BREAK}", line)
    return line if len(line) <= LONGEST_TITLE else f"{line[: LONGEST_TITLE - 1]}…"


def _items(items: Sequence[Item], theme: Theme) -> Iterator[str]:
    for item in items:
        if isinstance(item, Box):
            yield _box(item, theme)
        else:
            assert isinstance(item, Frame), "the scene is resolved"
            name = _signed(item, theme)
            yield f'subgraph {item.id}["{escaped(name, LONGEST)}{SPACE * (len(name[:LONGEST]) // 2 + 2)}"]'
            yield from (f"  {line}" for line in _items(item.items, theme))
            yield "end"


def _box(box: Box, theme: Theme) -> str:
    opening, closing = CIRCLE if box.small else SHAPES[box.look]
    rows = [f"{row.weight} · {row.text}" if row.weight else f"= {row.text}" for row in box.rows]
    lines = [escaped(_signed(box, theme), LONGEST), *(escaped(line) for line in (*box.notes, *rows))]
    return f'{box.id}{opening}"{LINE.join(lines)}"{closing}:::{_class(box.look)}'


def _signed(part: Box | Frame, theme: Theme) -> str:
    return part.name if part.change is None else f"{theme.marks[part.change].sign}{part.name}"


def _wire(wire: Wire, tree: bool) -> str:
    line = "---" if tree else "-->"
    text = f'|"{escaped(wire.text)}"|' if clean(wire.text) else ""
    return f"{wire.source} {line}{text} {wire.target}"


def _joined(wires: Iterable[Wire]) -> Iterator[Wire]:
    """Those from different rows of a box to the same box are one; it has their text where they agree in it."""
    found: dict[tuple[object, ...], list[Wire]] = {}
    for number, wire in enumerate(wires):
        key = number if wire.row is None else (wire.source, wire.target, wire.change)
        found.setdefault((key,), []).append(wire)
    for same in found.values():
        texts = {wire.text for wire in same}
        yield same[0] if len(texts) == 1 else replace(same[0], text="")


def _class(kind: Look | Change) -> str:
    return "ends" if kind is Look.END else kind.value


def _classes(scene: Scene, theme: Theme) -> Iterator[str]:
    """Looks first, so that a change has the last word."""
    shown = list(boxes(scene.items))
    for look in Look:
        if any(box.look is look for box in shown):
            yield f"classDef {_class(look)} {_look(theme.looks[look], look, theme)}"
    parts: list[Box | Frame] = [*shown, *_frames(scene.items)]
    for change in Change:
        ids = [part.id for part in parts if part.change is change]
        if ids:
            mark = theme.marks[change]
            fill = {"fill": theme.background} if change is Change.KEPT else {}
            yield f"classDef {_class(change)} {_css({**fill, 'stroke': mark.line, **_stroke(mark.style)})}"
            yield f"class {','.join(ids)} {_class(change)}"


def _look(style: Style, look: Look, theme: Theme) -> str:
    lines = {"text-align": "left"} if look in (Look.RULE, Look.MACRO) else {}
    return _css({"fill": style.fill, "stroke": style.line, "color": theme.ink, **_stroke(style.style), **lines})


def _stroke(style: str) -> dict[str, str]:
    return {name: value for word in style.split(",") for name, value in STROKES.get(word, {}).items()}


def _css(values: Mapping[str, str]) -> str:
    return ",".join(f"{name}:{value}" for name, value in values.items())


def _frames(items: Sequence[Item]) -> Iterator[Frame]:
    for item in items:
        if isinstance(item, Frame):
            yield item
            yield from _frames(item.items)


def _heats(scene: Scene, theme: Theme) -> Iterator[str]:
    for box in boxes(scene.items):
        if box.heat is not None:
            yield f"style {box.id} fill:{blend(theme.heat, box.heat)}"


def _changed_wires(wires: Sequence[Wire], theme: Theme) -> Iterator[str]:
    for change in Change:
        numbers = [str(number) for number, wire in enumerate(wires) if wire.change is change]
        if numbers:
            mark = theme.marks[change]
            yield f"linkStyle {','.join(numbers)} {_css({'stroke': mark.line, **_stroke(mark.style)})}"
