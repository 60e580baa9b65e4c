"""What a pass is, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ein.compiler.graph import OpGraph
from ein.compiler.weights import Moves


class Rewritten(NamedTuple):
    """A graph, and where its weights come from. A pass that finds nothing to do gives the graph it was given."""

    graph: OpGraph
    weights: Moves = ()


@dataclass(frozen=True, slots=True)
class Pass:
    """One that `settles` finds nothing to do on a graph that it has made: it goes on until it finds nothing.

    One that is `last` waits until no other finds anything.
    """

    name: str
    rewrite: Callable[[OpGraph], Rewritten]
    settles: bool = False
    last: bool = False


def in_turn(one: Callable[[OpGraph], Rewritten], graph: OpGraph) -> Rewritten:
    """Rewritten in one place after the other, until there is none."""
    weights: Moves = ()
    while True:
        after, moved = one(graph)
        if after is graph:
            return Rewritten(graph, weights)
        graph, weights = after, weights + moved
