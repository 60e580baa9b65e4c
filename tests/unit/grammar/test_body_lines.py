"""The lines of a body as the checker sees them: what exists, what it costs, and what is refused."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ein.grammar.architecture import architecture
from ein.grammar.bodies.tensors import Body, all_steps
from ein.grammar.cfg import Applied, Cost
from ein.grammar.check import check, load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, Source
from ein.grammar.term import Op, cost, walk
from ein.grammar.ties import check_ties, may_conflict


def applied(text: str, input: str = "seq[5, 6]", use: str = "f") -> Applied:
    source = f"ein 1\nimport std\n{text}\ninput {input}\narch a = {use}\n"
    [op] = [node for node in walk(architecture(load_grammar(Source("a.ein", source))).term) if isinstance(node, Op)]
    return op.applied


def body(text: str, input: str = "seq[5, 6]", use: str = "f") -> Body:
    return applied(text, input, use).body


def ops(found: Body) -> Counter[str]:
    return Counter(step.op for step in found.steps)


def judged(text: str) -> list[tuple[str, str]]:
    _, found = check(Source("a.ein", f"ein 1\nimport std\n{text}\n"))
    return [(d.code, f"{d.message} {d.label} {d.help}") for d in found if d.severity == "error"]


# --- what exists


def test_what_no_result_needs_does_not_exist() -> None:
    found = body(
        "op f : seq[l, d] -> seq[l, d] param p[d] = 1, q[d] = 2 buffer b = 3"
        " let unused = nn.Linear(d, 99)(q * x) = p * x"
    )
    assert ops(found) == {"input": 1, "weight": 1, "pointwise": 1}
    assert (found.parameters, found.macs) == (6, 0)


@pytest.mark.parametrize(("flag", "parameters"), [("true", 6), ("false", 12)])
def test_a_weight_of_a_branch_not_taken_costs_nothing(flag: str, parameters: int) -> None:
    text = "op f(one: bool) : seq[l, d] -> seq[l, d] param p[d] = 1, q[d] = 2 = p * x if one else p * (q * x)"
    assert applied(text, use=f"f({flag})").cost.parameters == parameters


def test_a_buffer_costs_nothing() -> None:
    found = applied("op f : seq[l, d] -> seq[l, d] buffer p[l, d] ~ normal(0, 1) param q[d] = 0 = p * x + q")
    assert found.cost.parameters == 6
    assert [step.name for step in found.body.steps if step.op == "buffer"] == ["p"]


def test_starts_are_apart_and_only_those_that_are_needed() -> None:
    found = body(
        "op f : seq[l, d] -> seq[l, d] draw w[d, e = 3] ~ normal(0, 1), other[l] ~ normal(0, 1) let s = sum[e](w)"
        " param p[d] = s, q[d] = s + 1, gone[l] = other = p * x + q"
    )
    assert [step.op for step in found.starts] == ["draw", "reduce", "number", "pointwise"]
    weights = [step for step in found.steps if step.op == "weight"]
    assert [step.argument("start") for step in weights] == [("computed", 1), ("computed", 3)]
    assert [step.argument("after") for step in weights] == [2, 4]


def test_a_start_has_all_axes_of_its_weight() -> None:
    found = body("op f : seq[l, d] -> seq[l, d] draw w[l] ~ normal(0, 1) param p[d, l] = w = x + p")
    assert [step.sizes for step in found.starts] == [(5,), (6, 5)]


# --- recurrences


def test_a_scan_is_one_step_however_long() -> None:
    lines = "param w[d, e = d] ~ normal(0, 1) scan h[d] = 0 over l { h = dot[e](w, h[e]) + x }"
    text = f"op f : seq[l, d] -> seq[l, d] {lines} = h"
    short, long = body(text, "seq[3, 6]"), body(text, "seq[100000, 6]")
    assert len(list(all_steps(short))) == len(list(all_steps(long)))
    assert (short.macs, long.macs) == (3 * 36, 100_000 * 36)
    assert short.parameters == long.parameters == 36


def test_a_scan_captures_what_it_reads_and_no_more() -> None:
    found = body(
        "op f : seq[l, d] -> seq[l, d] param a[d] = 1, b[d] = 1 let y = x * b"
        " scan h[d] = 0 over l { let unused = y + b  h = a * h + x } = h"
    )
    assert ops(found) == {"input": 1, "weight": 1, "filled": 1, "scan": 1, "item": 1}
    [scan] = [step for step in found.steps if step.op == "scan"]
    inside = scan.argument("body")
    assert scan.argument("sliced") == (0, None) and scan.argument("length") == 5
    assert [step.sizes for step in inside.steps if step.op == "input"] == [(6,), (6,), (6,)]


def test_the_axis_walked_along_comes_first_afterwards() -> None:
    assert body("op f : im[c, h, w] -> im[w, c, h] scan s[c, h] = 0 over w { s = s + x } = s", "im[2, 3, 5]").results
    assert not judged("op f : im[c, h, w] -> im[w, c, h] scan s[c, h] = 0 over w { s = s + x } = s")
    assert judged("op f : im[c, h, w] -> im[h, c, w] scan s[c, h] = 0 over w { s = s + x } = exp(s[i, j, k])")


def test_names_inside_of_loops_end_with_them() -> None:
    loop = "op f : seq[l, d] -> seq[l, d] scan h[d] = 0 over l { let t = h + x  h = tanh(t) } = h + t"
    assert [code for code, _ in judged(loop)] == ["E403"]
    rounds = "op f : vec[d] -> vec[d] let y = x repeat n in 1 .. 2 { let t = y * n  y = y + t } = y + n"
    assert [code for code, _ in judged(rounds)] == ["E403"]


# --- repetitions


@settings(max_examples=25)
@given(st.integers(0, 9), st.integers(0, 9))
def test_rounds_are_written_out(first: int, last: int) -> None:
    text = f"op f : vec[d] -> vec[d] let y = 1 * x repeat n in {first} .. {last} {{ y = exp(y) + n }} = y"
    found = body(text, "vec[3]")
    assert sum(step.name == "exp" for step in found.steps) == max(0, last - first + 1)
    added = [float(step.argument("value")) for step in found.steps if step.op == "number"]
    assert added == [1.0, *map(float, range(first, last + 1))]


@pytest.mark.parametrize(
    ("bounds", "words"),
    [("1 .. 65", "at most 64 times, and these are 65"), ("1 .. 2.5", "counted in integers, not 2.5")],
)
def test_bounds_of_rounds(bounds: str, words: str) -> None:
    [(code, said)] = judged(f"op f : vec[d] -> vec[d] let y = x repeat n in {bounds} {{ y = y + n }} = y")
    assert code == "E401" and words in said


def test_sizes_may_change_between_rounds_and_must_fit_at_the_end() -> None:
    text = "op f : vec[d] -> vec[d * 8] let y = x repeat n in 1 .. {} {{ y = concat[k](y[k], y[k]) }} = y"
    assert not judged(text.format(3))
    [(code, said)] = judged(text.format(2))
    assert code == "E401" and "the body gives" in said


# --- starts


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("param p[d] ~ normal(0, -1) = x + p", "E401", "`normal` cannot have the numbers 0, -1"),
        ("param p[d] ~ uniform(2, 1) = x + p", "E401", "from the lower to the higher number"),
        ("param p[*s, d] ~ orthogonal = x * p", "E412", "of matrices, and `p` has 1 axes"),
        ("where len(s) >= 1 param p[*s, d] ~ orthogonal = x * p", None, ""),
        ("draw w[e = 4] ~ normal(0, 1) param p[d] = w = x + p", "E418", "`e` is left over"),
        ("draw w[e = 4, d] ~ normal(0, 1) let u, s, v = svd[r = 9](w) param p[d] = sum[r](s) = x + p", "E401",
         "the smaller axis of this matrix"),
        ("draw w[e = 40, f = 90] ~ normal(0, 1) let q, r = qr[k = 3](w) param p = sum[e, k](q) = x + p", "E401",
         "the smaller axis of this matrix is 40"),
        ("draw w[d] ~ normal(0, 1) param p[d] = complex(w, w) = x + p", "E420", "a weight is real"),
        ("draw w[d] ~ normal(0, 1) = w", "E416", "the result does not depend on the input"),
        ('param p[d] = "one" = x + p', "E416", "a tensor is needed here"),
    ],
)  # fmt: skip
def test_refusals_of_starts(line: str, code: str | None, words: str) -> None:
    found = judged(f"op f : any[*s, d] -> any[*s, d] {line}")
    assert [each for each, _ in found] == ([code] if code else [])
    assert all(words in said for _, said in found)


# --- keys

KEYED = """op wide(key: name = none) : seq[l, d] -> seq[l, d] param w[e = d, d] ~ normal(0, 1) tied by key
    = dot[d](x, w)[l, d]
