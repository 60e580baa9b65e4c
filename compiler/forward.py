"""The lines of `forward`: which values get a name, and which are written where they are used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple, TypeAlias

from ein.compiler import emit_body
from ein.compiler.program import Program, Slot
from ein.compiler.source import WIDTH, Doc, Expression, Group, Hole, Row, fill, flat, holes, statement
from ein.compiler.weights import Sizes
from ein.grammar.tensors import Step

MAX_CALLS = 3
"""Calls in one line."""

MAX_CHARACTERS = 56
"""Of one expression, names counted as two."""

MAX_TARGETS = 4
"""Parts of a tensor that get names of their own; more stay in a tuple."""

_FREE = ("weight", "number")
"""Steps that are written wherever they are used, however often."""

_NAMES = ("x", "y", "z", "u", "v", "w")


@dataclass(frozen=True, slots=True)
class Line:
    """`targets = expression`, whose holes are numbers of values. A target None is read by no one.

    With `tuple` the only target is a tuple of tensors.
    """

    targets: tuple[int | None, ...]
    expression: Expression
    sizes: Sizes
    tuple: bool = False


@dataclass(frozen=True, slots=True)
class Forward:
    lines: tuple[Line, ...]
    returned: tuple[Expression, ...]
    sizes: tuple[Sizes, ...]


def forward(program: Program, attributes: Mapping[Slot, str]) -> Forward:
    """`attributes` are the names in the class of layers and parameters."""
    return _Writer(program, attributes).run()


Division: TypeAlias = tuple[int, int, int]
"""What is divided, along which axis, into how many parts."""


def _division(step: Step) -> Division:
    return step.inputs[0], step.argument("axis"), step.argument("of")


class _Raw(NamedTuple):
    """An expression before anything is written in it; `operands` are the values that its holes stand for."""

    expression: Expression
    operands: tuple[int, ...]

    @property
    def reads(self) -> list[int]:
        return [self.operands[index] for index in holes(self.expression.doc)]


class _Writer:
    def __init__(self, program: Program, attributes: Mapping[Slot, str]) -> None:
        self.program = program
        self.lines: dict[int, Line] = {}
        """By the number of the first value that the line makes, which is the order they are written in."""
        self.unnamed: dict[int, Expression] = {}
        """Values that have no name: free ones, and those that wait for the one place that reads them."""
        self.waiting: set[int] = set()
        self.extents: dict[int, tuple[int, int]] = {}
        """Calls and characters of values without a name."""
        self.parts: dict[Division, dict[int, int]] = {}
        """The parts that are read, by their index."""
        self.fresh = count(len(program.values))
        self.raw = {number: self._raw(number, attributes) for number in sorted(program.live - {*program.inputs})}
        self.reads = self._reads()

    def _raw(self, number: int, attributes: Mapping[Slot, str]) -> _Raw:
        value = self.program.values[number]
        step = value.step
        if step.op == "part":
            self.parts.setdefault(_division(step), {})[step.argument("index")] = number
        operands = [self.program.values[source].step for source in step.inputs]
        made = emit_body.expression(step, operands, attributes[value.slot] if value.slot else "")
        return _Raw(made, step.inputs)

    def _reads(self) -> Counter[int]:
        """How often each value occurs in the text of the others and of the results."""
        found = Counter(self.program.results)
        for number, raw in self.raw.items():
            if not self._is_divided(number):
                found.update(raw.reads)
        found.update(source for (source, _, _), parts in self.parts.items() if len(parts) > 1)
        return found

    def _is_divided(self, number: int) -> bool:
        """Whether the value is one of several parts, which are made on one line."""
        step = self.program.values[number].step
        return step.op == "part" and len(self.parts[_division(step)]) > 1

    def run(self) -> Forward:
        for number, raw in self.raw.items():
            if self._is_divided(number):
                self._divide(number)
            else:
                self._value(number, self._inlined(raw))
        results = self.program.results
        returned = tuple(self._inlined(_Raw(Expression(Hole(0)), (number,))) for number in results)
        lines = tuple(self.lines[number] for number in sorted(self.lines))
        return Forward(lines, returned, tuple(map(self._sizes, results)))

    def _value(self, number: int, expression: Expression) -> None:
        value = self.program.values[number]
        if value.step.op in _FREE:
            self._leave(number, expression, _extent(expression))
        elif self.reads[number] == 1 and not value.in_order:
            self._leave(number, expression, _extent(expression))
            self.waiting.add(number)
        else:
            self.lines[number] = Line((number,), expression, value.step.sizes)

    def _leave(self, number: int, expression: Expression, extent: tuple[int, int]) -> None:
        self.unnamed[number] = expression
        self.extents[number] = extent

    def _inlined(self, raw: _Raw) -> Expression:
        """The expression with unnamed operands written in it while it stays short; the others get lines.

        Of two operands the longer one, of more than two all.
        """
        operands = dict.fromkeys(reversed(raw.operands))
        waiting = [number for number in operands if number in self.waiting]
        if waiting:
            free = [number for number in operands if number in self.unnamed and number not in self.waiting]
            calls, width = _extent(raw.expression)
            width += sum(self.extents[number][1] for number in free)
            order = sorted(waiting, key=lambda number: self.extents[number])
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
            self.lines[number] = Line((number,), self.unnamed.pop(number), self._sizes(number))

    def _filled(self, raw: _Raw) -> Expression:
        def value(index: int) -> Expression:
            number = raw.operands[index]
            return self.unnamed.get(number) or Expression(Hole(number))

        doc = raw.expression.doc
        return value(doc.index) if isinstance(doc, Hole) else Expression(fill(doc, value), raw.expression.binding)

    def _divide(self, number: int) -> None:
        """All parts of a value on one line, at the first of them."""
        step = self.program.values[number].step
        parts = self.parts[_division(step)]
        if number != min(parts.values()):
            return
        divided = self._inlined(_Raw(emit_body.chunks(step), step.inputs))
        total = step.argument("of")
        if total <= MAX_TARGETS:
            self.lines[number] = Line(tuple(parts.get(i) for i in range(total)), divided, step.sizes)
            return
        whole = next(self.fresh)
        self.lines[number] = Line((whole,), divided, step.sizes, tuple=True)
        for index, part in parts.items():
            written = Expression(Row((Hole(whole), f"[{index}]")))
            self._leave(part, written, (0, len(f"parts2[{index}]")))

    def _sizes(self, number: int) -> Sizes:
        return self.program.values[number].step.sizes


def _extent(expression: Expression) -> tuple[int, int]:
    """Calls and characters."""
    text = flat(expression.doc)
    return text.count("("), len(text)


# --- names and text


def write(found: Forward, inputs: Sequence[int], indent: int) -> tuple[list[str], list[str]]:
    """The names of the inputs, and the lines of the body of `forward`."""
    naming = _Naming(found, inputs)
    body: list[str] = []
    for at, line in enumerate(found.lines):
        text = naming.filled(line.expression)
        targets = ", ".join(naming.assign(at, line))
        comment = f"each {shape(line.sizes)}" if line.tuple or len(line.targets) > 1 else shape(line.sizes)
        body += statement(f"{targets} = ", text.doc, comment, indent)
    results = [naming.filled(expression).doc for expression in found.returned]
    sizes = dict.fromkeys(map(shape, found.sizes))
    body += statement(
        "return ", results[0] if len(results) == 1 else several(results, indent), "; ".join(sizes), indent
    )
    return [naming.names[number] for number in inputs], body


def several(results: list[Doc], indent: int) -> Doc:
    """A tuple, in parentheses only where it takes several lines."""
    bare = ", ".join(map(flat, results))
    return bare if indent + len(f"return {bare}") <= WIDTH else Group("", tuple(results))


def shape(sizes: Sizes) -> str:
    """`64 x 32 x 32`."""
    return " x ".join(map(str, sizes)) or "a number"


class _Naming:
    """Names are taken again as soon as their value has been read for the last time."""

    def __init__(self, found: Forward, inputs: Sequence[int]) -> None:
        self.tensors, self.tuples = _Names(_tensor_name), _Names(_tuple_name)
        self.names = {number: self.tensors.take() for number in inputs}
        self.last: dict[int, int] = {}
        for at, line in enumerate(found.lines):
            self.last |= dict.fromkeys(holes(line.expression.doc), at)
        for returned in found.returned:
            self.last |= dict.fromkeys(holes(returned.doc), len(found.lines))

    def filled(self, expression: Expression) -> Expression:
        return Expression(fill(expression.doc, lambda number: Expression(self.names[number])), expression.binding)

    def assign(self, at: int, line: Line) -> list[str]:
        """Names for the targets of line `at`, which may be those of what it reads for the last time."""
        for number in set(holes(line.expression.doc)):
            if self.last[number] == at:
                self.tensors.give_back(self.names[number])
                self.tuples.give_back(self.names[number])
        names = self.tuples if line.tuple else self.tensors
        for target in line.targets:
            if target is not None:
                self.names[target] = names.take()
        return ["_" if target is None else self.names[target] for target in line.targets]


class _Names:
    """The first name that is free, of an endless row."""

    def __init__(self, name: Callable[[int], str]) -> None:
        self.name = name
        self.used: dict[str, int] = {}
        self.free: list[int] = []

    def take(self) -> str:
        index = heappop(self.free) if self.free else len(self.used)
        name = self.name(index)
        self.used[name] = index
        return name

    def give_back(self, name: str) -> None:
        """A name of another row is none of ours."""
        if name in self.used:
            heappush(self.free, self.used[name])


def _tensor_name(index: int) -> str:
    return _NAMES[index] if index < len(_NAMES) else f"x{index - len(_NAMES) + 1}"


def _tuple_name(index: int) -> str:
    return f"parts{index + 1}" if index else "parts"
