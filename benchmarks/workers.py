"""How much more two one-thread workers finish than one: the same fixed work, trained in fenced processes.

    python benchmarks/workers.py [--candidates 8] [--steps 60]

Wall time of the search's own executor, after the fork server is warm. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from time import perf_counter

import ein
from ein import training
from ein.searching import Trainer


def seconds(workers: int, candidates: int, steps: int) -> float:
    """Wall seconds for all candidates, each `steps` batches of zoo/resnet8 on the digits."""
    data = training.Data.of("digits")
    derivation = ein.architecture("zoo/resnet8", input=data.input)
    with tempfile.TemporaryDirectory() as folder:
        executor = Trainer(data, {"steps": steps}, {}, 0, workers, Path(folder))
        try:
            executor.submit(-1, derivation)
            executor.wait()  # starts the server and loads the data
            begun = perf_counter()
            waiting, running = list(range(candidates)), 0
            while waiting or running:
                while waiting and running < workers:
                    executor.submit(waiting.pop(0), derivation)
                    running += 1
                for _, outcome in executor.wait():
                    if outcome.status != "ok":
                        raise SystemExit(f"a candidate ended with {outcome.status}: {outcome.reason}")
                    running -= 1
            return perf_counter() - begun
        finally:
            executor.close()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--candidates", type=int, default=8)
    arguments.add_argument("--steps", type=int, default=60)
    given = arguments.parse_args()
    one = seconds(1, given.candidates, given.steps)
    two = seconds(2, given.candidates, given.steps)
    print(f"{given.candidates} candidates of {given.steps} steps: 1 worker {one:.1f} s, 2 workers {two:.1f} s")
    print(f"2 workers finish {one / two:.2f} times as many an hour (wanted: 1.8)")


if __name__ == "__main__":
    main()
