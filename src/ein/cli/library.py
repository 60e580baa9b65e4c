"""`ein list`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click

from ein.cli.common import json_option, print_json

if TYPE_CHECKING:
    from ein.grammar.notation import syntax as s

SECTION = re.compile(r"(?m)^# --- (.*)$")
HEADINGS = ("Grammars", "Architectures", "Operators and blocks")
"""What is said of whole modules, before what the modules of operators declare."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the list. `shown` is the name with the parameters, `group` the heading above the line."""

    group: str
    name: str
    kind: str
    shown: str
    about: str


@click.command("list")
@click.argument("words", metavar="[WORD]...", nargs=-1)
@json_option
def list_command(words: tuple[str, ...], as_json: bool) -> int:
    """The library: grammars, architectures, operators and blocks. Each comes with one line.

    With words, only the lines that contain all of them; the name of a module,
    or the heading of a section, finds all that it declares.

    \b
    ein list
    ein list resnet
    ein list kan
    ein list --json
    """
    entries = [entry for entry in _entries() if _contains(entry, words)]
    if as_json:
        print_json([{"name": entry.name, "kind": entry.kind, "about": entry.about} for entry in entries])
        return 0
    if not entries:
        click.echo("no line of the library contains that; `ein list` shows all of them", err=True)
        return 1
    for number, (group, lines) in enumerate(groupby(entries, attrgetter("group"))):
        if number:
            click.echo()
        click.echo(group)
        _print(list(lines))
    return 0


def _print(entries: Sequence[Entry]) -> None:
    """Lines under one heading, cut at the width of a terminal."""
    longest = max(len(entry.shown) for entry in entries)
    room = get_terminal_size().columns if sys.stdout.isatty() else None
    for entry in entries:
        line = f"  {entry.shown:<{longest}}  {entry.about}".rstrip()
        click.echo(line if room is None or len(line) <= room else f"{line[: room - 1]}…")


def _contains(entry: Entry, words: Iterable[str]) -> bool:
    section = "" if entry.group in HEADINGS else entry.group
    line = f"{section} {entry.shown} {entry.about}".lower()
    return all(word.lower() in line for word in words)


def _entries() -> list[Entry]:
    from ein.grammar.load import library_names

    found = [entry for name in library_names() for entry in _module(name)]
    rank = {heading: number for number, heading in enumerate(HEADINGS)}
    return sorted(found, key=lambda entry: rank.get(entry.group, len(rank)))


def _module(name: str) -> Iterator[Entry]:
    """A module of the library with its first comment; of a module of operators what it declares."""
    from ein.grammar.load import find
    from ein.grammar.notation import syntax as s
    from ein.grammar.notation.parser import parse

    source, _, _ = find(name)
    file, _ = parse(source)
    first = source.text.partition("\n")[0]
    about = first.removeprefix("#").strip() if first.startswith("#") else ""
    kinds = {type(statement) for statement in file.statements}
    grammars, architectures, operators = HEADINGS
    if s.ArchDecl in kinds:
        yield Entry(architectures, name, "architecture", name, about)
    elif s.RuleDecl in kinds:
        yield Entry(grammars, name, "grammar", name, about)
    else:
        yield Entry(operators, name, "operators", name, about)
        yield from _declared(file)


def _declared(file: s.File) -> Iterator[Entry]:
    """Operators, their overloads together, and macros, under the headings of the file."""
    from ein.grammar.notation import syntax as s

    sections = [(match.start(), match[1]) for match in SECTION.finditer(file.source.text)]
    declared = [item for item in file.statements if isinstance(item, s.OpDecl | s.MacroDecl)]
    for name, overloads in groupby(declared, attrgetter("name")):
        first, *more = overloads
        group = next((title for at, title in reversed(sections) if at < first.span.start), file.source.name)
        about = "; ".join(map(_about, (first, *more)))
        kind = "operators" if isinstance(first, s.OpDecl) else "block"
        yield Entry(f"{file.source.name}: {group}", name, kind, _call(first), about)


def _call(declaration: s.OpDecl | s.MacroDecl) -> str:
    shown = ", ".join(map(_parameter, declaration.parameters))
    return f"{declaration.name}({shown})" if shown else declaration.name


def _parameter(parameter: s.Parameter) -> str:
    from ein.grammar.notation.printer import print_expression

    return parameter.name if parameter.default is None else f"{parameter.name} = {print_expression(parameter.default)}"


def _about(declaration: s.OpDecl | s.MacroDecl) -> str:
    """The type of an operator; the term of a macro."""
    from ein.grammar.notation import syntax as s
    from ein.grammar.notation.printer import print_expression, print_type

    if isinstance(declaration, s.OpDecl):
        return f"{print_type(declaration.input)} -> {print_type(declaration.output)}"
    return " ".join(print_expression(declaration.body).split())
