"""Derivations as files: an `.ein` text that says the space, the choices and the finished term.

A file stands on its own: operators and kinds that the library does not have are copied into it, so
it gives the same network back when the grammar it came from has changed or is gone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Protocol

from ein.grammar import term as t
from ein.grammar.architecture import architecture
from ein.grammar.cfg import Application, Applied, Grammar, Operator, value_text
from ein.grammar.check import Request, check, load_grammar
from ein.grammar.counting.rank_ids import parse_rank_id, read_rank_id
from ein.grammar.derivations.derivation import Derivation, derivation_id, read_trace, replay
from ein.grammar.diagnostics import Diagnostic, EinError, Source, fail
from ein.grammar.load import MAX_BYTES, MAX_FILES, find, library_names
from ein.grammar.minima import settle
from ein.grammar.notation import syntax as s
from ein.grammar.notation.parser import parse
from ein.grammar.notation.printer import format_source, print_statement
from ein.grammar.numbers import Inapplicable
from ein.grammar.patterns import Kinds
from ein.grammar.space import Space
from ein.grammar.types import ValueType, leaves

STD = "std"


def derivation_text(derivation: Derivation, comment: str = "", name: str = "net") -> str:
    """The file of a derivation (or of a finished architecture); `read_architecture` reads it back."""
    grammar = derivation.space.grammar
    values = ", ".join(f"{key} = {value_text(value)}" for key, value in grammar.env.items())
    lines = ["ein 1", *(f"# {line}" for line in comment.splitlines()), "", "import std", ""]
    lines += declarations((node for node in t.walk(derivation.term) if isinstance(node, t.Op)), grammar.kinds)
    if not derivation.finished:
        space = f'derivation of "{grammar.name}"{f" ({values})" if values else ""}'
        lines += ["", f'{space} digest "{grammar.digest}" trace "{derivation.trace}"']
    lines += ["", f"arch {name} : {derivation.input!r} -> {derivation.type!r} = {derivation.text}", ""]
    return format_source(Source(name, "\n".join(lines)))


def laid_out(derivation: Derivation, name: str = "net") -> str:
    """The term as `arch` in canonical layout, on as many lines as it needs."""
    text = f"arch {name} : {derivation.input!r} -> {derivation.type!r} = {derivation.text}\n"
    return format_source(Source(name, text)).rstrip()


class Used(Protocol):
    """A use of an operator: in a term or in a graph."""

    @property
    def application(self) -> Application: ...

    @property
    def applied(self) -> Applied: ...


def declarations(uses: Iterable[Used], kinds: Kinds) -> list[str]:
    """Of the kinds that `std` does not declare, by name, and of the operators, overloads together, in order of use."""
    used: set[str] = set()
    operators: dict[int, Operator] = {}
    for use in uses:
        used |= {leaf.kind for end in (use.applied.input, use.applied.output) for leaf in leaves(end)}
        if use.applied.operator.module != STD:
            operators |= {id(each): each for each in use.application.overloads}
    own: list[s.Statement] = [s.TypeDecl(kind, *kinds[kind]) for kind in sorted(used - std_kinds())]
    return list(map(print_statement, [*own, *(each.declaration for each in operators.values())]))


@cache
def std_kinds() -> frozenset[str]:
    file, _ = parse(find(STD)[0])
    return frozenset(statement.name for statement in file.statements if isinstance(statement, s.TypeDecl))


def read_architecture(
    what: str, request: Request | None = None, say: Callable[[Diagnostic], None] | None = None
) -> Derivation:
    """The network that `what` names: a library architecture, a file, `file.ein:name`, or a rank id.

    A derivation file whose space is in the library, or beside or above the file, unchanged, comes back
    with its rules; else its term stands for it, and `say` is told why. Raises EinError.
    """
    request = request or Request()
    numbered = parse_rank_id(what)
    if numbered is not None:
        return read_rank_id(numbered, homes(numbered.space, Path()), request)
    name, path = None, what
    if ".ein:" in what:
        path, _, name = what.rpartition(":")
    source, _, _ = find(path)
    grammar = load_grammar(path, request)
    if name is None and not grammar.architectures and grammar.rules:
        help = f"draw one from it: `ein sample {what} -n 1 -o DIR`"
        raise fail("E705", f"`{what}` is a space of architectures, and one architecture is needed", help=help)
    found = architecture(grammar, name)
    declared = _declared(source)
    if declared is None or request.input or request.output:
        return found
    known = derivation_id(declared.space, declared.digest, declared.trace)
    drawn = _with_rules(declared, found, Path(path).parent)
    if isinstance(drawn, Derivation):
        return drawn
    if say is not None:
        say(Diagnostic("W721", f"{drawn}; the term that the file keeps stands for it", severity="note"))
    return replace(found, recorded=known)


def _declared(source: Source) -> s.DerivationDecl | None:
    file, _ = parse(source)
    return next((x for x in file.statements if isinstance(x, s.DerivationDecl)), None)


def homes(space: str, folder: Path) -> list[str]:
    """Where the space of a derivation file may be: the library, or a file beside, above or here that declares it."""
    library = [space] if space in library_names() else []
    if not re.fullmatch(r"[a-z][a-z0-9_]*", space):
        return library
    declares = re.compile(rf"^\s*grammar\s+{space}\b", re.MULTILINE)
    places = dict.fromkeys(place.resolve() for place in (folder, folder / "..", Path()))
    files = [path for place in places for path in sorted(place.glob("*.ein"))[:MAX_FILES] if path.is_file()]
    return library + [str(path) for path in files if path.stat().st_size <= MAX_BYTES and declares.search(_text(path))]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _with_rules(declared: s.DerivationDecl, found: Derivation, folder: Path) -> Derivation | str:
    """The derivation in its space, where that still is what it was; else why not."""
    parameters = {a.name: a.value for a in declared.arguments if a.name is not None}
    values = {name: value.value for name, value in parameters.items() if hasattr(value, "value")}
    request = Request(values, repr(found.input), repr(found.type))
    space, now = recorded_space(declared.space, declared.digest, folder, request)
    if space is not None:
        derivation = replayed(space, declared.trace, found.modules, found.input, found.text)
        return derivation or f"the choices in this file are not those that `{declared.space}` makes for its term"
    if not now:
        return f"`{declared.space}` ({declared.digest}) is neither in the library nor beside, above or here"
    return f"`{declared.space}` has changed since this was drawn from it: {declared.digest} then, {', '.join(now)} now"


def recorded_space(name: str, digest: str, folder: Path, request: Request) -> tuple[Space | None, list[str]]:
    """The space of that digest where it is at hand: in the library, or in a file beside, above or here. Else None, and
    the digests that spaces of the name have there, or that they have mistakes."""
    now: dict[str, None] = {}
    for home in homes(name, folder):
        try:
            grammar = check(home, request)[0]
            if grammar is not None and grammar.digest == digest:
                return _settled(grammar), []
        except EinError:
            grammar = None
        now[grammar.digest if grammar is not None else "with mistakes"] = None
    return None, list(now)


def replayed(space: Space, trace: str, modules: int, input: ValueType, text: str) -> Derivation | None:
    """The derivation of these choices, where they give the term `text`."""
    try:
        choices = read_trace(trace)
        term = replay(space, choices, input)
    except (EinError, Inapplicable, ValueError):
        return None
    return Derivation(space, choices, modules, input) if t.text(term) == text else None


def _settled(grammar: Grammar) -> Space:
    space = Space(grammar)
    settle(space)
    return space


def write(path: Path, text: str) -> None:
    """Writes a text whole or not at all. Raises EinError where it cannot be written."""
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise fail("E605", f"`{path}` cannot be written: {error.strerror}") from None
