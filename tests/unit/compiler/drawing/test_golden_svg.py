"""An SVG of the pinned wheel is the same bytes on every machine, whatever its fonts, its home and its hash seed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from ein.compiler.drawing import layout
from ein.compiler.drawing.draw import Options, to_svg
from ein.grammar.derivations.derivation import Derivation

from .networks import sampled, written

ROOT = Path(__file__).parents[4]
GOLDEN = Path(__file__).parents[3] / "golden" / "draw"
PINS = dict(re.findall(r"(?m)^([a-z]+)==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8")))
DRAWN_BY = ("pygraphviz", "pillow")
RESNET = """def unit(c, s) = conv(c, k = 3, s = s) >> batch_norm
def basic(c)   = clone(2) >> (unit(c, 1) >> relu >> unit(c, 1) & identity) >> add >> relu
input im[3, 16, 16]
output vec[10]
arch net = unit(8, 2) >> relu >> basic(8) >> (relu * 2 >> tied relu * 3) >> head(10)
"""
PICTURES = {
    "resnet-light": Options(title="a small network"),
    "resnet-paper": Options(title="a small network", style="paper", direction="LR", unfold=True),
    "sampled-dark": Options(title="a sample of einspace", style="dark", heat="params"),
}
"""The architecture above, or a draw of einspace."""


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


OTHER = [f"{name} {installed(name)}" for name in DRAWN_BY if installed(name) != PINS[name]]
pytestmark = pytest.mark.skipif(bool(OTHER), reason=f"the golden pictures are of the pinned versions, not {OTHER}")


def network(name: str) -> Derivation:
    return written(RESNET) if name.startswith("resnet") else sampled("einspace", 3)


@pytest.fixture(autouse=True)
def wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [engine for engine in layout.engines() if engine.wheel]
    monkeypatch.setattr(layout, "engines", lambda: iter(found))


@pytest.mark.parametrize("name", PICTURES)
def test_golden_svg(name: str) -> None:
    """Rewritten with EIN_REWRITE_GOLDEN=1, and then looked at."""
    made = to_svg(network(name), PICTURES[name])
    path = GOLDEN / f"{name}.svg"
    if os.environ.get("EIN_REWRITE_GOLDEN"):
        path.write_text(made, "utf-8")
    assert made == path.read_text("utf-8")


@pytest.mark.parametrize("seed", ["1", "2"])
def test_machines_do_not_matter(seed: str, tmp_path: Path) -> None:
    """A machine of other fonts, another home, another language and another place."""
    fonts = tmp_path / "fonts.conf"
    fonts.write_text(f"<?xml version='1.0'?><fontconfig><dir>{tmp_path}</dir></fontconfig>", "utf-8")
    code = (
        "import sys\n"
        "from ein.compiler.drawing import layout\n"
        "from ein.compiler.drawing.draw import Options, to_svg\n"
        "from ein.grammar.architecture import architecture\n"
        "from ein.grammar.check import load_grammar\n"
        "from ein.grammar.diagnostics import Source\n"
        "found = [engine for engine in layout.engines() if engine.wheel]\n"
        "layout.engines = lambda: iter(found)\n"
        f"grammar = load_grammar(Source('test.ein', 'ein 1\\nimport std\\n' + {RESNET!r}))\n"
        "options = Options(title='a small network')\n"
        "sys.stdout.buffer.write(to_svg(architecture(grammar, 'net'), options).encode())\n"
    )
    changed = {"FONTCONFIG_FILE": str(fonts), "HOME": str(tmp_path), "PYTHONHASHSEED": seed, "LC_ALL": "C"}
    environment = os.environ | changed | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, check=True, cwd=tmp_path)
    assert done.stdout.decode() == (GOLDEN / "resnet-light.svg").read_text("utf-8")
    assert done.stderr == b""
