"""`ein compile --inference`, and the weights of a trained network in what it gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import ein as page

Ein = Callable[..., Any]


def test_source_for_evaluation(ein: Ein) -> None:
    plain, folded = (ein("compile", "zoo/resnet8", *more).out for more in ((), ("--inference",)))
    assert "BatchNorm2d" in plain and "BatchNorm2d" not in folded
    assert "For evaluation alone" in folded and "For evaluation alone" not in plain


def test_all_passes_or_none(ein: Ein) -> None:
    said = ein("compile", "zoo/resnet8", "--inference", "--no-optimise")
    assert said.code == 2 and "--no-optimise" in said.err


def test_weights_of_a_trained_network_are_folded() -> None:
    derivation = page.architecture("zoo/resnet8")
    graph = page.lower(derivation)
    net, fast = page.build(derivation), page.build(page.optimise(graph, inference=True))
    images = torch.randn(4, 3, 32, 32)
    net(images)  # running statistics of a batch
    fast.load_state_dict(page.carry(net.state_dict(), derivation, inference=True))
    with torch.no_grad():
        torch.testing.assert_close(fast.eval()(images), net.eval()(images), rtol=1e-3, atol=1e-4)


def test_there_is_no_way_back() -> None:
    from ein.compiler.passes import EVALUATION

    derivation = page.architecture("zoo/resnet8")
    fast = page.build(page.optimise(page.lower(derivation), inference=True))
    with pytest.raises(ValueError, match="was folded from several entries"):
        page.carry(fast.state_dict(), derivation, source=EVALUATION)
