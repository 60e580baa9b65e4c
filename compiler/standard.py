"""The operators of the standard library, for passes that write them into a graph."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from ein.grammar.cfg import Application, Grammar
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source

_IMPORT = "ein 1\nimport std\n"


@lru_cache(maxsize=4096)
def application(name: str, *given: tuple[str, Any]) -> Application:
    """The use of an operator; arguments that equal their defaults are left out, as where a grammar uses it."""
    return _library().application(_library().operators[name], given)


@cache
def _library() -> Grammar:
    return load_grammar(Source("std", _IMPORT))
