"""The tree as written: what the parser makes of a file, and what the printer prints.

One ladder of expressions serves terms, numbers, conditions and tensor expressions; which is
which is the checker's business. Every node has a span, which takes no part in equality.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar, dataclass_transform

from ein.grammar.diagnostics import NOWHERE, Source, Span

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Node:
    span: Span = NOWHERE

    def __eq__(self, other: object) -> bool:
        return parts(self) == parts(other) if isinstance(other, Node) and type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *parts(self)))

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={part!r}" for name, part in zip(_names(self), parts(self), strict=True))
        return f"{type(self).__name__}({said})"


def parts(node: Node) -> list[Any]:
    """What a node is made of, in the order written: nodes, tuples, words, flags, None."""
    return [getattr(node, name) for name in _names(node)]


def _names(node: Node) -> tuple[str, ...]:
    return type(node).__match_args__


@dataclass_transform(frozen_default=True)
def node(declared: type[T]) -> type[T]:
    """A frozen dataclass with slots. Equality, hash and text are those of `Node`: made anew for each of the fifty
    classes, they take a third of the time in which this file is imported."""
    return dataclass(frozen=True, slots=True, eq=False, repr=False)(declared)


# --- expressions: atoms


@node
class Number(Node):
    """`text` as written: 16, 0.5, 1e-5, 2K."""

    text: str

    @property
    def value(self) -> int | float:
        scale = {"K": 10**3, "M": 10**6, "G": 10**9}.get(self.text[-1], 1)
        digits = self.text[:-1] if scale > 1 else self.text
        if digits.isdigit():
            return int(digits) * scale
        value = float(digits) * scale
        return int(value) if scale > 1 and value.is_integer() else value


@node
class Percent(Node):
    """`text` with its sign: 32%, 0.5%."""

    text: str

    @property
    def value(self) -> float:
        return float(self.text[:-1]) / 100


@node
class String(Node):
    value: str


@node
class Boolean(Node):
    value: bool


@node
class Name(Node):
    """snake_case: operators, macros, parameters, dimensions, values."""

    name: str


@node
class Camel(Node):
    """CamelCase: rules."""

    name: str


@node
class Dotted(Node):
    """A name of the vetted list: `nn.Linear`, `F.unfold`."""

    name: str


# --- expressions: compound


@node
class Argument(Node):
    """`value`, `name = value`, or, with `choice`, `name in value`."""

    value: Expr
    name: str | None = None
    choice: bool = False


@node
class Call(Node):
    function: Expr
    arguments: tuple[Argument, ...]


@node
class Star(Node):
    """`*s`: a run of axes."""

    operand: Expr


@node
class Axis(Node):
    """An entry of `f[…]`: `d`, `l = 1`, `(h, w)`, `*s`."""

    value: Expr
    name: str | None = None


@node
class Index(Node):
    """`f[axes]`."""

    operand: Expr
    axes: tuple[Axis, ...]


@node
class Layout(Node):
    """`operand -> [axes]`."""

    operand: Expr
    axes: tuple[Axis, ...]


@node
class Group(Node):
    """`(a, b, …)`, two entries or more: shapes, orders, groups of axes, several results."""

    items: tuple[Argument, ...]


@node
class Item(Node):
    """An entry of a choice set: `a`, `a..b`, `a..b by n`, `a..b by *n`, each with an optional weight."""

    first: Expr
    last: Expr | None = None
    step: Expr | None = None
    geometric: bool = False
    weight: Expr | None = None


@node
class ChoiceSet(Node):
    items: tuple[Item, ...]


UnaryOperator: TypeAlias = Literal["-", "not", "tied"]
BinaryOperator: TypeAlias = Literal[
    "+", "-", "*", "/", "//", "%", "^", "**", "<=", ">=", "==", "!=", "<", ">", "and", "or"
]


@node
class Unary(Node):
    operator: UnaryOperator
    operand: Expr


@node
class Binary(Node):
    operator: BinaryOperator
    left: Expr
    right: Expr


@node
class Sequence(Node):
    """`a >> b >> c`."""

    parts: tuple[Expr, ...]


@node
class Branches(Node):
    """`a & b & c`."""

    parts: tuple[Expr, ...]


@node
class ForBinder(Node):
    """`for b in {…}, axis in {…} :`"""

    choices: tuple[tuple[str, Expr], ...]


@node
class Binding(Node):
    """`n1 = term`, or `(q, k) = term`."""

    names: tuple[str, ...]
    value: Expr


@node
class LetBinder(Node):
    """`let a = …, (b, c) = … :`"""

    bindings: tuple[Binding, ...]


Binder: TypeAlias = ForBinder | LetBinder


@node
class Each(Node):
    """The weight `@ each`."""


@node
class Alternative(Node):
    """`for … : body @ weight if guard`; written only where one of the parts is present.

    With `otherwise` it is the conditional `body if guard else otherwise` of operator bodies.
    """

    body: Expr
    binders: tuple[Binder, ...] = ()
    weight: Expr | Each | None = None
    guard: Expr | None = None
    otherwise: Expr | None = None


@node
class Alternatives(Node):
    """`a | b | c`, two or more; a part is an `Alternative` only where it has more than a body."""

    parts: tuple[Expr, ...]


Expr: TypeAlias = (
    Number
    | Percent
    | String
    | Boolean
    | Name
    | Camel
    | Dotted
    | Call
    | Star
    | Index
    | Layout
    | Group
    | ChoiceSet
    | Unary
    | Binary
    | Sequence
    | Branches
    | Alternative
    | Alternatives
)


# --- types


@node
class EachDim(Node):
    """`each d` in a shape: differs from tensor to tensor."""

    name: str


@node
class Blank(Node):
    """`_`: any type, or any size."""


Dim: TypeAlias = "Expr | EachDim | Blank"


@node
class KindType(Node):
    """`im[c, h, w]`, `any[*s, d]`."""

    kind: str
    dims: tuple[Dim, ...]


@node
class TypeName(Node):
    """A bare name: `t`."""

    name: str


@node
class Member(Node):
    """An entry of a bundle, with or without a name: `q: seq[l, d]`."""

    type: Type
    name: str | None = None


@node
class BundleType(Node):
    """`(a, b, …)`. One member is a named single input, `(q: seq[l, d])`, or plain parentheses."""

    members: tuple[Member, ...]


@node
class PowerType(Node):
    """`t ^ b`, `t ^ (b - n)`."""

    base: Type
    count: Expr


Type: TypeAlias = KindType | TypeName | Blank | BundleType | PowerType


@node
class Goal(Node):
    """`input -> live output` of a rule or macro; the output may be left open."""

    input: Type
    output: Type | None = None
    live: bool = False


# --- statements


@node
class Parameter(Node):
    """`name : kind = default`."""

    name: str
    kind: str | None = None
    default: Expr | None = None


@node
class Version(Node):
    number: str


@node
class GrammarDecl(Node):
    name: str
    parameters: tuple[Parameter, ...] = ()


@node
class Alias(Node):
    name: str
    alias: str | None = None


@node
class Import(Node):
    """`import std`, or with `path`, `import "ops.ein"`; all names, or only those listed."""

    module: str
    path: bool = False
    names: tuple[Alias, ...] = ()


@node
class TypeDecl(Node):
    name: str
    axes: tuple[str, ...]
    element: str | None = None


@node
class Weight(Node):
    """`name[axes] ~ value` (random) or `name[axes] = value`, perhaps `tied by key`."""

    name: str
    axes: tuple[Axis, ...] | None
    random: bool
    value: Expr
    tied_by: str | None = None


@node
class WeightLine(Node):
    role: Literal["param", "buffer", "draw"]
    weights: tuple[Weight, ...]


@node
class Assignment(Node):
    """`a, b = value`; `let` is whether the word was written (always, outside of braces)."""

    names: tuple[str, ...]
    value: Expr
    let: bool = True


@node
class State(Node):
    name: str
    axes: tuple[Axis, ...]
    start: Expr


@node
class Scan(Node):
    states: tuple[State, ...]
    axis: str
    steps: tuple[Assignment, ...]


@node
class Repeat(Node):
    name: str
    first: Expr
    last: Expr
    steps: tuple[Assignment, ...]


Line: TypeAlias = WeightLine | Assignment | Scan | Repeat


@node
class OpDecl(Node):
    name: str
    parameters: tuple[Parameter, ...]
    input: Type
    output: Type
    guards: tuple[Expr, ...] = ()
    lines: tuple[Line, ...] = ()
    body: Expr | None = None


@node
class MacroDecl(Node):
    name: str
    parameters: tuple[Parameter, ...]
    goal: Goal | None
    body: Expr


@node
class RuleDecl(Node):
    name: str
    parameters: tuple[Parameter, ...]
    goal: Goal | None
    body: Expr


@node
class ArchDecl(Node):
    name: str
    input: Type | None
    output: Type | None
    body: Expr


@node
class InputDecl(Node):
    type: Type


@node
class OutputDecl(Node):
    type: Type


@node
class Bound(Node):
    """`modules <= 60`."""

    name: str
    value: Expr


@node
class LimitDecl(Node):
    bounds: tuple[Bound, ...]


@node
class StartDecl(Node):
    rule: str


@node
class DerivationDecl(Node):
    """`derivation of "space" (p = 32%) digest "3f2a91c0" trace "…"`: where an `arch` came from."""

    space: str
    arguments: tuple[Argument, ...]
    digest: str
    trace: str


Statement: TypeAlias = (
    Version
    | GrammarDecl
    | Import
    | TypeDecl
    | OpDecl
    | MacroDecl
    | RuleDecl
    | ArchDecl
    | InputDecl
    | OutputDecl
    | LimitDecl
    | StartDecl
    | DerivationDecl
)


@dataclass(frozen=True, slots=True)
class Comment:
    """`# …` without its line break; `own_line` where nothing but blanks stands before it."""

    text: str
    span: Span = field(compare=False, repr=False)
    own_line: bool = True


@dataclass(frozen=True, slots=True)
class File:
    statements: tuple[Statement, ...]
    comments: tuple[Comment, ...] = field(default=(), compare=False)
    source: Source = field(default=NOWHERE.source, compare=False, repr=False)
