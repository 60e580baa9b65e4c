"""`ein compile`: an architecture as source, as the text of its graph, or as a program for other runtimes."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ein.cli.common import SEEDS, folder, request_options
from ein.cli.network import ARCH, read

if TYPE_CHECKING:
    from ein.compiler.emit import EmittedSource
    from ein.compiler.graph import OpGraph

ENDINGS = {"torch": ".py", "graph": ".graph", "onnx": ".onnx", "pt2": ".pt2"}
PROGRAMS = ("onnx", "pt2")
"""The formats that hold weights."""


class Passes(Enum):
    """Which of them run."""

    NONE = "none"
    ALL = "all"
    INFERENCE = "inference"


@click.command("compile", epilog=f"{ARCH} Or a {ENDINGS['graph']} file that --format graph wrote.")
@click.argument("arch")
@click.option("-o", "--out", metavar="FILE", help="Where to write; standard output if not given.")
@click.option("--format", "form", type=click.Choice(list(ENDINGS)), help="Default: by the ending of FILE, else torch.")
@click.option("--no-optimise", is_flag=True, help="Leave out all passes: a line for each operator.")
@click.option("--inference", is_flag=True, help="For evaluation alone: fold batch norms, scales, linear maps in a row.")
@click.option("--flat", is_flag=True, help="One class, with what repeats written out.")
@click.option("--map", "map_file", metavar="FILE", help="Where to write which line comes from which operator, as JSON.")
@click.option("--name", default="Net", show_default=True, help="Name of the class.")
@click.option("--weights", metavar="FILE", help="Of a program (onnx, pt2): what `ein train` saved.")
@click.option("--seed", default=0, show_default=True, type=SEEDS, help="Of a program's fresh weights.")
@request_options(limits=False)
def compile_command(
    arch: str,
    out: str | None,
    form: str | None,
    no_optimise: bool,
    inference: bool,
    flat: bool,
    map_file: str | None,
    name: str,
    weights: str | None,
    seed: int,
    settings: tuple[str, ...],
    input: str | None,
    output: str | None,
) -> None:
    """Standalone torch source of an architecture. It needs torch alone and defines Net(nn.Module).

    What repeats is a class of its own, named after its rule or macro.

    Or its operation graph as text, or a program with weights for other runtimes: ONNX, or torch.export's .pt2.

    \b
    ein compile zoo/resnet8 -o net.py
    ein compile zoo/resnet8 --weights runs/resnet8/weights.safetensors -o net.onnx
    """
    from ein.networks import EVALUATES, graph_text

    form = form or _form(out)
    if form in PROGRAMS and out is None:
        raise click.UsageError(f"{form} is written to a file: -o net{ENDINGS[form]}")
    if weights is not None and form not in PROGRAMS:
        raise click.UsageError(f"{form} has no weights; a program has them: --format {' or '.join(PROGRAMS)}")
    if no_optimise and inference:
        raise click.UsageError("--inference asks for more passes, and --no-optimise for none")
    if map_file is not None and form != "torch":
        raise click.UsageError(f"--map is of torch source, and this is {form}")
    lowered, description = _graph(arch, settings, input, output)
    passes = Passes.NONE if no_optimise else Passes.INFERENCE if inference else Passes.ALL
    if form in PROGRAMS:
        assert out is not None
        _program(lowered, passes, Path(out), ENDINGS[form], weights, seed)
        return
    graph = _optimised(lowered, passes)
    if form == "graph":
        _put(out, graph_text(graph))
        return
    if passes is Passes.INFERENCE:
        description = "\n\n".join([*([description] if description else []), EVALUATES])
    source = _source(graph, flat, name, description)
    _put(out, source)
    if map_file is not None and source.origins is not None:
        _put(map_file, json.dumps(source.origins().to_json(), indent=1) + "\n")


def _form(out: str | None) -> str:
    suffix = Path(out).suffix if out is not None else ""
    return next((form for form, ending in ENDINGS.items() if ending == suffix), "torch")


def _graph(arch: str, settings: tuple[str, ...], input: str | None, output: str | None) -> tuple[OpGraph, str | None]:
    """The graph as lowered, or as a file of a graph says it; and what a reader of the source wants to know."""
    from ein.grammar.load import read_text
    from ein.networks import describe, lower, read_graph

    if Path(arch).suffix != ENDINGS["graph"]:
        derivation = read(arch, settings, input, output)
        return lower(derivation), describe(derivation)
    if settings or input or output:
        raise click.UsageError(
            f"the sizes of `{arch}`, a graph, stand: --set, --input and --output are for `.ein` files"
        )
    return read_graph(read_text(Path(arch), arch), arch), None


def _optimised(lowered: OpGraph, passes: Passes) -> OpGraph:
    from ein.networks import optimise

    return lowered if passes is Passes.NONE else optimise(lowered, inference=passes is Passes.INFERENCE)


def _source(graph: OpGraph, flat: bool, name: str, description: str | None) -> EmittedSource:
    from ein.networks import emit

    try:
        return emit(graph, name, description, blocks=not flat)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _put(out: str | None, text: str) -> None:
    """Into a file, or to standard output where none is named."""
    from ein.grammar.derivations.files import write

    if out is None:
        click.echo(text, nl=False)
        return
    folder(str(Path(out).parent))
    write(Path(out), text)
    click.echo(f"{out}: {len(text.splitlines())} lines", err=True)


def _program(lowered: OpGraph, passes: Passes, out: Path, ending: str, weights: str | None, seed: int) -> None:
    """Writes a program, and says how far it is from the network, where it can be run here."""
    from ein.compiler.export import disagreement, export, needs_packages
    from ein.networks import build, carry, optimise
    from ein.runtime.weights import load_weights

    if out.suffix != ending:
        raise click.UsageError(f"the name of the file ends in {ending}, and this is `{out}`")
    if ending == ENDINGS["onnx"]:
        needs_packages()
    graph = optimise(lowered)
    net = build(graph, seed)
    if weights is not None:
        load_weights(net, weights)
    if passes is not Passes.ALL:
        trained, graph = net, _optimised(lowered, passes)
        net = build(graph, seed)
        state = carry(trained.state_dict(), lowered, inference=passes is Passes.INFERENCE)
        net.load_state_dict(state, strict=False)
    inputs = graph.node(graph.input).outputs
    folder(str(out.parent))
    export(net, inputs, out)
    whose = f"the weights of {weights}" if weights is not None else f"fresh weights of seed {seed}"
    click.echo(f"{out}: {out.stat().st_size:,} bytes, {whose}", err=True)
    apart = disagreement(net, inputs, out)
    found = "not run: there is no onnxruntime" if apart is None else f"run here, it is {apart:.1e} off torch's results"
    click.echo(found, err=True)
