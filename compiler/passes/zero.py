"""What an activation makes of 0: those that keep it may go before a padding with zeros or behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from ein.grammar.bodies.tensors import Body, Step

_KEEP = frozenset(
    "sqrt abs sign floor ceil round sin tan asin atan sinh tanh expm1 log1p erf relu gelu silu neg"
    " F.leaky_relu F.elu F.selu F.celu F.gelu F.mish F.hardswish".split()
)
_AT: Mapping[str, Callable[..., float]] = {
    "exp": math.exp,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "softplus": lambda x: math.log1p(math.exp(x)),
    "cos": math.cos,
    "relu": lambda x: max(x, 0),
    "neg": lambda x: -x,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "where": lambda condition, a, b: a if condition else b,
    "minimum": min,
    "maximum": max,
    "clamp": lambda x, low, high: min(max(x, low), high),
}


def keeps_zero(body: Body) -> bool:
    """Whether an activation gives 0 for 0, as far as its steps are known here."""
    at: list[float | None] = []
    for step in body.steps:
        at.append(_value(step, [at[source] for source in step.inputs]))
    return all(at[result] == 0 for result in body.results)


def _value(step: Step, given: list[float | None]) -> float | None:
    """What a step gives where the input is 0; None where that is not known."""
    if step.op == "input":
        return 0.0
    if step.op == "number":
        return float(step.argument("value"))
    if step.name in _KEEP and given == [0]:
        return 0.0
    known = [value for value in given if value is not None]
    if step.name not in _AT or len(known) < len(given):
        return None
    try:
        return float(_AT[step.name](*known))
    except (ArithmeticError, ValueError, TypeError):
        return None
