"""`ein import`."""

from __future__ import annotations

from pathlib import Path

import click

from ein.cli.common import folder


@click.command("import")
@click.argument("model", metavar="FILE.py:NAME")
@click.option("--input", metavar="TYPE", help='The type of an example, without the batch: "im[3, 32, 32]". Needed.')
@click.option("-o", "--out", metavar="FILE", help="Where to write; standard output if not given.")
def import_command(model: str, input: str | None, out: str | None) -> None:
    """A model of torch as an architecture: the file of a network that computes the same, to start a search from.

    Runs the Python file, as `python FILE.py` does: import only what you trust. NAME is a class of nn.Module that needs
    no arguments, a function that makes a module, or a module.

    \b
    ein import module.py:Net --input "im[3, 32, 32]" -o net.ein
    ein search my.ein --seeds net.ein --data digits
    """
    path, colon, name = model.rpartition(":")
    if not colon or not path or not name.isidentifier():
        raise click.UsageError(f"a file and a name in it are needed, as in module.py:Net, and this is `{model}`")
    if input is None:
        raise click.UsageError('the type of an example is needed: --input "im[3, 32, 32]"')
    from ein.compiler.way_in.imported import imported
    from ein.grammar.derivations.files import write
    from ein.importing import model_of

    found = imported(model_of(path, name), input, name, f"{name} of {Path(path).name}, by `ein import`.")
    if out is None:
        click.echo(found.text, nl=False)
        return
    folder(str(Path(out).parent))
    write(Path(out), found.text)
    cost = found.derivation.cost
    click.echo(f"{out}: {cost.modules} modules, {cost.parameters:,} parameters", err=True)
