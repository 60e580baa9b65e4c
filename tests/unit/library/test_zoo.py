"""The finished architectures of the library against torch modules written by hand, with the same weights."""

# mypy: disable-error-code="no-any-return, no-untyped-call"
# calling a module of torch gives Any

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ein.compiler.carry import carried
from ein.compiler.load import load
from ein.compiler.lower import lower
from ein.compiler.passes import PIPELINE, optimise
from ein.grammar.architecture import architecture
from ein.grammar.check import Request, check, load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.matching.match import derive
from ein.grammar.space import Space

ARCHITECTURES = ("resnet8", "resnet18", "vit", "mlp_mixer", "einspace/resnet8")


def zoo(name: str, input: str | None = None, **settings: Any) -> Derivation:
    return architecture(load_grammar(f"zoo/{name}", Request(settings, input=input)))


# --- residual networks


class Unit(nn.Sequential):
    """Convolution, norm."""

    def __init__(self, c: int, out: int, k: int = 3, s: int = 1, bias: bool = False) -> None:
        super().__init__(nn.Conv2d(c, out, k, s, k // 2, bias=bias), nn.BatchNorm2d(out))


class Basic(nn.Module):
    def __init__(self, c: int, out: int, act: Callable[[Tensor], Tensor], bias: bool = False) -> None:
        super().__init__()
        s = 1 if c == out else 2
        self.main1, self.main2 = Unit(c, out, 3, s, bias), Unit(out, out, 3, 1, bias)
        self.skip = nn.Identity() if s == 1 else Unit(c, out, 1, s, bias)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.main2(self.act(self.main1(x))) + self.skip(x))


class ResNet8(nn.Module):
    def __init__(self, c: int, act: Callable[[Tensor], Tensor] = F.relu, bias: bool = False) -> None:
        super().__init__()
        self.stem, self.act = Unit(c, 16, bias=bias), act
        widths = (16, 16, 32, 64)
        self.blocks = nn.Sequential(*(Basic(a, b, act, bias) for a, b in pairwise(widths)))
        self.head = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.act(self.stem(x))).mean((2, 3)))


class ResNet18(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = Unit(3, 64, 7, 2)
        widths = (64, 64, 64, 128, 128, 256, 256, 512, 512)
        self.blocks = nn.Sequential(*(Basic(a, b, F.relu) for a, b in pairwise(widths)))
        self.head = nn.Linear(512, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.stem(x)), 3, 2, 1)
        return self.head(F.adaptive_avg_pool2d(self.blocks(x), 1).flatten(1))


# --- transformers


class Attention(nn.Module):
    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(d, d) for _ in range(4))
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        made = []
        parts = (layer(x).chunk(self.heads, 2) for layer in (self.q, self.k, self.v))
        for q, k, v in zip(*parts, strict=True):
            made.append((q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v)
        return self.out(torch.cat(made, 2))


class PreNorm(nn.Module):
    """`x + f(norm(x))`."""

    def __init__(self, d: int, f: nn.Module) -> None:
        super().__init__()
        self.norm, self.f = nn.LayerNorm(d), f

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(self.norm(x))


class Mlp(nn.Sequential):
    def __init__(self, d: int, hidden: int) -> None:
        super().__init__(nn.Linear(d, hidden), nn.GELU(), nn.Linear(hidden, d))


class AcrossTokens(Mlp):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mT).mT


