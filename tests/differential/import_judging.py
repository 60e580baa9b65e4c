"""An import judged from outside: its text, checked afresh and compiled, against the model."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

import ein
from ein.compiler.way_in.imported import Imported
from ein.compiler.way_in.same import Undropped
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source


def randomised(module: nn.Module) -> nn.Module:
    """Every weight, running averages included, away from its start."""
    generator = torch.Generator().manual_seed(0)
    kept = {id(value) for value in module.parameters()}
    with torch.no_grad():
        for name, value in module.state_dict(keep_vars=True).items():
            if name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
                value.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith("running_mean") or id(value) in kept:
                fan = value[0].numel() if value.ndim > 1 else 9
                value.normal_(0, 0.3 if value.ndim < 2 else max(fan, 1) ** -0.5, generator=generator)
    return module


def judged(model: nn.Module, found: Imported, inputs: tuple[Tensor, ...]) -> None:
    """Equal results and equal averages afterwards, in double precision, in evaluation and in training."""
    derivation = architecture(load_grammar(Source("again.ein", found.text)))
    assert derivation.text == found.derivation.text
    assert derivation.cost.parameters == sum(weight.numel() for weight in model.parameters())
    network, state = ein.build(derivation, seed=1), found.state_dict()
    assert {name: value.shape for name, value in state.items()} == {
        name: value.shape for name, value in network.state_dict().items()
    }
    network.load_state_dict(state)
    network, model = network.double(), copy.deepcopy(model).double()
    given = [value.double() if value.is_floating_point() else value for value in inputs]
    for training in (False, True):
        with Undropped():  # type: ignore[no-untyped-call]
            one, other = network.train(training)(*given), model.train(training)(*given)
        close(one, other)
    close(network.eval()(*given), model.eval()(*given))


def close(found: Any, wanted: Any) -> None:
    for one, other in zip(all_of(found), all_of(wanted), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)
        assert not other.isnan().any()
        assert other.numel() < 2 or other.std() > 1e-4, "something comes out"


def all_of(result: Any) -> list[Tensor]:
    return [result] if isinstance(result, Tensor) else list(result)
