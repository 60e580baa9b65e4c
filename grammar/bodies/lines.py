"""The lines of an operator's body before its `=`: what is trained, kept, drawn, named, and loops."""

from __future__ import annotations

from math import isfinite, prod
from typing import Any

from ein.grammar.bodies.expressions import Expressions
from ein.grammar.bodies.scan import assign, scan
from ein.grammar.bodies.tensors import Charge, Value, distinct
from ein.grammar.diagnostics import fail
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Inapplicable, nearest

DISTRIBUTIONS = {"normal": 2, "uniform": 2, "trunc_normal": 1, "kaiming": 0, "xavier": 0, "orthogonal": 0}
"""Starts of a weight after `~`, with their number of arguments."""

MAX_ROUNDS = 64
"""Of a `repeat`, which is written out."""

_OPERATIONS = {"param": "weight", "buffer": "buffer", "draw": "draw"}


def read_line(body: Expressions, line: s.Line) -> None:
    """Puts what the line declares on the tape and into the names of `body`."""
    body.tape.span = line.span
    match line:
        case s.WeightLine(role, weights):
            for weight in weights:
                _weight(body, role, weight)
        case s.Assignment():
            assign(body, line)
        case s.Scan():
            scan(body, line)
        case s.Repeat():
            _repeat(body, line)


def _repeat(body: Expressions, line: s.Repeat) -> None:
    """The steps once for each value of the counter; after each round it is forgotten what `let` named inside, and
    how long the axes were that got their names there."""
    first, last = (_whole(body, bound) for bound in (line.first, line.last))
    if last - first >= MAX_ROUNDS:
        text = f"`repeat` is written out, at most {MAX_ROUNDS} times, and these are {last - first + 1:,}"
        raise Inapplicable(text, line.span)
    before, sizes = dict(body.values), dict(body.tape.sizes)
    for count in range(first, last + 1):
        body.values[line.name] = count
        for step in line.steps:
            if not step.let:
                _known(step, before)
            assign(body, step)
        for name in body.values.keys() - before.keys():
            del body.values[name]
        body.tape.sizes.clear()
        body.tape.sizes.update(sizes)
    for name in {line.name, *(name for step in line.steps if step.let for name in step.names)} & before.keys():
        body.values[name] = before[name]


def _whole(body: Expressions, expr: s.Expr) -> int:
    value = body.number(expr)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Inapplicable(f"the rounds of a `repeat` are counted in integers, not {value}", expr.span)
    return value


def _known(step: s.Assignment, known: dict[str, Any]) -> None:
    for name in step.names:
        if name not in known:
            help = nearest(name, known, f"`let {name} = …` names a value of one round")
            raise fail("E403", f"there is no value `{name}` before the loop", step.span, help=help)


# --- weights


def _weight(body: Expressions, role: str, weight: s.Weight) -> None:
    if weight.name in body.values:
        raise fail("E210", f"`{weight.name}` has a value already, and cannot be a `{role}` too", weight.span)
    groups = [group for axis in weight.axes or () for group in body.axes.axis(axis, declare=True)]
    axes = tuple(name for group in groups for name, _ in group)
    sizes = tuple(size for group in groups for _, size in group)
    distinct(axes, weight.span)
    for name, size in zip(axes, sizes, strict=True):
        if name is not None:
            body.tape.sizes[name] = size
    start = _drawn_start(body, weight, sizes) if weight.random else _exact_start(body, role, weight, axes, sizes)
    arguments: dict[str, Any] = {"start": start}
    key = _key(body, role, weight)
    if key is not None:
        arguments["key"] = key
    step = body.tape.step(_OPERATIONS[role], (), sizes, weight.name, tuple(arguments.items()), batched=False)
    if role == "param" and key is None:
        body.tape.charges[step] = Charge(parameters=prod(sizes))
    body.values[weight.name] = Value(step, axes, sizes, False)


def _key(body: Expressions, role: str, weight: s.Weight) -> str | None:
    """What ties the weight to others; None where it stands alone."""
    if weight.tied_by is None:
        return None
    if role != "param":
        raise fail("E421", f"`tied by` is for a `param`, and `{weight.name}` is a `{role}`", weight.span)
    key = body.env.get(weight.tied_by)
    if not isinstance(key, str):
        text = f"`tied by` takes a parameter of kind name, and `{weight.tied_by}` is none"
        raise fail("E421", text, weight.span, help=f"declare `{weight.tied_by}: name = none`")
    return None if key == "none" else key


def _drawn_start(body: Expressions, weight: s.Weight, sizes: tuple[int, ...]) -> tuple[Any, ...]:
    """`("normal", 0.0, 1.0)`."""
    value = weight.value
    name, arguments = (value.function, value.arguments) if isinstance(value, s.Call) else (value, ())
    if not isinstance(name, s.Name) or name.name not in DISTRIBUTIONS:
        raise fail("E412", "after `~` stands a distribution", value.span, help=f"there are {', '.join(DISTRIBUTIONS)}")
    if len(arguments) != DISTRIBUTIONS[name.name]:
        raise fail("E412", f"`{name.name}` takes {DISTRIBUTIONS[name.name]} argument(s)", value.span)
    if name.name == "orthogonal" and len(sizes) < 2:
        text = f"an orthogonal start is of matrices, and `{weight.name}` has {len(sizes)} axes"
        raise fail("E412", text, value.span, help="it takes two axes or more, and of these the last two")
    numbers = tuple(float(body.number(argument.value)) for argument in arguments)
    _check_numbers(name.name, numbers, value)
    return (name.name, *numbers)


def _check_numbers(name: str, numbers: tuple[float, ...], value: s.Expr) -> None:
    spread = numbers[-1] if numbers else 0.0
    if not all(map(isfinite, numbers)) or (name != "uniform" and spread < 0):
        raise Inapplicable(f"`{name}` cannot have the numbers {', '.join(f'{n:g}' for n in numbers)}", value.span)
    if name == "uniform" and numbers[0] > numbers[1]:
        raise Inapplicable(f"`uniform` goes from the lower to the higher number, not {numbers[0]:g} to {numbers[1]:g}")


def _exact_start(
    body: Expressions, role: str, weight: s.Weight, axes: tuple[str | None, ...], sizes: tuple[int, ...]
) -> tuple[Any, ...]:
    """`("constant", 1.0)`, or `("computed", step)` of a step that has the axes of the weight."""
    value = body.evaluate(weight.value)
    if role == "draw":
        help = f"`let {weight.name} = …` names what is computed"
        raise fail("E412", f"a `draw` is random: `draw {weight.name}[…] ~ …`", weight.span, help=help)
    if isinstance(value, int | float):
        return ("constant", float(value))
    start = body.tensor(value, weight.value)
    if start.batched or start.step in body.tape.kept:
        what = "the input" if start.batched else "another weight"
        text = f"`{weight.name}` starts before there is any input, and this depends on {what}"
        raise fail("E420", text, weight.value.span, help="a start is computed from numbers, positions and draws")
    if start.element == "complex":
        raise fail("E420", f"a weight is real, and `{weight.name}` would start complex", weight.value.span)
    if start.element != "float":
        start = body.tape.value("as_float", [start], start.axes, start.sizes, element="float")
    return ("computed", body.tape.broadcast(start, axes, sizes, weight.value.span).step)
