"""`ein train`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ein.cli.common import FiniteRange, folder, json_option, print_json, request, request_options, seed_option, tell
from ein.cli.network import ARCH
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.diagnostics import fail

if TYPE_CHECKING:
    from ein.training import Data


class Device(click.ParamType[str]):
    """`cpu`, `cuda`, `cuda:1`, `mps`; whether this machine has it is seen when training starts."""

    name = "text"

    def convert(self, value: Any, parameter: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(r"cpu|mps|cuda(:\d{1,3})?", str(value)):
            self.fail(f"{value!r} is none of cpu, cuda, cuda:1 (the second card), mps", parameter, ctx)
        return str(value)


@click.command("train", epilog=ARCH)
@click.argument("arch")
@click.option("--data", required=True, help="digits, iris, wine, breast_cancer, or a path: folder, .npz or .csv.")
@click.option("--epochs", type=click.IntRange(min=1), help="Train for so many epochs. [default: 20]")
@click.option("--steps", type=click.IntRange(min=1), help="Train for so many batches.")
@click.option("--seconds", type=FiniteRange(min=0, min_open=True), help="Train for so many seconds.")
@click.option("--train", "training", multiple=True, metavar="KEY=VALUE", help="batch, lr, optimiser, schedule, …")
@click.option("--memory", default=4.0, show_default=True, type=FiniteRange(0.5), help="Gigabytes it may hold.")
@click.option("--device", default="cpu", show_default=True, type=Device(), help="cpu, cuda, cuda:1, mps.")
@click.option("--test", "with_test", is_flag=True, help="Judge on the test set at the end, once.")
@click.option("-o", "--out", metavar="DIR", help="Write the source, the weights and the record.")
@seed_option
@request_options(limits=False)
@json_option
def train_command(
    arch: str,
    data: str,
    epochs: int | None,
    steps: int | None,
    seconds: float | None,
    training: tuple[str, ...],
    memory: float,
    device: str,
    with_test: bool,
    out: str | None,
    seed: int,
    settings: tuple[str, ...],
    input: str | None,
    output: str | None,
    as_json: bool,
) -> int:
    """Trains an architecture on data. It runs in a process of its own; its accuracy on validation is reported.

    \b
    ein train zoo/resnet8 --data digits --seconds 10 -o runs/resnet8
    ein train drawn/einspace-7-0.ein --data digits --epochs 30 --train lr=0.01 --test
    """
    from ein.grammar.derivations.files import read_architecture
    from ein.networks import emit
    from ein.runtime.settings import TrainSettings
    from ein.training import Data

    budget = usual_budget(epochs, steps, seconds)
    chosen = TrainSettings.parse(training)
    source_of = Data.of(data)
    derivation = read_architecture(arch, source_of.request(request(settings, input, output)), lambda note: tell([note]))
    source_of.fits(derivation)
    record = {"arch": arch, "id": derivation.id, "term": derivation.text, "data": data}
    found = _run(emit(derivation), source_of, budget, chosen.to_json(), seed, device, memory, with_test, out, as_json)
    record |= found
    if out is not None:
        _keep(Path(out), derivation, record)
    if as_json:
        print_json(record)
    else:
        _tell(record, derivation)
    return 0


def usual_budget(epochs: int | None, steps: int | None, seconds: float | None) -> dict[str, float]:
    from ein.training import budget

    try:
        return budget(epochs, steps, seconds)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _run(
    source: str,
    data: Data,
    budget: dict[str, float],
    settings: dict[str, Any],
    seed: int,
    device: str,
    memory: float,
    with_test: bool,
    out: str | None,
    quiet: bool,
) -> dict[str, Any]:
    """Trains in a fence; weights go to the folder asked for, or to a temporary one. Raises EinError."""
    from tempfile import TemporaryDirectory

    from ein import training
    from ein.runtime.fence import Fence

    if not quiet:
        given = " ".join(f"{name}={value}" for name, value in settings.items())
        click.echo(f"training on {data.name} ({data.input} -> {data.output}), seed {seed}: {given}", err=True)
    with TemporaryDirectory() as temporary, Fence() as fence:
        weights = str(Path(folder(out) if out else temporary, "weights.safetensors"))
        within = training.limits(budget, memory=int(memory * (1 << 30)))
        handle = training.start(fence, source, data, budget, settings, seed, weights, device, within)
        while handle.outcome is None:
            fence.wait([handle], timeout=0.5)
        outcome = handle.outcome
        if not outcome.ok:
            raise fail("E840", f"training ended early ({outcome.status}): {outcome.reason}")
        record = {**outcome.value, "status": outcome.status, "peak_bytes": outcome.peak_bytes}
        record.pop("weights", None)
        if with_test:
            tested = training.test(fence, source, data, weights, device)
            if not tested.ok:
                raise fail("E840", f"the test ended early ({tested.status}): {tested.reason}")
            record |= tested.value
    return record


def _keep(target: Path, derivation: Derivation, record: dict[str, Any]) -> None:
    from ein.grammar.derivations.files import derivation_text, write
    from ein.networks import emit

    write(target / "net.py", emit(derivation))
    write(target / "net.ein", derivation_text(derivation))
    write(target / "record.json", json.dumps(record, indent=1) + "\n")


def _tell(record: dict[str, Any], derivation: Derivation) -> None:
    cost = derivation.cost
    click.echo(f"parameters           {cost.parameters:,}")
    click.echo(f"MACs                 {cost.macs:,}")
    click.echo(f"epochs, steps        {record['epochs']}, {record['steps']} in {record['seconds']:.1f} s")
    click.echo(
        f"validation accuracy  {_percent(record['valid_accuracy'])} (best {_percent(record['best_valid_accuracy'])})"
    )
    if "test_accuracy" in record:
        click.echo(f"test accuracy        {_percent(record['test_accuracy'])} of {record['examples']} examples")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}%"
