"""What rules, macros and architectures claim of their output: computed, open, and live."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

import ein
from ein.compiler.interpret import Interpreter
from ein.grammar.architecture import architecture
from ein.grammar.check import Request, check, load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Diagnostic, EinError, Source
from ein.grammar.types import is_dead

HEAD = "ein 1\nimport std\ninput im[4, 8, 8]\n"


def sampler(rules: str) -> Sampler:
    return Sampler.of(load_grammar(Source("g.ein", HEAD + rules)))


def found(rules: str, request: Request | None = None) -> list[Diagnostic]:
    return check(Source("g.ein", HEAD + rules), request)[1]


# --- open goals


def test_an_open_size_is_any_size() -> None:
    drawn = sampler("rule S : im[c, h, w] -> im[_, h, w] = conv(out in {2, 3}, k in {1, 2}, p = 0)\n").samples(60, 0)
    assert {(repr(d.type), d.text) for d in drawn} == {
        ("im[2, 8, 8]", "conv(2, k = 1)"), ("im[3, 8, 8]", "conv(3, k = 1)"),
    }  # fmt: skip


def test_a_name_that_stands_twice_is_one_size() -> None:
    rules = "rule S : im[c, h, w] -> im[d, d, w] = conv(out in {4, 8}) >> (relu | max_pool)\n"
    assert {d.text for d in sampler(rules).samples(40, 0)} == {"conv(8) >> relu"}


def test_an_open_goal_says_what_did_not_fit() -> None:
    [error] = found("rule S : im[c, h, w] -> im[_, h, w] = max_pool\n")
    assert error.code == "E303"
    assert "`S` declares `im[_, h, w]`, and im[4, 4, 4] does not fit: `h` is 8 and 4" in error.message


def test_a_macro_meets_its_claim() -> None:
    good = "def half : im[c, h, w] -> im[c, h / 2, w / 2] = max_pool\n"
    assert repr(next(sampler(f"{good}rule S = half >> half\n").samples(1, 0)).type) == "im[4, 2, 2]"
    [error] = found("def half : im[c, h, w] -> im[c, h / 2, w / 2] = relu\nrule S = half\n")
    assert error.code == "E301" and "`half` declares im[4, 4, 4] and gives im[4, 8, 8]" in error.message
    assert error.span is not None and error.span.text == "im[c, h / 2, w / 2]"


def test_a_macro_may_leave_its_output_open() -> None:
    rules = "def wide : im[c, h, w] -> im[_, h, w] = conv(2 * c)\nrule S = wide >> wide\n"
    assert repr(next(sampler(rules).samples(1, 0)).type) == "im[16, 8, 8]"


def test_a_goal_takes_a_structure_that_it_does_not_say() -> None:
    """`seq[l, d]` binds the grid, and `seq[64, d]` is a number: `col2im` needs the grid."""
    grid = "rule S = im2col(1) >> Keep >> col2im\nrule Keep : seq[l, d] -> seq[{}, d] = identity\n"
    assert next(sampler(grid.format("l")).samples(1, 0)).text == "im2col(1) >> identity >> col2im"
    assert [error.code for error in found(grid.format("64"))] == ["E301"]


def test_an_architecture_of_open_sizes_meets_what_it_says_of_them() -> None:
    good = "arch a : im[c, h, w] -> im[2*c, h / 2, w / 2] = max_pool >> conv(8)\n"
    assert repr(architecture(load_grammar(Source("a.ein", HEAD + good))).type) == "im[8, 4, 4]"
    with pytest.raises(EinError, match="declares"):
        architecture(load_grammar(Source("a.ein", HEAD + good), Request(input="im[3, 8, 8]")))


def test_an_architecture_may_leave_its_output_open() -> None:
    text = "ein 1\nimport std\narch a : im[3, 8, 8] -> _ = conv(5) >> pool\n"
    assert repr(architecture(load_grammar(Source("a.ein", text))).type) == "vec[5]"


# --- live

ZEROS = "op nothing : t -> t = zeros\n"


@pytest.mark.parametrize(
    ("term", "live"),
    [
        ("relu", True),
        ("nothing", False),
        ("nothing >> conv(4) >> relu", False),
        ("clone(2) >> (nothing & relu) >> add", True),
        ("clone(2) >> (nothing & nothing >> relu) >> add", False),
        ("clone(2) >> (nothing & relu) >> take(1)", False),
        ("clone(2) >> (nothing & relu) >> take(2)", True),
        ("clone(2) >> (nothing & relu) >> swap >> take(1)", True),
        ("clone(3) >> (relu & nothing & gelu) >> drop(1) >> take(1)", False),
        ("clone(2) >> (nothing & relu) >> relu ^ 2 >> take(1)", False),
        ("clone(2) >> (nothing & relu) >> concat(1)", True),
        ("let a = nothing : (a & identity) >> add", True),
        ("let a = nothing : a >> relu", False),
        ("nothing * 2", False),
        ("clone(2) >> (identity & nothing) >> clone(2) ^ 2 >> take(1) ^ 2 >> take(2)", False),
        ("clone(2) >> ((clone(2) >> (relu & nothing)) & clone(2)) >> take(2) ^ 2 >> take(1)", False),
        ("clone(2) >> ((clone(2) >> (relu & nothing)) & clone(2)) >> take(2) ^ 2 >> take(2)", True),
        ("let a = relu : clone(2) >> (nothing & gelu) >> ((identity & a) >> add) ^ 2 >> take(1)", True),
        ("clone(2) >> (tanh & identity) >> ((nothing & relu) >> swap) * 2 >> add", False),
        ("clone(2) >> (identity & nothing) >> (identity & clone(2)) >> (relu & add) >> add", True),
    ],
)  # fmt: skip
def test_what_depends_on_the_input(term: str, live: bool) -> None:
    derived = architecture(load_grammar(Source("a.ein", f"{HEAD}{ZEROS}arch a = {term}\n")))
    assert is_dead(derived.type) is not live
    x = torch.randn(2, 4, 8, 8, requires_grad=True)
    torch.manual_seed(0)
    made = Interpreter(ein.lower(derived))(x).sum()
    grad = torch.autograd.grad(made, x, allow_unused=True)[0] if made.requires_grad else None
    assert (grad is not None and bool(grad.abs().sum() > 0)) is live


def test_a_live_goal_leaves_out_what_is_dead() -> None:
    """By the condition, the dead one of four is gone and the others keep their proportions."""
    rules = f"{ZEROS}rule S : t -> {{}}t = clone(2) >> (E & E) >> add\nrule E = relu | nothing\n"
    counts = Counter(d.text for d in sampler(rules.format("live ")).samples(3000, 0))
    dead = "clone(2) >> (nothing & nothing) >> add"
    kept = ("relu & relu", "relu & nothing", "nothing & relu")
    assert set(counts) == {f"clone(2) >> ({each}) >> add" for each in kept}
    assert all(abs(n - 1000) < 5 * (3000 * 2 / 9) ** 0.5 for n in counts.values())
    assert dead in {d.text for d in sampler(rules.format("")).samples(100, 0)}


@pytest.mark.parametrize(
    ("body", "live"),
    [
        ("clone(2) >> (relu & gelu) >> ((nothing & E) >> swap) * 1 >> add", True),
        ("clone(2) >> (relu & gelu) >> ((nothing & E) >> swap) * 2 >> add", False),
        ("clone(2) >> ((clone(2) >> (E & nothing)) & clone(2)) >> (tanh & E) ^ 2 >> take(2) ^ 2 >> take(1)", False),
        ("clone(2) >> ((clone(2) >> (E & nothing)) & clone(2)) >> (tanh & E) ^ 2 >> take(2) ^ 2 >> take(2)", True),
        ("let a = relu : clone(2) >> (nothing & gelu) >> ((E & a) >> add) ^ 2 >> take(1)", True),
        ("clone(2) >> (nothing & gelu) >> E ^ 2 >> take(1)", False),
        ("clone(2) >> (nothing & gelu) >> E ^ 2 >> take(2)", True),
    ],
)  # fmt: skip
def test_each_copy_of_one_derivation_has_its_own_life(body: str, live: bool) -> None:
    goal = f"{ZEROS}rule S : t -> live t = {body}\nrule E = gelu\n"
    assert bool(found(goal)) is not live
    assert is_dead(next(sampler(goal.replace("live ", "")).samples(1, 0)).type) is not live


def test_what_can_only_be_dead_is_said() -> None:
    [error] = found(f"{ZEROS}rule S : t -> live t = nothing >> relu\n")
    assert error.code == "E303"
    assert "`S` declares a live result, and what it gives does not depend on the input" in error.message


def test_types_of_dead_values_print_alike() -> None:
    derived = architecture(load_grammar(Source("a.ein", f"{HEAD}{ZEROS}arch a = nothing\n")))
    assert repr(derived.type) == "im[4, 8, 8]"
