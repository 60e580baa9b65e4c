"""Where data comes from: the built-in sets, the NAS-Unseen layout, `.npz`, `.csv`, and folders of images.

Every reader returns `Raw`: arrays as they were found. `ein.runtime.data` checks them and makes the task.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ein.grammar.diagnostics import EinError, fail

Array = NDArray[Any]
Pair = tuple[Array, Array]

SPLITS = ("train", "valid", "test")
LABEL_COLUMNS = ("label", "target", "class")
IMAGES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
_VALID_SHARE = _TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """Arrays as found. `kind` and `classes` are None where the source does not say them."""

    name: str
    train: Pair
    valid: Pair
    test: Pair
    kind: str | None = None
    classes: int | None = None
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def built_in(name: str) -> Raw:
    """One of `BUILT_IN`. Its split is stratified and always the same."""
    x, y, class_names = BUILT_IN[name]()
    return _divided(name, x, y, class_names, seed=0)


def _digits() -> tuple[Array, Array, tuple[str, ...]]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images[:, None] / 16).astype(np.float32), found.target, tuple(str(c) for c in range(10))


def _table(loader: str) -> Callable[[], tuple[Array, Array, tuple[str, ...]]]:
    def read() -> tuple[Array, Array, tuple[str, ...]]:
        import sklearn.datasets

        found = getattr(sklearn.datasets, loader)()
        return found.data.astype(np.float32), found.target, tuple(str(c) for c in found.target_names)

    return read


BUILT_IN: dict[str, Callable[[], tuple[Array, Array, tuple[str, ...]]]] = {
    "digits": _digits,
    "iris": _table("load_iris"),
    "wine": _table("load_wine"),
    "breast_cancer": _table("load_breast_cancer"),
}


def unseen_folder(folder: Path) -> Raw:
    """Six `.npy` files and `metadata`, as the Unseen NAS sets are published (Geada et al., CVPR 2024)."""
    files = {f"{split}_{part}": folder / f"{split}_{part}.npy" for split in SPLITS for part in "xy"}
    missing = [path.name for path in files.values() if not path.is_file()]
    if missing:
        raise fail("E801", f"{folder}: {', '.join(missing)} missing", help=f"needed are {_names(files, '.npy')}")
    arrays = {name: _npy(path) for name, path in files.items()}
    metadata, notes = _metadata(folder / "metadata")
    train, valid, test = ((arrays[f"{split}_x"], arrays[f"{split}_y"]) for split in SPLITS)
    kind, classes = metadata.get("kind"), metadata.get("n_classes", metadata.get("num_classes"))
    name = str(metadata.get("name") or folder.name)
    return Raw(name, train, valid, test, kind=kind, classes=classes, notes=notes)


def _npy(path: Path) -> Array:
    """Mapped, not read: pages come as they are used."""
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(path, "a .npy file of numbers", error) from None
    return array


def _metadata(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    if not path.is_file():
        return {}, ("no file `metadata`: the classes are those of the labels",)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, "JSON", error) from None
    if not isinstance(found, dict):
        raise fail("E802", f"{path}: found a JSON {type(found).__name__}, expected an object with `n_classes`")
    classes = found.get("n_classes", found.get("num_classes"))
    if classes is not None and (not isinstance(classes, int) or isinstance(classes, bool)):
        raise fail("E802", f"{path}: `n_classes` is {classes!r}, expected a whole number")
    return found, ()


def npz(path: Path) -> Raw:
    """The six names of the NAS-Unseen layout in one file."""
    names = [f"{split}_{part}" for split in SPLITS for part in "xy"]
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in names if name not in archive.files]
            if missing:
                found = ", ".join(archive.files) or "nothing"
                raise fail(
                    "E801", f"{path}: {', '.join(missing)} missing; found {found}", help=f"needed are {_names(names)}"
                )
            arrays = {name: archive[name] for name in names}
    except EinError:
        raise
    except Exception as error:  # zipfile, zlib and numpy each have errors of their own
        raise _unreadable(path, "an .npz archive of numbers", error) from None
    train, valid, test = ((arrays[f"{split}_x"], arrays[f"{split}_y"]) for split in SPLITS)
    return Raw(path.stem, train, valid, test)


def table(path: Path, seed: int) -> Raw:
    """A `.csv` of numbers. The class is the column named `label`, `target` or `class`, else the last one."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = [(number, row) for number, row in enumerate(csv.reader(file), start=1) if any(map(str.strip, row))]
    except (OSError, ValueError, csv.Error) as error:
        raise _unreadable(path, "a table in UTF-8", error) from None
    if not rows:
        raise fail("E802", f"{path}: the file has no rows")
    header = rows[0][1] if not any(_is_number(cell) for cell in rows[0][1][:-1] or rows[0][1]) else []
    rows = rows[bool(header) :]
    width = len(header or rows[0][1]) if header or rows else 0
    if width < 2 or not rows:
        raise fail("E802", f"{path}: found {len(rows)} rows of {width} columns, expected values and a class column")
    column = _label_column(header, width)
    x, labels = _cells(path, rows, width, column)
    y, class_names = _class_indices(path, labels)
    said = f"the class is column {column + 1}" + (f", `{header[column].strip()}`" if header else "")
    return _divided(path.stem, x, y, class_names, seed, (said,))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _label_column(header: list[str], width: int) -> int:
    names = [name.strip().lower() for name in header]
    return next((names.index(name) for name in LABEL_COLUMNS if name in names), width - 1)


