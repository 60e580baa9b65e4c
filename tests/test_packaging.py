"""What is shipped: wheel and sdist, the links, the pins, and the name under which all of it is installed."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = ("grammar", "compiler", "runtime", "search")
LINKS = {**{package: Path("..", "..", package) for package in PACKAGES}, "diagnostics": Path("../../docs/diagnostics")}
"""in src/ein, each with where it leads"""
SHIPPED = {".py", ".lark", ".json", ".ein", ".md", ".typed", ".html", ".css", ".js"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WITHOUT_LINKS = (
    "is not a symbolic link to {target}: git laid it down as a plain file or folder. Turn links on (on Windows also "
    "the developer mode) and lay it anew: git config core.symlinks true && git checkout -- src/ein"
)


def run(*command: str | Path, cwd: Path) -> str:
    """Runs without PYTHONPATH, which would lead to the checkout. Returns stdout; fails with all that was printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    arguments = [str(part) for part in command]
    done = subprocess.run(arguments, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(arguments)} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def build(kind: str, source: Path, into: Path) -> Path:
    """Builds `kind` (wheel or sdist) of the project in `source`."""
    into.mkdir()
    run(sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", into, cwd=source)
    (built,) = into.iterdir()
    return built


@dataclass(frozen=True, slots=True)
class Distributions:
    wheel: Path
    sdist: Path
    sdist_wheel: Path
    """the wheel that the unpacked sdist builds, far from the checkout"""
    source: Path
    """the copy of the checkout that all of them were built from"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    folder = tmp_path_factory.mktemp("built")
    source = folder / "checkout"
    unwanted = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "build", "dist", "runs")
    shutil.copytree(ROOT, source, symlinks=True, ignore=unwanted)
    wheel, sdist = build("wheel", source, folder / "wheel"), build("sdist", source, folder / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    return Distributions(wheel, sdist, build("wheel", unpacked, folder / "again"), source)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def shipped(source: Path) -> Iterator[tuple[str, Path]]:
    """Where each file of the packages is to be in a wheel, and where it is in the checkout."""
    folders = [(source / "src" / "ein" / target, f"ein/{name}") for name, target in LINKS.items()]
    for folder, package in [*folders, (source / "src" / "ein", "ein")]:
        for directory, _, files in os.walk(folder, followlinks=False):
            inside = Path(directory).relative_to(folder)
            yield from ((Path(package, inside, name).as_posix(), Path(directory, name)) for name in files)


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(built: Distributions) -> None:
    packed = {name: text for name, text in contents(built.wheel).items() if ".dist-info/" not in name}
    expected = {name: path.read_bytes() for name, path in shipped(built.source) if path.suffix in SHIPPED}
    assert sorted(packed) == sorted(expected)
    assert packed == expected


def test_the_wheel_holds_what_the_packages_need_beside_python(built: Distributions) -> None:
    names = set(contents(built.wheel))
    needed = {
        "ein/py.typed",
        "ein/__init__.py",
        "ein/__main__.py",
        "ein/cli/__init__.py",
        "ein/grammar/notation/ein.lark",
    }
    needed |= {f"ein/grammar/library/{name}.ein" for name in ("std", "einspace", "zoo/resnet8", "zoo/resnet18")}
    assert needed <= names, f"missing: {sorted(needed - names)}"
    licences = {name.rpartition("/")[2] for name in names if "/licenses/" in name}
    assert licences == {"LICENSE", "NOTICE"}


def test_the_sdist_builds_the_same_wheel_by_itself(built: Distributions) -> None:
    assert contents(built.sdist_wheel) == contents(built.wheel)


def test_the_sdist_holds_texts_and_pins(built: Distributions) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "NOTICE", "CHANGELOG.md", "constraints.txt", "pyproject.toml"} <= names


@dataclass(frozen=True, slots=True)
class Installed:
    programs: Path
    elsewhere: Path
    """an empty folder outside the checkout"""

    def ein(self, *arguments: str) -> str:
        return run(self.programs / "ein", *arguments, cwd=self.elsewhere)

    def python(self, line: str) -> str:
        return run(self.programs / "python", "-c", line, cwd=self.elsewhere)


@pytest.fixture(scope="module")
def installed(built: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a new environment; the third parties come from the running one by a path line, not from an index."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "env", cwd=folder)
    programs = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    pip = (sys.executable, "-m", "pip", "--python", programs / "python", "--disable-pip-version-check")
    run(*pip, "install", "--no-index", "--no-deps", "--quiet", built.wheel, cwd=folder)
    place = run(programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)
    third_parties = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    Path(place.strip(), "third_parties.pth").write_text("\n".join(third_parties), "utf-8")
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    return Installed(programs, elsewhere)


def test_the_installed_packages_are_the_wheels(installed: Installed) -> None:
    modules = ", ".join(["ein", *(f"ein.{name}" for name in PACKAGES)])
    printed = installed.python(f"import {modules}\nfor module in ({modules}): print(module.__file__)")
    environment = installed.programs.parent
    places = printed.split()
    assert len(places) == 5
    assert all(Path(place).is_relative_to(environment) for place in places), printed


def test_installed_ein_says_its_version(installed: Installed) -> None:
    assert PROJECT["version"] in installed.ein("--version")


def test_installed_ein_checks_a_library_grammar(installed: Installed) -> None:
    installed.ein("check", "einspace")


def test_installed_ein_lists_the_library(installed: Installed) -> None:
    listed = installed.ein("list")
    assert all(name in listed for name in ("einspace", "std", "zoo/resnet8", "zoo/resnet18"))


def test_installed_ein_explains_its_diagnostics(installed: Installed) -> None:
    page = (ROOT / "docs" / "diagnostics" / "E301.md").read_text("utf-8")
    assert installed.ein("explain", "E301") == page


def test_installed_ein_samples(installed: Installed) -> None:
    assert installed.ein("sample", "einspace", "-n", "1", "--seed", "3").strip()


def test_installed_ein_compiles_source_that_runs(installed: Installed) -> None:
    installed.ein("compile", "zoo/resnet8", "-o", "net.py")
    assert not re.search(r"\bimport ein\b|\bfrom ein\b", (installed.elsewhere / "net.py").read_text("utf-8"))
    assert int(installed.python("import net; print(sum(p.numel() for p in net.Net().parameters()))")) > 10_000


def link_problem(source: Path, package: str) -> str | None:
    """What is wrong with the link `src/ein/package`, and what to do; None if it is as it has to be."""
    link, target = source / "src" / "ein" / package, LINKS[package]
    if link.is_symlink() and link.readlink() == target:
        return None
    return f"src/ein/{package} {WITHOUT_LINKS.format(target=target.as_posix())}"


@pytest.mark.parametrize("package", LINKS)
def test_the_links_are_links(package: str) -> None:
    problem = link_problem(ROOT, package)
    assert problem is None, problem


@pytest.mark.parametrize("planted", ["file", "folder", "absolute link", "nothing"])
def test_a_link_that_is_none_is_seen(planted: str, tmp_path: Path) -> None:
    link = tmp_path / "src" / "ein" / "grammar"
    link.parent.mkdir(parents=True)
    (tmp_path / "grammar").mkdir()
    match planted:
        case "file":
            link.write_text("../../grammar", "utf-8")
        case "folder":
            link.mkdir()
        case "absolute link":
            link.symlink_to(tmp_path / "grammar")
    assert "git config core.symlinks true" in (link_problem(tmp_path, "grammar") or "")


def pins() -> dict[str, str]:
    """Distribution -> version, from constraints.txt."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()]
    requirements = [Requirement(line) for line in lines if line]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in requirements}


