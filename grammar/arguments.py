"""Arguments of operators, macros and rules: by position or name, and of the right kind."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from ein.grammar import cfg
from ein.grammar.diagnostics import EinError, Span, fail
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Formula, Inapplicable, nearest


def takes(names: Sequence[str], required: Set[str], arguments: tuple[s.Argument, ...]) -> bool:
    if not arguments:
        return not required
    positional = [a for a in arguments if a.name is None or (a.choice and a.name not in names)]
    named = [a.name for a in arguments if a.name is not None]
    if len(positional) > len(names) or any(name not in names for name in named):
        return False
    given = [*names[: len(positional)], *named]
    return len(set(given)) == len(given) and required <= set(given)


def bind(names: Sequence[str], arguments: tuple[s.Argument, ...]) -> dict[str, s.Argument]:
    if not arguments:
        return {}
    positional = [a for a in arguments if a.name is None]
    return dict(zip(names, positional, strict=False)) | {a.name: a for a in arguments if a.name is not None}


def bind_declared(
    name: str, parameters: tuple[s.Parameter, ...], arguments: tuple[s.Argument, ...], span: Span
) -> dict[str, s.Argument]:
    """The arguments of a rule or macro by name; raises EinError where they do not fit its parameters."""
    names = [p.name for p in parameters]
    if not takes(names, {p.name for p in parameters if p.default is None}, arguments):
        raise wrong_arguments(name, tuple(cfg.Parameter(p.name, p.kind, None) for p in parameters), arguments, span)
    return bind(names, arguments)


def wrong_arguments(
    name: str, parameters: tuple[cfg.Parameter, ...], arguments: tuple[s.Argument, ...], span: Span
) -> EinError:
    names = [p.name for p in parameters]
    listed = ", ".join(p.name if p.default is None else f"{p.name} = {p.default.expr.span.text}" for p in parameters)
    help = f"its parameters: {name}({listed})" if parameters else f"`{name}` has no parameters"
    for argument in arguments:
        if argument.name is not None and argument.name not in names:
            close = nearest(argument.name, names)
            text = f"`{name}` has no parameter `{argument.name}`"
            return fail("E206", text, argument.span, help=f"{close} {help}".strip())
    positional = sum(a.name is None for a in arguments)
    given = {*names[:positional], *(a.name for a in arguments if a.name is not None)}
    missing = [p.name for p in parameters if p.default is None and p.name not in given]
    if missing and positional <= len(names):
        return fail("E206", f"`{name}` needs {', '.join(f'`{m}`' for m in missing)}", span, help=help)
    if positional > len(names):
        text = f"`{name}` takes {len(names)} argument(s), {len(arguments)} given"
        return fail("E206", text, span, help=help)
    return fail("E206", f"an argument of `{name}` is given twice", span, help=help)


KINDS: dict[str | None, tuple[type, ...]] = {
    "int": (int,),
    "real": (int, float),
    "bool": (bool,),
    "name": (str,),
    "fn": (str,),
    None: (int, tuple),
}


def check_kind(value: Formula, parameter: cfg.Parameter) -> None:
    try:
        found = value.evaluate({})
    except Inapplicable as error:
        raise fail("E207", error.reason, error.span or value.expr.span) from None
    if not is_kind(found, parameter.kind):
        raise wrong_kind(parameter.name, parameter.kind, found, value.expr.span)


def is_kind(value: Any, kind: str | None) -> bool:
    """Whether a value is of the kind of a parameter."""
    return isinstance(value, KINDS.get(kind, (object,))) and (not isinstance(value, bool) or kind == "bool")


def wrong_kind(name: str, kind: str | None, value: Any, span: Span) -> EinError:
    return fail("E208", f"`{name}` is {kind or 'an integer'}, and `{cfg.value_text(value)}` is not", span)


def weight_is_sane(weight: Formula) -> None:
    try:
        value = weight.evaluate({})
    except Inapplicable as error:
        raise fail("E503", error.reason, error.span or weight.expr.span) from None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise fail("E503", f"a weight is a number of at least 0, not {cfg.value_text(value)}", weight.expr.span)
