"""Which networks have one id: those that compute the same with the same weights shared, whatever derived them."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from ein.compiler.identity import VERSION, derivation_identity, identity
from ein.compiler.lower import lower
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.derivations.derivation import Choices, Derivation, replay
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source

OWN = """\
ein 1
import std
op twice : im[c, h, w] -> im[c, h, w] = x * 2
op minus : (im[c, h, w], im[c, h, w]) -> im[c, h, w] = x - y
op plus : (im[c, h, w], im[c, h, w]) -> im[c, h, w] = x + y
input im[4, 8, 8]
"""


def id_of(term: str, declared: str = OWN) -> str:
    return derivation_identity(architecture(load_grammar(Source("n.ein", f"{declared}arch n = {term}\n"))))


SAME = {
    "wires": ("relu >> twice", "identity >> relu >> identity >> twice >> identity"),
    "wires in branches": (
        "clone(2) >> (relu & identity) >> plus",
        "clone(2) >> (relu >> identity & identity >> identity) >> plus",
    ),
    "nested clones": (
        "clone(3) >> (relu & tanh & gelu) >> add",
        "clone(3) >> (identity >> relu & tanh & identity >> gelu) >> add",
    ),
    "a value that is named": ("clone(2) >> (relu & twice) >> plus", "let a = relu : (a & twice) >> plus"),
    "x + x": ("relu >> clone(2) >> (identity & identity) >> plus", "clone(2) >> (relu & relu) >> plus"),
    "copies written out": ("clone(2) >> conv(4) ^ 2 >> plus", "clone(2) >> (conv(4) & conv(4)) >> plus"),
    "repetitions written out": ("conv(4) * 2", "conv(4) >> conv(4)"),
    "arguments that are defaults": ("conv(4)", "conv(4, k = 3)"),
    "brackets": ("(relu >> twice) >> gelu", "relu >> (twice >> gelu)"),
}


@pytest.mark.parametrize("case", SAME)
def test_one_network(case: str) -> None:
    assert len({id_of(term) for term in SAME[case]}) == 1


OTHER = {
    "x + x and x + y": ("clone(2) >> (relu & relu) >> plus", "clone(2) >> (relu & gelu) >> plus"),
    "x + x and x": ("clone(2) >> (relu & relu) >> plus", "relu"),
    "a - b and b - a": ("clone(2) >> (relu & gelu) >> minus", "clone(2) >> (gelu & relu) >> minus"),
    "tied and untied copies": ("clone(2) >> conv(4) ^ 2 >> plus", "clone(2) >> tied conv(4) ^ 2 >> plus"),
    "tied and untied rounds": ("conv(4) * 2", "tied conv(4) * 2"),
    "one layer read twice and two layers": (
        "conv(4) >> clone(2) >> plus",
        "clone(2) >> (conv(4) & conv(4)) >> plus",
    ),
    "which of three are tied": (
        "clone(2) >> (clone(2) >> tied conv(4) ^ 2 >> plus & conv(4)) >> plus",
        "clone(2) >> (clone(2) >> conv(4) ^ 2 >> plus & conv(4)) >> plus",
    ),
    "arguments": ("conv(4, k = 3)", "conv(4, k = 1)"),
    "order": ("relu >> twice", "twice >> relu"),
    "dropout once and twice": (
        "dropout(0.5) >> clone(2) >> plus",
        "clone(2) >> (dropout(0.5) & dropout(0.5)) >> plus",
    ),
}


@pytest.mark.parametrize("case", OTHER)
def test_other_networks(case: str) -> None:
    first, second = OTHER[case]
    assert id_of(first) != id_of(second)


def test_input_sizes_and_operators_of_one_name_are_told_apart() -> None:
    assert id_of("relu") != id_of("relu", OWN.replace("im[4, 8, 8]", "im[4, 8, 4]"))
    assert id_of("twice") != id_of("twice", OWN.replace("x * 2", "x * 3"))


RULES = "rule S = M >> M\nrule M = conv(4) | relu | twice | M >> M\n"


def test_both_bracketings_of_a_series_are_one_network() -> None:
    sampler = Sampler.of(load_grammar(Source("g.ein", OWN + RULES)))
    leaves: list[Choices] = [((0, ()),), ((1, ()),), ((2, ()),)]
    (conv, relu, twice), twin, start = leaves, ((3, ()),), ((0, ()),)
    left, right = start + twin + conv + relu + twice, start + conv + twin + relu + twice
    input = sampler.grammar.input
    assert input is not None
    ids = []
    for choices in (left, right):
        derivation = Derivation(sampler.space, choices, 3, input)
        assert replay(sampler.space, choices, input).output is input
        ids.append((derivation.id, derivation_identity(derivation)))
    assert ids[0][0] != ids[1][0]
    assert ids[0][1] == ids[1][1]


def test_draws_of_one_text_are_one_network_and_few_others_are() -> None:
    """Einspace brackets a series in many ways, so draws of one text differ in their choices."""
    sampler = Sampler.of(load_grammar("einspace"))
    drawn = [sampler.draw(1, index) for index in range(150)]
    ids = {derivation.text: derivation_identity(derivation) for derivation in drawn}
    assert all(derivation_identity(derivation) == ids[derivation.text] for derivation in drawn)
    bare = {re.sub(r"identity >> ", "", text) for text in ids}
    assert len(bare) >= len(set(ids.values())) > len(ids) // 2


GOLDEN = {
    "twice >> relu": "2:cea25a7c7f16a1b7a6d04d6d73bde1a7",
    "clone(2) >> (twice & identity) >> minus": "2:f12abe75592ad63654ac4262f7e21e7d",
    "clone(2) >> (tied conv(4) ^ 2) >> plus": "2:0c5a699536e0a850ed979475013af5af",
}


@pytest.mark.parametrize("term", GOLDEN)
def test_ids_stay_what_they_are(term: str) -> None:
    """Stored ids are compared with new ones: a change here needs another VERSION."""
    assert VERSION == 2
    assert id_of(term) == GOLDEN[term]


def test_ids_do_not_depend_on_the_seed_of_hashes() -> None:
    program = """
from ein.compiler.identity import derivation_identity
from ein.grammar.check import load_grammar
from ein.grammar.derivations.sample import Sampler
sampler = Sampler.of(load_grammar("hnb201_act"))
print([derivation_identity(sampler.draw(0, index)) for index in range(5)])
"""
    said = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=_environment(seed)
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(said) == 1


def _environment(seed: str) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}


def test_torch_is_not_loaded_for_an_id() -> None:
    program = "import sys, ein.compiler.identity; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=_environment("0"))
    assert found.stdout == "False\n"


def test_the_graph_and_its_derivation_have_one_id() -> None:
    derivation = architecture(load_grammar("zoo/resnet8"))
    assert identity(lower(derivation.term)) == derivation_identity(derivation)
