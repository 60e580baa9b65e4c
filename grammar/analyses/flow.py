"""What terms make of shapes: one pass over a term, from the shapes that flow in to those that flow out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, TypeAlias

from ein.grammar import cfg
from ein.grammar.analyses.abstract import arguments, outcomes
from ein.grammar.analyses.frames import Exhausted, Frame, Refusal, Said, Shapes, claimed, ways
from ein.grammar.analyses.partial import OPEN, value
from ein.grammar.analyses.shapes import Anything, Shape, Side, Sides, Some, beside, meet
from ein.grammar.arguments import is_kind
from ein.grammar.diagnostics import EinError, Span
from ein.grammar.numbers import Inapplicable
from ein.grammar.steps import before_branches, has_rule
from ein.grammar.types import Bundle, Tensor

MAX_PRODUCTS = 120
"""Combinations of what branches can give that are told apart."""

MAX_ROUNDS = 24
"""Copies of a repeated part that are gone through one by one."""

Use: TypeAlias = Callable[[cfg.RuleUse, Shape, Mapping[str, Any]], tuple[Shapes, Refusal | None]]
"""What a rule comes to at a shape; the refusal where its signature takes no such shape."""


Given: TypeAlias = tuple[tuple[str, Any], ...]
"""The arguments of an operator, by name; one that is not known, or of another kind, is `OPEN`."""


class Terms:
    """`exact`: shapes are types, and stay types; raises Exhausted where they cannot."""

    def __init__(self, grammar: cfg.Grammar, exact: bool, use: Use) -> None:
        self.grammar = grammar
        self.exact = exact
        self.use = use
        self.made: dict[Any, frozenset[Shape]] = {}
        self.fixed: dict[int, Given] = {}

    def flow(self, term: cfg.Term, shapes: Shapes, frame: Frame) -> Shapes:
        """What comes out; nothing if nothing can."""
        if not shapes:
            return set()
        match term:
            case cfg.Use():
                return {found for shape in shapes for found in self._operator(term, shape, frame)}
            case cfg.Series(parts):
                for part in parts:
                    shapes = self.flow(part, shapes, frame)
                return shapes
            case cfg.Let(bindings, body):
                if not all(self._bind(names, bound, shapes, frame, term.span) for names, bound in bindings):
                    return set()
                return self.flow(body, shapes, frame)
            case cfg.Variable(name):
                return set(frame.variables[name])
            case _:
                return {found for shape in shapes for found in self._one(term, shape, frame)}

    def _one(self, term: cfg.Term, shape: Shape, frame: Frame) -> Iterable[Shape]:
        match term:
            case cfg.RuleUse():
                return self._rule(term, shape, frame)
            case cfg.Parallel():
                return self._branches(term, shape, frame)
            case cfg.Copies():
                return self._copies(term, shape, frame)
            case cfg.Repeated():
                return self._repeated(term, shape, frame)
            case cfg.Expanded():
                return self._macro(term, shape, frame)
            case cfg.Unpacked(names, body):
                flow, *values = self._members(shape, len(names) + 1) or (Anything(),) * (len(names) + 1)
                frame.variables.update((name, {found}) for name, found in zip(names, values, strict=True))
                return self.flow(body, {flow}, frame)
            case cfg.Use() | cfg.Series() | cfg.Let() | cfg.Variable():
                return self.flow(term, {shape}, frame)

    # --- operators

    def _operator(self, term: cfg.Use, shape: Shape, frame: Frame) -> Iterable[Shape]:
        given = self._given(term, frame.env)
        if isinstance(shape, Tensor | Bundle) and OPEN not in [each for _, each in given]:
            return self._applied(term, given, shape, frame)
        key = (term.overloads, given, shape)
        found = self.made.get(key)
        if found is None:
            named = dict(given)
            overloads = [operator for operator in term.overloads if named.keys() <= operator.names]
            found = frozenset().union(*(outcomes(op, arguments(op, named), shape) for op in overloads))
            self.made[key] = found
        if not found:
            signatures = " or ".join(f"`{_signature(operator)}`" for operator in term.overloads)
            frame.refuse(term.span, "`{}` takes {}, and what comes is {}", term.overloads[0].name, signatures, shape)
        return found

    def _given(self, term: cfg.Use, env: Mapping[str, Any]) -> Given:
        """Worked out once where it needs no names."""
        found = self.fixed.get(id(term))
        if found is None:
            kinds = term.overloads[0].parameter_kinds
            values = [(name, value(argument, env)) for name, argument in term.arguments]
            found = tuple([(name, each if is_kind(each, kinds[name]) else OPEN) for name, each in values])
            if not any(argument.names for _, argument in term.arguments):
                self.fixed[id(term)] = found
        return found

    def _applied(self, term: cfg.Use, given: Given, type: Tensor | Bundle, frame: Frame) -> Iterable[Shape]:
        application = self.grammar.application(term.overloads, given)
        try:
            found = application.look(type)
        except Inapplicable as error:
            found = error
        except EinError:
            return self._unknown()
        if isinstance(found, Inapplicable):
            frame.refuse(term.span, "`{}` {}", application.text, Said(found))
            return ()
        return (found.output,)

    def _unknown(self) -> Shapes:
        if self.exact:
            raise Exhausted
        return {Anything()}

    # --- rules and macros

    def _rule(self, term: cfg.RuleUse, shape: Shape, frame: Frame) -> Iterable[Shape]:
        frame.applies = True
        if not term.packed:
            return self._used(term, shape, shape, frame)
        found: Shapes = set()
        for packed in self._products([{shape}, *(frame.variables[name] for name in term.packed)]):
            found |= self._used(term, beside(packed), shape, frame)
        return found

    def _used(self, term: cfg.RuleUse, input: Shape, shape: Shape, frame: Frame) -> Shapes:
        outputs, refusal = self.use(term, input, frame.env)
        if not outputs:
            text = "nothing that `{}` can be type-checks on {!r}"
            nothing = Refusal(term.span, text, (known_name(term.rule), shape), term.rule)
            frame.refusal = replace(refusal, span=term.span) if refusal else nothing
        return outputs

    def _macro(self, term: cfg.Expanded, shape: Shape, frame: Frame) -> Iterable[Shape]:
        if term.match is None or term.signature is None:
            return self.flow(term.body, {shape}, frame)
        found: Shapes = set()
        outer = frame.env
        try:
            for way in ways(term.signature, term.match, shape, outer, outer.keys()):
                frame.env = way.env
                made = self.flow(term.body, {way.shape}, frame)
                found |= claimed(term.goal, term.signature, way, made, term.macro, frame)
        except Inapplicable as error:
            frame.refuse(term.span, "`{}`: {}", term.macro, Said(error))
        finally:
            frame.env = outer
        return found

    def _bind(self, names: tuple[str, ...], bound: cfg.Term, shapes: Shapes, frame: Frame, span: Span) -> bool:
        found = self.flow(bound, shapes, frame)
        if len(names) == 1:
            frame.variables[names[0]] = found
            return bool(found)
        columns = [parts for shape in found if (parts := self._members(shape, len(names))) is not None]
        if found and not columns:
            frame.refuse(span, "`let` names {} values, and this is {!r}", len(names), min(found, key=repr))
        for i, name in enumerate(names):
            frame.variables[name] = {parts[i] for parts in columns}
        return bool(columns)

    # --- branches and copies

    def _branches(self, term: cfg.Parallel, shape: Shape, frame: Frame) -> Iterable[Shape]:
        wanted = sum(term.takes)
        given: Sequence[Shape] | None = (shape,)
        if wanted > 1 or wanted == len(term.parts):
            given = self._members(shape, wanted)
        if given is None:
            text = "{} branches need a bundle of {}, and what comes is {!r}; {}"
            frame.refuse(term.span, text, wanted, wanted, shape, before_branches(wanted, term.span))
            return ()
        flows = iter(given)
        results = []
        for part, takes in zip(term.parts, term.takes, strict=True):
            results.append(self.flow(part, {next(flows) if takes else shape}, frame))
            if not results[-1]:
                return ()
        return [beside(found) for found in self._products(results)]

    def _copies(self, term: cfg.Copies, shape: Shape, frame: Frame) -> Iterable[Shape]:
        count = value(term.count, frame.env)
        member: Shape | None = shape
        if term.takes:
            parts = self._members(shape, count) if isinstance(count, int) else getattr(shape, "members", (Anything(),))
            member = self._alike(parts) if parts else None
            count = len(parts) if parts and not isinstance(shape, Sides | Anything) else count
        if member is None or (term.takes and isinstance(shape, Tensor | Some)):
            frame.refuse(term.span, "copies need a bundle of equal inputs, and what comes is {!r}", shape)
            return ()
        made = self.flow(term.body, {member}, frame)
        return {beside([each] * count) if isinstance(count, int) else Sides() for each in made}

    def _alike(self, parts: Sequence[Shape]) -> Shape | None:
        found: Shape | None = parts[0]
        for part in parts[1:]:
            found = None if found is None else meet(found, part)
        return found

    def _members(self, shape: Shape, count: int) -> tuple[Shape, ...] | None:
        match shape:
            case Bundle(members=members) | Side(members) if len(members) == count:
                return members
            case Sides() | Anything():
                return (Anything(),) * count
            case _:
                return None

    def _products(self, columns: Sequence[Shapes]) -> Iterable[tuple[Shape, ...]]:
        total = 1
        for column in columns:
            total *= len(column)
        if total <= MAX_PRODUCTS:
            return product(*columns)
        if self.exact:
            raise Exhausted
        return [tuple(next(iter(column)) if len(column) == 1 else Anything() for column in columns)]

    def _repeated(self, term: cfg.Repeated, shape: Shape, frame: Frame) -> Iterable[Shape]:
        count = value(term.count, frame.env)
        if has_rule(term.body) and count != 1:
            made = self.flow(term.body, {shape}, frame)
            kept = {met for each in made if (met := meet(shape, each)) is not None}
            if made and not kept and count is not OPEN:
                text = "a repeated part with rules in it must keep the type, and this goes from {!r} to {!r}"
                frame.refuse(term.span, text, shape, min(made, key=repr))
            return made if count is OPEN else kept
        return self._rounds(term, count, {shape}, frame)

    def _rounds(self, term: cfg.Repeated, count: Any, shapes: Shapes, frame: Frame) -> Shapes:
        """Copy by copy; where the number is open, whatever some number of them gives."""
        if isinstance(count, int) and count < 1:
            return set()
        seen: Shapes = set()
        for _ in range(min(count, MAX_ROUNDS) if isinstance(count, int) else MAX_ROUNDS):
            following = self.flow(term.body, shapes, frame)
            if following == shapes or (count is OPEN and following <= seen):
                return seen | following if count is OPEN else following
            seen |= following
            shapes = following
        return shapes if isinstance(count, int) and count <= MAX_ROUNDS else self._unknown()


def known_name(rule: str) -> str:
    """The name that a reader knows: of a group, that of the rule around it."""
    return rule.partition("/")[0]


def _signature(operator: cfg.Operator) -> str:
    return operator.declaration.input.span.text
