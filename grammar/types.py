"""Types of values: a tensor kind with a shape, or a bundle of them.

Types are interned: equal types are one object, so they compare and hash by identity, which is
what makes tables keyed by type fast. The intern table holds them weakly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import prod
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

MAX_SIZE = 2**31
"""No dimension exceeds this."""

Size: TypeAlias = "int | tuple[Size, ...]"
"""A dimension: an integer, or how it was put together: `(16, 16)` is 256 made of a grid."""

Regular: TypeAlias = tuple[str, int, int]
"""Kind, number of axes, and how many tensors side by side have them; all hold floats and are live."""


def plain(size: Size) -> int:
    """The dimension as a number."""
    return size if isinstance(size, int) else prod([plain(part) for part in size])


class Tensor:
    """`kind[shape]`, without the batch axis. Made by `tensor`."""

    __slots__ = ("__weakref__", "element", "elements", "form", "kind", "live", "regular", "shape", "sizes")

    kind: str
    shape: tuple[Size, ...]
    sizes: tuple[int, ...]
    elements: int
    form: tuple[str, int]
    """Kind and number of axes."""
    live: bool
    """Whether the value depends on the network's input; `zeros` gives values that do not."""
    element: str
    """float, int or bool, as the kind is declared."""
    regular: Regular | None

    def __repr__(self) -> str:
        return f"{self.kind}[{', '.join(map(size_text, self.shape))}]"

    def __reduce__(self) -> tuple[Any, ...]:
        return tensor, (self.kind, self.shape, self.live, self.element)


class Bundle:
    """Two or more values side by side. Made by `bundle`."""

    __slots__ = ("__weakref__", "elements", "live", "members", "mixed", "rank", "regular", "tensors")

    members: tuple[ValueType, ...]
    elements: int
    rank: int | None
    """The number of axes that all members have, or None."""
    live: bool
    """Whether all members are."""
    mixed: bool
    """Whether its members are tensors of several kinds."""
    tensors: int
    regular: Regular | None

    def __repr__(self) -> str:
        first = self.members[0]
        if all(member is first for member in self.members):
            return f"{first!r} ^ {len(self.members)}"
        return f"({', '.join(map(repr, self.members))})"

    def __reduce__(self) -> tuple[Any, ...]:
        return bundle, (self.members,)


ValueType: TypeAlias = Tensor | Bundle

_tensors: WeakValueDictionary[tuple[str, tuple[Size, ...], bool, str], Tensor] = WeakValueDictionary()
_bundles: WeakValueDictionary[tuple[int, ...], Bundle] = WeakValueDictionary()


def tensor(kind: str, shape: Sequence[Size], live: bool = True, element: str = "float") -> Tensor:
    """The type `kind[shape]`; sizes are positive integers, or tuples of such."""
    key = (kind, tuple(shape), live, element)
    found = _tensors.get(key)
    if found is None:
        found = Tensor()
        found.kind, found.shape, found.live, found.element = key
        grids = tuple in map(type, found.shape)
        found.sizes = tuple([plain(size) for size in found.shape]) if grids else found.shape  # type: ignore[assignment]
        found.elements = prod(found.sizes)
        found.form, regular = _form(kind, len(found.shape))
        found.regular = regular if live and element == "float" else None
        found = _tensors.setdefault(key, found)
    return found


@lru_cache
def _form(kind: str, axes: int) -> tuple[tuple[str, int], Regular]:
    """One object for all tensors of a form."""
    return (kind, axes), (kind, axes, 1)


def bundle(members: Iterable[ValueType]) -> Bundle:
    """The type of `members` side by side; there must be two or more."""
    parts = tuple(members)
    if len(parts) < 2:
        raise ValueError(f"a bundle has two members or more, got {len(parts)}")
    key = tuple(map(id, parts))
    found = _bundles.get(key)
    if found is None:
        found = Bundle()
        found.members = parts  # keeps the members alive, so their ids stay theirs
        found.elements = sum([part.elements for part in parts])
        first = parts[0]
        if isinstance(first, Tensor) and (parts.count(first) == len(parts) or _all_regular(parts)):
            _same_form(found, first)
        else:
            _any_form(found, parts)
        found = _bundles.setdefault(key, found)
    return found


