"""The text of one class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ein.compiler.attributes import attributes
from ein.compiler.blocks import Block, Part
from ein.compiler.constants import Hoisted, hoisted
from ein.compiler.emit_host import hosts
from ein.compiler.emit_starts import constructor
from ein.compiler.forward import Forward, forward
from ein.compiler.naming import listed, shape, write
from ein.compiler.program import Program, Slot, home_of, program
from ein.compiler.source import WIDTH, Group, layout, quoted
from ein.compiler.structures import Structure
from ein.grammar.bodies.tensors import Step
from ein.grammar.host import Host


class Marked(NamedTuple):
    """A row of a class, and what it comes from: an item that it builds, or a line of `forward`; else -1."""

    text: str
    item: int = -1
    line: int = -1


@dataclass(frozen=True, eq=False)
class ClassText:
    """What is written of a class."""

    block: Block

    @cached_property
    def program(self) -> Program:
        return program(self.block)

    @cached_property
    def names(self) -> dict[Slot, str]:
        """Of layers, parameters, buffers and modules."""
        return attributes(self.block)

    @cached_property
    def slots(self) -> dict[Slot, Step]:
        """What the results depend on of what is kept, in the order of its first use."""
        found: dict[Slot, Step] = {}
        for number in sorted(self.program.live):
            value = self.program.values[number]
            if value.slot is not None:
                found.setdefault(value.slot, value.step)
        return found

    def names_of(self, number: int) -> list[str]:
        """Of what an item keeps."""
        item = self.block.items[number]
        homes = [slot.home(item.key) for slot in item.slots] if isinstance(item, Part) else [home_of(item, number)]
        return [self.names[home] for home in homes if home in self.slots]

    @property
    def hosts(self) -> tuple[Host, ...]:
        return hosts(self.program.step(number) for number in sorted(self.program.live))

    @cached_property
    def forward(self) -> Forward:
        return forward(self._hoisted.program, self._names)

    def rows(self, docstring: str, classes: Mapping[Structure, str]) -> list[Marked]:
        """`classes` are the names of classes."""
        inputs, body = write(self.forward, self.program.inputs, 8)
        shapes = _shapes([shape(self.program.step(number).sizes) for number in self.program.inputs])
        text = [*quoted(docstring, 4), ""] if docstring else []
        built = constructor(self.block, self.slots.keys(), self._names, self._hoisted.rows(8), classes)
        return [
            *(Marked(row) for row in (f"class {self.block.name}(nn.Module):", *text)),
            *(Marked(row, item) for row, item in built),
            *(Marked(row) for row in _signature(inputs, shapes)),
            *(Marked(row, -1, line) for row, line in body),
        ]

    @cached_property
    def _names(self) -> dict[Slot, str]:
        return self.names | self._hoisted.attributes

    @cached_property
    def _hoisted(self) -> Hoisted:
        given = (parameter.name for parameter in self.block.parameters.given)
        return hoisted(self.program, {*self.names.values(), *given})


def _shapes(shown: list[str]) -> str:
    """Of all inputs."""
    return f"each {shown[0]}" if len(shown) > 1 and len(set(shown)) == 1 else listed(shown)


def _signature(inputs: list[str], shapes: str) -> list[str]:
    line = f"    def forward({', '.join(['self', *inputs])}):"
    if len(line) + len(shapes) + 4 <= WIDTH:
        return [f"{line}  # {shapes}"]
    return [*layout("def forward", Group("", ("self", *inputs)), ":", 4), f"        # {shapes}"]
