"""Weights come back as they were saved, or with the reason why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from ein.compiler.load import load
from ein.compiler.lower import lower
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import EinError, Source
from ein.runtime.weights import load_weights, save_weights


def tied(width: int = 3) -> nn.Module:
    net = nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.Linear(width, width))
    net[2].weight = net[0].weight
    return net


def test_parameters_and_buffers_come_back(tmp_path: Path) -> None:
    net, other = tied(), tied()
    net(torch.randn(5, 3))
    save_weights(net, tmp_path / "w.safetensors", {"seed": 4})
    assert load_weights(other, tmp_path / "w.safetensors") == {"seed": 4}
    for name, tensor in net.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name
    assert [p.name for p in tmp_path.iterdir()] == ["w.safetensors"]


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(tied(), path)
    with pytest.raises(EinError, match=r"they give 0\.weight as \[3, 3\], here \[4, 4\]"):
        load_weights(tied(4), path)
    with pytest.raises(EinError, match=r"they have also 1\.bias, 1\.num_batches_tracked, .* and 2 more"):
        load_weights(nn.Sequential(nn.Linear(3, 3)), path)
    with pytest.raises(EinError, match=r"they lack 3\.bias, 3\.weight"):
        load_weights(nn.Sequential(*tied().children(), nn.Linear(2, 2)), path)


def test_files_that_are_not_weights(tmp_path: Path) -> None:
    with pytest.raises(EinError, match="the weights cannot be read"):
        load_weights(tied(), tmp_path / "absent")
    (tmp_path / "torn").write_bytes(b"\x10\x00\x00")
    with pytest.raises(EinError, match="the weights cannot be read"):
        load_weights(tied(), tmp_path / "torn")
    with pytest.raises(EinError, match="the weights cannot be written"):
        save_weights(tied(), tmp_path / "no folder" / "w")


def test_weights_of_a_network_with_keys_and_buffers(tmp_path: Path) -> None:
    """A tensor that several places share is written once, and what is drawn and not trained comes back too."""
    text = """ein 1
import std
op random(m) : any[*s, d] -> any[*s, d]
    where m >= 1
    buffer g[m, d] ~ normal(0, 1)
    = dot[m](dot[d](x, g), g)
arch net : tok[5] -> seq[5, 7] = embed(7, 3, key = words) >> random(4) >> unembed(7, key = words)
"""
    graph = lower(architecture(load_grammar(Source("net.ein", text))).term)
    net, other = load(graph), load(graph)
    save_weights(net, tmp_path / "w")
    load_weights(other, tmp_path / "w")
    assert sorted(other.state_dict()) == ["random", "tied_words"]
    x = torch.tensor([[0, 6, 2, 2, 1]])
    assert torch.equal(net(x), other(x))
    assert not torch.equal(net(x), load(graph)(x))
