"""Source with a class for what repeats, the same source written out, and the interpreter: three ways to one network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_interpret_emit import graph_of
from torch import Tensor, nn

import ein
from ein.compiler.emit import EmittedSource, emit, weight_map
from ein.compiler.graph import OpGraph
from ein.compiler.interpret import Interpreter
from ein.compiler.load import load
from ein.compiler.lower import lower
from ein.compiler.passes import optimise
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.sample import Sampler

ZOO: dict[str, tuple[str | None, dict[str, Any], tuple[str, ...]]] = {
    "resnet8": (None, {}, ("Down",)),
    "resnet18": ("im[3, 64, 64]", {}, ("BasicBlock", "DownBlock")),
    "resnet34": ("im[3, 64, 64]", {}, ("BasicBlock", "DownBlock")),
    "resnet50": ("im[3, 64, 64]", {}, ("FirstBottleneck", "Bottleneck")),
    "wrn_16_4": ("im[3, 16, 16]", {}, ("Wider", "Same")),
    "densenet121": ("im[3, 64, 64]", {}, ("DenseLayer",)),
    "mobilenet_v2": ("im[3, 64, 64]", {}, ("InvertedResidual", "Residual")),
    "convnext_t": ("im[3, 64, 64]", {}, ("ConvnextBlock",)),
    "vit": (None, {}, ("VitBlock",)),
    "vit_s": ("im[3, 64, 64]", {}, ("VitBlock",)),
    "mlp_mixer": (None, {}, ("MixerBlock",)),
    "mixer_s": ("im[3, 64, 64]", {}, ("MixerBlock",)),
    "gpt": ("tok[16]", {"vocab": 50, "width": 24, "depth": 3}, ("GptBlock",)),
    "unet": ("im[3, 32, 32]", {}, ("DoubleConv",)),
    "unet_named": ("im[3, 32, 32]", {}, ("DoubleConv",)),
    "einspace/vit": (None, {}, ("Layer",)),
    "einspace/resnet18": (None, {}, ("Basic", "Down")),
}
"""A small input, settings, and the classes beside the network's."""

SPACES: dict[str, tuple[str | None, int]] = {
    "einspace": ("im[3, 8, 8]", 60),
    "einspace1d": (None, 12),
    "nb201": ("im[3, 8, 8]", 4),
    "hnb201": ("im[3, 8, 8]", 3),
    "hnb201_cell": ("im[3, 8, 8]", 3),
    "darts": ("im[3, 8, 8]", 2),
    "hybrid": ("im[3, 8, 8]", 8),
    "sequence": (None, 6),
    "tabular": (None, 8),
}
"""An input, and how many networks are drawn."""

LIMITS = {"elements": 1_000_000, "macs": 50_000_000, "params": 2_000_000}


def zoo(name: str) -> OpGraph:
    input, settings, _ = ZOO[name]
    return optimise(lower(ein.architecture(f"zoo/{name}", input=input, **settings).term)).graph


def inputs_of(graph: OpGraph) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    types = graph.node(graph.input).outputs
    return [
        torch.randint(4, (2, *leaf.sizes), generator=generator)
        if leaf.element == "int"
        else torch.randn(2, *leaf.sizes, generator=generator)
        for leaf in types
    ]


def results_of(module: nn.Module, inputs: list[Tensor], training: bool) -> list[Tensor]:
    module.train(training)
    torch.manual_seed(3)
    with torch.no_grad():
        results = module(*inputs)
    return list(results) if isinstance(results, tuple) else [results]


def assert_three_ways(graph: OpGraph) -> EmittedSource:
    """The same start from the same seed, under the names of `weight_map`, and the same results in training and
    evaluation. Gives the source with classes."""
    torch.manual_seed(0)
    reference = Interpreter(graph)
    state = {name: value.clone() for name, value in reference.state_dict().items()}
    inputs = inputs_of(graph)
    wanted = [results_of(reference, inputs, training) for training in (True, False)]
    for blocks in (False, True):
        source, names = emit(graph, blocks=blocks), weight_map(graph, blocks=blocks)
        torch.manual_seed(0)
        module = load(source)
        found = module.state_dict()
        assert {*names.values()} == found.keys(), source
        for name, own in names.items():
            assert torch.equal(found[own], state[name]), f"{name}, {own}\n{source}"
        for training, results in zip((True, False), wanted, strict=True):
            for one, other in zip(results_of(module, inputs, training), results, strict=True):
                size = max(1.0, float(other[other.isfinite()].abs().max()) if other.isfinite().any() else 1.0)
                torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * size, equal_nan=True, msg=_shown(source))
    return source


