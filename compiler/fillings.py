"""Tensors as they start, as Python."""

from __future__ import annotations

from math import prod

from ein.compiler.source import Doc, Expression, Group, Row
from ein.compiler.source import number as literal
from ein.compiler.symbols import real
from ein.compiler.weights import Sizes, Start, start
from ein.grammar.bodies.tensors import Step


def made(begin: Start, sizes: Sizes) -> Group:
    """The tensor where torch has a word for its start, else an empty one."""
    shape = tuple(map(str, sizes)) or ("()",)
    match begin:
        case Start("constant", (0.0 | 1.0 as value,)):
            return Group("torch.ones" if value else "torch.zeros", shape)
        case Start("constant", (value,)):
            return Group("torch.full", (str(sizes), literal(real(value))))
        case Start("normal", (0.0, 1.0)):
            return Group("torch.randn", shape)
        case _:
            return Group("torch.empty", shape)


def arguments(begin: Start) -> tuple[Doc, ...]:
    """Of the function `nn.init.<kind>_`, behind the tensor."""
    match begin:
        case Start("uniform" | "normal", (first, second)):
            return literal(first), literal(second)
        case Start("trunc_normal", (std,)):
            return (f"std={literal(std)}",)
        case _:
            return ()


def drawn(step: Step) -> Expression:
    """What a draw gives, in one expression."""
    begin, sizes = start(step), step.sizes
    if begin == Start("normal", (0.0, 1.0)):
        return Expression(made(begin, sizes))
    if begin.kind == "orthogonal" and len(sizes) > 2:
        return _blocks(sizes)
    return Expression(Group(f"nn.init.{begin.kind}_", (made(begin, sizes), *arguments(begin))))


def _blocks(sizes: Sizes) -> Expression:
    """Orthogonal matrices in an order of their own, one after another."""
    *run, rows, columns = sizes
    block = f"nn.init.orthogonal_(torch.empty({rows}, {columns})) for _ in range({prod(run)})"
    stacked = Group("torch.stack", (Group("", (block,), "[]"),))
    if len(run) == 1:
        return Expression(stacked)
    return Expression(Row((stacked, f".unflatten(0, {tuple(run)})")))
