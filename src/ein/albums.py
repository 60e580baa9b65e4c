"""An album: a picture of each of many architectures, and a contact sheet of them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ein.compiler.drawing.draw import Drawable, Options, drawn
from ein.compiler.drawing.layout import LayoutError
from ein.compiler.drawing.sheet import Entry, sheet_html, sheet_png, sheet_svg
from ein.compiler.drawing.theme import THEMES
from ein.compiler.lower import lower
from ein.compiler.passes import optimise
from ein.populations import Member

SMALL = 60
"""Boxes of a picture in a contact sheet; more are folded."""


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
    """Writes `name.form` for each and `contact.svg`, `.png` or `.html`, whatever suits `form`."""
    networks: list[Drawable] = [
        optimise(lower(member.derivation.term)).graph if optimised else member.derivation for member in members
    ]
    pictures = drawn(networks, form, [replace(options, title=member.name) for member in members])
    paths = [_written(folder / f"{member.name}.{form}", data) for member, data in zip(members, pictures, strict=True)]
    failed = [data for data in pictures if isinstance(data, LayoutError)]
    if failed:
        say(f"{len(failed)} of {len(pictures)} pictures are not drawn: {failed[0]}")
    plain = replace(options, costs=(), shapes=False, heading=False, depth=1, most=min(options.most, SMALL), scale=0.5)
    small = drawn(networks, "png" if form == "png" else "svg", [plain] * len(networks))
    entries = [
        Entry(member.name, member.note, data, path.name if path else "")
        for member, path, data in zip(members, paths, small, strict=True)
        if isinstance(data, bytes)
    ]
    return Album(len(pictures) - len(failed), _sheet(entries, folder, form, title, options) if entries else None)


def _written(path: Path, data: bytes | LayoutError) -> Path | None:
    if isinstance(data, LayoutError):
        return None
    path.write_bytes(data)
    return path


def _sheet(entries: Sequence[Entry], folder: Path, form: str, title: str, options: Options) -> Path:
    theme = THEMES[options.style]
    if form == "png":
        path, data = folder / "contact.png", sheet_png(entries, title, theme)
    elif form == "html":
        path, data = folder / "contact.html", sheet_html(entries, title, theme).encode()
    else:
        path, data = folder / "contact.svg", sheet_svg(entries, title, theme).encode()
    path.write_bytes(data)
    return path
