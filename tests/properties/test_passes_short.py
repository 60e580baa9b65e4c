"""What passes do not look at changes nothing: the graphs are those that they make who look at everything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice, product

import pytest

from ein.compiler.graph import OpGraph, Port
from ein.compiler.graph_text import to_text
from ein.compiler.lower import lower
from ein.compiler.passes import EVALUATION, PIPELINE, Pass, Rewritten, activations, optimise, traced
from ein.compiler.passes.views import View
from ein.compiler.weights import Moves
from ein.grammar.architecture import architecture
from ein.grammar.check import Request, load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.load import library_names

from .passes import graphs as biased
from .test_batching import COPIES, KINDS
from .test_convolutions import CONVOLUTIONS, GRIDS, GROUPS, PATCHES
from .test_passes import ATTENTION, ATTENTION_ON, PERMUTES, WIRES
from .test_passes_attention import FORMS, HEADS
from .test_passes_common import COMMON, IDLE, ZEROS
from .test_passes_views import AROUND, DETOURS, ROWS

INPUTS = {"einspace1d": "seq[1, 64]"}
SPACES = [name for name in library_names() if "/" not in name and name != "std" and load_grammar(name).start]
ZOO = [name for name in library_names() if name.startswith("zoo/")]
TWICE = """
grammar twice
import std
input vec[4]
op twice : vec[d] -> (vec[d], vec[d])
  let a = relu(x)
  = (a, a)
op beside : vec[d] -> (vec[d], vec[d])
  let a = tanh(x)
  = (a, relu(a))
rule Net = twice >> Two | beside >> Two | Net >> Net
rule Two = (relu & tanh) >> add | (identity & gelu) >> mul | add | swap >> mul
limit modules <= 30
"""
BIASED = {
    "wires": WIRES,
    "permutes": PERMUTES,
    **{f"attention on {kind}": ATTENTION.format(on=on) for kind, on in ATTENTION_ON.items()},
    "forms": FORMS,
    "heads": HEADS,
    "common": COMMON,
    "zeros": ZEROS,
    "idle": IDLE,
    "detours": DETOURS,
    "rows": ROWS,
    "around": AROUND,
    "patches": PATCHES,
    "grids": GRIDS,
    "convolutions": CONVOLUTIONS,
    "groups": GROUPS,
    "twice": TWICE,
    **{f"copies of {kind}": COPIES.format(**forms) for kind, forms in KINDS.items()},
}
"""Spaces in which a pass fires often."""


def graphs(name: str) -> Iterator[OpGraph]:
    if name in BIASED:
        yield from islice(biased(BIASED[name]), 12)
    elif name in ZOO:
        yield lower(architecture(load_grammar(name)).term)
    else:
        sampler = Sampler.of(load_grammar(name, Request(input=INPUTS.get(name))))
        yield from (lower(sampler.draw(11, index).term) for index in range(4))


def run_all(graph: OpGraph, passes: Sequence[Pass]) -> Rewritten:
    """In a circle until none fires, and the ones that are last each time that it stands still."""
    weights: Moves = ()
    circle, end = ([each for each in passes if each.last is last] for last in (False, True))
    still, at = 0, 0
    while still < len(circle) + len(end):
        step = circle[at % len(circle)] if still < len(circle) else end[still - len(circle)]
        after, moved = step.rewrite(graph)
        still, at = (still + 1, at + 1) if after is graph else (0, 0 if step.last else at + 1)
        graph, weights = after, weights + moved
    return Rewritten(graph, weights)


def said(found: Rewritten) -> tuple[object, ...]:
    graph = found.graph
    return to_text(graph), [(number, graph.sources(number)) for number in graph.order], found.weights


@pytest.mark.parametrize("name", [*SPACES, *ZOO, *BIASED])
def test_what_is_left_out_finds_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = (PIPELINE, EVALUATION)
    made = list(graphs(name))
    found = [said(optimise(graph, each)) for graph in made for each in passes]
    monkeypatch.setattr(OpGraph, "names", lambda graph, *wanted: True)
    assert found == [said(run_all(graph.draft().done(), each)) for graph in made for each in passes]


@pytest.mark.parametrize("name", [*SPACES, *BIASED])
def test_passes_that_settle_find_nothing_more(name: str) -> None:
    for graph in graphs(name):
        for step in EVALUATION:
            if step.settles:
                after = step.rewrite(graph).graph
                assert step.rewrite(after).graph is after, step.name


@pytest.mark.parametrize("name", [*SPACES, *ZOO, *BIASED])
def test_ports_that_show_the_same_are_among_those_that_may(name: str) -> None:
    for graph in graphs(name):
        for each in (graph, optimise(graph).graph):
            some, all_of_them = traced.repeats(each), traced.ports(each)
            assert alike(some) == [ports for ports in alike(all_of_them) if len(ports) > 1]


def alike(shown: dict[Port, View]) -> list[list[Port]]:
    """Ports that show the same, two or more."""
    found: dict[View, list[Port]] = defaultdict(list)
    for port, view in shown.items():
        found[view].append(port)
    return sorted(ports for ports in found.values() if len(ports) > 1)


@pytest.mark.parametrize("name", [*SPACES, *ZOO, *BIASED])
def test_numbers_are_above_0_where_more_inputs_are(name: str) -> None:
    """So a body that gives none where all inputs are above 0 need not be looked at."""
    for body in {id(body): body for graph in graphs(name) for body in graph.bodies}.values():
        inputs = 1 + max((step.argument("which") for step in body.steps if step.op == "input"), default=0)
        most = activations._not_below(body, [True] * inputs)
        for given in product((True, False), repeat=min(inputs, 4)):
            found = activations._not_below(body, [*given, *[True] * (inputs - len(given))])
            assert all(sign <= upper for sign, upper in zip(found, most, strict=True))
            assert activations._matters(body) or not any(found)
