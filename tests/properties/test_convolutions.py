"""Windows, maps of their features and grids become convolutions: each pass on the way is exact on grammars biased to
its pattern, leaves alone what only looks like it, and is seen where it is broken on purpose."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from ein.compiler.carry import carry
from ein.compiler.graph import OpGraph
from ein.compiler.graph_reading import read_graph
from ein.compiler.graph_text import graph_file
from ein.compiler.interpret import Interpreter
from ein.compiler.lower import lower
from ein.compiler.nodes import Use
from ein.compiler.passes import Rewritten, convolution, grids, groups, lifting, optimise, patches
from ein.compiler.passes.images import Windows, windows
from ein.compiler.passes.zero import keeps_zero
from ein.compiler.weights import Moved
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source

from .passes import TIMES, assert_exact, fires, graphs, names, without_wires

PATCHES = """
grammar patches
import std
input im[3, 16, 24]
op my_windows(k, s) : im[c, h, w] -> seq[((h - k) // s + 1, (w - k) // s + 1), c*k*k]
    where k >= 1, h >= k, w >= k, s >= 1
    = F.unfold(x, k, stride = s)[f, o] -> [o, f]
rule Net = Patches | Patches >> Part | Patches >> col2im | Part >> Net | Patches >> col2im >> Net
rule Patches = for k in {4, 8} : im2col(k, s = k) | for k in {4, 8} : my_windows(k, k)
             | for s in {1, 2, 4} : im2col(1, s = s)
rule Part = relu | norm | linear(3) | permute(order in orders(rank)) @ each | split(2, 2) >> add
limit modules <= 12, elements <= 200K
"""

NO_PATCHES = """
grammar almost
import std
input im[3, 18, 22]
op rows(k) : im[c, h, w] -> seq[(h - k + 1, w - k + 1), c*k*k] where k >= 1, h >= k, w >= k
    = F.unfold(x, k)[(c, kk), o] -> [o, (kk, c)]
rule Net = Part >> Windows | Windows >> Part
rule Windows = im2col(4, s = 4) | im2col(1, s = 4) | im2col(1, p = 1) | im2col(4, s = 4, p = 1) | im2col(2, s = 2)
             | im2col(3, s = 3) | im2col(4, s = 3) | im2col(4, s = 5) | rows(4) | rows(1)
rule Part = relu | norm | linear(out in {10, 11})
"""

GRIDS = """
grammar grids
import std
input im[3, 5, 6]
op scaled  : seq[n, f] -> seq[n, f] param g[f] ~ normal(1, 1), b[f] = 0.5 = g * x * sigmoid(x) + b
op centred : any[*s, d] -> any[*s, d] = x - mean[d](x)
op weighed : any[*s, d] -> any[*s, d] param p[d] ~ normal(0, 1) = x * softmax[d](x * p)
op by_spot : seq[l, d] -> seq[l, d] param p[l, d] ~ normal(0, 1) = x * p
op gated   : (x: seq[l, d], y: seq[l, d]) -> seq[l, d] = x * sigmoid(y)
op grouped : seq[l, d] -> seq[l, d] where d % 2 == 0, l > 1 = nn.GroupNorm(2, d)(x -> [d, l])[d, l]
op shared(k: name = none) : seq[l, d] -> seq[l, d] param p[d] ~ normal(0, 1) tied by k = x + p
op instances : seq[l, d] -> seq[l, d] where l > 1 = nn.InstanceNorm1d(d, affine = true)(x -> [d, l])[d, l]
rule Net = Image | Image >> Net
rule Image = Start >> Some >> col2im | tied (im2col(3, p = 1) >> linear(3) >> Same >> col2im) * 2
           | clone(2) >> (Grid & Grid >> relu) >> add
rule Grid  = im2col(3, p = 1) >> linear(3) >> norm >> col2im | flatten >> linear(3) >> col2im
rule Start = flatten | for k in {2, 3}, p in {0, 1} : im2col(k, p = p) >> linear(out in {2, 4})
rule Some  = One | One >> Some
rule One   = Same | linear(out in {2, 3, 4}) | Fork
rule Same  = relu | gelu | leaky_relu | relu6 | norm | batch_norm | softmax | rms_norm | l2_norm
           | layer_scale(init = 0.3) | pos_enc | scaled | centred | weighed | by_spot | tied (batch_norm >> relu) * 2
           | sine(w = 2) | grouped | instances | shared | shared(k = one)
rule Fork  = clone(2) >> (Same & Same >> identity) >> Join | split(2, 2) >> Same ^ 2 >> concat(2)
           | clone(3) >> Same ^ 3 >> add | clone(2) >> (linear(2) & Same) >> concat(2)
rule Join  = add | mul | gated | concat(2)
limit modules <= 30
"""

NO_GRIDS = """
grammar almost
import std
input im[4, 5, 6]
op turned   : seq[(h, w), d] -> im[d, w, h] = rearrange
op rows     : seq[(h, w), d] -> im[h, d, w] = rearrange
op grid(h)  : seq[l, d] -> im[d, h, l / h] where h >= 1 = x[(a = h, b), d] -> [d, a, b]
op along    : seq[l, d] -> seq[l, d] = softmax[l](x)
op counted  : seq[l, d] -> seq[l, d] = x * range[l]
op first    : seq[l, d] -> seq[l, d] param p[l] ~ normal(0, 1) = p * x
op shaped   : seq[l, d] -> seq[l, d] param p[l, d] ~ kaiming = p * x
op turned_p : seq[l, d] -> seq[l, d] param p[d, l] ~ normal(0, 1) = p * x
rule Net = Start >> Bad >> col2im | Start >> relu >> Bad >> relu >> col2im
         | Start >> relu >> turned | Start >> relu >> rows
         | Start >> relu >> grid(h in {2, 3, 6}) | Start >> relu >> clone(2) >> (identity & col2im) >> (relu & relu)
         | Other >> relu >> col2im | clone(2) >> (Start & Other) >> (relu & norm >> linear(4)) >> add >> col2im
         | Start >> linear(4) >> clone(2) >> (relu >> col2im & linear(3) >> readout)
         | im2col(3, p = 1) >> linear(5) >> col2im
         | clone(2) >> (Start >> relu & im2col(3, p = 1)) >> concat(2)
           >> norm >> col2im | Start >> Two >> col2im
op readout : seq[l, d] -> vec[d] = mean[l](x)
rule Two   = relu >> along
rule Start = flatten | im2col(3, p = 1) >> linear(out = 4)
rule Other = im2col(3, p = 1) | im2col(3, p = 1) >> norm >> linear(4) | linear(4) >> im2col(2, p = 1)
           | im2col(4, s = 4, p = 2) >> relu >> relu
rule Bad   = along | counted | first | shaped | turned_p | dropout | permute((2, 1)) >> relu >> permute((2, 1))
           | fourier_mix | pos_enc_sine | clone(2) >> (permute((2, 1)) & identity) >> matmul >> linear(3) >> linear(4)
           | clone(2) >> linear(4) ^ 2 >> concat(1)
limit modules <= 30
"""

CONVOLUTIONS = """
grammar convolutions
import std
input im[4, 6, 8]
op my_windows(k, s, p) : im[c, h, w] -> seq[((h + 2*p - k) // s + 1, (w + 2*p - k) // s + 1), c*k*k]
    where h + 2*p >= k, w + 2*p >= k, k >= 1, s >= 1 = F.unfold(x, k, stride = s, padding = p)[f, o] -> [o, f]
op my_linear(out) : any[*s, d] -> any[*s, out] where out >= 1 = nn.Linear(d, out)
op my_silu : seq[l, d] -> seq[l, d] = x * sigmoid(x)
op my_elu  : t -> t = where(x > 0, x, exp(x) - 1)
op halves  : seq[l, d] -> seq[l, d / 2] ^ 2 = split[d](x, 2)
rule Net = Convolution | Convolution >> Net | Part >> Net | clone(2) >> (Same & Same) >> add >> Net | Last
         | tied (im2col(3, p = 1) >> linear(4) >> col2im >> relu) * 2 >> Convolution
         | clone(2) >> (Twice & Twice) >> (add & add) >> mul
rule Convolution
  = Windows >> Wire >> Linear >> Wire >> col2im
  | for k in {1..3}, s in {1, 2}, p in {0, 1} : my_windows(k, s, p) >> Linear >> col2im
  | Windows >> Act >> Linear >> col2im
  | Windows >> clone(2) >> (Linear >> col2im & Act >> Linear >> col2im) >> (identity & relu) >> add
  | Windows >> Linear >> clone(2) >> col2im ^ 2 >> add
  | for b in {2, 4} : Windows >> split(b, 2) >> (linear(2) >> col2im) ^ b >> add
  | Windows >> Act >> halves >> (linear(4) >> col2im & Act >> linear(4) >> col2im) >> add
  | im2col(3, p = 1) >> halves >> (halves >> (linear(4) & linear(4)) >> col2im ^ 2 >> add & linear(4) >> col2im) >> add
rule Last
  = im2col(3, s in {1, 2}) >> Few >> (softmax | norm | linear(3)) | im2col(3, p = 1) >> clone(3) >> Few ^ 3 >> add
  | im2col(3, p = 1) >> Few >> clone(2) >> (col2im & relu >> col2im) >> add
  | im2col(3, p = 1) >> split(2, 2) >> linear(4) ^ 2 >> mul >> relu
rule Same   = im2col(3, p = 1) >> linear(out = 4) >> col2im
rule Twice  = im2col(3, p = 1) >> clone(2) >> (linear(4) & Act >> my_linear(4)) >> col2im ^ 2
rule Windows = for k in {1..3}, s in {1, 2}, p in {0, 1} : im2col(k, s = s, p = p)
rule Few    = for out in {1..3} : linear(out) | my_linear(out = 2)
rule Linear = for bias in {true, false} : linear(4, bias = bias) | my_linear(4)
rule Wire   = identity | identity * 2
rule Act    = relu | gelu | leaky_relu | tanh | my_silu | my_elu | relu >> sine
rule Part   = relu | norm
limit modules <= 30
"""

NO_CONVOLUTIONS = """
grammar almost
import std
input im[4, 5, 7]
op columns(k) : im[c, h, w] -> seq[(h - k + 1, w - k + 1), c*k*k] where k >= 1, h >= k, w >= k
    = F.unfold(x, k)[(c, kk), o] -> [o, (kk, c)]
op mapped(out) : any[*s, d] -> any[*s, out] where out >= 1 param w[out, d] ~ kaiming = dot[d](x, w)
op active(out) : any[*s, d] -> any[*s, out] where out >= 1 = relu(nn.Linear(d, out)(x))
op turned  : seq[(h, w), d] -> im[d, w, h] = rearrange
op uneven  : seq[l, d] -> (seq[l, d / 4], seq[l, 3 * d / 4]) where d % 4 == 0
    = (slice[d](x, 0, d // 4), slice[d](x, d // 4, d))
op mixed   : seq[l, d] -> seq[l, d / 2] ^ 2 = unstack[n](x[l, (e, n = 2)])
op lifted  : t -> t = exp(x)
op slanted : t -> t = relu(x - 1) + 0.5
rule Net
  = Windows >> Between >> linear(4) >> col2im | columns(k in {2, 3}) >> linear(4) >> col2im
  | Windows >> mapped(4) >> col2im | Windows >> active(4) >> col2im | Windows >> linear(30) >> turned
  | Windows >> clone(2) >> (linear(4) >> col2im & norm >> linear(4) >> col2im) >> add
  | Windows >> clone(2) >> (linear(4) >> col2im & softmax >> linear(4) >> col2im) >> add
  | Windows >> mixed >> (linear(4) >> col2im) ^ 2 >> add | Padded >> (lifted | slanted | sigmoid) >> linear(4) >> col2im
  | Windows >> split(8, 2) >> (linear(4) >> col2im) ^ 8 >> add | Windows >> split(2, 1) >> linear(3) ^ 2 >> concat(1)
  | Windows >> split(2, 2) >> (linear(4) >> col2im & relu >> norm >> linear(4) >> col2im) >> add
  | clone(2) >> (im2col(3, p = 1) & relu) >> (identity & im2col(3, p = 1) >> softmax) >> tied linear(8) ^ 2 >> add
  | clone(2) >> (im2col(3, p = 1) & im2col(3, p = 1) >> norm) >> tied linear(8) ^ 2 >> col2im ^ 2 >> add
  | Windows >> permute((2, 1)) >> linear(4) | Windows >> permute((2, 1)) >> linear(4) >> permute((2, 1)) >> linear(3)
  | Windows >> linear(out in {22, 64}) | im2col(4, s = 4) >> linear(4) >> col2im | im2col(1) >> linear(4)
rule Windows = for k in {1, 2, 3}, s in {1, 2}, p in {0, 1} : im2col(k, s = s, p = p)
rule Padded  = for k in {1, 2, 3}, s in {1, 2} : im2col(k, s = s, p = 1)
rule Between = softmax | norm | pos_enc | l2_norm | permute((2, 1)) >> permute((2, 1)) >> norm | dropout | layer_scale
"""

GROUPS = """
grammar groups
import std
input im[8, 5, 6]
rule Net = Grouped | Grouped >> Net | relu >> Net
rule Grouped
  = for b in {2, 4}, k in {1, 3}, s in {1, 2} : split(b, 1) >> (conv(4, k = k, s = s, p = 1) >> Acts) ^ b >> concat(1)
  | for b in {2, 4}, bias in {true, false} : split(b, 1) >> conv(16 // b, groups = 2, bias = bias) ^ b >> concat(1)
  | for b in {2, 4} : im2col(3, p = 1) >> split(b, 2) >> linear(16 // b) ^ b >> concat(2) >> col2im
  | for b in {2, 4} : im2col(3, p = 1) >> split(b, 2) >> (linear(8 // b) >> Acts) ^ b >> concat(2) >> Acts >> col2im
  | for b in {2, 4} : im2col(3, p = 1) >> split(b, 2) >> (linear(8 // b) >> relu) ^ b >> concat(2) >> norm >> col2im
  | for b in {2, 4} : split(b, 1) >> (conv(8 // b) >> flatten >> relu) ^ b >> concat(2) >> col2im
rule Acts = identity | relu | gelu >> relu | sine(w = 2)
limit modules <= 40
"""

NO_GROUPS = """
grammar almost
import std
input im[8, 6, 6]
op turned : seq[l, d] ^ b -> seq[l * b, d] = concat[l](xs)
op backwards : (x: im[c, h, w], y: im[c, h, w]) -> im[2 * c, h, w] = concat[c](y, x)
rule Net = split(2, 1) >> (conv(4) & conv(4, k = 1, p = 0)) >> concat(1)
         | split(2, 1) >> (conv(4) & conv(6)) >> concat(1)
         | split(2, 1) >> (conv(4) & conv(4, bias = false)) >> concat(1) | split(2, 1) >> (conv(4) & relu) >> concat(1)
         | split(2, 1) >> tied conv(4) ^ 2 >> concat(1) | split(2, 1) >> swap >> conv(4) ^ 2 >> concat(1)
         | split(2, 1) >> conv(4) ^ 2 >> swap >> concat(1) | split(2, 1) >> conv(4) ^ 2 >> backwards
         | split(2, 1) >> conv(4) ^ 2 >> (relu & gelu) >> concat(1)
         | split(2, 1) >> conv(4) ^ 2 >> norm ^ 2 >> concat(1) | split(2, 1) >> conv(4) ^ 2 >> add
         | split(2, 2) >> conv(4) ^ 2 >> concat(2) | split(2, 1) >> conv(4) ^ 2 >> concat(axis in {2, 3})
         | split(4, 1) >> drop(2) >> conv(4) ^ 2 >> concat(1) | clone(2) >> conv(4) ^ 2 >> concat(1)
         | split(2, 1) >> conv(4) ^ 2 >> flatten ^ 2 >> concat(1) | split(2, 1) >> conv(4) ^ 2 >> flatten ^ 2 >> turned
         | split(2, 1) >> (conv(4) >> clone(2) & conv(4) >> clone(2)) >> (add & add) >> concat(1)
         | split(2, 1) >> relu ^ 2 >> concat(1)
         | split(2, 1) >> (clone(2) >> (conv(4) & identity) >> add & conv(4)) >> concat(1)
"""


def left_alone(text: str, rewrite: object, prepare: object = without_wires) -> None:
    """Every alternative of the grammar is among the graphs, and none is changed."""
    assert callable(rewrite) and callable(prepare)
    seen = set()
    for _, graph in zip(range(TIMES), graphs(text), strict=False):
        before = prepare(graph)
        seen.add(tuple(names(graph)))
        assert rewrite(before).graph is before, names(graph)
    assert len(seen) >= text.split("rule Net")[1].split("rule")[0].count("|") // 2


def net(term: str, input: str = "im[4, 8, 12]", own: str = "") -> OpGraph:
    text = f"ein 1\nimport std\n{own}\ninput {input}\narch net = {term}\n"
    return lower(architecture(load_grammar(Source("net.ein", text))).term)


def optimised(term: str, input: str = "im[4, 8, 12]", own: str = "") -> list[str]:
    """The uses of the optimised graph, which is exact and can be read back from its text; without the digests of
    operators that are written for a place."""
    graph = net(term, input, own)
    found = optimise(graph, checked=True)
    assert_exact(graph, found)
    again = read_graph(graph_file(found.graph))
    assert names(again) == names(found.graph)
    return [re.sub("_[0-9a-f]{8}$", "", node.text) for _, node in found.graph.uses()]


def assert_equal_in_double(before: OpGraph, rewritten: Rewritten) -> None:
    """Of long chains, where single precision leaves a doubt."""
    one, other = Interpreter(before).double(), Interpreter(rewritten.graph).double()
    other.load_state_dict(carry(rewritten.weights, other.state_dict(), one.state_dict()))
    given = [torch.randn(3, *leaf.sizes, dtype=torch.double) for leaf in before.node(before.input).outputs]
    torch.testing.assert_close(other(*given), one(*given))


# --- patches


def test_patches_fires() -> None:
    fires(PATCHES, patches.cut_patches, without_wires)


def test_patches_leaves_the_rest_alone() -> None:
    """With a padding, a remainder, another stride, another order of features, smaller windows."""
    left_alone(NO_PATCHES, patches.cut_patches)


def test_broken_patches_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows that overlap."""
    monkeypatch.setattr(patches, "_is_patch", lambda cut: cut.k > 1)
    with pytest.raises(AssertionError):
        left_alone(NO_PATCHES, patches.cut_patches)
    graph = without_wires(net("im2col(4, s = 2) >> linear(3)"))
    with pytest.raises(Exception, match=r"Inapplicable|fed|not close|equal"):
        assert_exact(graph, patches.cut_patches(graph))


@pytest.mark.parametrize(
    ("term", "wanted"),
    [
        ("im2col(4, s = 4) >> linear(5) >> relu", ["patches(4)", "linear(5)", "relu"]),
        ("im2col(4, s = 4) >> norm", ["patches(4)", "norm"]),
        ("im2col(4, s = 4) >> permute((2, 1))", ["rearranged"]),
        ("im2col(4, s = 4) >> split(2, 2) >> add", ["patches(4, by_features = true)", "split(2, 2)", "add"]),
        ("im2col(1) >> softmax", ["flatten", "softmax"]),
        ("im2col(1, s = 2) >> linear(5)", ["every(2)", "flatten", "linear(5)"]),
        ("im2col(1, s = 2) >> linear(5) >> relu >> col2im", ["every(2)", "flatten", "linear(5)", "relu", "col2im"]),
        ("im2col(1, s = 2) >> relu >> col2im", ["every(2)", "relu"]),
        ("im2col(1) >> linear(5) >> relu >> col2im", ["conv(5, k = 1)", "relu"]),
        ("im2col(1) >> leaky_relu >> col2im", ["leaky_relu"]),
        ("im2col(1) >> col2im", []),
        ("im2col(4, s = 4) >> linear(5) >> col2im", ["patches(4)", "linear(5)", "col2im"]),
        ("im2col(3, s = 3) >> linear(5) >> col2im", ["conv(5, s = 3, p = 0)"]),
    ],
)
def test_patches_are_a_rearrangement(term: str, wanted: list[str]) -> None:
    assert optimised(term) == wanted


# --- grids


def test_grids_fires() -> None:
    fires(GRIDS, grids.raise_grids, without_wires)


def test_grids_leaves_the_rest_alone() -> None:
    """Other grids, what mixes positions or counts them, other readers, sequences that were no image."""
    left_alone(NO_GRIDS, grids.raise_grids)


def test_broken_grids_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights for each position and feature that keep the order of their axes."""
    right = lifting._move

    def kept(*given: Any) -> Moved:
        return replace(right(*given), viewed=None, order=None)

    monkeypatch.setattr(lifting, "_move", kept)
    with pytest.raises(AssertionError, match="not close"):
        fires(GRIDS, grids.raise_grids, without_wires)


def test_broken_axes_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A softmax of features that becomes one along the rows, as the same operator has it on images."""
    monkeypatch.setattr(lifting, "_steps", lambda body: [step.op for step in body.steps])
    graph = without_wires(net("flatten >> softmax >> col2im"))
    with pytest.raises(AssertionError, match="not close"):
        assert_exact(graph, grids.raise_grids(graph))


ROWS = "im2col(3, p = 1) >> linear(5)"


@pytest.mark.parametrize(
    ("step", "wanted"),
    [
        ("relu", ["relu"]),
        ("gelu >> relu6", ["gelu", "relu6"]),
        ("norm", ["layer_norm"]),
        ("layer_norm(eps = 0.001)", ["layer_norm(eps = 0.001)"]),
        ("batch_norm", ["batch_norm"]),
        ("softmax", ["softmax_channels"]),
        ("rms_norm", ["rms_norm_channels"]),
        ("layer_scale(init = 0.5)", ["layer_scale(init = 0.5)"]),
        ("pos_enc", ["pos_enc"]),
        ("linear(7, bias = false)", ["conv(7, k = 1, bias = false)"]),
        ("clone(2) >> (relu & identity) >> add", ["relu", "add"]),
        ("clone(2) >> (relu & linear(4)) >> concat(2)", ["relu", "conv(4, k = 1)", "concat(1)"]),
    ],
)
def test_what_stands_before_a_grid_acts_on_the_image(step: str, wanted: list[str]) -> None:
    assert optimised(f"{ROWS} >> {step} >> col2im") == ["conv(5)", *wanted]


def test_an_operator_of_the_users_own_acts_on_channels() -> None:
    own = "op warm(t: real = 2) : seq[n, f] -> seq[n, f] param b[f] = 1 = softmax[f](x / t) + b"
    assert optimised(f"{ROWS} >> warm(t = 3) >> col2im", own=own) == ["conv(5)", "warm_channels(t = 3)"]


def test_dropout_stays_on_the_sequence() -> None:
    found = optimise(net(f"{ROWS} >> dropout >> col2im")).graph
    assert names(found) == ["conv", "flatten", "dropout", "col2im"]


def test_tied_uses_change_alike_or_not_at_all() -> None:
    """A weight for each position: one use is on an image, the other on what no grid follows."""
    twice = f"{ROWS} >> tied pos_enc * 2 >> col2im"
    assert optimised(twice) == ["conv(5)", "pos_enc", "pos_enc"]
    image = "col2im >> max_pool(3, s = 1, p = 1) >> flatten"
    apart = f"clone(2) >> ({ROWS} & {ROWS}) >> tied pos_enc ^ 2 >> ({image} & relu) >> add"
    found = optimise(net(apart))
    assert_exact(net(apart), found)
    assert names(found.graph).count("col2im") == 1


# --- convolutions


def test_convolution_fires() -> None:
    fires(CONVOLUTIONS, convolution.fuse_convolutions, without_wires)


def test_convolution_leaves_the_rest_alone() -> None:
    """With norms or other readers before the map, another order of features, other weights, where it does not pay."""
    left_alone(NO_CONVOLUTIONS, convolution.fuse_convolutions)


def test_convolution_takes_every_chain() -> None:
    """But where pixels are left out."""
    made = 0
    for _, graph in zip(range(50), graphs(CONVOLUTIONS), strict=False):
        found = optimise(graph, checked=True).graph
        left = [cut for _, node in found.uses() if (cut := windows(node)) is not None]
        assert all(cut.k < cut.stride for cut in left)
        made += "conv" in names(found)
    assert made > 30


def test_broken_convolutions_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bias that gets lost."""
    right = convolution._arguments

    def without_bias(cut: Windows, linear: Use) -> convolution.Arguments:
        return (*right(cut, linear)[:-1], ("bias", False))

    monkeypatch.setattr(convolution, "_arguments", without_bias)
    with pytest.raises(AssertionError, match="not close"):
        fires(CONVOLUTIONS, convolution.fuse_convolutions, without_wires)


def test_broken_paddings_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """An activation that makes something of the zeros around an image."""
    monkeypatch.setattr(convolution, "keeps_zero", lambda body: True)
    graph = without_wires(net("im2col(3, p = 1) >> sigmoid >> linear(4) >> col2im"))
    with pytest.raises(AssertionError, match="not close"):
        assert_exact(graph, convolution.fuse_convolutions(graph))


@pytest.mark.parametrize(
    ("term", "wanted"),
    [
        ("linear(21) >> norm", ["conv(21)", "flatten", "norm"]),
        ("linear(22) >> norm", ["im2col(3, p = 1)", "linear(22)", "norm"]),
        ("linear(22) >> permute((2, 1))", ["conv(22)", "rearranged"]),
        ("linear(22) >> norm >> col2im", ["conv(22)", "layer_norm"]),
        ("clone(2) >> linear(10) ^ 2 >> add", ["conv(10) ^ 2 shared", "flatten ^ 2 in 1", "add of 2 in 2"]),
        ("clone(2) >> linear(11) ^ 2 >> add", ["im2col(3, p = 1)", "linear(11)", "linear(11)", "add"]),
        ("clone(2) >> (linear(36) & identity) >> add", ["im2col(3, p = 1)", "linear(36)", "add"]),
        ("relu >> linear(4) >> col2im", ["relu", "conv(4)"]),
        ("norm >> linear(4) >> col2im", ["im2col(3, p = 1)", "norm", "linear(4)", "col2im"]),
    ],
)
def test_convolutions_without_a_grid_are_made_where_they_pay(term: str, wanted: list[str]) -> None:
    """Of 4 channels, with 36 features in each window."""
    assert optimised(f"im2col(3, p = 1) >> {term}") == wanted


@pytest.mark.parametrize(("channels", "wanted"), [(9, "conv(9, s = 2)"), (10, "im2col(3, s = 2, p = 1)")])
def test_windows_that_overlap_less_pay_less(channels: int, wanted: str) -> None:
    assert optimised(f"im2col(3, s = 2, p = 1) >> linear({channels}) >> softmax")[0] == wanted


def test_windows_that_are_few_are_not_activated_as_an_image() -> None:
    for before, wanted in (("relu >> ", "im2col(2, s = 3)"), ("", "conv(4, k = 2, s = 3, p = 0)")):
        assert optimised(f"im2col(2, s = 3) >> {before}linear(4) >> col2im", "im[4, 7, 7]")[0] == wanted


@pytest.mark.parametrize(
    ("body", "keeps"),
    [
        ("x * sigmoid(x)", True),
        ("where(x > 0, x, exp(x) - 1)", True),
        ("clamp(x, 0, 6)", True),
        ("sigmoid(x)", False),
        ("x / x", False),
        ("log(x)", False),
        ("clamp(x, 1, 6)", False),
        ("relu(x - 1)", True),
        ("relu(x + 1)", False),
        ("minimum(x, -1)", False),
    ],
)
def test_zero_is_kept(body: str, keeps: bool) -> None:
    own = f"op f : t -> t = {body}"
    node = next(node for _, node in net("f", own=own).uses())
    assert keeps_zero(node.applied.body) == keeps


def test_a_linear_of_the_users_own_is_not_taken_for_the_library_s() -> None:
    own = "op linear(out) : any[*s, d] -> any[*s, out] where out >= 1 = relu(nn.Linear(d, out)(x))"
    graph = net("im2col(3) >> linear(4) >> col2im", own=own)
    assert optimise(graph).graph is graph


def test_tied_convolutions_stay_tied() -> None:
    graph = net("tied (im2col(3, p = 1) >> linear(4) >> relu >> col2im) * 3")
    found = optimise(graph)
    assert names(found.graph) == ["conv", "relu"] * 3
    assert [node.key for _, node in found.graph.uses() if node.weights] == ["linear_1"] * 3
    assert_exact(graph, found)


def test_maps_that_share_weights_with_another_stay() -> None:
    """The other one is no convolution, and its weight has another shape."""
    term = (
        "clone(2) >> (im2col(3, p = 1) & im2col(3, p = 1) >> norm) >> tied linear(8) ^ 2 >> relu ^ 2 >> add >> col2im"
    )
    assert optimised(term).count("linear(8)") == 2


# --- groups


def convolved(graph: OpGraph) -> OpGraph:
    """As the pass finds it in the pipeline."""
    return convolution.fuse_convolutions(grids.raise_grids(without_wires(graph)).graph).graph


def test_groups_fires() -> None:
    fires(GROUPS, groups.group_convolutions, convolved)


def test_groups_leaves_the_rest_alone() -> None:
    """Parts that differ, are in another order, share weights or are read by others; parts of rows, other joins."""
    left_alone(NO_GROUPS, groups.group_convolutions, convolved)


def test_broken_groups_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts whose order plays no part."""
    monkeypatch.setattr(groups, "_in_order", lambda cut: True)
    graph = without_wires(net("split(2, 1) >> swap >> conv(4) ^ 2 >> concat(1)"))
    with pytest.raises(AssertionError, match="not close"):
        assert_exact(graph, groups.group_convolutions(graph))


@pytest.mark.parametrize(
    ("term", "wanted"),
    [
        ("split(2, 2) >> linear(4) ^ 2 >> concat(2) >> col2im", ["conv(8, groups = 2)"]),
        ("split(4, 2) >> (linear(4) >> gelu) ^ 4 >> concat(2) >> col2im", ["conv(16, groups = 4)", "gelu"]),
        ("split(2, 2) >> linear(4) ^ 2 >> concat(2) >> norm", ["conv(8, groups = 2)", "flatten", "norm"]),
        (
            "split(2, 2) >> (linear(4) & linear(5)) >> concat(2) >> col2im",
            ["split(2, 1)", "conv(4)", "conv(5)", "concat(1)"],
        ),
        ("split(2, 2) >> linear(4) ^ 2 >> concat(2) >> norm >> col2im", ["conv(8, groups = 2)", "layer_norm"]),
    ],
)
def test_maps_of_parts_are_groups(term: str, wanted: list[str]) -> None:
    assert optimised(f"im2col(3, p = 1) >> {term}") == wanted


# --- all of them


@pytest.mark.parametrize("text", [PATCHES, GRIDS, CONVOLUTIONS, GROUPS])
def test_the_pipeline_is_exact_and_can_be_read_back(text: str) -> None:
    for _, graph in zip(range(60), graphs(text), strict=False):
        found = optimise(graph, checked=True)
        assert_equal_in_double(graph, found)
        assert names(read_graph(graph_file(found.graph))) == names(found.graph)
