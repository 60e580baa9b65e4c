"""Imports reach library modules and regular `.ein` files below the root's folder, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ein.grammar.check import check, load_grammar
from ein.grammar.diagnostics import Diagnostic, EinError, Source, render_all
from ein.grammar.load import find, library_names

REST = "\nimport std\ninput im[1, 2, 3]\nrule S = relu\n"
SECRET = "hunter2"


def imported(folder: Path, name: str, text: str | None = None) -> list[Diagnostic]:
    root = folder / "root.ein"
    root.write_text(text if text is not None else f'ein 1\nimport "{name}"{REST}')
    return check(str(root))[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file of each kind that must not be read, and a secret beside it."""
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    (inside / "folder.ein").mkdir()
    (tmp_path / "secret.ein").write_text(f"ein 1\nop {SECRET} : t -> t = relu(x)\n")
    (inside / "out.ein").symlink_to("../secret.ein")
    (inside / "loop.ein").symlink_to("loop.ein")
    (inside / "zero.ein").symlink_to("/dev/zero")
    (inside / "away").symlink_to("..")
    os.mkfifo(inside / "pipe.ein")
    (inside / "large.ein").write_text(SECRET * 200_000)
    (inside / "binary.ein").write_bytes(b"\xff\xfe" + SECRET.encode())
    (inside / "good.ein").write_text("ein 1\nop mine : t -> t = relu(x)\n")
    (inside / "link.ein").symlink_to("good.ein")
    return inside


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("out.ein", "E604"),
        ("loop.ein", "E604"),
        ("zero.ein", "E604"),
        ("away/secret.ein", "E604"),
        ("../secret.ein", "E604"),
        ("sub/../../secret.ein", "E604"),
        ("/etc/passwd", "E604"),
        ("/etc/passwd.ein", "E604"),
        ("link.txt", "E604"),
        ("", "E604"),
        (".", "E604"),
        ("sub/", "E604"),
        ("folder.ein", "E602"),
        ("pipe.ein", "E602"),
        ("large.ein", "E602"),
        ("binary.ein", "E602"),
        ("nothing.ein", "E601"),
        ("~/x.ein", "E601"),
        ("https://example.org/x.ein", "E601"),
        ("x" * 300 + ".ein", "E601"),
        ("x/" * 3000 + "x.ein", "E601"),
        ("root.ein", "E603"),
    ],
)
def test_anything_else_is_refused_by_name_and_without_its_contents(folder: Path, name: str, code: str) -> None:
    found = imported(folder, name)
    assert [d.code for d in found] == [code]
    assert found[0].span is not None and found[0].span.source.position(found[0].span.start) == (2, 1)
    assert SECRET not in render_all(found)


def test_links_inside_the_folder_are_followed(folder: Path) -> None:
    assert imported(folder, "link.ein") == []
    assert imported(folder, "sub/../link.ein")[0].code == "E604"


def test_a_text_without_a_file_imports_the_library_only() -> None:
    [found] = check(Source("text", f'ein 1\nimport "good.ein"{REST}'))[1]
    assert found.code == "E604" and "only a file on disk" in found.message


def test_cycles_are_shown(tmp_path: Path) -> None:
    (tmp_path / "a.ein").write_text('ein 1\nimport "b.ein"\n')
    (tmp_path / "b.ein").write_text('ein 1\nimport "a.ein"\n')
    [found] = imported(tmp_path, "a.ein")
    assert (found.code, found.message) == ("E603", "files import each other: a.ein -> b.ein -> a.ein")


@pytest.mark.parametrize("count", [98, 99])
def test_a_hundred_files_at_most(tmp_path: Path, count: int) -> None:
    """The root, `std` and 98 more."""
    for i in range(count):
        following = f'import "f{i + 1}.ein"\n' if i + 1 < count else ""
        (tmp_path / f"f{i}.ein").write_text(f"ein 1\n{following}")
    codes = {d.code for d in imported(tmp_path, "", f'ein 1\nimport std\nimport "f0.ein"{REST[11:]}')}
    assert codes == (set() if count == 98 else {"E602"})


def test_one_file_imported_twice_is_one_module(folder: Path) -> None:
    (folder / "other.ein").write_text('ein 1\nimport "good.ein"\n')
    text = f'ein 1\nimport "good.ein"\nimport "other.ein"\nimport "good.ein" (mine as ours){REST}'
    assert imported(folder, "", text.replace("relu", "mine >> ours")) == []


def test_parameters_of_an_imported_file_have_their_defaults(tmp_path: Path) -> None:
    (tmp_path / "ops.ein").write_text(
        "ein 1\ngrammar ops(k = 3, n = 2 * k)\nimport std\ndef wide(m = n) = linear(k) >> linear(m)\n"
    )
    root = tmp_path / "root.ein"
    root.write_text('ein 1\ngrammar g(k = 9)\nimport std\nimport "ops.ein"\ninput vec[5]\nrule S = wide >> linear(k)\n')
    from ein.grammar.derivations.sample import Sampler

    assert Sampler.of(load_grammar(str(root))).draw(0).text == "linear(3) >> linear(6) >> linear(9)"


@pytest.mark.parametrize(
    "what",
    [
        "nope",
        "nope.ein",
        "/dev/zero",
        "/dev/null",
        "/",
        "x" * 400,
        "x" * 400 + ".ein",
        "a\0b",
        "a\0b.ein",
        "",
        "zoo/../x",
    ],
)
def test_a_root_that_cannot_be_read_is_an_error(what: str) -> None:
    with pytest.raises(EinError) as caught:
        find(what)
    assert caught.value.diagnostics[0].code in ("E601", "E602")


def test_the_library_is_complete_and_clean() -> None:
    assert {"std", "einspace", "zoo/resnet8", "zoo/resnet18"} <= set(library_names())
    for name in library_names():
        assert check(name)[1] == []
