"""Albums: a picture for each, under a name that is its own, and a sheet that shows them all."""

from __future__ import annotations

import os
import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from PIL import Image

from ein.albums import Album, write_album
from ein.compiler.drawing import layout
from ein.compiler.drawing.draw import Options
from ein.compiler.drawing.sheet import CAPTION, GAP, HEAD, HEIGHT, PIXELS, WIDTH, columns
from ein.grammar.check import Request
from ein.populations import members

from .populations import NET, TWO, filled

FORMS = ("svg", "png", "pdf", "html", "dot", "mmd")
HOSTILE = ['"quoted" & \'single\'', "<script>alert(1)</script>".replace("/", "|"), "javascript:alert(1)", "a#b?c%20d",
           "two\nlines\x01", "onload=x", "ünï — 漢字"]  # fmt: skip


@pytest.fixture
def engine() -> None:
    if next(layout.engines(), None) is None:
        pytest.skip("there is no Graphviz on this machine")


def album(folder: Path, form: str = "svg", title: str = "", **options: Any) -> tuple[Album, list[str], Path]:
    said: list[str] = []
    out = folder.parent / "out"
    out.mkdir(exist_ok=True)
    found = members(folder, Request({}, None, None, {}), None, said.append)
    optimised = options.pop("optimised", False)
    made = write_album(found, out, form, Options(**options), optimised=optimised, title=title, say=said.append)
    return made, said, out


def names(out: Path) -> set[str]:
    return {path.name for path in out.iterdir()}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_has_a_picture_of_each_and_a_sheet(tmp_path: Path, form: str, engine: None) -> None:
    made, said, out = album(filled(tmp_path / "in", a=NET, b=TWO), form)
    contact = f"contact.{form if form in ('png', 'html') else 'svg'}"
    assert names(out) == {f"a.{form}", f"b-one.{form}", f"b-two.{form}", contact}
    assert (made, said) == (Album(3, out / contact), [])
    assert all(path.stat().st_size > 100 for path in out.iterdir())


def test_pictures_have_the_names_of_their_files(tmp_path: Path, engine: None) -> None:
    _, _, out = album(filled(tmp_path / "in", first=NET, second=NET))
    assert ">first<" in (out / "first.svg").read_text("utf-8")
    assert ">second<" in (out / "second.svg").read_text("utf-8")


@pytest.mark.parametrize("form", ["dot", "svg"])
def test_names_that_clash_are_told_apart(tmp_path: Path, form: str, engine: None) -> None:
    """`a-one` is a file and one of the architectures of `a`, `contact` is the name of the sheet; and a machine may
    hold `A` and `a` for one name."""
    folder = filled(tmp_path / "in", a=TWO, contact=NET, A=NET, B=NET)
    filled(folder, **{"a-one": NET.replace("relu", "gelu")})
    made, _, out = album(folder, form)
    pictures = [path for path in out.iterdir() if path != made.sheet]
    assert len(pictures) == made.pictures == 6
    assert len({path.name.casefold() for path in out.iterdir()}) == 7
    assert made.sheet is not None and made.sheet.name == "contact.svg"
    if form == "svg":
        assert ">gelu<" in "".join(path.read_text("utf-8") for path in pictures)
        links = re.findall(r'<a href="([^"]*)"', made.sheet.read_text("utf-8"))
        assert {unquote(link) for link in links} == {path.name for path in pictures}


def test_a_name_as_long_as_a_file_can_have(tmp_path: Path, engine: None) -> None:
    long = "n" * 251
    made, said, out = album(filled(tmp_path / "in", **{long: TWO, f"{long[:-1]}m": NET}), "html")
    assert (made.pictures, said) == (3, [])
    assert len(names(out)) == 4
    assert all(len(name.encode()) <= 255 for name in names(out))


class Page(HTMLParser):
    """Well-formed: what opens is closed in order. `tags` with their attributes, and all text."""

    VOID = ("meta", "br", "path", "polygon", "ellipse", "polyline", "rect")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def tags(sheet: Path) -> Iterator[tuple[str, dict[str, str | None]]]:
    text = sheet.read_text("utf-8")
    if sheet.suffix == ".svg":
        for each in ET.fromstring(text).iter():
            yield each.tag.rpartition("}")[2], {**each.attrib}
    else:
        yield from Page(text).tags


