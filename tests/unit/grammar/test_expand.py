"""Macros, groups and arguments: what terms mean once names are resolved."""

from __future__ import annotations

from collections import Counter

import pytest

from ein.grammar.architecture import architecture
from ein.grammar.check import check, load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Diagnostic, Source

HEAD = "ein 1\nimport std\ninput im[4, 8, 8]\n"


def texts(rules: str, n: int = 300) -> Counter[str]:
    sampler = Sampler.of(load_grammar(Source("t.ein", HEAD + rules)))
    found = list(sampler.samples(n, seed=1))
    assert all(d.modules == d.cost.modules for d in found)
    return Counter(d.text for d in found)


def only(rules: str) -> Diagnostic:
    [found] = check(Source("t.ein", HEAD + rules))[1]
    return found


def arch(text: str) -> str:
    return architecture(load_grammar(Source("t.ein", HEAD + text))).text


# --- macros


def test_a_term_is_copied_and_a_value_drawn_once() -> None:
    copied = texts("def twice(f) = f >> f\nrule S = twice(linear(out in {2, 3}))")
    once = texts("def wide(n) = linear(n) >> linear(n)\nrule S = wide(n in {2, 3})")
    assert set(copied) == {f"linear({a}) >> linear({b})" for a in (2, 3) for b in (2, 3)}
    assert set(once) == {"linear(2) >> linear(2)", "linear(3) >> linear(3)"}


def test_arguments_mean_what_they_mean_where_the_macro_is_called() -> None:
    text = "def inner(f, n) = f(n) >> linear(n)\ndef outer(g, n) = inner(g, n + 1)\n"
    assert arch(f"{text}arch a = outer(conv, 2)") == "conv(3) >> linear(3)"


def test_names_that_a_macro_binds_are_its_own() -> None:
    text = "def f(t) : im[c, h, w] -> im[c, h, w] = t >> conv(c)\nrule S = for c in {2, 3} : f(conv(c))"
    assert set(texts(text)) == {"conv(2) >> conv(4)", "conv(3) >> conv(4)"}


def test_a_macro_given_to_itself_is_no_cycle() -> None:
    assert arch("def f(g) = g >> g\narch a = f(f(f(relu)))") == " >> ".join(["relu"] * 8)


def test_defaults_may_use_earlier_parameters() -> None:
    assert arch("def f(n, m = 2 * n) = linear(n) >> linear(m)\narch a = f(3) >> f(3, 5)") == (
        "linear(3) >> linear(6) >> linear(3) >> linear(5)"
    )


@pytest.mark.parametrize(
    ("text", "cycle"),
    [
        ("def f(n) = relu >> f(n - 1)\nrule S = f(3)", "f -> f"),
        ("def f = g\ndef g = h\ndef h = f\nrule S = f", "f -> g -> h -> f"),
        ("def f(n = f) = relu >> n\nrule S = f", "f -> f"),
    ],
)
def test_recursion_is_told_with_its_names(text: str, cycle: str) -> None:
    found = only(text)
    assert (found.code, found.message) == ("E502", f"macros may not be recursive: {cycle}")


def test_recursion_through_arguments_ends_too() -> None:
    assert only("def f(g) = g(g)\nrule S = f(f)").code == "E506"


@pytest.mark.parametrize(
    "text",
    [
        "".join(["def m0 = relu\n", *(f"def m{i} = m{i - 1} >> m{i - 1}\n" for i in range(1, 60)), "rule S = m59"]),
        "".join(["def m0 = relu\n", *(f"def m{i} = m{i - 1}\n" for i in range(1, 300)), "rule S = m299"]),
        "".join(
            [
                "def m0(n) = linear(n)\n",
                *(f"def m{i}(n) = m{i - 1}(n + n)\n" for i in range(1, 60)),
                "rule S = m59(1)",
            ]
        ),
    ],
    ids=["exponential", "deep", "numbers"],
)
def test_what_grows_without_bound_is_one_error(text: str) -> None:
    assert only(text).code == "E506"


# --- macros with a signature


def test_dimensions_of_a_signature_are_known_inside() -> None:
    text = "def f : im[c, h, w] -> im[c, h, w] = relu * c\nrule M = relu | norm\n"
    assert set(texts(f"{text}rule S = M >> f\nstart S")) == {"relu >> relu * 4", "norm >> relu * 4"}
    assert set(texts(f"{text}rule S = f >> M\nstart S")) == {"relu * 4 >> relu", "relu * 4 >> norm"}


