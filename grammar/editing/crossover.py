"""Crossover: a subtree of one derivation in the place of a subtree of another, of one rule."""

from __future__ import annotations

from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, fail
from ein.grammar.editing.mutate import Fairness, Keep, taken
from ein.grammar.editing.plans import Random, fitted, followed, parent_sites, room, spliced
from ein.grammar.editing.sites import Sites
from ein.grammar.steps import Instance

TRIES = 500
"""Pairs of subtrees that are tried before two derivations are said to have no child."""


def crossover(
    sampler: Sampler,
    first: Derivation,
    second: Derivation,
    random: Random,
    *,
    keep: Keep = None,
    sites: Fairness = "uniform",
) -> Derivation:
    """`first` with one subtree of `second`: a valid derivation within the limits that differs from both.

    A site of `first` whose rule `second` uses too is taken (`sites`), and uniformly a subtree of that rule in `second`.
    What follows keeps its choices and is typed anew; with `keep="type"` the subtree has to give the type that the one
    in its place gave. A pair that does not fit gives way to another. Raises EinError where none fits, or none of the
    first `TRIES`.
    """
    ours, theirs = parent_sites(sampler, first), parent_sites(sampler, second)
    donors = _donors(theirs)
    open = [at for at in range(1, len(ours.sites)) if ours.sites[at].instance in donors]
    if not open:
        raise _strangers(first, second)
    left: dict[int, list[int]] = {}
    for _ in range(TRIES):
        if not open:
            break
        at = taken(ours, open, random, sites)
        if at not in left:
            left[at] = [each for each in donors[ours.sites[at].instance] if theirs.subtree(each) != ours.subtree(at)]
        if not left[at]:
            open.remove(at)
            continue
        donor = left[at].pop(int(random() * len(left[at])))
        child = _crossed(sampler, first, ours, at, theirs, donor, keep)
        if child is not None and child.choices != second.choices:
            return child
    which = "" if keep is None else " that keeps the type of the part it changes"
    message = f"no child{which} of these derivations of {first.modules} and {second.modules} modules"
    raise fail("E706", f"{message} fits within the limits", help="take other parents, or loosen the limits")


def _donors(found: Sites) -> dict[Instance, list[int]]:
    """The sites of each rule, but for the first: that stands for the whole."""
    donors: dict[Instance, list[int]] = {}
    for at in range(1, len(found.sites)):
        donors.setdefault(found.sites[at].instance, []).append(at)
    return donors


def _strangers(first: Derivation, second: Derivation) -> EinError:
    rule = first.space.start.rule.name
    message = (
        f"the two derivations, of {first.modules} and {second.modules} modules, have no rule in common below `{rule}`"
    )
    return fail("E706", message, help="take other parents")


def _crossed(
    sampler: Sampler, first: Derivation, ours: Sites, at: int, theirs: Sites, donor: int, keep: Keep
) -> Derivation | None:
    """The first with a donor's subtree at a site; None where that does not fit."""
    site, subtree = ours.sites[at], theirs.subtree(donor)
    if keep is not None:
        given = theirs.sites[donor]
        if given.input is site.input and given.output is not site.output:
            return None
        found = fitted(sampler, site, room(sampler.limits, ours, at), subtree)
        if found is None or found[0] is not site.output:
            return None
        if not ours.retypes:
            return spliced(sampler, first, ours, at, subtree, found[1])
    return followed(sampler, first.input, (*ours.choices[:at], *subtree, *ours.choices[site.end :]))
