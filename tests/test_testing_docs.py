"""docs/testing.md is true: its first program passes, its second fails with what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from inspect import signature
from pathlib import Path

import pytest

from ein.strategies import derivations

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"(?ms)^```python\n(.*?)^```$", TEXT)


def run(program: str, folder: Path) -> tuple[int, str]:
    """As pytest's exit code and output, the same examples each time."""
    (folder / "test_page.py").write_text(program, encoding="utf-8")
    profile = "from hypothesis import settings\nsettings.register_profile('page', derandomize=True, database=None)\n"
    (folder / "conftest.py").write_text(f"{profile}settings.load_profile('page')\n", encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_page.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout


def test_the_exporter_passes(tmp_path: Path) -> None:
    code, told = run(PROGRAMS[0], tmp_path)
    assert code == 0 and "1 passed" in told, told


def test_the_failure_is_the_one_shown(tmp_path: Path) -> None:
    code, told = run(PROGRAMS[1], tmp_path)
    (shown,) = re.findall(r"(?ms)^```text\n(.*?)^```$", TEXT)
    assert code == 1
    assert shown.strip() in told, told


@pytest.mark.parametrize("name", [name for name in signature(derivations).parameters if name != "parameters"])
def test_every_argument_is_in_the_table(name: str) -> None:
    assert f"`{name}`" in "".join(line for line in TEXT.splitlines() if line.startswith("| "))
