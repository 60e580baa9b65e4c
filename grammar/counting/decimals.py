"""Whole numbers of any length as text and back; Python refuses numbers of more than some thousand digits."""

from __future__ import annotations

PIECE = 600
"""Digits that are converted at once, which Python does however it is set."""

SHOWN = 60
"""Digits that a message shows."""


def decimal(n: int) -> str:
    """The digits of a number from 0."""
    width = int(n.bit_length() * 0.30103) + 1  # log10(2), rounded up
    return str(n) if width <= PIECE else _padded(n, width).lstrip("0")


def _padded(n: int, width: int) -> str:
    if width <= PIECE:
        return str(n).zfill(width)
    half = width // 2
    high, low = divmod(n, 10**half)
    return _padded(high, width - half) + _padded(low, half)


def whole(digits: str) -> int:
    """The number of digits 0 to 9; whoever reads them bounds how many there are."""
    if len(digits) <= PIECE:
        return int(digits)
    half = len(digits) // 2
    shift: int = 10**half
    return whole(digits[:-half]) * shift + whole(digits[-half:])


def brief(n: int) -> str:
    """For a message: in groups of three, and no more than the beginning of a long one."""
    if n < 10**SHOWN:
        return f"{n:,}"
    digits = decimal(n)
    return f"{digits[:6]}… ({len(digits):,} digits)"
