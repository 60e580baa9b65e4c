"""How fast derivations of einspace are drawn: `python benchmarks/sampling.py [--seconds 5] [--seed 0]`.

Processor time of one thread, tables empty at the start, the collector of Python on. Drawing alone is
counted: not the term, its text or its cost. The peer is the prototype of the design notes, which was
tied to einspace and counted modules only; on its machine it drew 33,000 a second at 60 modules and
20,000 at 1,000.
"""

from __future__ import annotations

import argparse
import gc
from dataclasses import dataclass
from statistics import mean, median
from time import process_time

from ein.grammar.cfg import Limits
from ein.grammar.check import load_grammar
from ein.grammar.derivations.sample import Sampler

LEAST = 500
"""Draws, however long they take."""


@dataclass(frozen=True)
class Measured:
    """One row: `times` in seconds and `sizes` in modules, of each draw."""

    name: str
    times: list[float]
    sizes: list[int]
    attempts: int
    entries: int


def measure(name: str, limits: Limits, seconds: float, seed: int) -> Measured:
    """Draws for `seconds` of processor time."""
    sampler = Sampler.of(load_grammar("einspace"), limits)
    gc.collect()
    times: list[float] = []
    sizes: list[int] = []
    began = process_time()
    while process_time() - began < seconds or len(times) < LEAST:
        start = process_time()
        sizes.append(sampler.draw(seed, len(times)).modules)
        times.append(process_time() - start)
    return Measured(name, times, sizes, sampler.attempts, sampler.space.entries)


def row(found: Measured) -> str:
    ordered = sorted(found.times)
    middle, late = median(ordered), ordered[int(0.99 * len(ordered))]
    columns = [
        f"{found.name:24}",
        f"{len(ordered):>8,}",
        f"{len(ordered) / sum(ordered):>9,.0f}",
        f"{sum(found.sizes) / sum(ordered) / 1e6:>9.2f}",
        f"{len(ordered) / found.attempts:>10.3f}",
        f"{mean(found.sizes):>6.1f}",
        f"{median(found.sizes):>6.0f}",
        f"{middle * 1e6:>9.0f}",
        f"{late * 1e6:>9.0f}",
        f"{late / middle:>10.0f}",
        f"{ordered[-1] * 1e3:>8.1f}",
        f"{found.entries:>9,}",
    ]
    return " ".join(columns)


HEAD = (
    f"{'limits':24} {'draws':>8} {'draws/s':>9} {'Mmod/s':>9} {'acceptance':>10} {'mean':>6} {'median':>6}"
    f" {'p50 us':>9} {'p99 us':>9} {'p99/p50':>10} {'max ms':>8} {'entries':>9}"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=5.0, help="processor time of each row")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    own = load_grammar("einspace").limits
    cases = {
        "modules <= 60": Limits(modules=60, elements=None),
        "modules <= 1,000": Limits(modules=1000, elements=None),
        "the file's own": own,
    }
    print(HEAD)
    for name, limits in cases.items():
        print(row(measure(name, limits, arguments.seconds, arguments.seed)), flush=True)


if __name__ == "__main__":
    main()
