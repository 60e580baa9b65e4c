"""Bodies of several copies at once, and bodies that read several copies at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ein.compiler import copying_layers, copying_views
from ein.compiler.copying import Copying, Joined, Layout, Many, Rule
from ein.compiler.memo import per_body
from ein.grammar.bodies.tensors import Body, Step

RULES: Mapping[str, Rule] = {**copying_views.RULES, **copying_layers.RULES}


@dataclass(frozen=True, slots=True)
class Copies:
    """The body for all copies, and the layout of each result; None: it is the same for all of them.

    `kept` says for each entry of what it keeps, as (index of the step, name of an entry of a layer or ""), the index
    of the step of one copy, and what is joined there.
    """

    body: Body
    results: tuple[Layout | None, ...]
    kept: Mapping[tuple[int, str], tuple[int, Joined]]


def copied(body: Body, copies: int, given: Sequence[Layout | None]) -> Copies:
    """The body for so many copies, each with weights of its own, whose inputs come in these layouts.

    None is an input that the copies share. Raises NoCopies.
    """
    made = Copying(body, copies, given, RULES)
    made.run()
    results = [made.values[result] for result in body.results]
    steps = tuple(next(iter(value.forms.values())) for value in results)
    layouts = tuple(next(iter(value.forms)) for value in results)
    costs = (body.parameters * copies, body.macs * copies, body.needs_several_values)
    return Copies(Body(tuple(made.steps), steps, *costs), layouts, made.kept)


def joined(body: Body, copies: int, layout: Layout) -> Body | None:
    """A body of several inputs, which are the copies of one tensor in order, as a body of that tensor.

    A sum of all of them becomes a sum along the axis of the copies, and so on; None where nothing is known to do.
    """
    inputs = [step for step in body.steps if step.op == "input"]
    if [step.argument("which") for step in inputs] != list(range(copies)) or len(body.steps) == copies:
        return None
    made = Copying(body, copies, (layout,), RULES)
    whole = made.many(inputs[0], layout, inputs[0], ())
    first = body.steps[copies]
    at = copies
    if first.op in ("concat", "stack") and first.inputs == tuple(range(copies)):
        form = made.form(whole, Layout(first.argument("axis"), folded=first.op == "concat"))
    elif _is_sum(body.steps[copies : 2 * copies - 1], copies):
        split, at = made.split(whole), 2 * copies - 2
        total = Step("reduce", (), first.sizes, "sum", (("axes", (split.axis,)),), element=first.element)
        form = made.add(total, (whole.forms[split],))
    else:
        return None
    return _continued(made, at, form)


def _is_sum(steps: Sequence[Step], copies: int) -> bool:
    """Of the first steps, which are the inputs, one after another."""
    wanted = [(0, 1), *((copies + i, i + 2) for i in range(copies - 2))]
    return [(step.op, step.name, step.inputs) for step in steps] == [("pointwise", "+", pair) for pair in wanted]


def _continued(made: Copying, at: int, form: int) -> Body | None:
    """The steps behind the step `at`, which is `form` now; they may not read the ones before it."""
    body = made.body
    made.values = [Many(step) for step in body.steps[:at]]
    made.values.append(Many(body.steps[at], {None: form}))
    for step in body.steps[at + 1 :]:
        operands = [made.values[source] for source in step.inputs]
        if not all(value.shared for value in operands):
            return None
        made.values.append(made.same(step, operands))
    if not all(made.values[result].shared for result in body.results):
        return None
    results = tuple(made.values[result].forms[None] for result in body.results)
    return replace(body, steps=tuple(made.steps), results=results)


def of_parts(body: Body, copies: int, layout: Layout) -> Body:
    """A body of several inputs, which are the copies of one tensor in order, as a body of that tensor."""
    inputs = [step for step in body.steps if step.op == "input"]
    whole = replace(inputs[0], sizes=layout.sizes(copies, inputs[0].sizes))
    steps = [whole]
    for step in body.steps:
        if step.op == "input":
            arguments = (("axis", layout.axis), ("index", step.argument("which")), ("of", copies))
            name = "" if layout.folded else "unbind"
            steps.append(Step("part", (0,), step.sizes, name, arguments, element=step.element))
        else:
            steps.append(replace(step, inputs=tuple(source + 1 for source in step.inputs)))
    return replace(body, steps=tuple(steps), results=tuple(result + 1 for result in body.results))


@per_body
def parts(body: Body) -> tuple[Layout, int] | None:
    """How a body cuts its one input into equal parts, and into how many, if that is all that it does."""
    first, *rest = body.steps
    if first.op != "input" or len(rest) < 2 or body.results != tuple(range(1, len(body.steps))):
        return None
    axis, name = rest[0].argument("axis") if rest[0].op == "part" else -1, rest[0].name
    for at, step in enumerate(rest):
        wanted = (("axis", axis), ("index", at), ("of", len(rest)))
        if (step.op, step.name, step.inputs, step.arguments) != ("part", name, (0,), wanted):
            return None
    return Layout(axis, folded=name != "unbind"), len(rest)
