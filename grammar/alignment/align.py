"""Alignment of two derivations, and the edit distance that it gives.

Nodes are matched so that each has at most one partner, partners are uses of the same rule (or both operators, both
series, …), and the lowest common ancestor of matched nodes is matched with that of their partners. Below matched
uses of rules the first child meets the first, the second the second; in a series only the order counts. The
distance is the least cost of such a matching: it is a metric, and 0 for equal trees only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import TypeAlias

from ein.grammar.alignment.trees import ONE, Part, Trees, distinct, substitution
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.diagnostics import fail

MAX_PAIRS = 4_000_000
"""Pairs of distinct subtrees that are compared; ten seconds or so."""

Pair: TypeAlias = tuple[Part | None, Part | None]


@dataclass(frozen=True, eq=False)
class Alignment:
    """What matching saves over deleting the first tree and inserting the second, for each pair of subtrees."""

    a: Derivation
    b: Derivation
    first: Part
    second: Part
    """their trees"""
    rules: bool
    """Whether derivations are compared, and not terms: both have rules, and those of one space."""
    rows: dict[int, list[int]]
    """For each part of the first tree, by its number, the savings with each of the second."""
    columns: dict[int, int]

    @cached_property
    def distance(self) -> float:
        """In modules."""
        return self.cost(self.first, self.second) / ONE

    def saved(self, a: Part, b: Part) -> int:
        """Eighths of a module."""
        return self.rows[a.number][self.columns[b.number]]

    def cost(self, a: Part, b: Part) -> int:
        return a.weight + b.weight - self.saved(a, b)

    def matched(self, a: Part, b: Part) -> int | None:
        """What is saved where the two roots are matched; None where they must not be."""
        if a.symbol != b.symbol:
            return None
        own = a.own + b.own - substitution(a, b)
        return own + sum(self.saved(x, y) for x, y in self.pairs(a, b) if x is not None and y is not None)

    def pairs(self, a: Part, b: Part) -> list[Pair]:
        """The children of two matched nodes beside each other; None beside one that is deleted or inserted."""
        if a.positional:
            return list(zip_longest(a.children, b.children))
        return self._beside(a.children, b.children)

    def _beside(self, a: Sequence[Part], b: Sequence[Part]) -> list[Pair]:
        table = _table([self.rows[part.number] for part in a], [self.columns[part.number] for part in b])
        found: list[Pair] = []
        i, j = len(a), len(b)
        while i or j:
            if i and j and table[i][j] == table[i - 1][j - 1] + (gain := self.saved(a[i - 1], b[j - 1])) and gain:
                i, j = i - 1, j - 1
                found.append((a[i], b[j]))
            elif j and table[i][j] == table[i][j - 1]:
                j -= 1
                found.append((None, b[j]))
            else:
                i -= 1
                found.append((a[i], None))
        return found[::-1]


def align(a: Derivation, b: Derivation) -> Alignment:
    """The cheapest alignment. Time and memory grow with the product of the numbers of distinct subtrees.

    Raises EinError where these are more than `MAX_PAIRS`.
    """
    rules = not a.finished and not b.finished and a.space.grammar.digest == b.space.grammar.digest
    trees = Trees()
    first, second = trees.tree(a, rules), trees.tree(b, rules)
    ours, theirs = distinct(first), distinct(second)
    if len(ours) * len(theirs) > MAX_PAIRS:
        sizes = f"{len(ours):,} and {len(theirs):,} distinct parts"
        help = f"{MAX_PAIRS:,} pairs of parts are compared at most"
        raise fail("E716", f"these two are too large to be aligned: they have {sizes}", help=help)
    columns = {part.number: index for index, part in enumerate(theirs)}
    return Alignment(a, b, first, second, rules, _savings(ours, theirs, columns), columns)


def distance(a: Derivation, b: Derivation) -> float:
    """The edit distance, in modules: a metric on the derivations of a space, and on terms.

    Inserting or deleting a module costs 1 and a rule without operators of its own an eighth. Another alternative
    of a rule or another operator costs a half (or what the modules differ by), other values a quarter. Where one
    of the two has no rules, or they are of different spaces, their terms are compared. Raises EinError where they
    are too large.
    """
    return align(a, b).distance


def _savings(ours: list[Part], theirs: list[Part], columns: dict[int, int]) -> dict[int, list[int]]:
    """Children first. A tree saves what a child of either saves with the other, or what its root and children do."""
    below = [[columns[child.number] for child in part.children] for part in theirs]
    rows: dict[int, list[int]] = {}
    for a in ours:
        inner = [rows[child.number] for child in a.children]
        row = rows[a.number] = [0] * len(theirs)
        symbols, symbol, positional = a.symbols, a.symbol, a.positional
        for index, b in enumerate(theirs):
            if not symbols & b.symbols:
                continue
            if a is b:
                row[index] = 2 * a.weight
                continue
            best = 0
            for line in inner:
                if line[index] > best:
                    best = line[index]
            under = below[index]
            for column in under:
                if row[column] > best:
                    best = row[column]
            if symbol == b.symbol:
                own = a.own + b.own - substitution(a, b)
                if positional:
                    for line, column in zip(inner, under, strict=False):
                        own += line[column]
                elif inner and under:
                    own += _table(inner, under)[-1][-1]
                if own > best:
                    best = own
            row[index] = best
    return rows


def _table(lines: list[list[int]], columns: list[int]) -> list[list[int]]:
    """The most that the first i of one list of children save with the first j of another, for all i and j."""
    table = [[0] * (len(columns) + 1)]
    for line in lines:
        above, row = table[-1], [0]
        for j, column in enumerate(columns):
            row.append(max(above[j + 1], row[j], above[j] + line[column]))
        table.append(row)
    return table
