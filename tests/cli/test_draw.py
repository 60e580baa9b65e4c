"""`ein draw`: each option, each form, folders and studies, and what is said where a picture cannot be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ein.cli.drawing import FORMS, draw_command
from ein.compiler.drawing import layout
from ein.grammar.check import load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.search.evolution import Evolution
from ein.search.executor import Inline
from ein.search.loop import run
from ein.search.study import Study, header

from .conftest import environment

Ein = Callable[..., Any]
NET = """ein 1
import std
def unit(c) = conv(c, k = 3) >> relu
def block(c) = unit(c) >> clone(2) >> (unit(c) & identity) >> add
input im[3, 8, 8]
arch net = unit(8) >> block(8) >> block(8) >> norm
"""
OPTIONS: dict[str, tuple[str, ...]] = {
    "--view": ("--view", "derivation"),
    "--against": ("--against", "other.ein"),
    "--style": ("--style", "paper"),
    "--costs": ("--costs", "memory, params"),
    "--heat": ("--heat", "macs"),
    "--no-shapes": ("--no-shapes",),
    "--wires": ("--wires",),
    "--unfold": ("--unfold",),
    "--columns": ("--columns", "2"),
    "--depth": ("--depth", "0"),
    "--most": ("--most", "6"),
    "--bare": ("--bare",),
    "--optimise": ("--optimise",),
    "--direction": ("--direction", "right"),
    "--input": ("--input", "im[3, 16, 16]"),
}
"""What changes the picture of an architecture."""
OTHERS = {"--out", "--all", "--form", "-n", "--scale", "-v", "--set", "--output"}
"""Options that have tests of their own."""


@pytest.fixture(autouse=True)
def files(folder: Path) -> None:
    (folder / "net.ein").write_text(NET)
    (folder / "other.ein").write_text(NET.replace(">> norm", ">> gelu >> norm"))


def dot(ein: Ein, *arguments: str) -> str:
    ended = ein("draw", *arguments, "-o", "made.dot")
    assert (ended.code, ended.out) == (0, ""), ended.err
    return Path("made.dot").read_text("utf-8")


def usage(ein: Ein, *arguments: str) -> str:
    before = set(Path().rglob("*"))
    ended = ein("draw", *arguments)
    assert (ended.code, ended.out) == (2, ""), ended.err
    assert set(Path().rglob("*")) == before, "nothing is written"
    return str(ended.err)


def told(ein: Ein, *arguments: str) -> str:
    ended = ein("draw", *arguments)
    assert (ended.code, ended.out) == (1, ""), ended.err
    return str(ended.err)


def test_every_option_has_a_test() -> None:
    named = {max(parameter.opts, key=len) for parameter in draw_command.params if parameter.name != "what"}
    assert named == OPTIONS.keys() | OTHERS


@pytest.mark.parametrize("option", OPTIONS)
def test_each_option_changes_the_picture(ein: Ein, option: str) -> None:
    assert dot(ein, "net.ein", *OPTIONS[option]) != dot(ein, "net.ein")


def test_options_of_grammars(ein: Ein) -> None:
    assert dot(ein, "small.ein", "--set", "classes=7") != dot(ein, "small.ein")
    assert "vec 7" in dot(ein, "small.ein", "--output", "vec[7]")


@pytest.mark.parametrize("form", FORMS)
def test_each_form_says_where_it_is(ein: Ein, folder: Path, form: str) -> None:
    ended = ein("draw", "net.ein", "-o", f"a/b/net.{form}", "-v")
    size = (folder / f"a/b/net.{form}").stat().st_size
    first, second = ended.err.splitlines()
    assert first.startswith("layout: ")
    assert Path(second.partition(": ")[0]) == Path(f"a/b/net.{form}")
    assert second.endswith(f": {size:,} bytes")


def test_endings_may_be_in_capitals(ein: Ein, folder: Path) -> None:
    assert ein("draw", "net.ein", "-o", "NET.SVG").code == 0
    assert (folder / "NET.SVG").read_bytes().startswith(b"<?xml")


def test_scale_is_of_a_png(ein: Ein, folder: Path) -> None:
    ein("draw", "net.ein", "-o", "one.png")
    ein("draw", "net.ein", "-o", "half.png", "--scale", "0.5")
    assert (folder / "half.png").stat().st_size < (folder / "one.png").stat().st_size


def test_costs_may_be_none(ein: Ein) -> None:
    assert "MACs each" not in dot(ein, "net.ein", "--costs", "none", "--bare")
    assert dot(ein, "net.ein", "--costs", "none", "--bare") == dot(ein, "net.ein", "--costs", "", "--bare")
    assert "there is no cost `x`; there are params, macs, memory, and none" in usage(
        ein, "net.ein", "-o", "a.svg", "--costs", "params,x"
    )


def test_a_grammar_is_drawn_as_its_rules(ein: Ein) -> None:
    rules = dot(ein, "small.ein")
    assert all(f"<b>{name}</b>" in rules for name in ("Net", "Block", "Conv", "Same"))
    assert rules == dot(ein, "small.ein", "--view", "grammar")


def test_a_file_of_both_is_drawn_as_its_architecture(ein: Ein, folder: Path) -> None:
    text = (folder / "small.ein").read_text()
    (folder / "both.ein").write_text(f"{text}\narch one = conv(4) >> head(10)\n")
    assert "conv(4)" in dot(ein, "both.ein")
    assert "<b>Block</b>" in dot(ein, "both.ein", "--view", "grammar")


@pytest.mark.parametrize("what", ["zoo/resnet8", "net.ein", "std"])
def test_an_architecture_has_no_rules(ein: Ein, what: str) -> None:
    assert "has no rules to draw" in told(ein, what, "-o", "a.svg", "--view", "grammar")


@pytest.mark.parametrize("arguments", [("net.ein", "--against", "small.ein"), ("small.ein", "--against", "net.ein")])
def test_a_grammar_is_compared_with_nothing(ein: Ein, arguments: tuple[str, ...]) -> None:
    assert "error[E70" in told(ein, *arguments, "-o", "a.svg")


@pytest.mark.parametrize("view", ["grammar", "derivation"])
def test_only_graphs_are_compared(ein: Ein, view: str) -> None:
    assert "--against" in usage(ein, "net.ein", "--against", "other.ein", "--view", view, "-o", "a.svg")


def test_what_is_compared_stands_in_the_title(ein: Ein) -> None:
    made = dot(ein, "net.ein", "--against", "other.ein")
    assert "other to net" in made
    assert made == dot(ein, "net.ein", "--against", "other.ein", "--view", "graph")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("net.ein",), "-o says where the picture goes"),
        (("-o", "a.svg"), "name one ARCH or GRAMMAR, or a folder with --all DIR"),
        (("net.ein", "--all", ".", "-o", "a"), "name one ARCH or GRAMMAR, or a folder with --all DIR"),
        (("--all", "."), "-o says where the picture goes"),
        (("net.ein", "-o", "-"), "the picture must end in .svg, .png, .pdf, .html, .dot, .mmd, and this is `-`"),
        (("net.ein", "-o", "a.gif"), "and this is `a.gif`"),
        (("net.ein", "-o", "svg"), "and this is `svg`"),
        (("--all", ".", "-o", "a", "--view", "grammar"), "--against and --view grammar do not go with --all"),
        (("--all", ".", "-o", "a", "--against", "net.ein"), "--against and --view grammar do not go with --all"),
        (("net.ein", "-o", "a.svg", "-n", "3"), "-n is of --all"),
        (("net.ein", "--against", "other.ein", "--heat", "macs", "-o", "a.svg"), "--heat does not go with --against"),
        (("net.ein", "-o", "a.svg", "--form", "png"), "--form is of --all"),
        (("--all", ".", "-o", "a", "-n", "0"), "-n"),
        (("net.ein", "-o", "a.svg", "--depth", "-1"), "--depth"),
        (("net.ein", "-o", "a.svg", "--most", "0"), "--most"),
        (("net.ein", "-o", "a.svg", "--columns", "0"), "--columns"),
        (("net.ein", "-o", "a.png", "--scale", "11"), "--scale"),
        (("net.ein", "-o", "a.svg", "--heat", "flops"), "--heat"),
    ],
)
def test_wrong_usage(ein: Ein, arguments: tuple[str, ...], says: str) -> None:
    assert says in usage(ein, *arguments)


@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_without_an_engine_the_text_is_written(
    ein: Ein, folder: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(layout, "engines", lambda: iter([]))
    ended = ein("draw", "net.ein", "-o", f"a.{form}")
    assert ended.code == 0
    reason, written = ended.err.splitlines()
    assert reason.endswith("there is no Graphviz for the layout: pip install 'ein-lang[draw]'")
    assert written.startswith("a.dot: ")
    assert not (folder / f"a.{form}").exists()


def test_a_folder_is_drawn(ein: Ein, folder: Path) -> None:
    ein("sample", "small.ein", "-n", "3", "-o", "drawn")
    (folder / "drawn/space.ein").write_text((folder / "small.ein").read_text())
    ended = ein("draw", "--all", "drawn", "-o", "out")
    assert ended.code == 0
    left, last = ended.err.splitlines()
    assert left.endswith("space.ein is left out: it is a space of architectures, and holds none")
    assert last == "out: 3 pictures and contact.svg"
    made = {path.name for path in (folder / "out").iterdir()}
    assert made == {"contact.svg", *(f"small-0-{index}.svg" for index in range(3))}


@pytest.mark.parametrize("options", [("--view", "derivation"), ("--optimise",), ("--optimise", "--view", "derivation")])
def test_views_of_a_folder(ein: Ein, folder: Path, options: tuple[str, ...]) -> None:
    (folder / "in").mkdir()
    (folder / "net.ein").rename(folder / "in/net.ein")
    ended = ein("draw", "--all", "in", "-o", "out", "--form", "dot", *options)
    assert (ended.code, ended.err) == (0, "out: 1 picture and contact.svg\n")
    assert (folder / "out/net.dot").read_text() == dot(ein, "in/net.ein", *options)


def test_at_most_so_many(ein: Ein) -> None:
    assert ein("draw", "--all", ".", "-o", "out", "--form", "mmd", "-n", "1").err.endswith(
        "1 picture and contact.svg\n"
    )


@pytest.mark.parametrize("out", ["small.ein", "small.ein/out"])
def test_a_folder_that_cannot_be_written(ein: Ein, out: str) -> None:
    assert "error[E605]: " in told(ein, "--all", ".", "-o", out)


def test_a_picture_where_a_folder_is(ein: Ein, folder: Path) -> None:
    (folder / "out/net.svg").mkdir(parents=True)
    assert "error[E605]: `out/net.svg`: " in told(ein, "net.ein", "-o", "out/net.svg")


def test_a_folder_that_is_none(ein: Ein) -> None:
    assert "error[E601]: there is no folder `gone`" in told(ein, "--all", "gone", "-o", "out")
    Path("empty").mkdir()
    assert "error[E705]: `empty` holds no architecture" in told(ein, "--all", "empty", "-o", "out")


@pytest.fixture
def study(folder: Path) -> Path:
    sampler = Sampler.of(load_grammar("small.ein"))

    def size(derivation: Any) -> float:
        return float(derivation.modules)

    with Study.open(folder / "runs", header(Evolution(sampler, 1, 4, 2), sampler, 4)) as made:
        run(made, Evolution(sampler, 1, 4, 2), Inline(size), 8, lambda derivation: derivation.text)
    return folder / "runs"


def test_the_best_of_a_study(ein: Ein, folder: Path, study: Path) -> None:
    ended = ein("draw", "--all", "runs", "-o", "out", "-n", "3")
    assert (ended.code, ended.err) == (0, "out: 3 pictures and contact.svg\n")
    made = sorted(path.stem for path in (folder / "out").iterdir() if path.stem != "contact")
    assert made == sorted(f"trial-{trial.number:04}" for trial in Study.read(study).best(3))


def test_a_study_whose_space_is_gone(ein: Ein, folder: Path, study: Path) -> None:
    (folder / "small.ein").unlink()
    error = told(ein, "--all", "runs", "-o", "out")
    assert "error[E862]: the space `small` (" in error and "of the study `runs` is not at hand" in error
    assert "help: put its file beside the study" in error


def test_torch_is_not_loaded_for_a_picture() -> None:
    """Checked from outside: what a process has imported at its end."""
    code = "import sys; from ein.cli import run; run(['draw', 'net.ein', '-o', 'a.dot']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    assert done.stdout.strip() == "False"
