"""Attention in the forms that a grammar, or the body of one operator, can write."""

from __future__ import annotations

import pytest

from ein.compiler.emit import emit
from ein.compiler.graph import OpGraph, Port
from ein.compiler.lower import lower
from ein.compiler.passes import attention, attention_parts, heads, optimise
from ein.compiler.passes.dataflow import At, Dataflow
from ein.grammar.architecture import architecture
from ein.grammar.bodies.tensors import Step
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source

from .passes import TIMES, assert_exact, fires, graphs, names, without_wires

OPERATORS = """
op scaled(s: real) : t -> t = s * x
op divided(s: real) : t -> t = x / s
op product : (x: seq[n, d], y: seq[m, d]) -> seq[n, m] = dot[d](x, y)
op flipped : (x: seq[n, d], y: seq[m, d]) -> seq[m, n] = dot[d](x, y)
op upside  : seq[n, m] -> seq[m, n] = rearrange
op rows    : any[*s, d] -> any[*s, d] = softmax[d](x)
op columns : seq[n, m] -> seq[n, m] = softmax[n](x)
op causal  : seq[n, m] -> seq[n, m] where n == m = where(range[n] >= range[m], x, -inf)
op hidden  : seq[n, m] -> seq[n, m] where n == m = where(range[n] < range[m], -inf, x)
op added   : seq[n, m] -> seq[n, m] where n == m = x + where(range[m] <= range[n], 0, -inf)
op future  : seq[n, m] -> seq[n, m] where n == m = where(range[n] <= range[m], x, -inf)
op strict  : seq[n, m] -> seq[n, m] where n == m = where(range[n] > range[m], x, -100)
op weigh   : (x: seq[n, m], y: seq[m, e]) -> seq[n, e] = dot[m](x, y)
op gather2 : (x: seq[n, m], y: seq[m, e]) -> seq[e, n] = dot[m](x, y)
op whole(h, s: real = 1) : (q: seq[i, d], k: seq[j, d], v: seq[j, e]) -> seq[i, e] where d % h == 0, e % h == 0
    let p = softmax[j](dot[a](s * q[i, (h = h, a)], k[j, (h = h, a)]))
    = dot[j](p, v[j, (h = h, f)]) -> [i, (h, f)]
op joint   : (q: im[h, i, d], k: im[h, j, d], v: im[h, j, e]) -> im[i, h, e]
    = dot[j](softmax[j](dot[d](q, k) * d ** -0.5), v) -> [i, h, e]
"""
FORMS = f"""
grammar forms
import std
start Net
input seq[6, 4]
{OPERATORS}
rule Net = Attention | Attention >> Net | Part >> Net
rule Attention
  = clone(2) >> (Scores >> Mask >> Scale >> rows & Value) >> weigh
  | clone(2) >> (Scores >> Scale >> Mask >> softmax & Value) >> matmul
  | clone(2) >> (Other >> upside >> Mask >> rows & Value) >> weigh
  | clone(2) >> (Other >> columns >> upside & Value) >> weigh
  | clone(2) >> (Scores >> Scale >> rows & Value) >> gather2 >> upside
  | clone(3) >> Part ^ 3 >> (attend_explicit(heads in {{1, 2}}) | attend_explicit(2, causal = true))
  | clone(3) >> Part ^ 3 >> (whole(1) | whole(2, s = 0.3) | whole(4, s = -1.5))
rule Scores = clone(2) >> (Part >> Scale & Part >> Scale) >> product
            | clone(2) >> (Part >> Scale & Part >> transpose >> Scale) >> (matmul | scaled_matmul)
rule Other  = clone(2) >> (Part >> Scale & Part) >> flipped
rule Mask   = causal | hidden | added | identity
rule Scale  = scaled(s in {{0.5, 2}}) | divided(3) | identity
rule Value  = linear(4) | Part >> Scale
rule Part   = linear(4) | norm | tanh
limit modules <= 60
"""

