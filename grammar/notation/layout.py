"""Documents and how they are laid out: each group on one line if it fits, else broken at its own lines.

After Wadler, A prettier printer (2003), with the stack of Lindig's strict version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from ein.grammar.diagnostics import NOWHERE, Span


@dataclass(frozen=True, slots=True)
class Line:
    """A line break; in a group that fits, `flat`."""

    flat: str


@dataclass(frozen=True, slots=True)
class Nest:
    """Lines in `doc` begin `width` columns further to the right."""

    width: int
    doc: Doc


@dataclass(frozen=True, slots=True)
class Align:
    """Lines in `doc` begin where `doc` begins."""

    doc: Doc


@dataclass(frozen=True, slots=True)
class Group:
    """`span` is that of the node which it shows: what must be broken is known by places of the source."""

    doc: Doc
    span: Span = NOWHERE


Doc: TypeAlias = "str | tuple[Doc, ...] | Line | Nest | Align | Group"

LINE = Line(" ")
SOFT = Line("")


def join(separator: Doc, docs: list[Doc]) -> Doc:
    return tuple(part for i, doc in enumerate(docs) for part in ((separator, doc) if i else (doc,)))


def flat(doc: Doc) -> str:
    """All of it on one line."""
    out: list[str] = []
    stack = [doc]
    while stack:
        match stack.pop():
            case str(text):
                out.append(text)
            case Line(text):
                out.append(text)
            case tuple(parts):
                stack.extend(reversed(parts))
            case Nest(_, inner) | Align(inner) | Group(inner):
                stack.append(inner)
    return "".join(out)


def render(doc: Doc, width: int, is_broken: Callable[[Span], bool]) -> str:
    """The text in lines of at most `width` columns where its parts allow it. The outermost lines are broken."""
    out: list[str] = []
    column = 0
    stack: list[tuple[int, bool, Doc]] = [(0, False, doc)]
    while stack:
        indent, one_line, item = stack.pop()
        match item:
            case str(text):
                out.append(text)
                column += len(text)
            case Line(text):
                out.append(text if one_line else "\n" + " " * indent)
                column = column + len(text) if one_line else indent
            case tuple(parts):
                stack.extend((indent, one_line, part) for part in reversed(parts))
            case Nest(more, inner):
                stack.append((indent + more, one_line, inner))
            case Align(inner):
                stack.append((column, one_line, inner))
            case Group(inner, span):
                fits = one_line or (not is_broken(span) and _fits(width - column, inner, stack))
                stack.append((indent, fits, inner))
    return "".join(out)


def _fits(room: int, doc: Doc, behind: list[tuple[int, bool, Doc]]) -> bool:
    """Whether `doc` on one line, and what stands `behind` it up to the next possible break, fit into `room` columns."""
    todo: list[tuple[bool, Doc]] = [(True, doc)]
    next_behind = len(behind)
    while room >= 0:
        if not todo:
            if next_behind == 0:
                return True
            next_behind -= 1
            todo.append(behind[next_behind][1:])
        one_line, item = todo.pop()
        match item:
            case str(text):
                room -= len(text)
            case Line(text):
                if not one_line:
                    return True
                room -= len(text)
            case tuple(parts):
                todo.extend((one_line, part) for part in reversed(parts))
            case Nest(_, inner) | Align(inner) | Group(inner):
                todo.append((one_line, inner))
    return False
