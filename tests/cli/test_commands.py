"""Normal use of each command, and the shapes of what comes back."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ein as page

Ein = Callable[..., Any]

FACTS = ["id", "term", "modules", "params", "macs", "elements", "input", "output", "log10_probability"]
DIAGNOSTIC = [
    "code", "severity", "message", "file", "line", "column", "end_line", "end_column", "help", "labels",
]  # fmt: skip
RUN = """\
import torch
from net import Net
net = Net()
net(torch.zeros(2, 3, 32, 32)).sum().backward()
import sys
print(sum(p.numel() for p in net.parameters()), *sorted(n for n in ("ein", "networkx") if n in sys.modules))
"""


def test_check_says_that_there_are_no_mistakes(ein: Ein) -> None:
    assert ein("check", "small.ein").out == "small.ein: no mistakes\n"
    assert ein("check", "small.ein", "einspace", "std", "zoo/resnet18").out == "4 files: no mistakes\n"
    assert ein("check", "small.ein", "--json").out == "[]\n"


def test_check_as_json(ein: Ein, folder: Path) -> None:
    text = (folder / "small.ein").read_text().replace("max_pool", "max_pol").replace("rule Same", "rule Conv")
    (folder / "wrong.ein").write_text(text)
    ended = ein("check", "wrong.ein", "--json")
    found = json.loads(ended.out)
    assert (ended.code, ended.err) == (1, "")
    assert {d["code"] for d in found} == {"E201", "E210"}
    assert all(list(d) == DIAGNOSTIC and d["severity"] == "error" and d["file"] == "wrong.ein" for d in found)
    (unknown,) = (d for d in found if "max_pol" in d["message"])
    place = [unknown[name] for name in ("line", "column", "end_line", "end_column")]
    assert (place, unknown["help"]) == ([9, 21, 9, 28], "did you mean `max_pool`?")
    (twice,) = (d for d in found if d["code"] == "E210")
    (first,) = twice["labels"]
    assert (first["file"], first["line"], first["column"], bool(first["text"])) == ("wrong.ein", 11, 1, True)


def test_check_of_a_missing_file_as_json_has_no_place(ein: Ein) -> None:
    (found,) = json.loads(ein("check", "nope.ein", "--json").out)
    assert (found["code"], found["file"], found["line"]) == ("E601", None, None)


def test_warnings_alone_leave_status_0(ein: Ein, folder: Path) -> None:
    (folder / "spare.ein").write_text((folder / "small.ein").read_text() + "rule Spare = relu\n")
    ended = ein("check", "spare.ein")
    assert ended.code == 0
    assert "`Spare` is not reached" in ended.err
    assert "0 errors, 1 warning" in ended.err


def test_standard_input(ein: Ein, folder: Path) -> None:
    text = (folder / "small.ein").read_bytes()
    assert ein("check", "-", stdin=text).out == "-: no mistakes\n"
    assert ein("check", "-", stdin=text.replace(b"relu", b"rellu")).code == 1
    assert ein("fmt", "-", stdin=text.replace(b" = ", b"=")).out == text.decode()
    assert "not UTF-8" in ein("check", "-", stdin=b"\xff").err
    assert "not UTF-8" in ein("fmt", "-", stdin=b"\xff").err


@pytest.mark.parametrize("change", [(b"\n", b"\r\n"), (b"ein 1", b"\xef\xbb\xbfein 1")], ids=["crlf", "bom"])
def test_places_do_not_depend_on_line_ends_and_marks(ein: Ein, folder: Path, change: tuple[bytes, bytes]) -> None:
    text = (folder / "small.ein").read_bytes().replace(b"max_pool", b"max_pol").replace(*change)
    (folder / "other.ein").write_bytes(text)
    for found in (json.loads(ein("check", "other.ein", "--json").out), json.loads(_check_input(ein, text))):
        assert [(d["line"], d["column"]) for d in found] == [(9, 21)]


def _check_input(ein: Ein, text: bytes) -> str:
    return str(ein("check", "-", "--json", stdin=text).out)


def test_fmt_rewrites_once(ein: Ein, folder: Path) -> None:
    path = folder / "small.ein"
    text = path.read_text()
    path.write_text(text.replace("rule Net =", "rule  Net=") + "# the end\n")
    assert ein("fmt", "--check", "small.ein").code == 1
    assert "rule  Net=" in path.read_text()
    assert ein("fmt", "small.ein").err == "small.ein: rewritten\n"
    assert path.read_text() == text + "# the end\n"
    again = ein("fmt", "small.ein")
    assert (again.code, again.out, again.err) == (0, "", "")
    assert ein("fmt", "--check", "small.ein").code == 0


def test_fmt_leaves_a_file_with_mistakes_alone(ein: Ein, folder: Path) -> None:
    path = folder / "small.ein"
    path.write_text(path.read_text() + "rule Broken = (relu\n")
    before = path.read_text()
    assert ein("fmt", "small.ein").code == 1
    assert path.read_text() == before


def test_list(ein: Ein) -> None:
    entries = json.loads(ein("list", "--json").out)
    assert all(list(entry) == ["name", "kind", "about"] for entry in entries)
    kinds = {entry["name"]: entry["kind"] for entry in entries}
    wanted = {"einspace": "grammar", "zoo/resnet18": "architecture", "conv": "operators", "residual": "block"}
    assert wanted.items() <= kinds.items()
    text = ein("list").out
    assert all(name in text for name in kinds)
    lines = text.splitlines()
    headings = [line for line in lines if line and not line.startswith(" ")]
    assert headings[:3] == ["Grammars", "Architectures", "Operators and blocks"]
    assert {"std: blocks", "std: attention"} <= set(headings) and len(set(headings)) == len(headings)
    assert sum(line.startswith("  ") for line in lines) == len(entries)


def test_list_of_some(ein: Ein) -> None:
    """The lines that contain all words, in any case, under their headings."""
    assert ein("list", "RESNET-34").out.splitlines() == [
        "Architectures",
        "  zoo/resnet34  ResNet-34 (He et al. 2016): 21,797,672 parameters at 1,000 classes.",
    ]
    found = json.loads(ein("list", "im[c, h, w]", "pool", "--json").out)
    assert {entry["name"] for entry in found} >= {"max_pool", "pool"}
    kan = [entry["name"] for entry in json.loads(ein("list", "kan", "--json").out)]
    assert kan[0] == "kan" and {"select", "s_kan"} <= set(kan) and "conv" not in kan
    attention = {entry["name"] for entry in json.loads(ein("list", "std: attention", "--json").out)}
    assert attention >= {"attend", "attention"} and "conv" not in attention
    assert "  conv(out, k = 3, s = 1" in ein("list", "conv").out
    nothing = ein("list", "resnet", "seqq")
    assert (nothing.code, nothing.out) == (1, "")
    assert nothing.err == "no line of the library contains that; `ein list` shows all of them\n"


def test_sample_as_json(ein: Ein) -> None:
    lines = ein("sample", "small.ein", "-n", "6", "--seed", "3", "--json").out.splitlines()
    drawn = [json.loads(line) for line in lines]
    assert all(list(facts) == FACTS for facts in drawn)
    space = page.load("small.ein")
    for facts, derivation in zip(drawn, space.samples(6, seed=3), strict=True):
        assert (facts["id"], facts["term"]) == (derivation.id, derivation.text)
        assert (facts["params"], facts["input"], facts["output"]) == (
            derivation.cost.parameters,
            "im[3, 32, 32]",
            "vec[10]",
        )
    assert len({facts["id"] for facts in drawn}) > 1


def test_a_draw_does_not_depend_on_how_many_there_are(ein: Ein) -> None:
    few, many = (ein("sample", "einspace", "-n", n, "--seed", "5").out.splitlines() for n in ("3", "8"))
    assert many[:3] == few
    assert ein("sample", "einspace", "-n", "0").out == ""


def test_a_space_is_changed_from_outside(ein: Ein) -> None:
    options = "--limit", "modules <= 10", "--limit", "params <= 5K", "--input", "im[1, 28, 28]", "--output", "vec[7]"
    drawn = [json.loads(line) for line in ein("sample", "small.ein", "-n", "20", "--json", *options).out.splitlines()]
    assert len(drawn) == 20
    for facts in drawn:
        assert (facts["input"], facts["output"]) == ("im[1, 28, 28]", "vec[7]")
        assert facts["modules"] <= 10
        assert facts["params"] <= 5000
        assert facts["term"].endswith("linear(7)")
    (by_name,) = (json.loads(x) for x in ein("sample", "small.ein", "--json", "--set", "classes=7").out.splitlines())
    assert by_name["output"] == "vec[7]"


@pytest.mark.parametrize(("size", "allowed"), [("9", {9}), ("10..14", set(range(10, 15)))])
def test_sizes(ein: Ein, size: str, allowed: set[int]) -> None:
    drawn = ein("sample", "small.ein", "-n", "10", "--size", size, "--json").out.splitlines()
    assert {json.loads(line)["modules"] for line in drawn} <= allowed


def test_a_derivation_file_gives_the_same_network_wherever_it_lies(ein: Ein, folder: Path) -> None:
    grammar = (folder / "small.ein").read_text()
    own = (
        "type vol[c, d]\nop mix(out) : im[c, h, w] -> im[out, h, w] = nn.Conv2d(c, out, 1)\nop damp : t -> t = x / 2\n"
    )
    grammar = grammar.replace("input im", f"{own}\ninput im").replace("Block >> max_pool", "mix(8) >> damp >> max_pool")
    (folder / "own.ein").write_text(grammar)
    drawn = ein("sample", "own.ein", "-n", "3", "-o", "drawn", "--json").out.splitlines()
    files = sorted((folder / "drawn").iterdir())
    assert [path.name for path in files] == ["small-0-0.ein", "small-0-1.ein", "small-0-2.ein"]
    before = [ein("compile", str(path.relative_to(folder))).out for path in files]
    (folder / "own.ein").unlink()
    (folder / "drawn").rename(folder / "moved away")
    for line, path, source in zip(drawn, files, before, strict=True):
        moved = str(folder / "moved away" / path.name)
        facts = json.loads(ein("show", moved, "--json").out)
        assert facts.pop("network").startswith("2:")
        assert {**facts, "id": "", "log10_probability": 0} == {**json.loads(line), "id": "", "log10_probability": 0}
        assert ein("compile", moved).out == source
        assert "mix" in facts["term"]
        assert ein("check", moved).code == 0


def test_a_derivation_of_the_library_comes_back_with_its_rules(ein: Ein) -> None:
    (line,) = ein("sample", "einspace", "--seed", "4", "--json", "-o", "drawn").out.splitlines()
    shown = json.loads(ein("show", "drawn/einspace-4-0.ein", "--json").out)
    assert {key: shown[key] for key in FACTS} == json.loads(line)


@pytest.mark.parametrize("name", ["grün ß.ein", "with space/net 1.ein", "-dash.ein", "日本/網.ein"])
def test_names_of_files(ein: Ein, folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    (folder / "small.ein").rename(path)
    shown = f"./{name}" if name.startswith("-") else name
    assert ein("check", shown).out == f"{shown}: no mistakes\n"
    assert ein("sample", shown, "-n", "2", "-o", f"{path.parent}/aus gabe").code == 0
    drawn = sorted((path.parent / "aus gabe").iterdir())
    assert len(drawn) == 2
    assert ein("compile", str(drawn[0]), "-o", f"{path.parent}/é.py").code == 0
    assert ein("draw", str(drawn[0]), "-o", f"{path.parent}/é.svg").code == 0
    ast.parse((path.parent / "é.py").read_text(encoding="utf-8"))
    ET.parse(path.parent / "é.svg")


def test_a_wrong_name_cannot_steer_the_terminal(ein: Ein) -> None:
    ended = ein("check", "\x1b[2Jnope.ein")
    assert ended.code == 1
    assert "\x1b" not in ended.err


def test_show(ein: Ein) -> None:
    text = ein("show", "zoo/resnet18").out
    assert "parameters  11,689,512\n" in text
    assert "im[3, 224, 224] -> vec[1000]" in text
    facts = json.loads(ein("show", "zoo/resnet18", "--json").out)
    assert list(facts) == [*FACTS, "network"]
    assert facts["params"] == 11_689_512
    assert json.loads(ein("show", "zoo/resnet8", "--output", "vec[7]", "--json").out)["output"] == "vec[7]"


def test_show_after_a_stage(ein: Ein) -> None:
    lowered, passed = (ein("show", "zoo/resnet8", "--after", stage).out for stage in ("lower", "optimise"))
    assert "identity" in lowered
    assert "identity" not in passed
    head = "ein 1\nimport std\n\n"
    assert ein("compile", "zoo/resnet8", "--format", "graph").out == head + passed
    assert ein("compile", "zoo/resnet8", "--format", "graph", "--no-optimise").out == head + lowered


def test_one_of_several_architectures(ein: Ein, folder: Path) -> None:
    archs = "arch narrow : vec[4] -> vec[2] = linear(2)\narch wide : vec[4] -> vec[2] = linear(64) >> linear(2)\n"
    (folder / "nets.ein").write_text(f"ein 1\nimport std\n{archs}")
    assert json.loads(ein("show", "nets.ein:wide", "--json").out)["modules"] == 2
    assert json.loads(ein("show", "nets.ein:narrow", "--json").out)["modules"] == 1


def test_compiled_source_passes_ruff_and_needs_torch_alone(ein: Ein, folder: Path) -> None:
    ein("sample", "small.ein", "--seed", "6", "-o", "drawn")
    assert ein("compile", "drawn/small-6-0.ein", "-o", "made/net.py").err.startswith("made/net.py: ")
    ruff = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "E,F,I,UP,B,SIM,RUF",
        "--line-length",
        "88",
    ]
    subprocess.run([*ruff, "made/net.py"], check=True, timeout=60)
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, 'made')\n{RUN}"]
    ended = subprocess.run(command, env={}, capture_output=True, text=True, timeout=120)
    assert (ended.stdout, ended.stderr) == ("10602\n", "")


def test_the_class_can_be_named(ein: Ein) -> None:
    assert "class ResNet(nn.Module):" in ein("compile", "zoo/resnet8", "--name", "ResNet").out


@pytest.mark.parametrize("form", ["svg", "png", "pdf", "dot"])
def test_draw(ein: Ein, folder: Path, form: str) -> None:
    ended = ein("draw", "zoo/resnet8", "-o", f"made/net.{form}", "-v")
    assert ended.code == 0
    assert "layout: " in ended.err
    start = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph"}[form]
    assert (folder / f"made/net.{form}").read_bytes().lstrip().startswith(start)


def test_views_and_options_of_a_picture(ein: Ein, folder: Path) -> None:
    ein("sample", "einspace", "--seed", "1", "-o", "drawn")
    options: tuple[list[str], ...] = ([], ["--optimise"], ["--view", "derivation"], ["--direction", "right"])
    made = []
    for number, extra in enumerate(options):
        ein("draw", "drawn/einspace-1-0.ein", "-o", f"{number}.svg", *extra)
        made.append((folder / f"{number}.svg").read_text())
    assert len(set(made)) == len(options)
    assert "Route" in made[2] or "Fork" in made[2] or ">M<" in made[2]


@pytest.mark.parametrize("command", ["check", "fmt", "list", "sample", "show", "compile", "draw", "train"])
def test_every_help_has_an_example(ein: Ein, command: str) -> None:
    ended = ein(command, "--help")
    assert ended.code == 0
    assert f"\n  ein {command} " in ended.out


def test_version(ein: Ein) -> None:
    text = ein("--version").out
    assert text.startswith(f"{page.DISTRIBUTION} {page.__version__}, Python ")
    assert "torch " in text
    assert "layout " in text


def test_a_graph_is_written_and_compiled(ein: Ein, folder: Path) -> None:
    assert ein("compile", "zoo/resnet8", "--no-optimise", "--format", "graph", "-o", "net.graph").code == 0
    again = ein("compile", "net.graph")
    assert again.code == 0 and "class Net(nn.Module)" in again.out
    text = (folder / "net.graph").read_text("utf-8")
    (folder / "net.graph").write_text(text.replace("relu(", "rellu(", 1), "utf-8")
    wrong = ein("compile", "net.graph")
    assert (wrong.code, wrong.out) == (1, "")
    assert "there is no operator or macro `rellu`" in wrong.err and "did you mean `relu`?" in wrong.err
    assert ein("compile", "gone.graph").err.startswith("error[E601]: there is no file `gone.graph`")
    assert ein("compile", "net.graph", "--input", "im[3, 8, 8]").code == 2


def test_a_program_is_written_with_trained_weights(ein: Ein, folder: Path) -> None:
    ended = ein("compile", "zoo/resnet8", "-o", "net.pt2", "--seed", "3")
    assert ended.code == 0 and "fresh weights of seed 3" in ended.err
    page.compile(page.architecture("zoo/resnet8"), "net.py")
    from ein.runtime.weights import save_weights

    save_weights(page.build(page.architecture("zoo/resnet8"), seed=5), "w.safetensors")
    for options in ([], ["--no-optimise"]):
        ended = ein("compile", "zoo/resnet8", "-o", "net.pt2", "--weights", "w.safetensors", *options)
        assert ended.code == 0 and "the weights of w.safetensors" in ended.err
        apart = re.search(r"it is (\S+) off torch's results", ended.err)
        assert apart is not None and float(apart[1]) < 1e-4
    assert ein("compile", "zoo/resnet8", "--format", "onnx").code == 2
    assert ein("compile", "zoo/resnet8", "--weights", "w.safetensors").code == 2
    assert ein("compile", "zoo/resnet8", "-o", "net.bin", "--format", "onnx").code == 2
    wrong = ein("compile", "zoo/vit", "-o", "vit.pt2", "--weights", "w.safetensors")
    assert wrong.code == 1 and wrong.err.startswith("error[E830]")
