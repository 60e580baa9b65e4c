"""Programs as chains of cells, which a drawing walks without counting places.

What follows a step waits on a stack as (cell, depth, held). A plain cell holds nothing. Other cells stand for the end
of a rule that claims its output (held: its input), of one that names values (held: those around it), and of a branch,
a copy or a value of a `let` (held: what each begins with, what those before gave, what flowed in, the choices made
before, and how many copies and weights and which named values there are around).
"""

from __future__ import annotations

from typing import Any

from ein.grammar.cfg import Application
from ein.grammar.steps import (
    APPLY,
    CALL,
    COMPOUND,
    ENTER,
    LOAD,
    SETTLED,
    Bind,
    Compound,
    Enter,
    Fork,
    Instance,
    Loop,
    Program,
    Step,
    holds_rule,
    names_values,
)
from ein.grammar.types import ValueType

CLAIM, RETURN, JOIN = range(6, 9)
"""The codes of the ends; the others are those of steps."""


class Cell:
    """A step, or the end of one, with what follows it."""

    __slots__ = (
        "application", "back", "cells", "claim", "code", "end", "instance", "name", "names", "next",
        "options", "step", "table", "width",
    )  # fmt: skip

    step: Any
    code: int
    next: Cell | None
    instance: Instance
    """Of a rule, and of its end."""
    options: dict[ValueType, Any]
    """The table of that instance."""
    claim: Cell
    """The end of a rule that claims its output, before what follows."""
    back: Cell
    """The end of a rule that names values, likewise."""
    end: Cell
    """Of a rule: the end where it claims its output, with nothing behind it. Of other steps: the end of their parts."""
    application: Application
    name: str
    cells: list[Cell | None]
    """The first of each program that the step is made of, behind a value that it begins with: that is in `names`."""
    names: list[str | None]
    width: int
    """How many programs begin with what flows in as it is; 0: what they begin with is to be asked."""
    table: dict[ValueType, Any] | None
    """What is known of the step at a type; None where that depends on values that have names."""

    def __init__(self, step: Step, code: int, next: Cell | None) -> None:
        self.step, self.code, self.next = step, code, next


def linked(program: Program) -> Cell | None:
    """The first cell of a program; None where it is empty."""
    cell = None
    for step in reversed(program):
        cell = _cell(step, cell)
    return cell


def _cell(step: Any, next: Cell | None) -> Cell:
    code = SETTLED if step.code == ENTER and not holds_rule(step) else step.code
    made = Cell(step, code, next)
    if code == CALL:
        made.claim, made.end, made.back = Cell(step, CLAIM, next), Cell(step, CLAIM, None), Cell(step, RETURN, next)
        made.instance = made.claim.instance = made.end.instance = step.instance
        made.options = step.instance.table
    elif code == APPLY:
        made.application = step.application
    elif code == LOAD:
        made.name = step.name
    elif code == COMPOUND:
        made.end = Cell(step, JOIN, next)
        same = isinstance(step, Loop | Bind) or (isinstance(step, Fork) and not step.wanted)
        made.width = len(step.programs) if same else 0
        firsts = [linked(program) for program in step.programs]
        made.names = made.end.names = [None if first is None or first.code != LOAD else first.name for first in firsts]
        made.cells = made.end.cells = [
            first.next if first is not None and first.code == LOAD else first for first in firsts
        ]
    else:
        keeps = isinstance(step, Compound | Enter) and not names_values((made.step,))
        made.table = {} if keeps or code == ENTER else None
    return made