def _shown(source: str) -> Callable[[str], str]:
    return lambda message: f"{message}\n{source}"


def classes(source: str) -> list[str]:
    return re.findall(r"(?m)^class (\w+)\(", source)


@pytest.mark.parametrize("name", ZOO)
def test_the_library_s_architectures(name: str) -> None:
    graph = zoo(name)
    source = assert_three_ways(graph)
    *found, last = classes(source)
    assert last == "Net" and {*found} == {*ZOO[name][2]}
    assert len(source.splitlines()) <= len(emit(graph, blocks=False).splitlines()) + 4


@pytest.mark.parametrize("space", SPACES)
def test_drawn_networks(space: str) -> None:
    """As they are drawn and after the passes; how many classes were made is counted below."""
    input, count = SPACES[space]
    sampler = Sampler.of(load_grammar(space, Request(input=input, limits=LIMITS)))
    for index in range(count):
        graph = lower(sampler.draw(5, index).term)
        assert_three_ways(graph)
        assert_three_ways(optimise(graph).graph)


def test_how_many_classes_are_made() -> None:
    made: Counter[str] = Counter()
    for space, count in (("nb201", 10), ("hnb201", 10), ("einspace", 60)):
        sampler = Sampler.of(load_grammar(space))
        for index in range(count):
            source = emit(optimise(lower(sampler.draw(7, index).term)).graph)
            made[space] += len(classes(source)) - 1
            for name in classes(source)[:-1]:
                assert len(re.findall(rf"\b{name}\(", source)) > 1, "the class itself, and a use"
    assert made["nb201"] >= 30 and made["hnb201"] >= 8 and made["einspace"] >= 5, made


# --- what repeats, and how

