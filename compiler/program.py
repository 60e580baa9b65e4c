"""What a class computes as one list of steps, in which wires are gone: every value says which values it is made of.

A scan is written out as one of its steps. The values inside have its number as `loop`; those that it walks along
are steps `each`, its states as a step finds them are steps `carried` (which stand before the loop and are what the
states start from), and the step `scan` reads the states as a step leaves them. `item` is all values of one state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import NamedTuple, TypeAlias

from ein.compiler.blocks import Block, Call, Part, Run
from ein.compiler.emit_body import cast
from ein.compiler.structures import GIVEN
from ein.compiler.weights import slots, start
from ein.grammar.bodies.elements import COMPARISONS, is_truth
from ein.grammar.bodies.tensors import Body, Step

Slot: TypeAlias = tuple[str, str]
"""Where weights are kept: see `ein.compiler.weights.Slot.home`; where a module is, see `home_of`."""

CALLED = "called"
"""Where modules of classes of ours are kept; no key of a use is called so."""


class Value(NamedTuple):
    """A step, as it stands in its body, and the values of the program that it reads."""

    step: Step
    inputs: tuple[int, ...] = ()
    slot: Slot | None = None
    in_order: bool = False
    """It changes what the network keeps, or draws, and another value does too: their order matters."""
    loop: int | None = None
    origin: int = -1
    """The item of the class that it comes from."""


@dataclass(frozen=True, eq=False)
class Program:
    """`values` in order, sources first; `inputs` and `results` are numbers of values."""

    values: tuple[Value, ...]
    inputs: tuple[int, ...]
    results: tuple[int, ...]

    def step(self, number: int) -> Step:
        return self.values[number].step

    def reads(self, number: int) -> tuple[int, ...]:
        return self.values[number].inputs

    @cached_property
    def live(self) -> frozenset[int]:
        """Values that a result depends on."""
        found = {*self.results, *self.inputs}
        stack = list(self.results)
        while stack:
            fresh = [source for source in self.values[stack.pop()].inputs if source not in found]
            found.update(fresh)
            stack += fresh
        return frozenset(found)


def program(block: Block) -> Program:
    """The values of a class, in the order of its items."""
    keys = Counter(item.key for item in block.items if isinstance(item, Part))
    instances = Counter(item.keys for item in block.items if isinstance(item, Call))
    made = _Flattening({key for key, count in keys.items() if count > 1})
    inputs = tuple(made.add(Step("input", (), sizes, element=element)) for sizes, element in block.inputs)
    at = {(GIVEN, port): value for port, value in enumerate(inputs)}
    for number, item in enumerate(block.items):
        made.origin = number
        sources = [made.unread() if source is None else at[source] for source in item.sources]
        match item:
            case Part():
                found = made.use(item, sources)
            case Call():
                found = made.call(item, number, sources, bool(item.keys) and instances[item.keys] > 1)
            case Run():
                found = made.call(item, number, sources, False)
        for port, value in enumerate(found):
            at[number, port] = value
    return Program(tuple(made.values), inputs, tuple(at[port] for port in block.results))


def home_of(item: Call | Run, number: int) -> Slot:
    """Where a module is kept: by the keys of what is in it if others share them, else by its place."""
    return (CALLED, " ".join(item.keys)) if isinstance(item, Call) and item.keys else (CALLED, str(number))


def start_program(body: Body) -> tuple[Program, tuple[int, ...]]:
    """What is computed for the weights of a body when a network is built, and for each start the number of its value.

    The results are the starts that weights have, in the order of their slots.
    """
    made = _Flattening(set())
    local = tuple(made.body(body.starts, [], {}, ""))
    begins = [start(slot.step) for slot in slots(body) if slot.step.op not in ("layer", "host")]
    results = tuple(local[int(begin.numbers[0])] for begin in begins if begin.kind == "computed")
    return Program(tuple(made.values), (), results), local


class _Flattening:
    def __init__(self, shared: set[str]) -> None:
        self.shared = shared
        self.values: list[Value] = []
        self.weights: dict[Slot, int] = {}
        self.parts: dict[tuple[int | None, Step], int] = {}
        self.truths: set[int] = set()
        """Values that are numbers to a reader only once they are cast."""
        self.casts: dict[tuple[int | None, int], int] = {}
        self.loop: int | None = None
        self.loops = count()
        self.origin = -1

    def use(self, part: Part, sources: list[int]) -> tuple[int, ...]:
        """The values of the results."""
        body = part.body
        homes = {slot.path: slot.home(part.key) for slot in part.slots}
        local = self.body(body.steps, sources, homes, part.key)
        if not self.truths:
            return tuple([local[result] for result in body.results])
        return tuple(self._number(local[result]) for result in body.results)

    def call(self, item: Call | Run, number: int, sources: list[int], in_order: bool) -> tuple[int, ...]:
        """The values of the results of a module; of several the module gives a tuple."""
        count = len(item.outputs)
        sizes, element = item.outputs[0]
        step = Step("call", tuple(range(len(sources))), sizes, arguments=(("results", count),), element=element)
        made = self.add(step, tuple(sources), home_of(item, number), in_order)
        if count == 1:
            return (made,)
        return tuple(
            self.add(Step("item", (0,), sizes, arguments=(("which", which),), element=element), (made,))
            for which, (sizes, element) in enumerate(item.outputs)
        )

    def unread(self) -> int:
        """Stands for what no result depends on."""
        return self.add(Step("input", (), ()))

    def body(
        self,
        steps: Sequence[Step],
        sources: Sequence[int],
        homes: Mapping[tuple[int, ...], Slot],
        key: str,
        path: tuple[int, ...] = (),
    ) -> list[int]:
        """For each step the number of its value."""
        local: list[int] = []
        for index, step in enumerate(steps):
            if step.op == "input":
                local.append(sources[step.argument("which")])
                continue
            if self.truths:
                inputs = tuple(self._operand(step, i, local[source]) for i, source in enumerate(step.inputs))
            else:
                inputs = tuple([local[source] for source in step.inputs])
            if step.op == "scan":
                local.append(self._scan(step, inputs, homes, key, (*path, index)))
            else:
                local.append(self._step(step, inputs, homes.get((*path, index)) if homes else None, key))
        return local

    def _step(self, step: Step, inputs: tuple[int, ...], slot: Slot | None, key: str) -> int:
        if slot is not None and slot in self.weights:
            return self.weights[slot]
        if step.op == "part":
            return self._part(step, inputs)
        in_order = step.op == "draw" or (key in self.shared and _keeps(step))
        made = self.add(step, inputs, slot, in_order)
        if slot is not None and step.op in ("weight", "buffer"):
            self.weights[slot] = made
        return made

    def _part(self, step: Step, inputs: tuple[int, ...]) -> int:
        """Equal parts of a value are one."""
        at = self.loop, step.reading(inputs)
        found = self.parts.get(at)
        if found is None:
            found = self.parts[at] = self.add(step, inputs)
        return found

    def _scan(
        self,
        step: Step,
        inputs: tuple[int, ...],
        homes: Mapping[tuple[int, ...], Slot],
        key: str,
        path: tuple[int, ...],
    ) -> int:
        """The values of one step, and the scan that reads what they leave."""
        body, sliced = step.argument("body"), step.argument("sliced")
        given = [each for each in body.steps if each.op == "input"]
        states = given[len(sliced) :]
        starts = [
            self.add(replace(state, op="carried", inputs=(0,), arguments=()), (start,))
            for state, start in zip(states, inputs[len(sliced) :], strict=True)
        ]
        around, self.loop = self.loop, next(self.loops)
        fixed = [
            value
            if axis is None
            else self.add(replace(each, op="each", inputs=(0,), arguments=(("axis", axis),)), (value,))
            for each, value, axis in zip(given, inputs, sliced, strict=False)
        ]
        local = self.body(body.steps, [*fixed, *starts], homes, key, path)
        ends = tuple(self._number(local[result]) for result in body.results)
        inside, self.loop = self.loop, around
        arguments = (("loop", inside), ("states", tuple(starts)), ("length", step.argument("length")))
        return self.add(replace(step, inputs=tuple(range(len(ends))), arguments=arguments), ends)

    def _operand(self, step: Step, index: int, value: int) -> int:
        """A truth is boolean as the condition of `where`, and where other truths are made of it."""
        is_condition = step.op == "pointwise" and step.name == "where" and index == 0
        is_part = is_truth(step) and step.name not in COMPARISONS
        return value if is_condition or is_part else self._number(value)

    def _number(self, value: int) -> int:
        if value not in self.truths:
            return value
        step = self.values[value].step
        if (self.loop, value) not in self.casts:
            like = self._like(value, step.element)
            self.casts[self.loop, value] = self.add(cast(step), (value, like))
        return self.casts[self.loop, value]

    def _like(self, value: int, element: str) -> int:
        """The first tensor of an element type that a truth is about, and that is none itself."""
        stack = [value]
        while stack:
            found = stack.pop()
            step = self.values[found].step
            if is_truth(step):
                stack += reversed(self.values[found].inputs)
            elif step.op != "number" and step.element == element:
                return found
        raise AssertionError(f"a truth of {element} is about none")

    def add(self, step: Step, inputs: tuple[int, ...] = (), slot: Slot | None = None, in_order: bool = False) -> int:
        """The number of a new value."""
        number = len(self.values)
        self.values.append(Value(step, inputs, slot, in_order, self.loop, self.origin))
        if step.element != "bool" and is_truth(step):
            self.truths.add(number)
        return number


def _keeps(step: Step) -> bool:
    """Whether it changes what it keeps, or may."""
    return step.op == "host" or step.name.startswith("nn.BatchNorm")
