"""Reading derivations back against all derivations there are: the most probable one of each term is found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pytest

from ein.grammar.architecture import architecture
from ein.grammar.cfg import Limits
from ein.grammar.check import load_grammar
from ein.grammar.derivations.attempt import Attempt, DeadEnd
from ein.grammar.derivations.derivation import Choices, Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source
from ein.grammar.matching.match import derive
from ein.grammar.steps import Candidate, Instance, Options
from ein.grammar.term import TypedTerm

HEAD = "ein 1\nimport std\ninput im[4, 8, 8]\n"
MODULES, CHOICES = 4, 13

AMBIGUOUS = {
    "series": "rule S = M >> M | M @ 3\nrule M = relu | norm @ 2 | M >> M | R\nrule R = relu >> M >> relu @ 5 | norm",
    "weights change with the type": """
rule S = M >> M | M
rule M = conv(8) | relu | M >> M | im2col(k = 1) | linear(4)""",
    "claims": "rule S = M >> M\nrule M : t -> t = relu | norm | M >> M @ 2 | relu >> M @ 3",
    "claims that change the type": """
rule S = M >> M >> relu | M >> relu
rule M : im[c, h, w] -> im[d, i, j] = relu | max_pool | M >> M""",
    "three": "rule S = M >> M >> M\nrule M = relu | M >> M >> M @ 3 | M >> M | norm | relu >> M >> relu @ 5",
    "right recursion": """
rule S = A >> B
rule A = relu | relu >> A | norm >> A
rule B = A >> A | A | relu >> B @ 7""",
    "circles": "rule S = A | B\nrule A = B >> relu | B | relu\nrule B = A @ 3 | A >> B | norm",
    "branches": """
rule S = M >> M | M
rule M = relu | M >> M | clone(2) >> (M & M) >> add | clone(2) >> M ^ 2 >> add""",
    "values": "rule S = let a = M : M >> (identity & a) >> add | M\nrule M = relu | norm | M >> M | S @ 0.5",
    "groups": "rule S = (relu | M) >> M | let a = relu : (M & (a | a >> M)) >> add\nrule M = relu | M >> M | norm",
    "repetitions": "rule S = M >> M | M * 2 | (M >> M) * 2\nrule M = relu | norm | M >> M | M * 2",
    "ends that are known": """
def last = norm >> relu
rule S = A >> last | A
rule A = relu >> A | relu | norm >> A | norm""",
}


class _More(Exception):
    def __init__(self, table: Options) -> None:
        super().__init__()
        self.choices = [candidate.choice for candidate in table.candidates]


def derivations(sampler: Sampler) -> Iterator[Derivation]:
    """All of at most so many modules and choices, by trying every choice after every beginning."""
    input = sampler.grammar.input
    assert input is not None
    stack: list[Choices] = [()]
    while stack:
        known = stack.pop()
        left = iter(known)

        def choose(instance: Instance, table: Options, left: Iterator[object] = left) -> Candidate:
            choice = next(left, None)
            if choice is None:
                raise _More(table)
            return next(candidate for candidate in table.candidates if candidate.choice == choice)

        attempt = Attempt(sampler.space, Limits(modules=MODULES))
        try:
            attempt.run(input, choose)
        except DeadEnd:
            continue
        except _More as more:
            stack += [(*known, choice) for choice in more.choices] if len(known) < CHOICES else []
            continue
        yield Derivation(sampler.space, known, MODULES - attempt.modules_left, input)


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_the_most_probable_of_all_derivations_is_found(name: str) -> None:
    sampler = Sampler.of(load_grammar(Source(name, HEAD + AMBIGUOUS[name] + "\n")))
    best: dict[str, float] = defaultdict(lambda: float("-inf"))
    terms: dict[str, TypedTerm] = {}
    count = 0
    for derivation in derivations(sampler):
        count += 1
        best[derivation.text] = max(best[derivation.text], derivation.log10_probability)
        terms[derivation.text] = derivation.term
    assert count > len(terms) > 5
    for text, term in terms.items():
        found = derive(sampler.space, term)
        assert found.text == text
        assert found.log10_probability == pytest.approx(best[text], abs=1e-9), (text, found.trace)
        assert found.modules == found.cost.modules


def series(length: int) -> TypedTerm:
    """Operators of einspace in a row, which a derivation may bracket in very many ways."""
    many = " >> ".join(("norm", "leaky_relu", "softmax", "pos_enc", "norm")[i * i % 5] for i in range(length - 1))
    text = f"ein 1\nimport std\nimport einspace (readout)\narch a : im[3, 32, 32] -> _ = {many} >> readout(10)\n"
    return architecture(load_grammar(Source("a", text))).term


@pytest.mark.parametrize("length", [50, 5_000])
def test_a_series_takes_one_choice_for_each_operator_and_each_bracket(length: int) -> None:
    """As many choices as any bracketing has; a chart of all of them would not end for the longer one."""
    sampler = Sampler.of(load_grammar("einspace"))
    found = derive(sampler.space, series(length))
    assert found.modules == length
    assert len(found.choices) == 3 * (length - 1)


def test_what_was_read_before_does_not_change_what_is_read() -> None:
    fresh, kept = (Sampler.of(load_grammar("einspace")) for _ in range(2))
    drawn = [kept.draw(4, index) for index in range(30)]
    for derivation in drawn:
        derive(kept.space, derivation.term)
    kept.space.clear()
    for derivation in reversed(drawn):
        assert derive(kept.space, derivation.term) == derive(Sampler.of(fresh.grammar).space, derivation.term)


def test_the_tables_of_a_space_go_with_it() -> None:
    import gc
    import weakref

    sampler = Sampler.of(load_grammar("hnb201_cell"))
    derive(sampler.space, sampler.draw(0).term)
    space = weakref.ref(sampler.space)
    del sampler
    gc.collect()
    assert space() is None
