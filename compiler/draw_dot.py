"""The parts of a picture's DOT text: escaped text, labels, nodes, edges; the style of all pictures.

Names and strings of a grammar reach DOT through `markup` alone, inside HTML-like labels, and SVG
through `finish_svg`; identifiers are ours (`n7`). So no name can end a string, open a tag, or be
read as one of Graphviz's escapes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

FONT = "Helvetica,Arial,sans-serif"
INK = "#1a1a1a"
FAINT = "#595959"
"""Small print; 7:1 against white."""
SMALL = 9
LONGEST = 56
"""Characters of a line of a label; the rest is in the hover text."""


@dataclass(frozen=True, slots=True)
class Style:
    """How a box looks. Groups differ in line and lightness too, for print without colour."""

    fill: str
    line: str
    style: str = "filled,rounded"
    shape: str = "box"


@dataclass(frozen=True, slots=True)
class Picture:
    """DOT text, and what Graphviz cannot carry: title, a sentence for screen readers, a hover text per id."""

    dot: str
    title: str
    summary: str
    hover: Mapping[str, str]


def clean(text: str) -> str:
    """One line of characters that may stand in XML: white space becomes a space, other controls U+FFFD."""
    return "".join("\ufffd" if unicodedata.category(c)[0] == "C" else c for c in " ".join(text.split()))


def markup(text: str, longest: int = LONGEST) -> str:
    """`text` for an HTML-like label, cut to `longest` characters; never empty, which Graphviz refuses."""
    line = clean(text) or "\u00a0"
    cut = line if len(line) <= longest else f"{line[: longest - 1]}…"
    return escape(cut).replace("\\", "\\\\")  # in HTML-like labels too, \N is the name of the node


def bold(text: str) -> str:
    return f"<b>{markup(text)}</b>"


def small(text: str, longest: int = LONGEST) -> str:
    return f'<font point-size="{SMALL}" color="{FAINT}">{markup(text, longest)}</font>'


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


def node(id: str, text: str, style: Style, **more: str) -> str:
    looks = {"shape": style.shape, "style": style.style, "fillcolor": style.fill, "color": style.line}
    return f"{id} {attributes(label=text, **looks, **more)}"


def heading(title: str, subtitle: str, legend: Sequence[tuple[str, Style]]) -> str:
    """The label of a whole picture: title, a line in small print, and a swatch with a name for each style."""
    lines = [f'<font point-size="13">{bold(title)}</font>', small(subtitle, longest=160)]
    rows = "".join(f'<tr><td align="left">{line}</td></tr>' for line in [*lines, *_swatches(legend)])
    return f'<<table border="0" cellspacing="0" cellpadding="2">{rows}</table>>'


def _swatches(legend: Sequence[tuple[str, Style]]) -> list[str]:
    """One line, of a fixed width because Graphviz would stretch it to that of the title."""
    if not legend:
        return []
    gap = '<td width="6" height="11" fixedsize="true"></td>'
    cells = "".join(f"{_swatch(style)}<td>{small(name)}</td>{gap}" for name, style in legend)
    width = sum(40 + 7 * len(name) for name, _ in legend)
    size = f'width="{width}" height="20" fixedsize="true" align="left"'
    return [f'<table border="0" cellborder="0" cellspacing="3" cellpadding="0" {size}><tr>{cells}</tr></table>']


def _swatch(style: Style) -> str:
    dashed = ' style="dashed"' if "dashed" in style.style else ""
    looks = f'border="1" color="{style.line}" bgcolor="{style.fill}"{dashed}'
    return f'<td {looks} width="16" height="11" fixedsize="true"></td>'


def document(head: str, direction: str, body: Sequence[str], **graph: str) -> str:
    """The text of a whole digraph; `direction` is TB or LR."""
    looks = attributes(
        rankdir=direction, label=head, labelloc="t", labeljust="l", bgcolor="white", pad="0.15", fontcolor=INK,
        fontname=FONT, **graph,
    )  # fmt: skip
    nodes = attributes(fontname=FONT, fontsize="11", fontcolor=INK, margin="0.12,0.06", height="0.3", penwidth="1.2")
    edges = attributes(fontname=FONT, fontsize=str(SMALL), fontcolor=FAINT, color="#4d4d4d", arrowsize="0.6")
    lines = [f"graph {looks}", f"node {nodes}", f"edge {edges}", *body]
    return "\n".join(["digraph {", *(f"  {line}" for line in lines), "}", ""])


_TITLE = re.compile(r"<title>([^<]*)</title>\n?")
_NOISE = re.compile(r"<!--.*?-->\n?|<!DOCTYPE.*?>\n?", re.DOTALL)


def finish_svg(svg: str, picture: Picture) -> str:
    """Graphviz's SVG with a name for screen readers, hover texts instead of ids, and no comments."""

    def hover(found: re.Match[str]) -> str:
        text = picture.hover.get(found[1].replace("&#45;", "-").replace("&gt;", ">"), "")
        return f"<title>{escape(clean(text))}</title>\n" if text else ""

    title, summary = escape(clean(picture.title)), escape(clean(picture.summary))
    body = _TITLE.sub(hover, _NOISE.sub("", svg))
    names = f'role="img" aria-label="{title}. {summary}"'
    start, end = body.index("<svg"), body.index(">", body.index("<svg")) + 1
    opening = f"{body[start : end - 1]} {names}>\n<title>{title}</title>\n<desc>{summary}</desc>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{opening}{body[end:]}'
