"""What is known of rules before anything is drawn."""

from __future__ import annotations

from ein.grammar.check import check
from ein.grammar.derivations.shape import Shape
from ein.grammar.diagnostics import Source

TEXT = """\
ein 1
import std
input im[4, 8, 8]
rule Net = Chain >> head(10)
rule Chain = Part >> Chain | Part | Fork
rule Inner = Part | Part >> Chain | Fork
rule Fork = clone(2) >> Inner ^ 2 >> add
rule Part = relu | permute(order in orders(rank)) | (norm | relu >> relu) | Two(2)
rule Two(n) = relu * n >> Part
limit modules <= 20
"""


def shape(text: str = TEXT) -> Shape:
    grammar, _ = check(Source("test.ein", text))
    assert grammar is not None
    return Shape.of(grammar.rules)


def test_which_rules_recur_and_which_grow() -> None:
    found = shape()
    assert found.recursive == {"Chain", "Inner", "Fork", "Part", "Two"}
    assert found.knots == {"Part", "Chain", "Fork"}
    assert {"Net", "Chain", "Fork"} <= found.grows
    assert "Chain" in found.steady and "Net" in found.steady
    assert "Fork" not in found.steady, "two modules for one"
    assert "Two" not in found.steady, "its value may end it"


def test_bounds_are_those_of_the_cheapest_alternatives() -> None:
    found = shape()
    assert [found.heights[name] for name in ("Part", "Chain", "Net", "Inner", "Fork", "Two")] == [1, 2, 3, 2, 3, 2]
    assert [found.fewest[name] for name in ("Part", "Chain", "Net", "Fork", "Two")] == [1, 1, 3, 4, 2]
    (group,) = (name for name in found.fewest if name not in ("Net", "Chain", "Inner", "Fork", "Part", "Two"))
    assert (found.heights[group], found.fewest[group]) == (0, 1)


def test_rules_with_alternatives_in_common_number_them_alike() -> None:
    kin = shape().kin
    assert set(kin) == {"Chain", "Inner"}
    assert kin["Chain"].name == kin["Inner"].name
    (series, part, fork), (other, again, last) = kin["Chain"].numbers, kin["Inner"].numbers
    assert (part, series, fork) == (other, again, last)
    assert part < series
