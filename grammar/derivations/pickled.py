"""Derivations in other processes: what is pickled is where the grammar comes from, and the choices.

The grammar is loaded once for each space: from its file or the library where they still have it, else from its text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ein.grammar.cfg import Grammar
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.derivation import Choices, Derivation
from ein.grammar.diagnostics import EinError, Source, fail
from ein.grammar.minima import settle
from ein.grammar.space import Space
from ein.grammar.types import ValueType

KEPT = 16
"""Spaces that a process keeps of those it was sent."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What loads a space: its rule to begin with, its digest, its file or library name, and its text."""

    start: str
    digest: str
    place: str
    source: Source
    parameters: tuple[tuple[str, Any], ...]
    input: str | None
    output: str | None

    @classmethod
    def of(cls, space: Space) -> Origin:
        grammar, rule = space.grammar, space.start.rule
        source = rule.span.source
        place = str(Path(source.name).resolve()) if source.name.endswith(".ein") else source.name
        ends = [None if end is None else repr(end) for end in (grammar.input, grammar.output)]
        return cls(rule.name, grammar.digest, place, source, tuple(grammar.env.items()), *ends)

    @property
    def key(self) -> tuple[str, str]:
        return self.start, self.digest

    def grammars(self) -> Iterator[Grammar]:
        request = Request(dict(self.parameters), self.input, self.output)
        for what in (self.place, self.source):
            try:
                yield load_grammar(what, request)
            except EinError:
                continue


_spaces: dict[tuple[str, str], Space] = {}


def pickled(derivation: Derivation) -> tuple[Callable[..., Derivation], tuple[Any, ...]]:
    """What pickle asks of an object: a function that makes it again, and what that is given."""
    origin = Origin.of(derivation.space)
    return restored, (origin, derivation.choices, derivation.modules, derivation.input, derivation.recorded)


def restored(origin: Origin, choices: Choices, modules: int, input: ValueType, recorded: str) -> Derivation:
    """Raises EinError where the grammar cannot be loaded as it was."""
    return Derivation(_spaces.get(origin.key) or _loaded(origin), choices, modules, input, recorded)


def _loaded(origin: Origin) -> Space:
    grammar = next((grammar for grammar in origin.grammars() if grammar.digest == origin.digest), None)
    if grammar is None:
        text = f"the grammar of this derivation ({origin.digest}) is not at `{origin.place}`, nor is its text enough"
        raise fail("E721", text, help="send the text of its derivation file instead")
    space = Space(grammar, origin.start)
    settle(space)
    if len(_spaces) >= KEPT:
        del _spaces[next(iter(_spaces))]
    _spaces[origin.key] = space
    return space
