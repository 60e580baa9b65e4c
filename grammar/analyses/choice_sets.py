"""Choice sets whose weights or values are hardly meant: percentages of more than 100 %, a value that stands twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ein.grammar import cfg
from ein.grammar.diagnostics import Diagnostic
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Choices, Inapplicable, Percentage


def choice_sets(grammar: cfg.Grammar) -> Iterator[Diagnostic]:
    """W502 and W505 for the sets that the grammar's parameters decide; those that a rule's own decide are left out."""
    for rule in grammar.rules.values():
        for alternative in rule.alternatives:
            for choice in alternative.choices:
                if isinstance(choice.values.expr, s.ChoiceSet) and choice.values.names <= set(grammar.env):
                    yield from _of_set(choice.values, grammar.env)


def _of_set(values: Choices, env: Mapping[str, Any]) -> Iterator[Diagnostic]:
    try:
        found = values.evaluate(env)
    except Inapplicable:
        return  # told where the set is drawn from
    span = values.expr.span
    total = sum(weight for _, weight in found if isinstance(weight, Percentage))
    if total > 1 + 1e-9:
        message = f"the percentages of this choice set come to {100 * total:.6g}%"
        yield Diagnostic("W502", message, span, severity="warning", help="they are scaled to 100%")
    counts = Counter((type(value), value) for value, _ in found)
    for (_, value), times in counts.items():
        if times > 1:
            plain = all(weight == 1 for other, weight in found if other == value)
            weight = f"`@ {times}`" if plain else "the sum of the weights"
            message = f"`{cfg.value_text(value)}` stands {_times(times)} in this choice set"
            help = f"write it once, with {weight}, so that every term has one derivation"
            yield Diagnostic("W505", message, span, severity="warning", help=help)


def _times(times: int) -> str:
    return "twice" if times == 2 else f"{times} times"
