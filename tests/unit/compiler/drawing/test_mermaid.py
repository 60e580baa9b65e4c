"""Mermaid text: every part of a scene, and text that must stay text.

That Mermaid itself shows the names of HOSTILE as they are was tried by hand, with its versions 10.9 and 11.17.
"""

import json
import os
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ein.compiler.drawing.draw import Options, scene_of
from ein.compiler.drawing.folding import resolved
from ein.compiler.drawing.grammar_view import grammar_scene
from ein.compiler.drawing.mermaid import BREAK, SPACE, escaped, write_mermaid
from ein.compiler.drawing.scene import Box, Change, Frame, Look, Row, Run, Scene, Wire
from ein.compiler.drawing.texts import clean
from ein.compiler.drawing.theme import THEMES
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source

GOLDEN = Path(__file__).parents[3] / "golden" / "draw"
NET = """ein 1
import std
def unit(c, s) = conv(c, k = 3, s = s) >> batch_norm
def basic(c)   = clone(2) >> (unit(c, 1) >> relu >> unit(c, 1) & identity) >> add >> relu
arch net : im[3, 16, 16] -> vec[10] = unit(8, 2) >> relu >> basic(8) * 3 >> head(10)
"""
HOSTILE = [
    '"]; evil [label="x',
    "<script>alert(1)</script>",
    "&lt;script&gt;&amp;&#60;",
    "#quot; #35; #lt; &quot;",
    "%%{init: {'theme': 'dark'}}%%",
    "%% comment",
    "`md **x**`",
    "[l](http://x) ![i](u) www.a.bc a@b.cc",
    "1. one",
    "1) one",
    "- one",
    "> quote",
    "---",
    "===",
    "$$x^2$$",
    "fa:fa-car",
    "back \\n slash",
    "a<br/>b",
    'click n1 "javascript:alert(1)"',
    "n0 --> n1; subgraph x[",
    "style a:#b;c",
    "classDef x:#y; z",
    "::icon(x) n1:::evil @{ shape: x }",
    "ﬂ°°35¶ß ﬂ°quot¶ß",
    "two\nlines\r\n\ttabs",
    "nul\x00 bell\x07 escape\x1b",
    "\ud800 \u202egnp.exe \ufffe",
    "end",
    "",
    " ",
]
SAFE = re.compile(r"[\w ,()=+\-/·…%.\u200b\u00a0]|#\d+;")


READ_LATER = ["$$", "\\n", ":fa-", "ﬂ°", "¶ß"]


def with_breaks(text: str) -> str:
    """What Mermaid makes of a text in quotes."""
    return unescape(re.sub(r"#(\d+);", r"&#\1;", text))


def decoded(text: str) -> str:
    """What is seen of it."""
    return with_breaks(text).replace(BREAK, "").strip()


def whole(name: str = "name", change: Change | None = None, heat: float | None = None) -> Scene:
    """A scene with a part of every kind."""
    parts = [Box(f"n{i}", name, look, (name,), change=change, heat=heat) for i, look in enumerate(Look)]
    rows = (Row(name, "25%", 0.25), Row(name, "75%", 0.75))
    frame = Frame("f0", name, (parts[0], Frame("f1", name, (parts[1],))), ("x 2",), change=change)
    folded = Frame("f2", name, (Box("n20", name, Look.COMPUTATION), Box("n21", name, Look.COMPUTATION)), folded=True)
    run = Run("u0", tuple(Box(f"n3{i}", name, Look.COMPUTATION) for i in range(3)), series=True)
    others = (Box("n40", "+", Look.AGGREGATION, small=True), Box("n41", name, Look.RULE, rows=rows))
    ends = [("n0", "n1"), ("n1", "n20"), ("n20", "n21"), ("n21", "n30"), ("n30", "n31"), ("n31", "n32"), ("n32", "n40")]
    wires = tuple(Wire(source, target, name, change=change) for source, target in ends)
    rowed = tuple(
        Wire("n41", f"n{target}", text, row=row) for row, target, text in [(0, 2, "x 2"), (1, 2, ""), (1, 3, "")]
    )
    return Scene(name, name, name, (frame, *parts[2:], folded, run, *others), wires + rowed)


def lines(scene: Scene, style: str = "light") -> list[str]:
    """Those of the chart, without those before it."""
    made = write_mermaid(resolved(scene), style=style).splitlines()
    return [line.strip() for line in made[made.index("---", 1) + 2 :]]


def quoted(scene: Scene) -> list[str]:
    """The texts of a chart, decoded line by line."""
    found = [text for line in lines(scene) for text in re.findall(r'"([^"]*)"', line)]
    return [decoded(part) for text in found for part in text.split("<br/>")]


def bare(line: str) -> str:
    """Without texts."""
    return re.sub(r'"[^"]*"', "", line)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_text(text: str) -> None:
    line = clean(text)
    safe = whole("safe" if line else "")
    made = lines(whole(text))
    assert [bare(each) for each in made[2:]] == [bare(each) for each in lines(safe)[2:]]
    assert made[0].startswith("accTitle: ") and made[1].startswith("accDescr: ")
    assert not any(sign in with_breaks(escaped(text)) for sign in READ_LATER)
    assert quoted(whole(text)) == [each.replace("safe", line) for each in quoted(safe)]


