"""From a term back to a derivation: the most probable one that a grammar has for it."""

from __future__ import annotations

from ein.grammar import term as t
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.diagnostics import fail
from ein.grammar.matching.cover import Cover, choices_of
from ein.grammar.matching.items import items_of
from ein.grammar.space import Space
from ein.grammar.steps import Call
from ein.grammar.types import merge


def derive(space: Space, term: t.TypedTerm) -> Derivation:
    """The most probable derivation of `space` whose term is `term`. Raises EinError where there is none."""
    cover = Cover(space)
    items = items_of(cover.prospects.catalogue, term)
    goal = cover.goal((Call(space.start, space.start.rule.span),), items, frozenset(), term.input)
    found = cover.answer(goal)
    if not found:
        from ein.grammar.matching.leaving import leaves

        raise leaves(cover, goal, term)
    wanted = space.grammar.output
    fitting = {type: each for type, each in found.items() if wanted is None or merge((wanted, type)) is not None}
    if not fitting:
        given = ", ".join(map(repr, found))
        text = f"`{space.grammar.name}` does not derive this term: the output is to be {wanted!r}, and is {given}"
        raise fail("E707", text)
    _, made = max(fitting.values(), key=lambda each: each[0])
    return Derivation(space, choices_of(made), items.modules, term.input)
