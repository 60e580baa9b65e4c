"""`ein check --stats`: the figures of the library's einspace and of a small file, against a golden file.

Rewritten with EIN_REWRITE_GOLDEN=1, and then read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ein.grammar.analyses.statistics import statistics
from ein.grammar.check import load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source

Ein = Callable[..., Any]
GOLDEN = Path(__file__).parents[1] / "golden" / "cli" / "stats.txt"
TIGHT = "ein 1\nimport std\ninput im[4, 8, 8]\noutput vec[4]\nrule S = (relu | conv(8)) >> (pool | flatten)\n"


def test_the_figures_are_those_of_the_golden_file(ein: Ein) -> None:
    ended = ein("check", "einspace", "small.ein", "--stats")
    assert (ended.code, ended.err) == (0, "")
    if os.environ.get("EIN_REWRITE_GOLDEN"):
        GOLDEN.write_text(ended.out, "utf-8")
    assert ended.out == GOLDEN.read_text("utf-8")
    assert ein("check", "einspace", "small.ein", "--stats").out == ended.out


def test_json_holds_diagnostics_and_figures(ein: Ein) -> None:
    ended = ein("check", "small.ein", "zoo/resnet8", "--stats", "--json")
    found = json.loads(ended.out)
    assert set(found) == {"diagnostics", "stats"}
    [small] = found["stats"]  # an architecture alone has none
    assert (small["name"], small["rules"], small["spectral_radius"]["built"]) == ("small", 4, pytest.approx(1 / 3))
    assert small["expected_modules"]["built"] == small["expected_modules"]["drawn"]
    assert small["measured"]["draws"] == 400


def test_a_file_with_errors_has_no_figures(ein: Ein) -> None:
    ended = ein("check", "-", "--stats", stdin=b"ein 1\nimport std\nrule S = reluu\n")
    assert (ended.code, ended.out) == (1, "")


def test_a_size_without_a_mean_is_null(ein: Ein) -> None:
    text = b"ein 1\nimport std\ninput im[4, 8, 8]\nrule S = relu | S >> S\n"
    [found] = json.loads(ein("check", "-", "--stats", "--json", stdin=text).out)["stats"]
    assert found["expected_modules"] == {"drawn": None, "built": None}
    assert (found["growth"]["code"], found["growth"]["severity"]) == ("W503", "warning")


def test_shares_of_dead_ends_and_successes_come_to_one() -> None:
    found = statistics(load_grammar(Source("t.ein", TIGHT)))
    assert found is not None and found.measured is not None
    measured = found.measured
    assert sum(end.share for end in measured.dead_ends) + measured.acceptance == pytest.approx(1)
    assert {(end.kind, end.line) for end in measured.dead_ends} == {("goal", 4)}
    assert measured.acceptance == pytest.approx(0.25, abs=0.05)


def test_the_measured_draws_are_those_of_sample() -> None:
    grammar = load_grammar("einspace")
    found = statistics(grammar)
    assert found is not None and found.measured is not None
    sampler = Sampler.of(grammar)
    sizes = sorted(d.modules for d in sampler.samples(found.measured.draws, seed=0))
    assert found.measured.attempts == sampler.attempts
    assert (found.measured.sizes[0], found.measured.sizes[2], found.measured.sizes[-1]) == (
        sizes[0],
        sizes[round(0.5 * (len(sizes) - 1))],
        sizes[-1],
    )


def test_a_space_in_which_nothing_succeeds_ends_and_says_so() -> None:
    text = "ein 1\nimport std\ninput im[4, 8, 8]\nlimit params <= 2\nrule S = relu >> norm >> softmax\n"
    grammar = load_grammar(Source("t.ein", text))
    found = statistics(grammar)
    assert found is not None and found.measured is not None
    assert (found.measured.draws, found.measured.attempts, found.measured.sizes) == (0, 4000, ())
