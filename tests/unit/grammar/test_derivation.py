"""Derivations: traces that read back, ids, probabilities, and the same everything for the same seed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from math import isclose, log10
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ein.grammar import term as t
from ein.grammar.cfg import Limits
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations import sample
from ein.grammar.derivations.derivation import Choices, Derivation, read_trace, replay, trace_text
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source
from ein.grammar.numbers import Inapplicable, Order

SCRIPT = """
from ein.grammar.check import load_grammar
from ein.grammar.derivations.sample import Sampler
for d in Sampler.of(load_grammar("einspace")).samples(200, seed=5):
    print(d.id, d.trace, d.text, d.type, d.cost, d.log10_probability, sep="|")
"""

HEAD = "ein 1\nimport std\ninput im[4, 8, 8]\n"


@cache
def draws() -> tuple[Derivation, ...]:
    return tuple(Sampler.of(load_grammar("einspace")).samples(200, seed=5))


def lines(derivations: Iterable[Derivation]) -> list[str]:
    return [f"{d.id}|{d.trace}|{d.text}|{d.type}|{d.cost}|{d.log10_probability}" for d in derivations]


def printed(hash_seed: str) -> list[str]:
    paths = [str(Path(entry).resolve()) for entry in sys.path if entry]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


# --- the same seed


def test_two_processes_with_different_hashes_draw_the_same() -> None:
    assert printed("1") == printed("4242") == lines(draws())


def test_a_draw_depends_on_seed_and_number_alone() -> None:
    sampler = Sampler.of(load_grammar("einspace"))
    for index in (199, 3, 77, 0):
        assert sampler.draw(5, index) == draws()[index]
    assert sampler.draw(6, 3) != draws()[3]


def test_emptied_tables_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = Sampler.of(load_grammar("einspace"))
    found = []
    for index in range(60):
        sampler.space.clear()
        found.append(sampler.draw(5, index))
    assert lines(found) == lines(draws()[:60])
    assert sampler.space.entries < 20_000
    monkeypatch.setattr(sample, "MAX_ENTRIES", 300)
    assert lines(Sampler.of(load_grammar("einspace")).samples(60, seed=5)) == lines(draws()[:60])


def test_seeds_and_draws_differ() -> None:
    sampler = Sampler.of(load_grammar("einspace"))
    assert len({sampler.draw(seed, size=(8, 60)).id for seed in range(40)}) > 35
    assert len({sampler.draw(0, index, size=(8, 60)).id for index in range(40)}) > 35


# --- traces


def test_traces_read_back_and_replay_to_the_same_network() -> None:
    for d in draws():
        assert read_trace(d.trace) == d.choices
        again = Derivation(d.space, read_trace(d.trace), d.modules, d.input)
        assert again == d and again.id == d.id
        assert (again.text, again.cost, again.type) == (d.text, d.cost, d.type)
        assert again.cost.modules == d.modules


values = st.one_of(
    st.integers(-(2**62), 2**62),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.permutations([1, 2, 3]).map(Order),
    st.sampled_from(["relu", "gelu"]),
)


@given(st.lists(st.tuples(st.integers(0, 99), st.lists(values, max_size=3).map(tuple)), max_size=8).map(tuple))
def test_any_choices_read_back(choices: Choices) -> None:
    assert read_trace(trace_text(choices)) == choices


@given(st.one_of(st.text(max_size=60), st.text("0123456789:,(). -e²x", max_size=60)))
def test_any_text_is_a_trace_or_a_value_error(text: str) -> None:
    try:
        choices = read_trace(text)
    except ValueError:
        return
    with suppress(Inapplicable):
        replay(draws()[0].space, choices, draws()[0].input)


def test_a_trace_of_another_space_is_refused_with_the_reason() -> None:
    d = draws()[0]
    for choices, words in (
        (d.choices[:-1], "end before"),
        ((*d.choices, (0, ())), "more choices"),
        (((99, ()), *d.choices[1:]), "has no choice"),
        ((), "end before"),
    ):
        with pytest.raises(Inapplicable, match=words):
            replay(d.space, choices, d.input)


def test_the_id_is_of_the_space_and_the_choices() -> None:
    d = draws()[0]
    space, _, digest = d.id.partition(":")
    assert space == f"einspace@{d.space.grammar.digest}"
    assert len(digest) == 16 and len(d.space.grammar.digest) == 8
    assert len({d.id for d in draws()}) == len({d.choices for d in draws()})
    other = load_grammar("einspace", Request(parameters={"classes": 7}))
    assert other.digest != d.space.grammar.digest


def test_comments_and_layout_do_not_change_the_digest() -> None:
    def digest(text: str) -> str:
        return load_grammar(Source("t.ein", HEAD + text)).digest

    assert digest("rule S = relu | norm\n") == digest("# of two\n\n\nrule S\n  = relu   # one\n  | norm\n")
    assert digest("rule S = relu | norm\n") != digest("rule S = norm | relu\n")


# --- probabilities and depth


def test_the_probability_is_the_product_of_the_choices() -> None:
    text = "rule S = A @ 20% | A >> A @ 3 | norm\nrule A = linear(out in {2, 3 @ 3}) | relu\n"
    grammar = load_grammar(Source("t.ein", HEAD + text))
    one = {"linear(2)": 1 / 8, "linear(3)": 3 / 8, "relu": 1 / 2}
    for d in Sampler.of(grammar).samples(100, seed=1):
        parts = d.text.split(" >> ")
        wanted = {1: 0.2 * one.get(parts[0], 0), 2: 0.6 * one.get(parts[0], 0) * one.get(parts[-1], 0)}[len(parts)]
        wanted = wanted or 0.2  # `norm`
        assert isclose(d.log10_probability, log10(wanted), rel_tol=1e-9)


def test_depth_counts_nested_rules_and_neither_groups_nor_macros() -> None:
    text = "def twice(f) = f >> f\nrule S = twice((A | relu)) >> relu\nrule A = B ^ 2 | norm >> B\nrule B = relu * 2"
    grammar = load_grammar(Source("t.ein", HEAD + text.replace("B ^ 2", "clone(2) >> B ^ 2 >> add")))
    depths = {t.depth(d.term): d.text for d in Sampler.of(grammar).samples(100, seed=1)}
    assert set(depths) == {1, 3}
    assert depths[1] == "relu >> relu >> relu"
    shallow = Sampler.of(grammar, Limits(depth=2)).samples(50, seed=1)
    assert {d.text for d in shallow} == {"relu >> relu >> relu"}
