"""What derivations take as bytes, and how fast they are stored and read back: `python benchmarks/storing.py`.

First draws: the bytes of `pack`, of its blocks in a stream of many, of the choices and of the term as text (both
deflated), and of `pickle`; then milliseconds of processor time to pack, unpack and parse one. Each term is parsed
once, with the tables that other terms have left; so are those of `alone`, and without what was found for their parts.

Then series of many operators, the hard case of parsing: how long one takes to parse, tables warm. Of einspace with
operators that no route can begin with, and with some that can; of rules that go on to the right.
"""

from __future__ import annotations

import argparse
import pickle
import zlib
from collections.abc import Sequence
from io import BytesIO
from random import Random
from statistics import median
from time import process_time

from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.packed import pack, unpack, write_many
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source
from ein.grammar.matching.cover import Cover
from ein.grammar.matching.match import derive
from ein.grammar.notation.lexer import tokenize
from ein.grammar.term import TypedTerm

DRAWS = (("hnb201", None), ("einspace", (5, 30)), ("einspace", (31, 100)), ("einspace", (101, 500)))
LENGTHS = (100, 300, 1_000, 3_000, 10_000)
CUBIC = 1_000
"""The longest series that is tried where the time grows with the cube of the length."""

PLAIN = ("norm", "leaky_relu", "softmax", "pos_enc")
RIGHT = "ein 1\nimport std\ninput im[3, 32, 32]\nrule Net = Go >> norm\nrule Go = relu | relu >> Go | gelu >> Go\n"


def tokens(derivation: Derivation) -> int:
    return len(tokenize(Source("", derivation.text))[0])


def milliseconds(times: Sequence[float]) -> str:
    return f"{1e3 * median(times):>7.2f} {1e3 * max(times):>7.2f}"


def timed(work: object) -> float:
    """Processor seconds of a call."""
    assert callable(work)
    start = process_time()
    work()
    return process_time() - start


def stored(name: str, size: tuple[int, int] | None, count: int) -> str:
    """One row: draws of one grammar and range of sizes."""
    sampler = Sampler.of(load_grammar(name))
    drawn = [sampler.draw(0, index, size) for index in range(2 * count)]
    for derivation in drawn[:count]:
        derive(sampler.space, derivation.term)
    drawn = drawn[count:]
    packed = [pack(derivation) for derivation in drawn]
    stream = BytesIO()
    write_many(stream, drawn)
    largest = max(drawn, key=tokens)
    terms = [derivation.term for derivation in drawn]
    columns = [
        f"{name:9}",
        f"{tokens(largest):>6} {largest.modules:>5} {len(largest.choices):>5}",
        f"{len(pack(largest)):>6} {len(stream.getvalue()) / len(drawn):>6.0f}",
        f"{len(zlib.compress(largest.trace.encode(), 9)):>6} {len(zlib.compress(largest.text.encode(), 9)):>6}",
        f"{len(pickle.dumps(largest)):>7}",
        milliseconds([timed(lambda d=d: pack(d)) for d in drawn]),
        milliseconds([timed(lambda data=data: unpack(sampler, data)) for data in packed]),
        milliseconds([timed(lambda term=term: derive(sampler.space, term)) for term in terms]),
        milliseconds([alone(sampler, term) for term in terms]),
    ]
    return "  ".join(columns)


def alone(sampler: Sampler, term: TypedTerm) -> float:
    """Seconds to parse a term when nothing is known of its parts."""
    Cover(sampler.space).covers.clear()
    return timed(lambda: derive(sampler.space, term))


def series(operators: Sequence[str], length: int, end: str) -> TypedTerm:
    random = Random(length)
    row = " >> ".join([*(random.choice(operators) for _ in range(length - 1)), end])
    text = f"ein 1\nimport std\nimport einspace (readout)\narch a : im[3, 32, 32] -> _ = {row}\n"
    return architecture(load_grammar(Source("series", text))).term


def growth(name: str, grammar: str | Source, operators: Sequence[str], end: str, most: int) -> str:
    sampler = Sampler.of(load_grammar(grammar))
    columns = [f"{name:34}"]
    for length in LENGTHS:
        if length <= most:
            term = series(operators, length, end)
            derive(sampler.space, term)
            columns.append(f"{1e3 * alone(sampler, term):>9.1f}")
    return "".join(columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=60, help="draws of each row")
    count = parser.parse_args().count
    print("bytes of the one with most tokens, in a stream of many each; ms in the median and at most\n")
    print(f"{'':51}deflated", f"{'':9}{'pack':>14}{'unpack':>17}{'parse':>17}{'alone':>17}")
    print("grammar    tokens mods. choices packed stream  choices  term   pickle")
    for name, size in DRAWS:
        print(stored(name, size, count))
    print(f"\n{'ms to parse a series of':34}" + "".join(f"{length:>9,}" for length in LENGTHS))
    print(growth("einspace", "einspace", PLAIN, "readout(10)", LENGTHS[-1]))
    mixed = (*PLAIN, "identity")
    print(growth("einspace, every fifth may be a route", "einspace", mixed, "readout(10)", CUBIC))
    print(growth("to the right", Source("right", RIGHT), ("relu", "gelu"), "relu >> norm", LENGTHS[-1]))


if __name__ == "__main__":
    main()
