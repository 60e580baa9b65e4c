"""Tables that wait for each other, begun from an explicit stack where they are many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ein.grammar.diagnostics import EinError
from ein.grammar.steps import Instance

MAX_NESTED = 20
"""Tables that wait for each other on Python's stack."""

MAX_WAITING = 20_000


class _Deep(Exception):
    """A table that too many others wait for."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self.ask = ask


class Nested:
    """`endless` says what is wrong where a table waits for itself."""

    def __init__(self, endless: Callable[[Instance | None], EinError]) -> None:
        self.endless = endless
        self.active: set[Any] = set()
        self.waiting: set[Any] = set()

    def solve(self, ask: Callable[[], Any]) -> Any:
        """What `ask` gives; tables that too many others wait for are made first. Raises EinError."""
        stack = [ask]
        self.waiting.clear()
        self.active.clear()
        while True:
            try:
                result = stack[-1]()
            except _Deep as deep:
                stack.append(deep.ask)
                if len(stack) > MAX_WAITING:
                    raise self.endless(None) from None
                continue
            stack.pop()
            if not stack:
                return result

    def begin(self, key: tuple[Instance, Any, int, Any], make: Callable[..., Any], again: Callable[..., Any]) -> Any:
        """What `make` gives of the key; where too many wait, `solve` asks `again` first."""
        if key in self.active:
            raise self.endless(key[0])
        if len(self.active) >= MAX_NESTED:
            if key in self.waiting:
                raise self.endless(key[0])
            self.waiting.add(key)
            raise _Deep(lambda: again(*key))
        self.active.add(key)
        try:
            return make(*key)
        finally:
            self.active.discard(key)
