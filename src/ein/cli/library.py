"""`ein list`."""

from __future__ import annotations

import click

from ein.cli.common import json_option, print_json


@click.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """The library: grammars, architectures, operators. Each comes with one line.

    \b
    ein list
    ein list --json
    """
    entries = [_entry(name) for name in _names()]
    if as_json:
        print_json([entry for group in entries for entry in group])
        return
    flat = [entry for group in entries for entry in group]
    width = max(len(entry["name"]) for entry in flat)
    for kind, title in (
        ("grammar", "Grammars"),
        ("architecture", "Architectures"),
        ("operators", "Operators and blocks"),
    ):
        click.echo(title)
        for entry in flat:
            if entry["kind"] == kind:
                click.echo(f"  {entry['name']:<{width}}  {entry['about']}".rstrip())
        click.echo()


def _names() -> list[str]:
    from ein.grammar.load import library_names

    return library_names()


def _entry(name: str) -> list[dict[str, str]]:
    """A module of the library; of a module of operators also what it declares."""
    from ein.grammar import syntax as s
    from ein.grammar.load import find
    from ein.grammar.parser import parse

    source, _, _ = find(name)
    file, _ = parse(source)
    about = source.text.splitlines()[0].removeprefix("#").strip() if source.text.startswith("#") else ""
    kinds = {type(statement) for statement in file.statements}
    if s.ArchDecl in kinds:
        return [{"name": name, "kind": "architecture", "about": about}]
    if s.RuleDecl in kinds:
        return [{"name": name, "kind": "grammar", "about": about}]
    return [{"name": name, "kind": "operators", "about": about}, *_declared(file)]


def _declared(file: object) -> list[dict[str, str]]:
    from ein.grammar import syntax as s
    from ein.grammar.printer import print_type

    assert isinstance(file, s.File)
    found: dict[str, list[str]] = {}
    for statement in file.statements:
        match statement:
            case s.OpDecl(name, _, input, output):
                found.setdefault(name, []).append(f"{print_type(input)} -> {print_type(output)}")
            case s.MacroDecl(name, parameters):
                found.setdefault(name, []).append(f"macro of {', '.join(p.name for p in parameters) or 'nothing'}")
            case _:
                pass
    return [{"name": name, "kind": "operators", "about": "; ".join(lines)} for name, lines in found.items()]
