"""Convolutions: what a grammar spells as windows, a linear map and a grid."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import prod
from typing import Any, TypeAlias

from ein.compiler import standard
from ein.compiler.graph import Draft, OpGraph, Port
from ein.compiler.nodes import Use
from ein.compiler.passes.images import Windows, grid, is_activation, is_linear, parts, windows
from ein.compiler.passes.lifting import pixel_by_pixel
from ein.compiler.passes.patches import SMALLEST
from ein.compiler.passes.permutes import permutation
from ein.compiler.passes.rewritten import Rewritten
from ein.compiler.passes.zero import keeps_zero
from ein.compiler.weights import Entry, Moved
from ein.grammar.cfg import Application, Applied
from ein.grammar.types import Tensor, leaves

Arguments: TypeAlias = tuple[tuple[str, Any], ...]


def fuse_convolutions(graph: OpGraph) -> Rewritten:
    """Windows of an image, each mapped to new channels; laid out on the grid they came from, or not.

        x -> im2col(k, s, p) -> linear(d) -> col2im -> y    -->    x -> conv(d, k, s, p) -> y
        x -> im2col(k, s, p) -> linear(d) -> y              -->    x -> conv(d, k, s, p) -> flatten -> y
        x -> im2col(k, s, p) -> f -> split(b, 2) -> linear(d) ^ b
        -->
        x -> f -> split(b, 1) -> conv(d, k, s, p) ^ b -> flatten ^ b

    Keeps: every other node. Needs: the windows are read by such maps alone, of which there may be several; f acts
    element by element and gives 0 for 0 where there is a padding; a split cuts whole channels; uses that share
    weights are all of this form, and alike. Neither patches of 4 x 4 or more nor single pixels with others between
    them: see `cut_patches`.
    Pays: see `_pays`.
    Exact: equal outputs for equal weights. The weight of the linear map, one row of channels x k x k for each
    new channel, is reshaped.

    The operators are known by what their bodies do, not by their names.
    """
    if not graph.names("F.unfold", "nn.Linear"):
        return Rewritten(graph)
    found = _converted(graph)
    return _Writing(graph, graph.draft()).rewritten(found) if found else Rewritten(graph)


@dataclass(frozen=True, slots=True)
class _Chain:
    """`path`: the ports from the windows to the linear map, first the one that the map reads."""

    linear: int
    path: tuple[Port, ...]
    cut: Windows
    key: str
    given: Arguments

    @property
    def windows(self) -> int:
        return self.path[-1].node

    @property
    def out(self) -> int:
        """New channels."""
        found: int = dict(self.given)["out"]
        return found


def origins(graph: OpGraph) -> dict[int, tuple[int, Windows]]:
    """The linear maps that can be convolutions on windows: each with the node of the windows."""
    trees = _tied(graph, _trees(graph))
    return {chain.linear: (chain.windows, chain.cut) for tree in trees.values() for chain in tree}


def _chain(graph: OpGraph, number: int) -> _Chain | None:
    if not is_linear(graph.node(number)):
        return None
    port = graph.sources(number)[0]
    path, pieces = [port], 1
    while (cut := windows(graph.node(port.node))) is None:
        node = graph.node(port.node)
        count = parts(node, axis=1)
        if count is None and not is_activation(node):
            return None
        pieces *= count or 1
        (port,) = graph.sources(port.node)
        path.append(port)
    if cut.channels % pieces or _is_slow(cut):
        return None
    between = [_use(graph, each.node) for each in path[:-1]]
    if not (_pads_alike(cut, between) and _is_on_image(graph.node(path[-1].node).inputs[0], between)):
        return None
    linear = _use(graph, number)
    return _Chain(number, tuple(path), cut, linear.key, _arguments(cut, linear))


def _is_slow(cut: Windows) -> bool:
    """Patches, and single pixels with others between them: a convolution takes two to four times as long on a CPU."""
    return (cut.padding == 0 and cut.stride == cut.k >= SMALLEST) or cut.k == 1 < cut.stride


def _pads_alike(cut: Windows, between: list[Use]) -> bool:
    """Whether activations behind a padding with zeros may stand before it."""
    return cut.padding == 0 or all(parts(node, axis=1) or keeps_zero(node.applied.body) for node in between)


def _is_on_image(image: Tensor, between: list[Use]) -> bool:
    """Whether what stands between windows and map (the last one first) can stand before the windows."""
    for node in reversed(between):
        found = _on_image(node, image)
        if found is None:
            return False
        image = next(leaves(found[1].output))
    return True


def _on_image(node: Use, image: Tensor) -> tuple[Application, Applied] | None:
    count = parts(node, axis=1)
    if count is None:
        return pixel_by_pixel(node, image)
    application = standard.application("split", ("b", count), ("axis", 1))
    return application, application.at(image)


def _arguments(cut: Windows, linear: Use) -> Arguments:
    mapped = dict(linear.applied.body.steps[1].arguments)
    return (
        ("out", mapped["out_features"]),
        ("k", cut.k),
        ("s", cut.stride),
        ("dilation", cut.dilation),
        ("p", cut.padding),
        ("bias", mapped["bias"]),
    )


def _converted(graph: OpGraph) -> list[_Chain]:
    trees = {number: tree for number, tree in _trees(graph).items() if _pays(graph, tree)}
    return [chain for tree in _tied(graph, trees).values() for chain in tree]


def _trees(graph: OpGraph) -> dict[int, list[_Chain]]:
    """By the node of windows, the chains that are all that reads them."""
    found: dict[int, list[_Chain]] = {}
    for number, _ in graph.uses():
        chain = _chain(graph, number)
        if chain is not None:
            found.setdefault(chain.windows, []).append(chain)
    return {number: tree for number, tree in found.items() if _is_whole(graph, tree)}


def _tied(graph: OpGraph, trees: dict[int, list[_Chain]]) -> dict[int, list[_Chain]]:
    """Those whose maps share weights with each other alone, all with the same arguments."""
    uses = Counter(node.key for _, node in graph.uses()) if trees else Counter[str]()
    left = -1
    while left != len(trees):
        left = len(trees)
        alike = Counter((chain.key, chain.given) for tree in trees.values() for chain in tree)
        trees = {
            number: tree
            for number, tree in trees.items()
            if all(alike[chain.key, chain.given] == uses[chain.key] for chain in tree)
        }
    return trees


def _is_whole(graph: OpGraph, tree: list[_Chain]) -> bool:
    """Whether all that reads the windows is in the chains, so that they are not needed any more."""
    between = {port.node for chain in tree for port in chain.path}
    inside = between | {chain.linear for chain in tree}
    return all(target.node in inside for number in between for _, target in graph.targets(number))


def _pays(graph: OpGraph, tree: list[_Chain]) -> bool:
    """On a CPU, forward and backward, as measured.

    Where the channels are laid out before the positions: always, 0.9 to 6 times as fast. Else it costs to put the new
    channels behind the positions for whoever reads the sequence, and pays where that is less than what windows that
    overlap cost: with few new channels for the features of a window, 1.1 to 5 times.
    An activation may go to the image unless that has more pixels than the windows.
    """
    cut = tree[0].cut
    pixels = prod(graph.node(tree[0].windows).inputs[0].sizes)
    if any(len(chain.path) > 1 for chain in tree) and pixels > prod(cut.grid) * cut.features:
        return False
    loose = sum(chain.out for chain in tree if not _is_laid_out(graph, chain))
    if cut.stride >= cut.k:
        return loose == 0
    return 5 * loose <= 3 * cut.features if cut.stride == 1 else 4 * loose <= cut.features


def _is_laid_out(graph: OpGraph, chain: _Chain) -> bool:
    """Whether what reads the map puts the channels first: grids, and permutations."""
    readers = [graph.node(target.node) for _, target in graph.targets(chain.linear)]
    return all(
        grid(node) == chain.cut.grid or (isinstance(node, Use) and permutation(node) == (1, 0)) for node in readers
    )


@dataclass(slots=True)
class _Writing:
    graph: OpGraph
    draft: Draft
    images: dict[Port, Port] = field(default_factory=dict)
    """What is to stand on the image for a port between windows and maps."""
    moves: dict[str, Moved] = field(default_factory=dict)

    def rewritten(self, chains: list[_Chain]) -> Rewritten:
        for chain in chains:
            self._convolve(chain)
        self.draft.remove_unused()
        return Rewritten(self.draft.done(), (self.moves,))

    def _convolve(self, chain: _Chain) -> None:
        """Grids that read the map read the convolution instead, and all else its pixels in a row."""
        linear, before = _use(self.graph, chain.linear), _use(self.graph, chain.windows)
        source = self._image(chain.path)
        application = standard.application("conv", *chain.given)
        node = Use(application, application.at(self._type(source)), linear.key, linear.span, linear.path)
        made = Port(self.draft.add(node, [source]), 0)
        for _, target in self.graph.targets(chain.linear):
            if grid(self.graph.node(target.node)) == chain.cut.grid:
                self.draft.bypass(target.node, [made])
        flatten = standard.application("flatten")
        flat = Use(flatten, flatten.at(node.outputs[0]), before.key, linear.span, linear.path)
        self.draft.replace(chain.linear, flat, [made])
        for new, sizes in node.weights.items():
            old = new.replace("conv2d", "linear", 1)
            self.moves[f"{node.key}.{new}"] = Moved((Entry(f"{node.key}.{old}", linear.weights[old]),), sizes)

    def _image(self, path: tuple[Port, ...]) -> Port:
        """What the first port of a path is on the image."""
        port, *rest = path
        if not rest:
            return self.draft.sources(port.node)[0]
        if port not in self.images:
            source, old = self._image(tuple(rest)), _use(self.graph, port.node)
            found = _on_image(old, self._type(source))
            assert found is not None
            made = self.draft.add(Use(*found, old.key, old.span, old.path), [source])
            self.images |= {Port(port.node, at): Port(made, at) for at in range(len(old.outputs))}
        return self.images[port]

    def _type(self, port: Port) -> Tensor:
        return self.draft.node(port.node).outputs[port.port]


def _use(graph: OpGraph, number: int) -> Use:
    node = graph.node(number)
    assert isinstance(node, Use)
    return node
