"""The words of a grammar file stay words wherever they go: in source, pictures, messages, a study."""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from ein import build, emit, lower
from ein.compiler.drawing import layout
from ein.compiler.drawing.draw import Options, to_dot, to_svg
from ein.grammar.architecture import architecture
from ein.grammar.cfg import Grammar
from ein.grammar.check import check, load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source, render_all
from ein.grammar.load import library_names
from ein.grammar.notation.table import load
from ein.search.protocol import Trial
from ein.search.record import Record

VIEWS = ("graph", "derivation")
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
AS_WEIGHT = (
    "op f(key: name) : im[d, ha, wa] -> im[d, ha, wa] param p[d] = 1 tied by key = x * p\n"
    "rule S = f({name}) >> f({name})"
)

AS_BLOCK = (
    "def {name}(c) = conv(c) >> batch_norm >> relu >> conv(c) >> batch_norm >> gelu >> conv(c)\n"
    "rule S = {name}(4) >> {name}(5) >> {name}(6) >> {camel}(7) >> {camel}(8) >> {camel}(9)\n"
    "rule {camel}(c) = conv(c) >> batch_norm >> gelu >> conv(c) >> batch_norm >> gelu >> conv(c)"
)

KINDS = frozenset(
    "Add Assign Attribute BinOp Call ClassDef Compare Constant Div Eq Expr For FunctionDef Gt GtE Import ImportFrom"
    " FloorDiv GeneratorExp List ListComp Load Lt LtE MatMult Module Mult Name NotEq Pow Return Slice Starred Store Sub"
    " Subscript Tuple USub UnaryOp"
    " alias arg arguments comprehension keyword".split()
)
"""The nodes of Python that emitted source is made of: no `import` inside, no `lambda`, no `exec`, no string to run."""

ROOTS = frozenset("self torch nn F super range zip".split())
"""What a call in emitted source begins with, beside names that it has assigned."""


def _assigned(tree: ast.AST) -> set[str]:
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    classes = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    return stored | classes | {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}


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


@pytest.mark.parametrize("name", NAMES[::6])
def test_any_name_can_be_a_class(name: str) -> None:
    camel = name.title().replace("_", "")
    grammar = load_grammar(Source("block.ein", HEAD + AS_BLOCK.format(name=name, camel=f"{camel}Z")))
    for derivation in derivations(grammar):
        source = emit(derivation)
        harmless(source)
        assert source.count("(nn.Module):") == 3 and len({*re.findall(r"(?m)^class (\w+)", source)}) == 3
        build(derivation)


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
            assert all("script" not in to_dot(derivation, Options(view=view)).replace(name, "") for view in VIEWS)


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
    assert to_dot(derivation, Options(title=string)).count("\n") == to_dot(derivation, Options(title="safe")).count(
        "\n"
    )
    if next(layout.engines(), None) is None:
        pytest.skip("there is no Graphviz on this machine")
    for view in VIEWS:
        elements = list(ET.fromstring(to_svg(derivation, Options(view=view, title=string))).iter())
        tags = {element.tag.rpartition("}")[2] for element in elements}
        assert tags <= {"svg", "g", "path", "polygon", "polyline", "text", "title", "desc", "ellipse"}
        assert not any(key.startswith("on") or "href" in key for element in elements for key in element.attrib)


@pytest.mark.parametrize("string", STRINGS)
def test_a_study_keeps_any_text(string: str) -> None:
    trial = Trial(0, "founder", None, 0, string, string, string, 3, string)
    ended = replace(trial, status="error", reason=string, facts={string: string})
    record = Record.write(None)
    record.create({"space": string}, {string: string})
    record.add([trial], [ended])
    assert record.trials() == [ended]
    assert record.header() == ({"space": string}, {string: string})
    record.close()
