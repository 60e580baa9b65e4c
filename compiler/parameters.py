"""What the instances of a class differ in, as the arguments of its constructor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from keyword import iskeyword
from typing import NamedTuple, TypeAlias

from ein.compiler.structures import GIVEN, Place, Structure, Structured
from ein.compiler.symbols import symbol
from ein.compiler.template import BUILT, RUN, SHOWN, Number, Role, Template

Column: TypeAlias = tuple[Number, ...]
"""The same number of each instance."""


class Written(NamedTuple):
    """A number in terms of a name: `4 * channels`, `channels // 2`."""

    before: str
    name: str
    after: str = ""

    def text(self, prefix: str = "") -> str:
        return f"{self.before}{prefix}{self.name}{self.after}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """`column` is the place among the numbers of a structure that it is; `runs` if `forward` reads it."""

    name: str
    column: int
    runs: bool = False

    @property
    def is_size(self) -> bool:
        """Sizes are given by position, and the rest by name."""
        return _kind(self.name) in _SIZES


@dataclass(slots=True, eq=False)
class Parameters:
    """`given` are the constructor's; `written` says of numbers that differ what they are in terms of these."""

    given: tuple[Parameter, ...] = ()
    written: dict[int, Written] = field(default_factory=dict)
    roles: dict[int, Role] = field(default_factory=dict)

    def number(self, column: int, value: Number) -> Number:
        """As it is written where it stands."""
        written = self.written.get(column)
        if written is None:
            return value
        return symbol(value, written.text("self." if self.roles[column].place == RUN else ""))


def parameters(found: Structured, structure: Structure, of: dict[Structure, Parameters]) -> Parameters:
    """`of` has those of the classes inside."""
    rows = [found.row(region) for region in structure.regions]
    if all(row == rows[0] for row in rows):
        return Parameters()
    roles = dict(_roles(structure, of, 0))
    different = {at: column for at in roles if len(set(column := tuple(row[at] for row in rows))) > 1}
    spans = (span for span in map(structure.sizes_of, structure.outputs) if span is not None)
    ends = {different[at] for first, count in spans for at in range(first, first + count) if at in different}
    choice = _Choice(roles, different, ends)
    return Parameters(choice.run(), choice.written, roles)


def _roles(structure: Structure, of: dict[Structure, Parameters], first: int) -> Iterator[tuple[int, Role]]:
    """The numbers that its text is made of: its own, those of what stands in place, and what classes inside are given,
    take and give."""
    for member in structure.members:
        begin = first + member.first
        if isinstance(member.what, Template):
            yield from ((begin + i, role) for i, role in enumerate(member.what.roles))
        elif not member.what.is_class:
            yield from _roles(member.what, of, begin)
        else:
            yield from _roles_of_class(member.what, of[member.what], begin, len(member.sources))


def _roles_of_class(what: Structure, own: Parameters, begin: int, inputs: int) -> Iterator[tuple[int, Role]]:
    places = [*(Place(GIVEN, port) for port in range(inputs)), *what.outputs]
    for first, count in filter(None, map(what.sizes_of, places)):
        words = AXES.get(count, ("size",) * count)
        yield from ((begin + first + i, Role(word, SHOWN, i)) for i, word in enumerate(words))
    for given in own.given:
        yield begin + given.column, Role(given.name, BUILT)


AXES = {1: ("features",), 2: ("length", "features"), 3: ("channels", "height", "width")}
_GRID = frozenset(("height", "width", "length"))
_SIZES = _GRID | {"channels"}
_SHORT = {"height": "h", "width": "w", "length": "l"}
"""In comments."""
_TAKEN = frozenset("self x y z u v nn torch F super".split())


def _kind(name: str) -> str:
    """Numbers are put in terms of others of their kind alone."""
    stem = name.rstrip("0123456789")
    if stem in _GRID:
        return stem
    if stem.endswith(("channels", "features", "size", "sizes", "groups")) and stem != "kernel_size":
        return "channels"
    return "window" if stem in ("kernel_size", "padding") else stem


