"""Parameters, multiply-accumulates, elements and types as the grammar computes them, against torch.

500 derivations of einspace, drawn with the file's own limits: each is lowered, counted by torch's own
counters on its meta device, and run forward and backward on a batch of two.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from torch.utils.flop_counter import FlopCounterMode

from ein.compiler.interpret import Interpreter
from ein.compiler.lower import lower
from ein.compiler.nodes import Use
from ein.grammar import term as t
from ein.grammar.architecture import architecture
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source
from ein.grammar.types import Tensor
from ein.strategies import derivations

COUNT = 500


class Counting(Interpreter):
    """Sums the elements of all results but those that wires hand on."""

    elements = 0

    def run(self, node: Use, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        results = super().run(node, inputs)
        if not node.applied.operator.routes:
            self.elements += sum(result.numel() for result in results)
        return results


@cache
def draws() -> tuple[Derivation, ...]:
    return tuple(Sampler.of(load_grammar("einspace")).samples(COUNT, seed=2024))


def sizes(value: object) -> tuple[int, ...]:
    assert isinstance(value, Tensor)
    return value.sizes


def counted(d: Derivation) -> tuple[int, int, int, tuple[int, ...]]:
    """Parameters, MACs and elements of one example, and the sizes of the output, by torch without memory."""
    with torch.device("meta"):
        net = Counting(lower(d.term)).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as flops:
            output = net(torch.empty(1, *sizes(d.input)))
    assert isinstance(output, torch.Tensor)
    parameters = sum(p.numel() for p in net.parameters())
    return parameters, flops.get_total_flops() // 2, net.elements, tuple(output.shape[1:])


def test_costs_are_those_that_torch_counts() -> None:
    for d in draws():
        cost = d.cost
        assert counted(d) == (cost.parameters, cost.macs, cost.elements, sizes(d.type)), d.text


def test_the_comparison_is_not_of_equal_numbers() -> None:
    """Costs differ from draw to draw, so a counter that is stuck or leaves an operator out is seen."""
    costs = [d.cost for d in draws()]
    assert len({c.parameters for c in costs}) > 100
    assert len({c.macs for c in costs}) > 100
    assert len({c.elements for c in costs}) > 200
    assert min(c.macs for c in costs) > 0  # the head alone


def test_each_runs_forward_and_backward_with_the_inferred_type() -> None:
    for i, d in enumerate(draws()):
        torch.manual_seed(i)
        net = Interpreter(lower(d.term)).train()
        x = torch.randn(2, *sizes(d.input))
        output = net(x)
        assert isinstance(output, torch.Tensor)
        assert tuple(output.shape) == (2, *sizes(d.type)), d.text
        output.sum().backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("space", ["einspace1d", "tabular"])
def test_other_spaces_run_with_the_inferred_types_and_parameters(space: str) -> None:
    @settings(max_examples=40)
    @given(derivations(space, max_modules=25, max_parameters=500_000))
    def runs(d: Derivation) -> None:
        parameters, _, _, shape = counted(d)
        assert (parameters, shape) == (d.cost.parameters, sizes(d.type))

    runs()


def test_the_draws_are_not_all_small_and_use_all_of_the_grammar() -> None:
    modules = [d.modules for d in draws()]
    histogram = Counter(min(m // 50, 9) for m in modules)
    print("\nmodules of", COUNT, "derivations of einspace")
    for low in range(10):
        print(f"{50 * low + 1:5}-{50 * low + 50:3} {histogram[low]:4} {'#' * (histogram[low] // 5)}")
    assert sum(m > 100 for m in modules) >= 0.05 * COUNT
    grammar = load_grammar("einspace")
    used = {
        (node.name, node.choice[0])
        for d in draws()
        for node in t.walk(d.term)
        if isinstance(node, t.Named) and node.choice is not None
    }
    assert used == {(rule.name, i) for rule in grammar.rules.values() for i in range(len(rule.alternatives))}


@pytest.mark.parametrize(
    ("term", "parameters", "macs"),
    [
        # im[4, 6, 6]; weights and MACs of each by hand
        ("conv(8)", 8 * 4 * 9 + 8, 8 * 4 * 9 * 36),
        ("conv(8, s = 2, groups = 2, bias = false)", 8 * 2 * 9, 8 * 2 * 9 * 9),
        ("conv(8, k = 3, dilation = 2)", 8 * 4 * 9 + 8, 8 * 4 * 9 * 36),
        ("linear(5)", 6 * 5 + 5, 4 * 6 * 6 * 5),
        ("linear(5, bias = false) * 3", 6 * 5 + 2 * 5 * 5, 24 * (6 * 5 + 2 * 5 * 5)),
        ("tied conv(4) * 3", 4 * 4 * 9 + 4, 3 * 4 * 4 * 9 * 36),
        ("clone(3) >> conv(2) ^ 3 >> add", 3 * (2 * 4 * 9 + 2), 3 * 2 * 4 * 9 * 36),
        ("clone(3) >> tied conv(2) ^ 3 >> concat(1)", 2 * 4 * 9 + 2, 3 * 2 * 4 * 9 * 36),
        ("clone(2) >> matmul", 0, 4 * 6 * 6 * 6),
        ("norm >> batch_norm >> pos_enc", 8 + 8 + 144, 0),
        ("im2col(3) >> norm >> linear(7)", 72 + 36 * 7 + 7, 16 * 36 * 7),
        ("pool >> linear(3)", 4 * 3 + 3, 12),
    ],
)
def test_costs_by_hand_and_by_torch(term: str, parameters: int, macs: int) -> None:
    d = architecture(load_grammar(Source("a.ein", f"ein 1\nimport std\ninput im[4, 6, 6]\narch a = {term}\n")))
    assert (d.cost.parameters, d.cost.macs) == (parameters, macs)
    assert counted(d)[:3] == (parameters, macs, d.cost.elements)


def test_resnet18_has_the_known_numbers() -> None:
    """11,689,512 parameters, and the 1.814 G MACs that counters give for torchvision's."""
    d = architecture(load_grammar("zoo/resnet18", Request()))
    assert d.cost.parameters == 11_689_512
    assert d.cost.macs == 1_814_073_344
    assert counted(d)[:2] == (d.cost.parameters, d.cost.macs)
