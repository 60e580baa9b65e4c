"""`ein show`: one architecture as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ein.cli.common import amount, json_option, print_json, request, request_options, tell
from ein.grammar.derivations.derivation import Derivation

if TYPE_CHECKING:
    from ein.compiler.graph import OpGraph

ARCH = "ARCH is a library architecture (zoo/resnet18), a file with an `arch`, file.ein:name, or a derivation file."


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
