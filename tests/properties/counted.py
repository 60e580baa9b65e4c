"""Spaces and helpers for test_counts.py."""

from __future__ import annotations

from ein.grammar.check import Request, load_grammar
from ein.grammar.counting.numbering import Numbering
from ein.grammar.diagnostics import Source

FLAT = """\
ein 1
grammar flat(width = 8)
import std
input im[8, 16, 16]
rule Net = Net >> Net | Op | residual(Net) | clone(2) >> (Net & Net) >> add
rule Op = relu | gelu | batch_norm | conv(8, k in {1, 3, 5})
"""

FINITE = """\
ein 1
grammar finite
import std
input im[4, 8, 8]
rule Net = Block >> max_pool >> Block | let a = Block, b = a >> Op : (a & b) >> Join
rule Block = Op | Op >> Op | clone(2) >> (Op & (identity | Op >> Op)) >> Join
rule Join = add | concat(1)
rule Op = relu | conv(4, k in {1, 3}) | split(2, 1) >> gelu ^ 2 >> concat(1)
"""

GRIDS = """\
ein 1
grammar grids
import std
input im[4, 8, 8]
op small : im[c, h, w] -> im[c, h, w]
  where h <= 8
  = relu(x)
op even : seq[l, d] -> seq[l, d]
  where d % 8 == 0
  = relu(x)
op line : seq[l, d] -> vec[(l, d)] = rearrange
op unline : vec[(l, d)] -> seq[l, d] = rearrange
op unroll : vec[(c, h, w)] -> im[c, h, w] = rearrange
rule S = S >> S | Op | Line | Small | Cut >> (Op & S) >> Join
rule Cut = clone(2) | split(2, axis in {1, 2})
rule Op = flatten | transpose | permute(order in orders(rank)) | im2col(k = 2, s = 2) | linear(64) | even
rule Small = small | linear(16)
rule Line = line | unline | to_vec | unroll | col2im
rule Join = add | concat(axis in {1, 2}) | matmul
"""
"""Sizes that are put together of others come, go, change places and are joined with ones that are not."""

TURNING = """\
ein 1
grammar turning
import std
input im[3, 8, 8]
op turn : im[c, h, w] -> seq[c, h]
  where h % 16 == 0
  = mean[w](x)
op turn : t -> t = wires
rule S = A >> A >> F
rule A = turn | relu
rule F = prelu | layer_scale
"""

TIED = """\
ein 1
grammar tying
import std
input seq[4, 8]
op keyed(key: name) : seq[l, d] -> seq[l, d]
  param w[d] = 1 tied by key
  = x * w
rule S = keyed(a) | keyed(b) | linear(SIZE) | S >> S
"""


def numbering(text: str, sized: bool = True, probabilities: bool = False) -> Numbering:
    what = Source("here", text) if "\n" in text else text
    return Numbering.of(load_grammar(what, Request()), probabilities, sized)
