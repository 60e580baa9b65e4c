"""From a derivation to a graph, source, a module, a picture."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ein.grammar.derivations.derivation import Derivation
from ein.space import Space

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ein.compiler.emit import EmittedSource
    from ein.compiler.graph import OpGraph
    from ein.compiler.passes import Pass


def lower(derivation: Derivation) -> OpGraph:
    """The operation graph as the derivation says it, identities included."""
    from ein.compiler.lower import lower as lower_term

    return lower_term(derivation.term)


EVALUATES = (
    "For evaluation alone, with weights that `ein.carry(state, …, inference=True)` folds from a trained network."
)
"""What source says that was compiled for inference."""


def optimise(graph: OpGraph, inference: bool = False) -> OpGraph:
    """The graph after all passes: the same function for the same weights.

    With `inference`, also after those that fold batch norms, scales and linear maps in a row into one layer. Then it
    is the same function in evaluation only, for the weights that `carry` makes of those of the other one.
    """
    from ein.compiler.passes import EVALUATION, PIPELINE
    from ein.compiler.passes import optimise as run_passes

    return run_passes(graph, EVALUATION if inference else PIPELINE).graph


def emit(
    what: Derivation | OpGraph, name: str = "Net", docstring: str | None = None, *, blocks: bool = True
) -> EmittedSource:
    """Standalone torch source with the class `name`, and classes for what repeats unless `blocks` is false.

    A derivation is lowered and optimised first.
    """
    from ein.compiler.emit import emit as emit_graph

    text = docstring if docstring is not None else describe(what)
    return emit_graph(_graph(what), name, text, blocks=blocks)


def build(what: Derivation | OpGraph, seed: int = 0, device: str = "cpu") -> nn.Module:
    """The network with fresh weights of `seed`, equal on every device; the global random state is left as it was.

    On the device `meta` there are shapes and no numbers.
    """
    import torch

    from ein.compiler.emit import emit as emit_graph
    from ein.compiler.load import load
    from ein.runtime.seeding import seeded

    place = torch.device(device)
    with seeded(seed), torch.device(place if place.type == "meta" else "cpu"):
        module: nn.Module = load(emit_graph(_graph(what), "Net", describe(what)))
    return module.to(place)


def compile(
    what: Derivation | OpGraph, path: str | os.PathLike[str], *, net: nn.Module | None = None, seed: int = 0
) -> Path:
    """Writes the network in the form that the path ends in (py, graph, onnx, pt2); returns the path.

    A program (onnx, pt2) has the weights of `net`, a network that `build` gave for `what`, or fresh ones of `seed`.
    Raises EinError where it cannot be written, or a form cannot say it; ValueError for another ending.
    """
    from ein.compiler.export import SUFFIXES, export
    from ein.grammar.derivations.files import write

    target, graph = Path(path), _graph(what)
    match target.suffix:
        case ".py":
            write(target, emit(what))
        case ".graph":
            write(target, graph_text(graph))
        case suffix if suffix in SUFFIXES:
            export(net or build(what, seed), graph.node(graph.input).outputs, target)
        case _:
            raise ValueError(f"path={str(path)!r}: the name ends in .py, .graph, {' or '.join(SUFFIXES)}")
    return target


def carry(
    state: Mapping[str, Tensor],
    what: Derivation | OpGraph,
    source: Sequence[Pass] | None = None,
    target: Sequence[Pass] | None = (),
    *,
    inference: bool = False,
) -> dict[str, Tensor]:
    """The weights of a network, compiled in one way, as the weights of the same network compiled in another way.

    `state` is the state of what `source` compiles, and the result that of what `target` compiles: passes, all of those
    of `optimise` for None, and none for (), which is what `emit(lower(derivation))` says; `inference` stands for those
    of `optimise(graph, inference=True)` as the target. Entries that nothing which the network gives depends on are left
    out. Raises KeyError for an entry that the state lacks, and ValueError where the source is one for inference.
    """
    from ein.compiler.carry import carried
    from ein.compiler.passes import EVALUATION

    graph = lower(what) if isinstance(what, Derivation) else what
    return carried(graph, state, source, EVALUATION if inference else target)


def graph_text(graph: OpGraph) -> str:
    """The graph as text that stands on its own, a line for each node; `read_graph` reads it back."""
    from ein.compiler.graph_text import graph_file

    return graph_file(graph)


def read_graph(text: str, name: str = "graph") -> OpGraph:
    """The graph of such a text. Raises EinError, naming the line, where it is none."""
    from ein.compiler.graph_reading import read_graph as read

    return read(text, name)


def draw(
    what: Derivation | OpGraph | Space,
    path: str | os.PathLike[str],
    *,
    say: Callable[[str], None] | None = None,
    **options: Any,
) -> Path:
    """Writes a picture in the form that the path ends in (svg, png, pdf, html, dot, mmd); returns the path written.

    Options: those of `ein.compiler.drawing.draw.Options`: view ("graph", "derivation"), against (the network to compare
    with), title, direction ("TB", "LR"), style ("light", "dark", "paper"), costs, heat ("params", "macs", "memory"),
    shapes, wires, unfold, columns, depth, most, heading, scale. Raises ValueError for a wrong one.
    """
    from ein.compiler.drawing.draw import Options
    from ein.compiler.drawing.draw import draw as draw_picture

    drawn = what.grammar if isinstance(what, Space) else what
    return draw_picture(drawn, path, Options(**options), say=say)


def _graph(what: Derivation | OpGraph) -> OpGraph:
    return optimise(lower(what)) if isinstance(what, Derivation) else what


def describe(what: Derivation | OpGraph) -> str | None:
    """What a reader of the source wants to know: which network this is, and how to write it."""
    if not isinstance(what, Derivation):
        return None
    cost = what.cost
    types = f"{what.input!r} -> {what.type!r}"
    return f"{what.id}\n\n{types}: {cost.parameters:,} parameters, {cost.macs:,} MACs.\n\n{what.text}"
