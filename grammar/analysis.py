"""What can be said of a grammar before anything is drawn from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import inf

from ein.grammar import cfg
from ein.grammar.cfg import Grammar
from ein.grammar.diagnostics import Diagnostic, EinError
from ein.grammar.numbers import Inapplicable, Percentage
from ein.grammar.sample import Sampler
from ein.grammar.space import Space
from ein.grammar.steps import Instance, has_rule

TRIAL = 400
"""Attempts after which a space without a single derivation is reported."""


def analyse(grammar: Grammar) -> list[Diagnostic]:
    """Architectures that do not type-check, rules that never end, weights, spaces that look empty."""
    found = list(_architectures(grammar, grammar.architectures))
    found += _weights(grammar)
    if grammar.start is not None:
        try:
            endless = _endless(grammar)
            found += endless
            if grammar.input is not None and not any(d.severity == "error" for d in found):
                found += _trial(grammar)
        except EinError as error:
            found += error.diagnostics
    return found


def mistyped(grammar: Grammar) -> list[Diagnostic]:
    """Of a file with errors elsewhere: the architectures without rules that do not type-check."""
    alone = [
        name
        for name, arch in grammar.architectures.items()
        if not any(has_rule(alternative.body) for alternative in grammar.rules[arch.rule].alternatives)
    ]
    return list(_architectures(grammar, alone))


def _architectures(grammar: Grammar, names: Iterable[str]) -> Iterator[Diagnostic]:
    from ein.grammar.architecture import architecture_term

    for name in names:
        try:
            architecture_term(grammar, name)
        except EinError as error:
            yield from error.diagnostics


def _endless(grammar: Grammar) -> list[Diagnostic]:
    """Rules all of whose alternatives need themselves."""
    space = Space(grammar)
    space.settle()
    found = []
    seen = set()
    for instance in space.instances.values():
        if instance.minimum == inf and instance.rule.name not in seen and not instance.rule.anonymous:
            seen.add(instance.rule.name)
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
    return rule.name in {name for name, _ in space.instances} or rule.name in _mentioned(grammar)


def _mentioned(grammar: Grammar) -> set[str]:
    """Rules that can be reached by name alone, whatever the parameters."""
    found: set[str] = set()
    stack = [grammar.start] if grammar.start else []
    while stack:
        name = stack.pop()
        if name in found or name is None or name not in grammar.rules:
            continue
        found.add(name)
        for alternative in grammar.rules[name].alternatives:
            stack += _rules_of(alternative.body)
    return found


def _rules_of(term: cfg.Term) -> list[str]:
    match term:
        case cfg.RuleUse(rule):
            return [rule]
        case cfg.Series(parts) | cfg.Parallel(parts):
            return [name for part in parts for name in _rules_of(part)]
        case cfg.Copies(body) | cfg.Repeated(body) | cfg.Expanded(_, body):
            return _rules_of(body)
        case cfg.Use():
            return []


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


def _trial(grammar: Grammar) -> list[Diagnostic]:
    """A short try at drawing: if nothing fits and types are to blame, that is an error."""
    sampler = Sampler.of(grammar)
    try:
        sampler.draw(seed=0, attempts=TRIAL, seconds=2.0)
    except EinError as error:
        if error.diagnostics[0].code != "E704":
            return list(error.diagnostics)
        only_types = all(kind in ("type", "goal") for kind, _ in sampler.failures)
        finding = error.diagnostics[0]
        if only_types:
            return [Diagnostic("E704", finding.message, finding.span, finding.label, finding.labels, finding.help)]
        return [
            Diagnostic("W704", finding.message, finding.span, finding.label, finding.labels, finding.help, "warning")
        ]
    return []
