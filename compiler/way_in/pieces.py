"""Terms as an import writes them: each leaf knows the node of the network that it is.

Leaves in the order of the text are uses in the order in which `ein.compiler.lower` numbers them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Leaf:
    """A use of an operator; `node` is None for what only copies and passes on."""

    text: str
    node: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """The value of a `let`."""

    text: str


@dataclass(frozen=True, slots=True)
class Series:
    parts: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Branches:
    parts: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Times:
    """`a * n`, or `a ^ n` where the copies stand side by side: parts of one text."""

    parts: tuple[Piece, ...]
    beside: bool = False
    tied: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A macro with its arguments, and what it stands for."""

    name: str
    arguments: tuple[str, ...]
    body: Piece = field(compare=False)

    @property
    def terms(self) -> tuple[Piece, ...]:
        """What its arguments may be, where they are terms: parts of what it stands for."""
        return tuple(_below(self.body))


@dataclass(frozen=True, slots=True)
class Let:
    bindings: tuple[tuple[tuple[str, ...], Piece], ...]
    body: Piece


Piece: TypeAlias = Leaf | Name | Series | Branches | Times | Call | Let

_LET, _BRANCHES, _SERIES, _PRODUCT, _ATOM = range(5)


def children(piece: Piece) -> tuple[Piece, ...]:
    match piece:
        case Leaf() | Name():
            return ()
        case Series(parts) | Branches(parts) | Times(parts):
            return parts
        case Call():
            return (piece.body,)
        case Let(bindings, body):
            return (*(value for _, value in bindings), body)


def _below(piece: Piece) -> Iterator[Piece]:
    yield piece
    for child in children(piece):
        yield from _below(child)


def leaves(piece: Piece) -> Iterator[Leaf]:
    """In the order of the text, copies written out."""
    if isinstance(piece, Leaf):
        yield piece
    for child in children(piece):
        yield from leaves(child)


def series(parts: list[Piece]) -> Piece:
    """Parts in a row; none of them is `identity`."""
    flat: list[Piece] = []
    for part in parts:
        flat += part.parts if isinstance(part, Series) else [part]
    if not flat:
        return Leaf("identity")
    return flat[0] if len(flat) == 1 else Series(tuple(flat))


def text(piece: Piece) -> str:
    """On one line."""
    return _text(piece)[0]


def _text(piece: Piece) -> tuple[str, int]:
    match piece:
        case Leaf(said) | Name(said):
            return said, _ATOM
        case Series(parts):
            return " >> ".join(_in(part, _PRODUCT) for part in parts), _SERIES
        case Branches(parts):
            return " & ".join(_in(part, _SERIES) for part in parts), _BRANCHES
        case Times(parts, beside, tied):
            return f"{'tied ' * tied}{_in(parts[0], _ATOM)} {'^' if beside else '*'} {len(parts)}", _PRODUCT
        case Call(name, arguments):
            return f"{name}({', '.join(arguments)})" if arguments else name, _ATOM
        case Let(bindings, body):
            said = ", ".join(f"{_names(names)} = {_in(value, _SERIES)}" for names, value in bindings)
            return f"let {said} : {_in(body, _SERIES)}", _LET


def _names(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"({', '.join(names)})"


def _in(piece: Piece, least: int) -> str:
    said, binds = _text(piece)
    return said if binds >= least else f"({said})"
