"""The lines of `forward`: which values get a name, and which are written where they are used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from ein.compiler.emit_body import chunks, expression
from ein.compiler.program import Program, Slot
from ein.compiler.source import Expression, Group, Hole, Row, fill, flat, holes, statement
from ein.compiler.weights import Sizes

MAX_CALLS = 3
"""Calls in one line."""

MAX_CHARACTERS = 56
"""Of one expression, names counted as in `_0`."""

MAX_TARGETS = 4
"""Parts of a tensor that get names of their own; more stay in a tuple."""

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


class _Writer:
    def __init__(self, program: Program, attributes: Mapping[Slot, str]) -> None:
        self.program = program
        self.lines: list[Line] = []
        self.unnamed: dict[int, Expression] = {}
        """Values that have no name: free ones, and those that wait for the one place that reads them."""
        self.parts: dict[tuple[int, int], dict[int, int]] = {}
        """By the divided value and the axis: the parts that are read, by their index."""
        self.fresh = count(len(program.values))
        self.raw = {number: self._raw(number, attributes) for number in sorted(program.live - {*program.inputs})}
        self.reads = self._reads()

    def _raw(self, number: int, attributes: Mapping[Slot, str]) -> Expression:
        """The expression of a value, with holes that are numbers of values."""
        value = self.program.values[number]
        step = value.step
        if step.op == "part":
            self.parts.setdefault((step.inputs[0], step.argument("axis")), {})[step.argument("index")] = number
        operands = [self.program.values[source].step for source in step.inputs]
        found = expression(step, operands, attributes[value.slot] if value.slot else "")
        return _renumbered(found, step.inputs)

    def _reads(self) -> Counter[int]:
        """How often each value occurs in the text of the others and of the results."""
        found = Counter(self.program.results)
        for number, expression in self.raw.items():
            if not self._is_divided(number):
                found.update(hole.index for hole in holes(expression.doc))
        found.update(source for (source, _), parts in self.parts.items() if len(parts) > 1)
        return found

    def _is_divided(self, number: int) -> bool:
        """Whether the value is one of several parts, which are made on one line."""
        step = self.program.values[number].step
        return step.op == "part" and len(self.parts[step.inputs[0], step.argument("axis")]) > 1

    def run(self) -> Forward:
        for number, raw in self.raw.items():
            if self._is_divided(number):
                self._divide(number)
            else:
                self._value(number, self._inlined(raw))
        results = self.program.results
        returned = [self._inlined(Expression(Hole(number))) for number in results]
        return Forward(tuple(self.lines), tuple(returned), tuple(map(self._sizes, results)))

    def _value(self, number: int, expression: Expression) -> None:
        value = self.program.values[number]
        waits = self.reads[number] == 1 and not value.in_order
        if waits or value.step.op in ("weight", "number"):
            self.unnamed[number] = expression
        else:
            self.lines.append(Line((number,), expression, value.step.sizes))

    def _inlined(self, raw: Expression) -> Expression:
        """The expression with unnamed operands written in it while it stays short; the others get lines."""
        operands = list(dict.fromkeys(hole.index for hole in holes(raw.doc)))
        calls, width = _size(raw)
        for operand in operands:
            waiting = self.unnamed.get(operand)
            if waiting is None:
                continue
            more, wider = _size(waiting)
            if more and (calls + more > MAX_CALLS or width + wider > MAX_CHARACTERS):
                self.lines.append(Line((operand,), self.unnamed.pop(operand), self._sizes(operand)))
                continue
            calls, width = calls + more, width + wider
        return self._filled(raw)

    def _filled(self, raw: Expression) -> Expression:
        def value(number: int) -> Expression:
            return self.unnamed.get(number, Expression(Hole(number)))

        doc = fill(raw.doc, value)
        only = raw.doc
        return Expression(doc, value(only.index).binding if isinstance(only, Hole) else raw.binding)

    def _divide(self, number: int) -> None:
        """All parts of a value on one line, at the first of them."""
        step = self.program.values[number].step
        parts = self.parts[step.inputs[0], step.argument("axis")]
        if number != min(parts.values()):
            return
        divided = self._inlined(_renumbered(chunks(step), step.inputs))
        total = step.argument("of")
        if total <= MAX_TARGETS:
            self.lines.append(Line(tuple(parts.get(i) for i in range(total)), divided, step.sizes))
            return
        whole = next(self.fresh)
        self.lines.append(Line((whole,), divided, step.sizes, tuple=True))
        self.unnamed |= {part: Expression(Row((Hole(whole), f"[{i}]"))) for i, part in parts.items()}

    def _sizes(self, number: int) -> Sizes:
        return self.program.values[number].step.sizes


def _renumbered(expression: Expression, inputs: Sequence[int]) -> Expression:
    """Holes of operands as holes of values."""

    def value(index: int) -> Expression:
        return Expression(Hole(inputs[index]))

    doc = fill(expression.doc, value)
    return Expression(doc, expression.binding)


def _size(expression: Expression) -> tuple[int, int]:
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
    result = results[0] if len(results) == 1 else Group("", tuple(results), "()")
    body += statement("return ", result, "; ".join(map(shape, found.sizes)), indent)
    return [naming.names[number] for number in inputs], body


def shape(sizes: Sizes) -> str:
    """`64 x 32 x 32`."""
    return " x ".join(map(str, sizes)) or "a number"


class _Naming:
    """Names are taken again as soon as their value has been read for the last time."""

    def __init__(self, found: Forward, inputs: Sequence[int]) -> None:
        self.names: dict[int, str] = dict(zip(inputs, _endless(), strict=False))
        self.taken = set(self.names.values())
        self.last: dict[int, int] = {}
        for at, line in enumerate(found.lines):
            self.last |= dict.fromkeys((hole.index for hole in holes(line.expression.doc)), at)
        for expression in found.returned:
            self.last |= dict.fromkeys((hole.index for hole in holes(expression.doc)), len(found.lines))

    def filled(self, expression: Expression) -> Expression:
        return Expression(fill(expression.doc, lambda number: Expression(self.names[number])), expression.binding)

    def assign(self, at: int, line: Line) -> list[str]:
        """Names for the targets of line `at`; those that it reads for the last time come first."""
        read = {hole.index for hole in holes(line.expression.doc)}
        self.taken -= {self.names[number] for number in read if self.last[number] == at}
        return [self._name(target, line.tuple) for target in line.targets]

    def _name(self, target: int | None, is_tuple: bool) -> str:
        if target is None:
            return "_"
        candidates = _tuples() if is_tuple else _endless()
        name = self.names[target] = next(name for name in candidates if name not in self.taken)
        self.taken.add(name)
        return name


def _endless() -> Iterator[str]:
    yield from _NAMES
    yield from (f"x{i}" for i in count(1))


def _tuples() -> Iterator[str]:
    yield "parts"
    yield from (f"parts{i}" for i in count(2))