class _Choice:
    """Goes through the numbers that differ, those in code first, and finds for each a parameter or what it is in terms
    of one; numbers of comments alone get names that are no parameters."""

    def __init__(self, roles: dict[int, Role], different: dict[int, Column], ends: set[Column]) -> None:
        self.roles, self.different, self.ends = roles, different, ends
        self.written: dict[int, Written] = {}
        self.bases: list[tuple[str, Column, list[int]]] = []
        """Kind, column and places of each; those of comments alone stand behind the others."""
        self.derived: list[tuple[int, int, str, str]] = []
        """Place, base, and what stands before and behind it."""
        self.forms: dict[tuple[str, Column], tuple[int, str, str]] = {}
        self.used: set[int] = set()
        """Bases in the shape that is looked at."""

    def run(self) -> tuple[Parameter, ...]:
        coded = [at for at in self.different if self.roles[at].place != SHOWN]
        for at in sorted(coded, key=lambda at: self.roles[at].name == "padding"):
            self._place(at)
        count = len(self.bases)
        for at, role in self.roles.items():
            if role.place == SHOWN and at in self.different:
                self._place(at)
            elif role.axis == 0:
                self.used.clear()
        names = self._names(count)
        for name, (_, _, places) in zip(names, self.bases, strict=True):
            self.written |= {at: Written("", name) for at in places}
        for at, base, before, after in self.derived:
            self.written[at] = Written(before.format(*names), names[base], after.format(*names))
        return self._parameters(names[:count])

    def _place(self, at: int) -> None:
        role, column = self.roles[at], self.different[at]
        kind = _kind(role.name)
        base = self._shown(role, kind, column) if role.place == SHOWN else self._coded(kind, column)
        if base is not None:
            self.bases[base][2].append(at)
            self.used.add(base)
            return
        form = self.forms.get((kind, column)) or (None if role.name == "groups" else self._form(role, kind, column))
        if form is None:
            self.used.add(len(self.bases))
            self.bases.append((kind, column, [at]))
        else:
            self.forms[kind, column] = form
            self.derived.append((at, *form))

    def _coded(self, kind: str, column: Column) -> int | None:
        """Equal numbers are one parameter, if they are of a kind; all sizes are."""
        for number, (other, base, _) in enumerate(self.bases):
            if base == column and (other == kind or {other, kind} <= _SIZES):
                return number
        return None

    def _shown(self, role: Role, kind: str, column: Column) -> int | None:
        """The name for a size in a comment: one of its kind, and one that does not stand beside it already."""
        if role.axis == 0:
            self.used.clear()
        alike = [number for number, (other, base, _) in enumerate(self.bases) if base == column and other in _SIZES]
        alike.sort(key=lambda number: (number in self.used, self.bases[number][0] != kind))
        best = next(iter(alike), None)
        return None if best is None or (best in self.used and self.bases[best][0] != kind) else best

    def _form(self, role: Role, kind: str, column: Column) -> tuple[int, str, str] | None:
        for number, (other, base, _) in enumerate(self.bases):
            form = self._derived(kind, column, base, role.place != SHOWN) if other == kind else None
            if form is not None:
                return (number, *form)
        return None

    def _derived(self, kind: str, column: Column, base: Column, coded: bool) -> tuple[str, str] | None:
        """What stands before and behind the base, if the column can be written so."""
        pairs = list(zip(column, base, strict=True))
        if kind == "window":
            return self._padding(pairs)
        if kind not in _SIZES:
            return None
        value, by = pairs[0]
        leaves = coded and column in self.ends
        factor = value // by if by else 0
        if factor > 1 and all(one == other * factor for one, other in pairs):
            return None if leaves and factor == 2 else (f"{factor} * ", "")
        part = by // value if value else 0
        if part > 1 and all(one * part == other for one, other in pairs):
            return None if leaves and part == 2 else ("", f" // {part}")
        if not coded and value > by and all(one - other == value - by for one, other in pairs):
            return "", f" + {value - by}"
        return self._strided(pairs) if kind in _GRID else None

    def _padding(self, pairs: list[tuple[Number, Number]]) -> tuple[str, str] | None:
        """What keeps the size, of the size of a window."""
        if all(value == by // 2 for value, by in pairs):
            return "", " // 2"
        for number, (kind, dilation, _) in enumerate(self.bases):
            if kind == "dilation" and all(
                value == d * (by // 2) for (value, by), d in zip(pairs, dilation, strict=True)
            ):
                return f"{{{number}}} * (", " // 2)"
        return None

    def _strided(self, pairs: list[tuple[Number, Number]]) -> tuple[str, str] | None:
        """`h // stride`."""
        for number, (kind, by, _) in enumerate(self.bases):
            if kind == "stride" and all(one * s == other for (one, other), s in zip(pairs, by, strict=True)):
                return "", f" // {{{number}}}"
        return None

    def _names(self, count: int) -> list[str]:
        """Of the first `count` bases, which are parameters, and of the others."""
        names: list[str] = []
        wide = sum(kind == "channels" for kind, _, _ in self.bases[:count])
        for number, (kind, _, places) in enumerate(self.bases):
            roles = [self.roles[at] for at in places]
            coded = [role.name for role in roles if role.place != SHOWN]
            word = (coded or [role.name for role in roles])[0]
            if number >= count:
                word = _SHORT.get(word, word)
            elif kind == "channels":
                word = _width(coded, wide)
            names.append(_fresh(word.rstrip("0123456789") or "size", names))
        return names

    def _parameters(self, names: Iterable[str]) -> tuple[Parameter, ...]:
        running = {base for at, base, _, _ in self.derived if self.roles[at].place == RUN}
        made = [
            Parameter(name, places[0], number in running or any(self.roles[at].place == RUN for at in places))
            for number, (name, (_, _, places)) in enumerate(zip(names, self.bases, strict=False))
        ]
        return tuple(sorted(made, key=lambda one: not one.is_size))


def _width(names: list[str], count: int) -> str:
    """`in_channels`, `out_channels`, or `channels` for what goes in and out."""
    stem = "channels" if any("channels" in name for name in names) else "features"
    inner = any(name.startswith("in") for name in names)
    outer = any(name.startswith("out") for name in names)
    if not any(name.endswith(("channels", "features")) for name in names):
        return names[0]
    if inner == outer or count == 1:
        return stem
    return f"in_{stem}" if inner else f"out_{stem}"


def _fresh(word: str, taken: list[str]) -> str:
    """The word, with a number behind it where it means something else."""
    number, name = 1, word
    while name in taken or name in _TAKEN or iskeyword(name) or not name.isidentifier():
        number += 1
        name = f"{word}{number}"
        if number > 1000:
            word, number = "size", 1
    return name
