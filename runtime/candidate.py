"""The two jobs of a candidate, for `ein.runtime.fence`: source text in, plain data out.

    fence.prepare(PREPARE, {"data": "digits"})
    fence.run(TRAIN, {"source": text, "data": "digits", "budget": {"seconds": 3}, "seed": 0, "weights": path})
    fence.run(TEST, {"source": text, "data": "digits", "weights": path})

Loading the task is not counted in the budget, and costs nothing once it is prepared.
"""

from __future__ import annotations

import linecache
from functools import lru_cache
from typing import Any

from torch import nn

from ein.grammar.diagnostics import fail
from ein.runtime.data import Task, load_task
from ein.runtime.evaluate import BATCH, OutputError, evaluate_test
from ein.runtime.job import JobFailed
from ein.runtime.seeding import seeded
from ein.runtime.settings import Budget, TrainSettings
from ein.runtime.train import train
from ein.runtime.weights import load_weights, save_weights

PREPARE = "ein.runtime.candidate:prepare_task"
TRAIN = "ein.runtime.candidate:train_job"
TEST = "ein.runtime.candidate:test_job"


@lru_cache(maxsize=2)
def prepare_task(data: str, data_seed: int = 0, kind: str | None = None) -> Task:
    """`load_task`, once for each process and the forks of it."""
    return load_task(data, data_seed, kind)


def build(source: str, seed: int = 0) -> nn.Module:
    """The `Net` of a source text, built without arguments under `seed`.

    Lines of the text show in tracebacks. Raises `EinError` if the text defines no `Net`, and what the text raises.
    """
    name = "<candidate>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    space: dict[str, Any] = {"__name__": "candidate"}
    exec(compile(source, name, "exec"), space)
    if not isinstance(space.get("Net"), type) or not issubclass(space["Net"], nn.Module):
        raise fail("E820", "the source of the candidate defines no torch module `Net`")
    with seeded(seed):
        net: nn.Module = space["Net"]()
    return net


def train_job(
    source: str,
    data: str,
    budget: dict[str, Any],
    settings: dict[str, Any] | None = None,
    seed: int = 0,
    data_seed: int = 0,
    kind: str | None = None,
    device: str = "cpu",
    weights: str | None = None,
) -> dict[str, Any]:
    """`TrainLog.to_json()` of the candidate; `weights`: where to save what was trained.

    Raises `JobFailed` with the reason and the log if training stopped early, `EinError` if an argument does not fit.
    """
    task = prepare_task(data, data_seed, kind)
    chosen = TrainSettings.of(settings or {})
    module = build(source, seed)
    log = train(module, task, chosen, Budget(**budget), seed, device)
    found = log.to_json()
    if log.reason:
        raise JobFailed(log.reason, found)
    if weights is not None:
        about = {name: found[name] for name in ("valid_accuracy", "settings", "seed", "steps", "parameters")}
        save_weights(module, weights, {**about, "task": task.to_json()})
        found["weights"] = weights
    return found


def test_job(
    source: str,
    data: str,
    weights: str,
    data_seed: int = 0,
    kind: str | None = None,
    device: str = "cpu",
    batch: int = BATCH,
) -> dict[str, Any]:
    """Accuracy and loss of saved weights on the test examples, which are gone through once."""
    task = prepare_task(data, data_seed, kind)
    module = build(source)
    load_weights(module, weights)
    try:
        score = evaluate_test(module.to(device), task, device, batch)
    except OutputError as error:
        raise JobFailed(str(error)) from None
    return {"test_accuracy": score.accuracy, "test_loss": score.loss, "examples": score.examples}
