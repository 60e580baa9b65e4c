"""From the term of a derivation to its operation graph.

Every use of an operator becomes a node, identities and clones included. Copies are written out, each with
weights of its own; tied copies get the same keys.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, assert_never

from ein.compiler.graph import Draft, OpGraph, Port
from ein.compiler.nodes import COPY, Input, Output, Scope, Use
from ein.grammar.diagnostics import EinError
from ein.grammar.term import Copies, Let, Named, Op, Parallel, Repeated, Series, TypedTerm, Variable
from ein.grammar.ties import check_ties
from ein.grammar.types import Bundle, ValueType, leaves

Ports: TypeAlias = tuple[Port, ...]

_Task: TypeAlias = tuple[Callable[[Any], None], Any]
"""A method of the machine, and what it is given."""


def lower(term: TypedTerm) -> OpGraph:
    """The graph of a term. Iterative, so any nesting will do.

    Raises EinError where places share weights that have different shapes there.
    """
    try:
        return _Lowering(term).run()
    except EinError:
        check_ties(term)  # comes before what an operator refuses
        raise


@dataclass(slots=True)
class _Lowering:
    """A machine with one value at hand (`ports`), a stack of tasks and a stack of results put aside."""

    term: TypedTerm
    draft: Draft = field(default_factory=Draft)
    tasks: list[_Task] = field(default_factory=list)
    aside: list[Ports] = field(default_factory=list)
    ports: Ports = ()
    path: tuple[Scope, ...] = ()
    keys: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    replays: list[tuple[int, int]] = field(default_factory=list)
    variables: Mapping[str, Ports] = field(default_factory=dict)
    checked: bool = False
    """Whether places that share weights were looked at; only where there are some."""

    def run(self) -> OpGraph:
        given = Input(tuple(leaves(self.term.input)))
        number = self.draft.add(given)
        self.ports = _ports(number, len(given.outputs))
        self.tasks.append((self._enter, self.term))
        while self.tasks:
            do, what = self.tasks.pop()
            do(what)
        self.draft.add(Output(tuple(leaves(self.term.output))), self.ports)
        return self.draft.done()

    # --- terms

    def _enter(self, term: TypedTerm) -> None:
        outside = self.path
        while isinstance(term, Named):
            if not term.anonymous:
                self.path = (*self.path, Scope(term.label))
            term = term.body
        if isinstance(term, Op):
            self._use(term)
            self.path = outside
            return
        if self.path is not outside:
            self.tasks.append((self._leave, outside))
        self._several(term)

    def _several(self, term: Series | Variable | Parallel | Let | Copies | Repeated) -> None:
        match term:
            case Series(parts):
                self.tasks += [(self._enter, part) for part in reversed(parts)]
            case Variable(name):
                self.ports = self.variables[name]
            case Parallel(parts, takes):
                self._branches([(self._enter, part) for part in parts], self._inputs(parts, takes))
            case Let():
                self._let(term)
            case Copies(body, count, tied, takes):
                pieces = _pieces(self.ports, _members(term.input)) if takes else (self.ports,) * count
                self._repeat((body,) * count, pieces, tied)
            case Repeated(parts, tied):
                if tied and parts[0] is not parts[-1]:
                    self._check()
                self._repeat(parts, None, tied)
            case _:
                assert_never(term)

    def _use(self, op: Op) -> None:
        applied = op.applied
        _ = applied.checked_body
        if applied.operator.keys:
            self._check()
        use = Use(op.application, applied, self._key(op.application.name), op.span, self.path)
        number = self.draft.add(use, self.ports)
        self.ports = _ports(number, len(use.outputs))

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

    def _check(self) -> None:
        if not self.checked:
            check_ties(self.term)
            self.checked = True

    def _inputs(self, parts: Sequence[TypedTerm], takes: tuple[bool, ...]) -> Sequence[Ports]:
        """The ports that each branch begins with."""
        wanted = [part.input for part, takes_one in zip(parts, takes, strict=True) if takes_one]
        given = iter(_pieces(self.ports, wanted))
        return [next(given) if takes_one else self.ports for takes_one in takes]

    def _let(self, let: Let) -> None:
        tasks: list[_Task] = []
        for names, value in let.bindings:
            types = [value.output] if len(names) == 1 else _members(value.output)
            counts = map(_count, types)
            tasks += [(self._enter, value), (self._name, list(zip(names, counts, strict=True))), (self._go, self.ports)]
        self.tasks += [(self._scope, self.variables), (self._enter, let.body), *reversed(tasks)]

    def _branches(self, parts: Sequence[_Task], pieces: Sequence[Ports]) -> None:
        self.tasks.append((self._join, len(parts)))
        for part, piece in zip(reversed(parts), reversed(pieces), strict=True):
            self.tasks += [(self._keep, None), part, (self._go, piece)]

    def _repeat(self, parts: tuple[TypedTerm, ...], pieces: tuple[Ports, ...] | None, tied: bool) -> None:
        """`pieces` are the inputs of copies side by side, None is for parts in a row."""
        enter = self._copy if _is_unnamed(parts[0]) else self._enter
        tasks: list[_Task] = [(enter, part) for part in parts]
        if tied:
            self._tied(tasks, pieces)
        elif pieces is None:
            self.tasks += reversed(tasks)
        else:
            self._branches(tasks, pieces)

    def _tied(self, parts: Sequence[_Task], pieces: tuple[Ports, ...] | None) -> None:
        """The first part gives the keys from here on, the others take them."""
        tasks: list[_Task] = []
        for at, part in enumerate(parts):
            tied: list[_Task] = [part] if at == 0 else [(self._tie, len(self.keys)), part, (self._untie, None)]
            tasks += tied if pieces is None else [(self._go, pieces[at]), *tied, (self._keep, None)]
        if pieces is not None:
            tasks.append((self._join, len(parts)))
        self.tasks += reversed(tasks)

    # --- between them

    def _go(self, ports: Ports) -> None:
        """On with these ports."""
        self.ports = ports

    def _keep(self, _: None) -> None:
        """Puts the result at hand aside."""
        self.aside.append(self.ports)

    def _join(self, count: int) -> None:
        """On with the last `count` results side by side."""
        self.ports = tuple([port for ports in self.aside[-count:] for port in ports])
        del self.aside[-count:]

    def _leave(self, path: tuple[Scope, ...]) -> None:
        """Out of rules and macros."""
        self.path = path

    def _copy(self, body: TypedTerm) -> None:
        """Into one of several copies, which no rule or macro names."""
        self.tasks += [(self._leave, self.path), (self._enter, body)]
        self.path = (*self.path, Scope(COPY))

    def _tie(self, first: int) -> None:
        """From here on the keys are those that were given from the use number `first` on."""
        self.replays.append((first, len(self.keys)))

    def _untie(self, _: None) -> None:
        """Keys as before the last `_tie`."""
        self.replays.pop()

    def _name(self, names: Sequence[tuple[str, int]]) -> None:
        """The result at hand is the value of these variables, of as many ports each."""
        found, first = dict(self.variables), 0
        for name, count in names:
            found[name] = self.ports[first : first + count]
            first += count
        self.variables = found

    def _scope(self, variables: Mapping[str, Ports]) -> None:
        """Variables as they were."""
        self.variables = variables


def _ports(number: int, count: int) -> Ports:
    return (Port(number, 0),) if count == 1 else tuple([Port(number, at) for at in range(count)])


def _is_unnamed(part: TypedTerm) -> bool:
    """Whether it is several operators without a name of their own."""
    return not isinstance(part, Op | Variable) and not (isinstance(part, Named) and not part.anonymous)


def _members(type: ValueType) -> tuple[ValueType, ...]:
    assert isinstance(type, Bundle)
    return type.members


def _count(type: ValueType) -> int:
    """Of its leaves."""
    return type.tensors if isinstance(type, Bundle) else 1


def _pieces(ports: Ports, types: Sequence[ValueType]) -> tuple[Ports, ...]:
    """The ports cut into the leaves of each type."""
    pieces, first = [], 0
    for type in types:
        count = _count(type)
        pieces.append(ports[first : first + count])
        first += count
    return tuple(pieces)
