"""Strategies of hypothesis for tests of what takes networks: `@given(ein.strategies.derivations("einspace"))`."""

from __future__ import annotations

from ein.grammar.strategies import derivations, terms

__all__ = ["derivations", "terms"]
