"""What can be said of an operator from kind and number of axes alone, whatever the sizes.

Most operators take every tensor of a form (`relu`, `linear`) or none (`im2col` on a sequence), so
tables of alternatives are filled once for a form and not for each of thousands of types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ein.grammar.cfg import Application, Applied, Operator
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Inapplicable, formula, permuted
from ein.grammar.patterns import KIND
from ein.grammar.types import Tensor


def takes_form(application: Application, input: Tensor, outline: bool = False) -> bool | None:
    """True or False for all tensors of the form of `input`; None: it depends on the sizes.

    `outline`: for all whose sizes are put together like those of `input`.
    """
    answers = [_takes(operator, arguments, input, outline) for operator, arguments in application.forms]
    if True in answers:
        return True if isinstance(application.look(input), Applied) else None
    return None if None in answers else False


def first_takes_form(application: Application, input: Tensor, outline: bool = False) -> bool:
    """Whether one overload takes all tensors of the form of `input`, and those before it take none."""
    answers = (_takes(operator, arguments, input, outline) for operator, arguments in application.forms)
    return next((answer for answer in answers if answer is not False), False) is True


def _takes(operator: Operator, arguments: Mapping[str, Any], input: Tensor, outline: bool) -> bool | None:
    names = _input_names(operator.declaration.input, input, operator.names, outline)
    if names is False:
        return False
    answer: bool | None = None if names is None else True
    for guard in operator.guards:
        if guard.names <= operator.names:
            if not _evaluate(guard.evaluate, arguments):
                return False
        else:
            answer = None
    if isinstance(names, dict) and answer:
        return _output(operator.declaration.output, arguments, names)
    return answer


def _evaluate(function: Any, arguments: Mapping[str, Any]) -> Any:
    try:
        return function(arguments)
    except Inapplicable:
        return False


def _input_names(
    type: s.Type, input: Tensor, parameters: frozenset[str], outline: bool
) -> dict[str, int] | bool | None:
    """The names a pattern binds (runs with their length, else 0); False: never fits; None: may fit."""
    match type:
        case s.TypeName(name):
            return {name: 0}
        case s.Blank():
            return {}
        case s.BundleType((member,)):
            return _input_names(member.type, input, parameters, outline)
        case s.KindType(kind, dims):
            return _shape_names(kind, dims, input, parameters, outline)
        case _:
            return False


def _shape_names(
    kind: str, dims: tuple[s.Dim, ...], input: Tensor, parameters: frozenset[str], outline: bool
) -> dict[str, int] | bool | None:
    runs = [dim for dim in dims if isinstance(dim, s.Star)]
    free = len(input.shape) - (len(dims) - len(runs))
    if kind not in (KIND, input.kind) or free < 0 or (free and not runs):
        return False
    names: dict[str, int] = {}
    at = 0
    for dim in dims:
        match dim:
            case s.Name(name) if name not in names and name not in parameters:
                names[name] = 0
            case s.Star(s.Name(name)) if len(runs) == 1 and name not in parameters:
                names[name] = free
            case s.Blank():
                pass
            case s.Group(items) if outline:
                size = input.shape[at]
                if not isinstance(size, tuple) or len(size) != len(items):
                    return False
                parts = [item.value.name for item in items if isinstance(item.value, s.Name)]
                if len({*parts, *names, *parameters}) < len(items) + len(names) + len(parameters):
                    return None
                names |= dict.fromkeys(parts, 0)
            case _:
                return None
        at += free if isinstance(dim, s.Star) else 1
    return names


def _output(type: s.Type, arguments: Mapping[str, Any], names: Mapping[str, int]) -> bool | None:
    match type:
        case s.TypeName():
            return True
        case s.BundleType((member,)):
            return _output(member.type, arguments, names)
        case s.PowerType(base, count):
            number = formula(count)
            if not number.names <= set(arguments):
                return None
            copies = _evaluate(number.evaluate, arguments)
            return _output(base, arguments, names) if isinstance(copies, int) and 2 <= copies <= 4096 else False
        case s.KindType(_, dims):
            answers = [_dim(dim, arguments, names) for dim in dims]
            return False if False in answers else (None if None in answers else True)
        case _:
            return None


def _dim(dim: s.Dim, arguments: Mapping[str, Any], names: Mapping[str, int]) -> bool | None:
    match dim:
        case s.Name(name) if name in names:
            return True
        case s.Name(name):
            size = arguments.get(name)
            return isinstance(size, int) and 1 <= size <= 2**31
        case s.Star(s.Name(name)):
            return True
        case s.Star(s.Call(s.Name("permuted"), (s.Argument(s.Name(run)), s.Argument(s.Name(order))))):
            return _evaluate(lambda env: [True, *permuted([1] * names[run], env[order])], arguments) is not False
        case _:
            return None
