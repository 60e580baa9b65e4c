"""Every operator of the standard library against torch called by hand: results, costs, and sizes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from standard_cases import STANDARD
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from ein.compiler.interpret import Interpreter
from ein.compiler.lower import lower
from ein.grammar.architecture import architecture
from ein.grammar.check import check, load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.diagnostics import Source
from ein.grammar.notation.printer import print_statement
from ein.grammar.types import Tensor as TensorType
from ein.grammar.types import leaves

BATCH = 3


def attend(heads: int, causal: bool, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Head by head, with the softmax written out."""
    made = []
    for queries, keys, values in zip(q.chunk(heads, 2), k.chunk(heads, 2), v.chunk(heads, 2), strict=True):
        scores = queries @ keys.mT / queries.shape[-1] ** 0.5
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores).triu(1) > 0, -torch.inf)
        made.append(scores.softmax(-1) @ values)
    return torch.cat(made, 2)


def channels_last(x: Tensor, norm: Callable[[Tensor], Tensor]) -> Tensor:
    return norm(x.movedim(1, -1)).movedim(-1, 1)


def squeeze_excite(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    gate = F.linear(F.relu(F.linear(x.mean((2, 3)), w1, b1)), w2, b2).sigmoid()
    return x * gate[:, :, None, None]


def recurrent(kind: type[nn.LSTM] | type[nn.GRU], x: Tensor, *weights: Tensor) -> Tensor:
    layer = kind(x.shape[2], 4, batch_first=True)
    names = [name for name, _ in layer.named_parameters()]
    found: Tensor = functional_call(layer, dict(zip(names, weights, strict=True)), (x,))[0]
    return found


def min_gru(x: Tensor, wz: Tensor, bz: Tensor, wn: Tensor, bn: Tensor) -> Tensor:
    return average(F.linear(x, wn, bn), F.linear(x, wz, bz).sigmoid())


def average(x: Tensor, gate: Tensor) -> Tensor:
    """Of all that was so far: `gate` is the part of what is new."""
    gates = gate.expand_as(x).unbind(1)
    rows = [gates[0] * x[:, 0]]
    for new, part in zip(x.unbind(1)[1:], gates[1:], strict=True):
        rows.append(part * new + (1 - part) * rows[-1])
    return torch.stack(rows, 1)


def ssm(x: Tensor, a: Tensor, b: Tensor, c: Tensor, dt: Tensor, skip: Tensor) -> Tensor:
    step = F.softplus(dt)[:, None]
    state, rows = torch.zeros(len(x), *a.shape), []
    for new in x.unbind(1):
        state = torch.exp(step * a) * state + step * b * new[:, :, None]
        rows.append((state * c).sum(2) + skip * new)
    return torch.stack(rows, 1)


def example(type: TensorType, batch: int, device: str = "cpu") -> Tensor:
    """Numbers of words for `tok`."""
    if type.kind == "tok":
        return torch.ones(batch, *type.sizes, dtype=torch.int64, device=device).cumsum(1)
    return 4 * torch.randn(batch, *type.sizes, device=device)


IM, SEQ, VEC = "im[6, 5, 8]", "seq[5, 6]", "vec[6]"

ROWS: list[tuple[str, str, Callable[..., Any]]] = [
    # term, input, what torch gives for the inputs and then the weights
    ("identity", IM, lambda x: x),
    ("clone(2)", VEC, lambda x: (x, x)),
    ("split(2, 3)", IM, lambda x: x.chunk(2, 3)),
    ("concat(1)", "(im[2, 3, 4], im[5, 3, 4])", lambda x, y: torch.cat((x, y), 1)),
    ("add", "vec[6] ^ 3", lambda x, y, z: x + y + z),
    ("mul", "vec[6] ^ 3", lambda x, y, z: x * y * z),
    ("matmul", "(im[2, 3, 4], im[2, 4, 5])", lambda x, y: x @ y),
    ("scaled_matmul", "(im[2, 3, 4], im[2, 4, 5])", lambda x, y: x @ y / 2),
    ("permute((3, 1, 2))", IM, lambda x: x.permute(0, 3, 1, 2)),
    ("im2col(3, s = 2, p = 1)", IM, lambda x: F.unfold(x, 3, padding=1, stride=2).mT),
    ("col2im", "seq[(3, 4), 2]", lambda x: x.mT.reshape(BATCH, 2, 3, 4)),
    ("flatten", IM, lambda x: x.flatten(2).mT),
    ("to_vec", IM, lambda x: x.flatten(1)),
    ("transpose", SEQ, lambda x: x.mT),
    ("channel_shuffle(3)", IM, lambda x: F.channel_shuffle(x, 3)),
    ("linear(7)", IM, lambda x, w, b: F.linear(x, w, b)),
    ("linear(7, bias = false)", VEC, lambda x, w: x @ w.T),
    ("conv(4)", IM, lambda x, w, b: F.conv2d(x, w, b, padding=1)),
    (
        "conv(4, k = 2, s = 2, dilation = 2, p = 1, groups = 2, bias = false)",
        IM,
        lambda x, w: F.conv2d(x, w, stride=2, dilation=2, padding=1, groups=2),
    ),
    ("dwconv", IM, lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=6)),
    ("dwconv(5, s = 2, bias = false)", IM, lambda x, w: F.conv2d(x, w, stride=2, padding=2, groups=6)),
    ("conv_transpose(4)", IM, lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2)),
    ("conv_transpose(4, 3, 2, p = 1)", IM, lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1)),
    ("conv1d(4)", SEQ, lambda x, w, b: F.conv1d(x.mT, w, b, padding=1).mT),
    (
        "conv1d(4, s = 2, dilation = 2, groups = 2)",
        SEQ,
        lambda x, w, b: F.conv1d(x.mT, w, b, stride=2, dilation=2, padding=2, groups=2).mT,
    ),
    ("max_pool", IM, lambda x: F.max_pool2d(x, 2)),
    ("max_pool(3, s = 2, p = 1)", IM, lambda x: F.max_pool2d(x, 3, 2, 1)),
    ("avg_pool", IM, lambda x: F.avg_pool2d(x, 2)),
    ("avg_pool(3, s = 1, p = 1)", IM, lambda x: F.avg_pool2d(x, 3, 1, 1)),
    ("adaptive_pool(3)", IM, lambda x: F.adaptive_avg_pool2d(x, 3)),
    ("pool", IM, lambda x: x.mean((2, 3))),
    ("pool", SEQ, lambda x: x.mean(1)),
    ("pool_features", SEQ, lambda x: x.mean(2)),
    ("first_token", SEQ, lambda x: x[:, 0]),
    ("norm", IM, lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True)),
    ("norm", SEQ, lambda x, w, b: F.layer_norm(x, (6,), w, b)),
    ("batch_norm", IM, lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True)),
    ("batch_norm", SEQ, lambda x, w, b: F.batch_norm(x.mT, None, None, w, b, training=True).mT),
    ("batch_norm", VEC, lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True)),
    ("layer_norm", IM, lambda x, w, b: channels_last(x, lambda y: F.layer_norm(y, (6,), w, b))),
    ("layer_norm(eps = 0.1)", SEQ, lambda x, w, b: F.layer_norm(x, (6,), w, b, eps=0.1)),
    ("group_norm(2)", IM, lambda x, w, b: F.group_norm(x, 2, w, b)),
    ("instance_norm", IM, lambda x, w, b: F.instance_norm(x, weight=w, bias=b)),
    ("rms_norm", SEQ, lambda x, g: F.rms_norm(x, (6,), g, eps=1e-6)),
    ("l2_norm", SEQ, lambda x: F.normalize(x, dim=-1)),
    ("relu", IM, F.relu),
    ("relu6", IM, F.relu6),
    ("leaky_relu(0.2)", SEQ, lambda x: F.leaky_relu(x, 0.2)),
    ("prelu", IM, F.prelu),
    ("elu", IM, F.elu),
    ("gelu", IM, F.gelu),
    ("gelu_tanh", IM, lambda x: F.gelu(x, approximate="tanh")),
    ("silu", IM, F.silu),
    ("mish", IM, F.mish),
    ("hardswish", IM, F.hardswish),
    ("sigmoid", IM, F.sigmoid),
    ("tanh", IM, F.tanh),
    ("softplus", IM, F.softplus),
    ("square_relu", IM, lambda x: F.relu(x).square()),
    ("sine(w = 2.5)", IM, lambda x: torch.sin(2.5 * x)),
    ("softmax", IM, lambda x: F.softmax(x, -1)),
    ("layer_scale", IM, lambda x, g: x * g[:, None, None]),
    ("layer_scale", SEQ, lambda x, g: x * g),
    ("pos_enc", SEQ, lambda x, p: x + p),
    ("class_token", SEQ, lambda x, p: torch.cat((p.expand(BATCH, 1, 6), x), 1)),
    ("attention", "(im[2, 4, 6], im[2, 5, 6], im[2, 5, 3])", lambda q, k, v: (q @ k.mT).softmax(-1) @ v),
    ("attention(0.3)", "(seq[4, 6], seq[5, 6], seq[5, 3])", lambda q, k, v: (q @ k.mT * 0.3).softmax(-1) @ v),
    ("attend", "(seq[4, 6], seq[5, 6], seq[5, 3])", lambda q, k, v: attend(1, False, q, k, v)),
    ("attend(3)", "(seq[4, 6], seq[5, 6], seq[5, 9])", lambda q, k, v: attend(3, False, q, k, v)),
    ("attend(2, causal = true)", "seq[5, 6] ^ 3", lambda q, k, v: attend(2, True, q, k, v)),
    ("squeeze_excite(r = 2)", IM, squeeze_excite),
    ("embed(11, 4)", "tok[5]", F.embedding),
    ("unembed(11)", SEQ, F.linear),
    ("lstm(4)", SEQ, lambda x, *weights: recurrent(nn.LSTM, x, *weights)),
    ("gru(4)", SEQ, lambda x, *weights: recurrent(nn.GRU, x, *weights)),
    (
        "lstm_explicit(4)",
        SEQ,
        lambda x, wx, wh, b: recurrent(
            nn.LSTM, x, wx.flatten(0, 1), wh.flatten(0, 1), b.flatten(), torch.zeros(16)
        ),
    ),
    ("min_gru(4)", SEQ, min_gru),
    ("ssm(3)", SEQ, ssm),
    ("ema", SEQ, lambda x, alpha: average(x, alpha.sigmoid())),
]  # fmt: skip


