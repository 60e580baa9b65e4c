"""Walks that are easy to get wrong: parts without rules behind a rule."""

import pytest

from ein.grammar.check import load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source

HEAD = "ein 1\ngrammar g(classes = 4)\nimport std\ninput im[4, 16, 16]\noutput vec[classes]\n"
A = "rule A = relu | norm\n"


@pytest.mark.parametrize(
    ("term", "modules"),
    [
        ("(conv(8) >> relu) * 3", 6),
        ("tied (conv(4) >> relu) * 3", 6),
        ("clone(2) >> (conv(8) * 2 & conv(8)) >> add", 5),
        ("clone(3) >> (conv(8) >> relu) ^ 3 >> concat(1)", 8),
        ("clone(2) >> tied conv(8) ^ 2 >> add", 4),
        ("max_pool * 2", 2),
    ],
)
def test_a_part_without_rules_behind_a_rule_is_typed_as_it_stands(term: str, modules: int) -> None:
    """Also where its type changes from copy to copy; counts and costs are those of the finished term."""
    text = f"{HEAD}rule Net = A >> {term} >> head(classes)\n{A}limit params <= 1M, macs <= 1G\n"
    sampler = Sampler.of(load_grammar(Source("g", text)))
    for index in range(4):
        drawn = sampler.draw(0, index)
        assert drawn.modules == drawn.cost.modules == modules + 3


def test_limits_hold_for_parts_behind_a_rule() -> None:
    text = f"{HEAD}rule Net = A >> conv(out in {{4, 64}}) * 4 >> head(classes)\n{A}limit params <= 20K\n"
    sampler = Sampler.of(load_grammar(Source("g", text)))
    for index in range(30):
        drawn = sampler.draw(0, index)
        assert drawn.cost.parameters <= 20_000
        assert "conv(4)" in drawn.text
    assert ("params", None) in sampler.failures