@pytest.mark.parametrize("form", ["svg", "html"])
def test_hostile_names_stay_text_in_a_sheet(tmp_path: Path, form: str, engine: None) -> None:
    folder = filled(tmp_path / "in", **dict.fromkeys(HOSTILE, NET))
    made, _, out = album(folder, form, title='<b>"title"</b>\x02')
    assert made.sheet is not None and made.pictures == len(HOSTILE)
    found = list(tags(made.sheet))
    assert not {tag for tag, _ in found} & {"script", "b" if form == "svg" else "script", "iframe", "image", "img"}
    assert not [name for _, attributes in found for name in attributes if name.lower().startswith("on")]
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [str(attributes["href"]) for tag, attributes in found if tag == "a"]
    assert all(re.fullmatch(r"[\w.%~-]+", link) for link in links), "nothing that a browser could take for an address"
    assert {unquote(link) for link in links} == names(out) - {made.sheet.name}
    text = made.sheet.read_text("utf-8")
    outside = re.findall(
        r"(?:href|src)=\"[^\"]*:[^\"]*\"|url\([^)]*\)|@import", re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    )
    assert outside == []


@pytest.mark.parametrize("form", ["svg", "html"])
def test_a_sheet_says_names_and_amounts(tmp_path: Path, form: str, engine: None) -> None:
    made, _, _ = album(filled(tmp_path / "in", **{"a <b> & c": NET}), form, title="<i>")
    assert made.sheet is not None
    text = made.sheet.read_text("utf-8")
    words = "".join(ET.fromstring(text).itertext()) if form == "svg" else Page(text).words
    assert "a <b> & c" in words and "112 params" in words and "<i>" in words


@pytest.mark.parametrize("count", [1, 3, 7])
def test_the_size_of_a_sheet(tmp_path: Path, count: int, engine: None) -> None:
    folder = filled(tmp_path / "in", **{f"n{at}": NET for at in range(count)})
    wide = columns(count)
    high = -(-count // wide)
    size = (wide * (WIDTH + GAP) + GAP, HEAD + high * (HEIGHT + CAPTION + GAP))
    made, _, _ = album(folder, "png")
    assert made.sheet is not None
    picture = Image.open(BytesIO(made.sheet.read_bytes())).convert("RGB")
    assert picture.size == (size[0] * PIXELS, size[1] * PIXELS)
    for at in range(count):
        x, y = GAP + at % wide * (WIDTH + GAP), HEAD + at // wide * (HEIGHT + CAPTION + GAP)
        corners = ((x + 3) * PIXELS, (y + 3) * PIXELS, (x + WIDTH - 3) * PIXELS, (y + HEIGHT - 3) * PIXELS)
        assert len(picture.crop(corners).getcolors(100_000) or ()) > 5, "each place has a picture"
    root = ET.parse(album(folder, "svg")[0].sheet or "").getroot()
    assert (root.get("width"), root.get("height")) == (f"{size[0]}pt", f"{size[1]}pt")


@pytest.mark.parametrize("form", FORMS)
def test_without_an_engine(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forms that need none come, the others as DOT text; either way one line says why there is no sheet."""
    monkeypatch.setattr(layout, "engines", lambda: iter([]))
    made, said, out = album(filled(tmp_path / "in", a=NET, b=NET), form)
    needs = form in layout.FORMATS
    assert made == Album(0 if needs else 2, None)
    assert names(out) == ({"a.dot", "b.dot"} if needs else {f"a.{form}", f"b.{form}"})
    [line] = said
    assert "pip install 'ein-lang[draw]'" in line and "\n" not in line


@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_one_that_takes_too_long_does_not_stop_the_others(
    tmp_path: Path, form: str, engine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = layout._run

    def slow(command: Any, text: bytes, timeout: float) -> Any:
        if b"softplus" in text:
            raise subprocess.TimeoutExpired(command, timeout)
        return run(command, text, timeout)

    monkeypatch.setattr(layout, "_run", slow)
    folder = filled(tmp_path / "in", a=NET, b=NET.replace("relu", "softplus"), c=NET)
    made, said, out = album(folder, form)
    assert made.pictures == 2
    assert names(out) == {f"a.{form}", "b.dot", f"c.{form}", f"contact.{'png' if form == 'png' else 'svg'}"}
    assert said[0].startswith("1 of 3 pictures") and "takes longer than" in said[0]
    assert len(said) == 1


def test_options_hold_for_all(tmp_path: Path, engine: None) -> None:
    folder = filled(tmp_path / "in", a=NET)
    plain, optimised, dark = (
        (album(folder, "dot", **options)[2] / "a.dot").read_text("utf-8")
        for options in ({}, {"optimised": True}, {"style": "dark"})
    )
    assert len({plain, optimised, dark}) >= 2
    made, _, _ = album(folder, "svg", style="dark")
    assert made.sheet is not None and "#16191d" in made.sheet.read_text("utf-8")
    made, _, _ = album(folder, "svg", view="derivation", heat="params")
    assert made.pictures == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_name_that_is_no_text(tmp_path: Path, form: str, engine: None) -> None:
    """Bytes that are not UTF-8."""
    made, said, out = album(filled(tmp_path / "in", **{os.fsdecode(b"a\xff"): NET}), form)
    assert (made.pictures, said) == (1, [])
    assert os.fsdecode(b"a\xff." + form.encode()) in names(out)
