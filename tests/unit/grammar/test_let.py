"""Values that `let` names: what flows where, how it prints, how it comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import ein
from ein.compiler.interpret import Interpreter
from ein.grammar import term as t
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, Source
from ein.grammar.matching.match import derive

HEAD = "ein 1\ngrammar g(classes = 10)\nimport std\n"
SPACE = """
input im[2, 8, 8]
output vec[classes]
rule Net = conv(4) >> Cell >> Cell >> head(classes)
"""


def arch(body: str, rest: str = "") -> Derivation:
    return architecture(load_grammar(Source("a.ein", f"{HEAD}{rest}input im[2, 8, 8]\narch net = {body}\n")))


def space(rules: str) -> Sampler:
    return Sampler.of(load_grammar(Source("s.ein", HEAD + SPACE + rules)))


def text_of(body: str, rest: str = "") -> str:
    return arch(body, rest).text


def refusal(body: str, rest: str = "") -> tuple[str, str]:
    with pytest.raises(EinError) as caught:
        arch(body, rest)
    return caught.value.diagnostics[0].code, caught.value.diagnostics[0].message


def same_function(first: Derivation, second: Derivation) -> None:
    """The two compute the same from the same weights, which they take in the same order."""
    x = torch.randn(3, *first.input.sizes)  # type: ignore[union-attr]
    outs = []
    for derivation in (first, second):
        torch.manual_seed(0)
        outs.append(Interpreter(ein.lower(derivation))(x))
    torch.testing.assert_close(outs[0], outs[1])


@pytest.mark.parametrize(
    ("named", "plain"),
    [
        ("let a = relu : a", "relu"),
        ("let a = relu : conv(2) >> a", "clone(2) >> (conv(2) & relu) >> take(2)"),
        ("let a = identity : (conv(2) & a) >> add", "clone(2) >> (conv(2) & identity) >> add"),
        ("conv(3) >> (let a = relu : (a & a) >> add)", "conv(3) >> relu >> clone(2) >> add"),
        ("let (a, b) = clone(2) >> (relu & gelu) : (b & a) >> concat(1)", "clone(2) >> (gelu & relu) >> concat(1)"),
        ("let a = relu, b = a >> gelu : (b & a) >> add", "relu >> clone(2) >> (gelu & identity) >> add"),
        ("let a = relu : a ^ 3 >> add", "relu >> clone(3) >> add"),
        ("let a = relu : (a >> gelu) ^ 2 >> add", "relu >> clone(2) >> gelu ^ 2 >> add"),
        (
            "relu >> (let a = gelu : let b = a >> tanh : (a & b) >> mul)",
            "relu >> gelu >> clone(2) >> (identity & tanh) >> mul",
        ),
        ("let a = relu : (a & (let a = a >> gelu : a)) >> add", "relu >> clone(2) >> (identity & gelu) >> add"),
        ("(let a = relu : (a & identity) >> add) * 2", "(clone(2) >> (relu & identity) >> add) * 2"),
    ],
)  # fmt: skip
def test_a_named_value_is_what_it_stands_for(named: str, plain: str) -> None:
    same_function(arch(named), arch(plain))


def test_each_right_side_takes_what_flows_in() -> None:
    """And not what the line before gave."""
    same_function(arch("let a = relu, b = tanh : (a & b) >> mul"), arch("clone(2) >> (relu & tanh) >> mul"))


def test_several_branches_that_take_an_input_share_a_bundle() -> None:
    derived = arch("let a = relu : clone(2) >> (gelu & a & tanh) >> add")
    same_function(derived, arch("clone(3) >> (gelu & relu & tanh) >> add"))


@pytest.mark.parametrize(
    ("body", "rest", "said"),
    [
        ("let a = relu : (relu & gelu & a) >> add", "", "2 branches need a bundle of 2"),
        ("let (a, b) = relu : (a & b) >> add", "", "`let` names 2 values, and this is im[2, 8, 8]"),
        ("let a = conv(3) : (a & identity) >> add", "", "needs equal tensors"),
    ],
)
def test_what_does_not_fit(body: str, rest: str, said: str) -> None:
    code, message = refusal(body, rest)
    assert code == "E301" and said in message


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("let a = relu : a(3)", "E307", "`a` is a value of `let`, which takes no arguments"),
        ("let a = relu : conv(a)", "E205", "`a` is the value of a term, and a number is needed here"),
        ("let (a, a) = clone(2) : a", "E311", "`a` is bound twice in one `let`"),
        ("(let a = relu : a) >> b", "E201", "there is no operator or macro `b`"),
        ("(let a = relu : a) >> a", "E201", "there is no operator or macro `a`"),
        ("let a = relu : (a & (a | gelu)) >> add", "E312", "some alternatives of this branch begin with a value"),
    ],
)
def test_what_is_no_value(body: str, code: str, said: str) -> None:
    assert refusal(body)[0] == code and said in refusal(body)[1]


def test_what_nothing_uses_is_said_and_left_out_of_a_rule() -> None:
    rule = load_grammar(Source("a.ein", f"{HEAD}input im[2, 8, 8]\nrule Net = let a = conv(9), b = relu : b\n"))
    assert [(w.code, w.message) for w in rule.warnings] == [("W205", "`a` is never used, so it is left out")]
    assert Sampler.of(rule).draw(0).text == "let b = relu : b"


def test_what_nothing_uses_stays_in_an_architecture() -> None:
    """Or a drawn network with an idle branch would not be read back as it was drawn."""
    arch = load_grammar(Source("a.ein", f"{HEAD}input im[2, 8, 8]\narch net = let a = conv(9), b = relu : b\n"))
    assert [(w.code, w.message) for w in arch.warnings] == [("W205", "`a` is never used")]
    assert architecture(arch).text == "let a = conv(9), b = relu : b"


# --- names


def test_names_that_meet_get_numbers() -> None:
    """A macro's names are its own, also where its argument uses the same ones; operators keep theirs."""
    macro = "def both(f) = let a = identity : (a & f) >> add\n"
    assert text_of("let a = relu : both(a)", macro) == "let a = relu : let a_2 = identity : (a_2 & a) >> add"
    assert text_of("let relu = gelu : relu >> both(tanh)", macro).startswith("let relu = gelu : relu >> (let a = ")
    hidden = "def act = relu\n"
    assert text_of("let relu = gelu : (relu & act) >> add", hidden) == "let relu_2 = gelu : (relu_2 & relu) >> add"


