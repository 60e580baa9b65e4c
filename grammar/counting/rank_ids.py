"""Rank ids: `einspace@3f2a91c0#9:90417` names a derivation by its space, its modules and its rank among those."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ein.grammar.cfg import Grammar
from ein.grammar.check import Request, load_grammar
from ein.grammar.counting.decimals import SHOWN, brief, decimal, whole
from ein.grammar.counting.numbering import Numbering
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.diagnostics import Diagnostic, EinError, fail

_FORM = re.compile(r"([a-z][a-z0-9_]*)@([0-9a-f]{8})#([0-9]{1,9}):([0-9]+)")

MAX_DIGITS = 100_000
"""Of a rank that is read: more would take seconds and more."""
MAX_MODULES = 100_000
"""Of a network that an id names: sizes are counted one after another, and an id may come from a stranger."""


@dataclass(frozen=True, slots=True)
class RankId:
    space: str
    digest: str
    """Of the resolved space: its text, parameters, input and output."""
    size: int
    rank: int

    def __str__(self) -> str:
        return f"{self.space}@{self.digest}#{self.size}:{decimal(self.rank)}"


def parse_rank_id(text: str) -> RankId | None:
    """None where the text is none. Raises EinError where the size or the rank is larger than any that is read."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    space, digest, size, rank = found.groups()
    if len(rank) > MAX_DIGITS:
        message = f"a rank of {len(rank):,} digits is too long to be read; {MAX_DIGITS:,} are the limit"
        raise EinError((Diagnostic("E711", message),))
    if int(size) > MAX_MODULES:
        message = f"a network of {int(size):,} modules has no number; {MAX_MODULES:,} are the limit"
        raise EinError((Diagnostic("E711", message),))
    return RankId(space, digest, int(size), whole(rank))


def rank_id(numbering: Numbering, derivation: Derivation) -> RankId:
    """Raises EinError where the derivation is not of this grammar, or of too many modules to count."""
    grammar = numbering.grammar
    return RankId(grammar.name, grammar.digest, derivation.modules, numbering.rank(derivation))


def of_rank(id: RankId, numbering: Numbering) -> Derivation:
    """Raises EinError where the id is of another space, or there are not so many derivations."""
    check_space(id, numbering.grammar)
    return numbering.unrank(id.size, id.rank)


def check_space(id: RankId, grammar: Grammar) -> None:
    """Raises EinError where the id is of another space."""
    if (id.space, id.digest) == (grammar.name, grammar.digest):
        return
    short = str(id) if id.rank < 10**SHOWN else f"{id.space}@{id.digest}#{id.size}:{brief(id.rank)}"
    message = f"`{short}` is of another space than `{grammar.name}`, which is `{grammar.name}@{grammar.digest}` here"
    help = "the eight digits stand for the text, the parameters, the input and the output: give the same ones"
    raise fail("E713", message, help=help)


def read_rank_id(id: RankId, homes: Iterable[str], request: Request) -> Derivation:
    """The derivation, from the first of `homes` that has its space. Raises EinError."""
    other: EinError | None = None
    for home in homes:
        grammar = load_grammar(home, request)
        try:
            check_space(id, grammar)
        except EinError as error:
            other = error
            continue
        return Numbering.of(grammar).unrank(id.size, id.rank)
    message = f"there is no space `{id.space}` in the library, nor in a file here"
    raise other or fail("E713", message, help="`ein unrank FILE.ein ID` takes the file that declares it")
