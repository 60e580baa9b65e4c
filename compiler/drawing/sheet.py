"""A contact sheet: many small pictures with a caption each, in a grid, as one SVG, one HTML page or one PNG."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from math import ceil, sqrt
from urllib.parse import quote

from ein.compiler.drawing.texts import clean
from ein.compiler.drawing.theme import FONT, Theme

WIDTH, HEIGHT = 220, 200
"""Of one picture, in points."""
CAPTION = 30
GAP = 14
HEAD = 34
PIXELS = 2
"""Of a PNG, for each point."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture: `data` is an SVG, or a PNG for a sheet that is one; `link` is the file of a larger picture beside
    the sheet."""

    name: str
    note: str
    data: bytes
    link: str = ""


def address(file: str) -> str:
    """The name of a file as a relative address, which `javascript:` and `#` cannot make another one."""
    return quote(os.fsencode(file), safe="")


def columns(count: int) -> int:
    """As many as make the sheet about as wide as a screen is to its height."""
    return max(1, ceil(sqrt(1.4 * count)))


def sheet_svg(entries: Sequence[Entry], title: str, theme: Theme) -> str:
    """The grid as one picture; text stays text."""
    wide = columns(len(entries))
    high = ceil(len(entries) / wide)
    width, height = wide * (WIDTH + GAP) + GAP, HEAD + high * (HEIGHT + CAPTION + GAP)
    cells = [
        _cell(entry, GAP + i % wide * (WIDTH + GAP), HEAD + i // wide * (HEIGHT + CAPTION + GAP), theme)
        for i, entry in enumerate(entries)
    ]
    said = escape(clean(title))
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}pt" height="{height}pt"'
            f' viewBox="0 0 {width} {height}" role="img" aria-label="{said}">',
            f"<title>{said}</title>",
            f'<rect width="100%" height="100%" fill="{theme.background}"/>',
            _text(GAP, 22, clean(title), 13, theme.ink, bold=True),
            *cells,
            "</svg>",
            "",
        ]
    )


def _cell(entry: Entry, x: float, y: float, theme: Theme) -> str:
    lines = [
        f'<g><rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT + CAPTION}" fill="none" stroke="{theme.frame}"/>',
        inset(entry, x + 4, y + 4, WIDTH - 8, HEIGHT - 8),
        _text(x + 6, y + HEIGHT + 10, _cut(entry.name, 40), 9, theme.ink, bold=True),
        _text(x + 6, y + HEIGHT + 22, _cut(entry.note, 46), 8, theme.faint),
        "</g>",
    ]
    cell = "\n".join(lines)
    return f'<a href="{address(entry.link)}">{cell}</a>' if entry.link else cell


_SVG = re.compile(r"<svg[^>]*?viewBox=\"([-0-9. ]+)\"[^>]*>(.*)</svg>", re.DOTALL)
_IDS = re.compile(r' id="[^"]*"')


def inset(entry: Entry, x: float, y: float, width: float, height: float) -> str:
    """An SVG of Graphviz inside another, scaled to fit, without its ids, which other pictures have too."""
    found = _SVG.search(entry.data.decode())
    if found is None:
        return ""
    place = f'x="{x}" y="{y}" width="{width}" height="{height}" viewBox="{found[1]}"'
    return f'<svg {place} preserveAspectRatio="xMidYMid meet">{_IDS.sub("", found[2])}</svg>'


def _text(x: float, y: float, text: str, size: int, fill: str, bold: bool = False) -> str:
    weight = ' font-weight="bold"' * bold
    return f'<text x="{x}" y="{y}" font-family="{FONT}" font-size="{size}"{weight} fill="{fill}">{escape(text)}</text>'


def _cut(text: str, longest: int) -> str:
    line = clean(text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def sheet_html(entries: Sequence[Entry], title: str, theme: Theme) -> str:
    """The grid as a page that fits its columns to the window; nothing in it runs."""
    said = escape(clean(title))
    style = (
        f"body{{margin:16px;font:13px {FONT};color:{theme.ink};background:{theme.background}}}"
        f"main{{display:grid;grid-template-columns:repeat(auto-fill,minmax({WIDTH}px,1fr));gap:{GAP}px}}"
        f"figure{{margin:0;border:1px solid {theme.frame};padding:6px}}svg{{width:100%;height:{HEIGHT}px}}"
        f"figcaption{{overflow-wrap:anywhere}}small{{color:{theme.faint}}}a{{color:inherit;text-decoration:none}}"
    )
    lines = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{said}</title>',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f'<meta name="viewport" content="width=device-width"><style>{style}</style></head>',
        f"<body><h1>{said}</h1><main>",
    ]
    for entry in entries:
        caption = (
            f"<figcaption><b>{escape(clean(entry.name))}</b><br><small>{escape(clean(entry.note))}</small></figcaption>"
        )
        figure = f"<figure>{inset(entry, 0, 0, WIDTH, HEIGHT)}{caption}</figure>"
        lines.append(f'<a href="{address(entry.link)}">{figure}</a>' if entry.link else figure)
    return "\n".join([*lines, "</main></body></html>", ""])


def sheet_png(entries: Sequence[Entry], title: str, theme: Theme) -> bytes:
    """The grid of PNGs, at PIXELS for each point."""
    from PIL import Image, ImageDraw, ImageFont

    wide = columns(len(entries))
    high = ceil(len(entries) / wide)
    size = (wide * (WIDTH + GAP) + GAP, HEAD + high * (HEIGHT + CAPTION + GAP))
    sheet = Image.new("RGB", (size[0] * PIXELS, size[1] * PIXELS), theme.background)
    pen = ImageDraw.Draw(sheet)
    fonts = {points: ImageFont.load_default(points * PIXELS) for points in (13, 9, 8)}

    def write(x: float, y: float, text: str, points: int, fill: str) -> None:
        pen.text((x * PIXELS, y * PIXELS), text, fill=fill, font=fonts[points])

    write(GAP, 10, clean(title), 13, theme.ink)
    for i, entry in enumerate(entries):
        x, y = GAP + i % wide * (WIDTH + GAP), HEAD + i // wide * (HEIGHT + CAPTION + GAP)
        corners = [(x * PIXELS, y * PIXELS), ((x + WIDTH) * PIXELS, (y + HEIGHT + CAPTION) * PIXELS)]
        pen.rectangle(corners, outline=theme.frame)
        with Image.open(BytesIO(entry.data)) as picture:
            room = ((WIDTH - 8) * PIXELS, (HEIGHT - 8) * PIXELS)
            small = picture.convert("RGB")
            small.thumbnail(room, Image.Resampling.LANCZOS)
        at = (int((x + 4) * PIXELS + (room[0] - small.width) / 2), int((y + 4) * PIXELS + (room[1] - small.height) / 2))
        sheet.paste(small, at)
        write(x + 6, y + HEIGHT + 1, _cut(entry.name, 40), 9, theme.ink)
        write(x + 6, y + HEIGHT + 14, _cut(entry.note, 46), 8, theme.faint)
    out = BytesIO()
    sheet.save(out, "PNG")
    return out.getvalue()
