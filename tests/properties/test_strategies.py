"""Laws of `ein.strategies`: what is drawn is in the language and within the limits, comes back from what is printed,
and shrinks to what enumeration.py or a count by hand says is smallest."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

import ein
from ein.grammar import term as t
from ein.grammar.architecture import architecture
from ein.grammar.cfg import Limits
from ein.grammar.check import load_grammar
from ein.grammar.derivations.attempt import Attempt, DeadEnd
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.files import derivation_text
from ein.grammar.derivations.sample import Sampler
from ein.grammar.derivations.simplest import Simplest
from ein.grammar.diagnostics import EinError, Source
from ein.grammar.load import library_names
from ein.grammar.steps import Candidate, Instance, Options
from ein.grammar.types import merge
from ein.strategies import derivations, terms

from .enumeration import Case
from .test_sampling import CASES, expected, plain, sampler_of

SPACES = [name for name in sorted(library_names()) if "/" not in name and name != "std" and load_grammar(name).start]
cases = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


@cache
def fresh(name: str) -> Sampler:
    """A space that no strategy has touched."""
    return Sampler.of(load_grammar(name))


def followed(sampler: Sampler, d: Derivation, limits: Limits) -> int:
    """The modules that the walk of the sampler counts for the same choices; raises DeadEnd where it refuses them."""
    choices = iter(d.choices)

    def choose(instance: Instance, table: Options) -> Candidate:
        choice = next(choices)
        return next(each for each in table.candidates if each.choice == choice)

    attempt = Attempt(sampler.space, limits)
    output = attempt.run(d.input, choose)
    assert next(choices, None) is None
    assert output is d.type
    return (limits.modules or 1 << 60) - attempt.modules_left


def drawn(strategy: Any, count: int) -> list[Any]:
    """Draws with all health checks on, the same each time."""
    found = []

    @settings(max_examples=count, derandomize=True, database=None, deadline=None)
    @given(strategy)
    def draw(value: Any) -> None:
        found.append(value)

    draw()
    return found


# --- what is drawn


@pytest.mark.parametrize("name", SPACES)
def test_draws_are_in_the_space_and_come_back_from_their_text(name: str) -> None:
    sampler = fresh(name)
    wanted = sampler.grammar.output
    for d in drawn(derivations(name), 8):
        assert followed(sampler, d, sampler.limits) == d.modules == d.cost.modules
        assert wanted is None or merge((wanted, d.type)) is not None
        assert t.depth(d.term) <= (sampler.limits.depth or 1 << 60)
    for d in drawn(derivations(name), 2):
        read = architecture(load_grammar(Source("net.ein", derivation_text(d))))
        assert (read.text, read.modules, read.type) == (d.text, d.modules, d.type)


def test_terms_are_the_files_of_derivations() -> None:
    both = zip(drawn(terms("tabular"), 20), drawn(derivations("tabular"), 20), strict=True)
    assert all(text == derivation_text(d) for text, d in both)


@cases
def test_draws_are_what_the_oracle_enumerates(case: Case) -> None:
    table = expected(case)
    found = {plain(d.choices): d for d in drawn(derivations(sampler_of(case).grammar), 100)}
    for choices, d in found.items():
        assert choices in table
        assert (d.text, d.modules) == (table[choices][2], table[choices][3])
    assert len(found) >= min(40, len(table) // 2)


BOUNDS: dict[str, dict[str, Any]] = {
    "modules": {"max_modules": 9},
    "exactly": {"max_modules": 17, "min_modules": 17},
    "between": {"max_modules": 40, "min_modules": 35},
    "depth": {"max_depth": 6, "max_modules": 30},
    "parameters": {"max_parameters": 2_000, "max_modules": 30},
    "all": {"max_parameters": 5_000, "max_modules": 20, "min_modules": 8, "max_depth": 8},
}


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds_are_kept_and_reached(name: str) -> None:
    bounds = BOUNDS[name]
    found = drawn(derivations("einspace", **bounds), 40)
    most, least = bounds["max_modules"], bounds.get("min_modules", 0)
    assert all(least <= d.cost.modules <= most for d in found)
    assert all(t.depth(d.term) <= bounds.get("max_depth", 100) for d in found)
    assert all(d.cost.parameters <= bounds.get("max_parameters", 10**9) for d in found)
    assert max(d.modules for d in found) > 0.75 * most or name == "depth"
    assert max(t.depth(d.term) for d in found) >= 6
    assert len(set(found)) >= (15 if name == "all" else 25)


def test_types_and_parameters_are_those_asked_for() -> None:
    for d in drawn(derivations("einspace", max_modules=12, input="im[1, 28, 28]", classes=7), 10):
        assert (repr(d.input), repr(d.type)) == ("im[1, 28, 28]", "vec[7]")
    space = ein.load("hnb201_act")
    assert all(d.space.grammar is space.grammar for d in drawn(derivations(space), 3))
    assert drawn(derivations(space), 5) == drawn(derivations(space.grammar), 5)


def test_bounds_that_nothing_keeps_are_told() -> None:
    with pytest.raises(ValueError, match="min_modules is at most max_modules, and 5 > 4"):
        derivations("einspace", max_modules=4, min_modules=5)
    with pytest.raises(ValueError, match="are set when a space is loaded"):
        derivations(ein.load("nb201"), classes=3)
    with pytest.raises(TypeError, match="a grammar is a name, a path or a loaded space, not 3"):
        derivations(3)
    with pytest.raises(EinError, match="has no parameter `klasses`"):
        derivations("einspace", klasses=3)
    with pytest.raises(EinError, match="no derivation of `einspace` was found"):
        drawn(derivations("einspace", max_modules=2), 1)


# --- dead ends

MAZE = """\
ein 1
grammar maze
import std
input im[4, 8, 8]
output im[8, 4, 4]
rule Net : im[c, h, w] -> live im[2*c, h/2, w/2] = Body
rule Body = Step >> Body | Step
rule Step = clone(2) >> (Part & Part) >> add | Part
rule Part = conv(out in {4, 8}) | max_pool | let a = relu : (a & Cut) >> concat(1) | relu * {1, 2}
rule Cut = conv(4) | zero
limit modules <= 14
"""


def test_dead_ends_are_left_without_being_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than a tenth of what the sampler tries fits; every draw here is a derivation all the same."""
    sampler = Sampler.of(load_grammar(Source("maze.ein", MAZE)))
    list(sampler.samples(20, seed=1))
    assert sampler.drawn < 0.1 * sampler.attempts
    repairs: list[Any] = []
    past = Simplest.past

    def counted(self: Simplest, *given: Any) -> Any:
        repairs.append(given)
        return past(self, *given)

    monkeypatch.setattr(Simplest, "past", counted)
    found = drawn(derivations(sampler.grammar), 100)
    assert len(repairs) > 50
    assert len({d.text for d in found}) > 30
    for d in found:
        assert followed(sampler, d, sampler.limits) == d.modules
        assert repr(d.type) == "im[8, 4, 4]"


