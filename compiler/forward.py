"""The lines of `forward`: which values get a name, and which are written where they are used."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple, TypeAlias

from ein.compiler import emit_body
from ein.compiler.memo import per_step
from ein.compiler.program import Program, Slot, Value
from ein.compiler.source import Expression, Hole, Power, Row, fill, flat, holes
from ein.compiler.weights import Sizes
from ein.grammar.bodies.tensors import Step

MAX_CALLS = 3
"""Calls in one line."""

MAX_CHARACTERS = 56
"""Of one expression, names counted as two."""

MAX_TARGETS = 4
"""Parts of a tensor that get names of their own; more stay in a tuple."""

_FREE = ("weight", "buffer", "number")
"""Steps that are written wherever they are used, however often."""

_AROUND_CALLS = ("pointwise", "concat", "stack", "item")
"""Steps that stand on one line with a module of ours that they read."""


@dataclass(frozen=True, slots=True)
class Line:
    """`targets = expression`, whose holes are numbers of values. A target None is read by no one.

    With `tuple` the only target is a tuple of tensors. Several targets may have `several` sizes.
    """

    targets: tuple[int | None, ...]
    expression: Expression
    sizes: Sizes
    tuple: bool = False
    several: Sequence[Sizes] = ()


@dataclass(frozen=True, slots=True)
class Loop:
    """A `for` over the items of tensors, all at once, or `length` times over nothing.

    It finds the values `states` and leaves `ends` in their place. Each of `rows` is the list of all that one state
    is left as; None is read by no one.
    """

    items: tuple[tuple[int, Expression], ...]
    states: tuple[int, ...]
    ends: tuple[Expression, ...]
    rows: tuple[int | None, ...]
    lines: tuple[Line, ...]
    length: int


@dataclass(frozen=True, slots=True)
class Forward:
    """`order` says after which values of the program each line stands: a number for each, rising."""

    lines: tuple[Line | Loop, ...]
    order: tuple[int, ...]
    returned: tuple[Expression, ...]
    sizes: tuple[Sizes, ...]


def forward(program: Program, attributes: Mapping[Slot, str]) -> Forward:
    """`attributes` are the names in the class of layers and parameters."""
    return _Writer(program, attributes).run()


Division: TypeAlias = tuple[int, int, str, int]
"""What is divided, along which axis, how, into how many parts; the axis is -1 where it is several tensors by itself."""

_SEVERAL = {"svd": 3, "qr": 2}
"""Functions that give several tensors, with their number."""


_HOLE = len(flat(Hole(0)))
_CALL = re.compile(r"[\w\])]\(")


def _extent(expression: Expression) -> tuple[int, int]:
    """Calls and characters."""
    text = flat(expression.doc)
    return len(_CALL.findall(text)), len(text)


class _Form(NamedTuple):
    """An expression before anything is written in it, with the calls and characters of it."""

    expression: Expression
    holes: tuple[Hole, ...]
    calls: int
    width: int


def _form(expression: Expression) -> _Form:
    own = tuple([hole for hole in holes(expression.doc) if hole != emit_body.ATTRIBUTE])
    return _Form(expression, own, *_extent(expression))


@per_step
def _form_alone(step: Step) -> _Form | None:
    """None if it depends on what the step reads."""
    return None if emit_body.looks(step) else _form(emit_body.expression(step, [step] * len(step.inputs)))


_SAME = _form(Expression(Hole(0)))


class _Raw(NamedTuple):
    """`operands` are the values that the holes of the form stand for."""

    form: _Form
    operands: tuple[int, ...]
    attribute: str = ""

    @property
    def reads(self) -> list[int]:
        return [self.operands[hole.operand] for hole in self.form.holes]

    @property
    def width(self) -> int:
        """Characters."""
        return self.form.width + len(self.attribute) - _HOLE if self.attribute else self.form.width


class _Writer:
    def __init__(self, program: Program, attributes: Mapping[Slot, str]) -> None:
        self.program = program
        self.lines: dict[int, Line | Loop] = {}
        """By the number of the first value that the line makes, which is the order they are written in."""
        self.unnamed: dict[int, Expression] = {}
        """Values that have no name: free ones, and those that wait for the one place that reads them."""
        self.waiting: set[int] = set()
        self.calls: set[int] = set()
        """Those of them that are calls of modules of ours."""
        self.extents: dict[int, tuple[int, int]] = {}
        """Calls and characters of values without a name."""
        self.pieces: set[int] = set()
        """Those that are read from a tuple; they count as more than is written here."""
        self.parts: dict[Division, dict[int, int]] = {}
        """The parts that are read, by their index."""
        self.divisions: dict[int, Division] = {}
        """What each of them is a part of."""
        self.fresh = count(len(program.values))
        self.items: dict[int, list[tuple[int, Expression]]] = {}
        """What each loop walks along."""
        self.rows: dict[tuple[int, int], int] = {}
        """The list of all that a state of a scan is left as, by the scan and the number of the state."""
        self.raw = {number: self._raw(number, attributes) for number in sorted(program.live - {*program.inputs})}
        self.named = self._named()
        self.reads = self._reads()

    def _raw(self, number: int, attributes: Mapping[Slot, str]) -> _Raw:
        value = self.program.values[number]
        step = value.step
        if step.op in ("part", "item"):
            division = self._division(value)
            if division is not None:
                self.divisions[number] = division
                self.parts.setdefault(division, {})[_index(step)] = number
            elif step.op == "item":
                row = self.rows.setdefault((value.inputs[0], step.argument("which")), next(self.fresh))
                return _Raw(_form(emit_body.stacked(step)), (row,))
        form = None if step.op == "call" else _form_alone(step)
        if form is None:
            operands = [self.program.values[source].step for source in value.inputs]
            form = _form(emit_body.expression(step, operands))
        return _Raw(form, value.inputs, f"self.{attributes[value.slot]}" if value.slot else "")

    def _division(self, value: Value) -> Division | None:
        """Of what a value is a part, if it is one."""
        step = value.step
        if step.op == "part":
            return value.inputs[0], step.argument("axis"), step.name, step.argument("of")
        if step.op != "item":
            return None
        source = self.program.step(value.inputs[0])
        count = source.argument("results") if source.op == "call" else _SEVERAL.get(source.op)
        return None if count is None else (value.inputs[0], -1, source.op, count)

    def _named(self) -> set[int]:
        """Values that need a name: states, and what is read across the edge of a loop."""
        found: set[int] = set()
        values = self.program.values
        if all(value.loop is None for value in values):
            return found
        for number in self.raw:
            value = values[number]
            if value.step.op == "scan":
                found.update(value.inputs)
            elif value.step.op == "carried":
                found.add(number)
            elif value.step.op != "each":
                found.update(i for i in value.inputs if values[i].loop != value.loop)
        return found

    def _reads(self) -> Counter[int]:
        """How often each value occurs in the text of the others and of the results."""
        found = Counter(self.program.results)
        for number, raw in self.raw.items():
            if not self._is_divided(number):
                for source in raw.reads:
                    found[source] += 1
        found.update(source for (source, *_), parts in self.parts.items() if len(parts) > 1)
        return found

    def _is_divided(self, number: int) -> bool:
        """Whether the value is one of several parts, which are made on one line."""
        division = self.divisions.get(number)
        return division is not None and len(self.parts[division]) > 1

    def run(self) -> Forward:
        for number, raw in self.raw.items():
            value = self.program.values[number]
            if self.calls and value.step.op not in _AROUND_CALLS:
                self._name([source for source in dict.fromkeys(raw.operands) if source in self.calls])
            if self._is_divided(number):
                self._divide(number)
            elif value.step.op == "scan":
                self._loop(number, value)
            elif value.step.op == "each":
                assert value.loop is not None
                self.items.setdefault(value.loop, []).append((number, self._inlined(raw)))
            else:
                self._value(number, raw)
        results = self.program.results
        returned = tuple(map(self._read, results))
        order = tuple(sorted(self.lines))
        return Forward(tuple(self.lines[number] for number in order), order, returned, tuple(map(self._sizes, results)))

    def _read(self, number: int) -> Expression:
        return self._inlined(_Raw(_SAME, (number,)))

    def _loop(self, number: int, value: Value) -> None:
        """Gathers the lines of the values inside."""
        step = value.step
        inside = step.argument("loop")
        own = [at for at in sorted(self.lines) if self.program.values[at].loop == inside]
        lines = tuple(line for at in own if isinstance(line := self.lines.pop(at), Line))
        states = step.argument("states")
        rows = tuple(self.rows.get((number, which)) for which in range(len(states)))
        ends = tuple(map(self._read, value.inputs))
        items = tuple(self.items.get(inside, ()))
        self.lines[number] = Loop(items, states, ends, rows, lines, step.argument("length"))

    def _value(self, number: int, raw: _Raw) -> None:
        value = self.program.values[number]
        expression = self._inlined(raw)
        if value.step.op in _FREE:
            self._leave(number, expression, self._extent(raw, expression))
        elif self.reads[number] == 1 and not value.in_order and number not in self.named:
            self._leave(number, expression, self._extent(raw, expression))
            self.waiting.add(number)
            if value.step.op == "call":
                self.calls.add(number)
        else:
            self.lines[number] = Line((number,), expression, value.step.sizes)

    def _leave(self, number: int, expression: Expression, extent: tuple[int, int]) -> None:
        self.unnamed[number] = expression
        self.extents[number] = extent

    def _inlined(self, raw: _Raw) -> Expression:
        """The expression with unnamed operands written in it while it stays short; the others get lines.

        Of two operands the longer one, of more than two all.
        """
        if self.waiting.isdisjoint(raw.operands):
            return self._filled(raw)
        calls, width, order = raw.form.calls, raw.width, []
        for number in dict.fromkeys(reversed(raw.operands)):
            if number in self.waiting:
                order.append(number)
            elif number in self.unnamed:
                width += self.extents[number][1]
        order.sort(key=self.extents.__getitem__)
        for at, operand in enumerate(order):
            more, wider = self.extents[operand]
            calls, width = calls + more, width + wider
            if calls > MAX_CALLS or width > MAX_CHARACTERS:
                self._name(order if len(order) > 2 else order[at:])
                break
        return self._filled(raw)

    def _name(self, numbers: list[int]) -> None:
        for number in numbers:
            self.waiting.remove(number)
            self.calls.discard(number)
            self.lines[number] = Line((number,), self.unnamed.pop(number), self._sizes(number))

    def _filled(self, raw: _Raw) -> Expression:
        operands = [self.unnamed.get(number) or Expression(Hole(number)) for number in raw.operands]
        operands.append(Expression(raw.attribute))
        doc, binding = raw.form.expression
        return operands[doc.operand] if isinstance(doc, Hole) else Expression(fill(doc, operands), binding)

    def _extent(self, raw: _Raw, expression: Expression) -> tuple[int, int]:
        """Calls and characters of what was written of it, without writing that out."""
        if isinstance(raw.form.expression.doc, Power) or not self.pieces.isdisjoint(raw.operands):
            return _extent(expression)
        calls, width = raw.form.calls, raw.width
        for index, least in raw.form.holes:
            number = raw.operands[index]
            if number in self.unnamed:
                more, wider = self.extents[number]
                in_parentheses = self.unnamed[number].binding < least
                calls, width = calls + more, width + wider - _HOLE + 2 * in_parentheses
        return calls, width

    def _divide(self, number: int) -> None:
        """All parts of a value on one line, at the first of them."""
        value = self.program.values[number]
        step = value.step
        division = self.divisions[number]
        parts = self.parts[division]
        if number != min(parts.values()):
            return
        whole_of = emit_body.chunks(step) if step.op == "part" else Expression(Hole(0))
        divided = self._inlined(_Raw(_form(whole_of), value.inputs))
        total = division[-1]
        if total <= MAX_TARGETS:
            several = tuple(self._sizes(part) for _, part in sorted(parts.items()))
            self.lines[number] = Line(tuple(parts.get(i) for i in range(total)), divided, step.sizes, several=several)
            return
        whole = next(self.fresh)
        self.lines[number] = Line((whole,), divided, step.sizes, tuple=True)
        for index, part in parts.items():
            written = Expression(Row((Hole(whole), f"[{index}]")))
            self._leave(part, written, (0, len(f"parts2[{index}]")))
            self.pieces.add(part)

    def _sizes(self, number: int) -> Sizes:
        return self.program.values[number].step.sizes


def _index(step: Step) -> int:
    """Which part or item a step is."""
    found: int = step.argument("index" if step.op == "part" else "which")
    return found
