"""The weights of alternatives, as probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from ein.grammar import cfg
from ein.grammar.diagnostics import fail
from ein.grammar.numbers import Formula, Inapplicable, Percentage

Group: TypeAlias = tuple[float, bool, list[float]]
"""The weight of an alternative, whether it is a percentage, and the weights of its values."""


def weigh(alternative: cfg.Alternative, env: Mapping[str, Any], own: Sequence[tuple[tuple[Any, ...], float]]) -> Group:
    """Of an alternative with the values that its choices can take, each with its weight.

    A weight that depends on the choices is asked for each of their values, and the sum counts.
    Raises EinError where there is no weight.
    """
    weights = [weight for _, weight in own]
    if alternative.each:
        return sum(weights), False, weights
    if alternative.weight is None:
        return 1.0, False, weights
    names = [choice.name for choice in alternative.choices]
    if alternative.weight.names & set(names):
        filled = [{**env, **dict(zip(names, values, strict=True))} for values, _ in own]
        weights = [w * _weight(alternative.weight, full) for w, full in zip(weights, filled, strict=True)]
        return sum(weights), False, weights
    value = _weight(alternative.weight, env)
    return value, isinstance(value, Percentage), weights


def _weight(weight: Formula, env: Mapping[str, Any]) -> float:
    """Raises EinError: what applies must have a weight."""
    try:
        value = weight.evaluate(env)
    except Inapplicable as error:
        raise fail("E503", error.reason, error.span or weight.expr.span) from None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        text = f"a weight is a number of at least 0, not {cfg.value_text(value)}"
        raise fail("E503", text, weight.expr.span)
    return value


def shares(groups: Sequence[Group]) -> Iterator[float]:
    """The probability of every value of every alternative; percentages that are too much or alone are not scaled."""
    percent = sum(weight for weight, is_percent, _ in groups if is_percent)
    plain = sum(weight for weight, is_percent, _ in groups if not is_percent)
    remainder = max(0.0, 1.0 - percent)
    for weight, is_percent, values in groups:
        whole = weight if is_percent else (remainder * weight / plain if plain else 0.0)
        inside = sum(values)
        yield from (whole * value / inside if inside else 0.0 for value in values)
