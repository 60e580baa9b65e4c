"""Networks as files for other programs: programs of `torch.export` (`.pt2`) and ONNX.

The batch is free in both, every other size is fixed, and what is written is the network as it evaluates.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from ein.grammar.diagnostics import DISTRIBUTION, EinError, fail
from ein.grammar.types import Tensor

SUFFIXES = (".onnx", ".pt2")
EXAMPLES = 2
"""In the batch that a network is traced with; one would be taken for a size that is fixed."""

_NEEDED = ("onnx", "onnxscript")


def export(net: nn.Module, inputs: Sequence[Tensor], path: Path) -> None:
    """Writes the network whole or not at all, in the form that the path ends in; `inputs` are what it takes.

    The network is left as it was. Raises EinError: E605 where the file cannot be written, E860 where torch cannot say
    an operator in this form, E861 where packages are missing.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"path={str(path)!r}: the name ends in {' or '.join(SUFFIXES)}")
    if path.suffix == ".onnx":
        needs_packages()
    program = exported(net, inputs)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    write = _onnx if path.suffix == ".onnx" else _pt2
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(program, partial)
        partial.replace(path)
    except OSError as error:
        raise fail("E605", f"`{path}` cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def needs_packages() -> None:
    """Raises EinError (E861) where a package for ONNX is missing."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        help = f"pip install '{DISTRIBUTION}[export]'"
        raise fail("E861", f"ONNX is written with {' and '.join(missing)}, which is not installed", help=help)


def exported(net: nn.Module, inputs: Sequence[Tensor]) -> ExportedProgram:
    """The program of a network in evaluation, free in its batch. Raises EinError (E860)."""
    training = net.training
    batch = Dim("batch", min=1)
    shapes = tuple({0: batch} for _ in inputs)
    try:
        with _quiet():
            return torch.export.export(net.eval(), examples(inputs), dynamic_shapes=shapes)
    except Exception as error:  # whatever torch raises while it traces
        raise _refused("torch.export", error) from None
    finally:
        net.train(training)


def examples(inputs: Sequence[Tensor], count: int = EXAMPLES, seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Random values of these types; integers are 0, since how many words there are is for the network to know."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(count, *leaf.sizes, generator=generator)
        if leaf.element == "float"
        else torch.zeros(count, *leaf.sizes, dtype=torch.bool if leaf.element == "bool" else torch.long)
        for leaf in inputs
    )


def disagreement(net: nn.Module, inputs: Sequence[Tensor], path: Path) -> float | None:
    """How far the file is from the network, on a batch of another size: the largest difference over the largest value.

    None where nothing can run an ONNX file here. The network must be on the CPU.
    """
    given = examples(inputs, EXAMPLES + 1, seed=1)
    run = _run_onnx(path) if path.suffix == ".onnx" else _run_pt2(path)
    if run is None:
        return None
    training = net.training
    with torch.no_grad():
        wanted = net.eval()(*given)
        found = run(given)
    net.train(training)
    pairs = zip(wanted if isinstance(wanted, tuple) else (wanted,), found, strict=True)
    return max(float((one - other).abs().max() / one.abs().max().clamp(min=1e-6)) for one, other in pairs)


_Run = Callable[[Sequence[torch.Tensor]], Sequence[torch.Tensor]]


def _run_pt2(path: Path) -> _Run:
    module = torch.export.load(path).module()

    def run(given: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        found = module(*given)
        return found if isinstance(found, tuple) else (found,)

    return run


def _run_onnx(path: Path) -> _Run | None:
    if find_spec("onnxruntime") is None:
        return None
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(given: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
        fed = {each.name: value.numpy() for each, value in zip(session.get_inputs(), given, strict=True)}
        return [torch.from_numpy(each) for each in session.run(None, fed)]

    return run


def _pt2(program: ExportedProgram, path: Path) -> None:
    with path.open("wb") as file, _quiet():
        torch.export.save(program, file)


def _onnx(program: ExportedProgram, path: Path) -> None:
    try:
        with _quiet():
            made = torch.onnx.export(program, dynamo=True, verbose=False)
    except Exception as error:  # whatever the exporter raises
        raise _refused("torch's ONNX exporter", error) from None
    assert made is not None
    made.save(path, external_data=False)


def _refused(who: str, error: Exception) -> EinError:
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    help = "the other format may take it, and `--format torch` writes any network"
    return fail("E860", f"{who} cannot say this network: {said}", help=help)


@contextmanager
def _quiet() -> Iterator[None]:
    """What the exporters say of themselves is not for the user."""
    noisy = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in noisy]
    for logger in noisy:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(noisy, levels, strict=True):
            logger.setLevel(level)