def test_modules_of_rules_inside_are_counted() -> None:
    text = "def f : im[c, h, w] -> im[c, h, w] = M >> (M * 2)\nrule M = relu >> norm >> relu\n"
    assert len(texts(f"{text}rule S = M >> f >> M\nstart S\nlimit modules <= 15")) == 1
    found = only(f"{text}rule S = M >> f >> M\nstart S\nlimit modules <= 14")
    assert found.code == "W704" and "100% have more modules than the limit" in found.message


def test_such_a_macro_stands_in_a_group_too() -> None:
    text = "def f(g) : im[c, h, w] -> im[c, h, w] = (conv(c) | g)\n"
    assert set(texts(f"{text}rule S = f(norm) >> (f(conv(4)) | relu)")) == {
        f"{a} >> {b}" for a in ("conv(4)", "norm") for b in ("conv(4)", "relu")
    }


def test_a_choice_that_needs_its_dimensions_is_told() -> None:
    found = only("def f : im[c, h, w] -> im[c, h, w] = conv(out in {c, 2*c})\nrule S = f | relu")
    assert found.code == "E308" and found.span is not None and found.span.text == "out in {c, 2*c}"


# --- groups, choices, rules


def test_a_group_is_handed_the_values_it_mentions() -> None:
    found = texts("rule S = for a in {2, 3}, b in {a, 2*a} : (linear(a) | linear(b)) >> linear(a + b)")
    assert set(found) == {f"linear({x}) >> linear({a + b})" for a in (2, 3) for b in (a, 2 * a) for x in (a, b)}


def test_a_group_sees_the_rank_of_what_reaches_it() -> None:
    found = texts("rule S = (im2col(1) | relu) >> (softmax if rank == 2 | norm if rank == 3)")
    assert set(found) == {"im2col(1) >> softmax", "relu >> norm"}


def test_a_group_in_a_rule_with_a_signature_sees_its_runs() -> None:
    found = texts("rule S : any[*s, d] -> any[*s, d] = (relu if len(s) == 2 | norm if len(s) == 1)")
    assert set(found) == {"relu"}


def test_inner_names_hide_outer_ones() -> None:
    found = texts("rule S = for p in {1, 2} : (for p in {3, 4} : conv(p)) >> conv(p)")
    assert set(found) == {f"conv({a}) >> conv({b})" for a in (3, 4) for b in (1, 2)}


def test_a_default_of_a_rule_sees_parameters_of_the_grammar_only() -> None:
    text = "ein 1\ngrammar g(k = 3)\nimport std\ninput im[4, 8, 8]\nrule S = A\nrule A(n = k) = relu * n"
    assert Sampler.of(load_grammar(Source("t.ein", text))).draw(0).text == "relu * 3"
    found = only("rule S = A\nrule A(n = m) = relu * n")
    assert (found.code, found.message) == ("E203", "there is no value named `m` here")


def test_a_set_that_needs_nothing_is_tried_at_once() -> None:
    found = only("rule S = linear(out in {1..1000000000})")
    assert (found.code, found.message) == ("E207", "a range has more than 10000 values")
    assert found.span is not None and found.span.text == "1..1000000000"


def test_an_argument_for_what_takes_none_is_told() -> None:
    found = only("def f(g) = g(3)\nrule S = f(conv(4))")
    assert (found.code, found.message) == ("E307", "`g` stands for `conv(4)`, which takes no arguments")


# --- overloads


def test_the_default_that_counts_is_that_of_the_overload_that_fits() -> None:
    text = (
        "op f(k = 1) : im[c, h, w] -> seq[l, c] where c == 0 = relu(x)\n".replace("seq[l, c]", "im[c, h, w]")
        + "op f(k = 2) : seq[l, d] -> seq[l, k] = nn.Linear(d, k)\n"
    )
    grammar = load_grammar(Source("t.ein", f"{HEAD}{text}arch a = im2col(1) >> f(k = 1)\narch b = im2col(1) >> f"))
    assert repr(architecture(grammar, "a").type) == "seq[(8, 8), 1]"
    assert repr(architecture(grammar, "b").type) == "seq[(8, 8), 2]"
    assert architecture(grammar, "a").text == "im2col(1) >> f(k = 1)"


def test_an_argument_that_chooses_the_overload_is_printed_though_it_is_the_default() -> None:
    text = "op f(k = 1) : im[c, h, w] -> im[c, h, w] = relu(x)\nop f : seq[l, d] -> seq[l, d] = relu(x)\n"
    assert arch(f"{text}arch a = f(k = 1) >> im2col(1) >> f") == "f(k = 1) >> im2col(1) >> f"
