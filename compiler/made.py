"""Uses of operators whose bodies a pass has made, and that no file declares; their types, and how they are written.

linear(64) ^ 4 shared      four copies that read one tensor
norm ^ 4 at 2, shared      that read each its own along the second axis, and one tensor that they share
relu ^ 4 in 1              that have a part each of the first axis
add of 4 at 2              one use, of all four along the second axis
add of 4 ^ 8 at 2          eight uses, each of four
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ein.compiler.copying import Layout
from ein.grammar.bodies.tensors import Body
from ein.grammar.numbers import Inapplicable
from ein.grammar.operators import Application, Applied, Operator
from ein.grammar.types import Tensor, ValueType, bundle, plain, tensor


@dataclass(frozen=True, eq=False)
class MadeApplication(Application):
    """`shown` is how it stands in the text of a graph."""

    shown: str = ""

    @cached_property
    def text(self) -> str:
        return self.shown

    @cached_property
    def forms(self) -> tuple[tuple[Operator, dict[str, Any]], ...]:
        """It fits what it was made for, and nothing else."""
        return ()


_NONE = Body((), (), 0, 0)


@dataclass(frozen=True, eq=False)
class MadeApplied(Applied):
    """`made` is the body, instead of that of the operator."""

    made: Body = _NONE

    @cached_property
    def body(self) -> Body:
        return self.made


def made(
    operator: Operator, text: str, body: Body, given: Sequence[Tensor], results: Sequence[Tensor]
) -> tuple[MadeApplication, MadeApplied]:
    """A use that counts and looks like one of `operator`, and computes this body."""
    application = MadeApplication((operator,), (), shown=text)
    return application, MadeApplied(operator, {}, {}, _value(given), _value(results), body)


def _value(types: Sequence[Tensor]) -> ValueType:
    return types[0] if len(types) == 1 else bundle(types)


def whole(one: Tensor, count: int, layout: Layout) -> Tensor:
    """The type of all copies of a tensor. An axis that they are folded into says so: `seq[16, (4, 64)]`."""
    before, rest = one.shape[: layout.axis], one.shape[layout.axis :]
    shape = (*before, (count, rest[0]), *rest[1:]) if layout.folded else (*before, count, *rest)
    return tensor(one.kind, shape, one.live, one.element)


def part(whole: Tensor, count: int, layout: Layout | None) -> Tensor:
    """The type of one of so many copies; None: they share the tensor."""
    if layout is None:
        return whole
    before, size, rest = whole.shape[: layout.axis], whole.shape[layout.axis], whole.shape[layout.axis + 1 :]
    if not layout.folded:
        return tensor(whole.kind, (*before, *rest), whole.live, whole.element)
    if isinstance(size, tuple) and size[0] == count:
        inner = size[1] if len(size) == 2 else size[1:]
    else:
        inner = plain(size) // count
    return tensor(whole.kind, (*before, inner, *rest), whole.live, whole.element)


def places_text(places: Sequence[Layout | None]) -> str:
    if all(place is None for place in places):
        return "shared"
    return ", ".join(
        "shared" if each is None else f"{'in' if each.folded else 'at'} {each.axis + 1}" for each in places
    )


@dataclass(frozen=True, slots=True)
class Written:
    """What the text of a use says: of how many copies it is (0: of one), and of how many tensors each reads (0: it
    has inputs of its own)."""

    base: str
    count: int
    chunk: int
    places: tuple[Layout | None, ...]


_PLACE = r"(?:shared|at \d+|in \d+)"
_WRITTEN = re.compile(rf"(.+?)(?: of (\d+))?(?: \^ (\d+))? ({_PLACE}(?:, {_PLACE})*)")


def written(text: str) -> Written | None:
    """What `text` says, if it is that of a use that was made."""
    found = _WRITTEN.fullmatch(text)
    if found is None or not (found[2] or found[3]):
        return None
    base = found[1][1:-1] if found[1].startswith("(") else found[1]
    return Written(base, int(found[3] or 0), int(found[2] or 0), tuple(map(_place, found[4].split(", "))))


def base(text: str) -> str:
    """The use of an operator that a file declares, of which there are copies, copies of copies, …"""
    found = written(text)
    return text if found is None else base(found.base)


def one_of(said: Written, given: Sequence[Tensor]) -> list[Tensor]:
    """The types that one copy is applied to; raises Inapplicable where the copies do not fit there."""
    if len(given) != len(said.places) or (said.chunk and len(given) > 1):
        raise Inapplicable(f"says where {len(said.places)} inputs are, and there are {len(given)}")
    count = max(said.chunk, 1) * max(said.count, 1)
    types = []
    for type, place in zip(given, said.places, strict=True):
        at = type.sizes[place.axis] if place is not None and place.axis < len(type.sizes) else 0
        if place is not None and (not at or at % count or not (place.folded or at == count)):
            raise Inapplicable(f"has no {count} copies in {type!r}")
        types.append(part(type, count, place))
    return types * max(said.chunk, 1)


def _place(text: str) -> Layout | None:
    if text == "shared":
        return None
    where, axis = text.split(" ")
    return Layout(int(axis) - 1, folded=where == "in")
