"""`ein sample`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ein.cli.common import amount, folder, json_option, print_json, request, request_options, seed_option, tell
from ein.grammar.derivations.derivation import Derivation


class SizeRange(click.ParamType[tuple[int, int]]):
    """`40`, or `30..60`."""

    name = "size"

    def convert(self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        first, dots, last = str(value).partition("..")
        try:
            least, most = int(first), int(last if dots else first)
        except ValueError:
            self.fail(f"{value!r} is neither a number of modules nor a range such as 30..60", parameter, ctx)
        if not 1 <= least <= most:
            self.fail(f"{value!r} holds no number of modules: A..B needs 1 <= A <= B", parameter, ctx)
        return least, most


@click.command("sample")
@click.argument("grammar")
@click.option("-n", "count", default=1, show_default=True, type=click.IntRange(min=0), help="How many.")
@click.option("--size", type=SizeRange(), metavar="K|A..B", help="Modules: a number, or a range.")
@click.option("--attempts", default=10**6, show_default=True, type=click.IntRange(min=1), help="Give up after so many.")
@click.option("-o", "--out", metavar="DIR", help="Write each as a derivation file.")
@seed_option
@request_options()
@json_option
def sample_command(
    grammar: str,
    count: int,
    size: tuple[int, int] | None,
    attempts: int,
    out: str | None,
    seed: int,
    settings: tuple[str, ...],
    input: str | None,
    output: str | None,
    limits: tuple[str, ...],
    as_json: bool,
) -> None:
    """Draws derivations of a grammar: all valid, all within its limits.

    \b
    ein sample einspace -n 5 --size 10..30
    ein sample my.ein -n 100 --seed 7 -o drawn/ --limit "params <= 1M"
    """
    from ein.grammar.check import load_grammar
    from ein.grammar.derivations.files import derivation_text, write
    from ein.grammar.derivations.sample import Sampler

    checked = load_grammar(grammar, request(settings, input, output, limits))
    tell(warning for warning in checked.warnings if warning.code != "W704")
    sampler = Sampler.of(checked)
    target = folder(out) if out else None
    width = len(str(max(count - 1, 0)))
    for index in range(count):
        derivation = sampler.draw(seed, index, size, attempts)
        if as_json:
            print_json(facts(derivation))
        else:
            click.echo(line(derivation))
        if target is not None:
            comment = f"Draw {index} of seed {seed}: {derivation.id}"
            name = f"{checked.name}-{seed}-{index:0{width}}.ein"
            write(Path(target, name), derivation_text(derivation, comment))


def facts(derivation: Derivation) -> dict[str, Any]:
    """What `--json` says of a derivation."""
    cost = derivation.cost
    return {
        "id": derivation.id,
        "term": derivation.text,
        "modules": cost.modules,
        "params": cost.parameters,
        "macs": cost.macs,
        "elements": cost.elements,
        "input": repr(derivation.input),
        "output": repr(derivation.type),
        "log10_probability": derivation.log10_probability,
    }


def line(derivation: Derivation) -> str:
    cost = derivation.cost
    sizes = f"{cost.modules:>4} modules {amount(cost.parameters):>7} params {amount(cost.macs):>7} MACs"
    return f"{derivation.id.rpartition(':')[2]} {sizes}  {derivation.text}"
