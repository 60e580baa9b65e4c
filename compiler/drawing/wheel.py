"""A program of its own, run by `layout`: DOT on stdin, pictures on stdout, by the Graphviz of the pygraphviz wheel.

python wheel.py version
python wheel.py png dpi=192 size=80,80

There may be several texts, with a NUL after each; before each picture stands a line with its length in bytes.

An SVG is laid out with one font, that of Pillow, so it is the same on every machine; each text carries the length
it was given, so that the reader's font fits too. Other forms take the fonts of the machine.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from html import escape, unescape
from pathlib import Path

FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts")
FONT_SUFFIXES = (".ttf", ".otf", ".ttc", ".pfb")
FONTCONFIG = """<?xml version='1.0'?>
<fontconfig>
<dir>{0}</dir><cachedir>{0}</cachedir>
<match target="pattern"><edit name="hinting"><bool>false</bool></edit></match>
</fontconfig>
"""
NUL = "\0"
BOLD = 1.04
"""How much wider bold letters are drawn than Graphviz takes them for; boxes have that much room."""


def main(format: str, settings: Sequence[str]) -> None:
    """`settings` are attributes of the graph: `dpi=192`."""
    import pygraphviz

    if format == "version":
        print(pygraphviz.__graphviz_version__)
        return
    texts = sys.stdin.buffer.read().decode().removesuffix(NUL).split(NUL)
    with fonts(always=format == "svg"):
        for text in texts:
            graph = pygraphviz.AGraph(string=text)
            for setting in settings:
                name, _, value = setting.partition("=")
                graph.graph_attr[name] = value
            drawn = graph.draw(format=format, prog="dot")
            data = with_lengths(drawn.decode()).encode() if format == "svg" else drawn
            sys.stdout.buffer.write(b"%d\n" % len(data))
            sys.stdout.buffer.write(data)


@contextmanager
def fonts(always: bool) -> Iterator[None]:
    """The font that Pillow carries: `always`, or where Linux has none, as in slim containers: every letter would be
    a box."""
    if not always and (sys.platform != "linux" or "FONTCONFIG_FILE" in os.environ or has_fonts(FONT_FOLDERS)):
        yield
        return
    from PIL import ImageFont

    with tempfile.TemporaryDirectory(prefix="ein-fonts-") as folder:
        font = ImageFont.load_default(12)
        Path(folder, "sans.ttf").write_bytes(getattr(font, "font_bytes", b""))
        settings = Path(folder, "fonts.conf")
        settings.write_text(FONTCONFIG.format(escape(folder)), "utf-8")
        os.environ["FONTCONFIG_FILE"] = str(settings)
        yield


def has_fonts(folders: Sequence[str]) -> bool:
    names = (name for folder in folders for _, _, names in os.walk(os.path.expanduser(folder)) for name in names)
    return any(name.lower().endswith(FONT_SUFFIXES) for name in names)


_TEXT = re.compile(r'<text ([^>]*?) x="([-0-9.]+)"([^>]*?font-size="([0-9.]+)"[^>]*)>([^<]+)</text>')


def with_lengths(svg: str) -> str:
    """With the length that each text has in the layout, and bold ones in the middle of their place.

    Pango lays out for 96 dots per inch and rounds the width of each letter to dots.
    """
    from PIL import ImageFont

    width = cache(ImageFont.load_default(1000).getlength)

    def lengthened(found: re.Match[str]) -> str:
        start, x, looks, size, text = found.groups()
        shown = unescape(text)
        if not all(" " <= c <= "ÿ" or c in "…−±" for c in shown):
            return found[0]
        dots = float(size) * 96 / 72
        length = sum(int(width(c) * dots / 1000 + 0.5) for c in shown) * 72 / 96
        more = (BOLD - 1) * length if "bold" in looks else 0
        middle = f'<text {start} x="{float(x) - more / 2:.2f}"{looks}'
        return f'{middle} textLength="{length + more:.1f}" lengthAdjust="spacingAndGlyphs">{text}</text>'

    return _TEXT.sub(lengthened, svg)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
