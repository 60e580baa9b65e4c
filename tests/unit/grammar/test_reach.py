"""What is said to be impossible never happens: shapes against types, dead alternatives against draws."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import inf
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ein.grammar.analyses import flow
from ein.grammar.analyses import reach as reach_module
from ein.grammar.analyses.abstract import arguments, outcomes
from ein.grammar.analyses.reach import Place, Reach, anywhere, reach
from ein.grammar.analyses.shapes import Anything, Shape, Side, Sides, Some, beside, form, meet
from ein.grammar.cfg import Limits, Operator
from ein.grammar.check import check, declared_grammar
from ein.grammar.derivations.attempt import Attempt, DeadEnd
from ein.grammar.diagnostics import EinError, Source
from ein.grammar.load import library_names
from ein.grammar.minima import settle
from ein.grammar.numbers import Inapplicable, Order
from ein.grammar.space import Space
from ein.grammar.steps import Candidate, Instance, Options
from ein.grammar.types import Bundle, Tensor, ValueType, bundle, merge, tensor

HEAD = "ein 1\nimport std\n"
sizes = st.integers(1, 8)


# --- shapes


@st.composite
def tensors(draw: st.DrawFn) -> ValueType:
    kind, axes = draw(st.sampled_from([("im", 3), ("seq", 2), ("vec", 1)]))
    shape = [draw(sizes) for _ in range(axes)]
    if kind == "seq" and draw(st.booleans()):
        return tensor("seq", [(draw(sizes), draw(sizes)), shape[1]])
    return tensor(kind, shape)


types = st.recursive(tensors(), lambda inner: st.lists(inner, min_size=2, max_size=3).map(bundle), max_leaves=5)
alike = st.tuples(tensors(), st.integers(2, 4)).map(lambda pair: bundle([pair[0]] * pair[1]))
values = st.one_of(types, alike)


@st.composite
def shapes_of(draw: st.DrawFn, value: ValueType) -> Shape:
    """A shape that `value` is an instance of."""
    match draw(st.integers(0, 5)):
        case 0:
            return Anything()
        case 1:
            return value
        case 2 if isinstance(value, Bundle):
            return Sides()
        case _ if isinstance(value, Bundle):
            return beside([draw(shapes_of(member)) for member in value.members])
        case 3:
            return Some()
        case _:
            return form(value)


def covers(shape: Shape, value: ValueType) -> bool:
    """Whether a type is an instance of a shape; written apart from `meet`."""
    match shape:
        case Anything():
            return True
        case Sides():
            return isinstance(value, Bundle)
        case Some(kind, axes):
            return isinstance(value, Tensor) and kind in (None, value.kind) and axes in (None, len(value.shape))
        case Side(members):
            return (
                isinstance(value, Bundle)
                and len(value.members) == len(members)
                and all(map(covers, members, value.members))
            )
        case _:
            return merge((shape, value)) is not None


@given(values.flatmap(lambda value: st.tuples(st.just(value), shapes_of(value), shapes_of(value))))
def test_a_type_that_two_shapes_have_is_in_their_meet(case: tuple[ValueType, Shape, Shape]) -> None:
    value, a, b = case
    assert covers(a, value) and covers(b, value)
    both, other = meet(a, b), meet(b, a)
    assert both is not None and other is not None and covers(both, value) and covers(other, value)


@given(values, values)
def test_types_that_differ_have_no_meet(a: ValueType, b: ValueType) -> None:
    assert (meet(a, b) is None) == (merge((a, b)) is None)
    if merge((a, b)) is not None:
        assert meet(form(a), form(b)) is not None


@cache
def operators() -> list[Operator]:
    return [operator for overloads in declared_grammar("std").operators.values() for operator in overloads]


@st.composite
def uses(draw: st.DrawFn) -> tuple[Operator, dict[str, Any]]:
    operator = draw(st.sampled_from(operators()))
    given_: dict[str, Any] = {}
    for parameter in operator.parameters:
        if parameter.default is None or draw(st.booleans()):
            match parameter.kind:
                case "bool":
                    given_[parameter.name] = draw(st.booleans())
                case "real":
                    given_[parameter.name] = 0.5
                case "fn" | "name":
                    given_[parameter.name] = draw(st.sampled_from(["relu", "gelu"]))
                case _ if parameter.name == "order":
                    axes = draw(st.integers(1, 3))
                    given_[parameter.name] = Order(draw(st.permutations(range(1, axes + 1))))
                case _:
                    given_[parameter.name] = draw(st.integers(0, 4))
    return operator, given_


@settings(max_examples=1500, deadline=None)
@given(uses(), values.flatmap(lambda value: st.tuples(st.just(value), shapes_of(value))), st.data())
def test_an_operator_gives_what_its_shapes_allow(
    use: tuple[Operator, dict[str, Any]], case: tuple[ValueType, Shape], data: st.DataObject
) -> None:
    """However much of the input and the arguments is left open, the output is covered."""
    operator, given_ = use
    value, shape = case
    try:
        full = operator.arguments(given_)
        output = operator.apply(full, value).output
    except (Inapplicable, EinError):
        return
    known = {name: v for name, v in arguments(operator, given_).items() if data.draw(st.booleans())}
    assert any(covers(found, output) for found in outcomes(operator, known, shape))


@pytest.mark.parametrize(
    ("name", "given_", "shape", "found"),
    [
        ("conv", {"out": 8}, Some("im", 3), {Some("im", 3)}),
        ("conv", {"out": 8}, Some("seq", 2), set()),
        ("im2col", {}, Anything(), {Some("seq", 2)}),
        ("col2im", {}, Some("seq", 2), {Some("im", 3)}),
        ("clone", {"b": 3}, Some("im", 3), {beside([Some("im", 3)] * 3)}),
        ("clone", {"b": 1}, Some("im", 3), set()),
        ("clone", {}, Some("im", 3), {Sides()}),
        ("add", {}, beside([Some("im", 3), Some("im", 3)]), {Some("im", 3)}),
        ("add", {}, beside([Some("im", 3), Some("seq", 2)]), set()),
        ("add", {}, beside([tensor("im", [3, 4, 4]), tensor("im", [3, 4, 5])]), set()),
        ("add", {}, Some("im", 3), set()),
        ("relu", {}, Sides(), set()),
        ("split", {"b": 2, "axis": 3}, Some("seq", 2), set()),
        ("split", {"b": 2, "axis": 2}, Some("seq", 2), {beside([Some("seq", 2)] * 2)}),
        ("concat", {"axis": 1}, Sides(), {Some(None, None)}),
        ("concat", {"axis": 4}, beside([Some("im", 3)] * 2), set()),
        ("matmul", {}, beside([Some("im", 3), Some("im", 3)]), {Some("im", 3)}),
        ("matmul", {}, beside([Some("im", 3), Some("seq", 2)]), set()),
        ("permute", {"order": Order((2, 1))}, Some("im", 3), set()),
        ("permute", {"order": Order((2, 1))}, Some("seq", 2), {Some("seq", 2)}),
    ],
)
def test_what_is_known_of_an_operator(name: str, given_: dict[str, Any], shape: Shape, found: set[Shape]) -> None:
    overloads = [operator for operator in operators() if operator.name == name]
    made = {out for operator in overloads for out in outcomes(operator, arguments(operator, given_), shape)}
    assert made == found


# --- grammars

OPERATORS = (
    "relu", "norm", "conv(8)", "conv(out in {4, 8}, k in {1, 3})", "linear(6)", "im2col(2)", "im2col(k in {1, 64})",
    "col2im", "max_pool", "flatten", "transpose", "pool", "first_token", "to_vec", "clone(2)", "clone(b in {2, 3})",
    "split(2, 1)", "split(2, axis in {1..3})", "concat(1)", "concat(axis in {1..3})", "add", "matmul", "identity",
    "permute(order in orders(rank))", "permute((2, 1))", "class_token", "head(5)", "max_pool(9)", "batch_norm",
)  # fmt: skip
SIGNATURES = (
    "", "", "", "", " : im[c, h, w] -> im[c, h, w]", " : im[c, h, w] -> im[_, h, w]", " : t -> t", " : im[c, h, w]",
    " : t ^ 2 -> t", " : im[c, h, w] -> im[2 * c, h / 2, w / 2]", " : any[*s, d] -> any[*s, d]",
    " : (im[a, b, c], im[d, e, f]) -> im[a, _, _]",
)  # fmt: skip
INPUTS = ("im[4, 8, 8]", "im[4, 9, 8]", "seq[6, 4]", "vec[8]", "(im[2, 4, 4], im[2, 4, 4])")
RULES = ("A", "B", "P(1)", "P(2)", "Q(3)")


def random_term(random: Random, depth: int, names: tuple[str, ...] = ()) -> str:
    def inner(names: tuple[str, ...] = names) -> str:
        return random_term(random, depth - 1, names)

    way = random.random()
    if depth <= 0 or way < 0.35:
        pool = names if names and random.random() < 0.4 else OPERATORS if random.random() < 0.7 else RULES
        return random.choice(pool)
    if way < 0.62:
        return " >> ".join(inner() for _ in range(random.choice((2, 2, 3))))
    if way < 0.78:
        return f"clone(2) >> ({inner()} & {inner()}) >> {random.choice(('add', 'concat(1)', 'matmul', 'identity'))}"
    if way < 0.83:
        return f"({inner()} & {inner()})"
    if way < 0.87:
        return f"clone(2) >> ({inner()}) ^ 2 >> add"
    if way < 0.91:
        return f"({inner()}) * {random.choice(('2', '{1..3}'))}"
    if way < 0.96:
        return f"({inner()} | {inner()})"
    name = f"v{random.randrange(10**6)}"
    return f"(let {name} = {inner()} : {inner((*names, name))})"


def random_grammar(seed: int) -> str:
    random = Random(seed)

    def alternatives() -> list[str]:
        guards = ("", "", "", "", " if rank == 2", " if rank > 2")
        return [
            random_term(random, random.choice((1, 2, 3))) + random.choice(guards)
            for _ in range(random.choice((1, 2, 3)))
        ]

    rules = [f"rule S = {' | '.join([*alternatives(), random_term(random, 1)])}"]
    rules += [f"rule {name}{random.choice(SIGNATURES)} = {' | '.join([*alternatives(), 'relu'])}" for name in "AB"]
    rules.append(f"rule P(n) = {' | '.join([*alternatives(), 'conv(n)', 'relu if n == 1'])}")
    rules.append("rule Q(n) = P(n) | linear(n) | Q(n - 1) >> relu if n > 1")
    return f"{HEAD}input {random.choice(INPUTS)}\n" + "\n".join(rules) + "\n"


def draws(space: Space, seed: int, times: int) -> Iterator[tuple[list[Place], ValueType | None]]:
    """The alternatives of attempts, whatever their weights; the result of those that did not fail."""
    random = Random(seed)
    assert space.grammar.input is not None
    for _ in range(times):
        made: list[Place] = []

        def choose(instance: Instance, table: Options, made: list[Place] = made) -> Candidate:
            candidate = random.choice(table.candidates)
            made.append((instance.rule.name, candidate.choice[0]))
            return candidate

        try:
            yield made, Attempt(space, Limits(modules=60, depth=30)).run(space.grammar.input, choose)
        except DeadEnd:
            yield made, None


def analyses(space: Space) -> Iterator[tuple[str, Reach]]:
    """The one that is made of the grammar, the one by kinds and axes alone, and that of any input."""
    whatever = anywhere(space)
    if whatever is not None:
        yield "anywhere", whatever
    with pytest.MonkeyPatch.context() as patch:
        for name, bound in (("shapes", 0), ("both", reach_module.MAX_SHAPES)):
            patch.setattr(reach_module, "MAX_TYPES", bound)
            found = reach(space)
            if found is not None:
                yield name, found


def refuted(space: Space, seed: int, times: int = 150) -> list[str]:
    """Claims of the analyses that draws contradict."""
    attempts = list(draws(space, seed, times))
    tried = {place for made, _ in attempts for place in made}
    used = {place for made, output in attempts if output is not None for place in made}
    outputs = {output for _, output in attempts if output is not None}
    wrong = []
    for name, found in analyses(space):
        wrong += [f"{name}: {place} is in a derivation" for place in found.dead & used]
        wrong += [f"{name}: {p} is drawn" for p in tried if p in found.fates and not found.fates[p].applies]
        if name != "anywhere":
            wrong += [f"{name}: {place} is reached" for place in tried if place not in found.fates]
            wrong += [f"{name}: {o!r} comes out" for o in outputs if not any(covers(s, o) for s in found.outputs)]
    return wrong


def settled(source: str | Source) -> Space | None:
    """The space of a grammar that can be drawn from."""
    try:
        space = Space(declared_grammar(source))
        settle(space)
    except EinError:
        return None
    return None if any(instance.minimum == inf for instance in space.instances.values()) else space


@pytest.mark.parametrize("seed", range(40))
def test_no_claim_about_a_random_grammar_is_refuted(seed: int) -> None:
    text = random_grammar(seed)
    space = settled(Source("random.ein", text))
    assert space is None or not refuted(space, seed), text


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 500))
def test_no_claim_about_many_random_grammars_is_refuted(seed: int) -> None:
    text = random_grammar(seed)
    space = settled(Source("random.ein", text))
    assert space is None or not refuted(space, seed), text


def test_random_grammars_have_something_to_claim() -> None:
    """Otherwise the tests above would show nothing."""
    claims = 0
    for seed in range(12):
        space = settled(Source("random.ein", random_grammar(seed)))
        claims += sum(len(found.dead) for _, found in analyses(space)) if space is not None else 0
    assert claims > 40


def test_a_planted_wrong_claim_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    space = settled(Source("t.ein", f"{HEAD}input im[4, 8, 8]\nrule S = relu | im2col(2)"))
    assert space is not None and not refuted(space, 0)
    true = flow.Terms.flow
    monkeypatch.setattr(flow.Terms, "flow", lambda *a: {s for s in true(*a) if "seq" not in repr(s)})
    assert any("('S', 1) is in a derivation" in claim for claim in refuted(space, 0))


@pytest.mark.parametrize("name", [n for n in library_names() if declared_grammar(n).start and "/" not in n])
def test_shipped_grammars_have_no_dead_alternative(name: str) -> None:
    space = settled(name)
    assert space is not None and not refuted(space, 0, 600)
    found = reach(space)
    assert found is not None and not found.dead
    assert check(name)[1] == []


# --- what is told


def told(rules: str, input: str = "im[4, 8, 8]") -> list[tuple[str, str, str]]:
    source = Source("t.ein", f"{HEAD}input {input}\n{rules}\nlimit modules <= 60")
    return [(d.code, d.span.text if d.span else "", d.message) for d in check(source)[1]]


@pytest.mark.parametrize(
    ("rules", "place"),
    [
        ("rule S = A >> max_pool | relu\nrule A = im2col(1)", "max_pool"),
        ("rule S = clone(2) >> relu | relu", "relu"),
        ("rule S = relu | clone(3) >> (relu & relu) >> add", "relu & relu"),
        ("rule S = relu | clone(2) >> (flatten & to_vec) >> add", "add"),
        ("rule S = relu | clone(2) >> (flatten & to_vec) >> A\nrule A : t ^ 2 -> t = add", "A"),
        ("rule S = relu | A >> flatten >> A\nrule A : im[c, h, w] = relu", "A"),
        ("rule S = relu | A\nrule A : im[c, h, w] -> im[c, h, w] = to_vec", "im[c, h, w]"),
        ("rule S = relu | flatten >> concat(1)", "concat(1)"),
        ("rule S = relu | (flatten >> relu) * 2", "flatten"),
        ("rule S = relu | flatten >> permute((1, 3, 2))", "permute((1, 3, 2))"),
        ("rule S = relu | let a = flatten, b = to_vec : (a & b) >> add", "add"),
        ("rule S = relu | pooled(relu)\ndef pooled(f) : im[c, h, w] -> vec[c] = pool >> f >> pool", "pool"),
        ("rule S = relu | A(2)\nrule A(n) = clone(n) >> (relu & relu & relu) >> add", "A(2)"),
        ("rule S = relu | (flatten | to_vec) >> conv(3)", "conv(3)"),
    ],
)
def test_a_term_that_never_type_checks_is_an_error_beside_others(rules: str, place: str) -> None:
    assert [(code, text) for code, text, _ in told(rules)] == [("E301", place)]


@pytest.mark.parametrize(
    ("rules", "input", "place", "words"),
    [
        ("rule S = relu | transpose", "im[4, 8, 8]", "transpose", "is never drawn: `transpose` needs the kind `seq`"),
        ("rule S = relu | relu & relu", "im[4, 8, 8]", "relu & relu", "2 branches need a bundle of 2"),
        ("rule S = relu | im2col(9)", "im[4, 8, 8]", "im2col(9)", "h = 8, k = 9"),
        (
            "rule S = clone(2) >> (flatten & relu) >> A | relu\nrule A : t ^ 2 -> t = add",
            "im[4, 8, 8]",
            "A",
            "dead ends",
        ),
        ("rule S = A >> im2col(9) | relu\nrule A = relu", "im[4, 8, 8]", "im2col(9)", "leads to dead ends only"),
        ("rule S = relu | norm if rank == 2", "im[4, 8, 8]", "rank == 2", "its guard holds for nothing that comes"),
        ("rule S = relu | conv(8) >> S | split(3, 1) >> add", "im[4, 8, 8]", "split(3, 1)", "4 / 3 is not exact"),
        ("rule S = relu >> A\nrule A = norm | transpose >> A", "vec[8]", "transpose", "is never drawn"),
        ("rule S = relu | (norm | flatten)", "vec[8]", "flatten", "an alternative of `S` is never drawn"),
    ],
)
def test_an_alternative_that_this_input_never_needs_is_a_warning(
    rules: str, input: str, place: str, words: str
) -> None:
    [(code, text, message)] = told(rules, input)
    assert (code, text) == ("W504", place)
    assert words in message


@pytest.mark.parametrize(
    "rules",
    [
        "rule S = A(1)\nrule A(n) = relu if n == 1 | norm if n == 2",
        "rule S = A | A >> flatten >> A\nrule A = norm | conv(8) if rank == 3 | transpose",
        "rule S = clone(2) >> (relu & conv(out in {2, 4})) >> add",
        "rule S = conv(out in {1..300}) >> A\nrule A = split(7, 1) >> concat(1) | relu",
        "rule S = W >> split(7, 1) >> add | relu\nrule W = conv(out in {1..9}) | W >> linear(out in {1..90})",
    ],
)
def test_nothing_is_said_where_it_may_work(rules: str) -> None:
    assert not [found for found in told(rules) if found[0] in ("E301", "W504")]


def test_a_switch_that_is_off_is_no_mistake() -> None:
    head = "ein 1\ngrammar g(deep = false)\nimport std\ninput im[4, 8, 8]\n"
    assert check(Source("t.ein", f"{head}rule S = relu | norm >> relu if deep"))[1] == []


def test_a_cause_is_told_and_not_what_follows_from_it() -> None:
    rules = "rule S = relu | A >> norm\nrule A = B | B >> relu\nrule B = im2col(9)"
    assert [(code, place) for code, place, _ in told(rules)] == [("W504", "im2col(9)")]


def test_an_empty_space_is_one_error() -> None:
    found = told("rule S = A >> split(3, 1) >> add | A >> im2col(16)\nrule A = conv(4)")
    assert [code for code, _, _ in found] == ["E704"]


def test_a_space_that_is_empty_is_so_whatever_its_limits() -> None:
    """The trial sees the limit only: 400 attempts are too large."""
    rules = "rule S = W * 50 >> flatten >> A\nrule W = relu | norm\nrule A = split(7, 1) >> add | split(6, 1) >> add"
    [(code, place, message)] = told(rules.replace("* 50", "* 90"))
    assert (code, place) == ("E704", "split(7, 1)")
    assert message == "`t` has no derivation, whatever the limits"
    head = f"{HEAD}input im[4, 8, 8]\noutput vec[10]\nlimit modules <= 6\n"
    [found] = check(Source("t.ein", f"{head}rule S = (relu | norm) * 9 >> pool"))[1]
    assert (found.code, found.message) == ("E303", "the output is to be vec[10], and is vec[4], whatever the limits")


def test_rules_that_are_not_reached_are_looked_at_too() -> None:
    found = told("rule S = relu\nrule T = flatten >> max_pool | relu")
    assert {(code, place) for code, place, _ in found} == {
        ("W501", "rule T = flatten >> max_pool | relu"),
        ("E301", "max_pool"),
    }


def test_what_is_too_large_to_tell_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = "rule S = relu | transpose"
    assert [code for code, _, _ in told(rules)] == ["W504"]
    monkeypatch.setattr(reach_module, "MAX_VISITS", 0)
    assert told(rules) == []
