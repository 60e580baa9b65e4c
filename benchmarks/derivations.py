"""Derivations, in one run on one core: `python benchmarks/derivations.py [--seconds 5] [--peers PYTHON] [--only WORD]`.

Rates are by processor time of one thread; tables are empty at the start and the collector of Python is on. Draws are
of einspace at im[3, 32, 32] and p = 32 %, with the limit on modules alone where a limit is named. `--peers` is a
Python that has the other tools (see `peers.py`); each that it has is measured beside, in the same run.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter, process_time
from typing import Literal, TypeAlias

from ein.grammar.cfg import Grammar, Limits
from ein.grammar.check import check, load_grammar
from ein.grammar.counting.numbering import Numbering
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.packed import pack
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source, render_all
from ein.grammar.editing.edit import mutate
from ein.grammar.matching.match import derive

PEERS = """ein 1
grammar peers
import std
input im[8, 16, 16]
rule M = conv(8) @ 18.4% | relu @ 18.3% | batch_norm @ 18.3% | M >> M | clone(2) >> (M & M) >> add
limit modules <= 200
"""
"""The grammar of `peers.py`, with shapes."""

LONG = """ein 1
grammar long
import std
input im[8, 16, 16]
rule A = B >> A @ 99.999% | relu
rule B = relu | conv(8) | residual(B) @ 30% | clone(2) >> (B & B) >> add @ 10%
"""
"""Derivations as long as they are asked for."""

LENGTHS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)


@dataclass(frozen=True)
class Draws:
    times: list[float]
    modules: list[int]
    choices: list[int]
    walked: list[int]
    """choices of abandoned attempts included"""
    spent: float
    acceptance: float
    megabytes: float

    @property
    def rate(self) -> float:
        return len(self.times) / self.spent

    def spread(self, sizes: list[int]) -> float:
        """Of the time for each of `sizes`: the 99th percentile of draws over the median."""
        each = sorted(time / size for time, size in zip(self.times, sizes, strict=True))
        return each[int(0.99 * len(each))] / median(each)


def source_grammar(text: str) -> Grammar:
    grammar, found = check(Source("benchmark.ein", text))
    if grammar is None:
        raise SystemExit(render_all(found))
    return grammar


def unbounded(modules: int) -> Limits:
    return Limits(modules=modules, elements=None)


def alone(work: Callable[..., Draws], *arguments: object) -> Draws:
    """In a process of its own, so that its memory is its own, too."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def draws(grammar: str, limits: Limits | None, seconds: float, size: tuple[int, int] | None = None) -> Draws:
    """Draws for that much processor time."""
    sampler = Sampler.of(source_grammar(grammar) if "\n" in grammar else load_grammar(grammar), limits)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = Draws([], [], [], [], 0.0, 0.0, 0.0)
    began = process_time()
    while process_time() - began < seconds:
        walked, start = sampler.walked, perf_counter()
        drawn = sampler.draw(0, len(found.times), size)
        found.times.append(perf_counter() - start)
        found.modules.append(drawn.modules)
        found.choices.append(len(drawn.choices))
        found.walked.append(sampler.walked - walked)
    spent = process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    rest = found.times, found.modules, found.choices, found.walked
    return Draws(*rest, spent, sampler.drawn / sampler.attempts, grown)


def drawing(seconds: float) -> Rows:
    cases = (
        ("einspace, modules <= 60", Limits(modules=60, elements=None), None, ">= 10,000/s"),
        ("einspace, modules <= 1,000", unbounded(1000), None, ">= 5,000/s"),
        ("einspace, 30 to 60 modules", unbounded(60), (30, 60), ">= 1,000/s"),
        ("einspace, the file's own limits", load_grammar("einspace").limits, None, ""),
    )
    for name, limits, size, aim in cases:
        found = alone(draws, "einspace", limits, seconds, size)
        yield name, aim, f"{found.rate:,.0f}/s, acceptance {found.acceptance:.2f}"
        middle = f"{1e6 * median(found.times):.0f} us, {median(found.modules):.0f} modules"
        yield "  the median draw", "", middle
        walked, came = found.spread(found.walked), found.spread(found.modules)
        yield (
            "  p99 over median of draws",
            "<= 5",
            f"{walked:.1f} for each choice walked, {came:.1f} for each module kept",
        )
        yield "  the longest draw", "<= 100 ms", f"{1e3 * max(found.times):.0f} ms"
        yield "  memory grown by", "< 100 MB", f"{found.megabytes:.0f} MB"
    found = alone(draws, "hnb201", None, seconds)
    shown = f"{found.rate:,.0f}/s of {median(found.choices):.0f} choices, acceptance {found.acceptance:.2f}"
    yield "hierarchical NB201, live cells", ">= 1,000/s", shown
    found = alone(draws, PEERS, None, seconds)
    yield "nodes, typed (the peers' grammar)", ">= 250,000/s", f"{sum(found.choices) / found.spent:,.0f}/s"


