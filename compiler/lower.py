"""From the term of a derivation to its operation graph.

Every use of an operator becomes a node, identities and clones included. Copies are written out, each with
weights of its own; tied copies get the same keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ein.compiler.graph import Draft, OpGraph, Port
from ein.compiler.nodes import COPY, Input, Output, Scope, Use
from ein.grammar.term import Copies, Let, Named, Op, Parallel, Repeated, Series, TypedTerm, Variable
from ein.grammar.ties import check_ties
from ein.grammar.types import Bundle, ValueType, leaves

Ports: TypeAlias = tuple[Port, ...]


def lower(term: TypedTerm) -> OpGraph:
    """The graph of a term. Iterative, so any nesting will do.

    Raises EinError where places share weights that have different shapes there.
    """
    check_ties(term)
    return _Lowering().run(term)


@dataclass(frozen=True, slots=True)
class _Branch:
    """Go on with these ports."""

    ports: Ports


@dataclass(frozen=True, slots=True)
class _Keep:
    """Put the result at hand aside."""


@dataclass(frozen=True, slots=True)
class _Join:
    """Go on with the last `count` results side by side."""

    count: int


@dataclass(frozen=True, slots=True)
class _Leave:
    """Out of a rule or macro."""

    path: tuple[Scope, ...]


@dataclass(frozen=True, slots=True)
class _Copy:
    """Into one of several copies, which no rule or macro names."""

    body: TypedTerm


@dataclass(frozen=True, slots=True)
class _Tie:
    """From here on the keys are those that were given from the use number `first` on."""

    first: int


@dataclass(frozen=True, slots=True)
class _Untie:
    """Keys as before the last `_Tie`."""


@dataclass(frozen=True, slots=True)
class _Name:
    """The result at hand is the value of these variables, of as many ports each; go on with `ports`."""

    names: tuple[tuple[str, int], ...]
    ports: Ports


@dataclass(frozen=True, slots=True)
class _Scope:
    """Variables as they were."""

    variables: Mapping[str, Ports]


_Task: TypeAlias = "TypedTerm | _Tied | _Copy | _Branch | _Keep | _Join | _Leave | _Tie | _Untie | _Name | _Scope"


@dataclass(frozen=True, slots=True)
class _Tied:
    """Parts that share weights; `pieces` are the inputs of copies side by side, None is for parts in a row."""

    parts: tuple[TypedTerm | _Copy, ...]
    pieces: tuple[Ports, ...] | None


@dataclass(slots=True)
class _Lowering:
    """A machine with one value at hand (`ports`), a stack of tasks and a stack of results put aside."""

    draft: Draft = field(default_factory=Draft)
    tasks: list[_Task] = field(default_factory=list)
    aside: list[Ports] = field(default_factory=list)
    ports: Ports = ()
    path: tuple[Scope, ...] = ()
    keys: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    replays: list[tuple[int, int]] = field(default_factory=list)
    variables: Mapping[str, Ports] = field(default_factory=dict)

    def run(self, term: TypedTerm) -> OpGraph:
        given = Input(tuple(leaves(term.input)))
        number = self.draft.add(given)
        self.ports = tuple(Port(number, i) for i in range(len(given.outputs)))
        self.tasks.append(term)
        while self.tasks:
            self._step(self.tasks.pop())
        self.draft.add(Output(tuple(leaves(term.output))), self.ports)
        return self.draft.done()

    def _step(self, task: _Task) -> None:
        match task:
            case Op():
                self._use(task)
            case Named(body=body):
                self.tasks += [_Leave(self.path), body]
                if not task.anonymous:
                    self.path = (*self.path, Scope(task.label))
            case Series(parts):
                self.tasks += reversed(parts)
            case Parallel(parts, takes):
                self._branches(parts, self._inputs(parts, takes))
            case Copies(body, count, tied, takes):
                pieces = _pieces(self.ports, _members(task.input)) if takes else (self.ports,) * count
                self._repeat((body,) * count, pieces, tied)
            case Let():
                self._let(task)
            case Variable(name):
                self.ports = self.variables[name]
            case _Name(names, ports):
                self._assign(names)
                self.ports = ports
            case _Scope(variables):
                self.variables = variables
            case Repeated(parts, tied):
                self._repeat(parts, None, tied)
            case _Copy(body):
                self.tasks += [_Leave(self.path), body]
                self.path = (*self.path, Scope(COPY))
            case _Tied(parts, pieces):
                self._tie(parts, pieces)
            case _Branch(ports):
                self.ports = ports
            case _Keep():
                self.aside.append(self.ports)
            case _Join(count):
                self.ports = tuple(port for ports in self.aside[-count:] for port in ports)
                del self.aside[-count:]
            case _Leave(path):
                self.path = path
            case _Tie(first):
                self.replays.append((first, len(self.keys)))
            case _Untie():
                self.replays.pop()

    def _use(self, op: Op) -> None:
        _ = op.applied.checked_body
        use = Use(op.application, op.applied, self._key(op.application.name), op.span, self.path)
        number = self.draft.add(use, self.ports)
        self.ports = tuple(Port(number, i) for i in range(len(use.outputs)))

    def _key(self, name: str) -> str:
        """`conv_3`; in a tied copy the key that the same use had in the first one."""
        if self.replays:
            first, since = self.replays[-1]
            key = self.keys[first + len(self.keys) - since]
        else:
            self.counts[name] += 1
            key = f"{name}_{self.counts[name]}"
        self.keys.append(key)
        return key

    def _inputs(self, parts: Sequence[TypedTerm], takes: tuple[bool, ...]) -> Sequence[Ports]:
        """The ports that each branch begins with."""
        wanted = [part.input for part, takes_one in zip(parts, takes, strict=True) if takes_one]
        given = iter(_pieces(self.ports, wanted))
        return [next(given) if takes_one else self.ports for takes_one in takes]

    def _let(self, let: Let) -> None:
        tasks: list[_Task] = []
        for names, value in let.bindings:
            types = [value.output] if len(names) == 1 else _members(value.output)
            counts = [sum(1 for _ in leaves(type)) for type in types]
            tasks += [value, _Name(tuple(zip(names, counts, strict=True)), self.ports)]
        self.tasks += [_Scope(self.variables), let.body, *reversed(tasks)]

    def _assign(self, names: tuple[tuple[str, int], ...]) -> None:
        found, first = dict(self.variables), 0
        for name, count in names:
            found[name] = self.ports[first : first + count]
            first += count
        self.variables = found

    def _branches(self, parts: Sequence[TypedTerm | _Copy], pieces: Sequence[Ports]) -> None:
        self.tasks.append(_Join(len(parts)))
        for part, piece in zip(reversed(parts), reversed(pieces), strict=True):
            self.tasks += [_Keep(), part, _Branch(piece)]

    def _repeat(self, parts: tuple[TypedTerm | _Copy, ...], pieces: tuple[Ports, ...] | None, tied: bool) -> None:
        if _is_unnamed(parts[0]):
            parts = tuple(_Copy(part) for part in parts if not isinstance(part, _Copy))
        if tied:
            self.tasks.append(_Tied(parts, pieces))
        elif pieces is None:
            self.tasks += reversed(parts)
        else:
            self._branches(parts, pieces)

    def _tie(self, parts: tuple[TypedTerm | _Copy, ...], pieces: tuple[Ports, ...] | None) -> None:
        """The first part gives the keys from here on, the others take them."""
        tasks: list[_Task] = []
        for i, part in enumerate(parts):
            branch = [] if pieces is None else [_Branch(pieces[i])]
            keep = [] if pieces is None else [_Keep()]
            tasks += [*branch, part, *keep] if i == 0 else [*branch, _Tie(len(self.keys)), part, _Untie(), *keep]
        if pieces is not None:
            tasks.append(_Join(len(parts)))
        self.tasks += reversed(tasks)


def _is_unnamed(part: TypedTerm | _Copy) -> bool:
    """Whether it is several operators without a name of their own."""
    return not isinstance(part, Op | Variable) and not (isinstance(part, Named) and not part.anonymous)


def _members(type: ValueType) -> tuple[ValueType, ...]:
    assert isinstance(type, Bundle)
    return type.members


def _pieces(ports: Ports, types: Sequence[ValueType]) -> tuple[Ports, ...]:
    """The ports cut into the leaves of each type."""
    pieces, first = [], 0
    for type in types:
        count = sum(1 for _ in leaves(type))
        pieces.append(ports[first : first + count])
        first += count
    return tuple(pieces)
