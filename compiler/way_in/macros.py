"""The macros of `std`, read backwards: where a term is what one stands for, and with which arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ein.compiler.standard import application
from ein.compiler.way_in.network import Network
from ein.compiler.way_in.pieces import Branches, Call, Leaf, Piece, Series, Times, leaves, series, text
from ein.grammar.cfg import value_text
from ein.grammar.load import find
from ein.grammar.notation import syntax as s
from ein.grammar.notation.parser import parse
from ein.grammar.notation.printer import print_expression

_ORDER = (
    "conv_bn ffn qkv basic_block bottleneck dense_layer inverted_residual residual vit_block mixer_block convnext_block"
    " gpt_block double_conv unet_level head"
).split()
"""Inner ones before those that use them, larger ones before those that are a part of them."""

_EITHER = ("add", "mul")
"""Operators whose branches may be swapped."""


@dataclass(frozen=True, slots=True)
class Macro:
    declared: s.MacroDecl
    parts: tuple[s.Expr, ...]
    """What it stands for, in a row."""

    @property
    def length(self) -> int:
        return len(self.parts)


@cache
def MACROS() -> tuple[Macro, ...]:
    """Those of `std` that are looked for."""
    file, _ = parse(find("std")[0])
    found = {each.name: each for each in file.statements if isinstance(each, s.MacroDecl)}
    return tuple(Macro(found[name], tuple(_in_a_row(found[name].body))) for name in _ORDER if name in found)


def _in_a_row(body: s.Expr) -> Sequence[s.Expr]:
    match body:
        case s.Sequence(parts):
            return [each for part in parts for each in _in_a_row(part)]
        case s.Binary("*", inner, s.Number() as count):
            return [*_in_a_row(inner)] * int(count.value)
        case _:
            return [body]


def matched(macro: Macro, parts: Sequence[Piece], net: Network) -> Call | None:
    """The macro in place of these parts, its body in its own order of branches; None where they are something else."""
    found = _Match(macro.declared, net)
    if len(parts) != macro.length or not found.takes(parts):
        return None
    body = found.row(macro.parts, parts)
    if body is None:
        return None
    arguments = found.arguments()
    return None if arguments is None else Call(macro.declared.name, arguments, series(body))


@dataclass(slots=True)
class _Match:
    declared: s.MacroDecl
    net: Network
    values: dict[str, Any] = field(default_factory=dict)
    """Of the parameters: numbers, or pieces."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Of the axes that the signature names."""

    def takes(self, parts: Sequence[Piece]) -> bool:
        """Whether the signature fits what comes in."""
        goal = self.declared.goal
        if goal is None:
            return True
        node = next((leaf.node for part in parts for leaf in leaves(part) if leaf.node is not None), None)
        if node is None or not isinstance(goal.input, s.KindType):
            return False
        type = self.net.nodes[node].inputs[0].type
        if type.kind != goal.input.kind:
            return False
        self.sizes = {
            dim.name: n for dim, n in zip(goal.input.dims, type.sizes, strict=True) if isinstance(dim, s.Name)
        }
        return True

    def row(self, patterns: Sequence[s.Expr], parts: Sequence[Piece]) -> list[Piece] | None:
        """Part by part. A parameter that stands for a term takes one or more, where something stands around it."""
        made: list[Piece] = []
        for number, (pattern, part) in enumerate(zip(patterns, parts, strict=True)):
            after = parts[number + 1] if number + 1 < len(parts) else None
            found = self.one(pattern, part, isinstance(after, Leaf) and after.text in _EITHER)
            if found is None:
                return None
            made.append(found)
        return made

    def one(self, pattern: s.Expr, part: Piece, either: bool = False) -> Piece | None:
        match pattern:
            case s.Name(name) if name in {each.name for each in self.declared.parameters}:
                return part if self.bind(name, part) else None
            case s.Name(name):
                return part if self.use(name, (), part) else None
            case s.Call(s.Name(name), arguments):
                return part if self.use(name, arguments, part) else None
            case s.Branches(patterns) if isinstance(part, Branches) and len(patterns) == len(part.parts):
                return self.branches(patterns, part, either)
            case s.Binary("^", inner, count) if isinstance(part, Times) and part.beside:
                same = self.value(count, len(part.parts)) and all(self.one(inner, each) for each in part.parts)
                return part if same else None
            case s.Sequence():
                return self.inside(pattern, part)
            case _:
                return None

    def branches(self, patterns: Sequence[s.Expr], part: Branches, either: bool) -> Piece | None:
        orders = [part.parts, tuple(reversed(part.parts))] if either and len(part.parts) == 2 else [part.parts]
        for order in orders:
            kept = dict(self.values)
            made = [self.inside(pattern, each) for pattern, each in zip(patterns, order, strict=True)]
            if all(each is not None for each in made):
                return Branches(tuple(each for each in made if each is not None))
            self.values = kept
        return None

    def inside(self, pattern: s.Expr, part: Piece) -> Piece | None:
        """A whole branch, in which a parameter may stand for several parts."""
        wanted = list(_in_a_row(pattern))
        if len(wanted) == 1:
            return self.one(wanted[0], part)
        parts = _parts(part)
        found = self.filled(wanted, parts)
        plain: list[Piece] = [
            each
            for one in parts
            for each in (_parts(one.body) if isinstance(one, Call) and one.name == "ffn" else [one])
        ]
        return self.filled(wanted, plain) if found is None and len(plain) > len(parts) else found

    def filled(self, wanted: list[s.Expr], parts: list[Piece]) -> Piece | None:
        spare = len(parts) - len(wanted)
        at = next((n for n, each in enumerate(wanted) if isinstance(each, s.Name) and self.is_term(each.name)), None)
        if spare and (at is None or spare < 0):
            return None
        if at is not None and spare:
            parts = [*parts[:at], series(parts[at : at + spare + 1]), *parts[at + spare + 1 :]]
        made = self.row(wanted, parts)
        return None if made is None else series(made)

    def is_term(self, name: str) -> bool:
        return name in {each.name for each in self.declared.parameters}

    def bind(self, name: str, value: Any) -> bool:
        known = self.values.setdefault(name, value)
        same: bool = (
            text(known) == text(value) if isinstance(value, Piece) and isinstance(known, Piece) else known == value
        )
        return same

    def use(self, name: str, arguments: Sequence[s.Argument], part: Piece) -> bool:
        if isinstance(part, Call):
            return part.name == name and self.called(name, arguments, part)
        if not isinstance(part, Leaf):
            return False
        if part.node is None:
            said = s.Call(s.Name(name), tuple(arguments)) if arguments else s.Name(name)
            return part.text == print_expression(said)
        node = self.net.nodes[part.node]
        return node.formula is None and node.name == name and self.operator(name, arguments, dict(node.given))

    def operator(self, name: str, arguments: Sequence[s.Argument], given: Mapping[str, Any]) -> bool:
        """Whether these arguments are the ones that were given, defaults included."""
        operator = application(name, *given.items()).overloads[0]
        said = dict(
            zip(
                (each.name for each in operator.parameters),
                (a.value for a in arguments if a.name is None),
                strict=False,
            )
        )
        said |= {each.name: each.value for each in arguments if each.name is not None}
        full: dict[str, Any] = {}
        for each in operator.parameters:
            default = each.default.evaluate(full) if each.default is not None else None
            full[each.name] = given.get(each.name, default)
            if each.name in said:
                if not self.value(said[each.name], full[each.name]):
                    return False
            elif each.name in given:
                return False
        return True

    def called(self, name: str, arguments: Sequence[s.Argument], part: Call) -> bool:
        """A macro inside of this one. Its arguments are written; those that are missing have their defaults."""
        inner = next(each.declared for each in MACROS() if each.declared.name == name)
        names = [each.name for each in inner.parameters]
        defaults = {each.name: print_expression(each.default) for each in inner.parameters if each.default is not None}
        found = {**defaults, **dict(_read(names, part.arguments))}
        wanted: dict[str, Any] = dict(zip(names, (a.value for a in arguments if a.name is None), strict=False))
        wanted |= {each.name: each.value for each in arguments if each.name is not None}
        for each in names:
            if each in wanted:
                if not self.written(wanted[each], found[each], part):
                    return False
            elif found[each] != defaults.get(each):
                return False
        return True

    def written(self, pattern: s.Expr, said: str, part: Call) -> bool:
        """An argument as text: a number, or a term."""
        number = _number(said)
        if number is not None:
            return self.value(pattern, number)
        if isinstance(pattern, s.Name | s.Call | s.Sequence | s.Branches):
            piece = next((each for each in part.terms if text(each) == said), Leaf(said))
            return self.inside(pattern, piece) is not None
        return print_expression(pattern) == said

    def value(self, pattern: s.Expr, value: Any) -> bool:
        match pattern:
            case s.Number():
                return bool(pattern.value == value)
            case s.Boolean(flag):
                return bool(flag is value)
            case s.Name(name) if name in self.sizes:
                return bool(self.sizes[name] == value)
            case s.Name(name):
                return self.bind(name, value)
            case s.Binary("*", left, right):
                one, other = self.known(left), self.known(right)
                if one is not None and other is not None:
                    return bool(one * other == value)
                factor, rest = (one, right) if one is not None else (other, left)
                return (
                    factor is not None
                    and isinstance(value, int)
                    and value % factor == 0
                    and self.value(rest, value // factor)
                )
            case _:
                return False

    def known(self, pattern: s.Expr) -> Any:
        match pattern:
            case s.Number():
                return pattern.value
            case s.Name(name):
                return self.sizes.get(name, self.values.get(name))
            case _:
                return None

    def arguments(self) -> tuple[str, ...] | None:
        """As they are written: by position, and by name behind a default that is left out."""
        said: list[str] = []
        skipped = False
        for each in self.declared.parameters:
            value = self.values.get(each.name)
            default = print_expression(each.default) if each.default is not None else None
            if value is None and default is None:
                return None
            written = default if value is None else text(value) if isinstance(value, Piece) else value_text(value)
            if written == default:
                skipped = True
            else:
                assert written is not None
                said.append(f"{each.name} = {written}" if skipped or len(said) > 1 else written)
        return tuple(said)


def _parts(piece: Piece) -> list[Piece]:
    return list(piece.parts) if isinstance(piece, Series) else [piece]


def _read(names: Sequence[str], arguments: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for number, said in enumerate(arguments):
        name, equals, value = said.partition(" = ")
        found.append((name, value) if equals and name in names else (names[number], said))
    return found


def _number(said: str) -> Any:
    if said in ("true", "false"):
        return said == "true"
    try:
        return int(said)
    except ValueError:
        return None