op scale(key: name = none) : seq[l, d] -> seq[l, d] param p[d] = 1 tied by key, q[d] = 1 tied by key = x * p + q
"""


def derived(term: str, input: str = "seq[5, 6]") -> Any:
    return architecture(load_grammar(Source("a.ein", f"ein 1\nimport std\n{KEYED}input {input}\narch a = {term}\n")))


@pytest.mark.parametrize(
    ("term", "parameters"),
    [
        ("wide", 36),
        ("wide(key = a) >> wide(key = a)", 36),
        ("wide(key = a) >> wide(key = b) >> wide", 3 * 36),
        ("wide(key = none) >> wide(key = none)", 2 * 36),
        ("scale(key = a) >> wide(key = b) >> scale(key = a)", 6 + 36),
        ("scale >> scale", 4 * 6),
        ("wide(key = a) * 5", 36),
        ("clone(3) >> wide(key = a) ^ 3 >> add >> tied wide * 4", 2 * 36),
        ("residual(wide(key = a)) >> residual(wide(key = a) >> linear(6))", 36 + 42),
    ],
)
def test_one_key_counts_once(term: str, parameters: int) -> None:
    assert derived(term).cost.parameters == parameters


def test_other_costs_count_every_use() -> None:
    once, twice = derived("wide(key = a)").cost, derived("wide(key = a) >> wide(key = a)").cost
    assert twice == once + once + Cost(parameters=-36)


SPACE = f"""ein 1
import std
{KEYED}
input seq[5, 6]
rule Net = Part >> Part >> Part
rule Part = wide(key = a) | linear(4) | linear(6) | wide(key = b) | relu
"""


def test_samples_never_tie_what_differs() -> None:
    sampler = Sampler.of(load_grammar(Source("a.ein", SPACE)))
    assert sampler.sharing
    seen: Counter[bool] = Counter()
    for derivation in sampler.samples(300, 5):
        check_ties(derivation.term)
        seen[len(re.findall(r"key = (\w)", derivation.text)) > 1] += 1
    assert min(seen[True], seen[False]) > 20
    assert any(kind == "ties" for kind, _ in sampler.failures)


def test_a_limit_on_parameters_holds_for_networks_with_keys() -> None:
    text = SPACE.replace("rule Net", "limit params <= 60\nrule Net")
    for derivation in Sampler.of(load_grammar(Source("a.ein", text))).samples(200, 7):
        assert cost(derivation.term).parameters <= 60


def test_only_what_shares_is_looked_at() -> None:
    def looked_at(rule: str) -> bool:
        return may_conflict(load_grammar(Source("a.ein", f"{SPACE}rule Other = {rule}\n")).rules.values())

    plain = SPACE.replace("wide(key = a) |", "").replace("| wide(key = b)", "| wide")
    assert not may_conflict(load_grammar(Source("a.ein", plain)).rules.values())
    assert looked_at("relu")
    assert may_conflict(load_grammar(Source("a.ein", plain.replace("| wide", "| tied wide * 2"))).rules.values())


def test_shapes_must_agree_at_both_places() -> None:
    with pytest.raises(EinError, match="key `a` is one tensor") as caught:
        derived("wide(key = a) >> linear(4) >> wide(key = a)")
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == "E309" and "[4, 4]" in diagnostic.label
    assert [label.text for label in diagnostic.labels] == ["[6, 6] in `wide(key = a)`"]
