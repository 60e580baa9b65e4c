"""The operators that passes write into a graph: those of the standard library, and those of `fused.ein`."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from ein.grammar.cfg import Application, Grammar
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source

_FUSED = Path(__file__).with_name("fused.ein")


@lru_cache(maxsize=4096)
def application(name: str, *given: tuple[str, Any]) -> Application:
    """The use of an operator; arguments that equal their defaults are left out, as where a grammar uses it."""
    return _library().application(_library().operators[name], given)


@cache
def _library() -> Grammar:
    return load_grammar(Source("fused", _FUSED.read_text(encoding="utf-8")))


@lru_cache(maxsize=4096)
def written(text: str) -> Application:
    """The use of an operator that is declared by this text and has no arguments."""
    grammar = load_grammar(Source("written", f"ein 1\n{text}"))
    (operators,) = grammar.operators.values()
    return grammar.application(operators, ())
