"""Numbers, conditions and choice sets of a file, compiled to functions of an environment.

An environment maps names to values: integers, reals, booleans, strings, orders (of axes),
dimensions (with their structure), and lists, which are runs of axes (`*s`) or the sizes of `each d`.
Evaluation is bounded: integers stay within 64 bits, sets within `MAX_SET` values.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import permutations
from math import isfinite
from typing import Any, TypeAlias

from ein.grammar.diagnostics import EinError, Span, fail
from ein.grammar.notation import syntax as s
from ein.grammar.types import plain

MAX_SET = 10_000
"""Values of one choice set, and joint values of the choices of one alternative."""

MAX_NAMES = 2_000
LONGEST_NAME = 60
"""How many names are compared with one that is not known, and how long it may be."""

Env: TypeAlias = Mapping[str, Any]
Evaluate: TypeAlias = Callable[[Env], Any]


class Order(tuple[int, ...]):
    """An order of axes, counted from 1: the value of `(2, 1)` as an argument."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"({', '.join(map(str, self))})"


class Percentage(float):
    """A probability written with `%`, or a grammar parameter of that kind."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{100 * self:.10g}%"


class Inapplicable(Exception):
    """A value that does not exist here: an inexact division, a size below 1, a guard that fails.

    `reason` is for the reader, and says the numbers. It is put together only when it is read, since
    drawing meets many more refusals than it reports.
    """

    def __init__(self, text: str, span: Span | None = None, values: tuple[Any, ...] = ()) -> None:
        super().__init__(text)
        self.text = text
        self.span = span
        self.values = values

    @property
    def reason(self) -> str:
        return self.text.format(*self.values) if self.values else self.text

    def bare(self) -> Inapplicable:
        """The same, without the frames it was raised from: to be kept in a table."""
        self.__traceback__ = self.__context__ = None
        return self


class Lifeless(Inapplicable):
    """A result that does not depend on the input, where one is claimed that does."""


@dataclass(frozen=True, slots=True, eq=False)
class Formula:
    """An expression with its function and the names that it needs."""

    expr: s.Expr
    evaluate: Evaluate
    names: frozenset[str]


def formula(expr: s.Expr, names: frozenset[str] | None = None) -> Formula:
    """Compiles `expr`. With `names` (those that may occur), an unknown one is an error."""
    if isinstance(expr, s.Number):
        return Formula(expr, compile_expr(expr), frozenset())
    used = free_names(expr)
    if names is not None:
        for name, span in used.items():
            if name not in names:
                raise fail("E203", f"there is no value named `{name}` here", span, help=nearest(name, names))
    return Formula(expr, compile_expr(expr), frozenset(used))


def constant(value: Any) -> Formula:
    return Formula(s.String("constant"), lambda env: value, frozenset())


_FUNCTIONS = {"min": min, "max": max, "len": len, "sum": sum}
FUNCTIONS = frozenset({*_FUNCTIONS, "orders", "permuted"})


def nearest(name: str, known: Any, words: str = "") -> str:
    """`did you mean …?`, or the words given. Compared are names short enough to be read, of lengths that can be
    close, and no more of them than take a moment."""
    from difflib import get_close_matches

    size = len(name)
    alike = [each for each in sorted(known) if 7 * size <= 13 * len(each) and 7 * len(each) <= 13 * size]
    close = get_close_matches(name, alike[:MAX_NAMES], n=1, cutoff=0.7) if size <= LONGEST_NAME else []
    return f"did you mean `{close[0]}`?" if close else words


def free_names(expr: s.Expr) -> dict[str, Span]:
    """The names that a number or condition needs, each with its first place."""
    found: dict[str, Span] = {}
    stack: list[Any] = [expr]
    while stack:
        node = stack.pop()
        match node:
            case s.Name(name):
                found.setdefault(name, node.span)
            case s.Unary(_, operand) | s.Star(operand):
                stack.append(operand)
            case s.Binary(_, left, right):
                stack += [right, left]
            case s.Call(function, arguments):
                stack += [argument.value for argument in reversed(arguments)]
                if not isinstance(function, s.Name) or function.name not in FUNCTIONS:
                    stack.append(function)
            case s.Group(items):
                stack += [item.value for item in reversed(items)]
            case s.ChoiceSet(items):
                stack += [x for i in reversed(items) for x in (i.weight, i.step, i.last, i.first) if x is not None]
            case s.Alternative(body, _, _, guard, otherwise):
                stack += [x for x in (otherwise, guard, body) if x is not None]
            case _:
                pass
    return found


def compile_expr(expr: s.Expr) -> Evaluate:
    """The function of an expression; what is no number, condition, order or string is an error."""
    match expr:
        case s.Number() | s.Boolean() | s.String():
            value = expr.value
            return lambda env: value
        case s.Percent():
            percentage = Percentage(expr.value)
            return lambda env: percentage
        case s.Name(name):
            return _name(name)
        case s.Unary("-", operand):
            inner = compile_expr(operand)
            return lambda env: -_number(inner(env), expr)
        case s.Unary("not", operand):
            inner = compile_expr(operand)
            return lambda env: not inner(env)
        case s.Binary():
            return _binary(expr)
        case s.Group(items):
            parts = [compile_expr(item.value) for item in items]
            return lambda env: Order(part(env) for part in parts)
        case s.Call(s.Name(name), arguments) if name in FUNCTIONS:
            return _call(name, arguments, expr)
        case s.Alternative(body, (), None, guard, otherwise) if guard is not None and otherwise is not None:
            then, condition, other = compile_expr(body), compile_expr(guard), compile_expr(otherwise)
            return lambda env: then(env) if condition(env) else other(env)
        case s.Call(s.Name(), _):
            raise no_function(expr)
        case _:
            raise fail("E205", "a number or condition is expected here", expr.span)


def no_function(call: s.Call) -> EinError:
    """What is called in a number or condition is not on the short list."""
    if not isinstance(call.function, s.Name):
        return fail("E205", "a number or condition is expected here", call.span)
    name, known = call.function.name, ", ".join(sorted(FUNCTIONS))
    help = nearest(name, FUNCTIONS, f"there are {known}")
    return fail("E204", f"`{name}` is no function of numbers", call.span, help=help)


def _name(name: str) -> Evaluate:
    def evaluate(env: Env) -> Any:
        try:
            value = env[name]
        except KeyError:
            raise Inapplicable(f"`{name}` has no value here") from None
        return plain(value) if type(value) is tuple else value

    return evaluate


def _number(value: Any, expr: s.Expr) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Inapplicable(f"a number is needed, and `{value!r}` is none", expr.span)
    return value


def _bounded(value: Any, expr: s.Expr) -> Any:
    fits = -(2**63) <= value < 2**63 if isinstance(value, int) else isfinite(value)
    if not fits:
        raise Inapplicable("a number exceeds 64 bits", expr.span)
    return value


_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


def _binary(expr: s.Binary) -> Evaluate:
    left, right = compile_expr(expr.left), compile_expr(expr.right)
    match expr.operator:
        case "and":
            return lambda env: left(env) and right(env)
        case "or":
            return lambda env: left(env) or right(env)
        case "==":
            return lambda env: left(env) == right(env)
        case "!=":
            return lambda env: left(env) != right(env)
        case "/":
            return _exact_division(expr, left, right)
        case "**":
            return _power(expr, left, right)
        case "^":
            raise no_power(expr.span)
        case _:
            return _arithmetic(expr, left, right, _OPERATIONS[expr.operator])


def no_power(span: Span) -> EinError:
    return fail("E205", "`^` makes copies of a term; a power is written `**`", span)


def _arithmetic(expr: s.Binary, left: Evaluate, right: Evaluate, operation: Callable[[Any, Any], Any]) -> Evaluate:
    def evaluate(env: Env) -> Any:
        a, b = left(env), right(env)
        if type(a) is not int or type(b) is not int:
            a, b = _number(a, expr), _number(b, expr)
        try:
            value = operation(a, b)
        except ZeroDivisionError:
            raise Inapplicable("a division by zero", expr.span) from None
        return value if -(2**63) <= value < 2**63 else _bounded(value, expr)

    return evaluate


def _exact_division(expr: s.Binary, left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(env: Env) -> Any:
        a, b = _number(left(env), expr), _number(right(env), expr)
        if b == 0:
            raise Inapplicable("a division by zero", expr.span)
        if isinstance(a, int) and isinstance(b, int):
            if a % b:
                raise Inapplicable(f"{a} / {b} is not exact", expr.span)
            return a // b
        return _bounded(a / b, expr)

    return evaluate


def _power(expr: s.Binary, left: Evaluate, right: Evaluate) -> Evaluate:
    def evaluate(env: Env) -> Any:
        a, b = _number(left(env), expr), _number(right(env), expr)
        try:
            if abs(b) > 64 and abs(a) > 1:
                raise OverflowError
            value = a**b
        except (OverflowError, ZeroDivisionError):
            raise Inapplicable(f"{a} ** {b} is out of range", expr.span) from None
        if isinstance(value, complex):
            raise Inapplicable(f"{a} ** {b} is no real number", expr.span)
        return _bounded(value, expr)

    return evaluate


def _call(name: str, arguments: tuple[s.Argument, ...], expr: s.Expr) -> Evaluate:
    if any(argument.name is not None for argument in arguments):
        raise fail("E206", f"arguments of `{name}` are positional", expr.span)
    parts = [compile_expr(argument.value) for argument in arguments]
    counts = {"orders": (1, 1), "permuted": (2, 2), "len": (1, 1), "sum": (1, 1)}.get(name, (1, 9))
    if not counts[0] <= len(parts) <= counts[1]:
        raise fail("E206", f"`{name}` takes {counts[0]} argument(s), {len(parts)} given", expr.span)
    if name == "orders":
        return lambda env: _orders(parts[0](env), expr)
    if name == "permuted":
        return lambda env: permuted(parts[0](env), parts[1](env), expr.span)
    function = _FUNCTIONS[name]

    def evaluate(env: Env) -> Any:
        values = [part(env) for part in parts]
        try:
            return function(_sizes(values[0]) if len(values) == 1 else values)  # type: ignore[operator]
        except (TypeError, ValueError):  # a ValueError: the greatest of no axes
            raise Inapplicable(f"`{name}` needs a run of axes, or several numbers", expr.span) from None

    return evaluate


def _sizes(value: Any) -> Any:
    return [plain(part) for part in value] if isinstance(value, list) else value


def _orders(n: Any, expr: s.Expr) -> list[Order]:
    if not isinstance(n, int) or not 0 <= n <= 7:
        raise Inapplicable(f"orders(n) is for n up to 7, not {n}", expr.span)
    axes = range(1, n + 1)
    return [Order(order) for order in permutations(axes) if order != tuple(axes)]


def permuted(run: Any, order: Any, span: Span | None = None) -> list[Any]:
    """The run in the order given, counted from 1."""
    if not isinstance(run, list) or not isinstance(order, tuple):
        raise Inapplicable("permuted(s, order) needs a run of axes and an order", span)
    if not all(type(axis) is int for axis in order) or sorted(order) != list(range(1, len(run) + 1)):
        raise Inapplicable(f"{Order(order)!r} is no order of {len(run)} axes", span)
    return [run[i - 1] for i in order]


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """A choice set: `evaluate(env)` gives its values with their weights, in the order written."""

    expr: s.Expr
    evaluate: Callable[[Env], list[tuple[Any, float]]]
    names: frozenset[str]


def choices(expr: s.Expr, names: frozenset[str] | None = None) -> Choices:
    """Compiles a choice set `{…}` or an expression whose value is a list (`orders(rank)`)."""
    if not isinstance(expr, s.ChoiceSet):
        whole = formula(expr, names)
        return Choices(expr, lambda env: _listed(whole.evaluate(env), expr), whole.names)
    items = [_item(item, names) for item in expr.items]
    for item in expr.items:
        _never_empty(item, expr.span)

    def evaluate(env: Env) -> list[tuple[Any, float]]:
        values = [pair for item in items for pair in item(env)]
        if len(values) > MAX_SET:
            raise Inapplicable(f"a choice set has {len(values)} values; {MAX_SET} is the limit", expr.span)
        return values

    return Choices(expr, evaluate, frozenset(free_names(expr)))


def _listed(value: Any, expr: s.Expr) -> list[tuple[Any, float]]:
    if not isinstance(value, list):
        raise Inapplicable("a choice set is written in braces: `{1, 2}`", expr.span)
    return [(part, 1.0) for part in value]


def _never_empty(item: s.Item, span: Span) -> None:
    """Raises EinError for a range between constants that holds nothing; one between names may be empty."""
    if item.last is None or free_names(item.first) or free_names(item.last):
        return
    first, last = evaluate_constant(item.first, {}), evaluate_constant(item.last, {})
    if isinstance(first, int) and isinstance(last, int) and first > last:
        raise fail("E207", f"the range {first}..{last} is empty", span, help="a range goes up: `{16..32}`")


def _item(item: s.Item, names: frozenset[str] | None) -> Callable[[Env], list[tuple[Any, float]]]:
    first = formula(item.first, names).evaluate
    weight = formula(item.weight, names).evaluate if item.weight is not None else None
    last = formula(item.last, names).evaluate if item.last is not None else None
    step = formula(item.step, names).evaluate if item.step is not None else None

    def evaluate(env: Env) -> list[tuple[Any, float]]:
        share = 1.0 if weight is None else weight(env)
        if not isinstance(share, int | float) or share < 0:
            raise Inapplicable(f"a weight is a number of at least 0, not {share!r}", item.span)
        if last is None:
            return [(first(env), share)]
        return [(value, share) for value in _range(first(env), last(env), step(env) if step else 1, item)]

    return evaluate


def _range(first: Any, last: Any, step: Any, item: s.Item) -> list[int]:
    if not all(isinstance(x, int) and not isinstance(x, bool) for x in (first, last, step)):
        raise Inapplicable("a range goes over integers", item.span)
    if step < (2 if item.geometric else 1) or (item.geometric and first < 1):
        raise Inapplicable(f"a range cannot go from {first} by {'*' if item.geometric else ''}{step}", item.span)
    values: list[int] = []
    while first <= last:
        values.append(first)
        if len(values) > MAX_SET:
            raise Inapplicable(f"a range has more than {MAX_SET} values", item.span)
        first = first * step if item.geometric else first + step
    return values


def evaluate_constant(expr: s.Expr, env: Env) -> Any:
    """The value of an expression at check time; a failure is reported at its place."""
    try:
        return formula(expr, frozenset(env)).evaluate(env)
    except Inapplicable as error:
        raise fail("E207", error.reason, error.span or expr.span) from None
