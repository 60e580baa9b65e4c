"""Numbers with a name: what stands in a class for a size or an argument that differs between its instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias


class _Named:
    """Prints as its name and counts as its value; equal to what has the same name, and to no plain number."""

    text: str

    def __repr__(self) -> str:
        return self.text

    __str__ = __repr__

    def __format__(self, form: str) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.text == other.text

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.text)


class Whole(_Named, int):
    def __new__(cls, value: int, text: str) -> Whole:
        made = super().__new__(cls, value)
        made.text = text
        return made


class Real(_Named, float):
    def __new__(cls, value: float, text: str) -> Real:
        made = super().__new__(cls, value)
        made.text = text
        return made


Symbol: TypeAlias = Whole | Real
Sign: TypeAlias = Callable[[str], str]


def symbol(value: int | float, text: str) -> Symbol:
    return Real(value, text) if isinstance(value, float) else Whole(value, text)


def real(value: float) -> float:
    """As a float, and still under its name."""
    return value if isinstance(value, Whole | Real) else float(value)
