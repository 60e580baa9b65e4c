"""Text can be read on what it stands on, in each style; groups and changes are told apart without colour."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from ein.compiler.drawing.dot import write_dot
from ein.compiler.drawing.scene import Box, Change, Look, Row, Scene
from ein.compiler.drawing.theme import PAPER, THEMES, Theme, blend

LEAST = 4.5
"""WCAG 2, 1.4.3: contrast of text of normal size."""
LEAST_LINE = 3.0
"""WCAG 2, 1.4.11: of what else carries meaning."""
STEPS = 100


def luminance(colour: str) -> float:
    """WCAG's relative luminance of `#rrggbb`."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.fixture(params=THEMES)
def theme(request: pytest.FixtureRequest) -> Theme:
    return THEMES[request.param]


def test_the_formula() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_names_and_small_print_on_each_fill(theme: Theme) -> None:
    fills = {theme.background, *(style.fill for style in theme.looks.values())}
    found = {(ink, fill): contrast(ink, fill) for ink in (theme.ink, theme.faint) for fill in fills}
    assert {pair: value for pair, value in found.items() if value < LEAST} == {}


def test_ink_along_the_scale_of_heat(theme: Theme) -> None:
    fills = [blend(theme.heat, step / STEPS) for step in range(STEPS + 1)]
    assert (fills[0], fills[-1]) == theme.heat
    assert min(contrast(theme.ink, fill) for fill in fills) >= LEAST


BOXES = [
    *(Box(f"b{look.name}", "name", look, ("small print",)) for look in Look if look is not Look.JOINT),
    *(Box(f"h{step}", "name", Look.COMPUTATION, ("small print",), heat=step / 10) for step in range(11)),
    *(Box(f"c{change.name}", "name", Look.RULE, ("small print",), change=change) for change in Change),
]
ROWS = Box("rows", "name", Look.RULE, rows=tuple(Row("text", f"{share} %", share / 100) for share in range(0, 101, 10)))
COLOUR = r'color="(#[0-9a-f]{6})"'


def test_all_text_of_a_box_is_read_on_its_fill(theme: Theme) -> None:
    """As `dot` writes it: the first colour is that of the fill; what has none of its own is ink."""
    dot = write_dot(Scene("", "", "", tuple(BOXES), ()), theme, heading=False)
    lines = [line for line in dot.splitlines() if "name" in line and "fillcolor" in line]
    assert len(lines) == len(BOXES)
    for line in lines:
        [fill] = re.findall(f"fill{COLOUR}", line)
        inks = {theme.ink, *re.findall(f"<font[^>]* {COLOUR}", line)}
        assert min(contrast(ink, fill) for ink in inks) >= LEAST, line


def test_weights_are_read_on_their_fills(theme: Theme) -> None:
    dot = write_dot(Scene("", "", "", (ROWS,), ()), theme, heading=False)
    cells = re.findall(f"<td[^>]*bg{COLOUR}><font[^>]* {COLOUR}>", dot)
    assert len(cells) == len(ROWS.rows)
    assert len({fill for fill, _ in cells}) == len(ROWS.rows)
    assert min(contrast(ink, fill) for fill, ink in cells) >= LEAST


def test_wires_and_lines_are_seen(theme: Theme) -> None:
    lines = {look.value: style.line for look, style in theme.looks.items() if look is not Look.JOINT}
    lines |= {change.value: mark.line for change, mark in theme.marks.items() if change is not Change.KEPT}
    lines["wire"] = theme.wire
    found = {name: contrast(line, theme.background) for name, line in lines.items()}
    assert {name: value for name, value in found.items() if value < LEAST_LINE} == {}


def test_no_two_looks_of_operators_are_one(theme: Theme) -> None:
    looks = (Look.BRANCHING, Look.AGGREGATION, Look.ROUTING, Look.COMPUTATION, Look.FOLDED)
    for one, other in combinations((theme.looks[look] for look in looks), 2):
        assert one != other or theme is PAPER


def test_changes_differ_in_sign_and_line(theme: Theme) -> None:
    changes = [mark for change, mark in theme.marks.items() if change is not Change.KEPT]
    assert len({mark.sign for mark in changes}) == len(changes)
    assert len({(mark.style, mark.line) for mark in changes}) == len(changes)


def test_blend_goes_all_the_way() -> None:
    assert [blend(("#000000", "#ff8000"), share) for share in (0, 0.5, 1)] == ["#000000", "#804000", "#ff8000"]
