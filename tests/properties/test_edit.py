"""Laws of mutation and of finding a term's derivation, on einspace and on a space with all forms of copies."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from ein.grammar import term as t
from ein.grammar.cfg import Limits
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.derivation import Derivation, replay
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError, Source
from ein.grammar.editing.edit import mutate
from ein.grammar.matching.match import derive

FORMS = """\
ein 1
grammar forms(classes = 4)
import std
input im[4, 8, 8]
output vec[classes]
rule Net = Body * 2 >> tied Same * 3 >> head(classes)
rule Body = clone(2) >> (Same & (relu | norm)) >> add | residual(Same) | tied Wide(2) * 2
rule Same : im[c, h, w] -> im[c, h, w] = conv(c, k in {1, 3}) @ 2 | relu | split(2, 1) >> relu ^ 2 >> concat(1)
rule Wide(n) : im[c, h, w] -> im[c, h, w] = split(n, 1) >> Same ^ n >> concat(1)
limit modules <= 40
"""


def sampler(what: str | Source) -> Sampler:
    request = Request(input="im[1, 8, 8]") if what == "einspace" else Request()
    return Sampler.of(load_grammar(what, request))


SPACES = {"einspace": sampler("einspace"), "forms": sampler(Source("forms", FORMS))}


def within(derivation: Derivation, limits: Limits) -> bool:
    cost, depth = t.cost(derivation.term), t.depth(derivation.term)
    found = {"modules": cost.modules, "depth": depth, "parameters": cost.parameters}
    found |= {"macs": cost.macs, "elements": cost.elements}
    return all(getattr(limits, k) is None or v <= getattr(limits, k) for k, v in found.items())


@pytest.mark.parametrize("name", SPACES)
def test_a_mutant_is_valid_within_the_limits_and_never_its_parent(name: str) -> None:
    space = SPACES[name]
    random = Random("mutants").random
    for index in range(60):
        parent = space.draw(5, index)
        for _ in range(4):
            child = mutate(space, parent, random)
            assert child.choices != parent.choices
            assert within(child, space.limits)
            assert child.type is space.grammar.output
            assert child.modules == child.cost.modules
            assert t.text(replay(space.space, child.choices, child.input)) == child.text


@pytest.mark.parametrize("name", SPACES)
def test_a_mutant_differs_in_one_subtree(name: str) -> None:
    """What stands before the place, and as much as the parent had after it, keeps its choices."""
    space = SPACES[name]
    random = Random("subtrees").random
    for index in range(40):
        parent = space.draw(6, index)
        child = mutate(space, parent, random)
        ours, theirs = child.choices, parent.choices
        same = 0
        while same < min(len(ours), len(theirs)) and ours[same] == theirs[same]:
            same += 1
        tail = 0
        while tail < min(len(ours), len(theirs)) - same and ours[-1 - tail] == theirs[-1 - tail]:
            tail += 1
        place = t.walk(parent.term)
        names = [node for node in place if isinstance(node, t.Named) and not node.macro]
        assert same < len(names)
        sizes = [_uses(node) for node in names]
        assert any(start <= same and start + sizes[start] >= len(theirs) - tail for start in range(len(names)))


def _uses(term: t.TypedTerm) -> int:
    return sum(isinstance(node, t.Named) and not node.macro for node in t.walk(term))


def test_mutation_reaches_every_rule() -> None:
    space = SPACES["einspace"]
    random = Random("places").random
    changed: Counter[str] = Counter()
    for index in range(150):
        parent = space.draw(7, index, size=(6, 30))
        child = mutate(space, parent, random)
        pairs = zip(child.choices, parent.choices, strict=False)
        first = next(i for i, (a, b) in enumerate(pairs) if a != b)
        names = [node for node in t.walk(parent.term) if isinstance(node, t.Named)]
        changed[names[first].name] += 1
    assert {"M", "C", "Fork", "Join", "Before", "After"} <= set(changed)


def test_the_same_random_numbers_give_the_same_mutant_whatever_the_tables_hold() -> None:
    space = SPACES["einspace"]
    parents = [space.draw(8, index) for index in range(20)]
    first = [mutate(space, parent, Random(f"{i}").random).trace for i, parent in enumerate(parents)]
    space.space.clear()
    again = [mutate(space, parent, Random(f"{i}").random).trace for i, parent in enumerate(parents)]
    assert first == again


def test_a_parent_without_mutants_is_told() -> None:
    space = sampler(Source("one", "ein 1\nimport std\ninput im[3, 8, 8]\nrule A = relu >> norm\n"))
    with pytest.raises(EinError, match="no mutant"):
        mutate(space, space.draw(0), Random(1).random)


@pytest.mark.parametrize("name", SPACES)
def test_a_drawn_term_is_derived_again_and_at_least_as_probably(name: str) -> None:
    space = SPACES[name]
    for index in range(120):
        drawn = space.draw(9, index)
        found = derive(space.space, drawn.term)
        assert found.text == drawn.text
        assert found.log10_probability >= drawn.log10_probability - 1e-9


def test_a_term_that_leaves_the_grammar_is_told_where() -> None:
    outside = Source("outside", "ein 1\nimport std\narch a : im[1, 8, 8] -> vec[4] = norm >> relu >> head(4)\n")
    from ein.grammar.architecture import architecture

    with pytest.raises(EinError, match="no rule gives `relu` there"):
        derive(SPACES["einspace"].space, architecture(load_grammar(outside)).term)


def test_the_most_probable_derivation_is_found() -> None:
    """Two ways to the same term: the one that the weights favour."""
    text = "ein 1\nimport std\ninput im[3, 8, 8]\nrule A = B @ 1 | C @ 3 | relu >> A\nrule B = relu\nrule C = relu\n"
    space = sampler(Source("two", text))
    for index in range(20):
        found = derive(space.space, space.draw(0, index).term)
        assert found.choices[-2] == (1, ())


def test_long_terms_are_derived_without_recursion() -> None:
    text = "ein 1\nimport std\ninput im[3, 8, 8]\nrule A = relu | relu >> A\nlimit modules <= 3000, depth <= 5000\n"
    space = sampler(Source("long", text))
    from ein.grammar.architecture import architecture

    many = " >> ".join(["relu"] * 600)
    term = architecture(
        load_grammar(Source("many", f"ein 1\nimport std\narch a : im[3, 8, 8] -> im[3, 8, 8] = {many}\n"))
    ).term
    assert len(derive(space.space, term).choices) == 600
