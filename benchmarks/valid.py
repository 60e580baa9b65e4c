"""Are all draws valid? `python benchmarks/valid.py 10000 [--seed 0] [--modules 1000] [--run]`.

Draws that many derivations of einspace, prints their terms, and reads them as architectures of files of their own,
500 to a file: each has to parse and type-check to the declared output, with the modules that the draw said. What
reads them shares the operators with what drew them, but neither the tables nor the closed forms of signatures.

With `--run` as many of each of eight ranges of sizes, within the file's own limits, are built and run instead, forward
and backward with two examples: the output has to have the inferred shape.
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
from ein.grammar.types import Tensor

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


STRATA = ((3, 5), (6, 10), (11, 20), (21, 40), (41, 80), (81, 160), (161, 320), (321, 500))


def run(derivation: Derivation) -> str | None:
    """What is wrong with the network when it runs."""
    import torch

    import ein

    assert isinstance(derivation.input, Tensor) and isinstance(derivation.type, Tensor)
    try:
        net = ein.build(derivation, seed=0)
        output = net(torch.randn(2, *derivation.input.sizes, requires_grad=True))
        output.sum().backward()
    except Exception as error:  # whatever torch says of it is what is looked for
        return f"{derivation.id}: {type(error).__name__}: {error}\n  {derivation.text}"
    found = tuple(output.shape)
    return None if found == (2, *derivation.type.sizes) else f"{derivation.id}: gives {found}\n  {derivation.text}"


def run_strata(count: int, seed: int) -> None:
    import torch

    torch.set_num_threads(1)
    sampler = Sampler.of(load_grammar("einspace"))
    for size in STRATA:
        began = process_time()
        found = [said for drawn in sampler.samples(count, seed, size) if (said := run(drawn)) is not None]
        print(*found, sep="\n", end="\n" if found else "")
        spent = process_time() - began
        print(f"{size[0]} to {size[1]} modules: {count:,} run, {len(found)} wrong; {spent:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--modules", type=int, default=1000)
    parser.add_argument("--run", action="store_true")
    arguments = parser.parse_args()
    if arguments.run:
        run_strata(arguments.count, arguments.seed)
        return
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
