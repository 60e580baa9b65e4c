"""Pictures of grammars, derivations and operation graphs, in all views and forms."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from ein.compiler.drawing.columns import in_columns
from ein.compiler.drawing.derivation_view import derivation_scene
from ein.compiler.drawing.difference_view import difference_scene
from ein.compiler.drawing.dot import write_dot
from ein.compiler.drawing.folding import DEEPEST, MOST, resolved, unfolded
from ein.compiler.drawing.grammar_view import grammar_scene
from ein.compiler.drawing.graph_view import graph_scene
from ein.compiler.drawing.layout import LayoutError, render_all
from ein.compiler.drawing.mermaid import write_mermaid
from ein.compiler.drawing.page import write_page
from ein.compiler.drawing.scene import Scene
from ein.compiler.drawing.svg import finished
from ein.compiler.drawing.texts import COSTS
from ein.compiler.drawing.theme import THEMES
from ein.compiler.emit import emit
from ein.compiler.graph import OpGraph
from ein.compiler.lower import lower
from ein.grammar.cfg import Grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.files import derivation_text
from ein.grammar.diagnostics import EinError
from ein.grammar.term import TypedTerm

Drawable: TypeAlias = "OpGraph | Derivation | TypedTerm | Grammar"
VIEWS = ("graph", "derivation", "grammar", "difference")
SUFFIXES = (".svg", ".png", ".pdf", ".html", ".dot", ".mmd")
DPI = 192
"""Of a PNG at scale 1: two pixels for each one of a screen at 96 dpi."""
MAX_SCALE = 10
DIRECTIONS = ("TB", "LR")


@dataclass(frozen=True, slots=True)
class Options:
    """What a picture shows and how.

    `view`: one of VIEWS; None is what suits. `against`: the second network of a difference. `direction`: TB (down) or
    LR (right); None is what suits. `style`: light, dark or paper. `costs`: those of params, macs and memory that stand
    in the boxes; `heat`: the one that fills them. `shapes`: types on the wires. `wires`: identities and clones are
    boxes. `unfold`: repeated parts are each drawn. `columns`: of a long chain; None is what suits. `depth`: frames
    inside each other. `most`: boxes from which frames fold. `heading`: title and legend. `scale`: of a PNG. A
    page folds and lays out by itself: it takes no `depth`, `columns` and `heading`. Raises
    ValueError for what is not one of the choices.
    """

    view: str | None = None
    against: Drawable | None = None
    title: str = ""
    direction: str | None = None
    style: str = "light"
    costs: tuple[str, ...] = ("params", "macs")
    heat: str | None = None
    shapes: bool = True
    wires: bool = False
    unfold: bool = False
    columns: int | None = None
    depth: int = DEEPEST
    most: int = MOST
    heading: bool = True
    scale: float = 1

    def __post_init__(self) -> None:
        _one_of("view", self.view, (None, *VIEWS))
        _one_of("direction", self.direction, (None, *DIRECTIONS))
        _one_of("style", self.style, tuple(THEMES))
        _one_of("heat", self.heat, (None, *COSTS))
        if not isinstance(self.costs, tuple | list):
            raise ValueError(f"costs must be a tuple of {', '.join(COSTS)}, got {self.costs!r}")
        for name in self.costs:
            _one_of("costs", name, COSTS)
        if not isinstance(self.scale, int | float) or not 0.1 <= self.scale <= MAX_SCALE:
            raise ValueError(f"scale must be from 0.1 to {MAX_SCALE}, got {self.scale!r}")
        _at_least("most", self.most, 1)
        _at_least("depth", self.depth, 0)
        if self.columns is not None:
            _at_least("columns", self.columns, 1)
        if self.heat is not None and self.against is not None:
            raise ValueError("heat must be None for a difference, whose colours say what changed")
        if (self.view == "difference") != (self.against is not None) and self.view is not None:
            raise ValueError("view must be difference where there is a second network (against), and only there")


def _one_of(name: str, value: str | None, choices: tuple[str | None, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(each for each in choices if each)}, got {value!r}")


def _at_least(name: str, value: int, least: int) -> None:
    if not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more, got {value!r}")


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
    [data] = drawn([what], suffix[1:], [options])
    if isinstance(data, LayoutError):
        target = target.with_suffix(".dot")
        _tell(say, f"no picture, {target} holds its DOT text: {data}")
        data = to_dot(what, options).encode()
    target.write_bytes(data)
    return target


def drawn(what: Sequence[Drawable], form: str, options: Sequence[Options]) -> list[bytes | LayoutError]:
    """Many pictures in a form: svg, png, pdf, html, dot or mmd. Only the first three need a layout, and only what
    cannot be laid out is an error; those of one scale are laid out together."""
    if form == "html":
        return [_page(*each).encode() for each in zip(what, options, strict=True)]
    scenes = [resolved(scene_of(one, each), each.depth) for one, each in zip(what, options, strict=True)]
    pairs = list(zip(scenes, options, strict=True))
    if form == "mmd":
        return [write_mermaid(scene, style=each.style).encode() for scene, each in pairs]
    scenes = [in_columns(scene, each.columns) for scene, each in pairs]
    dots = [write_dot(scene, THEMES[each.style], each.heading) for scene, (_, each) in zip(scenes, pairs, strict=True)]
    if form == "dot":
        return [dot.encode() for dot in dots]
    scale = options[0].scale if options else 1
    made = render_all(dots, form, dpi=round(DPI * scale) if form == "png" else None)
    if form != "svg":
        return made
    return [
        data if isinstance(data, LayoutError) else finished(data.decode(), scene).encode()
        for data, scene in zip(made, scenes, strict=True)
    ]


def _page(what: Drawable, options: Options) -> str:
    lines = _torch_lines(what) if options.view in (None, "graph") and options.against is None else None
    scene = scene_of(what, options, lines=lines)
    return write_page(scene, style=options.style, source=_source(what))


def _source(what: Drawable) -> str:
    """The file of a derivation; none for one that is nested deeper than a file can be."""
    if not isinstance(what, Derivation):
        return ""
    try:
        return derivation_text(what)
    except EinError:
        return ""


def to_dot(what: Drawable, options: Options = DEFAULT) -> str:
    """The DOT text; the same for the same network, whatever the machine."""
    return _one(what, "dot", options).decode()


def to_svg(what: Drawable, options: Options = DEFAULT) -> str:
    """The SVG, with text as text. Raises `layout.LayoutError` where nothing can lay it out."""
    return _one(what, "svg", options).decode()


def to_png(what: Drawable, options: Options = DEFAULT) -> bytes:
    """The PNG at `scale` * DPI. Raises `layout.LayoutError` where nothing can lay it out."""
    return _one(what, "png", options)


def _one(what: Drawable, form: str, options: Options) -> bytes:
    [data] = drawn([what], form, [options])
    if isinstance(data, LayoutError):
        raise data
    return data


def scene_of(what: Drawable, options: Options = DEFAULT, *, lines: Mapping[int, str] | None = None) -> Scene:
    """The picture before it is written in a form; `lines` are the torch source behind nodes of its graph."""
    scene = _scene(what, options, lines)
    if not options.shapes and not isinstance(what, Grammar):
        scene = replace(scene, wires=tuple(replace(wire, text="") for wire in scene.wires))
    return unfolded(scene) if options.unfold else scene


def _scene(what: Drawable, options: Options, lines: Mapping[int, str] | None) -> Scene:
    if isinstance(what, Grammar):
        if options.view not in (None, "grammar"):
            raise ValueError(f"view must be grammar for a grammar, got {options.view!r}")
        return grammar_scene(what, options.title, options.direction)
    if options.view == "grammar":
        raise ValueError("view must be graph, derivation or difference for a network, got 'grammar'")
    if isinstance(options.against, Grammar):
        raise ValueError("against must be a network, and it is a grammar")
    title = options.title or (what.id if isinstance(what, Derivation) else "")
    if options.against is not None:
        return difference_scene(
            what, options.against, options.title, options.direction,
            wires=options.wires, costs=options.costs, most=options.most,
        )  # fmt: skip
    term = what.term if isinstance(what, Derivation) else what
    if options.view != "derivation":
        graph = term if isinstance(term, OpGraph) else lower(term)
        return graph_scene(
            graph, title, options.direction, costs=options.costs, heat=options.heat, wires=options.wires,
            most=options.most, lines=lines,
        )  # fmt: skip
    if isinstance(term, OpGraph):
        raise ValueError("view must be graph for an operation graph, which no longer has its derivation")
    return derivation_scene(term, title, options.direction)


def _torch_lines(what: Drawable) -> dict[int, str]:
    """For each node of the graph of a network, the lines of its source."""
    if isinstance(what, Grammar):
        return {}
    graph = what if isinstance(what, OpGraph) else lower(what.term if isinstance(what, Derivation) else what)
    source = emit(graph)
    assert source.origins is not None
    text = source.splitlines()
    found: dict[int, list[str]] = {}
    for number, nodes in sorted(source.origins().lines.items()):
        for node in nodes:
            found.setdefault(node, []).append(text[number - 1].strip())
    return {node: "\n".join(lines) for node, lines in found.items()}


def _tell(say: Callable[[str], None] | None, line: str) -> None:
    if say is None:
        warnings.warn(line, stacklevel=3)
    else:
        say(line)
