"""Draws the pictures of this folder: `make gallery`.

The SVGs are the same on every machine with the wheel that constraints.txt pins; `tests/unit/ein/test_gallery.py`
holds them to that.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ein
from ein.albums import write_album
from ein.compiler.drawing.draw import Options
from ein.compiler.drawing.texts import network_text
from ein.populations import Member

HERE = Path(__file__).parent
EINSPACE = str(HERE / "einspace.ein")
PICTURES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "resnet18.svg": ("zoo/resnet18", {"title": "ResNet-18"}),
    "vit.svg": ("zoo/vit", {"title": "ViT", "heat": "macs"}),
    "mixer.svg": ("zoo/mlp_mixer", {"title": "MLP-Mixer", "style": "paper"}),
    "einspace.svg": (EINSPACE, {"title": "A network of einspace", "style": "dark"}),
    "einspace-derivation.svg": (EINSPACE, {"title": "Its derivation", "view": "derivation"}),
    "einspace-rules.svg": ("einspace", {}),
    "resnet34-difference.svg": ("zoo/resnet18", {"against": "zoo/resnet34", "title": "From ResNet-18 to ResNet-34"}),
}
"""By file: what is drawn, and the options of `ein.draw`."""
SHEET = "contact.svg"
"""Networks drawn from einspace, side by side."""


def draw(name: str, folder: Path) -> Path:
    """Writes one of PICTURES, or SHEET, into a folder."""
    if name == SHEET:
        return draw_sheet(folder)
    what, options = PICTURES[name]
    if "against" in options:
        options = options | {"against": ein.architecture(options["against"])}
    drawn = ein.load(what) if what == "einspace" else ein.architecture(what)
    return ein.draw(drawn, folder / name, **options)


def draw_sheet(folder: Path) -> Path:
    draws = enumerate(ein.load("einspace").samples(24, seed=5, size=(8, 60)))
    members = [Member(f"einspace-5-{i:02}", network_text(each.cost), each) for i, each in draws]
    with TemporaryDirectory() as rest:
        album = write_album(members, Path(rest), "svg", Options(), title="24 networks of einspace", say=print)
        assert album.sheet is not None, "there is no layout engine"
        return Path(shutil.copy(album.sheet, folder / SHEET))


if __name__ == "__main__":
    for wanted in sys.argv[1:] or [*PICTURES, SHEET]:
        print(draw(wanted, HERE))
