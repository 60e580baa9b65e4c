"""Instances of classes of ours, as they are built: `BasicBlock(64, 128, stride=2)`, and runs of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from ein.compiler.blocks import Call, Run
from ein.compiler.parameters import Parameter
from ein.compiler.source import WIDTH, Doc, Group, flat
from ein.compiler.source import number as literal
from ein.compiler.structures import Structure
from ein.compiler.template import Number

LONG = 3
"""So many instances are made in a loop, and two where they would take several lines."""

WIDE = 60
"""Characters of what takes several lines."""

WIDEST = WIDTH - 14
"""Characters of a loop that stands on one line in any case."""


def module(item: Call | Run, classes: Mapping[Structure, str]) -> Group:
    """`classes` are the names of classes."""
    if isinstance(item, Call):
        return _instance(item, classes)
    first = item.calls[0]
    if len(item.calls) >= LONG and all(call.structure is first.structure for call in item.calls):
        looped = _looped(item.calls, classes[first.structure])
        if looped is not None and len(looped) <= WIDEST:
            return Group("nn.Sequential", (looped,))
    return Group("nn.Sequential", tuple(_shortened([_instance(call, classes) for call in item.calls])))


def _shortened(made: list[Group]) -> Iterator[Doc]:
    """Equal ones that follow one another are made in a loop."""
    fits = sum(len(flat(each)) + 2 for each in made) < WIDE
    for _, group in groupby(made):
        alike = list(group)
        looped = f"*({flat(alike[0])} for _ in range({len(alike)}))"
        if len(alike) == 1 or len(looped) > WIDEST or (len(alike) < LONG and fits):
            yield from alike
        else:
            yield looped


def _instance(call: Call, classes: Mapping[Structure, str]) -> Group:
    return Group(classes[call.structure], tuple(_argument(given, value) for given, value in call.arguments))


def _argument(given: Parameter, value: Number) -> Doc:
    return literal(value) if given.is_size else f"{given.name}={literal(value)}"


def _looped(calls: Sequence[Call], name: str) -> str | None:
    """Of instances that are alike, or that differ in one size, which grows evenly."""
    rows = [call.arguments for call in calls]
    different = [at for at in range(len(rows[0])) if any(row[at] != rows[0][at] for row in rows)]
    if len(different) > 1:
        return None
    written = [_argument(given, value) for given, value in rows[0]]
    over = f"_ in range({len(calls)})"
    for at in different:
        given = rows[0][at][0]
        values = [row[at][1] for row in rows]
        step = values[1] - values[0]
        if any(type(value) is not int for value in values) or step <= 0:
            return None
        if values != list(range(int(values[0]), int(values[-1]) + 1, int(step))):
            return None
        word = given.name
        written[at] = word if given.is_size else f"{word}={word}"
        bounds = [values[0], values[-1] + step, step] if step != 1 else [values[0], values[-1] + 1]
        over = f"{word} in range({', '.join(map(str, bounds))})"
    return f"*({name}({', '.join(map(str, written))}) for {over})"
