"""How long aligning two derivations of einspace takes: `python benchmarks/alignment.py [--pairs 20] [--peer PYTHON]`.

Processor time of one thread for pairs of about one size: the distance alone, the distance with its edits, and an
offspring. The peer is `rcswx` (a Rust port of the operator of arXiv 2512.04992) in the interpreter that `--peer`
names, on the same derivations written as trees of its einspace. Ours begins with the typed term, the peer with its
tree. Its distances are not ours, since its costs and its matchings are others; only times are compared. Where it cannot
be imported its columns stay empty; `done` counts the pairs that it did within `--patience` seconds for a size.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
from collections.abc import Callable
from random import Random
from statistics import median
from time import process_time
from typing import Any

from ein.grammar.alignment.align import align
from ein.grammar.alignment.offspring import offspring
from ein.grammar.alignment.paths import path
from ein.grammar.alignment.trees import Part, Trees, shown
from ein.grammar.cfg import Limits
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError

SIZES = ((5, 10), (10, 20), (20, 40), (40, 60), (100, 150), (150, 200), (200, 300))
"""Choices of a derivation, from and up to."""

PEER = """\
import json, sys, time
import rcswx
trees = [[rcswx.Architecture.from_tree(tree) for tree in pair] for pair in json.load(sys.stdin)]
for a, b in trees:
    start = time.process_time()
    rcswx.edit_path(a, b).distance
    print(time.process_time() - start, flush=True)
"""


def pairs(sampler: Sampler, size: tuple[int, int], count: int, seed: int) -> list[tuple[Derivation, Derivation]]:
    """Derivations with so many choices; large ones are of a space that rarely stops."""
    found: list[Derivation] = []
    index = 0
    while len(found) < 2 * count:
        drawn = sampler.draw(seed, index)
        index += 1
        if size[0] <= len(drawn.choices) <= size[1]:
            drawn.term  # noqa: B018
            found.append(drawn)
    return list(zip(found[::2], found[1::2], strict=True))


def tree(part: Part) -> list[Any]:
    """A derivation of einspace as the peer writes one: an operation and what is below it."""
    below = part.children
    match part.symbol:
        case "Net" | "Inner":
            return tree(below[0])
        case "C" | "Before" | "After" | "Join":
            return [shown(part)]
        case "Fork":
            branches = [tree(branch) for branch in below[0].children]
            count = part.said.partition(",")[0]
            return [f"branching({count})", [shown(part).partition(" >> ")[0]], *branches, tree(below[1])]
        case "Route":
            return ["routing", *map(tree, below)]
        case _ if len(below) == 2:
            return ["sequential", *map(tree, below)]
        case _:
            return ["computation", tree(below[0])] if below[0].symbol == "C" else tree(below[0])


def timed(work: Callable[[Derivation, Derivation], object], chosen: list[tuple[Derivation, Derivation]]) -> list[float]:
    times = []
    for a, b in chosen:
        gc.collect()
        start = process_time()
        work(a, b)
        times.append(process_time() - start)
    return times


def peer_times(python: str, chosen: list[tuple[Derivation, Derivation]], patience: float) -> list[float]:
    """Of as many pairs as were done in time; raises ImportError where there is no peer."""
    trees = [[tree(Trees().tree(each, True)) for each in pair] for pair in chosen]
    process = subprocess.Popen(
        [python, "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        out, err = process.communicate(json.dumps(trees), timeout=patience)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    if "ModuleNotFoundError" in err:
        raise ImportError("rcswx")
    if err:
        print(err.splitlines()[-1], file=sys.stderr)
    return [float(line) for line in out.splitlines()]


def crossed(sampler: Sampler) -> Callable[[Derivation, Derivation], object]:
    random = Random("alignment").random

    def work(a: Derivation, b: Derivation) -> object:
        try:
            return offspring(sampler, a, b, random)
        except EinError:
            return None

    return work


def row(size: tuple[int, int], chosen: list[tuple[Derivation, Derivation]], ours: list[list[float]]) -> str:
    modules = median(each.modules for pair in chosen for each in pair)
    columns = "".join(f"{median(times) * 1e3:>11.2f}" for times in ours)
    return f"{size[0]:>4}..{size[1]:<4} {modules:>8.0f} {len(chosen):>6}{columns}{max(ours[0]) * 1e3:>10.2f}"


def beside(theirs: list[float], ours: list[float]) -> str:
    """The columns of the peer; the ratio is of the pairs that it did."""
    if not theirs:
        return f"{'-':>11} {0:>6} {'-':>9}"
    return f"{median(theirs) * 1e3:>11.2f} {len(theirs):>6} {median(theirs) / median(ours[: len(theirs)]):>9.2f}"


HEAD = (
    f"{'choices':>10} {'modules':>8} {'pairs':>6}{'align ms':>11}{'edits ms':>11}{'child ms':>11}{'worst ms':>10}"
    f"{'rcswx ms':>11} {'done':>6} {'ratio':>9}"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--peer", default=sys.executable, help="an interpreter that has rcswx; this one if not given")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds for all pairs of one size")
    arguments = parser.parse_args()
    usual = Sampler.of(load_grammar("einspace"))
    wide = Sampler.of(
        load_grammar("einspace", Request({"p": "26%"})), Limits(modules=50_000, depth=1_000, elements=None)
    )
    python: str | None = arguments.peer
    print(HEAD)
    align(usual.draw(0), usual.draw(0, 1))
    for size in SIZES:
        sampler = usual if size[1] <= 60 else wide
        chosen = pairs(sampler, size, arguments.pairs, 0)
        ours = [timed(work, chosen) for work in (align, path, crossed(sampler))]
        print(row(size, chosen, ours), end="", flush=True)
        if python is not None:
            try:
                print(beside(peer_times(python, chosen, arguments.patience), ours[0]), end="")
            except (ImportError, FileNotFoundError):
                print("  (rcswx is not to be had in that interpreter)", end="")
                python = None
        print(flush=True)


if __name__ == "__main__":
    main()
