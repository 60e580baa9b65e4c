"""Mutation: a subtree drawn anew at its type, with the rest as it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias
from weakref import WeakKeyDictionary

from ein.grammar import cfg
from ein.grammar.cfg import Grammar, Limits
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, fail
from ein.grammar.editing.plans import (
    DRAWN,
    Random,
    bounds_costs,
    drawn_at,
    followed,
    made_of,
    most,
    parent_sites,
    room,
    spliced,
)
from ein.grammar.editing.sites import Sites

Keep: TypeAlias = Literal["type"] | None
"""`type`: what takes the place of a subtree gives the type that the subtree gave."""

Fairness: TypeAlias = Literal["uniform", "depth"]
"""How a site is taken: uniformly, or a level of the tree first and then a site of that level."""

TRIES = 16
"""Attempts at one site before another is taken."""

TRIES_KEPT = 4
"""The same where the type is to be kept, which most attempts fail."""

PLACES = 500
"""Sites before a derivation is said to have no mutant."""


def mutate(
    sampler: Sampler,
    parent: Derivation,
    random: Random,
    *,
    keep: Keep = None,
    sites: Fairness = "uniform",
) -> Derivation:
    """A valid derivation within the limits that differs from its parent in one subtree.

    A use of a rule is taken (`sites`) and its subtree drawn anew from the stated distribution at its input type. What
    follows keeps its choices and is typed anew, or with `keep="type"` stays as it is. A site where nothing fits in
    `TRIES` attempts (`TRIES_KEPT`) gives way to another, so sites that are easy to redraw are favoured. Copies are
    edited together, since a copied branch is one derivation. Raises EinError where no mutant is found.
    """
    found = parent_sites(sampler, parent)
    known = keep is not None or (not bounds_costs(sampler.limits) and fixed_sizes(sampler.grammar))
    redraw, tries = (_redraw, TRIES) if keep is None else (_redraw_kept, TRIES_KEPT)
    for _ in range(PLACES if found.changeable else 0):
        at = taken(found, found.changeable, random, sites)
        within = room(sampler.limits, found, at) if known else most(sampler.limits, found.sites[at])
        for _ in range(tries):
            child = redraw(sampler, parent, found, at, within, known, random)
            if child is not None:
                return child
    which = "no mutant" if keep is None else "no mutant that keeps the type of the part it changes"
    raise nothing(which, parent, bool(found.changeable))


def nothing(which: str, parent: Derivation, tried: bool, none: str = "leaves nothing to choose in it") -> EinError:
    """E706: nothing that fits was found, or there is no place to try: `none` says what the grammar lacks."""
    message = f"{which} of this derivation of {parent.modules} modules"
    if tried:
        return fail("E706", f"{message} fits within the limits", help="loosen the limits of the grammar")
    name = parent.space.grammar.name
    return fail("E706", f"there is {message}: `{name}` {none}", help="take another parent")


def taken(found: Sites, open: Sequence[int], random: Random, fairness: Fairness) -> int:
    """One of the sites that are `open`."""
    if fairness == "uniform":
        return open[int(random() * len(open))]
    levels: dict[int, list[int]] = {}
    for at in open:
        levels.setdefault(found.sites[at].level, []).append(at)
    present = sorted(levels)
    level = levels[present[int(random() * len(present))]]
    return level[int(random() * len(level))]


def _redraw(
    sampler: Sampler, parent: Derivation, found: Sites, at: int, within: Limits, known: bool, random: Random
) -> Derivation | None:
    """The parent with another subtree at a site; None where what is drawn there does not fit.

    `known`: `within` is what all else leaves to the subtree, whatever type it gives.
    """
    if found.retypes:
        return _redraw_all(sampler, parent, found, at, random)
    site = found.sites[at]
    drawn = drawn_at(sampler, site, within, random)
    if drawn is None or drawn[0] == found.subtree(at):
        return None
    subtree, output, modules = drawn
    if known and output is site.output:
        return spliced(sampler, parent, found, at, subtree, modules)
    return followed(sampler, parent.input, (*parent.choices[:at], *subtree, *parent.choices[site.end :]))


def _redraw_kept(
    sampler: Sampler, parent: Derivation, found: Sites, at: int, within: Limits, known: bool, random: Random
) -> Derivation | None:
    """The same where the new subtree gives the type that the old one gave."""
    site = found.sites[at]
    drawn = drawn_at(sampler, site, within, random)
    if drawn is None or drawn[1] is not site.output or drawn[0] == found.subtree(at):
        return None
    subtree, _, modules = drawn
    if found.retypes or not known:
        return followed(sampler, parent.input, (*parent.choices[:at], *subtree, *parent.choices[site.end :]))
    return spliced(sampler, parent, found, at, subtree, modules)


def _redraw_all(sampler: Sampler, parent: Derivation, found: Sites, at: int, random: Random) -> Derivation | None:
    """The same in one walk from the beginning."""
    choices, end = parent.choices, found.sites[at].end
    child = made_of(sampler, parent.input, (choices[:at], DRAWN, choices[end:]), random)
    return child if child is not None and child.choices != choices else None


_fixed: WeakKeyDictionary[Grammar, bool] = WeakKeyDictionary()


def fixed_sizes(grammar: Grammar) -> bool:
    """Whether the modules of given choices are the same at all types: then what a redrawn subtree may take is
    known before what follows is typed."""
    found = _fixed.get(grammar)
    if found is None:
        rules = grammar.rules.values()
        bodies = [alternative.body for rule in rules for alternative in rule.alternatives]
        found = all(rule.match is None for rule in rules) and not any(map(_typed_size, bodies))
        _fixed[grammar] = found
    return found


def _typed_size(term: cfg.Term) -> bool:
    """Whether how often a part is built can depend on the type."""
    match term:
        case cfg.RuleUse(_, arguments) if any("rank" in argument.names for argument in arguments):
            return True
        case cfg.Copies(_, count) | cfg.Repeated(_, count) if "rank" in count.names:
            return True
        case cfg.Expanded(match=bound) if bound is not None:
            return True
        case _:
            return any(map(_typed_size, cfg.parts(term)))
