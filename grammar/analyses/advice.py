"""What would fit where a term does not: another join, an end that gives the wanted type."""

from __future__ import annotations

from collections.abc import Iterator

from ein.grammar.cfg import Application, Cost, Grammar
from ein.grammar.diagnostics import EinError
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Inapplicable
from ein.grammar.types import Bundle, Tensor, ValueType, merge, rank


def other_join(grammar: Grammar, join: Application, input: Bundle) -> str:
    """Where `join` wants equal tensors and these are not; empty where something else is wrong."""
    equal = any(isinstance(operator.declaration.input, s.PowerType) for operator in join.overloads)
    if not equal or merge(input.members) is not None:
        return ""
    overloads = grammar.operators.get("concat", ())
    has_axis = bool(overloads) and all("axis" in operator.names for operator in overloads)
    for axis in range(1, (rank(input) or 0) + 1) if has_axis else ():
        if not isinstance(grammar.application(overloads, (("axis", axis),)).look(input), Inapplicable):
            return f"give the branches one type, or join them with `concat(axis = {axis})`"
    return "give the branches one type"


def ending(grammar: Grammar, given: ValueType, wanted: ValueType) -> str:
    """`pool >> linear(10)`: one or two operators of the file that lead from type to type with the fewest weights."""
    if not isinstance(wanted, Tensor):
        return ""
    size = wanted.sizes[-1]
    ways = [(cost.parameters, text) for text, type, cost in _steps(grammar, given, size) if merge((wanted, type))]
    for first, type, cost in _steps(grammar, given, size):
        for second, end, more in _steps(grammar, type, size):
            if merge((wanted, end)) is not None:
                ways.append((cost.parameters + more.parameters, f"{first} >> {second}"))
    return min(ways, key=lambda way: way[0], default=(0, ""))[1]


def _steps(grammar: Grammar, input: ValueType, size: int) -> Iterator[tuple[str, ValueType, Cost]]:
    """Operators without arguments, and with the size as the only one, that change the type."""
    for overloads in grammar.operators.values():
        needed = {p.name: p.kind for operator in overloads for p in operator.parameters if p.default is None}
        if len(needed) > 1 or not set(needed.values()) <= {None, "int"}:
            continue
        application = grammar.application(overloads, tuple((name, size) for name in needed))
        try:
            found = application.look(input)
            if not isinstance(found, Inapplicable) and found.output is not input:
                yield application.text, found.output, found.cost
        except (EinError, Inapplicable):
            continue
