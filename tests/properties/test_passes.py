"""Each pass gives a graph that computes the same for the same weights, on grammars biased to its pattern, and leaves
alone what only looks like it. How often it fired is counted, and a pass that is broken on purpose is seen."""

from __future__ import annotations

from collections import Counter
from math import isclose

import pytest

from ein.compiler.graph import InternalError, OpGraph, Port
from ein.compiler.lower import lower
from ein.compiler.nodes import Use
from ein.compiler.passes import PIPELINE, Rewritten, attention, attention_parts, optimise, permutes, wires
from ein.compiler.passes.dataflow import At, Dataflow, scaled
from ein.grammar.architecture import architecture
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source
from ein.grammar.matching.match import derive
from ein.grammar.space import Space

from .passes import TIMES, assert_exact, fires, graphs, names, without_wires

WIRES = """
grammar wires
import std
input im[2, 3, 4]
rule Net = Wire | Wire >> Net | Net >> Wire
rule Wire = identity >> Part | identity | Part >> identity * 2 | clone(2) >> (identity & Part) >> add
          | clone(3) >> (Part & identity & identity) >> concat(1) >> Part | clone(2) >> identity ^ 2 >> add
rule Part = relu | linear(4) | norm | clone(2) >> (relu & softmax) >> add
limit modules <= 25
"""

NO_WIRES = """
grammar almost
import std
type cols[d, l]
input seq[3, 4]
op plus_nothing : t -> t = x + 0
op times_one    : t -> t = 1 * x
op to_cols      : seq[l, d] -> cols[l, d] = rearrange
op to_seq       : cols[l, d] -> seq[l, d] = rearrange
rule Net = Part | Part >> Net
rule Part = plus_nothing | times_one | to_cols >> to_seq | permute((2, 1)) | relu | linear(4) | split(2, 2) >> concat(2)
limit modules <= 10
"""

PERMUTES = """
grammar permutes
import std
input im[3, 3, 3]
op upright : im[c, h, w] -> im[h, c, w] = rearrange
rule Net  = Two | Two >> Net | Part >> Net
rule Two  = One >> One | One >> identity >> One | One >> clone(2) >> (One & Part) >> add
rule One  = permute(order in orders(rank)) @ each | upright
rule Part = relu | norm | linear(3)
limit modules <= 20
"""

NO_PERMUTES = """
grammar almost
import std
type cols[d, l]
input seq[3, 4]
op to_cols : seq[l, d] -> cols[d, l] = rearrange
op turned  : seq[l, d] -> seq[d, l] = 2 * x -> [d, l]
op grid    : seq[l, d] -> seq[l, d] where l % 3 == 0 = x[(a = 3, b), d] -> [(b, a), d]
rule Net = One | One >> Between >> Last | turned >> turned | Between >> One >> Between | grid >> One | One >> grid
         | permute((2, 1)) >> to_cols | clone(2) >> (One & One) >> add
rule Last = One | One >> Between >> One
rule One = permute((2, 1))
rule Between = relu | linear(3) | softmax | turned
limit modules <= 10
"""

ATTENTION_ON = {
    "seq": "start Net\ninput seq[5, 6]\nop upside : seq[l, d] -> seq[d, l] = rearrange\n"
    "rule Turn = permute((2, 1)) | transpose | upside\n",
    "im": "start Net\ninput im[2, 5, 6]\nop upside : im[c, h, w] -> im[c, w, h] = rearrange\n"
    "rule Turn = permute((1, 3, 2)) | upside\n",
}
"""Start and transpositions of the two grammars below, on sequences and, head by head, on images."""

