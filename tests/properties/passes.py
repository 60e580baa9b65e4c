"""What tests of passes share: graphs of a grammar, and what it means that a pass is exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from ein.compiler.carry import carry, carry_back
from ein.compiler.graph import OpGraph, verify
from ein.compiler.interpret import Interpreter
from ein.compiler.lower import lower
from ein.compiler.passes import Rewritten, wires
from ein.grammar.check import load_grammar
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Source

TIMES = 200


def graphs(text: str) -> Iterator[OpGraph]:
    sampler = Sampler.of(load_grammar(Source("biased.ein", f"ein 1\n{text}")))
    return (lower(sampler.draw(3, index).term) for index in range(10**6))


def without_wires(graph: OpGraph) -> OpGraph:
    return wires.remove_wires(graph).graph


def assert_exact(before: OpGraph, rewritten: Rewritten) -> None:
    """Equal results for equal weights, in training, and every weight of the new graph comes from an old one and is
    found again on the way back."""
    after = rewritten.graph
    verify(after)
    torch.manual_seed(0)
    one, other = Interpreter(before), Interpreter(after)
    other.load_state_dict(carry(rewritten.weights, other.state_dict(), one.state_dict()))
    for name, value in carry_back(rewritten.weights, one.state_dict(), other.state_dict()).items():
        assert torch.equal(value, one.state_dict()[name]), name
    given = [torch.randn(3, *leaf.sizes) for leaf in before.node(before.input).outputs]
    wanted, found = one(*given), other(*given)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def fires(text: str, rewrite: Callable[[OpGraph], Rewritten], prepare: Callable[[OpGraph], OpGraph]) -> int:
    """Draws until the pass has changed `TIMES` graphs, each exactly; the number of draws."""
    changed = 0
    for draws, graph in enumerate(map(prepare, graphs(text)), 1):
        rewritten = rewrite(graph)
        if rewritten.graph is graph:
            assert not rewritten.weights
            continue
        assert_exact(graph, rewritten)
        assert rewrite(rewritten.graph).graph is rewritten.graph, "a second run finds nothing left"
        changed += 1
        if changed == TIMES or draws == 10 * TIMES:
            break
    assert changed == TIMES
    return draws


def names(graph: OpGraph) -> list[str]:
    return [node.application.name for _, node in graph.uses()]
