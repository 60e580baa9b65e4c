"""Search over a space: what `ein.search` and `ein search` bind together.

The algorithms of `ein.search` are handed functions; here they get the real ones: training in fenced
processes for the score, the canonical id of the network for identity.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ein import training
from ein.grammar.cfg import Grammar, value_text
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import fail
from ein.grammar.matching.match import derive
from ein.search.executor import Executor, Fitness, Inline, Outcome
from ein.search.loop import run
from ein.search.named import strategy as named_strategy
from ein.search.protocol import Trial, lag_for, score
from ein.search.study import Study, header
from ein.space import Space, _window, architecture

if TYPE_CHECKING:
    from ein.runtime.data import Task
    from ein.runtime.fence import Handle, Limits

ENDINGS = ("ok", "error", "timeout", "memory", "crash")


class Trainer:
    """An executor that trains each candidate on one thread in a process of its own.

    The score is `accuracy` on validation; the test set is not touched. Weights are written to `folder`.
    """

    def __init__(
        self,
        data: training.Data,
        budget: Mapping[str, float],
        settings: Mapping[str, Any],
        seed: int,
        workers: int,
        folder: Path,
        memory: int = training.MEMORY,
        device: str = "cpu",
    ) -> None:
        from ein.runtime.fence import Fence

        self.data = data
        self.budget = dict(budget)
        self.settings = dict(settings)
        self.seed = seed
        self.workers = workers
        self.folder = folder
        self.device = device
        self.within: Limits = training.limits(budget, memory=memory)
        self.fence = Fence()
        self.running: dict[int, Handle] = {}
        folder.mkdir(parents=True, exist_ok=True)
        training.prepare(self.fence, data)

    def submit(self, number: int, derivation: Derivation) -> None:
        from ein.networks import emit

        self.running[number] = training.start(
            self.fence, emit(derivation), self.data, self.budget, self.settings,
            seed=self.seed + number, weights=str(self.weights(number)), device=self.device, within=self.within,
        )  # fmt: skip

    def wait(self, timeout: float | None = None) -> list[tuple[int, Outcome]]:
        done = self.fence.wait(self.running.values(), timeout)
        finished = [(number, handle) for number, handle in self.running.items() if handle in done]
        for number, _ in finished:
            del self.running[number]
        return [(number, _outcome(handle)) for number, handle in finished]

    def close(self) -> None:
        self.fence.close()
        self.running.clear()

    def weights(self, number: int) -> Path:
        """Where the weights of a trial are."""
        return self.folder / f"{number}.safetensors"

    def test(self, number: int, derivation: Derivation) -> Outcome:
        """Accuracy of a trial's weights on the test set: once, for what was chosen on validation."""
        from ein.networks import emit

        found = training.test(self.fence, emit(derivation), self.data, str(self.weights(number)), self.device)
        return Outcome.of(found.value["test_accuracy"]) if found.ok else Outcome("error", reason=found.reason)


def _outcome(handle: Handle) -> Outcome:
    found = handle.outcome
    assert found is not None
    value = found.value if isinstance(found.value, dict) else {}
    facts = {name: value[name] for name in ("epochs", "steps", "train_loss", "parameters") if name in value}
    facts["peak_bytes"] = found.peak_bytes
    if found.ok:
        return Outcome("ok", {"accuracy": float(value["valid_accuracy"])}, "", found.seconds, facts)
    status = found.status if found.status in ENDINGS else "error"
    return Outcome(status, {}, found.reason, found.seconds, facts)  # type: ignore[arg-type]


class Weights:
    """Keeps the weights of the best trial so far, and of no other."""

    def __init__(self, trainer: Trainer, trials: Sequence[Trial]) -> None:
        self.trainer = trainer
        scored = [trial for trial in trials if trial.status == "ok"]
        self.best = max(scored, key=lambda trial: (score(trial), -trial.number), default=None)

    def __call__(self, trial: Trial) -> None:
        if not trial.finished or trial.status == "duplicate":
            return
        better = trial.status == "ok" and (self.best is None or score(trial) > score(self.best))
        worse, self.best = (self.best, trial) if better else (trial, self.best)
        if worse is not None:
            self.trainer.weights(worse.number).unlink(missing_ok=True)


