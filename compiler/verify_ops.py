"""The second witness: operators against torch's meta device, which knows shapes and computes nothing.

`ein.grammar.bodies.prove` tests a signature with shape rules of our own. Here every layer and function of a body is
asked of torch instead, and the steps that come of it are run as the interpreter runs them: in training and evaluation,
with one example and with three. What both have in common is the reading of a body and its names of axes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import torch

from ein.compiler.interpret import Cell, run_steps
from ein.grammar.bodies.elaborate import elaborate
from ein.grammar.bodies.prove import plainness, use_text
from ein.grammar.bodies.tensors import Body, Step, Tape, Value, all_steps
from ein.grammar.bodies.trials import Trial, trials
from ein.grammar.bodies.vetted import FUNCTIONS, LAYERS, Facts, Row
from ein.grammar.cfg import Applied, Operator
from ein.grammar.diagnostics import Diagnostic, EinError, Label, Span
from ein.grammar.numbers import Inapplicable
from ein.grammar.patterns import Kinds
from ein.grammar.types import Tensor, leaves

BATCHES = (1, 3)

MOST = 40
"""Uses of each sort that torch is asked about."""

MAX_ELEMENTS = 10**6
"""Of what is computed with numbers to settle a difference."""

REFUSALS = (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, AssertionError)
"""What torch raises for sizes that do not fit."""

_MODAL = frozenset(("layer", "host", "dropout"))
"""Steps that may differ in training."""

_ELEMENTS = {"float": torch.float32, "int": torch.int64, "bool": torch.bool}


def verify(overloads: Iterable[Operator], kinds: Kinds, most: int = MOST) -> list[Diagnostic]:
    """Where our shape rules and torch disagree on an overload, with the plainest use that shows it."""
    own = [operator for operator in overloads if operator.host is None]
    return [found for operator in own if (found := _verify_one(operator, kinds, most)) is not None]


def _verify_one(operator: Operator, kinds: Kinds, most: int) -> Diagnostic | None:
    try:
        found = min(disagreements(operator, kinds, most), key=lambda each: plainness(each[0]), default=None)
    except EinError:  # wrong at any sizes: the prover says so
        return None
    return None if found is None else _told(operator, *found)


def disagreements(operator: Operator, kinds: Kinds, most: int) -> Iterator[tuple[Trial, str | None, str | None]]:
    """Uses that one accepts and the other refuses: the use, our objection, torch's. Raises EinError."""
    for trial in trials(operator, kinds, most):
        ours, torchs = refusal(trial.applied), witness(trial.applied, kinds)
        if (ours is None) != (torchs is None):
            yield trial, ours, torchs


def refusal(applied: Applied) -> str | None:
    """What our shape rules have against a use."""
    try:
        _ = applied.body
    except Inapplicable as error:
        return error.reason
    return None


def witness(applied: Applied, kinds: Kinds) -> str | None:
    """What torch has against a use, step by step; also where it gives other sizes than the steps say."""
    declaration = applied.operator.declaration
    try:
        body = elaborate(declaration, applied.env, applied.input, applied.output, _MetaTape(declaration.span))
    except Inapplicable as error:
        return error.reason
    return run_on_meta(body, list(leaves(applied.input)), kinds)


def run_on_meta(body: Body, inputs: Sequence[Tensor], kinds: Kinds, several: bool = False) -> str | None:
    """The first objection of torch to the steps of a body, or to their sizes.

    With `several` a single example is not trained on: a batch norm may refuse it.
    """
    training = (False, True) if any(step.op in _MODAL for step in all_steps(body)) else (False,)
    try:
        with torch.device("meta"), torch.no_grad():
            cell = Cell(body)
            for batch, train in product(BATCHES, training):
                if batch == 1 and train and (several or body.needs_several_values):
                    continue
                given = [_meta(leaf.sizes, batch, kinds[leaf.kind][1]) for leaf in inputs]
                if (objection := _compare(body, run_steps(body, cell.train(train), given, train), batch)) is not None:
                    return objection
    except REFUSALS as error:
        return _first_line(error)
    return None


