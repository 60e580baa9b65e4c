"""`ein draw`: pictures of grammars and architectures, one or a whole folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ein.cli.common import FiniteRange, folder, request, request_options, tell
from ein.cli.network import ARCH
from ein.grammar.check import Request
from ein.grammar.diagnostics import fail

if TYPE_CHECKING:
    from ein.compiler.drawing.draw import Drawable, Options

DIRECTIONS = {"down": "TB", "right": "LR", None: None}
COSTS = ("params", "macs", "memory")
FORMS = ("svg", "png", "pdf", "html", "dot", "mmd")


class Costs(click.ParamType):  # type: ignore[type-arg]
    """`params,macs,memory`, or `none`."""

    name = "costs"

    def convert(self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in value.split(",") if name.strip() not in ("", "none"))
        wrong = [name for name in names if name not in COSTS]
        if wrong:
            self.fail(f"there is no cost `{wrong[0]}`; there are {', '.join(COSTS)}, and none", parameter, ctx)
        return names


@click.command("draw", epilog=ARCH)
@click.argument("what", metavar="[ARCH|GRAMMAR]", required=False)
@click.option("-o", "--out", metavar="FILE", help="The picture: .svg, .png, .pdf, .html, .dot or .mmd.")
@click.option("--all", "every", metavar="DIR", help="Draw each architecture of a folder or study, to the folder of -o.")
@click.option("--form", type=click.Choice(FORMS), help="Of the pictures of --all.  [default: svg]")
@click.option("-n", "count", type=click.IntRange(min=1), help="With --all: at most so many, of a study the best.")
@click.option("--view", type=click.Choice(["graph", "derivation", "grammar"]), help="Default: what suits.")
@click.option("--against", metavar="ARCH", help="Draw what changes from ARCH to this one.")
@click.option("--style", type=click.Choice(["light", "dark", "paper"]), default="light", show_default=True)
@click.option("--costs", type=Costs(), default="params,macs", show_default=True, help="Numbers in the boxes.")
@click.option("--heat", type=click.Choice(COSTS), help="Fill the boxes by this cost instead of by group.")
@click.option("--no-shapes", is_flag=True, help="Leave out the types on the wires.")
@click.option("--wires", is_flag=True, help="Draw identity and clone as boxes, not as wires.")
@click.option("--unfold", is_flag=True, help="Draw each part that repeats, and not one with `x 4`.")
@click.option("--columns", type=click.IntRange(min=1), help="Cut a long chain into columns.  [default: what suits]")
@click.option("--depth", type=click.IntRange(min=0), help="Frames inside each other.  [default: 2]")
@click.option("--most", type=click.IntRange(min=1), help="Fold frames from so many boxes on.  [default: 400]")
@click.option("--bare", is_flag=True, help="No title and no legend.")
@click.option("--optimise", "optimised", is_flag=True, help="Draw the graph after all passes.")
@click.option("--direction", type=click.Choice(["down", "right"]), help="Default: what suits.")
@click.option("--scale", default=1.0, show_default=True, type=FiniteRange(0.1, 10), help="Of a PNG.")
@click.option("-v", "verbose", is_flag=True, help="Say which layout engine is used.")
@request_options(limits=False)
def draw_command(
    what: str | None,
    out: str | None,
    every: str | None,
    form: str | None,
    count: int | None,
    optimised: bool,
    verbose: bool,
    settings: tuple[str, ...],
    input: str | None,
    output: str | None,
    against: str | None,
    **looks: Any,
) -> None:
    """A picture of an architecture or a grammar: its operation graph with shapes, its derivation, its rules.

    \b
    ein draw zoo/resnet18 -o resnet18.svg
    ein draw drawn/einspace-7-0.ein -o tree.png --view derivation
    ein draw einspace -o rules.pdf --style paper
    ein draw mutant.ein --against parent.ein -o change.svg
    ein draw --all drawn -o pictures
    """
    if (what is None) == (every is None):
        raise click.UsageError("name one ARCH or GRAMMAR, or a folder with --all DIR")
    if out is None:
        raise click.UsageError("-o says where the picture goes")
    view = looks["view"]
    if against is not None:
        _compared(view, looks["heat"])
    if every is None:
        _of_one(out, form, count)
    elif against is not None or view == "grammar":
        raise click.UsageError("--against and --view grammar do not go with --all")
    if verbose:
        from ein.compiler.drawing.layout import engine_name

        click.echo(f"layout: {engine_name()}", err=True)
    asked = request(settings, input, output)
    optimised = optimised and view != "derivation"
    if every is not None:
        _draw_all(Path(every), out, form or "svg", count, optimised, asked, looks)
    elif what is not None:
        _draw_one(what, Path(out), against, optimised, asked, looks)


def _compared(view: str | None, heat: str | None) -> None:
    """Raises click.UsageError for what does not go with --against."""
    if view not in (None, "graph"):
        raise click.UsageError(f"--against compares graphs, and --view is {view}")
    if heat is not None:
        raise click.UsageError("--heat does not go with --against, whose colours say what changed")


def _of_one(out: str, form: str | None, count: int | None) -> None:
    """Raises click.UsageError where the picture of one thing cannot be asked for so."""
    for name, given in (("--form", form), ("-n", count)):
        if given is not None:
            raise click.UsageError(f"{name} is of --all")
    if Path(out).suffix.lower()[1:] not in FORMS:
        endings = ", ".join(f".{each}" for each in FORMS)
        raise click.UsageError(f"the picture must end in {endings}, and this is `{out}`")


def _draw_one(
    what: str, out: Path, against: str | None, optimised: bool, asked: Request, looks: dict[str, Any]
) -> None:
    from ein.compiler.drawing.draw import draw

    drawn = _read(what, looks["view"] if against is None else "graph", optimised, asked)
    other = None
    if against is not None:
        looks = looks | {"view": None}
        drawn, other = _read(against, "graph", optimised, asked), drawn
    options = _options(looks, title=_title(what, drawn, against), against=other)
    folder(str(out.parent))
    written = draw(drawn, out, options, say=_say)
    click.echo(f"{written}: {written.stat().st_size:,} bytes", err=True)


def _title(what: str, drawn: Drawable, against: str | None) -> str:
    """The name of an architecture; a grammar says its own."""
    from ein.grammar.cfg import Grammar

    if against is not None:
        return f"{Path(against).stem} to {Path(what).stem}"
    return "" if isinstance(drawn, Grammar) else Path(what).stem


def _options(looks: dict[str, Any], **more: Any) -> Options:
    from ein.compiler.drawing.draw import Options

    named = ("view", "style", "costs", "heat", "wires", "unfold", "scale", "columns", "depth", "most")
    given = {name: looks[name] for name in named if looks[name] is not None}
    given["direction"] = DIRECTIONS[looks["direction"]]
    return Options(**given, shapes=not looks["no_shapes"], heading=not looks["bare"], **more)


def _read(what: str, view: str | None, optimised: bool, asked: Request) -> Drawable:
    """The grammar where one is asked for or nothing else is in the file, else the architecture."""
    from ein.grammar.check import load_grammar
    from ein.grammar.derivations.files import read_architecture
    from ein.networks import lower, optimise

    if view in (None, "grammar") and ".ein:" not in what and "#" not in what:
        grammar = load_grammar(what, asked)
        if view == "grammar" or (grammar.rules and not grammar.architectures):
            if not grammar.rules:
                raise fail("E705", f"`{what}` has no rules to draw")
            return grammar
    derivation = read_architecture(what, asked, lambda note: tell([note]))
    return optimise(lower(derivation)) if optimised else derivation


def _draw_all(
    source: Path, out: str, form: str, count: int | None, optimised: bool, asked: Request, looks: dict[str, Any]
) -> None:
    from ein.albums import write_album
    from ein.populations import members

    found = members(source, asked, count, _say)
    target = folder(out)
    name = source.resolve().name
    album = write_album(found, target, form, _options(looks), optimised=optimised, title=name, say=_say)
    sheet = f" and {album.sheet.name}" if album.sheet else ""
    click.echo(f"{target}: {album.pictures} picture{'s' * (album.pictures != 1)}{sheet}", err=True)


def _say(line: str) -> None:
    click.echo(line, err=True)
