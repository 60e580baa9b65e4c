"""The constructor of an emitted class: layers, parameters and buffers, and what they start from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from ein.compiler.blocks import Block, Item, Part
from ein.compiler.emit_body import layer
from ein.compiler.emit_host import construction
from ein.compiler.fillings import arguments, made
from ein.compiler.forward import Forward, forward
from ein.compiler.modules import module
from ein.compiler.naming import Naming
from ein.compiler.program import Program, Slot, home_of, start_program
from ein.compiler.source import ATOM, Doc, Group, Row, layout
from ein.compiler.structures import Structure
from ein.compiler.weights import Slot as Kept
from ein.compiler.weights import Start, start
from ein.grammar.bodies.tensors import Body

_INDENT = 8
_FRESH = frozenset(("pointwise", "reduce", "einsum", "along", "concat", "stack", "as_float", "eye"))
"""Steps whose result shares no memory with their operands."""


def constructor(
    block: Block, live: Set[Slot], names: Mapping[Slot, str], constants: Iterable[str], classes: Mapping[Structure, str]
) -> list[tuple[str, int]]:
    """The rows of `__init__`, each with the number of the item that it builds or -1; none where nothing is kept.

    `live` are the slots that `forward` reads, `constants` the rows of what is computed once, `classes` the names of
    classes.
    """
    given = block.parameters.given
    rows = [(f"        self.{parameter.name} = {parameter.name}", -1) for parameter in given if parameter.runs]
    done: set[Slot] = set()
    keys: set[str] = set()
    for number, item in sorted(enumerate(block.items), key=lambda pair: _when(pair[1])):
        if isinstance(item, Part):
            if item.slots and item.key not in keys:
                keys.add(item.key)
                rows += ((row, number) for row in _part(item, live, names, done))
            continue
        home = home_of(item, number)
        if home in live and home not in done:
            done.add(home)
            rows += ((row, number) for row in layout(f"self.{names[home]} = ", module(item, classes), "", _INDENT))
    rows += ((row, -1) for row in constants)
    if not rows and not given:
        return []
    signature = layout("def __init__", Group("", ("self", *(each.name for each in given))), ":", 4)
    return [*unmarked([*signature, "        super().__init__()"]), *rows, ("", -1)]


def unmarked(rows: Iterable[str]) -> list[tuple[str, int]]:
    return [(row, -1) for row in rows]


def _when(item: Item) -> int:
    """What keeps nothing can be built at any time."""
    return -1 if item.built is None else item.built


def _part(part: Part, live: Set[Slot], names: Mapping[Slot, str], done: set[Slot]) -> Iterator[str]:
    fresh: dict[tuple[int, ...], str | None] = {}
    for slot in part.slots:
        home = slot.home(part.key)
        if home not in done:
            fresh[slot.path] = names[home] if home in live else None
            done.add(home)
    return _rows(part, fresh)


def _rows(part: Part, names: Mapping[tuple[int, ...], str | None]) -> Iterator[str]:
    """What one use of an operator keeps, under the names of its slots; in textual order, as the interpreter draws.

    A slot without a name is read by no one, and one that is not listed is kept already.
    """
    starts = _Starts(part.body) if part.body.starts else None
    for slot in part.slots:
        name = names.get(slot.path)
        if slot.step.op in ("layer", "host"):
            if name is not None:
                built = layer(slot.step) if slot.step.op == "layer" else construction(slot.step)
                yield from layout(f"self.{name} = ", built, "", _INDENT)
        elif slot.path in names:
            if starts is not None:
                yield from starts.until(slot.step.argument("after"))
            if name is not None:
                yield from _kept(name, slot, None if starts is None else starts.of(slot))


@dataclass(slots=True)
class _Starts:
    """What is computed at the start of one use, written line by line."""

    body: Body
    program: Program = field(init=False)
    local: tuple[int, ...] = field(init=False)
    found: Forward = field(init=False)
    naming: Naming = field(init=False)
    written: int = 0

    def __post_init__(self) -> None:
        self.program, self.local = start_program(self.body)
        self.found = forward(self.program, {})
        self.naming = Naming(self.found, comments=False)

    def until(self, count: int) -> Iterator[str]:
        """The lines that the first `count` starts take and that are not written yet."""
        bound = max(self.local[:count], default=-1)
        while self.written < len(self.found.order) and self.found.order[self.written] <= bound:
            yield from self.naming.text(self.written, _INDENT)
            self.written += 1

    def of(self, slot: Kept) -> Doc | None:
        """What a slot starts from, if that is computed; a tensor that nothing else has."""
        begin = start(slot.step)
        if begin.kind != "computed":
            return None
        number = self.local[int(begin.numbers[0])]
        expression = self.naming.result(self.program.results.index(number))
        step = self.program.step(number)
        if step.op in _FRESH or (step.op == "item" and self.program.step(self.program.reads(number)[0]).op == "scan"):
            return expression.doc
        doc = expression.doc if expression.binding >= ATOM else Group("", (expression.doc,))
        return Group(Row((doc, ".clone")), ())


def _kept(name: str, slot: Kept, computed: Doc | None) -> list[str]:
    """A parameter or buffer with its start: in one line where torch has a word for it."""
    begin = start(slot.step)
    tensor = made(begin, slot.step.sizes) if computed is None else computed
    if slot.step.op == "buffer":
        rows = layout("", Group("self.register_buffer", (f'"{name}"', tensor)), "", _INDENT)
    else:
        rows = layout(f"self.{name} = ", Group("nn.Parameter", (tensor,)), "", _INDENT)
    return [*rows, *_filling(f"self.{name}", begin, len(slot.step.sizes))]


def _filling(target: str, begin: Start, rank: int) -> list[str]:
    match begin:
        case Start("constant" | "computed") | Start("normal", (0.0, 1.0)):
            return []
        case Start("orthogonal") if rank > 2:
            blocks = ".data" if rank == 3 else ".data.flatten(0, -3)"
            return [f"        for block in {target}{blocks}:", "            nn.init.orthogonal_(block)"]
        case _:
            return layout("", Group(f"nn.init.{begin.kind}_", (target, *arguments(begin))), "", _INDENT)
