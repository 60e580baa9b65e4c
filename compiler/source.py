"""Python expressions as small trees, and their layout: what `ruff format` would leave as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from textwrap import dedent
from typing import NamedTuple, TypeAlias

WIDTH = 88
"""The default of ruff and black."""

LOOSE, COMPARISON, SUM, PRODUCT, UNARY, POWER, ATOM = range(7)
"""How tightly an expression binds."""


class Hole(NamedTuple):
    """The operand of this number, in parentheses if it binds less tightly than `least`."""

    operand: int
    least: int = LOOSE


class Group(NamedTuple):
    """`head(items)`, or with other brackets."""

    head: Doc
    items: tuple[Doc, ...]
    brackets: str = "()"


class Row(NamedTuple):
    """Parts one after another; broken only inside a group that comes first."""

    parts: tuple[Doc, ...]


class Power(NamedTuple):
    """`base**exponent`, with spaces around the sign unless both are simple."""

    base: Doc
    exponent: Doc


Doc: TypeAlias = str | Hole | Group | Row | Power


class Expression(NamedTuple):
    doc: Doc
    binding: int = ATOM


Operands: TypeAlias = Sequence[Expression] | Mapping[int, Expression]
"""By the numbers of their holes."""


def holes(doc: Doc) -> list[Hole]:
    """From left to right, as often as they occur."""
    found: list[Hole] = []
    stack: list[Doc] = [doc]
    while stack:
        last = stack.pop()
        if isinstance(last, str):
            continue
        if isinstance(last, Hole):
            found.append(last)
        elif isinstance(last, Group):
            stack += last.items[::-1]
            stack.append(last.head)
        elif isinstance(last, Row):
            stack += last.parts[::-1]
        else:
            stack += (last.exponent, last.base)
    return found


def fill(doc: Doc, operands: Operands) -> Doc:
    """The expression with its holes filled, parenthesised where needed; a hole for a hole renames it."""
    if isinstance(doc, str):
        return doc
    if isinstance(doc, Hole):
        found = operands[doc.operand]
        if isinstance(found.doc, Hole):
            return Hole(found.doc.operand, max(doc.least, found.doc.least))
        return found.doc if found.binding >= doc.least else Group("", (found.doc,))
    if isinstance(doc, Group):
        return Group(fill(doc.head, operands), _filled(doc.items, operands), doc.brackets)
    if isinstance(doc, Row):
        return Row(_filled(doc.parts, operands))
    return Power(fill(doc.base, operands), fill(doc.exponent, operands))


def _filled(docs: tuple[Doc, ...], operands: Operands) -> tuple[Doc, ...]:
    return tuple([doc if isinstance(doc, str) else fill(doc, operands) for doc in docs])


Names: TypeAlias = Mapping[int, str]
"""Of holes; those without one are written `__`."""

NAMELESS: Names = {}


def flat(doc: Doc, names: Names = NAMELESS) -> str:
    """On one line."""
    if isinstance(doc, str):
        return doc
    if isinstance(doc, Hole):
        return names.get(doc.operand, "__")
    if isinstance(doc, Group):
        head, items, brackets = doc
        return f"{flat(head, names)}{brackets[0]}{', '.join(_flat(items, names))}{brackets[1]}"
    if isinstance(doc, Row):
        return "".join(_flat(doc.parts, names))
    left, right = flat(doc.base, names), flat(doc.exponent, names)
    sign = "**" if _SIMPLE.fullmatch(left) and _SIMPLE.fullmatch(right.removeprefix("-")) else " ** "
    return f"{left}{sign}{right}"


def _flat(docs: tuple[Doc, ...], names: Names) -> list[str]:
    return [doc if isinstance(doc, str) else flat(doc, names) for doc in docs]


_SIMPLE = re.compile(r"[\w.]+(e-\d+)?")


def layout(before: str, doc: Doc, after: str, indent: int, names: Names = NAMELESS) -> list[str]:
    """The lines of `before doc after`, `indent` spaces in; broken at the outermost brackets where it is too long.

    Arguments of a call then stand together if they fit, items of a list or tuple each on its own line.
    """
    line = f"{' ' * indent}{before}{flat(doc, names)}{after}"
    if len(line) <= WIDTH:
        return [line]
    match doc:
        case Row((Group() as first, *rest)):
            doc, after = first, "".join(flat(each, names) for each in rest) + after
        case _:
            pass
    if not isinstance(doc, Group):
        return [line]
    inner = f"{' ' * (indent + 4)}{', '.join(_flat(doc.items, names))}"
    fits = doc.head != "" and len(inner) <= WIDTH
    body = [inner] if fits else [row for item in doc.items for row in layout("", item, ",", indent + 4, names)]
    opening, closing = doc.brackets[0], doc.brackets[1]
    return [f"{' ' * indent}{before}{flat(doc.head, names)}{opening}", *body, f"{' ' * indent}{closing}{after}"]


def statement(before: str, doc: Doc, comment: str, indent: int, names: Names = NAMELESS) -> list[str]:
    """A line with a comment at its end, or above it where both do not fit."""
    lines = layout(before, doc, "", indent, names)
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
    first, *rest = [_escaped(line) for line in text.strip().splitlines()]
    rest = dedent("\n".join(rest)).split("\n") if rest else []
    lines = [piece for line in (first, *rest) for piece in _wrapped(line, WIDTH - indent - 6)]
    pad = " " * indent
    lines[0] = _QUOTE_AT_START.sub(r'\\"', lines[0])
    if len(lines) == 1:
        return [f'{pad}"""{_QUOTE_AT_END.sub(_ESCAPED_QUOTE, lines[0])}"""']
    return [f'{pad}"""{lines[0]}', *(f"{pad}{line}".rstrip() for line in lines[1:]), f'{pad}"""']


_QUOTE_AT_START = re.compile('^"')
_QUOTE_AT_END = re.compile(r'(?<!\\)((?:\\\\)*)"$')
_ESCAPED_QUOTE = r'\1\\"'


def _escaped(line: str) -> str:
    shown = "".join(c if c.isprintable() or c == "\t" else _codepoint(c) for c in line.replace("\\", "\\\\"))
    return shown.expandtabs(4).rstrip().replace('"""', '\\"\\"\\"')


def _codepoint(c: str) -> str:
    return f"\\u{ord(c):04x}" if ord(c) < 1 << 16 else f"\\U{ord(c):08x}"


def _wrapped(line: str, room: int) -> list[str]:
    """Broken at blanks; words that are longer than a line stay whole."""
    pieces, rest = [], line
    start = len(line) - len(line.lstrip())
    while len(rest) > room:
        at = rest.rfind(" ", start + 1, room + 1)
        if at < 0:
            at = rest.find(" ", max(room, start + 1))
        if at < 0:
            break
        pieces.append(rest[:at].rstrip())
        rest, start = rest[at:].lstrip(), 0
    return [*pieces, rest]
