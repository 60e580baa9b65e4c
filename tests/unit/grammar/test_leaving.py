"""Terms that a grammar does not derive: where they leave it, and what it has there."""

from __future__ import annotations

import pytest

from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, Source, render_all
from ein.grammar.matching.match import derive
from ein.grammar.matching.written import written_term

HEAD = "ein 1\nimport std\ninput im[4, 8, 8]\n"
RULES = """
def twin(f, g) = clone(2) >> (f & g) >> add
rule Net = Block >> Block >> head(10)
rule Block = twin(Unit, Unit >> norm) | Unit | clone(2) >> (Unit >> relu) ^ 2 >> add | let a = Unit : (a & tanh) >> add
rule Unit = conv(out in {4, 8}) | max_pool >> gelu * 2
"""


def told(term: str, rules: str = RULES) -> str:
    grammar = load_grammar(Source("g.ein", HEAD + rules))
    sampler = Sampler.of(grammar)
    assert grammar.input is not None
    with pytest.raises(EinError) as caught:
        derive(sampler.space, written_term(grammar, term, grammar.input))
    return render_all(caught.value.diagnostics)


GOLDEN = """\
error[E707]: `g` does not derive this term: no rule gives `conv(4, k = 5)` there
 --> <term>:5:25
  |
5 | clone(2) >> (conv(4) & (conv(4, k = 5) >> norm)) >> add >> conv(4) >> head(10)
  |                         ^^^^^^^^^^^^^^
  = help: there could be `conv(4)` (`Unit`), `conv(8)` (`Unit`), `max_pool` (`Unit`)"""


def test_the_message_of_a_branch() -> None:
    assert told("clone(2) >> (conv(4) & (conv(4, k = 5) >> norm)) >> add >> conv(4) >> head(10)") == GOLDEN


PLACES = {
    "conv(4) >> relu >> head(10)": ("relu", "max_pool"),
    "conv(5) >> conv(4) >> head(10)": ("conv(5)", "conv(4)"),
    "clone(2) >> (conv(4) & conv(4) >> relu) >> add >> conv(4) >> head(10)": ("relu", "norm"),
    "clone(2) >> (conv(4) >> norm) ^ 2 >> add >> conv(4) >> head(10)": ("norm", "relu"),
    "max_pool >> tanh * 2 >> conv(4) >> head(10)": ("tanh", "gelu"),
    "let b = tanh : (b & tanh) >> add >> conv(4) >> head(10)": ("tanh", "conv(4)"),
    "conv(4) >> conv(4) >> pool >> linear(9)": ("linear(9)", "linear(10)"),
}


@pytest.mark.parametrize("term", PLACES)
def test_the_place_and_the_nearest_that_fits(term: str) -> None:
    found, nearest = PLACES[term]
    message = told(term)
    assert f"no rule gives `{found}` there" in message
    assert f"`{nearest}`" in message.partition("there could be ")[2]
    lines = message.splitlines()
    shown = next(line for line in lines if line.startswith("5 | "))
    caret = next(line for line in lines if "^" in line and "|" in line and line.startswith("  |"))
    assert shown[caret.index("^") : caret.rindex("^") + 1] == found


def test_a_term_that_ends_too_early() -> None:
    message = told("conv(4) >> conv(4) >> pool")
    assert "it ends too early, after `pool`" in message and "`linear(10)` (`Net`)" in message


def test_a_term_that_goes_on_too_long() -> None:
    message = told("conv(4) >> conv(4) >> head(10) >> relu")
    assert "no rule gives `relu` there" in message and "the rules are at an end" in message


def test_a_claim_that_is_not_met() -> None:
    rules = "rule Net : im[c, h, w] -> im[c, h / 2, w / 2] = conv(4) | max_pool\n"
    assert told("conv(4)", rules).startswith(
        "error[E707]: `g` does not derive this term: `Net` declares im[4, 4, 4] and gives im[4, 8, 8]\n"
    )
    assert "`Net` declares im[4, 4, 4]" in told("conv(4) >> relu", rules)


def test_an_end_that_is_known_beforehand_is_no_mistake_of_the_last_that_fits() -> None:
    rules = "rule Net = relu | norm >> Net\n"
    message = told("norm >> relu >> norm", rules)
    assert "no rule gives `norm` there" in message and "<term>:5:17" in message


def test_a_macro_of_another_file_is_shown_where_it_is_used() -> None:
    """`conv_bn` is declared in `std`: the caret is under its use."""
    message = told("conv(4) >> conv_bn(4) >> head(10)")
    assert "no rule gives `conv(4, bias = false)` there" in message
    assert "std" not in message and "^^^^^^^^^^\n" in message


def test_an_architecture_of_a_file_is_told_of_that_file() -> None:
    net = load_grammar(Source("net.ein", f"{HEAD}arch n = conv(4) >> relu >> head(10)\n"))
    space = Sampler.of(load_grammar(Source("g.ein", HEAD + RULES))).space
    with pytest.raises(EinError) as caught:
        derive(space, architecture(net).term)
    span = caught.value.diagnostics[0].span
    assert span is not None and (span.source.name, span.text) == ("net.ein", "relu")


def test_a_deeply_nested_term_is_told_without_recursion() -> None:
    deep = "relu"
    for _ in range(45):
        deep = f"clone(2) >> (identity & ({deep})) >> add"
    assert "no rule gives `identity` there" in told(deep, "rule Net = relu | clone(2) >> (relu & Net) >> add\n")


def test_what_is_no_term_is_told_in_the_text() -> None:
    grammar = load_grammar(Source("g.ein", HEAD + RULES))
    assert grammar.input is not None
    for text, code in (("conv(4", "E105"), ("cnv(4)", "E201"), ("linear(4) >> col2im", "E301")):
        with pytest.raises(EinError) as caught:
            written_term(grammar, text, grammar.input)
        (found, *_) = caught.value.diagnostics
        assert found.code == code and found.span is not None and found.span.source.name == "<term>"


def test_operators_of_the_grammar_are_known_in_a_written_term() -> None:
    own = "type vol[c, d]\nop mix : im[c, h, w] -> vol[c, h * w] = x[c, (h w)]\nrule Net = mix\n"
    try:
        grammar = load_grammar(Source("g.ein", HEAD + own))
    except EinError:
        grammar = load_grammar(Source("g.ein", HEAD + "op mix : t -> t = x * 2\nrule Net = mix\n"))
    assert grammar.input is not None
    sampler = Sampler.of(grammar)
    assert derive(sampler.space, written_term(grammar, "mix", grammar.input)) == sampler.draw(0)


def test_an_output_that_is_another_is_told() -> None:
    rules = "output vec[3]\nrule Net = pool | pool >> linear(3)\n"
    assert "the output is to be vec[3], and is vec[4]" in told("pool", rules)
