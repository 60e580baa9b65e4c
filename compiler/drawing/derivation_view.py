"""The tree of a derivation: uses of rules, the choices made with their probabilities, operators as leaves.

Between them stand small circles for how parts are put together: `&` branches, `>>` a series inside
a branch, `^ n` and `* n` copies of one structure, which is drawn once. Children stand in the order
of the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from ein.compiler.drawing.groups import group
from ein.compiler.drawing.scene import Box, Facts, Look, Scene, Wire
from ein.compiler.drawing.texts import COSTS, cost_text, network_text, type_text
from ein.compiler.graph_text import place
from ein.grammar.term import (
    Copies,
    Let,
    Named,
    Op,
    Parallel,
    Repeated,
    Series,
    TypedTerm,
    Variable,
    cost,
    log10_probability,
    plain_name,
)

PRICED = 1000
"""Nodes of a tree in which what each part costs is told; it takes a walk over each part."""
WIDE = 2
"""Leaves for each level from which a tree grows to the right: text is wide, so they stack better than they stand."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A node of the drawing with its place: numbered in the order of the text, parents first; the root is level 1."""

    number: int
    parent: int | None
    level: int
    term: TypedTerm


def derivation_scene(term: TypedTerm, title: str = "", direction: str | None = None) -> Scene:
    """`direction` is TB or LR; None takes what suits the size."""
    entries = list(_entries(term))
    leaves = sum(isinstance(entry.term, Op) for entry in entries)
    return Scene(
        title or f"Derivation of {_name(term)}",
        _subtitle(term),
        _summary(entries, leaves),
        tuple(_box(entry, len(entries) <= PRICED) for entry in entries),
        tuple(Wire(f"n{entry.parent}", f"n{entry.number}") for entry in entries if entry.parent is not None),
        tree=True,
        direction=direction or _direction(entries, leaves),
    )


def _direction(entries: list[Entry], leaves: int) -> str:
    return "LR" if leaves > WIDE * max(entry.level for entry in entries) else "TB"


def _entries(term: TypedTerm) -> Iterator[Entry]:
    stack: list[tuple[TypedTerm, int | None, int]] = [(term, None, 1)]
    number = 0
    while stack:
        current, parent, level = stack.pop()
        yield Entry(number, parent, level, current)
        stack += [(below, number, level + 1) for below in reversed(_below(current))]
        number += 1


def _below(term: TypedTerm) -> list[TypedTerm]:
    match term:
        case Op() | Variable():
            return []
        case Let(bindings, body):
            return [*(value for _, value in bindings), body]
        case Parallel(parts):
            return [part.parts[0] if isinstance(part, Series) and len(part.parts) == 1 else part for part in parts]
        case Series():
            return _parts(term)
        case Named() | Copies():
            return _parts(term.body)
        case Repeated(parts):
            return _parts(parts[0])
        case _:
            assert_never(term)


def _parts(term: TypedTerm) -> list[TypedTerm]:
    """The parts of a series, those of a series inside it among them."""
    found: list[TypedTerm] = []
    stack = [term]
    while stack:
        current = stack.pop()
        if isinstance(current, Series):
            stack += reversed(current.parts)
        else:
            found.append(current)
    return found


def _box(entry: Entry, priced: bool) -> Box:
    id, term = f"n{entry.number}", entry.term
    match term:
        case Op(application, applied):
            name, look, notes = application.text, group(applied), [_flow(term)]
        case Named():
            chance = f"p = {_chance(term.probability)}" if term.choice is not None and term.probability < 1 else ""
            name, look, notes = _name(term), Look.MACRO if term.macro else Look.RULE, [chance, _flow(term)]
        case Variable():
            name, look, notes = plain_name(term.name), Look.JOINT, [type_text(term.output)]
        case Series() | Parallel() | Copies() | Repeated() | Let():
            name, look, notes = _joint(term), Look.JOINT, []
        case _:
            assert_never(term)
    return Box(id, name, look, tuple(filter(None, notes)), hover=_hover(term), facts=_facts(term, priced))


def _facts(term: TypedTerm, priced: bool) -> Facts:
    rows = [(_kind(term), _words(term)), ("input", type_text(term.input)), ("output", type_text(term.output))]
    if isinstance(term, Named) and term.choice is not None:
        rows += [("alternative", str(term.choice[0] + 1)), ("probability", f"{term.probability:.6g}")]
    total = cost_text(cost(term), COSTS) if priced or isinstance(term, Op) else ""
    rows += [("costs", total), ("place", place(term.span) if isinstance(term, Named | Op) else "")]
    return tuple((name, text) for name, text in rows if text)


def _kind(term: TypedTerm) -> str:
    if isinstance(term, Named):
        return "macro" if term.macro else "rule"
    return "operator" if isinstance(term, Op) else "joint"


def _flow(term: TypedTerm) -> str:
    before, after = type_text(term.input), type_text(term.output)
    return before if before == after else f"{before} -> {after}"


def _name(term: TypedTerm) -> str:
    """What a rule or macro is called; a choice in parentheses has no name of its own."""
    if isinstance(term, Named):
        return "( | )" if term.anonymous else term.label
    return "a term"


def _chance(probability: float) -> str:
    return f"{probability:.3g}"


def _joint(term: Series | Parallel | Copies | Repeated | Let) -> str:
    match term:
        case Series():
            return ">>"
        case Parallel():
            return "&"
        case Copies(_, count, tied):
            return f"{'tied ' * tied}^ {count}"
        case Repeated(parts, tied):
            return f"{'tied ' * tied}* {len(parts)}"
        case Let(bindings):
            return f"let {', '.join(plain_name(name) for names, _ in bindings for name in names)}"
        case _:
            assert_never(term)


def _words(term: TypedTerm) -> str:
    match term:
        case Op(application):
            return application.text
        case Named():
            return _name(term)
        case Variable(name):
            return plain_name(name)
        case _:
            return _joint(term)


def _subtitle(term: TypedTerm) -> str:
    chance = log10_probability(term)
    return f"{network_text(cost(term))}{f' · log10 p = {chance:.2f}' if chance else ''}"


def _summary(entries: list[Entry], leaves: int) -> str:
    rules = sum(isinstance(entry.term, Named) and not entry.term.macro for entry in entries)
    return f"A derivation tree: {rules} uses of rules, {leaves} operators."


def _hover(term: TypedTerm) -> str:
    chance = f", probability {_chance(term.probability)}" if isinstance(term, Named) and term.choice is not None else ""
    return f"{_words(term)}: {_flow(term)}{chance}"
