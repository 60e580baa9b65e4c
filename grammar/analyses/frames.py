"""One use of an alternative in the analysis of shapes: what has become of it, and how signatures take part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from ein.grammar import cfg
from ein.grammar.analyses.abstract import built, matches
from ein.grammar.analyses.shapes import Shape, meet
from ein.grammar.diagnostics import Span
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Inapplicable
from ein.grammar.patterns import Match
from ein.grammar.types import Bundle, Tensor

Shapes: TypeAlias = set[Shape]


class Exhausted(Exception):
    """There is more to tell apart than the bounds allow."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Where a shape cannot go on, and why.

    `rule`: because nothing can come of that rule. `typed`: because of its type, and not of a guard or choice.
    """

    span: Span
    text: str
    values: tuple[Any, ...] = ()
    rule: str | None = None
    typed: bool = True

    @property
    def reason(self) -> str:
        return self.text.format(*self.values) if self.values else self.text


@dataclass(slots=True)
class Frame:
    """One use of an alternative: its values, and what has become of it so far.

    `applies`: something reaches its first rule, or its end. `refusal` is the last there was.
    """

    env: Mapping[str, Any]
    variables: dict[str, Shapes] = field(default_factory=dict)
    applies: bool = False
    refusal: Refusal | None = None

    def refuse(self, span: Span, text: str, *values: Any) -> None:
        self.refusal = Refusal(span, text, values)


@dataclass(frozen=True, slots=True)
class Said:
    """A reason, put together only when it is read."""

    why: Inapplicable

    def __str__(self) -> str:
        return self.why.reason


@dataclass(frozen=True, slots=True)
class Way:
    """A shape as a signature takes it: narrowed, with what the signature binds; of a type, that is in `env`."""

    env: Mapping[str, Any]
    shape: Shape
    known: dict[str, Any] | None = None


def ways(signature: s.Goal, match: Match, shape: Shape, env: Mapping[str, Any], names: Iterable[str]) -> Iterator[Way]:
    """The ways in which a signature takes a shape. Raises Inapplicable where it takes none."""
    if isinstance(shape, Tensor | Bundle):
        found = match(shape, dict(env))
        if len(found) != 1:
            raise Inapplicable("the signature fits {!r} in {} ways", None, (shape, len(found)))
        yield Way(found[0], shape)
        return
    ways = list(matches(signature.input, shape, dict(env), frozenset(names)))
    if not ways:
        text = "the signature takes `{}`, and what comes is {!r}"
        raise Inapplicable(text, None, (signature.input.span.text, shape))
    for known in ways:
        narrowed = meet(shape, built(signature.input, known))
        if narrowed is not None:
            yield Way(env, narrowed, known)


def claimed(
    goal: cfg.Goal | None, signature: s.Goal | None, way: Way, found: Shapes, name: str, frame: Frame
) -> Shapes:
    """Those of the shapes that a signature's right side allows."""
    if goal is None or signature is None or signature.output is None:
        return found
    met: Shapes = set()
    typed = replace(goal, live=False) if goal.live else goal
    for shape in found:
        if isinstance(shape, Tensor | Bundle) and way.known is None:
            try:
                met.add(typed.meet(way.env, shape, name))
            except Inapplicable as error:
                frame.refuse(error.span or goal.span, "{}", Said(error))
            continue
        wanted = shape if way.known is None else meet(shape, built(signature.output, way.known))
        if wanted is None:
            frame.refuse(goal.span, "`{}` declares `{}` and gives {!r}", name, signature.output.span.text, shape)
        else:
            met.add(wanted)
    return met
