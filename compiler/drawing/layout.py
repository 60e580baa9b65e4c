"""DOT text to the bytes of a picture, through Graphviz.

The engine is the system's `dot` where there is one, else the Graphviz that the pygraphviz wheel
carries. Both run in a process of their own with a time limit: Graphviz is C code without limits,
and what it and Fontconfig say on stderr is not for the user.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from ein.grammar.diagnostics import DISTRIBUTION

FORMATS = ("svg", "png", "pdf")
INSTALL = f"pip install '{DISTRIBUTION}[draw]'"
TIMEOUT = 60.0
"""Seconds for one picture, and for those that one process draws."""
TOGETHER = 10
"""Pictures that one process draws, of many."""
PIXELS = 16_000
"""The longest side of a PNG; what would be larger is scaled down to it."""

_WHEEL = str(Path(__file__).with_name("wheel.py"))


class LayoutError(Exception):
    """There is no picture; the text is one line that says why and what to do."""


@dataclass(frozen=True, slots=True)
class Engine:
    """A way to run Graphviz. `wheel`: by a Python interpreter that has pygraphviz."""

    path: str
    wheel: bool

    def command(self, format: str, dpi: int | None) -> list[str]:
        settings = [f"dpi={dpi}", f"size={PIXELS / dpi:.4f},{PIXELS / dpi:.4f}"] if dpi else []
        if self.wheel:
            return [self.path, "-P", "-W", "ignore", _WHEEL, format, *settings]
        if format == "version":
            return [self.path, "-V"]
        return [self.path, f"-T{format}", *(f"-G{setting}" for setting in settings)]


def engines() -> Iterator[Engine]:
    """Those at hand, the preferred one first."""
    system = shutil.which("dot")
    if system:
        yield Engine(system, wheel=False)
    if sys.executable and find_spec("pygraphviz") is not None:
        yield Engine(sys.executable, wheel=True)


def engine_name() -> str:
    """What draws, with versions, for `-v` and `--version`; `none` with what to install otherwise."""
    for engine in engines():
        try:
            done = _run(engine.command("version", None), b"", TIMEOUT)
        except (OSError, subprocess.TimeoutExpired):
            continue
        number = re.search(r"\d+\.\d+\.\d+", (done.stdout + done.stderr).decode("utf-8", "replace"))
        if done.returncode or number is None:
            continue
        return f"Graphviz {number[0]} ({_wheel_name() if engine.wheel else engine.path})"
    return f"none ({INSTALL})"


def render(dot: str, format: str, *, dpi: int | None = None, timeout: float | None = None) -> bytes:
    """`dot` laid out by Graphviz's dot and drawn as `format`, in `timeout` or TIMEOUT seconds; `dpi` is for png.
    Raises LayoutError."""
    if format not in FORMATS:
        raise ValueError(f"format is one of {', '.join(FORMATS)}, got {format!r}")
    failures = []
    limit = TIMEOUT if timeout is None else timeout
    for engine in engines():
        try:
            done = _run(engine.command(format, dpi), dot.encode(), limit)
        except subprocess.TimeoutExpired:
            raise LayoutError(f"the layout takes longer than {limit:g} seconds") from None
        except OSError as error:
            failures.append(f"{engine.path}: {error.strerror}")
            continue
        if done.returncode == 0 and done.stdout:
            return _pictures(done.stdout)[0] if engine.wheel else done.stdout
        failures.append(_failure(engine, done))
    raise LayoutError("; ".join(failures) or f"there is no Graphviz for the layout: {INSTALL}")


def render_all(dots: Sequence[str], format: str, *, dpi: int | None = None) -> list[bytes | LayoutError]:
    """As `render` for each, in their order, as many at a time as the machine has processors."""
    chunks = [dots[at : at + TOGETHER] for at in range(0, len(dots), TOGETHER)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [picture for found in pool.map(lambda chunk: _together(chunk, format, dpi), chunks) for picture in found]


def _together(dots: Sequence[str], format: str, dpi: int | None) -> Sequence[bytes | LayoutError]:
    """By one process of the wheel, which takes longer to start than to draw; where it fails, one by one."""
    engine = next(engines(), None)
    if len(dots) > 1 and engine is not None and engine.wheel:
        text = "".join(f"{dot}\0" for dot in dots)
        with suppress(OSError, subprocess.TimeoutExpired):
            done = _run(engine.command(format, dpi), text.encode(), TIMEOUT)
            if done.returncode == 0:
                return _pictures(done.stdout)
    return [_tried(dot, format, dpi) for dot in dots]


def _tried(dot: str, format: str, dpi: int | None) -> bytes | LayoutError:
    try:
        return render(dot, format, dpi=dpi)
    except LayoutError as error:
        return error


def _pictures(stream: bytes) -> list[bytes]:
    """What the wheel program wrote: before each picture a line with its length."""
    found = []
    while stream:
        length, _, rest = stream.partition(b"\n")
        found.append(rest[: int(length)])
        stream = rest[int(length) :]
    return found


def _run(command: Sequence[str], text: bytes, timeout: float) -> subprocess.CompletedProcess[bytes]:
    paths = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, input=text, capture_output=True, timeout=timeout, env=environment, check=False)


def _failure(engine: Engine, done: subprocess.CompletedProcess[bytes]) -> str:
    name = _wheel_name() if engine.wheel else engine.path
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    said = next((line for line in reversed(lines) if line and "Fontconfig" not in line), "")
    ended = f"was ended by signal {-done.returncode}" if done.returncode < 0 else f"failed ({done.returncode})"
    return f"Graphviz of {name} {ended}{': ' * bool(said)}{said}"


def _wheel_name() -> str:
    try:
        return f"pygraphviz {version('pygraphviz')}"
    except PackageNotFoundError:
        return "pygraphviz"
