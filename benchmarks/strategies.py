"""How fast hypothesis draws derivations: `python benchmarks/strategies.py [--draws 2000] [GRAMMAR ...]`.

Processor time of one thread for a whole `@given` loop around a test that does nothing, the loading of the grammar
apart: what hypothesis itself does is counted, its database is not. The peer is `from_lark` of hypothesis, 8 to 10 draws
a second of a recursive grammar without types (3 operators on average).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from statistics import mean
from time import process_time
from typing import Any

from hypothesis import given, settings

import ein
from ein.grammar.derivations.simplest import Simplest


@dataclass(frozen=True)
class Measured:
    name: str
    seconds: float
    sizes: list[int]
    different: int
    repairs: int
    """dead ends that were left"""


def measure(name: str, grammar: str, draws: int, **bounds: Any) -> Measured:
    """One loop."""
    strategy = ein.strategies.derivations(grammar, **bounds)
    sizes: list[int] = []
    different = set()
    repairs = 0
    past = Simplest.past

    def counted(self: Simplest, *given: Any) -> Any:
        nonlocal repairs
        repairs += 1
        return past(self, *given)

    @settings(max_examples=draws, derandomize=True, database=None, deadline=None)
    @given(strategy)
    def test(d: ein.Derivation) -> None:
        sizes.append(d.modules)
        different.add(d.choices)

    Simplest.past = counted  # type: ignore[assignment, method-assign]
    try:
        began = process_time()
        test()
        seconds = process_time() - began
    finally:
        Simplest.past = past  # type: ignore[method-assign]
    return Measured(name, seconds, sizes, len(different), repairs)


def row(found: Measured) -> str:
    count = len(found.sizes)
    columns = [
        f"{found.name:28}",
        f"{count:>7,}",
        f"{count / found.seconds:>8,.0f}",
        f"{mean(found.sizes):>7.1f}",
        f"{max(found.sizes):>5}",
        f"{found.different / count:>9.2f}",
        f"{found.repairs / count:>9.2f}",
    ]
    return " ".join(columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("grammars", nargs="*", metavar="GRAMMAR", help="beside einspace")
    parser.add_argument("--draws", type=int, default=2000, help="of each loop")
    asked = parser.parse_args()
    print(f"{'':28} {'draws':>7} {'draws/s':>8} {'modules':>7} {'most':>5} {'different':>9} {'dead ends':>9}")
    print(row(measure("einspace, at most 30", "einspace", asked.draws, max_modules=30)), flush=True)
    print(row(measure("einspace, 25 to 30", "einspace", asked.draws, min_modules=25, max_modules=30)), flush=True)
    for grammar in asked.grammars:
        print(row(measure(grammar, grammar, asked.draws)), flush=True)


if __name__ == "__main__":
    main()
