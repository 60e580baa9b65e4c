"""An album: a picture of each of many architectures, and a contact sheet of them all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from ein.compiler.drawing.draw import Drawable, Options, drawn, to_dot
from ein.compiler.drawing.layout import LayoutError
from ein.compiler.drawing.sheet import Entry, sheet_html, sheet_png, sheet_svg
from ein.compiler.drawing.theme import THEMES
from ein.compiler.lower import lower
from ein.compiler.passes import optimise
from ein.populations import Member

SMALL = 60
"""Boxes of a picture in a contact sheet; more are folded."""
CONTACT = "contact"
LONGEST = 240
"""Bytes of a name: a file system takes 255, and a number and an ending follow."""


@dataclass(frozen=True, slots=True)
class Album:
    pictures: int
    sheet: Path | None
    """None where nothing could lay out the small pictures."""


def write_album(
    members: Sequence[Member],
    folder: Path,
    form: str,
    options: Options,
    *,
    optimised: bool = False,
    title: str = "",
    say: Callable[[str], None],
) -> Album:
    """Writes `name.form` for each and `contact.svg`, `.png` or `.html`, whatever suits `form`.

    Of what cannot be laid out the DOT text is written, and `say` gets a line on why.
    """
    networks: list[Drawable] = [
        optimise(lower(member.derivation.term)).graph if optimised else member.derivation for member in members
    ]
    pictures = drawn(networks, form, [replace(options, title=member.name) for member in members])
    names = file_names([member.name for member in members])
    for name, network, member, data in zip(names, networks, members, pictures, strict=True):
        _write(folder / name, form, data, network, replace(options, title=member.name))
    plain = replace(
        options, costs=(), shapes=False, heading=False, unfold=False, columns=None, depth=1,
        most=min(options.most, SMALL), scale=0.5,
    )  # fmt: skip
    small = drawn(networks, "png" if form == "png" else "svg", [plain] * len(networks))
    for line in _failures(pictures, small):
        say(line)
    entries = [
        Entry(member.name, member.note, data, f"{name}.{'dot' if isinstance(picture, LayoutError) else form}")
        for member, name, picture, data in zip(members, names, pictures, small, strict=True)
        if isinstance(data, bytes)
    ]
    drawn_ones = sum(isinstance(data, bytes) for data in pictures)
    return Album(drawn_ones, _sheet(entries, folder, form, title, options) if entries else None)


def file_names(names: Sequence[str]) -> list[str]:
    """A name of its own for each, without an ending: of names that are one (`a`, `A`), or that of the sheet, the later
    get a number; too long ones are cut."""
    taken = {CONTACT}
    found = []
    for name in names:
        short = name if len(os.fsencode(name)) <= LONGEST else os.fsencode(name)[:LONGEST].decode("utf-8", "ignore")
        one = next(each for each in _numbered(short) if each.casefold() not in taken)
        taken.add(one.casefold())
        found.append(one)
    return found


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}-{number}" for number in count(2))


def _write(path: Path, form: str, data: bytes | LayoutError, network: Drawable, options: Options) -> None:
    if isinstance(data, LayoutError):
        path.with_name(f"{path.name}.dot").write_bytes(to_dot(network, options).encode())
    else:
        path.with_name(f"{path.name}.{form}").write_bytes(data)


def _failures(pictures: Sequence[bytes | LayoutError], small: Sequence[bytes | LayoutError]) -> Iterator[str]:
    """One line for the pictures, and one for the sheet where it lacks more than those."""
    failed = [data for data in pictures if isinstance(data, LayoutError)]
    if failed:
        yield f"{len(failed)} of {len(pictures)} pictures are not drawn, there is their DOT text: {failed[0]}"
    pairs = zip(pictures, small, strict=True)
    missing = [data for picture, data in pairs if isinstance(data, LayoutError) and isinstance(picture, bytes)]
    if missing:
        yield f"{len(missing)} of {len(pictures)} pictures are not in the contact sheet: {missing[0]}"


def _sheet(entries: Sequence[Entry], folder: Path, form: str, title: str, options: Options) -> Path:
    theme = THEMES[options.style]
    if form == "png":
        path, data = folder / f"{CONTACT}.png", sheet_png(entries, title, theme)
    elif form == "html":
        path, data = folder / f"{CONTACT}.html", sheet_html(entries, title, theme).encode()
    else:
        path, data = folder / f"{CONTACT}.svg", sheet_svg(entries, title, theme).encode()
    path.write_bytes(data)
    return path
