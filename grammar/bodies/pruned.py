"""A tape made into a body: without what no result needs, and with what is computed at the start apart."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from ein.grammar.bodies.tensors import Body, Charge, Step, Tape


def pruned(tape: Tape, results: Sequence[int], inputs: Sequence[int] | None = None) -> Body:
    """The steps that the results depend on, in the order of the tape.

    So a weight that nothing reads does not exist. Inputs stay, whether they are read or not; or with `inputs`
    just those that it lists, which get their numbers in its order.
    """
    steps = tape.steps
    which = {i: n for n, i in enumerate(input_numbers(tape) if inputs is None else inputs)}
    given = {i for i, step in enumerate(steps) if step.op == "input" and step.argument("which") in which}
    live = sorted(closure(steps, results) | given)
    starts = sorted(closure(steps, _computed(steps[i] for i in live)))
    number = {old: new for new, old in enumerate(live)}
    at = {old: new for new, old in enumerate(starts)}
    charges = [tape.charges.get(i, Charge()) for i in live]
    body = Body(
        tuple(_moved(steps[i], number, _place(steps[i], i, which, starts, at)) for i in live),
        tuple(number[i] for i in results),
        sum(charge.parameters for charge in charges),
        sum(charge.macs for charge in charges),
        any(charge.needs_several_values for charge in charges),
        tuple(_moved(steps[i], at, {}) for i in starts),
    )
    tied = sum(map(prod, body.ties.values()))
    return replace(body, parameters=body.parameters + tied) if tied else body


def input_numbers(tape: Tape) -> list[int]:
    """Which inputs the tape has steps for."""
    return [step.argument("which") for step in tape.steps if step.op == "input"]


def closure(steps: Sequence[Step], roots: Iterable[int]) -> set[int]:
    """The steps that `roots` depend on, themselves included."""
    found = set(roots)
    stack = list(found)
    while stack:
        fresh = [source for source in steps[stack.pop()].inputs if source not in found]
        found.update(fresh)
        stack += fresh
    return found


def _computed(steps: Iterable[Step]) -> list[int]:
    """What the weights among the steps start from, where that is computed."""
    starts = [step.argument("start") for step in steps if step.op in ("weight", "buffer")]
    return [start[1] for start in starts if start[0] == "computed"]


def _place(
    step: Step, index: int, which: Mapping[int, int], starts: list[int], at: Mapping[int, int]
) -> dict[str, Any]:
    """The arguments that say where something stands."""
    match step.op:
        case "input":
            return {"which": which[step.argument("which")]}
        case "weight" | "buffer":
            kind, *numbers = step.argument("start")
            start = (kind, at[numbers[0]]) if kind == "computed" else step.argument("start")
            return {"start": start, "after": bisect(starts, index)}
        case _:
            return {}


def _moved(step: Step, number: Mapping[int, int], place: Mapping[str, Any]) -> Step:
    """The step with its operands under their new numbers; as it is where nothing in it changes."""
    inputs = tuple([number[source] for source in step.inputs])
    arguments = tuple({**dict(step.arguments), **place}.items()) if place else step.arguments
    if inputs == step.inputs and arguments == step.arguments:
        return step
    return replace(step, inputs=inputs, arguments=arguments)
