"""What a caller asks of a file beside its text: parameters, input and output, limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ein.grammar import cfg
from ein.grammar.computed import compile_type
from ein.grammar.diagnostics import Diagnostic, EinError, Source, Span, fail
from ein.grammar.names import leaves_open, mentioned
from ein.grammar.notation import syntax as s
from ein.grammar.notation.parser import parse_expression, parse_limit, parse_type
from ein.grammar.numbers import Inapplicable, Percentage, evaluate_constant, free_names, nearest
from ein.grammar.scopes import Scope
from ein.grammar.types import Tensor, ValueType

LIMITS = {"modules": "modules", "depth": "depth", "params": "parameters", "macs": "macs", "elements": "elements"}
"""The name of a limit in a file, and in `Limits`."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asks of a file: values of parameters, other input and output types, limits."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    input: str | None = None
    output: str | None = None
    limits: Mapping[str, int] = field(default_factory=dict)
    by: str = ""
    """Who asks for the input and output, for messages: data `iris`."""


class Asked:
    """A request, put to the statements of a file; what is wrong with either goes to `diagnostics`."""

    def __init__(
        self,
        name: str,
        statements: tuple[s.Statement, ...],
        scope: Scope,
        request: Request,
        diagnostics: list[Diagnostic],
    ) -> None:
        self.name = name
        self.statements = statements
        self.scope = scope
        self.request = request
        self.diagnostics = diagnostics

    def parameters(self, declared: s.GrammarDecl | None) -> dict[str, Any]:
        env: dict[str, Any] = {}
        parameters = declared.parameters if declared else ()
        for parameter in parameters:
            if parameter.default is None:
                text = f"the parameter `{parameter.name}` needs a default; it says what kind it is"
                self._report(fail("E211", text, parameter.span))
                continue
            try:
                default = evaluate_constant(parameter.default, env)
                env[parameter.name] = self._parameter_value(parameter, default)
            except EinError as error:
                self._report(error)
        for name in self.request.parameters:
            if name not in {p.name for p in parameters}:
                known = [p.name for p in parameters]
                help = nearest(name, known, f"it has {', '.join(known) or 'none'}")
                self._report(fail("E212", f"`{self.name}` has no parameter `{name}`", help=help))
        return env

    def _parameter_value(self, parameter: s.Parameter, default: Any) -> Any:
        if parameter.name not in self.request.parameters:
            return default
        given = self.request.parameters[parameter.name]
        value = (
            _constant_from_text(given, parameter.name)
            if isinstance(given, str) and not isinstance(default, str)
            else given
        )
        if isinstance(default, Percentage):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                text = f"`{parameter.name}` is a percentage, and `{given}` is none"
                raise fail("E212", text, help="write 40%, or 0.4")
            return Percentage(value)
        wanted = (int, float) if isinstance(default, float) else (type(default),)
        if not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool):
            text = f"`{parameter.name}` takes values such as {cfg.value_text(default)}, and `{given}` is none"
            raise fail("E212", text)
        return value

    def endpoints(self, env: dict[str, Any]) -> tuple[ValueType | None, ValueType | None]:
        """Input and output; names in the declared types take the values that are asked for, into `env`."""
        ends: list[ValueType | None] = []
        for what, kind, text in (
            ("input", s.InputDecl, self.request.input),
            ("output", s.OutputDecl, self.request.output),
        ):
            declared = next((x.type for x in self.statements if isinstance(x, kind)), None)
            try:
                ends.append(self._endpoint(what, declared or self._only_arch(what), text, env))
            except EinError as error:
                self._report(error)
                ends.append(None)
        return ends[0], ends[1]

    def _only_arch(self, what: str) -> s.Type | None:
        """The input or output of the only architecture of a file without rules, where its sizes can be computed."""
        found = [x for x in self.statements if isinstance(x, s.ArchDecl | s.RuleDecl)]
        if len(found) != 1 or not isinstance(found[0], s.ArchDecl):
            return None
        type: s.Type | None = getattr(found[0], what)
        known = set(self.scope.parameters)
        return type if type is not None and mentioned(type) <= known and not leaves_open(type, known) else None

    def _endpoint(self, what: str, declared: s.Type | None, text: str | None, env: dict[str, Any]) -> ValueType | None:
        asked = self.override(what, text)
        if declared is None:
            return asked
        help = "write a number, or a parameter: `grammar name(size = 32)`"
        _no_unknown(declared, self.scope.parameters | set(env), help)
        try:
            usual = compile_type(declared, set(env), self.scope.kinds)(dict(env))
        except Inapplicable as error:
            raise fail("E207", error.reason, error.span or declared.span) from None
        if asked is None:
            return usual
        same_form(usual, asked, declared.span, what, self.request.by)
        self._bind_names(declared, asked, env)
        return asked

    def _bind_names(self, declared: s.Type, asked: ValueType, env: dict[str, Any]) -> None:
        """`output vec[classes]` with `vec[7]` asked for: `classes` is 7."""
        if not isinstance(declared, s.KindType) or not isinstance(asked, Tensor):
            return
        for dim, size in zip(declared.dims, asked.sizes, strict=True):
            if isinstance(dim, s.Name) and dim.name in env:
                if dim.name in self.request.parameters and env[dim.name] != size:
                    text = f"`{dim.name}` is set to {env[dim.name]}, and {asked!r} makes it {size}"
                    raise fail("E212", text)
                env[dim.name] = size

    def override(self, what: str, text: str | None) -> ValueType | None:
        if text is None:
            return None
        type, found = parse_type(Source(f"--{what}", text))
        if found or type is None:
            raise EinError(found)
        _no_unknown(type, frozenset(), f"write numbers: `{_with_numbers(type)}`")
        try:
            return compile_type(type, set(), self.scope.kinds)({})
        except Inapplicable as error:
            raise fail("E207", error.reason, error.span) from None

    def limits(self, env: Mapping[str, Any]) -> cfg.Limits:
        limits = cfg.Limits()
        for statement in self.statements:
            for bound in statement.bounds if isinstance(statement, s.LimitDecl) else ():
                try:
                    limits = replace(limits, **_limit(bound, env))
                except EinError as error:
                    self._report(error)
        for name, value in self.request.limits.items():
            if name not in LIMITS:
                self._report(fail("E702", f"there is no limit `{name}`", help=nearest(name, LIMITS, _limit_names())))
            else:
                limits = replace(limits, **{LIMITS[name]: value})
        return limits

    def _report(self, error: EinError) -> None:
        self.diagnostics += error.diagnostics


