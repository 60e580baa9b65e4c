"""`ein count`, `ein rank` and `ein unrank`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ein.cli.common import folder, json_option, print_json, request, request_options, tell
from ein.cli.network import ARCH
from ein.cli.sample import SizeRange, facts, line

if TYPE_CHECKING:
    from ein.grammar.counting.numbering import Numbering

MAX_GRAPHS = 20_000
"""Derivations of one size that are built to count distinct networks."""


@click.command("count")
@click.argument("grammar")
@click.option("--size", type=SizeRange(), metavar="K|A..B", help="Modules: a number, or a range.")
@click.option("--total", is_flag=True, help="Of all sizes together, where there is an end of them.")
@click.option("--graphs", is_flag=True, help="Also how many distinct networks, where all can be built.")
@request_options(limits=False)
@json_option
def count_command(
    grammar: str,
    size: tuple[int, int] | None,
    total: bool,
    graphs: bool,
    settings: tuple[str, ...],
    input: str | None,
    output: str | None,
    as_json: bool,
) -> None:
    """How many derivations a grammar has, exactly: of a number of modules, or of all.

    \b
    ein count einspace --size 3..6
    ein count hnb201 --total
    """
    if (size is None) != total:
        raise click.UsageError("a --size or --total is needed, and not both")
    if total and graphs:
        raise click.UsageError("--graphs goes with --size")
    numbering = _numbering(grammar, settings, input, output, sized=not total)
    if size is None:
        found = {"grammar": numbering.grammar.name, "total": numbering.total()}
        _say(found, as_json)
        return
    for modules in range(size[0], size[1] + 1):
        found = {"grammar": numbering.grammar.name, "modules": modules, "count": numbering.count(modules)}
        if graphs:
            found["graphs"] = _graphs(numbering, modules)
        _say(found, as_json)


def _say(found: dict[str, Any], as_json: bool) -> None:
    from ein.grammar.counting.decimals import decimal

    if as_json:
        print_json(found)
    elif "total" in found:
        click.echo(f"{decimal(found['total'])} derivations in all")
    else:
        built = "" if found.get("graphs") is None else f", {found['graphs']} distinct networks"
        click.echo(f"{found['modules']:>4} modules  {decimal(found['count'])} derivations{built}")


def _graphs(numbering: Numbering, modules: int) -> int | None:
    """None where they are too many to build."""
    from ein.compiler.identity import derivation_identity

    if numbering.count(modules) > MAX_GRAPHS:
        return None
    return len({derivation_identity(derivation) for derivation in numbering.all(modules)})


@click.command("rank", epilog=ARCH)
@click.argument("grammar")
@click.argument("arch")
@request_options(limits=False)
@json_option
def rank_command(
    grammar: str, arch: str, settings: tuple[str, ...], input: str | None, output: str | None, as_json: bool
) -> None:
    """The number of an architecture among the derivations of its size, as an id that `ein unrank` takes.

    \b
    ein rank einspace drawn/einspace-0-0.ein
    """
    from ein.grammar.counting.rank_ids import rank_id
    from ein.space import Space

    numbering = _numbering(grammar, settings, input, output)
    space = Space(numbering.grammar)
    id = rank_id(numbering, space.parse(space.read(arch)))
    if as_json:
        print_json({"id": str(id), "modules": id.size, "rank": id.rank, "count": numbering.count(id.size)})
    else:
        click.echo(str(id))


@click.command("unrank")
@click.argument("grammar")
@click.argument("ids", metavar="ID…", nargs=-1, required=True)
@click.option("-o", "--out", metavar="DIR", help="Write each as a derivation file.")
@request_options(limits=False)
@json_option
def unrank_command(
    grammar: str,
    ids: tuple[str, ...],
    out: str | None,
    settings: tuple[str, ...],
    input: str | None,
    output: str | None,
    as_json: bool,
) -> None:
    """The derivations of rank ids, or of numbers SIZE:RANK.

    \b
    ein unrank einspace 9:90417
    """
    from ein.grammar.counting.decimals import SHOWN, decimal
    from ein.grammar.counting.rank_ids import RankId, of_rank, parse_rank_id
    from ein.grammar.derivations.files import derivation_text, write

    numbering = _numbering(grammar, settings, input, output)
    target = folder(out) if out else None
    for text in ids:
        mine = numbering.grammar
        given = text if "@" in text else f"{mine.name}@{mine.digest}#{text}"
        id: RankId | None = parse_rank_id(given)
        if id is None:
            raise click.UsageError(f"`{text}` is no rank id, such as {mine.name}@{mine.digest}#5:17 or 5:17")
        derivation = of_rank(id, numbering)
        if as_json:
            print_json(facts(derivation))
        else:
            click.echo(line(derivation))
        if target is not None:
            rank = decimal(id.rank) if id.rank < 10**SHOWN else derivation.id.rpartition(":")[2]
            path = Path(target, f"{mine.name}-{id.size}-{rank}.ein")
            write(path, derivation_text(derivation, f"{id}: {derivation.id}"))


def _numbering(
    grammar: str, settings: tuple[str, ...], input: str | None, output: str | None, sized: bool = True
) -> Numbering:
    """With a word on the limits that counts do not look at."""
    from ein.grammar.check import load_grammar
    from ein.grammar.counting.numbering import Numbering

    checked = load_grammar(grammar, request(settings, input, output))
    tell(warning for warning in checked.warnings if warning.code != "W704")
    numbering = Numbering.of(checked, sized=sized)
    tell(numbering.notes)
    return numbering
