"""The classes that a graph is written as, the network last: what each is made of, in the order of its `forward`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

from ein.compiler.class_names import ClassNames
from ein.compiler.flow import flow
from ein.compiler.graph import OpGraph, Port
from ein.compiler.parameters import Parameter, Parameters, parameters
from ein.compiler.regions import Region, tree, whole
from ein.compiler.structures import GIVEN, Place, Structure, Structured, keys, structured
from ein.compiler.template import Number, refilled
from ein.compiler.weights import Sizes, Slot, slots
from ein.grammar.bodies.tensors import Body

Keys: TypeAlias = tuple[str, ...]


class Part(NamedTuple):
    """A use of an operator in the text of a class; `place` is the node's among all those of the class."""

    place: int
    body: Body
    key: str
    word: str
    """What its layers are called after."""
    slots: tuple[Slot, ...]
    sources: tuple[Port | None, ...]
    built: int | None
    """When its weights are built, counted in the whole network."""


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A use of a class in the text of another. Those with equal `keys` (none: all differ) are one instance."""

    place: int
    structure: Structure
    arguments: tuple[tuple[Parameter, Number], ...]
    sources: tuple[Port | None, ...]
    outputs: tuple[tuple[Sizes, str], ...]
    keys: Keys
    group: Region | None
    """A region around it that holds nothing but such calls."""
    built: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Calls one after another, written as one `nn.Sequential`."""

    calls: tuple[Call, ...]

    @property
    def sources(self) -> tuple[Port | None, ...]:
        return self.calls[0].sources

    @property
    def outputs(self) -> tuple[tuple[Sizes, str], ...]:
        return self.calls[-1].outputs

    @property
    def built(self) -> int | None:
        return self.calls[0].built


Item: TypeAlias = Part | Call | Run


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A class. A port is (place of an item, number of its result), or (GIVEN, number of an input)."""

    name: str
    structure: Structure
    parameters: Parameters
    items: tuple[Item, ...]
    inputs: tuple[tuple[Sizes, str], ...]
    """Sizes and element types."""
    results: tuple[Port, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """All classes, each after those that it uses; the network is the last."""

    found: Structured
    blocks: tuple[Block, ...]

    @property
    def by_structure(self) -> dict[Structure, Block]:
        return {block.structure: block for block in self.blocks}

    def nodes(self, structure: Structure) -> Iterator[tuple[int, ...]]:
        """For each instance the nodes that are in it, in one order."""
        for region in structure.regions:
            first, end = self.found.nodes[region]
            yield self.found.order[first:end]


def blocks(graph: OpGraph, name: str, with_classes: bool = True, taken: Sequence[str] = ()) -> Blocks:
    """`name` is that of the network's class, `taken` are names that no other class may have."""
    through = flow(graph)
    found = structured(through, tree(through) if with_classes else [whole(through)], with_classes)
    of: dict[Structure, Parameters] = {}
    written = [structure for structure in found.structures if structure.is_class]
    for structure in written:
        of[structure] = parameters(found, structure, of)
    names = ClassNames([name, *taken])
    made = {structure: _Writing(found, structure, of).block() for structure in [*written, found.root]}
    ordered = _ordered(made[found.root], made)
    called = [replace(block, name=names.of(block.structure.name)) for block in ordered[:-1]]
    return Blocks(found, (*called, replace(ordered[-1], name=name)))


def _ordered(root: Block, made: Mapping[Structure, Block]) -> list[Block]:
    """Each after those that it uses, in the order in which they are met."""
    found: dict[Structure, Block] = {}
    stack: list[tuple[Block, bool]] = [(root, False)]
    while stack:
        block, done = stack.pop()
        if done:
            found.setdefault(block.structure, block)
        elif block.structure not in found:
            stack.append((block, True))
            stack += [(made[call.structure], False) for call in reversed(list(calls(block)))]
    return list(found.values())


def calls(block: Block) -> Iterator[Call]:
    for item in block.items:
        match item:
            case Call():
                yield item
            case Run():
                yield from item.calls
            case Part():
                pass


