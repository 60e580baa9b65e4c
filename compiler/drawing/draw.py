"""Pictures of grammars, derivations and operation graphs in all forms."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ein.compiler.drawing.derivation_view import derivation_scene
from ein.compiler.drawing.dot import write_dot
from ein.compiler.drawing.folding import MOST, resolved, unfolded
from ein.compiler.drawing.graph_view import graph_scene
from ein.compiler.drawing.layout import LayoutError, render
from ein.compiler.drawing.scene import Scene
from ein.compiler.drawing.svg import finished
from ein.compiler.drawing.texts import COSTS
from ein.compiler.drawing.theme import THEMES
from ein.compiler.graph import OpGraph
from ein.compiler.lower import lower
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.term import TypedTerm

__all__ = ["DPI", "SUFFIXES", "VIEWS", "Drawable", "Options", "draw", "scene_of", "to_dot", "to_png", "to_svg"]

Drawable: TypeAlias = "OpGraph | Derivation | TypedTerm"
VIEWS = ("graph", "derivation")
SUFFIXES = (".svg", ".png", ".pdf", ".dot")
DPI = 192
"""Of a PNG at scale 1: two pixels for each one of a screen at 96 dpi."""
MAX_SCALE = 10
DIRECTIONS = ("TB", "LR")


@dataclass(frozen=True, slots=True)
class Options:
    """What a picture shows and how; raises ValueError for what is not one of the choices.

    `view`: graph or derivation; None is the graph. `direction`: TB (down) or LR (right); None is what suits. `style`:
    light, dark or paper. `costs`: those of params, macs and memory that stand in the boxes; `heat`: the one that fills
    them. `wires`: identities and clones are boxes. `unfold`: repeated parts are drawn each. `most`: boxes from which
    frames fold. `scale`: of a PNG.
    """

    view: str | None = None
    title: str = ""
    direction: str | None = None
    style: str = "light"
    costs: tuple[str, ...] = ("params", "macs")
    heat: str | None = None
    wires: bool = False
    unfold: bool = False
    most: int = MOST
    scale: float = 1

    def __post_init__(self) -> None:
        _one_of("view", self.view, (None, *VIEWS))
        _one_of("direction", self.direction, (None, *DIRECTIONS))
        _one_of("style", self.style, tuple(THEMES))
        _one_of("heat", self.heat, (None, *COSTS))
        for name in self.costs:
            _one_of("costs", name, COSTS)
        if not 0.1 <= self.scale <= MAX_SCALE:
            raise ValueError(f"scale must be from 0.1 to {MAX_SCALE}, got {self.scale!r}")
        if self.most < 1:
            raise ValueError(f"most must be 1 or more, got {self.most!r}")


def _one_of(name: str, value: str | None, choices: tuple[str | None, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(each for each in choices if each)}, got {value!r}")


DEFAULT = Options()


def draw(
    what: Drawable,
    path: str | os.PathLike[str],
    options: Options = DEFAULT,
    *,
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
    scene = scene_of(what, options)
    try:
        data = _written(scene, options, suffix[1:])
    except LayoutError as error:
        target = target.with_suffix(".dot")
        data = _written(scene, options, "dot")
        _tell(say, f"no picture, {target} holds its DOT text: {error}")
    target.write_bytes(data)
    return target


def to_dot(what: Drawable, options: Options = DEFAULT) -> str:
    """The DOT text; the same for the same network, whatever the machine."""
    return _written(scene_of(what, options), options, "dot").decode()


def to_svg(what: Drawable, options: Options = DEFAULT) -> str:
    """The SVG, with text as text. Raises `layout.LayoutError` where nothing can lay it out."""
    return _written(scene_of(what, options), options, "svg").decode()


def to_png(what: Drawable, options: Options = DEFAULT) -> bytes:
    """The PNG at `scale` * DPI. Raises `layout.LayoutError` where nothing can lay it out."""
    return _written(scene_of(what, options), options, "png")


def scene_of(what: Drawable, options: Options = DEFAULT) -> Scene:
    """The picture before it is written in a form."""
    scene = _scene(what, options)
    return unfolded(scene) if options.unfold else scene


def _scene(what: Drawable, options: Options) -> Scene:
    if isinstance(what, OpGraph) and options.view == "derivation":
        raise ValueError("view must be graph for an operation graph, which no longer has its derivation")
    title = options.title or (what.id if isinstance(what, Derivation) else "")
    term = what.term if isinstance(what, Derivation) else what
    if not isinstance(term, OpGraph) and options.view == "derivation":
        return derivation_scene(term, title, options.direction)
    return graph_scene(
        term if isinstance(term, OpGraph) else lower(term),
        title,
        options.direction,
        costs=options.costs,
        heat=options.heat,
        wires=options.wires,
        most=options.most,
    )


def _written(scene: Scene, options: Options, form: str) -> bytes:
    flat = resolved(scene)
    dot = write_dot(flat, THEMES[options.style])
    if form == "dot":
        return dot.encode()
    data = render(dot, form, dpi=round(DPI * options.scale) if form == "png" else None)
    return finished(data.decode(), flat).encode() if form == "svg" else data


def _tell(say: Callable[[str], None] | None, line: str) -> None:
    if say is None:
        warnings.warn(line, stacklevel=3)
    else:
        say(line)
