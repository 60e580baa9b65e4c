"""The fewest and the most modules that steps come to, whatever their types: a count asks for no other sizes.

`Space.minimum` takes an alternative whose choices depend on the type for nothing; here it has what stands in its term.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from ein.grammar import cfg
from ein.grammar.space import MAX_COPIES, Space
from ein.grammar.steps import Bind, Call, Copy, Enter, Fork, Loop, Program, Step


class Bounds:
    """Of a space whose rules are settled. `least` is inf where nothing ends, `most` where a rule can use itself."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.fewest = _fewest(space.grammar)
        self.largest = _largest(space.grammar)
        self.known: dict[Step, tuple[float, float]] = {}

    def least(self, program: Program) -> float:
        return sum([self._bounds(step)[0] for step in program])

    def most(self, program: Program) -> float:
        return sum([self._bounds(step)[1] for step in program])

    def _bounds(self, step: Step) -> tuple[float, float]:
        found = self.known.get(step)
        if found is None:
            least, most = self._step(step)
            found = self.known[step] = max(least, self.space.minimum(step)), most
        return found

    def _step(self, step: Step) -> tuple[float, float]:
        match step:
            case Call(instance):
                return self.fewest[instance.rule.name], self.largest[instance.rule.name]
            case Fork() | Bind():
                return sum(map(self.least, step.programs)), sum(map(self.most, step.programs))
            case Copy(count, program) | Loop(count, program):
                return count * self.least(program), count * self.most(program)
            case Enter(_, _, program) if program is not None:
                return self.least(program), self.most(program)
            case Enter(macro):
                return _bound(macro.body, self.fewest, 2), _bound(macro.body, self.largest, MAX_COPIES)
            case _:
                least = self.space.minimum(step)
                return least, least


def _fewest(grammar: cfg.Grammar) -> dict[str, float]:
    """The least fixed point from above: a rule that was lowered can only lower others."""
    found = dict.fromkeys(grammar.rules, inf)
    changed = True
    while changed:
        changed = False
        for name, rule in grammar.rules.items():
            least = min((_bound(alternative.body, found, 2) for alternative in rule.alternatives), default=inf)
            if least < found[name]:
                found[name], changed = least, True
    return found


def _largest(grammar: cfg.Grammar) -> dict[str, float]:
    """Rules whose parts are all known, one after another; what is left comes back to itself."""
    found = dict.fromkeys(grammar.rules, inf)
    for _ in grammar.rules:
        most = {
            name: max((_bound(alternative.body, found, MAX_COPIES) for alternative in rule.alternatives), default=0.0)
            for name, rule in grammar.rules.items()
        }
        if most == found:
            break
        found = most
    return found


def _bound(term: cfg.Term, rules: Mapping[str, float], copies: int) -> float:
    """The bound of a term by those of its rules; one that is copied has at least 2 copies, and at most `copies`."""
    match term:
        case cfg.Use():
            return 1
        case cfg.RuleUse(rule):
            return rules[rule]
        case cfg.Copies(body):
            return copies * _bound(body, rules, copies)
        case cfg.Repeated(body):
            return (1 if copies == 2 else copies) * _bound(body, rules, copies)
        case _:
            return sum(_bound(part, rules, copies) for part in cfg.parts(term))
