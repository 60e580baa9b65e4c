"""A row of the vetted list: what one layer or function of torch takes, and the shapes it gives.

Sizes leave the batch out. A row computes, without torch, the result's sizes, the weights, the
multiply-accumulates of one example, and refuses sizes that torch would refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ein.grammar.numbers import Inapplicable

Sizes: TypeAlias = tuple[int, ...]
Arguments: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a row knows of one use: sizes of the result, shapes of the weights, multiply-accumulates."""

    sizes: Sizes
    weights: Mapping[str, Sizes] = field(default_factory=dict)
    macs: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """`parameters` are (name, kind, default) in torch's order; `required` marks a missing default.

    `facts` takes the arguments and the sizes of each tensor.
    """

    name: str
    parameters: tuple[tuple[str, str, Any], ...]
    facts: Callable[..., Facts]
    needs_several_values: bool = False
    """In training, raises on a single value per channel (batch 1, one position)."""
    tensors: int = 1
    """How many tensors it is applied to; they stand before the parameters."""
    element: str = "float"
    """The element type of those tensors; the result is float."""
    fixed: tuple[tuple[str, Any], ...] = ()
    """Arguments that are always given."""
    several_results: bool = False
    """Torch gives a tuple, and the first of it is meant."""


class Required:
    """Marks a parameter that has no default."""


REQUIRED = Required()


def need(condition: bool, reason: str) -> None:
    if not condition:
        raise Inapplicable(reason)


def ranked(x: Sizes, rank: int, name: str) -> None:
    need(len(x) == rank, f"{name} needs {rank} axes, and there are {len(x)}: {list(x)}")


def positive(arguments: Arguments, *names: str) -> None:
    for name in names:
        need(arguments[name] >= 1, f"`{name}` is at least 1, not {arguments[name]}")


def each(value: int | tuple[int, ...], count: int, name: str) -> tuple[int, ...]:
    """A size for each of `count` axes: `8` is `(8, 8)`."""
    sizes = (value,) * count if isinstance(value, int) else value
    need(len(sizes) == count, f"{name} needs {count} sizes, and there are {len(sizes)}")
    need(min(sizes) >= 1, f"{name} needs sizes of at least 1, not {list(sizes)}")
    return sizes


def among(arguments: Arguments, name: str, *words: str) -> None:
    need(arguments[name] in words, f"`{name}` is {' or '.join(words)}, not {arguments[name]}")


def window(size: int, k: int, s: int, p: int, d: int, what: str) -> int:
    need(
        k >= 1 and s >= 1 and p >= 0 and d >= 1,
        f"{what} needs kernel, stride and dilation of at least 1, and no padding below 0",
    )
    span = d * (k - 1) + 1
    need(size + 2 * p >= span, f"the window of {span} of {what} exceeds {size} with padding {p}")
    return (size + 2 * p - span) // s + 1


def bind(row: Row, positional: list[Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a row by name, defaults filled in; raises ValueError in the reader's words."""
    names = [name for name, _, _ in row.parameters]
    if len(positional) > len(names):
        raise ValueError(f"{row.name} takes {len(names)} arguments here, {len(positional)} given")
    given = dict(zip(names, positional, strict=False))
    for name, value in named.items():
        if name not in names:
            raise ValueError(f"{row.name} has no argument `{name}` here; there are {', '.join(names) or 'none'}")
        if name in given:
            raise ValueError(f"`{name}` of {row.name} is given twice")
        given[name] = value
    for name, kind, default in row.parameters:
        if name not in given:
            if isinstance(default, Required):
                raise ValueError(f"{row.name} needs `{name}`")
            given[name] = default
        elif given[name] is None and default is None:
            continue
        elif kind == "size" and isinstance(given[name], list):
            given[name] = tuple(given[name])
        if given[name] is not default and not _is_kind(given[name], kind):
            raise ValueError(f"`{name}` of {row.name} is of kind {kind}, and {given[name]!r} is not")
    return {name: given[name] for name in names}


def _is_kind(value: Any, kind: str) -> bool:
    match kind:
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "size":
            return all(_is_kind(part, "int") for part in value) if isinstance(value, tuple) else _is_kind(value, "int")
        case "real":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "bool":
            return isinstance(value, bool)
        case _:
            return isinstance(value, str)
