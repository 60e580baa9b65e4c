"""What a grammar comes to: how large it is, how it grows, and what a few hundred draws show.

Everything here is a function of the grammar alone, so it is the same on every day and machine.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from ein.grammar import cfg
from ein.grammar.analyses.criticality import growth
from ein.grammar.analyses.reach import reach
from ein.grammar.analyses.supercritical import supercritical
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Diagnostic, EinError, Span
from ein.grammar.minima import settle
from ein.grammar.space import Space

DRAWS = 400
SEED = 0
ATTEMPTS = 4_000
"""After so many no more is drawn, however few succeeded."""

MODULES = 2_000
"""The limit on a draw where the grammar has none."""

QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True, slots=True)
class DeadEnds:
    """Attempts that ended alike: the share of all attempts, why (a key of `DEAD_ENDS`), and where in the file."""

    share: float
    kind: str
    span: Span | None

    @property
    def line(self) -> int | None:
        return None if self.span is None else self.span.source.position(self.span.start)[0]


@dataclass(frozen=True, slots=True)
class Measured:
    """Of the draws with seed 0: `sizes` are the modules at `QUANTILES`; empty where no attempt succeeded."""

    draws: int
    attempts: int
    sizes: tuple[int, ...]
    dead_ends: tuple[DeadEnds, ...]

    @property
    def acceptance(self) -> float:
        return self.draws / self.attempts if self.attempts else 0.0


@dataclass(frozen=True, slots=True)
class Statistics:
    """Radii and sizes as drawn (a copied part once) and as built; a size is inf where it has no mean."""

    name: str
    rules: int
    alternatives: int
    operators: int
    radius_drawn: float
    radius_built: float
    size_drawn: float
    size_built: float
    growth: Diagnostic | None
    measured: Measured | None

    def to_json(self) -> dict[str, Any]:
        measured = self.measured
        return {
            "name": self.name,
            "rules": self.rules,
            "alternatives": self.alternatives,
            "operators": self.operators,
            "spectral_radius": {"drawn": self.radius_drawn, "built": self.radius_built},
            "expected_modules": {"drawn": _finite(self.size_drawn), "built": _finite(self.size_built)},
            "growth": None if self.growth is None else self.growth.to_json(),
            "measured": None if measured is None else _measured_json(measured),
        }


def _finite(number: float) -> float | None:
    return None if number == inf else number


def _measured_json(measured: Measured) -> dict[str, Any]:
    return {
        "seed": SEED,
        "draws": measured.draws,
        "attempts": measured.attempts,
        "acceptance": measured.acceptance,
        "modules": {f"{q:g}": size for q, size in zip(QUANTILES, measured.sizes, strict=False)},
        "dead_ends": [{"share": end.share, "kind": end.kind, "line": end.line} for end in measured.dead_ends],
    }


def statistics(grammar: cfg.Grammar) -> Statistics | None:
    """None for a file without rules to draw from. Raises EinError where it is not known how to draw."""
    if grammar.start is None:
        return None
    space = Space(grammar)
    settle(space)
    reached = reach(space) if grammar.input is not None else None
    grown = growth(space, reached.dead if reached is not None else ())
    rules = [rule for rule in grammar.rules.values() if not rule.name.startswith("arch ")]
    return Statistics(
        grammar.name,
        sum(not rule.anonymous for rule in rules),
        sum(len(rule.alternatives) for rule in rules),
        len({name for rule in rules for a in rule.alternatives for name in _operators(a.body)}),
        grown.drawn,
        grown.built,
        grown.expected_size(False),
        grown.expected_size(True),
        supercritical(grammar, grown),
        None if grammar.input is None else _measure(grammar, space),
    )


def _operators(term: cfg.Term) -> set[str]:
    if isinstance(term, cfg.Use):
        return {term.overloads[0].name}
    return {name for part in cfg.parts(term) for name in _operators(part)}


def _measure(grammar: cfg.Grammar, space: Space) -> Measured:
    limits = grammar.limits
    if limits.modules is None:
        limits = replace(limits, modules=MODULES)
    sampler = Sampler(grammar, limits, space)
    sizes = []
    for index in range(DRAWS):
        left = ATTEMPTS - sampler.attempts
        try:
            if left:
                sizes.append(sampler.draw(SEED, index, attempts=left, seconds=inf).modules)
        except EinError as error:
            if error.diagnostics[0].code == "E503":
                raise
    sizes.sort()
    quantiles = tuple(sizes[round(q * (len(sizes) - 1))] for q in QUANTILES) if sizes else ()
    return Measured(len(sizes), sampler.attempts, quantiles, _dead_ends(sampler))


def _dead_ends(sampler: Sampler) -> tuple[DeadEnds, ...]:
    """The most frequent first. A limit is one cause; types do not fit at a place."""
    found: Counter[tuple[str, Span | None]] = Counter()
    for (kind, span), times in sampler.failures.items():
        found[(kind, span if kind in ("type", "goal", "dead") else None)] += times
    ends = [DeadEnds(times / sampler.attempts, kind, span) for (kind, span), times in found.items()]
    return tuple(sorted(ends, key=lambda end: (-end.share, end.kind, end.span.start if end.span else -1)))
