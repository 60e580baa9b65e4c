"""What is computed twice, what is added to zeros, and activations that have nothing left to do."""

from __future__ import annotations

import pytest

from ein.compiler.graph import OpGraph
from ein.compiler.lower import lower
from ein.compiler.passes import activations, common, zeros
from ein.grammar.architecture import architecture
from ein.grammar.bodies.tensors import Step
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source

from .passes import TIMES, assert_exact, fires, graphs, names, without_wires


def compiled(term: str, input: str = "im[4, 4, 4]") -> OpGraph:
    text = f"ein 1\nimport std\ninput {input}\narch net = {term}\n"
    return without_wires(lower(architecture(load_grammar(Source("net.ein", text))).term))


# --- common subexpressions

COMMON = """
grammar common
import std
input im[2, 4, 4]
op my_relu : im[c, h, w] -> im[c, h, w] = relu(x)
rule Net = Twice | Twice >> Net | Layer >> Net
rule Twice
  = clone(2) >> Free ^ 2 >> Layer ^ 2 >> add | clone(2) >> (relu & my_relu) >> (Layer & identity) >> add
  | clone(2) >> (Free >> Free) ^ 2 >> matmul
  | clone(3) >> (softmax & tanh & softmax) >> (Layer & identity & Layer) >> add
  | split(2, 1) >> (tanh & identity) >> clone(2) >> (concat(1) & concat(1)) >> mul
  | clone(2) >> tied linear(4) ^ 2 >> (relu & tanh) >> add | clone(2) >> tied (layer_norm >> linear(4)) ^ 2 >> add
rule Free  = softmax | tanh | permute((1, 3, 2)) | max_pool(3, s = 1, p = 1)
rule Layer = linear(4) | conv(2) | batch_norm
limit modules <= 30
"""

NO_COMMON = """
grammar almost
import std
input im[2, 4, 4]
rule Net = One | One >> Layer >> Net
rule One
  = clone(2) >> Layer ^ 2 >> add | clone(2) >> (relu & tanh) >> add | clone(2) >> (tanh >> relu & relu >> tanh) >> add
  | clone(2) >> dropout ^ 2 >> add | clone(2) >> tied batch_norm ^ 2 >> add | clone(2) >> drop_path ^ 2 >> mul
  | clone(2) >> (leaky_relu(0.1) & leaky_relu(0.2)) >> add | clone(2) >> (Layer & identity) >> tied linear(4) ^ 2 >> add
  | clone(2) >> (permute((2, 1, 3)) & permute((3, 2, 1))) >> Layer ^ 2 >> matmul
  | split(2, 2) >> tanh ^ 2 >> concat(2)
rule Layer = linear(4) | conv(2) | batch_norm
limit modules <= 30
"""


def test_common_fires() -> None:
    fires(COMMON, common.share_common, without_wires)


def test_common_leaves_the_rest_alone() -> None:
    """Weights of their own, other functions, other numbers, chance, batch norms, and other sources."""
    for _, graph in zip(range(TIMES), map(without_wires, graphs(NO_COMMON)), strict=False):
        assert common.share_common(graph).graph is graph


def test_broken_common_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers that have weights of their own are taken for the same."""
    monkeypatch.setattr(common, "_keeps", lambda node: False)
    with pytest.raises(AssertionError):
        fires(COMMON, common.share_common, without_wires)


def test_common_goes_on_from_what_it_shared() -> None:
    graph = compiled("clone(2) >> (softmax >> permute((1, 3, 2)) >> tanh) ^ 2 >> (identity & linear(4)) >> add")
    found = common.share_common(graph)
    assert names(found.graph) == ["softmax", "permute", "tanh", "linear", "add"]
    assert_exact(graph, found)


def test_kinds_differ() -> None:
    text = """
        import std
        type cols[d, l]
        op to_cols : seq[l, d] -> cols[d, l] = rearrange
        op both    : (x: seq[l, d], y: cols[l, d]) -> seq[l, d] = x + y
        input seq[4, 4]
        arch net = clone(2) >> (transpose & to_cols) >> both
    """
    graph = without_wires(lower(architecture(load_grammar(Source("kinds.ein", f"ein 1\n{text}"))).term))
    assert common.share_common(graph).graph is graph


# --- zeros

ZEROS = """
grammar zeros
import std
input im[4, 4, 4]
op plus : (x: im[c, h, w], y: im[c, h, w]) -> im[c, h, w] = x + y
rule Net = Sum | Sum >> Net | Layer >> Net
rule Sum
  = clone(2) >> (Zero & Layer) >> add | clone(2) >> (Layer & Zero) >> plus | clone(3) >> (Zero & Layer & Layer) >> add
  | clone(4) >> (Layer & Zero & Layer & Zero) >> add | clone(3) >> (Layer & Zero & Zero) >> add
  | clone(2) >> (clone(2) >> Zero ^ 2 >> add & Layer) >> add | clone(3) >> (Zero & Zero & Layer) >> concat(1) >> conv(4)
  | clone(2) >> (Zero & Layer) >> add >> Layer
rule Zero  = zero | zero >> Still | Layer >> zero >> Still
rule Still = relu | tanh | permute((1, 3, 2)) | max_pool(3, s = 1, p = 1)
           | split(2, 1) >> concat(2) >> permute((2, 1, 3)) | leaky_relu | silu | flatten >> col2im
