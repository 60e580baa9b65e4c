"""Types of which the sizes are not known: a shape stands for all types that it has as an instance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ein.grammar import computed
from ein.grammar.types import Bundle, Tensor, ValueType, bundle, merge

MAX_TENSORS = 64
"""Tensors in a bundle of shapes that are told apart."""


@dataclass(frozen=True, slots=True)
class Some:
    """Any tensor of a kind and number of axes; None: whatever they are."""

    kind: str | None = None
    axes: int | None = None

    def __repr__(self) -> str:
        if self.kind is None or self.axes is None:
            return f"a tensor of kind `{self.kind}`" if self.kind else "a tensor"
        return f"{self.kind}[{', '.join('_' * self.axes)}]"


@dataclass(frozen=True, slots=True)
class Side:
    """A bundle of known length; not all of its members are types."""

    members: tuple[Shape, ...]
    tensors: int = field(compare=False)

    def __repr__(self) -> str:
        if len(set(self.members)) == 1:
            return f"{self.members[0]!r} ^ {len(self.members)}"
        return f"({', '.join(map(repr, self.members))})"


@dataclass(frozen=True, slots=True)
class Sides:
    """Any bundle."""

    def __repr__(self) -> str:
        return "a bundle"


@dataclass(frozen=True, slots=True)
class Anything:
    """Any type."""

    def __repr__(self) -> str:
        return "any type"


Shape: TypeAlias = ValueType | Some | Side | Sides | Anything


def form(shape: Shape) -> Shape:
    """The shape without its sizes."""
    match shape:
        case Tensor():
            return Some(*shape.form)
        case Bundle(members=members) | Side(members):
            return beside([form(member) for member in members])
        case _:
            return shape


def beside(members: Iterable[Shape]) -> Shape:
    """The bundle of two or more shapes."""
    given = tuple(members)
    tensors = sum(member.tensors if isinstance(member, Bundle | Side) else 1 for member in given)
    known = [member for member in given if isinstance(member, Tensor | Bundle)]
    if len(known) == len(given) and tensors <= computed.MAX_TENSORS:
        return bundle(known)
    return Side(given, tensors) if tensors <= MAX_TENSORS else Sides()


def meet(a: Shape, b: Shape) -> Shape | None:
    """A shape of all types that are equal (up to structure) to one of each, or None where there are none."""
    match a, b:
        case (Anything(), other) | (other, Anything()):
            return other
        case (Sides(), Bundle() | Side() | Sides() as other) | (Bundle() | Side() as other, Sides()):
            return other
        case (Tensor() | Bundle(), Tensor() | Bundle()):
            return merge((a, b))
        case (Bundle() | Side(), Bundle() | Side()):
            if len(a.members) != len(b.members):
                return None
            met = [meet(x, y) for x, y in zip(a.members, b.members, strict=True)]
            return None if None in met else beside(m for m in met if m is not None)
        case (Tensor() | Some(), Tensor() | Some()):
            return _meet_tensors(form(a), form(b))
        case _:
            return None


def _meet_tensors(a: Shape, b: Shape) -> Shape | None:
    assert isinstance(a, Some) and isinstance(b, Some)
    if not (agree(a.kind, b.kind) and agree(a.axes, b.axes)):
        return None
    return Some(a.kind or b.kind, b.axes if a.axes is None else a.axes)


def agree(a: Any, b: Any) -> bool:
    """Whether two things may be one; None: not known."""
    return a is None or b is None or a == b


def count_axes(shape: Shape) -> int | None:
    """`rank`: the number of axes, of a bundle that of all members, where it is known."""
    match shape:
        case Tensor():
            return len(shape.shape)
        case Some(_, axes):
            return axes
        case Bundle(members=members) | Side(members):
            found = set(map(count_axes, members))
            return found.pop() if len(found) == 1 else None
        case _:
            return None
