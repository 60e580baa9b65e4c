"""How grammars grow: the mean matrices by hand, expected sizes against draws, and the warning's remedy."""

from __future__ import annotations

from math import inf, sqrt
from statistics import fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ein.grammar.analyses.criticality import Growth, growth
from ein.grammar.analyses.supercritical import supercritical
from ein.grammar.cfg import Limits
from ein.grammar.check import Request, check, declared_grammar, load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Diagnostic, Source
from ein.grammar.minima import settle
from ein.grammar.space import Space

HEAD = "ein 1\nimport std\ninput im[4, 8, 8]\n"
BOUND = "\nlimit modules <= 60"


def source(rules: str) -> Source:
    return Source("t.ein", HEAD + rules)


def grown(what: str | Source, request: Request | None = None) -> Growth:
    space = Space(load_grammar(what, request))
    settle(space)
    return growth(space)


def warned(rules: str) -> list[Diagnostic]:
    return [d for d in check(source(rules))[1] if d.code == "W503"]


def untried(what: str | Source) -> tuple[Growth, Diagnostic | None]:
    """Without the draws that `check` tries."""
    space = Space(declared_grammar(what))
    settle(space)
    found = growth(space)
    return found, supercritical(space.grammar, found)


# --- einspace


def test_einspace_is_subcritical_as_drawn_and_supercritical_as_built() -> None:
    """One M in the mean: C makes none, M >> M two, Route one, Fork 2, 1 or 1 drawn and 2, 4 or 8 built.

    The factor b of a fork is 2, 4 or 8 with equal chances for all types that are divisible alike, and so it is
    where all alternatives count, which is how the figure is made.
    """
    found = grown("einspace")
    assert found.drawn == pytest.approx((1 - 0.32) / 3 * (2 + (2 + 1 + 1) / 3 + 1))
    assert found.built == pytest.approx((1 - 0.32) / 3 * (2 + (2 + 4 + 8) / 3 + 1))
    assert (f"{found.drawn:.2f}", f"{found.built:.2f}") == ("0.98", "1.74")


@pytest.mark.parametrize(("p", "drawn", "built"), [(0.3, 2, 2), (0.31, 1, 2), (0.6, 1, 2), (0.61, 1, 1)])
def test_einspace_is_critical_at_4_of_13_and_14_of_23(p: float, drawn: int, built: int) -> None:
    found = grown("einspace", Request({"p": p}))
    assert (found.drawn > 1, found.built > 1) == (drawn == 2, built == 2)
    assert (found.expected_size(False) == inf, found.expected_size(True) == inf) == (drawn == 2, built == 2)


def test_einspace_makes_56_computations_from_one_module() -> None:
    found = grown("einspace")
    assert 1 / (1 - found.drawn) == pytest.approx(56.25)
    assert found.expected_size(False) == pytest.approx(102)


def test_the_limit_of_einspace_makes_it_a_note_and_names_the_threshold() -> None:
    _, found = untried("einspace")
    assert found is not None and found.span is not None
    assert (found.code, found.severity, found.span.text) == ("W503", "note", "C @ p")
    assert found.help == "with 61% or more it is finite; `limit modules <= 500` bounds it"
    assert check("einspace")[1] == []


# --- the mean matrix


def mean_row(rules: str, rule: str, *values: int) -> tuple[dict[str, float], dict[str, float]]:
    """Uses of rules by one use of a rule, drawn and built."""
    mean = grown(source(rules + BOUND)).means[rule, values]
    return tuple({name: uses for (name, _), uses in side.rules.items()} for side in (mean.drawn, mean.built))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("alternatives", "drawn", "built"),
    [
        ("A >> A | B", {"A": 1, "B": 0.5}, {"A": 1, "B": 0.5}),
        ("A @ 3 | B", {"A": 0.75, "B": 0.25}, {"A": 0.75, "B": 0.25}),
        ("A @ 10% | B @ 2 | norm", {"A": 0.1, "B": 0.6}, {"A": 0.1, "B": 0.6}),
        ("clone(4) >> A ^ 4 >> add | B", {"A": 0.5, "B": 0.5}, {"A": 2, "B": 0.5}),
        ("A * 3", {"A": 1}, {"A": 3}),
        ("A * {1..5}", {"A": 1}, {"A": 3}),
        ("A * {1 @ 3, 5 @ 1}", {"A": 1}, {"A": 2}),
        ("(tied A * 2) * 3", {"A": 1}, {"A": 6}),
        ("for n in {1, 2, 3} : A * n @ each | B", {"A": 0.75, "B": 0.25}, {"A": 1.5, "B": 0.25}),
        ("for n in {1, 3} : A * n @ n | B @ 4", {"A": 0.5, "B": 0.5}, {"A": 1.25, "B": 0.5}),
        ("for n in {1, 2, 3} : A * n @ each if n != 2 | B", {"A": 2 / 3, "B": 1 / 3}, {"A": 4 / 3, "B": 1 / 3}),
        ("clone(2) >> (A & B >> A) >> add", {"A": 2, "B": 1}, {"A": 2, "B": 1}),
        ("residual(A >> B)", {"A": 1, "B": 1}, {"A": 1, "B": 1}),
        ("let x = A, y = x >> B : (x & y) >> add", {"A": 1, "B": 1}, {"A": 1, "B": 1}),
        ("A if rank == 3 | B if rank == 2", {"A": 0.5, "B": 0.5}, {"A": 0.5, "B": 0.5}),
        ("A if 1 > 2 | B", {"B": 1}, {"B": 1}),
    ],
)
def test_a_row_is_what_one_use_makes(alternatives: str, drawn: dict[str, float], built: dict[str, float]) -> None:
    found = mean_row(f"rule S = {alternatives}\nrule A = relu\nrule B = norm", "S")
    assert found[0] == pytest.approx(drawn) and found[1] == pytest.approx(built)


