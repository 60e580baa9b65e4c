"""What a notebook is given to show: text and an SVG, or Mermaid text where nothing can lay the picture out."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

import ein
from ein.compiler.drawing import layout, notebook
from ein.compiler.drawing.notebook import MOST, bundle
from ein.compiler.drawing.scene import boxes

from .networks import graph_of, of_zoo

NETWORK = of_zoo("zoo/resnet8")
SHOWN: dict[str, Any] = {
    "derivation": NETWORK,
    "graph": graph_of(NETWORK),
    "space": ein.load("einspace"),
}


@pytest.mark.parametrize("what", SHOWN)
def test_the_bundle_of_each(what: str) -> None:
    if next(layout.engines(), None) is None:
        pytest.skip("there is no Graphviz on this machine")
    shown = SHOWN[what]._repr_mimebundle_(include=None, exclude=None)
    assert list(shown) == ["text/plain", "image/svg+xml"]
    assert shown["text/plain"] == repr(SHOWN[what])
    assert ET.fromstring(shown["image/svg+xml"]).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("what", SHOWN)
def test_without_an_engine(what: str, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder) -> None:
    monkeypatch.setattr(layout, "engines", lambda: iter([]))
    shown = SHOWN[what]._repr_mimebundle_()
    assert list(shown) == ["text/plain", "text/vnd.mermaid"]
    assert shown["text/plain"] == repr(SHOWN[what])
    assert "flowchart" in shown["text/vnd.mermaid"]
    assert not recwarn.list


def test_large_networks_are_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    scenes: list[Any] = []

    def kept(scene: Any, **options: Any) -> str:
        scenes.append(scene)
        return "flowchart"

    monkeypatch.setattr(layout, "engines", lambda: iter([]))
    monkeypatch.setattr("ein.compiler.drawing.draw.write_mermaid", kept)
    bundle(of_zoo("zoo/densenet121"))
    assert 10 < len(list(boxes(scenes[0].items))) <= MOST < 428
    assert notebook.MOST == MOST
