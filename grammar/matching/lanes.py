"""What steps do to a type, or to several types for the same choices.

Copies and repeats whose inputs differ in what is live are typed one by one from the same choices (`Copy.output`,
`Loop.output`). So there a value is one type for each of them, side by side in `Lanes`; where all agree it is one type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ein.grammar.computed import side_by_side
from ein.grammar.derivations.options import options, outcome
from ein.grammar.diagnostics import Span
from ein.grammar.numbers import Inapplicable
from ein.grammar.space import Space
from ein.grammar.steps import (
    Apply,
    Candidate,
    Enter,
    Fork,
    Instance,
    Load,
    Pack,
    Program,
    Step,
    Variables,
    assign,
    inside,
)
from ein.grammar.types import Bundle, Tensor, ValueType, leaves


@dataclass(frozen=True, slots=True)
class Lanes:
    """The types of one value, by lane; not all of them equal. The first decides on probabilities."""

    types: tuple[ValueType, ...]


Value: TypeAlias = ValueType | Lanes

Scope: TypeAlias = tuple[tuple[str, Value], ...]
"""Variables with their values, by name."""


def lanes(types: Sequence[ValueType]) -> Value:
    return types[0] if all(type is types[0] for type in types) else Lanes(tuple(types))


def lane(value: Value, index: int) -> ValueType:
    return value.types[index] if isinstance(value, Lanes) else value


def width(values: Iterable[Value]) -> int:
    """How many lanes values have; those of one type fit to any."""
    return max((len(value.types) for value in values if isinstance(value, Lanes)), default=1)


def first(value: Value) -> ValueType:
    return lane(value, 0)


def each_lane(function: Callable[..., ValueType], *values: Value) -> Value:
    """A function of types, lane by lane; raises Inapplicable where it does in one."""
    count = width(values)
    if count == 1:
        return function(*values)
    return lanes([function(*(lane(value, i) for value in values)) for i in range(count)])


def beside(values: Sequence[Value], span: Span | None = None) -> Value:
    """The bundle of values; raises Inapplicable where it is too large."""
    return each_lane(lambda *types: side_by_side(types, span), *values)


def split(values: Sequence[Sequence[ValueType]]) -> list[Value]:
    """The values of a step's parts, of which each lane has given its own."""
    return [lanes(column) for column in zip(*values, strict=True)]


def run(space: Space, step: Step, value: Value, scope: Scope) -> tuple[Value, int]:
    """Output and modules of a step without rules; raises Inapplicable."""
    if isinstance(step, Apply) and not isinstance(value, Lanes):
        found = step.application.result(value)
        if found is None:
            raise Inapplicable("does not fit")
        return found, 1
    count = width([value, *(each for _, each in scope)])
    done = [space.run(step, lane(value, i), variables(scope, i)) for i in range(count)]
    return lanes([type for type, _ in done]), done[0][1]


def variables(scope: Scope, index: int = 0) -> Variables:
    return {name: lane(value, index) for name, value in scope}


def named(names: tuple[str, ...], value: Value, scope: Scope, span: Span) -> Scope:
    """The scope with the value, or with the members of a bundle, under names; raises Inapplicable."""
    count = width([value])
    found: list[Variables] = []
    for i in range(count):
        found.append({})
        assign(names, lane(value, i), found[-1], span)
    added = {name: lanes([each[name] for each in found]) for name in names}
    return tuple(sorted({**dict(scope), **added}.items()))


def only(scope: Scope, names: frozenset[str] | None) -> Scope:
    """What of a scope is mentioned; None: it is not known."""
    if not scope or names is None:
        return scope
    return tuple(entry for entry in scope if entry[0] in names)


def mentions(program: Program) -> frozenset[str] | None:
    """The variables that a program reads; None: one of its macros waits for the type, and may read any."""
    found: frozenset[str] = frozenset()
    for step in program:
        match step:
            case Load(name):
                found |= {name}
            case Pack(names):
                found |= {*names}
            case Enter(_, _, None):
                return None
            case _:
                for each in map(mentions, inside(step)):
                    if each is None:
                        return None
                    found |= each
    return found


def inputs(step: Fork, value: Value) -> list[Value]:
    """What each branch begins with; raises Inapplicable."""
    return split([step.inputs(lane(value, i)) for i in range(width([value]))])


def enter(space: Space, step: Any, value: Value) -> Program:
    """The program of a macro; lanes differ in what is live, which no signature looks at. Raises Inapplicable."""
    return space.enter(step, first(value))


def meet(space: Space, instance: Instance, value: Value, output: Value) -> Value:
    """The output as the rule claims it; raises Inapplicable where it is another."""
    return each_lane(lambda type, found: space.meet(instance, type, found), value, output)


@dataclass(slots=True, eq=False)
class Head:
    """A candidate at a value: what it does before its first rule. `program` is what is left."""

    candidate: Candidate
    probability: float
    value: Value
    scope: Scope
    modules: int

    @property
    def program(self) -> Program:
        return self.candidate.rest


def heads(space: Space, instance: Instance, value: Value) -> list[Head]:
    """The candidates that apply in every lane, in the order of the file."""
    table = options(space, instance, first(value))
    both = zip(table.candidates, table.probabilities, strict=True)
    if not isinstance(value, Lanes):
        return [_head(space, candidate, probability, value) for candidate, probability in both]
    others = [
        {candidate.choice: candidate for candidate in options(space, instance, type).candidates}
        for type in value.types[1:]
    ]
    found = []
    for candidate, probability in both:
        same = [candidate, *(other[candidate.choice] for other in others if candidate.choice in other)]
        if len(same) == len(value.types):
            each = [_head(space, mine, 1.0, type) for mine, type in zip(same, value.types, strict=True)]
            scope = tuple((name, lanes([first(dict(e.scope)[name]) for e in each])) for name, _ in each[0].scope)
            merged = lanes([first(e.value) for e in each])
            found.append(Head(candidate, probability, merged, scope, each[0].modules))
    return found


def _head(space: Space, candidate: Candidate, probability: float, type: ValueType) -> Head:
    if candidate.simple and candidate.first is not None:
        return Head(candidate, probability, space.result(candidate.first, type), (), 1)
    if candidate.simple:
        return Head(candidate, probability, type, (), 0)
    done = outcome(space, candidate, type)
    return Head(candidate, probability, done.output, tuple(sorted(done.variables.items())), done.modules)


def text(value: Value) -> str:
    """Tells values apart in the same way in every process, for an order."""
    return "; ".join(_text(type) for type in value.types) if isinstance(value, Lanes) else _text(value)


def label(value: Any) -> str:
    """Of a value, or of a class of them (classes.py)."""
    return f"{value[0]}[{value[1]}]" if isinstance(value, tuple) else text(value)


def _text(type: ValueType) -> str:
    if isinstance(type, Tensor) and type.regular is not None:
        return repr(type)
    marks = "".join(f"{'.' if leaf.live else '0'}{leaf.element}" for leaf in leaves(type))
    return f"{type!r} {marks}" if isinstance(type, Bundle) or type.regular is None else repr(type)
