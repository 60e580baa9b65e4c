"""No text of a picture is cut, covered or written over: by the places in its SVG, laid out by the wheel."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations

import pytest

from ein.compiler.drawing import layout
from ein.compiler.drawing.draw import DIRECTIONS, Drawable, Options, drawn
from ein.compiler.drawing.theme import THEMES

from .networks import SPACES, ZOO, of_zoo, sampled, sampler, written
from .places import Group, Written, groups, page

NETWORKS = [*map(of_zoo, ZOO), *(sampled(space, index) for space in SPACES for index in range(2))]
LOOKS = [(style, direction) for style in THEMES for direction in DIRECTIONS]


@pytest.fixture(autouse=True)
def wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [engine for engine in layout.engines() if engine.wheel]
    if not found:
        pytest.skip("the pygraphviz wheel is not installed here")
    monkeypatch.setattr(layout, "engines", lambda: iter(found))


def faults(svg: str) -> Iterator[str]:
    found = list(groups(svg))
    whole = page(svg)
    nodes = [group for group in found if group.kind == "node"]
    texts = [(group, text) for group in found for text in group.texts]
    for group, text in texts:
        if not text.area.inside(whole):
            yield f"{text} is not on the page"
        if group.kind == "node" and (group.area is None or not text.area.inside(group.area)):
            yield f"{text} is not inside {group}"
        yield from (f"{text} is covered by {node}" for node in nodes if node is not group and covers(node, text))
    yield from (f"{one} on {other}" for one, other in near([text for _, text in texts]) if one.area.meets(other.area))
    for one_node, other_node in combinations(nodes, 2):
        if one_node.area and other_node.area and one_node.area.meets(other_node.area):
            yield f"{one_node} on {other_node}"


def covers(node: Group, text: Written) -> bool:
    return node.area is not None and text.area.meets(node.area)


def near(texts: Sequence[Written]) -> Iterator[tuple[Written, Written]]:
    """Pairs that are at one height."""
    order = sorted(texts, key=lambda text: text.area.top)
    for at, one in enumerate(order):
        for other in order[at + 1 :]:
            if other.area.top > one.area.bottom:
                break
            yield one, other


def pictures(what: Sequence[Drawable], options: Sequence[Options]) -> list[str]:
    made = drawn(what, "svg", options)
    assert all(isinstance(data, bytes) for data in made), made
    return [data.decode() for data in made if isinstance(data, bytes)]


def check(svgs: Sequence[str]) -> None:
    for svg in svgs:
        assert list(faults(svg)) == []
        texts = [text for group in groups(svg) for text in group.texts]
        assert len(texts) == len(re.findall(r"<text [^>]*>[^<]*[^<\s\u00a0][^<]*</text>", svg)), "all were looked at"


def test_graphs() -> None:
    """Each in one of the styles, downwards and to the right; `test_graphs_in_all_styles` draws the rest."""
    looks = [LOOKS[at % len(LOOKS)] for at in range(len(NETWORKS))]
    check(pictures(NETWORKS, [Options(style=style, direction=direction) for style, direction in looks]))


@pytest.mark.slow
@pytest.mark.parametrize(("style", "direction"), LOOKS)
def test_graphs_in_all_styles(style: str, direction: str) -> None:
    check(pictures(NETWORKS, [Options(style=style, direction=direction)] * len(NETWORKS)))
    check(pictures(NETWORKS, [Options(style=style, direction=direction, wires=True, depth=9)] * len(NETWORKS)))


@pytest.mark.parametrize("style", THEMES)
def test_derivations_and_grammars(style: str) -> None:
    networks = [sampled(space, 2) for space in SPACES if space not in ("darts", "hnb201", "nb201", "hnb201_cell")]
    check(pictures(networks, [Options(style=style, view="derivation")] * len(networks)))
    grammars = [sampler(space).grammar for space in SPACES]
    check(pictures(grammars, [Options(style=style)] * len(grammars)))


@pytest.mark.parametrize("style", THEMES)
def test_more_on_and_around_the_boxes(style: str) -> None:
    long = "m" * 70
    text = f"def {long} = conv(4, k = 3) >> relu\ninput im[4, 8, 8]\narch net = gelu >> {long} * 2 >> norm >> {long}"
    options = [
        Options(style=style, costs=("params", "macs", "memory"), title="A long title of a small network, " * 5),
        Options(style=style, heat="memory", unfold=True),
        Options(style=style, most=5, direction="LR"),
        Options(style=style, shapes=False, heading=False),
    ]
    check(pictures([written(text)] * len(options), options))


def test_what_is_cut_or_covered_is_seen() -> None:
    """One text of a box is drawn longer, and moved onto another one."""
    [svg] = pictures([of_zoo("zoo/resnet8")], [Options()])
    words = re.search(r'<text [^>]*textLength="([0-9.]+)"[^>]*>conv\(32[^<]*</text>', svg)
    assert words
    longer = words[0].replace(f'textLength="{words[1]}"', 'textLength="150"')
    assert any("not inside" in fault for fault in faults(svg.replace(words[0], longer, 1)))
    lower = re.sub(r' y="(-?[0-9.]+)"', lambda y: f' y="{float(y[1]) + 8}"', words[0])
    assert any(" on " in fault for fault in faults(svg.replace(words[0], lower, 1)))
    off = re.sub(r' x="[0-9.]+"', ' x="-20"', words[0])
    assert any("not on the page" in fault for fault in faults(svg.replace(words[0], off, 1)))
