"""Our shape rules against torch's meta device, on operators of the library in which one word was changed.

A mutant may still be right, or be wrong in a way that both see. What must not be is that one refuses a use of it
which the other accepts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import pytest

from ein.compiler import verify_ops
from ein.compiler.verify_ops import disagreements, refusal
from ein.grammar.bodies import vetted
from ein.grammar.bodies.tensors import Tape
from ein.grammar.bodies.trials import trials
from ein.grammar.bodies.vetted import ALONG, POINTWISE, REDUCTIONS, Facts
from ein.grammar.cfg import Operator
from ein.grammar.check import declared_operators, load_grammar
from ein.grammar.diagnostics import EinError, Source
from ein.grammar.load import find, library_names
from ein.grammar.notation.printer import print_statement
from ein.grammar.numbers import Inapplicable
from ein.grammar.patterns import Kinds

WORDS = set(
    "op where param buffer draw let scan over repeat in if else and or not each tied by true false none inf int real"
    " bool name fn t x y z xs wires rearrange einsum zeros".split()
)
SEED, SAMPLE, MOST = 7, 120, 6
LIBRARIES = tuple(name for name in library_names() if re.search(r"(?m)^op ", find(name)[0].text))
SIGNS = {"+": "-", "-": "+", "*": "+", "/": "*", "//": "*", "%": "+", ">=": "<", "<=": ">", "==": "!=", ">": "<="}
FAMILIES = (sorted(POINTWISE), sorted(REDUCTIONS), sorted(ALONG))
TOKEN = re.compile(r"(?<![\w.])(?:[a-z]\w*|\d+|//|>=|<=|==|->|[-+*/%<>])(?![\w.])")


@cache
def library(name: str) -> tuple[Kinds, list[str]]:
    """The kinds of a library file, and its operators as text, each on one line."""
    grammar = load_grammar(name)
    texts = [
        " ".join(print_statement(overload.declaration).split())
        for overloads in grammar.operators.values()
        for overload in overloads
        if overload.module == name
    ]
    return grammar.kinds, texts


def mutants(text: str) -> Iterator[str]:
    """One number, sign, name of an axis or parameter, or function changed, anywhere behind the operator's name."""
    start = text.index(text.split()[1].partition("(")[0]) + 1
    names = sorted(set(re.findall(r"(?<![\w.])[a-z]\w*(?![\w(.\[])", text[start:])) - WORDS)
    for token in TOKEN.finditer(text, start):
        for other in replacements(token.group(), names):
            yield text[: token.start()] + other + text[token.end() :]


def replacements(word: str, names: list[str]) -> list[str]:
    if word.isdigit():
        return [str(int(word) + 1), *([str(int(word) - 1)] if int(word) else [])]
    if word in SIGNS:
        return [SIGNS[word]]
    if word in names:
        return [name for name in names if name != word][:2]
    family = next((family for family in FAMILIES if word in family), [])
    return [family[(family.index(word) + 1) % len(family)]] if family else []


@cache
def operators(library_name: str, text: str) -> tuple[Operator, ...]:
    """What a mutant declares; nothing where its signature alone is a mistake."""
    kinds, _ = library(library_name)
    types = "".join(f"type {kind}[{', '.join(axes)}] : {element}\n" for kind, (axes, element) in kinds.items())
    try:
        return declared_operators(Source("mutant.ein", f"ein 1\n{types}{text}\n"))[0]
    except EinError:
        return ()


def verdicts(name: str, text: str, most: int = MOST) -> tuple[bool, str]:
    """Whether a mutant has uses that are refused, and the first disagreement about one."""
    kinds, _ = library(name)
    for operator in operators(name, text):
        try:
            for trial, ours, torchs in disagreements(operator, kinds, most):
                return False, f"{text}\n  at {trial.applied.input!r} {dict(trial.applied.arguments)}: {ours} / {torchs}"
        except EinError:
            return True, ""
        return any(refusal(trial.applied) for trial in trials(operator, kinds, most)), ""
    return True, ""


@cache
def everything() -> list[tuple[str, str]]:
    found = [(name, mutant) for name in LIBRARIES for text in library(name)[1] for mutant in mutants(text)]
    return sorted(set(found))


def sample() -> list[tuple[str, str]]:
    random = Random(SEED)
    return sorted(everything(), key=lambda _: random.random())[:SAMPLE]


def test_the_two_agree_on_a_sample_of_mutants() -> None:
    found = [verdicts(name, text) for name, text in sample()]
    assert not [said for _, said in found if said]
    refused = sum(refused for refused, _ in found)
    assert min(refused, len(found) - refused) > SAMPLE // 10


@pytest.mark.slow
def test_the_two_agree_on_all_mutants() -> None:
    assert len(everything()) > 1000
    assert not [said for name, text in everything() if (said := verdicts(name, text, 12)[1])]


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_two_agree_on_the_library(name: str) -> None:
    assert not [said for text in library(name)[1] if (said := verdicts(name, text)[1])]


def found_by_the_two(name: str) -> list[str]:
    """What they disagree on among an operator of `std` and its mutants."""
    _, texts = library("std")
    [text, *_] = [text for text in texts if re.match(rf"op {name}\W", text)]
    return [said for each in (text, *mutants(text)) if (said := verdicts("std", each)[1])]


def lax(arguments: Mapping[str, Any], x: tuple[int, ...]) -> Facts:
    return Facts((*x[:-1], arguments["out_features"]))


def strict(arguments: Mapping[str, Any], x: tuple[int, ...]) -> Facts:
    raise Inapplicable("never")


@pytest.mark.parametrize("planted", [lax, strict])
def test_a_planted_mistake_in_a_row_is_found(planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not found_by_the_two("linear")
    monkeypatch.setitem(vetted.LAYERS, "nn.Linear", replace(vetted.LAYERS["nn.Linear"], facts=planted))
    assert found_by_the_two("linear")


def test_a_planted_mistake_in_sizes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reductions that say they keep the size of what they remove."""
    honest = Tape.step

    def step(tape: Tape, op: str, inputs: Any, sizes: Any, *rest: Any, **named: Any) -> int:
        return honest(tape, op, inputs, (*sizes, 1) if op == "reduce" else sizes, *rest, **named)

    monkeypatch.setattr(Tape, "step", step)
    assert found_by_the_two("pool_features")


@pytest.mark.parametrize(
    "line", ["op f : vec[d] -> vec[d] = nn.Linear(d, d)", "op f(n) : vec[d] -> vec[n] = nn.Linear(d, n)"]
)
def test_what_is_told_of_a_disagreement(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source("f.ein", f"ein 1\nimport std\n{line}\n")
    operators, kinds = declared_operators(source)
    assert verify_ops.verify(operators, kinds) == []
    monkeypatch.setitem(vetted.LAYERS, "nn.Linear", replace(vetted.LAYERS["nn.Linear"], facts=strict))
    [found] = verify_ops.verify(operators, kinds)
    assert (found.code, found.severity) == ("E402", "error")
    assert found.label == "the shape rules of ein refuse it (never), and torch accepts it"
    assert found.span is not None and found.span.text.startswith("nn.Linear(d")
    assert re.fullmatch(r"vec\[\d+\] at vec\[\d+\]( with n = \d+)?", found.labels[0].text)