def test_rules_with_parameters_count_by_value() -> None:
    found = grown(source("rule S = A(3)\nrule A(n) = relu if n == 0 | A(n - 1) >> A(n - 1) if n > 0" + BOUND))
    assert found.matrix(True)["A", (3,)] == {("A", (2,)): 2.0}
    assert (found.built, found.expected_size(True)) == (0.0, 8.0)


def test_a_parameter_that_needs_the_type_is_open() -> None:
    """The doubling of channels would make ever new rules; the recursion is seen all the same."""
    rules = "rule S = A\nrule A : im[c, h, w] = B(2 * c)\nrule B(n) = conv(n) >> A | conv(n) >> A >> A | relu"
    found = grown(source(rules + BOUND))
    assert found.built == pytest.approx(1.0)


def test_alternatives_that_nothing_can_come_of_do_not_count() -> None:
    """An image never is a sequence here, so the warning would be a false alarm."""
    assert warned("rule S = transpose >> S >> S >> S | relu") == []
    assert len(warned("rule S = norm >> S >> S >> S | relu")) == 1


# --- expected sizes


@pytest.mark.parametrize(
    "rules",
    [
        "rule S = relu @ 3 | S >> S | clone(2) >> (S & S) >> add",
        "rule S = A * {1..4} >> A\nrule A = relu @ 60% | norm >> A | residual(A >> (relu | A))",
        "rule S = let x = A, y = x >> A : (x & y) >> add\nrule A = relu @ 4 | clone(3) >> A ^ 3 >> add",
    ],
)
def test_the_expected_size_is_the_mean_of_draws(rules: str) -> None:
    """Without types and limits that reject; false alarms are rarer than 1e-6."""
    text = source(rules + "\nlimit modules <= 1M")
    sampler = Sampler.of(load_grammar(text), Limits(elements=None))
    sizes = [d.modules for d in sampler.samples(6000, seed=3)]
    assert sampler.attempts == sampler.drawn
    assert abs(fmean(sizes) - grown(text).expected_size(True)) < 5 * stdev(sizes) / sqrt(len(sizes))


# --- the warning


def test_a_grammar_with_a_limit_is_not_warned_about() -> None:
    assert len(warned("rule S = relu | S >> S")) == 1
    assert warned("rule S = relu | S >> S" + BOUND) == []
    assert warned("rule S = relu @ 51% | S >> S") == []


@pytest.mark.parametrize(
    ("rules", "place", "words"),
    [
        ("rule S = relu | S >> S", "relu", "with 51% or more"),
        ("rule S = relu @ p | S >> S", "relu @ p", "with 51% or more"),
        ("rule S = relu | A\nrule A = S >> S >> S", "relu", "with 67% or more"),
        ("rule S = relu | S * {2..6}", "relu", "with 76% or more"),
        ("rule S = (relu | S >> S) >> (relu | norm)", "relu", "with 51% or more"),
    ],
)
def test_the_remedy_is_a_percentage_at_the_alternative_to_blame(rules: str, place: str, words: str) -> None:
    text = "ein 1\ngrammar g(p = 40%)\nimport std\ninput im[4, 8, 8]\n" + rules
    _, found = untried(Source("t.ein", text))
    assert found is not None and found.span is not None and found.span.text == place
    assert found.help.startswith(words)


@pytest.mark.parametrize(
    ("rules", "help"),
    [
        ("rule S = A >> A >> A\nrule A = relu @ 30% | S @ 70%", "with 67% or more it is finite; "),
        ("rule S = S >> S @ 60% | B @ 40%\nrule B = S | relu >> S | relu", "with 24% or less it is finite; "),
        ("rule S = B | relu\nrule B = B >> B | B >> B >> relu | S", ""),
    ],
)
def test_the_remedy_may_be_in_another_rule(rules: str, help: str) -> None:
    _, found = untried(source(rules))
    assert found is not None
    assert found.help == f"{help}{'or ' if help else ''}bound the space: `limit modules <= 500`"


weights = st.integers(1, 9)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(weights, st.integers(1, 5)), min_size=1, max_size=4), weights)
def test_the_threshold_divides_finite_from_infinite(feeds: list[tuple[int, int]], end: int) -> None:
    """At the percentage that is named the size is finite, and one percent short of it not."""
    fed = " | ".join(f"{' >> '.join(['S'] * times)} >> norm @ {weight}" for weight, times in feeds)
    rules = f"rule S = relu @ {end} | {fed}"
    rate = sum(weight * times for weight, times in feeds) / (end + sum(weight for weight, _ in feeds))
    _, found = untried(source(rules))
    assert (found is not None) == (rate >= 1 - 1e-9)
    if found is not None:
        percent = int(found.help.split("%")[0].removeprefix("with "))
        for share, ends in ((percent, True), (percent - 1, False)):
            again, _ = untried(source(rules.replace(f"relu @ {end}", f"relu @ {share}%", 1)))
            assert (again.built < 1 - 1e-9) == ends
