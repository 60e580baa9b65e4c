"""What a network is trained and judged on: examples in three splits, their types, classes, and normalisation.

Whoever searches or trains sees `task.train` and `task.valid`. The test examples come out of `task.test_split()` alone,
which only `ein.runtime.evaluate.evaluate_test` calls; a test holds that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from ein.grammar.diagnostics import EinError, fail
from ein.runtime import sources
from ein.runtime.data_checks import blocks, check
from ein.runtime.sources import BUILT_IN, SPLITS, Array, Pair, Raw

Kind = Literal["im", "vec", "seq", "tok"]

_RANKS: dict[str, int] = {"im": 4, "vec": 2, "seq": 3, "tok": 2}
_CHANNEL_AXIS = {"im": 1, "vec": 1, "seq": 2}
_IN_MEMORY = 256 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Examples `x` (N x the input shape) with their classes `y` (N, int64). Large ones are mapped from their file."""

    x: Array
    y: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Mean and standard deviation of the training examples, per channel (im) or per feature (vec, seq)."""

    axis: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(x - mean) / std for N examples."""
        shape = [1] * x.ndim
        shape[self.axis] = -1
        mean, std = (np.array(values, np.float32).reshape(shape) for values in (self.mean, self.std))
        return (x - mean) / std


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Made by `load_task` or `Task.from_arrays`, which check everything; `train` and `valid` hold raw examples."""

    name: str
    kind: Kind
    train: Split
    valid: Split
    _test: Split = field(repr=False)
    classes: int
    normalisation: Normalisation | None
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    metric: Literal["accuracy"] = "accuracy"

    @staticmethod
    def from_arrays(
        train: Any, valid: Any, test: Any, *, name: str = "arrays", kind: str | None = None, classes: int | None = None
    ) -> Task:
        """Each split is a pair (x, y) of arrays or tensors, or a torch data set. Raises `EinError`."""
        return _task(Raw(name, _pair(train), _pair(valid), _pair(test), kind=kind, classes=classes))

    @property
    def input(self) -> str:
        """The input type as the language writes it, such as `im[1, 8, 8]`."""
        return f"{self.kind}[{', '.join(map(str, self.train.x.shape[1:]))}]"

    @property
    def vocabulary(self) -> int:
        """For `tok`: one more than the largest token of all examples; 0 for other kinds."""
        splits = (self.train, self.valid, self._test)
        return 1 + max(int(split.x.max()) for split in splits) if self.kind == "tok" else 0

    def test_split(self) -> Split:
        """The examples that no choice may depend on: for `evaluate_test`."""
        return self._test

    def save(self, path: Path) -> Path:
        """All splits as an `.npz` that `load_task` reads. Raises OSError."""
        splits = zip(SPLITS, (self.train, self.valid, self._test), strict=True)
        arrays = {f"{name}_{axis}": getattr(split, axis) for name, split in splits for axis in ("x", "y")}
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, allow_pickle=False, **arrays)
        return path

    def batch(self, split: Split, rows: slice | NDArray[np.int64]) -> Array:
        """Normalised examples, float32; int64 tokens for `tok`."""
        if self.normalisation is None:
            return np.array(split.x[rows], np.int64)
        return self.normalisation.apply(np.asarray(split.x[rows], np.float32))

    def to_json(self) -> dict[str, Any]:
        """What a record of a run needs to know of its data."""
        scale = self.normalisation
        return {
            "name": self.name,
            "input": self.input,
            "classes": self.classes,
            "class_names": list(self.class_names),
            "metric": self.metric,
            "examples": dict(zip(SPLITS, map(len, (self.train, self.valid, self._test)), strict=True)),
            "normalisation": scale and {"axis": scale.axis, "mean": list(scale.mean), "std": list(scale.std)},
            "notes": list(self.notes),
        }


def load_task(data: str, seed: int = 0, kind: str | None = None) -> Task:
    """A built-in set (`sources.BUILT_IN`), or a path: folder in the NAS-Unseen layout, `.npz`, `.csv`, image folder.

    `seed` is for sources that come without a split. `kind` (im, vec, seq, tok) is for arrays whose rank does not tell.
    Raises `EinError`.
    """
    return _task(_read(data, seed), kind)


def _read(data: str, seed: int) -> Raw:
    path = Path(data)
    if data in BUILT_IN:
        return sources.built_in(data)
    if path.is_dir():
        return sources.unseen_folder(path) if any(path.glob("*_[xy].npy")) else sources.image_folder(path, seed)
    if not path.is_file():
        known = ", ".join(BUILT_IN)
        raise fail("E801", f"there is no data `{data}`", help=f"give a path that exists, or one of {known}")
    if path.suffix == ".npz":
        return sources.npz(path)
    if path.suffix == ".csv":
        return sources.table(path, seed)
    raise fail("E801", f"{data}: data cannot be read from this kind of file", help="use .npz, .csv or a folder")


def _pair(given: Any) -> Pair:
    """Arrays of a pair, or of a data set that yields pairs."""
    if not (isinstance(given, tuple | list) and len(given) == 2):
        items = [given[i] for i in range(len(given))]
        given = (
            (np.stack([np.asarray(x) for x, _ in items]), np.array([int(y) for _, y in items])) if items else ([], [])
        )
    return np.asarray(given[0]), np.asarray(given[1])


def _task(raw: Raw, kind: str | None = None) -> Task:
    kind = kind or raw.kind or {4: "im", 2: "vec"}.get(raw.train[0].ndim)
    if kind is None or kind not in get_args(Kind):
        raise _no_kind(raw, kind)
    problems, notes = check(raw, kind, _RANKS[kind])
    if problems:
        raise EinError(tuple(problems))
    train, valid, test = (
        Split(_resident(x, kind), np.asarray(y, np.int64)) for x, y in (raw.train, raw.valid, raw.test)
    )
    classes = raw.classes if raw.classes is not None else int(max(split.y.max() for split in (train, valid, test))) + 1
    scale = None if kind == "tok" else _normalisation(train.x, _CHANNEL_AXIS[kind])
    return Task(raw.name, cast(Kind, kind), train, valid, test, classes, scale, raw.class_names, (*raw.notes, *notes))


def _no_kind(raw: Raw, kind: str | None) -> EinError:
    if kind is not None:
        return fail("E803", f"{raw.name}: the kind of input `{kind}` is not known", help="use im, vec, seq or tok")
    shape = " x ".join(map(str, raw.train[0].shape)) or "a single number"
    return fail(
        "E803",
        f"{raw.name}: train_x is {shape}, which names no kind of input",
        help="N x C x H x W is im, N x D is vec; seq (N x L x D) and tok (N x L) are to be asked for by name",
    )


def _resident(x: Array, kind: str) -> Array:
    """Small arrays in memory and in their final type; large ones stay where they are, and batches are converted."""
    dtype = np.int64 if kind == "tok" else np.float32
    if x.size * np.dtype(dtype).itemsize > _IN_MEMORY:
        return x
    return np.ascontiguousarray(x, dtype)


def _normalisation(x: Array, axis: int) -> Normalisation:
    """Two passes in float64 over the training examples. A channel that never changes is only shifted."""
    others = tuple(i for i in range(x.ndim) if i != axis)
    count = x.size // x.shape[axis]
    mean = sum(block.sum(axis=others, dtype=np.float64) for _, block in blocks(x)) / count
    shape = [1] * x.ndim
    shape[axis] = -1
    squares = sum((np.square(block - mean.reshape(shape))).sum(axis=others) for _, block in blocks(x))
    std = np.sqrt(squares / count)
    std = np.where(std > 1e-6 * np.maximum(1e-6, np.abs(mean)), std, 1.0)
    return Normalisation(axis, tuple(mean.tolist()), tuple(std.tolist()))
