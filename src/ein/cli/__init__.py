"""The command line: what a user types. Every command is one call of the public Python page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from ein import DISTRIBUTION, __version__
from ein.cli.common import report

COMMANDS = {
    "new": "new",
    "check": "check",
    "explain": "explain",
    "fmt": "check",
    "list": "library",
    "sample": "sample",
    "count": "count",
    "rank": "count",
    "unrank": "count",
    "parse": "parse",
    "import": "importing",
    "show": "network",
    "compile": "compiling",
    "draw": "drawing",
    "mutate": "edit",
    "crossover": "edit",
    "distance": "distance",
    "train": "train",
    "search": "search",
    "top": "search",
    "export": "search",
}
"""Each command with its file in this folder."""


class Commands(click.Group):
    """Imports a command when it is asked for, so that `ein check` loads what it needs and no more."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = import_module(f"ein.cli.{COMMANDS[name]}")
        command: click.Command = getattr(module, f"{name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from ein.grammar.numbers import nearest

            hint = nearest(args[0], COMMANDS, f"the commands are {', '.join(COMMANDS)}")
            raise click.UsageError(f"there is no command `{args[0]}`; {hint}", ctx)
        return super().resolve_command(ctx, args)


def _version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    from ein.compiler.drawing.layout import engine_name

    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = "not installed"
    python = ".".join(map(str, sys.version_info[:3]))
    click.echo(f"{DISTRIBUTION} {__version__}, Python {python}, torch {torch}, layout {engine_name()}, {sys.platform}")
    ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version", is_flag=True, callback=_version, expose_value=False, is_eager=True, help="Versions, for reports."
)
def program() -> None:
    """Spaces of neural architectures as text: check them, draw from them, compile, train and picture what is drawn.

    \b
    ein sample einspace -n 3          three derivations of einspace
    ein show zoo/resnet18             its term, types and costs
    ein check my.ein                  every mistake of a file
    ein new first                     a small grammar of your own, to begin with
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and ends the process: 0 done, 1 the input is at fault, 2 usage, 3 our fault, 130 Ctrl-C."""
    sys.unraisablehook = _interrupted_again
    sys.exit(run(arguments))


def _interrupted_again(lost: Any) -> None:
    """Ctrl-C that came while a weak reference was cleared, where Python drops what is raised, comes once more."""
    if not issubclass(lost.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    import threading
    from _thread import interrupt_main

    threading.Timer(0.05, interrupt_main).start()


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit status of a command line."""
    try:
        done: Any = program.main(arguments, prog_name="ein", standalone_mode=False)
        return done if isinstance(done, int) else 0
    except click.Abort:
        click.echo("stopped", err=True)
        return 130
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SystemExit:  # click's answer to a reader that has gone, as in `ein sample … | head`
        return 0
    except Exception as error:
        return report(error)
