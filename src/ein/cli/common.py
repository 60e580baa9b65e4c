"""What the commands share: options, how errors are told, colour, files."""

from __future__ import annotations

import json
import math
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from ein.compiler.drawing.texts import amount as amount
from ein.grammar.check import Request, parse_limits
from ein.grammar.diagnostics import Diagnostic, EinError, fail, render_all

Command = TypeVar("Command", bound=Callable[..., Any])


def request_options(limits: bool = True) -> Callable[[Command], Command]:
    """`--set`, `--input`, `--output`, and `--limit`; `request` puts them together."""

    def add(command: Command) -> Command:
        if limits:
            text = 'Replace a limit: "modules <= 60, params <= 5M".'
            command = click.option("--limit", "limits", multiple=True, metavar="BOUND", help=text)(command)
        text = "Replace the numbers of the output type: vec[7]."
        command = click.option("--output", metavar="TYPE", help=text)(command)
        text = "Replace the numbers of the input type: im[1, 28, 28]."
        command = click.option("--input", metavar="TYPE", help=text)(command)
        text = "Set a parameter of the grammar: p=40%."
        return click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help=text)(command)

    return add


def request(settings: Sequence[str], input: str | None, output: str | None, limits: Sequence[str] = ()) -> Request:
    """Raises EinError for a limit, click.UsageError for a setting that is not written `name=value`."""
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"--set takes name=value, and this is `{setting}`")
        values[name.strip()] = value.strip()
    bounds = {name: value for limit in limits for name, value in parse_limits(limit).items()}
    return Request(values, input, output, bounds)


SEEDS = click.IntRange(0, 2**32 - 1)


class FiniteRange(click.FloatRange):
    """A range that neither `nan` nor `inf` is in."""

    def convert(self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, parameter, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", parameter, ctx)
        return number


def seed_option(command: Command) -> Command:
    text = "The same seed gives the same output."
    return click.option("--seed", default=0, show_default=True, type=SEEDS, help=text)(command)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="JSON on standard output, and nothing else there.")(
        command
    )


def colours(stream: Any = None) -> bool:
    """On a terminal, unless NO_COLOR is set and not empty."""
    stream = stream or sys.stderr
    return stream is not None and stream.isatty() and not os.environ.get("NO_COLOR")


def tell(diagnostics: Iterable[Diagnostic]) -> None:
    """Diagnostics to standard error."""
    found = list(diagnostics)
    if found:
        click.echo(render_all(found, colours()) + "\n", err=True)


def report(error: Exception) -> int:
    """Tells an error and gives its exit status: 1 where the input is at fault, 3 where we are."""
    if isinstance(error, EinError):
        tell(error.diagnostics)
        return 1
    if isinstance(error, OSError) and error.strerror:
        where = f"`{error.filename}`: " if error.filename else ""
        tell(fail("E605", f"{where}{error.strerror}").diagnostics)
        return 1
    if isinstance(error, MemoryError):
        tell(fail("E606", "this machine has no memory left for it", help="try a smaller network or batch").diagnostics)
        return 1
    click.echo("".join(traceback.format_exception(error)), err=True)
    click.echo("This is a mistake in ein, not in your input. Please report it with the lines above,", err=True)
    click.echo("the command, and what `ein --version` prints.", err=True)
    return 3


def print_json(value: Any) -> None:
    """Of a mapping also whole numbers that are longer than Python writes by itself."""
    if not isinstance(value, dict):
        click.echo(json.dumps(value, ensure_ascii=False))
        return
    parts = [f"{json.dumps(key, ensure_ascii=False)}: {_json(each)}" for key, each in value.items()]
    click.echo(f"{{{', '.join(parts)}}}")


def _json(value: Any) -> str:
    if type(value) is int and value > 0:
        from ein.grammar.counting.decimals import decimal

        return decimal(value)
    return json.dumps(value, ensure_ascii=False)


def folder(path: str) -> Path:
    """A folder to write to, made if need be. Raises EinError."""
    target = Path(path)
    if target.exists() and not target.is_dir():
        raise fail("E605", f"`{path}` is a file, and a folder is needed")
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise fail("E605", f"`{path}` cannot be made: {error.strerror}") from None
    return target
