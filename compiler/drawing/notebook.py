"""What a notebook shows of a grammar, a derivation or a graph: its picture."""

from __future__ import annotations

from ein.compiler.drawing.draw import Drawable, Options, drawn
from ein.compiler.drawing.layout import LayoutError

MOST = 120
"""Boxes; larger networks show their parts folded."""


def bundle(what: Drawable) -> dict[str, str]:
    """The forms that a front end may choose from: text, and an SVG, or Mermaid text where nothing can lay it out."""
    options = Options(most=MOST)
    [picture] = drawn([what], "svg", [options])
    if isinstance(picture, bytes):
        return {"text/plain": repr(what), "image/svg+xml": picture.decode()}
    [text] = drawn([what], "mmd", [options])
    assert not isinstance(text, LayoutError)
    return {"text/plain": repr(what), "text/vnd.mermaid": text.decode()}
