"""A body without its numbers: what uses of operators have in common that differ in sizes and arguments alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, NamedTuple, TypeAlias

from ein.compiler.memo import per_body
from ein.compiler.weights import Slot, slots
from ein.grammar.bodies.tensors import Body, Step

SHOWN, BUILT, RUN = range(3)
"""Where a number is written: in comments alone, in the constructor, in `forward`."""

Number: TypeAlias = int | float
_Wires: TypeAlias = "tuple[tuple[Span, ...], tuple[Span, ...], tuple[int | None, ...], tuple[frozenset[int], ...]]"


class Role(NamedTuple):
    """What one number of a body is: `in_channels`, or the `axis` of a result."""

    name: str
    place: int
    axis: int | None = None
    """Of the sizes that it is one of."""


class Span(NamedTuple):
    """`length` numbers from `first` on."""

    first: int
    length: int


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """`number` is equal for bodies that differ in their numbers alone; `roles` says what these are.

    `inputs` and `results` are where the sizes of inputs and results stand among them. A result that is an input has
    it in `aliases`; `reads` are the inputs that each result depends on.
    """

    number: int
    roles: tuple[Role, ...]
    inputs: tuple[Span, ...]
    results: tuple[Span, ...]
    aliases: tuple[int | None, ...]
    reads: tuple[frozenset[int], ...]
    lines: float
    """About how many of a `forward` it takes."""


class Filled(NamedTuple):
    """A body as its template and the numbers that fill it, and what it keeps."""

    template: Template
    numbers: tuple[Number, ...]
    body: Body
    slots: tuple[Slot, ...]


class Templates:
    """The templates of the uses of one graph, and what fills them."""

    def __init__(self) -> None:
        self._numbers: dict[_Shape, Template] = {}
        self._known: dict[int, Filled] = {}

    def of(self, body: Body) -> Filled:
        found = self._known.get(id(body))
        if found is None:
            apart = _taken_apart(body)
            found = self._known[id(body)] = Filled(self._template(apart, body), apart.numbers, body, slots(body))
        return found

    def _template(self, apart: _Apart, body: Body) -> Template:
        known = self._numbers.get(apart.shape)
        if known is None:
            known = Template(len(self._numbers), apart.roles, *apart.wires, _lines(body))
            self._numbers[apart.shape] = known
        return known


class _Shape:
    """What bodies with one template are equal in. Its hash is kept: it goes through all steps."""

    __slots__ = ("_hash", "what")

    def __init__(self, *what: Hashable) -> None:
        self.what = what
        self._hash = hash(what)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shape) and self._hash == other._hash and self.what == other.what


class _Apart(NamedTuple):
    """A body as its shape and its numbers."""

    shape: _Shape
    numbers: tuple[Number, ...]
    roles: tuple[Role, ...]
    wires: _Wires


@per_body
def _taken_apart(body: Body) -> _Apart:
    numbers: list[Number] = []
    roles: list[Role] = []
    sizes: list[Span] = []
    shapes: list[Hashable] = []
    for step in body.steps:
        sizes.append(Span(len(numbers), len(step.sizes)))
        place = _place_of_sizes(step)
        axes = _AXES.get(len(step.sizes), ())
        numbers += step.sizes
        roles += (Role(axes[i] if axes else "size", place, i) for i in range(len(step.sizes)))
        kept = []
        for name, value in step.arguments:
            rest, own = _opened(step, name, value)
            kept.append((name, rest))
            numbers += own
            roles += (Role(_WORDS.get(name, name), _place(step)) for _ in own)
        shape = (step.op, step.inputs, len(step.sizes), step.name, step.batched, step.element, step.label)
        shapes.append((*shape, tuple(kept), *_decided(step, body.steps)))
    whole = _Shape(tuple(shapes), body.results, body.starts, body if _is_closed(body) else None)
    return _Apart(whole, tuple(numbers), tuple(roles), _wires(body, sizes))


_AXES = {1: ("features",), 2: ("length", "features"), 3: ("channels", "height", "width")}
_WORDS = {"num_features": "channels", "num_channels": "channels", "normalized_shape": "features", "at": "index"}
_SIZED = frozenset(("zeros", "range", "broadcast"))
"""Steps whose sizes are written in `forward`."""

_OPEN = {
    "unflatten": ("sizes",),
    "dropout": ("p",),
    "topk": ("count",),
    "one_hot": ("count",),
    "roll": ("by",),
    "pad": ("before", "after"),
    "windows": ("size", "by"),
    "copies": ("count",),
    "weight": ("start",),
    "buffer": ("start",),
    "number": ("value",),
}
"""Arguments that may differ; of layers and functions of torch all may."""


def _is_closed(body: Body) -> bool:
    """Whether nothing may differ: what is inside of a scan or of a host operator is not looked into, and what is
    computed at the start depends on sizes."""
    return bool(body.starts) or any(
        step.op in ("scan", "host") or (step.name == "clamp" and _is_number(body, step.inputs[0]))
        for step in body.steps
    )


def _is_number(body: Body, step: int) -> bool:
    return body.steps[step].op == "number"


def _place_of_sizes(step: Step) -> int:
    if step.op in ("weight", "buffer"):
        return BUILT
    return RUN if step.op in _SIZED else SHOWN


def _place(step: Step) -> int:
    return BUILT if step.op in ("layer", "weight", "buffer") else RUN


def _opened(step: Step, name: str, value: Any) -> tuple[Hashable, list[Number]]:
    """What stays of an argument, and its numbers."""
    if step.op not in ("layer", "function") and name not in _OPEN.get(step.op, ()):
        return value, []
    if isinstance(value, tuple):
        return tuple(_kind(each) if _is_open(step, each) else each for each in value), [
            each for each in value if _is_open(step, each)
        ]
    return (_kind(value), [value]) if _is_open(step, value) else (value, [])


def _is_open(step: Step, value: Any) -> bool:
    """A flag is none, and whole numbers among tensors say something of element types."""
    return isinstance(value, float) or (type(value) is int and step.op != "number")


def _kind(value: Number) -> str:
    return "real" if isinstance(value, float) else "whole"


def _decided(step: Step, steps: Sequence[Step]) -> tuple[Hashable, ...]:
    """What the text of a step is decided by, beside its own numbers."""
    match step.op:
        case "slice":
            return (step.argument("end") < steps[step.inputs[0]].sizes[step.argument("axis")],)
        case "zeros":
            return (step.sizes == steps[step.inputs[0]].sizes,)
        case "weight" | "buffer" if step.argument("start")[0] in ("kaiming", "xavier", "computed"):
            return (step.sizes,)
        case _:
            return ()


def _wires(body: Body, sizes: Sequence[Span]) -> _Wires:
    """The last four but one of a template."""
    reads: list[frozenset[int]] = []
    inputs: dict[int, Span] = {}
    for at, step in enumerate(body.steps):
        if step.op == "input":
            reads.append(frozenset((step.argument("which"),)))
            inputs[step.argument("which")] = sizes[at]
        else:
            reads.append(frozenset().union(*(reads[source] for source in step.inputs)))
    count = max(inputs, default=-1) + 1
    given = tuple(inputs.get(i, Span(0, 0)) for i in range(count))
    results = tuple(sizes[result] for result in body.results)
    ends = [body.steps[result] for result in body.results]
    aliases = tuple(step.argument("which") if step.op == "input" else None for step in ends)
    return given, results, aliases, tuple(reads[result] for result in body.results)


def _lines(body: Body) -> float:
    computed = sum(step.op not in ("input", "weight", "buffer", "number") for step in body.steps)
    return max(0.4, computed / 3)


# --- back again


def refilled(body: Body, named: Callable[[int], Number]) -> Body:
    """The body with `named(i)` for the number i of it."""
    at = count()
    return replace(body, steps=tuple(_refilled(step, at, named) for step in body.steps))


def _refilled(step: Step, at: Iterator[int], named: Callable[[int], Number]) -> Step:
    sizes: Any = tuple(named(next(at)) for _ in step.sizes)
    arguments = []
    for name, value in step.arguments:
        _, own = _opened(step, name, value)
        if isinstance(value, tuple) and own:
            value = tuple(named(next(at)) if _is_open(step, each) else each for each in value)
        elif own:
            value = named(next(at))
        arguments.append((name, value))
    return replace(step, sizes=sizes, arguments=tuple(arguments))
