"""`ein.operator`: an operator whose meaning is Python, for files that are loaded in this process."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, TypeVar

from ein.grammar import cfg
from ein.grammar.bodies.prove import plainness, use_text
from ein.grammar.bodies.trials import Trial, trials
from ein.grammar.diagnostics import Diagnostic, EinError, Label, Source, Span
from ein.grammar.host import MODULE, Given, Host, register, registered
from ein.grammar.load import find
from ein.grammar.names import type_names
from ein.grammar.notation import syntax as s
from ein.grammar.notation.parser import parse
from ein.grammar.patterns import KIND, Kinds
from ein.grammar.scopes import Scope
from ein.grammar.signatures import operator as compiled
from ein.grammar.types import leaves
from ein.source_text import Text, standing_alone

Implementation = TypeVar("Implementation", bound=Callable[..., Any])

MOST = 12
"""Uses of each sort that a new operator is tried with."""


def operator(signature: str, *, macs: Callable[..., int] | None = None) -> Callable[[Implementation], Implementation]:
    """Registers a class of `nn.Module`, or a function without weights, as the operator of `signature`.

        @ein.operator("op swish(beta: real = 1) : t -> t")
        class Swish(nn.Module):
            def __init__(self, beta): ...
            def forward(self, x): ...

    Files that are loaded from then on in this process can use it. A class is built with what its constructor asks for
    by name, of the operator's parameters and the dimensions that the signature binds; a run `*s` is a tuple of sizes.
    `forward` takes a tensor for each input, the batch first, and gives one. A function takes the tensors, and by
    name what else it asks for. `signature` may declare kinds of its own before the `op`: `type vol[c, d, h, w]`.

    Parameters are counted on torch's meta device, where also the signature is tested, in evaluation with one example
    and in both modes with three: what is registered must run there. Multiply-accumulates are 0 unless `macs` gives
    them for one example; it too asks for what it needs by name.

    In emitted source the class stands with its text, where that needs nothing but torch and the standard library;
    else it is imported from its module. A name that is registered again means the new one, in files loaded later.

    Raises EinError where the signature is no signature, or not what the implementation does, with the smallest sizes
    that show it; ValueError and TypeError for an implementation that cannot be called so.
    """
    declaration, kinds = _declaration(signature)

    def decorate(implementation: Implementation) -> Implementation:
        host = _host(declaration, implementation, macs)
        _alone(host)
        _try(compiled(declaration, Scope(MODULE, dict(kinds)), host), kinds)
        register(host)
        return implementation

    return decorate


def hosts(grammar: cfg.Grammar) -> list[Host]:
    """The operators of the host program that the rules of a grammar use."""
    found: dict[Host, None] = {}
    stack: list[Any] = list(grammar.rules.values())
    while stack:
        match stack.pop():
            case cfg.Use(overloads):
                found |= {overload.host: None for overload in overloads if overload.host is not None}
            case cfg.Operator() | Span():
                pass
            case tuple() as parts:
                stack += parts
            case node if is_dataclass(node):
                stack += [getattr(node, each.name) for each in fields(node)]
    return list(found)


# --- the signature


def _declaration(signature: str) -> tuple[s.OpDecl, Kinds]:
    file, diagnostics = parse(Source(MODULE, signature))
    if diagnostics:
        raise EinError(diagnostics)
    declared = [x for x in file.statements if isinstance(x, s.OpDecl)]
    strange = [x for x in file.statements if not isinstance(x, s.OpDecl | s.TypeDecl)]
    if len(declared) != 1 or strange or declared[0].body is not None or declared[0].lines:
        raise ValueError(f"signature={signature!r}: one `op name(…) : … -> …` without a body, and kinds that it needs")
    [declaration] = declared
    if not isinstance(declaration.output, s.KindType | s.TypeName):
        raise ValueError(f"signature={signature!r}: an operator of the host program gives one tensor")
    kinds, names = _std()
    if declaration.name in names:
        raise ValueError(f"signature={signature!r}: `{declaration.name}` is a name of std; take another one")
    return declaration, {**kinds, **_kinds(file)}


@lru_cache(maxsize=1)
def _std() -> tuple[Kinds, frozenset[str]]:
    """Its kinds, and the names that its operators and macros have."""
    file, _ = parse(find("std")[0])
    return _kinds(file), frozenset(x.name for x in file.statements if isinstance(x, s.OpDecl | s.MacroDecl))


def _kinds(file: s.File) -> Kinds:
    return {x.name: (x.axes, x.element or "float") for x in file.statements if isinstance(x, s.TypeDecl)}


def _kinds_of(type: s.Type) -> Iterator[str]:
    match type:
        case s.KindType(kind):
            yield kind
        case s.BundleType(members):
            for member in members:
                yield from _kinds_of(member.type)
        case s.PowerType(base, _):
            yield from _kinds_of(base)
        case _:
            pass


def _known(declaration: s.OpDecl) -> tuple[str, ...]:
    """The names that an implementation can ask for: parameters and dimensions."""
    types = {x for x in _type_variables(declaration.input)}
    dims = [name for name in type_names(declaration.input) if name not in types]
    return tuple(dict.fromkeys([*(p.name for p in declaration.parameters), *dims]))


def _type_variables(type: s.Type) -> Iterator[str]:
    match type:
        case s.TypeName(name):
            yield name
        case s.BundleType(members):
            for member in members:
                yield from _type_variables(member.type)
        case s.PowerType(base, _):
            yield from _type_variables(base)
        case _:
            pass


# --- the implementation


def _host(declaration: s.OpDecl, implementation: Callable[..., Any], macs: Callable[..., int] | None) -> Host:
    from torch import nn

    is_layer = isinstance(implementation, type) and issubclass(implementation, nn.Module)
    if not is_layer and not inspect.isfunction(implementation):
        raise TypeError(f"`{declaration.name}`: a class of nn.Module or a function, not {implementation!r}")
    known = _known(declaration)
    asks = _asks(implementation, known, tensors=not is_layer)
    text: Text = standing_alone(implementation)
    kinds = frozenset(_kinds_of(declaration.input)) | frozenset(_kinds_of(declaration.output))
    return Host(
        declaration, kinds - {KIND}, implementation.__name__, is_layer, asks,
        make=_made(implementation, is_layer),
        kept=_counted(implementation, is_layer, _shapes),
        trained=_counted(implementation, is_layer, _numbers),
        macs=_macs(macs, known),
        home=implementation.__module__, source=text.source, imports=text.imports,
    )  # fmt: skip


def _asks(function: Callable[..., Any], known: tuple[str, ...], tensors: bool) -> tuple[str, ...]:
    """The names of parameters and dimensions among those of a function; the others are `tensors`, or have a default."""
    asked: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.name in known and parameter.kind is not parameter.POSITIONAL_ONLY:
            asked.append(parameter.name)
        elif parameter.default is parameter.empty and (
            not tensors or asked or parameter.kind is parameter.KEYWORD_ONLY
        ):
            there = ", ".join(f"`{name}`" for name in known) or "none"
            raise TypeError(f"{function.__name__} asks for `{parameter.name}`; parameters and dimensions are {there}")
    return tuple(asked)


def _made(implementation: Callable[..., Any], is_layer: bool) -> Callable[[Given], Callable[..., Any]]:
    def make(given: Given) -> Callable[..., Any]:
        if is_layer:
            layer: Callable[..., Any] = implementation(**dict(given))
            return layer
        return lambda *tensors: implementation(*tensors, **dict(given))

    return make


def _counted(implementation: Callable[..., Any], is_layer: bool, count: Callable[[Any], Any]) -> Callable[[Given], Any]:
    """What is found on a layer that is built on the meta device, once for each `given`."""

    @lru_cache(maxsize=1024)
    def counted(given: Given) -> Any:
        import torch

        if not is_layer:
            return count(torch.nn.Module())
        with torch.device("meta"):
            return count(implementation(**dict(given)))

    return counted


def _shapes(layer: Any) -> Mapping[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in layer.state_dict().items()}


def _numbers(layer: Any) -> int:
    return sum(parameter.numel() for parameter in layer.parameters())


def _macs(macs: Callable[..., int] | None, known: tuple[str, ...]) -> Callable[[Mapping[str, Any]], int]:
    if macs is None:
        return lambda env: 0
    asked = _asks(macs, known, tensors=False)
    return lambda env: int(macs(**{name: env[name] for name in asked}))


def _alone(host: Host) -> None:
    """Two operators of one network cannot have classes of one name; one class may be two operators."""
    for other in registered().values():
        same = (other.home, other.source) == (host.home, host.source)
        if other.name == host.name and other.declaration.name != host.declaration.name and not same:
            raise ValueError(f"`{other.declaration.name}` is registered with another `{host.name}`: rename one of them")


# --- the test


def _try(operator: cfg.Operator, kinds: Kinds) -> None:
    """Raises EinError where torch's meta device gives other sizes than the signature says."""
    tried = 0
    failures: list[tuple[Trial, str]] = []
    for trial in trials(operator, kinds, MOST):
        tried += 1
        if (objection := _objection(trial, kinds)) is not None:
            failures.append((trial, objection))
    name, declaration = operator.name, operator.declaration
    if failures:
        trial, objection = min(failures, key=lambda failure: plainness(failure[0]))
        label = Label(declaration.output.span, f"{trial.applied.output!r} at {use_text(trial)}")
        message = f"what `{name}` is registered with does not give what its signature says"
        raise EinError([Diagnostic("E401", message, declaration.span, objection, (label,))])
    if not tried:
        message = f"no sizes were found that fit the signature and guards of `{name}`"
        raise EinError([Diagnostic("E401", message, declaration.span)])


def _objection(trial: Trial, kinds: Kinds) -> str | None:
    from ein.compiler.verify_ops import REFUSALS, run_on_meta

    try:
        body = trial.applied.body
    except REFUSALS as error:
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return run_on_meta(body, list(leaves(trial.applied.input)), kinds, several=True)
