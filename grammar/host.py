"""Operators whose meaning is Python. A host program registers them (`ein.operator`); then a file can use them.

A file says their signature at most, as an `op` without a body, and never where the Python is. What is behind a
`Host` is made in `ein.host`, from torch; here it is called and not looked into.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ein.grammar.bodies.tensors import Body, Sizes, Step
from ein.grammar.diagnostics import Label, fail
from ein.grammar.foreign import STARTS
from ein.grammar.notation import syntax as s
from ein.grammar.notation.printer import print_statement
from ein.grammar.types import Tensor, ValueType, leaves, plain

Given: TypeAlias = tuple[tuple[str, Any], ...]
"""What an implementation is made with: the parameters and dimensions that it asks for by name."""

MODULE = "@ein.operator"
"""Where operators that a file uses without declaring them are declared."""


@dataclass(frozen=True, eq=False, slots=True)
class Host:
    """An operator of the host program: `make` gives a layer, or a function of tensors that keeps nothing.

    `kept` are the shapes of what a layer keeps, by name; `trained` is how many of those numbers are.
    `source` is its text where it can stand in a network's file, after `imports`; else it is imported from `home`.
    """

    declaration: s.OpDecl
    kinds: frozenset[str]
    name: str
    is_layer: bool
    asks: tuple[str, ...]
    make: Callable[[Given], Callable[..., Any]]
    kept: Callable[[Given], Mapping[str, Sizes]]
    trained: Callable[[Given], int]
    macs: Callable[[Mapping[str, Any]], int]
    home: str
    source: str | None
    imports: tuple[str, ...]

    @property
    def is_portable(self) -> bool:
        """Whether another process finds it: `__main__` is another one there."""
        return self.source is not None or self.home != "__main__"

    def body(self, env: Mapping[str, Any], input: ValueType, output: ValueType) -> Body:
        """One step, whose sizes are what the signature says."""
        assert isinstance(output, Tensor)
        given = tuple((name, _value(env[name])) for name in self.asks)
        inputs = [Step("input", (), leaf.sizes, "", (("which", i),)) for i, leaf in enumerate(leaves(input))]
        use = (("host", HostUse(self, given)),)
        made = Step("host", tuple(range(len(inputs))), output.sizes, self.declaration.name, use)
        known = {name: _value(value) for name, value in env.items()}
        return Body((*inputs, made), (len(inputs),), self.trained(given), self.macs(known))


@dataclass(frozen=True, slots=True)
class HostUse:
    """A host operator with what it is made with: the argument of a step `host`."""

    host: Host
    given: Given

    def make(self) -> Callable[..., Any]:
        return self.host.make(self.given)


def _value(value: Any) -> Any:
    """A dimension as its size, a run of them as a tuple of sizes."""
    if isinstance(value, list):
        return tuple(plain(size) for size in value)
    return plain(value) if type(value) is tuple else tuple(value) if isinstance(value, tuple) else value


_registered: dict[str, Host] = {}


def register(host: Host) -> None:
    """Makes it known to files that are loaded from now on in this process, in place of an earlier one of its name."""
    _registered[host.declaration.name] = host


def forget(name: str) -> None:
    """Files loaded from now on do not know it. Raises KeyError if there is none."""
    del _registered[name]


def registered() -> Mapping[str, Host]:
    return dict(_registered)


def implementation(declaration: s.OpDecl) -> Host:
    """The host operator that an `op` without a body stands for. Raises EinError."""
    name = declaration.name
    host = _registered.get(name)
    if host is None:
        help = (
            "write `= …`; an operator that is written in Python is registered with `@ein.operator` before this is read"
        )
        match declaration.lines:
            case (*_, s.WeightLine(weights=(*_, s.Weight(name=weight, random=False, value=start)))):
                raise fail(
                    "E410", f"`{name}` has no `= body`, or its `{weight}` no start", declaration.span,
                    labels=[Label(start.span, f"this is read as the start of `{weight}`")],
                    help=f"`{weight}` needs a start: {STARTS}; and the body `= …` stands behind it",
                )  # fmt: skip
        raise fail(
            "E410", f"`{name}` has no `= body`, and this program has not registered it", declaration.span, help=help
        )
    if host.declaration != declaration:
        known = " ".join(print_statement(host.declaration).split())
        raise fail("E430", f"`{name}` is registered with another signature", declaration.span, help=f"it is `{known}`")
    return host
