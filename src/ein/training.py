"""Training one network in a process of its own, within limits, and judging it on its task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ein.grammar.check import Request
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.diagnostics import fail
from ein.grammar.types import Tensor

if TYPE_CHECKING:
    from ein.runtime.data import Task as LoadedTask
    from ein.runtime.fence import Fence, Handle, Limits, Outcome

MEMORY = 4 << 30
"""Bytes that one training may hold."""

SPARE = 60.0
"""Wall seconds beyond the budget of training: start, data, validation."""


@dataclass(frozen=True, slots=True)
class Data:
    """Where a task comes from, and what it asks of a network."""

    name: str
    input: str
    output: str
    seed: int = 0

    @classmethod
    def of(cls, data: str, seed: int = 0) -> Data:
        """Raises EinError where the data cannot be read."""
        from ein.runtime.candidate import prepare_task

        task = prepare_task(data, seed)
        return cls(data, task.input, f"vec[{task.classes}]", seed)

    def request(self, request: Request | None = None) -> Request:
        """The request with the input and output that the data asks for, unless it names others."""
        asked = request or Request()
        by = f"data `{self.name}`"
        return Request(asked.parameters, asked.input or self.input, asked.output or self.output, asked.limits, by)

    @classmethod
    def written(cls, task: LoadedTask, folder: Path) -> Data:
        """A task in memory, written to `folder` so that other processes can read it."""
        return cls(str(task.save(folder / "data.npz")), task.input, f"vec[{task.classes}]")

    def fits(self, derivation: Derivation) -> None:
        """Raises EinError where a network's types are not those of the data."""
        self.agree(repr(derivation.input), derivation.type, "this network")

    def agree(self, input: str, output: object, what: str) -> None:
        """Raises EinError unless these are the types of the data."""
        if input != self.input or not _same(output, self.output):
            text = f"`{self.name}` needs {self.input} -> {self.output}, and {what} is {input} -> {output!r}"
            raise fail("E811", text)


def _same(type: object, wanted: str) -> bool:
    return isinstance(type, Tensor) and f"vec[{type.sizes[-1]}]" == wanted and len(type.sizes) == 1


def budget(epochs: int | None = None, steps: int | None = None, seconds: float | None = None) -> dict[str, float]:
    """The one that is given; 20 epochs if none is. Raises ValueError for two."""
    named: tuple[tuple[str, float | None], ...] = (("epochs", epochs), ("steps", steps), ("seconds", seconds))
    given = {name: value for name, value in named if value is not None}
    if len(given) > 1:
        raise ValueError(f"one of epochs, steps and seconds is given, not {' and '.join(given)}")
    return given or {"epochs": 20}


def settings(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """All training settings, the defaults filled in. Raises EinError."""
    from ein.runtime.settings import TrainSettings

    return TrainSettings.of(given or {}).to_json()


def limits(budget: Mapping[str, float], seconds: float | None = None, memory: int = MEMORY) -> Limits:
    """Limits of the process around a budget of training."""
    from ein.runtime.fence import Limits as FenceLimits

    given = budget.get("seconds")
    return FenceLimits(seconds if seconds is not None else (24 * 3600.0 if given is None else given + SPARE), memory)


def Task(train: Any, valid: Any, test: Any, *, name: str = "arrays", kind: str | None = None) -> LoadedTask:
    """A task of arrays, tensors or torch data sets: pairs (x, y).

    `kind` (im, vec, seq, tok) is for arrays whose rank does not tell.
    Raises EinError for data that cannot be trained on, with the reason.
    """
    from ein.runtime.data import Task as Loaded

    return Loaded.from_arrays(train, valid, test, name=name, kind=kind)


def prepare(fence: Fence, data: Data) -> None:
    """Loads the data once, for all trainings of this fence."""
    from ein.runtime.candidate import PREPARE

    fence.prepare(PREPARE, {"data": data.name, "data_seed": data.seed})


def start(
    fence: Fence,
    source: str,
    data: Data,
    budget: Mapping[str, float],
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    weights: str | None = None,
    device: str = "cpu",
    within: Limits | None = None,
) -> Handle:
    """Starts training; the outcome's value says accuracy on validation, history and costs. Test is not touched."""
    from ein.runtime.candidate import TRAIN

    arguments = {
        "source": source,
        "data": data.name,
        "data_seed": data.seed,
        "budget": dict(budget),
        "settings": dict(settings or {}),
        "seed": seed,
        "weights": weights,
        "device": device,
    }
    return fence.start(TRAIN, arguments, within or limits(budget))


def test(fence: Fence, source: str, data: Data, weights: str, device: str = "cpu") -> Outcome:
    """Accuracy of saved weights on the test set: once, for what was chosen on validation."""
    from ein.runtime.candidate import TEST

    arguments = {"source": source, "data": data.name, "data_seed": data.seed, "weights": weights, "device": device}
    return fence.run(TEST, arguments, limits({}, seconds=3600.0))
