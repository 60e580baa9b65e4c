"""What a grammar file reaches of the machine: the files that it imports, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAD = "ein 1\nimport std\ninput im[3, 8, 8]\n"

WATCHED = """
import json, sys
sys.path.insert(0, {src!r})
from ein import emit, lower
from ein.compiler.drawing.draw import Options, to_dot
from ein.grammar.check import check
from ein.grammar.architecture import architecture
from ein.grammar.diagnostics import EinError, render_all
from ein.grammar.derivations.sample import Sampler

def work(path):
    try:
        grammar, found = check(path)
    except EinError as error:
        grammar, found = None, error.diagnostics
    text = render_all(found)
    if grammar is not None:
        drawn = [Sampler.of(grammar).draw(0, i) for i in range(2)] if grammar.start else []
        for derivation in [*drawn, *(architecture(grammar, name) for name in grammar.architectures)]:
            text += emit(derivation) + emit(lower(derivation))
            text += "".join(to_dot(derivation, Options(view=view)) for view in ("graph", "derivation"))
    return text, grammar is not None

for path in sys.argv[1].split("|"):
    work(path)  # what is imported and read once in a process
events = []
watched = True
def hook(event, arguments):
    if watched:
        events.append([event, repr(arguments[:2])])
sys.addaudithook(hook)
told = [work(path) for path in sys.argv[2].split("|")]
watched = False
print(json.dumps([events, told]))
"""
QUIET = {
    "object.__getattr__",
    "object.__setattr__",
    "object.__delattr__",
    "builtins.id",
    "sys._getframe",
    "gc.get_objects",
}
"""Events that reach nothing."""


def watched(warm: list[Path], paths: list[Path]) -> tuple[list[tuple[str, str]], list[tuple[str, bool]]]:
    """The events of a process that checks, draws from, emits and draws the files, after it did so with others."""
    code = WATCHED.replace("{src!r}", repr(str(ROOT / "src")))
    command = [sys.executable, "-c", code, "|".join(map(str, warm)), "|".join(map(str, paths))]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 0, done.stderr
    events, told = json.loads(done.stdout)
    return [(event, arguments) for event, arguments in events if event not in QUIET], told


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Files that try to reach what they may not, beside what they may import."""
    (tmp_path / "secret.txt").write_text("hunter2")
    (tmp_path / "secret.ein").write_text("ein 1\nop hunter2 : t -> t = relu(x)\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "part.ein").write_text("ein 1\nimport std\ndef mine = relu >> conv(3)\n")
    (folder / "out.ein").symlink_to("../secret.ein")
    system = "op system(command = 1) : im[c, h, w] -> im[c, h, w] = x * command\nrule S = system(2) >> open"
    texts = {
        "plain": f'ein 1\nimport std\nimport "part.ein"\ninput im[3, 8, 8]\nrule S = mine\narch a = mine\n{"#" * 50}\n',
        "wrong": f"{HEAD}rule S = reluu >> conv(3, 4\nop f : t -> t = relu(y)\n",
        "imports": 'ein 1\nimport "../secret.ein"\nimport "out.ein"\nimport "/etc/passwd"\nimport "secret.txt"\n'
        'import "part.ein"\nimport os\nimport "https://example.org/x.ein"\ninput im[3, 8, 8]\nrule S = mine\n',
        "calls": f"{HEAD}rule S = os.system(1) | eval(1) | __import__(1)\nop f : t -> t = torch.load(x)\n",
        "layers": f"{HEAD}op f : t -> t = nn.utils.parametrize(x)\nop g : t -> t = F.os.system(x)\nrule S = f >> g\n",
        "names": f"{HEAD}op open : im[c, h, w] -> im[c, h, w] = relu(x)\n{system}\n",
        "strings": f'{HEAD}op f : t -> t = F.gelu(x, approximate = "\'+__import__(\\"os\\")+\'")\nrule S = f\n',
    }
    for name, text in texts.items():
        (folder / f"{name}.ein").write_text(text)
    return {name: folder / f"{name}.ein" for name in texts}


def test_a_file_reaches_its_imports_and_nothing_else(files: dict[str, Path]) -> None:
    warm = [files["plain"], files["wrong"]]
    events, told = watched(warm, list(files.values()))
    opened = {arguments for event, arguments in events if event == "open"}
    assert {event for event, _ in events} == {"open"}, events
    allowed = {repr((str(path), "r")) for path in (*files.values(), files["plain"].parent / "part.ein")}
    assert opened <= {text.replace("'r'", mode) for text in allowed for mode in ("'r'", "'rb'")}, opened
    assert [good for _, good in told] == [True, False, False, False, False, True, False]
    assert not any("hunter2" in text for text, _ in told)


def test_what_reaches_further_is_seen(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    planted = WATCHED.replace("    text = render_all(found)", "    text = open('/dev/null').name; import colorsys")
    monkeypatch.setattr(sys.modules[__name__], "WATCHED", planted.replace("work(path)  #", "pass  #"))
    events, _ = watched([files["plain"]], [files["plain"]])
    assert {"open", "import", "exec"} <= {event for event, _ in events}