@given(
    st.text(max_size=60) | st.text(alphabet=st.sampled_from("<>&\"'`\\[]{}()#;:%$*_-=+|~!@^.,1 anfﬂ°¶ß\n"), max_size=40)
)
def test_escaped_text_is_safe_and_the_same(text: str) -> None:
    made = escaped(text, 1000)
    assert made and not SAFE.sub("", made)
    assert decoded(made) == clean(text)
    assert not any(sign in with_breaks(made) for sign in READ_LATER)
    assert "%%" not in made and not re.match(r"[-+*=>]|\d+[.)]( |$)", made)


@given(st.text(), st.integers(2, 20))
def test_escaped_text_is_cut(text: str, longest: int) -> None:
    shown = decoded(escaped(text, longest))
    assert len(shown) <= longest
    assert shown.endswith("…") or shown == clean(text)


TITLES = st.text(max_size=300) | st.sampled_from(HOSTILE)


@given(TITLES, TITLES)
def test_the_title_is_one_line_of_json(title: str, subtitle: str) -> None:
    front = write_mermaid(resolved(replace(whole(), title=title, subtitle=subtitle))).splitlines()[:4]
    assert (front[0], front[3]) == ("---", "---")
    assert front[1].startswith("title: ") and front[2].startswith("config: ")
    said = json.loads(front[1].removeprefix("title: "))
    assert not set(said) & set("<>\n") and not any(sign in said for sign in READ_LATER) and front[1].isascii()
    assert json.loads(front[2].removeprefix("config: "))["theme"] == "base"


def test_parts_of_a_scene() -> None:
    made = lines(whole())
    for line in (
        'n0[/"name<br/>name"\\]:::branching',
        'n1[\\"name<br/>name"/]:::aggregation',
        'n2{{"name<br/>name"}}:::routing',
        'n3("name<br/>name"):::computation',
        'n4(["name<br/>name"]):::ends',
        'n6["name<br/>name"]:::macro',
        'f2[["name"]]:::folded',
        'n40(("#43;")):::aggregation',
        'n41["name<br/>25% · name<br/>75% · name"]:::rule',
        'n0 -->|"name"| n1',
        'n1 -->|"name"| f2',
        "n41 --> n3",
    ):
        assert line in made, line
    assert made.count("end") == 2 and f'subgraph f1["name{SPACE * 4}"]' in made
    assert any(line.startswith('n30("name x 3') for line in made)
    assert [line for line in made if line.startswith("n41 -") and line.endswith(" n2")] == ["n41 --> n2"], (
        "of two rows that differ in the text, one wire without it"
    )


def test_a_tree_has_no_arrows() -> None:
    made = "\n".join(lines(replace(whole(), tree=True)))
    assert "-->" not in made and 'n0 ---|"name"| n1' in made


@pytest.mark.parametrize("change", Change)
@pytest.mark.parametrize("style", THEMES)
def test_changes_have_a_line_and_a_mark(change: Change, style: str) -> None:
    made = lines(whole(change=change), style)
    mark = THEMES[style].marks[change]
    assert any(line.startswith("linkStyle 0,") and mark.line in line for line in made)
    assert any(line.startswith(f"classDef {change.value} ") and mark.line in line for line in made)
    assert sum(line.startswith("class ") for line in made) == 1
    assert any(line.startswith(f'n3("{escaped(f"{mark.sign}name")}<br/>') for line in made)


def test_heat_is_the_fill() -> None:
    scene = replace(whole(heat=1.0), heat=("parameters", "0", "2.36 M"))
    assert f"style n3 fill:{THEMES['dark'].heat[1]}" in lines(scene, "dark")
    assert "parameters: 0 to 2.36 M" in write_mermaid(resolved(scene))


@pytest.mark.parametrize("style", THEMES)
def test_styles_have_the_colours_of_their_theme(style: str) -> None:
    looks = THEMES[style].looks
    made = lines(whole(), style)
    for look in Look:
        name = "ends" if look is Look.END else look.value
        [line] = [line for line in made if line.startswith(f"classDef {name} ")]
        assert f"fill:{looks[look].fill},stroke:{looks[look].line},color:{THEMES[style].ink}" in line


def test_an_unknown_style_is_refused() -> None:
    with pytest.raises(ValueError, match="style must be one of light, dark, paper, got 'neon'"):
        write_mermaid(whole(), style="neon")


def scenes() -> dict[str, Scene]:
    arch = architecture(load_grammar(Source("net.ein", NET)), "net")
    return {
        "einspace-grammar": grammar_scene(load_grammar("einspace")),
        "net-graph": scene_of(arch, Options(title="net", heat="params")),
    }


@pytest.mark.parametrize("name", ["einspace-grammar", "net-graph"])
def test_golden_mermaid(name: str) -> None:
    """Rewritten with EIN_REWRITE_GOLDEN=1, and then read."""
    made = write_mermaid(resolved(scenes()[name]))
    path = GOLDEN / f"{name}.mmd"
    if os.environ.get("EIN_REWRITE_GOLDEN"):
        path.write_text(made, "utf-8")
    assert made == path.read_text("utf-8")
