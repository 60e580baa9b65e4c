"""The edits that turn one derivation into another at the least cost, any of which may be left out.

What two derivations come to is kept as one sequence of segments. A segment belongs to an edit, or to none; it holds the
choices that stand there as long as the edit is not made, and those that stand there once it is. So any set of
edits gives a sequence of choices in which every rule is used as the grammar has it; whether its types fit is another
question.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypeAlias

from ein.grammar.alignment.align import Alignment, align
from ein.grammar.alignment.trees import ONE, Part, Trees, choices, shown, substitution, walk
from ein.grammar.derivations.derivation import Choices, Derivation

Kind: TypeAlias = Literal["change", "insert", "delete", "replace"]


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit. `before` and `after` are texts, `…` what stays; `place` is the use of a rule (of terms: the node)
    in the first of the two where it is made, counted from 0 in pre-order; `cost` is in modules."""

    kind: Kind
    cost: float
    place: int
    before: str
    after: str

    def __str__(self) -> str:
        match self.kind:
            case "insert":
                return f"insert {self.after}"
            case "delete":
                return f"delete {self.before}"
            case _:
                return f"{self.before} -> {self.after}"


@dataclass(frozen=True, slots=True)
class Segment:
    """`edit` is an index, or -1 for what both have in common."""

    edit: int
    kept: Choices
    made: Choices


@dataclass(slots=True)
class Draft:
    """An edit by its places. `before` and `after` are where what it takes out and puts in begins in either tree;
    `stays` and `stay` are what of that remains. More of a draft may be found while its tree is followed down."""

    kind: Kind
    place: int
    before: int | None
    after: int | None
    cost: int = 0
    stays: set[int] = field(default_factory=set)
    stay: set[int] = field(default_factory=set)


@dataclass(frozen=True, eq=False)
class Path:
    """The edits from one derivation to another; their costs add up to the distance."""

    alignment: Alignment
    drafts: tuple[Draft, ...]
    segments: tuple[Segment, ...]

    def __len__(self) -> int:
        return len(self.drafts)

    @cached_property
    def edits(self) -> tuple[Edit, ...]:
        """As they read, in the order of the places."""
        first, second = (_as_written(each, self.alignment.rules) for each in (self.alignment.a, self.alignment.b))
        return tuple(
            Edit(
                draft.kind,
                draft.cost / ONE,
                draft.place,
                _text(first, draft.before, draft.stays),
                _text(second, draft.after, draft.stay),
            )
            for draft in self.drafts
        )

    def choices(self, made: Collection[int]) -> Choices:
        """With the edits of these indices made: none gives the first derivation, all of them the second."""
        return tuple(c for each in self.segments for c in (each.made if each.edit in made else each.kept))


def path(a: Derivation, b: Derivation) -> Path:
    """Raises EinError where the two are too large to be aligned."""
    return trace(align(a, b))


def trace(alignment: Alignment) -> Path:
    """The edits of an alignment."""
    return _Tracer(alignment).run()


def _as_written(derivation: Derivation, rules: bool) -> list[Part]:
    return list(walk(Trees(as_written=True).tree(derivation, rules)))


def _text(nodes: list[Part], place: int | None, hidden: set[int]) -> str:
    return "" if place is None else shown(nodes[place], frozenset(inner - place for inner in hidden))


@dataclass(frozen=True, slots=True)
class _At:
    """A subtree where it stands."""

    part: Part
    place: int

    def children(self) -> list[_At]:
        found, place = [], self.place + 1
        for child in self.part.children:
            found.append(_At(child, place))
            place += child.size
        return found


