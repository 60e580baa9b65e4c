"""The main job on data that needs no download: `make demo`.

Draws derivations of einspace for scikit-learn's digits, trains each for a few seconds in a process of
its own beside zoo/resnet8 and a small hand-written torch network, and writes the best one as `.ein`,
source and pictures.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from ein import training
from ein.cli.common import amount, report
from ein.grammar.check import load_grammar
from ein.grammar.derivation import Derivation
from ein.grammar.diagnostics import fail
from ein.grammar.files import derivation_text, read_architecture, write
from ein.grammar.sample import Sampler

if TYPE_CHECKING:
    from ein.runtime.fence import Fence, Handle

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


@dataclass(slots=True)
class Candidate:
    """A network of the table; `derivation` is None for the one written by hand."""

    name: str
    source: str
    derivation: Derivation | None
    weights: str
    handle: Handle | None = None
    test_accuracy: float | None = None

    @property
    def value(self) -> dict[str, Any]:
        outcome = self.handle.outcome if self.handle else None
        return outcome.value if outcome is not None and outcome.ok else {}

    @property
    def accuracy(self) -> float:
        return float(self.value.get("valid_accuracy", -1.0))


@click.command()
@click.option("-n", "count", default=24, show_default=True, type=click.IntRange(min=1), help="Derivations to draw.")
@click.option("--seconds", default=3.0, show_default=True, type=click.FloatRange(0.2), help="Of training, each.")
@click.option("--seed", default=0, show_default=True)
@click.option("--workers", default=min(2, os.cpu_count() or 1), show_default=True, type=click.IntRange(min=1))
@click.option("-o", "--out", default="demo", show_default=True, help="Folder for the best network.")
def demo(count: int, seconds: float, seed: int, workers: int, out: str) -> None:
    """Draw, train and compare architectures of einspace on the digits."""
    from ein.runtime.fence import Fence

    begun = monotonic()
    data = training.Data.of("digits")
    grammar = load_grammar("einspace", data.request())
    sampler = Sampler.of(grammar)
    drawn = [sampler.draw(seed, index) for index in range(count)]
    click.echo(
        f"{count} derivations of einspace ({sampler.attempts} attempts, {monotonic() - begun:.1f} s), each trained for"
        f" {seconds:g} s on {data.name}: {data.input} -> {data.output}; {workers} at a time"
    )
    with TemporaryDirectory() as temporary, Fence() as fence:
        candidates = list(_candidates(drawn, data, temporary))
        training.prepare(fence, data)
        _train(fence, candidates, data, {"seconds": seconds}, seed, workers)
        best = max(candidates[:count], key=lambda c: c.accuracy)
        if best.accuracy < 0:
            raise fail("E840", "none of the derivations could be trained", help="the table says why for each")
        for candidate in (best, *candidates[count:]):
            _test(fence, candidate, data)
        click.echo(_table(candidates, best))
        _keep(Path(out), best)
    click.echo(f"\n{monotonic() - begun:.0f} s in all")


def _candidates(drawn: Sequence[Derivation], data: training.Data, folder: str) -> Iterator[Candidate]:
    from ein.networks import emit

    for index, derivation in enumerate(drawn):
        yield Candidate(f"einspace {index:2}", emit(derivation), derivation, f"{folder}/{index}.safetensors")
    resnet = read_architecture("zoo/resnet8", data.request())
    yield Candidate("zoo/resnet8", emit(resnet), resnet, f"{folder}/resnet8.safetensors")
    yield Candidate("by hand", BY_HAND, None, f"{folder}/hand.safetensors")


def _train(
    fence: Fence, candidates: list[Candidate], data: training.Data, budget: dict[str, float], seed: int, workers: int
) -> None:
    """Trains all, `workers` at a time, in order."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    waiting = list(reversed(candidates))
    running: list[Candidate] = []
    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("", total=len(candidates))
        while waiting or running:
            while waiting and len(running) < workers:
                candidate = waiting.pop()
                candidate.handle = training.start(
                    fence, candidate.source, data, budget, seed=seed, weights=candidate.weights
                )
                running.append(candidate)
            done = fence.wait([c.handle for c in running if c.handle is not None], timeout=1.0)
            progress.advance(bar, len(done))
            running = [c for c in running if c.handle is not None and c.handle.outcome is None]


def _test(fence: Fence, candidate: Candidate, data: training.Data) -> None:
    if candidate.accuracy >= 0:
        outcome = training.test(fence, candidate.source, data, candidate.weights)
        candidate.test_accuracy = outcome.value["test_accuracy"] if outcome.ok else None


def _table(candidates: Sequence[Candidate], best: Candidate) -> str:
    lines = [f"{'network':<13} {'valid':>7} {'test':>7} {'params':>8} {'MACs':>8}  term"]
    for candidate in sorted(candidates, key=lambda c: -c.accuracy):
        mark = "*" if candidate is best else " "
        lines.append(f"{mark}{_row(candidate)}")
    return "\n".join(lines)


def _row(candidate: Candidate) -> str:
    derivation, outcome = candidate.derivation, candidate.handle.outcome if candidate.handle else None
    parameters = derivation.cost.parameters if derivation else candidate.value.get("parameters", 0)
    macs = amount(derivation.cost.macs) if derivation else "-"
    test = "-" if candidate.test_accuracy is None else f"{100 * candidate.test_accuracy:.2f}%"
    valid = f"{100 * candidate.accuracy:.2f}%" if candidate.accuracy >= 0 else "-"
    said = _short(derivation.text) if derivation else "conv, norm, relu, pool, twice, and a linear layer"
    if outcome is not None and not outcome.ok:
        said = f"[{outcome.status}: {outcome.reason}] {said}"
    return f"{candidate.name:<12} {valid:>7} {test:>7} {amount(parameters):>8} {macs:>8}  {said}"


def _short(text: str, width: int = 100) -> str:
    return text if len(text) <= width else f"{text[: width - 4]} ..."


def _keep(out: Path, best: Candidate) -> None:
    """The best derivation as text, code and pictures."""
    from ein.networks import draw

    assert best.derivation is not None
    comment = f"The best of the demo: {100 * best.accuracy:.2f}% on validation. {best.derivation.id}"
    write(out / "best.ein", derivation_text(best.derivation, comment))
    write(out / "best.py", best.source)
    pictures = [
        draw(best.derivation, out / name, view=view, title="The best of the demo", say=lambda line: click.echo(line))
        for name, view in (("best.svg", "graph"), ("best.png", "graph"), ("best-derivation.svg", "derivation"))
    ]
    names = ", ".join(str(path) for path in (out / "best.ein", out / "best.py", *pictures))
    click.echo(f"\nthe best, as text, code and picture: {names}")


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
