"""What it is worth to compute several uses of an operator at once, as measured: docs/decisions/0010-batching.md.

Torch takes some time for each call, forward and back; that is saved for all copies but one. What may cost more is
a product with one matrix for each copy, a scale and a shift that a layer had inside, a convolution of many groups,
and tensors so large that those of one copy would stay in the cache and those of all do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ein.compiler.passes.batched import Batched
from ein.grammar.bodies.tensors import Body, Step

EXAMPLES = 64
"""In a batch, rather many: with fewer the calls weigh more."""

CACHE = 768 * 1024
"""Numbers in a tensor that stay at hand from one call to the next."""

_NOTHING = frozenset("input weight buffer number range".split())
_VIEWS = frozenset("permute unflatten flatten unsqueeze part index slice expand broadcast".split())
_CALLS = {"nn.Linear": 40.0, "nn.LayerNorm": 40.0, "F.layer_norm": 20.0, "nn.Conv": 90.0, "nn.ConvTranspose": 90.0}
_CALLS |= {"nn.BatchNorm": 60.0, "nn.InstanceNorm": 60.0, "nn.GroupNorm": 60.0}
_CALL, _VIEW = 15.0, 5.0
"""Microseconds of a call."""

_TURNED = 4.0
"""Nanoseconds for each number whose axes are put in another order only for the copies."""

MARGIN = 12.0
"""Microseconds that are to be saved at least."""

_FEW_CHANNELS = 8
"""In a group of a convolution: up to here torch computes as many anyway."""


def gain(batched: Batched, count: int, apart: int, read: bool) -> float:
    """Microseconds that a training step takes less.

    `apart`: inputs that are to be laid together before; `read`: the results are read at once, or each elsewhere, and
    not all by one use as queries, keys and values are.
    """
    steps = batched.copies.body.steps
    saved = sum(map(_call, batched.one.steps)) * (count - 1)
    given = [_numbers(step) for step in steps if step.op == "input"]
    gathered = sum(_CALL + 0.002 * numbers for numbers in sorted(given)[-apart:]) if apart else 0
    moved = _moved(steps) - count * _moved(batched.one.steps)
    return saved - gathered - moved / 1000 * _TURNED - sum(_loss(step, steps, read) for step in steps)


def join_gain(count: int, batched: Batched, join: Body) -> float:
    """Of one sum over all copies, or one look at them, in place of a sum or concatenation of tensors."""
    numbers = max(_numbers(batched.copies.body.steps[result]) for result in batched.copies.body.results)
    sums = any(step.op == "reduce" for step in join.steps)
    each = (1.0 if numbers >= CACHE else 0.0) + (0.5 if sums else 0.0)
    return (count - 2) * _CALL - (each * numbers + _TURNED * _moved(join.steps)) / 1000


def _moved(steps: Sequence[Step]) -> int:
    """Numbers that are put in another order: what reads them takes more time, or copies them."""
    return sum(_numbers(step) for step in steps if step.op == "permute")


def _call(step: Step) -> float:
    if step.op in _NOTHING:
        return 0
    return _VIEW if step.op in _VIEWS else _CALLS.get(step.name.rstrip("123d"), _CALL)


def _numbers(step: Step) -> int:
    return EXAMPLES * prod(step.sizes)


def _loss(step: Step, steps: Sequence[Step], read: bool) -> float:
    """Of a step for all copies: some for the call, and some for each number."""
    fixed, each = _costs(step, steps, read, _numbers(step) >= CACHE)
    return fixed + each / 1000 * _numbers(step)


def _costs(step: Step, steps: Sequence[Step], read: bool, large: bool) -> tuple[float, float]:
    """Microseconds, and nanoseconds for each number of the result."""
    match step.op:
        case "einsum" if any(steps[source].op == "weight" for source in step.inputs):
            terms, _ = step.argument("letters")
            beside = len(terms[1]) > 2 and terms[0][-2:-1] == terms[1][0]
            return 35, (1.8 if large else 0.1) + (0 if beside else 1.5)
        case "function" if step.name == "F.layer_norm":
            return 0, 2.0 if large else 0
        case "pointwise" if _is_spread(step, steps):
            return 25, 0.8
        case "pointwise" if any(steps[source].op == "weight" for source in step.inputs):
            return 30, 0.5 if large else 0.2
        case "layer" if step.name == "nn.Linear":
            return 0, 1.0 if large and read else 0
        case "layer" if step.name.startswith("nn.Conv") and step.argument("groups") > 1:
            few = step.argument("in_channels") <= _FEW_CHANNELS * step.argument("groups")
            return 0, 0.1 if few else 1.0
        case "layer":
            return 0, 0.1 if large else 0
        case _:
            return 0, 0


def _is_spread(step: Step, steps: Sequence[Step]) -> bool:
    """Whether an operand that all copies share is repeated for each of them."""
    batched = [steps[source] for source in step.inputs if steps[source].batched]
    return bool(batched) and all(prod(each.sizes) < prod(step.sizes) for each in batched)