NO_FORMS = f"""
grammar almost
import std
start Net
input seq[6, 4]
{OPERATORS}
op biased  : seq[n, m] -> seq[n, m] param b[n, m] ~ normal(0, 1) = x + b
op capped  : seq[n, m] -> seq[n, m] = tanh(x)
op scores2 : (x: seq[n, d], y: seq[m, d]) -> (seq[n, m], seq[n, m]) let s = dot[d](x, y) = (s, 2 * s)
op learnt  : seq[n, d] -> seq[n, d] param k[m = 5, d] ~ normal(0, 1), v[m = 5, d] ~ normal(0, 1)
    = dot[m](softmax[m](dot[d](x, k)), v)
op weighed : (x: seq[n, m], y: seq[m, e]) -> seq[n, e] = dot[m](x, y) * 2
op alone   : (x: seq[n, d], y: seq[m, d]) -> seq[n, d] = sum[m](softmax[m](dot[d](x, y))) * x
op dropped : (q: seq[i, d], k: seq[j, d], v: seq[j, e]) -> seq[i, e]
    = dot[j](dropout(softmax[j](dot[d](q, k)), 0.1), v)
op bias_in : (q: seq[i, d], k: seq[j, d], v: seq[j, e]) -> seq[i, e] param b[i, j] ~ normal(0, 1)
    = dot[j](softmax[j](dot[d](q, k) + b), v)
rule Net = One | One >> Part
rule One
  = clone(2) >> (Scores >> (future | strict) >> rows & Part) >> weigh
  | clone(2) >> (Scores >> causal >> scaled(-1) >> relu >> rows & Part) >> weigh
  | clone(2) >> (Scores >> (biased | capped | relu) >> rows & Part) >> weigh
  | clone(2) >> (Scores >> rows >> (scaled(2) | dropout | norm | causal) & Part) >> weigh
  | clone(2) >> (Scores >> columns & Part) >> weigh | clone(2) >> (Scores >> rows >> upside & Part) >> weigh
  | clone(2) >> (clone(2) >> (Part & Part) >> scores2 >> (rows & rows) >> add & Part) >> weigh
  | learnt | clone(2) >> alone | clone(2) >> (Scores >> rows & Part) >> weighed
  | clone(3) >> Part ^ 3 >> (dropped | bias_in) | clone(3) >> (Part & Part & Part) >> window_bias(1) | qkv_only
rule Scores = clone(2) >> Part ^ 2 >> product
rule Part   = linear(4) | norm | tanh
def qkv_only = clone(2) >> Part2 ^ 2 >> product >> rows
rule Part2  = linear(4) | tanh
limit modules <= 60
"""


def network(term: str, input: str = "seq[6, 4]") -> OpGraph:
    text = f"ein 1\nimport std\ninput {input}\n{OPERATORS}\narch net = {term}\n"
    return without_wires(lower(architecture(load_grammar(Source("net.ein", text))).term))


def test_all_forms_fire() -> None:
    fires(FORMS, attention.fuse_attention, without_wires)


def test_no_form_is_left() -> None:
    for _, graph in zip(range(100), graphs(FORMS), strict=False):
        found = optimise(graph).graph
        left = {step.op for _, node in found.uses() for step in node.applied.body.steps}
        assert "einsum" not in left and any(name.startswith("atten") for name in names(found))


def test_other_forms_are_left_alone() -> None:
    """Masks of another kind, biases, functions between, other axes, several readers, weights for keys, dropout."""
    for _, graph in zip(range(TIMES), map(without_wires, graphs(NO_FORMS)), strict=False):
        assert attention.fuse_attention(graph).graph is graph


def test_a_mask_that_is_lost_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = attention_parts._masked

    def lost(flow: Dataflow, met: attention_parts._Scores, step: Step) -> At | Port | None:
        found = right(flow, met, step)
        met.causal = None
        return found

    monkeypatch.setattr(attention_parts, "_masked", lost)
    with pytest.raises(AssertionError, match="not close"):
        fires(FORMS, attention.fuse_attention, without_wires)


@pytest.mark.parametrize("causal", ["true", "false"])
def test_attention_of_one_body(causal: str) -> None:
    """It becomes what `attend` is."""
    terms = (f"clone(3) >> {name}(heads = 2, causal = {causal})" for name in ("attend_explicit", "attend"))
    explicit, short = (optimise(network(term)).graph for term in terms)
    assert forward(explicit) == forward(short)


def test_the_result_is_laid_out() -> None:
    graph = network("clone(3) >> (identity & linear(6) & tanh) >> joint", "im[2, 5, 6]")
    found = optimise(graph)
    *before, last = names(found.graph)
    assert before == ["linear", "tanh"] and last.startswith("attention_")
    assert_exact(graph, found)


def forward(graph: OpGraph) -> str:
    source = emit(graph)
    return source[source.index("def forward") :]


