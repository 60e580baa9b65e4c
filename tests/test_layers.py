"""Imports go one way: every import of the four packages and of `ein` itself, held against the table of the layers."""

import ast
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Layer:
    """What the files of one folder may import."""

    folder: str
    """relative to the repository"""
    package: str
    ours: tuple[str, ...]
    """packages of ours, beside its own"""
    third_parties: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """top-level module -> the files that may import it, relative to the folder; empty: all of them"""
    lazy: frozenset[str] = frozenset()
    """third parties that may be imported inside functions (or for type checkers) only"""


WAY_IN = tuple(f"way_in/{name}.py" for name in ("examples", "imported", "recognising", "same", "state", "trace"))
TORCH_FILES = ("load.py", "interpret.py", "operations.py", "carry.py", "verify_ops.py", "export.py", *WAY_IN)
HEAVY = frozenset({"networkx", "numpy", "scipy", "sklearn", "torch"})

LAYERS = (
    Layer(
        "grammar",
        "ein.grammar",
        (),
        {"lark": ("notation/table.py",), "hypothesis": ("strategies.py",)},
        lazy=frozenset({"lark"}),
    ),
    Layer(
        "compiler",
        "ein.compiler",
        ("ein.grammar",),
        {
            "networkx": (),
            "torch": TORCH_FILES,
            "pygraphviz": ("drawing/wheel.py",),
            "PIL": ("drawing/wheel.py", "drawing/sheet.py"),
            "onnxruntime": ("export.py",),
        },
        lazy=frozenset({"onnxruntime", "PIL"}),
    ),
    Layer(
        "runtime",
        "ein.runtime",
        ("ein.grammar", "ein.compiler"),
        {"torch": (), "numpy": (), "sklearn": (), "safetensors": (), "psutil": (), "PIL": ()},
    ),
    Layer("search", "ein.search", ("ein.grammar",), {"numpy": (), "sklearn": ("surrogate.py",)}),
    Layer(
        "src/ein",
        "ein",
        ("ein.grammar", "ein.compiler", "ein.runtime", "ein.search"),
        {"click": (), "rich": (), "networkx": (), "numpy": (), "torch": ()},
        lazy=HEAVY,
    ),
)

# module -> the distribution that brings it, and the extra of ours that asks for it ("" is the base)
BROUGHT_BY = {
    "PIL": ("pillow", ""),
    "click": ("click", ""),
    "hypothesis": ("hypothesis", "test"),
    "lark": ("lark", ""),
    "networkx": ("networkx", ""),
    "numpy": ("numpy", ""),
    "onnxruntime": ("onnxruntime", "test"),
    "psutil": ("psutil", ""),
    "pygraphviz": ("pygraphviz", "draw"),
    "rich": ("rich", ""),
    "safetensors": ("safetensors", ""),
    "sklearn": ("scikit-learn", ""),
    "torch": ("torch", ""),
}


@dataclass(frozen=True, slots=True)
class Import:
    module: str
    """absolute, as far as the statement tells: `from ein import grammar` imports `ein.grammar`"""
    line: int
    lazy: bool


def sources(layer: Layer) -> list[Path]:
    """The Python files of a layer; os.walk leaves out what the links in src/ein lead to."""
    walk = os.walk(ROOT / layer.folder, followlinks=False)
    return sorted(Path(directory, name) for directory, _, files in walk for name in files if name.endswith(".py"))


