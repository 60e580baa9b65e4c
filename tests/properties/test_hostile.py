"""A grammar file is data: it reaches files that it imports and nothing else, and its words stay words wherever they go."""

from __future__ import annotations

import ast
import builtins
import json
import keyword
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ein import build, emit, lower
from ein.compiler import layout
from ein.compiler.draw import VIEWS, to_dot, to_svg
from ein.grammar.architecture import architecture
from ein.grammar.cfg import Grammar
from ein.grammar.check import check, load_grammar
from ein.grammar.derivation import Derivation
from ein.grammar.diagnostics import EinError, Source, render_all
from ein.grammar.load import LIBRARY, library_names
from ein.grammar.sample import Sampler
from ein.grammar.table import load
from ein.search.protocol import Trial
from ein.search.record import Record

ROOT = Path(__file__).parents[2]
HEAD = "ein 1\nimport std\ninput im[3, 8, 8]\n"

# --- names

MODULE = "self torch nn math cls net forward train eval parameters buffers modules state_dict to cuda half apply"
LOCAL = "x y z u v w x1 parts steps tied c1 training bias weight register_buffer add_module requires_grad"
_WORDS = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *MODULE.split(), *LOCAL.split()}
NAMES = sorted(word for word in _WORDS if word[0].islower() and word not in load().words)
"""Words that mean something to Python, to torch or to the source that we emit, and nothing in the language."""

EVERYWHERE = """ein 1
grammar {name}({name} = 2)
import std
type k{name}[{name}, ha, wa]
op {name}{name}({name} = 3) : im[ca, ha, wa] -> im[ca, ha, wa]
  param a{name}[ca] = 1
  buffer b_{name}[ca] = 1
  let c{name} = nn.Conv2d(ca, ca, 1)(x)[ca, ha, wa] * a{name} + b_{name}
  = c{name} * {name}
input im[3, 8, 8]
def d{name}({name}) = {name} >> conv(3)
rule N{camel} = let {name} = relu : {name} >> {name}{name}({name} = 2) >> d{name}(gelu) >> R{camel}(2)
rule R{camel}({name}) = for e{name} in {{2, 4}} : conv(e{name} * 2) | conv(3) @ 2
arch {name} = relu
"""
AS_OPERATOR = (
    "op {name} : im[{name}x, ha, wa] -> im[{name}x, ha, wa] param {name}[{name}x] = 1 = x * {name}\nrule S = {name}"
)
AS_AXIS = "op f : im[{name}, ha, wa] -> im[{name}, ha, wa] = nn.BatchNorm2d({name})\nrule S = f"
AS_VALUE = "op f : im[d, ha, wa] -> im[d, ha, wa] let {name} = relu(x) = {name} * 2\nrule S = f >> conv(3)"
AS_WEIGHT = "op f(key: name) : im[d, ha, wa] -> im[d, ha, wa] param p[d] = 1 tied by key = x * p\nrule S = f({name}) >> f({name})"

KINDS = frozenset(
    "Add Assign Attribute BinOp Call ClassDef Compare Constant Div Eq Expr For FunctionDef Gt GtE Import ImportFrom List"
    " ListComp Load Lt LtE MatMult Module Mult Name NotEq Pow Return Slice Store Sub Subscript Tuple USub UnaryOp alias"
    " arg arguments comprehension keyword".split()
)
"""The nodes of Python that emitted source is made of: no `import` inside, no `lambda`, no `exec`, no string to run."""

ROOTS = frozenset("self torch nn F super range zip".split())
"""What a call in emitted source begins with, beside names that it has assigned."""


def _assigned(tree: ast.AST) -> set[str]:
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return stored | {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}


def harmless(source: str) -> None:
    """Only nodes that we emit, imports of torch alone, names that are torch's or assigned before."""
    tree = ast.parse(source)
    assert {type(node).__name__ for node in ast.walk(tree)} <= KINDS
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {ast.unparse(node) for node in imported} <= {
        "import torch",
        "import torch.nn.functional as F",
        "from torch import nn",
    }
    assert all(node in tree.body for node in imported)
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    assert read <= ROOTS | _assigned(tree)
    assert not any(node.attr.startswith("__") and node.attr != "__init__" for node in _attributes(tree))


def _attributes(tree: ast.AST) -> Iterator[ast.Attribute]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))


def grammars(name: str) -> Iterator[Grammar]:
    """The name as each sort of thing that has one."""
    yield load_grammar(Source("everywhere.ein", EVERYWHERE.format(name=name, camel=name.title().replace("_", ""))))
    for text in (AS_OPERATOR, AS_AXIS, AS_VALUE, AS_WEIGHT) if name != "x" else (AS_WEIGHT,):  # `x` is the input
        yield load_grammar(Source("one.ein", HEAD + text.format(name=name)))


def derivations(grammar: Grammar) -> Iterator[Derivation]:
    if grammar.start is not None:
        sampler = Sampler.of(grammar)
        yield from (sampler.draw(0, index) for index in range(2))
    yield from (architecture(grammar, name) for name in grammar.architectures)


SLOW = [name if i % 8 == 0 else pytest.param(name, marks=pytest.mark.slow) for i, name in enumerate(NAMES)]


@pytest.mark.parametrize("name", SLOW)
def test_any_name_can_be_emitted(name: str) -> None:
    for grammar in grammars(name):
        for derivation in derivations(grammar):
            harmless(emit(derivation))
            harmless(emit(lower(derivation)))
            assert all("script" not in to_dot(derivation, view=view).replace(name, "") for view in VIEWS)


