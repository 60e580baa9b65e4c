"""Training of one network, in place, within a budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ein.grammar.diagnostics import fail
from ein.runtime.batches import augmented, epoch_rows, epoch_steps
from ein.runtime.data import Task
from ein.runtime.evaluate import OutputError, check_output, evaluate
from ein.runtime.seeding import seeded
from ein.runtime.settings import Budget, TrainSettings, rate


@dataclass(frozen=True, slots=True)
class Epoch:
    """After a pass over the training examples, or the part of one that the budget allowed.

    `train_accuracy` and `loss` are means over the batches as they were trained on. `steps` and `seconds` count from the
    start. A network without parameters has one epoch 0, with neither.
    """

    epoch: int
    steps: int
    loss: float
    train_accuracy: float
    valid_loss: float
    valid_accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class TrainLog:
    """What happened. `reason` says in a sentence why training stopped early; it is empty if the budget was used."""

    settings: TrainSettings
    budget: Budget
    seed: int
    parameters: int
    steps: int
    seconds: float
    history: tuple[Epoch, ...]
    reason: str = ""

    @property
    def valid_accuracy(self) -> float | None:
        """Of the last epoch: the score that the weights as they are now have."""
        return self.history[-1].valid_accuracy if self.history and not self.reason else None

    @property
    def best_valid_accuracy(self) -> float | None:
        return max((epoch.valid_accuracy for epoch in self.history), default=None)

    def to_json(self) -> dict[str, Any]:
        """Plain data, without NaN or infinity: those are None."""
        last = self.history[-1] if self.history else None
        return {
            "valid_accuracy": self.valid_accuracy,
            "best_valid_accuracy": self.best_valid_accuracy,
            "train_loss": _plain(last.loss) if last else None,
            "epochs": last.epoch if last else 0,
            "steps": self.steps,
            "seconds": self.seconds,
            "parameters": self.parameters,
            "seed": self.seed,
            "settings": self.settings.to_json(),
            "budget": self.budget.to_json(),
            "reason": self.reason,
            "history": [{name: _plain(getattr(e, name)) for name in Epoch.__slots__} for e in self.history],
        }


def train(
    module: nn.Module,
    task: Task,
    settings: TrainSettings,
    budget: Budget,
    seed: int = 0,
    device: str = "cpu",
    clock: Callable[[], float] = time.perf_counter,
) -> TrainLog:
    """Moves the module to `device` and trains it there, in place.

    With a budget in epochs or steps, one thread and the CPU, the same seed gives the same weights to the bit. A loss or
    gradient that is not finite, or an output that is not batch x classes, ends the training with a reason; what the
    module itself raises is passed on. The test examples are not touched.
    Raises `EinError` if settings, data and device do not go together.
    """
    _check(task, settings, device)
    with seeded(seed):
        run = _Run(module.to(device), task, settings, budget, seed, device, clock)
        return run.log(run.to_the_end())


def _check(task: Task, settings: TrainSettings, device: str) -> None:
    if settings.augment != "none" and task.kind != "im":
        raise fail("E811", f"augment={settings.augment} is for images; {task.name} has {task.input}")
    if len(task.train) < 2:
        raise fail("E811", f"{task.name} has one training example; a batch needs two")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        said = str(error).strip().splitlines()
        raise fail("E811", f"the device `{device}` cannot be used: {said[0] if said else 'not available'}") from None


class _Stop(Exception):
    """Training has come to an end before its budget; the text is the reason."""


@dataclass(slots=True)
class _Run:
    module: nn.Module
    task: Task
    settings: TrainSettings
    budget: Budget
    seed: int
    device: str
    clock: Callable[[], float]
    steps: int = 0
    history: list[Epoch] = field(default_factory=list)
    started: float = field(init=False)
    optimiser: torch.optim.Optimizer | None = field(init=False)
    generator: Generator = field(init=False)

    def __post_init__(self) -> None:
        self.optimiser = _optimiser(self.module, self.settings)
        self.generator = Generator().manual_seed(self.seed)
        self.started = self.clock()

    def to_the_end(self) -> str:
        """The reason of an early end, or nothing."""
        try:
            if self.optimiser is None:
                self._note(0, math.nan, math.nan)
                return ""
            while not self.steps or self.spent() < 1:
                self._epoch()
        except (_Stop, OutputError) as stop:
            return str(stop)
        return ""

    def spent(self) -> float:
        per_epoch = epoch_steps(len(self.task.train), self.settings.batch)
        return self.budget.spent(self.steps, self.clock() - self.started, per_epoch)

    def log(self, reason: str) -> TrainLog:
        parameters = sum(p.numel() for p in self.module.parameters())
        seconds = self.clock() - self.started
        history = tuple(self.history)
        return TrainLog(self.settings, self.budget, self.seed, parameters, self.steps, seconds, history, reason)

    def _epoch(self) -> None:
        self.module.train()
        loss, right, seen = 0.0, 0, 0
        for rows in epoch_rows(len(self.task.train), self.settings.batch, self.generator):
            if seen and self.spent() >= 1:
                break
            y = torch.from_numpy(self.task.train.y[rows]).to(self.device)
            x = torch.from_numpy(self.task.batch(self.task.train, rows)).to(self.device)
            scores, batch_loss = self._step(augmented(x, self.settings.augment, self.generator), y)
            loss += batch_loss * len(rows)
            right += int((scores.argmax(dim=1) == y).sum())
            seen += len(rows)
        self._note(len(self.history) + 1, loss / seen, right / seen)

    def _step(self, x: Tensor, y: Tensor) -> tuple[Tensor, float]:
        assert self.optimiser is not None
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.settings, self.spent())
        scores = check_output(self.module(x), len(y), self.task.classes).float()
        loss = nn.functional.cross_entropy(scores, y, label_smoothing=self.settings.label_smoothing)
        self._finite("loss", loss)
        if loss.requires_grad:
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            limit = self.settings.clip or math.inf
            self._finite("gradient", nn.utils.clip_grad_norm_(self.module.parameters(), limit))
            self.optimiser.step()
        self.steps += 1
        return scores.detach(), float(loss.detach())

    def _finite(self, what: str, value: Tensor) -> None:
        number = float(value.detach())
        if not math.isfinite(number):
            where = f"step {self.steps + 1} (epoch {len(self.history) + 1})"
            raise _Stop(f"training diverged: the {what} is {number} at {where}")

    def _note(self, epoch: int, loss: float, accuracy: float) -> None:
        score = evaluate(self.module, self.task, self.device, self.settings.batch)
        seconds = self.clock() - self.started
        self.history.append(Epoch(epoch, self.steps, loss, accuracy, score.loss, score.accuracy, seconds))


def _optimiser(module: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer | None:
    """None for a network with nothing to train."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    if not parameters:
        return None
    lr, decay = settings.lr, settings.weight_decay
    if settings.optimiser == "sgd":
        return torch.optim.SGD(parameters, lr=lr, momentum=settings.momentum, weight_decay=decay)
    kind = torch.optim.AdamW if settings.optimiser == "adamw" else torch.optim.Adam
    return kind(parameters, lr=lr, weight_decay=decay)


def _plain(number: float) -> float | None:
    return number if math.isfinite(number) else None
