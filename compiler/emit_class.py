"""The text of one class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ein.compiler.attributes import attributes
from ein.compiler.blocks import Block
from ein.compiler.constants import Hoisted, hoisted
from ein.compiler.emit_host import hosts
from ein.compiler.emit_starts import constructor
from ein.compiler.forward import forward
from ein.compiler.naming import shape, write
from ein.compiler.program import Program, Slot, program
from ein.compiler.source import WIDTH, Group, layout, quoted
from ein.compiler.structures import Structure
from ein.grammar.bodies.tensors import Step
from ein.grammar.host import Host


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

    @property
    def hosts(self) -> tuple[Host, ...]:
        return hosts(self.program.step(number) for number in sorted(self.program.live))

    def lines(self, docstring: str, classes: Mapping[Structure, str]) -> list[str]:
        """`classes` are the names of classes."""
        found = self._hoisted()
        names = self.names | found.attributes
        inputs, body = write(forward(found.program, names), found.program.inputs, 8)
        shapes = "; ".join(shape(self.program.step(number).sizes) for number in self.program.inputs)
        return [
            f"class {self.block.name}(nn.Module):",
            *([*quoted(docstring, 4), ""] if docstring else []),
            *constructor(self.block, self.slots.keys(), names, found.rows(8), classes),
            *_signature(inputs, shapes),
            *body,
        ]

    def _hoisted(self) -> Hoisted:
        given = (parameter.name for parameter in self.block.parameters.given)
        return hoisted(self.program, {*self.names.values(), *given})


def _signature(inputs: list[str], shapes: str) -> list[str]:
    line = f"    def forward({', '.join(['self', *inputs])}):"
    if len(line) + len(shapes) + 4 <= WIDTH:
        return [f"{line}  # {shapes}"]
    return [*layout("def forward", Group("", ("self", *inputs)), ":", 4), f"        # {shapes}"]
