"""What regions have in common: equal structures, found once from the inside out, and which of them become classes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from ein.compiler.flow import Flow
from ein.compiler.graph import Port
from ein.compiler.regions import Region, nodes
from ein.compiler.template import Number, Span, Template

OVERHEAD = 3.0
"""Lines that a class may cost: of what it takes beside its body (eight) less what a name is worth to a reader."""

BUILT, CALL = 1.0, 2.0
"""Lines of one use of a class in a row of several, where it is only built, and elsewhere, where it is called too."""

LEAST = 4.0
"""Lines of a class at least, unless another one is used in it."""

GIVEN = -1
"""Stands for the inputs of a region where the number of an item is expected."""


class Place(NamedTuple):
    """The result `port` of the item `item`, or the input `port` of the region where that is GIVEN."""

    item: int
    port: int


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """An item of a structure: a template or another structure, what it reads (None: what nothing depends on), and where
    its numbers begin among those of the structure."""

    what: Template | Structure
    live: tuple[int, ...]
    sources: tuple[Place | None, ...]
    first: int
    keeps: bool


@dataclass(slots=True, eq=False)
class Structure:
    """Regions that differ in their numbers alone; they are `regions`, and the first stands for all."""

    number: int
    name: str
    members: tuple[Member, ...]
    outputs: tuple[Place, ...]
    length: int
    lines: float = 0.0
    call: float = CALL
    """Lines of a use of its class."""
    holds_classes: bool = False
    regions: list[Region] = field(default_factory=list)
    is_class: bool = False

    @property
    def is_unit(self) -> bool:
        """Whether it takes one tensor and gives one."""
        read = {source.port for member in self.members for source in member.sources if source and source.item == GIVEN}
        return len(self.outputs) == len(read) == 1

    def sizes_of(self, place: Place) -> Span | None:
        """Where the sizes of something in it stand among its numbers."""
        if place.item == GIVEN:
            return self._sizes_of_input(place.port)
        member = self.members[place.item]
        if isinstance(member.what, Template):
            span: Span | None = member.what.results[place.port]
        else:
            span = member.what.sizes_of(member.what.outputs[place.port])
        return span and Span(span.first + member.first, span.length)

    def _sizes_of_input(self, port: int) -> Span | None:
        for member in self.members:
            for at, source in enumerate(member.sources):
                if source == (GIVEN, port):
                    what = member.what
                    span = what.inputs[at] if isinstance(what, Template) else what.sizes_of(Place(GIVEN, at))
                    return span and Span(span.first + member.first, span.length)
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Structured:
    """`of` is the structure of each region; `numbers` are those of the whole graph, and a region's begin at `first`."""

    flow: Flow
    root: Structure
    of: dict[Region, Structure]
    numbers: list[Number]
    first: dict[Region, int]
    nodes: dict[Region, tuple[int, int]]
    """Where the nodes of a region begin and end in `order`."""
    order: tuple[int, ...]
    structures: tuple[Structure, ...]
    """Each after those that it holds."""
    places: dict[int, int]
    """Of nodes in `order`."""

    def row(self, region: Region) -> list[Number]:
        first = self.first[region]
        return self.numbers[first : first + self.of[region].length]


def structured(flow: Flow, regions: list[Region], with_classes: bool) -> Structured:
    """`regions` are those of `tree`; without classes no structure becomes one."""
    known: dict[Hashable, Structure] = {}
    of: dict[Region, Structure] = {}
    for region in reversed(regions):
        of[region] = _structure(flow, region, of, known)
    for structure in known.values():
        structure.regions.reverse()
    order, numbers, first, spans = _laid_out(flow, regions[0], of)
    places = {number: place for place, number in enumerate(order)}
    made = tuple(known.values())
    found = Structured(flow, of[regions[0]], of, numbers, first, spans, order, made, places)
    if with_classes:
        _choose(found, made)
    return found


def _structure(flow: Flow, region: Region, of: dict[Region, Structure], known: dict[Hashable, Structure]) -> Structure:
    read = _Reading()
    keys: dict[str, Place] = {}
    marks: list[_Mark] = []
    for at, item in enumerate(region.items):
        what: Template | Structure
        if isinstance(item, Region):
            what, own = of[item], _shared(flow, item) if flow.shared else ()
            live, sources = tuple(range(len(item.outputs))), read.all(item.inputs)
            for end, port in enumerate(item.outputs):
                read.places[port] = Place(at, end)
        else:
            key = flow.uses[item].key
            what, own = flow.filled[item].template, (key,) if key in flow.shared and item in flow.keeps else ()
            live, sources = flow.live[item], read.all(flow.sources[item])
            for end in live:
                read.places[item, end] = Place(at, end)
        marks.append((what, live, sources, _repeated(own, keys, at)))
    region.inputs = read.given
    region.outputs = dict.fromkeys(sorted(region.outputs, key=read.places.__getitem__))
    outputs = tuple([read.places[port] for port in region.outputs])
    mark = (region.name, tuple(marks), outputs)
    made = known.get(mark)
    if made is None:
        members, length = _members(flow, region, marks)
        made = known[mark] = Structure(len(known), region.name, members, outputs, length)
    made.regions.append(region)
    return made


_Mark: TypeAlias = "tuple[Template | Structure, tuple[int, ...], tuple[Place | None, ...], Hashable]"


def _members(flow: Flow, region: Region, marks: list[_Mark]) -> tuple[tuple[Member, ...], int]:
    """And the count of their numbers."""
    members: list[Member] = []
    length = 0
    for item, (what, live, sources, _) in zip(region.items, marks, strict=True):
        members.append(Member(what, live, sources, length, item in flow.keeps))
        length += len(what.roles) if isinstance(what, Template) else what.length
    return tuple(members), length


