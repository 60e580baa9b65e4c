"""What each form of an operator's body means: the interpreter and the emitted source against torch, written out here.

Results must agree, gradients of the two too, and the multiply-accumulates must be those that torch counts. The
formulas stand in form_cases.py.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from form_cases import ALONG, FUNCTIONS, KINDS, LAYERS, SELECTION, STRUCTURE, TRUTHS, WIRES, Form
from pack_cases import PACKS
from standard_cases import STANDARD
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ein.compiler.emit import emit, weight_map
from ein.compiler.graph import OpGraph, cost, verify
from ein.compiler.interpret import Interpreter
from ein.compiler.load import load
from ein.compiler.lower import lower
from ein.compiler.verify_ops import verify as verify_operators
from ein.grammar.architecture import architecture
from ein.grammar.cfg import Grammar
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source


@cache
def grammar_of(operator: str, use: str, input: str) -> Grammar:
    text = f"ein 1\nimport std\n{KINDS}{operator}\ninput {input}\narch net = {use}\n"
    return load_grammar(Source("forms.ein", text))


@cache
def graph_of(operator: str, use: str, input: str) -> OpGraph:
    graph = lower(architecture(grammar_of(operator, use, input), "net").term)
    verify(graph)
    return graph


def inputs_of(graph: OpGraph, batch: int = 3) -> list[Tensor]:
    """Floats around 0, integers below 3, flags."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for leaf in graph.node(graph.input).outputs:
        shape = (batch, *leaf.sizes)
        if leaf.element == "float":
            made.append(torch.randn(shape, generator=generator))
        else:
            drawn = torch.randint(0, 3 if leaf.element == "int" else 2, shape, generator=generator)
            made.append(drawn.bool() if leaf.element == "bool" else drawn)
    return made


def pair(graph: OpGraph) -> tuple[Interpreter, nn.Module, str]:
    torch.manual_seed(0)
    reference, source = Interpreter(graph), emit(graph)
    module = load(source)
    names = weight_map(graph)
    module.load_state_dict({names[name]: value for name, value in reference.state_dict().items()})
    return reference.eval(), module.eval(), source


def listed(results: Any) -> list[Tensor]:
    return list(results) if isinstance(results, tuple | list) else [results]


