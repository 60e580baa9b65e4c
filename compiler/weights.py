"""Names, shapes and starts of what a network keeps, and how weights move when a pass rewrites it.

A name is `key.slot` for a parameter of a body and `key.slot.entry` for what a layer of torch keeps:
`pos_enc_1.param_p`, `linear_2.linear.weight`. These are the interpreter's names, and the passes';
`ein.compiler.emit.weight_map` leads from them to the names in emitted source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

from ein.grammar.tensors import Body, Step
from ein.grammar.vetted import LAYERS

Sizes: TypeAlias = tuple[int, ...]
Entries: TypeAlias = Mapping[str, Sizes]

_RUNNING = ("running_mean", "running_var")


@dataclass(frozen=True, slots=True)
class Slot:
    """A step of a body that keeps something: a layer (`linear`, `conv2d_2`) or a parameter (`param_p`)."""

    name: str
    index: int
    step: Step


@dataclass(frozen=True, slots=True)
class Start:
    """How a parameter starts: `constant` (value), `uniform` (low, high), `normal` (mean, std), `trunc_normal` (std),
    `orthogonal` (the last two axes, each block on its own)."""

    kind: str
    numbers: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Moved:
    """An entry of a rewritten graph: the entry of the graph before, in another shape."""

    source: str
    sizes: Sizes


WeightMap: TypeAlias = Mapping[str, Moved]
"""By the name after a pass. What is not listed keeps its name and shape; what is gone is not listed either."""


def slots(body: Body) -> tuple[Slot, ...]:
    """In the order of the steps; the names are distinct."""
    found: list[Slot] = []
    counts: dict[str, int] = {}
    for index, step in enumerate(body.steps):
        if step.op == "weight":
            found.append(Slot(f"param_{step.name}", index, step))
        elif step.op == "layer":
            base = step.name.removeprefix("nn.").lower()
            counts[base] = counts.get(base, 0) + 1
            found.append(Slot(base if counts[base] == 1 else f"{base}_{counts[base]}", index, step))
    return tuple(found)


def entries(body: Body) -> Entries:
    """Shapes by name within a use: `{"linear.weight": (64, 3), "linear.bias": (64,)}`; buffers of norms included."""
    found: dict[str, Sizes] = {}
    for slot in slots(body):
        if slot.step.op == "weight":
            found[slot.name] = slot.step.sizes
        else:
            found |= {f"{slot.name}.{name}": sizes for name, sizes in _kept(body, slot.step).items()}
    return found


def _kept(body: Body, step: Step) -> dict[str, Sizes]:
    weights = dict(LAYERS[step.name].facts(dict(step.arguments), body.steps[step.inputs[0]].sizes).weights)
    if step.name.startswith("nn.BatchNorm"):
        weights |= dict.fromkeys(_RUNNING, weights["weight"]) | {"num_batches_tracked": ()}
    return weights


def start(step: Step) -> Start:
    """The start of a `weight` step, with `kaiming` and `xavier` made into the uniform distributions that they are.

    As in torch, fan-in is the product of all axes but the first, and of a vector its length.
    """
    kind, *numbers = step.argument("start")
    sizes = step.sizes or (1,)
    fan_in = prod(sizes[1:]) if len(sizes) > 1 else sizes[0]
    match kind:
        case "kaiming":
            bound = fan_in**-0.5
            return Start("uniform", (-bound, bound))
        case "xavier":
            fan_out = prod(sizes) // (sizes[1] if len(sizes) > 1 else 1)
            bound = (6 / (fan_in + fan_out)) ** 0.5
            return Start("uniform", (-bound, bound))
        case "orthogonal" if len(sizes) < 2:
            raise ValueError(f"an orthogonal start needs two axes, and `{step.name}` has {len(step.sizes)}")
        case _:
            return Start(kind, tuple(numbers))


def then(first: WeightMap, second: WeightMap) -> WeightMap:
    """The map of two passes in a row."""
    moved = {
        name: Moved(first[move.source].source, move.sizes) if move.source in first else move
        for name, move in second.items()
    }
    return {**first, **moved}


def carry(moves: WeightMap, names: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, Any]:
    """`state` of a graph as the state of its rewriting, whose entries are `names`; tensors are shared, not copied."""
    return {
        name: state[moves[name].source].reshape(moves[name].sizes) if name in moves else state[name] for name in names
    }
