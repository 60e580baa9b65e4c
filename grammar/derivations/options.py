"""What a rule can become at a type: the stated distribution of its alternatives.

Alternatives (with the values of their choices) that do not apply to the type are taken out; an
alternative applies where the steps before its first rule type-check. Of the rest, percentages keep
their probability and the others share what remains.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate, groupby
from typing import Any

from ein.grammar.cfg import Cost
from ein.grammar.derivations.linked import linked
from ein.grammar.forms import takes_form
from ein.grammar.names import free_of_alternative
from ein.grammar.numbers import Inapplicable
from ein.grammar.space import Space
from ein.grammar.steps import (
    Apply,
    Bind,
    Call,
    Candidate,
    Choice,
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
    Variables,
    assign,
    flat,
    holds_rule,
    names_values,
    refusal,
    rule_uses,
)
from ein.grammar.together import Together
from ein.grammar.types import Bundle, ValueType, merge, rank
from ein.grammar.weights import Group, shares, weigh


def options(space: Space, instance: Instance, input: ValueType) -> Options:
    """From the table of the instance, filled when a type is first met."""
    found = instance.always or instance.table.get(input)
    if found is None:
        found = _options(space, instance, input)
        if _always(space, instance):
            instance.always = found
        else:
            instance.table[input] = found
            space.entries += 1
    return found


def _always(space: Space, instance: Instance) -> bool:
    """Whether the options are the same at all types: no alternative depends on one, and all begin with rules."""
    if instance.varies is None:
        rule, known = instance.rule, set(instance.env)
        free = all(free_of_alternative(each) <= known for each in rule.alternatives)
        form = next(iter(instance.forms.values()), None)
        sure = form is not None and not form.reasons and all(isinstance(c.program[0], Call) for c in form.candidates)
        instance.varies = rule.match is not None or bool(rule.packed) or not free or not sure
    return not instance.varies


def _options(space: Space, instance: Instance, input: ValueType) -> Options:
    try:
        form = _form(space, instance, input)
    except Inapplicable:
        return _NOTHING
    together = _together(form, input)
    alike = None if together is None else together.ask(input)
    found = None if together is None else together.found.get(alike)
    if found is None:
        found = _of_form(space, instance, form, input)
        if together is not None:
            together.found[alike] = found
    return found


def _together(form: Form, input: ValueType) -> Together | None:
    """What asks the operators that are unsure at once, where all of them can be asked so."""
    regular = input.regular
    if regular is None or not form.unsure:
        return None
    found = form.together.get(regular)
    if found is None:
        first = [candidate.first for candidate in form.unsure if candidate.first is not None]
        begin = [candidate for candidate in form.unsure if candidate.first is None]
        if all(candidate.begins for candidate in begin):
            found = Together.of(first, regular, [_alike] if begin else [])
            if found is not None:
                form.together[regular] = found
    return found


def _alike(input: ValueType) -> bool:
    """Whether copies can begin with the members, as far as that is not told by their form and number."""
    return not isinstance(input, Bundle) or merge(input.members) is not None


def _of_form(space: Space, instance: Instance, form: Form, input: ValueType) -> Options:
    key = tuple([c.first.fits(input) if c.first is not None else _applies(space, c, input) for c in form.unsure])
    found = form.shared.get(key)
    if found is None:
        refused = {id(c) for c, applies in zip(form.unsure, key, strict=True) if not applies}
        applying = [candidate for candidate in form.candidates if id(candidate) not in refused]
        found = _share(instance, space.bind(instance, input), applying) if applying else _NOTHING
        form.shared[key] = found
    return found


_NOTHING = Options([], [], [])


def _applies(space: Space, candidate: Candidate, input: ValueType) -> bool:
    step = candidate.program[0]
    try:
        if not candidate.begins:
            outcome(space, candidate, input)
        elif isinstance(step, Fork):
            step.inputs(input)
        elif isinstance(step, Copy):
            step.input(input)
    except Inapplicable:
        return False
    return True


def refusals(space: Space, instance: Instance, input: ValueType) -> list[Inapplicable]:
    """Why the candidates that do not apply do not."""
    try:
        form = _form(space, instance, input)
    except Inapplicable as error:
        return [error.bare()]
    found = [refused for candidate in form.unsure if (refused := _refuses(space, candidate, input)) is not None]
    return [*form.reasons, *found]


def _refuses(space: Space, candidate: Candidate, input: ValueType) -> Inapplicable | None:
    """Why the candidate does not apply, or None."""
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
    key = input.form if not isinstance(input, Bundle) else ("", _rank(instance, input))
    found = instance.forms.get(key)
    if found is None:
        found = instance.forms[key] = _candidates(space, instance, input)
    return found


def _rank(instance: Instance, input: Bundle) -> int | None:
    return rank(input.members[0] if instance.rule.packed else input)


def _candidates(space: Space, instance: Instance, input: ValueType) -> Form:
    env = space.bind(instance, input)
    candidates: list[Candidate] = []
    unsure: list[Candidate] = []
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
                candidates.append(_candidate(space, (index, values), weight, program))
                if answer is None:
                    unsure.append(candidates[-1])
            else:
                reasons.append(_refusal(space, program, input))
    return Form(candidates, unsure, tuple(reasons))


def _candidate(space: Space, choice: Choice, weight: float, program: Program) -> Candidate:
    leading = next((i for i, step in enumerate(program) if holds_rule(step)), len(program))
    before, rest = program[:leading], program[leading:]
    binds = names_values(program)
    first = None
    if len(before) == 1 and isinstance(before[0], Apply) and not binds and (not rest or isinstance(rest[0], Call)):
        first = before[0].application
    simple = not before or first is not None
    least = len(before) + space.least(rest) if simple else 0
    begins, opens = _begins(program, binds), rule_uses(rest)
    rest = flat(rest)
    return Candidate(choice, weight, program, leading, rest, binds, simple, first, least, begins, linked(rest), opens)


def _begins(program: Program, binds: bool) -> bool:
    """Whether the program is branches or copies that begin with rules, so that it applies where they get inputs."""
    match program[0]:
        case Fork(programs):
            return not binds and all(isinstance(each[0], Call) for each in programs)
        case Copy(_, inner):
            return not binds and isinstance(inner[0], Call)
        case _:
            return False


def _refusal(space: Space, program: Program, input: ValueType) -> Inapplicable:
    try:
        space.run(program[0], input, {})
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
        variables: Variables = {}
        current, modules = space.run_all(candidate.program[: candidate.leading], input, variables)
        if candidate.rest:
            _before_rule(space, candidate.rest[0], current, variables.copy())
        least = modules + sum(space.minimum(step) for step in candidate.rest)
        found = candidate.outcomes[input] = Outcome(current, modules, int(least), variables)
        space.outcomes.append(candidate.outcomes)
        space.entries += 1
    return found


def outcome_cost(space: Space, candidate: Candidate, input: ValueType) -> Cost:
    """Of the steps before the first rule; computed when first asked for."""
    result = outcome(space, candidate, input)
    if result.cost is None:
        result.cost = space.cost(candidate.program[: candidate.leading], input, {})
    return result.cost


def _before_rule(space: Space, step: Step, input: ValueType, variables: Variables) -> bool:
    """Checks what stands before the first rule inside `step`; whether a rule was met."""
    match step:
        case Call():
            return True
        case Fork(programs):
            parts = zip(programs, step.inputs(input), strict=True)
            return any(_prefix(space, program, part, variables) is None for program, part in parts)
        case Copy(_, program):
            return _prefix(space, program, step.input(input), variables) is None
        case Loop(_, program):
            return _prefix(space, program, input, variables) is None
        case Enter():
            return _prefix(space, space.enter(step, input), input, variables) is None
        case Bind(bindings, body):
            for names, program in bindings:
                value = _prefix(space, program, input, variables)
                if value is None:
                    return True
                assign(names, value, variables, step.span)
            return _prefix(space, body, input, variables) is None
        case _:
            space.run(step, input, variables)
            return False


def _prefix(space: Space, program: Program, input: ValueType, variables: Variables) -> ValueType | None:
    """The type after the program; None: there is a rule in it, and what stands before that fits."""
    for step in program:
        if holds_rule(step) and _before_rule(space, step, input, variables):
            return None
        input, _ = space.run(step, input, variables)
    return input


def _share(instance: Instance, env: Mapping[str, Any], applying: list[Candidate]) -> Options:
    """Probabilities of the candidates that apply."""
    groups: list[Group] = []
    for index, own in groupby(applying, lambda candidate: candidate.choice[0]):
        values = [(candidate.choice[1], candidate.weight) for candidate in own]
        groups.append(weigh(instance.rule.alternatives[index], env, values))
    parts = list(shares(groups))
    total = sum(parts)
    kept = [(c, part / total) for c, part in zip(applying, parts, strict=True) if part > 0] if total > 0 else []
    probabilities = [part for _, part in kept]
    cumulative = list(accumulate(probabilities))
    if cumulative:
        cumulative[-1] = 1.0
    return Options(cumulative, [candidate for candidate, _ in kept], probabilities)
