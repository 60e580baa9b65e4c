"""A grammar as a diagram of its rules: a box for each, a row for each alternative, wires to the rules it names."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields

from ein.compiler.drawing.rule_chances import Chances, Form, grown, mean_text
from ein.compiler.drawing.rule_texts import Declared, declared_rule, row_text
from ein.compiler.drawing.rule_uses import Key, Uses, uses
from ein.compiler.drawing.scene import Box, Facts, Look, Row, Scene, Wire
from ein.compiler.drawing.texts import type_text
from ein.grammar.analyses.partial import OPEN
from ein.grammar.cfg import Grammar, Limits, value_text
from ein.grammar.diagnostics import Span, fail
from ein.grammar.notation.printer import print_expression

MOST = 40
"""Boxes beyond which macros are left out, those used once before the others."""
MOST_FORMS = 8
"""Forms of a rule with parameters whose chances are told one by one."""
LIMITS = {"parameters": "params"}


def grammar_scene(grammar: Grammar, title: str = "", direction: str | None = None) -> Scene:
    """The rules that the start of `grammar` comes to, and the macros they use, but for those of `std`.

    `direction` is TB or LR; None takes what suits the size. Raises EinError for a grammar without rules.
    """
    if grammar.start is None:
        raise fail("E501", f"`{grammar.name}` has no rules to draw from", help="`ein show` takes its architectures")
    named, left_out = _fitted(grammar, grammar.start)
    writer = _Writer(grammar, named)
    subtitle = " · ".join(part for part in (_ends(grammar), _limits(grammar.limits), left_out) if part)
    boxes = (*map(writer.rule, named.rules), *map(writer.macro, named.macros))
    wires = tuple(writer.wires())
    direction = direction or _direction(boxes, wires)
    return Scene(title or _title(grammar), subtitle, writer.summary(), boxes, wires, direction=direction)


def _direction(boxes: Sequence[Box], wires: Sequence[Wire]) -> str:
    """LR, unless that would be much wider than TB, going by the width of the text and the distance from the start."""
    levels = _levels(boxes[0].id, wires)
    width = {
        box.id: max(len(text) for text in (box.name, *box.notes, *(row.text for row in box.rows))) for box in boxes
    }
    rows = [[width[id] for id in levels if levels[id] == level] for level in range(max(levels.values()) + 1)]
    beside, below = sum(max(row) for row in rows), max(sum(row) for row in rows)
    return "LR" if beside <= 1.25 * below else "TB"


def _levels(start: str, wires: Sequence[Wire]) -> dict[str, int]:
    """The distance of each box from the start, in wires."""
    targets: dict[str, list[str]] = {}
    for wire in wires:
        targets.setdefault(wire.source, []).append(wire.target)
    found = {start: 0}
    waiting = deque([start])
    while waiting:
        box = waiting.popleft()
        for target in targets.get(box, ()):
            if target not in found:
                found[target] = found[box] + 1
                waiting.append(target)
    return found


def _fitted(grammar: Grammar, start: str) -> tuple[Uses, str]:
    """What is drawn, and what to say of the macros left out."""
    everything = uses(grammar, start)
    choices: list[tuple[Callable[[Span], bool], str]] = [
        (lambda place: everything.times(place) > 1, "macros used once are left out"),
        (lambda place: False, "macros are left out"),
    ]
    found, words = everything, ""
    for shown, said in choices:
        if len(found.rules) + len(found.macros) <= MOST or not found.macros:
            break
        found, words = uses(grammar, start, shown), said
    return found, words


def _title(grammar: Grammar) -> str:
    values = ", ".join(f"{name} = {value_text(value)}" for name, value in grammar.env.items())
    return f"{grammar.name}({values})" if values else grammar.name


def _ends(grammar: Grammar) -> str:
    ends = [type_text(end) for end in (grammar.input, grammar.output) if end is not None]
    return " -> ".join(ends)


def _limits(limits: Limits) -> str:
    """`modules <= 500, params <= 50M`; the limit on elements only where a file names it."""
    said = []
    for field in fields(limits):
        bound = getattr(limits, field.name)
        if bound is not None and (field.name, bound) != ("elements", Limits().elements):
            said.append(f"{LIMITS.get(field.name, field.name)} <= {_short(bound)}")
    return ", ".join(said)


def _short(number: int) -> str:
    """As the language writes it: 50M."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("K", 1000)):
        if number >= 10_000 and number % size == 0:
            return f"{number // size}{unit}"
    return str(number)


def per_cent(share: float) -> str:
    return f"{100 * share:.3g}%"


