"""Tasks from every source, and one clear message for each thing that can be wrong with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from ein.grammar.diagnostics import EinError
from ein.runtime import data, data_checks
from ein.runtime.data import Task, load_task

RNG = np.random.default_rng(0)


def arrays(shape: tuple[int, ...] = (1, 4, 5), classes: int = 3, n: int = 12) -> dict[str, Any]:
    """The six arrays of a good task."""
    found: dict[str, Any] = {}
    for split in ("train", "valid", "test"):
        found[f"{split}_x"] = RNG.normal(5, 3, (n, *shape)).astype(np.float32)
        found[f"{split}_y"] = np.arange(n) % classes
    return found


def task_of(found: dict[str, Any], **more: Any) -> Task:
    pairs = [(found[f"{split}_x"], found[f"{split}_y"]) for split in ("train", "valid", "test")]
    return Task.from_arrays(*pairs, **more)


def messages(call: Any, *arguments: Any, **more: Any) -> list[str]:
    with pytest.raises(EinError) as caught:
        call(*arguments, **more)
    return [f"{d.code} {d.message}" for d in caught.value.diagnostics]


def unseen(folder: Path, found: dict[str, Any], metadata: object) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in found.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "metadata").write_text(json.dumps(metadata))
    return folder


def test_digits() -> None:
    task = load_task("digits")
    assert (task.name, task.input, task.classes, task.metric) == ("digits", "im[1, 8, 8]", 10, "accuracy")
    assert (len(task.train), len(task.valid), len(task.test_split())) == (1079, 359, 359)
    assert task.train.x.dtype == np.float32 and task.train.y.dtype == np.int64
    shares = np.bincount(task.valid.y) / np.bincount(np.concatenate([task.train.y, task.valid.y]))
    assert shares.min() > 0.24 and shares.max() < 0.26
    everything = np.concatenate([s.x.reshape(len(s), -1) for s in (task.train, task.valid, task.test_split())])
    assert len(everything) == 1797 == len(np.unique(everything, axis=0)), "the splits are disjoint"
    again = load_task("digits", seed=5)
    assert np.array_equal(task.train.x, again.train.x), "its split is fixed"
    assert json.loads(json.dumps(task.to_json()))["examples"] == {"train": 1079, "valid": 359, "test": 359}


@pytest.mark.parametrize(("name", "kind", "classes"), [("iris", "vec[4]", 3), ("wine", "vec[13]", 3)])
def test_tables_that_come_with_scikit_learn(name: str, kind: str, classes: int) -> None:
    task = load_task(name)
    assert (task.input, task.classes, len(task.class_names)) == (kind, classes, classes)


@pytest.mark.parametrize(("shape", "kind"), [((2, 4, 5), None), ((6,), None), ((7, 3), "seq")])
def test_batches_are_normalised_with_training_statistics(shape: tuple[int, ...], kind: str | None) -> None:
    task = task_of(arrays(shape, n=60), kind=kind)
    axis = {"im": 1, "vec": 1, "seq": 2}[task.kind]
    others = tuple(i for i in range(len(shape) + 1) if i != axis)
    batch = task.batch(task.train, slice(None))
    assert batch.dtype == np.float32 and batch.shape == (60, *shape)
    assert np.abs(batch.mean(axis=others)).max() < 1e-5
    assert np.abs(batch.std(axis=others) - 1).max() < 1e-5
    assert task.normalisation is not None
    mean, std = np.array(task.normalisation.mean), np.array(task.normalisation.std)
    back = np.moveaxis(task.batch(task.valid, np.array([3, 1])), axis, -1) * std + mean
    assert np.allclose(np.moveaxis(back, -1, axis), task.valid.x[[3, 1]], atol=1e-4)


def test_a_constant_channel_is_shifted_and_not_blown_up() -> None:
    found = arrays((2, 3, 3))
    for split in ("train", "valid", "test"):
        found[f"{split}_x"][:, 1] = 1000.1
    batch = task_of(found).batch(task_of(found).train, slice(None))
    assert np.abs(batch[:, 1]).max() < 1e-2


def test_tokens_stay_whole_numbers() -> None:
    found = arrays((9,))
    for split in ("train", "valid", "test"):
        found[f"{split}_x"] = RNG.integers(0, 50, (12, 9))
    found["test_x"][0, 0] = 70
    task = task_of(found, kind="tok")
    assert (task.input, task.vocabulary, task.normalisation) == ("tok[9]", 71, None)
    batch = task.batch(task.train, np.array([2, 0]))
    assert batch.dtype == np.int64 and np.array_equal(batch, found["train_x"][[2, 0]])


def test_a_folder_in_the_unseen_layout(tmp_path: Path) -> None:
    found = arrays((3, 6, 6), classes=4)
    folder = unseen(tmp_path / "d", found, {"n_classes": 4, "name": "small", "lr": 0.01, "benchmark": None})
    task = load_task(str(folder))
    assert (task.name, task.input, task.classes, task.notes) == ("small", "im[3, 6, 6]", 4, ())
    assert np.array_equal(task.valid.x, found["valid_x"])
    (folder / "metadata").unlink()
    assert load_task(str(folder)).notes == ("no file `metadata`: the classes are those of the labels",)


def test_large_arrays_stay_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = arrays((3, 6, 6))
    found["train_x"] = (found["train_x"] * 10).astype(np.int16)
    folder = unseen(tmp_path / "d", found, {"n_classes": 3})
    small = load_task(str(folder))
    monkeypatch.setattr(data, "_IN_MEMORY", 100)
    monkeypatch.setattr(data_checks, "_ROWS_AT_ONCE", 500)
    large = load_task(str(folder))
    assert isinstance(large.train.x, np.memmap) and not isinstance(small.train.x, np.memmap)
    assert small.normalisation is not None and large.normalisation is not None
    assert np.allclose(small.normalisation.mean, large.normalisation.mean, rtol=1e-6)
    assert np.allclose(small.normalisation.std, large.normalisation.std, rtol=1e-6)
    assert np.allclose(large.batch(large.train, slice(3, 5)), small.batch(small.train, slice(3, 5)), atol=1e-5)


def test_an_npz(tmp_path: Path) -> None:
    found = arrays((6,))
    np.savez_compressed(tmp_path / "d.npz", **found)
    task = load_task(str(tmp_path / "d.npz"))
    assert (task.name, task.input, task.classes) == ("d", "vec[6]", 3)
    del found["test_y"]
    np.savez(tmp_path / "e.npz", **found)
    said = messages(load_task, str(tmp_path / "e.npz"))
    assert said == [f"E801 {tmp_path}/e.npz: test_y missing; found train_x, train_y, valid_x, valid_y, test_x"]


def test_a_csv_with_names(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    rows = [f"{i},{'cat' if i % 2 else 'ant'},{i * i}" for i in range(20)]
    path.write_text("width,Label,height\n" + "\n".join(rows) + "\n\n")
    task = load_task(str(path), seed=1)
    assert (task.input, task.class_names) == ("vec[2]", ("ant", "cat"))
    assert task.notes == (
        "the class is column 2, `Label`",
        "split by class into 12 train, 4 valid, 4 test examples with seed 1",
    )
    assert all(width % 2 == label for width, label in zip(task.train.x[:, 0], task.train.y, strict=True))
    assert np.array_equal(load_task(str(path), seed=1).train.x, task.train.x)
    assert not np.array_equal(load_task(str(path), seed=2).train.x, task.train.x)


def test_a_csv_without_names_and_numbers_for_classes(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("\n".join(f"{i},{i / 3},{[9, 10, 2][i % 3]}" for i in range(15)))
    task = load_task(str(path))
    assert (task.input, task.class_names) == ("vec[2]", ("2", "9", "10"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "E802 {path}: the file has no rows"),
        ("a,b\n", "E802 {path}: found 0 rows of 2 columns, expected values and a class column"),
        ("1\n2\n", "E802 {path}: found 2 rows of 1 columns, expected values and a class column"),
        ("a,b,label\n1,2,x\n1,oops,y\n", "E804 {path}: row 3, column 2 is 'oops', expected a number"),
        ("label,a,b\nx,1,2\ny,1,\n", "E804 {path}: row 3, column 3 is '', expected a number"),
        ("a,label\n1,x\n1,2,3\n", "E802 {path}: row 3 has 3 columns, expected 2 as in the first"),
        ("a,b\n1,0.5\n2,1\n", "E805 {path}: the class column holds 0.5, expected whole numbers or names"),
        ("a,b\n1,x\n2,x\n3,x\n4,y\n", "E806 d: classes with fewer than 3 examples: y (1)"),
        ("a,b\n1,x\n2,x\n3,x\nnan,y\n4,y\n5,y\n", "E804 d: "),
    ],
)
def test_a_csv_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "d.csv"
    path.write_text(text)
    assert messages(load_task, str(path))[0].startswith(message.format(path=path))


def images(folder: Path, mode: str = "L", size: tuple[int, int] = (6, 4), n: int = 5) -> Path:
    for i, name in enumerate(["cat", "dog"]):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for k in range(n):
            colour = 40 * i + k if mode == "L" else (40 * i + k, 1, 2)
            Image.new(mode, size, colour).save(folder / name / f"{k}.png")
    return folder


@pytest.mark.parametrize(("mode", "kind"), [("L", "im[1, 4, 6]"), ("RGB", "im[3, 4, 6]")])
def test_a_folder_of_images(tmp_path: Path, mode: str, kind: str) -> None:
    folder = images(tmp_path / "pets", mode)
    (folder / "dog" / "notes.txt").write_text("good dogs")
    task = load_task(str(folder))
    assert (task.name, task.input, task.class_names) == ("pets", kind, ("cat", "dog"))
    assert all((x[0, 0, 0] >= 40) == y for x, y in zip(task.train.x, task.train.y, strict=True))
    assert task.notes == (
        "1 other files were passed over",
        "split by class into 6 train, 2 valid, 2 test examples with seed 0",
    )


def test_images_that_cannot_be_used(tmp_path: Path) -> None:
    folder = images(tmp_path / "pets")
    first = folder / "cat" / "0.png"
    odd = folder / "dog" / "odd.png"
    Image.new("L", (6, 5)).save(odd)
    assert messages(load_task, str(folder)) == [f"E803 {odd} is 6 x 5 pixels, but {first} is 6 x 4"]
    odd.write_bytes(b"not an image")
    assert messages(load_task, str(folder))[0].startswith(f"E802 {odd} cannot be read as an image: ")
    (folder / "empty").mkdir()
    assert messages(load_task, str(folder)) == [f"E801 {folder}: found no images in empty"]
    nested = tmp_path / "nested"
    images(nested / "train")
    assert messages(load_task, str(nested)) == [f"E801 {nested}: found no images in train"]


def test_data_that_is_not_there(tmp_path: Path) -> None:
    assert messages(load_task, "digit") == ["E801 there is no data `digit`"]
    with pytest.raises(EinError, match="one of digits, iris, wine"):
        load_task("digit")
    text = tmp_path / "d.txt"
    text.write_text("x")
    assert messages(load_task, str(text)) == [f"E801 {text}: data cannot be read from this kind of file"]
    assert messages(load_task, str(tmp_path / "empty.npz"))[0].startswith("E801")
    (tmp_path / "folder").mkdir()
    said = messages(load_task, str(tmp_path / "folder"))
    assert said == [f"E801 {tmp_path}/folder: found neither `train_x.npy` nor subfolders"]


def test_an_unseen_folder_that_cannot_be_used(tmp_path: Path) -> None:
    folder = unseen(tmp_path / "d", arrays(), {"n_classes": 2})
    said = messages(load_task, str(folder))
    wanted = [
        f"E805 d: {split}_y holds the label 2 at 2, but the data is said to have 2 classes"
        for split in ("train", "valid", "test")
    ]
    assert said == wanted
    for metadata, message in (
        ({"n_classes": "3"}, f"E802 {folder}/metadata: `n_classes` is '3', expected a whole number"),
        ([3], f"E802 {folder}/metadata: found a JSON list, expected an object with `n_classes`"),
        ({"kind": "video"}, "E803 d: the kind of input `video` is not known"),
    ):
        (folder / "metadata").write_text(json.dumps(metadata))
        assert messages(load_task, str(folder)) == [message]
    (folder / "metadata").write_text("{")
    assert messages(load_task, str(folder))[0].startswith(f"E802 {folder}/metadata cannot be read as JSON: ")
    (folder / "valid_y.npy").unlink()
    (folder / "test_x.npy").unlink()
    assert messages(load_task, str(folder)) == [f"E801 {folder}: valid_y.npy, test_x.npy missing"]


def test_pickled_arrays_are_not_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "exploded",)

    found = arrays()
    folder = unseen(tmp_path / "d", found, {"n_classes": 3})
    np.save(folder / "train_x.npy", np.array([Bomb()], dtype=object))
    said = messages(load_task, str(folder))
    assert said[0].startswith(f"E802 {folder}/train_x.npy cannot be read as a .npy file of numbers: ")
    np.savez(tmp_path / "d.npz", **{**found, "train_x": np.array([Bomb()], dtype=object)})
    assert messages(load_task, str(tmp_path / "d.npz"))[0].startswith("E802")
    (folder / "train_x.npy").write_bytes(b"\x93NUMPY garbage")
    assert messages(load_task, str(folder))[0].startswith("E802")
    assert not (tmp_path / "exploded").exists()


CHANGES: list[tuple[str, Any, list[str]]] = [
    (
        "train_x",
        lambda x: np.where(np.arange(x.size).reshape(x.shape) == 27, np.nan, x),
        ["E804 arrays: train_x holds 1 value that is NaN, infinite or beyond 1e30, the first at [1, 0, 1, 2]"],
    ),
    (
        "valid_x",
        lambda x: x.astype(np.float64) * 1e300,
        ["E804 arrays: valid_x holds 240 values that are NaN, infinite or beyond 1e30, the first at [0, 0, 0, 0]"],
    ),
    ("test_x", lambda x: x.astype(object), ["E804 arrays: test_x holds values of type object, expected numbers"]),
    (
        "valid_x",
        lambda x: x[:, 0],
        [
            "E803 arrays: valid_x is 12 x 4 x 5; input of kind `im` has 4 axes, the batch first",
            "E803 arrays: an example of valid_x is 4 x 5, of train_x 1 x 4 x 5",
        ],
    ),
    ("test_x", lambda x: x[:, :, :3], ["E803 arrays: an example of test_x is 1 x 3 x 5, of train_x 1 x 4 x 5"]),
    ("train_x", lambda x: x[:7], ["E803 arrays: train_x has 7 examples, train_y has 12 labels"]),
    (
        "valid_x",
        lambda x: x[:0],
        ["E806 arrays: valid_x is empty: 0 x 1 x 4 x 5", "E803 arrays: valid_x has 0 examples, valid_y has 12 labels"],
    ),
    ("train_y", lambda y: y + 0.5, ["E805 arrays: train_y holds values of type float64, expected whole numbers"]),
    ("train_y", lambda y: y - 1, ["E805 arrays: train_y holds the label -1 at 0; classes count from 0"]),
    ("valid_y", lambda y: np.eye(3)[y], ["E805 arrays: valid_y is 12 x 3; labels are one whole number an example"]),
    ("valid_y", lambda y: y + 3, ["E805 arrays: valid_y holds classes that train_y does not: 3, 4, 5"]),
    (
        "train_y",
        lambda y: y[:0],
        ["E806 arrays: train_y is empty", "E803 arrays: train_x has 12 examples, train_y has 0 labels"],
    ),
]


@pytest.mark.parametrize(("name", "change", "wanted"), CHANGES)
def test_arrays_that_cannot_be_used(name: str, change: Any, wanted: list[str]) -> None:
    found = arrays()
    found[name] = change(found[name])
    assert messages(task_of, found) == wanted


def test_all_findings_come_at_once() -> None:
    found = arrays()
    found["train_x"][0] = np.inf
    found["valid_y"] = found["valid_y"] - 5
    found["test_x"] = found["test_x"][:2]
    assert [m.split()[0] for m in messages(task_of, found)] == ["E804", "E805", "E803"]


def test_kinds_that_the_rank_does_not_tell() -> None:
    assert messages(task_of, arrays((7, 3))) == ["E803 arrays: train_x is 12 x 7 x 3, which names no kind of input"]
    assert messages(task_of, arrays((7,)), kind="tok")[0] == (
        "E804 arrays: train_x holds values of type float32, expected whole numbers"
    )
    found = {name: np.abs(x).astype(np.int64) for name, x in arrays((7,)).items()}
    found["valid_x"][1, 1] = -4
    assert messages(task_of, found, kind="tok") == ["E804 arrays: valid_x holds the token -4; tokens count from 0"]


def test_one_class_is_nothing_to_learn_and_empty_classes_are_noted() -> None:
    said = messages(task_of, arrays(classes=1))
    assert said == ["E805 arrays: there is one class only; there is nothing to learn"]
    assert task_of(arrays(classes=3), classes=5).notes == ("2 of 5 classes have no examples: 3, 4",)


def test_tensors_and_torch_data_sets() -> None:
    import torch
    from torch.utils.data import TensorDataset

    found = arrays()
    sets = [
        TensorDataset(torch.from_numpy(found[f"{split}_x"]), torch.from_numpy(found[f"{split}_y"]))
        for split in ("train", "valid", "test")
    ]
    one, other = Task.from_arrays(*sets), Task.from_arrays(*(s.tensors for s in sets))
    assert np.array_equal(one.train.x, found["train_x"]) and np.array_equal(other.train.x, found["train_x"])
    assert np.array_equal(one.test_split().y, found["test_y"])


@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int64, np.uint8]),
        hnp.array_shapes(min_dims=0, max_dims=5, max_side=4),
    ),
    hnp.arrays(st.sampled_from([np.float32, np.int64, np.int8]), hnp.array_shapes(min_dims=0, max_dims=2, max_side=4)),
    st.sampled_from([None, "im", "vec", "seq", "tok"]),
)
def test_any_arrays_make_a_task_or_a_diagnostic(x: Any, y: Any, kind: str | None) -> None:
    try:
        task = Task.from_arrays((x, y), (x, y), (x, y), kind=kind)
    except EinError as error:
        assert error.diagnostics
        return
    batch = task.batch(task.train, slice(None))
    assert np.isfinite(batch).all() and len(batch) == len(task.train)
    assert task.train.y.min() >= 0 and task.train.y.max() < task.classes
