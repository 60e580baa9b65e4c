"""`ein show`, `ein draw`: of one architecture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ein.cli.common import FiniteRange, amount, folder, json_option, print_json, request, request_options, tell
from ein.grammar.derivations.derivation import Derivation

if TYPE_CHECKING:
    from ein.compiler.graph import OpGraph

ARCH = "ARCH is a library architecture (zoo/resnet18), a file with an `arch`, file.ein:name, or a derivation file."

_DIRECTIONS = {"down": "TB", "right": "LR", None: None}


def read(arch: str, settings: tuple[str, ...], input: str | None, output: str | None) -> Derivation:
    from ein.grammar.derivations.files import read_architecture

    return read_architecture(arch, request(settings, input, output), lambda note: tell([note]))


@click.command("show", epilog=ARCH)
@click.argument("arch")
@click.option("--after", metavar="STAGE", help="The operation graph after lower, a pass by name, or optimise.")
@request_options(limits=False)
@json_option
def show_command(
    arch: str, after: str | None, settings: tuple[str, ...], input: str | None, output: str | None, as_json: bool
) -> None:
    """Term, types and costs of an architecture. With --after, its graph after a stage of the compiler.

    \b
    ein show zoo/resnet18
    ein show drawn/einspace-7-0.ein --after lower
    """
    derivation = read(arch, settings, input, output)
    if after is not None:
        from ein.compiler.graph_text import to_text

        click.echo(to_text(_after(derivation, after)))
    elif as_json:
        from ein.cli.sample import facts
        from ein.compiler.identity import derivation_identity

        print_json({**facts(derivation), "network": derivation_identity(derivation)})
    else:
        _show(derivation)


def _show(derivation: Derivation) -> None:
    from ein.grammar.derivations.files import laid_out

    cost = derivation.cost
    click.echo(f"{derivation.id}")
    click.echo(f"types       {derivation.input!r} -> {derivation.type!r}")
    click.echo(f"modules     {cost.modules}")
    click.echo(f"parameters  {cost.parameters:,}")
    click.echo(f"MACs        {cost.macs:,} for one example")
    memory = amount(4 * cost.elements)
    unit = "B" if " " in memory else " B"
    click.echo(f"elements    {cost.elements:,} in all results ({memory}{unit} in float32)")
    click.echo()
    click.echo(laid_out(derivation))


def _after(derivation: Derivation, stage: str) -> OpGraph:
    """The graph after `lower`, after every pass up to the one named, or after all of them."""
    from ein.compiler.lower import lower
    from ein.compiler.passes import PIPELINE, optimise

    names = [step.name for step in PIPELINE]
    graph = lower(derivation.term)
    if stage == "lower":
        return graph
    if stage not in (*names, "optimise"):
        raise click.UsageError(f"there is no stage `{stage}`; there are lower, {', '.join(names)}, optimise")
    last = len(names) if stage == "optimise" else names.index(stage) + 1
    return optimise(graph, PIPELINE[:last]).graph


@click.command("draw", epilog=ARCH)
@click.argument("arch")
@click.option("-o", "--out", required=True, metavar="FILE", help="The picture: .svg, .png, .pdf or .dot.")
@click.option("--view", type=click.Choice(["graph", "derivation"]), default="graph", show_default=True)
@click.option("--optimise", "optimised", is_flag=True, help="Draw the graph after all passes.")
@click.option("--direction", type=click.Choice(["down", "right"]), help="Default: what fits the picture.")
@click.option("--scale", default=1.0, show_default=True, type=FiniteRange(0.1, 10), help="Of a PNG.")
@click.option("-v", "verbose", is_flag=True, help="Say which layout engine is used.")
@request_options(limits=False)
def draw_command(
    arch: str,
    out: str,
    view: str,
    optimised: bool,
    direction: str | None,
    scale: float,
    verbose: bool,
    settings: tuple[str, ...],
    input: str | None,
    output: str | None,
) -> None:
    """A picture of an architecture. It shows the operation graph with shapes, or the derivation.

    \b
    ein draw zoo/resnet8 -o resnet8.svg
    ein draw drawn/einspace-7-0.ein -o tree.png --view derivation
    """
    from ein.compiler.drawing.draw import SUFFIXES, Options, draw
    from ein.compiler.drawing.layout import engine_name
    from ein.networks import lower, optimise

    if Path(out).suffix.lower() not in SUFFIXES:
        raise click.UsageError(f"the picture must end in {', '.join(SUFFIXES)}, and this is `{out}`")
    derivation = read(arch, settings, input, output)
    what = optimise(lower(derivation)) if optimised and view == "graph" else derivation
    if verbose:
        click.echo(f"layout: {engine_name()}", err=True)
    folder(str(Path(out).parent))
    options = Options(view=view, title=Path(arch).stem, direction=_DIRECTIONS[direction], scale=scale)
    written = draw(what, out, options, say=lambda line: click.echo(line, err=True))
    click.echo(f"{written}: {written.stat().st_size:,} bytes", err=True)
