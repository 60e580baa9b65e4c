"""Terms laid under the rules of a grammar, where the first rule that looks right is not the one."""

from __future__ import annotations

import pytest

from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, Source
from ein.grammar.matching.match import derive

HEAD = "ein 1\nimport std\ninput im[4, 4, 4]\n"


def derived(rules: str, text: str) -> Derivation:
    space = Sampler.of(load_grammar(Source("g.ein", HEAD + rules))).space
    return derive(space, architecture(load_grammar(Source("n.ein", f"{HEAD}arch n = {text}\n"))).term)


CIRCLE = """
rule S = A >> T | B >> U | C >> V
rule T = norm
rule U = relu
rule V = gelu
rule A = B | relu @ 2
rule B = C | tanh @ 3
rule C = A | silu @ 5
"""


@pytest.mark.parametrize("last", ["norm", "relu", "gelu"])
@pytest.mark.parametrize("first", ["relu", "tanh", "silu"])
def test_rules_that_come_to_each_other_are_all_tried(first: str, last: str) -> None:
    """Whichever is asked for first, and the most probable way round."""
    found = derived(CIRCLE, f"{first} >> {last}")
    assert found.text == f"{first} >> {last}"
    at, to = ["norm", "relu", "gelu"].index(last), ["relu", "tanh", "silu"].index(first)
    steps = (to - at) % 3
    assert [index for index, _ in found.choices] == [at, *[0] * steps, 1, 0]


def test_a_goal_decides_between_alternatives() -> None:
    """`Half` is more probable and gives another size here; so does `Half >> Half`."""
    rules = """
rule S = (Half @ 5 | Same) >> head(10)
rule Half : im[c, h, w] -> im[c, h / 2, w / 2] = conv(4, s = 1) @ 9 | max_pool
rule Same : im[c, h, w] -> im[c, h, w] = conv(4, s = 1) | relu
"""
    assert [index for index, _ in derived(rules, "conv(4) >> pool >> linear(10)").choices] == [0, 1, 0]


STRUCTURE = """
rule S = Rows >> Last
rule Rows = Flat @ 9 | Grid
rule Flat : im[c, h, w] -> seq[h * w, c] = im2col(k = 1)
rule Grid : im[c, h, w] -> seq[l, d] = im2col(k = 1)
rule Last = relu >> (col2im @ 9 | norm)
"""


def test_a_goal_that_forgets_a_grid_is_not_taken_where_the_grid_is_needed() -> None:
    assert [i for i, _ in derived(STRUCTURE, "im2col(k = 1) >> relu >> col2im").choices] == [0, 1, 0, 0, 0]


def test_probabilities_are_those_of_the_types_that_came_out() -> None:
    """After `Flat`, `norm` is all that applies; so 0.9 * 1 is compared with 0.1 * 0.1."""
    found = derived(STRUCTURE, "im2col(k = 1) >> relu >> norm")
    assert [i for i, _ in found.choices] == [0, 0, 0, 0, 1]
    assert 10**found.log10_probability == pytest.approx(0.9)


def test_a_claim_of_a_macro_is_met() -> None:
    rules = """
def flat(f) : im[c, h, w] -> seq[h * w, c] = f
rule S = (flat(I) @ 9 | I) >> Last
rule I = im2col(k = 1)
rule Last = col2im
"""
    assert [i for i, _ in derived(rules, "im2col(k = 1) >> col2im").choices] == [0, 1, 0, 0]


def test_a_term_of_another_type_is_none_of_the_rule() -> None:
    rules = "rule S : im[c, h, w] -> im[c, h / 2, w / 2] = conv(4) | max_pool\n"
    with pytest.raises(EinError, match="does not derive"):
        derived(rules, "conv(4)")
