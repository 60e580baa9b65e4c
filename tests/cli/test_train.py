"""`ein train`: what it writes, what it says, and that it repeats."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Ein = Callable[..., Any]

LOAD = """\
import sys
sys.path.insert(0, sys.argv[1])
import torch
from safetensors.torch import load_file
from net import Net
net = Net()
print(net.load_state_dict(load_file(sys.argv[1] + "/weights.safetensors")))
print(tuple(net.eval()(torch.zeros(2, 1, 8, 8)).shape))
"""


def test_train_writes_source_weights_record_and_architecture(ein: Ein, folder: Path) -> None:
    ended = ein("train", "zoo/resnet8", "--data", "digits", "--seconds", "2", "-o", "net", "--test")
    assert ended.code == 0
    assert "training on digits (im[1, 8, 8] -> vec[10]), seed 0: batch=64" in ended.err
    assert "parameters           77,754\n" in ended.out
    assert "of 359 examples" in ended.out
    names = {path.name for path in (folder / "net").iterdir()}
    assert names == {"net.py", "weights.safetensors", "record.json", "net.ein"}
    record = json.loads((folder / "net/record.json").read_text())
    assert record["valid_accuracy"] > 0.5
    assert record["test_accuracy"] > 0.5
    assert (record["arch"], record["data"], record["parameters"]) == ("zoo/resnet8", "digits", 77_754)
    assert (record["budget"], record["seed"], record["status"]) == ({"seconds": 2.0}, 0, "ok")
    command = [sys.executable, "-I", "-c", LOAD, str(folder / "net")]
    loaded = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert loaded.stdout == "<All keys matched successfully>\n(2, 10)\n"
    shown = json.loads(ein("show", "net/net.ein", "--json").out)
    assert (shown["term"], shown["input"]) == (record["term"], "im[1, 8, 8]")


def test_the_same_seed_gives_the_same_weights_and_the_settings_are_recorded(ein: Ein, folder: Path) -> None:
    ein("sample", "einspace", "--size", "5..9", "--seed", "2", "--input", "im[1, 8, 8]", "-o", "drawn")
    given = "--train", "lr=0.01", "--train", "optimiser=sgd", "--train", "batch=32", "--seed", "3"
    for name in "ab":
        command = "train", "drawn/einspace-2-0.ein", "--data", "digits", "--steps", "4", "--json", "-o", name
        ended = ein(*command, *given)
        assert (ended.code, ended.err) == (0, "")
    first, again = ((folder / name / "weights.safetensors").read_bytes() for name in "ab")
    assert first == again
    record = json.loads(ended.out)
    assert record == json.loads((folder / "b/record.json").read_text())
    assert (record["steps"], record["seed"]) == (4, 3)
    chosen = {"batch": 32, "lr": 0.01, "optimiser": "sgd", "momentum": 0.9, "weight_decay": 3e-4}
    assert record["settings"] == {**record["settings"], **chosen}
    assert "test_accuracy" not in record


def test_a_table_of_ones_own(ein: Ein, folder: Path) -> None:
    rows = "\n".join(f"{i % 7},{i % 5 - 2},{'high' if i % 7 > 3 else 'low'}" for i in range(60))
    (folder / "meine daten.csv").write_text(f"a,b,label\n{rows}\n", encoding="utf-8")
    arch = "arch net : vec[4] -> vec[3] = linear(16) >> relu >> linear(3)\n"
    (folder / "net.ein").write_text(f"ein 1\nimport std\n{arch}")
    mismatch = ein("train", "net.ein", "--data", "meine daten.csv", "--steps", "1")
    assert mismatch.code == 1
    assert "vec[2]" in mismatch.err
    (folder / "net.ein").write_text(f"ein 1\nimport std\n{arch.replace('3', '2')}")
    ended = ein("train", "net.ein", "--data", "meine daten.csv", "--epochs", "100", "--json", "--train", "lr=0.03")
    assert ended.code == 0
    assert json.loads(ended.out)["valid_accuracy"] > 0.8
    assert {path.name for path in folder.iterdir()} == {"small.ein", "net.ein", "meine daten.csv"}


@pytest.mark.slow
def test_a_device_that_this_machine_lacks(ein: Ein) -> None:
    ended = ein("train", "zoo/resnet8", "--data", "digits", "--steps", "1", "--device", "cuda:99", "--json")
    assert (ended.code, ended.out) == (1, "")
    assert "the device `cuda:99` cannot be used" in ended.err
