"""Pictures of derivations and operation graphs: DOT, SVG, PNG and PDF."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from ein.compiler.draw_derivation import derivation_picture
from ein.compiler.draw_dot import Picture, finish_svg
from ein.compiler.draw_graph import graph_picture
from ein.compiler.graph import OpGraph
from ein.compiler.layout import LayoutError, render
from ein.compiler.lower import lower
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.term import TypedTerm

__all__ = ["DPI", "SUFFIXES", "VIEWS", "Drawable", "draw", "picture", "to_dot", "to_png", "to_svg"]

Drawable: TypeAlias = "OpGraph | Derivation | TypedTerm"
VIEWS = ("graph", "derivation")
SUFFIXES = (".svg", ".png", ".pdf", ".dot")
DPI = 192
"""Of a PNG at scale 1: two pixels for each one of a screen at 96 dpi."""
MAX_SCALE = 10


def draw(
    what: Drawable,
    path: str | os.PathLike[str],
    *,
    view: str | None = None,
    title: str = "",
    direction: str | None = None,
    scale: float = 1,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Writes the picture in the form that the path ends in, and returns the path written.

    Where nothing can lay it out, the DOT text is written beside it instead, and `say` (by default a
    Python warning) gets one line on why and what to install. Raises ValueError for a wrong argument,
    OSError where the file cannot be written.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"path must end in one of {', '.join(SUFFIXES)}, got {os.fspath(path)!r}")
    made = picture(what, view=view, title=title, direction=direction)
    dpi = _dpi(scale)
    try:
        data = made.dot.encode() if suffix == ".dot" else _rendered(made, suffix[1:], dpi)
    except LayoutError as error:
        target = target.with_suffix(".dot")
        data = made.dot.encode()
        _tell(say, f"no picture, {target} holds its DOT text: {error}")
    target.write_bytes(data)
    return target


def to_dot(what: Drawable, *, view: str | None = None, title: str = "", direction: str | None = None) -> str:
    """The DOT text; the same for the same network, whatever the machine."""
    return picture(what, view=view, title=title, direction=direction).dot


def to_svg(what: Drawable, *, view: str | None = None, title: str = "", direction: str | None = None) -> str:
    """The SVG, with text as text. Raises `layout.LayoutError` where nothing can lay it out."""
    return _rendered(picture(what, view=view, title=title, direction=direction), "svg", DPI).decode()


def to_png(
    what: Drawable, *, view: str | None = None, title: str = "", direction: str | None = None, scale: float = 1
) -> bytes:
    """The PNG at `scale` * DPI. Raises `layout.LayoutError` where nothing can lay it out."""
    return _rendered(picture(what, view=view, title=title, direction=direction), "png", _dpi(scale))


def picture(what: Drawable, *, view: str | None = None, title: str = "", direction: str | None = None) -> Picture:
    """The picture before layout. `view` is graph (the default) or derivation, `direction` TB or LR."""
    if view not in (None, *VIEWS):
        raise ValueError(f"view must be one of {', '.join(VIEWS)}, got {view!r}")
    if direction not in (None, "TB", "LR"):
        raise ValueError(f"direction must be TB or LR, got {direction!r}")
    if isinstance(what, OpGraph):
        if view == "derivation":
            raise ValueError("view must be graph for an operation graph, which no longer has its derivation")
        return graph_picture(what, title, direction)
    term = what.term if isinstance(what, Derivation) else what
    title = title or (what.id if isinstance(what, Derivation) else "")
    if view == "derivation":
        return derivation_picture(term, title, direction)
    return graph_picture(lower(term), title, direction)


def _rendered(made: Picture, format: str, dpi: int) -> bytes:
    data = render(made.dot, format, dpi=dpi if format == "png" else None)
    return finish_svg(data.decode(), made).encode() if format == "svg" else data


def _dpi(scale: float) -> int:
    if not 0.1 <= scale <= MAX_SCALE:
        raise ValueError(f"scale must be from 0.1 to {MAX_SCALE}, got {scale!r}")
    return round(DPI * scale)


def _tell(say: Callable[[str], None] | None, line: str) -> None:
    if say is None:
        warnings.warn(line, stacklevel=3)
    else:
        say(line)