def is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def imports(tree: ast.AST, package: str, lazy: bool = False) -> Iterator[Import]:
    """Every import below `tree`; `package` is the one that relative imports start from."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Import(names=names):
                yield from (Import(name.name, node.lineno, lazy) for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = package.rsplit(".", level - 1)[0] if level else ""
                origin = ".".join(part for part in (base, module) if part)
                yield from (Import(f"{origin}.{name.name}", node.lineno, lazy) for name in names)
            case ast.Call(func=function, args=[ast.Constant(value=str(module)), *_]) if ast.unparse(function) in {
                "__import__",
                "import_module",
                "importlib.import_module",
            }:
                yield Import(module, node.lineno, lazy)
            case ast.If(test=test, body=body, orelse=orelse) if is_type_checking(test):
                yield from imports(ast.Module(body, []), package, lazy=True)
                yield from imports(ast.Module(orelse, []), package, lazy)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                yield from imports(node, package, lazy=True)
            case _:
                yield from imports(node, package, lazy)


def layer_of(module: str) -> Layer | None:
    """The layer that a module of ours belongs to: the one whose package is its longest prefix."""
    holders = [layer for layer in LAYERS if f"{module}.".startswith(f"{layer.package}.")]
    return max(holders, key=lambda layer: len(layer.package), default=None)


def objection(layer: Layer, file: str, found: Import) -> str | None:
    """Why `file` (relative to the folder of `layer`) may not import this; None if it may."""
    target = layer_of(found.module)
    if target is not None:
        allowed = (layer.package, *layer.ours)
        return None if target.package in allowed else f"{layer.package} may import of ours only {', '.join(allowed)}"
    top = found.module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return None
    if top not in layer.third_parties:
        return f"{top} is not among the third parties of {layer.package}"
    if layer.third_parties[top] and file not in layer.third_parties[top]:
        return f"{top} may be imported only by {', '.join(layer.third_parties[top])} of {layer.package}"
    if top in layer.lazy and not found.lazy:
        return f"{top} is heavy: {layer.package} imports it inside functions only"
    return None


def violations(layer: Layer, file: str, text: str) -> list[str]:
    """What is wrong with the imports of one file, a line each; `file` is relative to the folder of `layer`."""
    package = ".".join((layer.package, *Path(file).parts[:-1]))
    return [
        f"{layer.folder}/{file}:{found.line}: imports {found.module}: {why}"
        for found in imports(ast.parse(text), package)
        if (why := objection(layer, file, found))
    ]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.package)
def test_every_import_is_in_the_table(layer: Layer) -> None:
    files = sources(layer)
    assert files, f"no Python file found in {layer.folder}"
    wrong = [
        line
        for path in files
        for line in violations(layer, path.relative_to(ROOT / layer.folder).as_posix(), path.read_text("utf-8"))
    ]
    assert not wrong, "\n".join(wrong)


def test_no_file_belongs_to_two_layers() -> None:
    files = [path for layer in LAYERS for path in sources(layer)]
    assert len(files) == len(set(files)) == len({path.resolve() for path in files})


@pytest.mark.parametrize(
    ("package", "file", "text", "expected"),
    [
        ("ein.grammar", "check.py", "import torch", "torch is not among"),
        ("ein.grammar", "parser.py", "import lark", "lark may be imported only by notation/table.py"),
        ("ein.grammar", "notation/table.py", "from lark import Lark", "lark is heavy"),
        ("ein.grammar", "notation/table.py", "def f():\n    from lark import Lark", None),
        ("ein.grammar", "strategies.py", "import hypothesis.strategies as st", None),
        ("ein.grammar", "check.py", "def f():\n    import networkx", "networkx is not among"),
        ("ein.grammar", "check.py", "import grammar.types", "grammar is not among"),
        ("ein.grammar", "check.py", "from ein import compiler", "ein.grammar may import of ours only ein.grammar"),
        ("ein.grammar", "check.py", "from ..compiler import graph", "ein.grammar may import of ours only"),
        ("ein.grammar", "check.py", "from . import types", None),
        ("ein.grammar", "check.py", "import ein", "ein.grammar may import of ours only"),
        ("ein.compiler", "lower.py", "import torch", "torch may be imported only by load.py"),
        ("ein.compiler", "load.py", "import torch.nn as nn", None),
        ("ein.compiler", "passes/fuse.py", "from ..graph import OpGraph", None),
        ("ein.compiler", "passes/fuse.py", "from ...runtime import train", "ein.compiler may import of ours only"),
        ("ein.runtime", "train.py", "from ein.search import study", "ein.runtime may import of ours only"),
        ("ein.search", "study.py", "from ein.compiler.identity import canonical", "ein.search may import of ours only"),
        ("ein.search", "study.py", "import sqlite3", None),
        ("ein", "cli/train.py", "import torch", "torch is heavy"),
        ("ein", "cli/train.py", "def f():\n    import torch", None),
        ("ein", "cli/train.py", "f = lambda: importlib.import_module('torch')", None),
        ("ein", "cli/train.py", "torch = importlib.import_module('torch')", "torch is heavy"),
        ("ein", "cli/train.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", None),
        ("ein", "cli/train.py", "class A:\n    if True:\n        import numpy", "numpy is heavy"),
        ("ein", "cli/train.py", "import requests", "requests is not among"),
    ],
)
def test_planted_imports_are_judged(package: str, file: str, text: str, expected: str | None) -> None:
    (layer,) = (layer for layer in LAYERS if layer.package == package)
    wrong = violations(layer, file, text)
    if expected is None:
        assert wrong == []
    else:
        assert len(wrong) == 1 and expected in wrong[0], wrong


def test_pyproject_asks_for_every_third_party_of_the_table() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = {"": project["dependencies"], **project["optional-dependencies"]}
    names = {extra: {Requirement(line).name for line in lines} for extra, lines in asked.items()}
    used = {module for layer in LAYERS for module in layer.third_parties}
    assert used == set(BROUGHT_BY)
    missing = [module for module, (distribution, extra) in BROUGHT_BY.items() if distribution not in names[extra]]
    assert not missing, f"not in pyproject.toml where the table says: {missing}"


def modules_after(*lines: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after these lines."""
    last = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run(
        [sys.executable, "-c", "\n".join((*lines, last))], capture_output=True, text=True, env=environment, check=False
    )
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout.splitlines()[-1]))


def command(*arguments: str) -> tuple[str, ...]:
    """Lines that run `ein` in the interpreter at hand, which goes on if the command exits with 0."""
    return (
        "import runpy, sys",
        f"sys.argv = {['ein', *arguments]!r}",
        "try: runpy.run_module('ein', run_name='__main__')",
        "except SystemExit as end: assert not end.code, end.code",
    )


@pytest.mark.parametrize(
    "lines",
    [
        ("import ein",),
        command("check", str(ROOT / "grammar" / "library" / "einspace.ein")),
        command("fmt", "--check", str(ROOT / "grammar" / "library" / "einspace.ein")),
        command("--help"),
    ],
    ids=["import", "check", "fmt", "help"],
)
def test_quick_ways_in_load_nothing_heavy(lines: tuple[str, ...]) -> None:
    loaded = modules_after(*lines)
    assert "ein" in loaded
    assert not loaded & {"networkx", "sklearn", "torch"}


def test_a_loaded_heavy_module_is_seen() -> None:
    assert "networkx" in modules_after("import networkx")