def patches(x: Tensor, p: int) -> Tensor:
    """One row for each patch: channels, rows, columns."""
    b, c, h, w = x.shape
    return x.reshape(b, c, h // p, p, w // p, p).permute(0, 2, 4, 1, 3, 5).reshape(b, h // p * (w // p), c * p * p)


class VisionTransformer(nn.Module):
    def __init__(self, c: int, size: int, classes: int, patch: int, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.patch, self.embed = patch, nn.Linear(c * patch**2, width)
        self.token = nn.Parameter(torch.zeros(1, width))
        self.positions = nn.Parameter(torch.zeros((size // patch) ** 2 + 1, width))
        blocks = []
        for _ in range(depth):
            blocks += [PreNorm(width, Attention(width, heads)), PreNorm(width, Mlp(width, 4 * width))]
        self.blocks, self.norm = nn.Sequential(*blocks), nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(patches(x, self.patch))
        x = torch.cat((self.token.expand(len(x), 1, -1), x), 1) + self.positions
        return self.head(self.norm(self.blocks(x))[:, 0])


class MlpMixer(nn.Module):
    def __init__(
        self, c: int, size: int, classes: int, patch: int, width: int, tokens: int, hidden: int, depth: int
    ) -> None:
        super().__init__()
        self.patch, self.embed = patch, nn.Linear(c * patch**2, width)
        blocks = []
        for _ in range(depth):
            across = AcrossTokens((size // patch) ** 2, tokens)
            blocks += [PreNorm(width, across), PreNorm(width, Mlp(width, hidden))]
        self.blocks, self.norm = nn.Sequential(*blocks), nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.embed(patches(x, self.patch)))).mean(1))


# --- the same weights, the same results


def randomised(module: nn.Module) -> nn.Module:
    """Every weight, running averages included, away from its start."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
                value.uniform_(0.5, 1.5)
            elif value.is_floating_point():
                value.normal_(0, 0.3 / value[0].numel() ** 0.5 if value.ndim > 1 else 0.3)
    return module


def in_order(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The entries of `state` under the names of `wanted`: both list their layers in the order of use."""
    assert [value.shape for value in state.values()] == [value.shape for value in wanted.values()]
    return dict(zip(wanted, state.values(), strict=True))


def assert_equal(found: nn.Module, wanted: nn.Module, x: Tensor) -> None:
    """In training, with gradients of the weights, and in evaluation."""
    found.load_state_dict(in_order(wanted.state_dict(), found.state_dict()))
    for training in (True, False):
        one, other = found.train(training)(x), wanted.train(training)(x)
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
        assert other.std() > 1e-3, "something comes out"
    one.square().sum().backward()
    other.square().sum().backward()
    for mine, theirs in zip(found.parameters(), wanted.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-4)


CASES: dict[str, tuple[Derivation, Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet8": (zoo("resnet8"), lambda: ResNet8(3), (3, 32, 32)),
    "resnet8 on digits": (zoo("resnet8", "im[1, 8, 8]"), lambda: ResNet8(1), (1, 8, 8)),
    "resnet18": (zoo("resnet18"), ResNet18, (3, 64, 64)),
    "vit": (zoo("vit"), lambda: VisionTransformer(3, 32, 10, 4, 64, 4, 4), (3, 32, 32)),
    "vit on digits": (
        zoo("vit", "im[1, 8, 8]", patch=2, width=24, heads=3, depth=2, classes=7),
        lambda: VisionTransformer(1, 8, 7, 2, 24, 3, 2),
        (1, 8, 8),
    ),
    "mlp_mixer": (zoo("mlp_mixer"), lambda: MlpMixer(3, 32, 10, 4, 64, 32, 128, 4), (3, 32, 32)),
    "mlp_mixer on digits": (
        zoo("mlp_mixer", "im[1, 8, 8]", patch=2, width=24, tokens=5, hidden=9, depth=1, classes=7),
        lambda: MlpMixer(1, 8, 7, 2, 24, 5, 9, 1),
        (1, 8, 8),
    ),
}
PARAMETERS = {"resnet8": 78_042, "resnet18": 11_689_512, "vit": 208_074, "mlp_mixer": 88_010}


@pytest.mark.parametrize("name", CASES)
def test_network(name: str) -> None:
    found, by_hand, sizes = CASES[name]
    wanted = randomised(by_hand())
    graph, x = lower(found.term), torch.randn(4, *sizes)
    apart = [step for step in PIPELINE if step.name != "batching"]  # what is batched keeps its weights in one
    module = load(optimise(graph, apart, checked=True).graph)
    assert_equal(module, wanted, x)
    batched = load(optimise(graph, checked=True).graph)
    batched.load_state_dict(carried(graph, module.state_dict(), apart, None))
    torch.testing.assert_close(batched.eval()(x), module.eval()(x), rtol=1e-4, atol=1e-5)
    count = sum(weight.numel() for weight in wanted.parameters())
    assert found.cost.parameters == count == PARAMETERS.get(name, count)


def test_einspace_resnet8_is_a_network_of_convolutions() -> None:
    """As lowered it is made of windows, linear maps and grids; the passes make them into convolutions, but for the
    shortcuts: every second pixel and a linear map are faster than a convolution of 1 x 1 with steps."""
    found = zoo("einspace/resnet8")
    wanted = randomised(ResNet8(3, F.leaky_relu, bias=True))
    graph = lower(found.term)
    fused = optimise(graph, checked=True)
    names = Counter(node.application.name for _, node in fused.graph.uses())
    assert not {"im2col", "identity"} & names.keys()
    assert (names["conv"], names["every"], names["linear"]) == (7, 2, 2)
    x = torch.randn(4, 3, 32, 32)
    assert found.cost.parameters == sum(weight.numel() for weight in wanted.parameters()) == 78_378
    plain = load(graph).eval()
    shapes = {name: value.shape for name, value in plain.state_dict().items()}
    values = wanted.state_dict().values()
    state = {name: value.reshape(shapes[name]) for name, value in zip(shapes, values, strict=True)}
    plain.load_state_dict(state)
    torch.testing.assert_close(plain(x), wanted.eval()(x), rtol=1e-4, atol=1e-5)
    convolutions = load(fused.graph).eval()
    convolutions.load_state_dict(carried(graph, plain.state_dict(), (), None))
    torch.testing.assert_close(convolutions(x), wanted.eval()(x), rtol=1e-4, atol=1e-5)


def test_einspace_derives_its_resnet8() -> None:
    found = zoo("einspace/resnet8")
    derivation = derive(Space(load_grammar("einspace")), found.term)
    assert derivation.text == found.text
    assert derivation.cost == found.cost
    assert len(derivation.choices) > 50


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_no_mistakes(name: str) -> None:
    grammar, diagnostics = check(f"zoo/{name}")
    assert grammar is not None and not diagnostics
