"""A file of declarations cut at its margin, so that each can be parsed alone, and only when it is needed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ein.grammar.diagnostics import Source

_MARGIN = re.compile(r"^[^\s#].*", re.MULTILINE)
_HEAD = re.compile(r"(op|def|type) +([a-z][a-z0-9_]*)\b")
_VERSION = re.compile(r"ein 1\s*")


@dataclass(frozen=True, slots=True)
class Piece:
    """A declaration, `word name …`, in the characters `start` up to `end`; comments may follow it."""

    word: str
    name: str
    start: int
    end: int


def outline(source: Source) -> tuple[Piece, ...] | None:
    """The declarations of a file; None where it holds anything but the version, types, operators and macros."""
    lines = list(_MARGIN.finditer(source.text))
    if not lines or not _VERSION.fullmatch(lines[0][0]):
        return None
    starts = [line.start() for line in lines]
    pieces = []
    for line, end in zip(lines[1:], [*starts[2:], len(source.text)], strict=True):
        head = _HEAD.match(line[0])
        if head is None:
            return None
        pieces.append(Piece(head[1], head[2], line.start(), end))
    return tuple(pieces)
