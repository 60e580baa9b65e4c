"""Python expressions as small trees, and their layout: what `ruff format` would leave as it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

WIDTH = 88
"""The default of ruff and black."""

LOOSE, COMPARISON, SUM, PRODUCT, UNARY, POWER, ATOM = range(7)
"""How tightly an expression binds."""


@dataclass(frozen=True, slots=True)
class Hole:
    """Operand `index`, in parentheses if it binds less tightly than `least`."""

    index: int
    least: int = LOOSE


@dataclass(frozen=True, slots=True)
class Group:
    """`head(items)`, or with other brackets."""

    head: Doc
    items: tuple[Doc, ...]
    brackets: str = "()"


@dataclass(frozen=True, slots=True)
class Row:
    """Parts one after another; never broken."""

    parts: tuple[Doc, ...]


@dataclass(frozen=True, slots=True)
class Power:
    """`base**exponent`, with spaces around the sign unless both are simple."""

    base: Doc
    exponent: Doc


Doc: TypeAlias = str | Hole | Group | Row | Power


@dataclass(frozen=True, slots=True)
class Expression:
    doc: Doc
    binding: int = ATOM


def holes(doc: Doc) -> Iterator[Hole]:
    """From left to right, as often as they occur."""
    match doc:
        case str():
            return
        case Hole():
            yield doc
        case Group(head, items):
            yield from holes(head)
            for item in items:
                yield from holes(item)
        case Row(parts):
            for part in parts:
                yield from holes(part)
        case Power(base, exponent):
            yield from holes(base)
            yield from holes(exponent)


def fill(doc: Doc, value: Callable[[int], Expression]) -> Doc:
    """The expression with its holes filled, parenthesised where needed."""
    match doc:
        case str():
            return doc
        case Hole(index, least):
            found = value(index)
            return found.doc if found.binding >= least else Group("", (found.doc,))
        case Group(head, items, brackets):
            return Group(fill(head, value), tuple(fill(item, value) for item in items), brackets)
        case Row(parts):
            return Row(tuple(fill(part, value) for part in parts))
        case Power(base, exponent):
            return Power(fill(base, value), fill(exponent, value))


def flat(doc: Doc) -> str:
    """On one line."""
    match doc:
        case str():
            return doc
        case Hole(index):
            return f"_{index}"
        case Group(head, items, brackets):
            return f"{flat(head)}{brackets[0]}{', '.join(map(flat, items))}{brackets[1]}"
        case Row(parts):
            return "".join(map(flat, parts))
        case Power(base, exponent):
            left, right = flat(base), flat(exponent)
            sign = "**" if _SIMPLE.fullmatch(left) and _SIMPLE.fullmatch(right.removeprefix("-")) else " ** "
            return f"{left}{sign}{right}"


_SIMPLE = re.compile(r"[\w.]+(e-\d+)?")


def layout(before: str, doc: Doc, after: str, indent: int) -> list[str]:
    """The lines of `before doc after`, `indent` spaces in; broken at the outermost brackets where it is too long."""
    line = f"{' ' * indent}{before}{flat(doc)}{after}"
    if len(line) <= WIDTH or not isinstance(doc, Group):
        return [line]
    inner = f"{' ' * (indent + 4)}{', '.join(map(flat, doc.items))}"
    body = [inner] if len(inner) <= WIDTH else [row for item in doc.items for row in layout("", item, ",", indent + 4)]
    opening, closing = doc.brackets
    return [f"{' ' * indent}{before}{flat(doc.head)}{opening}", *body, f"{' ' * indent}{closing}{after}"]


def statement(before: str, doc: Doc, comment: str, indent: int) -> list[str]:
    """A line with a comment at its end, or above it where both do not fit."""
    lines = layout(before, doc, "", indent)
    if not comment:
        return lines
    if len(lines) == 1 and len(lines[0]) + len(comment) + 4 <= WIDTH:
        return [f"{lines[0]}  # {comment}"]
    return [f"{' ' * indent}# {comment}", *lines]


def number(value: float) -> str:
    """A number as source; infinity and nan are torch's."""
    if value != value:
        return "torch.nan"
    if value in (float("inf"), float("-inf")):
        return "torch.inf" if value > 0 else "-torch.inf"
    return repr(value)


def quoted(text: str, indent: int) -> list[str]:
    """A docstring of this text. No text can end it early: what could is escaped, line by line."""
    width = WIDTH - indent
    lines = [piece for line in text.strip().splitlines() for piece in _wrapped(_escaped(line), width)]
    pad = " " * indent
    if len(lines) == 1 and len(lines[0]) + 6 <= width and not lines[0].endswith('"'):
        return [f'{pad}"""{lines[0]}"""']
    first = [f'{pad}"""'] if lines[0].startswith('"') else [f'{pad}"""{lines.pop(0)}']
    return [*first, *(f"{pad}{line}".rstrip() for line in lines), f'{pad}"""']


def _escaped(line: str) -> str:
    shown = "".join(
        c if c.isprintable() or c == "\t" else f"\\u{ord(c):04x}" if ord(c) < 1 << 16 else f"\\U{ord(c):08x}"
        for c in line
    )
    return shown.expandtabs(4).rstrip().replace("\\", "\\\\").replace('"""', "'''")


def _wrapped(line: str, width: int) -> list[str]:
    """Broken at blanks so that each piece fits beside the opening quotes; words too long stay whole."""
    pieces, rest, room = [], line, width - 3
    start = len(line) - len(line.lstrip())
    while len(rest) > room:
        at = rest.rfind(" ", start + 1, room + 1)
        if at < 0:
            at = rest.find(" ", room)
        if at < 0:
            break
        pieces.append(rest[:at].rstrip())
        rest, start = rest[at:].lstrip(), 0
    return [*pieces, rest]
