"""Texts that are almost grammars, and what `check` owes to any text: `python tests/properties/fuzz.py SEED COUNT`.

As a program it tries so many texts with bounded memory, and prints a line of JSON for each one that ends in anything
but a grammar or diagnostics, or takes too long; the last line counts. The same seed gives the same texts.
"""

from __future__ import annotations

import ast
import json
import re
import signal
import sys
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import process_time
from types import FrameType

from ein import emit, lower
from ein.grammar.cfg import Grammar
from ein.grammar.check import check
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Diagnostic, EinError, Source, render_all
from ein.grammar.load import LIBRARY

SECONDS = 60.0
"""Processor time after which a text counts as one that hangs; the slowest took a tenth of it."""

MEMORY = 4 * 2**30
"""Bytes of address space of the program."""

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"(?ms)^```ein(?: ([^\n]*))?\n(.*?)^```$")
WORD = re.compile(r'"[^"\n]*"|\w+|[^\w\s]+|\s+')

SMALL = """ein 1
grammar small(p = 40%, classes = 3)
import std
input im[2, 4, 4]
output vec[classes]
op readout(n, bias: bool = true) : im[c, h, w] -> vec[n] where c >= 1
  param g[c] ~ normal(0, 1) = nn.Linear(c, n, bias = bias)(mean[h, w](x * g))
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

ODD = (
    *"0 -1 0.5 1e308 1e-320 4096 1000000 2147483648 9223372036854775807 99999999999999999999 true *s _ any t".split(),
    *'rank "a" "" 💥 é " # let live goal scan repeat buffer draw tied by gather fft where inf nan ** / % //'.split(),
    *"100% 0% ? => = -> : := | & >> ^ * ( ) [ ] { } , . .. {} {1..10000} orders(rank) orders(9) len(s) sum(s)".split(),
    *"min() param state x if else not and or in for self lambda __class__".split(),
    *("@ 0", "@ 1e300", "@ each", "^ 4096", "* 4096", "each d", "x" * 300, "\0", "\u2028", ""),
)


@cache
def corpus() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Whole files: of the library, of the pages, of the tests of operators; and the statements of `std`."""
    library = [path.read_text("utf-8") for path in sorted(LIBRARY.rglob("*.ein")) if path.stem != "std"]
    forms = [path.read_text("utf-8") for path in sorted((ROOT / "tests" / "differential").glob("*.ein"))]
    pages = [ROOT / "docs" / "language.md", *sorted((ROOT / "docs" / "diagnostics").glob("*.md"))]
    examples = [_whole(*found) for page in pages for found in FENCE.findall(page.read_text("utf-8"))]
    standard = re.split(r"\n(?=op |def |type )", (LIBRARY / "std.ein").read_text("utf-8"))
    return (SMALL, SMALL, SMALL, *library, *forms, *examples), tuple(standard)


def _whole(info: str, text: str) -> str:
    """An example of a page with what it leaves out."""
    if info == "term":
        terms = enumerate(line.partition(" #")[0] for line in text.splitlines())
        text = "\n".join(f"arch n{i} : im[3, 8, 8] -> vec[4] = {term}" for i, term in terms)
    if text.startswith("ein 1"):
        return text
    input = "" if "input " in text or "arch " in text else "input im[3, 32, 32]\n"
    return f"ein 1\nimport std\n{input}{text}"


@cache
def words() -> tuple[str, ...]:
    whole, standard = corpus()
    return (*sorted({word for text in (*whole, *standard) for word in WORD.findall(text)}), *ODD)


def mutated(random: Random) -> str:
    """One of the texts, crossed with another one or with a statement of `std`, and some of its words changed; now and
    then words alone, or any bytes."""
    texts, standard = corpus()
    kind = random.random()
    if kind < 0.03:
        return random.randbytes(random.randrange(300)).decode("utf-8", "replace")
    if kind < 0.06:
        return "ein 1\nimport std\ninput im[3, 8, 8]\nrule S = " + " ".join(
            random.choices(words(), k=random.randrange(40))
        )
    text = random.choice(texts)
    if kind < 0.16:
        text += "\n" + re.sub(r"^(op|def) (\w+)", r"\1 \2_own", random.choice(standard)) + "\n"
    elif kind < 0.28:
        text = crossed(text, random.choice(texts), random)
    parts = WORD.findall(text)
    for _ in range(random.choice((1, 1, 1, 1, 2, 3))):
        change(parts, random)
    return "".join(parts)


