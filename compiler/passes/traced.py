"""What operators do to the layout of their inputs, by their bodies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ein.compiler.graph import OpGraph, Port
from ein.compiler.memo import per_body
from ein.compiler.nodes import Use
from ein.compiler.passes import views
from ein.compiler.passes.views import Joined, View
from ein.grammar.bodies.tensors import Body, Step

LOOKING = frozenset(("input", "permute", "unflatten", "flatten", "unsqueeze", "part", "index", "slice"))
"""Steps that give elements of their operand and no others."""


@dataclass(slots=True)
class Tracer:
    """Views of what computing operators give; grows in place."""

    joins: dict[tuple[int, int], Joined] = field(default_factory=dict)
    """Of steps that lay several views side by side, by node and step."""

    def results(self, number: int, node: Use, given: Sequence[View]) -> list[View]:
        """A view for each result. What a node computes is a root of its own: (node, step)."""
        body = node.applied.body
        if not shows(body):
            return [views.whole((number, result), body.steps[result].sizes) for result in body.results]
        values: list[View] = []
        for index, step in enumerate(node.applied.body.steps):
            operands = [values[source] for source in step.inputs]
            found = given[step.argument("which")] if step.op == "input" else self._view((number, index), step, operands)
            values.append(views.whole((number, index), step.sizes) if found is None else self._inside(found))
        return [values[result] for result in node.applied.body.results]

    def _view(self, root: tuple[int, int], step: Step, operands: list[View]) -> View | None:
        if step.op in ("concat", "stack"):
            return self._joined(root, step, operands)
        return looked(step, operands[0]) if operands else None

    def _joined(self, root: tuple[int, int], step: Step, operands: list[View]) -> View | None:
        axis = step.argument("axis")
        parts = [views.unsqueezed(each, (axis,)) for each in operands] if step.op == "stack" else operands
        if len(parts) == 1:
            return parts[0]
        found = views.concatenated(parts, axis)
        if found is None:
            firsts = [sum(part.sizes[axis] for part in parts[:at]) for at in range(len(parts))]
            self.joins[root] = Joined(step.sizes, axis, tuple(zip(firsts, parts, strict=True)))
        return found

    def _inside(self, view: View) -> View:
        """Into a part of what was laid side by side, as deep as it goes."""
        while isinstance(view.root, tuple) and view.root in self.joins:
            found = views.inside(view, self.joins[view.root])
            if found is None:
                return view
            view = found
        return view


def looked(step: Step, view: View) -> View | None:
    """What a step makes of a view, if it is a view too."""
    match step.op:
        case "permute":
            return views.permuted(view, step.argument("order"))
        case "unflatten":
            return views.unflattened(view, step.argument("axis"), step.argument("sizes"))
        case "flatten":
            return views.flattened(view, step.argument("first"), step.argument("last"))
        case "unsqueeze":
            return views.unsqueezed(view, step.argument("axes"))
        case "part":
            return _part(step, view)
        case "index":
            found = views.sliced(view, step.argument("axis"), step.argument("at"), 1)
            return None if found is None else views.without(found, step.argument("axis"))
        case "slice":
            first, end = step.argument("first"), step.argument("end")
            return views.sliced(view, step.argument("axis"), first, end - first)
        case "function":
            return _of_one(step, view)
        case _:
            return None


def _part(step: Step, view: View) -> View | None:
    axis, at = step.argument("axis"), step.argument("index")
    if step.name == "unbind":
        found = views.sliced(view, axis, at, 1)
        return None if found is None else views.without(found, axis)
    size = view.sizes[axis] // step.argument("of")
    return views.sliced(view, axis, at * size, size)


_POOLS = frozenset(("F.max_pool1d", "F.max_pool2d", "F.avg_pool1d", "F.avg_pool2d"))
_ADAPTIVE = frozenset(("F.adaptive_avg_pool1d", "F.adaptive_avg_pool2d", "F.adaptive_max_pool2d"))


def _of_one(step: Step, view: View) -> View | None:
    """Windows of one entry, each on its own: their mean and their maximum are that entry, whatever it is."""
    given, sizes = dict(step.arguments), view.sizes
    if step.name in _POOLS:
        alone = given["kernel_size"] == 1 and given["stride"] in (1, None) and not given["padding"]
        return view if alone else None
    if step.name == "F.unfold":
        alone = given["kernel_size"] == given["stride"] == 1 and not given["padding"]
        return views.flattened(view, 1, 2) if alone else None
    if step.name == "F.interpolate":
        return (
            view if given["mode"] == "nearest" and given["scale_factor"] in (1, None) and step.sizes == sizes else None
        )
    if step.name in _ADAPTIVE:
        return view if step.sizes == sizes else None
    if step.name in ("F.pixel_shuffle", "F.pixel_unshuffle"):
        return _shuffled(step, view)
    return None


def _shuffled(step: Step, view: View) -> View | None:
    c, h, w = view.sizes
    if step.name == "F.pixel_shuffle":
        r = step.argument("upscale_factor")
        found = views.unflattened(view, 0, (c // (r * r), r, r))
        return None if found is None else _grouped(found, (0, 3, 1, 4, 2), (1, 3))
    r = step.argument("downscale_factor")
    found = views.unflattened(view, 2, (w // r, r))
    found = None if found is None else views.unflattened(found, 1, (h // r, r))
    if found is None:
        return None
    return views.flattened(views.permuted(found, (0, 2, 4, 1, 3)), 0, 2)


def _grouped(view: View, order: Sequence[int], pairs: Sequence[int]) -> View:
    """The axes in another order, and the pairs that begin at these made one axis each."""
    view = views.permuted(view, order)
    for at in reversed(pairs):
        view = views.flattened(view, at, at + 1)
    return view


@per_body
def shows(body: Body) -> bool:
    """Whether a result may be a view of an input; the other bodies need no look at their steps."""
    given = any(body.steps[result].op == "input" for result in body.results)
    return given or any(step.op in _SHOWING or _may_be_of_one(step) for step in body.steps)


_SHOWING = LOOKING - {"input"} | {"concat", "stack"}


def _may_be_of_one(step: Step) -> bool:
    if step.op != "function":
        return False
    if step.name in _POOLS or step.name == "F.unfold":
        return bool(step.argument("kernel_size") == 1)
    return step.name in _ADAPTIVE or step.name in ("F.interpolate", "F.pixel_shuffle", "F.pixel_unshuffle")


def ports(graph: OpGraph) -> dict[Port, View]:
    """What every port shows, in the order of the nodes."""
    return _traced(graph, graph.uses())


def repeats(graph: OpGraph) -> dict[Port, View]:
    """What every port shows that may show another one, and every port that those read; sources first."""
    return _traced(graph, graph.having(_may_repeat))


@per_body
def _may_repeat(body: Body) -> bool:
    """Whether a result may be a view of an input, or of the same as another result."""
    from_input: list[bool] = []
    for step in body.steps:
        looks = step.op in _SHOWING or _may_be_of_one(step)
        from_input.append(step.op == "input" or (looks and any(from_input[source] for source in step.inputs)))
    return len(body.results) > 1 or from_input[body.results[0]]


def _traced(graph: OpGraph, uses: Iterable[tuple[int, Use]]) -> dict[Port, View]:
    tracer = Tracer()
    found: dict[Port, View] = {}
    for number, node in uses:
        sources = graph.sources(number)
        for source in sources:
            if source not in found:
                found[source] = _source(graph, tracer, source)
        made = tracer.results(number, node, [found[source] for source in sources])
        found |= {Port(number, port): view for port, view in enumerate(made)}
    return found


def _source(graph: OpGraph, tracer: Tracer, port: Port) -> View:
    """What a port shows that is no view of what its node reads."""
    node = graph.node(port.node)
    if not isinstance(node, Use):
        return views.whole((port.node, -1 - port.port), node.outputs[port.port].sizes)
    given = [views.whole(at, each.sizes) for at, each in enumerate(node.inputs)]
    return tracer.results(port.node, node, given)[port.port]
