"""The main job on data that needs no download: `make demo`.

Evolves networks of einspace on scikit-learn's digits, each trained for a few seconds in a process of
its own, beside zoo/resnet8 and a small hand-written torch network, and writes the best one as `.ein`,
source and pictures.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from ein import training
from ein.cli.common import amount, folder, report
from ein.cli.search import Progress, keep, summary
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.files import read_architecture, write
from ein.grammar.diagnostics import fail
from ein.space import Space, load

if TYPE_CHECKING:
    from ein.search.executor import Executor
    from ein.search.protocol import Trial
    from ein.search.study import Study
    from ein.searching import Trainer

SHOWN = 12
"""Trials in the table."""

BY_HAND = """\
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(16)
        self.norm2 = nn.BatchNorm2d(32)
        self.linear = nn.Linear(32 * 2 * 2, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.norm2(self.conv2(x))), 2)
        return self.linear(x.flatten(1))
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; shares between 0 and 1, None where there is none."""

    name: str
    valid: float | None
    test: float | None
    parameters: int
    macs: int | None
    term: str

    def text(self) -> str:
        valid, test = (("-" if x is None else f"{100 * x:.2f}%") for x in (self.valid, self.test))
        macs = "-" if self.macs is None else amount(self.macs)
        term = self.term if len(self.term) <= 90 else f"{self.term[:86]} ..."
        return f"{self.name:<16} {valid:>7} {test:>7} {amount(self.parameters):>8} {macs:>8}  {term}"


HEAD = f"{'network':<16} {'valid':>7} {'test':>7} {'params':>8} {'MACs':>8}  term"


@click.command()
@click.option("--evals", default=48, show_default=True, type=click.IntRange(min=1), help="Networks to train.")
@click.option("--population", default=8, show_default=True, type=click.IntRange(min=1))
@click.option("--seconds", default=3.0, show_default=True, type=click.FloatRange(0.2), help="Of training, each.")
@click.option("--seed", default=0, show_default=True)
@click.option("--workers", default=min(2, os.cpu_count() or 1), show_default=True, type=click.IntRange(min=1))
@click.option("-o", "--out", default="demo", show_default=True, help="Folder for the study and the best network.")
def demo(evals: int, population: int, seconds: float, seed: int, workers: int, out: str) -> None:
    """Evolve networks of einspace on the digits, and compare them with two that people wrote."""
    from ein.searching import search

    begun = monotonic()
    target = folder(out)
    _clear(target)
    data = training.Data.of("digits")
    space = load("einspace", input=data.input, output=data.output)
    click.echo(
        f"einspace on {data.name} ({data.input} -> {data.output}): {evals} networks, each trained for {seconds:g} s,"
        f" {workers} at a time, population {population}"
    )
    rows: list[Row] = []

    def finish(study: Study, executor: Executor) -> None:
        rows.extend(_judge(space, study, executor, target))  # type: ignore[arg-type]

    with Progress(evals) as progress:
        study = search(
            space, data=data.name, evals=evals, population=population, seconds=seconds, seed=seed, workers=workers,
            out=target, on_event=progress, finish=finish,
        )  # fmt: skip
    click.echo("\n".join([HEAD, *(row.text() for row in rows)]))
    click.echo(summary(study))
    tally = study.tally()
    facts = {
        "trials": len(study), "founders": tally.founders, "children": tally.children, "improved": tally.improved,
        "seconds": monotonic() - begun, "table": [[row.name, row.valid, row.test] for row in rows],
    }  # fmt: skip
    write(target / "summary.json", json.dumps(facts, indent=1) + "\n")
    click.echo(f"{monotonic() - begun:.0f} s in all")


def _clear(target: Path) -> None:
    """Takes away the study of an earlier demo, and nothing else."""
    for name in ("study.db", "study.db-wal", "study.db-shm"):
        (target / name).unlink(missing_ok=True)
    rmtree(target / "weights", ignore_errors=True)


def _judge(space: Space, study: Study, executor: Trainer, target: Path) -> list[Row]:
    """The best trials, and the two references trained and tested like them; writes the best."""
    from ein.search.protocol import rebuilt

    best = study.best(SHOWN)
    if not best:
        raise fail("E840", "none of the networks could be trained", help=f"`ein top {target}` says why")
    derivations = [rebuilt(space.sampler, trial) for trial in best]
    tested = executor.test(best[0].number, derivations[0])
    rows = [_row(trial, derivation) for trial, derivation in zip(best, derivations, strict=True)]
    rows[0] = Row(f"* {rows[0].name}", rows[0].valid, _only(tested.scores), *_rest(rows[0]))
    rows += _references(executor, target)
    written = keep(target, derivations[0], best[0])
    click.echo(f"the best, as text, code and picture: {', '.join(map(str, written))}\n")
    return sorted(rows, key=lambda row: -(row.valid or 0))


def _rest(row: Row) -> tuple[int, int | None, str]:
    return row.parameters, row.macs, row.term


def _row(trial: Trial, derivation: Derivation) -> Row:
    cost = derivation.cost
    return Row(f"{trial.kind} {trial.number}", _only(trial.scores), None, cost.parameters, cost.macs, trial.term)


def _only(scores: Any) -> float | None:
    return next(iter(scores.values()), None)


def _references(executor: Trainer, target: Path) -> list[Row]:
    """zoo/resnet8, and a network written by hand, side by side."""
    from ein.networks import emit

    resnet = read_architecture("zoo/resnet8", executor.data.request())
    sources = {"zoo/resnet8": emit(resnet), "by hand": BY_HAND}
    weights = {name: str(target / "weights" / f"reference{i}.safetensors") for i, name in enumerate(sources)}
    handles = {
        name: training.start(
            executor.fence, source, executor.data, executor.budget, executor.settings, weights=weights[name]
        )
        for name, source in sources.items()
    }
    while any(handle.outcome is None for handle in handles.values()):
        executor.fence.wait([handle for handle in handles.values() if handle.outcome is None])
    rows = []
    for name, handle in handles.items():
        outcome = handle.outcome
        if outcome is None or not outcome.ok:
            raise fail("E840", f"{name} could not be trained: {outcome.reason if outcome else 'it was not started'}")
        test = training.test(executor.fence, sources[name], executor.data, weights[name])
        accuracy = test.value["test_accuracy"] if test.ok else None
        macs = resnet.cost.macs if name == "zoo/resnet8" else None
        term = resnet.text if name == "zoo/resnet8" else "conv, norm, relu, pool, twice, and a linear layer"
        rows.append(Row(name, outcome.value["valid_accuracy"], accuracy, outcome.value["parameters"], macs, term))
    return rows


def main() -> None:
    """Ends the process with the same statuses as `ein`."""
    try:
        demo.main(prog_name="ein.demo", standalone_mode=False)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        sys.exit(report(error))


if __name__ == "__main__":
    main()
