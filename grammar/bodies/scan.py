"""`scan`: a recurrence along an axis, checked by one of its steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ein.grammar.bodies.expressions import Expressions
from ein.grammar.bodies.pruned import closure, pruned
from ein.grammar.bodies.tensors import Charge, Tape, Value
from ein.grammar.diagnostics import fail
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Inapplicable, nearest


def assign(body: Expressions, line: s.Assignment) -> None:
    """`a = e`, or `a, b = e` of as many tensors."""
    value = body.evaluate(line.value)
    if len(line.names) == 1:
        body.values[line.names[0]] = value
        return
    parts = value if isinstance(value, list | tuple) else [value]
    if len(parts) != len(line.names):
        text = f"{len(line.names)} names are given, and the value has {len(parts)} part(s)"
        raise fail(
            "E422", text, line.span, help="`unstack[axis](x)`, `split[axis](x, n)` and `svd[axis](x)` have several"
        )
    body.values.update(zip(line.names, parts, strict=True))


def scan(body: Expressions, line: s.Scan) -> None:
    """Inside, values with the axis are one step's slice; after it, the states have the axis in front."""
    length = body.tape.sizes.get(line.axis) or body.axes.known_size(line.axis, s.Axis(s.Name(line.axis)), False)
    if not length:
        known = sorted(body.tape.sizes)
        raise fail("E403", f"there is no axis `{line.axis}` to scan over", line.span, help=nearest(line.axis, known))
    _check_names(line)
    outer, values = body.tape, body.values
    loop = _Loop(outer, line, length)
    loop.capture(values)
    states = [loop.state(body, state) for state in line.states]
    body.tape = loop.inner
    body.values = {**loop.values, **{state.name: value for state, value in zip(line.states, states, strict=True)}}
    try:
        for step in line.steps:
            assign(body, step)
        ends = [loop.end(body, state, value) for state, value in zip(line.states, states, strict=True)]
    finally:
        body.tape, body.values = outer, values
    values.update(loop.results(ends))


def _check_names(line: s.Scan) -> None:
    """States are assigned without `let`, everything else with it, and each state is."""
    names = [state.name for state in line.states]
    assigned = {name for step in line.steps if not step.let for name in step.names}
    for step in line.steps:
        for name in step.names:
            if step.let == (name in names):
                how = "is a state: assign it without `let`" if step.let else "is no state: write `let`"
                raise fail("E423", f"`{name}` {how}", step.span)
    for state in line.states:
        if names.count(state.name) > 1:
            raise fail("E423", f"two states are called `{state.name}`", state.span)
        if state.name not in assigned:
            raise fail("E423", f"the state `{state.name}` is never assigned", state.span)


@dataclass(frozen=True, slots=True)
class _Captured:
    """A value from before the loop; `axis` is the place of the axis that is walked along, or None."""

    value: Value
    axis: int | None


