"""Every form of an operator's body for several copies at once, against the copies one by one.

The copies come in each layout that their inputs can have, or share an input; each has weights of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from random import Random

import pytest
import torch
from form_cases import ALONG, FUNCTIONS, KINDS, LAYERS, SELECTION, STRUCTURE, TRUTHS, WIRES, Form
from pack_cases import PACKS
from standard_cases import STANDARD
from torch import Tensor

from ein.compiler.carry import carry, carry_back
from ein.compiler.copies import copied
from ein.compiler.copying import Layout, NoCopies
from ein.compiler.graph import OpGraph
from ein.compiler.interpret import Cell, run_steps
from ein.compiler.lower import lower
from ein.compiler.nodes import Use
from ein.compiler.passes.batched import Batched, moves
from ein.grammar.architecture import architecture
from ein.grammar.bodies.tensors import Body
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import Source
from ein.grammar.types import Tensor as Type

COPIES, BATCH = 3, 2
FORMS = {**STRUCTURE, **WIRES, **SELECTION, **TRUTHS, **ALONG, **STANDARD, **LAYERS, **FUNCTIONS, **PACKS}
AS_MANY = 12
"""Combinations of layouts of each form."""


def graph_of(operator: str, use: str, input: str) -> OpGraph:
    text = f"ein 1\nimport std\n{KINDS}{operator}\ninput {input}\narch net = {use}\n"
    return lower(architecture(load_grammar(Source("forms.ein", text)), "net").term)


def drawn(leaf: Type) -> Tensor:
    shape = (BATCH, *leaf.sizes)
    if leaf.element == "float":
        return torch.randn(shape)
    found = torch.randint(0, 3 if leaf.element == "int" else 2, shape)
    return found.bool() if leaf.element == "bool" else found


def together(parts: Sequence[Tensor], layout: Layout) -> Tensor:
    axis = layout.axis + 1
    return torch.cat(list(parts), axis) if layout.folded else torch.stack(list(parts), axis)


def apart(whole: Tensor, layout: Layout, copies: int = COPIES) -> Sequence[Tensor]:
    return whole.chunk(copies, layout.axis + 1) if layout.folded else whole.unbind(layout.axis + 1)


def layouts(leaf: Type) -> list[Layout | None]:
    rank = len(leaf.sizes)
    return [None, *(Layout(axis) for axis in range(rank + 1)), *(Layout(axis, True) for axis in range(rank))]


def combinations(use: Use) -> list[tuple[Layout | None, ...]]:
    every = list(product(*map(layouts, use.inputs)))
    return every if len(every) <= AS_MANY else Random(0).sample(every, AS_MANY)


def assert_alike(use: Use, given: tuple[Layout | None, ...]) -> bool:
    """Whether there is a body for all copies."""
    body = use.applied.body
    try:
        made = copied(body, COPIES, given)
    except NoCopies:
        return False
    cells = [Cell(body) for _ in range(COPIES)]
    for cell in cells:
        for parameter in cell.parameters():
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    whole = Cell(made.body)
    members = [Use(use.application, use.applied, f"own_{i}") for i in range(COPIES)]
    state = {f"own_{i}.{name}": value for i, cell in enumerate(cells) for name, value in cell.state_dict().items()}
    moved = (moves(Batched(use.application, use.applied, body, made), "all_1", members),)
    names = [f"all_1.{name}" for name in whole.state_dict()]
    carried = carry(moved, names, state)
    whole.load_state_dict({name.removeprefix("all_1."): value for name, value in carried.items()})
    for name, value in carry_back(moved, state, carried).items():
        assert torch.equal(value, state[name])
    inputs = [
        [drawn(leaf)] * COPIES if at is None else [drawn(leaf) for _ in range(COPIES)]
        for leaf, at in zip(use.inputs, given, strict=True)
    ]
    wanted = [run(body, cell, [column[i] for column in inputs]) for i, cell in enumerate(cells)]
    stacked = [column[0] if at is None else together(column, at) for column, at in zip(inputs, given, strict=True)]
    results = run(made.body, whole, stacked)
    for at, (result, layout) in enumerate(zip(results, made.results, strict=True)):
        rows = [result] * COPIES if layout is None else apart(result, layout)
        for row, one in zip(rows, wanted, strict=True):
            torch.testing.assert_close(row, one[at], rtol=1e-4, atol=1e-5, equal_nan=True)
    for result, step in zip(results, made.body.results, strict=True):
        assert tuple(result.shape) == (BATCH, *made.body.steps[step].sizes)
    return True


def run(body: Body, cell: Cell, inputs: list[Tensor]) -> list[Tensor]:
    values = run_steps(body, cell, inputs)
    return [values[result] for result in body.results]


@pytest.mark.parametrize("name", FORMS)
def test_copies_at_once_are_what_they_are_alone(name: str) -> None:
    form: Form = FORMS[name]
    torch.manual_seed(0)
    for _, use in graph_of(*form[:3]).uses():
        for given in combinations(use):
            assert_alike(use, given)
