"""The term of a derivation: operators only, every part with its types.

`Named` nodes remember which rule or macro a part came from; they mean nothing and are not printed.
All walks are iterative: a term may be deeper than Python's stack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from math import log10, prod
from typing import Any, TypeAlias, TypeVar

from ein.grammar.cfg import Application, Applied, Cost, value_text
from ein.grammar.diagnostics import Span
from ein.grammar.types import ValueType

T = TypeVar("T")


class Printed:
    """Prints as the language writes it."""

    __slots__ = ()

    def __str__(self) -> str:
        return text(self)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Op(Printed):
    """One use of an operator, with its place in the file."""

    application: Application
    applied: Applied
    span: Span

    @property
    def input(self) -> ValueType:
        return self.applied.input

    @property
    def output(self) -> ValueType:
        return self.applied.output


@dataclass(frozen=True, slots=True, eq=False)
class Series(Printed):
    """One part or more, each applied to the result of the one before."""

    parts: tuple[TypedTerm, ...]
    input: ValueType
    output: ValueType


@dataclass(frozen=True, slots=True, eq=False)
class Parallel(Printed):
    """Branches. One that does not take an input begins with a variable; of several that do, each
    gets a member of the input, and a single one gets all of it."""

    parts: tuple[TypedTerm, ...]
    takes: tuple[bool, ...]
    input: ValueType
    output: ValueType


@dataclass(frozen=True, slots=True, eq=False)
class Copies(Printed):
    """`count` branches of one structure, side by side; with `tied` they share their weights.

    Copies of what begins with a variable take no input.
    """

    body: TypedTerm
    count: int
    tied: bool
    takes: bool
    input: ValueType
    output: ValueType


@dataclass(frozen=True, slots=True, eq=False)
class Repeated(Printed):
    """`parts` in a row, of one structure; with `tied` they share their weights.

    Where the type stays, the parts are one object; else they differ in their types only.
    """

    parts: tuple[TypedTerm, ...]
    tied: bool
    input: ValueType
    output: ValueType


@dataclass(frozen=True, eq=False)
class Named(Printed):
    """The use of a rule or macro. For a rule: the choice made, and its probability here."""

    name: str
    body: TypedTerm
    input: ValueType
    output: ValueType
    span: Span
    macro: bool = False
    anonymous: bool = False
    arguments: tuple[Any, ...] = ()
    choice: tuple[int, tuple[Any, ...]] | None = None
    probability: float = 1.0

    @cached_property
    def label(self) -> str:
        """`Join(4)`."""
        return f"{self.name}({', '.join(map(value_text, self.arguments))})" if self.arguments else self.name


@dataclass(frozen=True, slots=True, eq=False)
class Let(Printed):
    """Values used more than once: each right side takes the input, and so does the body.

    The names are unique in one use of a rule, not in a term; an inner `Let` hides an outer one's.
    """

    bindings: tuple[tuple[tuple[str, ...], TypedTerm], ...]
    body: TypedTerm
    input: ValueType
    output: ValueType


@dataclass(frozen=True, slots=True, eq=False)
class Variable(Printed):
    """The value that a `Let` around it named, whatever flows in."""

    name: str
    input: ValueType
    output: ValueType


TypedTerm: TypeAlias = Op | Series | Parallel | Copies | Repeated | Named | Let | Variable


def children(term: TypedTerm) -> tuple[TypedTerm, ...]:
    match term:
        case Op() | Variable():
            return ()
        case Series() | Parallel():
            return term.parts
        case Let(bindings, body):
            return (*(value for _, value in bindings), body)
        case Repeated(parts):
            return parts[:1] if parts[0] is parts[-1] else parts
        case Copies() | Named():
            return (term.body,)


def fold(term: TypedTerm, combine: Callable[[TypedTerm, list[T]], T]) -> T:
    """`combine(node, results of its children)`, from the leaves up."""
    results: list[T] = []
    stack: list[tuple[TypedTerm, bool]] = [(term, False)]
    while stack:
        node, ready = stack.pop()
        below = children(node)
        if ready or not below:
            found = results[len(results) - len(below) :]
            del results[len(results) - len(below) :]
            results.append(combine(node, found))
        else:
            stack.append((node, True))
            stack += [(child, False) for child in reversed(below)]
    return results[0]


def walk(term: TypedTerm) -> Iterator[TypedTerm]:
    """Every node once, parents first, from left to right; a copied body once."""
    stack = [term]
    while stack:
        node = stack.pop()
        yield node
        stack += reversed(children(node))


def cost(term: TypedTerm) -> Cost:
    """Of the network as built: copies count as often as they are made, tied weights once, and so does what
    has one key."""
    keyed: dict[str, int] = {}

    def combine(node: TypedTerm, below: list[Cost]) -> Cost:
        match node:
            case Op(_, applied):
                if not applied.ties:
                    return applied.cost
                own = {key: prod(sizes) for key, sizes in applied.ties.items()}
                keyed.update(own)
                return applied.cost + Cost(parameters=-sum(own.values()))
            case Copies(_, copies, tied):
                total = below[0].times(copies)
                return _shared(total, below[0]) if tied else total
            case Repeated(parts, tied):
                total = below[0].times(len(parts)) if len(below) == 1 else sum(below, Cost())
                return _shared(total, below[0]) if tied else total
            case _:
                return sum(below, Cost())

    total = fold(term, combine)
    return total + Cost(parameters=sum(keyed.values()))


def _shared(total: Cost, one: Cost) -> Cost:
    return Cost(total.modules, one.parameters, total.macs, total.elements)


def depth(term: TypedTerm) -> int:
    """The longest chain of nested rule uses."""

    def combine(node: TypedTerm, below: list[int]) -> int:
        counts = isinstance(node, Named) and not node.macro and not node.anonymous
        return max(below, default=0) + counts

    return fold(term, combine)


def log10_probability(term: TypedTerm) -> float:
    return sum(log10(node.probability) for node in walk(term) if isinstance(node, Named))


_LET, _PARALLEL, _SERIES, _PRODUCT, _ATOM = -1, 0, 1, 2, 3


def text(term: TypedTerm) -> str:
    """The term as the language writes it, on one line; `parse` gives the same term back."""
    names = shown_names(term)
    return fold(term, lambda node, below: _text(node, below, names))[0]


def shown_names(term: TypedTerm) -> dict[int, tuple[str, ...]]:
    """The names as they are printed: of each `Let` by its id, binding by binding, and of each `Variable`.

    A name takes a number where an operator of the term or a `Let` around it has it.
    """
    operators = frozenset(node.application.name for node in walk(term) if isinstance(node, Op))
    shown: dict[int, tuple[str, ...]] = {}
    stack: list[tuple[TypedTerm, Mapping[str, str], frozenset[str]]] = [(term, {}, operators)]
    while stack:
        node, scope, taken = stack.pop()
        if isinstance(node, Variable):
            shown[id(node)] = (scope[node.name],)
        elif isinstance(node, Let):
            given: list[str] = []
            for names, value in node.bindings:
                stack.append((value, scope, taken))
                for name in names:
                    given.append(_free_name(plain_name(name), taken))
                    taken |= {given[-1]}
                    scope = {**scope, name: given[-1]}
            shown[id(node)] = tuple(given)
            stack.append((node.body, scope, taken))
        else:
            stack += [(child, scope, taken) for child in children(node)]
    return shown


def plain_name(name: str) -> str:
    """A variable's name as its file has it."""
    return name.partition("$")[0]


