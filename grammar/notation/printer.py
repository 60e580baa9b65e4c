"""Syntax -> canonical text, what `ein fmt` writes: `parse(print(t)) == t`, and every comment is kept."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from ein.grammar.diagnostics import EinError, Source, Span
from ein.grammar.notation import documents
from ein.grammar.notation import syntax as s
from ein.grammar.notation.layout import flat, render
from ein.grammar.notation.lexer import Token, tokenize
from ein.grammar.notation.parser import parse
from ein.grammar.notation.statement_documents import statement
from ein.grammar.notation.table import END

WIDTH = 100


def print_expression(node: s.Expr) -> str:
    """On one line."""
    return flat(documents.expression(node))


def print_type(node: s.Type) -> str:
    """On one line."""
    return flat(documents.type_(node))


def print_statement(node: s.Statement) -> str:
    """Laid out in lines of 100 columns, without comments and without a line break at the end."""
    return render(statement(node), WIDTH, lambda _: False)


def format_source(source: Source) -> str:
    """The canonical text of a file. Idempotent. Raises `EinError` with all mistakes of a file that does not parse."""
    file, diagnostics = parse(source)
    if diagnostics:
        raise EinError(tuple(diagnostics))
    return print_file(file)


def print_file(file: s.File) -> str:
    """The statements with the comments of the file in their places; of the author's blank lines, one at most."""
    places = _places(file)
    inner = {id(node): places.comments_in(node) for node in file.statements}
    kept = {id(comment) for comments in inner.values() for comment in comments}
    outer = [comment for comment in file.comments if id(comment) not in kept]
    out: list[str] = []
    end = 0
    in_comment = within = False
    for item in sorted([*file.statements, *outer], key=lambda item: item.span.start):
        gap = "\n\n" if file.source.text.count("\n", end, item.span.start) > 1 else "\n"
        if isinstance(item, s.Comment):
            gap = gap if item.own_line or in_comment else "  "
            within = within and (gap == "  " or (gap == "\n" and _is_indented(item)))
            shown, in_comment = "  " * (within and gap == "\n") + item.text, True
        else:
            shown = render(statement(item), WIDTH, places.is_broken)
            shown, in_comment = _with_comments(shown, item, inner[id(item)], places)
            within = True
        out += [gap if out else "", shown]
        end = item.span.end
    return "".join([*out, "\n"]) if out else ""


def _is_indented(comment: s.Comment) -> bool:
    """Whether the comment is set in, as one that belongs to the statement above it is."""
    text, start = comment.span.source.text, comment.span.start
    return start > text.rfind("\n", 0, start) + 1


# --- comments inside of statements
#
# The printer may add and take away parentheses and keeps all other tokens. So the place of a comment is the number of
# tokens before it, parentheses not counted, and this place is found again in the printed text.


@dataclass(frozen=True, slots=True)
class _Places:
    """The tokens of the source, where those begin that count, and of each comment how many of them stand before it."""

    source: Source
    tokens: list[Token]
    starts: list[int]
    comments: tuple[s.Comment, ...]
    counts: list[int]

    def of(self, offset: int) -> int:
        """How many tokens stand before the offset."""
        return bisect_left(self.starts, offset)

    def comments_in(self, node: s.Statement) -> tuple[s.Comment, ...]:
        if node.span.source is not self.source:
            return ()
        first, last = (bisect_left(self.comments, at, key=_start) for at in (node.span.start, node.span.end))
        return self.comments[first:last]

    def is_broken(self, span: Span) -> bool:
        """Whether a comment stands between two tokens of the span."""
        if span.source is not self.source:
            return False
        return bisect_right(self.counts, self.of(span.start)) < bisect_left(self.counts, self.of(span.end))


def _places(file: s.File) -> _Places:
    tokens = tokenize(file.source)[0] if file.comments else []
    starts = [token.start for token in tokens if _counts(token)]
    return _Places(file.source, tokens, starts, file.comments, [bisect_left(starts, _start(c)) for c in file.comments])


def _start(comment: s.Comment) -> int:
    return comment.span.start


def _counts(token: Token) -> bool:
    return token.kind not in ("LPAR", "RPAR", END)


def _with_comments(text: str, node: s.Statement, comments: tuple[s.Comment, ...], places: _Places) -> tuple[str, bool]:
    """The printed statement with its comments where they stood, and whether it ends with one.

    What followed a comment on its line goes to the next one."""
    if not comments:
        return text, False
    printed = tokenize(Source("", text))[0]
    counted = [i for i, token in enumerate(printed) if _counts(token)]
    first = places.of(node.span.start)
    out: list[str] = []
    done = 0
    for comment in comments:
        at = counted[places.of(_start(comment)) - first - 1]
        offset = _behind_parentheses(printed, at, comment, places)
        out.append(_behind_comment(text, done, offset) if done else text[:offset])
        lead = f"\n{' ' * _indent_of_comment(text, offset)}" if comment.own_line or offset == done else "  "
        out.append(lead + comment.text)
        done = offset
    out.append(_behind_comment(text, done, len(text)))
    return "".join(out), done == len(text)


def _behind_parentheses(printed: list[Token], at: int, comment: s.Comment, places: _Places) -> int:
    """The end of the token at `at` and of the parentheses behind it that stood before the comment, too."""
    before = bisect_left(places.tokens, _start(comment), key=lambda token: token.start)
    run = []
    while not _counts(places.tokens[before - 1]):
        before -= 1
        run.append(places.tokens[before].kind)
    while printed[at + 1].kind in run:
        run.remove(printed[at + 1].kind)
        at += 1
    return printed[at].end


def _behind_comment(text: str, start: int, end: int) -> str:
    """This part of the text, on a line of its own."""
    part = text[start:end].lstrip(" ")
    return part if not part or part.startswith("\n") else f"\n{' ' * (_indent(text, start) + 2)}{part}"


def _indent_of_comment(text: str, offset: int) -> int:
    """The indentation for a comment on its own line behind the offset: that of the next line of the statement."""
    if offset == len(text):
        return 0
    return _indent(text, offset + 1) if text.startswith("\n", offset) else _indent(text, offset) + 2


def _indent(text: str, offset: int) -> int:
    """The indentation of the line of the offset."""
    start = end = text.rfind("\n", 0, offset) + 1
    while text.startswith(" ", end):
        end += 1
    return end - start
