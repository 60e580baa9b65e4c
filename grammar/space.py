"""The instances of a grammar's rules, and what can be done with their steps without drawing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ein.grammar import cfg
from ein.grammar.arguments import is_kind, wrong_kind
from ein.grammar.cfg import Cost, Grammar
from ein.grammar.computed import side_by_side
from ein.grammar.diagnostics import EinError, Span, fail
from ein.grammar.numbers import MAX_SET, Formula, Inapplicable
from ein.grammar.steps import (
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
    Step,
    Unpack,
    Variables,
    assign,
    fewest,
    keeps_type,
    refusal,
    shared,
    unpack,
)
from ein.grammar.types import Bundle, ValueType, bundle, rank

MAX_INSTANCES = 10_000
MAX_COPIES = 4096
MAX_UNROLLED = 100_000


class Space:
    """The instances of a grammar's rules with their tables."""

    def __init__(self, grammar: Grammar, start: str | None = None) -> None:
        self.grammar = grammar
        self.instances: dict[tuple[str, tuple[Any, ...]], Instance] = {}
        self.outcomes: list[dict[ValueType, Any]] = []
        self.refused: dict[Instance, list[Inapplicable]] = {}
        self.entries = 0
        self.settled = False
        self.minima: dict[Step, float] = {}
        name = start or grammar.start
        if name is None:
            raise fail(
                "E501",
                f"`{grammar.name}` has no rules to draw from",
                help="`ein show` and `compile` take its architectures",
            )
        self.start = self.instance(name, ())

    def instance(self, name: str, values: tuple[Any, ...]) -> Instance:
        found = self.instances.get((name, values))
        if found is None:
            rule = self.grammar.rules[name]
            if len(self.instances) >= MAX_INSTANCES:
                raise self._too_many(rule)
            thawed = [list(value) if isinstance(value, Run) else value for value in values]
            env = {**self.grammar.env, **dict(zip(rule.parameters, thawed, strict=True))}
            found = self.instances[(name, values)] = Instance(rule, values, env)
        return found

    def _too_many(self, rule: cfg.Rule) -> EinError:
        """Names the parameter that takes the most values."""
        mine = [values for name, values in self.instances if name == rule.name]
        columns = zip(rule.parameters, zip(*mine, strict=True), strict=True) if mine else iter(())
        growing = max(columns, key=lambda column: len(set(column[1])), default=None)
        help = f"`{growing[0]}` took {len(set(growing[1])):,} values: bound it with a guard" if growing else ""
        message = f"the rules have more than {MAX_INSTANCES:,} forms; the last is of `{rule.name}`"
        return fail("E504", message, rule.span, help=help)

    def clear(self) -> None:
        """Empties the tables, so that they stay bounded; only between draws."""
        for instance in self.instances.values():
            instance.table.clear()
            instance.met.clear()
            instance.unmet.clear()
            for form in instance.forms.values():
                form.together.clear()
        for outcomes in self.outcomes:
            outcomes.clear()
        self.outcomes.clear()
        self.minima.clear()
        for application in self.grammar.applications.values():
            application.table.clear()
            application.results.clear()
            application.costs.clear()
            application.ready.clear()
            application.closed.clear()
        self.entries = 0

    def result(self, application: cfg.Application, input: ValueType) -> ValueType:
        """The output of what is known to take the input, from the table of the application."""
        self.entries += 1
        closed = application.ready.get(input.regular)
        if closed is not None and len(closed) == 1:
            found = application.results[input] = closed[0].output(input)
            return found
        return application.result(input) or application.at(input).output

    def keep(self, table: dict[ValueType, Any], input: ValueType, found: Any) -> None:
        """An entry of a table that `clear` empties."""
        table[input] = found
        self.outcomes.append(table)
        self.entries += 1

    def bind(self, instance: Instance, input: ValueType) -> dict[str, Any]:
        """The environment of a rule at a type: its parameters, the dimensions of its signature, `rank`."""
        if instance.rule.packed:
            assert isinstance(input, Bundle)
            input = input.members[0]
        env = {**instance.env, "rank": rank(input)}
        if instance.rule.match is None:
            return env
        found = list(instance.rule.match(input, dict(env)))
        if len(found) != 1:
            raise Inapplicable(f"the signature of `{instance.rule.name}` fits {input!r} in {len(found)} ways")
        return found[0]

    def meet(self, instance: Instance, input: ValueType, output: ValueType) -> ValueType:
        """The output as the rule claims it, from the table of the instance; raises Inapplicable where it is another."""
        found = instance.met.get((input, output))
        if found is not None:
            return found
        refused = instance.unmet.get((input, output))
        if refused is None:
            claim = instance.rule.goal
            assert claim is not None
            self.entries += 1
            try:
                found = instance.met[input, output] = claim.meet(self.bind(instance, input), output, repr(instance))
                return found
            except Inapplicable as error:
                refused = instance.unmet[input, output] = error.bare()
        raise type(refused)(refused.text, refused.span, refused.values)

    def assignments(
        self, alternative: cfg.Alternative, env: Mapping[str, Any], reasons: list[Inapplicable]
    ) -> Iterator[tuple[tuple[Any, ...], float, Mapping[str, Any]]]:
        """All values of an alternative's choices, with the product of their weights."""
        if not alternative.choices:
            yield (), 1.0, env
            return
        found: list[tuple[tuple[Any, ...], float, dict[str, Any]]] = [((), 1.0, dict(env))]
        for choice in alternative.choices:
            grown = []
            for values, weight, full in found:
                try:
                    drawn = choice.values.evaluate(full)
                except Inapplicable as error:
                    reasons.append(error.bare())
                    continue
                grown += [((*values, v), weight * w, {**full, choice.name: v}) for v, w in drawn if w > 0]
                if len(grown) > MAX_SET:
                    raise fail(
                        "E505", f"one alternative has more than {MAX_SET:,} combinations of values", alternative.span,
                        help="give a part of it a rule of its own",
                    )  # fmt: skip
            found = grown
        yield from found

    def ground(self, term: cfg.Term, env: Mapping[str, Any]) -> Program:
        """The steps of a term; raises Inapplicable where a value in it does not exist."""
        match term:
            case cfg.Use(overloads, arguments):
                given = tuple((name, value.evaluate(env)) for name, value in arguments)
                _check_kinds(overloads[0], given, term)
                return (Apply(self.grammar.application(overloads, given), term.span),)
            case cfg.RuleUse(rule, values, packed=packed):
                call = Call(self.instance(rule, tuple(_frozen(v.evaluate(env)) for v in values)), term.span)
                return (Pack(packed, term.span), call) if packed else (call,)
            case cfg.Series(parts):
                return tuple(step for part in parts for step in self.ground(part, env))
            case cfg.Parallel(parts, takes):
                return (Fork(tuple(self.ground(part, env) for part in parts), takes, term.span),)
            case cfg.Copies(body, count, tied, takes):
                return (Copy(_count(count, env, 2), self.ground(body, env), tied, takes, term.span),)
            case cfg.Repeated(body, count, tied):
                return (Loop(_count(count, env, 1), self.ground(body, env), tied, term.span),)
            case cfg.Expanded(_, body, _, match):
                return (Enter(term, env, None if match is not None else self.ground(body, env)),)
            case cfg.Let(bindings, body):
                bound = tuple((names, self.ground(value, env)) for names, value in bindings)
                return (Bind(bound, self.ground(body, env), term.span),)
            case cfg.Variable(name):
                return (Load(name, term.span),)
            case cfg.Unpacked(names, body):
                return (Unpack(names, term.span), *self.ground(body, env))

    def enter(self, step: Enter, input: ValueType) -> Program:
        """The program of a macro at a type."""
        if step.program is not None:
            return step.program
        found = step.table.get(input)
        if found is None:
            assert step.macro.match is not None
            ways = list(step.macro.match(input, dict(step.env)))
            if len(ways) != 1:
                raise Inapplicable(
                    f"the signature of `{step.macro.macro}` fits {input!r} in {len(ways)} ways", step.macro.span
                )
            found = self.ground(step.macro.body, ways[0])
            if step.macro.goal is not None:
                found = (*found, Meet(step.macro.goal, ways[0], step.macro.macro, step.macro.span))
            step.table[input] = found
            self.outcomes.append(step.table)
            self.entries += 1
        return found

    def run(self, step: Step, input: ValueType, variables: Variables) -> tuple[ValueType, int]:
        """Type and modules of a step that holds no rule; raises Inapplicable with the place."""
        match step:
            case Apply(application):
                found = application.look(input)
                if isinstance(found, Inapplicable):
                    raise refusal(step, found)
                return found.output, 1
            case Fork(programs):
                inputs = step.inputs(input)
                done = [self.run_all(p, m, variables) for p, m in zip(programs, inputs, strict=True)]
                return side_by_side([type for type, _ in done], step.span), sum(used for _, used in done)
            case Copy(count, program):
                type, used = self.run_all(program, step.input(input), variables)
                return step.output(input, type, lambda each: self.run_all(program, each, variables)[0]), used * count
            case Loop(count, program, tied):
                return self._loop(program, count, tied, input, step.span, variables)
            case Enter():
                return self.run_all(self.enter(step, input), input, variables)
            case Bind(bindings, body):
                modules = 0
                for names, program in bindings:
                    value, used = self.run_all(program, input, variables)
                    assign(names, value, variables, step.span)
                    modules += used
                output, used = self.run_all(body, input, variables)
                return output, modules + used
            case Load(name):
                return variables[name], 0
            case Pack(names):
                return bundle([input, *(variables[name] for name in names)]), 0
            case Unpack(names):
                return unpack(names, input, variables), 0
            case Meet(goal, env, macro):
                return goal.meet(env, input, macro), 0
            case Call():
                raise AssertionError("a rule inside a step without rules")

    def run_all(self, program: Program, input: ValueType, variables: Variables) -> tuple[ValueType, int]:
        modules = 0
        for step in program:
            input, used = self.run(step, input, variables)
            modules += used
        return input, modules

    def _loop(
        self, program: Program, count: int, tied: bool, input: ValueType, span: Span, variables: Variables
    ) -> tuple[ValueType, int]:
        modules, first = 0, input
        for done in range(count):
            output, used = self.run_all(program, input, variables)
            if output is input:
                modules += used * (count - done)
                if done and modules > MAX_UNROLLED:
                    raise _too_long(span)
                return output, modules
            input, modules = output, modules + used
            if tied:
                keeps_type(first, input, span)
            if modules > MAX_UNROLLED:
                raise _too_long(span)
        return input, modules

    def cost(self, program: Program, input: ValueType, variables: Variables) -> Cost:
        """Of steps without rules."""
        total = Cost()
        for step in program:
            total += self._cost(step, input, variables)
            input, _ = self.run(step, input, variables)
        return total

    def _cost(self, step: Step, input: ValueType, variables: Variables) -> Cost:
        match step:
            case Apply(application):
                return application.at(input).cost
            case Fork(programs):
                inputs = step.inputs(input)
                return sum((self.cost(p, m, variables) for p, m in zip(programs, inputs, strict=True)), Cost())
            case Copy(count, inner, tied):
                return shared(self.cost(inner, step.input(input), variables), count, tied)
            case Loop(count, inner, tied):
                return self._loop_cost(inner, count, tied, input, variables)
            case Enter():
                return self.cost(self.enter(step, input), input, variables)
            case Bind(bindings, body):
                total = Cost()
                for names, program in bindings:
                    total += self.cost(program, input, variables)
                    assign(names, self.run_all(program, input, variables)[0], variables, step.span)
                return total + self.cost(body, input, variables)
            case Load() | Pack() | Unpack() | Meet():
                return Cost()
            case Call():
                raise AssertionError("a rule inside a step without rules")

    def _loop_cost(self, program: Program, count: int, tied: bool, input: ValueType, variables: Variables) -> Cost:
        total = Cost()
        for i in range(count):
            more = self.cost(program, input, variables)
            if tied and i:
                more = replace(more, parameters=0)
            following, _ = self.run_all(program, input, variables)
            if following is input:
                return total + shared(more, count - i, tied)
            input, total = following, total + more
        return total

    # --- the fewest modules

    def minimum(self, step: Step) -> float:
        """The fewest modules that a step can come to, whatever the type; never too high."""
        if not self.settled:
            return self._minimum(step)
        found = self.minima.get(step)
        if found is None:
            found = self.minima[step] = self._minimum(step)
        return found

    def _minimum(self, step: Step) -> float:
        match step:
            case Apply():
                return 1
            case Call(instance):
                return instance.minimum
            case Fork() | Bind():
                return sum(self.least(program) for program in step.programs)
            case Load() | Pack() | Unpack() | Meet():
                return 0
            case Copy(count, program) | Loop(count, program):
                return count * self.least(program)
            case Enter(macro, _, program):
                return self.least(program) if program is not None else fewest(macro.body)

    def least(self, program: Program) -> float:
        return sum(self.minimum(step) for step in program)


def _check_kinds(operator: cfg.Operator, given: tuple[tuple[str, Any], ...], use: cfg.Use) -> None:
    """Raises EinError: a number that is drawn or computed is of the parameter's kind as one that is written."""
    kinds = {parameter.name: parameter.kind for parameter in operator.parameters}
    for name, value in given:
        if not is_kind(value, kinds[name]):
            span = next(formula.expr.span for other, formula in use.arguments if other == name)
            raise wrong_kind(name, kinds[name], value, span)


def _too_long(span: Span) -> Inapplicable:
    return Inapplicable(f"more than {MAX_UNROLLED:,} uses of operators in a row that changes the type", span)


def _count(count: Formula, env: Mapping[str, Any], least: int) -> int:
    value = count.evaluate(env)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= MAX_COPIES:
        raise Inapplicable(
            f"the number of copies is {least} to {MAX_COPIES}, not {cfg.value_text(value)}", count.expr.span
        )
    return value


class Run(tuple[Any, ...]):
    """A run of axes as the value of a rule's parameter: a list that can be a key."""

    __slots__ = ()


def _frozen(value: Any) -> Any:
    return Run(value) if isinstance(value, list) else value