def _cells(path: Path, rows: list[tuple[int, list[str]]], width: int, column: int) -> tuple[Array, list[str]]:
    x = np.empty((len(rows), width - 1), np.float32)
    labels = []
    for i, (number, row) in enumerate(rows):
        if len(row) != width:
            raise fail("E802", f"{path}: row {number} has {len(row)} columns, expected {width} as in the first")
        labels.append(row[column].strip())
        for j, cell in enumerate(row[:column] + row[column + 1 :]):
            if not _is_number(cell):
                place = f"row {number}, column {j + 1 + (j >= column)}"
                raise fail("E804", f"{path}: {place} is {cell!r}, expected a number")
            x[i, j] = float(cell)
    return x, labels


def _class_indices(path: Path, labels: list[str]) -> tuple[Array, tuple[str, ...]]:
    """Class 0 is the smallest label; labels that are all numbers are ordered as numbers."""
    numeric = all(_is_number(label) for label in labels)
    if numeric and any(not float(label).is_integer() for label in labels):
        first = next(label for label in labels if not float(label).is_integer())
        raise fail("E805", f"{path}: the class column holds {first}, expected whole numbers or names")
    names = sorted({str(int(float(x))) for x in labels}, key=int) if numeric else sorted(set(labels))
    index = {name: i for i, name in enumerate(names)}
    y = np.array([index[str(int(float(x))) if numeric else x] for x in labels], np.int64)
    return y, tuple(names)


def image_folder(folder: Path, seed: int) -> Raw:
    """A subfolder of images per class, all of the size of the first; grey ones have one channel, others three."""
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    files = [(f, i) for i, name in enumerate(names) for f in sorted((folder / name).iterdir())]
    images = [(f, i) for f, i in files if f.suffix.lower() in IMAGES and not f.name.startswith(".")]
    empty = [name for i, name in enumerate(names) if not any(label == i for _, label in images)]
    if not images or empty:
        held = f"no images in {', '.join(empty)}" if names else "neither `train_x.npy` nor subfolders"
        needed = "a subfolder of images for each class, or the six arrays of the NAS-Unseen layout"
        raise fail("E801", f"{folder}: found {held}", help=f"needed is {needed}")
    first = _image(images[0][0], "")
    mode = "L" if first.ndim == 2 else "RGB"
    x = np.empty((len(images), 1 if mode == "L" else 3, *first.shape[:2]), np.uint8)
    for i, (path, _) in enumerate(images):
        pixels = _image(path, mode)
        if pixels.shape[:2] != first.shape[:2]:
            here, there = (f"{a.shape[1]} x {a.shape[0]}" for a in (pixels, first))
            message = f"{path} is {here} pixels, but {images[0][0]} is {there}"
            raise fail("E803", message, help="bring all images to one size; width x height are shown")
        x[i] = np.moveaxis(np.atleast_3d(pixels), -1, 0)
    y = np.array([label for _, label in images], np.int64)
    skipped = len(files) - len(images)
    return _divided(folder.name, x, y, tuple(names), seed, (f"{skipped} other files were passed over",) * bool(skipped))


def _image(path: Path, mode: str) -> Array:
    """H x W for grey, H x W x 3 for colour; `mode` empty: as the file has it."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            grey = image.mode in ("1", "L", "LA", "I", "I;16")
            return np.asarray(image.convert(mode or ("L" if grey else "RGB")))
    except Exception as error:  # Pillow's readers raise whatever the format's decoder meets
        raise _unreadable(path, "an image", error) from None


def _divided(
    name: str, x: Array, y: Array, class_names: tuple[str, ...], seed: int, notes: tuple[str, ...] = ()
) -> Raw:
    """Splits that keep the share of every class, disjoint, the same for the same seed."""
    small = [f"{class_names[c]} ({n})" for c, n in sorted(Counter(y.tolist()).items()) if n < 3]
    if small:
        message = f"{name}: classes with fewer than 3 examples: {', '.join(small)}"
        raise fail("E806", message, help="train, valid and test need one of each class")
    rng = np.random.default_rng(seed)
    parts: list[list[Array]] = [[], [], []]
    for c in range(len(class_names)):
        members = rng.permutation(np.flatnonzero(y == c))
        valid, test = max(1, round(len(members) * _VALID_SHARE)), max(1, round(len(members) * _TEST_SHARE))
        for part, rows in zip(
            parts, np.split(members, [len(members) - valid - test, len(members) - test]), strict=True
        ):
            part.append(rows)
    train, valid_rows, test_rows = (np.sort(np.concatenate(part)) for part in parts)
    sizes = f"{len(train)} train, {len(valid_rows)} valid, {len(test_rows)} test"
    said = f"split by class into {sizes} examples with seed {seed}"
    first, second, third = ((x[rows], y[rows].astype(np.int64)) for rows in (train, valid_rows, test_rows))
    return Raw(name, first, second, third, None, len(class_names), class_names, (*notes, said))


def _names(names: Any, ending: str = "") -> str:
    return ", ".join(f"{name}{ending}" for name in names)


def _unreadable(path: Path, expected: str, error: Exception) -> EinError:
    lines = str(error).strip().splitlines()
    return fail("E802", f"{path} cannot be read as {expected}: {lines[0] if lines else type(error).__name__}")
