"""A scene as one HTML page, which lays itself out and reaches for nothing outside itself."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from string import Template

from ein.compiler.drawing.page_data import scene_json
from ein.compiler.drawing.scene import Scene
from ein.compiler.drawing.texts import clean

STYLES = ("light", "dark", "paper")
ASSETS = Path(__file__).parent / "assets"
SCRIPTS = (
    "text", "themes", "scene", "visible", "measure", "wiring", "ranks", "order", "align", "straighten", "level",
    "columns", "layout", "paths", "draw", "legend", "camera", "details", "search", "save", "page",
)  # fmt: skip
"""in the order in which they stand in the page, as one module"""


def write_page(scene: Scene, *, style: str = "light", source: str = "") -> str:
    """The HTML, the same for the same scene. `source` is the text of the grammar, which the page shows on demand.

    Raises ValueError for a style that is not one of STYLES.
    """
    if style not in STYLES:
        raise ValueError(f"style must be one of {', '.join(STYLES)}, got {style!r}")
    script, sheet = _script(), _asset("page.css")
    return Template(_asset("page.html")).substitute(
        policy=f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(sheet)}; "
        "base-uri 'none'; form-action 'none'",
        style=style,
        title=escape(clean(scene.title)),
        summary=escape(clean(scene.summary)),
        sheet=sheet,
        script=script,
        scene=scene_json(scene, source),
    )


@cache
def _asset(name: str) -> str:
    return (ASSETS / name).read_text("utf-8")


@cache
def _script() -> str:
    return "\n".join(_asset(f"{name}.js") for name in SCRIPTS)


def _hash(text: str) -> str:
    """Of an inline script or style, as a Content-Security-Policy names it."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
