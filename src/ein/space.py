"""Spaces and finished architectures: what a grammar file becomes in Python."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ein.grammar.cfg import Grammar
from ein.grammar.check import Request, load_grammar
from ein.grammar.check import check as check_grammar
from ein.grammar.counting.numbering import Numbering
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.files import read_architecture
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Diagnostic
from ein.grammar.editing.edit import Fairness, Keep, crossed, mutant
from ein.grammar.load import library_names
from ein.grammar.term import TypedTerm
from ein.grammar.types import ValueType

Path = str | os.PathLike[str]


@dataclass(eq=False)
class Space:
    """A checked grammar that can be drawn from."""

    grammar: Grammar
    _sampler: Sampler | None = field(default=None, repr=False)
    _numbering: Numbering | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return f"<Space {self.name}@{self.digest}: {len(self.grammar.rules)} rules>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """For notebooks: the text, and a picture of the rules."""
        return {**_shown(self.grammar), "text/plain": repr(self)}

    @property
    def name(self) -> str:
        return self.grammar.name

    @property
    def digest(self) -> str:
        """Of the text of all its files, its parameters, input and output."""
        return self.grammar.digest

    @property
    def warnings(self) -> Sequence[Diagnostic]:
        return self.grammar.warnings

    @property
    def sampler(self) -> Sampler:
        """Its tables, and how many attempts were made so far. Raises EinError where there are no rules."""
        if self._sampler is None:
            self._sampler = Sampler.of(self.grammar)
        return self._sampler

    @property
    def input(self) -> ValueType:
        """Raises EinError where the grammar does not say it."""
        found = self.sampler.grammar.input
        assert found is not None
        return found

    def sample(self, seed: int = 0, index: int = 0, size: tuple[int, int] | int | None = None) -> Derivation:
        """Draw `index` of `seed`: a function of these alone. `size`: modules, one number or a range.

        Raises EinError where nothing is found, with what stopped the attempts.
        """
        _natural("index", index)
        return self.sampler.draw(seed, index, _window(size))

    def samples(self, n: int, seed: int = 0, size: tuple[int, int] | int | None = None) -> Iterator[Derivation]:
        """Draws 0 to n - 1 of `seed`."""
        _natural("n", n)
        return self.sampler.samples(n, seed, _window(size))

    @property
    def numbering(self) -> Numbering:
        """Exact counts, with their tables; see there for shards and draws without repeats. Raises EinError."""
        if self._numbering is None:
            self._numbering = Numbering.of(self.grammar)
        return self._numbering

    def count(self, size: int) -> int:
        """How many derivations of `size` modules there are; no other limit of the grammar plays a part.

        Raises EinError where they are too many types for the tables.
        """
        _natural("size", size)
        return self.numbering.count(size)

    def rank(self, d: Derivation) -> int:
        """The number of a derivation among those of its modules, from 0. Raises EinError where it is not of here."""
        return self.numbering.rank(d)

    def unrank(self, size: int, rank: int) -> Derivation:
        """The derivation of `size` modules that has a rank. Raises EinError where there are not so many."""
        _natural("size", size)
        return self.numbering.unrank(size, rank)

    def uniform(self, size: int, seed: int = 0, index: int = 0) -> Derivation:
        """Draw `index` of `seed`, where each derivation of `size` modules is as likely. Raises EinError."""
        _natural("size", size)
        _natural("index", index)
        return self.numbering.uniform(size, seed, index)

    def mutate(
        self,
        d: Derivation,
        seed: int = 0,
        index: int = 0,
        *,
        kind: str = "subtree",
        keep: Keep = None,
        sites: Fairness = "uniform",
    ) -> Derivation:
        """Mutant `index` of `seed`, which is never `d`: a function of these alone, valid and within the limits.

        `kind`: "subtree" draws a part anew, with `keep="type"` one of the type that was there; "small" is one of
        "value", "alternative", "insert", "delete", "swap", "duplicate". `sites="depth"` takes a level of the tree
        first, then a part of that level. Raises EinError where there is none, or `d` is not in the space.
        """
        _natural("index", index)
        return mutant(self.sampler, d, seed, index, kind=kind, keep=keep, sites=sites)

    def crossover(
        self,
        a: Derivation,
        b: Derivation,
        seed: int = 0,
        index: int = 0,
        *,
        kind: str = "subtree",
        keep: Keep = None,
        sites: Fairness = "uniform",
    ) -> Derivation:
        """Child `index` of `seed`: `a` with a part of `b` in the place of one of the same rule, neither `a` nor `b`.

        `keep` and `sites` as in `mutate`. With `kind="alignment"` it is `a` with about half of the edits on the
        shortest way to `b`. Raises EinError where there is none, or the two are not in the space.
        """
        _natural("index", index)
        return crossed(self.sampler, a, b, seed, index, kind=kind, keep=keep, sites=sites)

    def parse(self, what: Path | Derivation | TypedTerm) -> Derivation:
        """The most probable derivation of this space that gives a term, whatever the limits say of its size.

        `what`: a derivation or its term, an architecture by name or path (`"zoo/resnet18"`, `"net.ein"`) with the
        input of the space, or a term as text (`"conv(8) >> relu"`). Raises EinError with the place where the term
        leaves the rules and with what could stand there.
        """
        from ein.grammar.matching.match import derive

        if isinstance(what, Derivation):
            what = what.term
        if isinstance(what, str | os.PathLike):
            what = self._term(os.fspath(what))
        return derive(self.sampler.space, what)

    def _term(self, what: str) -> TypedTerm:
        from ein.grammar.matching.written import written_term

        if what in library_names() or what.endswith(".ein") or ".ein:" in what:
            return self.read(what).term
        return written_term(self.grammar, what, self.input)

    def read(self, what: Path) -> Derivation:
        """An architecture with the input and output of this space. Raises EinError where it does not take them."""
        output = self.grammar.output
        asked = Request(input=repr(self.input), output=None if output is None else repr(output))
        return read_architecture(os.fspath(what), asked)

    def unpack(self, data: bytes) -> Derivation:
        """A derivation from the bytes that `ein.pack` made of it. Raises EinError where the space is another."""
        from ein.grammar.derivations.packed import unpack

        return unpack(self.sampler, data)


def pack(derivation: Derivation) -> bytes:
    """A derivation as bytes, a few bits for each choice. `Space.unpack` reads them with the same grammar only."""
    from ein.grammar.derivations.packed import pack

    return pack(derivation)


def load(
    what: Path,
    *,
    input: str | None = None,
    output: str | None = None,
    limits: Mapping[str, int] | None = None,
    **parameters: Any,
) -> Space:
    """The space of a library grammar (`"einspace"`) or of a file.

    `input` and `output` replace the numbers of the declared types, `limits` those of the same name,
    keywords the grammar's parameters. Raises EinError with every diagnostic of the file.
    """
    return Space(load_grammar(os.fspath(what), Request(parameters, input, output, limits or {})))


def architecture(what: Path, *, input: str | None = None, output: str | None = None, **parameters: Any) -> Derivation:
    """A finished architecture: of the library (`"zoo/resnet18"`), a file, `"file.ein:name"`, a derivation file."""
    return read_architecture(os.fspath(what), Request(parameters, input, output))


def check(what: Path) -> list[Diagnostic]:
    """All diagnostics of a file, in its order; empty if there is nothing to say."""
    return check_grammar(os.fspath(what))[1]


def _window(size: tuple[int, int] | int | None) -> tuple[int, int] | None:
    if size is None:
        return None
    least, most = (size, size) if isinstance(size, int) else size
    if not 1 <= least <= most:
        raise ValueError(f"size is a range of modules from at least 1, got {size!r}")
    return least, most


def _natural(name: str, value: int) -> None:
    if value < 0:
        raise ValueError(f"{name} is at least 0, got {value}")


def _shown(what: Grammar | Derivation) -> dict[str, str]:
    from ein.compiler.drawing.notebook import bundle

    return bundle(what)


Derivation.show = staticmethod(_shown)