def _meta(sizes: Sequence[int], batch: int, element: str) -> torch.Tensor:
    return torch.empty(batch, *sizes, dtype=_ELEMENTS[element], device="meta")


def _compare(body: Body, values: Sequence[Any], batch: int) -> str | None:
    for step, value in zip(body.steps, values, strict=True):
        wanted = (batch, *step.sizes) if step.batched else step.sizes
        if isinstance(value, torch.Tensor) and tuple(value.shape) != wanted:
            what = step.name if step.op == "host" else " ".join(filter(None, (step.op, step.name)))
            return f"`{what}` gives {list(value.shape)} where {list(wanted)} is expected, the batch first"
    return None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


class _MetaTape(Tape):
    """A tape on which layers and functions have the sizes and weights that torch gives them."""

    def opaque(self, op: str, row: Row, arguments: dict[str, Any], values: Sequence[Value], span: Span) -> Value:
        def facts(given: Mapping[str, Any], *sizes: tuple[int, ...]) -> Facts:
            question = (op, row.name, tuple(given.items()), sizes)
            found = _asked("meta", *question)
            if isinstance(found, Facts) and _refuses(row, given, sizes) and _is_small(found, sizes):
                found = _asked("cpu", *question)
            if isinstance(found, str):
                raise Inapplicable(found)
            return found

        return super().opaque(op, replace(row, facts=facts), arguments, values, span)


def _refuses(row: Row, arguments: Mapping[str, Any], sizes: Sequence[tuple[int, ...]]) -> bool:
    """Whether our shape rule does. The meta device is laxer than others (no dilation of 0, a transposed convolution
    of other channels), so where it alone accepts, numbers decide."""
    try:
        row.facts(arguments, *sizes)
    except Inapplicable:
        return True
    return False


def _is_small(found: Facts, sizes: Sequence[tuple[int, ...]]) -> bool:
    return sum(map(prod, (found.sizes, *sizes, *found.weights.values()))) <= MAX_ELEMENTS


@lru_cache(maxsize=4096)
def _asked(
    device: str, op: str, name: str, arguments: tuple[tuple[str, Any], ...], sizes: tuple[tuple[int, ...], ...]
) -> Facts | str:
    """What torch says of one layer or function applied to three examples, or why it refuses."""
    dtype = _ELEMENTS[(LAYERS if op == "layer" else FUNCTIONS)[name].element]
    inputs = [Step("input", (), each, arguments=(("which", i),)) for i, each in enumerate(sizes)]
    applied = Step(op, tuple(range(len(inputs))), (), name, arguments)
    body = Body((*inputs, applied), (len(inputs),), 0, 0)
    try:
        with torch.random.fork_rng(devices=[]), torch.device(device), torch.no_grad():
            cell = Cell(body).eval()
            result = run_steps(body, cell, [torch.zeros(3, *each, dtype=dtype) for each in sizes])[-1]
    except REFUSALS as error:
        return _first_line(error)
    if not all(tensor.numel() for tensor in (result, *cell.parameters())):
        return "a tensor has no elements, which the meta device takes and others do not"
    return Facts(tuple(result.shape[1:]), {key: tuple(weight.shape) for key, weight in cell.named_parameters()})


def _told(operator: Operator, trial: Trial, ours: str | None, torchs: str | None) -> Diagnostic:
    said = f"the shape rules of ein {_verdict('', ours)}, and torch {_verdict('s', torchs)}"
    message = f"ein and torch disagree on whether the body of `{operator.name}` gives what its signature says"
    label = Label(operator.declaration.output.span, f"{trial.applied.output!r} at {use_text(trial)}")
    body = operator.declaration.body
    span = operator.declaration.span if body is None else body.span
    help = "this is a mistake of ein and not of the file: please report it with the operator"
    return Diagnostic("E402", message, span, said, (label,), help)


def _verdict(ending: str, objection: str | None) -> str:
    return f"accept{ending} it" if objection is None else f"refuse{ending} it ({objection})"