class _Loop:
    """One step of a scan on a tape of its own, whose inputs are what it captures, and then its states."""

    def __init__(self, outer: Tape, line: s.Scan, length: int) -> None:
        self.outer = outer
        self.line = line
        self.length = length
        self.inner = type(outer)(line.span)
        self.inner.sizes = outer.sizes
        self.captured: list[_Captured] = []
        self.starts: list[Value] = []
        self.values: dict[str, Any] = {}
        self.batched = False

    def capture(self, values: dict[str, Any]) -> None:
        """What the steps and starts read, under its names."""
        read = set(_names(self.line))
        self.values = {name: self._inside(value) if name in read else value for name, value in values.items()}

    def _inside(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._inside(each) for each in value]
        if not isinstance(value, Value):
            return value
        at = value.axes.index(self.line.axis) if self.line.axis in value.axes else None
        if at is not None and value.sizes[at] != self.length:
            text = f"`{self.line.axis}` is {self.length}, and here {value.sizes[at]}"
            raise Inapplicable(text, self.line.span)
        self.captured.append(_Captured(value, at))
        self.batched = self.batched or value.batched
        keep = [i for i in range(len(value.axes)) if i != at]
        axes, sizes = tuple(value.axes[i] for i in keep), tuple(value.sizes[i] for i in keep)
        return self._input(len(self.captured) - 1, replace(value, axes=axes, sizes=sizes))

    def _input(self, which: int, like: Value) -> Value:
        step = self.inner.step("input", (), like.sizes, "", (("which", which),), like.batched, like.element)
        return replace(like, step=step)

    def state(self, body: Expressions, state: s.State) -> Value:
        """The state as one step finds it; called for all states before any step is read."""
        groups = [group for axis in state.axes for group in body.axes.axis(axis, declare=True)]
        axes = tuple(name for group in groups for name, _ in group)
        sizes = tuple(size for group in groups for _, size in group)
        if self.line.axis in axes:
            raise fail("E423", f"a state has no axis `{self.line.axis}`: the scan walks along it", state.span)
        value = body.evaluate(state.start)
        if isinstance(value, int | float):
            start = self._filled(float(value), axes, sizes)
        else:
            begin = self.outer.broadcast(body.tensor(value, state.start), axes, sizes, state.start.span)
            start = self.outer.alike([begin, *(each.value for each in self.captured)])[0]
        self.starts.append(start)
        return self._input(len(self.captured) + len(self.starts) - 1, start)

    def _filled(self, value: float, axes: tuple[str | None, ...], sizes: tuple[int, ...]) -> Value:
        read = [each.value for each in self.captured]
        if not read:
            raise fail("E423", "this scan reads no tensor, so its states are the same for all inputs", self.line.span)
        examples = next((each for each in read if each.batched), read[0])
        element = next((each for each in (examples, *read) if each.element == "float"), examples)
        return self.outer.value("filled", [element, examples], axes, sizes, "", (("value", value),))

    def end(self, body: Expressions, state: s.State, before: Value) -> Value:
        """What a step leaves in a state, which has the axes that it found."""
        after = body.tensor(body.values[state.name], state.start)
        span = next(step.span for step in reversed(self.line.steps) if state.name in step.names)
        if None in (*after.axes, *before.axes):
            if after.sizes != before.sizes:
                raise Inapplicable(_changed(state.name, before, after), span)
        elif set(after.axes) != set(before.axes):
            raise fail("E423", _changed(state.name, before, after), span, help="a step keeps the axes of a state")
        else:
            after = self.inner.permute(after, [after.axes.index(axis) for axis in before.axes])
        if after.element != before.element and (before.element != "float" or after.element == "complex"):
            text = f"a step finds {before.element} numbers in `{state.name}` and leaves {after.element} ones"
            raise Inapplicable(text, span)
        after = self.inner.cast(after, before)
        return self.inner.expand(after, before) if before.batched else after

    def results(self, ends: list[Value]) -> dict[str, Value]:
        """Puts the scan on the outer tape. Captures that no result needs are left out."""
        roots = [value.step for value in ends]
        read = {self.inner.steps[i].argument("which") for i in closure_inputs(self.inner, roots)}
        used = [i for i in range(len(self.captured)) if i in read]
        states = [len(self.captured) + i for i in range(len(self.starts))]
        one = pruned(self.inner, roots, (*used, *states))
        inputs = (*(self.captured[i].value.step for i in used), *(start.step for start in self.starts))
        sliced = tuple(self.captured[i].axis for i in used)
        arguments = (("body", one), ("sliced", sliced), ("length", self.length))
        step = self.outer.step("scan", inputs, (), "", arguments, self.batched)
        self.outer.charges[step] = Charge(one.parameters, one.macs * self.length, one.needs_several_values)
        found = {}
        for which, (state, value) in enumerate(zip(self.line.states, ends, strict=True)):
            axes, sizes = (self.line.axis, *value.axes), (self.length, *value.sizes)
            item = self.outer.step("item", (step,), sizes, "", (("which", which),), self.batched, value.element)
            found[state.name] = Value(item, axes, sizes, self.batched, value.element)
        return found


def closure_inputs(tape: Tape, roots: list[int]) -> Iterator[int]:
    return (i for i in closure(tape.steps, roots) if tape.steps[i].op == "input")


def _changed(name: str, before: Value, after: Value) -> str:
    def shown(value: Value) -> str:
        return ", ".join(f"{axis} = {n}" if axis else str(n) for axis, n in zip(value.axes, value.sizes, strict=True))

    return f"a step finds `{name}[{shown(before)}]` and leaves `{name}[{shown(after)}]`"


def _names(node: Any) -> Iterator[str]:
    """Every name that stands in a tree."""
    match node:
        case s.Name(name):
            yield name
        case tuple():
            for each in node:
                yield from _names(each)
        case s.Node():
            for each in s.parts(node):
                yield from _names(each)