def crossed(one: str, other: str, random: Random) -> str:
    """The first lines of a text with the last of another."""
    first, last = one.splitlines(True), other.splitlines(True)
    return "".join([*first[: random.randrange(len(first) + 1)], *last[random.randrange(len(last)) :]])


def change(parts: list[str], random: Random) -> None:
    """Takes words out, doubles, moves, exchanges or replaces them."""
    if not parts:
        parts.append("ein")
    at = random.randrange(len(parts))
    other = random.randrange(len(parts))
    match random.randrange(8):
        case 0:
            del parts[at]
        case 1:
            parts[at] = random.choice(words())
        case 2:
            parts[at] = random.choice(ODD)
        case 3:
            parts.insert(at, random.choice(words()))
        case 4:
            parts[at], parts[other] = parts[other], parts[at]
        case 5:
            parts[other:other] = parts[at : at + random.randrange(30)]
        case 6:
            numbers = [i for i, part in enumerate(parts) if part.isdigit()] or [at]
            parts[random.choice(numbers)] = random.choice(("0", "1", "2", "3", "7", "64", "rank", "c", *ODD[:10]))
        case _:
            names = [i for i, part in enumerate(parts) if part.isidentifier()] or [at]
            parts[random.choice(names)] = parts[random.choice(names)]


def imports(random: Random, folder: Path) -> Path:
    """A root file beside others, all of which import each other at random, cycles included."""
    names = [f"f{i}.ein" for i in range(5)]
    for name in names:
        chosen = random.sample(names, random.randrange(4))
        lines = [f'import "{each}"' + random.choice(("", "", " (mine as own)")) for each in chosen]
        text = mutated(random)
        (folder / name).write_text(text.replace("import std\n", "import std\n" + "\n".join(lines) + "\n", 1), "utf-8")
    return folder / names[0]


def told(what: str | Source) -> tuple[Grammar | None, list[Diagnostic]]:
    """What `check` says, which has to make sense for any text at all."""
    try:
        grammar, found = check(what)
    except EinError as error:
        grammar, found = None, list(error.diagnostics)
    shown = render_all(found)
    assert grammar is not None or any(d.severity == "error" for d in found)
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    for d in found:
        assert d.code and d.message
        assert d.span is None or 0 <= d.span.start <= d.span.end <= len(d.span.source.text)
    return grammar, found


def drawn(grammar: Grammar, found: list[Diagnostic]) -> int:
    """Networks of the grammar as source that Python can read; how many."""
    endless = {"W503", "W704"} & {d.code for d in found}
    if grammar.start is None or grammar.input is None or endless:
        return 0
    count = 0
    for index in range(3):
        try:
            derivation = Sampler.of(grammar).draw(1, index, attempts=100, seconds=0.5)
            assert derivation.cost.modules == derivation.modules
            if derivation.modules <= 400:
                ast.parse(emit(lower(derivation)))
                count += 1
        except EinError:
            pass
    return count


def survives(text: str) -> bool:
    """Whether the text is a grammar; raises what is no EinError, or where it takes too long."""
    began = process_time()
    grammar, found = told(Source("fuzz.ein", text))
    if grammar is not None:
        drawn(grammar, found)
    assert process_time() - began < SECONDS
    return grammar is not None


class _Slow(BaseException):
    """Raised in the midst of a text that takes too long."""


def _slow(number: int, frame: FrameType | None) -> None:
    raise _Slow


def attempt(work: Callable[[], bool]) -> tuple[bool, str]:
    """Whether a text is a grammar, and the traceback where it ends otherwise than it may."""
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        return work(), ""
    except (Exception, _Slow):
        return False, traceback.format_exc()[-3000:]
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def main(seed: int, count: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGVTALRM, _slow)
    random = Random(seed)
    valid, slowest = 0, 0.0
    for number in range(count):
        began = process_time()
        with TemporaryDirectory() as folder:
            if number % 50 == 49:
                root = imports(random, Path(folder))
                text = root.read_text("utf-8")
                right, wrong = attempt(lambda root=root: told(str(root))[0] is not None)  # type: ignore[misc]
            else:
                text = mutated(random)
                right, wrong = attempt(lambda text=text: survives(text))  # type: ignore[misc]
        valid += right
        slowest = max(slowest, process_time() - began)
        if wrong:
            print(json.dumps({"seed": seed, "number": number, "text": text, "traceback": wrong}), flush=True)
    print(json.dumps({"texts": count, "grammars": valid, "slowest": round(slowest, 2)}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
