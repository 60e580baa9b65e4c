"""Text -> tokens. What is no part of the language becomes a token too, of a kind that no production has."""

from __future__ import annotations

import re
import sys
from functools import cache
from typing import NamedTuple

from ein.grammar.diagnostics import Source, Span
from ein.grammar.notation.syntax import Comment
from ein.grammar.notation.table import END, load

BAD_NUMBER = "BAD_NUMBER"
BAD_WORD = "BAD_WORD"
BAD_STRING = "BAD_STRING"
BAD_CHARACTER = "BAD_CHARACTER"

_BAD = {
    BAD_NUMBER: r"[0-9]+(?:\.[0-9]+)?[A-Za-z0-9_]*",
    BAD_WORD: r"[A-Za-z_][A-Za-z0-9_]*",
    BAD_STRING: r'"[^"\n]*',
    BAD_CHARACTER: r".",
}


class Token(NamedTuple):
    """`kind` is the name of a terminal of `ein.lark`, or one of the `BAD_…`; characters `start` up to `end`."""

    kind: str
    text: str
    start: int
    end: int


_SIGN = "SIGN"
_SKIPPED = "SPACE"


@cache
def _scanner() -> re.Pattern[str]:
    """Blanks, and behind them one token or the end of the text: something always matches."""
    table = load()
    words = {name: pattern for name, pattern in table.patterns.items() if name != _SKIPPED}
    kinds = {**words, _SIGN: "|".join(map(re.escape, table.signs)), **_BAD, END.strip("$"): r"\Z"}
    either = "|".join(f"(?P<{name}>{pattern})" for name, pattern in kinds.items())
    return re.compile(f"(?:{table.patterns[_SKIPPED]})?(?:{either})", re.DOTALL)


def tokenize(
    source: Source, limit: int = sys.maxsize, first: int = 0, last: int = sys.maxsize
) -> tuple[list[Token], list[Comment]]:
    """The tokens, the last one of kind `END` and empty, and apart from them the comments, of the characters from
    `first` up to `last`.

    Linear time; never raises. Reading stops where there are `limit` tokens."""
    table = load()
    words, signs = table.words, table.signs
    text = source.text
    tokens: list[Token] = []
    comments: list[Comment] = []
    new = tuple.__new__  # what `Token(…)` calls
    end = 0
    for match in _scanner().finditer(text, first or text.startswith("\ufeff"), last):
        kind = str(match.lastgroup)
        start, stop = match.span(kind)
        if start == stop:
            break
        if kind == "COMMENT":
            comments.append(_comment(source, start, stop))
            continue
        if len(tokens) == limit:
            break
        written = text[start:stop]
        if kind == "NAME":
            kind = words.get(written, kind)
        elif kind == _SIGN:
            kind = signs[written]
        tokens.append(new(Token, (kind, written, start, stop)))
        end = stop
    tokens.append(Token(END, "", end, end))
    return tokens, comments


def _comment(source: Source, start: int, stop: int) -> Comment:
    text = source.text[start:stop].rstrip()
    line_start = source.text.rfind("\n", 0, start) + 1
    blank = not source.text[line_start:start].strip(" \t\r\f\ufeff")
    return Comment(text, Span(source, start, start + len(text)), blank)


def first_of_line(source: Source, tokens: list[Token], index: int) -> bool:
    """Whether nothing but blanks and comments stands between the line's beginning and the token."""
    return index == 0 or source.text.find("\n", tokens[index - 1].end, tokens[index].start) >= 0
