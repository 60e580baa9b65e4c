"""Types and operators of the oracle in enumeration.py, written from the text of the language.

Nothing of `ein.grammar` is used: types are plain tuples, operators small functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple, TypeAlias

Type: TypeAlias = Any
"""`("im", (2, 4, 4))`, or `("bundle", (type, type))`; a dimension is a number or a tuple of numbers."""

Life: TypeAlias = Any
"""Whether a tensor depends on the input of the network; of a bundle, a tuple."""


class Value(NamedTuple):
    type: Type
    life: Life = True


class NoFit(Exception):
    pass


def need(condition: bool) -> None:
    if not condition:
        raise NoFit


def size(dim: Any) -> int:
    return dim if isinstance(dim, int) else prod(map(size, dim))


def alike(first: Type, second: Type) -> Type:
    """Equal types up to structure; structure stays where both agree."""
    if first[0] == "bundle" and second[0] == "bundle":
        need(len(first[1]) == len(second[1]))
        return "bundle", tuple(alike(a, b) for a, b in zip(first[1], second[1], strict=True))
    need(first[0] == second[0] and [size(d) for d in first[1]] == [size(d) for d in second[1]])
    return first[0], tuple(a if a == b else size(a) for a, b in zip(first[1], second[1], strict=True))


def all_alike(types: tuple[Type, ...]) -> Type:
    merged = types[0]
    for other in types[1:]:
        merged = alike(merged, other)
    return merged


def bundled(type: Type) -> tuple[Type, ...]:
    need(type[0] == "bundle")
    return type[1]  # type: ignore[no-any-return]


def members(value: Value) -> list[Value]:
    return [Value(*each) for each in zip(bundled(value.type), value.life, strict=True)]


def beside(values: list[Value]) -> Value:
    return Value(("bundle", tuple(v.type for v in values)), tuple(v.life for v in values))


def lives(life: Life) -> bool:
    return any(map(lives, life)) if isinstance(life, tuple) else bool(life)


def either(first: Life, second: Life) -> Life:
    if isinstance(first, tuple) and isinstance(second, tuple):
        return tuple(either(a, b) for a, b in zip(first, second, strict=True))
    return lives(first) or lives(second)


def tensor_rank(type: Type) -> int | None:
    if type[0] != "bundle":
        return len(type[1])
    ranks = {tensor_rank(member) for member in type[1]}
    return ranks.pop() if len(ranks) == 1 else None


def single(type: Type) -> Type:
    need(type[0] != "bundle")
    return type


# --- operators


@dataclass(frozen=True)
class Op:
    """An operator with its arguments: as it is printed, and what it does to a type.

    `wire` says where life goes in one that only routes; what any other computes lives if one of its inputs does.
    """

    text: str
    act: Callable[[Type], Type]
    wire: Callable[[Life], Life] | None = None
    kills: bool = False

    def on(self, value: Value) -> Value:
        out = self.act(value.type)
        if self.kills:
            return Value(out, _everywhere(out, False))
        if self.wire is None:
            return Value(out, _everywhere(out, lives(value.life)))
        return Value(out, self.wire(value.life))


def _everywhere(type: Type, life: bool) -> Life:
    return tuple(_everywhere(member, life) for member in type[1]) if type[0] == "bundle" else life


def same(name: str) -> Op:
    return Op(name, single)


IDENTITY = Op("identity", lambda t: t, lambda life: life)


def clone(n: int) -> Op:
    return Op(f"clone({n})", lambda t: ("bundle", (t,) * n), lambda life: (life,) * n)


def take(i: int) -> Op:
    def act(type: Type) -> Type:
        parts = bundled(type)
        need(1 <= i <= len(parts))
        return all_alike(parts)

    return Op(f"take({i})", act, lambda life: life[i - 1])


def _swap(type: Type) -> Type:
    first, second = bundled(type) if type[0] == "bundle" and len(type[1]) == 2 else (None, None)
    need(first is not None)
    return "bundle", (second, first)


SWAP = Op("swap", _swap, lambda life: (life[1], life[0]))
ADD = Op("add", lambda t: single(all_alike(bundled(t))))
MUL = Op("mul", ADD.act)


def linear(out: int) -> Op:
    return Op(f"linear({out})", lambda t: (single(t)[0], (*t[1][:-1], out)))


def conv(out: int) -> Op:
    def act(type: Type) -> Type:
        kind, shape = single(type)
        need(kind == "im")
        return "im", (out, size(shape[1]), size(shape[2]))

    return Op(f"conv({out})", act)


def concat(axis: int) -> Op:
    def act(type: Type) -> Type:
        parts = [single(member) for member in bundled(type)]
        kinds = {(kind, len(shape)) for kind, shape in parts}
        need(len(kinds) == 1 and len(parts[0][1]) >= axis)
        shape = []
        for i, column in enumerate(zip(*(shape for _, shape in parts), strict=True)):
            if i == axis - 1:
                shape.append(sum(map(size, column)))
            else:
                need(len(set(map(size, column))) == 1)
                shape.append(column[0] if len(set(column)) == 1 else size(column[0]))
        return parts[0][0], tuple(shape)

    return Op(f"concat({axis})", act)


def split(n: int, axis: int) -> Op:
    def act(type: Type) -> Type:
        kind, shape = single(type)
        need(len(shape) >= axis and size(shape[axis - 1]) % n == 0)
        part = kind, (*shape[: axis - 1], size(shape[axis - 1]) // n, *shape[axis:])
        return "bundle", (part,) * n

    return Op(f"split({n}, {axis})", act)


def _matmul(type: Type) -> Type:
    parts = bundled(type)
    need(len(parts) == 2)
    (kind, x), (other, y) = map(single, parts)
    need(kind == other and len(x) == len(y) >= 2 and size(x[-1]) == size(y[-2]))
    need(all(size(a) == size(b) for a, b in zip(x[:-2], y[:-2], strict=True)))
    lead = tuple(a if a == b else size(a) for a, b in zip(x[:-2], y[:-2], strict=True))
    return kind, (*lead, x[-2], y[-1])


MATMUL = Op("matmul", _matmul)


def im2col(k: int) -> Op:
    def act(type: Type) -> Type:
        kind, shape = single(type)
        need(kind == "im" and size(shape[1]) >= k and size(shape[2]) >= k)
        return "seq", ((size(shape[1]) - k + 1, size(shape[2]) - k + 1), size(shape[0]) * k * k)

    return Op(f"im2col({k})", act)


def _col2im(type: Type) -> Type:
    kind, shape = single(type)
    need(kind == "seq" and isinstance(shape[0], tuple) and len(shape[0]) == 2)
    return "im", (shape[1], *shape[0])


COL2IM = Op("col2im", _col2im)


def permute(order: tuple[int, ...]) -> Op:
    def act(type: Type) -> Type:
        kind, shape = single(type)
        need(len(shape) == len(order))
        return kind, tuple(shape[i - 1] for i in order)

    return Op(f"permute({order})", act)


def max_pool() -> Op:
    def act(type: Type) -> Type:
        kind, (c, h, w) = single(type) if single(type)[0] == "im" else (None, (0, 0, 0))
        need(kind == "im" and size(h) >= 2 and size(w) >= 2)
        return "im", (c, (size(h) - 2) // 2 + 1, (size(w) - 2) // 2 + 1)

    return Op("max_pool", act)
