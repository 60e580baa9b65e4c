"""How fast a grammar is parsed and checked: `python benchmarks/check.py [--repeats 10]`.

The grammar has 200 lines: five stages of a network for images, of operators and macros of the library, rules of
convolution and of attention, and seven operators of its own, whose signatures are tested. Processor time of one
thread, the least of several: of the first check in a process, which reads what it needs of `std` too, and of one after
it; the start of Python and the import of the checker stand apart. Then wall time of `ein check einspace`, start to
end. The aims are 100 ms for a check and half a second for the command, without torch.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from time import perf_counter

HEAD = """ein 1
# Five stages of convolution, attention and mixing, each with rules of its own.

grammar stages(width = 16, classes = 10, p = 40%)
import std

input im[3, 64, 64]
output vec[classes]

# --- operators
op scaled(init: real = 1) : im[c, h, w] -> im[c, h, w]
  param g[c] = init, b[c] = 0
  = x * g + b
op gate : (x: im[c, h, w], y: im[c, h, w]) -> im[c, h, w]
  = x * sigmoid(y)
op gate_channels(r = 4) : im[c, h, w] -> im[c, h, w]
  where r >= 1
  let s = relu(nn.Linear(c, max(1, c // r))(mean[h, w](x))[m])
  = x * sigmoid(nn.Linear(max(1, c // r), c)(s)[c])
op shift_rows(n = 1) : im[c, h, w] -> im[c, h, w]
  = roll[h](x, n)
op space_to_depth(r = 2) : im[c, h, w] -> im[c * r * r, h / r, w / r]
  where r >= 1
  = x[c, (i, a = r), (j, b = r)] -> [(c, a, b), i, j]
# attention whose weights depend on angles alone
op cosine_attention(eps: real = 1e-6) : seq[l, d] -> seq[l, d]
  where eps > 0
  let q = nn.Linear(d, d)(x)[l, d]
  let v = nn.Linear(d, d)(x)[l, d]
  let u = q / (norm[d](q) + eps)
  = dot[m](softmax[m](dot[d](u, u[m, d])), v[m, d])
op readout(n) : im[c, h, w] -> vec[n]
  = nn.Linear(c, n)(mean[h, w](x))

# --- blocks
def sum_of(f, g) = clone(2) >> (f & g) >> add
# one half opens and closes the other
def gated(f, g) = clone(2) >> (f & g) >> gate
def pre(norm, f) = norm >> f
def separable(out, k = 3) = dwconv(k = k) >> conv(out, k = 1) >> batch_norm
def wide(e, f) : im[c, h, w] -> im[c, h, w]
  = conv(e * c, k = 1) >> f >> conv(c, k = 1)
# a block over the positions of a grid
def over_positions(f) : im[c, h, w] -> im[c, h, w]
  = flatten >> f >> col2im


# --- the whole network
rule Net
  = conv_bn(width) >> relu >> Stage1 >> Stage2 >> Stage3 >> Stage4 >> Stage5 >> Head
rule Head = head(classes) | readout(classes) | scaled >> head(classes)
rule Act = relu | gelu | silu | leaky_relu
rule Norm = batch_norm | layer_norm | instance_norm
# half the height and width
rule Half(c)
  = conv_bn(c, s = 2)
  | max_pool >> conv(c, k = 1)
  | avg_pool >> separable(c)
  | space_to_depth >> conv(c, k = 1)
"""

STAGE = """
# --- stage {i}
rule Stage{i} : im[c, h, w] -> im[d, i, j]
  = Half({out}) >> Blocks{i}
  | conv({out}, k = 1) >> Blocks{i} @ 0.5
rule Blocks{i} : im[c, h, w] -> im[c, h, w]
  = Block{i} | Block{i} >> Blocks{i}
rule Block{i} : im[c, h, w] -> im[c, h, w]
  = residual(pre(Norm, Local{i})) @ p
  | residual(pre(layer_norm, Global{i})) if h * w <= 1024
  | gated(Local{i}, wide(2, Act))
  | sum_of(Local{i}, identity)
rule Local{i} : im[c, h, w] -> im[c, h, w]
  = dwconv(k in {{3, 5, 7}}) >> Act
  | separable(c, k = {k}) >> Act @ 2
  | conv(c, k = 3, groups in {{1, 2, 4}}) >> Act
  | wide({e}, dwconv >> squeeze_excite)
  | shift_rows(n in {{1..{i}}}) >> conv(c, k = 1)
  | for b in {{2, 4}} : split(b, 1) >> Part{i} ^ b >> concat(axis = 1) >> channel_shuffle(b)
# a part of the channels
rule Part{i} = conv_same{i} | Act | scaled(0.5)
# every position looks at every other one, where they are few
rule Global{i} : im[c, h, w] -> im[c, h, w]
  = for n in {{1, 2, 4}} : over_positions(qkv(heads = n))
  | over_positions(cosine_attention)
  | gate_channels(r in {{2, 4}}) @ 2
def conv_same{i} : im[c, h, w] -> im[c, h, w] = conv(c, k = {k})
"""

TAIL = """
arch small = conv_bn(16) >> relu >> max_pool >> residual(conv(16)) >> head(10)
arch plain = conv_bn(16) >> relu >> avg_pool >> (separable(16) >> relu) * 4 >> readout(10)
arch narrow = conv_bn(8) >> relu >> space_to_depth >> conv(8, k = 1) >> residual(wide(2, relu)) >> readout(10)

limit modules <= 400, params <= 20M, macs <= 4G
"""


def grammar() -> str:
    stages = (STAGE.format(i=i, out=16 * 2**i, k=3 + 2 * (i % 3), e=2 + i % 2) for i in range(1, 6))
    return "".join([HEAD, *stages, TAIL])


FIRST = """
import gc, sys
from time import process_time
from ein.grammar.diagnostics import Source
from ein.grammar.check import check
import ein.grammar.analyses.analysis, ein.grammar.bodies.prove
source = Source("stages.ein", sys.argv[1])
began = process_time()
found = check(source)[1]
first = process_time()
gc.collect()  # else a full look for garbage of the first check falls into the second by chance
again = process_time()
check(source)
print(first - began, process_time() - again, process_time(), "torch" in sys.modules, *(d.code for d in found))
"""


def checks(text: str) -> tuple[float, float, float]:
    """Processor seconds of the first check in a new process, of the second, and of the whole process."""
    command = [sys.executable, "-c", FIRST, text]
    first, later, whole, torch, *codes = subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.split()
    if torch != "False" or codes:
        raise SystemExit(f"the grammar is to be checked without a word and without torch: {codes}, torch: {torch}")
    return float(first), float(later), float(whole)


def command() -> float:
    began = perf_counter()
    subprocess.run([sys.executable, "-m", "ein", "check", "einspace"], capture_output=True, check=True)
    return perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    text = grammar()
    first, later, whole = (min(column) for column in zip(*(checks(text) for _ in range(repeats)), strict=True))
    walls = sorted(command() for _ in range(repeats))
    print(f"{len(text.splitlines())} lines, first check of a process   {first * 1e3:7.1f} ms of processor time")
    print(f"{len(text.splitlines())} lines, each one after it          {later * 1e3:7.1f} ms of processor time")
    print(f"start, imports and both checks        {whole * 1e3:7.1f} ms of processor time")
    middle = walls[len(walls) // 2]
    print(f"ein check einspace                    {walls[0] * 1e3:7.1f} ms of wall time (median {middle * 1e3:.1f})")


if __name__ == "__main__":
    main()
