"""The warning about a grammar whose networks have no finite expected size, and what would give them one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from math import ceil, floor

from ein.grammar.analyses.criticality import Growth, Recursion, chances
from ein.grammar.analyses.partial import Node
from ein.grammar.cfg import Grammar, Rule
from ein.grammar.diagnostics import Diagnostic, Severity

CRITICAL = 1 - 1e-9
"""At a radius of exactly 1 every derivation ends, and the expected size is infinite all the same."""

BISECTIONS = 14
CANDIDATES = 6
"""Alternatives that are tried for a weight that would do."""


def supercritical(grammar: Grammar, growth: Growth) -> Diagnostic | None:
    """W503 if the network as built has no finite expected size; a note where a limit bounds the modules."""
    worst = max(growth.recursions(True), key=lambda found: found.radius, default=None)
    if worst is None or worst.radius < CRITICAL:
        return None
    blamed = max(worst.matrix, key=lambda node: worst.matrix[node].get(node, 0.0))
    rule = _named(grammar, blamed[0])
    message = (
        f"the expected size has no bound: a use of `{rule.name}` makes {worst.radius:.2f} further uses as built, "
        f"{growth.drawn:.2f} as drawn"
    )
    bound = grammar.limits.modules
    bounds = "or bound the space: `limit modules <= 500`" if bound is None else f"`limit modules <= {bound}` bounds it"
    severity: Severity = "warning" if bound is None else "note"
    for candidate in islice(_candidates(growth, worst, blamed), CANDIDATES):
        enough = candidate.threshold(growth)
        if enough is not None:
            span = grammar.rules[candidate.rule].alternatives[candidate.index].span
            label = f"drawn with {_percent(candidate.share)}"
            direction = "more" if candidate.ends else "less"
            help = f"with {enough} or {direction} it is finite; {bounds}"
            return Diagnostic("W503", message, span, label, help=help, severity=severity)
    return Diagnostic("W503", message, rule.span, help=bounds.removeprefix("or "), severity=severity)


def _named(grammar: Grammar, name: str) -> Rule:
    """The rule that a reader knows: that of a group is the one around it."""
    return grammar.rules.get(name.partition("/")[0], grammar.rules[name])


class _Candidate:
    """An alternative that `ends` the recursion, to be drawn more often, or one that feeds it, less often."""

    def __init__(self, rule: str, index: int, share: float, inside: float) -> None:
        self.rule = rule
        self.index = index
        self.share = share
        self.ends = not inside
        self.feed = share * inside

    def threshold(self, growth: Growth) -> str | None:
        """The percentage from which on, or up to which, the expected size is finite; rounded to the safe side."""

        def finite(share: float) -> bool:
            return growth.reweighed(self.rule, self.index, share).built < CRITICAL

        endless, enough = self.share, 1.0 if self.ends else 0.0
        if not finite(enough):
            return None
        for _ in range(BISECTIONS):
            middle = (endless + enough) / 2
            endless, enough = (endless, middle) if finite(middle) else (middle, enough)
        return _rounded(enough, ceil if self.ends else floor, finite)


def _rounded(share: float, towards: Callable[[float], int], finite: Callable[[float], bool]) -> str:
    for digits in (0, 1):
        found = towards(100 * share * 10**digits) / 10**digits
        if 0 < found < 100 and finite(found / 100):
            return f"{found:.{digits}f}%"
    return _percent(share)


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _candidates(growth: Growth, recursion: Recursion, blamed: Node) -> Iterator[_Candidate]:
    """Those of the rule to blame before others, those that end it before those that feed it, the likely ones first."""
    found = []
    for node in recursion.members:
        alternatives = growth.alternatives[node]
        for alternative, share in zip(alternatives, chances(alternatives), strict=True):
            inside = sum(alternative.mean.built.rules.get(other, 0.0) for other in recursion.members)
            candidate = _Candidate(node[0], alternative.index, share, inside)
            key = (not candidate.ends, node[0] != blamed[0], -candidate.feed, -share, alternative.index)
            found.append((key, candidate))
    found.sort(key=lambda pair: pair[0])
    seen = set()
    for _, candidate in found:
        if (candidate.rule, candidate.index) not in seen:
            seen.add((candidate.rule, candidate.index))
            yield candidate
