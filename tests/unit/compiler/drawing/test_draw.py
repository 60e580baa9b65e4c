"""Files, forms and arguments of `draw`; text that must stay text; the same bytes every time."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ein.compiler.drawing import layout
from ein.compiler.drawing.dot import markup, write_dot
from ein.compiler.drawing.draw import Options, draw, scene_of, to_dot, to_png, to_svg
from ein.compiler.drawing.scene import Box, Look, Scene, Wire
from ein.compiler.drawing.texts import clean
from ein.compiler.drawing.theme import LIGHT
from ein.compiler.graph import OpGraph
from ein.compiler.lower import lower
from ein.grammar.architecture import architecture
from ein.grammar.cfg import Application
from ein.grammar.check import load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import NOWHERE, Source
from ein.grammar.term import Named, Op, Series, TypedTerm, walk

VIEWS = ("graph", "derivation")
"""Of a derivation by itself."""
GOLDEN = Path(__file__).parents[3] / "golden" / "draw"
SVG = "{http://www.w3.org/2000/svg}"
RESNET = """ein 1
import std
def unit(c, s) = conv(c, k = 3, s = s) >> batch_norm
def basic(c)   = clone(2) >> (unit(c, 1) >> relu >> unit(c, 1) & identity) >> add >> relu
arch resnet : im[3, 16, 16] -> vec[10] = unit(8, 2) >> relu >> basic(8) >> (relu * 2 >> tied relu * 3) >> head(10)
"""
SPACE = """ein 1
grammar space
import std
input im[3, 8, 8]
output vec[5]
rule Net = Block >> head(5)
rule Block = clone(2) >> (Leaf >> Leaf & Leaf) >> add | split(3, 1) >> (Leaf ^ 3) >> concat(1) @ 3
rule Leaf = relu | (norm | softmax) @ 2 | linear(out in {8, 16}) @ each
"""
HOSTILE = [
    '"]; evil [label="x',
    "<script>alert(1)</script>",
    "</font></td></tr></table>>]; evil",
    "<<b>bold</b>>",
    "&lt;script&gt;&amp;&#60;",
    '\\N \\G \\l \\" \\',
    "two\nlines\r\n\ttabs",
    "nul\x00 bell\x07 escape\x1b",
    "\ud800 \u202egnp.exe \ufffe",
    "]]> <!-- --> <?xml?>",
    "'quotes' \"double\"",
    "n1 -> n2; subgraph cluster_x {",
    "",
    " ",
]


@pytest.fixture(scope="module")
def resnet() -> Derivation:
    return architecture(load_grammar(Source("resnet.ein", RESNET)), "resnet")


@pytest.fixture(scope="module")
def sampled() -> Derivation:
    return Sampler.of(load_grammar(Source("space.ein", SPACE))).draw(3)


@pytest.fixture
def engine() -> None:
    if next(layout.engines(), None) is None:
        pytest.skip("there is no Graphviz on this machine")


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".PNG", b"\x89PNG"), (".pdf", b"%PDF")])
def test_forms(resnet: Derivation, view: str, suffix: str, start: bytes, tmp_path: Path, engine: None) -> None:
    path = draw(resnet, tmp_path / f"a{suffix}", Options(view=view))
    assert path == tmp_path / f"a{suffix}"
    assert path.read_bytes().startswith(start)
    assert os.listdir(tmp_path) == [path.name]


def test_dot_needs_no_engine(resnet: Derivation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "engines", lambda: iter([]))
    path = draw(resnet, str(tmp_path / "a.dot"))
    assert path.read_text("utf-8") == to_dot(resnet) == to_dot(lower(resnet.term), Options(title=resnet.id))


def test_without_an_engine_the_dot_text_is_kept(
    resnet: Derivation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "engines", lambda: iter([]))
    said: list[str] = []
    path = draw(resnet, tmp_path / "a.png", say=said.append)
    assert path == tmp_path / "a.dot"
    assert path.read_text("utf-8") == to_dot(resnet)
    reason = "there is no Graphviz for the layout: pip install 'ein-lang[draw]'"
    assert said == [f"no picture, {path} holds its DOT text: {reason}"]
    with pytest.warns(UserWarning, match="pip install 'ein-lang"):
        draw(resnet, tmp_path / "a.png")


def test_scale_is_in_the_pixels(resnet: Derivation, engine: None) -> None:
    one, two = (Image.open(BytesIO(to_png(resnet, Options(scale=scale)))).size for scale in (1, 2))
    assert abs(two[0] - 2 * one[0]) <= 2 and abs(two[1] - 2 * one[1]) <= 2


def test_a_png_is_never_larger_than_the_limit(
    resnet: Derivation, engine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "PIXELS", 700)
    size = Image.open(BytesIO(to_png(resnet, Options(scale=3)))).size
    assert 690 < max(size) <= 707, size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "a.gif"}, "path must end in one of .svg, .png, .pdf, .html, .dot, .mmd, got 'a.gif'"),
        ({"path": "svg"}, "path must end in one of .svg, .png, .pdf, .html, .dot, .mmd, got 'svg'"),
        ({"view": "tree"}, "view must be one of graph, derivation, grammar, difference, got 'tree'"),
        ({"direction": "RL"}, "direction must be one of TB, LR, got 'RL'"),
        ({"scale": 0}, "scale must be from 0.1 to 10, got 0"),
        ({"scale": float("nan")}, "scale must be from 0.1 to 10, got nan"),
    ],
)
def test_wrong_arguments(resnet: Derivation, tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    path = arguments.pop("path", tmp_path / "a.svg")
    with pytest.raises(ValueError) as caught:
        draw(resnet, path, Options(**arguments))
    assert str(caught.value) == message
    assert os.listdir(tmp_path) == []


def test_a_graph_has_no_derivation(resnet: Derivation) -> None:
    with pytest.raises(ValueError, match="no longer has its derivation"):
        scene_of(lower(resnet.term), Options(view="derivation"))


@pytest.mark.parametrize("view", VIEWS)
def test_svg_is_named_for_screen_readers(resnet: Derivation, view: str, engine: None) -> None:
    svg = to_svg(resnet, Options(view=view, title='A <b> & "c"'))
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    assert (root.get("aria-label") or "").startswith('A <b> & "c". A')
    assert [root[0].tag, root[0].text, root[1].tag] == [f"{SVG}title", 'A <b> & "c"', f"{SVG}desc"]
    assert "conv(8)" in texts(svg) and 'A <b> & "c"' in texts(svg)
    titles = [element.text for element in root.iter(f"{SVG}title")]
    assert any("conv(8, s = 2)" in (title or "") for title in titles)
    assert not any((title or "").startswith("n1") for title in titles), "an id of ours is shown"
    assert "<!--" not in svg and "<!DOCTYPE" not in svg


@given(st.text(max_size=80))
def test_markup_is_the_text(text: str) -> None:
    element = ET.fromstring(f"<x>{markup(text, longest=1000)}</x>")
    assert (element.text or "").replace("\\\\", "\\").strip() == clean(text).strip()
    assert len(element) == 0


@given(st.text(), st.integers(2, 20))
def test_markup_is_cut_and_never_empty(text: str, longest: int) -> None:
    shown = (ET.fromstring(f"<x>{markup(text, longest)}</x>").text or "").replace("\\\\", "\\")
    assert 1 <= len(shown) <= longest
    assert shown.endswith("…") or len(clean(text)) <= longest


@settings(max_examples=20)
@given(st.lists(st.text(alphabet=st.sampled_from("<>&\"'\\[]{};-=\n\x00aN/!%"), max_size=12), min_size=20, max_size=20))
def test_any_text_draws_as_itself(names: list[str]) -> None:
    if next(layout.engines(), None) is None:
        pytest.skip("there is no Graphviz on this machine")
    boxes = tuple(Box(f"n{i}", name, Look.MACRO, (name,)) for i, name in enumerate(names))
    dot = write_dot(Scene("all", "all", "", boxes, (Wire("n0", "n1", names[0]),)), LIGHT)
    svg = layout.render(dot, "svg").decode()
    assert svg.count('class="node"') == len(names)
    shown = sorted(text.strip() for text in texts(svg))
    drawn = names * 2 + names[:1] * bool(names[0])
    assert shown == sorted([*(clean(name).strip() for name in drawn), "all", "all", "macro"])


def hostile_term(term: TypedTerm, text: str) -> TypedTerm:
    """Its first operator, called `text`, inside a rule and a macro called so too."""
    first = next(part for part in walk(term) if isinstance(part, Op))
    application = Application(first.application.overloads, first.application.given)
    application.__dict__["text"] = text
    op = Op(application, first.applied, NOWHERE)
    macro = Named(f"m{text}", Series((op, op), op.input, op.output), op.input, op.output, NOWHERE, macro=True)
    rule = Named(f"R{text}", macro, op.input, op.output, NOWHERE, choice=(0, ()), probability=0.5, arguments=(text,))
    return Series((rule, op), rule.input, rule.output)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_text(sampled: Derivation, text: str, engine: None) -> None:
    safe = hostile_term(sampled.term, "safe")
    for view in VIEWS:
        svg = to_svg(hostile_term(sampled.term, text), Options(view=view, title=text))
        tags = sorted(element.tag for element in ET.fromstring(svg).iter())
        plain = sorted(element.tag for element in ET.fromstring(to_svg(safe, Options(view=view, title="safe"))).iter())
        assert [tag for tag in tags if not tag.endswith("title")] == [tag for tag in plain if not tag.endswith("title")]
        assert any(clean(text) in shown for shown in texts(svg))


@pytest.mark.parametrize("view", VIEWS)
def test_svg_is_the_same_each_time(resnet: Derivation, view: str, engine: None) -> None:
    assert to_svg(resnet, Options(view=view)) == to_svg(resnet, Options(view=view))


def test_dot_is_the_same_under_other_hash_seeds() -> None:
    code = (
        "from ein.compiler.drawing.draw import to_dot, Options\n"
        "from ein.grammar.check import load_grammar\n"
        "from ein.grammar.diagnostics import Source\n"
        "from ein.grammar.architecture import architecture\n"
        f"d = architecture(load_grammar(Source('resnet.ein', {RESNET!r})), 'resnet')\n"
        f"print(*(to_dot(d, Options(view=view)) for view in {VIEWS!r}))"
    )

    def run(seed: str) -> bytes:
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True).stdout

    assert b"digraph" in run("1") and run("1") == run("2")


@pytest.mark.parametrize("name", ["resnet-graph", "resnet-derivation", "sampled-graph", "sampled-derivation"])
def test_golden_dot(name: str, request: pytest.FixtureRequest) -> None:
    """Rewritten with EIN_REWRITE_GOLDEN=1, and then read."""
    fixture, view = name.split("-")
    made = to_dot(request.getfixturevalue(fixture), Options(view=view, title=fixture))
    path = GOLDEN / f"{name}.dot"
    if os.environ.get("EIN_REWRITE_GOLDEN"):
        path.write_text(made, "utf-8")
    assert made == path.read_text("utf-8")


def test_three_hundred_nodes_are_quick(engine: None) -> None:
    """Bounded far above what it takes (a third of a second), so that a loaded machine passes."""
    text = RESNET.replace(">> basic(8) >>", f">> {' >> '.join(['basic(8)'] * 33)} >>")
    graph: OpGraph = lower(architecture(load_grammar(Source("deep.ein", text)), "resnet").term)
    assert len(graph) > 300
    assert len(layout.render(to_dot(graph, Options(unfold=True)), "svg", timeout=10)) > 100_000
