"""The modules of the reference implementation of einspace, built from our derivations.

Its own sampler and compiler of dictionaries are left out: only its layers, its ways to put them together, and its
replacement of `im2col, linear, col2im` by a convolution. The checkout and what it imports must be on the path.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from pairs import compare, geometric_mean
from torch import Tensor, nn

import ein
from ein.grammar import term as t
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.types import leaves

_SHAPELESS = {"identity": "identity", "leaky_relu": "leakyrelu", "softmax": "softmax"}


class Reference:
    """The reference's modules for terms of einspace. Raises ImportError where it cannot be imported."""

    def __init__(self, checkout: str) -> None:
        sys.path.insert(0, checkout)
        from einspace import activations, layers
        from einspace.compiler import Compiler

        self.layers, self.activations, self.compiler = layers, activations, Compiler()

    def network(self, derivation: Derivation) -> nn.Module:
        """With its head: a mean and a linear layer."""
        assert isinstance(derivation.term, t.Named)
        backbone, head = _parts(derivation.term)
        modules = self.compiler.convolutionise(self.module(backbone))
        sizes = next(leaves(backbone.output)).sizes
        classes = next(leaves(head.output)).sizes[0]
        return nn.Sequential(modules, _Mean(len(sizes)), nn.Linear(sizes[0], classes))

    def module(self, term: t.TypedTerm) -> nn.Module:
        match term:
            case t.Named(name="Fork"):
                first, inner, join = _parts(term)
                return self.layers.BranchingModule(self.module(first), self._branches(inner), self.module(join))
            case t.Named(name="Route"):
                return self.layers.RoutingModule(*map(self.module, _parts(term)))
            case t.Named(name="C"):
                return self.layers.ComputationModule(self.module(term.body))
            case t.Named():
                return self.module(term.body)
            case t.Series((one,)):
                return self.module(one)
            case t.Series((first, second)):
                return self.layers.SequentialModule(self.module(first), self.module(second))
            case t.Op():
                return self._layer(term)
        raise ValueError(f"{term} is no term of einspace")

    def _branches(self, term: t.TypedTerm) -> list[nn.Module]:
        while isinstance(term, t.Named):
            term = term.body
        if isinstance(term, t.Copies):
            return [self.module(term.body) for _ in range(term.count)]
        assert isinstance(term, t.Parallel)
        return list(map(self.module, term.parts))

    def _layer(self, op: t.Op) -> nn.Module:
        given: dict[str, Any] = dict(op.applied.arguments)
        taken, made = (next(leaves(each)).sizes for each in (op.input, op.output))
        shape = (1, *taken)
        layers = self.layers
        match op.application.name:
            case "linear":
                return layers.EinLinear(taken[-1], given["out"])
            case "norm":
                return layers.EinNorm(shape)
            case "pos_enc":
                return layers.LearnablePositionalEncoding(shape)
            case "clone":
                return layers.CloneTensor(given["b"])
            case "split":
                return layers.GroupDim(given["b"], given["axis"], taken[given["axis"] - 1])
            case "add":
                return layers.AddTensors()
            case "concat":
                return layers.CatTensors(given["axis"])
            case "matmul" | "scaled_matmul" as name:
                return layers.DotProduct(scaled=name == "scaled_matmul")
            case "permute":
                return layers.Permute((0, *given["order"]))
            case "im2col":
                return layers.Im2Col(shape, given["k"], given["s"], given["p"])
            case "col2im":
                module = layers.Col2Im()
                module.output_shape = made[1:]
                return module
            case name:
                return getattr(self.activations, _SHAPELESS[name])()


class _Mean(nn.Module):
    """Over all axes but the batch and the first one."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.axes = tuple(range(2, rank + 1))

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.axes)


def _parts(term: t.TypedTerm) -> Sequence[t.TypedTerm]:
    while isinstance(term, t.Named):
        term = term.body
    assert isinstance(term, t.Series)
    return term.parts


def against_reference(
    checkout: str, drawn: Sequence[Derivation], given: Sequence[tuple[Tensor, ...]], device: str, pairs: int
) -> None:
    """Prints the ratio of times, and how many networks agree in their parameters and results for equal weights."""
    reference, ratios, alike = Reference(checkout), [], 0
    for derivation, values in zip(drawn, given, strict=True):
        theirs = reference.network(derivation).to(device)
        ours = ein.build(derivation, device=device)
        alike += _agree(derivation, ours, theirs, values)
        ratios.append(compare(theirs, ours, values, pairs, seconds=3).median)
    ordered = sorted(ratios)
    print(
        f"\nreference / ours, {len(ratios)} derivations: geometric mean {geometric_mean(ratios):.2f}, median", end=" "
    )
    print(f"{ordered[len(ordered) // 2]:.2f}, below 0.95: {sum(ratio < 0.95 for ratio in ratios)};", end=" ")
    print(f"equal in parameters and, with equal weights, in results: {alike}")


def _agree(derivation: Derivation, ours: nn.Module, theirs: nn.Module, values: tuple[Tensor, ...]) -> bool:
    """Whether both give the same for equal weights: both keep their layers in the order in which data flows."""
    plain = ein.build(ein.lower(derivation), device=values[0].device.type)
    state, own = plain.state_dict(), theirs.state_dict()
    if sum(v.numel() for v in state.values()) != sum(v.numel() for v in own.values()) or len(state) != len(own):
        return False
    free = list(own.items())
    for value in state.values():  # parameters stand before layers in one of them, so the first that fits is taken
        at = next(
            (i for i, (_, old) in enumerate(free) if old.numel() == value.numel() and old.ndim >= value.ndim), None
        )
        if at is None:
            return False
        own[free[at][0]] = value.reshape(free[at][1].shape)
        del free[at]
    theirs.load_state_dict(own)
    ours.load_state_dict(ein.carry(state, derivation, (), None))
    with torch.no_grad():
        found, wanted = ours.eval()(*values), theirs.eval()(*values)
    ours.train(), theirs.train()
    return bool(torch.allclose(found, wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max())))