@dataclass(slots=True)
class _Writing:
    """Of one structure, in terms of its first region."""

    found: Structured
    structure: Structure
    of: Mapping[Structure, Parameters]
    items: list[Part | Call] = field(default_factory=list)
    at: dict[tuple[int, int], Port] = field(default_factory=dict)
    """Where a port of the graph stands in the class."""
    region: Region = field(init=False)
    own: Parameters = field(init=False)
    base: int = field(init=False)
    start: int = field(init=False)
    """Where the numbers and the nodes of the region begin among all."""

    def __post_init__(self) -> None:
        self.region = self.structure.regions[0]
        self.own = self.of.get(self.structure, _NONE)
        self.base = self.found.first[self.region]
        self.start = self.found.nodes[self.region][0]

    def block(self) -> Block:
        graph, region = self.found.flow.graph, self.region
        if region.parent is None:
            node = graph.input
            given = tuple(Port(node, port) for port in range(len(graph.node(node).outputs)))
            ends = self.found.flow.results
        else:
            given, ends = tuple(region.inputs), tuple(region.outputs)
        self.at = {port: Port(GIVEN, number) for number, port in enumerate(given)}
        self._expand(region)
        inputs = tuple(self._shape(region, Place(GIVEN, number), port) for number, port in enumerate(given))
        items, results = joined(self.items, tuple(self.at[port] for port in ends))
        return Block("", self.structure, self.own, items, inputs, results)

    def _expand(self, region: Region) -> None:
        """What the region holds, in place; regions that are no classes are written out."""
        first = len(self.items)
        structure = self.found.of[region]
        for at, (item, member) in enumerate(zip(region.items, structure.members, strict=True)):
            if not isinstance(item, Region):
                self._part(item, self.found.first[region] + member.first)
            elif self.found.of[item].is_class:
                self._call(region, at, item)
            else:
                self._expand(item)
        if region is not self.region:
            self._group(region, first)

    def _group(self, region: Region, first: int) -> None:
        inside = self.items[first:]
        if len(inside) > 1 and all(isinstance(item, Call) and item.group is None for item in inside):
            self.items[first:] = [replace(item, group=region) for item in inside if isinstance(item, Call)]

    def _part(self, number: int, first: int) -> None:
        flow = self.found.flow
        use = flow.uses[number]
        _, numbers, body, kept = flow.filled[number]
        own = self.own
        if own.written:
            columns = range(first - self.base, first - self.base + len(numbers))
            if not own.written.keys().isdisjoint(columns):
                body = refilled(body, lambda i: own.number(columns[i], numbers[i]))
                kept = slots(body)
        place = self.found.places[number] - self.start
        sources = tuple([port and self.at[port] for port in flow.sources[number]])
        for port in flow.live[number]:
            self.at[number, port] = Port(len(self.items), port)
        self.items.append(Part(place, body, use.key, use.application.name, kept, sources, flow.keeps.get(number)))

    def _call(self, around: Region, at: int, region: Region) -> None:
        structure = self.found.of[region]
        first = self.found.first[region]
        arguments = tuple(
            (given, self.own.number(first - self.base + given.column, self.found.numbers[first + given.column]))
            for given in self.of[structure].given
        )
        outputs = tuple(self._shape(around, Place(at, i), port) for i, port in enumerate(region.outputs))
        own = keys(self.found, region)
        shared = own if any(key in self.found.flow.shared for key in own) else ()
        built = self.found.flow.keeps[self._first_kept(region)] if own else None
        sources = tuple(self.at[port] for port in region.inputs)
        place = self.found.nodes[region][0] - self.start
        self.items.append(Call(place, structure, arguments, sources, outputs, shared, None, built))
        self.at |= {port: Port(len(self.items) - 1, i) for i, port in enumerate(region.outputs)}

    def _first_kept(self, region: Region) -> int:
        first, end = self.found.nodes[region]
        keeps = self.found.flow.keeps
        return min((number for number in self.found.order[first:end] if number in keeps), key=keeps.__getitem__)

    def _shape(self, region: Region, place: Place, port: Port) -> tuple[Sizes, str]:
        """Sizes and element type of something in a region, which is the graph's `port`."""
        type = self.found.flow.graph.type(port)
        span = self.found.of[region].sizes_of(place)
        if span is None or not self.own.written:
            return type.sizes, type.element
        first = self.found.first[region] - self.base + span.first
        return tuple(self.own.number(first + i, size) for i, size in enumerate(type.sizes)), type.element  # type: ignore[misc]


_NONE = Parameters()


# --- runs


def joined(items: Sequence[Part | Call], results: tuple[Port, ...]) -> tuple[tuple[Item, ...], tuple[Port, ...]]:
    """The items with calls of one kind that follow one another as runs, and the results in terms of these."""
    enough = sum([isinstance(item, Call) for item in items]) > 1
    runs = [run for run in _chains(items, results) if len(run) > 1] if enough else []
    if not runs:
        return tuple(items), results
    first = {run[0]: run for run in runs}
    inside = {at for run in runs for at in run[1:]}
    moved: dict[int, int] = {GIVEN: GIVEN}
    made: list[Item] = []
    for at, item in enumerate(items):
        if at in inside:
            continue
        run = first.get(at, [at])
        moved |= {each: len(made) for each in run}
        if len(run) == 1:
            made.append(item)
        else:
            made.append(Run(tuple(call for each in run if isinstance(call := items[each], Call))))

    def move(port: Port | None) -> Port | None:
        return port and Port(moved[port.node], port.port)

    def moved_sources(item: Item) -> Item:
        sources = tuple(map(move, item.sources))
        if sources == item.sources:
            return item
        match item:
            case Run(chain):
                return Run((replace(chain[0], sources=sources), *chain[1:]))
            case Part():
                return item._replace(sources=sources)
            case Call():
                return replace(item, sources=sources)

    ends = tuple(Port(moved[port.node], port.port) for port in results)
    return tuple(map(moved_sources, made)), ends


def _chains(items: Sequence[Part | Call], results: tuple[Port, ...]) -> list[list[int]]:
    reads = Counter(port for item in items for port in item.sources)
    reads.update(results)
    built = sorted(item.built for item in items if item.built is not None)
    rank = {place: at for at, place in enumerate(dict.fromkeys(built))}
    chains: dict[int, list[int]] = {}
    """By the last item of each."""
    for at, item in enumerate(items):
        source = item.sources[0] if len(item.sources) == 1 else None
        before = items[source.node] if source is not None and source.node != GIVEN else None
        fits = (
            isinstance(item, Call)
            and isinstance(before, Call)
            and source is not None
            and reads[source] == 1
            and _follow(before, item)
            and _next(rank, before.built, item.built)
        )
        chain = chains.pop(source.node) if fits and source is not None else []
        chain.append(at)
        chains[at] = chain
    return list(chains.values())


def _follow(one: Call, other: Call) -> bool:
    alike = one.structure is other.structure if one.group is None else True
    single = len(one.outputs) == len(other.outputs) == 1
    return single and alike and one.group is other.group and not one.keys and not other.keys


def _next(rank: Mapping[int, int], one: int | None, other: int | None) -> bool:
    """Whether nothing is built between the two."""
    return one is None or other is None or rank[other] == rank[one] + 1
