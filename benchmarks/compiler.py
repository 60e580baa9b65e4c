"""What the compiler costs and what it brings: `python benchmarks/compiler.py [--only hand,cost,random] [--device cpu]`.

hand    four architectures of the library against the same networks written by hand, with equal weights, batch 16:
        time by ein over time by hand, forward and backward; 40 pairs, or at least 5 that fit into a minute, with the
        95 % interval of the median.
cost    milliseconds from a derivation to a module, stage by stage, for a hierarchical NAS-Bench-201 of about 900
        tokens and for series of blocks; torch's constructors and Python's `compile` stand apart.
random  random derivations of einspace, the source of the optimised graph against that of the graph as it is lowered:
        all of them, and by pass those in which it fired. Those below 0.95 are measured three times more.
        With --fired PASS just those in which that pass fires, as many as --count says; there the pipeline against
        the pipeline without this pass as well, and the slowest are named.
reference  the same derivations built of the modules of the reference implementation. EINSPACE names its checkout
        (github.com/linusericsson/einspace), and what it imports must be installed.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from statistics import median, quantiles
from time import process_time

import torch
from by_hand import NETWORKS, give_weights
from pairs import Ratio, compare, geometric_mean
from torch import Tensor, nn

import ein
from ein.compiler.emit import EmittedSource, emit
from ein.compiler.export import examples
from ein.compiler.load import load
from ein.compiler.lower import lower
from ein.compiler.passes import PIPELINE, Pass, optimise
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.diagnostics import Source
from ein.grammar.types import leaves

BATCH = 16
PAIRS = 11
"""Of each random derivation."""
LIMITS = {"modules": 120, "params": 5_000_000, "macs": 200_000_000, "elements": 4_000_000}
"""Of the random derivations: what a training step takes well under a second for."""
SLOWEST = 8
"""Derivations that are named where one pass is looked at."""


def inputs(derivation: Derivation, device: str) -> tuple[Tensor, ...]:
    return tuple(each.to(device) for each in examples(list(leaves(derivation.input)), BATCH))


def by_hand(device: str, pairs: int) -> None:
    print(f"{'by ein / by hand':18}{'ratio':>8}{'95 % of the median':>22}{'parameters':>14}{'outputs differ by':>20}")
    for name, (arch, make, input) in NETWORKS.items():
        derivation = ein.architecture(arch, input=input)
        net, hand = ein.build(derivation, device=device), make().to(device)
        plain = ein.build(ein.lower(derivation), device=device)
        give_weights(hand, plain)
        net.load_state_dict(ein.carry(plain.state_dict(), derivation, (), None))
        given = inputs(derivation, device)
        apart = float((net(*given) - hand(*given)).abs().max().detach())
        counts = {sum(p.numel() for p in each.parameters()) for each in (net, hand)}
        found = compare(net, hand, given, pairs)
        low, high = found.interval
        equal = f"{counts.pop():,}" if len(counts) == 1 else "differ"
        print(f"{name:18}{found.median:>8.3f}{f'{low:.3f} to {high:.3f}':>22}{equal:>14}{apart:>20.1e}")


def cost(repeats: int) -> None:
    print(
        f"\n{'milliseconds':26}{'nodes':>7}{'lower':>8}{'passes':>8}{'emit':>8}{'ours':>8}{'compile':>9}{'torch':>8}{'meta':>8}"
    )
    for name, derivation in compiled():
        rows = [stages(derivation) for _ in range(repeats)]
        best = [1e3 * min(column) for column in zip(*rows, strict=True)]
        nodes = len(lower(derivation.term))
        ours = sum(best[:3])
        cells = [*best[:3], ours]
        print(
            f"{name:26}{nodes:>7}"
            + "".join(f"{each:>8.1f}" for each in cells)
            + f"{best[3]:>9.1f}"
            + "".join(f"{each:>8.1f}" for each in best[4:])
        )


def compiled() -> Iterator[tuple[str, Derivation]]:
    space = ein.load("hnb201")
    drawn = min(space.samples(60, seed=1), key=lambda d: abs(d.text.count("(") + d.text.count(">>") - 900))
    yield f"hnb201, {drawn.modules} modules", drawn
    for n in (16, 64, 256):
        block = "conv_bn(8) >> relu >> residual(conv_bn(8))"
        text = f"ein 1\nimport std\ninput im[8, 16, 16]\narch net = ({block}) * {n} >> head(10)\n"
        yield f"{n} blocks in a row", architecture(load_grammar(Source("blocks.ein", text)))


def stages(derivation: Derivation) -> list[float]:
    """Seconds of: lower, passes, emit, compile(), the constructors of torch on the CPU, and on meta."""
    marks = [process_time()]
    graph = lower(derivation.term)
    marks.append(process_time())
    graph = optimise(graph).graph
    marks.append(process_time())
    text = emit(graph)
    marks.append(process_time())
    code = compile(text, "<net>", "exec")
    marks.append(process_time())
    space: dict[str, object] = {"__name__": "net"}
    exec(code, space)
    kind = space["Net"]
    assert isinstance(kind, type)
    kind()
    marks.append(process_time())
    with torch.device("meta"):
        kind()
    marks.append(process_time())
    return [b - a for a, b in pairwise(marks)]


def fired(derivation: Derivation) -> set[str]:
    """Names of the passes that changed the graph."""
    graph, found = lower(derivation.term), set()
    for step in PIPELINE:
        after = step.rewrite(graph).graph
        if after is not graph:
            found.add(step.name)
        graph = after
    return found


def built(derivation: Derivation, passes: Sequence[Pass], device: str) -> nn.Module:
    text: EmittedSource = emit(optimise(lower(derivation.term), passes).graph)
    return load(text).to(device)


def random(drawn: list[Derivation], pairs: int, device: str) -> None:
    ratios: list[float] = []
    by_pass: dict[str, list[float]] = defaultdict(list)
    for derivation in drawn:
        ratios.append(speed_up(derivation, (), pairs, device).median)
        for name in fired(derivation):
            by_pass[name].append(ratios[-1])
    print(f"\n{len(drawn)} random derivations: time as lowered / time optimised")
    show("all", ratios)
    for step in PIPELINE:
        if by_pass[step.name]:
            show(f"{step.name} fired", by_pass[step.name])
    slow = [derivation for derivation, ratio in zip(drawn, ratios, strict=True) if ratio < 0.95]
    again = {derivation: [speed_up(derivation, (), pairs, device).median for _ in range(3)] for derivation in slow}
    still = {derivation: found for derivation, found in again.items() if max(found) < 0.95}
    for derivation, found in still.items():
        print(f"  slower: {', '.join(f'{each:.2f}' for each in found)}: {derivation.text}")
    print(f"below 0.95 at first: {len(slow)}; in three repeats too: {len(still)}")


def one_pass(name: str, drawn: list[Derivation], pairs: int, device: str) -> None:
    """Of derivations in which a pass fires: against none, and against all the others."""
    others = [step for step in PIPELINE if step.name != name]
    for title, passes in ((f"time as lowered, {name} fired", []), (f"time without {name}", others)):
        ratios = [speed_up(derivation, passes, pairs, device).median for derivation in drawn]
        show(title, ratios)
        slowest = sorted(zip(ratios, drawn, strict=True), key=lambda pair: pair[0])[:SLOWEST]
        for ratio, derivation in slowest:
            print(f"  {ratio:.2f}: {derivation.text}")


def draw(count: int, seed: int, name: str | None) -> list[Derivation]:
    """With a name, derivations in which that pass fires."""
    space = ein.load("einspace", limits=LIMITS)
    if name is None:
        return list(space.samples(count, seed=seed))
    drawn = (derivation for derivation in space.samples(1000 * count, seed=seed) if name in fired(derivation))
    return list(islice(drawn, count))


def speed_up(derivation: Derivation, passes: Sequence[Pass], pairs: int, device: str) -> Ratio:
    """Time with some passes over time with all of them."""
    nets = [built(derivation, each, device) for each in (passes, PIPELINE)]
    return compare(*nets, inputs(derivation, device), pairs, seconds=3)


def show(name: str, ratios: list[float]) -> None:
    ordered = sorted(ratios)
    deciles = quantiles(ordered, n=10) if len(ordered) > 1 else ordered * 9
    spread = " ".join(f"{each:.2f}" for each in (ordered[0], deciles[0], median(ordered), deciles[-1], ordered[-1]))
    print(f"{name:36}{len(ordered):>5}  geometric mean {geometric_mean(ordered):.2f}", end="  ")
    print(f"least, 10 %, median, 90 %, most: {spread}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="hand,cost,random", help="parts, with commas between")
    parser.add_argument("--pairs", type=int, default=40, help="of each of the four architectures")
    parser.add_argument("--count", type=int, default=200, help="random derivations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fired", metavar="PASS", choices=[step.name for step in PIPELINE])
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {asked.device}, batch {BATCH}")
    parts = asked.only.split(",")
    if "reference" in parts and not os.environ.get("EINSPACE"):
        parser.error("EINSPACE is to name a checkout of the reference, for the part `reference`")
    if "hand" in parts:
        by_hand(asked.device, asked.pairs)
    if "cost" in parts:
        cost(repeats=5)
    if {"random", "reference"}.isdisjoint(parts):
        return
    drawn = draw(asked.count, asked.seed, asked.fired)
    if "random" in parts and asked.fired:
        one_pass(asked.fired, drawn, PAIRS, asked.device)
    elif "random" in parts:
        random(drawn, PAIRS, asked.device)
    if "reference" in parts:
        from reference import against_reference

        given = [inputs(derivation, asked.device) for derivation in drawn]
        against_reference(os.environ["EINSPACE"], drawn, given, asked.device, PAIRS)


if __name__ == "__main__":
    main()
