"""The architectures of the library against the numbers that their authors or torchvision publish."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import ein
from ein.grammar.types import leaves

PARAMETERS = {
    # torchvision's models of the same names
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "densenet121": 7_978_856,
    "mobilenet_v2": 3_504_872,
    "convnext_t": 28_589_128,
    # timm's vit_small_patch16_224 and mixer_s16_224
    "vit_s": 22_050_664,
    "mixer_s": 18_528_264,
    # the sum over the layers of Zagoruyko & Komodakis' code for CIFAR-10
    "wrn_16_4": 2_748_890,
    # Pytorch-UNet of three channels and two classes, with transposed convolutions
    "unet": 31_037_698,
    "unet_named": 31_037_698,
    # the smallest GPT-2, its table of tokens counted once
    "gpt": 124_439_808,
}

MACS = {
    # billions, as torchvision lists them
    "resnet18": "1.814",
    "resnet34": "3.664",
    "resnet50": "4.089",
    "densenet121": "2.834",
    "mobilenet_v2": "0.301",
    "convnext_t": "4.456",
    # DeiT-S, the same network (Touvron et al. 2021)
    "vit_s": "4.6",
}

SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet18": ("im[3, 64, 64]", {}),
    "resnet34": ("im[3, 64, 64]", {}),
    "resnet50": ("im[3, 64, 64]", {}),
    "densenet121": ("im[3, 64, 64]", {}),
    "mobilenet_v2": ("im[3, 64, 64]", {}),
    "convnext_t": ("im[3, 64, 64]", {}),
    "vit_s": ("im[3, 64, 64]", {}),
    "mixer_s": ("im[3, 64, 64]", {}),
    "wrn_16_4": ("im[3, 16, 16]", {}),
    "unet": ("im[3, 32, 32]", {}),
    "unet_named": ("im[3, 32, 32]", {}),
    "gpt": ("tok[16]", {"vocab": 50, "width": 24, "depth": 2}),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name: str) -> None:
    assert ein.architecture(f"zoo/{name}").cost.parameters == PARAMETERS[name]


@pytest.mark.parametrize("name", MACS)
def test_macs(name: str) -> None:
    published = MACS[name]
    digits = len(published.partition(".")[2])
    assert f"{ein.architecture(f'zoo/{name}').cost.macs / 1e9:.{digits}f}" == published


@pytest.mark.parametrize("name", SMALL)
def test_runs(name: str) -> None:
    """Smaller than published: what comes out, and as many weights as the term says."""
    input, settings = SMALL[name]
    found = ein.architecture(f"zoo/{name}", input=input, **settings)
    net = ein.build(found, seed=0).eval()
    assert sum(weight.numel() for weight in net.parameters()) == found.cost.parameters
    (given,), (wanted,) = leaves(found.input), leaves(found.type)
    x = torch.randint(50, (2, *given.sizes)) if name == "gpt" else torch.randn(2, *given.sizes)
    with torch.no_grad():
        y = net(x)
    assert y.shape == (2, *wanted.sizes)
    assert y.isfinite().all() and y.std(0).max() > 0, "finite, and not the same for both examples"


def test_two_ways_to_write_a_network() -> None:
    """Nested levels and named values give one network: with the same weights the same result."""
    nested, named = (ein.architecture(f"zoo/{name}", input="im[3, 32, 32]") for name in ("unet", "unet_named"))
    one, other = ein.build(nested, seed=0).eval(), ein.build(named, seed=1).eval()
    wanted, found = one.state_dict(), other.state_dict()
    assert [value.shape for value in wanted.values()] == [value.shape for value in found.values()]
    other.load_state_dict(dict(zip(found, wanted.values(), strict=True)))
    x = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(one(x), other(x), rtol=1e-4, atol=1e-5)