ATTENTION = """
grammar attention
import std
{on}
op by_features : (x: any[*a, n, m], y: any[*a, p, m]) -> any[*a, n, p] = dot[m](x, y) / 3
op by_rows     : (x: any[*a, m, n], y: any[*a, m, p]) -> any[*a, n, p] = 0.7 * dot[m](x, y)
op swapped     : (x: any[*a, m, p], y: any[*a, n, m]) -> any[*a, n, p] = dot[m](y, x)
op weighted    : (x: any[*a, n, m], y: any[*a, p, m]) -> any[*a, n, p] = dot[m](x, y)
rule Net = Attention | Attention >> Net | Part >> Net | Twice
rule Attention
  = clone(2) >> (Scores >> Wire >> softmax >> Wire & Values) >> matmul
  | clone(2) >> (Scores >> softmax & Values >> Turn) >> weighted
  | clone(2) >> (linear(5) >> softmax >> norm >> clone(2) >> (identity & Turn) >> matmul >> softmax & Values) >> matmul
rule Scores
  = clone(2) >> Features ^ 2 >> (identity & Turn) >> Join
  | clone(2) >> (Features & identity) >> (Wire & Turn) >> Join
  | clone(2) >> (linear(6) & linear(5) >> Turn >> clone(2) >> (Turn & identity) >> by_features >> Turn) >> Join
  | clone(2) >> Features ^ 2 >> by_features
  | clone(2) >> Features ^ 2 >> (Turn & Turn) >> by_rows
  | clone(2) >> Features ^ 2 >> (Turn & identity) >> swapped
  | clone(2) >> (Turn >> linear(5) >> Turn >> norm & Turn) >> Join
  | linear(5) >> clone(2) >> Join
rule Features = linear(6) | linear(6) >> norm
rule Join     = matmul | scaled_matmul
rule Values   = linear(out in {{2..5}}) | linear(6) | identity
rule Wire     = identity | identity * 2
rule Part     = norm | linear(6) >> relu | clone(2) >> (identity & linear(6) >> Turn >> norm >> Turn) >> add
rule Twice    = clone(2) >> (clone(2) >> (Scores >> softmax & linear(5)) >> Join >> softmax & Values) >> matmul
limit modules <= 60
"""

NO_ATTENTION = """
grammar almost
import std
{on}
type cols[d, l]
op down      : any[*a, i, j] -> any[*a, i, j] = softmax[i](x)
op logs      : any[*s, d] -> any[*s, d] = log_softmax[d](x)
op warm      : any[*s, d] -> any[*s, d] = softmax[d](x ** 2)
op shifted   : (x: any[*a, n, m], y: any[*a, m, p]) -> any[*a, n, p] = dot[m](x, y) + 1
op tempered  : (x: any[*a, n, m], y: any[*a, m, p]) -> any[*a, n, p] param t[n] = 2 = dot[m](x, y) * t
op divided   : (x: any[*a, n, m], y: any[*a, m, p]) -> any[*a, n, p] = 2 / dot[m](x, y)
op summed    : (x: any[*a, n, m], y: any[*a, m, p]) -> any[*a, n, p] = sum[m](x) * sum[m](y)
op of_three  : (x: any[*a, n, m], y: any[*a, m, p]) -> any[*a, n, p] param w[m] = 2 = dot[m](x, y, w)
op rows      : (x: any[*a, m, n], y: any[*a, m, p]) -> any[*a, n, p] = dot[m](x, y)
rule Net
  = clone(2) >> (Scores >> (down | logs | warm | sigmoid) & Values) >> matmul
  | clone(2) >> (Scores >> Between >> softmax & Values) >> matmul
  | clone(2) >> (Scores >> softmax >> Between & Values) >> matmul
  | clone(2) >> (Scores >> softmax & Values) >> (scaled_matmul | shifted | tempered | summed | of_three | rows)
  | clone(2) >> (Values >> Turn & Scores >> softmax) >> matmul
  | clone(2) >> (Pair >> (shifted | tempered | divided | summed | of_three) >> softmax & Values) >> matmul
  | clone(2) >> (Scores >> clone(2) >> (softmax & identity) & Values >> clone(2)) >> (add & add) >> matmul
  | clone(2) >> (Scores >> softmax >> clone(2) >> (relu & identity) & Values >> clone(2)) >> (add & add) >> matmul
  | Scores >> softmax >> clone(2) >> matmul
  | Scores >> clone(2) >> (softmax & identity) >> matmul
  | clone(2) >> (clone(2) >> Scores ^ 2 >> add >> softmax & Values) >> matmul
  | clone(2) >> (linear(5) >> softmax & Values) >> matmul
  | Scores >> softmax
rule Scores  = Pair >> (matmul | scaled_matmul)
rule Pair    = clone(2) >> linear(6) ^ 2 >> (identity & Turn)
rule Values  = linear(4) | identity
rule Between = relu | norm | pos_enc | softmax >> relu | down | logs | clone(2) >> add
limit modules <= 60
"""


