"""What a picture shows, before any layout or colour: boxes, frames around them, wires between them.

Each view (`graph_view`, `derivation_view`, `grammar_view`, `difference_view`) makes a scene, and each form
(`dot`, `mermaid`, `page`) writes one. Texts are plain and may come from a stranger's grammar: forms escape them.
Ids are ours, letters and digits (`n7`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

Facts: TypeAlias = "tuple[tuple[str, str], ...]"
"""What the details of a page list, as (name, text): ("input", "im 3 x 32 x 32"), ("place", "small.ein:10:13")."""


class Look(Enum):
    """What kind of thing a box is. The first four are the groups of einspace (Ericsson et al., 2024, section 3)."""

    BRANCHING = "branching"
    AGGREGATION = "aggregation"
    ROUTING = "routing"
    COMPUTATION = "computation"
    END = "input, output"
    RULE = "rule"
    MACRO = "macro"
    JOINT = "joint"
    FOLDED = "folded"


class Change(Enum):
    """What became of a part from the first architecture of a difference to the second."""

    KEPT = "kept"
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a box that wires may leave from: an alternative of a rule with its weight."""

    text: str
    weight: str = ""
    share: float = 0.0
    """of the weights of the box, 0 to 1"""


@dataclass(frozen=True, slots=True)
class Box:
    """A name, with lines of small print below it."""

    id: str
    name: str
    look: Look
    notes: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    small: bool = False
    """a sign of one or two letters, drawn as a circle: `+`"""
    hover: str = ""
    facts: Facts = ()
    heat: float | None = None
    """0 to 1; None where the picture shows no heat"""
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """A border with a name around what belongs together; folded, it is one box."""

    id: str
    name: str
    items: tuple[Item, ...]
    notes: tuple[str, ...] = ()
    folded: bool = False
    hover: str = ""
    facts: Facts = ()
    heat: float | None = None
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Two or more items of one structure, one after another or side by side; folded, the first stands for all.

    Boxes of all items correspond by their order.
    """

    id: str
    items: tuple[Box | Frame, ...]
    series: bool
    folded: bool = True


Item: TypeAlias = "Box | Frame | Run"


@dataclass(frozen=True, slots=True)
class Wire:
    """From a box to a box, by their ids."""

    source: str
    target: str
    text: str = ""
    hover: str = ""
    row: int | None = None
    """of the source, where it leaves from a row"""
    change: Change | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    title: str
    subtitle: str
    summary: str
    """one sentence for screen readers"""
    items: tuple[Item, ...]
    wires: tuple[Wire, ...]
    heat: tuple[str, str, str] | None = None
    """what the heat shows, with the amounts at its ends: ("parameters", "0", "2.36 M")"""
    changes: tuple[tuple[Change, int], ...] = ()
    """of a difference: how many operators each change befell, folded ones too"""
    tree: bool = False
    """each box has one parent, arrows mean nothing, and children keep their order"""
    direction: str = "TB"
    """or LR"""


def boxes(items: tuple[Item, ...]) -> Iterator[Box]:
    """The boxes below `items`, in order; those of all items of a run."""
    stack: list[Item] = list(reversed(items))
    while stack:
        item = stack.pop()
        if isinstance(item, Box):
            yield item
        else:
            stack += reversed(item.items)
