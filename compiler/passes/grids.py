"""Grids: what acts on each position of a sequence acts on each pixel of an image."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from ein.compiler import standard
from ein.compiler.graph import Draft, OpGraph, Port
from ein.compiler.nodes import Use
from ein.compiler.passes import images
from ein.compiler.passes.convolution import origins
from ein.compiler.passes.images import Grid, Windows
from ein.compiler.passes.lifting import Image, on_images
from ein.compiler.passes.rewritten import Rewritten
from ein.compiler.weights import Entry, Moved
from ein.grammar.types import Tensor, tensor


def raise_grids(graph: OpGraph) -> Rewritten:
    """Grids move up through what acts on each position, to where the sequence was an image.

        x -> im2col(k, s, p) -> linear(d) -> f -> g -> col2im -> y
        x -> flatten -> f -> col2im -> y
        -->
        x -> im2col(k, s, p) -> linear(d) -> col2im -> f' -> g' -> y      (a convolution, for the pass behind this)
        x -> f' -> y

    f' does to each pixel what f does to each position: element by element, along the features, or by a layer (a
    linear map is a convolution of 1 x 1, a norm of features one of channels). It may have several inputs and results.
    Keeps: every other node. Needs: all that f reads comes from such an image of the grid's size, all that reads f
    leads to such a grid; where weights change shape, uses that share them all change alike; a linear map reads no
    image of which pixels were left out (`every`), where a convolution of 1 x 1 is slower.
    Exact: the same operations on the same numbers. A weight for each position and feature changes its axes.
    """
    if not graph.names("unflatten"):
        return Rewritten(graph)
    grids = {number: size for number, node in graph.uses() if (size := images.grid(node)) is not None}
    if not grids:
        return Rewritten(graph)
    region = _Region(graph, grids, origins(graph))
    for number, size in grids.items():
        region.reach(graph.sources(number)[0], size)
    region.shrink()
    return region.rewritten()


@dataclass(slots=True)
class _Region:
    """`lifted` are the nodes that are to act on images, with what does it and the size of the image."""

    graph: OpGraph
    grids: dict[int, Grid]
    origins: dict[int, tuple[int, Windows]]
    lifted: dict[int, tuple[Image, Grid]] = field(default_factory=dict)

    def reach(self, port: Port, size: Grid) -> None:
        """All that leads to a port and can act on images."""
        stack = [port]
        while stack:
            number = stack.pop().node
            node = self.graph.node(number)
            if number in self.lifted or not isinstance(node, Use) or self._is_source(number, size):
                continue
            image = on_images(node, size)
            if image is not None:
                self.lifted[number] = image, size
                stack += self.graph.sources(number)

    def shrink(self) -> None:
        """Without the nodes that something else reads or feeds, and uses that share weights with others."""
        order = [number for number in self.graph.order if number in self.lifted]
        left = -1
        while left != len(self.lifted):
            left = len(self.lifted)
            for number in (*order, *reversed(order)):
                if number in self.lifted and not (self._is_fed(number) and self._is_read(number)):
                    del self.lifted[number]
            self._keep_ties()

    def _is_source(self, number: int, size: Grid) -> bool:
        if number in self.origins:
            return self.origins[number][1].grid == size
        return images.flattened(self.graph.node(number)) == size

    def _is_fed(self, number: int) -> bool:
        size = self.lifted[number][1]
        sources = [source.node for source in self.graph.sources(number)]
        if images.is_linear(self.graph.node(number)) and self._is_thinned(sources[0]):
            return False
        return all(self._size(source) == size or self._is_source(source, size) for source in sources)

    def _is_thinned(self, number: int) -> bool:
        """Whether a sequence is of every second pixel or so; there a linear map is faster than a convolution."""
        if images.flattened(self.graph.node(number)) is None:
            return False
        return images.is_thinned(self.graph.node(self.graph.sources(number)[0].node))

    def _is_read(self, number: int) -> bool:
        size = self.lifted[number][1]
        return all(
            self._size(target.node) == size or self.grids.get(target.node) == size
            for _, target in self.graph.targets(number)
        )

    def _size(self, number: int) -> Grid | None:
        return self.lifted[number][1] if number in self.lifted else None

    def _keep_ties(self) -> None:
        uses = Counter(node.key for _, node in self.graph.uses())
        alike = Counter((self._use(number).key, size) for number, (_, size) in self.lifted.items())
        for number, (image, size) in list(self.lifted.items()):
            key = self._use(number).key
            if image.moved and alike[key, size] < uses[key]:
                del self.lifted[number]

    def _use(self, number: int) -> Use:
        node = self.graph.node(number)
        assert isinstance(node, Use)
        return node

    # --- writing

    def rewritten(self) -> Rewritten:
        ends = [number for number in self.grids if self._ends(number)]
        if not ends:
            return Rewritten(self.graph)
        draft = self.graph.draft()
        moves: dict[str, Moved] = {}
        made: dict[Port, Port] = {}
        for number in self.graph.order:
            if number in self.lifted:
                self._lift(draft, number, made, moves)
        for number in ends:
            draft.bypass(number, [self._image(draft, self.graph.sources(number)[0], made)])
        draft.remove_unused()
        return Rewritten(draft.done(), (moves,) if moves else ())

    def _ends(self, number: int) -> bool:
        """Whether what a grid reads is an image then."""
        source, size = self.graph.sources(number)[0].node, self.grids[number]
        return self._size(source) == size or images.flattened(self.graph.node(source)) == size

    def _lift(self, draft: Draft, number: int, made: dict[Port, Port], moves: dict[str, Moved]) -> None:
        image, node = self.lifted[number][0], self._use(number)
        sources = [self._image(draft, source, made) for source in self.graph.sources(number)]
        draft.replace(number, Use(image.application, image.applied, node.key, node.span, node.path), sources)
        for name, move in image.moved.items():
            entries = tuple(Entry(f"{node.key}.{entry.name}", entry.sizes) for entry in move.sources)
            moves[f"{node.key}.{name}"] = replace(move, sources=entries)

    def _image(self, draft: Draft, port: Port, made: dict[Port, Port]) -> Port:
        """A port of the graph before as an image."""
        if port.node in self.lifted:
            return port
        node = self._use(port.node)
        if images.flattened(node) is not None:
            return draft.sources(port.node)[0]
        if port not in made:
            windows, cut = self.origins[port.node]
            made[port] = Port(draft.add(_grid(node, cut.grid, self._use(windows).key), [port]), 0)
        return made[port]


def _grid(node: Use, size: Grid, key: str) -> Use:
    """The grid of what a node gives. `key` is that of an operator without weights."""
    sequence = node.outputs[0]
    application = standard.application("col2im")
    given: Tensor = tensor("seq", (size, sequence.sizes[1]), sequence.live)
    return Use(application, application.at(given), key, node.span, node.path)
