"""Values that depend on neither inputs nor weights: masks and positions, computed once when a network is built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ein.compiler.forward import forward
from ein.compiler.naming import Naming
from ein.compiler.program import Program, Slot
from ein.compiler.source import Group, layout
from ein.grammar.bodies.elements import is_truth
from ein.grammar.bodies.tensors import Step

HOME = "constant"
"""Where they are kept: no key of a use is called so, for those end in a number."""

_PURE = frozenset(
    "pointwise reduce along permute unflatten flatten unsqueeze einsum concat stack part index slice pad windows copies"
    " roll lookup take topk one_hot whole cast truth spectrum broadcast as_float".split()
)
_VIEWS = frozenset("permute unflatten flatten unsqueeze copies index slice cast whole broadcast as_float".split())
_MAX_WORD = 24


@dataclass(frozen=True, slots=True)
class Hoisted:
    """`program` reads the constants as buffers; `constants` computes them, its results being `names` in this order."""

    program: Program
    constants: Program
    names: tuple[str, ...]

    @property
    def attributes(self) -> dict[Slot, str]:
        return {(HOME, name): name for name in self.names}

    def rows(self, indent: int) -> Iterator[str]:
        """The lines that register them."""
        naming = Naming(forward(self.constants, {}), comments=False)
        for at in range(len(naming.found.lines)):
            yield from naming.text(at, indent)
        for at, name in enumerate(self.names):
            made = Group("self.register_buffer", (f'"{name}"', naming.result(at).doc, "persistent=False"))
            yield from layout("", made, "", indent)


def hoisted(program: Program, taken: Collection[str]) -> Hoisted:
    """`taken` are names that the class has already. Constants that are equal are one."""
    first = _constants(program)
    kept = dict.fromkeys(first[number] for number in _read(program, first))
    if not kept:
        return Hoisted(program, Program((), (), ()), ())
    names = dict(zip(kept, _names([(program, number) for number in kept], taken), strict=True))
    values = list(program.values)
    for number in _read(program, first):
        step = values[number].step
        element = "bool" if is_truth(step) else step.element
        buffer = Step("buffer", (), step.sizes, batched=False, element=element)
        slot = (HOME, names[first[number]])
        values[number] = values[number]._replace(step=buffer, inputs=(), slot=slot, loop=None)
    alone = tuple(value if value.loop is None else value._replace(loop=None) for value in program.values)
    return Hoisted(
        Program(tuple(values), program.inputs, program.results), Program(alone, (), tuple(kept)), tuple(names.values())
    )


def _constants(program: Program) -> dict[int, int]:
    """Each constant with the first one that is equal."""
    first: dict[int, int] = {}
    seen: dict[Step, int] = {}
    for number, value in enumerate(program.values):
        step = value.step
        pure = step.op in ("range", "number") or (step.op in _PURE and not step.batched)
        if pure and all(source in first for source in value.inputs):
            key = step.reading(tuple(first[source] for source in value.inputs)).labelled("")
            first[number] = seen.setdefault(key, number)
    return first


def _read(program: Program, constants: Collection[int]) -> list[int]:
    """The constants that something else reads; plain numbers are written where they are used."""
    readers = [number for number in sorted(program.live) if number not in constants]
    read = {source for number in readers for source in program.reads(number)} | {*program.results}
    return sorted(number for number in read if number in constants and program.step(number).op != "number")


# --- names


def _names(constants: list[tuple[Program, int]], taken: Collection[str]) -> Iterator[str]:
    """`mask1`, `positions1`, `angle1`, `cos_angle1`: as the author called it, or by what it is."""
    counts: Counter[str] = Counter()
    for program, number in constants:
        base = _word(program, number)[:_MAX_WORD].strip("_")
        while True:
            counts[base] += 1
            name = f"{base}{'_' * base[-1].isdigit()}{counts[base]}"
            if name not in taken:
                break
        yield name


def _word(program: Program, number: int) -> str:
    step = program.step(number)
    if step.label:
        return step.label
    if step.op in _VIEWS:
        return _word(program, program.reads(number)[0])
    if is_truth(step) or step.name == "where":
        return "mask"
    if step.op == "range":
        return "positions"
    if step.name.isidentifier():
        label = program.step(program.reads(number)[0]).label
        return f"{step.name}_{label}" if label else step.name
    return "constant"
