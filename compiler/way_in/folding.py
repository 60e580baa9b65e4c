"""A term made shorter: the macros of `std` where they stand, and copies in a row as `a * n`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ein.compiler.way_in.macros import MACROS, Macro, matched
from ein.compiler.way_in.network import Network
from ein.compiler.way_in.pieces import Branches, Call, Leaf, Let, Name, Piece, Series, Times, leaves, series, text


def folded(piece: Piece, net: Network, with_macros: bool = True) -> Piece:
    for macro in MACROS() if with_macros else ():
        piece = _each(piece, lambda parts, macro=macro: _replaced(parts, macro, net))  # type: ignore[misc]
    return _tied(_each(piece, _repeats), net)


def _each(piece: Piece, change: Callable[[list[Piece]], list[Piece]]) -> Piece:
    """The piece with `change` done to all that stands in a row, from the inside out."""
    match piece:
        case Leaf() | Name():
            return piece
        case Series(parts):
            return series(change([_each(part, change) for part in parts]))
        case Branches(parts):
            return Branches(tuple(_row(part, change) for part in parts))
        case Times(parts):
            return replace(piece, parts=tuple(_row(part, change) for part in parts))
        case Call(arguments=arguments):
            return piece if not arguments else replace(piece, body=piece.body)
        case Let(bindings, body):
            return Let(tuple((names, _row(value, change)) for names, value in bindings), _row(body, change))


def _row(piece: Piece, change: Callable[[list[Piece]], list[Piece]]) -> Piece:
    """What stands alone is a row of one."""
    found = _each(piece, change)
    return found if isinstance(found, Series) else series(change([found]))


def _replaced(parts: list[Piece], macro: Macro, net: Network) -> list[Piece]:
    at = 0
    while at < len(parts):
        found = matched(macro, parts[at : at + macro.length], net)
        if found is not None:
            parts = [*parts[:at], found, *parts[at + macro.length :]]
        at += 1
    return parts


# --- copies

SHORT = 4
"""Copies that save no more characters than this are written out."""


def _repeats(parts: list[Piece]) -> list[Piece]:
    """Runs of one text become `a * n`, the shortest run that repeats first."""
    said = list(map(text, parts))
    width = 1
    while width <= len(parts) // 2:
        at = 0
        while at + 2 * width <= len(parts):
            count = _count(said, at, width)
            if count > 1 and len(" >> ".join(said[at : at + width])) * (count - 1) > SHORT:
                at += _opening(said, at, width, count)
                runs = [series(parts[at + n * width : at + (n + 1) * width]) for n in range(count)]
                parts = [*parts[:at], Times(tuple(runs)), *parts[at + count * width :]]
                said = [*said[:at], text(parts[at]), *said[at + count * width :]]
            at += 1
        width += 1
    return parts


def _opening(said: list[str], at: int, width: int, count: int) -> int:
    """How much later copies as many begin with what opens branches: `add >> clone(2) >> …` is no way to begin."""
    for later in range(width):
        opens = said[at + later].startswith(("clone(", "split("))
        if opens and _count(said, at + later, width) >= count:
            return later
    return 0


def _count(said: list[str], at: int, width: int) -> int:
    count = 1
    while said[at + count * width : at + (count + 1) * width] == said[at : at + width]:
        count += 1
    return count


# --- shared weights


@dataclass(frozen=True, slots=True)
class _Held:
    """Names of the trained weights of a piece, in its order."""

    names: tuple[str, ...]


def held(piece: Piece, net: Network) -> Iterator[str]:
    for leaf in leaves(piece):
        if leaf.node is not None:
            for view in net.nodes[leaf.node].weights.values():
                yield view.base.name  # type: ignore[union-attr]


def _tied(piece: Piece, net: Network) -> Piece:
    """`tied` before copies that have the same weights."""
    match piece:
        case Leaf() | Name():
            return piece
        case Series(parts):
            return Series(tuple(_tied(part, net) for part in parts))
        case Branches(parts):
            return Branches(tuple(_tied(part, net) for part in parts))
        case Call(body=body):
            return replace(piece, body=_tied(body, net))
        case Let(bindings, body):
            return Let(tuple((names, _tied(value, net)) for names, value in bindings), _tied(body, net))
        case Times(parts):
            weights = {_Held(tuple(held(part, net))) for part in parts}
            shared = len(weights) == 1 and bool(next(iter(weights)).names)
            return replace(piece, parts=tuple(_tied(part, net) for part in parts), tied=shared)
