"""How much the record of a search costs: trials per second with 10,000 stored, and seconds until a search goes on.

    python benchmarks/study.py [--trials 10000] [--folder DIR]

A trial is written twice: its proposal before it starts, its outcome after it has ended. Optuna, where it is installed,
stores as many trials of one text each in SQLite, with its random sampler; it is slow, so it is given fewer.
"""

from __future__ import annotations

import argparse
import importlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from ein.grammar.check import load_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.sample import Sampler
from ein.search.evolution import Evolution
from ein.search.executor import Inline, Outcome
from ein.search.loop import run
from ein.search.protocol import LAG, Trial
from ein.search.study import Study, header

FACTS = {"history": [{"epoch": epoch, "loss": 1.25, "accuracy": 0.5} for epoch in range(8)], "parameters": 123456}


def timed(work: Callable[[], Any]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def stored(folder: Path, drawn: list[Derivation], trials: int, durable: bool, head: dict[str, Any]) -> float:
    """Seconds to write so many trials, one after another, as the loop writes them."""
    proposals = [
        Trial(number, "child", 0, 0, each.id, f"{each.trace} {number}", each.text, each.modules, f"1:{number:032x}")
        for number, each in enumerate(drawn[number % len(drawn)] for number in range(trials))
    ]

    def write() -> None:
        for trial in proposals:
            study.propose(trial)
            study.finish([(trial.number, Outcome("ok", {"accuracy": 0.5}, "", 10.0, FACTS))])
        study.sync()

    with Study.open(folder, head, durable=durable) as study:
        return timed(write)


def searched(folder: Path, strategy: Evolution, sampler: Sampler, evals: int) -> float:
    """Seconds of a search whose fitness costs nothing; identity is the text, so no graph is built."""

    def search() -> None:
        with Study.open(folder, header(strategy, sampler, LAG), resume=True) as study:
            run(study, strategy, Inline(lambda each: each.modules), evals, lambda each: each.text)

    return timed(search)


def optuna_rate(folder: Path, trials: int) -> float | None:
    """Trials per second of Optuna on SQLite; None where it is not installed."""
    try:
        optuna: Any = importlib.import_module("optuna")
    except ImportError:
        return None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = f"sqlite:///{folder / 'optuna.db'}"
    study = optuna.create_study(storage=url, sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial: Any) -> float:
        trial.set_user_attr("term", "relu >> " * 20)
        return 0.5

    return trials / timed(lambda: study.optimize(objective, n_trials=trials))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--folder", help="on the disk to be measured (else a temporary one)")
    arguments = parser.parse_args()
    sampler = Sampler.of(load_grammar("einspace"))
    strategy = Evolution(sampler)
    drawn = list(sampler.samples(200, 0))
    head = header(strategy, sampler, LAG)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as made:
        folder = Path(made)
        rates = {}
        for durable in (True, False):
            place = folder / f"{durable}"
            rates[durable] = arguments.trials / stored(place, drawn, arguments.trials, durable, head)
            size = (place / "study.db").stat().st_size / arguments.trials / 1024
            mode, target = ("durable", 150) if durable else ("relaxed", 1000)
            print(f"write, {mode}: {rates[durable]:,.0f} trials/s (at least {target}), {size:.1f} KB a trial")
        read = timed(lambda: Study.read(folder / "True"))
        print(f"read {arguments.trials:,} trials: {read:.2f} s")
        begun = searched(folder / "search", strategy, sampler, arguments.trials)
        print(f"search einspace, fitness for nothing: {arguments.trials / begun:,.0f} trials/s")
        resumed = searched(folder / "search", strategy, sampler, arguments.trials)
        print(f"resume {arguments.trials:,} trials: {resumed:.2f} s")
        theirs = optuna_rate(folder, max(10, arguments.trials // 100))
        if theirs is None:
            print("optuna is not installed here")
        else:
            print(f"optuna on SQLite: {theirs:,.1f} trials/s; ours, durable, is {rates[True] / theirs:,.0f} times that")


if __name__ == "__main__":
    main()
