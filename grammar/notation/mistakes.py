"""The words for what does not parse: what was found, what would have fitted, and what is likely meant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from ein.grammar import foreign
from ein.grammar.diagnostics import Diagnostic, Label, Source, Span
from ein.grammar.notation.expected import COMPARISONS, OPERATORS, expected, found, listed, short
from ein.grammar.notation.lexer import BAD_CHARACTER, BAD_NUMBER, BAD_STRING, BAD_WORD, Token
from ein.grammar.notation.table import END, load

_STATEMENTS = "ein grammar import type op def rule arch input output limit start derivation"
STATEMENT_KINDS = frozenset(word.upper() for word in _STATEMENTS.split())

_PAIRS = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
_OPENERS = {closer: opener for opener, closer in _PAIRS.items()}
BRACKETS = {**dict.fromkeys(_PAIRS, 1), **dict.fromkeys(_OPENERS, -1)}

_LINES = frozenset(("PARAM", "BUFFER", "DRAW", "LET", "SCAN", "REPEAT"))
_BEHIND_A_NAME = frozenset(("EQUAL", "COMMA", "RPAR", "LPAR", "RSQB", "LSQB", "COLON", "IN", "TILDE", "LE"))


@dataclass(frozen=True, slots=True)
class Mistake:
    """`found` does not fit behind `before`; any of `accepted` would. `after` is the kind of the token that follows."""

    source: Source
    before: list[Token]
    found: Token
    after: str
    accepted: set[str]

    @property
    def span(self) -> Span:
        return _span(self.source, self.found)

    @property
    def previous(self) -> str:
        return self.before[-1].kind if self.before else END

    @property
    def could_end(self) -> bool:
        return END in self.accepted

    def openers(self) -> list[Token]:
        """The brackets that are open here."""
        stack: list[Token] = []
        for token in self.before:
            if token.kind in _PAIRS:
                stack.append(token)
            elif token.kind in _OPENERS and stack:
                stack.pop()
        return stack

    def governing(self, kinds: set[str]) -> str | None:
        """The last of `kinds` before the mistake, within the same brackets."""
        depth = 0
        for token in reversed(self.before):
            depth -= BRACKETS.get(token.kind, 0)
            if depth < 0:
                return None
            if depth == 0 and token.kind in kinds:
                return token.kind
        return None


def describe(mistake: Mistake) -> Diagnostic:
    """The report of a mistake: the first of the known ones that it is, or else what was expected."""
    for known in _KNOWN:
        diagnostic = known(mistake)
        if diagnostic is not None:
            return diagnostic
    return _unexpected(mistake)


def not_a_statement(source: Source, token: Token) -> Diagnostic:
    if token.kind in (BAD_CHARACTER, "FLOOR"):
        return describe(Mistake(source, [], token, END, set()))
    near = get_close_matches(token.text[:20].lower(), _STATEMENTS.split(), 1, 0.6)
    help = f"did you mean `{near[0]}`?" if near else f"the keywords are {listed(_STATEMENTS.split(), 'and')}"
    message = f"expected a statement, which starts with a keyword, found {found(token)}"
    return Diagnostic("E101", message, _span(source, token), help=help)


# --- the mistakes that we know


def _bad_number(m: Mistake) -> Diagnostic | None:
    if m.found.kind != BAD_NUMBER:
        return None
    text = m.found.text
    digits = text[: next(i for i, c in enumerate(text + "_") if not (c.isdigit() or c == "."))]
    rest = text[len(digits) :]
    if rest in ("k", "m", "g"):
        help = f"write {digits}*{rest} for the product, or {digits}{rest.upper()} for the unit"
    elif rest[:1].isalpha() and text[:2].lower() not in ("0x", "0o", "0b"):
        help = f"write {short(digits)}*{short(rest)} for a product; units are K, M and G, exponents 1e-5"
    else:
        help = "numbers are written 16, 0.5, 1e-5, 2K, and percentages 40%"
    return Diagnostic("E103", f"`{short(text)}` is not a number", m.span, help=help)


def _bad_word(m: Mistake) -> Diagnostic | None:
    if m.found.kind != BAD_WORD:
        return None
    help = "names are snake_case, names of rules CamelCase"
    return Diagnostic("E102", f"`{short(m.found.text)}` is not a name", m.span, help=help)


def _bad_string(m: Mistake) -> Diagnostic | None:
    if m.found.kind != BAD_STRING:
        return None
    start = m.found.start
    span = Span(m.source, start, start + 1)
    return Diagnostic("E105", "this string is not closed on its line", span, help="close it with a quotation mark")


_STRAY = {
    ".": "there are no attributes and methods; functions take axes by name: `mean[h, w](x)`",
    "'": 'strings are written with double quotes: "nearest"',
    ";": "a statement needs no sign at its end",
    "!": "write `not a`, or `a != b`",
    "$": "parameters are named without a sign",
    "\\": "a line needs no sign to go on; line breaks mean nothing",
    "`": 'strings are written with double quotes: "nearest"',
    "→": foreign.JOINED,
    "⇒": foreign.JOINED,
}


def _bad_character(m: Mistake) -> Diagnostic | None:
    if m.found.kind != BAD_CHARACTER:
        return None
    text = m.found.text
    name = f"`{text}`" if text.isprintable() and not text.isspace() else f"the character U+{ord(text):04X}"
    return Diagnostic("E102", f"{name} is not a part of the language", m.span, help=_STRAY.get(text, ""))


def _brackets(m: Mistake) -> Diagnostic | None:
    openers = m.openers()
    if m.found.kind == END and openers:
        text = openers[-1].text
        closer = load().spelling[_PAIRS[openers[-1].kind]]
        help = f"add a `{closer}`" + (f"; {len(openers)} brackets are open at the end" if len(openers) > 1 else "")
        labels = (Label(m.span, "the statement ends here"),)
        return Diagnostic("E105", f"this `{text}` is never closed", _span(m.source, openers[-1]), "", labels, help)
    if m.found.kind not in _OPENERS:
        return None
    if not openers:
        return Diagnostic(
            "E105", f"this `{m.found.text}` closes nothing", m.span, help="take it out, or open it before"
        )
    if openers[-1].kind != _OPENERS[m.found.kind]:
        labels = (Label(_span(m.source, openers[-1]), "opened here"),)
        return Diagnostic("E105", f"`{m.found.text}` does not close `{openers[-1].text}`", m.span, "", labels)
    return None


def _keyword(m: Mistake) -> Diagnostic | None:
    """A keyword where a name fits, used as one: a sign follows that would follow a name."""
    if not m.found.text.isalpha() or m.found.text not in load().words or not m.accepted & {"NAME", "CAMEL"}:
        return None
    if m.after not in _BEHIND_A_NAME and m.previous not in STATEMENT_KINDS:
        return None
    if m.after == "EQUAL" and m.openers() and not m.governing({"LET"}):
        return Diagnostic("E104", f"`{m.found.text}` is a keyword; arguments can be positional", m.span)
    other = f"{m.found.text}_" if "NAME" in m.accepted else m.found.text.capitalize()
    return Diagnostic("E104", f"`{m.found.text}` is a keyword", m.span, help=f"choose another name, such as `{other}`")


def _late_guard(m: Mistake) -> Diagnostic | None:
    if m.found.kind not in ("THEN", "AMPERSAND", "AT"):
        return None
    if m.governing({"IF", "VBAR", "EQUAL", "COLON"}) != "IF":
        return None
    if m.found.kind == "AT":
        return Diagnostic("E106", "a weight comes before the guard", m.span, help="write `term @ weight if condition`")
    help = "put the guarded part in parentheses: `(a if condition) >> b`"
    if m.found.kind == "AMPERSAND":
        help += "; conditions are joined with `and`"
    return Diagnostic("E106", "a guard comes last", m.span, help=help)


def _late_binder(m: Mistake) -> Diagnostic | None:
    if m.found.kind not in ("FOR", "LET") or m.previous not in OPERATORS:
        return None
    help = f"put it in parentheses: `a >> ({m.found.text} … : b)`"
    message = f"`{m.found.text}` stands at the start of an alternative or in parentheses"
    return Diagnostic("E101", message, m.span, help=help)


def _comparison(m: Mistake) -> Diagnostic | None:
    if m.found.kind in COMPARISONS and "AND" in m.accepted:
        return Diagnostic("E101", "comparisons do not chain", m.span, help=_chained(m))
    if m.found.kind != "EQUAL":
        return None
    in_guard = m.governing({"IF", "VBAR", "EQUAL"}) == "IF"
    behind_where = m.governing({"EQUAL", *_LINES}) == "EQUAL" and m.governing({"WHERE", *_LINES}) == "WHERE"
    if not in_guard and not behind_where:
        return None
    help = "`==` compares; one `=` " + ("gives a value" if in_guard else "begins the body")
    return Diagnostic("E101", "found `=` in a condition" if in_guard else "found a second `=`", m.span, help=help)


def _chained(m: Mistake) -> str:
    is_term = m.found.kind == "GT" and m.before[0].kind in ("RULE", "DEF", "ARCH") and not m.governing({"IF"})
    numbers = "write `a < b and b < c`"
    return f"terms are joined with `>>`: `a >> b >> c`; for numbers {numbers}" if is_term else numbers


_TERM_SIGNS = frozenset(("THEN", "AMPERSAND", "VBAR", "AT", "STAR", "CAMEL", "LPAR"))


def _no_equals(m: Mistake) -> Diagnostic | None:
    """A rule, macro, architecture or operator whose body stands behind another sign than `=`."""
    head = m.before[0].kind if m.before else ""
    if head not in ("RULE", "DEF", "ARCH", "OP") or m.openers() or m.governing({"EQUAL"}) or len(m.before) < 2:
        return None
    form = f"{m.before[0].text} {short(m.before[1].text)}"
    if m.found.kind in ("COLON", "ARROW") and "EQUAL" in m.accepted:
        signature = " : type -> type" if head == "OP" or m.governing({"COLON"}) else ""
        help = f"write `{form}{signature} = …`"
        return Diagnostic("E101", f"expected `=`, found `{m.found.text}`", m.span, help=help)
    if m.found.kind == "EQUAL" and m.previous == "COLON" and m.before[-1].end == m.found.start:
        return Diagnostic("E101", "expected `=`, found `:=`", _span(m.source, m.before[-1]), help=f"write `{form} = …`")
    if m.found.kind == "EQUAL" and head == "ARCH" and "ARROW" in m.accepted:
        help = "an architecture that says its input says its output too: `: im[3, 32, 32] -> vec[10] = …`"
        return Diagnostic("E101", "expected `->`, found `=`", m.span, help=help)
    ends = m.found.kind == END and m.previous == "NAME"
    if head not in ("RULE", "DEF") or m.governing({"COLON", "ARROW"}) != "COLON":
        return None
    return _term_behind_colon(m, form) if ends or m.found.kind in _TERM_SIGNS else None


def _term_behind_colon(m: Mistake, form: str) -> Diagnostic:
    colon = next(token for token in reversed(m.before) if token.kind == "COLON")
    help = f"write `{form} = …`; behind `:` stands a signature such as `im[c, h, w] -> vec[c]`"
    return Diagnostic("E101", "expected `=` before the term, found `:`", _span(m.source, colon), help=help)


def _arrow(m: Mistake) -> Diagnostic | None:
    if m.previous != "ARROW" or m.accepted != {"LSQB"}:
        return None
    if m.before[0].kind == "OP":
        help = "the axes of a layout stand in brackets: `x -> [w, h]`"
        return Diagnostic("E101", f"expected `[`, found {found(m.found)}", m.span, help=help)
    message = "terms are joined with `>>`, found `->`"
    return Diagnostic("E101", message, _span(m.source, m.before[-1]), help="write `a >> b`")


def _let_line(m: Mistake) -> Diagnostic | None:
    if m.found.kind != "LPAR" or m.previous != "LET" or "NAME" not in m.accepted:
        return None
    help = "in the lines of an operator write `let a, b = …`"
    return Diagnostic("E101", "expected a name, found `(`", m.span, help=help)


def _percent(m: Mistake) -> Diagnostic | None:
    if len(m.before) < 2 or m.previous != "MODULO" or m.before[-2].kind != "NUMBER" or "NAME" not in m.accepted:
        return None
    number = m.before[-2].text
    if m.before[-2].end == m.before[-1].start:
        return None
    help = f"for a percentage write `{short(number)}%`, without a space"
    return Diagnostic(
        "E103", "`%` behind a space is the remainder of a division", _span(m.source, m.before[-1]), help=help
    )


def _wrong_case(m: Mistake) -> Diagnostic | None:
    if m.found.kind == "NAME" and "CAMEL" in m.accepted and "NAME" not in m.accepted:
        camel = "".join(part.capitalize() for part in m.found.text.split("_"))
        message = f"`{short(m.found.text)}` is not the name of a rule"
        return Diagnostic("E110", message, m.span, help=f"rules are CamelCase: `{short(camel)}`")
    if m.found.kind == "CAMEL" and "NAME" in m.accepted and "CAMEL" not in m.accepted:
        snake = "".join("_" * (c.isupper() and i > 0) + c.lower() for i, c in enumerate(m.found.text[:40]))
        help = f"only rules are CamelCase; write `{short(snake)}`"
        return Diagnostic("E110", f"`{short(m.found.text)}` cannot be a name here", m.span, help=help)
    return None


_KNOWN: tuple[Callable[[Mistake], Diagnostic | None], ...] = (
    _bad_number,
    _bad_word,
    _bad_string,
    foreign.dots,
    _bad_character,
    _percent,
    foreign.no_colon,
    foreign.choice_set,
    _brackets,
    foreign.no_start,
    foreign.comment,
    foreign.doubled,
    foreign.joins,
    _keyword,
    _late_guard,
    _late_binder,
    _comparison,
    _no_equals,
    _arrow,
    _let_line,
    _wrong_case,
)


# --- all others


def _unexpected(m: Mistake) -> Diagnostic:
    wanted = expected(m.accepted)
    openers = m.openers()
    closes = bool(openers) and _PAIRS[openers[-1].kind] in m.accepted
    labels = (Label(_span(m.source, openers[-1]), "opened here"),) if closes else ()
    message = f"expected {listed(wanted, 'or')}, found {found(m.found)}"
    help = ""
    if m.found.kind in STATEMENT_KINDS and not m.could_end:
        help = f"`{m.found.text}` begins a statement, and the one before it is not complete"
    return Diagnostic("E101", message, m.span, "", labels, help)


def _span(source: Source, token: Token) -> Span:
    return Span(source, token.start, token.end)