def closure(*asked: str) -> set[str]:
    """All distributions that these requirements bring to the running interpreter, themselves included."""
    found: set[str] = set()
    pending = [(Requirement(line), "") for line in asked]
    while pending:
        requirement, extra = pending.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name in found:
            continue
        found.add(name)
        needs = importlib.metadata.requires(name) or []
        pending += [(Requirement(need), extra) for need in needs for extra in requirement.extras or {""}]
    return found


def test_constraints_pin_the_closure_of_base_draw_and_test() -> None:
    extras = PROJECT["optional-dependencies"]
    missing = closure(*PROJECT["dependencies"], *extras["draw"], *extras["test"]) - pins().keys()
    assert not missing, f"not pinned in constraints.txt: {sorted(missing)}"


def test_constraints_name_exact_versions_and_no_places() -> None:
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pins().values()), pins()
    assert not re.search(r"://|@|--|/", (ROOT / "constraints.txt").read_text("utf-8"))


def test_constraints_lie_in_the_ranges_of_pyproject() -> None:
    extras = PROJECT["optional-dependencies"]
    asked = [Requirement(line) for line in [*PROJECT["dependencies"], *extras["draw"], *extras["test"]]]
    outside = [str(one) for one in asked if not one.specifier.contains(pins()[canonicalize_name(one.name)])]
    assert not outside


def test_the_changelog_has_the_version() -> None:
    assert f"## [{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


WRONG_NAME = re.compile(r"""\bpip3?\s+install\s+(?:-\S+\s+)*["']?ein(?![\w-])""")


def texts() -> Iterator[Path]:
    """Everything in the checkout that a person may read a hint in."""
    suffixes = {"", ".cfg", ".ein", ".html", ".in", ".ipynb", ".lark", ".md", ".py", ".toml", ".txt", ".yaml", ".yml"}
    unread = {"build", "dist", "runs", "__pycache__"}
    for directory, folders, files in os.walk(ROOT, followlinks=False):
        folders[:] = [name for name in folders if name not in unread and (name == ".ci" or not name.startswith("."))]
        yield from (Path(directory, name) for name in files if Path(name).suffix in suffixes)


def test_no_text_installs_somebody_elses_package() -> None:
    read = {path: path.read_text("utf-8") for path in texts()}
    assert {ROOT / "README.md", ROOT / "Makefile", ROOT / ".ci" / "run", Path(__file__)} <= read.keys()
    wrong = [str(path.relative_to(ROOT)) for path, text in read.items() if WRONG_NAME.search(text)]
    assert not wrong, f"the distribution is called {PROJECT['name']}: {wrong}"


@pytest.mark.parametrize("name", ["ein", "'ein[draw]'", "-U ein", "ein==0.1"])
def test_the_wrong_name_is_seen(name: str) -> None:
    assert WRONG_NAME.search(f"pip install {name}")


@pytest.mark.parametrize("name", ["ein-lang", "'ein-lang[draw]'", "einops", "-e ."])
def test_other_names_are_left_alone(name: str) -> None:
    assert not WRONG_NAME.search(f"pip install {name}")


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_says_so_where_no_python_fits(tmp_path: Path) -> None:
    command = ["make", "demo", f"VENV={tmp_path / 'env'}", "PYTHON=no-such-python"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "ein needs Python 3.11" in done.stderr and "no-such-python" in done.stderr
    assert not (tmp_path / "env").exists()
