"""Rearrangements that undo each other, and reading back a part of what was put together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from ein.compiler.graph import OpGraph, Port
from ein.compiler.interpret import Interpreter
from ein.compiler.lower import lower
from ein.compiler.nodes import Use
from ein.compiler.passes import detours, pairs, rearrange, traced, views
from ein.compiler.passes.layouts import Layout, layout
from ein.compiler.passes.views import Atoms, View
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source

from .passes import TIMES, assert_exact, fires, graphs, names, without_wires

DETOURS = """
grammar detours
import std
input im[4, 4, 4]
op turned     : im[c, h, w] -> im[w, c, h] = rearrange
op unshuffled(r) : im[c, h, w] -> im[c * r * r, h / r, w / r] = F.pixel_unshuffle(x, r)
op shuffled(r) : im[c, h, w] -> im[c / (r * r), h * r, w * r] = F.pixel_shuffle(x, r)
op halves     : im[c, h, w] -> (im[c / 2, h, w], im[c / 2, h, w]) = (slice[c](x, 0, c // 2), slice[c](x, c // 2, c))
rule Net = Detour | Detour >> Net | Net >> Detour | Part >> Net
rule Detour
  = for b in {2, 4}, axis in {1..3} : split(b, axis) >> concat(axis)
  | for axis in {1..3} : clone(2) >> (Part & Part) >> concat(axis) >> split(2, axis) >> (identity & Part) >> add
  | for axis in {1..3} : clone(2) >> (Part & Part) >> concat(axis) >> split(2, axis) >> take(i in {1, 2})
  | for axis in {1..3} : clone(2) >> Part ^ 2 >> concat(axis) >> split(4, axis) >> drop(2) >> concat(axis)
  | halves >> concat(1) | clone(2) >> Part ^ 2 >> concat(1) >> halves >> mul
  | flatten >> col2im | flatten >> Part >> col2im >> flatten >> col2im
  | flatten >> split_heads(2) >> merge_heads >> col2im
  | clone(2) >> (flatten & flatten >> Part) >> merge_heads >> split_heads(2) >> add >> col2im
  | flatten >> transpose >> transpose >> col2im | Part >> permute((2, 3, 1)) >> turned
  | max_pool(1) >> Part | avg_pool(1, s = 1) >> Part | upsample(1) >> Part | adaptive_pool(4) >> Part
  | im2col(1) >> Part >> col2im >> im2col(1) >> col2im
  | pixel_shuffle(1) >> Part | channel_shuffle(4) | channel_shuffle(1)
  | channel_shuffle(2) >> channel_shuffle(2) | unshuffled(2) >> pixel_shuffle(2) | shuffled(2) >> unshuffled(2)
rule Part = relu | norm | tanh
limit modules <= 40
"""

NO_DETOURS = """
grammar almost
import std
type cols[d, l]
input im[4, 4, 4]
op to_cols : seq[l, d] -> cols[d, l] = rearrange
op crossing : im[c, h, w] -> im[2, h, w] where c >= 4 = slice[c](x, c // 2 - 1, c // 2 + 1)
op stretched : im[c, h, w] -> im[c, h, w] where h <= 4, w <= 4
    = F.interpolate(x, scale_factor = 1.2, mode = "nearest")
op plus_nothing : t -> t = x + 0
rule Net = One | Part >> One | One >> Part | conv(4) >> Net
rule One
  = for b in {2, 4}, axis in {1..3} : split(b, axis) >> Part ^ b >> concat(axis)
  | split(2, 1) >> swap >> concat(1) | split(2, 1) >> concat(2) | split(2, 2) >> concat(1)
  | split(4, axis = 1) >> drop(2) >> swap >> concat(1) | clone(2) >> (Part & Part) >> concat(1) >> crossing
  | flatten >> permute((2, 1)) >> Part >> permute((2, 1)) >> col2im | flatten >> to_cols
  | max_pool(1, s = 2) | avg_pool(2, s = 1) | max_pool(3, s = 1, p = 1) | upsample_bilinear(1) | adaptive_pool(2)
  | upsample(2) | im2col(1, s = 2) >> col2im | im2col(1, p = 1) >> col2im | stretched | pixel_shuffle(2)
  | channel_shuffle(2) | permute((1, 3, 2)) | permute((2, 3, 1)) | plus_nothing
rule Part = norm | tanh
limit modules <= 30
"""


def test_detours_fires() -> None:
    fires(DETOURS, detours.remove_detours, without_wires)


def test_detours_leaves_the_rest_alone() -> None:
    """Other parts, other axes, another order, other windows, something between, and what adds 0 or multiplies by 1."""
    for _, graph in zip(range(TIMES), map(without_wires, graphs(NO_DETOURS)), strict=False):
        assert detours.remove_detours(graph).graph is graph


def test_no_detour_is_left() -> None:
    for _, graph in zip(range(100), map(without_wires, graphs(DETOURS)), strict=False):
        left = {*names(detours.remove_detours(graph).graph)}
        assert not left & {"split", "concat", "halves", "take", "split_heads", "max_pool", "avg_pool", "upsample"}


def test_broken_detours_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice that begins where its tensor does."""
    right = views.sliced

    def from_the_start(view: View, axis: int, first: int, size: int) -> View | None:
        return right(view, axis, 0, size)

    monkeypatch.setattr(views, "sliced", from_the_start)
    with pytest.raises(AssertionError, match="not close"):
        fires(DETOURS, detours.remove_detours, without_wires)


@pytest.mark.parametrize("grammar", [DETOURS, NO_DETOURS])
def test_views_say_where_elements_come_from(grammar: str) -> None:
    """Every element of every tensor that is a view is the one that the view names, on graphs as they were drawn."""
    seen = 0
    for _, graph in zip(range(TIMES), graphs(grammar), strict=False):
        found: dict[Port, Any] = {**traced.ports(graph)}
        at = values(graph)
        roots = {}
        for port, view in found.items():
            if view == views.whole(view.root, view.sizes) and port.node == view.root[0]:
                roots[view.root] = port
        for port, view in found.items():
            root = roots.get(view.root)
            if root is not None and root != port:
                assert torch.equal(shown(view, at[root]), at[port])
                seen += 1
    assert seen > TIMES


def shown(view: View, root: Tensor) -> Tensor:
    """The view of a tensor that the batch stands in front of."""
    flat = root.flatten(1)
    places = torch.tensor(view.start)
    for axis in view.axes:
        places = places[..., None] + numbers(axis)
    return flat[:, places]


def numbers(axis: Atoms) -> Tensor:
    """For each entry of an axis, how far it is from the first one."""
    places = torch.zeros(1, dtype=torch.long)
    for size, stride in axis:
        places = (places[:, None] + stride * torch.arange(size)).flatten()
    return places


def values(graph: OpGraph) -> dict[Port, Tensor]:
    torch.manual_seed(0)
    net = Interpreter(graph)
    at = {
        Port(graph.input, port): torch.randn(2, *leaf.sizes)
        for port, leaf in enumerate(graph.node(graph.input).outputs)
    }
    for number, node in net.uses:
        made = net.run(node, [at[source] for source in graph.sources(number)])
        at |= {Port(number, port): value for port, value in enumerate(made)}
    return at


TWO = "clone(2) >> (relu & tanh)"


@pytest.mark.parametrize(
    ("term", "wanted"),
    [
        ("split(2, 1) >> concat(1)", ""),
        (
            "split(2, 1) >> (relu & identity) >> concat(1) >> split(2, 1) >> (identity & tanh) >> add",
            "split relu tanh add",
        ),
        (f"{TWO} >> concat(2) >> split(2, 2) >> take(2)", "tanh"),
        (f"{TWO} >> concat(2) >> split(4, 2) >> drop(2) >> concat(2)", "tanh"),
        (f"{TWO} >> concat(2) >> split(4, 2) >> drop(1) >> concat(2)", "relu tanh concat split concat"),
        (f"{TWO} >> permute((1, 3, 2)) ^ 2 >> concat(2) >> permute((1, 3, 2)) >> split(2, 3) >> take(1)", "relu"),
        ("clone(2) >> permute((3, 1, 2)) ^ 2 >> (identity & permute((2, 3, 1))) >> matmul", "permute matmul"),
        ("flatten >> transpose >> transpose >> col2im >> permute((1, 2, 3))", ""),
        ("im2col(1) >> split_heads(2) >> merge_heads >> col2im", ""),
    ],
)
def test_what_is_left(term: str, wanted: str) -> None:
    text = f"ein 1\nimport std\ninput im[4, 4, 4]\narch net = {term}\n"
    graph = without_wires(lower(architecture(load_grammar(Source("net.ein", text))).term))
    found = detours.remove_detours(graph)
    assert names(found.graph) == wanted.split()
    assert_exact(graph, found)


# --- rearrangements in a row

ROWS = """
grammar rows
import std
input im[4, 4, 4]
op folded : seq[l, d] -> im[d, l / 4, 4] where l % 4 == 0 = x[(a, b = 4), d] -> [d, a, b]
op turned : im[c, h, w] -> im[w, h, c] = rearrange
rule Net = Row | Row >> Part >> Net | Part >> Row
rule Row
  = flatten >> transpose | col >> permute((2, 3, 1)) | channel_shuffle(2) >> turned | pixel_shuffle(2) >> flatten
  | turned >> to_vec | flatten >> transpose >> transpose >> folded >> turned
  | permute((2, 3, 1)) >> flatten >> transpose | clone(2) >> (flatten >> transpose & identity >> flatten) >> both
  | turned >> channel_shuffle(2) >> permute((3, 1, 2))
rule Part = tanh | linear(4)
def col = flatten >> tanh >> col2im
op both : (x: seq[a, b], y: seq[b, a]) -> im[b, a, 1] = x + y[b, a] -> [b, a, 1]
limit modules <= 12
"""

NO_ROWS = """
grammar almost
import std
input im[4, 4, 4]
op turned : im[c, h, w] -> im[w, h, c] = 2 * x -> [w, h, c]
rule Net = Row | Part >> Row
rule Row
  = flatten >> Part >> transpose | turned >> flatten | channel_shuffle(2) >> relu >> channel_shuffle(2)
  | flatten | to_vec
  | channel_shuffle(2) >> clone(2) >> (permute((2, 1, 3)) & tanh) >> add
  | split(2, 1) >> permute((2, 3, 1)) ^ 2 >> concat(1)
  | max_pool(1, s = 2) >> permute((2, 1, 3)) | permute((2, 3, 1)) >> norm >> flatten
rule Part = tanh | linear(4)
limit modules <= 12
"""


def test_rearrangements_fire() -> None:
    fires(ROWS, rearrange.fuse_rearrangements, without_wires)


def test_rearrangements_leave_the_rest_alone() -> None:
    """Something between, something computed, more memory to move than before."""
    for _, graph in zip(range(TIMES), map(without_wires, graphs(NO_ROWS)), strict=False):
        assert rearrange.fuse_rearrangements(graph).graph is graph


def test_broken_rearrangements_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts of an axis the other way round."""
    right = layout

    def turned(view: View, sizes: tuple[int, ...], called: Iterator[str]) -> Layout | None:
        found = right(view, sizes, called)
        return None if found is None else replace(found, laid=tuple(group[::-1] for group in found.laid))

    monkeypatch.setattr(rearrange, "layout", turned)
    with pytest.raises(AssertionError, match="not close"):
        fires(ROWS, rearrange.fuse_rearrangements, without_wires)


def test_a_row_has_no_more_steps_than_before() -> None:
    for _, graph in zip(range(50), map(without_wires, graphs(ROWS)), strict=False):
        found = rearrange.fuse_rearrangements(graph).graph
        assert steps(found) <= steps(graph)


def steps(graph: OpGraph) -> int:
    return sum(len(node.applied.body.steps) for _, node in graph.uses())


# --- rearrangements around what computes element by element

AROUND = """
grammar around
import std
input im[3, 4, 4]
op turned : im[c, h, w] -> im[w, h, c] = rearrange
op scaled(s: real) : t -> t = s * x
rule Net = Around | Around >> Part >> Net | Part >> Around
rule Around = permute((2, 3, 1)) >> Each >> permute((3, 1, 2)) | permute((2, 3, 1)) >> Each >> permute((2, 1, 3))
            | turned >> Each >> Each >> turned | flatten >> Each >> transpose >> Each >> transpose >> col2im
            | flatten >> Each >> col2im | turned >> Each >> to_vec >> readout
rule Each   = relu | tanh | gelu | scaled(2) | leaky_relu | silu >> elu
rule Part   = linear(4) | conv(3)
def readout = linear(9) >> apart
op apart : vec[9] -> im[1, 3, 3] = x[(a = 1, b = 3, c = 3)] -> [a, b, c]
limit modules <= 20
"""

NOT_AROUND = """
grammar almost
import std
input im[4, 4, 4]
op turned : im[c, h, w] -> im[w, h, c] = rearrange
op plus   : im[c, h, w] -> im[c, h, w] param p[c, h, w] ~ normal(0, 1) = x + p
op rising : im[c, h, w] -> im[c, h, w] = x * range[w]
rule Net = One | One >> conv(4) >> Net | conv(4) >> One
rule One = turned >> Other >> turned | turned >> relu | relu >> turned | turned >> relu >> Other >> relu >> turned
         | turned >> clone(2) >> (relu >> turned & identity) >> add
         | turned >> relu >> clone(2) >> (turned & identity) >> add
rule Other = softmax | norm | dropout | linear(4) | plus | rising | drop_path | max_pool(3, s = 1, p = 1)
limit modules <= 20
"""


def test_pairs_fire() -> None:
    fires(AROUND, pairs.join_pairs, without_wires)


def test_pairs_leave_the_rest_alone() -> None:
    """What looks at more than one element, or at where it stands, what draws, other readers."""
    for _, graph in zip(range(TIMES), map(without_wires, graphs(NOT_AROUND)), strict=False):
        assert pairs.join_pairs(graph).graph is graph


def test_broken_pairs_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Softmax is taken for a function of each element."""
    right = pairs._is_elementwise

    def wrong(node: object) -> bool:
        return right(node) or (isinstance(node, Use) and node.application.name == "softmax")

    monkeypatch.setattr(pairs, "_is_elementwise", wrong)
    with pytest.raises(AssertionError, match="not close"):
        fires(AROUND.replace("rule Each   = relu", "rule Each   = softmax"), pairs.join_pairs, without_wires)