def test_a_space_without_derivations_is_told() -> None:
    text = MAZE.replace("max_pool", "norm")
    with pytest.raises(EinError):
        drawn(derivations(load_grammar(Source("maze.ein", text))), 1)


# --- the same again


def test_draws_are_the_same_whatever_the_hash_seed() -> None:
    code = (
        "import ein\nfrom hypothesis import given, settings\n"
        "@settings(max_examples=40, derandomize=True, database=None, deadline=None)\n"
        "@given(ein.strategies.derivations('einspace', max_modules=20))\n"
        "def test(d): print(d.text)\n"
        "test()\n"
    )

    def output(seed: str) -> str:
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout

    assert "readout" in output("1") and output("1") == output("2")


def test_what_is_printed_gives_the_failing_derivation_back(tmp_path: Path) -> None:
    failed: list[Derivation] = []

    @settings(phases=[Phase.generate, Phase.shrink], derandomize=True, database=None, deadline=None, print_blob=False)
    @given(derivations("einspace", max_modules=30))
    def test(d: Derivation) -> None:
        if "matmul" in d.text:
            failed.append(d)
            raise AssertionError

    with pytest.raises(AssertionError) as caught:
        test()
    told = "\n".join(caught.value.__notes__)
    text, _, call = told.partition("test(")
    assert failed[-1].text in call
    (tmp_path / "net.ein").write_text(text[text.index("ein 1") : text.index("\n", text.index("arch net")) + 1], "utf-8")
    assert ein.architecture(tmp_path / "net.ein") == failed[-1]
    assert ein.load("einspace").parse(failed[-1].text).text == failed[-1].text


