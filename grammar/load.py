"""Files and imports: from a library name or a path to the parsed modules of a space.

An import names a library module, or a regular file ending in `.ein` under the folder of the root
file. Nothing else of the file system is reached, and a refusal never prints a file's contents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from ein.grammar.diagnostics import Diagnostic, EinError, Source, Span, fail
from ein.grammar.notation import syntax as s
from ein.grammar.notation.outline import Piece, outline
from ein.grammar.notation.parser import parse
from ein.grammar.numbers import nearest

LIBRARY = Path(__file__).parent / "library"
MAX_BYTES = 1_000_000
MAX_FILES = 100


@dataclass(eq=False)
class Module:
    """A file with the modules that its imports name, in the order of the imports.

    One of the library that holds nothing but declarations has an `outline`, and is parsed whole only where it must be.
    """

    name: str
    source: Source
    read: Callable[[], s.File]
    imports: list[tuple[s.Import, Module]] = field(default_factory=list)
    outline: tuple[Piece, ...] | None = None

    @cached_property
    def file(self) -> s.File:
        return self.read()


def library_names() -> list[str]:
    """Names of all library modules: `std`, `einspace`, `zoo/resnet18`, …"""
    return list(_library_names())


@cache
def _library_names() -> tuple[str, ...]:
    return tuple(sorted(path.relative_to(LIBRARY).with_suffix("").as_posix() for path in LIBRARY.rglob("*.ein")))


def is_path(what: str) -> bool:
    return what.endswith(".ein") or "/" in what.replace("zoo/", "") or "\\" in what


def load_modules(what: str | Source, diagnostics: list[Diagnostic], base: Path | None = None) -> Module:
    """The module `what` (a library name, a path, or a text) and all it imports.

    Syntax errors and bad imports are added to `diagnostics`; raises EinError only where there is no
    root file to read.
    """
    if isinstance(what, Source):
        return _Loader(diagnostics, base).module("<text>", what, ())
    source, key, root = find(what)
    return _Loader(diagnostics, root).module(key, source if root else None, ())


def find(what: str) -> tuple[Source, str, Path | None]:
    """The text under a library name or path, its key, and the folder that its imports stay in."""
    if what in library_names():
        return library_source(what), what, None
    path = Path(what)
    if not path.suffix and not _exists(path):
        known = library_names()
        if _exists(Path(f"{what}.ein")):
            raise fail("E601", f"there is no library module `{what}`", help=f"did you mean the file `{what}.ein`?")
        help = nearest(what, known, "`ein list` shows the library; a path ends in `.ein`")
        raise fail("E601", f"there is no library module `{what}`", help=help)
    return Source(what, read_text(path, what, None)), str(path.resolve()), path.resolve().parent


@cache
def library_source(name: str) -> Source:
    """The text of a library module, read once in a process."""
    return Source(name, (LIBRARY / f"{name}.ein").read_text(encoding="utf-8"))


@cache
def library_file(name: str) -> tuple[s.File, list[Diagnostic]]:
    """A library module, parsed once in a process: syntax never changes."""
    return parse(library_source(name))


@cache
def library_outline(name: str) -> tuple[Piece, ...] | None:
    """The declarations of a library module that holds nothing else, such as `std`: most grammars need a few of them."""
    return outline(library_source(name))


def _exists(path: Path) -> bool:
    """False also where the system refuses to look: a name that is too long, a folder that is closed."""
    try:
        return path.exists()
    except OSError:
        return False


def read_text(path: Path, shown: str, span: Span | None = None) -> str:
    """What a file holds. Raises EinError where it cannot be read, is no text, or is too large."""
    if not _exists(path):
        raise fail("E601", f"there is no file `{shown}`", span)
    if not path.is_file():
        raise fail("E602", f"`{shown}` is not a regular file", span)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise fail("E602", f"`{shown}` is larger than {MAX_BYTES // 10**6} MB", span)
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise fail("E602", f"`{shown}` is not UTF-8 text (byte {error.start})", span) from None
    except OSError as error:
        raise fail("E602", f"`{shown}` cannot be read: {error.strerror}", span) from None


def _unversioned(file: s.File) -> list[Diagnostic]:
    """A warning, not an error: what the file says is clear today, and may not be to a later version."""
    if not file.statements or isinstance(file.statements[0], s.Version):
        return []
    start = file.statements[0].span.start
    message = "the file does not say which version of the language it is written in"
    help = "write `ein 1` on the first line"
    return [Diagnostic("W108", message, Span(file.source, start, start), help=help, severity="warning")]


class _Loader:
    def __init__(self, diagnostics: list[Diagnostic], root: Path | None) -> None:
        self.diagnostics = diagnostics
        self.root = root
        self.loaded: dict[str, Module] = {}

    def module(self, key: str, source: Source | None, above: tuple[str, ...]) -> Module:
        """Of a text, or without one of the library's module `key`."""
        pieces = library_outline(key) if source is None and above else None
        if pieces is not None:
            module = self.loaded[key] = Module(key, library_source(key), lambda: library_file(key)[0], [], pieces)
            return module
        file, found = library_file(key) if source is None else parse(source)
        self.diagnostics += found or _unversioned(file)
        module = self.loaded[key] = Module(file.source.name, file.source, lambda: file)
        for statement in file.statements:
            if isinstance(statement, s.Import):
                try:
                    module.imports.append((statement, self._import(statement, (*above, key))))
                except EinError as error:
                    self.diagnostics += error.diagnostics
        return module

    def _import(self, statement: s.Import, above: tuple[str, ...]) -> Module:
        key = self._path(statement) if statement.path else self._library(statement)
        if key in above:
            cycle = " -> ".join(Path(k).name for k in (*above[above.index(key) :], key))
            raise fail("E603", f"files import each other: {cycle}", statement.span)
        if key in self.loaded:
            return self.loaded[key]
        if len(self.loaded) >= MAX_FILES:
            raise fail("E602", f"more than {MAX_FILES} files are imported", statement.span)
        if not statement.path:
            return self.module(key, None, above)
        return self.module(key, Source(statement.module, read_text(Path(key), statement.module, statement.span)), above)

    def _library(self, statement: s.Import) -> str:
        known = library_names()
        if statement.module not in known:
            listed = ", ".join(name for name in known if "/" not in name)
            help = nearest(
                statement.module, known, f"the library has {listed}; a file is imported by its path in quotes"
            )
            raise fail("E601", f"there is no library module `{statement.module}`", statement.span, help=help)
        return statement.module

    def _path(self, statement: s.Import) -> str:
        """Resolved links included, the file must lie under the folder of the root file."""
        name, path = statement.module, Path(statement.module)
        if self.root is None:
            raise fail("E604", f'"{name}" cannot be imported here: only a file on disk imports by path', statement.span)
        if path.is_absolute() or ".." in path.parts or path.suffix != ".ein" or "\0" in name:
            help = "a path is relative, ends in `.ein` and has no `..`"
            raise fail("E604", f'"{name}" cannot be imported', statement.span, help=help)
        try:
            full = (self.root / path).resolve()
        except (OSError, RuntimeError):  # RuntimeError: a link that leads to itself, before Python 3.13
            raise fail("E604", f'"{name}" cannot be followed to a file', statement.span) from None
        if not full.is_relative_to(self.root):
            raise fail("E604", f'"{name}" leads out of the folder of the root file', statement.span)
        if not _exists(full):
            raise fail("E601", f'there is no file "{name}" beside the root file', statement.span)
        return str(full)
