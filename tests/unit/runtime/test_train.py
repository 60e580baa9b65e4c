"""Training within a budget, its reasons for stopping, and that it repeats."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor, nn

from ein.grammar.diagnostics import EinError
from ein.runtime.batches import augmented, epoch_rows, epoch_steps
from ein.runtime.data import Task
from ein.runtime.evaluate import OutputError, evaluate, evaluate_test
from ein.runtime.seeding import seeded
from ein.runtime.settings import Budget, TrainSettings
from ein.runtime.train import TrainLog, train

SETTINGS = TrainSettings(batch=8)


@pytest.fixture(scope="module")
def task() -> Task:
    """33 training images whose class is the brighter half; batches of 8 leave one over."""
    rng = np.random.default_rng(0)

    def split(n: int) -> tuple[Any, Any]:
        x = rng.normal(0, 1, (n, 1, 6, 6)).astype(np.float32)
        y = np.arange(n) % 2
        x[y == 0, :, :, :3] += 1
        x[y == 1, :, :, 3:] += 1
        return x, y

    return Task.from_arrays(split(33), split(20), split(20), name="halves")


def net(*layers: nn.Module) -> nn.Module:
    with seeded(0):
        for layer in layers:
            if isinstance(layer, nn.Linear):
                layer.reset_parameters()
    return nn.Sequential(nn.Flatten(), *layers)


def linear() -> nn.Module:
    return net(nn.Linear(36, 2))


class Changed(nn.Module):
    """A trainable net whose output goes through a function."""

    def __init__(self, change: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.body = linear()
        self.change = change
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Any:
        if self.training:
            self.sizes.append(len(x))
        return self.change(self.body(x))


class NeverTheTest(Task):
    def test_split(self) -> Any:
        raise AssertionError("the test examples were touched")


def test_it_learns(task: Task) -> None:
    log = train(linear(), task, SETTINGS, Budget(epochs=12))
    assert log.reason == "" and log.valid_accuracy is not None and log.valid_accuracy >= 0.9
    assert [e.epoch for e in log.history] == list(range(1, 13))
    assert [e.steps for e in log.history] == list(range(4, 49, 4))
    assert (log.steps, log.parameters) == (48, 74)
    assert log.history[-1].loss < log.history[0].loss
    assert log.valid_accuracy == log.history[-1].valid_accuracy
    assert log.best_valid_accuracy == max(e.valid_accuracy for e in log.history)
    assert all(a.seconds < b.seconds for a, b in zip(log.history, log.history[1:], strict=False))


def test_the_last_score_is_that_of_the_weights_as_they_are(task: Task) -> None:
    module = net(nn.Linear(36, 8), nn.Dropout(0.5), nn.BatchNorm1d(8), nn.Linear(8, 2))
    log = train(module, task, SETTINGS, Budget(steps=7))
    score = evaluate(module, task)
    assert (score.accuracy, score.examples) == (log.valid_accuracy, 20)
    assert score.loss == pytest.approx(log.history[-1].valid_loss)


@pytest.mark.parametrize(("steps", "ends"), [(4, [4]), (5, [4, 5]), (8, [4, 8]), (1, [1])])
def test_a_budget_in_steps_ends_within_an_epoch(task: Task, steps: int, ends: list[int]) -> None:
    log = train(linear(), task, SETTINGS, Budget(steps=steps))
    assert [e.steps for e in log.history] == ends


def test_a_budget_in_seconds_goes_by_the_clock_that_is_given(task: Task) -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += 0.25
        return now

    log = train(linear(), task, SETTINGS, Budget(seconds=6), clock=clock)
    assert 6 <= log.history[-1].seconds < 7.5
    assert 4 <= log.steps <= 24
    module = Changed(lambda y: y)
    assert train(module, task, SETTINGS, Budget(seconds=1e-9)).steps == 1, "at least one step"


def test_no_batch_of_one(task: Task) -> None:
    module = Changed(lambda y: y)
    train(module, task, SETTINGS, Budget(epochs=2))
    assert sorted(module.sizes) == [8] * 6 + [9] * 2
    one = (task.train.x[:1], task.train.y[:1])
    with pytest.raises(EinError, match="one training example"):
        train(linear(), Task.from_arrays(one, one, one, classes=2), SETTINGS, Budget(steps=1))


@given(st.integers(2, 300), st.integers(2, 70), st.integers(0, 5))
def test_an_epoch_goes_through_every_example_once(examples: int, batch: int, seed: int) -> None:
    pieces = list(epoch_rows(examples, batch, Generator().manual_seed(seed)))
    assert sorted(np.concatenate(pieces)) == list(range(examples))
    assert all(2 <= len(piece) <= batch + 1 for piece in pieces)
    assert len(pieces) == epoch_steps(examples, batch)


@pytest.mark.parametrize(
    "settings", ["optimiser=sgd", "optimiser=adam schedule=constant", "label_smoothing=0.1 clip=0"]
)
def test_other_settings_learn_too(task: Task, settings: str) -> None:
    log = train(linear(), task, TrainSettings.parse(["batch=8", *settings.split()]), Budget(epochs=12))
    assert log.valid_accuracy is not None and log.valid_accuracy >= 0.8


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_with_a_reason(task: Task, value: float) -> None:
    calls = 0

    def later(y: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return y * torch.tensor([value, 1.0]) if calls > 8 else y

    log = train(Changed(later), task, SETTINGS, Budget(epochs=5))
    assert log.reason == "training diverged: the loss is nan at step 6 (epoch 2)"
    assert (log.steps, len(log.history), log.valid_accuracy) == (5, 1, None)
    assert log.best_valid_accuracy == log.history[0].valid_accuracy


def test_a_gradient_that_is_not_finite_stops_with_a_reason(task: Task) -> None:
    log = train(Changed(lambda y: torch.sqrt((y - y).abs()) + y), task, SETTINGS, Budget(epochs=5))
    assert log.reason == "training diverged: the gradient is nan at step 1 (epoch 1)"
    assert log.to_json()["valid_accuracy"] is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda y: y[:, None], "the network gives [8, 1, 2] for a batch of 8, expected [8, 2]"),
        (lambda y: y[:, :1], "the network gives [8, 1] for a batch of 8, expected [8, 2]"),
        (lambda y: (y, y), "the network returns a tuple, expected a tensor of [8, 2]"),
        (
            lambda y: y.argmax(1, keepdim=True).expand(-1, 2),
            "the network gives torch.int64 values, expected floating point",
        ),
    ],
)
def test_an_output_that_is_not_a_score_for_each_class(task: Task, change: Callable[[Tensor], Any], reason: str) -> None:
    module = Changed(change)
    assert train(module, task, SETTINGS, Budget(epochs=1)).reason == reason
    with pytest.raises(OutputError):
        evaluate(module, task)


def test_a_network_without_parameters_is_evaluated(task: Task) -> None:
    class Halves(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x[..., :3].sum((1, 2, 3)), x[..., 3:].sum((1, 2, 3))], 1)

    log = train(Halves(), task, SETTINGS, Budget(seconds=100))
    assert (log.steps, log.parameters, log.reason, len(log.history)) == (0, 0, "", 1)
    assert log.valid_accuracy is not None and log.valid_accuracy >= 0.9
    assert log.to_json()["train_loss"] is None and log.to_json()["epochs"] == 0


def test_an_output_that_no_parameter_reaches_is_no_crash(task: Task) -> None:
    log = train(Changed(lambda y: y.detach()), task, SETTINGS, Budget(epochs=2))
    assert (log.reason, log.steps) == ("", 8)


def test_what_the_module_raises_is_passed_on(task: Task) -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        train(net(nn.Linear(35, 2)), task, SETTINGS, Budget(epochs=1))


def test_the_test_examples_are_not_touched(task: Task) -> None:
    guarded = NeverTheTest(*(getattr(task, name) for name in Task.__slots__))
    module = linear()
    assert train(module, guarded, SETTINGS, Budget(epochs=1)).valid_accuracy is not None
    evaluate(module, guarded)
    with pytest.raises(AssertionError, match="touched"):
        evaluate_test(module, guarded)
    assert evaluate_test(module, task).examples == 20


def weights_after(task: Task, seed: int, settings: str = "batch=8 augment=shift") -> list[Tensor]:
    with seeded(3):
        module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.2), nn.Flatten(), nn.Linear(64, 2))
    train(module, task, TrainSettings.parse(settings.split()), Budget(steps=9), seed)
    return list(module.state_dict().values())


def test_the_seed_decides_all_and_leaves_no_trace(task: Task) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = weights_after(task, 5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(one, weights_after(task, 5), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, weights_after(task, 6), strict=True))


def test_augmentation_moves_and_mirrors_each_example_by_itself() -> None:
    x = torch.zeros(200, 2, 16, 16)
    x[:, :, 5, 7] = 1
    moved = augmented(x, "shift", Generator().manual_seed(0))
    places = moved[:, 0].flatten(1).argmax(1)
    assert set((places // 16).tolist()) == {3, 4, 5, 6, 7} and set((places % 16).tolist()) == {5, 6, 7, 8, 9}
    assert len(set(places.tolist())) == 25
    assert torch.equal(moved.sum((1, 2, 3)), torch.full((200,), 2.0)) and torch.equal(moved[:, 0], moved[:, 1])
    flipped = augmented(x, "flip", Generator().manual_seed(0))
    columns = flipped[:, 0].flatten(1).argmax(1) % 16
    assert set(columns.tolist()) == {7, 8} and 60 < int((columns == 8).sum()) < 140
    assert augmented(x, "none", Generator()) is x


def test_what_does_not_go_together_is_refused(task: Task) -> None:
    flat = Task.from_arrays(*((s.x[:, 0, 0], s.y) for s in (task.train, task.valid, task.valid)))
    with pytest.raises(EinError, match=r"augment=flip is for images; arrays has vec\[6\]"):
        train(net(nn.Linear(6, 2)), flat, TrainSettings(augment="flip"), Budget(epochs=1))
    with pytest.raises(EinError, match="the device `gpu9` cannot be used"):
        train(linear(), task, SETTINGS, Budget(epochs=1), device="gpu9")


def test_the_log_is_plain_data(task: Task) -> None:
    import json

    log: TrainLog = train(linear(), task, SETTINGS, Budget(epochs=2))
    plain = json.loads(json.dumps(log.to_json(), allow_nan=False))
    wanted = ["valid_accuracy", "best_valid_accuracy", "train_loss", "epochs", "steps", "seconds", "parameters"]
    assert [name for name in wanted if plain[name] is None] == []
    assert TrainSettings.of(plain["settings"]) == SETTINGS and plain["budget"] == {"epochs": 2}
    assert len(plain["history"]) == 2


def test_evaluation_is_in_eval_mode_and_bounded_batches(task: Task) -> None:
    sizes: list[int] = []

    class Watched(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            assert not self.training and not torch.is_grad_enabled()
            sizes.append(len(x))
            return torch.stack([x.new_ones(len(x)), x.new_zeros(len(x))], 1)

    module = Watched()
    score = evaluate(module, task, batch=7)
    assert sizes == [7, 7, 6] and module.training
    assert score.accuracy == 0.5
    assert score.loss == pytest.approx(0.5 * math.log(1 + math.e) + 0.5 * math.log(1 + 1 / math.e))


def test_examples_without_a_finite_score_are_wrong(task: Task) -> None:
    class HalfNan(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = torch.zeros(len(x), 2)
            y[: len(x) // 2] = math.nan
            return y

    score = evaluate(HalfNan(), task)
    assert score.accuracy == 0.25 and math.isnan(score.loss)
