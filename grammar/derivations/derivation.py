"""A derivation: the choices made, and what follows from them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from ein.grammar import cfg
from ein.grammar import term as t
from ein.grammar.cfg import Cost, value_text
from ein.grammar.derivations.options import options
from ein.grammar.numbers import Inapplicable, Order
from ein.grammar.space import Space
from ein.grammar.steps import (
    Again,
    Apply,
    Bind,
    Call,
    Copy,
    Enter,
    Fork,
    Instance,
    Load,
    Loop,
    Meet,
    Pack,
    Program,
    Unpack,
    Variables,
    assign,
    holds_rule,
    unpack,
)
from ein.grammar.types import ValueType, bundle

SHORT = 12
"""Modules of a derivation that says its term wherever it is printed."""

Choices = tuple[tuple[int, tuple[Any, ...]], ...]


@dataclass(frozen=True, eq=False)
class Derivation:
    """A tree of choices, kept flat in pre-order: (alternative, values of its choices) for each use of a rule."""

    space: Space
    choices: Choices
    modules: int
    input: ValueType
    recorded: str = ""
    """The id that a derivation file says, where its space is not at hand."""
    show: ClassVar[Callable[[Derivation], dict[str, str]] | None] = None

    def __repr__(self) -> str:
        known = f"{self.id}: {self.modules} modules"
        term = self.text if self.modules <= SHORT else ""
        return f"<Derivation {known}: {term}>" if term else f"<Derivation {known}>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """For notebooks: the text, and a picture once `ein` has said how pictures are made."""
        show = Derivation.show
        return show(self) if show is not None else {"text/plain": repr(self)}

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For hypothesis and IPython, which else would print the fields."""
        printer.text(repr(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Derivation) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __reduce__(self) -> tuple[Any, ...]:
        from ein.grammar.derivations.pickled import pickled

        return pickled(self)

    def __copy__(self) -> Derivation:
        """Itself: nothing in it changes."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Derivation:
        return self

    @property
    def _key(self) -> tuple[str, Choices]:
        return self.space.grammar.digest, self.choices

    @cached_property
    def id(self) -> str:
        """`einspace@3f2a91c0:5be0c1d2a4f69788`: identifies the derivation, and does not reconstruct it."""
        said = self.text if self.finished else self.trace
        return self.recorded or derivation_id(self.space.grammar.name, self.space.grammar.digest, said)

    @property
    def finished(self) -> bool:
        """Whether this is an `arch` of a file, which leaves nothing to choose."""
        return self.space.start.rule.name.startswith("arch ")

    @cached_property
    def trace(self) -> str:
        """The choices as text: `0 2:4,3 1:(2, 1)`; `read_trace` reads it back."""
        return trace_text(self.choices)

    @cached_property
    def term(self) -> t.TypedTerm:
        """The typed term, with the rules and macros it came from."""
        return replay(self.space, self.choices, self.input)

    @property
    def text(self) -> str:
        return t.text(self.term)

    @property
    def type(self) -> ValueType:
        """The type of the output."""
        return self.term.output

    @cached_property
    def cost(self) -> Cost:
        return t.cost(self.term)

    @cached_property
    def log10_probability(self) -> float:
        """Of its choices, before the condition that the derivation is valid and within the limits."""
        return t.log10_probability(self.term)


def derivation_id(space: str, digest: str, trace: str) -> str:
    return f"{space}@{digest}:{hashlib.sha256(trace.encode()).hexdigest()[:16]}"


def trace_text(choices: Choices) -> str:
    return " ".join(f"{i}:{','.join(map(value_text, values))}" if values else str(i) for i, values in choices)


def read_trace(text: str) -> Choices:
    """Raises ValueError where the text is no trace."""
    found = []
    for index, values in _split_trace(text):
        found.append((index, tuple(_value(v) for v in values)))
    return tuple(found)


def _split_trace(text: str) -> list[tuple[int, list[str]]]:
    entries = []
    for entry in text.replace(", ", ",").split():
        head, _, tail = entry.partition(":")
        values: list[str] = []
        for part in tail.split(",") if tail else []:
            if values and values[-1].startswith("(") and not values[-1].endswith(")"):
                values[-1] += f",{part}"
            else:
                values.append(part)
        if len(head) > 9 or not head.isdigit():
            raise ValueError(f"`{entry[:40]}` is no choice")
        entries.append((int(head), values))
    return entries


_REAL = re.compile(r"-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?")


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    if text.startswith("("):
        return Order(int(part) for part in text.strip("()").split(","))
    try:
        return int(text)
    except ValueError:
        return float(text) if _REAL.fullmatch(text) else text


def replay(space: Space, choices: Choices, input: ValueType) -> t.TypedTerm:
    """The typed term of a list of choices. Raises Inapplicable where a choice is not to be had."""
    builder = _Builder(space, choices, {})
    term = builder.build((Call(space.start, space.start.rule.span),), input)
    if builder.made < len(choices):
        raise Inapplicable("there are more choices than the derivation makes")
    return term


def retyped(space: Space, program: Program, choices: Choices, input: ValueType, variables: Variables) -> ValueType:
    """What a program gives for choices made on another type. Raises Inapplicable where one is not to be had."""
    return typed(space, program, choices, input, variables).output


def typed(space: Space, program: Program, choices: Choices, input: ValueType, variables: Variables) -> t.TypedTerm:
    """The typed term of a program. Raises Inapplicable where a choice is not to be had."""
    return _Builder(space, choices, {**variables}).build(program, input)


class _Builder:
    """Builds a typed term on an explicit stack: a task either expands a step or assembles finished parts."""

    def __init__(self, space: Space, choices: Choices, variables: Variables) -> None:
        self.space = space
        self.choices = choices
        self.made = 0
        self.results: list[t.TypedTerm] = []
        self.tasks: list[Any] = []
        self.variables = variables

    def build(self, program: Program, input: ValueType) -> t.TypedTerm:
        self._begin_program(program, input)
        while self.tasks:
            task = self.tasks.pop()
            getattr(self, f"_{task[0]}")(*task[1:])
        return self.results.pop()

    def _step(self, step: Any, input: ValueType) -> None:
        match step:
            case Apply(application, span):
                self.results.append(t.Op(application, application.at(input), span))
            case Call(instance):
                self._call(instance, input)
            case Enter(macro):
                self._enter(macro, self.space.enter(step, input), input)
            case Fork(programs):
                inputs = step.inputs(input)
                self.tasks.append(("fork", step, inputs, input, 0))
                self._begin_program(programs[0], inputs[0])
            case Copy(_, program):
                self.tasks.append(("copied", step, input, self.made))
                self._begin_program(program, step.input(input))
            case Loop():
                self._begin_loop(step, input)
            case Bind():
                self.tasks.append(("bound", step, input, 0))
                self._begin_program(step.programs[0], input)
            case Load(name):
                self.results.append(t.Variable(name, input, self.variables[name]))

    def _enter(self, macro: cfg.Expanded, program: Program, input: ValueType) -> None:
        met = program[-1] if isinstance(program[-1], Meet) else None
        self.tasks.append(("named", macro.macro, macro.span, met))
        self._begin_program(program[:-1] if met else program, input)

    def _call(self, instance: Instance, input: ValueType) -> None:
        table = options(self.space, instance, input)
        if self.made == len(self.choices):
            raise Inapplicable("the choices end before the derivation does")
        choice = self.choices[self.made]
        self.made += 1
        for candidate, probability in zip(table.candidates, table.probabilities, strict=True):
            if candidate.choice == choice:
                self.tasks.append(("ruled", instance, choice, probability, self.variables, input))
                self._begin_rule(candidate.program, input)
                return
        raise Inapplicable(f"`{instance!r}` has no choice {choice} at {input!r}", instance.rule.span)

    def _begin_rule(self, program: Program, input: ValueType) -> None:
        """A rule names its own values; a group is handed those around it."""
        self.variables = {}
        if isinstance(program[0], Unpack):
            input = unpack(program[0].names, input, self.variables)
            program = program[1:]
        self._begin_program(program, input)

    def _ruled(
        self,
        instance: Instance,
        choice: tuple[int, tuple[Any, ...]],
        probability: float,
        variables: Variables,
        input: ValueType,
    ) -> None:
        rule = instance.rule
        body = self.results.pop()
        self.variables = variables
        output = body.output
        if rule.goal is not None:
            output = self.space.meet(instance, input, output)
        span = rule.alternatives[choice[0]].span
        self.results.append(
            t.Named(
                rule.name, body, body.input, output, span, False, rule.anonymous, instance.values, choice, probability
            )
        )

    def _named(self, name: str, span: Any, met: Meet | None) -> None:
        body = self.results.pop()
        output = body.output if met is None else met.goal.meet(met.env, body.output, name)
        self.results.append(t.Named(name, body, body.input, output, span, True))

    def _begin_program(self, program: Program, input: ValueType) -> None:
        if len(program) == 1:
            self.tasks.append(("step", program[0], input))
            return
        self.tasks.append(("series", program, input, 0, 0))

    def _series(self, program: Program, input: ValueType, done: int, made: int) -> None:
        """Steps up to `done` have given `made` parts: what is packed for a group is no part of the term."""
        current = self.results[-1].output if made else input
        if done < len(program) and isinstance(program[done], Pack):
            packed, _ = self.space.run(program[done], current, self.variables)
            self.tasks.append(("series", program, input, done + 2, made + 1))
            self.tasks.append(("step", program[done + 1], packed))
        elif done < len(program):
            self.tasks.append(("series", program, input, done + 1, made + 1))
            self.tasks.append(("step", program[done], current))
        elif made > 1:
            parts = tuple(self.results[len(self.results) - made :])
            del self.results[len(self.results) - made :]
            self.results.append(t.Series(parts, input, parts[-1].output))

    def _fork(self, step: Fork, inputs: tuple[ValueType, ...], input: ValueType, done: int) -> None:
        done += 1
        if done < len(inputs):
            self.tasks.append(("fork", step, inputs, input, done))
            self._begin_program(step.programs[done], inputs[done])
            return
        parts = tuple(self.results[len(self.results) - done :])
        del self.results[len(self.results) - done :]
        self.results.append(t.Parallel(parts, step.takes, input, bundle(part.output for part in parts)))

    def _again(self, program: Program, first: int) -> Again:
        """The part whose choices are those from `first` to here, on another type."""
        choices, variables = self.choices[first : self.made], {**self.variables}
        return lambda type: retyped(self.space, program, choices, type, variables)

    def _copied(self, step: Copy, input: ValueType, first: int) -> None:
        body = self.results.pop()
        output = step.output(input, body.output, self._again(step.program, first))
        self.results.append(t.Copies(body, step.count, step.tied, step.takes, input, output))

    def _bound(self, step: Bind, input: ValueType, done: int) -> None:
        if done < len(step.bindings):
            assign(step.bindings[done][0], self.results[-1].output, self.variables, step.span)
            self.tasks.append(("bound", step, input, done + 1))
            self._begin_program(step.programs[done + 1], input)
            return
        *values, body = self.results[len(self.results) - done - 1 :]
        del self.results[len(self.results) - done - 1 :]
        bindings = tuple((names, value) for (names, _), value in zip(step.bindings, values, strict=True))
        self.results.append(t.Let(bindings, body, input, body.output))

    def _begin_loop(self, step: Loop, input: ValueType) -> None:
        self.tasks.append(("looped", step, input, 1, self.made))
        self._begin_program(step.program, input)

    def _looped(self, step: Loop, input: ValueType, done: int, made: int) -> None:
        """The type stays: one part stands for all. It changes: the part is typed anew for each."""
        first = self.results[-1] if done == 1 else None
        if first is not None and (first.output is input or holds_rule(step)):
            self.results.pop()
            output = step.output(input, first.output, self._again(step.program, made))
            self.results.append(t.Repeated((first,) * step.count, step.tied, input, output))
        elif done < step.count:
            self.tasks.append(("looped", step, input, done + 1, made))
            self._begin_program(step.program, self.results[-1].output)
        else:
            parts = tuple(self.results[len(self.results) - done :])
            del self.results[len(self.results) - done :]
            self.results.append(t.Repeated(parts, step.tied, input, parts[-1].output))