def test_a_printed_term_means_the_same() -> None:
    cell = """
def cell(e, f) = let n1 = identity, n2 = n1 >> e, n3 = (n1 >> f & n2 >> e) >> add : (n1 & n2 >> f & n3) >> add
"""
    first = arch("cell(conv(2), cell(relu, conv(2))) * 2", cell)
    second = arch(first.text)
    assert second.text == first.text
    same_function(first, second)


# --- in rules

RULES = {
    "values": "rule Cell = let a = E, b = (a & E) >> add : (a >> E & b) >> add\nrule E = relu | gelu | conv(4) @ 30%\n",
    "nested": "rule Cell = let a = E, b = a >> E : (a & b) >> add\nrule E = relu | conv(4) | Cell @ 20%\n",
    "groups": "rule Cell = let a = relu, b = gelu : ((a | b >> tanh) & (b | a | a >> (b | tanh)) & a & b) >> add\n",
    "group that takes": "rule Cell = let a = relu : (a & (conv(4) | identity >> a | gelu)) >> add >> (a | tanh)\n",
    "several": "rule Cell = let (a, b) = clone(2) >> (E & E) : for i in {1, 2} : (a & b) >> take(i)\n"
    "rule E = relu | gelu\n",
    "choices": "rule Cell = let a = conv(out in {2, 4}) : (a & a) >> add >> conv(4)\n",
    "macro": "def res(f) : im[c, h, w] -> im[c, h, w] = let x = identity : (x >> f >> conv(c) & x) >> add\n"
    "rule Cell = res(E) >> res(res(E))\nrule E = conv(out in {2, 4}) | relu\n",
}


def derivations(rules: str) -> Iterator[Derivation]:
    sampler = space(rules)
    for index in range(40):
        yield sampler.draw(1, index)


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_what_is_drawn_replays_runs_and_is_parsed_back(rules: str) -> None:
    texts = set()
    for drawn in derivations(rules):
        texts.add(drawn.text)
        assert drawn.cost.modules == drawn.modules
        module = Interpreter(ein.lower(drawn))
        assert module(torch.randn(2, 2, 8, 8)).shape == (2, 10)
        assert sum(p.numel() for p in module.parameters()) == drawn.cost.parameters
        assert derive(drawn.space, drawn.term).text == drawn.text
    assert len(texts) > 1


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_a_printed_derivation_is_derived_again(rules: str, tmp_path: Path) -> None:
    sampler = space(rules)
    for index in range(10):
        drawn = sampler.draw(2, index)
        source = f"{HEAD}{''.join(line for line in rules.splitlines(True) if line.startswith('def'))}"
        printed = load_grammar(Source("n.ein", f"{source}arch net : im[2, 8, 8] -> vec[10] = {drawn.text}\n"))
        assert derive(sampler.space, architecture(printed).term).text == drawn.text


def test_the_wrong_variable_is_another_term() -> None:
    sampler = space("rule Cell = let a = relu, b = gelu : (a & b) >> add\n")
    drawn = sampler.draw(0, 0)
    right = "let a = relu, b = gelu : (a & b) >> add"
    for wrong in ("let a = relu, b = gelu : (b & a) >> add", "let a = relu, b = gelu : (a & b & b) >> add"):
        text = drawn.text.replace(right, wrong, 1)
        assert text != drawn.text
        other = architecture(load_grammar(Source("n.ein", f"{HEAD}arch net : im[2, 8, 8] -> vec[10] = {text}\n")))
        with pytest.raises(EinError, match="does not derive"):
            derive(sampler.space, other.term)


def test_a_walk_meets_every_part_once() -> None:
    drawn = arch("let a = relu, (b, c) = clone(2) : (a & b >> gelu & c) >> add")
    assert [node.application.text for node in t.walk(drawn.term) if isinstance(node, t.Op)] == [
        "relu", "clone(2)", "gelu", "add",
    ]  # fmt: skip
