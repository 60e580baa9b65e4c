"""The seeds of einspace: words of the grammar, as large as the reference's."""

from __future__ import annotations

import pytest
import torch

import ein
from ein.grammar.matching.match import derive
from ein.grammar.space import Space

# Backbones at 3 × 32 × 32, as the reference builds them, and their terminals
PARAMETERS = {"resnet18": 11_210_560, "wrn_16_4": 2_748_576, "vit": 4_269_568, "mlp_mixer": 2_434_048}
TERMINALS = {"resnet18": 121, "wrn_16_4": 89, "vit": 220, "mlp_mixer": 116}
# What the head averages over is left: channels of an image, positions of a sequence
POSITIONS = {"resnet18": 512, "wrn_16_4": 256, "vit": 64, "mlp_mixer": 64}


@pytest.mark.parametrize("name", PARAMETERS)
def test_as_large_as_in_the_reference(name: str) -> None:
    found = ein.architecture(f"zoo/einspace/{name}")
    head = 10 * POSITIONS[name] + 10
    assert found.cost.parameters == PARAMETERS[name] + head
    assert found.modules == TERMINALS[name] + 1


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_word_of_einspace(name: str) -> None:
    found = ein.architecture(f"zoo/einspace/{name}")
    space = ein.load("einspace")
    derivation = derive(Space(space.grammar), found.term)
    assert derivation.text == found.text
    assert derivation.cost == found.cost
    limits = space.grammar.limits
    cost, bounds = found.cost, (limits.modules, limits.parameters, limits.macs, limits.elements)
    used = (cost.modules, cost.parameters, cost.macs, cost.elements)
    assert all(bound is not None and each <= bound for each, bound in zip(used, bounds, strict=True))


@pytest.mark.parametrize("name", PARAMETERS)
def test_runs(name: str) -> None:
    net = ein.build(ein.architecture(f"zoo/einspace/{name}"), seed=0).eval()
    with torch.no_grad():
        y = net(torch.randn(2, 3, 32, 32))
    assert y.shape == (2, 10) and y.isfinite().all()
