"""`ein new`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from ein.grammar.derivations.files import write
from ein.grammar.diagnostics import fail
from ein.grammar.notation.table import load

PATTERN = Path(__file__).with_name("new.ein")
NEXT = """\
what next:
  ein check {file}
  ein sample {file} -n 5
  ein search {file} --data digits --evals 10 --seconds 2 --out {study}"""


@click.command("new")
@click.argument("name")
def new_command(name: str) -> None:
    """Writes NAME.ein, a small grammar with comments. Its networks take the images of `--data digits`.

    \b
    ein new first
    ein new spaces/first
    """
    path = Path(name)
    path = path if path.suffix == ".ein" else path.with_name(f"{path.name}.ein")
    space = _space(path.stem)
    if path.exists() or path.is_symlink():
        raise fail("E605", f"`{path}` is already there, and nothing is written over it", help="choose another name")
    text = PATTERN.read_text(encoding="utf-8").replace("my_space", space)
    write(path, text)
    click.echo(f"{path}: {len(text.splitlines())} lines", err=True)
    click.echo(NEXT.format(file=shlex.quote(str(path)), study=shlex.quote(f"runs/{space}")), err=True)


def _space(name: str) -> str:
    """The name as one that `grammar` takes. Raises click.UsageError."""
    if re.fullmatch(r"[a-z][a-z0-9_]*", name) and name not in load().words:
        return name
    other = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_0123456789")
    other = f"{other or 'my'}_space" if not other or other in load().words else other
    raise click.UsageError(
        f"a grammar has a name of small letters, digits and _ that is no keyword, and this is `{name}`; try `{other}`"
    )
