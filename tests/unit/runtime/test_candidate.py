"""A candidate from its source text to its test accuracy, in fenced processes."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import ein.runtime
from ein.grammar.diagnostics import EinError
from ein.runtime.candidate import TEST, TRAIN, build, train_job
from ein.runtime.fence import Fence, Limits

CNN = '''
import torch
from torch import Tensor, nn


def block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


class Net(nn.Module):
    """A small hand-written network for 8 x 8 images."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            block(1, 32), block(32, 32), nn.MaxPool2d(2), block(32, 64), nn.MaxPool2d(2), nn.Dropout(0.1)
        )
        self.head = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(1))
'''


def test_digits_in_three_seconds(fence: Fence, tmp_path: Path) -> None:
    """Measured on one shared x86 core: 98.9 to 99.4 % of validation in 220 steps; the bound allows a slow machine."""
    weights = str(tmp_path / "w.safetensors")
    arguments = {"source": CNN, "data": "digits", "budget": {"seconds": 3}, "seed": 0, "weights": weights}
    outcome = fence.run(TRAIN, arguments)
    assert outcome.ok, outcome.reason
    value = outcome.value
    assert value["valid_accuracy"] >= 0.9
    assert value["parameters"] == 30890 and value["weights"] == weights
    assert 3 <= value["seconds"] < outcome.seconds < 6
    tested = fence.run(TEST, {"source": CNN, "data": "digits", "weights": weights})
    assert tested.ok and tested.value["test_accuracy"] >= 0.9 and tested.value["examples"] == 359
    print(f"digits in 3 s: {value['valid_accuracy']:.4f} valid, {tested.value['test_accuracy']:.4f} test")


def test_two_processes_give_the_same_weights_to_the_bit(
    fence: Fence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / name for name in ("one", "two", "three")]
    work: dict[str, Any] = {"source": CNN, "data": "digits", "budget": {"steps": 12}, "settings": {"augment": "shift"}}
    monkeypatch.setenv("PYTHONHASHSEED", "1")
    with Fence(Limits(seconds=60), preload=()) as other:
        for owner, seed, file in zip((fence, other, fence), (4, 4, 5), files, strict=True):
            outcome = owner.run(TRAIN, {**work, "seed": seed, "weights": str(file)})
            assert outcome.ok, outcome.reason
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("x = 1", "the source of the candidate defines no torch module `Net`"),
        ("class Net:\n    pass", "the source of the candidate defines no torch module `Net`"),
        ("class Net(", "SyntaxError: '(' was never closed (<candidate>, line 1)"),
        (CNN.replace("256, 10", "256, 7"), "the network gives [64, 7] for a batch of 64, expected [64, 10]"),
        (
            CNN.replace("256, 10", "99, 10"),
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied (64x256 and 99x10)",
        ),
        (CNN.replace("flatten(1))", "flatten(1)) / 0"), "training diverged: the loss is nan at step 1 (epoch 1)"),
    ],
)
def test_candidates_that_cannot_be_trained_say_why(fence: Fence, source: str, reason: str) -> None:
    outcome = fence.run(TRAIN, {"source": source, "data": "digits", "budget": {"steps": 2}})
    assert (outcome.status, outcome.reason) == ("error", reason)


def test_a_diverged_candidate_keeps_its_numbers(fence: Fence, tmp_path: Path) -> None:
    source = CNN.replace("flatten(1))", "flatten(1)) * float('inf')")
    path = tmp_path / "w"
    outcome = fence.run(TRAIN, {"source": source, "data": "digits", "budget": {"steps": 2}, "weights": str(path)})
    assert (outcome.value["valid_accuracy"], outcome.value["parameters"], path.exists()) == (None, 30890, False)


def test_a_candidate_that_is_too_slow_or_too_large(fence: Fence) -> None:
    slow = CNN.replace("return self", "while True: pass\n        return self")
    outcome = fence.run(TRAIN, {"source": slow, "data": "digits", "budget": {"seconds": 1}}, Limits(seconds=1.5))
    assert outcome.status == "timeout" and outcome.reason.endswith("its limit is 1.5 s")
    large = CNN.replace("return self", "self.x = torch.ones(64, 4096, 4096)\n        return self")
    limits = Limits(seconds=30, bytes=1 << 30)
    outcome = fence.run(TRAIN, {"source": large, "data": "digits", "budget": {"seconds": 1}}, limits)
    assert outcome.status == "memory"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"data": "digit"}, "there is no data `digit`"),
        ({"settings": {"lr": -1}}, "`lr` is `-1`, expected a number above 0"),
        ({"budget": {}}, "ValueError: a budget is one of epochs, steps and seconds, found none"),
        ({"weights": "/no/such/folder/w"}, "/no/such/folder/w: the weights cannot be written: "),
    ],
)
def test_arguments_that_do_not_fit(fence: Fence, given: dict[str, Any], reason: str) -> None:
    outcome = fence.run(TRAIN, {"source": CNN, "data": "digits", "budget": {"steps": 1}, **given})
    assert outcome.status == "error" and outcome.reason.startswith(reason)


def test_lines_of_the_source_show_in_tracebacks() -> None:
    import traceback

    with pytest.raises(ZeroDivisionError) as caught:
        build("from torch import nn\nclass Net(nn.Module):\n    width = 1 / 0\n")
    assert "    width = 1 / 0" in "".join(traceback.format_exception(caught.value))


def test_the_job_is_a_plain_function_too() -> None:
    value = train_job(CNN, "digits", {"steps": 3}, {"batch": 32}, seed=1)
    assert (value["steps"], value["epochs"], value["settings"]["batch"]) == (3, 1, 32)
    with pytest.raises(EinError, match="no torch module"):
        train_job("", "digits", {"steps": 1})


def test_nothing_but_the_test_evaluation_asks_for_the_test_examples() -> None:
    """Reads every module: who calls `test_split`, and who refers to `evaluate_test` or reaches for `_test`."""
    top = Path(ein.runtime.__path__[0]).resolve().parent
    folders = [top / name for name in ("grammar", "compiler", "runtime", "search", "src/ein")]
    found: dict[str, set[str]] = {"test_split": set(), "evaluate_test": set(), "_test": set()}
    for path in {p.resolve() for folder in folders for p in folder.rglob("*.py")}:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None
            if name in found and isinstance(getattr(node, "ctx", None), ast.Load):
                found[name].add(path.relative_to(top).as_posix())
    assert found["test_split"] == {"runtime/evaluate.py"}
    assert found["_test"] == {"runtime/data.py"}
    assert found["evaluate_test"] == {"runtime/candidate.py"}
