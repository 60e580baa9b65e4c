"""The network as it is put together: uses of operators with their types, each of one result or several.

What `std` can say is a use of one of its operators. What it cannot say is a formula over axes with names, which
becomes an operator of the file's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ein.compiler.standard import application
from ein.compiler.way_in.attention import Scores
from ein.compiler.way_in.calls import Call, Unsaid
from ein.compiler.way_in.formulas import Formula
from ein.compiler.way_in.moves import move
from ein.compiler.way_in.own import OWN
from ein.compiler.way_in.own import application as own_application
from ein.compiler.way_in.views import Dim, Value, View, Weight, axis, joined, moved, passive, whole_weight
from ein.grammar.cfg import Applied
from ein.grammar.types import Tensor, bundle, leaves, tensor

KINDS = {1: "vec", 2: "seq", 3: "im"}
"""By the number of axes behind the batch."""

UNKIND = "none"
"""Of what has no kind; it is gone where it is computed inside of another operator."""


def _number(value: Any) -> Any:
    """A whole number as one, so that it is written as its default is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(slots=True, eq=False)
class Node:
    """One use of an operator; `weights` by the names of `ein.compiler.weights.entries`."""

    name: str
    given: tuple[tuple[str, Any], ...]
    inputs: tuple[Value, ...]
    types: tuple[Tensor, ...]
    weights: Mapping[str, View] = field(default_factory=dict)
    formula: Formula | None = None
    call: Call | None = None


