"""Which uses of operators each line of emitted source comes from, and where these stand in `.ein` files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ein.compiler.blocks import Blocks, Call, Item, Part, Run
from ein.compiler.emit_class import ClassText, Marked
from ein.compiler.forward import Forward, Line, Loop
from ein.compiler.graph_text import place
from ein.compiler.nodes import Use
from ein.compiler.program import Program

MAX_SHOWN = 3
"""Uses that a message names."""


@dataclass(frozen=True, slots=True, eq=False)
class SourceMap:
    """`lines` are the nodes of the graph behind each line of the text, by its number from 1; `uses` are those nodes."""

    uses: dict[int, Use]
    lines: dict[int, tuple[int, ...]]
    called: dict[tuple[int, str], tuple[int, ...]]
    """Those behind one layer that a line calls, by the line and the name of the layer."""

    def to_json(self) -> dict[str, Any]:
        """`uses`: what they are and where they stand; `lines`: for each line their places in that list."""
        places = {number: at for at, number in enumerate(self.uses)}
        uses = [{"operator": use.text, "path": use.names, "place": place(use.span)} for use in self.uses.values()]
        lines = {str(line): [places[number] for number in numbers] for line, numbers in self.lines.items()}
        return {"uses": uses, "lines": lines}

    def told(self, places: Sequence[tuple[int, str]]) -> str:
        """What a reader of the `.ein` file is told of an error in these lines, each called by the one before.

        With each line stands the layer that it called, or nothing.
        """
        left: tuple[int, ...] = ()
        for line, called in places:
            here = self.called.get((line, called)) or self.lines.get(line, ())
            left = tuple(number for number in here if number in set(left)) or here or left
        said = tuple(dict.fromkeys(_said(self.uses[number]) for number in left))
        more = f" or {len(said) - MAX_SHOWN} more" if len(said) > MAX_SHOWN else ""
        return f"in {' or '.join(said[:MAX_SHOWN])}{more}" if said else ""


def _said(use: Use) -> str:
    around = f" of {use.place}" if use.place else ""
    at = f", {place(use.span)}" if place(use.span) else ""
    return f"`{use.text}`{around}{at}"


def mapped(plan: Blocks, classes: Sequence[ClassText], rows: Sequence[Sequence[Marked]], head: int) -> SourceMap:
    """`rows` are those of each class; `head` lines stand above them, and two blank ones above each class."""
    found: dict[int, tuple[int, ...]] = {}
    called: dict[tuple[int, str], tuple[int, ...]] = {}
    number = head
    for text, own in zip(classes, rows, strict=True):
        number += 2
        items = lines_of(text.program, text.forward)
        for row in own:
            number += 1
            wanted = items[row.line] if row.line >= 0 else [row.item] if row.item >= 0 else []
            if wanted:
                found[number] = tuple(dict.fromkeys(_nodes(plan, text, [text.block.items[at] for at in wanted])))
            if row.line >= 0:
                for at in wanted:
                    nodes = tuple(_nodes(plan, text, [text.block.items[at]]))
                    called |= {(number, name): nodes for name in text.names_of(at)}
    uses = {node: plan.found.flow.uses[node] for nodes in found.values() for node in nodes}
    return SourceMap({node: uses[node] for node in sorted(uses)}, found, called)


def _nodes(plan: Blocks, text: ClassText, items: Sequence[Item]) -> Iterator[int]:
    """Of all instances of the class, those behind these items."""
    for region in text.block.structure.regions:
        first = plan.found.nodes[region][0]
        for item in items:
            for begin, count in _places(plan, item):
                yield from plan.found.order[first + begin : first + begin + count]


def _places(plan: Blocks, item: Item) -> Iterator[tuple[int, int]]:
    match item:
        case Part():
            yield item.place, 1
        case Call():
            first, end = plan.found.nodes[item.structure.regions[0]]
            yield item.place, end - first
        case Run():
            for call in item.calls:
                yield from _places(plan, call)


def lines_of(program: Program, found: Forward) -> list[list[int]]:
    """For each line of `forward`, and then for its results, the items that its text comes from."""
    made = {target: at for at, line in enumerate(found.lines) for target in _made(line)}
    lines: dict[int, set[int]] = {number: {len(found.lines)} for number in program.results}
    items: list[set[int]] = [set() for _ in range(len(found.lines) + 1)]
    for number in sorted(program.live, reverse=True):
        value = program.values[number]
        at = made.get(number)
        own = lines.get(number, set()) if at is None else {at}
        if value.origin >= 0:
            for line in own:
                items[line].add(value.origin)
        for source in value.inputs:
            lines.setdefault(source, set()).update(own)
    return [sorted(each) for each in items]


def _made(line: Line | Loop) -> Iterator[int]:
    """The values that have their names from a line."""
    if isinstance(line, Line):
        yield from (target for target in line.targets if target is not None)
    else:
        yield from line.states
        yield from (number for number, _ in line.items)
        yield from (target for inner in line.lines for target in _made(inner))