# --- wires


def test_wires_fires() -> None:
    fires(WIRES, wires.remove_wires, lambda graph: graph)
    for _, graph in zip(range(50), graphs(WIRES), strict=False):
        assert not {"identity", "clone"} & set(names(wires.remove_wires(graph).graph))


def test_wires_leaves_the_rest_alone() -> None:
    for _, graph in zip(range(TIMES), graphs(NO_WIRES), strict=False):
        assert wires.remove_wires(graph).graph is graph


def test_broken_wires_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking out an activation."""
    monkeypatch.setattr(wires, "_route", lambda body: [0] * (body.steps[-1].name in ("relu", "softmax")))
    with pytest.raises(AssertionError, match="not close"):
        fires(WIRES, wires.remove_wires, lambda graph: graph)


# --- permutations


def test_permutes_fires() -> None:
    fires(PERMUTES, permutes.fuse_permutes, without_wires)


def test_permutes_leaves_the_rest_alone() -> None:
    for _, graph in zip(range(TIMES), map(without_wires, graphs(NO_PERMUTES)), strict=False):
        assert permutes.fuse_permutes(graph).graph is graph


def test_no_two_permutations_are_left_in_a_row() -> None:
    vanished = 0
    for _, graph in zip(range(50), map(without_wires, graphs(PERMUTES)), strict=False):
        found = permutes.fuse_permutes(graph).graph
        permuting = {number for number, node in found.uses() if permutes.permutation(node) is not None}
        assert not any(found.sources(number)[0].node in permuting for number in permuting)
        vanished += len(permuting) == 0
    assert vanished > 2


def test_broken_permutes_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two permutations the other way round."""
    right = permutes.composed
    monkeypatch.setattr(permutes, "composed", lambda first, second: right(second, first))
    with pytest.raises(AssertionError, match="not close"):
        fires(PERMUTES, permutes.fuse_permutes, without_wires)


# --- attention


def in_order(graph: OpGraph) -> OpGraph:
    """As the pass finds it in the pipeline."""
    return permutes.fuse_permutes(without_wires(graph)).graph


@pytest.mark.parametrize("kind", ATTENTION_ON)
def test_attention_fires(kind: str) -> None:
    fires(ATTENTION.format(on=ATTENTION_ON[kind]), attention.fuse_attention, in_order)


@pytest.mark.parametrize("kind", ATTENTION_ON)
def test_attention_leaves_the_rest_alone(kind: str) -> None:
    """Another function than softmax, another axis, other readers, something between, a scale behind, other sums."""
    drawn = map(in_order, graphs(NO_ATTENTION.format(on=ATTENTION_ON[kind])))
    for _, graph in zip(range(TIMES), drawn, strict=False):
        assert attention.fuse_attention(graph).graph is graph


