"""Random search: every proposal is a draw of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ein.grammar.derivations.sample import Sampler
from ein.search.operators import Size, founder
from ein.search.protocol import Proposal, Trial


@dataclass(frozen=True, slots=True)
class RandomSearch:
    """Draws from the stated distribution, or from that of `size` modules."""

    sampler: Sampler = field(repr=False)
    seed: int = 0
    size: Size | None = None

    def settings(self) -> Mapping[str, Any]:
        return {"name": "random", "size": self.size}

    def propose(self, number: int, attempt: int, seen: Sequence[Trial]) -> Proposal:
        return founder(self.sampler, self.seed, number, attempt, self.size)
