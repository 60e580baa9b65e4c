"""The page as a person meets it: in a real browser, by mouse and keys, judged by what is on the screen."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ein.compiler.drawing.page import STYLES, write_page
from ein.compiler.drawing.scene import Scene
from ein.compiler.drawing.scene import boxes as all_boxes

from . import page_scenes as scenes
from .chromium import Chromium

pytestmark = pytest.mark.browser
GEOMETRY = Path(__file__).with_name("geometry.js").read_text("utf-8")
SHOWN = (
    scenes.resnet,
    scenes.branches,
    scenes.derivation,
    scenes.grammar,
    scenes.difference,
    scenes.heated,
    scenes.hostile,
)
MADE: dict[str, Callable[[], Scene]] = {made.__name__: made for made in SHOWN}


@dataclass(frozen=True, slots=True)
class Page:
    browser: Chromium
    folder: Path

    def open(self, scene: Scene, **options: str) -> None:
        path = self.folder / "page.html"
        path.write_text(write_page(scene, **options), "utf-8")
        self.browser.open(path)

    def js(self, expression: str) -> Any:
        return self.browser.js(expression)

    def count(self, selector: str) -> int:
        return int(self.js(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def boxes(self) -> int:
        return self.count("#picture .box, #picture .fold")

    def text(self, selector: str) -> str:
        return str(self.js(f"document.querySelector({json.dumps(selector)})?.textContent ?? ''"))

    def wires(self) -> set[tuple[str, str]]:
        found = self.js("[...document.querySelectorAll('#picture .wire')].map(({dataset: {from, to}}) => [from, to])")
        return {(source, target) for source, target in found}

    def view(self) -> list[float]:
        """How far the picture is moved, and how large it is."""
        moved = self.js("document.querySelector('#picture > .view').getAttribute('transform')")
        return [float(part) for part in moved.replace("translate(", "").replace(") scale(", " ").rstrip(")").split()]

    def wrong(self) -> list[str]:
        return list(self.js(GEOMETRY))


@pytest.fixture
def page(browser: Chromium, tmp_path: Path) -> Iterator[Page]:
    """Ends with a look at what the browser reported: no error, no request but for the page."""
    made = Page(browser, tmp_path)
    yield made
    browser.js("1")
    noise = [one for one in browser.events if one["method"] in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled")]
    noise += [one for one in browser.events if one["method"] == "Log.entryAdded"]
    assert not noise, noise
    asked = [one["params"]["request"]["url"] for one in browser.events if one["method"] == "Network.requestWillBeSent"]
    assert all(url == (tmp_path / "page.html").as_uri() or url.startswith("blob:") for url in asked), asked


@cache
def items(name: str) -> int:
    return sum(1 for _ in all_boxes(MADE[name]().items))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", MADE)
def test_nothing_overlaps_and_no_wire_crosses(page: Page, name: str, style: str) -> None:
    page.open(MADE[name](), style=style)
    assert page.wrong() == []
    assert page.js("getComputedStyle(document.body).backgroundColor") != "rgba(0, 0, 0, 0)"
    for key in "}dc{dc]]":
        page.browser.key(key)
        assert page.wrong() == [], f"after {key}"


@pytest.mark.parametrize("seed", range(40))
def test_nothing_overlaps_in_random_graphs(page: Page, seed: int) -> None:
    page.open(scenes.random_scene(seed, 8 + seed % 40))
    for key in ("0", "}", "d"):
        page.browser.key(key)
        assert page.wrong() == [], f"after {key}"


@pytest.mark.parametrize(
    ("planted", "expected"),
    [
        ("const [a, b] = document.querySelectorAll('.body'); a.setAttribute('y', b.getAttribute('y'))", "overlap"),
        ("document.querySelector('.wire .reach').setAttribute('d', 'M0,0L300,900')", "crosses box"),
        ("document.querySelector('.wire .reach').setAttribute('d', 'M-9,-9L-8,-8')", "does not begin at its box"),
        ("document.querySelector('.wire .tip').setAttribute('d', 'M-9,-9L-8,-8')", "does not end at its box"),
        ("document.querySelector('.box text').textContent = 'much longer than it was'", "leaves box"),
        ("document.querySelector('.border').setAttribute('height', 60)", "border of"),
        (
            "const [, a, b] = document.querySelectorAll('.label'); b.setAttribute('y', a.getAttribute('y'))",
            "overlap",
        ),
    ],
)
def test_what_is_broken_on_purpose_is_seen(page: Page, planted: str, expected: str) -> None:
    page.open(scenes.resnet())
    page.browser.key("c")
    assert page.wrong() == []
    page.js(planted)
    assert any(expected in line for line in page.wrong()), page.wrong()


def test_it_opens_as_the_scene_says(page: Page) -> None:
    page.open(scenes.resnet(folded=True))
    assert page.boxes() == 3 + 1 + 6 + 3
    assert page.text("#picture .fold").startswith("basic_block: a macrobasic_block× 2")
    page.open(scenes.resnet())
    assert page.boxes() == items("resnet") - 8


def test_wires_of_a_folded_run_are_those_of_its_first_item(page: Page) -> None:
    scene = scenes.resnet(folded=True)
    page.open(scene)
    run, after = scene.items[3], scene.items[4]
    first = run.items[0].id  # type: ignore[union-attr]
    assert {(s, t) for s, t in page.wires() if first in (s, t)} == {("n3", first), (first, after.id)}
    page.open(scenes.branches())
    heads = [(s, t) for s, t in page.wires() if s == "n2"]
    assert len(heads) == 6 + 1


def test_unfolded_all_boxes_and_all_wires_are_there(page: Page) -> None:
    scene = scenes.resnet()
    page.open(scene)
    page.browser.key("}")
    assert page.boxes() == items("resnet")
    assert page.wires() == {(wire.source, wire.target) for wire in scene.wires}


def test_a_click_opens_a_folded_box_and_its_header_folds_it(page: Page) -> None:
    page.open(scenes.resnet(folded=True))
    before = page.boxes()
    fold = page.js("document.querySelectorAll('#picture .fold')[1].dataset.id")
    page.browser.click(f'[data-id="{fold}"] .body')
    assert page.boxes() == before + 9
    assert page.js(f"document.querySelector('[data-id=\"{fold}\"]').getAttribute('aria-expanded')") == "true"
    page.browser.click(f'[data-id="{fold}"] > .head')
    assert page.boxes() == before


def test_a_click_on_times_opens_the_run(page: Page) -> None:
    page.open(scenes.resnet(folded=True))
    before = page.boxes()
    page.browser.click(".times")
    assert page.boxes() == before + 1 and page.count("#picture .run") == 1
    page.browser.click("#picture .run > .head")
    assert page.boxes() == before and page.count("#picture .run") == 0


def test_keys_open_and_fold(page: Page) -> None:
    page.open(scenes.resnet(folded=True))
    before = page.boxes()
    page.js("document.querySelector('#picture .fold').focus()")
    page.browser.key("Enter")
    assert page.boxes() == before + 7
    assert page.js("document.activeElement.getAttribute('class')") == "frame"
    page.browser.key("r")
    assert page.count("#picture .run") == 1
    page.browser.key("{")
    assert page.boxes() == before
    page.js("document.querySelector('#picture .box').focus()")
    page.browser.key(" ")
    assert page.text("#panel h2") == "input"


def test_levels_go_in_and_out(page: Page) -> None:
    page.open(scenes.many(500))
    counts = []
    for key in ("{", "]", "]", "]", "]"):
        page.browser.key(key)
        counts.append(page.boxes())
    assert counts == sorted(counts) and counts[0] == 3 and counts[-1] > counts[1]
    for _ in range(6):
        page.browser.key("[")
    assert page.boxes() == 3


def test_details_of_a_box(page: Page) -> None:
    page.open(scenes.resnet())
    assert page.js("document.getElementById('panel').hidden")
    page.browser.click('[data-id="n2"]')
    assert page.text("#panel h2") == "conv7x7(64)"
    assert page.js("[...document.querySelectorAll('#panel dt')].map((one) => one.textContent)") == [
        "operator", "parameters", "place", "line",
    ]  # fmt: skip
    assert page.js("[...document.querySelectorAll('#panel code')].map((one) => one.textContent)") == [
        "sketch.ein:10:13",
        "x = self.a(x)",
    ]
    assert page.count("#picture .mark") == 1
    page.browser.key("Escape")
    assert page.js("document.getElementById('panel').hidden") and page.count("#picture .mark") == 0


def test_search_opens_what_hides_a_hit_and_marks_it(page: Page) -> None:
    page.open(scenes.many(500))
    page.browser.key("{")
    assert page.boxes() == 3
    page.browser.key("/")
    page.browser.type("STRIDE=2 conv1x1")
    assert page.text("#hits li") == "50 hits"
    assert page.text("#hits li:nth-child(2) small") == "stage 1 › 1 of 10 › block › 1 of 5 › down_block"
    page.browser.click("#hits li:nth-child(8) button")
    assert page.text("#panel h2") == "conv1x1(16, stride=2)"
    place = page.browser.middle(".mark")
    middle = page.browser.middle("#stage")
    assert abs(place[0] - middle[0]) < 3 and abs(place[1] - middle[1]) < 3
    assert page.count("#picture .run") == 2
    assert page.js("document.getElementById('hits').hidden")


def test_search_by_keys_alone(page: Page) -> None:
    page.open(scenes.resnet(folded=True))
    page.browser.key("/")
    page.browser.type("vec 1000")
    page.browser.key("ArrowDown")
    page.browser.key("Enter")
    assert page.text("#panel h2") == "output"


def test_pan_zoom_and_fit(page: Page) -> None:
    page.open(scenes.branches())
    fitted = page.view()
    empty = page.browser.middle("#stage")[0], 880.0
    page.browser.drag(empty, (empty[0] + 70, empty[1] - 40))
    assert page.view() == pytest.approx([fitted[0] + 70, fitted[1] - 40, fitted[2]], abs=0.1)
    page.browser.key("ArrowLeft")
    assert page.view()[0] == pytest.approx(fitted[0] + 130, abs=0.1)
    page.browser.key("f")
    assert page.view() == fitted
    page.browser.key("+")
    assert page.view()[2] > fitted[2]
    page.browser.key("0")
    x, y = 500.0, 400.0
    before = page.view()
    page.browser.mouse("mouseWheel", x, y, deltaX=0, deltaY=-200)
    after, top = page.view(), page.js("document.getElementById('stage').getBoundingClientRect().top")
    assert after[2] > before[2]
    held = [((x - one[0]) / one[2], (y - top - one[1]) / one[2]) for one in (before, after)]
    assert held[0] == pytest.approx(held[1], abs=0.5)


def test_two_fingers_zoom(page: Page) -> None:
    page.open(scenes.branches())
    before = page.view()[2]
    page.browser.call("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
    try:
        for kind, apart in (("touchStart", 40), ("touchMove", 80), ("touchMove", 160)):
            points = [{"x": 700 - apart, "y": 500, "id": 1}, {"x": 700 + apart, "y": 500, "id": 2}]
            page.browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        page.browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    finally:
        page.browser.call("Emulation.setTouchEmulationEnabled", enabled=False)
    assert page.view()[2] > 2 * before


def test_a_drag_is_no_click(page: Page) -> None:
    page.open(scenes.resnet(folded=True))
    before, start = page.boxes(), page.browser.middle("#picture .fold .body")
    page.browser.drag(start, (start[0] + 50, start[1] + 20))
    assert page.boxes() == before


@pytest.mark.parametrize("name", ["hostile"])
def test_hostile_names_are_texts(page: Page, name: str) -> None:
    page.open(MADE[name](), source="\n".join(scenes.HOSTILE))
    page.browser.click('[data-do="source"]')
    page.browser.key("/")
    page.browser.type("script")
    page.browser.key("Enter")
    for body in page.js("[...document.querySelectorAll('#picture .box')].slice(0, 3).map((one) => one.dataset.id)"):
        page.browser.mouse("mouseMoved", *page.browser.middle(f'[data-id="{body}"]'))
    assert page.js("document.title") == scenes.HOSTILE[0]
    assert page.count("script") == 2 and page.count("img, iframe, object") == 0
    assert page.text("#panel h2") == scenes.HOSTILE[0]
    named = page.js("[...document.querySelectorAll('*')].flatMap((one) => [...one.attributes].map(({name}) => name))")
    assert not [name for name in named if name.startswith("on")]


def test_the_policy_stops_what_is_not_ours(browser: Chromium, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    broken = write_page(scenes.branches()).replace(
        "</body>", "<script>document.title='broken'</script><p style='color:red'>x</p></body>"
    )
    path.write_text(broken, "utf-8")
    browser.open(path)
    assert browser.js("document.title") == "Branches"
    assert browser.js("fetch('data:,x').then(() => 'asked', () => 'stopped')") == "stopped"


def test_the_source_is_shown_on_demand(page: Page) -> None:
    page.open(scenes.branches(), source="ein 1\n\nrule A = b\n")
    page.browser.key("s")
    assert page.text("#panel pre") == "ein 1\n\nrule A = b"
    page.open(scenes.branches())
    assert page.js("document.querySelector('[data-do=\"source\"]').hidden")


@pytest.mark.parametrize("style", STYLES)
def test_the_picture_is_saved_as_svg(page: Page, style: str) -> None:
    page.open(scenes.branches(), style=style)
    page.browser.call(
        "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(page.folder), eventsEnabled=True
    )
    page.browser.click('[data-do="save"]')
    path = page.folder / "Branches.svg"
    for _ in range(200):
        if path.exists() and path.stat().st_size:
            break
        page.js("new Promise((done) => setTimeout(done, 20))")
    root = ET.parse(path).getroot()
    texts = {one.text for one in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"concat", "split(6)", "× 4 in parallel", "seq 16 x 16"} <= texts
    assert len(list(root.iter())) > 100 and root.get("viewBox")
    assert not {"style", "script"} & {one.tag.rpartition("}")[2] for one in root.iter()}
    page.browser.events[:] = [one for one in page.browser.events if "blob:" not in json.dumps(one)]


def test_five_thousand_boxes_open_folded(page: Page) -> None:
    scene = scenes.many()
    page.open(scene)
    assert page.boxes() == 12 and page.text("#status") == "12 of 5,002 boxes"
    page.browser.key("}")
    assert page.boxes() == 12 and "are too many" in page.text("#status")
    page.browser.key("]")
    assert page.boxes() == 102
    assert len(write_page(scene)) < 3_000_000


def test_five_thousand_boxes_that_are_open_are_folded_first(page: Page) -> None:
    page.open(scenes.opened(scenes.many()))
    assert page.boxes() == 12


def test_directions_and_styles_are_changed_by_keys(page: Page) -> None:
    page.open(scenes.branches())
    down = page.js("document.getElementById('picture').querySelector('.view').getBBox().height")
    page.browser.key("d")
    assert page.js("document.getElementById('picture').querySelector('.view').getBBox().height") < down
    seen = []
    for _ in range(3):
        page.browser.key("t")
        seen.append(page.js("document.documentElement.dataset.style"))
    assert seen == ["dark", "paper", "light"]


def middles(page: Page) -> dict[str, float]:
    """How far right the middle of each box is, in the units of the picture."""
    drawn = "[...document.querySelectorAll('#picture .body')].map((one) => [one.parentNode.dataset.id, one.getBBox()])"
    return {id: place for id, place in page.js(f"{drawn}.map(([id, box]) => [id, box.x + box.width / 2])")}


def test_chains_are_straight_and_branches_even(page: Page) -> None:
    page.open(scenes.resnet())
    page.browser.key("c")
    found = middles(page)
    straight = max(set(found.values()), key=list(found.values()).count)
    assert sum(abs(place - straight) < 0.1 for place in found.values()) == items("resnet") - 8 - 2 * 3
    page.open(scenes.branches(0))
    page.browser.key("}")
    found = middles(page)
    heads = [
        found[id] for id in sorted(found, key=lambda id: found[id]) if "linear" in page.text(f'[data-id="{id}"] text')
    ]
    assert len(heads) == 4
    for end in ("split(0)", "concat"):
        [place] = [found[id] for id in found if end in page.text(f'[data-id="{id}"] > text')]
        assert place == pytest.approx((heads[0] + heads[-1]) / 2, abs=1)


def test_a_long_chain_stands_in_columns(page: Page) -> None:
    page.open(scenes.resnet())
    size = "(({width, height}) => height / width)(document.querySelector('#picture > .view').getBBox())"
    assert page.js(size) < 1.5
    page.browser.key("c")
    assert page.js(size) > 8


def test_children_of_a_tree_keep_their_order(page: Page) -> None:
    scene = scenes.derivation()
    page.open(scene)
    drawn = "[...document.querySelectorAll('#picture .box')]"
    places = dict(page.js(f"{drawn}.map((one) => [one.dataset.id, one.getBoundingClientRect().x])"))
    children: dict[str, list[str]] = {}
    for wire in scene.wires:
        children.setdefault(wire.source, []).append(wire.target)
    for found in children.values():
        assert [places[id] for id in found] == sorted(places[id] for id in found)
    assert page.count("#picture .tip") == 0


def test_rows_have_bars_as_long_as_their_shares(page: Page) -> None:
    page.open(scenes.grammar())
    shares = [row.share for box in all_boxes(scenes.grammar().items) for row in box.rows]
    widths = page.js(
        "[...document.querySelectorAll('#picture .share')].map((one) => Number(one.getAttribute('width')))"
    )
    assert widths == pytest.approx([34 * share for share in shares], abs=0.01)


def test_changes_are_told_without_colour(page: Page) -> None:
    page.open(scenes.difference(), style="paper")
    signs = page.js("[...document.querySelectorAll('#picture .box circle + text')].map((one) => one.textContent)")
    assert sorted(signs) == sorted(["+", "−", "±"])
    dashes = page.js(
        "[...document.querySelectorAll('#picture .body')].map((one) => one.getAttribute('stroke-dasharray'))"
    )
    assert len(set(dashes)) == 3
    assert page.count("#picture .box[opacity]") == 2


def test_the_picture_is_told_to_screen_readers(page: Page) -> None:
    page.open(scenes.resnet(folded=True))
    assert (
        page.js("document.getElementById('picture').getAttribute('aria-label')") == "ResNet-18. A picture of ResNet-18."
    )
    pressed = "[...document.querySelectorAll('button, [role=\"button\"], input')]"
    unnamed = f"{pressed}.filter((one) => !(one.ariaLabel || one.textContent.trim())).length"
    assert page.js(unnamed) == 0
    assert "folded, 8 boxes" in page.js("document.querySelector('#picture .fold').ariaLabel")


def test_the_same_scene_gives_the_same_picture(page: Page) -> None:
    drawn = []
    for _ in range(2):
        page.open(scenes.random_scene(5, 30))
        page.browser.key("}")
        drawn.append(page.js("document.querySelector('#picture > .view').innerHTML"))
    assert drawn[0] == drawn[1]


def test_nothing_breaks_on_an_empty_scene_or_one_box(page: Page) -> None:
    page.open(Scene("nothing", "", "", (), ()))
    assert page.boxes() == 0
    for key in "{}[]dctf+-/":
        page.browser.key(key)
    page.open(Scene("one", "", "", tuple(all_boxes(scenes.derivation(0).items)), ()))
    assert page.boxes() == 1 and page.wrong() == []


def test_frames_nested_deeply(page: Page) -> None:
    page.open(scenes.nested(200))
    assert page.boxes() == 1 and page.count("#picture .frame") == 200 and page.wrong() == []
