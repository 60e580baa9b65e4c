"""From the language to torch and back: equal outputs, equal identities where the words are the same, or a report."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import ein
from ein.compiler.identity import derivation_identity
from ein.compiler.load import load
from ein.compiler.lower import lower
from ein.compiler.passes import optimise
from ein.grammar.derivations.derivation import Derivation

ZOO: dict[str, dict[str, Any]] = {
    "resnet8": {"input": "im[3, 16, 16]"},
    "resnet18": {"input": "im[3, 32, 32]", "classes": 10},
    "vit": {"depth": 2},
    "mlp_mixer": {"depth": 2},
    "gpt": {"vocab": 50, "width": 16, "heads": 4, "depth": 2, "input": "tok[8]"},
    "wrn_16_4": {"input": "im[3, 8, 8]"},
}
HEAVY: dict[str, dict[str, Any]] = {
    "convnext_t": {"input": "im[3, 32, 32]", "classes": 10},
    "densenet121": {"input": "im[3, 32, 32]", "classes": 10},
    "mobilenet_v2": {"input": "im[3, 32, 32]", "classes": 10},
    "resnet50": {"input": "im[3, 32, 32]", "classes": 10},
    "unet": {"input": "im[3, 16, 16]"},
    "unet_named": {"input": "im[3, 16, 16]"},
    "vit_s": {"input": "im[3, 32, 32]"},
}
SMALL = {"elements": 100_000, "macs": 3_000_000, "params": 200_000, "modules": 40}
LARGE = {"elements": 2_000_000, "macs": 90_000_000, "params": 2_000_000, "modules": 9_000}


def back(d: Derivation, passes: bool) -> Derivation:
    """The derivation of the module that is compiled of one. That it computes the same is tried by the import."""
    graph = lower(d.term)
    return ein.from_torch(load(optimise(graph).graph if passes else graph), repr(d.input)).derivation


@pytest.mark.parametrize("name", [*ZOO, *(pytest.param(name, marks=pytest.mark.slow) for name in HEAVY)])
def test_the_zoo_comes_back_as_it_is(name: str) -> None:
    d = ein.architecture(f"zoo/{name}", **(ZOO | HEAVY)[name])
    found = back(d, passes=name != "vit")
    assert derivation_identity(found) == derivation_identity(d)
    assert found.cost.parameters == d.cost.parameters


def drawn(space: str, input: str, count: int, limits: dict[str, int]) -> Counter[str]:
    """How many of the draws come back; the others are reported call by call."""
    found: Counter[str] = Counter()
    for d in ein.load(space, input=input, limits=limits).samples(count, seed=5):
        try:
            other = back(d, passes=False)
        except ein.EinError as error:
            (told,) = error.diagnostics
            assert told.code == "E733" and "cannot be said" in told.message, f"{d.text}\n{error}"
            found["told"] += 1
        else:
            assert other.type == d.type
            assert other.cost.parameters <= d.cost.parameters
            found["back"] += 1
            found["let"] += "let " in other.text
            found["as many parameters"] += other.cost.parameters == d.cost.parameters
    return found


def test_drawn_networks_come_back() -> None:
    """What nothing depends on is gone afterwards, so a few have fewer parameters."""
    found = drawn("einspace", "im[3, 8, 8]", 25, SMALL)
    assert found["back"] >= 24 and found["as many parameters"] >= 20, found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("space", "input", "count"),
    [
        ("einspace", "im[3, 8, 8]", 150),
        ("einspace1d", "seq[16, 4]", 100),
        ("nb201", "im[3, 8, 8]", 12),
        ("darts", "im[3, 8, 8]", 1),
    ],
)
def test_many_drawn_networks_come_back(space: str, input: str, count: int) -> None:
    found = drawn(space, input, count, LARGE if count < 100 else SMALL)
    assert found["back"] >= 0.9 * count, found