class _Reading:
    """Where the ports stand that a region reads and makes; `given` are those from outside, by their number."""

    __slots__ = ("given", "places")

    def __init__(self) -> None:
        self.given: dict[Port, int] = {}
        self.places: dict[tuple[int, int], Place] = {}

    def all(self, ports: Iterable[Port | None]) -> tuple[Place | None, ...]:
        return tuple([None if port is None else self.places.get(port) or self._outside(port) for port in ports])

    def _outside(self, port: Port) -> Place:
        number = self.given[port] = len(self.given)
        place = self.places[port] = Place(GIVEN, number)
        return place


def _repeated(own: tuple[str, ...], keys: dict[str, Place], at: int) -> tuple[tuple[int, Place], ...]:
    """Which keys of an item occurred before in its region, and where."""
    if not own:
        return ()
    places = ((number, keys.setdefault(key, Place(at, number))) for number, key in enumerate(own))
    return tuple((number, place) for number, place in places if place != (at, number))


def _shared(flow: Flow, region: Region) -> tuple[str, ...]:
    keys = (flow.uses[number].key for number in nodes(region) if number in flow.keeps)
    return tuple(key for key in keys if key in flow.shared)


def _laid_out(
    flow: Flow, root: Region, of: dict[Region, Structure]
) -> tuple[tuple[int, ...], list[Number], dict[Region, int], dict[Region, tuple[int, int]]]:
    numbers: list[Number] = []
    order: list[int] = []
    first: dict[Region, int] = {}
    spans: dict[Region, tuple[int, int]] = {}
    stack: list[tuple[int | Region, bool]] = [(root, False)]
    while stack:
        item, done = stack.pop()
        if not isinstance(item, Region):
            order.append(item)
            numbers += flow.filled[item].numbers
        elif done:
            spans[item] = (spans[item][0], len(order))
        else:
            first[item] = len(numbers)
            spans[item] = (len(order), len(order))
            stack.append((item, True))
            stack += [(each, False) for each in reversed(item.items)]
    return tuple(order), numbers, first, spans


# --- which become classes


def _choose(found: Structured, structures: tuple[Structure, ...]) -> None:
    """Those whose text, as often as it would stand there, is longer than the class and its uses; in place."""
    places = _places(structures)
    for structure in structures:
        _measure(structure, places)
    for structure in structures:
        if _is_row(structure):
            for member in structure.members:
                assert isinstance(member.what, Structure)
                member.what.call -= 1 / places[member.what]
    for structure in structures:
        _measure(structure, places)
    times: Counter[Structure] = Counter({found.root: 1})
    for structure in reversed(structures):
        count = times[structure]
        if structure is not found.root and _pays(structure, count) and _may(found, structure):
            structure.is_class, count = True, 1
        for member in structure.members:
            if isinstance(member.what, Structure):
                times[member.what] += count


def _places(structures: tuple[Structure, ...]) -> Counter[Structure]:
    """In how many places of others each stands."""
    return Counter(
        member.what for structure in structures for member in structure.members if isinstance(member.what, Structure)
    )


def _measure(structure: Structure, places: Counter[Structure]) -> None:
    """Its lines, in place. What stands in one place alone is a class only in a row of such as stand elsewhere too."""
    structure.lines, structure.holds_classes = 0.0, False
    is_row = _is_row(structure) and _stands_elsewhere(structure, places)
    for member in structure.members:
        what = member.what
        if isinstance(what, Template):
            structure.lines += what.lines + member.keeps
        elif _pays(what, len(what.regions) if is_row else places[what]):
            structure.lines += BUILT if is_row else CALL
            structure.holds_classes = True
        else:
            structure.lines += what.lines


def _stands_elsewhere(structure: Structure, places: Counter[Structure]) -> bool:
    """Whether some structure in it stands in others too."""
    inside = Counter(member.what for member in structure.members if isinstance(member.what, Structure))
    return any(places[what] > count for what, count in inside.items())


def _is_row(structure: Structure) -> bool:
    """Whether it is modules one after another and nothing else."""
    return len(structure.members) > 1 and all(
        isinstance(member.what, Structure)
        and member.what.is_unit
        and _pays(member.what, len(member.what.regions), BUILT)
        for member in structure.members
    )


def _pays(structure: Structure, count: int, call: float | None = None) -> bool:
    """Whether so many uses are shorter with a class, and long enough for one."""
    lines, call = structure.lines, structure.call if call is None else call
    return count > 1 and (lines >= LEAST or structure.holds_classes) and count * (lines - call) > lines + OVERHEAD


def _may(found: Structured, structure: Structure) -> bool:
    """Whether all its regions can be modules: each has its weights for itself, or the same as others have."""
    if not all(region.is_whole and region.outputs for region in structure.regions):
        return False
    return not found.flow.shared or _is_fair(found, structure)


def _is_fair(found: Structured, structure: Structure) -> bool:
    flow = found.flow
    totals = Counter(flow.uses[number].key for number in flow.keeps)
    alike: dict[tuple[str, ...], list[Region]] = defaultdict(list)
    for region in structure.regions:
        alike[keys(found, region)].append(region)
    for own, regions in alike.items():
        uses = Counter(own)
        if any(uses[key] * len(regions) != totals[key] for key in uses):
            return False
        if any(found.row(region) != found.row(regions[0]) for region in regions if own):
            return False
    return True


def keys(found: Structured, region: Region) -> tuple[str, ...]:
    """Of what its nodes keep, in order."""
    first, end = found.nodes[region]
    return tuple(found.flow.uses[number].key for number in found.order[first:end] if number in found.flow.keeps)
