"""What holds of the rules of a grammar whatever the values and types: which recur, which grow, what they need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TypeAlias

from ein.grammar import cfg
from ein.grammar.steps import Call, Copy, Enter, Loop, Program, inside


@dataclass(frozen=True, slots=True)
class Kin:
    """Rules with alternatives in common, at least one of which is recursive: one can take what was chosen for another.

    `numbers` are those of all their alternatives, equal for what they have in common.
    """

    name: str
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """By the names of rules.

    `recursive`: it can be used inside itself; `knots`: some of these, one at least wherever that happens. `grows`: it
    can come to more and more modules. `steady`: so it can
    without copies and without rules that take values, which may rule growth out. Two bounds that are never
    too high, inf where a rule never ends: `heights`, how many uses of named rules stand inside each other, its own
    among them; `fewest`, its modules, where a number of copies or rounds counts as the least there can be. `kin` has
    only rules that have some.
    """

    recursive: frozenset[str]
    knots: frozenset[str]
    grows: frozenset[str]
    steady: frozenset[str]
    heights: Mapping[str, float]
    fewest: Mapping[str, float]
    kin: Mapping[str, Kin]

    @classmethod
    def of(cls, rules: Mapping[str, cfg.Rule]) -> Shape:
        recursive, grows = _recurring({name: _uses(rule) for name, rule in rules.items()})
        plain = {name: _uses(rule, copied=False) for name, rule in rules.items() if not rule.parameters}
        _, steady = _recurring({name: uses & plain.keys() for name, uses in plain.items()})
        fewest = _least(rules, _fewest)
        knots = _knots(rules, recursive)
        return cls(recursive, knots, grows, steady, _least(rules, _height), fewest, _kin(rules, recursive, fewest))

    def height(self, uses: Sequence[str]) -> float:
        """Of the rules that an alternative uses: the greatest."""
        return max((self.heights[name] for name in uses), default=0)


def _uses(rule: cfg.Rule, copied: bool = True) -> set[str]:
    return {name for each in rule.alternatives for name in _of_term(each.body, copied)}


def _recurring(below: dict[str, set[str]]) -> tuple[frozenset[str], frozenset[str]]:
    """The rules that have themselves below them, and all that have one of these there."""
    while any([_widen(below, name) for name in below]):
        pass
    recursive = frozenset(name for name, inner in below.items() if name in inner)
    return recursive, frozenset(name for name, inner in below.items() if name in recursive or inner & recursive)


def _knots(rules: Mapping[str, cfg.Rule], recursive: frozenset[str]) -> frozenset[str]:
    """Of the rules that recur those used most, as many as it takes to leave no others that do without them."""
    uses = Counter(name for rule in rules.values() for each in rule.alternatives for name in _of_term(each.body))
    left, knots = recursive, set()
    while left:
        most = max(sorted(left), key=uses.__getitem__)
        knots.add(most)
        left, _ = _recurring({name: _uses(rules[name]) & left - {most} for name in left - {most}})
    return frozenset(knots)


def _widen(below: dict[str, set[str]], name: str) -> bool:
    """Adds what the rules below `name` have below them; whether that was anything new."""
    found = below[name].union(*(below[inner] for inner in below[name]))
    grown = len(found) > len(below[name])
    below[name] = found
    return grown


def _kin(rules: Mapping[str, cfg.Rule], recursive: frozenset[str], fewest: Known) -> dict[str, Kin]:
    bodies = {
        name: [_rules_only(each.body) or (name, i) for i, each in enumerate(rule.alternatives)]
        for name, rule in rules.items()
    }
    found: dict[str, Kin] = {}
    for name in sorted(recursive):
        kin = [other for other in rules if other not in found and set(bodies[other]) & set(bodies[name])]
        if len(kin) < 2:
            continue
        least = {
            body: (_fewest(rules[other], each.body, fewest), len(each.choices))
            for other in kin
            for body, each in zip(bodies[other], rules[other].alternatives, strict=True)
        }
        number = {body: i for i, body in enumerate(sorted(least, key=least.__getitem__))}
        found |= {other: Kin(name, tuple(number[body] for body in bodies[other])) for other in kin}
    return found


def _rules_only(term: cfg.Term) -> tuple[object, ...] | None:
    """What tells a term of rules without values from others, wherever it stands; None for any other term."""
    if isinstance(term, cfg.RuleUse):
        return None if term.arguments or term.packed else (term.rule,)
    if not isinstance(term, cfg.Series | cfg.Parallel):
        return None
    inner = [_rules_only(part) for part in cfg.parts(term)]
    return None if None in inner else (type(term), *inner)


Known: TypeAlias = dict[str, float]


def _least(rules: Mapping[str, cfg.Rule], of: Callable[[cfg.Rule, cfg.Term, Known], float]) -> Known:
    """The least over the alternatives of each rule, given what the rules inside come to."""
    known = dict.fromkeys(rules, inf)
    changed = True
    while changed:
        changed = False
        for name, rule in rules.items():
            found = min((of(rule, each.body, known) for each in rule.alternatives), default=inf)
            changed = changed or found < known[name]
            known[name] = min(found, known[name])
    return known


def _height(rule: cfg.Rule, body: cfg.Term, known: Known) -> float:
    return max((known[name] for name in _of_term(body)), default=0) + (0 if rule.anonymous else 1)


def _fewest(rule: cfg.Rule, term: cfg.Term, known: Known) -> float:
    match term:
        case cfg.Use():
            return 1
        case cfg.RuleUse(name):
            return known[name]
        case _:
            copies = 2 if isinstance(term, cfg.Copies) else 1
            return copies * sum(_fewest(rule, part, known) for part in cfg.parts(term))


def rules_used(program: Program, times: int = 1) -> Iterator[tuple[str, int]]:
    """The names of the rules that a program uses, in the order of the choices, and how often what is chosen counts."""
    for step in program:
        if isinstance(step, Call):
            yield step.instance.rule.name, times
        elif isinstance(step, Enter) and step.program is None:
            yield from ((name, times) for name in _of_term(step.macro.body))
        count = step.count if isinstance(step, Copy | Loop) else 1
        for inner in inside(step):
            yield from rules_used(inner, times * count)


def _of_term(term: cfg.Term, copied: bool = True) -> Iterator[str]:
    """The rules in a term, in order; those of copied parts only if asked for."""
    if isinstance(term, cfg.RuleUse):
        yield term.rule
    if copied or not isinstance(term, cfg.Copies | cfg.Repeated):
        for part in cfg.parts(term):
            yield from _of_term(part, copied)
