"""How grammars spell convolutions: windows of an image, maps of their features, grids. Known by their bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ein.compiler.graph import Node
from ein.compiler.nodes import Use
from ein.grammar.bodies.tensors import Step

Grid: TypeAlias = tuple[int, int]
"""Rows and columns."""

_ELEMENTWISE = frozenset(
    f"F.{name}" for name in "leaky_relu elu selu celu gelu mish hardswish hardsigmoid hardtanh".split()
)


@dataclass(frozen=True, slots=True)
class Windows:
    """`k` x `k` windows of an image of some channels, `stride` apart; their positions form a grid."""

    channels: int
    k: int
    stride: int
    padding: int
    dilation: int
    grid: Grid

    @property
    def features(self) -> int:
        """Of each window: channels, rows and columns, in this order."""
        return self.channels * self.k * self.k


def windows(node: Node) -> Windows | None:
    """`im2col`: the features of each window behind the axis of the windows."""
    steps = in_a_row(node, "input", "function", "permute")
    if steps is None or steps[1].name != "F.unfold" or steps[2].argument("order") != (1, 0):
        return None
    if node.inputs[0].kind != "im":
        return None
    cut = dict(steps[1].arguments)
    channels, *spots = steps[0].sizes
    reach = cut["dilation"] * (cut["kernel_size"] - 1) + 1
    rows, columns = ((size + 2 * cut["padding"] - reach) // cut["stride"] + 1 for size in spots)
    return Windows(channels, cut["kernel_size"], cut["stride"], cut["padding"], cut["dilation"], (rows, columns))


def is_linear(node: Node) -> bool:
    steps = in_a_row(node, "input", "layer")
    return steps is not None and steps[1].name == "nn.Linear"


def is_convolution(node: Node) -> bool:
    steps = in_a_row(node, "input", "layer")
    return steps is not None and steps[1].name == "nn.Conv2d" and node.inputs[0].kind == "im"


def grid(node: Node) -> Grid | None:
    """`col2im`: the first axis made two, the channels before them, an image."""
    steps = in_a_row(node, "input", "unflatten", "permute")
    if steps is None or steps[1].argument("axis") != 0 or steps[2].argument("order") != (2, 0, 1):
        return None
    rows, columns = steps[1].argument("sizes")
    return (rows, columns) if node.outputs[0].kind == "im" else None


def flattened(node: Node) -> Grid | None:
    """`flatten`, which a grid undoes: the channels of an image last, rows and columns one axis."""
    steps = in_a_row(node, "input", "permute", "flatten")
    if steps is None or steps[1].argument("order") != (1, 2, 0) or steps[2].argument("first") != 0:
        return None
    _, rows, columns = steps[0].sizes
    return (rows, columns) if node.inputs[0].kind == "im" and steps[2].argument("last") == 1 else None


def is_thinned(node: Node) -> bool:
    """`every`: of some rows and columns the first ones."""
    steps = in_a_row(node, "input", "unflatten", "unflatten", "index", "index")
    return steps is not None and node.inputs[0].kind == node.outputs[0].kind == "im"


def parts(node: Node, axis: int) -> int | None:
    """`split`: into how many equal parts an operator cuts its only input along an axis, all of them in order."""
    if not isinstance(node, Use) or len(node.inputs) != 1:
        return None
    steps, results = node.applied.body.steps, node.applied.body.results
    count = len(results)
    for at, result in enumerate(results):
        step = steps[result]
        if step.op != "part" or step.name == "unbind" or step.inputs != (0,) or steps[0].op != "input":
            return None
        if (step.argument("axis"), step.argument("index"), step.argument("of")) != (axis, at, count):
            return None
    return count


def is_joined(node: Node, axis: int) -> bool:
    """`concat`: all inputs, in order, along an axis."""
    if not isinstance(node, Use) or len(node.outputs) != 1:
        return False
    *given, last = node.applied.body.steps
    if last.op != "concat" or last.argument("axis") != axis or node.applied.body.results != (len(given),):
        return False
    in_order = [step.argument("which") for step in given if step.op == "input"] == list(range(len(given)))
    return in_order and last.inputs == tuple(range(len(given))) and len(given) == len(node.inputs)


def in_a_row(node: Node, *wanted: str) -> tuple[Step, ...] | None:
    """The steps of a body that has just these, each reading the one before, the last one being the result."""
    if not isinstance(node, Use):
        return None
    body = node.applied.body
    if len(body.steps) != len(wanted) or body.results != (len(wanted) - 1,):
        return None
    chained = all(step.inputs == (() if at == 0 else (at - 1,)) for at, step in enumerate(body.steps))
    matches = all(step.op == op for step, op in zip(body.steps, wanted, strict=True))
    return body.steps if chained and matches else None


# --- element by element


def is_elementwise(step: Step) -> bool:
    """Whether each element of the result depends on the same element of the operands alone."""
    return step.op == "pointwise" or (step.op == "function" and step.name in _ELEMENTWISE)


def is_activation(node: Node) -> bool:
    """Whether a node computes its only result from its only input, element by element and without weights."""
    if not isinstance(node, Use) or (len(node.inputs), len(node.outputs)) != (1, 1):
        return False
    sizes = node.inputs[0].sizes
    return all(
        step.op == "number" or (step.sizes == sizes and (step.op == "input" or is_elementwise(step)))
        for step in node.applied.body.steps
    )
