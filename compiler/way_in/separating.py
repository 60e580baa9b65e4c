"""A linear map that makes queries, keys and values at once becomes three, which is how the language writes them:

    x -> linear(3 * d) -> split(3) -> (q, k, v) -> attend
    -->
    x -> (linear(d), linear(d), linear(d)) -> attend

The rows of the weight are shared out. What nothing reads is left out too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ein.compiler.way_in.network import Network, Node
from ein.compiler.way_in.views import Value, View, Weight, axis


def separated(net: Network, results: Sequence[Value]) -> tuple[Value, ...]:
    """The results afterwards; the nodes of the network are made anew."""
    read_by = readers(net, results)
    maps = {found[0]: found[1] for number in read_by if (found := _packed(net, number, read_by)) is not None}
    nodes: list[Node] = []
    at: dict[tuple[int, int], Value] = {}
    for number in sorted({0, *read_by}):
        node = net.nodes[number]
        if number in maps.values():
            continue
        made = _three(net, number, maps[number]) if number in maps else [node]
        for port, each in enumerate(made):
            nodes.append(replace(each, inputs=tuple(at[(value.node, value.port)] for value in each.inputs)))
            for result, type in enumerate(each.types):
                at[(number, result if len(made) == 1 else port)] = Value(len(nodes) - 1, result, type)
    net.nodes[:] = nodes
    return tuple(at[(value.node, value.port)] for value in results)


def readers(net: Network, results: Sequence[Value]) -> dict[int, list[int]]:
    """Who reads each node that the results depend on; -1 stands for the results."""
    live: set[int] = set()
    stack = [value.node for value in results]
    while stack:
        number = stack.pop()
        if number not in live:
            live.add(number)
            stack += [value.node for value in net.nodes[number].inputs]
    found: dict[int, list[int]] = {number: [] for number in live}
    for number in sorted(live):
        for value in net.nodes[number].inputs:
            found[value.node].append(number)
    for value in results:
        found[value.node].append(-1)
    return found


def _packed(net: Network, number: int, read_by: dict[int, list[int]]) -> tuple[int, int] | None:
    """The split and the linear map in front of attention that reads both alone."""
    node = net.nodes[number]
    if not node.name.startswith("attend") or [value.port for value in node.inputs] != [0, 1, 2]:
        return None
    split = node.inputs[0].node
    made = net.nodes[split]
    if {value.node for value in node.inputs} != {split} or made.name != "split" or len(made.types) != 3:
        return None
    source = made.inputs[0].node
    linear = net.nodes[source]
    if read_by[split] != [number] * 3 or read_by[source] != [split] or linear.name != "linear":
        return None
    rows = linear.weights["linear.weight"].sizes[0]
    whole = all(view.dims[0] == axis(1, rows) and view.base.sizes[0] == rows for view in linear.weights.values())
    return (split, source) if whole else None


def _three(net: Network, split: int, source: int) -> list[Node]:
    linear, types = net.nodes[source], net.nodes[split].types
    rows = linear.weights["linear.weight"].sizes[0] // 3
    given = tuple((name, rows if name == "out" else value) for name, value in linear.given)
    return [
        replace(
            linear,
            given=given,
            types=(type,),
            weights={k: _rows(net, v, n * rows, rows) for k, v in linear.weights.items()},
        )
        for n, type in enumerate(types)
    ]


def _rows(net: Network, view: View, first: int, count: int) -> View:
    assert isinstance(view.base, Weight)
    return View(net.part(view.base, 0, first, first + count).base, (axis(1, count), *view.dims[1:]))