@pytest.mark.parametrize(
    "scores",
    [
        "product >> causal",
        "product >> scaled(0.5) >> added",
        "(divided(2) & identity) >> flipped >> upside >> hidden",
    ],
)
def test_a_causal_mask_is_a_flag(scores: str) -> None:
    graph = network(f"clone(2) >> (clone(2) >> linear(3) ^ 2 >> {scores} >> rows & tanh) >> weigh")
    found = optimise(graph)
    assert "is_causal=True" in emit(found.graph) and "where" not in emit(found.graph)
    assert_exact(graph, found)


def test_a_mask_needs_as_many_queries_as_keys() -> None:
    """torch counts from the first query, as the body does; but it does not promise to."""
    text = """
        import std
        op first : (q: seq[i, d], k: seq[j, d]) -> seq[i, d]
            = dot[j](softmax[j](where(range[i] >= range[j], dot[d](q, k), -inf)), k)
        input (seq[3, 4], seq[5, 4])
        arch net = first
    """
    graph = lower(architecture(load_grammar(Source("net.ein", f"ein 1\n{text}"))).term)
    assert attention.fuse_attention(graph).graph is graph


def test_a_scale_behind_the_mask_is_above_zero() -> None:
    """Times a number below 0, what is hidden would be all that is seen."""
    mask = "clone(2) >> (clone(2) >> product >> causal >> {} >> rows & identity) >> weigh"
    fused, other = (attention.fuse_attention(network(mask.format(f"scaled({s})"))) for s in ("2", "-2"))
    assert len(names(fused.graph)) == 1 and "scaled" in names(other.graph)


def test_attention_along_two_further_axes_does_not_pay() -> None:
    text = """
        import std
        type clips[t, h, l, d]
        op by_heads : (x: clips[t, h, n, d], y: clips[t, h, m, d]) -> clips[t, h, n, m] = dot[d](x, y)
        input clips[2, 3, 4, 5]
        arch net = clone(2) >> (clone(2) >> by_heads >> softmax & identity) >> matmul
    """
    graph = without_wires(lower(architecture(load_grammar(Source("net.ein", f"ein 1\n{text}"))).term))
    assert attention.fuse_attention(graph).graph is graph


# --- heads

HEADS = """
grammar heads
import std
input seq[6, 8]
op causal : (q: seq[i, d], k: seq[j, d], v: seq[j, e]) -> seq[i, e] where i == j
    = F.scaled_dot_product_attention(q, k, v, is_causal = true)
rule Net  = Heads | Heads >> Part >> Net | Part >> Heads
rule Heads = let (q1, q2) = Part >> split_heads(2), (k1, k2) = Part >> split(2, 2), (v1, v2) = Part >> split(2, 2)
             : (q1 & k1 & v1 & q2 & k2 & v2) >> Both >> Join
rule Both = bundled >> attention ^ 2 | bundled >> attention(0.3) ^ 2 | bundled >> causal ^ 2
rule Join = merge_heads | concat(2) | concat(1) >> halved
rule Part = linear(8) | norm | tanh
op bundled : (t, u, v, t, u, v) -> ((t, u, v), (t, u, v)) = wires
op halved : seq[l, d] -> seq[l / 2, 2 * d] = x[(two = 2, i), d] -> [i, (two, d)]
limit modules <= 40
"""

NO_HEADS = HEADS.replace("grammar heads", "grammar almost").replace(
    "rule Both = bundled >> attention ^ 2 | bundled >> attention(0.3) ^ 2 | bundled >> causal ^ 2",
    "rule Both = bundled >> (attention & attention(0.3)) | bundled >> (attention & causal)"
    " | bundled >> (attention >> tanh & attention) | bundled >> swap >> attention ^ 2"
    " | bundled >> (tanh ^ 3 & identity) >> attention ^ 2",
)


def test_heads_fire() -> None:
    fires(HEADS, heads.join_heads, without_wires)


def test_heads_that_differ_are_left_alone() -> None:
    """Another scale, a mask, functions between, another order, other queries."""
    for _, graph in zip(range(TIMES), map(without_wires, graphs(NO_HEADS)), strict=False):
        assert heads.join_heads(graph).graph is graph


def test_broken_heads_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scale that is lost."""
    right = heads.dict_of

    def lost(step: Step) -> dict[str, object]:
        return {**right(step), "scale": None}

    monkeypatch.setattr(heads, "dict_of", lost)
    with pytest.raises(AssertionError, match="not close"):
        fires(HEADS, heads.join_heads, without_wires)