def _free_name(name: str, taken: Set[str]) -> str:
    if name not in taken:
        return name
    return next(f"{name}_{i}" for i in count(2) if f"{name}_{i}" not in taken)


def _text(node: TypedTerm, below: list[tuple[str, int]], names: Mapping[int, tuple[str, ...]]) -> tuple[str, int]:
    """The text and how tightly it binds."""
    match node:
        case Variable():
            return names[id(node)][0], _ATOM
        case Let():
            return _let_text(node, below, names[id(node)]), _LET
        case Op(application):
            return application.text, _ATOM
        case Named():
            return below[0]
        case Series():
            if len(below) == 1:
                return below[0]
            # `a >> (b >> c)` is `a >> b >> c`: the parts of a nested series stand bare
            return " >> ".join(_closed(part, _SERIES) for part in below), _SERIES
        case Parallel():
            return " & ".join(_closed(part, _SERIES) for part in below), _PARALLEL
        case Copies(_, count, tied):
            return f"{'tied ' * tied}{_closed(below[0], _ATOM)} ^ {count}", _PRODUCT
        case Repeated(parts, tied):
            return f"{'tied ' * tied}{_closed(below[0], _ATOM)} * {len(parts)}", _PRODUCT


def _let_text(node: Let, below: list[tuple[str, int]], names: tuple[str, ...]) -> str:
    said = []
    free = iter(names)
    for (bound, _), part in zip(node.bindings, below, strict=False):
        left = ", ".join(next(free) for _ in bound)
        said.append(f"{f'({left})' if len(bound) > 1 else left} = {_closed(part, _PARALLEL)}")
    return f"let {', '.join(said)} : {below[-1][0]}"


def _closed(part: tuple[str, int], least: int) -> str:
    words, binding = part
    return words if binding >= least else f"({words})"