def growth(_: float) -> Rows:
    """What a derivation costs by its length."""
    grammar = source_grammar(LONG)
    for length in LENGTHS:
        sampler = Sampler.of(grammar, unbounded(2 * length))
        began = process_time()
        drawn = sampler.draw(1, 0, (length, 2 * length))
        walk = 1e6 * (process_time() - began) / sampler.walked
        parts = [(name, timed(drawn, name)) for name in ("term", "text", "cost", "trace")]
        said = ", ".join(f"{name} {1e6 * spent / drawn.modules:.1f}" for name, spent in parts)
        yield f"{drawn.modules:,} modules", "linear", f"us a choice: drawing {walk:.1f}; us a module: {said}"


def timed(derivation: Derivation, name: str) -> float:
    began = process_time()
    getattr(derivation, name)
    return process_time() - began


def repeated(action: Callable[[], object], seconds: float) -> float:
    """How often in a second of processor time."""
    done, began = 0, process_time()
    while process_time() - began < seconds:
        action()
        done += 1
    return done / (process_time() - began)


def editing(seconds: float) -> Rows:
    for limit in (60, 1000):
        for keep, aim in ((None, ">= 10,000/s"), ("type", ">= 1,000/s")):
            found = mutants(limit, "type" if keep else None, seconds)
            kind = "type kept" if keep else "re-typed"
            yield f"mutants of einspace <= {limit:,}, {kind}", aim if limit == 60 else "", f"{found:,.0f}/s"


def mutants(limit: int, keep: Literal["type"] | None, seconds: float) -> float:
    sampler = Sampler.of(load_grammar("einspace"), unbounded(limit))
    parents = list(sampler.samples(1000, 0))
    sampler.space.clear()
    random = Random(0).random
    return repeated(lambda: mutate(sampler, parents[int(random() * 1000)], random, keep=keep), seconds)


def counting(seconds: float) -> Rows:
    began, known = process_time(), Numbering.of(load_grammar("einspace"))
    for size in range(3, 11):
        count = known.count(size)
        aim = "22,083,065,074,406 in about 10 s" if size == 10 else ""
        yield f"einspace, {size - 1} modules and a head", aim, f"{count:,} after {process_time() - began:.2f} s"
    plain = Numbering.of(source_grammar(PEERS))
    plain.count(40)
    indices = iter(range(10**9))
    rate = repeated(lambda: plain.uniform(40, 0, next(indices)), seconds)
    yield "uniform at 40 modules (the peers' grammar)", ">= 2,000/s", f"{rate:,.0f}/s"


def storing(seconds: float) -> Rows:
    sampler = Sampler.of(load_grammar("hnb201"))
    largest = max(sampler.samples(60, 0), key=lambda derivation: len(derivation.choices))
    name = f"{len(largest.choices)} choices of hnb201"
    yield f"{name}, packed", "< 2 KB", f"{len(pack(largest))} bytes"
    term = largest.term
    derive(sampler.space, term)
    parsed = repeated(lambda: derive(sampler.space, term), seconds)
    yield f"{name}, its term parsed", "< 10 ms for 900 tokens", f"{1e3 / parsed:.1f} ms, tables warm"


Rows: TypeAlias = Iterator[tuple[str, str, str]]
SECTIONS: dict[str, Callable[[float], Rows]] = {
    "drawing": drawing,
    "growth": growth,
    "editing": editing,
    "counting": counting,
    "storing": storing,
}


def peers(python: str) -> Rows:
    for name in ("DEAP gp", "alogos", "GeneticEngine", "PyGlove", "NePS"):
        command = [python, str(Path(__file__).with_name("peers.py")), name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            yield name, "", f"not measured: {done.stderr.strip().splitlines()[-1][:80]}"
            continue
        found = json.loads(done.stdout)
        rates = {key: value for key, value in found.items() if key not in ("version", "size")}
        yield f"{name} {found['version']}", "", ", ".join(f"{value:,.0f} {key}/s" for key, value in rates.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=5.0, help="processor time of each row")
    parser.add_argument("--peers", metavar="PYTHON", help="a Python that has the other tools")
    parser.add_argument("--only", choices=SECTIONS)
    arguments = parser.parse_args()
    for name, section in SECTIONS.items():
        if arguments.only in (None, name):
            show(name, section(arguments.seconds))
    if arguments.peers:
        show("other tools, on a grammar of five productions without shapes", peers(arguments.peers))


def show(title: str, rows: Rows) -> None:
    print(f"\n{title}")
    for name, aim, found in rows:
        print(f"  {name:44} {found:66} {f'aim: {aim}' if aim else ''}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
