"""A scene as DOT text.

Names and strings of a grammar reach DOT through `markup` alone, inside HTML-like labels; identifiers are ours (`n7`).
So no name can end a string, open a tag, or be read as one of Graphviz's escapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from ein.compiler.drawing.ranks import spine
from ein.compiler.drawing.scene import Box, Change, Frame, Item, Look, Row, Scene, Wire, boxes
from ein.compiler.drawing.texts import clean
from ein.compiler.drawing.theme import FONT, Style, Theme, blend

LONGEST = 56
"""Characters of a line of a label; the rest is in the hover text."""
LONGEST_ROW = 88
HEAT_STEPS = 5


def write_dot(scene: Scene, theme: Theme, heading: bool = True) -> str:
    """The digraph of a scene that `folding.resolved` has freed of runs and folded frames; without `heading` it has
    neither title nor legend."""
    return _Writer(scene, theme).text(heading)


def markup(text: str, longest: int = LONGEST) -> str:
    """`text` for an HTML-like label, cut to `longest` characters; never empty, which Graphviz refuses."""
    line = clean(text) or "\u00a0"
    cut = line if len(line) <= longest else f"{line[: longest - 1]}…"
    return escape(cut).replace("\\", "\\\\")  # in HTML-like labels too, \N is the name of the node


def bold(text: str) -> str:
    return f"<b>{markup(text)}</b>"


def label(*lines: str) -> str:
    """An HTML-like label of lines that are markup already; rows of a table, as `<br/>` lets them touch."""
    if len(lines) == 1:
        return f"<{lines[0]}>"
    rows = "".join(f"<tr><td>{line}</td></tr>" for line in lines)
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="0">{rows}</table>>'


def attributes(**values: str) -> str:
    """`[shape="box", label=<…>]`; a value that starts with `<` is a label. Values are ours or markup."""
    parts = (f"{name}={value}" if value[:1] == "<" else f'{name}="{value}"' for name, value in values.items())
    return f"[{', '.join(parts)}]"


class _Writer:
    def __init__(self, scene: Scene, theme: Theme) -> None:
        self.scene = scene
        self.theme = theme

    def text(self, heading: bool) -> str:
        theme, gap = self.theme, self.theme.gap
        spaces = (0.12, 0.3) if self.scene.tree else (0.25, 0.22)
        looks = {"ordering": "out"} if self.scene.tree else {}
        looks |= {"label": self._heading()} if heading else {}
        graph = attributes(
            rankdir=self.scene.direction, labelloc="t", labeljust="l", bgcolor=theme.background, pad="0.15",
            fontcolor=theme.ink, fontname=FONT, nodesep=f"{spaces[0] * gap:.2f}", ranksep=f"{spaces[1] * gap:.2f}",
            **looks,
        )  # fmt: skip
        margin = f"{0.12 * gap:.2f},{0.06 * gap:.2f}"
        nodes = attributes(
            fontname=FONT, fontsize=str(theme.text), fontcolor=theme.ink, margin=margin, height=f"{0.3 * gap:.2f}",
            shape="box", penwidth=f"{1.2 * gap:.2f}",
        )  # fmt: skip
        edges = attributes(
            fontname=FONT, fontsize=str(theme.small), fontcolor=theme.faint, color=theme.wire, arrowsize="0.6",
            penwidth=f"{max(gap, 0.7):.2f}", **({"arrowhead": "none"} if self.scene.tree else {}),
        )  # fmt: skip
        straight = set() if self.scene.tree else spine(self.scene.wires)
        body = [*self._items(self.scene.items), *(self._wire(wire, wire in straight) for wire in self.scene.wires)]
        lines = [f"graph {graph}", f"node {nodes}", f"edge {edges}", *body]
        return "\n".join(["digraph {", *(f"  {line}" for line in lines), "}", ""])

    def _small(self, text: str, longest: int = LONGEST, filled: bool = False) -> str:
        """`filled`: by an amount, on which faint text could not be read."""
        return self._font(markup(text, longest), self.theme.small, self.theme.ink if filled else self.theme.faint)

    def _font(self, marked: str, size: int, colour: str) -> str:
        return f'<font point-size="{size}" color="{colour}">{marked}</font>'

    def _items(self, items: Sequence[Item]) -> Iterator[str]:
        for item in items:
            if isinstance(item, Box):
                yield self._box(item)
            else:
                assert isinstance(item, Frame), "resolve the scene first"
                yield from self._frame(item)

    def _frame(self, frame: Frame) -> Iterator[str]:
        line = self.theme.frame if frame.change in (None, Change.KEPT) else self.theme.marks[frame.change].line
        looks = attributes(
            label=self._frame_label(self._signed(frame)), labeljust="l", style="rounded", color=line,
            margin=f"{8 * self.theme.gap:.0f}",
        )  # fmt: skip
        yield f"subgraph cluster_{frame.id} {{ graph {looks}"
        yield from (f"  {line}" for line in self._items(frame.items))
        yield "}"

    def _frame_label(self, name: str) -> str:
        """Down the middle of a frame often goes a wire, so its name keeps to the left half."""
        if self.scene.direction == "LR" or not name:
            return label(self._small(name))
        width = 2 * self._width(min(len(clean(name)), LONGEST)) + 8
        cell = f'<td width="{width:.0f}" align="left">{self._small(name)}</td>'
        return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="0"><tr>{cell}</tr></table>>'

    def _width(self, letters: int) -> float:
        """Points that so many letters of small print take, rather more than less."""
        return 0.58 * self.theme.small * letters

    def _box(self, box: Box) -> str:
        style = self._style(box)
        looks = {"style": style.style, "fillcolor": style.fill, "color": style.line}
        if box.change not in (None, Change.KEPT):
            looks["penwidth"] = "2.2"
        if box.look is Look.FOLDED:
            looks["peripheries"] = "2"
        if box.look is Look.END:
            looks["penwidth"] = f"{2 * self.theme.gap:.2f}"
        if box.small or box.look is Look.JOINT:
            looks |= {
                "margin": "0.02",
                "width": f"{0.25 * self.theme.gap:.2f}",
                "height": f"{0.2 * self.theme.gap:.2f}",
            }
        if box.small:
            size = f"{0.26 * self.theme.gap:.2f}"
            looks |= {"shape": "circle", "width": size, "height": size, "fixedsize": "true"}
            return f"{box.id} {attributes(label=label(self._bold(box)), **looks)}"
        if box.rows:
            looks |= {"margin": "0.04", "style": looks["style"].replace("rounded", "solid")}
            return f"{box.id} {attributes(label=self._table(box), **looks)}"
        lines = [self._bold(box), *(self._small(note, filled=box.heat is not None) for note in box.notes)]
        return f"{box.id} {attributes(label=label(*lines), **looks)}"

    def _bold(self, box: Box) -> str:
        """The name; of what is kept it is faint."""
        if box.change is not Change.KEPT:
            return bold(self._signed(box))
        return f'<font color="{self.theme.faint}">{markup(self._signed(box))}</font>'

    def _style(self, box: Box) -> Style:
        style = self.theme.looks[box.look]
        if box.heat is not None:
            style = Style(blend(self.theme.heat, box.heat), style.line, style.style)
        if box.change is None:
            return style
        mark = self.theme.marks[box.change]
        fill = self.theme.background if box.change is Change.KEPT else style.fill
        return Style(fill, mark.line, ",".join(part for part in ("filled,rounded", mark.style) if part))

    def _signed(self, part: Box | Frame) -> str:
        return part.name if part.change is None else f"{self.theme.marks[part.change].sign}{part.name}"

    def _table(self, box: Box) -> str:
        """Name and notes above a line, rows below it: `r0`, `r1`, … are ports."""
        lines = [bold(self._signed(box)), *(self._small(note, LONGEST_ROW) for note in box.notes)]
        wide = any(row.weight for row in box.rows)
        span = 'colspan="2" ' * wide
        head = "".join(f'<tr><td {span}align="left">{line}</td></tr>' for line in lines)
        rows = "".join(self._row(at, row, wide) for at, row in enumerate(box.rows))
        return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="2">{head}<hr/>{rows}</table>>'

    def _row(self, at: int, row: Row, wide: bool) -> str:
        fill = blend((self.theme.looks[Look.RULE].fill, self.theme.looks[Look.COMPUTATION].line), row.share * 0.35)
        weight = f'<td align="right" bgcolor="{fill}">{self._small(row.weight, filled=True)}</td>' if wide else ""
        text = f'<font point-size="{self.theme.small}">{markup(row.text, LONGEST_ROW)}</font>'
        return f'<tr>{weight}<td align="left" port="r{at}">{text}</td></tr>'

    def _wire(self, wire: Wire, straight: bool) -> str:
        looks = {"weight": "6"} if straight else {}
        if wire.text:
            # the label stands right of its wire; no-break spaces keep it off the line
            looks["label"] = label(self._font(f"&#160;{markup(wire.text)}&#160;", self.theme.tiny, self.theme.faint))
        if wire.change is not None:
            mark = self.theme.marks[wire.change]
            looks |= {"color": mark.line, "style": mark.style or "solid"}
            if wire.change is not Change.KEPT:
                looks["penwidth"] = f"{1.8 * self.theme.gap:.2f}"
        source = wire.source if wire.row is None else f"{wire.source}:r{wire.row}:e"
        return f"{source} -> {wire.target}{f' {attributes(**looks)}' if looks else ''}"

    def _heading(self) -> str:
        """Title, a line in small print, and a swatch with a name for each look."""
        title = f'<font point-size="{self.theme.text + 2}">{bold(self.scene.title)}</font>'
        lines = [title, self._small(self.scene.subtitle, longest=160), *self._legend()]
        rows = "".join(f'<tr><td align="left">{line}</td></tr>' for line in lines)
        return f'<<table border="0" cellspacing="0" cellpadding="2">{rows}</table>>'

    def _legend(self) -> Iterator[str]:
        if self.scene.heat:
            name, low, high = self.scene.heat
            fills = [blend(self.theme.heat, step / (HEAT_STEPS - 1)) for step in range(HEAT_STEPS)]
            cells = "".join(self._swatch(Style(fill, self.theme.ink)) for fill in fills)
            texts = [f"{name}: {low}", high]
            yield self._line(
                f"<td>{self._small(texts[0])}</td>{cells}<td>{self._small(texts[1])}</td>", texts, HEAT_STEPS
            )
            return
        styles = self._changes() if self.scene.changes else self._looks()
        if styles:
            gap = '<td width="6" height="11" fixedsize="true"></td>'
            cells = "".join(f"{self._swatch(style)}<td>{self._small(name)}</td>{gap}" for name, style in styles.items())
            yield self._line(cells, list(styles), len(styles))

    def _looks(self) -> dict[str, Style]:
        """Those that need a word: not ends and joints, nor rules where all boxes are rules."""
        used = {box.look for box in boxes(self.scene.items)} - {Look.JOINT, Look.END}
        return {look.value: self.theme.looks[look] for look in Look if look in used and used != {Look.RULE}}

    def _changes(self) -> dict[str, Style]:
        """With how many operators each befell; what only befell wires too."""
        counts = dict(self.scene.changes)
        seen = {wire.change for wire in self.scene.wires}
        found = {}
        for change in Change:
            if change in counts or (change in seen and change is not Change.KEPT):
                mark = self.theme.marks[change]
                words = f"{counts[change]:,} {change.value}" if change in counts else f"wires {change.value}"
                found[f"{mark.sign}{words}"] = Style(self.theme.background, mark.line, mark.style)
        return found

    def _line(self, cells: str, texts: Sequence[str], swatches: int) -> str:
        """One line, of a fixed width because Graphviz would stretch it to that of the title."""
        width = sum(self.theme.small * 0.72 * len(text) for text in texts) + swatches * 34
        size = f'width="{width:.0f}" height="20" fixedsize="true" align="left"'
        return f'<table border="0" cellborder="0" cellspacing="3" cellpadding="0" {size}><tr>{cells}</tr></table>'

    def _swatch(self, style: Style) -> str:
        broken = next((f' style="{name}"' for name in ("dashed", "dotted") if name in style.style), "")
        border = 2 if "bold" in style.style.split(",")[:1] else 1
        looks = f'border="{border}" color="{style.line}" bgcolor="{style.fill}"{broken}'
        return f'<td {looks} width="16" height="11" fixedsize="true"></td>'
