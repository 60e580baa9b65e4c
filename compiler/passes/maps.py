"""Linear maps and convolutions as nodes, and others written in their place, for the passes of inference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ein.compiler import standard
from ein.compiler.graph import OpGraph, Port
from ein.compiler.nodes import Use
from ein.compiler.passes.layouts import declared
from ein.compiler.weights import Entry
from ein.grammar.bodies.tensors import Step
from ein.grammar.cfg import Application, Applied
from ein.grammar.numbers import Inapplicable
from ein.grammar.types import Tensor, merge

LAYERS = {"nn.Linear": "linear", "nn.Conv1d": "conv1d", "nn.Conv2d": "conv", "nn.Conv3d": "conv3d"}
"""Layers that are linear but for their bias, with rows of weights for each feature they give; and what to call them."""


@dataclass(frozen=True, slots=True)
class Map:
    """A node that applies one such layer and does nothing else."""

    number: int
    node: Use
    layer: Step

    @property
    def has_bias(self) -> bool:
        return bool(self.layer.argument("bias"))

    @property
    def axis(self) -> int:
        """That of the features it gives."""
        return len(self.layer.sizes) - 1 if self.layer.name == "nn.Linear" else 0

    def entry(self, name: str) -> Entry:
        """`weight` or `bias`, as it is kept."""
        kept = f"{self.layer.name.removeprefix('nn.').lower()}.{name}"
        return Entry(f"{self.node.key}.{kept}", self.node.weights[kept])

    def again(self, given: Tensor, output: Tensor, **changed: Any) -> Use:
        """The same layer from `given` to `output`, with some of its arguments changed."""
        arguments = {**dict(self.layer.arguments), **changed}
        known = _of_std(self.layer.name, arguments, given, output)
        if known is not None:
            return Use(*known, self.node.key, self.node.span, self.node.path)
        said = ", ".join(f"{name} = {_literal(value)}" for name, value in arguments.items())
        text = declared(LAYERS[self.layer.name], [("x", given)], output, f"{self.layer.name}({said})(x)")
        assert text is not None, "a layer keeps the number of axes"
        application = standard.written(text)
        return Use(application, application.at(given), self.node.key, self.node.span, self.node.path)


def _of_std(
    name: str, arguments: Mapping[str, Any], given: Tensor, output: Tensor
) -> tuple[Application, Applied] | None:
    """The operator of the standard library that applies just this layer, if there is one."""
    row = _OF_STD.get(name)
    if row is None:
        return None
    operator, names = row
    application = standard.application(operator, *((own, arguments[theirs]) for theirs, own in names.items()))
    found = application.look(given)
    if isinstance(found, Inapplicable) or merge((found.output, output)) is None:
        return None
    return (application, found) if dict(found.body.steps[-1].arguments) == arguments else None


_CONVOLUTION = {
    "out_channels": "out",
    "kernel_size": "k",
    "stride": "s",
    "dilation": "dilation",
    "padding": "p",
    "groups": "groups",
    "bias": "bias",
}
_OF_STD = {"nn.Linear": ("linear", {"out_features": "out", "bias": "bias"}), "nn.Conv2d": ("conv", _CONVOLUTION)}


def _literal(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True, slots=True)
class Alone:
    """Which nodes share their weights with no other."""

    keys: Counter[str]

    @staticmethod
    def of(graph: OpGraph) -> Alone:
        return Alone(Counter(node.key for _, node in graph.uses() if node.weights))

    def map_at(self, graph: OpGraph, port: Port) -> Map | None:
        """The map that gives a port."""
        node = graph.node(port.node)
        if not isinstance(node, Use) or self.keys[node.key] != 1:
            return None
        body = node.applied.body
        if [step.op for step in body.steps] != ["input", "layer"] or body.results != (1,):
            return None
        return Map(port.node, node, body.steps[1]) if body.steps[1].name in LAYERS else None

    def read_once(self, graph: OpGraph, port: Port) -> Map | None:
        """The map that gives a port which one other node reads."""
        return self.map_at(graph, port) if len(graph.targets(port.node)) == 1 else None


def factor(node: Use) -> float | None:
    """What an operator multiplies its input by, if that is all it does."""
    steps, results = node.applied.body.steps, node.applied.body.results
    if len(steps) != 3 or results != (2,) or steps[2].op != "pointwise" or len(node.inputs) != 1:
        return None
    if {steps[0].op, steps[1].op} != {"input", "number"}:
        return None
    at = 0 if steps[0].op == "number" else 1
    number = float(steps[at].argument("value"))
    if steps[2].name == "*" and set(steps[2].inputs) == {0, 1}:
        return number
    return 1 / number if steps[2].name == "/" and steps[2].inputs == (1 - at, at) and number else None
