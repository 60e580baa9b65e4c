"""What a trace is made of: calls of torch's operators, with their arguments by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Ref:
    """The result of a call, an input, a weight or a constant, by the name of its node."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A node of the trace. `op` is torch's name without overload and without the mark of what works in place."""

    name: str
    op: str
    arguments: Mapping[str, Any]
    sizes: tuple[int, ...] | None
    """Of the result, the batch included; None for several results."""
    in_place: bool = False
    place: str = ""
    """`net.py:12: x = self.f(x)`, the line of the user's code."""
    module: str = ""
    """The path of the module around it and its class: `blocks.0.attn (Attention)`."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """The calls in their order. `weights` holds parameters, buffers and constants, by their names."""

    calls: tuple[Call, ...]
    inputs: tuple[str, ...]
    homes: Mapping[str, str]
    """From the name of a node to that of its weight."""
    weights: dict[str, Any]
    trained: frozenset[str]
    outputs: tuple[Ref, ...]
    batch: int


class Unsaid(Exception):
    """What a call does cannot be said with the operators at hand; the text is why."""
