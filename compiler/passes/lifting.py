"""Bodies on sequences as bodies on images: the positions of a sequence become rows and columns.

What is known here acts on each position alone: element by element, along the features, or by a layer that maps or
normalises features. Every step is written for the other layout; what cannot be written stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from ein.compiler import standard
from ein.compiler.nodes import Use
from ein.compiler.passes.channels import on_channels
from ein.compiler.passes.images import Grid, is_elementwise
from ein.compiler.weights import Entry, Moved, entries, slots
from ein.grammar.bodies.tensors import Body, Sizes, Step
from ein.grammar.cfg import Application, Applied
from ein.grammar.diagnostics import EinError
from ein.grammar.types import Tensor, ValueType, bundle, leaves, tensor

_ALONG = frozenset(("softmax", "log_softmax", "cumsum", "cumprod", "flip", "sort"))
_REDUCTIONS = frozenset(("sum", "mean", "prod", "max", "min", "logsumexp", "var", "norm"))
_STARTS = frozenset(("constant", "normal", "uniform", "trunc_normal"))
"""Starts that do not look at the shape."""

Form: TypeAlias = str
"""How a value is laid out before and after, for l positions, d features and a grid of h x w:

full (l, d) as (d, h, w); turned (d, l) as (d, h, w); rows (l,) as (h, w); column (l, 1) as (1, h, w);
vector (d,) and number () as they are; upright, a vector that stands along the features of what is turned,
(d, 1) as (d, 1, 1).
"""


class Unknown(Exception):
    """A step that is not written for images here."""


@dataclass(frozen=True, slots=True)
class Image:
    """An operator on images, and its weights (by their names within the use) where they are not those of before."""

    application: Application
    applied: Applied
    moved: Mapping[str, Moved]


def on_images(node: Use, grid: Grid) -> Image | None:
    """What a node computes on sequences of h * w positions, computed on images of h x w; None where there is no way."""
    rows, columns = grid
    ends = (*node.inputs, *node.outputs)
    if any(len(t.sizes) != 2 or t.sizes[0] != rows * columns or t.element != "float" for t in ends):
        return None
    try:
        body = _Lifting(node.applied.body, grid).run()
    except Unknown:
        return None
    found = _operator(node, body, [_on(t, grid) for t in node.inputs])
    return None if found is None else Image(*found, _moved(node.applied.body, body, grid))


def pixel_by_pixel(node: Use, given: Tensor) -> tuple[Application, Applied] | None:
    """An activation on a tensor of another shape."""
    old, body = node.inputs[0].sizes, node.applied.body
    steps = tuple(replace(step, sizes=given.sizes) if step.sizes == old else step for step in body.steps)
    return _operator(node, replace(body, steps=steps), [given])


def _on(sequence: Tensor, grid: Grid) -> Tensor:
    return tensor("im", (sequence.sizes[1], *grid), sequence.live)


def _operator(node: Use, body: Body, inputs: list[Tensor]) -> tuple[Application, Applied] | None:
    """The first operator that has the body: this one on images, one of the library, this one on channels."""
    given, kind = _together(inputs), inputs[0].kind
    for application in (node.application, *_known(body), on_channels(node.application)):
        found = None if application is None else _look(application, given)
        if application is None or found is None:
            continue
        if _steps(found.body) == _steps(body) and all(leaf.kind == kind for leaf in leaves(found.output)):
            return application, found
    return None


def _look(application: Application, given: ValueType) -> Applied | None:
    """The operator at a type; None where it, or its body, does not take that."""
    try:
        found = application.look(given)
    except EinError:  # the body of an operator on channels, which nothing has checked
        return None
    return found if isinstance(found, Applied) else None


def _together(types: list[Tensor]) -> ValueType:
    return types[0] if len(types) == 1 else bundle(types)


def _known(body: Body) -> list[Application]:
    """Operators of the library that may have this body, as far as one step says."""
    found = []
    for step in body.steps:
        said = dict(step.arguments)
        match step.op, step.name:
            case "layer", "nn.LayerNorm":
                found.append(standard.application("layer_norm", ("eps", said["eps"])))
            case "layer", "nn.BatchNorm2d":
                found.append(standard.application("batch_norm"))
            case "layer", "nn.Conv2d":
                given = (("out", said["out_channels"]), ("k", 1), ("p", 0), ("bias", said["bias"]))
                found.append(standard.application("conv", *given))
            case "along", "softmax":
                found.append(standard.application("softmax_channels"))
            case "concat", _:
                found.append(standard.application("concat", ("axis", 1)))
            case "part", _:
                found.append(standard.application("split", ("b", said["of"]), ("axis", 1)))
    return found


def _steps(body: Body) -> tuple[Any, ...]:
    """What tells bodies apart: all but the names that authors gave."""
    return tuple(replace(step, label="") for step in body.steps), body.results, body.starts


def _moved(old: Body, new: Body, grid: Grid) -> dict[str, Moved]:
    """Every entry, if one has another name or shape than before."""
    before, after = entries(old), entries(new)
    if before == after:
        return {}
    found: dict[str, Moved] = {}
    for one, other in zip(slots(old), slots(new), strict=True):
        for name, sizes in after.items():
            if name == other.name or name.startswith(f"{other.name}."):
                source = one.name + name.removeprefix(other.name)
                found[name] = _move(Entry(source, before[source]), sizes, grid)
    return found


def _move(entry: Entry, sizes: Sizes, grid: Grid) -> Moved:
    """A weight for each position and feature has its axes in the other order; any other keeps its numbers in order."""
    if len(entry.sizes) == 2 and sizes == (entry.sizes[1], *grid):
        return Moved((entry,), sizes, (*grid, entry.sizes[1]), (2, 0, 1))
    return Moved((entry,), sizes)


@dataclass(slots=True)
class _Lifting:
    body: Body
    grid: Grid
    steps: list[Step] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    """For each step of the body, the step that now stands for it."""
    forms: list[Form] = field(default_factory=list)

    @property
    def positions(self) -> int:
        return self.grid[0] * self.grid[1]

    def run(self) -> Body:
        """Raises Unknown."""
        for step in self.body.steps:
            at, form = self._step(step)
            self.at.append(at)
            self.forms.append(form)
        if any(self.forms[result] != "full" for result in self.body.results):
            raise Unknown
        return replace(self.body, steps=tuple(self.steps), results=tuple(self.at[r] for r in self.body.results))

    def _step(self, step: Step) -> tuple[int, Form]:
        forms = [self.forms[source] for source in step.inputs]
        match step.op:
            case "input":
                return self._put(step, "full"), "full"
            case "number":
                return self._add(step), "number"
            case "weight" | "buffer":
                return self._weight(step)
            case "pointwise":
                return self._pointwise(step, forms)
            case "function" if is_elementwise(step):
                return self._put(step, forms[0]), forms[0]
            case "permute" if step.argument("order") == (1, 0) and forms[0] in ("full", "turned"):
                return self.at[step.inputs[0]], "turned" if forms[0] == "full" else "full"
            case "layer":
                return self._layer(step, forms[0])
            case "unsqueeze":
                return self._unsqueeze(step, forms[0])
            case "reduce" if step.name in _REDUCTIONS and forms == ["full"] and step.argument("axes") == (1,):
                return self._put(step, "rows", axes=(0,)), "rows"
            case "along" if step.name in _ALONG and self._is_along_features(step, forms[0]):
                return self._put(step, forms[0], axis=0), forms[0]
            case "part" if step.name != "unbind" and self._is_along_features(step, forms[0]):
                return self._put(step, forms[0], axis=0), forms[0]
            case "concat" | "slice" if set(forms) == {"full"} and step.argument("axis") == 1:
                return self._put(step, "full", axis=0), "full"
        raise Unknown

    def _is_along_features(self, step: Step, form: Form) -> bool:
        return (form, step.argument("axis")) in (("full", 1), ("turned", 0))

    def _weight(self, step: Step) -> tuple[int, Form]:
        """A vector, or a number for each position and feature, which moves."""
        if len(step.sizes) <= 1:
            return self._add(step), "vector" if step.sizes else "number"
        kind = step.argument("start")[0]
        if len(step.sizes) != 2 or step.sizes[0] != self.positions or kind not in _STARTS:
            raise Unknown
        if dict(step.arguments).get("key") is not None:
            raise Unknown
        return self._put(step, "full"), "full"

    def _pointwise(self, step: Step, forms: list[Form]) -> tuple[int, Form]:
        made = set(forms) - {"number"}
        if made <= {"turned", "upright"}:
            form = "turned" if "turned" in made else "upright" if made else "number"
        elif made == {"rows"}:
            form = "rows"
        elif made <= {"full", "column", "vector"}:
            form = "column" if made == {"column"} else "vector" if made == {"vector"} else "full"
        else:
            raise Unknown
        operands = [self._upright(at) if form == "full" else self.at[at] for at in step.inputs]
        return self._add(replace(step, inputs=tuple(operands), sizes=self._sizes(step.sizes, form))), form

    def _upright(self, number: int) -> int:
        """A vector with an axis for rows and one for columns behind it."""
        at = self.at[number]
        if self.forms[number] != "vector":
            return at
        old = self.body.steps[number]
        return self._add(Step("unsqueeze", (at,), (*old.sizes, 1, 1), "", (("axes", (1, 2)),), old.batched))

    def _unsqueeze(self, step: Step, form: Form) -> tuple[int, Form]:
        if form == "rows" and step.argument("axes") == (1,):
            return self._put(step, "column", axes=(0,)), "column"
        if form == "vector" and step.argument("axes") == (1,):
            return self._put(step, "upright", axes=(1, 2)), "upright"
        raise Unknown

    def _layer(self, step: Step, form: Form) -> tuple[int, Form]:
        said = dict(step.arguments)
        match step.name, form:
            case "nn.LayerNorm", "full":
                return self._norm(step), form
            case "nn.Linear", "full":
                return self._map(step), form
            case "nn.BatchNorm1d" | "nn.InstanceNorm1d", "turned":
                return self._put(replace(step, name=step.name.replace("1d", "2d")), form), form
            case "nn.GroupNorm", "turned":
                return self._put(step, form), form
            case "nn.Conv1d", "turned" if (said["kernel_size"], said["stride"], said["padding"]) == (1, 1, 0):
                return self._put(replace(step, name="nn.Conv2d"), form), form
        raise Unknown

    def _norm(self, step: Step) -> int:
        features = step.sizes[1]
        last = (*self.grid, features)
        at = self._add(Step("permute", (self.at[step.inputs[0]],), last, "", (("order", (1, 2, 0)),)))
        at = self._add(replace(step, inputs=(at,), sizes=last))
        return self._add(Step("permute", (at,), (features, *self.grid), "", (("order", (2, 0, 1)),)))

    def _map(self, step: Step) -> int:
        said = dict(step.arguments)
        given = {"in_channels": said["in_features"], "out_channels": said["out_features"], "kernel_size": 1}
        given |= {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": said["bias"]}
        return self._put(replace(step, name="nn.Conv2d", arguments=tuple(given.items())), "full")

    def _put(self, step: Step, form: Form, **arguments: Any) -> int:
        """The step with these arguments and the sizes of a form."""
        said = tuple((name, arguments.get(name, value)) for name, value in step.arguments)
        inputs = tuple(self.at[source] for source in step.inputs)
        return self._add(replace(step, inputs=inputs, arguments=said, sizes=self._sizes(step.sizes, form)))

    def _sizes(self, old: Sizes, form: Form) -> Sizes:
        match form:
            case "full" if old[0] == self.positions:
                return (old[1], *self.grid)
            case "turned" if old[1] == self.positions:
                return (old[0], *self.grid)
            case "rows":
                return self.grid
            case "column":
                return (1, *self.grid)
            case "upright":
                return (old[0], 1, 1)
            case "vector" | "number":
                return old
        raise Unknown

    def _add(self, step: Step) -> int:
        self.steps.append(step)
        return len(self.steps) - 1
