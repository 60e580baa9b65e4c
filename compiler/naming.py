"""The text of the lines of `forward`: names for values, which are taken again as soon as they are free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush

from ein.compiler.forward import Forward, Line, Loop
from ein.compiler.source import WIDTH, Doc, Expression, Group, Hole, Names, fill, flat, holes, layout, statement
from ein.compiler.weights import Sizes

_NAMES = ("x", "y", "z", "u", "v", "w")


def write(found: Forward, inputs: Sequence[int], indent: int) -> tuple[list[str], list[tuple[str, int]]]:
    """The names of the inputs, and the body of `forward`: each row with the number of the line that it belongs to, that
    of the results being the last."""
    naming = Naming(found, inputs)
    body = [(row, at) for at in range(len(found.lines)) for row in naming.text(at, indent)]
    results = [naming.result(i) for i in range(len(found.returned))]
    doc = results[0].doc if len(results) == 1 else several(results, indent)
    sizes = dict.fromkeys(map(shape, found.sizes))
    body += ((row, len(found.lines)) for row in statement("return ", doc, listed(sizes), indent))
    return [naming.names[number] for number in inputs], body


def several(results: Sequence[Expression], indent: int) -> Doc:
    """A tuple, in parentheses only where it takes several lines."""
    docs = tuple(result.doc for result in results)
    bare = ", ".join(map(flat, docs))
    return bare if indent + len(f"return {bare}") <= WIDTH else Group("", docs)


def shape(sizes: Sizes) -> str:
    """`64 x 32 x 32`, `channels x height/2 x 4*length`."""
    return " x ".join(map(_size, sizes)) or "a number"


def listed(shapes: Iterable[str]) -> str:
    """Several shapes, as far as they fit on a line of their own."""
    text = "; ".join(shapes)
    room = WIDTH - 10
    return text if len(text) <= room else f"{text[: room - 3].rpartition('; ')[0]}; …"


def _size(size: int) -> str:
    if type(size) is int:
        return str(size)
    return str(size).replace("self.", "").replace(" // ", "/").replace(" * ", "*").replace(" + ", "+")


class Naming:
    """Writes line after line of what was found; `text` is to be called for each of them, in order."""

    def __init__(self, found: Forward, inputs: Sequence[int] = (), comments: bool = True) -> None:
        self.found = found
        self.comments = comments
        self.tensors, self.tuples, self.lists = _Names(_tensor_name), _Names(_tuple_name), _Names(_list_name)
        self.names = {number: self.tensors.take() for number in inputs}
        self.last: dict[int, int] = {}
        self.reads = [_read(line) for line in found.lines]
        for at, numbers in enumerate(self.reads):
            self.last.update(dict.fromkeys(numbers, at))
        for returned in found.returned:
            self.last |= dict.fromkeys(read(returned), len(found.lines))

    def text(self, at: int, indent: int) -> list[str]:
        line = self.found.lines[at]
        if isinstance(line, Loop):
            return self._loop(at, line, indent)
        names = {number: self.names[number] for number in self.reads[at]}
        self._give_back({number for number in names if self.last[number] == at})
        return self._statement(self._take(line), line, names, indent)

    def result(self, index: int) -> Expression:
        """What is returned, once the lines before it are written."""
        return self._filled(self.found.returned[index])

    def _filled(self, expression: Expression) -> Expression:
        names = {number: Expression(self.names[number]) for number in read(expression)}
        return Expression(fill(expression.doc, names), expression.binding)

    def _statement(self, targets: list[str], line: Line, names: Names, indent: int) -> list[str]:
        comment = self._comment(line) if self.comments else ""
        return statement(f"{', '.join(targets)} = ", line.expression.doc, comment, indent, names)

    def _comment(self, line: Line) -> str:
        if len(set(line.several)) > 1:
            return listed(map(shape, line.several))
        return f"each {shape(line.sizes)}" if line.tuple or len(line.targets) > 1 else shape(line.sizes)

    def _take(self, line: Line) -> list[str]:
        """Names for the targets, where they have none yet."""
        names = self.tuples if line.tuple else self.tensors
        for target in line.targets:
            if target is not None and target not in self.names:
                self.names[target] = names.take()
        return ["_" if target is None else self.names[target] for target in line.targets]

    def _give_back(self, numbers: set[int]) -> None:
        for number in sorted(numbers):
            for names in (self.tensors, self.tuples, self.lists):
                names.give_back(self.names[number])

    # --- loops

    def _loop(self, at: int, loop: Loop, indent: int) -> list[str]:
        """A value that is left in a state has the name of the state at once, where nothing reads the old one later."""
        rows = {row: which for which, row in enumerate(loop.rows) if row is not None}
        for row in rows:
            self.names[row] = self.lists.take()
        code = [f"{' ' * indent}{self.names[row]} = []" for row in rows]
        over = [self._filled(expression) for _, expression in loop.items]
        own = self._enter(loop)
        items = ", ".join(self.names[number] for number, _ in loop.items)
        code += layout(f"for {items or '_'} in ", _walked(over, loop.length), ":", indent)
        code += self._lines(loop, own, indent + 4)
        code += self._leave(loop, indent + 4)
        code += [
            f"{' ' * (indent + 4)}{self.names[row]}.append({self.names[loop.states[i]]})" for row, i in rows.items()
        ]
        outer = set(self.reads[at]) - own - {number for number, _ in loop.items}
        self._give_back({number for number in outer if self.last[number] == at})
        return code

    def _enter(self, loop: Loop) -> set[int]:
        """Names for the items, for states that no step reads, and for what replaces a state; the values that the
        lines make."""
        for number in (*(number for number, _ in loop.items), *loop.states):
            if number not in self.names:
                self.names[number] = self.tensors.take()
        for state, end in zip(loop.states, loop.ends, strict=True):
            if isinstance(end.doc, Hole) and _replaces(loop, state, end.doc.operand):
                self.names[end.doc.operand] = self.names[state]
        return {target for line in loop.lines for target in line.targets if target is not None}

    def _lines(self, loop: Loop, own: set[int], indent: int) -> list[str]:
        """The names of what is made inside are free again after the loop, or once they are read for the last time."""
        last = {number: at for at, line in enumerate(loop.lines) for number in read(line.expression)}
        kept = {number for end in loop.ends for number in read(end)}
        free = (own | {number for number, _ in loop.items}) - kept
        code: list[str] = []
        for at, line in enumerate(loop.lines):
            names = {number: self.names[number] for number in read(line.expression)}
            self._give_back({number for number in names if number in free and last[number] == at})
            code += self._statement(self._take(line), line, names, indent)
        unread = {number for number in free if number not in last}
        self._give_back(unread)
        return code

    def _leave(self, loop: Loop, indent: int) -> list[str]:
        """What is left in states that have no such name yet, all at once."""
        states = [self.names[number] for number in loop.states]
        moved = [(name, end) for name, end in zip(states, loop.ends, strict=True) if self._shown(end) != name]
        if not moved:
            return []
        inside = {target for line in loop.lines for target in line.targets}
        text = ", ".join(self._shown(end) for _, end in moved)
        self._give_back({number for _, end in moved for number in read(end) if number in inside})
        return [f"{' ' * indent}{', '.join(name for name, _ in moved)} = {text}"]

    def _shown(self, expression: Expression) -> str:
        return flat(self._filled(expression).doc)


def read(expression: Expression) -> list[int]:
    """The values that it reads, as often as it does."""
    return [hole.operand for hole in holes(expression.doc)]


def _read(line: Line | Loop) -> list[int]:
    """The values that a line reads, or that a loop reads and makes."""
    if isinstance(line, Line):
        return read(line.expression)
    expressions = [*(expression for _, expression in line.items), *line.ends]
    inside = [number for inner in line.lines for number in _read(inner)]
    return [*line.states, *inside, *(number for expression in expressions for number in read(expression))]


def _replaces(loop: Loop, state: int, end: int) -> bool:
    """Whether a value may have the name of the state that it is left in: nothing reads the state after it is made."""
    made = next((at for at, line in enumerate(loop.lines) if end in line.targets), None)
    ends = [number for each in loop.ends for number in read(each)]
    if made is None or state in ends or ends.count(end) > 1:
        return False
    return all(state not in read(line.expression) for line in loop.lines[made + 1 :])


def _walked(over: list[Expression], length: int) -> Doc:
    if not over:
        return f"range({length})"
    if len(over) == 1:
        return over[0].doc
    return Group("zip", (*(each.doc for each in over), "strict=True"))


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


def _list_name(index: int) -> str:
    return f"steps{index + 1}" if index else "steps"
