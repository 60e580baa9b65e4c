"""Any text through `check`: diagnostics or an EinError, never anything else, and in bounded time and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ein.grammar.check import check
from ein.grammar.diagnostics import Source

from . import fuzz
from .fuzz import SECONDS, survives, told, words

CHUNK = 2_500
HEAD = "ein 1\nimport std\ninput im[4, 8, 8]\n"


def tried(seed: int, count: int) -> dict[str, Any]:
    """So many texts in a process of bounded memory; fails with the first that ends as none may."""
    command = [sys.executable, fuzz.__file__, str(seed), str(count)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    *failed, summary = map(json.loads, done.stdout.splitlines())
    assert not failed, f"{len(failed)} of {count}; the first:\n{failed[0]['text']}\n\n{failed[0]['traceback']}"
    return dict(summary)


def test_mutated_grammars_are_checked_or_refused() -> None:
    found = tried(4, 300)
    assert 0.02 < found["grammars"] / found["texts"] < 0.5  # both outcomes are tried


@pytest.mark.slow
@pytest.mark.parametrize("part", range(40))
def test_a_hundred_thousand_mutated_grammars(part: int) -> None:
    found = tried(100 + part, CHUNK)
    assert 0.02 < found["grammars"] / found["texts"] < 0.5


def test_what_is_no_diagnostic_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness itself: an exception, a text that hangs, a refusal without a word."""
    assert fuzz.attempt(lambda: survives(fuzz.SMALL)) == (True, "")

    def crash(source: Source) -> Any:
        raise KeyError("planted")

    monkeypatch.setattr(fuzz, "check", crash)
    assert "KeyError: 'planted'" in fuzz.attempt(lambda: survives(fuzz.SMALL))[1]
    monkeypatch.setattr(fuzz, "check", lambda source: (None, []))
    assert "AssertionError" in fuzz.attempt(lambda: survives(fuzz.SMALL))[1]


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(words()), max_size=60))
def test_words_of_the_language_in_any_order(chosen: list[str]) -> None:
    survives(f"{HEAD}rule S = {' '.join(chosen)}")


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=200))
def test_any_text_at_all(text: str) -> None:
    survives(text)
    survives(f"ein 1\nimport std\nop f : {text}")


FOUND = {
    "op f : im[c, each d, w] -> vec[c] = mean[d, w](x)": ["E301"],
    "rule S : im[c, each d, w] -> im[c, d, w] = relu": ["E301"],
    f"op f({', '.join(f'p{i}' for i in range(60))}) : t -> t = relu(x)": [],
}
"""What fuzzing has found, and the codes that are told now."""


@pytest.mark.parametrize("text", FOUND)
def test_what_was_found_stays_mended(text: str) -> None:
    assert [d.code for d in told(Source("found.ein", HEAD + text))[1]] == FOUND[text]


DOUBLING = "\n".join(["def m0 = relu", *(f"def m{i} = m{i - 1} >> m{i - 1}" for i in range(1, 200))])
HOSTILE = {
    "parentheses": "arch a = " + "(" * 20_000 + "relu" + ")" * 20_000,
    "sums": "rule S = linear(" + "1+" * 50_000 + "1)",
    "branches": "arch a = clone(4) >> (" + " & ".join(["relu"] * 150_000) + ") >> add",
    "series": "rule S = " + " >> ".join(["relu"] * 20_000),
    "arguments": "rule S = conv(" + ", ".join(f"k = {i}" for i in range(5000)) + ")",
    "set": "rule S = linear(out in {" + ", ".join(map(str, range(1, 20_000))) + "})",
    "sets": "rule S = for a in {1..100}, b in {1..100}, c in {1..100} : linear(a + b + c)",
    "rules": "\n".join(f"rule R{i} = R{i + 1} | relu" for i in range(3000)) + "\nrule R3000 = relu",
    "macros": f"{DOUBLING}\nrule S = m199",
    "macros in each of many rules": f"{DOUBLING}\n" + "\n".join(f"rule S{i} = m15" for i in range(500)),
    "networks of macros": f"{DOUBLING}\n" + "\n".join(f"arch a{i} = m12" for i in range(500)),
    "unknown names": "rule S = " + " >> ".join(f"abc{i}" for i in range(20_000)),
    "unknown names apart": "rule S = " + " | ".join(f"abc{i}" for i in range(20_000)),
    "unknown names in rules": "\n".join(f"rule S{i} = abc{i}" for i in range(20_000)),
    "an unknown name in macros": f"{DOUBLING.replace('relu', 'rellu')}\nrule S = m199",
    "long names": "\n".join(f"rule R{'x' * 500}{i} = relu" for i in range(500)) + f"\nrule S = R{'x' * 501} | relu",
    "calls with many values": "rule S = for a in {1..5000} : R(a)\nrule R(a) = linear(a) | R(a) >> R(a)",
    "imports": "\n".join(["import std"] * 20_000),
    "unused values": "rule S = let " + ", ".join(f"a{i} = relu" for i in range(10_000)) + " : relu",
    "digits": "rule S = linear(" + "9" * 400_000 + ")",
    "copies": "rule S = ((relu ^ 4096) ^ 4096) ^ 4096",
    "rows": "rule S = ((conv(8) * 4096) * 4096) * 4096",
    "powers": "rule S = linear(" + " ** ".join(["9"] * 90) + ")",
    "orders": "rule S = permute(order in orders(10 ** 9))",
    "comment": "# " + "x" * 500_000,
    "string": 'import "' + "x" * 100_000 + '"',
    "shape": "op f : im[" + ", ".join(["*s"] * 12) + "] -> vec[1] = relu(x)",
    "bundle": "op f : " + "(" * 90 + "t" + ", t)" * 90 + " -> t = wires",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_bounded(name: str) -> None:
    survives(f"{HEAD}{HOSTILE[name]}\n")


def test_files_that_many_ways_lead_to_are_read_once(tmp_path: Path) -> None:
    for i in range(60):
        following = f'import "f{i + 1}.ein"\n' * 2 if i < 59 else "def last = relu\n"
        (tmp_path / f"f{i}.ein").write_text(f"ein 1\n{following}", "utf-8")
    (tmp_path / "root.ein").write_text(
        'ein 1\nimport "f0.ein"\nimport std\ninput im[4, 8, 8]\nrule S = nothing\n', "utf-8"
    )
    began = process_time()
    assert [d.code for d in check(str(tmp_path / "root.ein"))[1]] == ["E201"]
    assert process_time() - began < SECONDS
