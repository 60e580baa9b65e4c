"""Syntax -> canonical text, what `ein fmt` writes: `parse(print(t)) == t`, and every comment is kept."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from ein.grammar import documents
from ein.grammar import syntax as s
from ein.grammar.diagnostics import EinError, Source, Span
from ein.grammar.layout import flat, render
from ein.grammar.lexer import Token, tokenize
from ein.grammar.parser import parse
from ein.grammar.table import END

WIDTH = 100


def print_expression(node: s.Expr) -> str:
    """On one line."""
    return flat(documents.expression(node))


def print_type(node: s.Type) -> str:
    """On one line."""
    return flat(documents.type_(node))


def print_statement(node: s.Statement) -> str:
    """Laid out in lines of 100 columns, without comments and without a line break at the end."""
    return render(documents.statement(node), WIDTH, lambda _: False)


def format_source(source: Source) -> str:
    """The canonical text of a file. Idempotent. Raises `EinError` with all mistakes of a file that does not parse."""
    file, diagnostics = parse(source)
    if diagnostics:
        raise EinError(tuple(diagnostics))
    return print_file(file)


def print_file(file: s.File) -> str:
    """The statements with the comments of the file in their places; of the author's blank lines, one at most."""
    places = _places(file)
    inner = {id(node): _comments_within(file, node) for node in file.statements}
    kept = {id(comment) for comments in inner.values() for comment in comments}
    outer = [comment for comment in file.comments if id(comment) not in kept]
    text = ""
    end = 0
    commented = False
    for item in sorted([*file.statements, *outer], key=lambda item: item.span.start):
        if isinstance(item, s.Comment):
            shown = item.text
            gap = "  " if text and not item.own_line and not commented else _gap(file, end, item.span.start)
        else:
            shown = render(documents.statement(item), WIDTH, places.is_broken)
            shown = _with_comments(shown, item, inner[id(item)], places)
            gap = _gap(file, end, item.span.start)
        commented = bool(inner.get(id(item))) and shown.endswith(inner[id(item)][-1].text)
        text += (gap if text else "") + shown
        end = item.span.end
    return text + "\n" if text else ""


def _gap(file: s.File, end: int, start: int) -> str:
    return "\n\n" if file.source.text.count("\n", end, start) > 1 else "\n"


def _comments_within(file: s.File, node: s.Statement) -> list[s.Comment]:
    if node.span.source is not file.source:
        return []
    starts = [comment.span.start for comment in file.comments]
    return list(file.comments[bisect_left(starts, node.span.start) : bisect_left(starts, node.span.end)])


# --- comments inside of statements
#
# The printer may add and take away parentheses and keeps all other tokens. So the place of a comment is the number of
# tokens before it, parentheses not counted, and this place is found again in the printed text.


@dataclass(frozen=True, slots=True)
class _Places:
    """Tokens of the source, and the places of its comments."""

    source: Source
    tokens: list[Token]
    starts: list[int]
    comments: list[int]

    def of(self, offset: int) -> int:
        """How many tokens stand before the offset."""
        return bisect_left(self.starts, offset)

    def is_broken(self, span: Span) -> bool:
        """Whether a comment stands between two tokens of the span."""
        if span.source is not self.source:
            return False
        return bisect_right(self.comments, self.of(span.start)) < bisect_left(self.comments, self.of(span.end))


def _places(file: s.File) -> _Places:
    tokens = tokenize(file.source)[0] if file.comments else []
    starts = [token.start for token in tokens if _counts(token)]
    return _Places(file.source, tokens, starts, [bisect_left(starts, c.span.start) for c in file.comments])


def _counts(token: Token) -> bool:
    return token.kind not in ("LPAR", "RPAR", END)


def _with_comments(text: str, node: s.Statement, comments: list[s.Comment], places: _Places) -> str:
    """The printed statement with its comments where they stood. What follows one on its line goes to the next line."""
    if not comments:
        return text
    printed = tokenize(Source("", text))[0]
    first = places.of(node.span.start)
    out = ""
    done = 0
    for comment in comments:
        offset = _offset(comment, printed, first, places)
        out = _append(out, text[done:offset], bool(done), _indent(text, done) + 2)
        out = _annotate(out, comment, offset == done, _indent_of_next(text, offset))
        done = offset
    return _append(out, text[done:], True, _indent(text, done) + 2)


def _offset(comment: s.Comment, printed: list[Token], first: int, places: _Places) -> int:
    """Where the comment goes: behind as many tokens as in the source, and the parentheses that it followed there."""
    before = bisect_left(places.tokens, comment.span.start, key=lambda token: token.start)
    run = []
    while not _counts(places.tokens[before - 1]):
        before -= 1
        run.append(places.tokens[before].kind)
    counted = [i for i, token in enumerate(printed) if _counts(token)]
    at = counted[places.of(comment.span.start) - first - 1]
    while printed[at + 1].kind in run:
        run.remove(printed[at + 1].kind)
        at += 1
    return printed[at].end


def _append(out: str, segment: str, behind_comment: bool, indent: int) -> str:
    rest = segment.lstrip(" ")
    if not behind_comment or not rest or rest.startswith("\n"):
        return out + (rest if behind_comment else segment)
    return f"{out}\n{' ' * indent}{rest}"


def _annotate(out: str, comment: s.Comment, behind_comment: bool, indent: int) -> str:
    if comment.own_line or behind_comment:
        return f"{out.rstrip(' ')}\n{' ' * indent}{comment.text}"
    return f"{out.rstrip(' ')}  {comment.text}"


def _indent(text: str, offset: int) -> int:
    """The indentation of the line of the offset."""
    line = text[text.rfind("\n", 0, offset) + 1 :]
    return len(line) - len(line.lstrip(" "))


def _indent_of_next(text: str, offset: int) -> int:
    """The indentation for a comment on its own line behind the offset: that of the next line of the statement."""
    if offset == len(text):
        return 0
    rest = text[offset:].lstrip(" ")
    return _indent(text, offset + 1) if text.startswith("\n", offset) else _indent(text, offset) + 2 * bool(rest)
