"""What can be said of a grammar before anything is drawn from it."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from math import inf

from ein.grammar import cfg
from ein.grammar.analyses.choice_sets import choice_sets
from ein.grammar.analyses.criticality import growth
from ein.grammar.analyses.dead_ends import causes, dead_ends
from ein.grammar.analyses.duplicates import duplicates
from ein.grammar.analyses.reach import Reach, reach
from ein.grammar.analyses.supercritical import supercritical
from ein.grammar.cfg import Grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Diagnostic, EinError
from ein.grammar.minima import settle
from ein.grammar.numbers import Inapplicable, Percentage
from ein.grammar.space import Space
from ein.grammar.steps import Instance, has_rule

TRIAL = 400
"""Attempts after which a space without a single derivation is reported."""


def analyse(grammar: Grammar) -> list[Diagnostic]:
    """Architectures that do not type-check, rules that never end, weights, what no derivation can have or bound."""
    found = list(_architectures(grammar, grammar.architectures))
    found += (*_weights(grammar), *duplicates(grammar), *choice_sets(grammar))
    if grammar.start is not None:
        try:
            space = Space(grammar)
            settle(space)
            endless = _endless(grammar, space)
            found += endless
            if not any(d.code != "W501" for d in endless):
                found += _typed(grammar, space)
        except EinError as error:
            found += error.diagnostics
    return found


def _typed(grammar: Grammar, space: Space) -> list[Diagnostic]:
    """What types make of the rules, and how these grow."""
    if grammar.input is None:
        return [_untried(grammar), *dead_ends(space, None)]
    sampler = Sampler(grammar, grammar.limits, space)
    trial = _trial(sampler)
    if any(d.severity == "error" and d.code != "E704" for d in trial):
        return trial
    reached = reach(space)
    dead = dead_ends(space, reached)
    if any(d.severity == "error" for d in trial):
        return [d for d in dead if d.severity == "error"] or trial
    if reached is not None and not reached.complete(grammar.output):
        return [_empty(grammar, reached, sampler)]
    return [*(_too_small(grammar, space) or trial), *dead, *_unbounded(grammar, space, reached)]


def _too_small(grammar: Grammar, space: Space) -> list[Diagnostic]:
    """Where even the smallest network has more modules than the limit."""
    limit, least = grammar.limits.modules, space.start.minimum
    if limit is None or least <= limit:
        return []
    message = f"every network of `{grammar.name}` has {int(least):,} modules or more, and the limit is {limit:,}"
    span = space.start.rule.span
    return [Diagnostic("E704", message, span, help=f"loosen it: `limit modules <= {int(least)}` or more")]


def _empty(grammar: Grammar, reached: Reach, sampler: Sampler) -> Diagnostic:
    """Where limits hid from the trial that no derivation type-checks."""
    if reached.outputs:
        found = ", ".join(sorted(map(repr, reached.outputs)))
        message = f"the output is to be {grammar.output!r}, and is {found}, whatever the limits"
        return Diagnostic("E303", message, grammar.output_span)
    cause = next(iter(causes(reached.fates).values()), None)
    message = f"`{grammar.name}` has no derivation, whatever the limits"
    if cause is not None:
        return Diagnostic("E704", message, cause.span, cause.reason)
    example = sampler.commonest(("type", "goal", "dead"))
    return Diagnostic("E704", message) if example is None else Diagnostic("E704", message, example.span, example.reason)


def _unbounded(grammar: Grammar, space: Space, reached: Reach | None) -> list[Diagnostic]:
    """W503, unless a limit bounds the modules: then it is a note, and told where it is asked for."""
    if grammar.limits.modules is not None:
        return []
    found = supercritical(grammar, growth(space, reached.dead if reached is not None else ()))
    return [] if found is None else [found]


def mistyped(grammar: Grammar) -> list[Diagnostic]:
    """Of a file with errors elsewhere: the architectures without rules that do not type-check."""
    alone = [
        name
        for name, arch in grammar.architectures.items()
        if not any(has_rule(alternative.body) for alternative in grammar.rules[arch.rule].alternatives)
    ]
    return list(_architectures(grammar, alone))


def _architectures(grammar: Grammar, names: Iterable[str]) -> Iterator[Diagnostic]:
    from ein.grammar.architecture import architecture_term, unsized

    for name in names:
        arch = grammar.architectures[name]
        if arch.input is None:
            [missing] = unsized(grammar, arch).diagnostics
            message = f"{missing.message}, so whether it type-checks was not tried"
            yield replace(missing, code="W701", message=message, severity="note")
            continue
        try:
            architecture_term(grammar, name)
        except EinError as error:
            yield from error.diagnostics


def _endless(grammar: Grammar, space: Space) -> list[Diagnostic]:
    """Rules all of whose alternatives need themselves."""
    found = []
    seen = set()
    never = {instance.rule.name for instance in space.instances.values() if instance.minimum == inf}
    for instance in space.instances.values():
        name = instance.rule.name
        if instance.minimum == inf and name not in seen and not instance.rule.anonymous:
            seen.add(name)
            if instance in space.refused or name in _mentioned(grammar, _used(grammar, name), never):
                found.append(_never_ends(instance, space))
    unused = [r for r in grammar.rules.values() if not _reached(r, space, grammar)]
    for rule in unused:
        message = f"`{rule.name}` is not reached from `{grammar.start}`"
        found.append(Diagnostic("W501", message, rule.span, severity="warning"))
    return found


def _never_ends(instance: Instance, space: Space) -> Diagnostic:
    refused = space.refused.get(instance)
    if refused:
        message = f"no alternative of `{instance!r}` can be taken: {refused[0].reason}"
        return Diagnostic("E501", message, refused[0].span or instance.rule.span)
    message = f"`{instance!r}` never ends: every alternative needs a rule that never ends"
    help = "give it an alternative that holds operators only"
    return Diagnostic("E501", message, instance.rule.span, help=help)


def _reached(rule: cfg.Rule, space: Space, grammar: Grammar) -> bool:
    if rule.anonymous or rule.name.startswith("arch "):
        return True
    return rule.name in {name for name, _ in space.instances} or rule.name in _mentioned(
        grammar, [space.start.rule.name], grammar.rules
    )


def _mentioned(grammar: Grammar, begin: Iterable[str], among: Container[str]) -> set[str]:
    """Rules that can be reached by name alone, whatever the parameters, on a way through rules of `among`."""
    found: set[str] = set()
    stack = list(begin)
    while stack:
        name = stack.pop()
        if name not in found and name in among:
            found.add(name)
            stack += _used(grammar, name)
    return found


def _used(grammar: Grammar, name: str) -> list[str]:
    return [used for alternative in grammar.rules[name].alternatives for used in _rules_of(alternative.body)]


def _rules_of(term: cfg.Term) -> list[str]:
    if isinstance(term, cfg.RuleUse):
        return [term.rule]
    return [name for part in cfg.parts(term) for name in _rules_of(part)]


def _weights(grammar: Grammar) -> Iterator[Diagnostic]:
    """Percentages of one rule that come to more than 100 %, or leave nothing to the others."""
    for rule in grammar.rules.values():
        values = []
        for alternative in rule.alternatives:
            weight = alternative.weight
            if weight is not None and weight.names <= set(grammar.env):
                try:
                    value = weight.evaluate(grammar.env)
                except Inapplicable as error:
                    yield Diagnostic("E503", error.reason, error.span or weight.expr.span)
                    continue
                if isinstance(value, Percentage):
                    values.append((value, weight))
        total = sum(value for value, _ in values)
        if total > 1 + 1e-9:
            message = f"the percentages of `{rule.name}` come to {100 * total:.6g}%"
            yield Diagnostic(
                "W502", message, values[-1][1].expr.span, severity="warning", help="they are scaled to 100%"
            )
        elif total > 1 - 1e-9 and len(values) < len(rule.alternatives):
            message = f"the percentages of `{rule.name}` come to 100%, so its other alternatives are never drawn"
            yield Diagnostic("W502", message, values[-1][1].expr.span, severity="warning")


def _untried(grammar: Grammar) -> Diagnostic:
    message = f"`{grammar.name}` does not say its input, so whether its terms type-check was not tried"
    span = grammar.rules[grammar.start].span if grammar.start else None
    return Diagnostic("W701", message, span, help="write `input im[3, 32, 32]`", severity="note")


def _trial(sampler: Sampler) -> list[Diagnostic]:
    """A short try at drawing: if nothing fits and types are to blame, that is an error."""
    try:
        sampler.draw(seed=0, attempts=TRIAL, seconds=2.0)
    except EinError as error:
        if error.diagnostics[0].code != "E704":
            return list(error.diagnostics)
        only_types = all(kind in ("type", "goal", "dead") for kind, _ in sampler.failures)
        finding = error.diagnostics[0]
        if only_types:
            return [Diagnostic("E704", finding.message, finding.span, finding.label, finding.labels, finding.help)]
        return [
            Diagnostic("W704", finding.message, finding.span, finding.label, finding.labels, finding.help, "warning")
        ]
    return []