PART = "conv(c) >> batch_norm >> relu >> conv(c) >> batch_norm >> gelu"
CASES: dict[str, tuple[str, Callable[[str], bool]]] = {
    "a macro used three times": (
        f"def part(c) = {PART}\ninput im[3, 8, 8]\narch net = part(4) >> part(8) >> part(6)",
        lambda s: "nn.Sequential(Part(3, 4), Part(4, 8), Part(8, 6))" in s,
    ),
    "copies without a name": (
        "input im[4, 8, 8]\narch net = (conv(4) >> batch_norm >> relu >> conv(4) >> batch_norm >> gelu) * 4",
        lambda s: "nn.Sequential(*(Block() for _ in range(4)))" in s,
    ),
    "branches without a name": (
        "input im[32, 32, 32]\n"  # too large for being computed at once
        "arch net = clone(3) >> (conv(32) >> batch_norm >> relu >> conv(32) >> batch_norm >> gelu) ^ 3 >> add",
        lambda s: s.count("Block()") == 3 and "self.block1(x) + self.block2(x) + self.block3(x)" in s,
    ),
    "tied copies are one instance": (
        f"def part(c) = {PART}\ninput im[4, 8, 8]\narch net = (tied part(4) * 2) >> part(4) >> part(4)",
        lambda s: s.count("self.part(x)") == 2 and s.count("Part()") == 3,
    ),
    "a tie across a block": (
        "op table(key: name = none) : vec[d] -> vec[d]\n"
        "  param t[d, e = d] ~ normal(0, 1) tied by key = dot[d](x, t[d, e])\n"
        "def part = linear(6) >> relu >> table(key = a) >> linear(6) >> gelu >> linear(6)\n"
        "input vec[6]\narch net = part * 4",
        lambda s: s.count("tied_a = ") == 1 and "Part" not in s,
    ),
    "several inputs and results": (
        "def part(c) = (linear(c) >> relu >> linear(c) & linear(c) >> gelu >> linear(c)) >> clone(2)"
        " >> (add & (identity & relu))\n"
        "input (vec[4], vec[4])\narch net = part(6)",
        lambda s: True,
    ),
    "a block with two inputs and two results": (
        "def mix(c) = let (a, b) = (linear(c) >> relu >> linear(c) & linear(c) >> gelu >> linear(c))\n"
        "  : (a & b) >> swap\n"
        "input (vec[4], vec[5])\narch net = mix(6) >> mix(7) >> mix(8)",
        lambda s: s.count("Mix(") == 4 and "def forward(self, x, y):" in s and "x, y = self.mix1(x, y)" in s,
    ),
    "a size that forward needs": (
        "def part(c, h) = layer_norm >> qkv(heads = h) >> linear(c) >> gelu >> linear(c)\n"
        "input seq[6, 8]\narch net = part(12, 2) >> part(16, 4) >> part(8, 8)",
        lambda s: "self.sizes" in s or "self.size" in s,
    ),
    "a mask in each": (
        "def part(h) = layer_norm >> clone(3) >> attend_explicit(heads = h, causal = true) >> linear(8) >> gelu\n"
        "input seq[6, 8]\narch net = part(2) * 3",
        lambda s: ("persistent=False" in s or "is_causal=True" in s) and "Part()" in s,
    ),
    "recurrence": (
        "def part(c) = min_gru(c) >> layer_norm >> linear(c) >> gelu >> linear(c)\n"
        "input seq[5, 6]\narch net = part(6) * 3",
        lambda s: "Part()" in s and "for " in s,
    ),
    "words that every module has": (
        f"def train(c) = {PART}\ndef half(c) = conv(c, k = 1) >> {PART}\ninput im[3, 8, 8]\n"
        "arch net = train(4) >> half(4) >> train(4) >> relu >> half(4) >> relu >> train(4) >> half(4)",
        lambda s: "self.train1" in s and "self.half1" in s,
    ),
    "names that are taken": (
        f"def net(c) = {PART}\ndef f(c) = conv(c, k = 1) >> {PART}\ninput im[3, 8, 8]\n"
        "arch a = net(4) >> net(5) >> net(6) >> relu >> f(4) >> f(5) >> f(6)",
        lambda s: {"Net2", "F2"} <= {*classes(s)},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_cases(case: str) -> None:
    text, holds = CASES[case]
    graph = graph_of(text, "a" if "arch a " in text else "net")
    source = assert_three_ways(graph)
    assert holds(source), source
    source = assert_three_ways(optimise(graph, checked=True).graph)
    assert holds(source), source


def test_what_cannot_be_computed_as_a_whole_stays_in_place() -> None:
    """Between the halves of `around` stands what needs the first and feeds the second."""
    text = (
        "def around(f) = conv(4) >> relu >> f >> conv(4) >> batch_norm >> gelu\n"
        "def part(c) = conv(c) >> tanh >> conv(c)\n"
        "input im[4, 8, 8]\narch net = around(part(4)) >> around(part(4)) >> around(part(4))"
    )
    assert "Around" in assert_three_ways(graph_of(text))


# --- the text


def test_ruff_and_the_hash_seed(tmp_path: Path) -> None:
    """Of the library and of drawn networks: ruff, with its defaults, finds nothing; two hash seeds give one text."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_blocks as t; from pathlib import Path\n"
        "for at, text in enumerate(t.texts()): Path(sys.argv[2], f'net{at}.py').write_text(text)\n"
    )
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path / seed)]
        subprocess.run(command, env=environment, check=True, capture_output=True)
    files = sorted((tmp_path / "1").iterdir())
    assert len(files) > 80
    assert [file.read_text() for file in files] == [(tmp_path / "2" / file.name).read_text() for file in files]
    for arguments in (["check"], ["format", "--check", "--diff"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--isolated", "--no-cache", str(tmp_path / "1")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def texts() -> list[str]:
    graphs = [zoo(name) for name in ZOO]
    graphs += [graph_of(text, "a" if "arch a " in text else "net") for text, _ in CASES.values()]
    for space, count in (("nb201", 8), ("hnb201", 8), ("darts", 6), ("einspace", 30), ("hybrid", 8)):
        sampler = Sampler.of(load_grammar(space))
        graphs += [optimise(lower(sampler.draw(9, index).term)).graph for index in range(count)]
    return [emit(graph) for graph in graphs]