def gradients(module: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    given = [x.clone().requires_grad_(x.is_floating_point()) for x in inputs]
    results = [result for result in listed(module(*given)) if result.is_floating_point()]
    loss = sum((result.square().sum() for result in results), torch.zeros(()))
    if not loss.requires_grad:
        return []
    torch.autograd.backward(loss)
    return [x.grad for x in given if x.grad is not None]


def assert_means(form: Form) -> str:
    """The source."""
    *written, formula = form
    graph = graph_of(*written)
    reference, module, source = pair(graph)
    inputs = inputs_of(graph)
    wanted = listed(formula(*inputs, *reference.parameters()))
    for net in (reference, module):
        found = listed(net(*inputs))
        assert len(found) == len(wanted), source
        for one, other, leaf in zip(found, wanted, graph.node(graph.output).inputs, strict=True):
            assert one.shape == (3, *leaf.sizes), source
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, msg=lambda m: f"{m}\n{source}")
            assert one.dtype == {"float": torch.float32, "int": torch.int64, "bool": torch.bool}[leaf.element], source
    for one, other in zip(gradients(reference, inputs), gradients(module, inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5, msg=lambda m: f"{m}\n{source}")
    assert_costs(graph, inputs)
    return source


def assert_costs(graph: OpGraph, inputs: list[Tensor]) -> None:
    """Without memory, for there torch takes layers apart that its processors have whole."""
    with torch.device("meta"):
        reference = Interpreter(graph).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as flops:
            reference(*(x[:1].to("meta") for x in inputs))
    found = cost(graph)
    assert found.macs == flops.get_total_flops() // 2
    assert found.parameters == sum(p.numel() for p in reference.parameters())


FORMS = {**STRUCTURE, **WIRES, **SELECTION, **TRUTHS, **ALONG}


@pytest.mark.parametrize("name", FORMS)
def test_forms(name: str) -> None:
    assert_means(FORMS[name])


@pytest.mark.parametrize("name", STANDARD)
def test_the_standard_library(name: str) -> None:
    assert_means(STANDARD[name])


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    if name != "nn.Bilinear":
        assert_means(LAYERS[name])
        return
    with pytest.MonkeyPatch.context() as patch:  # torch's counter knows nothing of it; we count the product
        patch.setattr(sys.modules[__name__], "assert_costs", lambda graph, *rest: None)
        assert_means(LAYERS[name])
    assert cost(graph_of(*LAYERS[name][:3])).macs == 6 * 8 * 4 * 3


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    assert_means(FUNCTIONS[name])


@pytest.mark.slow
def test_torch_agrees_with_the_shape_rules() -> None:
    """At sizes drawn for each operator, on torch's device without memory."""
    for form in [*FORMS.values(), *LAYERS.values(), *FUNCTIONS.values()]:
        grammar = grammar_of(*form[:3])
        assert verify_operators(grammar.operators["f"], grammar.kinds) == [], form[0]


def test_ruff_finds_nothing_to_do(tmp_path: Path) -> None:
    groups = (FORMS, STANDARD, PACKS, LAYERS, FUNCTIONS)
    for index, form in enumerate(form for group in groups for form in group.values()):
        (tmp_path / f"net{index}.py").write_text(emit(graph_of(*form[:3])), "utf-8")
    check = ["check", "--isolated", "--no-cache", "--select", "E4,E7,E9,F,E,W,I,UP,B,RUF", "--line-length", "88"]
    for command in (check, ["format", "--isolated", "--no-cache", "--check", "--diff"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


# --- what is drawn, and what is computed once


@pytest.mark.parametrize(
    ("body", "alike"),
    [
        ("dropout(x, p)", ()),
        ("dropout[h, w](x, p)", (2, 3)),
        ("dropout[c, h, w](x, p)", (1, 2, 3)),
        ("dropout[w](x, p)", (3,)),
    ],
)
def test_dropout_in_training(body: str, alike: tuple[int, ...]) -> None:
    """Half of the entries are 0 and the others twice as large; those along the axes share their fate."""
    graph = graph_of(
        f"op f(p: real) : im[c, h, w] -> im[c, h, w] where p < 1, p >= 0 = {body}", "f(0.5)", "im[6, 5, 4]"
    )
    x = torch.ones(2000, 6, 5, 4)
    for module in pair(graph)[:2]:
        torch.manual_seed(3)
        found = module.train()(x)
        assert set(found.unique().tolist()) == {0.0, 2.0}
        assert abs(found[:, :1, :1, :1].mean().item() - 1) < 0.15 and abs(found.mean().item() - 1) < 0.15
        for axis in (1, 2, 3):
            same = bool((found == found.narrow(axis, 0, 1)).all())
            assert same == (axis in alike), (body, axis)
        torch.manual_seed(3)
        assert torch.equal(module(x), found)
        assert torch.equal(module.eval()(x), x)


def test_constants_are_computed_once() -> None:
    """They are no part of the state, have readable names, and two uses share them."""
    graph = graph_of("", "(rotary >> rotary) & (clone(3) >> attend_explicit(2, causal = true))", "seq[6, 8] ^ 2")
    source = emit(graph)
    assert source.count("register_buffer") == 3 and "torch.arange" not in source[source.index("def forward") :]
    assert all(f"self.{name}" in source for name in ("cos_angle1", "sin_angle1", "mask1"))
    module = load(source).double()
    assert not module.state_dict() and module(*(x.double() for x in inputs_of(graph)))[0].dtype == torch.float64


def test_zeros_are_zero_whatever_comes_in() -> None:
    graph = graph_of("", "clone(2) >> (zero & relu) >> add", "vec[3]")
    for module in pair(graph)[:2]:
        x = torch.tensor([[float("nan"), 1.0, float("inf")]]) * torch.tensor([[0.0, 1.0, 1.0]])
        x = torch.nan_to_num(x).requires_grad_()
        module(x).sum().backward()
        assert x.grad is not None and x.grad.isfinite().all()
    dead = graph_of("", "zero", "vec[3]")
    for module in pair(dead)[:2]:
        assert torch.equal(module(torch.full((2, 3), float("nan"))), torch.zeros(2, 3))
