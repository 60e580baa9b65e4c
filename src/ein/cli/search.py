"""`ein search`, `ein top`, `ein export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ein.cli.common import SEEDS, FiniteRange, folder, json_option, print_json, request, request_options, tell
from ein.cli.sample import SizeRange
from ein.cli.train import Device, usual_budget
from ein.grammar.diagnostics import fail

if TYPE_CHECKING:
    from ein.search.executor import Executor
    from ein.search.protocol import Trial
    from ein.search.study import Study


@click.command("search")
@click.argument("grammar")
@click.option("--data", required=True, help="digits, iris, wine, breast_cancer, or a path: folder, .npz or .csv.")
@click.option("--evals", required=True, type=click.IntRange(min=1), help="Trials in all.")
@click.option("--strategy", type=click.Choice(["evolution", "einspace", "random"]), help="[default: evolution]")
@click.option("--population", type=click.IntRange(min=1), help="[default: evals // 8, from 8 to 100]")
@click.option("--tournament", type=click.IntRange(min=1), help="[default: population // 10, at least 2]")
@click.option("--seeds", multiple=True, metavar="ARCH", help="Begin with this architecture. Can be given again.")
@click.option("--size", type=SizeRange(), metavar="K|A..B", help="Modules of founders: a number, or a range.")
@click.option("--epochs", type=click.IntRange(min=1), help="Train each for so many epochs. [default: 20]")
@click.option("--steps", type=click.IntRange(min=1), help="Train each for so many batches.")
@click.option("--seconds", type=FiniteRange(min=0, min_open=True), help="Train each for so many seconds.")
@click.option("--train", "training", multiple=True, metavar="KEY=VALUE", help="batch, lr, optimiser, schedule, …")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Trained at a time.")
@click.option("--memory", default=4.0, show_default=True, type=FiniteRange(0.5), help="Gigabytes of each.")
@click.option("--device", default="cpu", show_default=True, type=Device(), help="cpu, cuda, cuda:1, mps.")
@click.option("--seed", type=SEEDS, help="The same seed proposes the same. [default: 0]")
@click.option("--out", metavar="DIR", help="Keep the study and the best network here.")
@click.option("--resume", is_flag=True, help="Go on with the study in DIR.")
@click.option("--test", "with_test", is_flag=True, help="Judge the best on the test set at the end, once.")
@request_options()
def search_command(
    grammar: str,
    data: str,
    evals: int,
    strategy: str | None,
    population: int | None,
    tournament: int | None,
    seeds: tuple[str, ...],
    size: tuple[int, int] | None,
    epochs: int | None,
    steps: int | None,
    seconds: float | None,
    training: tuple[str, ...],
    workers: int,
    memory: float,
    device: str,
    seed: int | None,
    out: str | None,
    resume: bool,
    with_test: bool,
    settings: tuple[str, ...],
    input: str | None,
    output: str | None,
    limits: tuple[str, ...],
) -> int:
    """Searches a space for networks that are good on data. A study that was stopped goes on with --resume.

    \b
    ein search einspace --data digits --evals 100 --seconds 3 --workers 2 --out runs/a
    ein search einspace --data digits --evals 200 --seconds 3 --workers 2 --out runs/a --resume
    """
    from ein.grammar.check import load_grammar
    from ein.runtime.settings import TrainSettings
    from ein.searching import search
    from ein.space import Space
    from ein.training import Data

    if resume and out is None:
        raise click.UsageError("--resume goes with --out, the folder of the study")
    usual_budget(epochs, steps, seconds)
    chosen = TrainSettings.parse(training).to_json()
    space = Space(load_grammar(grammar, Data.of(data).request(request(settings, input, output, limits))))
    tell(space.warnings)
    if out is not None:
        folder(out)
    with Progress(evals) as progress:
        try:
            study = search(
                space, data=data, evals=evals, strategy=strategy, population=population, tournament=tournament,
                seeds=seeds, size=size, epochs=epochs, steps=steps, seconds=seconds, train=chosen, workers=workers,
                memory=int(memory * (1 << 30)), device=device, seed=seed, out=out, resume=resume, on_event=progress,
                finish=_finish(space, out, with_test),
            )  # fmt: skip
        except KeyboardInterrupt:
            progress.stop()
            kept = f"what ended is kept: go on with `--out {out} --resume`" if out else "without --out nothing is kept"
            click.echo(f"stopped after {progress.ended} trials; {kept}", err=True)
            return 130
    click.echo(table(study, 5))
    click.echo(summary(study))
    return 0


def _finish(space: Any, out: str | None, with_test: bool) -> Any:
    """What is done at the end, while the executor is open: files of the best, and its test."""

    def finish(study: Study, executor: Executor) -> None:
        from ein.search.protocol import rebuilt
        from ein.searching import Trainer

        found = study.best(1)
        if not found:
            return
        best = rebuilt(space.sampler, found[0])
        if out is not None:
            keep(Path(out), best, found[0])
        if with_test and isinstance(executor, Trainer):
            outcome = executor.test(found[0].number, best)
            if outcome.status != "ok":
                raise fail("E840", f"the test ended early: {outcome.reason}")
            (accuracy,) = outcome.scores.values()
            click.echo(f"test accuracy of trial {found[0].number}: {100 * accuracy:.2f}%")

    return finish


def keep(out: Path, best: Any, trial: Trial) -> list[Path]:
    """The best as text, code and picture; raises EinError where they cannot be written."""
    from ein.grammar.derivations.files import derivation_text, write
    from ein.networks import draw, emit

    scores = ", ".join(f"{name} {value:.4f}" for name, value in trial.scores.items())
    write(out / "best.ein", derivation_text(best, f"Trial {trial.number}: {scores}. {best.id}"))
    write(out / "best.py", emit(best))
    pictures = [
        draw(best, out / name, view=view, title=f"trial {trial.number}", say=lambda line: click.echo(line, err=True))
        for name, view in (("best.svg", "graph"), ("best.png", "graph"), ("best-derivation.svg", "derivation"))
    ]
    return [out / "best.ein", out / "best.py", *pictures]


class Progress:
    """A bar on a terminal with the best score so far; nothing elsewhere."""

    def __init__(self, evals: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("searching"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.description}"),
        )
        self.bar = Bar(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        self.task = self.bar.add_task("", total=evals)
        self.ended = 0
        self.best = float("-inf")

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.bar.stop()

    def __call__(self, trial: Trial) -> None:
        if trial.finished:
            self.ended += 1
            self.best = max([self.best, *trial.scores.values()])
            self.bar.update(self.task, completed=trial.number + 1, description=f"best {self.best:.4f}")


def table(study: Study, n: int) -> str:
    """The best trials, a line each."""
    from ein.search import results

    lines = [f"{'trial':>5} {'score':>8} {'gain':>8} {'kind':<8} {'modules':>7}  term"]
    for row in results.table(study.trials, n):
        gain = "" if row.gain is None else f"{row.gain:+.4f}"
        term = row.term if len(row.term) <= 90 else f"{row.term[:86]} ..."
        lines.append(f"{row.number:>5} {row.score:>8.4f} {gain:>8} {row.kind:<8} {row.modules:>7}  {term}")
    return "\n".join(lines)


def summary(study: Study) -> str:
    """How the trials came about and ended."""
    tally = study.tally()
    endings = ", ".join(f"{count} {status}" for status, count in tally.statuses.items())
    lines = [
        f"{len(study)} trials ({endings}): {tally.seeds} seeds, {tally.founders} founders, {tally.children} children;"
        f" {tally.improved} of {tally.judged} children that were trained beat their parent"
    ]
    lines += [f"  {count} x {reason}" for reason, count in list(tally.reasons.items())[:5]]
    return "\n".join(lines)


@click.command("top")
@click.argument("directory", metavar="DIR")
@click.option("-n", "count", default=10, show_default=True, type=click.IntRange(min=1), help="How many.")
@json_option
def top_command(directory: str, count: int, as_json: bool) -> None:
    """The best of a study, also while its search is running.

    \b
    ein top runs/a -n 5
    """
    from dataclasses import asdict

    from ein.search import results
    from ein.search.study import Study

    study = Study.read(directory)
    if as_json:
        print_json([asdict(row) for row in results.table(study.trials, count)])
    else:
        click.echo(table(study, count))
        click.echo(summary(study))


@click.command("export")
@click.argument("directory", metavar="DIR")
@click.option("-o", "--out", metavar="FILE", help="Where to write; standard output if not given.")
def export_command(directory: str, out: str | None) -> None:
    """A study as JSON lines: a trial each, with id, term, status, scores and how it came about.

    \b
    ein export runs/a -o runs/a.jsonl
    """
    from ein.grammar.derivations.files import write
    from ein.search.study import Study

    lines = list(Study.read(directory).to_jsonl())
    text = "".join(f"{line}\n" for line in lines)
    if out is None:
        click.echo(text, nl=False)
    else:
        write(Path(out), text)
        click.echo(f"{out}: {len(lines)} trials", err=True)
