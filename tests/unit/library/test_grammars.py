"""The grammars of the library: no diagnostic, valid draws that compile and run, few attempts in vain."""

from __future__ import annotations

import pytest
import torch

import ein
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.types import leaves

# The least share of attempts that must succeed, over 200 draws
ACCEPTED = {
    "einspace": 0.4,
    "einspace1d": 0.4,
    "hybrid": 0.95,
    "tabular": 0.95,
    "sequence": 0.9,
    "nb201": 1.0,
    "hnb201": 0.5,
    "hnb201_cell": 0.9,
    "hnb201_act": 1.0,
    "darts": 0.95,
}
# Functions that these draw have no value everywhere: square roots and inverse hyperbolic tangents
NOT_FINITE = {"hnb201_act"}


@pytest.mark.parametrize("name", ACCEPTED)
def test_no_diagnostics(name: str) -> None:
    assert ein.check(name) == []


@pytest.mark.parametrize("name", ACCEPTED)
def test_few_attempts_are_in_vain(name: str) -> None:
    space = ein.load(name)
    drawn = list(space.samples(200, seed=1))
    assert len({derivation.id for derivation in drawn}) > 20
    assert space.sampler.drawn == len(drawn) >= ACCEPTED[name] * space.sampler.attempts


@pytest.mark.parametrize("name", ACCEPTED)
def test_draws_compile_and_run(name: str) -> None:
    for derivation in ein.load(name).samples(4, seed=2):
        plain, net = ein.build(ein.lower(derivation), device="meta"), ein.build(derivation, seed=0).eval()
        # a source without passes has no weights either that nothing depends on
        assert derivation.cost.parameters >= _count(plain) >= _count(net)
        assert _count(plain) == derivation.cost.parameters or "zero" in derivation.text
        with torch.no_grad():
            y = net(_example(derivation))
        (wanted,) = leaves(derivation.type)
        assert y.shape == (2, *wanted.sizes)
        assert name in NOT_FINITE or y.isfinite().all()


def _count(net: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


def _example(derivation: Derivation) -> torch.Tensor:
    (wanted,) = leaves(derivation.input)
    sizes = (2, *wanted.sizes)
    return torch.randint(200, sizes) if wanted.kind == "tok" else torch.randn(sizes)
