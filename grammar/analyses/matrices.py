"""Nonnegative matrices, sparse and small: components, spectral radii, sums of all their powers.

A matrix is a mapping of rows, each of them a mapping of columns. Pure Python, so that checking a
grammar loads no numerical library.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from math import inf
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Row = dict[Key, float]
Matrix = Mapping[Key, Mapping[Key, float]]

MAX_DENSE = 300
"""Rows up to which components are solved and contracted; beyond, iteration has to do."""

SWEEPS = 10_000
CLOSE = 1e-12


def components(matrix: Matrix[Key]) -> list[list[Key]]:
    """The strongly connected components, those that are used before those that use them (Tarjan)."""
    number: dict[Key, int] = {}
    low: dict[Key, int] = {}
    open_: list[Key] = []
    inside: set[Key] = set()
    found: list[list[Key]] = []
    for root in matrix:
        work = [(root, iter(matrix[root]))] if root not in number else []
        while work:
            key, columns = work[-1]
            if key not in number:
                number[key] = low[key] = len(number)
                open_.append(key)
                inside.add(key)
            following = next((c for c in columns if c not in number or c in inside), None)
            if following is not None and following not in number:
                work.append((following, iter(matrix[following])))
                continue
            if following is not None:
                low[key] = min(low[key], number[following])
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[key])
            if low[key] == number[key]:
                at = len(open_) - 1
                while open_[at] != key:
                    at -= 1
                found.append(open_[at:])
                inside.difference_update(open_[at:])
                del open_[at:]
    return found


def restricted(matrix: Matrix[Key], keys: Iterable[Key]) -> dict[Key, Row[Key]]:
    """The square part of some rows and the same columns, without zeros."""
    kept = dict.fromkeys(keys)
    return {key: {c: value for c, value in matrix[key].items() if c in kept and value} for key in kept}


def contracted(matrix: Matrix[Key]) -> dict[Key, Row[Key]]:
    """What is left of an irreducible matrix when rows without a diagonal are written into those that use them.

    Whether the spectral radius is below 1 stays as it was; its value becomes that of a generation of
    the rows that are left, which need themselves directly. At least one row is left.
    """
    rows = {key: dict(row) for key, row in matrix.items()}
    if len(rows) > MAX_DENSE:
        return rows
    users: dict[Key, set[Key]] = {key: set() for key in rows}
    for key, row in rows.items():
        for column in row:
            users[column].add(key)
    while len(rows) > 1:
        plain = [key for key in rows if key not in rows[key]]
        if not plain:
            break
        key = min(plain, key=lambda k: len(users[k]) * len(rows[k]))
        _write_in(key, rows, users)
    return rows


def _write_in(key: Key, rows: dict[Key, Row[Key]], users: dict[Key, set[Key]]) -> None:
    row = rows.pop(key)
    for column in row:
        users[column].discard(key)
    for user in users.pop(key):
        times = rows[user].pop(key)
        for column, value in row.items():
            rows[user][column] = rows[user].get(column, 0.0) + times * value
            users[column].add(user)


def spectral_radius(matrix: Matrix[Key]) -> float:
    """Of an irreducible matrix: power iteration between the bounds of Collatz and Wielandt."""
    if len(matrix) == 1:
        return next((row.get(key, 0.0) for key, row in matrix.items()), 0.0)
    vector = dict.fromkeys(matrix, 1.0)
    high = 0.0
    for _ in range(SWEEPS):
        image = {k: vector[k] + sum(v * vector[c] for c, v in row.items()) for k, row in matrix.items()}
        ratios = [image[key] / vector[key] for key in matrix]
        high, top = max(ratios), max(image.values())
        if high - min(ratios) < CLOSE * high:
            break
        vector = {key: value / top for key, value in image.items()}
    return high - 1.0


def totals(matrix: Matrix[Key], own: Mapping[Key, float]) -> dict[Key, float]:
    """The solution x of `x = own + matrix x`, the least one; inf where the sum has no end."""
    solved: dict[Key, float] = {}
    for component in components(matrix):
        inside = restricted(matrix, component)
        outside = {
            key: own[key] + sum(v * solved[c] for c, v in matrix[key].items() if c not in inside and v)
            for key in component
        }
        if inf in outside.values() or (any(inside.values()) and spectral_radius(contracted(inside)) >= 1 - CLOSE):
            solved |= dict.fromkeys(component, inf)
        elif len(component) > MAX_DENSE:
            solved |= _iterated(inside, outside)
        else:
            solved |= _eliminated(component, inside, outside)
    return solved


def _iterated(inside: Matrix[Key], own: Mapping[Key, float]) -> dict[Key, float]:
    """By Gauss and Seidel; from below, so a sum that was cut off is no more than the true one."""
    found = dict(own)
    for _ in range(SWEEPS):
        moved = 0.0
        for key, row in inside.items():
            value = own[key] + sum(v * found[c] for c, v in row.items())
            moved = max(moved, abs(value - found[key]) / (1.0 + value))
            found[key] = value
        if moved < CLOSE:
            break
    return found


def _eliminated(keys: Sequence[Key], inside: Matrix[Key], own: Mapping[Key, float]) -> dict[Key, float]:
    """By elimination; `I - inside` is a regular M-matrix, so its diagonal needs no search for pivots."""
    rows = [[float(a == b) - inside[a].get(b, 0.0) for b in keys] + [own[a]] for a in keys]
    for i, pivot in enumerate(rows):
        for row in rows[i + 1 :]:
            if row[i]:
                factor = row[i] / pivot[i]
                row[i:] = [x - factor * y for x, y in zip(row[i:], pivot[i:], strict=True)]
    found: dict[Key, float] = {}
    for i in range(len(keys) - 1, -1, -1):
        known = sum(rows[i][j] * found[keys[j]] for j in range(i + 1, len(keys)))
        found[keys[i]] = (rows[i][-1] - known) / rows[i][i]
    return found