@dataclass(frozen=True, slots=True)
class _Around:
    """What stands around `hole` in `top`: choices before it and after it, and the weight of all that."""

    top: _At
    hole: _At
    before: Choices = ()
    after: Choices = ()
    weight: int = 0

    def into(self, index: int) -> _Around:
        """Around the child `index` of the hole."""
        part, children = self.hole.part, self.hole.part.children
        own = () if part.choice is None else (part.choice,)
        before = (*self.before, *own, *(c for child in children[:index] for c in choices(child)))
        after = (*(c for child in children[index + 1 :] for c in choices(child)), *self.after)
        weight = self.weight + part.weight - children[index].weight
        return _Around(self.top, self.hole.children()[index], before, after, weight)


def _layers(top: _At, way: list[int], instance: str) -> list[_Around]:
    """What stands around the end of a way down from `top`, cut at every node of the instance that is met there."""
    found: list[_Around] = []
    around = _Around(top, top)
    for index in way:
        if around.weight and around.hole.part.instance == instance:
            found.append(around)
            around = _Around(around.hole, around.hole)
        around = around.into(index)
    return [*found, around] if around.weight else found


def _joint(at: _At, layers: list[_Around]) -> _Around:
    """The first layer, if the hole is of another rule than what it stands in; else nothing."""
    free = not layers or not at.part.positional or at.part.instance == layers[-1].hole.part.instance
    return _Around(at, at) if free else layers[0]


def _stays(a: Part, b: Part) -> bool:
    """Whether a node and its partner fit either parent: of one instance, or with the same choice."""
    return a.instance == b.instance or not substitution(a, b)


_Task: TypeAlias = tuple[_At, _At, int | None] | Segment


