"""The HTML page of a scene: what stands in it, that nothing breaks out of it, and that it is the same each time."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ein.compiler.drawing import page
from ein.compiler.drawing.page import ASSETS, SCRIPTS, STYLES, write_page
from ein.compiler.drawing.page_data import scene_json
from ein.compiler.drawing.scene import Box, Change, Frame, Look, Row, Run, Scene, Wire

ROOT = Path(__file__).parents[4]


def scene(name: str = "conv", count: int = 2, **more: Any) -> Scene:
    """`count` frames of two boxes in a run, after an input."""
    frames = []
    for at in range(count):
        first, second = Box(f"a{at}", name, Look.COMPUTATION, (name,)), Box(f"b{at}", "+", Look.AGGREGATION, small=True)
        frames.append(Frame(f"f{at}", "block", (first, second), folded=at == 0, facts=(("place", name),)))
    start = Box("n0", "input", Look.END, rows=(Row(name, "2", 0.5),), heat=0.25, change=Change.ADDED)
    wires = [Wire("n0", "a0", "im 3 x 8 x 8")] + [Wire(f"a{at}", f"b{at}", name, name) for at in range(count)]
    wires += [Wire(f"b{at}", f"a{at + 1}") for at in range(count - 1)]
    return Scene(name, name, name, (start, Run("r", tuple(frames), True)), tuple(wires), **more)


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the texts of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found:
            self.texts.append((self.found[-1][0], data))

    def text(self, tag: str) -> str:
        return "".join(text for name, text in self.texts if name == tag)


def data(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="scene">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


HOSTILE = [
    "</script><script>alert(1)</script>",
    "</ScRiPt >",
    "<!--<script>",
    "]]>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "&lt;b&gt; &amp;",
    "$title ${policy} $$",
    "\u2028\u2029\x00\x1b\ud800\u202e",
    "\\u003c/script>",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_adds_an_element_or_an_attribute(name: str) -> None:
    plain, made = Elements(write_page(scene(), source="a")), Elements(write_page(scene(name), source=name))
    shape = [(tag, sorted(attributes)) for tag, attributes in plain.found]
    assert [(tag, sorted(attributes)) for tag, attributes in made.found] == shape


@pytest.mark.parametrize("name", HOSTILE)
def test_the_scene_of_a_hostile_name_is_ascii_without_signs_of_markup(name: str) -> None:
    text = scene_json(scene(name), name)
    assert text.isascii() and not set("<>&") & set(text)
    assert json.loads(text)["texts"][0] == json.loads(scene_json(scene(name)))["texts"][0]


def test_texts_come_back_as_they_were() -> None:
    name = 'a "b" <c> & \\ d\'é × 中'
    found = data(write_page(scene(name), source=f"rule A = {name}\n\tx\n"))
    assert found["texts"][found["nodes"][2]["name"]] != name  # the frame
    assert found["texts"][found["nodes"][3]["name"]] == name
    assert found["source"] == f"rule A = {name}\n    x"


def test_controls_and_marks_of_direction_are_replaced() -> None:
    found = data(write_page(scene("a\x00b\u202ec\ud800d"), source="a\x1bb\nc"))
    assert found["texts"][found["nodes"][3]["name"]] == "a\ufffdb\ufffdc\ufffdd"
    assert found["source"] == "a\ufffdb\nc"


def test_the_tree_and_the_wires_are_told_by_number() -> None:
    found = data(write_page(scene()))
    nodes = found["nodes"]
    assert [node["id"] for node in nodes] == ["n0", "r", "f0", "a0", "b0", "f1", "a1", "b1"]
    assert [node.get("up") for node in nodes] == [None, None, 1, 2, 2, 1, 5, 5]
    assert [node.get("kind", "box") for node in nodes] == ["box", "run", "frame", "box", "box", "frame", "box", "box"]
    assert [node.get("folded", False) for node in nodes] == [False, True, True, False, False, False, False, False]
    assert [(wire["from"], wire["to"]) for wire in found["wires"]] == [(0, 3), (3, 4), (6, 7), (4, 6)]
    assert nodes[0]["heat"] == 0.25 and nodes[0]["change"] == "added" and nodes[4]["small"]


def test_heat_of_zero_is_not_no_heat() -> None:
    cold = Scene("t", "", "", (Box("a", "x", Look.RULE, heat=0.0), Box("b", "x", Look.RULE)), ())
    assert ["heat" in node for node in data(write_page(cold))["nodes"]] == [True, False]


def test_a_text_that_is_the_first_of_all_is_no_missing_one() -> None:
    made = Scene(
        "t", "", "", (Box("a", "x", Look.RULE, hover="x"), Box("b", "y", Look.RULE)), (Wire("a", "b", "x", "x"),)
    )
    found = data(write_page(made))
    assert found["nodes"][0]["hover"] == 0 and found["wires"][0]["text"] == 0 and found["wires"][0]["hover"] == 0
    assert "hover" not in found["nodes"][1]


def test_frames_may_be_nested_deeper_than_calls() -> None:
    item: Box | Frame = Box("n", "x", Look.RULE)
    for depth in range(3000):
        item = Frame(f"f{depth}", "f", (item,))
    assert len(data(write_page(Scene("t", "", "", (item,), ())))["nodes"]) == 3001


@pytest.mark.parametrize("style", STYLES)
def test_the_page_has_its_style_and_reaches_for_nothing(style: str) -> None:
    text = write_page(scene(), style=style)
    elements = Elements(text)
    assert elements.found[0] == ("html", {"lang": "en", "data-style": style})
    assert set(re.findall(r"https?://[^\"'\s<]*", text)) == {"http://www.w3.org/2000/svg"}
    assert not {"link", "img", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in elements.found}
    assert not re.search(
        r"@import|url\(|\bfetch\(|XMLHttpRequest|WebSocket|\bimport\b\s*\(|\beval\(|innerHTML|outerHTML", text
    )
    assert not any(
        name.startswith("on") or name in ("src", "href", "style") for _, named in elements.found for name in named
    )


def test_the_policy_names_the_script_and_the_style_and_nothing_else() -> None:
    text = write_page(scene())
    elements = Elements(text)
    policy = next(
        named["content"] for tag, named in elements.found if named.get("http-equiv") == "Content-Security-Policy"
    )
    sheet = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    script = re.search(r'<script type="module">(.*?)</script>', text, re.DOTALL)
    assert sheet and script and policy
    hashes = [base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode() for found in (script, sheet)]
    assert policy.split("; ") == [
        "default-src 'none'",
        f"script-src 'sha256-{hashes[0]}'",
        f"style-src 'sha256-{hashes[1]}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_without_scripts_the_page_says_what_it_is() -> None:
    found = re.search(r"<noscript>(.*?)</noscript>", write_page(scene("A net")), re.DOTALL)
    assert found and "A net" in found[1] and "JavaScript" in found[1]


def test_every_asset_is_in_the_page() -> None:
    assert {path.stem for path in ASSETS.glob("*.js")} == set(SCRIPTS)
    assert {path.name for path in ASSETS.iterdir() if path.suffix != ".js"} == {"page.css", "page.html"}
    assert all("</script" not in path.read_text("utf-8").lower() for path in ASSETS.glob("*.js"))


def test_no_two_scripts_define_one_name() -> None:
    text = "\n".join((ASSETS / f"{name}.js").read_text("utf-8") for name in SCRIPTS)
    names = re.findall(r"^(?:function|const|let|class) (\w+)", text, re.MULTILINE)
    assert sorted(names) == sorted(set(names))


def test_a_wrong_style_is_refused() -> None:
    with pytest.raises(ValueError, match="style must be one of light, dark, paper, got 'pink'"):
        write_page(scene(), style="pink")


def test_the_same_scene_gives_the_same_bytes_in_any_process() -> None:
    program = (
        "import hashlib, sys; sys.path.insert(0, sys.argv[1]);"
        "from test_page import scene; from ein.compiler.drawing.page import write_page;"
        "print(hashlib.sha256(write_page(scene('é', 30), source='x').encode()).hexdigest())"
    )
    printed = set()
    for seed in ("0", "1", "77"):
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT / "src")}
        command = [sys.executable, "-c", program, str(Path(__file__).parent)]
        printed.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(printed) == 1
    assert printed == {hashlib.sha256(write_page(scene("é", 30), source="x").encode()).hexdigest() + "\n"}


def test_a_large_scene_stays_small() -> None:
    """5,000 boxes: each text stands once."""
    text = write_page(scene("x" * 200, 2500))
    assert len(text) < 1_500_000
    assert len(data(text)["nodes"]) == 7502
    assert text.count("x" * 200) < 12


def test_the_assets_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = write_page(scene())
    monkeypatch.setattr(page, "ASSETS", Path("nowhere"))
    assert write_page(scene()) == before
