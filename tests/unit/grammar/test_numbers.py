"""Numbers, conditions and choice sets: values by hand, and bounds that hold whatever is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ein.grammar.diagnostics import EinError, Source
from ein.grammar.notation.parser import parse, parse_expression
from ein.grammar.notation.syntax import RuleDecl
from ein.grammar.numbers import (
    Inapplicable,
    Order,
    Percentage,
    choices,
    evaluate_constant,
    formula,
    permuted,
)


def value(text: str, **env: Any) -> Any:
    expr, found = parse_expression(Source("n", text))
    assert expr is not None and not found, found
    return formula(expr).evaluate(env)


def refused(text: str, **env: Any) -> str:
    with pytest.raises(Inapplicable) as caught:
        value(text, **env)
    return caught.value.reason


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2 + 3 * 4", 14),
        ("(2 + 3) * 4", 20),
        ("2 ** 3 ** 2", 512),
        ("-2 ** 2", -4),
        ("7 // 2", 3),
        ("-7 // 2", -4),
        ("7 % 3", 1),
        ("8 / 2", 4),
        ("2 ** -1", 0.5),
        ("2K", 2000),
        ("1.5M", 1_500_000),
        ("40%", 0.4),
        ("min(3, 5, 2) + max(1, 9)", 11),
        ("3 < 4 and not 4 < 3 or false", True),
        ("1 == 1.0", True),
        ("2 if 3 > 4 else 5", 5),
        ('"a" == "b"', False),
    ],
)
def test_values(text: str, wanted: Any) -> None:
    assert value(text) == wanted


def test_names_stand_for_dimensions_and_runs() -> None:
    assert value("n * 2", n=(4, (2, 2))) == 32
    assert value("len(s) + sum(s) + max(s)", s=[3, (2, 2)]) == 2 + 7 + 4
    assert value("h / 2", h=8) == 4
    assert refused("h / 2", h=7) == "7 / 2 is not exact"


@pytest.mark.parametrize(
    "text",
    ["1 // 0", "1 % 0", "1 / 0", "0 ** -1"],
)
def test_no_division_by_zero(text: str) -> None:
    assert refused(text)


@pytest.mark.parametrize(
    "text",
    [
        '"a" + "b"',
        '"a" * 3',
        '3 * "a"',
        '"%s" % 5',
        "(1, 2) + (3, 1)",
        "(1, 2) * 1000000000",
        "true + 1",
        '"a" < 3',
        "(2, 1) < (1, 2)",
        "-(1, 2)",
        'max("a", 3)',
        "min(5)",
    ],
)
def test_arithmetic_is_for_numbers(text: str) -> None:
    """What Python would join or repeat is refused, before any memory is taken."""
    assert "number" in refused(text)


def test_the_greatest_of_no_axes_does_not_exist() -> None:
    assert "run of axes" in refused("max(s)", s=[])


@pytest.mark.parametrize(
    "text",
    [
        "9 ** 9 ** 9",
        "2 ** 63",
        "2 ** 62 * 2",
        "-(2 ** 62) * 3",
        "10.0 ** 300 * 10.0 ** 300",
        "1000000000000000000.0 ** 64",
        "(0 - 8) ** 0.5",
    ],
)
def test_no_value_is_out_of_range(text: str) -> None:
    assert refused(text)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_integers_are_exact_or_refused(a: int, b: int) -> None:
    for operator, wanted in (("+", a + b), ("-", a - b), ("*", a * b)):
        if -(2**63) <= wanted < 2**63:
            assert value(f"a {operator} b", a=a, b=b) == wanted
        else:
            assert refused(f"a {operator} b", a=a, b=b) == "a number exceeds 64 bits"


def test_orders_are_all_but_the_identity() -> None:
    assert value("orders(2)") == [(2, 1)]
    assert len(value("orders(3)")) == 5
    assert len(value("orders(4)")) == 23
    assert value("orders(1)") == value("orders(0)") == []
    for n in ("8", "-1", "2.5", "true + 0", "1000000000"):
        assert refused(f"orders({n})")


def test_permuted_takes_orders_only() -> None:
    assert permuted([5, (2, 3), 7], Order((3, 1, 2))) == [7, 5, (2, 3)]
    wrong: list[Any] = [(1, 2), (1, 1, 2), (0, 1, 2), (1, "a", 2), (1, (2, 3), 3), (True, 2, 3), (1, 2, 3.0)]
    for order in wrong:
        with pytest.raises(Inapplicable):
            permuted([5, 6, 7], Order(order))


def drawn(text: str, **env: Any) -> list[tuple[Any, float]]:
    file, found = parse(Source("c", f"ein 1\nrule S = op_(a in {text})\n"))
    assert not found
    [rule] = [x for x in file.statements if isinstance(x, RuleDecl)]
    argument = rule.body.arguments[0]  # type: ignore[union-attr]
    return choices(argument.value).evaluate(env)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{1, 2, 5}", [1, 2, 5]),
        ("{1..4}", [1, 2, 3, 4]),
        ("{1..9 by 2}", [1, 3, 5, 7, 9]),
        ("{1..8 by 2}", [1, 3, 5, 7]),
        ("{16..2048 by *2}", [16, 32, 64, 128, 256, 512, 1024, 2048]),
        ("{5..n}", []),
        ("{n..1, 7}", [7]),
        ("{3..3}", [3]),
        ("{n, 2*n..3*n}", [2, 4, 5, 6]),
    ],
)
def test_choice_sets(text: str, wanted: list[int]) -> None:
    assert [v for v, _ in drawn(text, n=2)] == wanted


def test_weights_of_values() -> None:
    assert drawn("{1 @ 3, 2..3 @ 0.5, 7}") == [(1, 3), (2, 0.5), (3, 0.5), (7, 1)]


@pytest.mark.parametrize(
    "text", ["{1..1000000000}", "{1..9 by 0}", "{1..9 by *1}", "{0..9 by *2}", "{1..2.5}", "{1 @ -1}"]
)
def test_sets_are_bounded_and_sane(text: str) -> None:
    with pytest.raises(Inapplicable):
        drawn(text)


@pytest.mark.parametrize("text", ["{5..4}", "{7, 5..2 * 2}", "{9..8 by 2}", "{n, 2..1 @ n}"])
def test_a_range_between_constants_holds_something(text: str) -> None:
    with pytest.raises(EinError, match="is empty"):
        drawn(text, n=2)


def test_a_percentage_remains_one() -> None:
    whole = value("40%")
    assert isinstance(whole, Percentage) and repr(whole) == "40%"
    assert repr(Percentage(0.32)) == "32%"


def test_unknown_names_are_told_with_the_nearest() -> None:
    expr, _ = parse_expression(Source("n", "width + 1"))
    assert expr is not None
    with pytest.raises(EinError) as caught:
        evaluate_constant(expr, {"widht": 3})
    assert caught.value.diagnostics[0].help == "did you mean `widht`?"
    assert refused("missing + 1") == "`missing` has no value here"
