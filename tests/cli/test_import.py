"""`ein import`: the file that it writes in use, and every way in which it can go wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ein = Callable[..., Any]
NETS = """\
import torch
from torch import nn

print("running")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Linear(8, 10)

    def forward(self, x):
        return self.head(torch.relu(self.norm(self.conv(x))).mean((2, 3)))


class Wide(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.f = nn.Linear(4, width)

    def forward(self, x):
        return self.f(x)


def wide():
    return Wide(7)


def sorted_net():
    class Sorted(nn.Module):
        def forward(self, x):
            return torch.sort(x, dim=1).values * 2

    return Sorted()


ready = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
number = 3
"""
SORTING = 1 + [line.strip() for line in NETS.splitlines()].index("return torch.sort(x, dim=1).values * 2")
SPACE = """\
ein 1
import std

input im[1, 8, 8]
output vec[10]

rule Net = Block >> head(10)
rule Block = conv(8) >> batch_norm >> Act | Block >> Block
rule Act = relu | gelu

limit modules <= 20
"""


@pytest.fixture
def nets(folder: Path) -> Path:
    path = folder / "nets.py"
    path.write_text(NETS, encoding="utf-8")
    return path


def test_the_file_is_an_architecture_like_any_other(ein: Ein, folder: Path, nets: Path) -> None:
    (folder / "space.ein").write_text(SPACE, encoding="utf-8")
    ended = ein("import", "nets.py:Net", "--input", "im[1, 8, 8]", "-o", "out/net.ein")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.endswith("out/net.ein: 5 modules, 186 parameters\n")
    written = (folder / "out/net.ein").read_text(encoding="utf-8")
    assert written.endswith("arch net : im[1, 8, 8] -> vec[10] = conv(8) >> batch_norm >> relu >> head(10)\n")
    for command in (
        ["check", "out/net.ein"],
        ["fmt", "--check", "out/net.ein"],
        ["show", "out/net.ein"],
        ["compile", "out/net.ein", "-o", "net.py"],
        ["draw", "out/net.ein", "-o", "net.dot"],
        ["parse", "space.ein", "out/net.ein"],
    ):
        ended = ein(*command)
        assert (ended.code, command) == (0, command), ended.err
    assert "class Net(nn.Module):" in (folder / "net.py").read_text()


def test_it_begins_a_search(folder: Path, ein: Ein, nets: Path) -> None:
    import ein as page

    (folder / "space.ein").write_text(SPACE, encoding="utf-8")
    assert ein("import", "nets.py:Net", "--input", "im[1, 8, 8]", "-o", "net.ein").code == 0
    space = page.load(folder / "space.ein")
    study = page.search(space, fitness=lambda d: -d.modules, evals=6, seed=1, seeds=[space.parse(folder / "net.ein")])
    assert "conv(8) >> batch_norm >> relu >> pool >> linear(10)" in {trial.term for trial in study.trials}


def test_without_a_file_the_text_goes_to_standard_output_and_nothing_else(ein: Ein, nets: Path) -> None:
    ended = ein("import", "nets.py:ready", "--input", "vec[4]")
    assert ended.code == 0
    assert ended.out.startswith("ein 1\n# ready of nets.py, by `ein import`.\n\ngrammar ready\nimport std\n")
    assert ended.out.endswith("= linear(3) >> relu\n")
    assert ended.err == "running\n"
    assert ein("import", "nets.py:wide", "--input", "vec[4]").out.endswith("= linear(7)\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("nets.py:Net",), 2, 'the type of an example is needed: --input "im[3, 32, 32]"'),
        (("nets.py", "--input", "vec[4]"), 2, "and this is `nets.py`"),
        (("nets.py:a b", "--input", "vec[4]"), 2, "and this is `nets.py:a b`"),
        (("none.py:Net", "--input", "vec[4]"), 1, "error[E731]: there is no file `none.py`"),
        (("nets.py:Ne", "--input", "vec[4]"), 1, "help: did you mean `Net`?"),
        (("nets.py:Other", "--input", "vec[4]"), 1, "it declares Net, Wide, ready"),
        (("nets.py:number", "--input", "vec[4]"), 1, "`number` of `nets.py` is a int, and a module of torch is needed"),
        (("nets.py:Wide", "--input", "vec[4]"), 1, "missing 1 required positional argument: 'width'"),
        (("nets.py:Wide", "--input", "vec[4]"), 1, "`def small(): return Wide(…)`"),
        (("broken.py:Net", "--input", "vec[4]"), 1, "cannot be run: ZeroDivisionError: division by zero (line 2)"),
        (("wrong.py:Net", "--input", "vec[4]"), 1, "`wrong.py` cannot be run: SyntaxError: "),
        (("leaving.py:Net", "--input", "vec[4]"), 1, "`leaving.py` cannot be run: SystemExit: 3 (line 2)"),
        (("nets.py:Net", "--input", "im[1, 8]"), 1, "error[E735]: `im[1, 8]` is no type of an example"),
        (("nets.py:Net", "--input", "im[2, 8, 8]"), 1, "[E732]: the model cannot be traced: RuntimeError: Given"),
        (("nets.py:sorted_net", "--input", "vec[4]"), 1, "  sort: sort([3, 4]): the language has no operator for it"),
        (("nets.py:sorted_net", "--input", "vec[4]"), 1, f"nets.py:{SORTING}: return torch.sort(x, dim=1).values * 2"),
    ],
)  # fmt: skip
def test_what_goes_wrong_is_one_message(
    ein: Ein, folder: Path, nets: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (folder / "broken.py").write_text("x = 1\ny = x / 0\n")
    (folder / "wrong.py").write_text("def f(:\n")
    (folder / "leaving.py").write_text("import sys\nsys.exit(3)\n")
    ended = ein("import", *arguments)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert ended.err.count("error[") + ended.err.count("Error: ") - ended.err.count("SyntaxError: ") in (0, 1, 2)
    assert not (folder / "net.ein").exists()


def test_the_help_says_that_it_runs_the_file(ein: Ein) -> None:
    assert "Runs the Python file" in ein("import", "--help").out
