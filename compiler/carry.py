"""The weights of a network as the weights of its rewriting, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import assert_never

import torch
from torch import Tensor

from ein.compiler.emit import weight_map
from ein.compiler.graph import OpGraph
from ein.compiler.passes import Pass, optimise
from ein.compiler.weights import Folded, Moved, Moves


def carry(moves: Moves, names: Iterable[str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` of a graph as the state of its rewriting, whose entries are `names`; shares memory where it can.

    Raises KeyError for an entry that the state lacks.
    """
    found = _onward(moves, state)
    return {name: found[name] for name in names}


def carry_back(moves: Moves, names: Iterable[str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` of a rewriting as the state of the graph before, whose entries are `names`.

    An entry that the rewriting has no trace of is left out: nothing that the network gives depends on it.
    Raises ValueError where an entry was folded from several: they cannot be told apart again.
    """
    found = _backward(moves, state)
    return {name: found[name] for name in names if name in found}


def carried(
    graph: OpGraph, state: Mapping[str, Tensor], source: Sequence[Pass] | None, target: Sequence[Pass] | None
) -> dict[str, Tensor]:
    """The state of what `emit` gives for the graph after the passes `source`, as that of it after `target`.

    None: all passes. An entry that the source does not keep, since nothing depends on it, is left out. Raises KeyError
    for one that the state lacks.
    """
    first, second = (optimise(graph) if passes is None else optimise(graph, passes) for passes in (source, target))
    found = {name: state[emitted] for name, emitted in weight_map(first.graph).items()}
    found = _onward(second.weights, _backward(first.weights, found))
    return {emitted: found[name] for name, emitted in weight_map(second.graph).items() if name in found}


def _onward(moves: Moves, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All that is known after the moves; what lacks a source is not made."""
    found = dict(state)
    for step in moves:
        ready = {name: move for name, move in step.items() if all(entry.name in found for entry in move.sources)}
        found |= {name: _made(move, found) for name, move in ready.items()}
    return found


def _backward(moves: Moves, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    folded = sorted(name for step in moves for name, move in step.items() if isinstance(move, Folded))
    if folded:
        raise ValueError(f"{folded[0]} was folded from several entries for inference, and there is no way back to them")
    found = dict(state)
    for step in reversed(moves):
        known = [(move, found[name]) for name, move in step.items() if name in found and isinstance(move, Moved)]
        found |= [part for move, value in known for part in _taken_apart(move, value)]
    return found


def _made(move: Moved | Folded, state: Mapping[str, Tensor]) -> Tensor:
    if isinstance(move, Folded):
        return _folded(move, [state[entry.name].reshape(entry.sizes) for entry in move.sources]).reshape(move.sizes)
    parts = [state[entry.name].reshape(entry.sizes) for entry in move.sources]
    joined = (
        parts[0]
        if len(parts) == 1 or not move.sizes
        else torch.cat([part if part.ndim else part[None] for part in parts])
    )
    if move.viewed is not None:
        joined = joined.reshape(move.viewed)
    if move.order is not None:
        joined = joined.permute(move.order)
    return joined.reshape(move.sizes)


def _taken_apart(move: Moved, value: Tensor) -> list[tuple[str, Tensor]]:
    if not move.sizes:
        return [(entry.name, value.reshape(())) for entry in move.sources]
    if move.order is not None:
        viewed = move.viewed or _joined(move)
        value = value.reshape([viewed[axis] for axis in move.order])
        value = value.permute([move.order.index(axis) for axis in range(len(move.order))])
    pieces = torch.split(value.reshape(-1), [prod(entry.sizes) for entry in move.sources])
    return [(entry.name, piece.reshape(entry.sizes)) for entry, piece in zip(move.sources, pieces, strict=True)]


def _joined(move: Moved) -> tuple[int, ...]:
    """The shape of the sources, one behind the other."""
    return sum(entry.sizes[0] for entry in move.sources), *move.sources[0].sizes[1:]


def _folded(move: Folded, given: list[Tensor]) -> Tensor:
    match move.recipe:
        case "norm_weight":
            weight, gamma, variance = given
            return weight * (gamma * torch.rsqrt(variance + move.number)).reshape(-1, *[1] * (weight.ndim - 1))
        case "norm_bias":
            gamma, variance, mean, beta, *bias = given
            return beta + ((bias[0] if bias else 0) - mean) * gamma * torch.rsqrt(variance + move.number)
        case "scaled":
            return given[0] * move.number
        case "product":
            return given[0] @ given[1]
        case "product_bias":
            outer, inner, *bias = given
            return outer @ inner + (bias[0] if bias else 0)
        case _:
            assert_never(move.recipe)