def test_attention_of_tensors_of_several_kinds() -> None:
    text = """
        import std
        type cols[d, l]
        op to_cols : seq[l, d] -> cols[d, l] = rearrange
        op by_cols : (x: seq[n, m], y: cols[m, p]) -> seq[n, p] = dot[m](x, y)
        op columns : seq[l, d] -> cols[l, d] = 1.5 + x
        input seq[5, 6]
        op other : (x: seq[n, m], y: seq[m, p]) -> cols[n, p] = dot[m](x, y)
        arch fits   = clone(2) >> (clone(2) >> (identity & to_cols) >> by_cols >> softmax & linear(3)) >> matmul
        arch differ = clone(2) >> (clone(2) >> (linear(5) & columns) >> by_cols >> softmax & permute((2, 1))) >> matmul
        arch made   = clone(2) >> (clone(2) >> (identity & transpose) >> matmul >> softmax & linear(3)) >> other
    """
    grammar = load_grammar(Source("kinds.ein", f"ein 1\n{text}"))
    for name in ("fits", "differ", "made"):
        graph = in_order(lower(architecture(grammar, name).term))
        found = attention.fuse_attention(graph)
        assert any(name.startswith("atten") for name in names(found.graph)) and not {"by_cols", "matmul", "other"} & {
            *names(found.graph)
        }
        assert_exact(graph, found)


def test_attention_needs_products_head_by_head() -> None:
    """Here the second tensor has one matrix for each row of the first, and all sizes are equal."""
    text = """
        import std
        op crossed : (x: im[c, n, m], y: im[n, m, p]) -> im[c, n, p] = dot[m](x, y)
        input im[5, 5, 5]
        arch before = clone(2) >> (clone(2) >> crossed >> softmax & linear(3)) >> matmul
        arch behind = clone(2) >> (clone(2) >> matmul >> softmax & linear(3)) >> crossed
    """
    grammar = load_grammar(Source("crossed.ein", f"ein 1\n{text}"))
    for name in ("before", "behind"):
        graph = in_order(lower(architecture(grammar, name).term))
        assert attention.fuse_attention(graph).graph is graph


def test_attention_continues_a_permutation() -> None:
    """Of three axes, where the order of two permutations matters."""
    text = """
        import std
        input ((im[2, 5, 6], im[6, 7, 2]), im[2, 7, 3])
        arch net = ((identity & permute((3, 1, 2))) >> scaled_matmul >> softmax & identity) >> matmul
    """
    graph = in_order(lower(architecture(load_grammar(Source("three.ein", f"ein 1\n{text}"))).term))
    rewritten = attention.fuse_attention(graph)
    (name,) = names(rewritten.graph)
    assert name.startswith("attention_")
    assert_exact(graph, rewritten)


def test_attention_takes_every_chain() -> None:
    """But where two overlap."""
    taken = 0
    for _, graph in zip(range(100), graphs(ATTENTION.format(on=ATTENTION_ON["seq"])), strict=False):
        if any(str(scope) == "Twice" for _, node in graph.uses() for scope in node.path):
            continue
        found = Counter(names(optimise(graph).graph))
        products = ("matmul", "scaled_matmul", "by_features", "by_rows", "swapped", "weighted")
        assert not any(found[name] for name in products)
        taken += found["attention"]
    assert taken > 50


def attentions(term: str, input: str = "seq[5, 6]") -> list[str]:
    text = f"ein 1\nimport std\ninput {input}\narch net = {term}\n"
    found = optimise(lower(architecture(load_grammar(Source("net.ein", text))).term)).graph
    return [node.text for _, node in found.uses()]


@pytest.mark.parametrize(
    ("term", "wanted"),
    [
        ("matmul", ["attention"]),
        ("scaled_matmul", [f"attention(scale = {6**-0.5!r})"]),
    ],
)
def test_attention_keeps_the_scale(term: str, wanted: list[str]) -> None:
    """That of `scaled_matmul` is of the features that are summed, not of those of the values."""
    scores = f"clone(2) >> (identity & transpose) >> {term}"
    assert attentions(f"clone(2) >> ({scores} >> softmax & linear(3)) >> matmul") == ["linear(3)", *wanted]


def test_attention_lays_out_what_it_reads() -> None:
    scores = "clone(2) >> (linear(5) & identity) >> matmul"
    found = attentions(f"clone(2) >> ({scores} >> softmax & permute((2, 1))) >> matmul")
    assert found[0] == "linear(5)" and len(found) == 2 and found[1].startswith("attention_")


