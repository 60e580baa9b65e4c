"""What Graphviz's SVG lacks: a name for screen readers, and hover texts instead of ids."""

from __future__ import annotations

import re
from html import escape, unescape

from ein.compiler.drawing.scene import Box, Frame, Item, Scene
from ein.compiler.drawing.texts import clean

_TITLE = re.compile(r"<title>([^<]*)</title>\n?")
_NOISE = re.compile(r"<!--.*?-->\n?|<!DOCTYPE.*?>\n?", re.DOTALL)


def finished(svg: str, scene: Scene) -> str:
    """With title and description, a hover text for each box, frame and wire that has one, and no comments."""
    hovers = _hovers(scene)

    def hover(found: re.Match[str]) -> str:
        text = hovers.get(unescape(found[1]), "")
        return f"<title>{escape(clean(text))}</title>\n" if text else ""

    title, summary = escape(clean(scene.title)), escape(clean(scene.summary))
    body = _names_last(_TITLE.sub(hover, _NOISE.sub("", svg)))
    names = f'role="img" aria-label="{title}. {summary}"'
    start, end = body.index("<svg"), body.index(">", body.index("<svg")) + 1
    opening = f"{body[start : end - 1]} {names}>\n<title>{title}</title>\n<desc>{summary}</desc>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{opening}{body[end:]}'


_NAMED = re.compile(r'(<g id="[^"]*" class="(?:cluster|edge)">(?:(?!</g>).)*?)(<text [^>]*>[^<]*</text>\n)', re.DOTALL)


def _names_last(svg: str) -> str:
    """The names of frames and the shapes on wires above all wires, with a rim that keeps these off."""
    names: list[str] = []

    def without(found: re.Match[str]) -> str:
        names.append(found[2].replace("<text ", f'<text paint-order="stroke" stroke="{fill}" stroke-width="2" ', 1))
        return found[1]

    ground = re.search(r'<polygon fill="([^"]*)"', svg)
    fill = ground[1] if ground else "white"
    body = _NAMED.sub(without, svg)
    return body.replace("</g>\n</svg>", f"{''.join(names)}</g>\n</svg>") if names else svg


def _hovers(scene: Scene) -> dict[str, str]:
    """By Graphviz's names. Wires between the same two boxes share one, so their texts stand in one."""
    found: dict[str, list[str]] = {}
    stack: list[Item] = list(scene.items)
    while stack:
        item = stack.pop()
        if isinstance(item, Box | Frame):
            found[f"cluster_{item.id}" if isinstance(item, Frame) else item.id] = [item.hover]
        if not isinstance(item, Box):
            stack += item.items
    for wire in scene.wires:
        name = f"{wire.source}{'' if wire.row is None else f':r{wire.row}'}->{wire.target}"
        texts = found.setdefault(name, [])
        if wire.hover and wire.hover not in texts:
            texts.append(wire.hover)
    return {name: "; ".join(text for text in texts if text) for name, texts in found.items()}
