"""What stands around each operator of a graph, as numbers that are equal where the surroundings are.

Rounds as of Weisfeiler and Leman (1968), but along the wires only: forward from what feeds an operator, backward from
what reads it, to a depth of some wires or all the way to the input or output.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TypeAlias

from ein.compiler.drawing.texts import type_text
from ein.compiler.graph import OpGraph
from ein.compiler.nodes import Use

NEAR = (1, 2, 4, 8)
"""Depths in wires."""

Wire: TypeAlias = "tuple[int, int, int]"
"""The place at the other end, the port there, and the port here."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A graph by places: 0 is the first node in the order of the graph."""

    numbers: tuple[int, ...]
    kinds: tuple[str, ...]
    """The name of the operator; no operator is called `<`, which the ends are."""
    texts: tuple[str, ...]
    types: tuple[str, ...]
    sources: tuple[tuple[Wire, ...], ...]
    targets: tuple[tuple[Wire, ...], ...]
    scopes: tuple[tuple[int, ...], ...]
    """The uses of rules and macros around each place, outermost first, numbered as they are met."""
    labels: tuple[str, ...]
    """Of the scopes, without arguments and without names of architectures."""

    def __len__(self) -> int:
        return len(self.numbers)


def flow(graph: OpGraph) -> Flow:
    order = graph.order
    at = {number: place for place, number in enumerate(order)}
    nodes = [graph.node(number) for number in order]
    paths = [node.path if isinstance(node, Use) else () for node in nodes]
    scopes = {scope: number for number, scope in enumerate(dict.fromkeys(chain.from_iterable(paths)))}
    types = [" ".join(map(type_text, node.inputs)) + " -> " + " ".join(map(type_text, node.outputs)) for node in nodes]
    return Flow(
        order,
        tuple(node.applied.operator.name if isinstance(node, Use) else f"<{node.text}" for node in nodes),
        tuple(node.text if isinstance(node, Use) else f"<{node.text}" for node in nodes),
        tuple(types),
        tuple(tuple((at[s.node], s.port, here) for here, s in enumerate(graph.sources(n))) for n in order),
        tuple(tuple((at[t.node], t.port, here) for here, t in graph.targets(n)) for n in order),
        tuple(tuple(map(scopes.__getitem__, path)) for path in paths),
        tuple(scope.label.partition("(")[0].partition(" ")[0] for scope in scopes),
    )


class Numbers:
    """Equal things get equal numbers, in the order in which they are met."""

    def __init__(self) -> None:
        self._found: dict[Hashable, int] = {}

    def of(self, thing: Hashable) -> int:
        return self._found.setdefault(thing, len(self._found))


@dataclass(frozen=True, slots=True)
class Contexts:
    """Rows of a number for each place. `whole`: all that leads to it, and all that follows it. `levels`: all kinds of
    surroundings, a row as often as it weighs. `wide`: those that tell most, what tells more first."""

    whole: tuple[list[int], list[int]]
    levels: tuple[list[int], ...]
    wide: tuple[list[int], ...]


def contexts(flow: Flow, numbers: Numbers) -> Contexts:
    """Numbers of two flows can be compared where both come from one `Numbers`."""
    whole, bare = (
        (
            _whole(texts, flow.sources, range(len(flow)), numbers),
            _whole(texts, flow.targets, range(len(flow) - 1, -1, -1), numbers),
        )
        for texts in (flow.texts, flow.kinds)
    )
    near = [_near(flow.texts, wires, numbers) for wires in (flow.sources, flow.targets)]
    own = 3 * [[numbers.of(("types", *each)) for each in zip(flow.kinds, flow.types, strict=True)]]
    own += 2 * [[numbers.of(("text", text)) for text in flow.texts]]
    wide = (*whole, *(row for rows in zip(*map(reversed, near), strict=True) for row in rows), *bare)
    return Contexts(whole, (*own, *near[0], *near[1], *whole, *bare), wide)


def _whole(texts: Sequence[str], wires: Sequence[Sequence[Wire]], order: Sequence[int], numbers: Numbers) -> list[int]:
    found = [0] * len(texts)
    for place in order:
        found[place] = numbers.of(("whole", texts[place], _around(wires[place], found.__getitem__)))
    return found


def _near(texts: Sequence[str], wires: Sequence[Sequence[Wire]], numbers: Numbers) -> list[list[int]]:
    row = [numbers.of(text) for text in texts]
    rows = []
    for depth in range(1, NEAR[-1] + 1):
        row = [numbers.of((texts[place], _around(wires[place], row.__getitem__))) for place in range(len(texts))]
        if depth in NEAR:
            rows.append(row)
    return rows


def _around(wires: Sequence[Wire], number: Callable[[int], int]) -> tuple[tuple[int, int, int], ...]:
    return tuple(sorted((here, there, number(place)) for place, there, here in wires))
