"""Spaces and finished architectures: what a grammar file becomes in Python."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ein.grammar.cfg import Grammar
from ein.grammar.check import Request, load_grammar
from ein.grammar.check import check as check_grammar
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.derivations.files import read_architecture
from ein.grammar.derivations.sample import Sampler
from ein.grammar.diagnostics import Diagnostic

Path = str | os.PathLike[str]


@dataclass(eq=False)
class Space:
    """A checked grammar that can be drawn from."""

    grammar: Grammar
    _sampler: Sampler | None = field(default=None, repr=False)

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
