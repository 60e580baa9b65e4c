"""Facts about bodies of operators and their steps, worked out once: uses of one operator at one type share a body."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from ein.grammar.bodies.tensors import Body

K = TypeVar("K")
T = TypeVar("T")

_MOST = 4096


def by_identity(function: Callable[[K], T]) -> Callable[[K], T]:
    """The function, with results kept by the identity of what it is given; that is kept too, so that its id stays its
    own."""
    known: dict[int, tuple[K, T]] = {}

    @wraps(function)
    def kept(given: K) -> T:
        found = known.get(id(given))
        if found is not None:
            return found[1]
        if len(known) >= _MOST:
            known.clear()
        result = function(given)
        known[id(given)] = given, result
        return result

    return kept


per_body = per_step = by_identity


@per_body
def names(body: Body) -> frozenset[str]:
    """What its steps are, and the functions and layers that they name."""
    return frozenset(name for step in body.steps for name in (step.op, step.name))
