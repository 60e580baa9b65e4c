"""Operators that the library's grammars declare for themselves, against torch called by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import ein
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source

UNARY: dict[str, Callable[..., torch.Tensor]] = {
    "identity": lambda x: x,
    "negate": torch.neg,
    "absolute": torch.abs,
    "square": torch.square,
    "cube": lambda x: x**3,
    "square_root": torch.sqrt,
    "times_constant": lambda x, b: b[:, None, None] * x,
    "plus_constant": lambda x, b: b[:, None, None] + x,
    "log_abs": lambda x: torch.log(x.abs() + 1e-6),
    "exponential": torch.exp,
    "sine(1)": torch.sin,
    "cosine": torch.cos,
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "tanh": torch.tanh,
    "asinh": torch.asinh,
    "atanh": torch.atanh,
    "sinc": torch.sinc,
    "relu": F.relu,
    "at_most_zero": lambda x: torch.minimum(x, torch.zeros_like(x)),
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "gaussian": lambda x: torch.exp(-(x**2)),
    "error_function": torch.erf,
    "constant": lambda x, b: b[:, None, None] * torch.ones_like(x),
}
BINARY: dict[str, Callable[..., torch.Tensor]] = {
    "add": torch.add,
    "mul": torch.mul,
    "subtract": torch.sub,
    "divide": lambda x, y: x / (y + 1e-6),
    "larger": torch.maximum,
    "smaller": torch.minimum,
    "sigmoid_times": lambda x, y: x.sigmoid() * y,
    "gaussian_square": lambda x, y, b: torch.exp(-b[:, None, None] * (x - y) ** 2),
    "gaussian_abs": lambda x, y, b: torch.exp(-b[:, None, None] * (x - y).abs()),
    "weighted_average": lambda x, y, b: torch.lerp(y, x, b[:, None, None].expand_as(x)),
}
IMAGE = "im[3, 4, 5]"


@cache
def own_operators(space: str) -> frozenset[str]:
    return frozenset(load_grammar(space).operators.keys() - load_grammar("std").operators.keys())


def network(space: str, term: str, input: str) -> torch.nn.Module:
    name = term.partition("(")[0]
    taken = f"import {space} ({name})\n" if name in own_operators(space) else ""
    text = f"ein 1\nimport std\n{taken}input {input}\narch net = {term}\n"
    net: Any = ein.build(architecture(load_grammar(Source("net.ein", text))), seed=0)
    for weight in net.parameters():
        torch.nn.init.normal_(weight)
    return net.eval()  # type: ignore[no-any-return]


@pytest.mark.parametrize("term", UNARY)
def test_unary(term: str) -> None:
    torch.manual_seed(0)
    net = network("hnb201_act", term, IMAGE)
    x = torch.randn(2, 3, 4, 5)
    x[0, 0, 0, 0] = 0
    wanted = UNARY[term](x, *net.parameters())
    torch.testing.assert_close(net(x), wanted, rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("term", BINARY)
def test_binary(term: str) -> None:
    torch.manual_seed(0)
    net = network("hnb201_act", term, f"{IMAGE} ^ 2")
    x, y = torch.randn(2, 2, 3, 4, 5).unbind()
    torch.testing.assert_close(net(x, y), BINARY[term](x, y, *net.parameters()), rtol=1e-4, atol=1e-5)


def test_all_of_them_are_drawn() -> None:
    terms = {node for derivation in ein.load("hnb201_act").samples(400, seed=0) for node in derivation.text.split()}
    assert {term for term in (*UNARY, *BINARY) if not any(term.partition("(")[0] in node for node in terms)} == set()


@pytest.mark.parametrize("k", [1, 3, 5, 8])
def test_convolution_over_time(k: int) -> None:
    """An even kernel looks one further ahead than back, as the reference pads it."""
    torch.manual_seed(0)
    net = network("einspace1d", f"conv_time(5, {k})", "seq[3, 16]")
    weight, bias = net.parameters()
    x = torch.randn(2, 3, 16)
    padded = F.pad(x, (0, 1)) if k == 8 else x
    wanted = F.conv1d(padded, weight, bias, padding={1: 0, 3: 1, 5: 2, 8: 3}[k])
    torch.testing.assert_close(net(x), wanted, rtol=1e-4, atol=1e-5)
