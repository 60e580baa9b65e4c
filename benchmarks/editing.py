"""How fast derivations of einspace are edited: `python benchmarks/editing.py [--seconds 5] [--seed 0]`.

Processor time of one thread, parents drawn exactly and five children of each, the collector of Python on. Drawing the
parents is not counted; finding their sites is. Tables are empty before the first row, and what the rows before left in
them is there in the later ones of the same limits: no two rows use the same parents. Where a parent has no child of a
kind, the attempt is counted in the time and as `none`. The peer is the prototype of the design notes, which was tied to
einspace and counted modules only: at 60 modules 38,000 to 49,000 mutants a second, and 800 with the type kept.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import process_time

from ein.grammar.cfg import Limits
from ein.grammar.check import load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import EinError
from ein.grammar.editing.edit import KINDS, crossed, mutant

CHILDREN = 5
"""Of one parent."""

Edit = Callable[[Sampler, Derivation, Derivation, int], Derivation]
"""Of a parent and another one, by a number."""


@dataclass(frozen=True)
class Measured:
    """One row: `times` in seconds, of each child or failure."""

    times: list[float]
    none: int


def measure(sampler: Sampler, edit: Edit, first: int, seconds: float, seed: int) -> Measured:
    """Edits for `seconds` of processor time; the parents are the draws from `first` on."""
    times: list[float] = []
    none, index, spent = 0, first, 0.0
    before = sampler.draw(seed, first)
    gc.collect()
    while spent < seconds:
        index += 1
        parent = sampler.draw(seed, index)
        for number in range(CHILDREN):
            start = process_time()
            try:
                edit(sampler, parent, before, CHILDREN * index + number)
            except EinError:
                none += 1
            times.append(process_time() - start)
            spent += times[-1]
        before = parent
    return Measured(times, none)


def edits(seed: int) -> dict[str, Edit]:
    def of_kind(kind: str) -> Edit:
        return lambda sampler, parent, _, index: mutant(sampler, parent, seed, index, kind=kind)

    return {
        **{kind: of_kind(kind) for kind in KINDS},
        "subtree, type kept": lambda s, parent, _, i: mutant(s, parent, seed, i, keep="type"),
        "subtree, by depth": lambda s, parent, _, i: mutant(s, parent, seed, i, sites="depth"),
        "crossover": lambda s, parent, other, i: crossed(s, parent, other, seed, i),
        "crossover, type kept": lambda s, parent, other, i: crossed(s, parent, other, seed, i, keep="type"),
    }


def row(name: str, found: Measured) -> str:
    ordered = sorted(found.times)
    middle, late = median(ordered), ordered[int(0.99 * len(ordered))]
    made = len(ordered) - found.none
    return (
        f"{name:22} {made:>8,} {made / sum(ordered):>9,.0f} {found.none / len(ordered):>6.0%} {middle * 1e6:>9.0f}"
        f" {late * 1e6:>9.0f} {ordered[-1] * 1e3:>8.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=5.0, help="processor time of each row")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    grammar = load_grammar("einspace")
    for name, limits in {"modules <= 60": Limits(modules=60, elements=None), "the file's own": grammar.limits}.items():
        sampler = Sampler.of(grammar, limits)
        print(f"{name:22} {'children':>8} {'each s':>9} {'none':>6} {'p50 us':>9} {'p99 us':>9} {'max ms':>8}")
        for number, (kind, edit) in enumerate(edits(arguments.seed).items()):
            print(row(kind, measure(sampler, edit, number << 32, arguments.seconds, arguments.seed)), flush=True)
        print()


if __name__ == "__main__":
    main()
