"""The arguments of a function that a body calls, by the names of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ein.grammar.diagnostics import fail
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import nearest

if TYPE_CHECKING:
    from ein.grammar.bodies.expressions import Expressions


def named_arguments(
    body: Expressions, name: str, arguments: tuple[s.Argument, ...], wanted: Mapping[str, Any], expr: s.Expr
) -> dict[str, Any]:
    """Arguments by position or name, evaluated; `wanted` holds their names, None where there is no default."""
    names = list(wanted)
    given: dict[str, Any] = {}
    for at, argument in enumerate(arguments):
        if argument.name is None and at >= len(names):
            raise fail("E405", f"`{name}` takes {len(names)} argument(s), {len(arguments)} given", expr.span)
        key = names[at] if argument.name is None else argument.name
        if key not in wanted:
            help = nearest(key, names, f"there are {', '.join(names)}")
            raise fail("E405", f"`{name}` has no argument `{key}`", argument.span, help=help)
        if key in given:
            raise fail("E405", f"`{key}` of `{name}` is given twice", argument.span)
        given[key] = body.evaluate(argument.value)
    missing = [key for key, default in wanted.items() if default is None and key not in given]
    if missing:
        raise fail("E405", f"`{name}` takes {len(names)} argument(s), {len(given)} given", expr.span)
    return {**wanted, **given}
