"""The right side of a signature for inputs of one form: sizes that stand at known axes are taken as they are.

Only the others are computed: those may not exist, so they are handed back as doubts with the names they need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeAlias

from ein.grammar.computed import build_dim, check_size
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import formula, permuted
from ein.grammar.patterns import KIND, Kinds
from ein.grammar.size_places import Read, few_sizes, mentioned_names
from ein.grammar.types import Regular, Size, ValueType, bundle, plain, tensor

Make: TypeAlias = Callable[[Any, dict[str, Any]], ValueType]
"""The output from an input and the values read of it."""

Doubt: TypeAlias = Callable[[dict[str, Any], list[Any]], None]
"""Appends a size to a shape; raises Inapplicable where there is none."""

Piece: TypeAlias = Callable[[Any, dict[str, Any], list[Any]], None]
"""Appends sizes of the output to a shape."""


class Open(Exception):
    """The form does not say where everything stands."""


@dataclass(frozen=True, slots=True)
class _Fixed:
    size: Size


_Place: TypeAlias = int | _Fixed
"""An axis of the one input, or a size whatever the input."""


@dataclass(slots=True)
class Output:
    """`spans` are the axes of the one input that a name stands for; `reads` are the sizes of all names."""

    form: Regular
    constants: Mapping[str, Any]
    reads: Mapping[str, Read]
    spans: Mapping[str, tuple[int, int]]
    kinds: Kinds
    each: Set[str]
    """Names of the sizes of all inputs along an axis on which they may differ."""
    doubts: list[Doubt] = field(default_factory=list)
    sums: bool = False
    """Whether there are sums of such: they are sizes if the input is small, see `MAX_SIZE`."""
    names: set[str] = field(default_factory=set)
    """What the sizes in doubt are computed from."""

    def make(self, type: s.Type) -> Make:
        """How the output is put together. Raises Open, and Inapplicable where no input of the form has one."""
        match type:
            case s.TypeName(name) if name in self.reads:
                read = self.reads[name]
                return lambda source, env: read(source)
            case s.BundleType((member,)):
                return self.make(member.type)
            case s.BundleType(members):
                parts = [self.make(member.type) for member in members]
                return lambda source, env: bundle([part(source, env) for part in parts])
            case s.PowerType(base, number):
                copies = self._number(number)
                one = self.make(base)
                return lambda source, env: bundle([one(source, env)] * copies)
            case s.KindType(kind, dims):
                return self._tensor(kind, dims)
        raise Open

    def _number(self, number: s.Expr) -> int:
        count = formula(number)
        if not count.names <= self.constants.keys():
            raise Open
        copies = count.evaluate(self.constants)
        if not isinstance(copies, int) or not 2 <= copies <= 4096 // self.form[2]:
            raise Open
        return copies

    def _tensor(self, kind: str, dims: Sequence[s.Dim]) -> Make:
        kind, element = (self.form[0], "float") if kind == KIND else (kind, self.kinds[kind][1])
        places = [self._places(dim) for dim in dims]
        known = [place for each in places if each is not None for place in each]
        if None in places:
            return self._computed(kind, element, dims, places)
        if known and known == list(range(self.form[1])) and (kind, element) == (self.form[0], "float"):
            return lambda source, env: source
        shape = _taken(known)
        return lambda source, env: tensor(kind, shape(source), True, element)

    def _computed(
        self, kind: str, element: str, dims: Sequence[s.Dim], places: Sequence[Sequence[_Place] | None]
    ) -> Make:
        pieces: list[Piece] = []
        for alike, group in groupby(zip(dims, places, strict=True), lambda pair: pair[1] is not None):
            own = list(group)
            if alike:
                pieces.append(_extend(_taken([place for _, known in own for place in known or ()])))
            else:
                pieces += [self._piece(dim) for dim, _ in own]

        def make(source: Any, env: dict[str, Any]) -> ValueType:
            shape: list[Any] = []
            for piece in pieces:
                piece(source, env, shape)
            return tensor(kind, shape, True, element)

        return make

    def _places(self, dim: s.Dim) -> list[_Place] | None:
        """Where the sizes of a dimension stand; None where they have to be computed."""
        match dim:
            case s.Star(s.Name(name)) | s.Name(name) if name in self.spans:
                return list(range(*self.spans[name]))
            case s.Star(s.Call(s.Name("permuted"), (s.Argument(s.Name(run)), s.Argument(s.Name(order))))) if (
                run in self.spans and order in self.constants
            ):
                return [*permuted(list(range(*self.spans[run])), self.constants[order], dim.span)]
            case s.Star() | s.Group() | s.Blank() | s.EachDim():
                return None
        size = formula(dim)
        return [_Fixed(check_size(size.evaluate(self.constants), dim))] if size.names <= self.constants.keys() else None

    def _piece(self, dim: s.Dim) -> Piece:
        match dim:
            case s.Star(s.Name(name)) if name in self.reads:
                run = self.reads[name]
                return lambda source, env, shape: shape.extend(run(source))
            case s.Name(name) if name in self.reads:
                read = self.reads[name]
                return lambda source, env, shape: shape.append(read(source))
            case s.Call(s.Name("sum"), (s.Argument(s.Name(name)),)) if name in self.each:
                self.names.add(name)
                self.sums = True
                return lambda source, env, shape: shape.append(check_size(sum(map(plain, env[name])), dim))
        doubt = self._remembered(build_dim(dim, {*self.constants, *self.reads}), dim)
        self.doubts.append(doubt)
        self.names.update(mentioned_names(dim))
        return lambda source, env, shape: doubt(env, shape)

    def _remembered(self, doubt: Doubt, dim: s.Dim) -> Doubt:
        """The same, with what came of few sizes kept."""
        names = few_sizes(dim, self.reads, self.spans)
        if names is None:
            return doubt
        known: dict[Any, list[Size]] = {}

        def remembered(env: dict[str, Any], shape: list[Size]) -> None:
            sizes = tuple([env[name] for name in names])
            found = known.get(sizes)
            if found is None:
                made: list[Size] = []
                doubt(env, made)
                found = known[sizes] = made
            shape.extend(found)

        return remembered


def _taken(places: Sequence[_Place]) -> Callable[[Any], tuple[Size, ...]]:
    """The sizes at some places of a tensor."""
    fixed = tuple([place.size for place in places if isinstance(place, _Fixed)])
    at = iter(range(-len(fixed), 0))
    axes = [next(at) if isinstance(place, _Fixed) else place for place in places]
    if len(fixed) == len(axes):
        return lambda source: fixed
    if len(axes) < 2:
        return lambda source: (source.shape[axes[0]],)
    take = itemgetter(*axes)
    return (lambda source: take(source.shape + fixed)) if fixed else (lambda source: take(source.shape))


def _extend(sizes: Callable[[Any], tuple[Size, ...]]) -> Piece:
    return lambda source, env, shape: shape.extend(sizes(source))
