"""Are all draws valid? `python benchmarks/valid.py 10000 [--seed 0] [--modules 1000]`.

Draws that many derivations of einspace, prints their terms, and reads them as architectures of files of their own,
500 to a file: each has to parse and type-check to the declared output, with the modules that the draw said. What
reads them shares the operators with what drew them, but neither the tables nor the closed forms of signatures.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from time import process_time

from ein.grammar.architecture import architecture
from ein.grammar.cfg import Limits
from ein.grammar.check import check, load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source, render_all
from ein.grammar.notation.printer import print_statement

BATCH = 500


def batches(sampler: Sampler, count: int, seed: int) -> Iterator[list[Derivation]]:
    draws = sampler.samples(count, seed)
    while batch := list(islice(draws, BATCH)):
        yield batch


def wrong(sampler: Sampler, batch: list[Derivation]) -> list[str]:
    """What is said of the printed terms."""
    own = {op.declaration for ops in sampler.grammar.operators.values() for op in ops if op.module == "einspace"}
    lines = ["ein 1", "import std", *sorted(map(print_statement, own))]
    lines += [f"arch n{i} : {d.input!r} -> {d.type!r} = {d.text}" for i, d in enumerate(batch)]
    grammar, found = check(Source("drawn.ein", "\n".join(lines) + "\n"))
    if grammar is None:
        return [render_all(found)]
    read = [architecture(grammar, f"n{i}") for i in range(len(batch))]
    pairs = zip(batch, read, strict=True)
    return [f"{a.id}: {a.modules} modules, and read {b.cost.modules}" for a, b in pairs if a.modules != b.cost.modules]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--modules", type=int, default=1000)
    arguments = parser.parse_args()
    sampler = Sampler.of(load_grammar("einspace"), Limits(modules=arguments.modules, elements=None))
    began, mistakes, modules = process_time(), 0, 0
    for batch in batches(sampler, arguments.count, arguments.seed):
        found = wrong(sampler, batch)
        mistakes += len(found)
        modules += sum(derivation.modules for derivation in batch)
        for each in found:
            print(each, flush=True)
    spent = process_time() - began
    print(f"{arguments.count:,} draws of {modules:,} modules, {mistakes} invalid; {spent:.0f} s of processor time")


if __name__ == "__main__":
    main()
