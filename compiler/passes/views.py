"""Views: a tensor whose elements are those of another one, laid out otherwise; normal forms and their arithmetic.

An axis of a view is a run of atoms (size, stride), outermost first: how far apart, in the row-major order of the
tensor it looks at, its neighbours are. Axes of size 1 have no atoms, and atoms that make one longer one are joined:
two views with equal sizes show the same elements in the same order exactly if they are equal.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TypeAlias

Atoms: TypeAlias = tuple[tuple[int, int], ...]
Sizes: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class View:
    """Of `root`, from its element number `start` on; all of one example."""

    root: Hashable
    start: int
    axes: tuple[Atoms, ...]

    @property
    def sizes(self) -> Sizes:
        return tuple(prod(size for size, _ in axis) for axis in self.axes)

    @property
    def copies(self) -> bool:
        """Whether torch has to move elements to lay it out: an axis is made of parts that are not in a row."""
        return any(len(axis) > 1 for axis in self.axes)


@dataclass(frozen=True, slots=True)
class Joined:
    """Tensors laid one behind the other along an axis; of them the first entry there, and the view."""

    sizes: Sizes
    axis: int
    parts: tuple[tuple[int, View], ...]


def whole(root: Hashable, sizes: Sizes) -> View:
    """All of a tensor as it is."""
    strides = [prod(sizes[at + 1 :]) for at in range(len(sizes))]
    return View(root, 0, tuple(joined([(size, stride)]) for size, stride in zip(sizes, strides, strict=True)))


def joined(atoms: Sequence[tuple[int, int]]) -> Atoms:
    """Without atoms of size 1, neighbours that are one longer run made one."""
    found: list[tuple[int, int]] = []
    for size, stride in atoms:
        if found and found[-1][1] == size * stride:
            found[-1] = (found[-1][0] * size, stride)
        elif size > 1:
            found.append((size, stride))
    return tuple(found)


def permuted(view: View, order: Sequence[int]) -> View:
    return replace(view, axes=tuple(view.axes[axis] for axis in order))


def flattened(view: View, first: int, last: int) -> View:
    run = joined([atom for axis in view.axes[first : last + 1] for atom in axis])
    return replace(view, axes=(*view.axes[:first], run, *view.axes[last + 1 :]))


def unflattened(view: View, axis: int, sizes: Sequence[int]) -> View | None:
    """None where the sizes cut through an atom that they do not divide."""
    parts = cut(view.axes[axis], sizes)
    return None if parts is None else replace(view, axes=(*view.axes[:axis], *parts, *view.axes[axis + 1 :]))


def cut(atoms: Atoms, sizes: Sequence[int]) -> tuple[Atoms, ...] | None:
    """The atoms as several axes of these sizes, outermost first."""
    left, found = list(reversed(atoms)), []
    for wanted in sizes:
        taken: list[tuple[int, int]] = []
        while wanted > 1:
            size, stride = left.pop()
            if wanted % size == 0:
                taken.append((size, stride))
                wanted //= size
            elif size % wanted == 0:
                taken.append((wanted, stride * (size // wanted)))
                left.append((size // wanted, stride))
                wanted = 1
            else:
                return None
        found.append(joined(taken))
    return tuple(found)


def sliced(view: View, axis: int, first: int, size: int) -> View | None:
    """The entries of an axis from `first` on."""
    atoms = view.axes[axis]
    total = prod(length for length, _ in atoms)
    if size == total:
        return view
    inner = prod(length for length, _ in atoms[1:])
    if first % inner or size % inner:
        parts = cut(atoms, (total // size, size)) if total % size == 0 and first % size == 0 else None
        if parts is None or len(parts[0]) != 1:
            return None
        start, kept = first // size * parts[0][0][1], parts[1]
    else:
        start, kept = first // inner * atoms[0][1], joined([(size // inner, atoms[0][1]), *atoms[1:]])
    return View(view.root, view.start + start, (*view.axes[:axis], kept, *view.axes[axis + 1 :]))


def without(view: View, axis: int) -> View:
    """Without an axis of size 1."""
    return replace(view, axes=(*view.axes[:axis], *view.axes[axis + 1 :]))


def unsqueezed(view: View, axes: Sequence[int]) -> View:
    """With axes of size 1 at these places of the result."""
    given = iter(view.axes)
    count = len(view.axes) + len(axes)
    return replace(view, axes=tuple(() if axis in axes else next(given) for axis in range(count)))


def concatenated(parts: Sequence[View], axis: int) -> View | None:
    """The one view that several in a row are, if they are one."""
    found = parts[0]
    rest = [without(_at(part, axis), axis) for part in parts]
    if any(replace(each, start=0) != replace(rest[0], start=0) for each in rest):
        return None
    run = [part.axes[axis] for part in parts]
    if len(set(run)) == 1:
        step = parts[1].start - parts[0].start
        starts = [part.start for part in parts]
        if step <= 0 or starts != list(range(starts[0], starts[0] + step * len(parts), step)):
            return None
        atoms = joined([(len(parts), step), *run[0]])
    else:
        stride = max((stride for atoms in run for _, stride in atoms), default=0)
        place = found.start
        for part, atoms in zip(parts, run, strict=True):
            if len(atoms) > 1 or any(each != stride for _, each in atoms) or part.start != place:
                return None
            place += stride * prod(size for size, _ in atoms)
        atoms = joined([((place - found.start) // stride, stride)])
    return replace(found, axes=(*found.axes[:axis], atoms, *found.axes[axis + 1 :]))


def _at(view: View, axis: int) -> View:
    """The first entry along an axis."""
    return replace(view, axes=(*view.axes[:axis], (), *view.axes[axis + 1 :]))


def inside(view: View, of: Joined) -> View | None:
    """The view as one of what a single part looks at, if it looks at one alone."""
    inner = prod(of.sizes[of.axis + 1 :])
    block = inner * of.sizes[of.axis]
    outer, start = divmod(view.start, block)
    atoms = [atom for axis in view.axes for atom in axis]
    near = [(size, stride) for size, stride in atoms if stride % block]
    last = start + sum((size - 1) * stride for size, stride in near)
    for first, part in of.parts:
        size = part.sizes[of.axis]
        if first * inner <= start and last < (first + size) * inner:
            own = size * inner
            axes = tuple(tuple((n, s if s % block else s // block * own) for n, s in axis) for axis in view.axes)
            return composed(View(view.root, outer * own + start - first * inner, axes), part)
    return None


def composed(view: View, on: View) -> View | None:
    """A view of what `on` shows as a view of what `on` looks at; None where it is none."""
    digits = joined_digits(on)
    start, used = on.start, []
    rest = view.start
    for size, stride, weight in digits:
        digit = rest // weight % size
        start += digit * stride
        used.append(digit)
    axes = []
    for axis in view.axes:
        found: list[tuple[int, int]] = []
        for atom in axis:
            placed = _placed(atom, digits, used)
            if placed is None:
                return None
            found += placed
        axes.append(joined(found))
    if any(top >= size for top, (size, _, _) in zip(used, digits, strict=True)):
        return None
    return View(on.root, start, tuple(axes))


def joined_digits(view: View) -> list[tuple[int, int, int]]:
    """All elements of a view in order, as digits (size, stride, weight), outermost first."""
    atoms = joined([atom for axis in view.axes for atom in axis])
    return [(size, stride, prod(n for n, _ in atoms[at + 1 :])) for at, (size, stride) in enumerate(atoms)]


def _placed(atom: tuple[int, int], digits: list[tuple[int, int, int]], used: list[int]) -> list[tuple[int, int]] | None:
    """An atom over digits; `used` grows by what it reaches of each, in place."""
    size, step = atom
    found: list[tuple[int, int]] = []
    for at in reversed(range(len(digits))):
        length, stride, weight = digits[at]
        if not weight <= step < weight * length or size == 1:
            continue
        if step % weight:
            return None
        by = step // weight
        room = length // by if length % by == 0 else 0
        taken = size if (size - 1) * by < length else room
        if not taken or size % taken:
            return None
        found.insert(0, (taken, stride * by))
        used[at] += (taken - 1) * by
        size, step = size // taken, step * taken
    return None if size > 1 else found
