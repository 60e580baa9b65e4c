"""A formula as an operator of the file's own: names for its axes, a signature, a body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ein.compiler.way_in.formulas import Apply, Expr, Formula, Given, Group, Infix, Kept, Label, Number, Range, walk

LETTERS = {"im": "chw", "seq": "ld", "vec": "d"}
_OTHERS = "mnpqrsuvabfgijko"
_FIXED = frozenset(("slice", "pad", "index"))
"""What is given numbers that only fit axes of one size."""


@dataclass(frozen=True, slots=True)
class Learned:
    """How a weight of an operator starts, and whether it is trained."""

    start: str
    trained: bool


def declaration(name: str, formula: Formula, kinds: Sequence[str], kind: str, kept: Mapping[str, Learned]) -> str:
    """The statement that declares it; `kinds` of what it takes, `kind` of what it gives."""
    if _is_elementwise(formula):
        count = len(kinds)
        taken = "t" if count == 1 else f"({', '.join('t' * count)})"
        inputs = ["xyz"[formula.source(at)] for at in range(len(formula.reads))]
        return f"op {name} : {taken} -> t = {_Body({}, inputs, {}).text(formula.body)}"
    return _Declared(name, formula, kinds, kind, kept).text()


def _is_elementwise(formula: Formula) -> bool:
    if (
        formula.kept
        or max(map(formula.source, range(len(formula.reads)))) > 2
        or any(reading != formula.out for reading in formula.reads)
    ):
        return False
    return not any(isinstance(each, Range) or (isinstance(each, Apply) and each.axes) for each in walk(formula.body))


@dataclass(slots=True)
class _Declared:
    name: str
    formula: Formula
    kinds: Sequence[str]
    kind: str
    kept: Mapping[str, Learned]
    names: dict[Label, str] = field(default_factory=dict)
    sizes: dict[Label, str] = field(default_factory=dict)
    """The size of a label in the signature, where that is no number."""
    declared: set[Label] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    readings: dict[int, str] = field(default_factory=dict)
    units: dict[int, list[str]] = field(default_factory=dict)
    """Axes of size 1, which a sum takes away."""
    conditions: list[str] = field(default_factory=list)

    def text(self) -> str:
        places = [self.formula.source(at) for at in range(len(self.formula.reads))]
        taken = [self._taken(places.index(at), at) for at in range(max(places) + 1)]
        for at, place in enumerate(places):
            if places.index(place) != at:
                self._read_again(at, places.index(place))
        inputs = "xyz" if len(taken) <= 3 else [f"x{n}" for n in range(1, len(taken) + 1)]
        if len(taken) > 3:
            taken = [f"{name}: {each}" for name, each in zip(inputs, taken, strict=True)]
        weights = [self._weight(name, group) for name, group in self.formula.kept]
        given = f"{self.kind}[{', '.join(self._made(group) for group in self.formula.out)}]"
        inputs = [inputs[place] for place in places]
        body = _Body(self.names, inputs, self.readings, self.units).text(self.formula.body)
        layout = f"[{', '.join(self._laid(group) for group in self.formula.out)}]"
        head = taken[0] if len(taken) == 1 else f"({', '.join(taken)})"
        where = [f"  where {', '.join(self.conditions)}"] if self.conditions else []
        return "\n".join([f"op {self.name} : {head} -> {given}", *where, *weights, f"  = {body} -> {layout}"])

    def _read_again(self, at: int, first: int) -> None:
        """A tensor under other names, or the same."""
        readings = self.formula.reads
        if readings[at] == readings[first]:
            self.readings |= {at: self.readings[first]} if first in self.readings else {}
            self.units |= {at: self.units[first]} if first in self.units else {}
            return
        written = []
        for group, before in zip(readings[at], readings[first], strict=True):
            names = [self._label(label, "") for label in group]
            for label, other in zip(group, before, strict=False):
                if len(group) == len(before):
                    self.sizes.setdefault(label, self._size(other))
            said = (
                [names[0], *(f"{name} = {label.size}" for name, label in zip(names[1:], group[1:], strict=True))]
                if names
                else [self._fresh("u")]
            )
            if not names:
                self.units.setdefault(at, []).append(said[0])
            written.append(said[0] if len(said) == 1 else f"({', '.join(said)})")
        self.readings[at] = f"[{', '.join(written)}]"

    def _read_otherwise(self, at: int, number: int) -> bool:
        """Whether another reading of the tensor asks for one size of an axis."""
        place = self.formula.source(at)
        groups = [reading[number] for n, reading in enumerate(self.formula.reads) if self.formula.source(n) == place]
        return any(self._is_fixed(*group) or len(group) > 1 for group in groups if group != groups[0])

    def _taken(self, at: int, place: int) -> str:
        kind, axes, plain = self.kinds[place], [], True
        letters = LETTERS.get(kind, "")
        written: list[str] = []
        for number, group in enumerate(self.formula.reads[at]):
            letter = letters[number] if number < len(letters) else ""
            axis, said, is_plain = self._axis(group, letter, self._read_otherwise(at, number))
            axes.append(axis)
            written.append(said)
            if not group:
                self.units.setdefault(at, []).append(said)
            plain &= is_plain
        if not plain or at:
            self.readings[at] = f"[{', '.join(written)}]"
        return f"{kind}[{', '.join(axes)}]"

    def _axis(self, group: Group, letter: str, fixed: bool) -> tuple[str, str, bool]:
        """An axis in the signature, as the body reads it, and whether that is the same."""
        if not group:
            return "1", self._fresh("u"), False
        if len(group) == 1:
            (label,) = group
            known = label in self.names
            name = self._label(label, letter)
            if fixed or self._is_fixed(label):
                return str(label.size), name, False
            if known and label not in self.sizes:
                return str(label.size), name, False
            self.sizes.setdefault(label, name)
            self.declared.add(label)
            return self.sizes[label], name, self.sizes[label] == name
        stem = self._fresh(letter) if letter else self._fresh("")
        names = [self._label(label, f"{stem}{n}") for n, label in enumerate(group, 1)]
        rest = 1
        for label in group[1:]:
            rest *= label.size
        if fixed or self._is_fixed(*group) or any(label in self.sizes for label in group):
            axis = str(rest * group[0].size)
        else:
            axis = stem
            self.sizes[group[0]] = f"{stem} / {rest}"
            self.conditions.append(f"{stem} % {rest} == 0")
        said = [names[0], *(f"{name} = {label.size}" for name, label in zip(names[1:], group[1:], strict=True))]
        self.declared.update(group)
        return axis, f"({', '.join(said)})", False

    def _is_fixed(self, *labels: Label) -> bool:
        for each in walk(self.formula.body):
            if not isinstance(each, Apply) or each.name not in _FIXED or each.arguments[1:] == (Number(0),):
                continue
            if any(axis in labels for axis in each.axes):
                return True
        inner = {label.of for group in self.formula.out for label in group if label.of is not None}
        return any(label in inner for label in labels)

    def _label(self, label: Label, wanted: str) -> str:
        if label not in self.names:
            self.names[label] = self._label(label.of, wanted) if label.of is not None else self._fresh(wanted)
        return self.names[label]

    def _fresh(self, wanted: str) -> str:
        options = [wanted] if wanted and wanted not in "xyz" else []
        found: str = next(
            name for name in [*options, *_OTHERS, *(f"n{i}" for i in range(1, 99))] if name not in self.used
        )
        self.used.add(found)
        return found

    def _size(self, label: Label) -> str:
        return self.sizes.get(label, str(label.size))

    def _made(self, group: Group) -> str:
        for label in group:
            self._label(label, "")
        said = [self._size(label) for label in group] or ["1"]
        return said[0] if len(said) == 1 else f"({', '.join(said)})"

    def _laid(self, group: Group) -> str:
        said = [self.names[label] for label in group] or ["1"]
        return said[0] if len(said) == 1 else f"({', '.join(said)})"

    def _weight(self, name: str, group: Group) -> str:
        about = self.kept[name]
        axes = []
        for label in group:
            said = self._label(label, "")
            axes.append(said if self.sizes.get(label) == said else f"{said} = {self._size(label)}")
        said = f"[{', '.join(axes)}]" if axes else ""
        return f"  {'param' if about.trained else 'buffer'} {name}{said} {about.start}"


@dataclass(frozen=True, slots=True)
class _Body:
    names: Mapping[Label, str]
    inputs: Sequence[str]
    readings: Mapping[int, str]
    units: Mapping[int, Sequence[str]] = field(default_factory=dict)

    def text(self, expr: Expr, inner: bool = False) -> str:
        match expr:
            case Given(which):
                said = f"{self.inputs[which]}{self.readings.get(which, '')}"
                return f"sum[{', '.join(self.units[which])}]({said})" if which in self.units else said
            case Kept(name):
                return name
            case Number(value):
                said = number(value)
                return f"({said})" if inner and said.startswith("-") else said
            case Range(axis):
                return f"range[{self.names[axis]}]"
            case Infix(operator, left, right):
                said = f"{self.text(left, True)} {operator} {self.text(right, True)}"
                return f"({said})" if inner else said
            case Apply(name, axes, arguments, named):
                along = f"[{', '.join(self.names[axis] for axis in axes)}]" if axes else ""
                said = ", ".join([*map(self.text, arguments), *(f"{key} = {value}" for key, value in named)])
                return f"{name}{along}({said})"


def number(value: float | int) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value) if isinstance(value, int) else repr(float(value)).removesuffix(".0")
