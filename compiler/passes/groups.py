"""Groups: convolutions of the parts of an image, side by side, are one convolution with groups."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from ein.compiler import standard
from ein.compiler.graph import OpGraph, Port
from ein.compiler.nodes import Use
from ein.compiler.passes.images import flattened, is_activation, is_convolution, is_joined, parts
from ein.compiler.passes.lifting import pixel_by_pixel
from ein.compiler.passes.rewritten import Rewritten
from ein.compiler.weights import Entry, Moved
from ein.grammar.cfg import Application, Applied
from ein.grammar.types import Tensor


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
    if not graph.names("part", "nn.Conv2d", "concat"):
        return Rewritten(graph)
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
        (port,) = draft.sources(match.split)
        for use in match.chain:
            port = Port(draft.add(use, [port]), 0)
        draft.bypass(match.last, [port])
        moves |= match.moves
    draft.remove_unused()
    return Rewritten(draft.done(), (moves,))


@dataclass(frozen=True, slots=True)
class _Match:
    """`chain` is to stand between `split` and `last`, in their place: the convolution first."""

    last: int
    split: int
    chain: tuple[Use, ...]
    moves: dict[str, Moved]


def _match(graph: OpGraph, number: int, keys: Counter[str]) -> _Match | None:
    """The groups that end at a node that puts channels together."""
    ports, between = graph.sources(number), list[Use]()
    while all(_is_read_once(graph, port) for port in ports):
        row = [port.node for port in ports]
        nodes = [node for node in map(graph.node, row) if isinstance(node, Use)]
        if not _are_alike(nodes, len(row)):
            return None
        before = tuple(graph.sources(each)[0] for each in row)
        if is_convolution(nodes[0]):
            return _grouped(graph, number, nodes, between, before, keys)
        if not (is_activation(nodes[0]) or flattened(nodes[0])):
            return None
        between.append(nodes[0])
        ports = before
    return None


def _grouped(
    graph: OpGraph, last: int, nodes: list[Use], between: list[Use], cut: tuple[Port, ...], keys: Counter[str]
) -> _Match | None:
    """`cut` is what the convolutions read; it has to be the parts of an image, and nothing else may read them."""
    whole = cut[0].node
    if parts(graph.node(whole), axis=0) != len(cut) or not _in_order(cut):
        return None
    if not all(_is_read_once(graph, port) for port in cut) or any(keys[node.key] > 1 for node in nodes):
        return None
    made = _convolution(nodes, graph.type(graph.sources(whole)[0]))
    chain = [made]
    for old in reversed(between):
        found = _behind(old, chain[-1].outputs[0])
        if found is None:
            return None
        chain.append(Use(*found, old.key, old.span, old.path))
    moves = {
        f"{made.key}.{name}": Moved(tuple(Entry(f"{node.key}.{name}", node.weights[name]) for node in nodes), sizes)
        for name, sizes in made.weights.items()
    }
    return _Match(last, whole, tuple(chain), moves)


def _convolution(nodes: list[Use], image: Tensor) -> Use:
    said = dict(nodes[0].applied.body.steps[1].arguments)
    application = standard.application(
        "conv",
        ("out", len(nodes) * said["out_channels"]),
        ("k", said["kernel_size"]),
        ("s", said["stride"]),
        ("dilation", said["dilation"]),
        ("p", said["padding"]),
        ("groups", len(nodes) * said["groups"]),
        ("bias", said["bias"]),
    )
    return Use(application, application.at(image), nodes[0].key, nodes[0].span, nodes[0].path)


def _behind(old: Use, given: Tensor) -> tuple[Application, Applied] | None:
    """What followed one convolution, behind that of all parts."""
    if not flattened(old):
        return pixel_by_pixel(old, given)
    application = standard.application("flatten")
    return application, application.at(given)


def _in_order(cut: tuple[Port, ...]) -> bool:
    """Whether these are the first result of a node, the second one, and so on."""
    return cut == tuple(Port(cut[0].node, at) for at in range(len(cut)))


def _channels(node: Use) -> int:
    """The axis of an image that its channels are on, or of a sequence that its features are on."""
    return {"im": 0, "seq": 1}.get(node.outputs[0].kind, -1)


def _are_alike(nodes: list[Use], count: int) -> bool:
    """Whether they are all of a row, and do the same, each with weights of its own."""
    return len(nodes) == count and all(_body(node) == _body(nodes[0]) for node in nodes)


def _body(node: Use) -> tuple[Any, ...]:
    return tuple(replace(step, label="") for step in node.applied.body.steps), node.applied.body.results


def _is_read_once(graph: OpGraph, port: Port) -> bool:
    return sum(at == port.port for at, _ in graph.targets(port.node)) == 1
