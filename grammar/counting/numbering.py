"""The derivations of a grammar as numbers: how many there are, and each with its rank among those of its size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from random import Random
from typing import Any

from ein.grammar.cfg import Grammar
from ein.grammar.counting.branches import written
from ein.grammar.counting.counts import MAX_ENTRIES, Full, Tables
from ein.grammar.counting.decimals import brief
from ein.grammar.counting.making import Making
from ein.grammar.counting.ranks import Ranks
from ein.grammar.counting.reading import Reader
from ein.grammar.counting.ways import RuleEntry
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.diagnostics import Diagnostic, EinError, fail
from ein.grammar.matching.lanes import label
from ein.grammar.minima import settle
from ein.grammar.numbers import Inapplicable
from ein.grammar.space import Space
from ein.grammar.types import Bundle, Tensor, ValueType, merge


@dataclass(eq=False)
class Numbering:
    """Counts and ranks of a grammar's derivations, also of those beyond its limits: see `notes`."""

    grammar: Grammar
    space: Space
    tables: Tables
    reached: int = 0
    """Sizes up to this one are in the tables."""
    known: dict[int, list[tuple[Any, Any]]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, grammar: Grammar, probabilities: bool = False, sized: bool = True, most: int = MAX_ENTRIES
    ) -> Numbering:
        """In at most `most` entries of tables. Raises EinError where the grammar has no rules or no input type."""
        if grammar.input is None:
            message = f"`{grammar.name}` does not say its input"
            raise EinError((Diagnostic("E701", message, help="write `input im[3, 32, 32]`, or give --input"),))
        space = Space(grammar)
        settle(space)
        return cls(grammar, space, Tables(space, grammar.output, probabilities, sized, most))

    @property
    def notes(self) -> list[Diagnostic]:
        """That limits are not looked at, if there are any; one on modules is kept by whoever asks for a size."""
        limits = self.grammar.limits
        named = {
            "modules": None if self.tables.sized else limits.modules,
            "depth": limits.depth,
            "params": limits.parameters,
            "macs": limits.macs,
            "elements": limits.elements,
        }
        names = [f"`{name}`" for name, bound in named.items() if bound is not None]
        many = "limits" if len(names) > 1 else "limit"
        text = f"counts and ranks are of all derivations, also of those beyond the {many} on {', '.join(names)}"
        return [Diagnostic("W710", text, severity="note")] if names else []

    @cached_property
    def making(self) -> Making:
        return Making(self.tables)

    def count(self, size: int) -> int:
        """Derivations of `size` modules; with probabilities, their probability together. Raises EinError."""
        found: int = sum(weight for _, weight in self._roots(size))
        return found

    def total(self) -> int:
        """Derivations of all sizes, of a numbering that is not sized; EinError where there is no end of them."""
        return self.count(0)

    def outputs(self, size: int) -> dict[ValueType, int]:
        """The derivations of a size by the type that comes out. Raises EinError."""
        found = self._solve(size, lambda: written(self.tables.call(self.space.start, self._input, size)))
        table = {type: found[type] for type in sorted(found, key=label) if self._wanted(type)}
        return table

    def unrank(self, size: int, rank: int) -> Derivation:
        """Raises EinError where there are not so many."""
        left = rank
        for goal, weight in self._roots(size):
            if 0 <= left < weight:
                return self._derivation(self.making.unrank(self._entry(size, goal), left), size)
            left -= weight
        raise _no_rank(self.grammar.name, size, rank, self.count(size))

    def rank(self, derivation: Derivation) -> int:
        """Among those of its size. Raises EinError where it is no derivation of this grammar."""
        try:
            node = Reader(self.tables, derivation.choices).read(self.space.start, self._input)
            before = 0
            for goal, weight in self._roots(node.n):
                if goal == node.output or goal == self.tables.classes.of(node.output):
                    return before + Ranks(self.making).rank(self._entry(node.n, goal), node)
                before += weight
        except Inapplicable as error:
            raise self._foreign(error.reason) from None
        raise self._foreign(f"its output is {node.output!r}")

    def uniform(self, size: int, seed: int, index: int = 0) -> Derivation:
        """Draw `index` of `seed`, each derivation of the size as likely as any other. Raises EinError."""
        count = self._some(size)
        return self.unrank(size, below(count, Random(f"ein uniform {seed} {index}")))

    def draw(self, size: int, seed: int, index: int = 0) -> Derivation:
        """With the probability of its choices, given the size; of a numbering with probabilities. Raises EinError."""
        total = self._some(size)
        random = Random(f"ein inside {seed} {index}").random
        point = random() * total
        roots = self._roots(size)
        for goal, weight in roots:
            if point < weight or goal is roots[-1][0]:
                break
            point -= weight
        return self._derivation(self.making.draw(self._entry(size, goal), random), size)

    def distinct(self, size: int, n: int, seed: int) -> Iterator[Derivation]:
        """n derivations of a size, none twice, each set of n as likely as any other. Raises EinError."""
        count = self.count(size)
        if n > count:
            asked = f"{brief(n)} different ones are asked for"
            message = f"there are {brief(count)} derivations of {size:,} modules, and {asked}"
            raise EinError((Diagnostic("E711", message, help="ask for fewer, or another size"),))
        random = Random(f"ein distinct {seed}")
        taken: dict[int, int] = {}
        for done in range(n):  # Fisher and Yates, with the places that were exchanged alone
            at = done + below(count - done, random)
            yield self.unrank(size, taken.get(at, at))
            taken[at] = taken.pop(done, done)

    def shard(self, size: int, part: int, parts: int) -> range:
        """The ranks of part `part` of `parts`, which differ by one rank in length at most."""
        if not 0 <= part < parts:
            raise ValueError(f"part is 0 to {parts - 1}, got {part}")
        count = self.count(size)
        return range(count * part // parts, count * (part + 1) // parts)

    def all(self, size: int, ranks: range | None = None) -> Iterator[Derivation]:
        """The derivations of a size in the order of their ranks."""
        for rank in ranks if ranks is not None else range(self.count(size)):
            yield self.unrank(size, rank)

    # --- the tables

    @property
    def _input(self) -> ValueType:
        assert self.grammar.input is not None
        return self.grammar.input

    def _entry(self, size: int, goal: Any) -> RuleEntry:
        return RuleEntry(self.space.start, self._input, size, goal, self.tables.classes)

    def _derivation(self, choices: Any, size: int) -> Derivation:
        return Derivation(self.space, choices, size, self._input)

    def _roots(self, size: int) -> list[tuple[Any, Any]]:
        """What comes out, by class, with the weights; sizes are gone through from the smallest."""
        for n in range(self.reached + 1, size) if self.tables.sized else ():
            self._root(n, size)
        return self._root(size, size)

    def _root(self, size: int, asked: int) -> list[tuple[Any, Any]]:
        found = self.known.get(size)
        if found is None:
            table = self._solve(
                asked, lambda: self.tables.call(self.space.start, self._input, size, self.tables.classes)
            )
            found = [(goal, table[goal]) for goal in sorted(table, key=label) if self._wanted(goal)]
            self.known[size] = found
            self.reached = max(self.reached, size)
        return found

    def _wanted(self, goal: Any) -> bool:
        """Whether the grammar allows the output."""
        wanted = self.grammar.output
        return wanted is None or (isinstance(goal, Tensor | Bundle) and merge((wanted, goal)) is not None)

    def _solve(self, size: int, ask: Any) -> Any:
        try:
            return self.tables.solve(ask)
        except Full:
            raise self._full(size) from None

    def _full(self, size: int) -> EinError:
        types = len({value for _, value in self.tables.known})
        asked = f"of {size:,} modules" if self.tables.sized else "of all sizes"
        met = f"more than {self.tables.allowed:,} entries of tables, for {types:,} types"
        message = f"`{self.grammar.name}` has too many types to count derivations {asked}: {met}"
        far = f"sizes up to {self.reached:,} can be counted; " if self.tables.sized and self.reached else ""
        return fail("E712", message, help=f"{far}`ein sample --size {size}` draws without counting")

    def _some(self, size: int) -> Any:
        count = self.count(size)
        if not count or not isfinite(count if self.tables.probabilities else 0):
            raise EinError((Diagnostic("E711", f"`{self.grammar.name}` has no derivation of {size:,} modules"),))
        return count

    def _foreign(self, why: str) -> EinError:
        return fail("E707", f"this is no derivation of `{self.grammar.name}`: {why}")


def below(count: int, random: Random) -> int:
    """A number below `count`, each as likely; by bits, so that it is the same in every version of Python."""
    bits = count.bit_length()
    while True:
        found = random.getrandbits(bits)
        if found < count:
            return found


def _no_rank(name: str, size: int, rank: int, count: int) -> EinError:
    ranks = f"ranks go from 0 to {brief(count - 1)}" if count else "there is none of this size"
    return EinError((Diagnostic("E711", f"`{name}` has no derivation {brief(rank)} of {size:,} modules: {ranks}"),))