def _all_regular(parts: tuple[ValueType, ...]) -> bool:
    """Whether all are tensors of one form, floats and live."""
    first = parts[0].regular
    return first is not None and all([part.regular == first and isinstance(part, Tensor) for part in parts])


def _same_form(made: Bundle, first: Tensor) -> None:
    """Of members that are one type, or of one form."""
    kind, axes = first.form
    made.rank, made.live, made.mixed, made.tensors = axes, first.live, False, len(made.members)
    made.regular = (kind, axes, made.tensors) if first.regular is not None else None


def _any_form(made: Bundle, parts: tuple[ValueType, ...]) -> None:
    ranks = set(map(rank, parts))
    made.rank = ranks.pop() if len(ranks) == 1 else None
    made.live = all([part.live for part in parts])
    made.tensors = sum([part.tensors if isinstance(part, Bundle) else 1 for part in parts])
    kinds = {part.kind if isinstance(part, Tensor) else None for part in parts}
    made.mixed = len(kinds) > 1 and None not in kinds
    made.regular = None


def leaves(value: ValueType) -> Iterator[Tensor]:
    """The tensors of a value from left to right."""
    if isinstance(value, Tensor):
        yield value
    else:
        for member in value.members:
            yield from leaves(member)


def elements(value: ValueType) -> int:
    """Elements of one example."""
    return value.elements


def rank(value: ValueType) -> int | None:
    """The number of axes, of a bundle that of all its members if they agree."""
    return len(value.shape) if isinstance(value, Tensor) else value.rank


def merge(values: Sequence[ValueType]) -> ValueType | None:
    """One type for values of equal kinds and sizes, or None; live where one of them is.

    Structure of a dimension is kept where all agree and otherwise becomes the plain size.
    """
    first = values[0]
    if values.count(first) == len(values):
        return first
    if isinstance(first, Tensor):
        same = all(isinstance(v, Tensor) and _alike(v, first) for v in values)
        if not same:
            return None
        shapes = [v.shape for v in values if isinstance(v, Tensor)]
        live = any(v.live for v in values)
        sizes = [merge_sizes(column) for column in zip(*shapes, strict=True)]
        return tensor(first.kind, sizes, live, first.element)
    if not all(isinstance(v, Bundle) and len(v.members) == len(first.members) for v in values):
        return None
    columns = zip(*(v.members for v in values if isinstance(v, Bundle)), strict=True)
    members = [merge(column) for column in columns]
    return None if None in members else bundle(member for member in members if member is not None)


def _alike(one: Tensor, other: Tensor) -> bool:
    return (one.kind, one.sizes, one.element) == (other.kind, other.sizes, other.element)


def with_life(value: ValueType, live: Sequence[bool]) -> ValueType:
    """The type with its tensors, from left to right, live or not."""
    wanted = iter(live)

    def visit(each: ValueType) -> ValueType:
        if isinstance(each, Bundle):
            return bundle([visit(member) for member in each.members])
        return tensor(each.kind, each.shape, next(wanted), each.element)

    return visit(value)


def all_dead(value: ValueType) -> ValueType:
    return with_life(value, [False] * (value.tensors if isinstance(value, Bundle) else 1))


def is_dead(value: ValueType) -> bool:
    """Whether no tensor of it depends on the input."""
    return not any(leaf.live for leaf in leaves(value))


def merge_sizes(sizes: Sequence[Size]) -> Size:
    """One dimension for equal sizes: its structure if all agree, else the number."""
    return sizes[0] if sizes.count(sizes[0]) == len(sizes) else plain(sizes[0])


def size_text(size: Size) -> str:
    return str(size) if isinstance(size, int) else f"({', '.join(map(size_text, size))})"
