"""The LALR(1) table of `ein.lark`, ready-made as JSON: it loads without lark, in milliseconds.

`python -m ein.grammar.notation.table` writes it anew; a test compares it with a fresh build.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

STARTS = ("statement", "version", "expr", "type", "bounds")
END = "$END"

_HERE = Path(__file__).parent
_GRAMMAR = _HERE / "ein.lark"
_TABLE = _HERE / "ein.table.json"


@dataclass(frozen=True, slots=True)
class Rule:
    """A production `origin: …` of `length` symbols.

    `picks` are the symbols that become children (-1: a part that is absent), those in `spread` are
    lists whose entries become children. The value is what `action` makes of the children, or without
    an action, the only child, or for a `repetition`, the list of the children.
    """

    origin: str
    length: int
    action: str
    picks: tuple[int, ...]
    spread: tuple[int, ...]
    repetition: bool

    @property
    def is_unit(self) -> bool:
        """Whether a reduction changes nothing but the state."""
        return self.length == 1 and not self.action and not self.repetition


@dataclass(frozen=True)
class Table:
    """`rows[state][symbol]` is the state to go to, or `~i` for a reduction by `rules[i]`."""

    starts: dict[str, int]
    rows: list[dict[str, int]]
    rules: list[Rule]
    patterns: dict[str, str]
    signs: dict[str, str]
    words: dict[str, str]
    _chains: dict[tuple[int, int, str], int] = field(default_factory=dict, repr=False)

    @cached_property
    def spelling(self) -> dict[str, str]:
        """How a terminal is written, of those that are written in one way only: `{"RULE": "rule", "THEN": ">>"}`."""
        return {kind: text for text, kind in {**self.signs, **self.words}.items()}

    def unit_chain(self, below: int, top: int, kind: str) -> int:
        """The state that all unit reductions lead to from `top` upon `kind`; remembered."""
        key = (below, top, kind)
        end = self._chains.get(key)
        if end is None:
            end = self._chains[key] = self._follow(below, top, kind)
        return end

    def _follow(self, below: int, top: int, kind: str) -> int:
        while True:
            action = self.rows[top].get(kind, 0)
            if action >= 0 or not self.rules[~action].is_unit:
                return top
            top = self.rows[below][self.rules[~action].origin]

    def advance(self, states: list[int], kind: str) -> bool:
        """Reduce and shift upon `kind`, in place; False where it does not fit."""
        while True:
            action = self.rows[states[-1]].get(kind)
            if action is None:
                return False
            if action >= 0:
                states.append(action)
                return True
            rule = self.rules[~action]
            del states[-rule.length :]
            states.append(self.rows[states[-1]][rule.origin])

    def accepted(self, states: list[int]) -> set[str]:
        """The terminals that may come next, exactly: those that a look at the whole stack admits."""
        offered = [kind for kind in self.rows[states[-1]] if kind.isupper()]
        return {kind for kind in offered if self.advance(list(states), kind)}


@cache
def load() -> Table:
    """The shipped table."""
    return from_json(json.loads(_TABLE.read_text(encoding="utf-8")))


def from_json(data: dict[str, Any]) -> Table:
    symbols = data["symbols"]
    rows = [dict(zip((symbols[i] for i in row[::2]), row[1::2], strict=True)) for row in data["states"]]
    rules = [Rule(o, n, action, tuple(picks), tuple(spread), r) for o, n, action, picks, spread, r in data["rules"]]
    return Table(data["starts"], rows, rules, data["patterns"], data["signs"], data["words"])


def build(strict: bool = False) -> dict[str, Any]:
    """The table as JSON values, built by lark; with `strict`, a conflict or an overlap of terminals is an error."""
    from lark import Lark

    starts = ["file", *STARTS] if strict else list(STARTS)
    text = _GRAMMAR.read_text(encoding="utf-8")
    lark = Lark(text, parser="lalr", lexer="basic", start=starts, strict=strict)
    frontend: Any = lark.parser
    table = frontend.parser._parse_table
    names, rules = _numbered(table)
    symbols = sorted({END, *(str(symbol) for row in table.states.values() for symbol in row)})
    index = {symbol: i for i, symbol in enumerate(symbols)}
    patterns, signs, words = _terminals(frontend.lexer.terminals)
    states = []
    for state in names:
        cells = []
        for symbol, (action, argument) in sorted(table.states[state].items()):
            shift = str(action) == "Shift"
            cells += [index[str(symbol)], names[argument] if shift else ~rules[_key(argument)]]
        states.append(cells)
    for end in table.end_states.values():
        states[names[end]] += [index[END], names[end]]  # lark accepts in this state without an entry
    unique = {_key(rule): rule for rule in _reductions(table)}
    return {
        "starts": {start: names[table.start_states[start]] for start in starts},
        "symbols": symbols,
        "patterns": patterns,
        "signs": signs,
        "words": words,
        "rules": [_rule(unique[key]) for key in rules],
        "states": states,
    }


def _numbered(table: Any) -> tuple[dict[Any, int], dict[str, int]]:
    """Numbers of states and rules that depend on the grammar alone: breadth first, by the names of the symbols."""
    queue = [table.start_states[start] for start in sorted(table.start_states)]
    names = {state: i for i, state in enumerate(queue)}
    for state in queue:
        for _, (action, argument) in sorted(table.states[state].items()):
            if str(action) == "Shift" and argument not in names:
                names[argument] = len(queue)
                queue.append(argument)
    keys = sorted({_key(rule) for rule in _reductions(table)})
    return names, {key: i for i, key in enumerate(keys)}


def _reductions(table: Any) -> Iterator[Any]:
    for row in table.states.values():
        yield from (argument for action, argument in row.values() if str(action) != "Shift")


def _key(rule: Any) -> str:
    absent = rule.options.empty_indices
    return f"{rule.origin.name}: {' '.join(s.name for s in rule.expansion)} -> {rule.alias} {absent}"


def _rule(rule: Any) -> list[Any]:
    """A production of lark's as the fields of a `Rule`."""
    absent = rule.options.empty_indices or (False,) * len(rule.expansion)
    picks: list[int] = []
    spread = []
    at = 0
    for is_absent in absent:
        if is_absent:
            picks.append(-1)
            continue
        symbol = rule.expansion[at]
        if not (symbol.is_term and symbol.filter_out):
            picks.append(at)
            spread += [at] if symbol.name.startswith("_") and not symbol.is_term else []
        at += 1
    repetition = rule.origin.name.startswith("_")
    passes = rule.options.expand1 and not rule.alias and len(picks) == 1 and not spread and picks[0] >= 0
    action = "" if repetition or passes else rule.alias or rule.origin.name
    return [rule.origin.name, len(rule.expansion), action, picks, spread, repetition]


def _terminals(terminals: Any) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Patterns by name in the order in which they are tried; signs, longest first, and words: text to name."""
    patterns = {t.name: t.pattern.to_regexp() for t in terminals if t.pattern.type == "re"}
    texts = sorted((-len(t.pattern.value), t.pattern.value, t.name) for t in terminals if t.pattern.type == "str")
    signs = {text: name for _, text, name in texts if not text.isalpha()}
    return patterns, signs, {text: name for _, text, name in texts if text.isalpha()}


def dumps(data: dict[str, Any]) -> str:
    """JSON with one entry a line, so that a change of the grammar can be read in a diff."""
    fields = []
    for key, value in data.items():
        entries = [json.dumps(entry, separators=(",", ":")) for entry in value] if isinstance(value, list) else None
        text = "[\n" + ",\n".join(entries) + "\n]" if entries is not None else json.dumps(value)
        fields.append(f"{json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(fields) + "\n}\n"


if __name__ == "__main__":
    _TABLE.write_text(dumps(build()), encoding="utf-8")
    print(f"wrote {_TABLE.name}")
