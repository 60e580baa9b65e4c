"""A program of its own, run by `layout`: DOT on stdin, a picture on stdout, by the Graphviz of the pygraphviz wheel.

python draw_wheel.py version
python draw_wheel.py png dpi=192 size=80,80
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from xml.sax.saxutils import escape

FONT_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts")
FONT_SUFFIXES = (".ttf", ".otf", ".ttc", ".pfb")
FONTCONFIG = "<?xml version='1.0'?><fontconfig><dir>{0}</dir><cachedir>{0}</cachedir></fontconfig>"


def main(format: str, settings: Sequence[str]) -> None:
    """`settings` are attributes of the graph: `dpi=192`."""
    import pygraphviz

    if format == "version":
        print(pygraphviz.__graphviz_version__)
        return
    graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
    for setting in settings:
        name, _, value = setting.partition("=")
        graph.graph_attr[name] = value
    with fonts():
        sys.stdout.buffer.write(graph.draw(format=format, prog="dot"))


@contextmanager
def fonts() -> Iterator[None]:
    """The font that Pillow carries where Linux has none, as in slim containers: every letter would be a box."""
    if sys.platform != "linux" or "FONTCONFIG_FILE" in os.environ or has_fonts(FONT_FOLDERS):
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


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
