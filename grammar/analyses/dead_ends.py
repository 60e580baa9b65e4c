"""What is told of alternatives that nothing can come of."""

from __future__ import annotations

from collections.abc import Mapping

from ein.grammar.analyses.flow import known_name
from ein.grammar.analyses.frames import Refusal
from ein.grammar.analyses.reach import Fate, Place, Reach, anywhere
from ein.grammar.cfg import Grammar
from ein.grammar.diagnostics import Diagnostic, Label
from ein.grammar.space import Space


def dead_ends(space: Space, found: Reach | None) -> list[Diagnostic]:
    """E301 for alternatives that type-check for no input; without any, W504 for those that no derivation has.

    `found` are the fates from the grammar's input, where they are known.
    """
    known = {} if found is None else dict(found.fates)
    rules = {name for name in space.grammar.rules if not name.startswith("arch ")}
    if all(fate.ends for fate in known.values()) and rules <= {rule for rule, _ in known}:
        return []
    whatever = anywhere(space)
    never = causes({} if whatever is None else whatever.fates)
    errors = [
        _never(_plainest(refusal, known.get(place)))
        for place, refusal in never.items()
        if refusal.typed and (place not in known or not known[place].ends)
    ]
    return errors or [_here(space.grammar, place, known[place], why) for place, why in causes(known).items()]


def causes(fates: Mapping[Place, Fate]) -> dict[Place, Refusal]:
    """Of the alternatives that nothing comes of, those that are not so because of others."""
    dead = {place: fate.refusal for place, fate in fates.items() if not fate.ends and fate.refusal is not None}
    rules = {rule for rule, _ in dead}
    return {place: refusal for place, refusal in dead.items() if refusal.rule not in rules}


def _plainest(refusal: Refusal, fate: Fate | None) -> Refusal:
    """With sizes, where the alternative was met with some."""
    met = fate.refusal if fate is not None else None
    return met if met is not None and met.rule is None else refusal


def _never(refusal: Refusal) -> Diagnostic:
    return Diagnostic("E301", refusal.reason, refusal.span, help="this can never type-check, whatever flows in")


def _here(grammar: Grammar, place: Place, fate: Fate, refusal: Refusal) -> Diagnostic:
    rule, index = place
    whole = grammar.rules[rule].alternatives[index].span
    text = "is never drawn" if not fate.applies else "leads to dead ends only"
    message = f"an alternative of `{known_name(rule)}` {text}: {refusal.reason}"
    labels = (Label(whole, "this alternative"),) if whole != refusal.span else ()
    help = "mend it or leave it out: no network of this space has it"
    return Diagnostic("W504", message, refusal.span, labels=labels, help=help, severity="warning")
