"""Closed forms of signatures beside the general way: the same answers, for every operator of the library."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from ein.grammar.bodies.trials import trials
from ein.grammar.check import load_grammar
from ein.grammar.closed_forms import ClosedForm, closed_form
from ein.grammar.load import find, library_names
from ein.grammar.numbers import Inapplicable
from ein.grammar.operators import Operator
from ein.grammar.types import Bundle, ValueType, bundle, tensor

LIBRARIES = tuple(name for name in library_names() if "\nop " in find(name)[0].text)


def varied(input: ValueType, random: Random) -> ValueType:
    """The type with some sizes changed, and some of them made grids."""
    if isinstance(input, Bundle):
        members = [varied(member, random) for member in input.members]
        return bundle([members[0]] * len(members) if random.random() < 0.3 else members)
    shape = []
    for size in input.shape:
        draw = random.random()
        shape.append(size if draw < 0.6 else (2, 3) if draw < 0.75 else int(random.choice((1, 2, 3, 4, 6, 8, 12))))
    return tensor(input.kind, shape, input.live, input.element)


def general(operator: Operator, arguments: dict[str, object], input: ValueType) -> ValueType | None:
    try:
        return operator.apply(arguments, input).output
    except Inapplicable:
        return None


def compare(operator: Operator, arguments: dict[str, object], input: ValueType, seen: Counter[str]) -> None:
    assert input.regular is not None
    closed = closed_form(operator, arguments, input.regular)
    if closed is True:
        seen["open"] += 1
        return
    wanted = general(operator, arguments, input)
    if isinstance(closed, ClosedForm):
        said = f"{operator.name} {arguments} {input!r}"
        assert closed.result(input) is wanted, said
        assert closed.fits(input) == (wanted is not None), said
        if wanted is not None:
            assert closed.output(input) is wanted, said
            compare_cost(closed, arguments, input, wanted, seen)
    else:
        assert wanted is None, f"{operator.name} {arguments} {input!r}"
    seen["refused" if wanted is None else "taken"] += 1


def compare_cost(
    closed: ClosedForm, arguments: dict[str, object], input: ValueType, output: ValueType, seen: Counter[str]
) -> None:
    told = closed.cost(input, output)
    if told is not None:
        assert told == closed.operator.apply(arguments, input).cost.charged, f"{closed.operator.name} {input!r}"
        seen["told"] += 1


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_two_ways_agree(name: str) -> None:
    grammar = load_grammar(name)
    random = Random(name)
    seen: Counter[str] = Counter()
    pool: list[ValueType] = [tensor("im", (3, 8, 8)), tensor("seq", ((4, 4), 6)), tensor("vec", (12,))]
    for overloads in grammar.operators.values():
        for operator in overloads:
            for trial in trials(operator, grammar.kinds, 12):
                arguments, input = dict(trial.applied.arguments), trial.applied.input
                for each in (input, *(varied(input, random) for _ in range(4)), random.choice(pool)):
                    if each.regular is not None:
                        compare(operator, arguments, each, seen)
                        pool = [*pool[-40:], each]
    assert seen["taken"] > 20 and seen["refused"] > 5, seen
    assert seen["open"] < 0.5 * sum(seen.values()), seen
    assert seen["told"] > 20 or name not in ("std", "einspace"), seen


@pytest.mark.parametrize("name", LIBRARIES)
def test_inputs_of_several_kinds_are_refused_at_once(name: str) -> None:
    grammar = load_grammar(name)
    mixed = [
        bundle([tensor("im", (3, 8, 8)), tensor("seq", (8, 8))]),
        bundle([tensor("seq", (4, 6)), tensor("vec", (4,))]),
        bundle([tensor("im", (2, 4, 4)), tensor("im", (2, 4, 4)), tensor("vec", (4,))]),
        bundle([tensor("seq", (4, 4)), tensor("graph", (4, 4)), tensor("seq", (4, 4)), tensor("seq", (4, 4))]),
    ]
    refused = 0
    for overloads in grammar.operators.values():
        for operator in overloads:
            for trial in trials(operator, grammar.kinds, 2) if operator.alike else ():
                for input in mixed:
                    assert isinstance(input, Bundle) and input.mixed
                    assert general(operator, dict(trial.applied.arguments), input) is None, f"{operator.name} {input!r}"
                    refused += 1
    assert refused > 20 or name != "std"
