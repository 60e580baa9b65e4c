"""What pictures cost: python benchmarks/drawing.py

- a network of about 300 boxes, all unfolded, as SVG: seconds after imports, ours and the layout engine's apart;
- 100 networks of einspace with a contact sheet;
- a network of about 5,000 operators, folded, as SVG and as a page.

Wall seconds, the least of three runs, with the size of what is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import ein
from ein.albums import write_album
from ein.compiler.drawing.draw import Options, draw, scene_of
from ein.compiler.drawing.folding import resolved, unfolded
from ein.compiler.drawing.layout import engine_name
from ein.compiler.drawing.scene import boxes
from ein.compiler.drawing.texts import network_text
from ein.populations import Member

WIDE = {"modules": 6000, "depth": 1000, "params": 10**12, "macs": 10**15, "elements": 10**12}


def main() -> None:
    print(f"layout: {engine_name()}")
    with TemporaryDirectory() as folder:
        one(Path(folder))
        sheet(Path(folder))
        large(Path(folder))


def one(folder: Path) -> None:
    derivation = next(d for d in ein.load("hnb201").samples(50, seed=1) if 290 <= seen(d) <= 320)
    options = Options(unfold=True)
    ours = least(lambda: resolved(scene_of(derivation, options)))
    whole = least(lambda: draw(derivation, folder / "one.svg", options))
    print(f"{seen(derivation)} boxes as SVG: {whole:.2f} s, {ours:.2f} s of it before the layout")


def seen(derivation: ein.Derivation) -> int:
    return sum(1 for _ in boxes(resolved(unfolded(scene_of(derivation))).items))


def sheet(folder: Path) -> None:
    drawn = list(ein.load("einspace").samples(100, seed=5, size=(8, 80)))
    members = [Member(f"{i:03}", network_text(each.cost), each) for i, each in enumerate(drawn)]
    seconds = least(lambda: write_album(members, folder, "svg", Options(), say=print))
    size = (folder / "contact.svg").stat().st_size
    print(f"100 networks, each a picture, and a contact sheet of {size / 1e6:.1f} MB: {seconds:.1f} s")


def large(folder: Path) -> None:
    space = ein.load("einspace", limits=WIDE)
    derivation = space.sample(seed=3, size=(4500, 6000))
    for form in ("svg", "html"):
        path = folder / f"large.{form}"
        seconds = least(partial(draw, derivation, path))
        size = path.stat().st_size / 1e3
        print(f"{derivation.modules:,} modules, folded, as {form}: {seconds:.2f} s, {size:,.0f} KB")


def least(run: Callable[[], object]) -> float:
    found = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return min(found)


if __name__ == "__main__":
    main()
