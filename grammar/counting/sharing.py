"""Weights that several places share, where derivations are counted.

Copies that differ are refused where they stand. Whether places with one key agree does not follow from types; so
counting is for grammars in which each key has one shape wherever it can stand.
"""

from __future__ import annotations

from typing import Any

from ein.grammar import term as t
from ein.grammar.derivations.derivation import typed
from ein.grammar.diagnostics import EinError, fail
from ein.grammar.matching.lanes import Scope, Value, first, variables
from ein.grammar.space import Space
from ein.grammar.steps import Candidate, Program
from ein.grammar.ties import check_ties, may_conflict
from ein.grammar.types import ValueType


class Sharing:
    def __init__(self, space: Space) -> None:
        self.space = space
        self.any = may_conflict(space.grammar.rules.values())
        self.shapes: dict[str, Any] = {}
        self.known: dict[Any, bool] = {}

    def leading(self, candidate: Candidate, value: Value) -> bool:
        """Whether what stands before the first rule of a candidate can share what it shares."""
        return not candidate.leading or self.fits(candidate.program[: candidate.leading], value, ())

    def fits(self, program: Program, value: Value, scope: Scope) -> bool:
        """Whether steps without rules can; raises EinError where a key has another shape than elsewhere."""
        if not self.any:
            return True
        key = program, first(value), scope
        if key not in self.known:
            self.known[key] = self._fits(program, first(value), scope)
        return self.known[key]

    def _fits(self, program: Program, input: ValueType, scope: Scope) -> bool:
        term = typed(self.space, program, (), input, variables(scope))
        try:
            check_ties(term)
        except EinError:
            return False
        for node in t.walk(term):
            if isinstance(node, t.Op):
                self._note(node)
        return True

    def _note(self, op: t.Op) -> None:
        for key, sizes in op.applied.ties.items():
            known = self.shapes.setdefault(key, sizes)
            if known != sizes:
                both = f"{list(known)} and {list(sizes)}"
                message = f"derivations cannot be counted by type: what has the key `{key}` has the shapes {both}"
                raise fail("E710", message, op.span, help="draw them: `ein sample` leaves out those that do not fit")