def test_hypothesis_is_loaded_when_it_is_asked_for_and_missed_with_a_way_out() -> None:
    code = (
        "import sys, ein\nassert 'hypothesis' not in sys.modules\nsys.modules['hypothesis'] = None\n"
        "try: ein.strategies\nexcept ModuleNotFoundError as error: print(error)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == (
        "ein.strategies draws with hypothesis, and hypothesis is missing: pip install 'ein-lang[test]'\n"
    )


# --- counterexamples


def smallest(strategy: Any, planted: Callable[[Derivation], bool], seed: int) -> Derivation:
    """What hypothesis makes of the first derivation where the predicate holds."""
    quiet = settings(max_examples=5_000, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    found: Derivation = find(strategy, planted, settings=quiet, random=random.Random(seed))
    return found


def operators(d: Derivation) -> list[str]:
    return [node.application.name for node in t.walk(d.term) if isinstance(node, t.Op)]


def rules(d: Derivation) -> list[str]:
    return [node.name for node in t.walk(d.term) if isinstance(node, t.Named) and node.choice is not None]


def differ(d: Derivation) -> bool:
    return any(isinstance(node, t.Parallel) and len(set(map(t.text, node.parts))) > 1 for node in t.walk(d.term))


# what fails, the modules of the smallest that does as counted by hand, and how many more are let pass
PLANTED: dict[str, tuple[Callable[[Derivation], bool], int, int]] = {
    "an operator with an argument": (lambda d: "linear(64)" in d.text, 3, 1),
    "four of one": (lambda d: operators(d).count("norm") > 3, 5, 2),
    "two different branches": (differ, 5, 0),
    "a route": (lambda d: "col2im" in operators(d), 4, 0),
    "one after another": (lambda d: bool(re.search("permute.* softmax", d.text)), 4, 2),
    "size": (lambda d: d.modules >= 12, 12, 7),
    "depth": (lambda d: t.depth(d.term) >= 7, 5, 4),
}


@pytest.mark.parametrize("name", PLANTED)
def test_counterexamples_in_einspace_are_small(name: str) -> None:
    planted, modules, more = PLANTED[name]
    found = smallest(derivations("einspace", max_modules=30), planted, 0)
    assert planted(found)
    assert modules <= found.modules <= modules + more, found.text


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z_][a-z_0-9]*(?:\([^()]*\))?", text)) - {"let"}


@cases
def test_counterexamples_are_as_small_as_the_oracle_finds(case: Case) -> None:
    """For some operators with their arguments, the smallest derivation that has one: most often found, or near."""
    least: dict[str, int] = {}
    for _, _, text, modules in expected(case).values():
        for word in words(text):
            least[word] = min(modules, least.get(word, modules))
    strategy = derivations(sampler_of(case).grammar)
    known = sorted(least, key=lambda word: (least[word], word))
    chosen = known[len(known) // 2 :][:3]
    more = [smallest(strategy, partial(has, word), 0).modules - least[word] for word in chosen]
    assert min(more) == 0 and max(more) <= 3, dict(zip(chosen, more, strict=True))


def has(word: str, d: Derivation) -> bool:
    return word in words(d.text)


def test_a_walk_that_is_refused_is_seen() -> None:
    """The comparison with the sampler's walk can fail."""
    (d, *_) = drawn(derivations("einspace", max_modules=30, min_modules=20), 1)
    with pytest.raises(DeadEnd):
        followed(fresh("einspace"), d, Limits(modules=19))


def test_an_exact_size_is_drawn_by_rank_where_it_is_counted() -> None:
    """All 169 smallest networks of einspace come up; those of a size that is not counted are of that size, too."""
    seen: set[str] = set()

    @settings(max_examples=2000, database=None, derandomize=True, deadline=None)
    @given(ein.strategies.derivations("einspace", size=3))
    def small(d: Derivation) -> None:
        assert d.modules == 3
        seen.add(d.text)

    small()
    assert len(seen) == 169

    @settings(max_examples=10, database=None, derandomize=True, deadline=None)
    @given(ein.strategies.derivations("einspace", size=30))
    def large(d: Derivation) -> None:
        assert d.modules == 30

    large()
    with pytest.raises(ValueError, match="min_modules"):
        ein.strategies.derivations("einspace", size=3, min_modules=2)