def test_attention_of_attention() -> None:
    """The first of two chains that overlap is taken, the second keeps its scores."""
    inner = "clone(2) >> (clone(2) >> (identity & transpose) >> matmul >> softmax & linear(5)) >> matmul"
    found = attentions(f"clone(2) >> ({inner} >> softmax & linear(4)) >> matmul")
    assert found == ["linear(5)", "attention", "softmax", "linear(4)", "matmul"]


def test_broken_attention_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scale that is lost."""
    right = scaled

    def lost(flow: Dataflow, at: At) -> tuple[float, At | Port] | None:
        found = right(flow, at)
        return None if found is None else (1.0, found[1])

    monkeypatch.setattr(attention_parts, "scaled", lost)
    with pytest.raises(AssertionError, match="not close"):
        fires(ATTENTION.format(on=ATTENTION_ON["seq"]), attention.fuse_attention, in_order)


def test_einspace_spells_attention() -> None:
    """Too rarely to wait for a draw; here is the word."""
    keys = "identity >> linear(16) >> permute((2, 1))"
    head = f"clone(2) >> (clone(2) >> (linear(16) & {keys}) >> scaled_matmul >> softmax & linear(32)) >> matmul"
    text = f"""
        import std
        import einspace (readout)
        input im[3, 8, 8]
        arch net = im2col(4, s = 4) >> {head} >> identity >> readout(10)
    """
    term = architecture(load_grammar(Source("word.ein", f"ein 1\n{text}"))).term
    derivation = derive(Space(load_grammar("einspace", Request(input="im[3, 8, 8]"))), term)
    graph = lower(derivation.term)
    found = optimise(graph, checked=True)
    assert sorted(names(found.graph)) == sorted(["patches", "linear", "split", "linear", "attention", "readout"])
    (scale,) = [dict(node.application.given)["scale"] for _, node in found.graph.uses() if "attention" in node.text]
    assert isclose(scale, 16**-0.5)
    assert_exact(graph, found)


# --- all of them


def test_the_pipeline_is_exact_on_sampled_networks() -> None:
    limits = {"elements": 200_000, "macs": 3_000_000, "params": 500_000, "modules": 120}
    sampler = Sampler.of(load_grammar("einspace", Request(input="im[3, 8, 8]", limits=limits)))
    fired = dict.fromkeys(("wires", "permutes", "convolution", "detours"), 0)
    for index in range(300):
        graph = before = lower(sampler.draw(5, index).term)
        for step in PIPELINE:
            after = step.rewrite(graph).graph
            if step.name in fired:
                fired[step.name] += after is not graph
            graph = after
        assert_exact(before, optimise(before, checked=True))
    assert all(times >= 5 for times in fired.values()), fired


def test_a_pass_that_breaks_the_graph_is_seen_by_verify() -> None:
    def cut(graph: OpGraph) -> Rewritten:
        draft = graph.draft()
        number, node = next((number, node) for number, node in graph.uses() if node.application.name == "add")
        draft.replace(number, node, draft.sources(number)[:1])
        return Rewritten(draft.done())

    graph = next(graph for graph in graphs(WIRES) if "add" in names(graph))
    with pytest.raises(InternalError, match=r"node \d+ \(add\) has 2 inputs"):
        optimise(graph, [type(PIPELINE[0])("cut", cut)], checked=True)


def test_six_hundred_nodes_become_a_hundred() -> None:
    block = "im2col(3, p = 1) >> identity >> linear(3) >> col2im >> permute((1, 3, 2)) >> permute((1, 3, 2))"
    text = f"import std\ninput im[3, 8, 8]\narch net = ({block}) * 100\n"
    graph = lower(architecture(load_grammar(Source("long.ein", f"ein 1\n{text}"))).term)
    found = optimise(graph).graph
    assert names(found) == ["conv"] * 100
    assert all(isinstance(node, Use) and node.key.startswith("linear_") for _, node in found.uses())
