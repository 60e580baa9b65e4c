"""Draws against an enumeration of the stated distribution, which enumeration.py writes anew from its definition.

False alarms are rarer than 1e-6 for each comparison.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from math import log, log10, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from ein.grammar.architecture import architecture
from ein.grammar.cfg import Grammar, Limits
from ein.grammar.check import load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.matching.match import derive
from ein.grammar.numbers import Order

from .enumerated_terms import printed, shown
from .enumerated_types import Type, Value
from .enumeration import Case, Oracle, Use
from .named_cases import NAMED
from .plain_cases import PLAIN

DRAWS = 20_000
FALSE_ALARM = 1e-6
PARSED = 400
"""Derivations of a case that are parsed back."""

CASES = [*PLAIN, *NAMED]
cases = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
named_cases = pytest.mark.parametrize("case", NAMED, ids=[case.name for case in NAMED])


@cache
def expected(case: Case, weight: float = 1.0) -> dict[tuple[Any, ...], tuple[float, Type, str, int]]:
    """Every derivation by its choices: probability given that it fits, output, text, modules."""
    found = Oracle(case, weight).rule(Use("S"), Value(case.input), case.modules, ())
    total = sum(each.p for each in found)
    by_choices = {each.choices: (each.p / total, each.out.type, printed(each.tree), each.used) for each in found}
    assert len(by_choices) == len(found)
    return by_choices


def loaded(case: Case, text: str) -> Grammar:
    """The operators of a case with more text, beside the files that it imports."""
    with TemporaryDirectory() as folder:
        files = {**case.files, "main.ein": f"ein 1\nimport std\n{case.operators}{text}"}
        for name, content in files.items():
            (Path(folder) / name).write_text(content, encoding="utf-8")
        return load_grammar(str(Path(folder) / "main.ein"))


def sampler_of(case: Case, limits: str = "", free: Limits | None = None) -> Sampler:
    limit = f"limit {limits or f'modules <= {case.modules}'}\n"
    return Sampler.of(loaded(case, f"input {shown(case.input)}\n{limit}{case.text}"), free)


@cache
def drawn(case: Case) -> tuple[Any, ...]:
    return tuple(sampler_of(case).samples(DRAWS, seed=7))


def plain(choices: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple((i, tuple(tuple(v) if isinstance(v, tuple) else v for v in values)) for i, values in choices)


def departs(observed: Counter[Any], probabilities: dict[Any, float], least: float = 8.0) -> bool:
    """Pearson's test. A chi-square of k degrees exceeds k + 2 sqrt(k t) + 2 t with probability below exp(-t)
    (Laurent and Massart 2000, lemma 1); values that are expected fewer than `least` times are taken together."""
    n = observed.total()
    bins = [(observed[key], n * p) for key, p in probabilities.items() if n * p >= least]
    rest = (n - sum(o for o, _ in bins), n - sum(e for _, e in bins))
    if rest[1] >= least:
        bins.append(rest)
    statistic = sum((o - e) ** 2 / e for o, e in bins)
    k, t = len(bins) - 1, log(1 / FALSE_ALARM)
    return statistic > k + 2 * sqrt(k * t) + 2 * t


@cases
def test_only_what_can_be_derived_is_drawn_and_reads_as_the_oracle_says(case: Case) -> None:
    table = expected(case)
    for choices, d in {plain(d.choices): d for d in drawn(case)}.items():
        assert choices in table, d.text
        _, out, text, modules = table[choices]
        assert (d.text, d.modules, d.cost.modules) == (text, modules, modules)
        assert repr(d.type) == shown(out)


@cases
def test_draws_follow_the_stated_distribution(case: Case) -> None:
    table = expected(case)
    observed = Counter(plain(d.choices) for d in drawn(case))
    assert not departs(observed, {choices: p for choices, (p, *_) in table.items()})
    sizes: defaultdict[int, float] = defaultdict(float)
    for p, _, _, modules in table.values():
        sizes[modules] += p
    assert not departs(Counter(d.modules for d in drawn(case)), sizes)


@cases
def test_a_weight_that_is_wrong_by_a_fifth_is_seen(case: Case) -> None:
    """Each grammar has one weight planted; the draws of the true one must not pass for it."""
    table = expected(case, 1.2)
    observed = Counter(plain(d.choices) for d in drawn(case))
    first: defaultdict[Any, float] = defaultdict(float)
    for choices, (p, *_) in table.items():
        first[choices[0][0]] += p
    tops: Counter[Any] = Counter(choices[0][0] for choices in observed.elements())
    whole = departs(observed, {choices: p for choices, (p, *_) in table.items()})
    assert whole or departs(tops, first)


@cases
def test_probabilities_of_single_derivations(case: Case) -> None:
    """`log10_probability` is of the choices alone: ratios are those of the oracle."""
    table = expected(case)
    some = sorted({d: None for d in drawn(case)}, key=lambda d: d.trace)[:40]
    shift = [log(table[plain(d.choices)][0]) / log(10) - d.log10_probability for d in some]
    assert max(shift) - min(shift) < 1e-9


def replayed(case: Case) -> Iterator[tuple[Derivation, tuple[float, Type, str, int]]]:
    """Everything that the oracle enumerates, as derivations of ein; raises where one is none."""
    sampler = sampler_of(case)
    assert sampler.grammar.input is not None
    for choices, row in expected(case).items():
        made = tuple((i, tuple(Order(v) if isinstance(v, tuple) else v for v in values)) for i, values in choices)
        yield Derivation(sampler.space, made, row[3], sampler.grammar.input), row


@named_cases
def test_everything_that_is_enumerated_is_a_derivation_with_the_same_term(case: Case) -> None:
    """Its text, type, modules and probability, up to the one factor that all share."""
    shifts = []
    for derivation, (p, out, text, modules) in replayed(case):
        assert (derivation.text, repr(derivation.type), derivation.cost.modules) == (text, shown(out), modules)
        shifts.append(log10(p) - derivation.log10_probability)
    assert len(shifts) >= 50
    assert max(shifts) - min(shifts) < 1e-9


@named_cases
def test_everything_that_is_printed_is_parsed_back(case: Case) -> None:
    derivations = [derivation for derivation, _ in replayed(case)]
    space = derivations[0].space
    for derivation in derivations[:: max(1, len(derivations) // PARSED)]:
        assert derive(space, derivation.term).text == derivation.text
    texts = sorted({derivation.text for derivation in derivations})
    texts = texts[:: max(1, len(texts) // PARSED)]
    nets = loaded(case, "".join(f"arch n{i} : {shown(case.input)} -> _ = {text}\n" for i, text in enumerate(texts)))
    for i, text in enumerate(texts):
        parsed = architecture(nets, f"n{i}")
        assert parsed.text == text
        assert derive(space, parsed.term).text == text


def test_everything_that_can_be_derived_is_drawn() -> None:
    """Where all is likely enough: drawn and enumerated are the same set."""
    for case in CASES:
        small = replace(case, modules=3 if case in PLAIN else 5)
        table = expected(small)
        sampler = sampler_of(small)
        likely = {choices for choices, (p, *_) in table.items() if p > 0.004}
        seen = {plain(d.choices) for d in sampler.samples(6000, seed=3)}
        assert likely <= seen <= set(table)  # one of probability 0.004 stays away from 6,000 draws with 4e-11


def test_a_window_of_sizes_is_the_same_distribution_given_the_size() -> None:
    case = CASES[0]
    sampler = sampler_of(case, "modules <= 500")
    observed = Counter(plain(d.choices) for d in sampler.samples(6000, seed=5, size=(3, 5)))
    window = {choices: p for choices, (p, _, _, n) in expected(replace(case, modules=5)).items() if n >= 3}
    total = sum(window.values())
    assert not departs(observed, {choices: p / total for choices, p in window.items()})


def test_limits_on_cost_only_cut() -> None:
    """A limit on parameters keeps the ratios of what stays."""
    case = CASES[0]
    limits = "modules <= 4, params <= 20"
    draws = list(sampler_of(case, limits).samples(6000, seed=5))
    assert max(d.cost.parameters for d in draws) <= 20
    free = sampler_of(case, limits, Limits(modules=4, elements=None))
    parameters = {plain(d.choices): d.cost.parameters for d in free.samples(6000, seed=6)}
    table = expected(replace(case, modules=4))
    kept = {c: p for c, (p, *_) in table.items() if p > 0.002 and parameters[c] <= 20}
    observed = Counter({c: n for c, n in Counter(plain(d.choices) for d in draws).items() if c in kept})
    assert not departs(observed, {c: p / sum(kept.values()) for c, p in kept.items()})
