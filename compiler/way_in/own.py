"""Operators that an imported file brings along: variants of those of `std` that torch code often has."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from ein.grammar.cfg import Application, Grammar
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source

OWN = {
    "batch_norm_eps": """
op batch_norm_eps(eps: real) : im[c, h, w] -> im[c, h, w] = nn.BatchNorm2d(c, eps = eps)
op batch_norm_eps(eps: real) : seq[l, d] -> seq[l, d] = nn.BatchNorm1d(d, eps = eps)(x -> [d, l])[d, l]
op batch_norm_eps(eps: real) : vec[d] -> vec[d] = nn.BatchNorm1d(d, eps = eps)
""",
    "group_norm_eps": """
op group_norm_eps(g, eps: real) : im[c, h, w] -> im[c, h, w]
  where g >= 1, c % g == 0, c * h * w > g
  = nn.GroupNorm(g, c, eps = eps)
op group_norm_eps(g, eps: real) : seq[l, d] -> seq[l, d]
  where g >= 1, d % g == 0, d * l > g
  = nn.GroupNorm(g, d, eps = eps)(x -> [d, l])[d, l]
op group_norm_eps(g, eps: real) : vec[d] -> vec[d]
  where g >= 1, d % g == 0, d > g
  = nn.GroupNorm(g, d, eps = eps)
""",
    "instance_norm_eps": """
op instance_norm_eps(eps: real, affine: bool) : im[c, h, w] -> im[c, h, w]
  where h * w > 1
  = nn.InstanceNorm2d(c, eps = eps, affine = affine)
op instance_norm_eps(eps: real, affine: bool) : seq[l, d] -> seq[l, d]
  where l > 1
  = nn.InstanceNorm1d(d, eps = eps, affine = affine)(x -> [d, l])[d, l]
""",
    "layer_norm_last": """
op layer_norm_last(eps: real) : im[c, h, w] -> im[c, h, w] = nn.LayerNorm(w, eps = eps)
""",
    "layer_norm_plain": """
op layer_norm_plain(eps: real) : any[*s, d] -> any[*s, d]
  = (x - mean[d](x)) * rsqrt(var[d](x) + eps)
""",
    "layer_norm_scale": """
op layer_norm_scale(eps: real) : any[*s, d] -> any[*s, d]
  param g[d] = 1
  = (x - mean[d](x)) * rsqrt(var[d](x) + eps) * g
""",
    "conv_transpose_full": """
op conv_transpose_full(out, k, s, p, extra, groups, dilation, bias: bool)
  : im[c, h, w]
  -> im[
    out,
    (h - 1) * s - 2 * p + dilation * (k - 1) + 1 + extra,
    (w - 1) * s - 2 * p + dilation * (k - 1) + 1 + extra
  ]
  where k >= 1,
    s >= 1,
    dilation >= 1,
    extra < max(s, dilation),
    c % groups == 0,
    out % groups == 0,
    (h - 1) * s + dilation * (k - 1) + 1 + extra > 2 * p,
    (w - 1) * s + dilation * (k - 1) + 1 + extra > 2 * p
  = nn.ConvTranspose2d(
      c,
      out,
      k,
      stride = s,
      padding = p,
      output_padding = extra,
      groups = groups,
      bias = bias,
      dilation = dilation
    )
""",
    "conv1d_plain": """
op conv1d_plain(out, k, s = 1, dilation = 1, p = dilation * (k // 2), groups = 1)
  : seq[l, d] -> seq[(l + 2 * p - dilation * (k - 1) - 1) // s + 1, out]
  where k >= 1, dilation >= 1, d % groups == 0, out % groups == 0, l + 2 * p > dilation * (k - 1)
  = nn.Conv1d(d, out, k, stride = s, padding = p, dilation = dilation, groups = groups, bias = false)(
      x -> [d, l]
    )[o, n] -> [n, o]
""",
    "max_pool1d": """
op max_pool1d(k, s = k, p = 0) : seq[l, d] -> seq[(l + 2 * p - k) // s + 1, d]
  where k >= 1, s >= 1, l + 2 * p >= k, 2 * p <= k
  = F.max_pool1d(x -> [d, l], k, stride = s, padding = p)[d, n] -> [n, d]
""",
    "avg_pool1d": """
op avg_pool1d(k, s = k, p = 0) : seq[l, d] -> seq[(l + 2 * p - k) // s + 1, d]
  where k >= 1, s >= 1, l + 2 * p >= k, 2 * p <= k
  = F.avg_pool1d(x -> [d, l], k, stride = s, padding = p)[d, n] -> [n, d]
""",
    "adaptive_max_pool": """
op adaptive_max_pool(n) : im[c, h, w] -> im[c, n, n]
  where n >= 1
  = F.adaptive_max_pool2d(x, n)
""",
    "attend_dropout": """
op attend_dropout(heads, causal: bool, p: real) : (q: seq[i, d], k: seq[j, d], v: seq[j, e]) -> seq[i, e]
  where heads >= 1, d % heads == 0, e % heads == 0, i == j or not causal, p >= 0, p < 1
  let s = dot[a](q[i, (heads, a)] -> [heads, i, a], k[j, (heads, a)] -> [heads, j, a]) * a ** -0.5
  let w = dropout(softmax[j](where(range[i] >= range[j], s, -inf) if causal else s), p)
  = dot[j](w, v[j, (heads, f)] -> [heads, j, f]) -> [i, (heads, f)]
""",
    "attend_scaled": """
op attend_scaled(heads, causal: bool, scale: real) : (q: seq[i, d], k: seq[j, d], v: seq[j, e]) -> seq[i, e]
  where heads >= 1, d % heads == 0, e % heads == 0, i == j or not causal
  = F.scaled_dot_product_attention(
      q[i, (heads, a)] -> [heads, i, a],
      k[j, (heads, a)] -> [heads, j, a],
      v[j, (heads, f)] -> [heads, j, f],
      is_causal = causal,
      scale = scale
    )[heads, i, f] -> [i, (heads, f)]
""",
    "lstm_layers": """
op lstm_layers(out, layers, bias: bool) : seq[l, d] -> seq[l, out]
  where layers >= 1
  = nn.LSTM(d, out, num_layers = layers, bias = bias)
""",
    "gru_layers": """
op gru_layers(out, layers, bias: bool) : seq[l, d] -> seq[l, out]
  where layers >= 1
  = nn.GRU(d, out, num_layers = layers, bias = bias)
""",
    "lstm_both_ways": """
op lstm_both_ways(out, layers, bias: bool) : seq[l, d] -> seq[l, 2 * out]
  where layers >= 1
  = nn.LSTM(d, out, num_layers = layers, bias = bias, bidirectional = true)
""",
    "gru_both_ways": """
op gru_both_ways(out, layers, bias: bool) : seq[l, d] -> seq[l, 2 * out]
  where layers >= 1
  = nn.GRU(d, out, num_layers = layers, bias = bias, bidirectional = true)
""",
}


@cache
def standard_names() -> frozenset[str]:
    """Of the operators of `std`; its macros are not among them."""
    return frozenset(load_grammar(Source("std", "ein 1\nimport std\n")).operators)


@lru_cache(maxsize=1024)
def application(name: str, *given: tuple[str, Any]) -> Application:
    """The use of an operator of this table."""
    grammar = _grammar(name)
    return grammar.application(grammar.operators[name], given)


@lru_cache(maxsize=len(OWN))
def _grammar(name: str) -> Grammar:
    return load_grammar(Source(name, f"ein 1\nimport std\n{OWN[name]}"))