def derivation(term: str, input: str) -> Derivation:
    text = f"ein 1\nimport std\ninput {input}\narch net = {term}\n"
    return architecture(load_grammar(Source("net.ein", text)))


@pytest.mark.parametrize(("term", "input", "by_hand"), ROWS, ids=[f"{term} {input}" for term, input, _ in ROWS])
def test_operator(term: str, input: str, by_hand: Callable[..., Any]) -> None:
    """In training, with random weights; gradients of the inputs agree too."""
    found = derivation(term, input)
    torch.manual_seed(0)
    net = Interpreter(lower(found.term)).train()
    for weight in net.parameters():
        torch.nn.init.normal_(weight)
    given = [example(leaf, BATCH) for leaf in leaves(found.input)]
    results, gradients = run(net, given)
    wanted, wanted_gradients = run(lambda *xs: by_hand(*xs, *net.parameters()), given)
    for one, other in zip([*results, *gradients], [*wanted, *wanted_gradients], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert [result.shape[1:] for result in results] == [leaf.sizes for leaf in leaves(found.type)]


def run(net: Callable[..., Any], inputs: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Results, and gradients of the inputs."""
    given = [value.clone().requires_grad_(value.is_floating_point()) for value in inputs]
    made = net(*given)
    results = list(made) if isinstance(made, tuple | list) else [made]
    torch.autograd.backward(torch.stack([result.sin().sum() for result in results]).sum())
    return results, [value.grad for value in given if value.grad is not None]


@pytest.mark.parametrize(("term", "input"), [row[:2] for row in ROWS], ids=[f"{row[0]} {row[1]}" for row in ROWS])
def test_costs(term: str, input: str) -> None:
    """As torch's own counter has them, on its meta device."""
    found = derivation(term, input)
    with torch.device("meta"):
        net = Interpreter(lower(found.term)).eval()
        with torch.no_grad(), FlopCounterMode(display=False) as flops:
            net(*(example(leaf, 1, "meta") for leaf in leaves(found.input)))
    assert found.cost.parameters == sum(weight.numel() for weight in net.parameters())
    assert found.cost.macs == flops.get_total_flops() // 2


def test_no_operator_is_left_out() -> None:
    """Each overload stands in this table or in that of standard_cases.py, with a type that it is the first to fit."""
    overloads = [overload for each in load_grammar("std").operators.values() for overload in each]
    listed = {print_statement(overload.declaration) for overload in overloads}
    used = set()
    rows = [(term, input) for term, input, _ in ROWS] + [(term, input) for _, term, input, _ in STANDARD.values()]
    for term, input in rows:
        for _, node in lower(derivation(term, input).term).uses():
            used.add(print_statement(node.applied.operator.declaration))
    assert len(listed) == len(overloads) > 60
    assert used == listed


def test_std_has_no_mistakes() -> None:
    """Signatures are proved among other things."""
    grammar, diagnostics = check("std")
    assert grammar is not None and not diagnostics


@pytest.mark.parametrize("wrong", ["[*a, i, d]", "[*a, j, e]", "[*a, e, i]"])
def test_a_wrong_claim_about_attention_is_seen(wrong: str) -> None:
    body = "F.scaled_dot_product_attention(q, k, v)"
    text = f"ein 1\nop f : (q: any[*a, i, d], k: any[*a, j, d], v: any[*a, j, e]) -> any{wrong} = {body}\n"
    grammar, diagnostics = check(Source("wrong.ein", f"{text}type seq[l, d]\n"))
    assert grammar is None and [found.code for found in diagnostics] == ["E401"]


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        ("F.scaled_dot_product_attention(x)", "E414", "needs the 3 tensors it is applied to"),
        ("F.leaky_relu()", "E414", "needs the tensor it is applied to"),
        ("F.scaled_dot_product_attention(x, x, 2)", "E416", "a tensor is needed here"),
        ("F.scaled_dot_product_attention(x, x, x, 1)", "E405", "`is_causal` of F.scaled_dot_product_attention"),
        ("F.scaled_dot_product_attention(x, p, x)", "E416", "is applied to what depends on the input"),
        ("F.scaled_dot_product_attention(x, x -> [d, l], x)", "E401", "does not give what its signature says"),
        ("x + index[l](x, 0.5)", "E416", "a whole number is needed here"),
        ("x + index[l, d](x, 0)", "E417", "`index` works on one axis: `index[axis](x)`"),
        ("x + index[m](x, 0)", "E418", "there is no axis `m` here"),
        ("x + index[l](x, l)", "E401", "does not give what its signature says"),
        ("x + index[l](x, -1)", "E401", "does not give what its signature says"),
    ],
)
def test_what_is_wrong_with_a_body_is_said(body: str, code: str, text: str) -> None:
    source = f"ein 1\ntype seq[l, d]\nop f : seq[l, d] -> seq[l, d]\n  param p[l, d] = 0\n  = {body}\n"
    grammar, (found, *more) = check(Source("wrong.ein", source))
    assert grammar is None and not more
    assert found.code == code and text in found.message
    assert found.span is not None and found.span.text in body


def test_sizes_that_do_not_fit_are_said() -> None:
    text = "ein 1\nimport std\nop f : seq[l, d] -> seq[l, d] = x + index[l](x, 60)\n"
    grammar, (found,) = check(Source("wrong.ein", text))
    assert grammar is None and found.code == "E401"
    assert re.fullmatch(r"`l` has \d+ positions, and none has the number 60", found.label)