class _Tracer:
    """Follows the cheapest matching from the roots down, on an explicit stack."""

    def __init__(self, alignment: Alignment) -> None:
        self.alignment = alignment
        self.drafts: list[Draft] = []
        self.segments: list[Segment] = []
        self.tasks: list[_Task] = []

    def run(self) -> Path:
        self.tasks.append((_At(self.alignment.first, 0), _At(self.alignment.second, 0), None))
        while self.tasks:
            task = self.tasks.pop()
            if isinstance(task, Segment):
                self.segments.append(task)
            else:
                self.tasks += reversed(list(self._pair(*task)))
        order = sorted(range(len(self.drafts)), key=lambda index: self.drafts[index].place)
        rank = {-1: -1} | {index: place for place, index in enumerate(order)}
        segments = tuple(Segment(rank[each.edit], each.kept, each.made) for each in self.segments)
        return Path(self.alignment, tuple(self.drafts[index] for index in order), segments)

    def _pair(self, a: _At, b: _At, edit: int | None) -> Iterator[_Task]:
        """What two subtrees come to; an `edit` of the node above takes what does not fit below both nodes."""
        if a.part is b.part:
            yield Segment(-1, choices(a.part), choices(b.part))
            return
        found = self._descend(a, b)
        if found is None:
            edit = self._edit("replace", a, b) if edit is None else edit
            self.drafts[edit].cost += a.part.weight + b.part.weight
            yield Segment(edit, choices(a.part), choices(b.part))
            return
        ours, theirs = found
        before, after, edit = self._around(a, b, ours, theirs, edit)
        yield from before
        yield from self._matched(ours[-1].hole if ours else a, theirs[-1].hole if theirs else b, edit)
        yield from after

    def _descend(self, a: _At, b: _At) -> tuple[list[_Around], list[_Around]] | None:
        """What stands around the roots of what is matched in two subtrees; None where nothing is."""
        ours: list[int] = []
        theirs: list[int] = []
        p, q, saved = a.part, b.part, self.alignment.saved
        while p is not q:
            best = saved(p, q)
            if not best:
                return None
            if self.alignment.matched(p, q) == best:
                break
            inner = next((i for i, child in enumerate(q.children) if saved(p, child) == best), None)
            if inner is not None:
                theirs.append(inner)
                q = q.children[inner]
            else:
                ours.append(next(i for i, child in enumerate(p.children) if saved(child, q) == best))
                p = p.children[ours[-1]]
        return _layers(a, ours, p.instance), _layers(b, theirs, q.instance)

    def _around(
        self, a: _At, b: _At, ours: list[_Around], theirs: list[_Around], edit: int | None
    ) -> tuple[list[Segment], list[Segment], int | None]:
        """The segments before and after the holes, and the edit that what is in the holes belongs to.

        A layer that stands around a rule in place of the same rule comes and goes by itself; what joins different
        rules is one edit for both sides.
        """
        found: list[tuple[Segment, Segment]] = []
        out, into = (_joint(at, layers) for at, layers in ((a, ours), (b, theirs)))
        if out.weight or into.weight:
            edit = self._edit("replace", a, b) if edit is None else edit
            self.drafts[edit].cost += out.weight + into.weight
            found.append((Segment(edit, out.before, into.before), Segment(edit, out.after, into.after)))
        inserted, deleted = theirs[into.weight > 0 :], ours[out.weight > 0 :]
        if edit is not None and (inserted or deleted or _stays(out.hole.part, into.hole.part)):
            self.drafts[edit].stays.add(out.hole.place)
            self.drafts[edit].stay.add(into.hole.place)
            edit = None
        for layer in inserted:
            draft = self._draft(Draft("insert", a.place, None, layer.top.place, layer.weight, stay={layer.hole.place}))
            found.append((Segment(draft, (), layer.before), Segment(draft, (), layer.after)))
        for layer in deleted:
            top, hole = layer.top.place, layer.hole.place
            draft = self._draft(Draft("delete", top, top, None, layer.weight, {hole}))
            found.append((Segment(draft, layer.before, ()), Segment(draft, layer.after, ())))
        return [before for before, _ in found], [after for _, after in reversed(found)], edit

    def _edit(self, kind: Kind, a: _At, b: _At) -> int:
        return self._draft(Draft(kind, a.place, a.place, b.place))

    def _draft(self, draft: Draft) -> int:
        self.drafts.append(draft)
        return len(self.drafts) - 1

    def _matched(self, a: _At, b: _At, edit: int | None) -> Iterator[_Task]:
        """Two matched nodes, changed by `edit` if it is given, and what is below them."""
        if a.part is b.part:
            yield Segment(-1, choices(a.part), choices(b.part))
            return
        cost = substitution(a.part, b.part)
        if cost:
            edit = self._edit("change", a, b) if edit is None else edit
            self.drafts[edit].cost += cost
        own = [() if part.choice is None else (part.choice,) for part in (a.part, b.part)]
        yield Segment(-1 if edit is None else edit, own[0], own[1])
        ours, theirs, place = iter(a.children()), iter(b.children()), a.place + 1
        for x, y in self.alignment.pairs(a.part, b.part):
            if x is not None and y is not None:
                yield self._both(next(ours), next(theirs), edit)
            elif x is not None:
                yield self._deleted(next(ours), edit)
            else:
                yield self._inserted(next(theirs), place, edit)
            place += 0 if x is None else x.size

    def _both(self, a: _At, b: _At, edit: int | None) -> _Task:
        """A child of each of two matched nodes; `edit` changes the node above, and what is another instance with it."""
        same = a.part.instance == b.part.instance or not a.part.positional
        if same and edit is not None:
            self.drafts[edit].stays.add(a.place)
            self.drafts[edit].stay.add(b.place)
        return a, b, None if same else edit

    def _deleted(self, a: _At, edit: int | None) -> Segment:
        """A child without a partner: gone with the change above it, else by itself."""
        if edit is None or not a.part.positional:
            edit = self._draft(Draft("delete", a.place, a.place, None))
        self.drafts[edit].cost += a.part.weight
        return Segment(edit, choices(a.part), ())

    def _inserted(self, b: _At, place: int, edit: int | None) -> Segment:
        if edit is None or not b.part.positional:
            edit = self._draft(Draft("insert", place, None, b.place))
        self.drafts[edit].cost += b.part.weight
        return Segment(edit, (), choices(b.part))
