"""What would have fitted at a place, in words."""

from __future__ import annotations

from ein.grammar.notation.lexer import Token
from ein.grammar.notation.table import END, load

COMPARISONS = frozenset(("LE", "GE", "EQ", "NE", "LT", "GT"))
ARITHMETIC = frozenset(("PLUS", "MINUS", "STAR", "SLASH", "FLOOR", "MODULO", "CARET", "POWER"))
OPERATORS = ARITHMETIC | COMPARISONS | {"AND", "OR", "THEN", "AMPERSAND", "VBAR", "AT"}

_CLASSES = (
    (
        {"NAME", "NUMBER", "LPAR", "LBRACE"},
        "a term or a value",
        {"STRING", "CAMEL", "PERCENT", "DOTTED", "TRUE", "FALSE"}
        | {"WHERE", "MINUS", "NOT", "TIED", "FOR", "LET", "EACH", "BLANK", "STAR"},
    ),
    ({"THEN", "AMPERSAND"}, "an operator such as `>>`", OPERATORS | {"LPAR", "LSQB", "IF", "ARROW"}),
    ({"PLUS", "STAR"}, "an operator such as `+`", OPERATORS | {"LPAR", "LSQB"}),
    ({"NAME", "LPAR", "BLANK"}, "a type", {"LIVE"}),
    ({"PARAM", "LET", "SCAN"}, "a line such as `let`", {"BUFFER", "DRAW", "REPEAT"}),
)
_WORDS = {
    "NAME": "a name",
    "CAMEL": "a CamelCase name",
    "NUMBER": "a number",
    "PERCENT": "a percentage",
    "STRING": 'a string in "…"',
    "DOTTED": "a name of `nn` or `F`",
    "BLANK": "`_`",
    END: "the end of the statement",
}


def expected(accepted: set[str]) -> list[str]:
    """What fits, in words, the most telling first, five at most."""
    rest = set(accepted)
    wanted = []
    for signature, words, others in _CLASSES:
        if signature <= rest:
            wanted.append(words)
            rest -= signature | others
    names = {**load().spelling, **{kind: "" for kind in _WORDS}}
    plain = [
        _WORDS.get(kind) or f"`{names[kind]}`" for kind in sorted(rest, key=lambda k: (k == END, k not in _WORDS, k))
    ]
    return [*wanted, *plain][:5]


def listed(words: list[str], joint: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}"


def found(token: Token) -> str:
    if token.kind == END:
        return "the end"
    keyword = "the keyword " if token.text in load().words else ""
    return f"{keyword}`{short(token.text)}`"


def short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "…"
