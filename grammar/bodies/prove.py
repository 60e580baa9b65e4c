"""A signature is a claim, and here it is tested: does the body give what the signature says?

The uses of `ein.grammar.bodies.trials` go through the body by the shape rules of `ein.grammar.bodies.elaborate`,
without torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import TypeAlias

from ein.grammar.bodies.trials import Trial, apart, at_the_edge
from ein.grammar.cfg import Operator, value_text
from ein.grammar.diagnostics import Diagnostic, EinError, Label
from ein.grammar.numbers import Inapplicable
from ein.grammar.patterns import Kinds
from ein.grammar.types import elements

FAILURES = 8
"""Uses that fail, of which the plainest is told."""

Failure: TypeAlias = tuple[Trial, Inapplicable]


def prove(overloads: tuple[Operator, ...], kinds: Kinds) -> list[Diagnostic]:
    """What is wrong with the overloads of one operator."""
    own = [operator for operator in overloads if operator.host is None]  # others are tested when they are registered
    return [found for operator in own if (found := _prove_one(operator, kinds)) is not None]


def _prove_one(operator: Operator, kinds: Kinds) -> Diagnostic | None:
    if _stands(operator, kinds):
        return None
    try:
        tested, failures = _tested(apart(operator, kinds))
        if failures:  # looked on for a plainer one
            _, failures = _tested(apart(operator, kinds, 2))
        else:
            more, failures = _tested(at_the_edge(operator, kinds))
            tested += more
    except EinError as error:
        return error.diagnostics[0]
    if failures:
        return _refuted(operator, *min(failures, key=lambda failure: plainness(failure[0])))
    if not tested:
        text = f"no sizes were found that fit the signature and guards of `{operator.name}`"
        return Diagnostic("W401", text, operator.declaration.span, severity="warning")
    return None


def _stands(operator: Operator, kinds: Kinds) -> bool:
    """Whether there are uses, and none fails, of those that are enough to find that some do."""
    try:
        tested, failures = _tested(chain(apart(operator, kinds, brief=True), at_the_edge(operator, kinds, brief=True)))
    except EinError:
        return False
    return tested > 0 and not failures


def _tested(trials: Iterable[Trial]) -> tuple[int, list[Failure]]:
    """How many uses were asked for, and those that fail, of which `FAILURES` are enough. What was drawn before is not
    tried again."""
    tested = 0
    seen = set()
    failures: list[Failure] = []
    for trial in trials:
        tested += 1
        use = (trial.applied.input, *trial.applied.arguments.values())
        if use in seen:
            continue
        seen.add(use)
        try:
            trial.applied.try_body()
        except Inapplicable as error:
            failures.append((trial, error))
        if len(failures) >= FAILURES:
            break
    return tested, failures


def plainness(trial: Trial) -> tuple[bool, int]:
    """Sorts first what shows a mistake best: no argument that is 0, small sizes."""
    return any(value == 0 and type(value) is int for value in trial.given.values()), elements(trial.applied.input)


def use_text(trial: Trial) -> str:
    """`im[2, 3, 5] with k = 3`."""
    arguments = ", ".join(f"{name} = {value_text(value)}" for name, value in trial.applied.arguments.items())
    return f"{trial.applied.input!r}" + (f" with {arguments}" if arguments else "")


def _refuted(operator: Operator, trial: Trial, error: Inapplicable) -> Diagnostic:
    declaration = operator.declaration
    body = declaration.body
    assert body is not None
    message = f"the body of `{operator.name}` does not give what its signature says"
    label = Label(declaration.output.span, f"{trial.applied.output!r} at {use_text(trial)}")
    return Diagnostic("E401", message, error.span or body.span, error.reason, (label,))
