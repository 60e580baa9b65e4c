"""`ein distance`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ein.cli.common import json_option, print_json, request, request_options
from ein.cli.network import ARCH

if TYPE_CHECKING:
    from ein.grammar.alignment.align import Alignment
    from ein.grammar.alignment.offspring import Step


@click.command("distance", epilog=ARCH.replace("ARCH is", "A and B are each"))
@click.argument("a")
@click.argument("b")
@click.option("--path", "with_path", is_flag=True, help="The edits from A to B, and the networks between them.")
@request_options(limits=False)
@json_option
def distance_command(
    a: str,
    b: str,
    with_path: bool,
    settings: tuple[str, ...],
    input: str | None,
    output: str | None,
    as_json: bool,
) -> None:
    """Edit distance of two architectures, in modules.

    Two derivations of one space are compared by their choices, any others by their terms.

    \b
    ein distance zoo/resnet18 zoo/resnet8
    ein distance drawn/einspace-7-0.ein drawn/einspace-7-1.ein --path
    """
    from ein.grammar.alignment.align import align
    from ein.grammar.derivations.files import read_architecture

    given = request(settings, input, output)
    alignment = align(read_architecture(a, given), read_architecture(b, given))
    steps = _steps(alignment) if with_path else None
    if as_json:
        print_json(facts(alignment, steps))
        return
    for name, each in (("a", alignment.a), ("b", alignment.b)):
        click.echo(f"{name:12}{each.id}, {each.modules} modules")
    click.echo(f"distance    {alignment.distance:g} modules")
    click.echo(f"compared    {_compared(alignment)}")
    if steps is not None:
        _show(steps, alignment.rules)


def _steps(alignment: Alignment) -> Sequence[Step]:
    """The edits; of derivations in an order in which the networks between are valid as often as that is found."""
    from ein.grammar.alignment.offspring import Step, steps
    from ein.grammar.alignment.paths import trace
    from ein.grammar.derivations.sample import Sampler

    path = trace(alignment)
    if not alignment.rules:
        return [Step(edit, None) for edit in path.edits]
    return steps(Sampler.of(alignment.a.space.grammar), path)


def _compared(alignment: Alignment) -> str:
    return "derivations" if alignment.rules else "terms"


def facts(alignment: Alignment, steps: Sequence[Step] | None) -> dict[str, Any]:
    """What `--json` says; `id` and `modules` of an edit are of the network after it, null where that is not valid."""
    found: dict[str, Any] = {
        "a": alignment.a.id,
        "b": alignment.b.id,
        "distance": alignment.distance,
        "compared": _compared(alignment),
    }
    return found if steps is None else {**found, "edits": [_edit(step) for step in steps]}


def _edit(step: Step) -> dict[str, Any]:
    edit, after = step.edit, step.derivation
    return {
        "kind": edit.kind,
        "cost": edit.cost,
        "place": edit.place,
        "before": edit.before,
        "after": edit.after,
        "id": None if after is None else after.id,
        "modules": None if after is None else after.modules,
    }


def _show(steps: Sequence[Step], rules: bool) -> None:
    click.echo()
    if not steps:
        click.echo("no edits: the two are the same")
        return
    click.echo(f"    cost  place  {'modules  ' * rules}edit")
    for step in steps:
        after = "-" if step.derivation is None else f"{step.derivation.modules}"
        modules = f"{after:>7}  " if rules else ""
        click.echo(f"{step.edit.cost:>8g}  {step.edit.place:>5}  {modules}{step.edit}")
