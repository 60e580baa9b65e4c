"""From a term back to a derivation: the most probable one that a grammar has for it."""

from __future__ import annotations

from ein.grammar import term as t
from ein.grammar.derivations.cover import Cover, Items, choices_of, items_of
from ein.grammar.derivations.derivation import Derivation, replay
from ein.grammar.derivations.rounds import Found
from ein.grammar.diagnostics import EinError, fail
from ein.grammar.space import Space
from ein.grammar.steps import Instance

_STRETCH = 6
"""Items of a stretch that is tried alone, to say where a term leaves the grammar."""


def derive(space: Space, term: t.TypedTerm) -> Derivation:
    """The most probable derivation of `space` whose term is `term`. Raises EinError where there is none."""
    items = items_of(term)
    cover = Cover(space)
    found = _solve(cover, space.start, items, 0, len(items.parts))
    if not found:
        raise _leaves(space, cover, items)
    _, made = max(found.values(), key=lambda each: each[0])
    choices = choices_of(made)
    return Derivation(space, choices, t.cost(replay(space, choices, term.input)).modules, term.input)


def _solve(cover: Cover, rule: Instance, items: Items, first: int, last: int) -> Found:
    return cover.solve(("rule", rule, items, first, last, frozenset(), items.parts[first].input))


def _leaves(space: Space, cover: Cover, items: Items) -> EinError:
    """Says the first item that no rule covers in any short stretch."""
    covered: set[int] = set()
    count = len(items.parts)
    for first in range(count):
        for last in range(first + 1, min(first + _STRETCH, count) + 1):
            if last - 1 not in covered or first not in covered:
                rules = [rule for rule in space.instances.values() if not rule.rule.packed]
                if any(_solve(cover, rule, items, first, last) for rule in rules):
                    covered.update(range(first, last))
    missing = next((at for at in range(count) if at not in covered), None)
    message = f"`{space.grammar.name}` does not derive this term"
    if missing is None:
        return fail("E707", message, help="its rules cover every part of it, but not all of it together")
    part = items.parts[missing]
    said = t.text(part)
    shown = said if len(said) <= 60 else f"{said[:57]}..."
    return fail("E707", f"{message}: no rule gives `{shown}` there", part.span if isinstance(part, t.Op) else None)
