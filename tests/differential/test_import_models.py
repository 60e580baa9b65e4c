"""Networks as people write them, imported: what they compute, and how they read."""

from __future__ import annotations

import re
from collections.abc import Callable

import imported_models as m
import pytest
import torch
from import_judging import judged, randomised
from torch import Tensor, nn

import ein
from ein.compiler.way_in.imported import Imported
from ein.compiler.way_in.same import difference

VIT_TAIL = (
    "conv(32, k = 4, s = 4, p = 0) >> flatten >> class_token >> pos_enc(std = 0.02) >> (residual(layer_norm(eps = 1e-6)"
    " >> {}) >> residual(layer_norm(eps = 1e-6) >> ffn)) * 2 >> layer_norm >> first_token >> linear(10)"
)


def vit(attention: Callable[[], nn.Module], p: float = 0.0) -> nn.Module:
    return m.VisionTransformer([m.EncoderBlock(32, attention(), p) for _ in range(2)])


CASES: dict[str, tuple[Callable[[], nn.Module], str, str]] = {
    "mlp": (
        m.MLP,
        "vec[12]",
        "linear(20) >> batch_norm >> relu >> dropout(p = 0.3) >> linear(20) >> tanh >> linear(3)",
    ),
    "resnet18": (
        lambda: m.ResNet(m.BasicBlock, (2, 2, 2, 2), 4, 10),
        "im[3, 32, 32]",
        "conv_bn(4, 7, s = 2) >> relu >> max_pool(k = 3, s = 2, p = 1) >> basic_block(4) * 2"
        " >> basic_block(8, 2, proj = conv_bn(8, 1, s = 2)) >> basic_block(8)"
        " >> basic_block(16, 2, proj = conv_bn(16, 1, s = 2)) >> basic_block(16)"
        " >> basic_block(32, 2, proj = conv_bn(32, 1, s = 2)) >> basic_block(32) >> head(10)",
    ),
    "resnet with bottlenecks": (
        lambda: m.ResNet(m.BottleneckBlock, (2, 3), 4, 10),
        "im[3, 32, 32]",
        "conv_bn(4, 7, s = 2) >> relu >> max_pool(k = 3, s = 2, p = 1) >> bottleneck(4, 16, proj = conv_bn(16, 1))"
        " >> bottleneck(4, 16) >> bottleneck(8, 32, s = 2, proj = conv_bn(32, 1, s = 2)) >> bottleneck(8, 32) * 2"
        " >> head(10)",
    ),
    "vit, packed": (lambda: vit(lambda: m.PackedAttention(32, 4)), "im[3, 16, 16]", VIT_TAIL.format("qkv(4)")),
    "vit, fused": (lambda: vit(lambda: m.PackedAttention(32, 4, True)), "im[3, 16, 16]", VIT_TAIL.format("qkv(4)")),
    "vit, separate": (lambda: vit(lambda: m.SeparateAttention(32, 4)), "im[3, 16, 16]", VIT_TAIL.format("qkv(4)")),
    "vit, of torch": (lambda: vit(lambda: m.TorchAttention(32, 4)), "im[3, 16, 16]", VIT_TAIL.format("qkv(4)")),
    "vit, chunks": (
        lambda: vit(lambda: m.ChunkedAttention(32, 4)),
        "im[3, 16, 16]",
        VIT_TAIL.format("clone(3) >> linear(32, bias = false) ^ 3 >> attend(heads = 4) >> linear(32)"),
    ),
    "vit, dropout": (lambda: vit(lambda: m.PackedAttention(32, 4, p=0.2), 0.1), "im[3, 16, 16]", ""),
    "encoder of torch": (lambda: m.TorchEncoder(True), "seq[6, 16]", ""),
    "encoder of torch, norms last": (lambda: m.TorchEncoder(False), "seq[6, 16]", ""),
    "mixer": (
        m.Mixer,
        "im[3, 16, 16]",
        "im2col(4, s = 4) >> linear(24) >> mixer_block(32, 72) * 3 >> layer_norm >> head(10)",
    ),
    "unet": (
        m.UNet,
        "im[3, 16, 16]",
        "unet_level(8, unet_level(16, double_conv(32))) >> conv(2, k = 1)",
    ),
    "unet, bilinear": (lambda: m.UNet(bilinear=True), "im[3, 16, 16]", ""),
    "gpt": (
        m.GPT,
        "tok[12]",
        "embed(50, 32, key = wte) >> pos_enc(std = 0.02) >> gpt_block(4) * 2 >> layer_norm >> unembed(50, key = wte)",
    ),
    "gpt, dropout": (lambda: m.GPT(p=0.1), "tok[12]", ""),
    "squeeze and excite": (lambda: m.SqueezeExcite(8), "im[3, 8, 8]", ""),
    "gated": (
        m.Gated,
        "seq[6, 16]",
        "residual(rms_norm >> clone(2) >> (linear(32, bias = false) >> silu & linear(32, bias = false)) >> mul"
        " >> linear(16, bias = false))",
    ),
    "dense": (m.Dense, "im[3, 8, 8]", "(clone(2) >> (identity & conv(4) >> relu) >> concat(1)) * 3"),
    "windows": (m.Windows, "im[4, 4, 8]", ""),
    "sequence first": (
        m.SequenceFirst,
        "seq[5, 8]",
        "residual(qkv(2, true)) >> layer_norm >> residual(ffn(2, relu)) >> layer_norm",
    ),
    "stochastic depth": (m.StochasticDepth, "seq[5, 8]", "residual(linear(8) >> drop_path(p = 0.25))"),
    "several results": (
        m.SeveralResults,
        "vec[8]",
        "relu >> clone(3) >> (linear(6) & linear(3) & identity)",
    ),
    "woven": (
        m.Woven,
        "vec[8]",
        "let a = linear(8) >> tanh, b = (a & identity) >> add >> linear(8) >> relu"
        " : ((b >> linear(8) & (a & b) >> mul >> linear(8)) >> add & a) >> add",
    ),
}


