"""How a part of an aligned tree is written, some of what is below it left out as `…`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ein.grammar import term as t

LET, PARALLEL, SERIES, PRODUCT, ATOM = range(5)

Written: TypeAlias = tuple[str, int]
"""A text and how tightly it binds."""

HIDDEN: Written = ("…", ATOM)


@dataclass(frozen=True, slots=True)
class Template:
    """Text with slots for the parts below, in order: a number is a slot, and how tightly its text has to bind."""

    pieces: tuple[str | int, ...]
    binding: int = ATOM

    @property
    def is_slot(self) -> bool:
        return len(self.pieces) == 1 and isinstance(self.pieces[0], int)

    def within(self, least: int) -> tuple[str | int, ...]:
        """The pieces as they stand where at least `least` is needed."""
        if self.is_slot:
            return (max(least, *(piece for piece in self.pieces if isinstance(piece, int))),)
        return self.pieces if self.binding >= least else ("(", *self.pieces, ")")

    def fill(self, below: Sequence[Written]) -> Written:
        if self.is_slot:
            return below[0]
        given = iter(below)
        return "".join(p if isinstance(p, str) else closed(next(given), p) for p in self.pieces), self.binding


SLOT = Template((LET,))


def closed(written: Written, least: int) -> str:
    words, binding = written
    return words if binding >= least else f"({words})"


def template(node: t.TypedTerm, below: Sequence[Template], names: Sequence[str]) -> Template:
    """Of a term whose parts are written as `below`; `names` are those that a `let` or variable is shown with."""
    match node:
        case t.Op(application):
            return Template((application.text,))
        case t.Variable():
            return Template((names[0],))
        case t.Named():
            return below[0]
        case t.Series():
            return below[0] if len(below) == 1 else _joined(below, " >> ", SERIES, SERIES)
        case t.Parallel():
            return _joined(below, " & ", SERIES, PARALLEL)
        case t.Copies(_, count, tied):
            return Template(("tied " * tied, *below[0].within(ATOM), f" ^ {count}"), PRODUCT)
        case t.Repeated(parts, tied):
            return Template(("tied " * tied, *below[0].within(ATOM), f" * {len(parts)}"), PRODUCT)
        case t.Let():
            return _let(node, below, names)


def _joined(below: Sequence[Template], sign: str, least: int, binding: int) -> Template:
    pieces: list[str | int] = []
    for part in below:
        pieces += [sign, *part.within(least)] if pieces else part.within(least)
    return Template(tuple(pieces), binding)


def _let(node: t.Let, below: Sequence[Template], names: Sequence[str]) -> Template:
    free = iter(names)
    pieces: list[str | int] = ["let "]
    for index, ((bound, _), part) in enumerate(zip(node.bindings, below, strict=False)):
        left = ", ".join(next(free) for _ in bound)
        pieces += [", " * (index > 0) + (f"({left})" if len(bound) > 1 else left) + " = ", *part.within(PARALLEL)]
    return Template((*pieces, " : ", *below[-1].within(LET)), LET)
