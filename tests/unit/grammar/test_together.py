"""Operators that are asked together beside each asked alone: the same answers, for all of the standard library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from random import Random

import pytest

from ein.grammar.check import load_grammar
from ein.grammar.closed_forms import ClosedForm, closed_form
from ein.grammar.derivations.options import options
from ein.grammar.derivations.sample import Sampler
from ein.grammar.operators import Application
from ein.grammar.steps import Instance
from ein.grammar.together import Together
from ein.grammar.types import MAX_SIZE, Regular, ValueType, bundle, tensor

SIZES = (1, 2, 3, 4, 4, 8, 8, 12, (2, 4), (4, 3))
FORMS: tuple[Regular, ...] = (
    ("im", 3, 1),
    ("im", 3, 2),
    ("im", 3, 4),
    ("seq", 2, 1),
    ("seq", 2, 2),
    ("seq", 2, 3),
    ("vec", 1, 2),
    ("graph", 2, 2),
)
ARGUMENTS = [
    ("split", (("b", 2), ("axis", 1))),
    ("split", (("b", 4), ("axis", 1))),
    ("split", (("b", 2), ("axis", 2))),
    ("concat", (("axis", 1),)),
    ("concat", (("axis", 2),)),
    ("concat", (("axis", 3),)),
    ("add", ()),
    ("matmul", ()),
    ("scaled_matmul", ()),
    ("im2col", (("k", 3), ("s", 1), ("p", 1))),
    ("im2col", (("k", 8), ("s", 8), ("p", 0))),
    ("col2im", ()),
    ("group_norm", (("g", 2),)),
    ("instance_norm", ()),
    ("norm", ()),
    ("append", ()),
]


def random_input(form: Regular, random: Random) -> ValueType:
    kind, axes, count = form
    members = [tensor(kind, [random.choice(SIZES) for _ in range(axes)]) for _ in range(count)]
    if count == 1:
        return members[0]
    if random.random() < 0.3:
        return bundle(members[:1] * count)
    shape = list(members[0].shape)
    shape[random.randrange(axes)] = random.choice(SIZES)
    return bundle([*members[:1] * (count - 1), tensor(kind, shape)] if random.random() < 0.7 else members)


def ready(application: Application, form: Regular) -> None:
    """As if enough inputs had been looked at one by one, and the bodies of all overloads tried."""
    found = [closed_form(operator, given, form) for operator, given in application.forms]
    if True not in found:
        application.ready[form] = tuple(each for each in found if isinstance(each, ClosedForm))


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_inputs_that_are_alike_are_taken_by_the_same_operators(form: Regular) -> None:
    grammar = load_grammar("std")
    applications = [grammar.application(grammar.operators[name], given) for name, given in ARGUMENTS]
    random = Random(repr(form))
    for application in applications:
        ready(application, form)
    asked = Together.of([each for each in applications if form in each.ready], form, [])
    assert asked is not None
    known: dict[Hashable, tuple[bool, ...]] = {}
    repeated = 0
    for _ in range(600):
        input = random_input(form, random)
        answers = tuple(each.result(input) is not None for each in applications if form in each.ready)
        alike = asked.ask(input)
        repeated += alike in known
        assert known.setdefault(alike, answers) == answers, input
    assert repeated > 40 and len(set(known.values())) > 1


def test_sums_of_sizes_are_looked_at_where_they_may_be_too_large() -> None:
    grammar, form = load_grammar("std"), ("vec", 1, 2)
    concat = grammar.application(grammar.operators["concat"], (("axis", 1),))
    ready(concat, form)
    halves = [bundle([tensor("vec", (MAX_SIZE // 2,)), tensor("vec", (MAX_SIZE // 2 + more,))]) for more in (0, 1)]
    assert [concat.fits(each) for each in halves] == [True, False]
    asked = Together.of([concat], form, [])
    assert asked is not None and asked.ask(halves[0]) != asked.ask(halves[1])
    assert [concat.result(each) is not None for each in halves] == [True, False]


def refilled(sampler: Sampler, instance: Instance, type: ValueType) -> list[tuple[object, float]]:
    """The options as they are found by asking each alternative alone."""
    for form in instance.forms.values():
        form.together.clear()
        form.shared.clear()
    instance.table.pop(type, None)
    instance.always = None
    found = options(sampler.space, instance, type)
    return [(each.choice, part) for each, part in zip(found.candidates, found.probabilities, strict=True)]


@pytest.mark.parametrize("name", ["einspace", "hnb201", "hybrid"])
def test_tables_do_not_depend_on_what_was_asked_before(name: str) -> None:
    sampler = Sampler.of(load_grammar(name))
    types: set[ValueType] = set()
    for drawn in sampler.samples(60, 1):
        types.add(drawn.type)
        for instance in sampler.space.instances.values():
            types.update(instance.table)
    seen: Counter[str] = Counter()
    for instance in sampler.space.instances.values():
        always = instance.always
        of_rule = list(instance.table) if always is None else sorted(types, key=repr)
        for type in of_rule[:40]:
            table = instance.table[type] if always is None else always
            held = [(each.choice, part) for each, part in zip(table.candidates, table.probabilities, strict=True)]
            assert refilled(sampler, instance, type) == held, f"{instance!r} {type!r}"
            seen["always" if always is not None else "table"] += 1
    assert seen["table"] > 20 and (name != "einspace" or seen["always"] > 40)
