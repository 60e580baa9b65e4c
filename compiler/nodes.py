"""The records that stand at the nodes of an operation graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from ein.compiler.weights import Entries, entries
from ein.grammar.cfg import Application, Applied
from ein.grammar.diagnostics import NOWHERE, Span
from ein.grammar.types import Tensor, ValueType, leaves


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """What the network is given: a port for each tensor."""

    outputs: tuple[Tensor, ...]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return ()

    @property
    def text(self) -> str:
        return "input"


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """What the network gives: a port for each tensor."""

    inputs: tuple[Tensor, ...]

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        return ()

    @property
    def text(self) -> str:
        return "output"


COPY = "*"
"""Of scopes that no rule or macro has given a name."""


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """One entry into a rule or macro. Two uses of one macro are two scopes, whatever their labels; one of several
    copies of a part without a name is labelled COPY."""

    label: str

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True, eq=False)
class Use:
    """One use of an operator.

    `key` names its weights: `conv_3`, the third `conv` of the term; uses that share weights have one key.
    `path` holds the rules and macros around it, outermost first: Net, S, residual.
    """

    application: Application
    applied: Applied
    key: str
    span: Span = NOWHERE
    path: tuple[Scope, ...] = ()
    inputs: tuple[Tensor, ...] = field(init=False)
    outputs: tuple[Tensor, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", _tensors(self.applied.input))
        object.__setattr__(self, "outputs", _tensors(self.applied.output))

    @property
    def text(self) -> str:
        """As the language writes it: `conv(64, k = 1)`."""
        return self.application.text

    @property
    def names(self) -> list[str]:
        """Of the rules and macros around it, outermost first."""
        return [scope.label for scope in self.path if scope.label != COPY]

    @property
    def place(self) -> str:
        """`Net > S > residual`."""
        return " > ".join(self.names)

    @property
    def weights(self) -> Entries:
        """Shapes of what it keeps (trained or not), by name within the use; without what a key ties to others."""
        return entries(self.applied.body)

    @property
    def ties(self) -> Entries:
        """Shapes of the parameters that have a key, by key."""
        return self.applied.ties


def _tensors(value: ValueType) -> tuple[Tensor, ...]:
    return (value,) if isinstance(value, Tensor) else tuple(leaves(value))


Node: TypeAlias = Input | Output | Use
