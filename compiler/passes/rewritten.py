"""What a pass gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from ein.compiler.graph import OpGraph
from ein.compiler.weights import WeightMap


class Rewritten(NamedTuple):
    """A graph, and where its weights come from. A pass that finds nothing to do gives the graph it was given."""

    graph: OpGraph
    weights: WeightMap


Pass: TypeAlias = Callable[[OpGraph], Rewritten]
