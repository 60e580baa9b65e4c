"""What a rule can become at a type: the stated distribution of its alternatives.

Alternatives (with the values of their choices) that do not apply to the type are taken out; an
alternative applies where the steps before its first rule type-check. Of the rest, percentages keep
their probability and the others share what remains.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate, groupby
from typing import Any

from ein.grammar import cfg
from ein.grammar.cfg import Cost
from ein.grammar.diagnostics import fail
from ein.grammar.forms import takes_form
from ein.grammar.numbers import Formula, Inapplicable, Percentage
from ein.grammar.space import Space
from ein.grammar.steps import (
    Apply,
    Call,
    Candidate,
    Copy,
    Enter,
    Fork,
    Form,
    Instance,
    Loop,
    Options,
    Outcome,
    Program,
    Step,
    equal_members,
    holds_rule,
    members,
    refusal,
)
from ein.grammar.types import Bundle, ValueType, rank


def options(space: Space, instance: Instance, input: ValueType) -> Options:
    """From the table of the instance, filled when a type is first met."""
    found = instance.table.get(input)
    if found is None:
        found = instance.table[input] = _options(space, instance, input)
        space.entries += 1
    return found


def _options(space: Space, instance: Instance, input: ValueType) -> Options:
    try:
        form = _form(space, instance, input)
    except Inapplicable as error:
        return Options([], [], [], (error.bare(),))
    applies, reasons = [], list(form.reasons)
    for index, candidate in enumerate(form.candidates):
        if form.sure[index] is None:
            refused = _refuses(space, candidate, input)
            if refused is not None:
                reasons.append(refused)
                continue
        applies.append(index)
    key = tuple(applies)
    if not key:
        return Options([], [], [], tuple(reasons))
    found = form.shared.get(key)
    if found is None:
        env = space.bind(instance, input)
        found = form.shared[key] = _share(instance, env, [form.candidates[i] for i in applies], tuple(reasons))
    return found


def _refuses(space: Space, candidate: Candidate, input: ValueType) -> Inapplicable | None:
    """Why the candidate does not apply, or None. An operator alone is asked without raising."""
    first = candidate.program[0]
    if isinstance(first, Apply) and len(candidate.program) == 1:
        found = first.application.look(input)
        return refusal(first, found) if isinstance(found, Inapplicable) else None
    try:
        outcome(space, candidate, input)
    except Inapplicable as error:
        return error.bare()
    return None


def _form(space: Space, instance: Instance, input: ValueType) -> Form:
    """The candidates; kept for all types of a form unless the rule has a signature of its own."""
    if instance.rule.match is not None:
        return _candidates(space, instance, input)
    key = input.form if not isinstance(input, Bundle) else ("", rank(input))
    found = instance.forms.get(key)
    if found is None:
        found = instance.forms[key] = _candidates(space, instance, input)
    return found


def _candidates(space: Space, instance: Instance, input: ValueType) -> Form:
    env = space.bind(instance, input)
    candidates: list[Candidate] = []
    sure: list[bool | None] = []
    reasons: list[Inapplicable] = []
    for index, alternative in enumerate(instance.rule.alternatives):
        for values, weight, full in space.assignments(alternative, env, reasons):
            try:
                if alternative.guard is not None and not alternative.guard.evaluate(full):
                    continue
                program = space.ground(alternative.body, full)
            except Inapplicable as error:
                reasons.append(error.bare())
                continue
            answer = _sure(program, input) if instance.rule.match is None else None
            if answer is not False:
                leading = next((i for i, step in enumerate(program) if holds_rule(step)), len(program))
                candidates.append(Candidate((index, values), weight, program, leading, program[leading:]))
                sure.append(answer)
            else:
                reasons.append(_refusal(space, program, input))
    return Form(candidates, sure, tuple(reasons))


def _refusal(space: Space, program: Program, input: ValueType) -> Inapplicable:
    try:
        space.run(program[0], input)
    except Inapplicable as error:
        return error.bare()
    raise AssertionError("an operator takes a type that its form refuses")


def _sure(program: Program, input: ValueType) -> bool | None:
    """Whether the program applies to every type of the form of `input`, to none, or it depends."""
    if isinstance(program[0], Call):
        return True
    if not isinstance(program[0], Apply) or isinstance(input, Bundle):
        return None
    answer = takes_form(program[0].application, input)
    if answer and not (len(program) == 1 or isinstance(program[1], Call)):
        return None
    return answer


def outcome(space: Space, candidate: Candidate, input: ValueType) -> Outcome:
    """What the candidate does at a type. Raises Inapplicable where it does not apply."""
    found = candidate.outcomes.get(input)
    if found is None:
        current, modules = input, 0
        for step in candidate.program[: candidate.leading]:
            current, used = space.run(step, current)
            modules += used
        if candidate.rest:
            _before_rule(space, candidate.rest[0], current)
        least = modules + sum(space.minimum(step) for step in candidate.rest)
        found = candidate.outcomes[input] = Outcome(current, modules, int(least))
        space.outcomes.append(candidate.outcomes)
        space.entries += 1
    return found


def outcome_cost(space: Space, candidate: Candidate, input: ValueType, result: Outcome) -> Cost:
    """Of the steps before the first rule; computed when first asked for."""
    if not result.cost:
        result.cost.append(space.cost(candidate.program[: candidate.leading], input))
    return result.cost[0]


def _before_rule(space: Space, step: Step, input: ValueType) -> bool:
    """Checks what stands before the first rule inside `step`; whether a rule was met."""
    match step:
        case Call():
            return True
        case Fork(programs):
            for program, member in zip(programs, members(input, len(programs), step.span), strict=True):
                if _prefix(space, program, member):
                    return True
            return False
        case Copy(count, program):
            return _prefix(space, program, equal_members(input, count, step.span))
        case Loop(_, program):
            return _prefix(space, program, input)
        case Enter():
            return _prefix(space, space.enter(step, input), input)
        case Apply():
            space.run(step, input)
            return False


def _prefix(space: Space, program: Program, input: ValueType) -> bool:
    for step in program:
        if holds_rule(step):
            if _before_rule(space, step, input):
                return True
            continue
        input, _ = space.run(step, input)
    return False


def _share(
    instance: Instance, env: Mapping[str, Any], applying: list[Candidate], reasons: tuple[Inapplicable, ...]
) -> Options:
    """Probabilities of the candidates that apply."""
    groups: list[tuple[float, bool, list[float]]] = []
    for index, own in groupby(applying, lambda candidate: candidate.choice[0]):
        groups.append(_weigh(instance.rule.alternatives[index], env, list(own)))
    shares = list(_shares(groups))
    total = sum(shares)
    kept = [(c, share / total) for c, share in zip(applying, shares, strict=True) if share > 0] if total > 0 else []
    probabilities = [share for _, share in kept]
    cumulative = list(accumulate(probabilities))
    if cumulative:
        cumulative[-1] = 1.0
    return Options(cumulative, [candidate for candidate, _ in kept], probabilities, reasons)


def _weigh(
    alternative: cfg.Alternative, env: Mapping[str, Any], own: list[Candidate]
) -> tuple[float, bool, list[float]]:
    """Weight of an alternative, whether it is a percentage, and the weights of its values.

    A weight that depends on the choices is asked for each of their values, and the sum counts.
    """
    weights = [candidate.weight for candidate in own]
    if alternative.each:
        return sum(weights), False, weights
    if alternative.weight is None:
        return 1.0, False, weights
    names = [choice.name for choice in alternative.choices]
    if alternative.weight.names & set(names):
        filled = [{**env, **dict(zip(names, candidate.choice[1], strict=True))} for candidate in own]
        weights = [w * _weight(alternative.weight, full) for w, full in zip(weights, filled, strict=True)]
        return sum(weights), False, weights
    value = _weight(alternative.weight, env)
    return value, isinstance(value, Percentage), weights


def _weight(weight: Formula, env: Mapping[str, Any]) -> float:
    """Raises EinError: what applies must have a weight."""
    try:
        value = weight.evaluate(env)
    except Inapplicable as error:
        raise fail("E503", error.reason, error.span or weight.expr.span) from None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        text = f"a weight is a number of at least 0, not {cfg.value_text(value)}"
        raise fail("E503", text, weight.expr.span)
    return value


def _shares(groups: list[tuple[float, bool, list[float]]]) -> Iterator[float]:
    percent = sum(weight for weight, is_percent, _ in groups if is_percent)
    plain = sum(weight for weight, is_percent, _ in groups if not is_percent)
    remainder = max(0.0, 1.0 - percent)
    for weight, is_percent, values in groups:
        whole = weight if is_percent else (remainder * weight / plain if plain else 0.0)
        inside = sum(values)
        yield from (whole * value / inside if inside else 0.0 for value in values)
