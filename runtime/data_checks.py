"""Everything that can be wrong with the arrays of a task, found in one run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ein.grammar.diagnostics import Diagnostic
from ein.runtime.sources import SPLITS, Array, Raw

_ROWS_AT_ONCE = 16 << 20
# Squares and differences of such values are still finite in float64 and float32.
_LARGEST = 1e30


def check(raw: Raw, kind: str, rank: int) -> tuple[list[Diagnostic], tuple[str, ...]]:
    """Findings, and notes for a task without any. `rank` is that of x with its batch axis."""
    pairs = dict(zip(SPLITS, (raw.train, raw.valid, raw.test), strict=True))
    found: list[Diagnostic] = []
    for split, (x, y) in pairs.items():
        found += _examples(f"{raw.name}: {split}_x", x, kind, rank)
        found += _labels(f"{raw.name}: {split}_y", y, raw.classes)
        if x.ndim and y.ndim and len(x) != len(y):
            message = f"{raw.name}: {split}_x has {len(x)} examples, {split}_y has {len(y)} labels"
            found.append(Diagnostic("E803", message))
        if x.shape[1:] != raw.train[0].shape[1:]:
            here, there = _shape(x.shape[1:]), _shape(raw.train[0].shape[1:])
            found.append(Diagnostic("E803", f"{raw.name}: an example of {split}_x is {here}, of train_x {there}"))
    return (found, ()) if found else _classes(raw)


def blocks(x: Array) -> Iterator[tuple[int, Array]]:
    """Runs of whole examples of bounded size, each with the index of its first."""
    rows = max(1, _ROWS_AT_ONCE // max(1, x[:1].nbytes))
    for start in range(0, len(x), rows):
        yield start, np.asarray(x[start : start + rows])


def _examples(name: str, x: Array, kind: str, rank: int) -> Iterator[Diagnostic]:
    wanted, words = ("biu", "whole numbers") if kind == "tok" else ("biuf", "numbers")
    if x.ndim != rank:
        shape = _shape(x.shape) if x.ndim else "a single number"
        yield Diagnostic("E803", f"{name} is {shape}; input of kind `{kind}` has {rank} axes, the batch first")
    elif not x.size:
        yield Diagnostic("E806", f"{name} is empty: {_shape(x.shape)}")
    elif x.dtype.kind not in wanted:
        yield Diagnostic("E804", f"{name} holds values of type {x.dtype}, expected {words}")
    elif kind == "tok" and int(x.min()) < 0:
        yield Diagnostic("E804", f"{name} holds the token {int(x.min())}; tokens count from 0")
    elif x.dtype.kind == "f":
        yield from _not_finite(name, x)


def _not_finite(name: str, x: Array) -> Iterator[Diagnostic]:
    count = 0
    first: tuple[int, ...] = ()
    for start, block in blocks(x):
        with np.errstate(invalid="ignore"):
            bad = ~(np.abs(block) <= _LARGEST)
        if bad.any():
            place = np.unravel_index(int(bad.argmax()), block.shape)
            first = first or (start + int(place[0]), *map(int, place[1:]))
            count += int(bad.sum())
    if count:
        held = "1 value that is" if count == 1 else f"{count} values that are"
        message = f"{name} holds {held} NaN, infinite or beyond 1e30, the first at {list(first)}"
        yield Diagnostic("E804", message, help="repair or drop these examples")


def _labels(name: str, y: Array, classes: int | None) -> Iterator[Diagnostic]:
    if y.ndim != 1:
        help = "of one-hot labels take y.argmax(1)" if y.ndim == 2 else ""
        shape = _shape(y.shape) or "a single number"
        yield Diagnostic("E805", f"{name} is {shape}; labels are one whole number an example", help=help)
    elif not y.size:
        yield Diagnostic("E806", f"{name} is empty")
    elif y.dtype.kind not in "iu":
        yield Diagnostic("E805", f"{name} holds values of type {y.dtype}, expected whole numbers")
    elif int(y.min()) < 0:
        at = int(y.argmin())
        yield Diagnostic("E805", f"{name} holds the label {int(y.min())} at {at}; classes count from 0")
    elif classes is not None and int(y.max()) >= classes:
        at = int(y.argmax())
        message = f"{name} holds the label {int(y.max())} at {at}, but the data is said to have {classes} classes"
        yield Diagnostic("E805", message, help="`n_classes` is one more than the largest label")


def _classes(raw: Raw) -> tuple[list[Diagnostic], tuple[str, ...]]:
    train, valid, test = (set(np.unique(y).tolist()) for _, y in (raw.train, raw.valid, raw.test))
    found = [
        Diagnostic("E805", f"{raw.name}: {split}_y holds classes that train_y does not: {_some(labels - train)}")
        for split, labels in (("valid", valid), ("test", test))
        if labels - train
    ]
    classes = raw.classes if raw.classes is not None else max(train) + 1
    if classes < 2 and not found:
        found = [Diagnostic("E805", f"{raw.name}: there is one class only; there is nothing to learn")]
    unseen = set(range(min(classes, 1 << 20))) - train
    notes = (f"{len(unseen)} of {classes} classes have no examples: {_some(unseen)}",) if unseen else ()
    return found, notes


def _some(labels: set[int]) -> str:
    shown = ", ".join(map(str, sorted(labels)[:10]))
    return shown if len(labels) <= 10 else f"{shown} and {len(labels) - 10} more"


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
