"""Facts about the bodies of operators, worked out once: uses of one operator at one type share a body."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from ein.grammar.bodies.tensors import Body

T = TypeVar("T")

_MOST = 4096


def per_body(function: Callable[[Body], T]) -> Callable[[Body], T]:
    """The function, with results kept by the identity of the body; that is kept too, so that its id stays its own."""
    known: dict[int, tuple[Body, T]] = {}

    @wraps(function)
    def kept(body: Body) -> T:
        found = known.get(id(body))
        if found is not None:
            return found[1]
        if len(known) >= _MOST:
            known.clear()
        result = function(body)
        known[id(body)] = body, result
        return result

    return kept


@per_body
def names(body: Body) -> frozenset[str]:
    """What its steps are, and the functions and layers that they name."""
    return frozenset(name for step in body.steps for name in (step.op, step.name))
