"""An operation graph as a picture: a box for each use of an operator, shapes on the wires, boxes around macros."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import networkx as nx

from ein.compiler.draw_dot import FAINT, Picture, Style, attributes, bold, document, heading, label, markup, node, small
from ein.compiler.draw_operator import STYLES, Group, cost_text, group, network_text, type_text
from ein.compiler.graph import OpGraph, cost
from ein.compiler.nodes import Input, Node, Output, Use
from ein.grammar.types import Tensor

END = Style("#e2e2e2", "#1a1a1a")
DEEPEST = 2
"""Boxes inside boxes; more hides the network."""


@dataclass(frozen=True, slots=True)
class Box:
    """What came from one use of a macro: the nodes in it, and the boxes inside."""

    name: str
    nodes: frozenset[int]
    inside: tuple[Box, ...]


def graph_picture(graph: OpGraph, title: str = "", direction: str | None = None) -> Picture:
    """`direction` is TB, also for None, or LR."""
    title = title or "Operation graph"
    groups = {number: group(use.applied) for number, use in graph.uses()}
    head = heading(title, network_text(cost(graph)), _legend(groups.values()))
    members = dict(graph.nodes())
    body = [*_boxed(graph, groups, frozenset(members), boxes(graph)), *_wires(graph)]
    looks = {"nodesep": "0.25", "ranksep": "0.22"}
    dot = document(head, direction or "TB", body, **looks)
    return Picture(dot, title, _summary(graph, len(groups)), _hovers(graph))


def _boxed(
    graph: OpGraph, groups: dict[int, Group], nodes: Collection[int], inside: tuple[Box, ...], prefix: str = "cluster"
) -> Iterator[str]:
    """The lines of `nodes`, those of the boxes `inside` within their clusters."""
    boxed = {number for box in inside for number in box.nodes}
    for number in sorted(set(nodes) - boxed):
        yield _node(number, graph.node(number), groups)
    for i, box in enumerate(inside):
        name = f"{prefix}_{i}"
        looks = attributes(
            label=label(small(box.name)), labeljust="l", style="rounded", color="#b0b0b0", fontcolor=FAINT, margin="8"
        )
        yield f"subgraph {name} {{ graph {looks}"
        yield from (f"  {line}" for line in _boxed(graph, groups, box.nodes, box.inside, name))
        yield "}"


def _node(number: int, found: Node, groups: dict[int, Group]) -> str:
    id = f"n{number}"
    match found:
        case Input(outputs):
            return node(id, label(bold("input"), *map(small, _types(outputs))), END, penwidth="2")
        case Output(inputs):
            return node(id, label(bold("output"), *map(small, _types(inputs))), END, penwidth="2")
        case Use():
            price = cost_text(found.applied.cost)
            return node(id, label(bold(found.text), *([small(price)] if price else [])), STYLES[groups[number]])


def _types(types: tuple[Tensor, ...]) -> list[str]:
    return [type_text(one) for one in types]


def _wires(graph: OpGraph) -> Iterator[str]:
    for number, _ in graph.nodes():
        for source in graph.sources(number):
            # the label stands right of its wire; no-break spaces keep it off the line
            shape = f'<font point-size="8">&#160;{markup(type_text(graph.type(source)))}&#160;</font>'
            yield f"n{source.node} -> n{number} {attributes(label=label(shape))}"


def boxes(graph: OpGraph) -> tuple[Box, ...]:
    """Boxes for macros of two operators or more, outermost first, nested up to DEEPEST.

    A macro that fills the box around it, or the whole network, gets none of its own.
    """
    uses = dict(graph.uses())
    wires = graph.to_networkx()
    return _boxes(uses, wires, frozenset(uses), 0, DEEPEST)


def _boxes(
    uses: dict[int, Use], wires: nx.MultiDiGraph, nodes: frozenset[int], depth: int, left: int
) -> tuple[Box, ...]:
    """The boxes of `nodes`, which agree in the first `depth` entries of their paths."""
    if not left:
        return ()
    found: list[Box] = []
    for name, part in _split(uses, wires, nodes, depth):
        boxed = is_macro(name) and 1 < len(part) < len(nodes)
        inside = _boxes(uses, wires, part, depth + 1, left - boxed)
        found += [Box(name, part, inside)] if boxed else inside
    return tuple(found)


def _split(
    uses: dict[int, Use], wires: nx.MultiDiGraph, nodes: frozenset[int], depth: int
) -> Iterator[tuple[str, frozenset[int]]]:
    """What stands inside one use of a rule or macro at this depth and hangs together, in the order of the graph."""
    entries = defaultdict(list)
    for number in sorted(nodes):
        if len(uses[number].path) > depth:
            entries[uses[number].path[depth]].append(number)
    for entry, members in entries.items():
        for part in nx.weakly_connected_components(wires.subgraph(members)):
            yield entry.label, frozenset(part)


def is_macro(name: str) -> bool:
    """Rules are CamelCase, macros snake_case."""
    return name[:1].islower()


def _legend(groups: Collection[Group]) -> list[tuple[str, Style]]:
    return [(one.value, style) for one, style in STYLES.items() if one in groups]


def _summary(graph: OpGraph, operators: int) -> str:
    given, made = graph.node(graph.input).outputs, graph.node(graph.output).inputs
    return f"An operation graph: {operators} operators, from {', '.join(_types(given))} to {', '.join(_types(made))}."


def _hovers(graph: OpGraph) -> dict[str, str]:
    """Wires between the same two nodes share an id, so their texts stand in one."""
    found: dict[str, list[str]] = defaultdict(list)
    for number, one in graph.nodes():
        found[f"n{number}"].append(_hover(one))
        for at, source in enumerate(graph.sources(number), 1):
            wire = f"{graph.node(source.node).text} -> input {at} of {one.text}: {type_text(graph.type(source))}"
            found[f"n{source.node}->n{number}"].append(wire)
    return {id: "; ".join(texts) for id, texts in found.items()}


def _hover(one: Node) -> str:
    match one:
        case Input() | Output():
            return f"{one.text}: {', '.join(_types(one.outputs or one.inputs))}"
        case Use():
            before, after = type_text(one.applied.input), type_text(one.applied.output)
            parts = [f"{one.text}: {before} -> {after}", cost_text(one.applied.cost), one.place]
            return " · ".join(part for part in parts if part)
