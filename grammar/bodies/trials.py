"""Uses of an operator to test its signature with: arguments and sizes, the same for every run.

First sizes that are pairwise different, so that no coincidence can hide a mistake; then those at the edge:
1, 2, and the neighbours of every number in the declaration, where guards begin and cease to hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count, islice
from random import Random
from typing import Any, TypeAlias

from ein.grammar.cfg import Applied, Operator, Parameter
from ein.grammar.computed import compile_type
from ein.grammar.names import type_names
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Inapplicable, Order
from ein.grammar.patterns import KIND, Kinds
from ein.grammar.types import ValueType, leaves, tensor

DRAWS = 4
"""Uses that must agree before a signature is believed, and as many more for each parameter.

Of 2,936 operators with one word changed, 1,424 are refuted by some use that more draws than these find, and all but
two of them by these.
"""

TRIES = 1500
TRIES_EACH = 12
"""Draws for each parameter of an operator, fitting or not: every one of them is 0 in some."""

PATIENCE = 60
"""Draws for each parameter that wait for another value of one: with some, sizes are never pairwise different."""

EDGES = 16
"""Draws of sizes at the edge, fitting or not, and as many more for each parameter."""

EACH_NUMBER = 8
"""Draws more for each large number that is a neighbour of one in the declaration."""

_SIZES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 4, 6, 8, 9, 10, 12, 14, 15, 16, 18, 20, 21, 22, 24, 28, 30, 36, 40, 48)
_SMALL = (0, 1, 1, 2, 2, 3, 4, 6)
_EDGE_SIZES = (1, 1, 2, 2, 3, 4)
_EDGE_ARGUMENTS = (0, 1, 1, 2, 2, 3, 4)
_LARGEST_EDGE = 4096
_WHOLE = ("int", "bool", None)
_TELLING = (*_WHOLE, "fn")
"""Kinds of parameters on which it can depend whether a body keeps its signature."""

Draw: TypeAlias = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Trial:
    """`given` are the arguments that are not left at their defaults."""

    given: Mapping[str, Any]
    applied: Applied


def apart(operator: Operator, kinds: Kinds, rounds: int = 1, brief: bool = False) -> Iterator[Trial]:
    """Uses at sizes that are pairwise different, until the last one has been asked for often enough to believe it.

    `brief`: of parameters that no sizes can hang on, none is a reason for more."""
    parameters = _counted(operator, brief)
    seen = _Values(operator)
    for made, (tried, trial) in enumerate(_fitting(operator, kinds, TRIES, _shuffled)):
        patient = tried < rounds * PATIENCE * (1 + parameters) and not seen.enough()
        if made >= rounds * DRAWS * (1 + parameters) and tried >= rounds * TRIES_EACH * parameters and not patient:
            return
        seen.add(trial.applied.arguments)
        yield trial


def at_the_edge(operator: Operator, kinds: Kinds, brief: bool = False) -> Iterator[Trial]:
    """Uses at sizes and arguments that are as small as can be, or next to a number of the declaration."""
    near = sorted({n + d for n in _numbers(operator.declaration) for d in (-1, 0, 1) if 1 <= n + d <= _LARGEST_EDGE})
    sizes, arguments = (*_EDGE_SIZES, *near), (*_EDGE_ARGUMENTS, *near)
    each = sorted(set(sizes))

    def draws(attempt: int, random: Random) -> tuple[Draw, Draw]:
        size = (lambda: each[attempt]) if attempt < len(each) else _one_of(sizes, random)
        return size, _one_of(arguments, random)

    far = sum(size > max(_EDGE_ARGUMENTS) + 1 for size in near)
    count = len(each) + EDGES * (1 + _counted(operator, brief)) + EACH_NUMBER * far
    for _, trial in _fitting(operator, kinds, count, draws):
        yield trial


def _counted(operator: Operator, brief: bool) -> int:
    """Parameters for each of which there are more draws."""
    return sum(not brief or p.kind in _TELLING for p in operator.parameters)


def trials(operator: Operator, kinds: Kinds, most: int) -> Iterator[Trial]:
    """At most so many of each sort."""
    yield from islice(apart(operator, kinds), most)
    yield from islice(at_the_edge(operator, kinds), most)


class _Values:
    """The values that optional parameters had in draws that fit: a default alone proves nothing of them."""

    def __init__(self, operator: Operator) -> None:
        optional = [p.name for p in operator.parameters if p.default is not None and p.kind in _WHOLE]
        self.seen: dict[str, set[Any]] = {name: set() for name in optional}

    def add(self, arguments: Mapping[str, Any]) -> None:
        for name, values in self.seen.items():
            values.add(arguments[name])

    def enough(self) -> bool:
        return all(len(values) > 2 or values == {True, False} for values in self.seen.values())


def _numbers(node: Any) -> set[int]:
    """The integers that stand anywhere in a declaration."""
    match node:
        case s.Number():
            return {node.value} if isinstance(node.value, int) else set()
        case tuple():
            return set().union(*map(_numbers, node))
        case s.Node():
            return set().union(*map(_numbers, s.parts(node)))
        case _:
            return set()


def _shuffled(attempt: int, random: Random) -> tuple[Draw, Draw]:
    """Sizes without repeats as far as they reach, and arguments of which most are small."""
    pool = list(_SIZES)
    for i in range(len(pool) - 1, 0, -1):
        j = int(random.random() * (i + 1))
        pool[i], pool[j] = pool[j], pool[i]
    return lambda: pool.pop() if pool else _SIZES[int(random.random() * len(_SIZES))], _one_of(_SMALL, random)


def _one_of(values: tuple[int, ...], random: Random) -> Draw:
    return lambda: values[int(random.random() * len(values))]


def _fitting(
    operator: Operator, kinds: Kinds, tries: int, draws: Callable[[int, Random], tuple[Draw, Draw]]
) -> Iterator[tuple[int, Trial]]:
    """What signature and guards let through, with the number of the attempt."""
    declaration = operator.declaration
    random = Random(f"prove {declaration.name}")
    parameters = {p.name for p in operator.parameters}
    left = _buildable(declaration.input, count())
    names = [name for name in type_names(left) if name not in parameters]
    roles = _roles(left)[:2] + _roles(declaration.input)[2:]
    floats = {kind: form for kind, form in kinds.items() if form[1] == "float"}
    build = compile_type(left, {KIND, *names, *parameters}, kinds)
    for attempt in range(tries):
        size, small = draws(attempt, random)
        env: dict[str, Any] = {KIND: sorted(floats)[attempt % len(floats)] if floats else ""}
        for name in names:
            env[name] = _value(name, roles, size, random, floats)
        drawn = [p for p in operator.parameters if p.default is None or attempt % 3 != 0]
        given = {p.name: _argument(p, env, size, small, random, attempt) for p in drawn}
        whole = [name for name in given if type(given[name]) is int]
        if attempt % 3 == 2 and whole:
            given[whole[attempt // 3 % len(whole)]] = 0
        try:
            arguments = operator.arguments(given)
            input = build({**env, **arguments})
            if _fits_kinds(input, kinds):
                yield attempt, Trial(given, operator.apply(arguments, input))
        except (Inapplicable, KeyError):
            continue


def _fits_kinds(input: ValueType, kinds: Kinds) -> bool:
    return all(len(kinds[leaf.kind][0]) == len(leaf.shape) for leaf in leaves(input) if leaf.kind in kinds)


def _argument(
    parameter: Parameter, env: Mapping[str, Any], size: Draw, small: Draw, random: Random, attempt: int
) -> Any:
    match parameter.kind:
        case "bool":
            return attempt % 2 == 0
        case "real":
            return (0.5, 1e-3, 2.0)[int(random.random() * 3)]
        case "fn":
            return ("relu", "gelu", "tanh")[int(random.random() * 3)]
        case "name":
            return "none"
        case None if parameter.name == "order":
            run = next((value for value in env.values() if isinstance(value, list)), [1, 1])
            axes = list(range(1, len(run) + 1))
            return Order(sorted(axes, key=lambda _: random.random()))
        case _:
            return small() if random.random() < 0.6 or parameter.default is not None else size()


def _value(name: str, roles: tuple[set[str], set[str], set[str]], size: Draw, random: Random, kinds: Kinds) -> Any:
    runs, variables, eaches = roles
    if name in runs:
        return [size() for _ in range(int(random.random() * 4))]
    if name in variables:
        fitting = sorted(kind for kind, (axes, _) in kinds.items() if len(axes) <= 4) or ["im"]
        kind = fitting[int(random.random() * len(fitting))]
        return tensor(kind, [size() for _ in kinds[kind][0]] if kind in kinds else [size()])
    if name in eaches:
        return size()
    if name == "b" or random.random() < 0.15:
        return 2 + int(random.random() * 3)
    return size()


def _roles(type: s.Type) -> tuple[set[str], set[str], set[str]]:
    """Names of runs, of type variables, of `each` dimensions."""
    runs: set[str] = set()
    variables: set[str] = set()
    eaches: set[str] = set()
    stack: list[s.Type] = [type]
    while stack:
        match stack.pop():
            case s.TypeName(name):
                variables.add(name)
            case s.KindType(_, dims):
                runs |= {d.operand.name for d in dims if isinstance(d, s.Star) and isinstance(d.operand, s.Name)}
                eaches |= {d.name for d in dims if isinstance(d, s.EachDim)}
            case s.BundleType(members):
                stack += [member.type for member in members]
            case s.PowerType(base, _):
                stack.append(base)
            case s.Blank():
                pass
    return runs, variables, eaches


def _buildable(type: s.Type, fresh: Iterator[int]) -> s.Type:
    """The pattern as a type that can be computed: `each d` is one size for all, `_` has a name."""
    match type:
        case s.KindType(kind, dims):
            return s.KindType(kind, tuple(_buildable_dim(dim, fresh) for dim in dims), span=type.span)
        case s.BundleType(members):
            return s.BundleType(tuple(s.Member(_buildable(m.type, fresh), m.name) for m in members), span=type.span)
        case s.PowerType(base, count):
            return s.PowerType(_buildable(base, fresh), count, span=type.span)
        case s.Blank():
            return s.TypeName(f"_{next(fresh)}", span=type.span)
        case _:
            return type


def _buildable_dim(dim: s.Dim, fresh: Iterator[int]) -> s.Dim:
    match dim:
        case s.EachDim(name):
            return s.Name(name, span=dim.span)
        case s.Blank():
            return s.Name(f"_{next(fresh)}", span=dim.span)
        case s.Group(items):
            inner = [replace(item, value=_buildable_dim(item.value, fresh)) for item in items]  # type: ignore[arg-type]
            return s.Group(tuple(inner), span=dim.span)
        case _:
            return dim
