"""One mistake in a grammar is one report: planted in the text of einspace at one token after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest

from ein.grammar.check import check
from ein.grammar.diagnostics import Diagnostic, EinError, Source
from ein.grammar.load import find
from ein.grammar.notation.lexer import Token, tokenize

STEP = 17
"""The quick run plants at every so-manieth place."""

_INFIX = {"THEN", "AMPERSAND", "VBAR", "AT", "EQUAL", "COMMA", "COLON", "ARROW", "LE", "EQ", "GT", "PLUS", "STAR"}
_INFIX |= {"SLASH", "FLOOR", "CARET", "POWER"}
_NAMES = ("NAME", "CAMEL")


@dataclass(frozen=True, slots=True)
class Planted:
    how: str
    token: Token
    text: str
    declares: bool
    """whether the token is a name at the place that declares it"""


@cache
def _text() -> str:
    return find("einspace")[0].text


@cache
def _planted() -> tuple[Planted, ...]:
    tokens = tokenize(Source("einspace", _text()))[0]
    return tuple(
        Planted(how, token, _text()[: token.start] + new + _text()[token.end :], _declares(tokens, i))
        for i, token in enumerate(tokens[:-1])
        for how, new in _mistakes(token)
    )


def _mistakes(token: Token) -> Iterator[tuple[str, str]]:
    yield "a stray sign before", f"$ {token.text}"
    if token.kind in _NAMES:
        yield "misspelt", f"{token.text}q"
    if token.text in "()[]{}":
        yield "left out", " "
    if token.kind in _INFIX:
        yield "left out", " "
        yield "doubled", f"{token.text} {token.text}"
    if token.kind == "NUMBER":
        yield "with a wrong unit", f"{token.text}k"
    if token.kind == token.text.upper():
        yield "misspelt", token.text[:-1]


def _declares(tokens: list[Token], at: int) -> bool:
    """The name of a statement, a parameter or a variable of `for`."""
    if tokens[at].kind not in _NAMES:
        return False
    if tokens[at - 1].kind in ("GRAMMAR", "RULE", "OP", "DEF", "FOR") or tokens[at + 1].kind == "IN":
        return True
    begin = max(i for i in range(at + 1) if tokens[i].kind in ("GRAMMAR", "RULE", "OP", "LIMIT", "INPUT", "OUTPUT"))
    between = {token.kind for token in tokens[begin:at]}
    return tokens[begin].kind in ("GRAMMAR", "RULE", "OP") and not between & {"RPAR", "COLON"} and "LPAR" in between


def _errors(planted: Planted) -> list[Diagnostic]:
    try:
        found = check(Source("einspace", planted.text))[1]
    except EinError as error:
        found = list(error.diagnostics)
    return [diagnostic for diagnostic in found if diagnostic.severity == "error"]


def _tell(planted: Planted, errors: list[Diagnostic]) -> str:
    line, column = Source("", _text()).position(planted.token.start)
    said = [(d.code, d.message) for d in errors]
    return f"`{planted.token.text}` {planted.how} at {line}:{column}: {said}"


def _holds(planted: Planted) -> None:
    errors = _errors(planted)
    if planted.declares and planted.how == "misspelt":
        # one report for each use of the name that is not there any more; none where nothing uses it
        lost = all(f"`{planted.token.text}`" in d.message for d in errors)
        assert lost or len(errors) == 1, _tell(planted, errors)
    elif planted.how == "left out" and planted.token.kind == "STAR":
        assert len(errors) <= 1, _tell(planted, errors)  # `by *2` without the star steps by 2
    else:
        assert len(errors) == 1, _tell(planted, errors)


def test_a_planted_mistake_is_one_report() -> None:
    for planted in _planted()[::STEP]:
        _holds(planted)


@pytest.mark.slow
def test_every_planted_mistake_is_one_report() -> None:
    assert len(_planted()) > 800
    for planted in _planted():
        _holds(planted)


@pytest.mark.parametrize(
    "line", ["rul Extra = norm", "rule $ Extra = norm", "rule Extra(k = 3 = norm", "def extra relu"]
)
def test_a_lost_statement_does_not_take_its_uses_along(line: str) -> None:
    """Its name is not reported as unknown; another unknown name is."""
    name = "Extra" if "Extra" in line else "extra"
    text = f"ein 1\nimport std\ninput im[3, 8, 8]\nrule Net = {name} >> norm\n{line}\nrule Other = {name} >> wat\n"
    found = check(Source("lost", text))[1]
    assert [d.span.source.position(d.span.start)[0] for d in found if d.span] == [5, 6]
    assert "`wat`" in found[1].message


def test_a_lost_import_takes_no_name_along() -> None:
    found = check(Source("lost", "ein 1\nimport std)\ninput im[3, 8, 8]\nrule Net = relu >> conv(4)\n"))[1]
    assert [d.code for d in found] == ["E105"]