def _no_unknown(type: s.Type, known: frozenset[str], help: str) -> None:
    """Raises EinError for a name among the sizes that stands for no value."""
    for dim in type.dims if isinstance(type, s.KindType) else ():
        for name, span in _names_of(dim).items():
            if name not in known:
                raise fail("E203", f"there is no value named `{name}` here", span, help=nearest(name, known, help))


def _names_of(dim: s.Dim) -> dict[str, Span]:
    return {} if isinstance(dim, s.EachDim | s.Blank) else free_names(dim)


def _with_numbers(type: s.Type) -> str:
    """An example: `vec[7]` for `vec[classes]`."""
    dims = type.dims if isinstance(type, s.KindType) else ()
    sizes = (dim.span.text if isinstance(dim, s.Number) else "7" for dim in dims)
    return f"{type.kind}[{', '.join(sizes)}]" if isinstance(type, s.KindType) else "vec[7]"


def same_form(declared: ValueType, asked: ValueType, span: Span, what: str, by: str) -> None:
    same = isinstance(declared, Tensor) and isinstance(asked, Tensor)
    if not same or declared.kind != asked.kind or len(declared.sizes) != len(asked.sizes):  # type: ignore[union-attr]
        text = (
            f"the {what} of this space is {declared!r}, and {f'{by} needs' if by else 'what is asked for is'} {asked!r}"
        )
        raise fail("E703", text, span, help="only the numbers can be replaced: the kind and the number of axes stay")


def _limit(bound: s.Bound, env: Mapping[str, Any]) -> dict[str, int]:
    if bound.name not in LIMITS:
        raise fail(
            "E702", f"there is no limit `{bound.name}`", bound.span, help=nearest(bound.name, LIMITS, _limit_names())
        )
    value = evaluate_constant(bound.value, env)
    if not isinstance(value, int | float) or isinstance(value, bool) or value < 1:
        raise fail("E702", f"a limit is a number of at least 1, not {cfg.value_text(value)}", bound.value.span)
    return {LIMITS[bound.name]: int(value)}


def _limit_names() -> str:
    return f"the limits are {', '.join(LIMITS)}"


def parse_limits(text: str) -> dict[str, int]:
    """`modules <= 60, params <= 5M` as given on the command line. Raises EinError."""
    declaration, found = parse_limit(Source("--limit", text))
    if found or declaration is None:
        raise EinError(found)
    names = {v: k for k, v in LIMITS.items()}
    return {names[key]: value for bound in declaration.bounds for key, value in _limit(bound, {}).items()}


def _constant_from_text(text: str, name: str) -> Any:
    """A value given on the command line: `40%`, `64`, `0.5`, `true`. One with names is none, and stays a text."""
    expr, found = parse_expression(Source(f"--set {name}", text))
    if found or expr is None:
        raise EinError(found)
    return text if free_names(expr) else evaluate_constant(expr, {})
