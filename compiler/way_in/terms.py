"""A network -> a term: a series between the nodes that everything goes through, branches where they do not meet in
between, and `let` where they do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from ein.compiler.way_in.pieces import Branches, Leaf, Let, Name, Piece, Series, Times, children, series, text
from ein.compiler.way_in.shape import Wires

Port = tuple[int, int]

_NAMES = "abcdfghijklmnopqrsuvwyz"


def term(wires: Wires, said: Callable[[int], str], alike: Callable[[int], bool]) -> Piece:
    """The term of the whole network; `said` is the text of a node, `alike` whether all its results have one type."""
    return _Builder(wires, said, alike).chain(wires.source, wires.sink, frozenset(wires.order))


@dataclass(slots=True)
class _Builder:
    wires: Wires
    said: Callable[[int], str]
    alike: Callable[[int], bool]
    """Whether all results of a node have one type."""
    names: int = 0
    taken: set[str] = field(default_factory=set)

    def chain(self, start: int, end: int, within: frozenset[int]) -> Piece:
        """From the results of `start` to those of `end`, all between them being `within`."""
        parts: list[Piece] = []
        cuts = self.wires.cuts(start, end, within)
        for first, last in pairwise(cuts):
            parts += self._segment(first, last, self.wires.between(first, last, within))
        return series(parts)

    def _segment(self, start: int, end: int, inner: frozenset[int]) -> list[Piece]:
        inputs = self.wires.inputs[end]
        if all(source == start for source, _ in inputs):
            return [*self._direct(start, inputs, end), *self._leaf(end)]
        branches = [self.wires.above(source, inner) for source, _ in inputs]
        if self._apart(branches) and self._fits(start, inputs, branches):
            pieces = [self._branch(start, port, branch) for port, branch in zip(inputs, branches, strict=True)]
            same = self.wires.ports(start) == 1 or self.alike(start)
            return [*self._copied(start, len(pieces)), beside(pieces, same), *self._leaf(end)]
        return [self._let(start, end, inner)]

    def _leaf(self, node: int) -> list[Piece]:
        return [] if node == self.wires.sink and self.wires.bare_sink else [Leaf(self.said(node), node)]

    def _direct(self, start: int, inputs: Sequence[Port], end: int) -> list[Piece]:
        """What stands between a node and the one that reads nothing else."""
        ports = self.wires.ports(start)
        if ports == 1:
            return [Leaf(f"clone({len(inputs)})")] if len(inputs) > 1 else []
        if [port for _, port in inputs] == list(range(ports)):
            return []
        if len(inputs) == 1:
            return [Leaf(f"take({inputs[0][1] + 1})")]
        names = self._fresh(ports)
        body = Branches(tuple(Name(names[port]) for _, port in inputs))
        return [Let(((tuple(names), Leaf("identity")),), body)]

    def _apart(self, branches: Sequence[frozenset[int]]) -> bool:
        return sum(map(len, branches)) == len(frozenset().union(*branches))

    def _fits(self, start: int, inputs: Sequence[Port], branches: Sequence[frozenset[int]]) -> bool:
        """Whether the branches take what the start gives: one copy each, or its results in their order."""
        ports = self.wires.ports(start)
        if ports == 1:
            return True
        return len(branches) == ports and all(
            self._read(start, port, branch) == {number}
            for number, (port, branch) in enumerate(zip(inputs, branches, strict=True))
        )

    def _read(self, start: int, port: Port, branch: Iterable[int]) -> set[int]:
        """The results of `start` that a branch reads."""
        found = {number for node in branch for source, number in self.wires.inputs[node] if source == start}
        return found | ({port[1]} if port[0] == start else set())

    def _copied(self, start: int, count: int) -> list[Piece]:
        return [Leaf(f"clone({count})")] if self.wires.ports(start) == 1 else []

    def _branch(self, start: int, port: Port, branch: frozenset[int]) -> Piece:
        source, number = port
        if source == start:
            return Leaf("identity")
        piece = self._of_one(start, source, branch)
        if self.wires.ports(source) == 1:
            return piece
        return series([piece, Leaf(f"take({number + 1})")])

    def _of_one(self, start: int, end: int, branch: frozenset[int]) -> Piece:
        """A branch of a bundle has one member of it, which it may read more than once."""
        if self.wires.ports(start) == 1:
            return self.chain(start, end, branch)
        with_one = self.wires.single(start)
        return _Builder(with_one, self.said, self.alike, self.names, self.taken).chain(start, end, branch)

    # --- let

    def _let(self, start: int, end: int, inner: frozenset[int]) -> Piece:
        before = self.names  # names hold inside of a let, and can be had again behind it
        made = _Let(self, start, end, inner).piece()
        self.names = before
        return made

    def _fresh(self, count: int) -> list[str]:
        found = []
        for _ in range(count):
            letter, round_ = _NAMES[self.names % len(_NAMES)], self.names // len(_NAMES)
            found.append(f"{letter}{round_ + 1}" if round_ else letter)
            self.names += 1
        return found


@dataclass(slots=True)
class _Let:
    """A part of the network that is no tree of branches: what is read in several places gets a name."""

    builder: _Builder
    start: int
    end: int
    inner: frozenset[int]
    named: dict[Port, str] = field(default_factory=dict)
    flow: str = ""
    needs_flow: bool = False

    def piece(self) -> Piece:
        wires = self.builder.wires
        bindings: list[tuple[tuple[str, ...], Piece]] = []
        if wires.ports(self.start) > 1:
            self._name(self.start)
            bindings.append((tuple(self._names(self.start)), Leaf("identity")))
        shared = [node for node in wires.order if node in self.inner and self._is_shared(node)]
        before = self.builder.names
        for attempt in range(2):
            self.builder.names = before
            made = list(bindings)
            self.named = {port: name for port, name in self.named.items() if port[0] == self.start}
            if attempt:
                (self.flow,) = ("x",)
                made.append((("x",), Leaf("identity")))
            for node in shared:
                value = self._tree(node)
                self._name(node)
                made.append((tuple(self._names(node)), value))
            body = self._tree(self.end)
            if not self.needs_flow or attempt:
                break
        return Let(tuple(made), body)

    def _name(self, node: int) -> None:
        ports = self.builder.wires.ports(node)
        self.named |= {(node, port): name for port, name in enumerate(self.builder._fresh(ports))}

    def _names(self, node: int) -> list[str]:
        return [self.named[(node, port)] for port in range(self.builder.wires.ports(node))]

    def _is_shared(self, node: int) -> bool:
        """Whether what a node gives is read in places that no part of the network encloses."""
        readers = self.builder.wires.readers(node, self.inner | {self.end})
        if len(readers) < 2 and self.builder.wires.ports(node) == 1:
            return False
        if len(set(readers)) == 1 and self.builder.wires.ports(node) > 1 and self._whole(node, readers[0]):
            return False
        return self._enclosed(node) is None

    def _whole(self, node: int, reader: int) -> bool:
        """Whether a reader takes all that a node gives, in order, and nothing else."""
        wanted = [(node, port) for port in range(self.builder.wires.ports(node))]
        return list(self.builder.wires.inputs[reader]) == wanted

    def _enclosed(self, node: int) -> int | None:
        """The node where all that is read from this one comes together again, if only it leads there."""
        wires = self.builder.wires
        end = wires.joins(node, self.inner | {self.end})
        if end is None or wires.dominator(end, self.start, self.inner | {self.end}) != node:
            return None
        return end

    def _tree(self, node: int) -> Piece:
        """What a node gives, from names and from what flows in."""
        return series(self._parts(node))

    def _parts(self, node: int) -> list[Piece]:
        wires = self.builder.wires
        inputs = wires.inputs[node]
        within = self.inner | {self.end}
        opener = wires.dominator(node, self.start, within)
        if opener != self.start and self._enclosed(opener) == node and (opener, 0) not in self.named:
            inner = wires.between(opener, node, within)
            return [*self._at(opener, None), *self.builder._segment(opener, node, inner)]
        above = frozenset().union(*(wires.above(source, self.inner) for source, _ in inputs))
        if len(inputs) > 1 and opener == self.start and wires.ports(self.start) == 1 and self._is_closed(above, node):
            return self.builder._segment(self.start, node, above) if above != self.inner else self._joined(node)
        return self._joined(node)

    def _is_closed(self, above: frozenset[int], node: int) -> bool:
        """Whether nothing reads what stands above a node but the node and what stands there."""
        wires = self.builder.wires
        everything = self.inner | {self.end}
        if any((each, 0) in self.named for each in above):
            return False
        return all(reader in above or reader == node for each in above for reader in wires.readers(each, everything))

    def _joined(self, node: int) -> list[Piece]:
        inputs = self.builder.wires.inputs[node]
        leaf = self.builder._leaf(node)
        if len(inputs) == 1:
            return [*self._at(*inputs[0]), *leaf]
        first = inputs[0][0]
        if (first, 0) not in self.named and self._whole(first, node) and self.builder.wires.ports(first) > 1:
            return [*self._at(first, None), *leaf]
        branches: list[Piece] = []
        flows = 0
        for source, port in inputs:
            parts = self._at(source, port)
            if not self._begins_with_name(parts):
                flows += 1
                if self.flow:
                    parts = [Name(self.flow), *parts]
            branches.append(series(parts))
        self.needs_flow |= flows > 1
        return [beside(branches, False), *leaf]

    def _at(self, node: int, port: int | None) -> list[Piece]:
        """What a node gives at a port, or all of it."""
        if (node, port or 0) in self.named:
            return [Name(self.named[(node, port or 0)])]
        if node == self.start:
            return []
        parts = self._parts(node)
        if port is not None and self.builder.wires.ports(node) > 1:
            parts.append(Leaf(f"take({port + 1})"))
        return parts

    def _begins_with_name(self, parts: Sequence[Piece]) -> bool:
        if not parts:
            return False
        match parts[0]:
            case Name():
                return True
            case Series(inner):
                return self._begins_with_name(inner)
            case Branches(inner) | Times(inner):
                return all(self._begins_with_name([each]) for each in inner)
            case _:
                return False


def beside(pieces: Sequence[Piece], alike: bool) -> Piece:
    """Branches; `a ^ n` where they are all alike, take the same and begin with no name."""
    if alike and len({text(piece) for piece in pieces}) == 1 and not _has_name(pieces[0]):
        return Times(tuple(pieces), beside=True)
    return Branches(tuple(pieces))


def _has_name(piece: Piece) -> bool:
    return isinstance(piece, Name) or any(_has_name(child) for child in children(piece))
