"""An operation graph as a scene: a box for each use of an operator, shapes on the wires, frames around what rules,
macros and copies made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import sqrt

from ein.compiler.drawing.folding import MOST, fitted
from ein.compiler.drawing.graph_tree import Node, Part, Same, tree
from ein.compiler.drawing.groups import group
from ein.compiler.drawing.scene import Box, Facts, Frame, Item, Look, Run, Scene, Wire
from ein.compiler.drawing.texts import COSTS, NAMES, amount, cost_text, network_text, quantity, type_text
from ein.compiler.graph import OpGraph, cost
from ein.compiler.graph_text import place
from ein.compiler.nodes import Input, Output, Use
from ein.compiler.passes.wires import remove_wires
from ein.grammar.cfg import Cost
from ein.grammar.types import Tensor

SIGNS = {"add": "+", "multiply": "x", "mul": "x"}
"""Operators that the field draws as a sign in a circle."""

LONGEST = 160
"""Letters of a line of source in the details."""
ENDS = 8
"""Rules around an operator that are named, from outside and from inside."""
BUNDLED = 3
"""Wires of one type between two boxes that are drawn as one."""


def graph_scene(
    graph: OpGraph,
    title: str = "",
    direction: str | None = None,
    *,
    costs: tuple[str, ...] = ("params", "macs"),
    heat: str | None = None,
    wires: bool = False,
    most: int = MOST,
    lines: Mapping[int, str] | None = None,
) -> Scene:
    """`costs` and `heat` are of texts.COSTS: as numbers in the boxes, and as their fill. `wires`: identities and clones
    are boxes too. `lines`: the torch source of a node, for the details."""
    shown = graph if wires else remove_wires(graph).graph
    view = _View(shown, costs, heat, lines or {})
    total = cost(graph)
    scene = Scene(
        title or "Operation graph",
        network_text(total),
        _summary(shown),
        (view.end(shown.input), *view.items(tree(shown, most)), view.end(shown.output)),
        tuple(view.wires()),
        heat=view.scale(),
        direction=direction or "TB",
    )
    return fitted(scene, most)


@dataclass(slots=True)
class _View:
    graph: OpGraph
    costs: tuple[str, ...]
    heat: str | None
    lines: Mapping[int, str]
    shared: set[str] = field(init=False)
    hottest: int = field(init=False)
    frames: int = 0

    def __post_init__(self) -> None:
        keys = Counter(use.key for _, use in self.graph.uses() if use.weights)
        self.shared = {key for key, count in keys.items() if count > 1}
        amounts = (self._amount(use) for _, use in self.graph.uses())
        self.hottest = max(amounts, default=0)

    def _amount(self, use: Use) -> int:
        return quantity(use.applied.cost, self.heat) if self.heat else 0

    def _warmth(self, cost: Cost) -> float | None:
        """Of a part, of which several boxes may be hot, at most 1."""
        if self.heat is None:
            return None
        return min(1.0, sqrt(quantity(cost, self.heat) / max(self.hottest, 1)))

    def scale(self) -> tuple[str, str, str] | None:
        """Square roots, so that the small ones are told apart too."""
        return (f"{NAMES[self.heat]}, square root", "0", amount(self.hottest)) if self.heat else None

    def end(self, number: int) -> Box:
        found = self.graph.node(number)
        assert isinstance(found, Input | Output)
        types = [type_text(type) for type in found.outputs or found.inputs]
        facts = ((found.text, ", ".join(types)),)
        return Box(
            f"n{number}", found.text, Look.END, tuple(types), hover=f"{found.text}: {', '.join(types)}", facts=facts
        )

    def items(self, found: Iterable[Node]) -> Iterator[Item]:
        for item in found:
            match item:
                case int():
                    yield self._box(item)
                case Part():
                    yield self._frame(item)
                case Same(parts, series):
                    self.frames += 1
                    id = f"r{self.frames}"
                    yield Run(id, tuple(self._frame(p) if isinstance(p, Part) else self._box(p) for p in parts), series)

    def _box(self, number: int) -> Box:
        use = self.graph.node(number)
        assert isinstance(use, Use)
        price = cost_text(use.applied.cost, self.costs)
        tied = "shares its weights" if use.key in self.shared else ""
        sign = SIGNS.get(use.text)
        before, after = type_text(use.applied.input), type_text(use.applied.output)
        parts = [f"{use.text}: {before} -> {after}", cost_text(use.applied.cost), tied, _around(use)]
        return Box(
            f"n{number}",
            sign or use.text,
            group(use.applied),
            () if sign else tuple(part for part in (price, tied) if part),
            small=sign is not None,
            hover=" · ".join(part for part in parts if part),
            facts=self._facts(number, use),
            heat=self._warmth(use.applied.cost),
        )

    def _facts(self, number: int, use: Use) -> Facts:
        shapes = ", ".join(f"{name} {' x '.join(map(str, sizes))}" for name, sizes in use.weights.items())
        rows = [
            ("operator", use.text),
            ("input", type_text(use.applied.input)),
            ("output", type_text(use.applied.output)),
            *_amounts(use.applied.cost),
            ("weights", shapes),
            ("key", use.key if use.weights else ""),
            ("in", _around(use)),
            ("place", place(use.span)),
            ("line", _line(use)),
            ("torch", self.lines.get(number, "")),
        ]
        return tuple((name, text) for name, text in rows if text)

    def _frame(self, part: Part) -> Frame:
        self.frames += 1
        id = f"f{self.frames}"
        uses = [use for number in part.nodes if isinstance(use := self.graph.node(number), Use)]
        total = sum((use.applied.cost for use in uses), Cost())
        count = f"{len(uses)} operators"
        price = cost_text(total, self.costs)
        name = part.name or f"{uses[0].text} … {uses[-1].text}"
        facts = (("part", name), ("operators", str(len(uses))), *_amounts(total))
        return Frame(
            id,
            part.name,
            tuple(self.items(part.items)),
            tuple(text for text in (count, price) if text),
            hover=" · ".join(text for text in (name, count, cost_text(total)) if text),
            facts=facts,
            heat=self._warmth(total),
        )

    def wires(self) -> Iterator[Wire]:
        """From one node to another one each, or one for all where there are many of one type."""
        for number, one in self.graph.nodes():
            found: dict[tuple[int, str], list[int]] = {}
            for at, source in enumerate(self.graph.sources(number), 1):
                found.setdefault((source.node, type_text(self.graph.type(source))), []).append(at)
            for (node, type), inputs in found.items():
                bundled = len(inputs) >= BUNDLED
                for ends in [f"{inputs[0]} to {inputs[-1]}"] if bundled else map(str, inputs):
                    shape = f"{len(inputs)} of {type}" if bundled else type
                    says = f"{self.graph.node(node).text} -> input {ends} of {one.text}: {type}"
                    yield Wire(f"n{node}", f"n{number}", shape, says)


def _amounts(total: Cost) -> list[tuple[str, str]]:
    found = [(NAMES[name], quantity(total, name)) for name in COSTS]
    return [(name, f"{number:,}") for name, number in found if number]


def _line(use: Use) -> str:
    """The line of the `.ein` file that the use stands in, of a long one what is around it."""
    source = use.span.source
    if not source.name:
        return ""
    number, column = source.position(use.span.start)
    line = source.line(number)
    start = max(0, min(column - 1 - LONGEST // 2, len(line) - LONGEST))
    cut = line[start : start + LONGEST].strip()
    return f"{'… ' * (start > 0)}{cut}{' …' * (start + LONGEST < len(line))}"


def _around(use: Use) -> str:
    """`Net > S > residual`; of many rules the outer and the inner ones."""
    names = use.names
    if len(names) > 2 * ENDS:
        names = [*names[:ENDS], f"… {len(names) - 2 * ENDS} more …", *names[-ENDS:]]
    return " > ".join(names)


def _summary(graph: OpGraph) -> str:
    given, made = graph.node(graph.input).outputs, graph.node(graph.output).inputs
    count = len(graph.uses())
    return f"An operation graph: {count} operators, from {_types(given)} to {_types(made)}."


def _types(types: tuple[Tensor, ...]) -> str:
    return ", ".join(map(type_text, types))
