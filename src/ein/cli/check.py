"""`ein check`, `ein fmt`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ein.cli.common import json_option, print_json, request, request_options, tell
from ein.grammar.cfg import Grammar
from ein.grammar.diagnostics import Diagnostic, EinError, Source, fail, order
from ein.grammar.request import Request

if TYPE_CHECKING:
    from ein.grammar.analyses.statistics import Statistics


@click.command("check")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--stats", is_flag=True, help="Also how large a grammar is, how it grows, and what some draws show.")
@click.option("--torch", "with_torch", is_flag=True, help="Ask torch about every operator too; takes some seconds.")
@request_options()
@json_option
def check_command(
    files: tuple[str, ...],
    stats: bool,
    with_torch: bool,
    settings: tuple[str, ...],
    input: str | None,
    output: str | None,
    limits: tuple[str, ...],
    as_json: bool,
) -> int:
    """Every mistake of a file, in one run. FILE is a path, a library name, or - for standard input.

    \b
    ein check my.ein
    ein check einspace std --json
    ein check einspace --stats
    ein check operators.ein --torch
    """
    asked = request(settings, input, output, limits)
    found: list[Diagnostic] = []
    told: list[Statistics] = []
    for file in files:
        grammar, diagnostics = _check(file, asked, with_torch)
        found += diagnostics
        if not as_json:
            tell(diagnostics)
        known = _figures(grammar, not as_json) if stats and grammar is not None else None
        told += [] if known is None else [known]
    errors = sum(d.severity == "error" for d in found)
    warnings = sum(d.severity == "warning" for d in found)
    if as_json:
        diagnostics_json = [diagnostic.to_json() for diagnostic in found]
        whole = {"diagnostics": diagnostics_json, "stats": [known.to_json() for known in told]}
        print_json(whole if stats else diagnostics_json)
    elif errors or warnings:
        click.echo(f"{_count(errors, 'error')}, {_count(warnings, 'warning')}", err=True)
    else:
        click.echo(f"{', '.join(files) if len(files) <= 3 else f'{len(files)} files'}: no mistakes")
    return 1 if errors else 0


def _figures(grammar: Grammar, tell_them: bool) -> Statistics | None:
    """None for a file without rules to draw from."""
    from ein.cli.statistics import describe
    from ein.grammar.analyses.statistics import statistics

    found = statistics(grammar)
    if found is not None and tell_them:
        click.echo(f"{describe(found)}\n")
    return found


def _check(file: str, asked: Request, with_torch: bool) -> tuple[Grammar | None, list[Diagnostic]]:
    from ein.grammar.check import check

    try:
        source = _standard_input() if file == "-" else file
        grammar, found = check(source, asked)
        return grammar, order([*found, *_witnessed(source)]) if with_torch else found
    except EinError as error:
        return None, list(error.diagnostics)


def _witnessed(source: Source | str) -> list[Diagnostic]:
    """Where the second witness disagrees with our shape rules about the file's own operators."""
    from ein.compiler.verify_ops import verify
    from ein.grammar.check import declared_operators

    return verify(*declared_operators(source))


def _standard_input() -> Source:
    data = sys.stdin.buffer.read(10**6 + 1)
    try:
        return Source("-", data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise fail("E602", f"standard input is not UTF-8 text (byte {error.start})") from None


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


@click.command("fmt")
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--check", "only_check", is_flag=True, help="Write nothing; status 1 if a file would change.")
def fmt_command(files: tuple[str, ...], only_check: bool) -> int:
    """Rewrites files in the one canonical form; comments stay. FILE is a path, or - for a filter.

    \b
    ein fmt my.ein
    ein fmt --check *.ein
    """
    from ein.grammar.derivations.files import write
    from ein.grammar.load import find
    from ein.grammar.notation.printer import format_source

    changed = 0
    for file in files:
        source = _standard_input() if file == "-" else find(file)[0]
        text = format_source(source)
        if file == "-":
            click.echo(text, nl=False)
        elif text != source.text:
            changed += 1
            if only_check:
                click.echo(f"{file} is not in canonical form", err=True)
            elif not Path(file).is_file():
                raise fail("E605", f"`{file}` is of the library and is not rewritten")
            else:
                write(Path(file), text)
                click.echo(f"{file}: rewritten", err=True)
    return 1 if only_check and changed else 0