def search(
    space: Space,
    fitness: Fitness | None = None,
    *,
    data: str | None = None,
    task: Task | None = None,
    evals: int,
    strategy: str | None = None,
    seed: int | None = None,
    population: int | None = None,
    tournament: int | None = None,
    seeds: Sequence[str | os.PathLike[str] | Derivation] = (),
    size: tuple[int, int] | int | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    train: Mapping[str, Any] | None = None,
    workers: int = 1,
    memory: int = training.MEMORY,
    device: str = "cpu",
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    on_event: Callable[[Trial], None] | None = None,
    finish: Callable[[Study, Executor], None] | None = None,
) -> Study:
    """Searches until there are `evals` trials, and returns the study.

    Either `fitness` judges a derivation (a number or a mapping of objectives, higher is better), in this
    process; or each is trained on `data` (as `ein train` names it) or `task`, for so many epochs, steps
    or seconds, `workers` at a time. `strategy` is evolution, einspace or random; `seeds` are
    architectures that the space derives. `out` keeps the study; with `resume` it goes on where it
    stopped. `finish` is called at the end, while the executor is still open.

    Raises EinError, and ValueError for arguments that do not go together.
    """
    if sum(given is not None for given in (fitness, data, task)) != 1:
        raise ValueError("give one of fitness, data and task")
    if evals < 1 or workers < 1:
        raise ValueError(f"evals and workers are at least 1, got {evals} and {workers}")
    if fitness is not None and workers != 1:
        raise ValueError("a fitness runs in this process, so workers is 1")
    kept = Study.kept_header(out) if out is not None and resume else None
    sampler = space.sampler
    chosen = named_strategy(
        strategy, sampler, evals, seed=seed, population=population, tournament=tournament,
        seeds=[seed_derivation(sampler, one) for one in seeds], size=_window(size), kept=kept,
    )  # fmt: skip
    lag = lag_for(workers) if kept is None else int(kept["lag"])
    with TemporaryDirectory() as temporary:
        folder = Path(temporary if out is None else out)
        executor: Executor
        about: dict[str, Any] = {}
        if fitness is not None:
            executor = Inline(fitness)
        else:
            of = training.Data.of(data) if data is not None else training.Data.written(task, folder)  # type: ignore[arg-type]
            fits(space, of)
            _portable(space)
            budget = training.budget(epochs, steps, seconds)
            about = {"data": of.name, "budget": budget, "train": training.settings(train)}
            weights = folder / "weights"
            executor = Trainer(of, budget, about["train"], chosen.seed, workers, weights, memory, device)
        said = header(chosen, sampler, lag, **about)
        with _closing(executor), Study.open(out, said, resume=resume, notes=_notes(about, sampler.grammar)) as study:
            keep = Weights(executor, study.trials) if isinstance(executor, Trainer) else None
            run(study, chosen, executor, evals, _identity(), _both(keep, on_event))
            if finish is not None:
                finish(study, executor)
    return study


def seed_derivation(sampler: Sampler, what: str | os.PathLike[str] | Derivation) -> Derivation:
    """An architecture as a derivation of the space. Raises EinError where the space does not derive it."""
    if not isinstance(what, Derivation):
        what = architecture(what, input=repr(sampler.grammar.input), output=_output(sampler))
    return what if what.space is sampler.space else derive(sampler.space, what.term)


def _output(sampler: Sampler) -> str | None:
    return None if sampler.grammar.output is None else repr(sampler.grammar.output)


def fits(space: Space, data: training.Data) -> None:
    """Raises EinError where the space is of other types than the data."""
    data.agree(repr(space.grammar.input), space.grammar.output, f"the space `{space.name}`")


def _portable(space: Space) -> None:
    """Raises EinError where the processes that train could not find an operator of this one."""
    from ein.host import hosts

    for host in hosts(space.grammar):
        if not host.is_portable:
            text = (
                f"`{host.declaration.name}` is a Python operator of this process alone, and others train the networks"
            )
            help = f"put `{host.name}` into a module of its own, or let it use torch and the standard library alone"
            raise fail("E812", text, help=help)


def _identity() -> Callable[[Derivation], str]:
    from ein.compiler.identity import derivation_identity

    return derivation_identity


def _notes(about: Mapping[str, Any], grammar: Grammar) -> dict[str, Any]:
    """What a reader of the study should know. `asked`: what the space was given, to find it again."""
    from ein import __version__

    values = {name: value_text(value) for name, value in grammar.env.items()}
    asked = {"set": values, "output": None if grammar.output is None else repr(grammar.output)}
    notes: dict[str, Any] = {"ein": __version__, "asked": asked}
    if "seconds" in about.get("budget", {}):
        notes["repeats"] = "a budget in seconds depends on the machine: another run gives other scores"
    return notes


def _both(*functions: Callable[[Trial], None] | None) -> Callable[[Trial], None]:
    def call(trial: Trial) -> None:
        for function in functions:
            if function is not None:
                function(trial)

    return call


@contextmanager
def _closing(executor: Executor) -> Iterator[Executor]:
    try:
        yield executor
    finally:
        executor.close()
