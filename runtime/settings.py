"""How a network is trained, and for how long: values that print, parse back, and are kept with every result."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from ein.grammar.diagnostics import Diagnostic, EinError

Optimiser = Literal["adamw", "adam", "sgd"]
Schedule = Literal["cosine", "constant"]
Augment = Literal["none", "shift", "flip"]

_BY_OPTIMISER: dict[str, dict[str, float]] = {
    "adamw": {"lr": 5e-3, "weight_decay": 1e-2},
    "adam": {"lr": 5e-3, "weight_decay": 0.0},
    "sgd": {"lr": 4e-2, "weight_decay": 3e-4},
}


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """The defaults suit short runs of networks that nobody has tuned.

    AdamW, since a sampled network's gradients differ by orders of magnitude from layer to layer; a warm-up over the
    first `warmup` share of the budget and gradients clipped to norm `clip`, since many have no normalisation and would
    diverge in the first steps (`clip=0` does not clip); a rate of 0.005, since of 0.001 to 0.02 it was best or near it
    on ten kinds of networks after 200 steps on the digits, where 0.02 lost transformers; cosine decay to zero, since
    the last epoch is the one that is judged. `momentum` is for sgd alone. `of` and `parse` choose `lr` and
    `weight_decay` by the optimiser where they are not given; for sgd these are einspace's (lr 0.04, momentum 0.9,
    weight decay 3e-4).
    """

    batch: int = 64
    lr: float = _BY_OPTIMISER["adamw"]["lr"]
    optimiser: Optimiser = "adamw"
    weight_decay: float = _BY_OPTIMISER["adamw"]["weight_decay"]
    momentum: float = 0.9
    schedule: Schedule = "cosine"
    label_smoothing: float = 0.0
    augment: Augment = "none"
    warmup: float = 0.05
    clip: float = 1.0

    @staticmethod
    def of(given: Mapping[str, Any]) -> TrainSettings:
        """Settings by name, the others at their defaults. Raises `EinError` with everything that is wrong."""
        found, problems = {}, []
        for name, value in given.items():
            try:
                found[name] = _value(name, value)
            except ValueError as error:
                problems.append(Diagnostic("E810", str(error), help=_HELP))
        if found.get("optimiser", "adamw") != "sgd" and "momentum" in found:
            problems.append(
                Diagnostic("E810", "`momentum` is for sgd alone", help="add optimiser=sgd, or leave it out")
            )
        if problems:
            raise EinError(tuple(problems))
        return TrainSettings(**{**_BY_OPTIMISER[found.get("optimiser", "adamw")], **found})

    @staticmethod
    def parse(pairs: Iterable[str]) -> TrainSettings:
        """From texts such as `lr=0.05`. Raises `EinError` with everything that is wrong."""
        given: dict[str, str] = {}
        problems = []
        for pair in pairs:
            name, equals, value = (part.strip() for part in pair.partition("="))
            if not equals:
                problems.append(Diagnostic("E810", f"`{pair}` is no training setting, expected name=value", help=_HELP))
            elif name in given:
                problems.append(Diagnostic("E810", f"`{name}` is given twice"))
            given[name] = value
        if problems:
            raise EinError(tuple(problems))
        return TrainSettings.of(given)

    def to_json(self) -> dict[str, Any]:
        """Plain data; `of` reads it back."""
        return {name: value for name, value in asdict(self).items() if name != "momentum" or self.optimiser == "sgd"}

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.to_json().items())


def _number(low: float, high: float, whole: bool = False) -> Callable[[str], float]:
    def read(text: str) -> float:
        number = int(text) if whole else float(text)
        if not low <= number <= high or not math.isfinite(number):
            raise ValueError
        return number

    return read


def _word(words: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError
        return text

    return read


_RULES: dict[str, tuple[Callable[[str], Any], str]] = {
    "batch": (_number(2, 1 << 20, whole=True), "a whole number of at least 2"),
    "lr": (_number(1e-12, 1e6), "a number above 0"),
    "optimiser": (_word(get_args(Optimiser)), "adamw, adam or sgd"),
    "weight_decay": (_number(0, 1e6), "a number of at least 0"),
    "momentum": (_number(0, 0.99999), "a number of at least 0 and below 1"),
    "schedule": (_word(get_args(Schedule)), "cosine or constant"),
    "label_smoothing": (_number(0, 0.99999), "a number of at least 0 and below 1"),
    "augment": (_word(get_args(Augment)), "none, shift or flip"),
    "warmup": (_number(0, 1), "a share of the training between 0 and 1"),
    "clip": (_number(0, 1e12), "a norm of at least 0 (0: no clipping)"),
}
_HELP = f"the settings are {', '.join(_RULES)}"


def _value(name: str, value: Any) -> Any:
    if name not in _RULES:
        raise ValueError(f"there is no training setting `{name}`")
    read, words = _RULES[name]
    try:
        return read(str(value))
    except ValueError:
        raise ValueError(f"`{name}` is `{value}`, expected {words}") from None


@dataclass(frozen=True, slots=True)
class Budget:
    """How much training: exactly one of epochs, steps (batches) and wall seconds.

    Seconds hold the steps and the validation after each whole epoch; the last validation comes on top.
    """

    epochs: int | None = None
    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("epochs", "steps", "seconds") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a budget is one of epochs, steps and seconds, found {', '.join(given) or 'none'}")
        if not 0 < getattr(self, given[0]) < math.inf:
            raise ValueError(f"{given[0]} must be above 0, found {getattr(self, given[0])}")

    def spent(self, steps: int, seconds: float, epoch_steps: int) -> float:
        """The share of the budget that is used after so many steps and seconds; 1 or more is the end."""
        if self.seconds is not None:
            return seconds / self.seconds
        total = self.steps if self.epochs is None else self.epochs * epoch_steps
        assert total is not None
        return steps / total

    def to_json(self) -> dict[str, float]:
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


def rate(settings: TrainSettings, spent: float) -> float:
    """The learning rate once this share of the budget is used: a linear warm-up, then the schedule."""
    if spent < settings.warmup:
        return settings.lr * max(spent / settings.warmup, 0.01)
    if settings.schedule == "constant":
        return settings.lr
    after = min(1.0, (spent - settings.warmup) / max(1e-9, 1 - settings.warmup))
    return settings.lr * 0.5 * (1 + math.cos(math.pi * after))
