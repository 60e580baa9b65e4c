"""Sources and pictures in docs/gallery are what is emitted and drawn; ResNet-18 is about as long as one by hand."""

from __future__ import annotations

import os
import re
import runpy
import xml.etree.ElementTree as ET
from importlib.metadata import version
from pathlib import Path

import pytest

import ein
from ein.compiler.drawing import layout
from ein.compiler.load import load

GALLERY = Path(__file__).parents[3] / "docs" / "gallery"
SHOWN = {"resnet18": "zoo/resnet18", "vit": "zoo/vit", "einspace": str(GALLERY / "einspace.ein")}
IDS = re.compile(r"@[0-9a-f]{8}:[0-9a-f]{16}")

BY_HAND = """
import torch.nn.functional as F
from torch import nn


class BasicBlock(nn.Module):
    def __init__(self, in_channels, channels, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels, channels, 3, stride=stride, padding=1, bias=False
        )
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = None
        if stride != 1 or in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(channels),
            )

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return F.relu(x + identity)


class ResNet18(nn.Module):
    def __init__(self, classes=1000):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = nn.Sequential(BasicBlock(64, 64), BasicBlock(64, 64))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512))
        self.fc = nn.Linear(512, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.maxpool(x)
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        x = self.layer4(x)
        x = x.mean((2, 3))
        return self.fc(x)
"""


@pytest.mark.parametrize("name", SHOWN)
def test_the_gallery_s_sources_are_current(name: str) -> None:
    """EIN_REWRITE_GOLDEN=1 replaces them: read them then."""
    made = ein.emit(ein.architecture(SHOWN[name]))
    kept = GALLERY / f"{name}.py"
    if os.environ.get("EIN_REWRITE_GOLDEN"):
        kept.write_text(made, encoding="utf-8")
    assert IDS.sub("ID", made) == IDS.sub("ID", kept.read_text(encoding="utf-8"))


def test_resnet18_is_about_as_long_as_one_by_hand() -> None:
    """Blank lines and the docstring left out on both sides; and it is the same network, weight by weight."""
    source = ein.emit(ein.architecture("zoo/resnet18"), docstring="")
    lines = [sum(bool(line.strip()) for line in text.splitlines()) for text in (source, BY_HAND)]
    assert lines[0] <= 1.3 * lines[1], lines
    space: dict[str, type] = {}
    exec(BY_HAND, space)
    wanted = sorted(tuple(weight.shape) for weight in space["ResNet18"]().parameters())
    assert sorted(tuple(weight.shape) for weight in load(source).parameters()) == wanted
    assert re.findall(r"(?m)^class (\w+)", source) == ["BasicBlock", "DownBlock", "Net"]
    assert re.findall(r"self\.(layer\d) = nn\.Sequential", source) == ["layer1", "layer2", "layer3", "layer4"]


DRAWING = runpy.run_path(str(GALLERY / "draw.py"))
PINS = (GALLERY.parents[1] / "constraints.txt").read_text().splitlines()
PINNED = next(line.partition("==")[2] for line in PINS if line.startswith("pygraphviz"))


def words(picture: Path) -> list[str]:
    """What a picture says, wherever a layout engine puts it."""
    return sorted("".join(text.itertext()) for text in ET.parse(picture).iter("{http://www.w3.org/2000/svg}text"))


@pytest.mark.parametrize("name", [*DRAWING["PICTURES"], DRAWING["SHEET"]])
def test_the_gallery_s_pictures_are_current(name: str, tmp_path: Path) -> None:
    """`make gallery` replaces them: look at them then. They are the same bytes where the pinned engine drew them."""
    engine = next(layout.engines(), None)
    if engine is None:
        pytest.skip("there is no Graphviz on this machine")
    made, kept = DRAWING["draw"](name, tmp_path), GALLERY / name
    pinned = engine.wheel and version("pygraphviz") == PINNED
    if pinned:
        assert IDS.sub("ID", made.read_text("utf-8")) == IDS.sub("ID", kept.read_text("utf-8"))
    else:
        assert words(made) == words(kept)


def test_all_that_is_drawn_is_shown() -> None:
    shown = {*DRAWING["PICTURES"], DRAWING["SHEET"], "small.svg", "resnet8.svg"}
    assert {path.name for path in GALLERY.iterdir() if path.suffix == ".svg"} == shown
    readme = (GALLERY.parents[1] / "README.md").read_text("utf-8")
    assert [name for name in shown if f"gallery/{name}" not in readme] == []