def given(input: str, size: int = 5) -> tuple[Tensor, ...]:
    sizes = [int(n) for n in input.partition("[")[2].rstrip("]").split(",")]
    generator = torch.Generator().manual_seed(3)
    if input.startswith("tok"):
        return (torch.randint(0, 50, (size, *sizes), generator=generator),)
    return (torch.randn(size, *sizes, generator=generator),)


def term_of(found: Imported) -> str:
    """What stands behind the `=` of the architecture, on one line and with no spaces that its layout put in."""
    arch = found.text[found.text.index("\narch ") :]
    return squeezed(re.split(r"[\])]\s+= ", arch, maxsplit=1)[1])


def squeezed(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("name", CASES)
def test_model(name: str) -> None:
    make, input, term = CASES[name]
    torch.manual_seed(0)
    model = randomised(make())
    if "gpt" in name:
        with torch.no_grad():
            model.get_parameter("wpe.weight").mul_(0.02)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = ein.from_torch(model, input)
    judged(model, found, given(input))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model.training
    if term:
        assert term_of(found) == squeezed(term)


@pytest.mark.parametrize(
    ("make", "input"), [(m.TwoInputs, ("seq[5, 8]", "vec[4]")), (m.Decoder, ("seq[5, 8]", "seq[7, 8]"))]
)
def test_several_inputs(make: Callable[[], nn.Module], input: tuple[str, str]) -> None:
    model = randomised(make())
    found = ein.from_torch(model, f"({', '.join(input)})")
    judged(model, found, tuple(value for each in input for value in given(each)))
    assert "let (a, b) = identity" in found.text or make is m.TwoInputs


def test_networks_that_are_no_trees() -> None:
    """Steps that read any of the last ones: most need names for values."""
    named = 0
    for seed in range(12):
        model = randomised(m.DrawnSteps(seed, 3 + seed))
        found = ein.from_torch(model, "vec[8]")
        apart = difference(model, found.build(), given("vec[8]"))
        assert apart is None, f"{apart}\n{found.text}"
        named += "let " in found.text
    assert named >= 6


def test_an_example_of_tensors_is_as_good_as_its_type() -> None:
    torch.manual_seed(0)
    model = m.MLP()
    one, other = ein.from_torch(model, torch.randn(2, 12)), ein.from_torch(model, "vec[12]")
    assert one.text == other.text
    assert one.derivation.id == other.derivation.id


def test_the_module_with_its_weights() -> None:
    torch.manual_seed(0)
    model = m.MLP().eval()
    network = ein.from_torch(model, "vec[12]").build().eval()
    x = torch.randn(3, 12)
    torch.testing.assert_close(network(x), model(x))
    assert not model.training


@pytest.mark.parametrize("element", [torch.float64, torch.bfloat16])
def test_models_of_another_precision(element: torch.dtype) -> None:
    torch.manual_seed(0)
    model = m.MLP().to(element).eval()
    found = ein.from_torch(model, "vec[12]")
    x = torch.randn(3, 12)
    torch.testing.assert_close(
        found.build().double().eval()(x.double()), model.double()(x.double()), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "word"),
    [("ResNet", "res_net"), ("Rule", "net"), ("Conv", "conv"), ("Über", "ber"), ("_", "net"), ("X1", "x1")],
)
def test_the_name_of_the_architecture(name: str, word: str) -> None:
    found = ein.from_torch(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), "vec[4]", name=name)
    assert found.text.endswith(f"grammar {word}\nimport std\n\narch {word} : vec[4] -> vec[3] = linear(3) >> relu\n")


def test_equal_models_give_equal_files() -> None:
    """Of two seeds: a file does not depend on the weights, other than where they show how they start."""
    texts = set()
    for seed in (0, 1):
        torch.manual_seed(seed)
        texts.add(ein.from_torch(m.UNet(), "im[3, 16, 16]").text)
    assert len(texts) == 1
