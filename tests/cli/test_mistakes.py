"""Wrong input and wrong usage: the status, one clear message, never a traceback."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ein = Callable[..., Any]
GOLDEN = Path(__file__).parents[1] / "golden" / "cli" / "mistakes.txt"

FAULTY = (  # status 1: the input
    ("check", "nope.ein"),
    ("check", "folder"),
    ("check", "folder.ein"),
    ("check", "binary.ein"),
    ("check", "einspce"),
    ("check", "long.ein"),
    ("fmt", "einspce"),
    ("sample", "nope.ein"),
    ("sample", "zoo/resnet8"),
    ("sample", "std"),
    ("sample", "small"),
    ("sample", "small.ein", "--limit", "modules"),
    ("sample", "small.ein", "--limit", "module <= 3"),
    ("sample", "small.ein", "--limit", "modules <= 0"),
    ("sample", "small.ein", "--limit", "modules >= 3"),
    ("sample", "small.ein", "--set", "clases=7"),
    ("sample", "small.ein", "--set", "classes=abc"),
    ("sample", "einspace", "--set", "p=200%"),
    ("sample", "einspace", "--set", "p=abc"),
    ("sample", "small.ein", "--input", "im[3"),
    ("sample", "small.ein", "--input", "seq[3, 4]"),
    ("sample", "small.ein", "--input", "im[3, 0, 4]"),
    ("sample", "small.ein", "--output", "vec[-1]"),
    ("sample", "small.ein", "--output", "vec[classes]"),
    ("sample", "small.ein", "--input", "vol[1, 2, 3]"),
    ("sample", "small.ein", "-o", "small.ein"),
    ("show", "small.ein"),
    ("show", "std"),
    ("show", "zoo/resnet9"),
    ("show", "two.ein"),
    ("show", "two.ein:third"),
    ("compile", "zoo/resnet8", "-o", "folder"),
    ("compile", "zoo/resnet8", "-o", "small.ein/net.py"),
    ("draw", "zoo/resnet8", "-o", "small.ein/net.svg"),
    ("train", "small.ein", "--data", "digits"),
    ("train", "zoo/resnet8", "--data", "digts"),
    ("train", "zoo/resnet8", "--data", "folder"),
    ("train", "zoo/resnet8", "--data", "small.ein"),
    ("train", "zoo/resnet8", "--data", "iris"),
    ("train", "zoo/resnet8", "--data", "digits", "--input", "im[3, 32, 32]"),
    ("train", "zoo/resnet8", "--data", "digits", "--train", "lr"),
    ("train", "zoo/resnet8", "--data", "digits", "--train", "lr=fast", "--train", "batches=3"),
    ("train", "zoo/resnet8", "--data", "digits", "--train", "momentum=0.5"),
    ("train", "zoo/resnet8", "--data", "digits", "--steps", "1", "-o", "small.ein"),
    ("top", "nope"),
    ("export", "small.ein"),
)

MISUSED = (  # status 2: the command
    ("chek", "small.ein"),
    ("check",),
    ("check", "--jsn", "small.ein"),
    ("sample", "small.ein", "--size", "0"),
    ("sample", "small.ein", "--size", "9..3"),
    ("sample", "small.ein", "--size", "5.."),
    ("sample", "small.ein", "--size", "..5"),
    ("sample", "small.ein", "--size", "many"),
    ("sample", "small.ein", "-n", "-1"),
    ("sample", "small.ein", "--seed", "-1"),
    ("sample", "small.ein", "--seed", "4294967296"),
    ("sample", "small.ein", "--set", "classes"),
    ("sample", "small.ein", "--set", "=7"),
    ("show", "zoo/resnet8", "--after", "lowering"),
    ("compile", "zoo/resnet8", "--name", "class"),
    ("compile", "zoo/resnet8", "--format", "jax"),
    ("draw", "zoo/resnet8"),
    ("draw", "zoo/resnet8", "-o", "net.gif"),
    ("draw", "zoo/resnet8", "-o", "net.png", "--scale", "nan"),
    ("train", "zoo/resnet8"),
    ("train", "zoo/resnet8", "--data", "digits", "--epochs", "1", "--seconds", "2"),
    ("train", "zoo/resnet8", "--data", "digits", "--seconds", "0"),
    ("train", "zoo/resnet8", "--data", "digits", "--seconds", "nan"),
    ("train", "zoo/resnet8", "--data", "digits", "--seconds", "inf"),
    ("train", "zoo/resnet8", "--data", "digits", "--memory", "inf"),
    ("train", "zoo/resnet8", "--data", "digits", "--device", "gpu"),
    ("train", "zoo/resnet8", "--data", "digits", "--seed", "-1"),
    ("search", "einspace", "--data", "digits"),
    ("search", "einspace", "--data", "digits", "--evals", "0"),
    ("search", "einspace", "--data", "digits", "--evals", "1", "--seconds", "nan"),
    ("search", "einspace", "--data", "digits", "--evals", "1", "--resume"),
)


@pytest.fixture(autouse=True)
def files(folder: Path) -> None:
    (folder / "folder").mkdir()
    (folder / "folder.ein").mkdir()
    (folder / "binary.ein").write_bytes(b"\x00\x01\xff\xfe")
    (folder / "long.ein").write_text("# " + "x" * 1_000_000)
    archs = "arch first : vec[4] -> vec[2] = linear(2)\narch second : vec[4] -> vec[3] = linear(3)\n"
    (folder / "two.ein").write_text(f"ein 1\nimport std\n{archs}")


def _golden() -> dict[str, str]:
    if not GOLDEN.exists():
        return {}
    parts = re.split(r"(?m)^\$ (ein .*)\n", GOLDEN.read_text(encoding="utf-8"))[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _keep(command: str, said: str) -> None:
    found = _golden() | {command: said}
    order = [f"ein {' '.join(arguments)}" for arguments in (*FAULTY, *MISUSED)]
    text = "".join(f"$ {name}\n{found[name]}" for name in order if name in found)
    GOLDEN.write_text(text, encoding="utf-8")


def _told(ein: Ein, arguments: tuple[str, ...], status: int) -> None:
    """What is said equals the golden file, which EIN_REWRITE_GOLDEN=1 rewrites; read it then."""
    ended = ein(*arguments)
    command, said = f"ein {' '.join(arguments)}", f"{ended.err.strip()}\n[{ended.code}]\n\n"
    if os.environ.get("EIN_REWRITE_GOLDEN"):
        _keep(command, said)
    assert ended.code == status
    assert ended.out == ""
    assert said == _golden().get(command)


@pytest.mark.parametrize("arguments", FAULTY, ids=" ".join)
def test_faulty_input_is_told_with_status_1(ein: Ein, arguments: tuple[str, ...]) -> None:
    _told(ein, arguments, 1)


@pytest.mark.parametrize("arguments", MISUSED, ids=" ".join)
def test_wrong_usage_is_told_with_status_2(ein: Ein, arguments: tuple[str, ...]) -> None:
    _told(ein, arguments, 2)


def test_the_golden_file_holds_nothing_else() -> None:
    assert list(_golden()) == [f"ein {' '.join(arguments)}" for arguments in (*FAULTY, *MISUSED)]


@pytest.mark.parametrize("arguments", [("-n", "5"), ("-n", "5", "--json")], ids=" ".join)
def test_an_empty_space_is_told_without_any_output(ein: Ein, arguments: tuple[str, ...]) -> None:
    ended = ein("sample", "small.ein", "--limit", "params <= 1", "--attempts", "500", *arguments)
    assert (ended.code, ended.out) == (1, "")
    assert "no derivation of `small`" in ended.err
    assert "params" in ended.err


def test_a_mistake_of_ours_has_status_3_and_says_what_to_report(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ein.cli import run

    def broken(*arguments: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr("ein.grammar.check.check", broken)
    assert run(["check", "small.ein"]) == 3
    said = capfd.readouterr().err
    assert "RuntimeError: planted" in said
    assert "mistake in ein" in said
    assert "ein --version" in said