class _Writer:
    def __init__(self, grammar: Grammar, named: Uses) -> None:
        self.uses = named
        self.start = grammar.start
        self.grown = grown(grammar, named.rules)
        self.declared: dict[Key, Declared] = {name: declared_rule(grammar.rules[name]) for name in named.rules}
        self.ids: dict[Key, str] = {name: f"r{number}" for number, name in enumerate(named.rules)}
        for number, (place, declared) in enumerate(named.macros.items()):
            self.declared[place], self.ids[place] = declared, f"m{number}"

    def rule(self, name: str) -> Box:
        declared, chances = self.declared[name], self.grown.rules[name]
        alone = len(declared.bodies) == 1
        rows = [
            Row(f"{row_text(body)}{self._recurs(name, index)}", "" if alone else per_cent(share), share)
            for index, (body, share) in enumerate(zip(declared.bodies, chances.shares, strict=True))
        ]
        start = name == self.start
        notes = tuple(note for note in ("start" * start, declared.signature) if note)
        said = f"expected uses: {mean_text(chances.uses)}"
        facts = (*_declared_facts(declared), *self._start_facts(start), *_chance_facts(name, declared, chances))
        return self._box(name, Look.RULE, notes, tuple(rows), said, facts)

    def _recurs(self, name: str, row: int) -> str:
        """A mark instead of a wire to the box that it leaves from, which layouts draw across its neighbours."""
        times = self.uses.of((name, row)).get(name, 0)
        return f" · recurs{_by(times)}" if times else ""

    def macro(self, place: Span) -> Box:
        declared = self.declared[place]
        [body] = declared.bodies
        notes = (declared.signature,) if declared.signature else ()
        said = f"named {_times(self.uses.times(place))}"
        facts = (*_declared_facts(declared), ("text", print_expression(body)))
        return self._box(place, Look.MACRO, notes, (Row(row_text(body)),), said, facts)

    def _box(self, key: Key, look: Look, notes: tuple[str, ...], rows: tuple[Row, ...], said: str, facts: Facts) -> Box:
        declared = self.declared[key]
        head = f"{declared.head} : {declared.signature}" if declared.signature else declared.head
        hover = f"{look.value} {head} · {said} · {declared.place}"
        return Box(self.ids[key], declared.head, look, notes, rows, hover=hover, facts=facts)

    def _start_facts(self, start: bool) -> Facts:
        if not start:
            return ()
        return (
            ("expected modules", mean_text(self.grown.modules)),
            ("spectral radius", f"{self.grown.radius:.3g}"),
        )

    def wires(self) -> Iterator[Wire]:
        for key, declared in self.declared.items():
            for row, body in enumerate(declared.bodies):
                yield from self._wires(key, row, print_expression(body))

    def _wires(self, key: Key, row: int, text: str) -> Iterator[Wire]:
        for target, times in self.uses.of((key, row)).items():
            hover = f"{self.declared[key].head} -> {self.declared[target].head}: {_times(times)} in `{text}`"
            if target != key:
                yield Wire(self.ids[key], self.ids[target], _by(times).strip(), hover, row)

    def summary(self) -> str:
        bodies = [self.declared[name].bodies for name in self.uses.rules]
        rules, alternatives = _count(len(bodies), "rule"), _count(sum(map(len, bodies)), "alternative")
        macros = f" and {_count(len(self.uses.macros), 'macro')}" if self.uses.macros else ""
        return f"A grammar: {rules} with {alternatives}{macros}, from {self.start}."


def _declared_facts(declared: Declared) -> Facts:
    facts = (("signature", declared.signature), ("place", declared.place))
    return tuple(fact for fact in facts if fact[1])


def _chance_facts(name: str, declared: Declared, chances: Chances) -> Facts:
    """The expected uses, each alternative in full with its chance, and the chances of each form."""
    alternatives = [
        (per_cent(share), print_expression(body)) for share, body in zip(chances.shares, declared.bodies, strict=True)
    ]
    forms = chances.forms if 1 < len(chances.forms) <= MOST_FORMS else ()
    return (("expected uses", mean_text(chances.uses)), *alternatives, *(_form_fact(name, form) for form in forms))


def _form_fact(name: str, form: Form) -> tuple[str, str]:
    return f"{name}({', '.join(map(_value, form.values))})", ", ".join(map(per_cent, form.shares))


def _value(value: object) -> str:
    return "_" if value is OPEN else value_text(value)


def _by(number: int) -> str:
    return f" x {number}" if number > 1 else ""


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
