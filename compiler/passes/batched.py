"""What stands for several uses of an operator: for all of them, for what cuts them apart, and for what joins them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from ein.compiler import standard
from ein.compiler.copies import Copies, copied, joined, of_parts, parts
from ein.compiler.copying import Layout, NoCopies
from ein.compiler.graph import OpGraph
from ein.compiler.made import MadeApplication, Written, made, places_text, whole
from ein.compiler.nodes import Use
from ein.compiler.weights import Entry, Moved, entries, slots
from ein.grammar.bodies.tensors import Body
from ein.grammar.cfg import Application, Applied
from ein.grammar.numbers import Inapplicable
from ein.grammar.types import Tensor, bundle, leaves

Made: TypeAlias = tuple[Application, Applied]


class Source(NamedTuple):
    """The type of an input, and where the copies stand in it; None: they share it."""

    type: Tensor
    layout: Layout | None


@dataclass(frozen=True, slots=True)
class Batched:
    """A use for all copies, and the body of one, of which `copies` tells what is kept."""

    application: Application
    applied: Applied
    one: Body
    copies: Copies

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return tuple(leaves(self.applied.output))


@dataclass(slots=True)
class Memory:
    """What was made before, so that what is equal is one object. Keys by `id` are kept alive by their values."""

    batched: dict[tuple[int, int, tuple[Source, ...], int], tuple[Use, Batched | None]] = field(default_factory=dict)
    joins: dict[tuple[int, int, Source], tuple[Use, Made | None]] = field(default_factory=dict)
    cuts: dict[tuple[Tensor, int, Layout], Made] = field(default_factory=dict)

    def batch(self, use: Use, count: int, sources: tuple[Source, ...], chunk: int) -> Batched | None:
        """`chunk`: how many of a whole each copy reads, where that is its only input; else 0."""
        key = (id(use.applied), count, sources, chunk)
        if key not in self.batched:
            self.batched[key] = (use, _batched(use, count, sources, chunk))
        return self.batched[key][1]

    def join(self, use: Use, count: int, source: Source) -> Made | None:
        key = (id(use.applied), count, source)
        if key not in self.joins:
            self.joins[key] = (use, _joined(use, count, source))
        return self.joins[key][1]

    def cut(self, whole: Tensor, count: int, layout: Layout) -> Made:
        key = (whole, count, layout)
        if key not in self.cuts:
            self.cuts[key] = _cut(whole, count, layout)
        return self.cuts[key]

    def written(self, one: Use, said: Written, given: Sequence[Tensor]) -> Made | None:
        """What a text says, where one copy is used as `one`."""
        sources = tuple(Source(type, place) for type, place in zip(given, said.places, strict=True))
        if not said.count:
            return self.join(one, said.chunk, sources[0])
        found = self.batch(one, said.count, sources, said.chunk)
        return None if found is None else (found.application, found.applied)

    def parts(self, graph: OpGraph, number: int) -> Layout:
        """The layout of what a node cuts into parts."""
        node = graph.node(number)
        found = parts(node.applied.body) if isinstance(node, Use) else None
        assert found is not None
        return found[0]


def _batched(use: Use, count: int, sources: tuple[Source, ...], chunk: int) -> Batched | None:
    one = use.applied.body
    given = tuple(source.layout for source in sources)
    if chunk:
        (layout,) = given
        assert layout is not None
        one = joined(one, chunk, layout) or of_parts(one, chunk, layout)
        given = (Layout(layout.axis, folded=True),)
    try:
        found = copied(one, count, given)
    except NoCopies:
        return None
    outputs = []
    for type, layout in zip(use.outputs, found.results, strict=True):
        if layout is None:
            return None
        outputs.append(whole(type, count, layout))
    text = f"{_closed(use)} of {chunk}" if chunk else _closed(use)
    places = [source.layout for source in sources]
    inputs = [source.type for source in sources]
    shown = f"{text} ^ {count} {places_text(places)}"
    return Batched(*made(use.applied.operator, shown, found.body, inputs, outputs), one, found)


def _closed(use: Use) -> str:
    return f"({use.text})" if isinstance(use.application, MadeApplication) else use.text


def _joined(use: Use, count: int, source: Source) -> Made | None:
    assert source.layout is not None
    body = joined(use.applied.body, count, source.layout)
    if body is None:
        return None
    shown = f"{_closed(use)} of {count} {places_text([source.layout])}"
    return made(use.applied.operator, shown, body, [source.type], use.outputs)


def _cut(whole: Tensor, count: int, layout: Layout) -> Made:
    name = "split" if layout.folded else "unstack"
    application = standard.application(name, ("b", count), ("axis", layout.axis + 1))
    return application, application.at(whole)


def concatenation(types: Sequence[Tensor]) -> tuple[Made, Source] | None:
    """What lays tensors of one type one behind the other, and what it gives."""
    rank = len(types[0].sizes)
    if not rank or any(type.sizes != types[0].sizes for type in types):
        return None
    axis = 0 if rank > 2 else rank - 1
    application = standard.application("concat", ("axis", axis + 1))
    try:
        applied = application.at(bundle(types))
    except Inapplicable:
        return None
    return (application, applied), Source(next(leaves(applied.output)), Layout(axis, folded=True))


def moves(batched: Batched, key: str, members: Sequence[Use]) -> dict[str, Moved]:
    """Where the weights of a use for all members come from."""
    new = {slot.path: slot for slot in slots(batched.copies.body)}
    old = {slot.path: slot for slot in slots(batched.one)}
    kept, before = entries(batched.copies.body), entries(batched.one)
    found: dict[str, Moved] = {}
    for (step, entry), (was, origin) in batched.copies.kept.items():
        name = f"{new[step,].name}.{entry}" if entry else new[step,].name
        source = f"{old[was,].name}.{origin.entry}" if origin.entry else old[was,].name
        sources = tuple(Entry(f"{member.key}.{source}", before[source]) for member in members)
        found[f"{key}.{name}"] = Moved(sources, kept[name], origin.viewed, origin.order)
    return found
