"""A signature is a claim, and here it is tested: does the body give what the signature says?

Sizes are drawn pairwise different, so that no coincidence can hide a mistake, and go through the
body by the shape rules of `ein.grammar.bodies`, without torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any

from ein.grammar import syntax as s
from ein.grammar.cfg import Operator, Parameter, value_text
from ein.grammar.computed import compile_type
from ein.grammar.diagnostics import Diagnostic, EinError, Label
from ein.grammar.names import type_names
from ein.grammar.numbers import Inapplicable, Order
from ein.grammar.patterns import KIND
from ein.grammar.types import ValueType, elements

DRAWS = 8
"""Draws that must agree before a signature is believed, and as many more for each parameter."""

TRIES = 1500
TRIES_EACH = 24
"""Draws for each parameter of an operator, fitting or not: every one of them is 0 in some."""

_SIZES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 4, 6, 8, 9, 10, 12, 14, 15, 16, 18, 20, 21, 22, 24, 28, 30, 36, 40, 48)
_SMALL = (0, 1, 1, 2, 2, 3, 4, 6)


def prove(overloads: tuple[Operator, ...], kinds: Mapping[str, Any]) -> list[Diagnostic]:
    """What is wrong with the overloads of one operator."""
    return [found for operator in overloads if (found := _prove_one(operator, kinds)) is not None]


def _prove_one(operator: Operator, kinds: Mapping[str, Any]) -> Diagnostic | None:
    try:
        good, failures = 0, []
        seen = _Values(operator)
        for tried, (given, input) in enumerate(_draws(operator, kinds)):
            try:
                applied = operator.apply(operator.arguments(given), input)
            except Inapplicable:
                continue
            try:
                _ = applied.body
                good += 1
                seen.add(operator.arguments(given))
            except Inapplicable as error:
                failures.append((given, input, applied.output, error))
            optional = len(operator.parameters)
            if len(failures) >= DRAWS or (failures and tried >= TRIES_EACH * (1 + optional)):
                break
            if good >= DRAWS * (1 + optional) and tried >= TRIES_EACH * optional and seen.enough():
                break
    except EinError as error:
        return error.diagnostics[0]
    if failures:
        return _refuted(operator, *min(failures, key=_plainness))
    if not good:
        text = f"no sizes were found that fit the signature and guards of `{operator.name}`"
        return Diagnostic("W401", text, operator.declaration.span, severity="warning")
    return None


class _Values:
    """The values that optional parameters had in draws that fit: a default alone proves nothing of them."""

    def __init__(self, operator: Operator) -> None:
        optional = [p.name for p in operator.parameters if p.default is not None and p.kind in ("int", "bool", None)]
        self.seen: dict[str, set[Any]] = {name: set() for name in optional}

    def add(self, arguments: Mapping[str, Any]) -> None:
        for name, values in self.seen.items():
            values.add(arguments[name])

    def enough(self) -> bool:
        return all(len(values) > 2 or values == {True, False} for values in self.seen.values())


def _plainness(failure: tuple[dict[str, Any], ValueType, ValueType, Inapplicable]) -> tuple[bool, int]:
    """Sorts first what shows a mistake best: no argument that is 0, small sizes."""
    given, input, _, _ = failure
    return any(value == 0 and type(value) is int for value in given.values()), elements(input)


def _refuted(
    operator: Operator, given: Mapping[str, Any], input: ValueType, output: ValueType, error: Inapplicable
) -> Diagnostic:
    declaration = operator.declaration
    body = declaration.body
    assert body is not None
    arguments = ", ".join(f"{name} = {value_text(value)}" for name, value in operator.arguments(given).items())
    at = f"at {input!r}" + (f" with {arguments}" if arguments else "")
    message = f"the body of `{operator.name}` does not give what its signature says"
    label = Label(declaration.output.span, f"{output!r} {at}")
    return Diagnostic("E401", message, error.span or body.span, error.reason, (label,))


def _draws(operator: Operator, kinds: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], ValueType]]:
    """Arguments and inputs that may fit; the same for every run."""
    declaration = operator.declaration
    random = Random(f"prove {declaration.name}")
    parameters = {p.name for p in operator.parameters}
    left = _buildable(declaration.input, count())
    names = [name for name in type_names(left) if name not in parameters]
    runs, variables, _ = _roles(left)
    eaches = _roles(declaration.input)[2]
    build = compile_type(left, {KIND, *names, *parameters}, kinds)
    for attempt in range(TRIES):
        pool = list(_SIZES)
        for i in range(len(pool) - 1, 0, -1):
            j = int(random.random() * (i + 1))
            pool[i], pool[j] = pool[j], pool[i]
        env: dict[str, Any] = {KIND: sorted(kinds)[attempt % len(kinds)] if kinds else ""}
        for name in names:
            env[name] = _value(name, runs, variables, eaches, pool, random, kinds)
        given = {p.name: _argument(p, env, pool, random, attempt) for p in operator.parameters if _drawn(p, attempt)}
        whole = [name for name in given if type(given[name]) is int]
        if attempt % 3 == 2 and whole:
            given[whole[attempt // 3 % len(whole)]] = 0
        try:
            input = build({**env, **operator.arguments(given)})
        except (Inapplicable, KeyError):
            continue
        if _fits_kinds(input, kinds):
            yield given, input


def _fits_kinds(input: ValueType, kinds: Mapping[str, Any]) -> bool:
    from ein.grammar.types import leaves

    return all(len(kinds[leaf.kind][0]) == len(leaf.shape) for leaf in leaves(input) if leaf.kind in kinds)


def _drawn(parameter: Parameter, attempt: int) -> bool:
    """Defaults are left alone in one attempt of three."""
    return parameter.default is None or attempt % 3 != 0


def _argument(parameter: Parameter, env: Mapping[str, Any], pool: list[int], random: Random, attempt: int) -> Any:
    match parameter.kind:
        case "bool":
            return attempt % 2 == 0
        case "real":
            return (0.5, 1e-3, 2.0)[int(random.random() * 3)]
        case "fn":
            return ("relu", "gelu", "tanh")[int(random.random() * 3)]
        case "name":
            return "none"
        case _ if parameter.name == "order":
            run = next((value for value in env.values() if isinstance(value, list)), [1, 1])
            axes = list(range(1, len(run) + 1))
            return Order(sorted(axes, key=lambda _: random.random()))
        case _:
            small = random.random() < 0.6 or parameter.default is not None
            return _SMALL[int(random.random() * len(_SMALL))] if small else pool.pop()


def _value(
    name: str,
    runs: set[str],
    variables: set[str],
    eaches: set[str],
    pool: list[int],
    random: Random,
    kinds: Mapping[str, Any],
) -> Any:
    if name in runs:
        return [pool.pop() for _ in range(int(random.random() * 4))]
    if name in variables:
        from ein.grammar.types import tensor

        fitting = sorted(kind for kind, (axes, _) in kinds.items() if len(axes) <= 4) or ["im"]
        kind = fitting[int(random.random() * len(fitting))]
        return tensor(kind, [pool.pop() for _ in kinds[kind][0]] if kind in kinds else [pool.pop()])
    if name in eaches:
        return pool.pop()
    if name == "b" or random.random() < 0.15:
        return 2 + int(random.random() * 3)
    return pool.pop()


def _roles(type: s.Type) -> tuple[set[str], set[str], set[str]]:
    """Names of runs, of type variables, of `each` dimensions."""
    runs: set[str] = set()
    variables: set[str] = set()
    eaches: set[str] = set()
    stack: list[s.Type] = [type]
    while stack:
        match stack.pop():
            case s.TypeName(name):
                variables.add(name)
            case s.KindType(_, dims):
                runs |= {d.operand.name for d in dims if isinstance(d, s.Star) and isinstance(d.operand, s.Name)}
                eaches |= {d.name for d in dims if isinstance(d, s.EachDim)}
            case s.BundleType(members):
                stack += [member.type for member in members]
            case s.PowerType(base, _):
                stack.append(base)
            case s.Blank():
                pass
    return runs, variables, eaches


def _buildable(type: s.Type, fresh: Iterator[int]) -> s.Type:
    """The pattern as a type that can be computed: `each d` is one size for all, `_` has a name."""
    match type:
        case s.KindType(kind, dims):
            return s.KindType(kind, tuple(_buildable_dim(dim, fresh) for dim in dims), span=type.span)
        case s.BundleType(members):
            return s.BundleType(tuple(s.Member(_buildable(m.type, fresh), m.name) for m in members), span=type.span)
        case s.PowerType(base, count):
            return s.PowerType(_buildable(base, fresh), count, span=type.span)
        case s.Blank():
            return s.TypeName(f"_{next(fresh)}", span=type.span)
        case _:
            return type


def _buildable_dim(dim: s.Dim, fresh: Iterator[int]) -> s.Dim:
    match dim:
        case s.EachDim(name):
            return s.Name(name, span=dim.span)
        case s.Blank():
            return s.Name(f"_{next(fresh)}", span=dim.span)
        case s.Group(items):
            inner = [replace(item, value=_buildable_dim(item.value, fresh)) for item in items]  # type: ignore[arg-type]
            return s.Group(tuple(inner), span=dim.span)
        case _:
            return dim