@dataclass(slots=True, eq=False)
class Network:
    """`nodes[0]` stands for the input. Values name nodes by their index."""

    batch: int
    weights: dict[str, Any]
    nodes: list[Node] = field(default_factory=list)
    call: Call | None = None
    parts: dict[tuple[int, int, int, int], tuple[Value, ...]] = field(default_factory=dict)
    """Values that were split: by node, port, axis and number of parts."""
    joins: dict[tuple[Any, ...], Value] = field(default_factory=dict)
    """Values that were joined: by axis and what they were joined of."""
    scores: dict[int, Scores] = field(default_factory=dict)
    """By the node that has them."""
    scaled: dict[int, tuple[View, float, tuple[Dim, ...]]] = field(default_factory=dict)
    """What a node is a multiple of, the factor, and how the node is seen."""
    tables: dict[str, str] = field(default_factory=dict)
    """Tables of words that are read at both ends, with their keys."""
    counters: dict[str, str] = field(default_factory=dict)
    """From running averages to the counter beside them."""

    def use(
        self, name: str, inputs: Sequence[Value], weights: Mapping[str, View] | None = None, /, **given: Any
    ) -> Value:
        """The only result of an operator of `std` or of `OWN`. Raises Unsaid where it does not take these types."""
        (found,) = self.several(name, inputs, weights, **given)
        return found

    def several(
        self, name: str, inputs: Sequence[Value], weights: Mapping[str, View] | None = None, /, **given: Any
    ) -> tuple[Value, ...]:
        given = {key: _number(value) for key, value in given.items()}
        use = own_application(name, *given.items()) if name in OWN else application(name, *given.items())
        types = [value.type for value in inputs]
        found = use.look(types[0] if len(types) == 1 else bundle(types))
        if not isinstance(found, Applied):
            raise Unsaid(f"`{name}` does not fit: {found.reason}")
        made = Node(name, use.given, tuple(inputs), tuple(leaves(found.output)), weights or {}, None, self.call)
        return self.add(made)

    def add(self, node: Node) -> tuple[Value, ...]:
        self.nodes.append(node)
        return tuple(Value(len(self.nodes) - 1, port, type) for port, type in enumerate(node.types))

    def local(
        self,
        formula: Formula,
        inputs: Sequence[Value],
        weights: Mapping[str, View],
        sizes: Sequence[int],
        kind: str = "",
    ) -> Value:
        """The result of an operator of the file's own."""
        type = tensor(kind or KINDS.get(len(sizes), UNKIND), tuple(sizes))
        (found,) = self.add(Node("", (), tuple(inputs), (type,), weights, formula, self.call))
        return found

    def split(self, value: Value, number: int, count: int) -> tuple[Value, ...]:
        """Equal parts of an axis, one split for all that ask."""
        key = (value.node, value.port, number, count)
        if key not in self.parts:
            self.parts[key] = self.several("split", [value], b=count, axis=number)
        return self.parts[key]

    def concat(self, values: Sequence[Value], number: int) -> Value:
        """Values joined along an axis. One that begins as an earlier one goes on from it."""
        rest = list(values)
        for end in range(len(values) - 1, 1, -1):
            known = self.joins.get((number, *((value.node, value.port) for value in values[:end])))
            if known is not None:
                rest = [known, *values[end:]]
                break
        made = self.use("concat", rest, axis=number)
        self.joins[(number, *((value.node, value.port) for value in values))] = made
        return made

    def counter(self, averages: View) -> View | None:
        """How many batches the averages of a batch norm are of."""
        assert isinstance(averages.base, Weight)
        name = self.counters.get(averages.base.name)
        return None if name is None else View(Weight(name, (), False), ())

    def gather(self, view: View, active: Sequence[int]) -> tuple[Value, tuple[Dim, ...]]:
        """The base laid out so that the axes `active` of the view come last, in this order, and which digits of the
        base its axes now are. Raises Unsaid where examples would be mixed."""
        lead, rest = passive(view, active), tuple(view.dims[at] for at in active)
        if len(lead) > 1 and len(rest) == 1 and not self._is_an_order(view, (*lead, *rest)):
            lead = (joined(digit for dim in lead for digit in dim),)
        return self.laid_out(view, (*lead, *rest)), (*lead, *rest)

    def _is_an_order(self, view: View, groups: Sequence[Dim]) -> bool:
        """Whether these are the axes of the base in some order."""
        return isinstance(view.base, Value) and set(groups) == {axis(n, s) for n, s in enumerate(view.base.sizes, 1)}

    def laid_out(self, view: View, groups: tuple[Dim, ...]) -> Value:
        if isinstance(view.base, Weight):
            raise Unsaid("it works on a weight, and what goes through operators depends on the input")
        if any(digit.axis <= 0 for group in groups for digit in group):
            raise Unsaid("it mixes the examples of a batch, or repeats values")
        return move(self, view.base, groups)

    def forced(self, view: View) -> Value:
        """The base as torch's tensor lies, the batch in front."""
        if not view.dims or view.dims[0] != axis(0, self.batch):
            raise Unsaid("the batch is not the first axis here")
        return self.laid_out(view, view.dims[1:])

    def viewed(self, view: View, active: Sequence[int], groups: tuple[Dim, ...], out: Value) -> View:
        """`out`, whose last axes replace the axes `active` of the view, in the view's order of axes."""
        first = len(out.sizes) - len(active) + 1
        fresh = {at: axis(first + i, out.sizes[first + i - 1]) for i, at in enumerate(active)}
        rest = iter(moved([dim for at, dim in enumerate(view.dims) if at not in fresh], groups))
        return View(out, tuple(fresh[at] if at in fresh else next(rest) for at in range(len(view.dims))))

    def weight(self, view: Any) -> View:
        """What a layer keeps: a parameter as it is, in any layout. Raises Unsaid where it is computed."""
        if not isinstance(view, View) or not isinstance(view.base, Weight):
            raise Unsaid("a weight of it is computed by the network, and a layer keeps its weights as they are")
        return view

    def part(self, weight: Weight, dim: int, start: int, end: int) -> View:
        """Rows of a weight, as a weight of their own."""
        name = f"{weight.name}[{dim}:{start}:{end}]"
        self.weights[name] = self.weights[weight.name].narrow(dim, start, end - start)
        sizes = (*weight.sizes[:dim], end - start, *weight.sizes[dim + 1 :])
        return whole_weight(Weight(name, sizes, weight.trained))
