"""Text -> syntax. All mistakes of a file in one run: one report for each broken statement, the others are kept.

The text is cut into tokens once; a statement keyword that is the first of its line begins a piece, and each piece
is parsed alone. Nothing here recurses, so no input can exhaust the stack; nesting is bounded for all who walk the tree.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ein.grammar.diagnostics import Diagnostic, EinError, Source, Span
from ein.grammar.notation import syntax as s
from ein.grammar.notation.lexer import BAD_CHARACTER, BAD_WORD, Token, first_of_line, tokenize
from ein.grammar.notation.mistakes import BRACKETS, STATEMENT_KINDS, Mistake, describe, not_a_statement
from ein.grammar.notation.reductions import MAX_NESTING, Symbols, reductions, too_deep
from ein.grammar.notation.table import END, Table, load

MAX_BYTES = 2**20
MAX_TOKENS = 250_000
MAX_REPORTS = 100

_MISFIT = sys.maxsize
_STATEMENTS = ("statement", "version")
_AT_THE_MARGIN = frozenset(("NAME", "CAMEL", BAD_WORD, BAD_CHARACTER))


def parse(source: Source) -> tuple[s.File, list[Diagnostic]]:
    """The statements of a file that are well formed, and a diagnostic for each of the others."""
    tokens, comments, refusal = _read(source)
    if refusal:
        return s.File((), (), source), [refusal]
    statements: list[s.Statement] = []
    found: list[Diagnostic] = []
    for start, stop in _pieces(source, tokens):
        _parse_piece(source, tokens, start, stop, statements, found)
        if len(found) >= MAX_REPORTS:
            found.append(_gave_up(source, tokens[stop]))
            break
    return s.File(tuple(statements), tuple(comments), source), found


def parse_statement(source: Source, start: int, stop: int) -> s.Statement:
    """The one statement in the characters `start` up to `stop`. Raises EinError."""
    tokens, _ = tokenize(source, MAX_TOKENS, start, stop)
    node, reports, mistake, _ = _attempt(source, tokens, "statement", 0, len(tokens) - 1)
    if mistake or reports:
        raise EinError([describe(mistake)] if mistake else reports)
    statement: s.Statement = node
    return statement


def parse_expression(source: Source) -> tuple[s.Expr | None, list[Diagnostic]]:
    """A term, a number or a condition that stands alone; None where it is not well formed."""
    return _parse_alone(source, "expr")


def parse_type(source: Source) -> tuple[s.Type | None, list[Diagnostic]]:
    """A type such as `im[1, 28, 28]`."""
    return _parse_alone(source, "type")


def parse_limit(source: Source) -> tuple[s.LimitDecl | None, list[Diagnostic]]:
    """Bounds such as `modules <= 60, depth <= 20`, without the keyword."""
    bounds, found = _parse_alone(source, "bounds")
    if bounds is None:
        return None, found
    return s.LimitDecl(bounds, span=bounds[0].span.to(bounds[-1].span)), found


def _parse_alone(source: Source, symbol: str) -> tuple[Any, list[Diagnostic]]:
    tokens, _, refusal = _read(source)
    if refusal:
        return None, [refusal]
    node, reports, mistake, _ = _attempt(source, tokens, symbol, 0, len(tokens) - 1)
    return node, [describe(mistake)] if mistake else reports


def _pieces(source: Source, tokens: list[Token]) -> Iterator[tuple[int, int]]:
    """The ranges of tokens from one statement keyword at the beginning of a line to the next."""
    start = 0
    for i, (kind, *_) in enumerate(tokens):
        if i and (kind == END or (kind in STATEMENT_KINDS and _begins_piece(source, tokens, i))):
            yield start, i
            start = i


def _begins_piece(source: Source, tokens: list[Token], index: int) -> bool:
    """A keyword with such a sign behind it is a misnamed argument in a call of several lines."""
    return first_of_line(source, tokens, index) and tokens[index + 1].kind not in ("EQUAL", "COMMA", "RPAR")


def _parse_piece(
    source: Source, tokens: list[Token], start: int, stop: int, statements: list[s.Statement], found: list[Diagnostic]
) -> None:
    """Parse the piece into `statements`, up to its first mistake; more than one statement may share a line."""
    while start < stop:
        if tokens[start].kind not in STATEMENT_KINDS:
            found.append(not_a_statement(source, tokens[start]))
            return
        symbol = _STATEMENTS[tokens[start].kind == "EIN"]
        node, reports, mistake, end = _attempt(source, tokens, symbol, start, stop)
        if mistake and mistake.could_end and _begins_statement(mistake):
            node, reports, mistake, end = _attempt(source, tokens, symbol, start, start + len(mistake.before))
        if mistake or reports:
            found += [describe(mistake)] if mistake else reports
            return
        if isinstance(node, s.Version) and statements:
            found.append(_late_version(node))
        else:
            statements.append(node)
        start = end


def _begins_statement(mistake: Mistake) -> bool:
    """Whether the token that does not fit stands where a statement begins: at the margin."""
    line, column = mistake.source.position(mistake.found.start)
    first, margin = mistake.source.position(mistake.before[0].start)
    return line > first and column <= margin and mistake.found.kind in _AT_THE_MARGIN


def _attempt(
    source: Source, tokens: list[Token], symbol: str, first: int, stop: int
) -> tuple[Any, list[Diagnostic], Mistake | None, int]:
    """The value of `symbol`, or why it is refused, or what does not fit; and the index of the token behind it."""
    run = _Run(source, tokens, first, stop)
    try:
        return run.parse(symbol), [], None, run.stop
    except EinError as error:
        return None, list(error.diagnostics), None, stop
    except Unexpected as unexpected:
        return None, [], run.mistake(symbol, unexpected.index), stop


class Unexpected(Exception):
    """The token at `index` fits nowhere."""

    def __init__(self, index: int) -> None:
        self.index = index


@dataclass(slots=True)
class _Run:
    """One LALR(1) run over the tokens from `first` to `stop`, which a statement moves to where the next one begins."""

    source: Source
    tokens: list[Token]
    first: int
    stop: int
    table: Table = field(default_factory=load)

    def parse(self, symbol: str) -> Any:
        """Raises `Unexpected`; `EinError` for what is well formed and yet refused."""
        tokens, rows, unit_chain, steps = self.tokens, self.table.rows, self.table.unit_chain, reductions()
        states, symbols = [self.table.starts[symbol]], Symbols(self.source)
        brackets = 0
        index = self.first
        while True:
            kind, text, start, end = tokens[index] if index < self.stop else _end(tokens, self.stop)
            while (action := rows[states[-1]].get(kind, _MISFIT)) < 0:
                step = steps[~action]
                if step is None:
                    states[-1] = unit_chain(states[-2], states[-1], kind)
                    continue
                symbols.reduce(step)
                del states[-step.length :]
                states.append(rows[states[-1]][step.origin])
            if action == _MISFIT:
                if kind not in STATEMENT_KINDS or symbol not in _STATEMENTS or not self.table.advance(states[:], END):
                    raise Unexpected(index)
                self.stop = index
                continue
            if kind == END:
                return symbols.values[0]
            if kind in BRACKETS:
                brackets += BRACKETS[kind]
                if brackets > MAX_NESTING:
                    raise too_deep(Span(self.source, start, end))
            states.append(action)
            symbols.push(text, start, end)
            index += 1

    def token(self, index: int) -> Token:
        return self.tokens[index] if index < self.stop else _end(self.tokens, self.stop)

    def mistake(self, symbol: str, index: int) -> Mistake:
        """What is known about the token at `index`, which did not fit. The tokens before it are run once more
        without it, for what would have fitted there."""
        states = [self.table.starts[symbol]]
        before = self.tokens[self.first : index]
        for token in before:
            self.table.advance(states, token.kind)
        after = self.token(index + 1).kind if index < self.stop else END
        return Mistake(self.source, before, self.token(index), after, self.table.accepted(states))


def _end(tokens: list[Token], index: int) -> Token:
    """The end of the text that stops before `index`: right behind the last token."""
    place = tokens[index - 1].end if index else 0
    return Token(END, "", place, place)


def _read(source: Source) -> tuple[list[Token], list[s.Comment], Diagnostic | None]:
    """Tokens and comments, or why the text is not read: sizes are bounded, and with them time and memory."""
    size = len(source.text)
    if size <= MAX_BYTES < size * 4:
        size = len(source.text.encode("utf-8", "replace"))
    if size > MAX_BYTES:
        return [], [], _too_large(source, f"is longer than {MAX_BYTES // 2**20} MB")
    tokens, comments = tokenize(source, MAX_TOKENS)
    if len(tokens) > MAX_TOKENS:
        return [], [], _too_large(source, f"has more than {MAX_TOKENS:,} words and signs")
    return tokens, comments, None


def _too_large(source: Source, how: str) -> Diagnostic:
    return Diagnostic("E107", f"the file {how}", Span(source, 0, 0), help="split it, and `import` the parts")


def _gave_up(source: Source, token: Token) -> Diagnostic:
    return Diagnostic(
        "E109",
        f"stopped here after {MAX_REPORTS} mistakes; the rest of the file was not read",
        Span(source, token.start, token.end),
        severity="note",
    )


def _late_version(node: s.Version) -> Diagnostic:
    return Diagnostic(
        "E108",
        "the version of the language stands first in the file, and once",
        node.span,
        help="move `ein 1` to the first line",
    )