@pytest.mark.parametrize(
    "name", ["class", "self", "torch", "nn", "super", "forward", "parameters", "train", "x", "lambda"]
)
def test_what_is_emitted_under_such_names_runs(name: str) -> None:
    for grammar in grammars(name):
        for derivation in derivations(grammar):
            module = build(derivation)
            assert module(torch.zeros(2, 3, 8, 8)).shape[0] == 2
            assert len(list(module.parameters())) == len(module.state_dict()) - len(list(module.buffers()))


@pytest.mark.parametrize("name", ["__init__", "__class__", "_modules", "_x", "a.b", "été", "x\u2028y", "Net"])
def test_other_names_are_no_names(name: str) -> None:
    for text in (AS_OPERATOR, AS_AXIS, AS_VALUE):
        found = check(Source("name.ein", HEAD + text.format(name=name)))[1]
        assert {d.code for d in found if d.severity == "error"} & {"E101", "E102", "E103", "E110", "E205"}


@pytest.mark.slow
def test_the_library_is_emitted_of_the_same_nodes() -> None:
    for name in library_names():
        grammar = load_grammar(name)
        for each in grammar.architectures:
            if grammar.architectures[each].input is not None:
                harmless(emit(architecture(grammar, each)))


def test_what_is_not_emitted_is_seen() -> None:
    harmless("from torch import nn\n\n\nclass Net(nn.Module):\n    def forward(self, x):\n        return x\n")
    for line in ("import os", "lambda: 0", "exec('1')", "[].__class__", "y = open", "f'{1}'", "__import__('os')"):
        with pytest.raises(AssertionError):
            harmless(f"{line}\n")


# --- strings and comments

STRINGS = [
    "tanh\\",
    "tanh'); import os; ('",
    "{0.__class__.__init__.__globals__}",
    "{}",
    "%s%n",
    "'''",
    "\x1b[2J\x07",
    "\u202e\u2066\ud7ff",
    "</script><script>alert(1)</script>",
    "]]> --> &amp; <!ENTITY x SYSTEM 'file:///etc/passwd'>",
    "'; DROP TABLE proposals; --",
    "x" * 5000,
]
PLACES = [
    'op f : t -> t = F.gelu(x, approximate = "{}")\nrule S = f',
    'op f : im[c, h, w] -> im[c, h, w] = nn.Conv2d(c, c, 1, padding_mode = "{}")\nrule S = f',
    'rule S = conv(8, k = "{}")',
    'rule S = embed(4, 4, key = "{}")',
    'import "{}"\nrule S = relu',
    'rule S = relu if "{}" == "a" | gelu',
    'op f(k = "{}") : t -> t = relu(x)\nrule S = f(k = "b")',
    'derivation of "{}" (p = 1) digest "{}" trace "{}"\narch a = relu',
    "# {}\nrule S = relu  # {}\narch a = relu",
]


@pytest.mark.parametrize("string", STRINGS)
def test_strings_and_comments_are_refused_or_stay_text(string: str) -> None:
    for place in PLACES:
        grammar, found = check(Source(f"{string}.ein", HEAD + place.replace("{}", string)))
        shown = render_all(found)
        assert all(c.isprintable() or c in "\n\t" for c in shown)
        assert "function" not in shown and "builtins" not in shown
        for derivation in derivations(grammar) if grammar is not None else ():
            harmless(emit(derivation))
            harmless(emit(derivation, docstring=f'{string}"""\n{string}\\'))


@pytest.mark.parametrize("string", STRINGS)
def test_titles_stay_text_in_pictures(string: str) -> None:
    [derivation] = derivations(load_grammar(Source("small.ein", f"{HEAD}arch a = relu")))
    assert to_dot(derivation, title=string).count("\n") == to_dot(derivation, title="safe").count("\n")
    if next(layout.engines(), None) is None:
        pytest.skip("there is no Graphviz on this machine")
    for view in VIEWS:
        elements = list(ET.fromstring(to_svg(derivation, view=view, title=string)).iter())
        tags = {element.tag.rpartition("}")[2] for element in elements}
        assert tags <= {"svg", "g", "path", "polygon", "polyline", "text", "title", "desc", "ellipse"}
        assert not any(key.startswith("on") or "href" in key for element in elements for key in element.attrib)


@pytest.mark.parametrize("string", STRINGS)
def test_a_study_keeps_any_text(string: str) -> None:
    trial = Trial(0, "random", None, 0, string, string, string, 3, string)
    ended = replace(trial, status="failed", reason=string, facts={string: string})
    record = Record.write(None)
    record.create({"space": string}, {string: string})
    record.add([trial], [ended])
    assert record.trials() == [ended]
    assert record.header() == ({"space": string}, {string: string})
    record.close()


# --- what is reached

WATCHED = """
import json, sys
sys.path.insert(0, {src!r})
from ein import emit, lower
from ein.compiler.draw import VIEWS, to_dot
from ein.grammar.check import check
from ein.grammar.architecture import architecture
from ein.grammar.diagnostics import EinError, render_all
from ein.grammar.sample import Sampler

def work(path):
    try:
        grammar, found = check(path)
    except EinError as error:
        grammar, found = None, error.diagnostics
    text = render_all(found)
    if grammar is not None:
        drawn = [Sampler.of(grammar).draw(0, i) for i in range(2)] if grammar.start else []
        for derivation in [*drawn, *(architecture(grammar, name) for name in grammar.architectures)]:
            text += emit(derivation) + emit(lower(derivation)) + "".join(to_dot(derivation, view=view) for view in VIEWS)
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
