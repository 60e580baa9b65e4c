"""Instances, minima, weights and repeats: what must hold before and while drawing."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import pytest

from ein.grammar.architecture import architecture
from ein.grammar.check import Request, check, load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Diagnostic, EinError, Source
from ein.grammar.term import walk
from ein.grammar.types import tensor

HEAD = "ein 1\nimport std\ninput im[4, 8, 8]\n"


def sampler(rules: str) -> Sampler:
    return Sampler.of(load_grammar(Source("t.ein", HEAD + rules)))


def only(text: str) -> Diagnostic:
    [found] = check(Source("t.ein", text))[1]
    return found


# --- rules and their instances


def test_parameters_that_grow_are_named() -> None:
    found = only(f"{HEAD}rule S = A(1, 7)\nrule A(n, m) = relu | A(n + 1, m)")
    assert (found.code, found.message) == ("E504", "the rules have more than 10,000 forms; the last is of `A`")
    assert found.help == "`n` took 9,999 values: bound it with a guard"


def test_a_long_chain_of_instances_is_settled_in_its_length() -> None:
    began = perf_counter()
    made = sampler("rule S = A(1)\nrule A(n) = relu if n == 3000 | relu >> A(n + 1) if n < 3000")
    assert made.space.start.minimum == 3000
    assert perf_counter() - began < 60  # hangs otherwise


def test_minima_are_the_fewest_modules() -> None:
    rules = (
        "rule S = A >> B | C\nrule A = relu >> norm | A >> A\nrule B = clone(3) >> A ^ 3 >> add\nrule C = B * {2..4}"
    )
    made = sampler(rules)
    assert {repr(i): i.minimum for i in made.space.instances.values()} == {"S": 10, "A": 2, "B": 8, "C": 16}
    assert min(d.modules for d in made.samples(500, seed=1)) == 10


def test_a_rule_that_never_ends_is_told() -> None:
    found = check(Source("t.ein", f"{HEAD}rule S = relu >> A\nrule A = norm >> S | S >> S"))[1]
    assert [(d.code, d.message) for d in found] == [
        ("E501", f"`{name}` never ends: every alternative needs a rule that never ends") for name in ("S", "A")
    ]


def test_the_start_has_no_parameters_however_it_is_named() -> None:
    assert only(f"{HEAD}rule S(n) = relu * n").code == "E504"
    assert only(f"{HEAD}rule S = relu\nrule T(n) = relu * n\nstart T").code == "E504"


# --- weights


@pytest.mark.parametrize(
    ("weight", "text"),
    [
        ("1 // 0", "a division by zero"),
        ("-1", "a weight is a number of at least 0, not -1"),
        ("p // 0", "a division by zero"),
        ("p - 5", "a weight is a number of at least 0, not -2"),
        ("rank - 5", "a weight is a number of at least 0, not -2"),
        ("true", "a weight is a number of at least 0, not true"),
        ("1 / (rank - 3)", "a division by zero"),
    ],
)
def test_a_weight_that_is_none_is_an_error_at_its_place(weight: str, text: str) -> None:
    found = only(f"ein 1\ngrammar g(p = 3)\nimport std\ninput im[4, 8, 8]\nrule S = relu @ {weight} | norm")
    assert (found.code, found.message) == ("E503", text)
    assert found.span is not None and found.span.source.position(found.span.start)[0] == 5


def test_many_alternatives_take_time_in_their_number() -> None:
    began = perf_counter()
    made = sampler("rule S = " + " | ".join(["relu", "norm"] * 5000))
    assert made.draw(0).modules == 1
    assert perf_counter() - began < 60  # hangs otherwise


# --- repeats


def test_a_repeated_rule_keeps_the_type_with_its_structure() -> None:
    """Without the grid the second copy of this very term would not type-check."""
    rules = "rule N = im2col(1) >> (M >> relu) * 2\nrule M = relu | col2im >> im2col(1) >> split(2, 1) >> concat(1)"
    drawn = {d.text for d in sampler(rules).samples(200, seed=1)}
    assert drawn == {"im2col(1) >> (relu >> relu) * 2"}


def test_a_repeat_without_rules_is_typed_copy_by_copy() -> None:
    text = "arch a = im2col(1) >> (split(2, 1) >> concat(1) >> linear(4)) * 3 >> linear(5) * 2"
    made = architecture(load_grammar(Source("t.ein", HEAD + text)))
    assert repr(made.type) == "seq[64, 5]"
    assert made.cost.parameters == 3 * 20 + (4 * 5 + 5) + (5 * 5 + 5)


@pytest.mark.parametrize("text", ["relu * 4096 * 100", "(relu >> norm) * 4096 * 100"])
def test_a_repeat_that_keeps_the_type_is_kept_once(text: str) -> None:
    made = architecture(load_grammar(Source("t.ein", f"{HEAD}arch a = {text}")))
    assert made.modules == made.cost.modules == (1 + text.count("norm")) * 409_600
    assert sum(1 for _ in walk(made.term)) < 10


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("linear(5) * 4096 * 4096", "operators in a row"),
        ("clone(64) >> clone(65) ^ 64 >> (add ^ 64 & relu)", "a bundle holds at most 4,096 tensors"),
        ("clone(4097) >> add", "2 to 4096"),
        ("relu * 4097", "the number of copies is 1 to 4096"),
        ("relu * 0", "the number of copies is 1 to 4096"),
        ("clone(2) >> relu ^ 1 >> add", "the number of copies is 2 to 4096"),
        ("linear(9999999999)", "2^31"),
        ("linear(10 ** 60)", "64 bits"),
        ("linear(9 ** 9 ** 9 ** 9)", "out of range"),
    ],
)
def test_hostile_sizes_are_refused_at_once(text: str, words: str) -> None:
    began = perf_counter()
    found = only(f"{HEAD}arch a = {text}")
    assert words in f"{found.message} {found.label}"
    assert perf_counter() - began < 60  # hangs otherwise


# --- spaces that do not end


@pytest.mark.parametrize("rule", ["rule S = S >> S @ 99% | identity", "rule S = S @ 100000000 | identity"])
def test_a_space_without_limits_that_does_not_end_is_given_up(rule: str) -> None:
    diagnostics = check(Source("t.ein", f"{HEAD}{rule}"))[1]
    assert {d.code for d in diagnostics} - {"W503"} == {"W704"}
    [found] = [d for d in diagnostics if d.code == "W704"]
    assert found.severity == "warning"
    assert "make more than 1,000,000 choices" in found.message
    assert found.help == 'bound it: --limit "modules <= 500"'


def test_giving_up_says_how_often_and_why() -> None:
    made = Sampler.of(load_grammar("einspace", Request(limits={"modules": 2})))
    with pytest.raises(EinError) as caught:
        made.draw(0, attempts=500)
    [found] = caught.value.diagnostics
    assert found.code == "E704"
    assert found.message == (
        "no derivation of `einspace` was found in 500 attempts; dead ends: 100% have more modules than the limit"
    )
    assert found.help == 'loosen it: --limit "modules <= …"'


def test_arguments_that_a_body_refuses_are_no_alternative() -> None:
    """The signature of `conv` takes a negative padding, torch does not."""
    text = "ein 1\nimport std\ninput im[3, 8, 8]\nrule S = conv(8, p = -1) | relu\n"
    grammar, found = check(Source("g.ein", text))
    assert grammar is not None and {d.text for d in Sampler.of(grammar).samples(20, 0)} == {"relu"}
    assert [warning.code for warning in found] == ["W504"] and "no padding below 0" in found[0].message


def test_a_body_that_refuses_a_type_its_signature_takes_is_said() -> None:
    """Where the sizes that the checker tried did not show it."""
    source = "ein 1\nimport std\nop part : any[*s, d] -> any[*s, d] = relu(x)\ninput seq[4, 8]\nrule S = part\n"
    [part] = load_grammar(Source("g.ein", source)).operators["part"]
    applied = replace(part.apply({}, tensor("seq", (4, 8))), output=tensor("seq", (4, 9)))
    with pytest.raises(EinError, match=r"the signature of `part` takes seq\[4, 8\], and its body does not"):
        _ = applied.checked_body
