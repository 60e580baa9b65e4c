"""Numbers, texts and choices as bytes.

What is read need not have been written here: no length is believed that is longer than the bytes at hand, numbers
are bounded, and what says something else than a row of choices raises EinError.
"""

from __future__ import annotations

import struct
from collections import Counter
from typing import Any

from ein.grammar.derivations.attempt import MAX_CHOICES
from ein.grammar.derivations.derivation import Choices
from ein.grammar.diagnostics import EinError, fail
from ein.grammar.numbers import Order

MAX_KINDS = 100_000
"""Different choices of one derivation."""

MAX_INTEGER = 512
"""Bytes of one integer."""

_INTEGER, _TRUE, _FALSE, _ORDER, _REAL, _WORD = range(6)


def damaged(why: str) -> EinError:
    help = "draw them anew, or take them from their derivation files"
    return fail("E720", f"these bytes are no derivation: {why}", help=help)


def number_bytes(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow."""
    said = bytearray()
    while value >= 128:
        said.append(value & 127 | 128)
        value >>= 7
    said.append(value)
    return bytes(said)


def text_bytes(text: str) -> bytes:
    said = text.encode()
    return number_bytes(len(said)) + said


def choices_bytes(choices: Choices) -> bytes:
    """The different choices, the commonest first, and for each choice made which of them it is."""
    kinds = Counter(_choice_bytes(*choice) for choice in choices)
    order = sorted(kinds, key=lambda each: (-kinds[each], each))
    numbers = {each: number_bytes(i) for i, each in enumerate(order)}
    made = b"".join(numbers[_choice_bytes(*choice)] for choice in choices)
    return b"".join((number_bytes(len(order)), *order, number_bytes(len(choices)), made))


def _choice_bytes(index: int, values: tuple[Any, ...]) -> bytes:
    return b"".join((number_bytes(index), number_bytes(len(values)), *map(_value_bytes, values)))


def _value_bytes(value: Any) -> bytes:
    match value:
        case bool():
            return bytes([_TRUE if value else _FALSE])
        case int():
            size = value.bit_length() // 8 + 1
            return bytes([_INTEGER]) + number_bytes(size) + value.to_bytes(size, "little", signed=True)
        case Order():
            return bytes([_ORDER]) + number_bytes(len(value)) + b"".join(map(number_bytes, value))
        case float():
            return bytes([_REAL]) + struct.pack("<d", value)
        case str():
            return bytes([_WORD]) + text_bytes(value)
        case _:
            raise TypeError(f"a choice has no value such as {value!r}")


class Reader:
    """Reads what the functions above write. Each raises EinError where the bytes say something else."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def end(self) -> None:
        if self.at != len(self.data):
            raise damaged("there is more than is read")

    def take(self, count: int) -> bytes:
        found = self.data[self.at : self.at + count]
        if len(found) < count:
            raise damaged("they are cut off")
        self.at += count
        return found

    def number(self) -> int:
        """Of at most five bytes."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise damaged("a number is too large")

    def text(self) -> str:
        try:
            found = self.take(self.number()).decode()
        except UnicodeDecodeError:
            raise damaged("a text is no UTF-8") from None
        if not found.isprintable():
            raise damaged("a text cannot be printed")
        return found

    def choices(self) -> Choices:
        different = self._count()
        if different > MAX_KINDS:
            raise damaged(f"more than {MAX_KINDS:,} different choices")
        kinds = [self._choice() for _ in range(different)]
        count = self._count()
        if count > MAX_CHOICES:
            raise damaged(f"more than {MAX_CHOICES:,} choices")
        try:
            return tuple(kinds[self.number()] for _ in range(count))
        except IndexError:
            raise damaged("a choice is none of those named") from None

    def _count(self) -> int:
        """How many follow: each takes a byte at least."""
        count = self.number()
        if count > len(self.data) - self.at:
            raise damaged("they are cut off")
        return count

    def _choice(self) -> tuple[int, tuple[Any, ...]]:
        return self.number(), tuple(self._value() for _ in range(self._count()))

    def _value(self) -> Any:
        kind = self.take(1)[0]
        if kind == _INTEGER:
            size = self.number()
            if size > MAX_INTEGER:
                raise damaged("a number is too large")
            return int.from_bytes(self.take(size), "little", signed=True)
        if kind in (_TRUE, _FALSE):
            return kind == _TRUE
        if kind == _ORDER:
            return Order([self.number() for _ in range(self._count())])
        if kind == _REAL:
            return struct.unpack("<d", self.take(8))[0]
        if kind == _WORD:
            return self.text()
        raise damaged("a value is of no known kind")
