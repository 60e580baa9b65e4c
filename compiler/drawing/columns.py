"""A long chain as columns beside each other: a wire that would lead to the next column ends in a numbered sign, and
the column begins with the same sign.

    a -> b -> c -> d    -->    a -> b -> (1)      (1) -> c -> d
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from math import sqrt

from ein.compiler.drawing.ranks import ranks
from ein.compiler.drawing.scene import Box, Item, Look, Scene, Wire, boxes

LONG = 24
"""Boxes on the longest way through a picture from which columns are made."""
PAGE = 4.8
"""Boxes below each other that make a column as high as a page is, were it one column wide."""
WORTH = 1.2
"""How much longer columns may be where there are fewer of them."""


def in_columns(scene: Scene, count: int | None = None) -> Scene:
    """With the chain of items cut into at most `count` columns of about the same length, where one box alone feeds what
    follows. None: as many as give the picture the shape of a page."""
    if scene.tree or scene.direction != "TB":
        return scene
    lengths = _lengths(scene)
    total = sum(lengths)
    if count is None:
        count = round(sqrt(total / PAGE)) if total > LONG else 1
    parts = _parts(scene, lengths)
    shortest = _shortest(parts, count)
    fewest = next(each for each in range(1, count + 1) if _shortest(parts, each) <= shortest * WORTH)
    starts = [start for start, _ in _packed(parts, _shortest(parts, fewest))[1:]]
    return _cut(scene, starts) if starts else scene


def _shortest(parts: Sequence[tuple[int, int]], count: int) -> int:
    """The length of the longest column where `count` share the parts as well as can be."""
    lengths = [length for _, length in parts]
    found = range(min(lengths), sum(lengths) + 1)
    return found[bisect_left(found, True, key=lambda most: len(_packed(parts, most)) <= count)]


def _lengths(scene: Scene) -> list[int]:
    """For each item the boxes on the longest way through it."""
    home = {box.id: at for at, item in enumerate(scene.items) for box in boxes((item,))}
    inner = [(wire.source, wire.target) for wire in scene.wires if home[wire.source] == home[wire.target]]
    found = [1] * len(scene.items)
    for id, rank in ranks(inner).items():
        found[home[id]] = max(found[home[id]], rank + 1)
    return found


def _parts(scene: Scene, lengths: Sequence[int]) -> list[tuple[int, int]]:
    """The pieces between places where one box alone feeds what follows: the item each begins with, and its length."""
    home = {box.id: at for at, item in enumerate(scene.items) for box in boxes((item,))}
    crossing: list[set[str]] = [set() for _ in scene.items]
    for wire in scene.wires:
        first, last = sorted((home[wire.source], home[wire.target]))
        for at in range(first + 1, last + 1):
            crossing[at].add(wire.source)
    starts = [at for at, sources in enumerate(crossing) if at == 0 or len(sources) == 1]
    return [(at, sum(lengths[at:end])) for at, end in zip(starts, [*starts[1:], len(lengths)], strict=True)]


def _packed(parts: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """Columns as (first item, length), none longer than `most` unless one part is."""
    found: list[tuple[int, int]] = []
    for start, length in parts:
        if found and found[-1][1] + length <= most:
            found[-1] = (found[-1][0], found[-1][1] + length)
        else:
            found.append((start, length))
    return found


def _cut(scene: Scene, starts: Sequence[int]) -> Scene:
    home = {box.id: at for at, item in enumerate(scene.items) for box in boxes((item,))}
    items: list[Item] = []
    wires: list[Wire] = []
    signed: set[tuple[object, ...]] = set()
    for wire in scene.wires:
        between = [starts.index(at) + 1 for at in starts if home[wire.source] < at <= home[wire.target]]
        *ended, last = _broken(wire, between)
        wires += [part for part in ended if _alike(part) not in signed]
        wires.append(last)
        signed |= set(map(_alike, ended))
    for at, item in enumerate(scene.items):
        if at in starts:
            number = starts.index(at) + 1
            items += [_sign(f"a{number}", number, "below"), _sign(f"b{number}", number, "above")]
        items.append(item)
    return replace(scene, items=tuple(items), wires=tuple(wires))


def _alike(wire: Wire) -> tuple[object, ...]:
    """Equal for wires to a sign of which one is drawn."""
    return wire.source, wire.target, wire.row, wire.text, wire.change


def _sign(id: str, number: int, where: str) -> Box:
    goes = "goes on at" if where == "below" else "comes from"
    return Box(id, str(number), Look.END, small=True, hover=f"{goes} the other {number}")


def _broken(wire: Wire, numbers: Sequence[int]) -> list[Wire]:
    """The wire by way of the signs of these numbers."""
    found, source = [], wire
    for number in numbers:
        found.append(replace(source, target=f"a{number}"))
        source = replace(wire, source=f"b{number}", row=None)
    return [*found, source]
