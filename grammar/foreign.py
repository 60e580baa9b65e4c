"""Signs that other languages have for what is written otherwise here, and parts that are easily left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ein.grammar.diagnostics import Diagnostic, Span
from ein.grammar.notation.expected import found, short
from ein.grammar.notation.lexer import BAD_CHARACTER, Token
from ein.grammar.notation.table import END

if TYPE_CHECKING:
    from ein.grammar.notation.mistakes import Mistake

JOINED = "did you mean `>>`? it joins terms: `a >> b`"
COMMENTS = "comments begin with `#`"
STARTS = "`= 0` or `~ normal(0, 0.02)`"


def dots(m: Mistake) -> Diagnostic | None:
    """`{16...64}` and `import blocks.ein`."""
    if m.found.kind != BAD_CHARACTER or m.found.text != ".":
        return None
    if m.previous == "RANGE":
        return Diagnostic("E102", "found `...`", _span(m, m.before[-1], m.found), help="ranges are `16..64`")
    if m.previous == "NAME" and m.before[0].kind == "IMPORT":
        help = f'write `import "{short(m.before[-1].text)}.ein"`'
        return Diagnostic("E102", "a path stands in quotes", _span(m, m.before[-1], m.found), help=help)
    return None


def doubled(m: Mistake) -> Diagnostic | None:
    """`&&` and `||`."""
    if m.found.kind == "AMPERSAND" and m.after == "AMPERSAND":
        span = Span(m.source, m.found.start, m.found.end + 1)
    elif m.found.kind in ("AMPERSAND", "VBAR") and m.previous == m.found.kind:
        span = _span(m, m.before[-1], m.found)
    else:
        return None
    sign = m.found.text
    word, parts = ("and", "branches") if sign == "&" else ("or", "alternatives")
    help = f"between conditions write `{word}`, between {parts} one `{sign}`"
    return Diagnostic("E101", f"found `{sign}{sign}`", span, help=help)


def joins(m: Mistake) -> Diagnostic | None:
    """`=>` and `|>`."""
    if m.found.kind == "EQUAL" and m.after == "GT" and "THEN" in m.accepted:
        return Diagnostic("E101", "found `=>`", Span(m.source, m.found.start, m.found.end + 1), help=JOINED)
    if m.found.kind == "GT" and m.previous == "VBAR" and m.before[-1].end == m.found.start:
        return Diagnostic("E101", "found `|>`", _span(m, m.before[-1], m.found), help=JOINED)
    return None


def comment(m: Mistake) -> Diagnostic | None:
    """`// some words`: words that follow each other, on a line behind `//`, or the sign where nothing is divided."""
    sign = m.found
    if sign.kind != "FLOOR":
        signs = [token for token in m.before if token.kind == "FLOOR"]
        if not signs or m.previous != "NAME" or m.before[-2] != signs[-1] or not m.found.text.isalpha():
            return None
        sign = signs[-1]
        if "\n" in m.source.text[sign.start : m.found.start]:
            return None
    span = Span(m.source, sign.start, sign.end)
    return Diagnostic("E101", "`//` divides integers", span, help=COMMENTS)


def no_start(m: Mistake) -> Diagnostic | None:
    """A weight of an operator without `=` or `~`."""
    if not {"EQUAL", "TILDE"} <= m.accepted or not m.governing({"PARAM", "BUFFER", "DRAW"}):
        return None
    depth = 0
    for token in reversed(m.before):
        depth += (token.kind == "RSQB") - (token.kind == "LSQB")
        if depth == 0 and token.kind == "NAME":
            text = f"expected `=` or `~`, found {found(m.found)}"
            return Diagnostic("E101", text, m.span, help=f"`{short(token.text)}` needs a start: {STARTS}")
    return None


def choice_set(m: Mistake) -> Diagnostic | None:
    """`{}`, and `out in [16, 32]`."""
    if m.found.kind == "RBRACE" and m.previous == "LBRACE":
        span = _span(m, m.before[-1], m.found)
        return Diagnostic("E101", "this choice set is empty", span, help="give it values: `{16, 32}`")
    if m.found.kind != "LSQB" or m.previous != "IN":
        return None
    values, closed, _ = m.source.text[m.found.end : m.found.end + 40].partition("]")
    written = values if closed and values.strip() and "\n" not in values else "16, 32"
    return Diagnostic("E101", "expected `{`, found `[`", m.span, help=f"write `{{{written}}}`")


def no_colon(m: Mistake) -> Diagnostic | None:
    """`let a = b (a & a)`: what stands behind the `let` was read as arguments."""
    if m.found.kind not in (END, "RPAR") or "COLON" not in m.accepted or m.governing({"LET", "COLON"}) != "LET":
        return None
    first = max(i for i, token in enumerate(m.before) if token.kind == "LET")
    for before, after in zip(m.before[first:], m.before[first + 1 :], strict=False):
        if after.kind == "LPAR" and before.kind in ("NAME", "RPAR") and before.end < after.start:
            help = "a `let` ends with `:`, and the term in which it holds stands behind it"
            return Diagnostic("E101", "expected `:`, found `(`", _span(m, after, after), help=help)
    return None


def _span(m: Mistake, first: Token, last: Token) -> Span:
    return Span(m.source, first.start, last.end)
