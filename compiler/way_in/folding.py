"""A term made shorter: copies in a row, and the macros of `std`."""

from __future__ import annotations

from dataclasses import dataclass

from ein.compiler.way_in.pieces import Branches, Call, Leaf, Let, Name, Piece, Series, Times, series, text


@dataclass(frozen=True, slots=True)
class Folded:
    piece: Piece
    definitions: tuple[str, ...] = ()


def folded(piece: Piece) -> Folded:
    return Folded(_folded(piece))


def _folded(piece: Piece) -> Piece:
    match piece:
        case Leaf() | Name():
            return piece
        case Series(parts):
            return _repeats([_folded(part) for part in parts])
        case Branches(parts):
            return Branches(tuple(map(_folded, parts)))
        case Times(parts, beside, tied):
            return Times(tuple(map(_folded, parts)), beside, tied)
        case Call(name, arguments, body):
            return Call(name, arguments, _folded(body))
        case Let(bindings, body):
            return Let(tuple((names, _folded(value)) for names, value in bindings), _folded(body))


def _repeats(parts: list[Piece]) -> Piece:
    """Runs of one text become `a * n`, the shortest run that repeats first."""
    for width in range(1, len(parts) // 2 + 1):
        at = 0
        while at + 2 * width <= len(parts):
            count = _count(parts, at, width)
            if count > 1 and _is_worth(parts[at : at + width], count):
                runs = [series(parts[at + n * width : at + (n + 1) * width]) for n in range(count)]
                parts = [*parts[:at], Times(tuple(runs)), *parts[at + count * width :]]
            at += 1
    return series(parts)


def _count(parts: list[Piece], at: int, width: int) -> int:
    wanted, count = [text(part) for part in parts[at : at + width]], 1
    while [text(part) for part in parts[at + count * width : at + (count + 1) * width]] == wanted:
        count += 1
    return count


def _is_worth(parts: list[Piece], count: int) -> bool:
    return len(" >> ".join(map(text, parts))) * (count - 1) > 12
