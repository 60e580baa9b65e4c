"""What cannot be imported: told call by call, and never imported wrongly."""

# mypy: disable-error-code="no-any-return, no-untyped-call"
# calling a module of torch gives Any

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

import ein


class Case(nn.Module):
    """`m` has the layers of the case as `m.a`, `m.b`, …"""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.run = forward
        for name, layer in zip("abcd", layers, strict=False):
            setattr(self, name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, x)


class OddInEvaluation(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x) if self.training else torch.tanh(x)


class Several(nn.Module):
    """Two calls that cannot be said, the second behind the first, and one that can between them."""

    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.f(torch.sinc(x).view_as(x))
        y = torch.fft.fft(x).real
        return torch.relu(y + x)


def unsaid(model: nn.Module, example: Any, code: str = "E733") -> str:
    with pytest.raises(ein.EinError) as caught:
        ein.from_torch(model, example)
    (found,) = caught.value.diagnostics
    assert found.code == code
    assert found.help
    return found.message


def test_every_call_is_listed_with_its_place() -> None:
    lines = unsaid(Several(), "vec[8]").splitlines()
    assert lines[0] == "3 of the 7 calls that the model makes cannot be said in the language"
    assert lines[1] == "  sinc: sinc([3, 8]) -> [3, 8]: the language has no operator for it"
    assert lines[2].startswith("      test_import_reports.py:") and lines[2].endswith(
        "x = self.f(torch.sinc(x).view_as(x)), in Several"
    )
    assert "fft" in lines[3]


@pytest.mark.parametrize(
    ("forward", "layers", "example", "said"),
    [
        (lambda m, x: m.a(x), (nn.Conv2d(4, 4, (1, 3)),), "im[4, 6, 6]", "it is given [1, 3], and one number"),
        (lambda m, x: m.a(x), (nn.BatchNorm2d(4, momentum=0.5),), "im[4, 6, 6]", "momentum 0.5"),
        (lambda m, x: m.a(x), (nn.BatchNorm2d(4, affine=False),), "im[4, 6, 6]", "without weights"),
        (lambda m, x: m.a(x), (weight_norm(nn.Linear(8, 8)),), "vec[8]", "_weight_norm: _weight_norm([8, 8], [8, 1])"),
        (lambda m, x: m.a(x), (nn.LayerNorm((6, 6)),), "im[4, 6, 6]", "a layer norm over 2 axes"),
        (lambda m, x: F.max_pool2d(x, 2, ceil_mode=True), (), "im[4, 7, 7]", "ceil_mode"),
        (lambda m, x: x - x.mean(0), (), "vec[8]", "over the batch"),
        (lambda m, x: x + x.sum(), (), "vec[8]", "the batch with them"),
        (lambda m, x: x.reshape(-1).reshape(8, 3).mT @ torch.ones(8, 8), (), "vec[8]", ""),
        (lambda m, x: x[:, ::2], (), "vec[8]", "every 2th entry"),
        (lambda m, x: m.a(m.a(x).relu()), (nn.Linear(8, 8),), "vec[8]", "it shares the weight `a.weight` with linear"),
        (lambda m, x: x * torch.rand(8), (), "vec[8]", "the language has no operator for it"),
        (lambda m, x: x, (), "vec[8]", "the model gives back what it takes"),
        (lambda m, x: m.a.weight.sum(1) + x, (nn.Linear(8, 8),), "vec[8]", "weights alone"),
        (
            lambda m, x: F.scaled_dot_product_attention(x, x, x, torch.eye(6).bool()),
            (),
            "seq[6, 8]",
            "a mask other than that of the past",
        ),
    ],
)  # fmt: skip
def test_reasons(
    forward: Callable[[Any, Tensor], Tensor], layers: tuple[nn.Module, ...], example: str, said: str
) -> None:
    assert said in unsaid(Case(forward, *layers), example)


def test_what_is_read_wrongly_is_not_given_out() -> None:
    message = unsaid(OddInEvaluation(), "vec[8]", "E734")
    assert message.startswith("what was read is not the model: in evaluation their results differ by ")


def test_a_model_that_branches_on_values() -> None:
    model = Case(lambda m, x: x.relu() if x.sum() > 0 else x.tanh())
    assert unsaid(model, "vec[8]", "E732").startswith("the model cannot be traced: ")


def test_examples_of_no_kind() -> None:
    model = nn.ReLU()
    assert "is no type of an example" in unsaid(model, "image[3]", "E735")
    assert "an example of [2, 3, 4, 5, 6] and float32" in unsaid(model, torch.zeros(2, 3, 4, 5, 6), "E735")
    with pytest.raises(TypeError, match="example is a tensor"):
        ein.from_torch(model, 3)
    with pytest.raises(TypeError, match="model is a module of torch, not int"):
        ein.from_torch(3, "vec[8]")  # type: ignore[arg-type]


def test_writing_into_a_part_is_no_view() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        x = x.clone()
        x[:, 0].add_(1)
        return x.tanh()

    assert "it writes into a part of a tensor" in unsaid(Case(forward), "vec[8]")


def test_in_place_on_the_whole_is_a_value() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        y = x.tanh()
        y.mul_(3)
        return y + x

    found = ein.from_torch(Case(forward), "vec[8]")
    assert "3 * " in found.text
