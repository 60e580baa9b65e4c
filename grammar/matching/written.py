"""A term given as text, with the operators of a grammar."""

from __future__ import annotations

import re

from ein.grammar.architecture import architecture
from ein.grammar.cfg import Grammar
from ein.grammar.check import load_grammar
from ein.grammar.derivations.files import STD, std_kinds
from ein.grammar.diagnostics import Source
from ein.grammar.notation import syntax as s
from ein.grammar.notation.printer import print_statement
from ein.grammar.term import TypedTerm
from ein.grammar.types import ValueType


def written_term(grammar: Grammar, text: str, input: ValueType) -> TypedTerm:
    """`conv(8) >> relu` on an input. Operators and macros of `std` are known, and operators of the grammar.

    Raises EinError, its places in the text, where it is no term or does not type-check.
    """
    words = set(re.findall(r"\w+", text))
    kinds: list[s.Statement] = [
        s.TypeDecl(kind, *said) for kind, said in sorted(grammar.kinds.items()) if kind not in std_kinds()
    ]
    own: list[s.Statement] = [
        operator.declaration
        for name, overloads in grammar.operators.items()
        for operator in overloads
        if name in words and operator.module != STD
    ]
    declared = "\n".join(print_statement(each) for each in kinds + own)
    source = f"ein 1\nimport std\n{declared}\narch term : {input!r} -> _ =\n{text}\n"
    return architecture(load_grammar(Source("<term>", source)), "term").term
