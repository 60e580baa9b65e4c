"""How pictures look: colours, lines and sizes, for a screen (light, dark) and for paper (black and white, small).

The hues are those of Okabe and Ito. Groups differ in lightness or line too, so that no meaning hangs on colour alone;
text keeps a contrast of 4.5 : 1 or more against what it stands on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ein.compiler.drawing.scene import Change, Look

FONT = "Helvetica,Arial,sans-serif"


@dataclass(frozen=True, slots=True)
class Style:
    """How a box looks; `style` is Graphviz's."""

    fill: str
    line: str
    style: str = "filled,rounded"


@dataclass(frozen=True, slots=True)
class Mark:
    """How a change looks: the line, and a sign before the name."""

    line: str
    style: str
    sign: str


@dataclass(frozen=True, slots=True)
class Theme:
    """Sizes in points."""

    background: str
    ink: str
    faint: str
    """small print"""
    wire: str
    frame: str
    """the line of a frame"""
    looks: Mapping[Look, Style]
    marks: Mapping[Change, Mark]
    heat: tuple[str, str]
    """the fills of the coldest and the hottest box; they bear `ink`, also as small print"""
    text: int = 11
    small: int = 9
    tiny: int = 8
    """shapes on wires"""
    gap: float = 1.0
    """scales the space between boxes"""


LIGHT = Theme(
    background="#ffffff",
    ink="#1a1a1a",
    faint="#595959",
    wire="#4d4d4d",
    frame="#b0b0b0",
    looks={
        Look.BRANCHING: Style("#fde3b0", "#9a6500"),
        Look.AGGREGATION: Style("#a9dcca", "#00634a"),
        Look.ROUTING: Style("#f4f4f4", "#5c5c5c", "filled,rounded,dashed"),
        Look.COMPUTATION: Style("#d3e8f7", "#005a94"),
        Look.END: Style("#e2e2e2", "#1a1a1a"),
        Look.RULE: Style("#ffffff", "#1a1a1a"),
        Look.MACRO: Style("#ffffff", "#7a7a7a", "filled,rounded,dashed"),
        Look.JOINT: Style("#ffffff", "#ffffff", "filled"),
        Look.FOLDED: Style("#efeaf4", "#5d3f78"),
    },
    marks={
        Change.ADDED: Mark("#00634a", "bold", "+ "),
        Change.REMOVED: Mark("#b03a00", "dashed", "− "),
        Change.CHANGED: Mark("#9a6500", "bold", "± "),
        Change.KEPT: Mark("#b0b0b0", "", ""),
    },
    heat=("#ffffff", "#f2953a"),
)
DARK = Theme(
    background="#16191d",
    ink="#ececec",
    faint="#b4b8be",
    wire="#a9adb3",
    frame="#5a6068",
    looks={
        Look.BRANCHING: Style("#4a3608", "#e0a63a"),
        Look.AGGREGATION: Style("#0d3f31", "#46bd9a"),
        Look.ROUTING: Style("#25282d", "#8b9199", "filled,rounded,dashed"),
        Look.COMPUTATION: Style("#12354e", "#58abe2"),
        Look.END: Style("#363b42", "#c9cdd2"),
        Look.RULE: Style("#1f2328", "#dcdfe3"),
        Look.MACRO: Style("#1f2328", "#8b9199", "filled,rounded,dashed"),
        Look.JOINT: Style("#16191d", "#16191d", "filled"),
        Look.FOLDED: Style("#352a40", "#b794d6"),
    },
    marks={
        Change.ADDED: Mark("#46bd9a", "bold", "+ "),
        Change.REMOVED: Mark("#f08a5d", "dashed", "− "),
        Change.CHANGED: Mark("#e0a63a", "bold", "± "),
        Change.KEPT: Mark("#5a6068", "", ""),
    },
    heat=("#1f2328", "#a8480f"),
)
PAPER = Theme(
    background="#ffffff",
    ink="#000000",
    faint="#303030",
    wire="#000000",
    frame="#808080",
    looks={
        Look.BRANCHING: Style("#e4e4e4", "#000000", "filled"),
        Look.AGGREGATION: Style("#c6c6c6", "#000000"),
        Look.ROUTING: Style("#ffffff", "#000000", "filled,rounded,dashed"),
        Look.COMPUTATION: Style("#ffffff", "#000000"),
        Look.END: Style("#ffffff", "#000000", "filled,rounded,bold"),
        Look.RULE: Style("#ffffff", "#000000", "filled"),
        Look.MACRO: Style("#ffffff", "#000000", "filled,dashed"),
        Look.JOINT: Style("#ffffff", "#ffffff", "filled"),
        Look.FOLDED: Style("#ffffff", "#000000", "filled"),
    },
    marks={
        Change.ADDED: Mark("#000000", "bold", "+ "),
        Change.REMOVED: Mark("#000000", "dashed", "− "),
        Change.CHANGED: Mark("#000000", "dotted", "± "),
        Change.KEPT: Mark("#9a9a9a", "", ""),
    },
    heat=("#ffffff", "#9a9a9a"),
    text=8,
    small=6,
    tiny=6,
    gap=0.6,
)
THEMES = {"light": LIGHT, "dark": DARK, "paper": PAPER}


def blend(colours: tuple[str, str], share: float) -> str:
    """The colour at `share` of the way from the first to the second; `share` is 0 to 1."""
    low, high = (bytes.fromhex(colour[1:]) for colour in colours)
    return "#" + bytes(round(a + (b - a) * share) for a, b in zip(low, high, strict=True)).hex()
