"""Any text through `check`: diagnostics or an EinError, never anything else, and in bounded time."""

from __future__ import annotations

import re
from functools import cache
from random import Random
from time import process_time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ein.grammar.check import check
from ein.grammar.diagnostics import EinError, Source, render_all
from ein.grammar.load import LIBRARY, library_names
from ein.grammar.sample import Sampler

SECONDS = 60.0
"""Processor time after which a text counts as one that hangs; the slowest took a thirtieth of it."""

SMALL = """ein 1
grammar small(p = 40%, classes = 3)
import std
input im[2, 4, 4]
output vec[classes]
op readout(n, bias: bool = true) : im[c, h, w] -> vec[n] param g[c] ~ normal(0, 1)
  where c >= 1 = nn.Linear(c, n, bias = bias)(mean[h, w](x * g))
op mix(b = 2) : any[*s, d, *r] -> any[*s, d / b, *r] ^ b where len(s) == 1 = split[d](x, b)
def twice(f, n = 2) : im[c, h, w] -> im[c, h, w] = f >> conv(c, k = n + 1)
rule Net = Body >> readout(classes)
rule Body = Cell @ p | Body >> Body | for b in {2, 4}, a in {1..b} : clone(b) >> Inner(b, a) >> Join @ each
rule Inner(b, a) = (Cell & Cell) if b == 2 | Cell ^ b if b > 2 and a <= b
rule Join = add | concat(axis in {1..3}) @ each if rank == 3
rule Down : im[c, h, w] -> im[2*c, h/2, w/2] = max_pool >> conv(2*c) | tied relu * 2
rule Cell = (relu | norm @ 3) | twice(relu) | linear(out in {4..16 by *2}) | Turn | pos_enc * {1, 2}
rule Turn = permute(order in orders(rank))
limit modules <= 30, depth <= 9, params <= 1M, macs <= 1G, elements <= 16M
arch one : im[3, 8, 8] -> vec[4] = conv(8) >> residual(conv(8) >> relu) >> head(4)
"""


@cache
def seeds() -> tuple[str, ...]:
    library = [(LIBRARY / f"{name}.ein").read_text("utf-8") for name in library_names() if name != "std"]
    return (SMALL, SMALL, SMALL, *library)


@cache
def tokens() -> tuple[str, ...]:
    found = {t for text in seeds() for t in re.findall(r"\w+|[^\w\s]+|\n", text)}
    odd = [
        "0",
        "-1",
        "1e308",
        "99999999999999999999",
        "2147483648",
        '"a"',
        "true",
        "*s",
        "each d",
        "_",
        "any",
        "t",
        "rank",
    ]
    return (
        *sorted(found),
        *odd,
        "\u0000",
        "\u2028",
        "é",
        "💥",
        '"',
        "#",
        "x" * 300,
        "let",
        "live",
        "scan",
        "where",
        "inf",
    )


def mutated(random: Random) -> str:
    """A text with words taken out, doubled, exchanged or put in; now and then of tokens alone."""
    if random.random() < 0.1:
        return "ein 1\nimport std\n" + " ".join(random.choice(tokens()) for _ in range(random.randrange(40)))
    words = re.findall(r"\w+|\s+|[^\w\s]", random.choice(seeds()))
    for _ in range(random.choice((1, 1, 2, 3, 8))):
        at = random.randrange(len(words))
        match random.randrange(5):
            case 0:
                del words[at]
            case 1:
                words[at] = random.choice(tokens())
            case 2:
                words.insert(at, random.choice(tokens()))
            case 3:
                other = random.randrange(len(words))
                words[at], words[other] = words[other], words[at]
            case _:
                words[at:at] = words[at : at + random.randrange(30)]
        words = words or ["ein"]
    return "".join(words)


def survives(text: str) -> bool:
    """Whether the text is a grammar; raises what is no EinError, or where it takes too long."""
    began = process_time()
    try:
        grammar, found = check(Source("fuzz.ein", text))
    except EinError as error:
        grammar, found = None, list(error.diagnostics)
    shown = render_all(found)
    assert grammar is not None or any(d.severity == "error" for d in found)
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    for d in found:
        assert d.code and d.message
        assert d.span is None or 0 <= d.span.start <= d.span.end <= len(d.span.source.text)
    if grammar is not None and grammar.start is not None and grammar.input is not None:
        try:
            for derivation in (Sampler.of(grammar).draw(seed=1, index=i, attempts=200, seconds=0.5) for i in range(3)):
                assert derivation.cost.modules == derivation.modules
        except EinError:
            pass
    assert process_time() - began < SECONDS
    return grammar is not None


def test_mutated_grammars_are_checked_or_refused() -> None:
    random = Random(4)
    outcomes = [survives(mutated(random)) for _ in range(250)]
    assert 0.02 < sum(outcomes) / len(outcomes) < 0.7  # both outcomes are tried


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_many_mutated_grammars_are_checked_or_refused(part: int) -> None:
    random = Random(100 + part)
    outcomes = [survives(mutated(random)) for _ in range(500)]
    assert 0.02 < sum(outcomes) / len(outcomes) < 0.7


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(tokens()), max_size=60))
def test_words_of_the_language_in_any_order(words: list[str]) -> None:
    survives("ein 1\nimport std\ninput im[4, 8, 8]\nrule S = " + " ".join(words))


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=200))
def test_any_text_at_all(text: str) -> None:
    survives(text)
    survives(f"ein 1\nimport std\nop f : {text}")


HOSTILE = {
    "parentheses": "arch a = " + "(" * 20_000 + "relu" + ")" * 20_000,
    "sums": "rule S = linear(" + "1+" * 50_000 + "1)",
    "branches": "arch a = clone(4) >> (" + " & ".join(["relu"] * 150_000) + ") >> add",
    "series": "rule S = " + " >> ".join(["relu"] * 20_000),
    "arguments": "rule S = conv(" + ", ".join(f"k = {i}" for i in range(5000)) + ")",
    "set": "rule S = linear(out in {" + ", ".join(map(str, range(1, 20_000))) + "})",
    "sets": "rule S = for a in {1..100}, b in {1..100}, c in {1..100} : linear(a + b + c)",
    "rules": "\n".join(f"rule R{i} = R{i + 1} | relu" for i in range(3000)) + "\nrule R3000 = relu",
    "macros": "\n".join(
        ["def m0 = relu", *(f"def m{i} = m{i - 1} >> m{i - 1}" for i in range(1, 200)), "rule S = m199"]
    ),
    "copies": "rule S = ((relu ^ 4096) ^ 4096) ^ 4096",
    "powers": "rule S = linear(" + " ** ".join(["9"] * 90) + ")",
    "orders": "rule S = permute(order in orders(10 ** 9))",
    "comment": "# " + "x" * 500_000,
    "string": 'import "' + "x" * 100_000 + '"',
    "shape": "op f : im[" + ", ".join(["*s"] * 12) + "] -> vec[1] = relu(x)",
    "bundle": "op f : " + "(" * 90 + "t" + ", t)" * 90 + " -> t = wires",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_bounded(name: str) -> None:
    survives(f"ein 1\nimport std\ninput im[4, 8, 8]\n{HOSTILE[name]}\n")
