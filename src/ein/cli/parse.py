"""`ein parse`."""

from __future__ import annotations

import click

from ein.cli.common import json_option, print_json, request, request_options, tell
from ein.cli.network import ARCH


@click.command("parse", epilog=ARCH)
@click.argument("grammar")
@click.argument("arch", required=False)
@click.option("--term", "text", metavar="TERM", help="A term as text, in place of ARCH.")
@request_options(limits=False)
@json_option
def parse_command(
    grammar: str,
    arch: str | None,
    text: str | None,
    settings: tuple[str, ...],
    input: str | None,
    output: str | None,
    as_json: bool,
) -> None:
    """The derivation of an architecture in a grammar: the most probable one, or where the rules cannot give it.

    \b
    ein parse einspace zoo/einspace/resnet8
    ein parse my.ein --term "conv(8) >> relu"
    """
    from ein.cli.sample import facts, line
    from ein.grammar.check import load_grammar
    from ein.grammar.matching.written import written_term
    from ein.space import Space

    if (arch is None) == (text is None):
        raise click.UsageError("an architecture or --term is needed, and not both")
    space = Space(load_grammar(grammar, request(settings, input, output)))
    tell(warning for warning in space.warnings if warning.code != "W704")
    if text is None:
        assert arch is not None
        found = space.parse(space.read(arch))
    else:
        found = space.parse(written_term(space.grammar, text, space.input))
    if as_json:
        print_json({**facts(found), "trace": found.trace})
        return
    click.echo(line(found))
    click.echo(f"probability 10^{found.log10_probability:.2f}")
    click.echo(f"trace {found.trace}")
