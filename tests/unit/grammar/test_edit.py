"""What is said where a derivation has no mutant, or two have no child."""

from __future__ import annotations

import functools
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

import ein
from ein.grammar.check import load_grammar
from ein.grammar.derivations.files import read_architecture
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, Source
from ein.grammar.editing.edit import crossed, mutant, mutate, ruled


@functools.cache
def space(name: str) -> Sampler:
    return Sampler.of(load_grammar(name))


def of(text: str) -> Sampler:
    return Sampler.of(load_grammar(Source("text", text)))


def _said(call: Callable[[], object]) -> str:
    with pytest.raises(EinError) as caught:
        call()
    return str(caught.value)


def test_what_cannot_be_edited_is_told() -> None:
    sampler = of("ein 1\nimport std\ninput im[3, 8, 8]\nrule Net = A >> norm\nrule A = relu\n")
    only = sampler.draw(0)
    for kind, which, none in (
        ("subtree", "mutant", "leaves nothing to choose in it"),
        ("small", "small edit", "has no place for one in it"),
        ("delete", "edit of the kind `delete`", "has no place for one in it"),
    ):
        message = f"there is no {which} of this derivation of 2 modules: `text` {none}"
        found = _said(functools.partial(mutant, sampler, only, kind=kind))
        assert found == f"error[E706]: {message}\nhelp: take another parent"


def test_what_does_not_fit_is_told() -> None:
    text = "ein 1\nimport std\ninput im[3, 8, 8]\nrule Net = relu | relu >> Net\nlimit modules <= 1\n"
    sampler = of(text)
    one = sampler.draw(0)
    loosen = "help: loosen the limits of the grammar"
    fits = "of this derivation of 1 modules fits within the limits"
    assert _said(lambda: mutant(sampler, one)) == f"error[E706]: no mutant {fits}\n{loosen}"
    kept = "no mutant that keeps the type of the part it changes"
    assert _said(lambda: mutant(sampler, one, keep="type")) == f"error[E706]: {kept} {fits}\n{loosen}"
    assert _said(lambda: mutant(sampler, one, kind="insert")) == (
        f"error[E706]: no edit of the kind `insert` {fits}\n{loosen}"
    )


def test_parents_without_a_child_are_told() -> None:
    sampler = of("ein 1\nimport std\ninput im[3, 8, 8]\nrule Net = A | B\nrule A = relu | norm\nrule B = relu | norm\n")
    drawn = {each.trace: each for each in sampler.samples(99, 0)}
    assert _said(lambda: crossed(sampler, drawn["0 0"], drawn["1 0"])) == (
        "error[E706]: the two derivations, of 1 and 1 modules, have no rule in common below `Net`\n"
        "help: take other parents"
    )
    assert _said(lambda: crossed(sampler, drawn["0 0"], drawn["0 1"])) == (
        "error[E706]: no child of these derivations of 1 and 1 modules fits within the limits\n"
        "help: take other parents, or loosen the limits"
    )


def test_a_parent_of_another_grammar_is_told() -> None:
    drawn = space("tabular").draw(1)
    with pytest.raises(EinError, match="no derivation of `einspace`"):
        mutate(space("einspace"), drawn, Random(1).random)
    with pytest.raises(EinError, match="this architecture takes"):
        ruled(space("einspace"), drawn)


def test_a_derivation_of_an_equal_space_is_taken_and_a_term_parsed() -> None:
    again = Sampler.of(load_grammar("einspace"))
    drawn = again.draw(1, size=(4, 30))
    assert mutant(space("einspace"), drawn).choices == mutant(again, drawn).choices
    child = mutant(space("einspace"), read_architecture("zoo/einspace/resnet8"))
    assert not child.finished and child.space is space("einspace").space


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"kind": "valeu"}, "did you mean `value`"),
        ({"keep": "kind"}, 'None or "type"'),
        ({"keep": "type", "kind": "swap"}, 'for the kind "subtree"'),
        ({"sites": "deep"}, '"uniform" or "depth"'),
    ],
)
def test_a_wrong_word_is_told(given_: dict[str, Any], said: str) -> None:
    sampler = space("einspace")
    with pytest.raises(ValueError, match=said):
        mutant(sampler, sampler.draw(0), **given_)


def test_a_child_by_alignment_lies_between_its_parents() -> None:
    space = ein.load("einspace", limits={"modules": 60})
    a, b = space.sample(0, 3, size=(12, 30)), space.sample(0, 4, size=(12, 30))
    children = [space.crossover(a, b, 0, index, kind="alignment") for index in range(5)]
    whole = ein.distance(a, b)
    for child in children:
        assert child not in (a, b)
        assert space.parse(child.text).text == child.text
        assert ein.distance(a, child) + ein.distance(child, b) <= whole + 1e-9
    assert space.crossover(a, b, 0, 2, kind="alignment") == children[2]
    with pytest.raises(ValueError, match="did you mean `alignment`"):
        space.crossover(a, b, kind="aligned")
    with pytest.raises(ValueError, match="subtree"):
        space.crossover(a, b, kind="alignment", keep="type")
