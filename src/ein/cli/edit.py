"""`ein mutate`, `ein crossover`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ein.cli.common import Command, folder, json_option, print_json, request, request_options, seed_option, tell
from ein.cli.network import ARCH

if TYPE_CHECKING:
    from ein.grammar.derivations.derivation import Derivation
    from ein.grammar.derivations.sample import Sampler
    from ein.grammar.editing.edit import Fairness, Keep

KINDS = ("subtree", "small", "value", "alternative", "insert", "delete", "swap", "duplicate")
CROSSOVERS = ("subtree", "alignment")


def _edit_options(command: Command) -> Command:
    """What the two commands share."""
    command = json_option(command)
    command = request_options()(command)
    command = seed_option(command)
    command = click.option("-o", "--out", metavar="DIR", help="Write each as a derivation file.")(command)
    text = "A level of the tree first, then a part of it; else all parts alike."
    command = click.option("--sites", type=click.Choice(["uniform", "depth"]), default="uniform", help=text)(command)
    text = "What takes a part's place gives the type that the part gave."
    command = click.option("--keep", type=click.Choice(["type"]), help=text)(command)
    return click.option("-n", "count", default=1, show_default=True, type=click.IntRange(min=0), help="How many.")(
        command
    )


@click.command("mutate", epilog=ARCH)
@click.argument("grammar")
@click.argument("arch")
@click.option("--kind", type=click.Choice(KINDS), default="subtree", show_default=True, help="What is changed.")
@_edit_options
def mutate_command(
    grammar: str,
    arch: str,
    kind: str,
    count: int,
    keep: Keep,
    sites: Fairness,
    out: str | None,
    seed: int,
    settings: tuple[str, ...],
    input: str | None,
    output: str | None,
    limits: tuple[str, ...],
    as_json: bool,
) -> None:
    """Changes an architecture within a grammar: each mutant is valid, within the limits, and not the parent.

    \b
    ein mutate einspace zoo/einspace/resnet8 -n 5
    ein mutate my.ein drawn/my-7-0.ein --kind small --seed 7 -o mutants/
    """
    from ein.grammar.editing.edit import mutant

    if keep is not None and kind != "subtree":
        raise click.UsageError(f"--keep is for --kind subtree, and this is {kind}")
    sampler = _sampler(grammar, settings, input, output, limits)
    parent = _read(sampler, arch, input, output)

    def made(index: int) -> Derivation:
        return mutant(sampler, parent, seed, index, kind=kind, keep=keep, sites=sites)

    _print(made, count, f"{sampler.grammar.name}-mutant-{seed}", f"of seed {seed} from {parent.id}", out, as_json)


@click.command("crossover", epilog=ARCH.replace("ARCH is", "A and B are each"))
@click.argument("grammar")
@click.argument("a")
@click.argument("b")
@click.option(
    "--kind", type=click.Choice(CROSSOVERS), default="subtree", show_default=True, help="How the two are mixed."
)
@_edit_options
def crossover_command(
    grammar: str,
    a: str,
    b: str,
    kind: str,
    count: int,
    keep: Keep,
    sites: Fairness,
    out: str | None,
    seed: int,
    settings: tuple[str, ...],
    input: str | None,
    output: str | None,
    limits: tuple[str, ...],
    as_json: bool,
) -> None:
    """Puts a part of B into A, in the place of a part of the same rule: each child is valid, and neither A nor B.

    \b
    ein crossover einspace zoo/einspace/resnet8 drawn/einspace-7-0.ein -n 5
    ein crossover my.ein drawn/my-7-0.ein drawn/my-7-1.ein --keep type
    ein crossover my.ein drawn/my-7-0.ein drawn/my-7-1.ein --kind alignment
    """
    from ein.grammar.editing.edit import crossed

    if kind != "subtree" and (keep is not None or sites != "uniform"):
        raise click.UsageError(f"--keep and --sites are for --kind subtree, and this is {kind}")
    sampler = _sampler(grammar, settings, input, output, limits)
    first, second = _read(sampler, a, input, output), _read(sampler, b, input, output)

    def made(index: int) -> Derivation:
        return crossed(sampler, first, second, seed, index, kind=kind, keep=keep, sites=sites)

    parents = f"of seed {seed} from {first.id} and {second.id}"
    _print(made, count, f"{sampler.grammar.name}-child-{seed}", parents, out, as_json)


def _sampler(
    grammar: str, settings: tuple[str, ...], input: str | None, output: str | None, limits: tuple[str, ...]
) -> Sampler:
    from ein.grammar.check import load_grammar
    from ein.grammar.derivations.sample import Sampler

    checked = load_grammar(grammar, request(settings, input, output, limits))
    tell(warning for warning in checked.warnings if warning.code != "W704")
    return Sampler.of(checked)


def _read(sampler: Sampler, arch: str, input: str | None, output: str | None) -> Derivation:
    """The architecture as a derivation of the grammar."""
    from ein.grammar.derivations.files import read_architecture
    from ein.grammar.editing.edit import ruled

    return ruled(sampler, read_architecture(arch, request((), input, output)))


def _print(
    made: Callable[[int], Derivation], count: int, name: str, whence: str, out: str | None, as_json: bool
) -> None:
    from ein.cli.sample import facts, line
    from ein.grammar.derivations.files import derivation_text, write

    target = folder(out) if out else None
    width = len(str(max(count - 1, 0)))
    for index in range(count):
        child = made(index)
        if as_json:
            print_json(facts(child))
        else:
            click.echo(line(child))
        if target is not None:
            text = derivation_text(child, f"Number {index} {whence}: {child.id}")
            write(Path(target, f"{name}-{index:0{width}}.ein"), text)
