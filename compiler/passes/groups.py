"""Groups: convolutions of the parts of an image, side by side, are one convolution with groups."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from ein.compiler import standard
from ein.compiler.graph import Draft, OpGraph, Port
from ein.compiler.nodes import Use
from ein.compiler.passes.images import flattened, is_activation, is_convolution, is_joined, parts
from ein.compiler.passes.lifting import pixel_by_pixel
from ein.compiler.passes.rewritten import Rewritten
from ein.compiler.weights import Entry, Moved


def group_convolutions(graph: OpGraph) -> Rewritten:
    """An image cut by its channels, each part convolved with weights of its own, put together again.

        x -> split(b, 1) -> conv(d) ^ b -> f ^ b -> concat(1) -> y
        -->
        x -> conv(b * d, groups = b) -> f -> y

    f are activations, the same for each part, or none. Sequences are put together as well (conv -> flatten -> f).
    Keeps: every other node. Needs: all parts, in order; kernels,
    strides, channels and so on that are alike, biases for all or none; nothing else reads what stands between;
    weights that no other use has.
    Exact: the same sums. The weights are laid one behind the other.
    """
    keys = Counter(node.key for _, node in graph.uses())
    found = [
        match
        for number, node in graph.uses()
        if is_joined(node, _channels(node)) and (match := _match(graph, number, keys)) is not None
    ]
    if not found:
        return Rewritten(graph)
    draft = graph.draft()
    moves: dict[str, Moved] = {}
    for match in found:
        _put(graph, draft, match, moves)
    draft.remove_unused()
    return Rewritten(draft.done(), (moves,))


@dataclass(frozen=True, slots=True)
class _Match:
    """`between`: what follows the first convolution, the last one first."""

    last: int
    split: int
    convolutions: tuple[int, ...]
    between: tuple[int, ...]


def _match(graph: OpGraph, number: int, keys: Counter[str]) -> _Match | None:
    """The groups that end at a node that puts channels together."""
    ports, between = graph.sources(number), []
    while all(_is_read_once(graph, port) for port in ports):
        row = [port.node for port in ports]
        nodes = [graph.node(each) for each in row]
        if _are_alike(nodes) and (is_activation(nodes[0]) or flattened(nodes[0])):
            between.append(row[0])
            ports = tuple(graph.sources(each)[0] for each in row)
            continue
        if not (_are_alike(nodes) and is_convolution(nodes[0]) and all(keys[_use(node).key] == 1 for node in nodes)):
            return None
        whole = graph.sources(row[0])[0].node
        cut = tuple(graph.sources(each)[0] for each in row)
        if cut != tuple(Port(whole, at) for at in range(len(row))) or parts(graph.node(whole), axis=0) != len(row):
            return None
        once = all(_is_read_once(graph, port) for port in cut)
        return _Match(number, whole, tuple(row), tuple(between)) if once else None
    return None


def _channels(node: Use) -> int:
    """The axis of an image that its channels are on, or of a sequence that its features are on."""
    return {"im": 0, "seq": 1}.get(node.outputs[0].kind, -1)


def _are_alike(nodes: list[Any]) -> bool:
    """Whether all are uses that do the same, each with weights of its own."""
    bodies = [_body(node) for node in nodes if isinstance(node, Use)]
    return len(bodies) == len(nodes) and all(body == bodies[0] for body in bodies)


def _body(node: Use) -> tuple[Any, ...]:
    return tuple(replace(step, label="") for step in node.applied.body.steps), node.applied.body.results


def _is_read_once(graph: OpGraph, port: Port) -> bool:
    return sum(at == port.port for at, _ in graph.targets(port.node)) == 1


def _put(graph: OpGraph, draft: Draft, match: _Match, moves: dict[str, Moved]) -> None:
    nodes = [_use(graph.node(number)) for number in match.convolutions]
    first, count = nodes[0], len(nodes)
    said = dict(first.applied.body.steps[1].arguments)
    application = standard.application(
        "conv",
        ("out", count * said["out_channels"]),
        ("k", said["kernel_size"]),
        ("s", said["stride"]),
        ("dilation", said["dilation"]),
        ("p", said["padding"]),
        ("groups", count * said["groups"]),
        ("bias", said["bias"]),
    )
    (source,) = draft.sources(match.split)
    applied = application.at(draft.node(source.node).outputs[source.port])
    made = Use(application, applied, first.key, first.span, first.path)
    port = Port(draft.add(made, [source]), 0)
    for name, sizes in made.weights.items():
        sources = tuple(Entry(f"{node.key}.{name}", node.weights[name]) for node in nodes)
        moves[f"{first.key}.{name}"] = Moved(sources, sizes)
    flatten = standard.application("flatten")
    for number in reversed(match.between):
        old = _use(graph.node(number))
        given = draft.node(port.node).outputs[port.port]
        use = (flatten, flatten.at(given)) if flattened(old) else pixel_by_pixel(old, given)
        port = Port(draft.add(Use(*use, old.key, old.span, old.path), [port]), 0)
    draft.bypass(match.last, [port])


def _use(node: object) -> Use:
    assert isinstance(node, Use)
    return node
