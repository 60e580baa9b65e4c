"""The fewest modules that each rule can come to, and which of its forms can be reached at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Any

from ein.grammar import cfg
from ein.grammar.names import free_of_alternative
from ein.grammar.numbers import Inapplicable
from ein.grammar.space import Space
from ein.grammar.steps import Instance, Program, Step, calls


@dataclass(slots=True)
class _Waiting:
    """A program whose minimum is known when those of `left` more instances are."""

    instance: Instance
    program: Program
    left: int


def settle(space: Space) -> None:
    """Finds the instances that can be reached and sets their minima; inf: it never ends."""
    reached = _reach(space)
    users: dict[Instance, list[_Waiting]] = {instance: [] for instance in reached}
    ready: list[tuple[float, int, Instance]] = []
    numbers = count()
    for instance, programs in reached.items():
        instance.minimum = inf
        for program in programs:
            used = {call.instance for call in calls(program)}
            waiting = _Waiting(instance, program, len(used))
            for each in used:
                users[each].append(waiting)
            if not used:
                heappush(ready, (space.least(program), next(numbers), instance))
    while ready:
        least, _, instance = heappop(ready)  # the smallest of all that are left, so nothing can lower it
        if instance.minimum < inf:
            continue
        instance.minimum = least
        for waiting in users[instance]:
            waiting.left -= 1
            if not waiting.left:
                heappush(ready, (space.least(waiting.program), next(numbers), waiting.instance))
    space.settled = True


def _reach(space: Space) -> dict[Instance, list[Program]]:
    """Programs of all instances as far as they can be told without a type; a choice or count that
    needs one stands for every value, and then counts as the single cheapest operator."""
    programs: dict[Instance, list[Program]] = {}
    stack = [space.start]
    while stack:
        instance = stack.pop()
        if instance in programs:
            continue
        reasons: list[Inapplicable] = []
        found = programs[instance] = list(_untyped(space, instance, reasons))
        if not found:
            space.refused[instance] = reasons
        for program in found:
            stack += [call.instance for call in calls(program) if call.instance not in programs]
    return programs


def _untyped(space: Space, instance: Instance, reasons: list[Inapplicable]) -> Iterator[Program]:
    for alternative in instance.rule.alternatives:
        needs = free_of_alternative(alternative) - set(instance.env)
        if needs:
            yield from _partial(space, alternative, instance)
            continue
        for _, _, full in space.assignments(alternative, instance.env, reasons):
            try:
                if alternative.guard is None or alternative.guard.evaluate(full):
                    yield space.ground(alternative.body, full)
            except Inapplicable as error:
                reasons.append(error.bare())


def _partial(space: Space, alternative: cfg.Alternative, instance: Instance) -> Iterator[Program]:
    """What is known of an alternative that needs dimensions: the rules it calls by known values."""
    yield tuple(_known_parts(space, alternative.body, instance.env))


def _known_parts(space: Space, term: cfg.Term, env: Mapping[str, Any]) -> Iterator[Step]:
    if not isinstance(term, cfg.RuleUse):
        for part in cfg.parts(term):
            yield from _known_parts(space, part, env)
    elif all(value.names <= set(env) for value in term.arguments):
        with suppress(Inapplicable):
            yield from space.ground(term, env)