rule Layer = linear(4) | conv(4) | norm | tanh
limit modules <= 40
"""

NO_ZEROS = """
grammar almost
import std
input im[4, 4, 4]
op scaled_sum : t ^ b -> t = sum(xs) * 0.5
op twice      : (x: t, y: t) -> t = x + x + y
op plus_zero  : t -> t = x + 0
rule Net = One | One >> Layer | Layer >> One | Layer >> Net
rule One
  = clone(2) >> (zero & Layer) >> mul | clone(2) >> (zero & Layer) >> mean | clone(2) >> (zero & Layer) >> scaled_sum
  | clone(2) >> (Layer & zero >> Other) >> add | clone(2) >> (zero & Layer) >> concat(1) >> conv(4)
  | clone(2) >> (zero & Layer) >> matmul | plus_zero | clone(2) >> Layer ^ 2 >> add | zero >> Other
  | clone(2) >> (zero & Layer) >> twice | clone(2) >> (Layer & Layer) >> add
rule Other = linear(4) | norm | sigmoid | softmax | linear(4, bias = false) | softplus | pos_enc
rule Layer = linear(4) | conv(4) | norm | tanh
limit modules <= 20
"""


def test_zeros_fires() -> None:
    fires(ZEROS, zeros.fold_zeros, without_wires)


def test_zeros_leaves_the_rest_alone() -> None:
    """Products, means, scaled sums, functions that give something else at 0, and all that has weights."""
    for _, graph in zip(range(TIMES), map(without_wires, graphs(NO_ZEROS)), strict=False):
        assert zeros.fold_zeros(graph).graph is graph


def test_broken_zeros_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that gives something else at 0."""
    monkeypatch.setattr(zeros, "_AT_ZERO", zeros._AT_ZERO | {"sigmoid"})
    grammar = ZEROS.replace("rule Still = relu", "rule Still = sigmoid")
    with pytest.raises(AssertionError, match="not close"):
        fires(grammar, zeros.fold_zeros, without_wires)


@pytest.mark.parametrize(
    ("term", "wanted"),
    [
        ("clone(2) >> (zero & tanh) >> add", "tanh"),
        ("clone(3) >> (relu & zero & tanh) >> add", "relu tanh add"),
        ("clone(3) >> (relu & zero & zero) >> add", "relu"),
        ("clone(2) >> (zero & zero >> relu) >> add", "zero"),
        ("clone(2) >> (conv(4) >> zero & zero) >> concat(1)", "conv zero concat"),
    ],
)
def test_what_is_left_of_zeros(term: str, wanted: str) -> None:
    graph = compiled(term)
    found = zeros.fold_zeros(graph)
    assert sorted(names(found.graph)) == sorted(wanted.split())
    assert_exact(graph, found)


# --- activations

IDLE = """
grammar idle
import std
input im[4, 4, 4]
op my_relu : im[c, h, w] -> im[c, h, w] = relu(x)
op absolute : t -> t = abs(x)
op whole   : t -> t = floor(x)
rule Net = Idle | Idle >> Net | Layer >> Net
rule Idle
  = relu >> my_relu | relu >> relu >> relu | relu6 >> relu6 | absolute >> absolute | whole >> whole >> linear(4)
  | Above >> Kept >> relu | Above >> relu | clone(2) >> (Above & Above) >> Join >> relu
  | relu >> clone(2) >> (Layer & relu >> Layer) >> add
rule Above = relu | relu6 | sigmoid | softmax | absolute
rule Kept  = permute((1, 3, 2)) | max_pool(3, s = 1, p = 1) | avg_pool(3, s = 1, p = 1)
           | split(2, 1) >> concat(2) | relu >> relu
rule Join  = add | mul | concat(1) | mean
rule Layer = linear(4) | conv(4) | norm
limit modules <= 30
"""

NO_IDLE = """
grammar almost
import std
input im[4, 4, 4]
op centred : t -> t = clamp(x, -1, 1)
op lifted  : t -> t = clamp(x, -1, 6)
rule Net = One | One >> linear(4) >> Net
rule One
  = relu | Below >> relu | relu >> Layer >> relu | relu >> relu6 | relu6 >> centred | lifted >> relu | centred >> lifted
  | leaky_relu >> leaky_relu | tanh >> tanh | softmax >> softmax | gelu >> relu | square_relu >> square_relu
  | clone(2) >> (relu & Below) >> add >> relu | clone(2) >> (relu & Below) >> mul >> relu
  | clone(2) >> (relu & tanh) >> (relu6 & relu) >> concat(1)
rule Below = tanh | leaky_relu | gelu | silu | norm | linear(4) | centred | elu
rule Layer = linear(4) | conv(4) | norm
limit modules <= 20
"""


def test_activations_fires() -> None:
    fires(IDLE, activations.remove_idle_activations, without_wires)


def test_activations_leaves_the_rest_alone() -> None:
    for _, graph in zip(range(TIMES), map(without_wires, graphs(NO_IDLE)), strict=False):
        assert activations.remove_idle_activations(graph).graph is graph


def test_broken_activations_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer is taken for something that keeps numbers above 0."""
    right = activations._sign

    def kept(step: Step, operands: list[bool], steps: list[Step]) -> bool:
        return all(operands) if step.op == "layer" else right(step, operands, steps)

    monkeypatch.setattr(activations, "_sign", kept)
    with pytest.raises(AssertionError, match="not close"):
        fires(IDLE.replace("Above >> Kept", "Above >> Layer"), activations.remove_idle_activations, without_wires)


@pytest.mark.parametrize(
    ("term", "wanted"),
    [
        ("relu >> relu >> relu", "relu"),
        ("softmax >> max_pool >> relu", "softmax max_pool"),
        ("relu >> tanh >> relu", "relu tanh relu"),
        ("clone(2) >> (relu & sigmoid) >> mul >> relu", "relu sigmoid mul"),
        ("relu6 >> relu6 >> relu", "relu6"),
    ],
)
def test_which_activations_are_left(term: str, wanted: str) -> None:
    graph = compiled(term)
    found = activations.remove_idle_activations(graph)
    assert names(found.graph) == wanted.split()
    assert_exact(graph, found)
