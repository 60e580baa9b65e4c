"""`ein explain`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import click

PAGES = Path(__file__).parents[1] / "diagnostics"


@click.command("explain")
@click.argument("code", metavar="CODE")
def explain_command(code: str) -> None:
    """The page of a diagnostic: what it means, an example, and how to put it right.

    \b
    ein explain E301
    """
    known = codes()
    wanted = code.upper()
    if wanted not in known and f"E{wanted}" in known:
        wanted = f"E{wanted}"
    if wanted not in known:
        raise click.UsageError(f"there is no diagnostic `{code}`; the nearest are {', '.join(_nearest(wanted, known))}")
    click.echo((PAGES / f"{wanted}.md").read_text(encoding="utf-8"), nl=False)


def codes() -> list[str]:
    """All that have a page, in order."""
    return sorted(path.stem for path in PAGES.glob("*.md") if re.fullmatch(r"[EW]\d{3}", path.stem))


def _nearest(wanted: str, known: Iterable[str]) -> list[str]:
    """Three of them: by number, those of the same letter first; without a number those that look alike."""
    from difflib import get_close_matches

    number = re.search(r"\d+", wanted)
    if number is None:
        return get_close_matches(wanted, list(known), 3, 0.0)
    return sorted(known, key=lambda code: (abs(int(code[1:]) - int(number[0])), code[0] != wanted[0], code))[:3]
