"""Drawing derivations: exact rejection with early abort.

Each choice is drawn from the stated distribution over what applies to the type at hand, and an attempt
that cannot be finished is thrown away whole: so what comes back is distributed as the product of its
choices, conditioned on being valid and within the limits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from time import monotonic

from ein.grammar.attempt import MAX_CHOICES, Attempt, DeadEnd
from ein.grammar.cfg import Grammar, Limits
from ein.grammar.derivation import Derivation
from ein.grammar.diagnostics import Diagnostic, EinError, Span
from ein.grammar.numbers import Inapplicable
from ein.grammar.space import Space
from ein.grammar.steps import (
    Candidate,
    Instance,
    Options,
)
from ein.grammar.ties import check_ties, may_conflict
from ein.grammar.types import ValueType, merge

MAX_ENTRIES = 300_000
"""Options held in the tables before they are emptied."""

ATTEMPTS = 10**6
SECONDS = 30.0


@dataclass(eq=False)
class Sampler:
    """Draws from a grammar. Draw i of a seed is a function of the seed and i alone."""

    grammar: Grammar
    limits: Limits
    space: Space
    attempts: int = 0
    drawn: int = 0
    failures: Counter[tuple[str, Span | None]] = field(default_factory=Counter)
    examples: dict[tuple[str, Span | None], DeadEnd] = field(default_factory=dict)
    sharing: bool = field(init=False)
    """Whether places can share weights whose shapes have to be compared."""

    def __post_init__(self) -> None:
        self.sharing = may_conflict(self.grammar.rules.values())

    @classmethod
    def of(cls, grammar: Grammar, limits: Limits | None = None) -> Sampler:
        """Raises EinError where the grammar has no rules or no input type."""
        if grammar.input is None:
            message = f"`{grammar.name}` does not say its input"
            raise EinError((Diagnostic("E701", message, help="write `input im[3, 32, 32]`, or give --input"),))
        space = Space(grammar)
        space.settle()
        return cls(grammar, limits or grammar.limits, space)

    def draw(
        self,
        seed: int,
        index: int = 0,
        size: tuple[int, int] | None = None,
        attempts: int = ATTEMPTS,
        seconds: float = SECONDS,
    ) -> Derivation:
        """Draw `index` of `seed`; with `size`, from the derivations of that many modules.

        Raises EinError after `attempts` or `seconds` without a success.
        """
        random = Random(f"ein {seed} {index}").random
        self.trim()
        limits, least = self._window(size)
        allowed = limits.modules if limits.modules is not None else 1 << 60
        deadline = monotonic() + seconds
        input = self.grammar.input
        assert input is not None

        def choose(instance: Instance, table: Options) -> Candidate:
            return table.candidates[bisect_right(table.cumulative, random())]

        for count in range(attempts):
            attempt = Attempt(self.space, limits)
            self.attempts += 1
            try:
                output = attempt.run(input, choose)
                modules = allowed - attempt.modules_left
                if modules < least:
                    raise DeadEnd("size", f"fewer than {least} modules")
                self.ends(output)
                choices = tuple(candidate.choice for candidate in attempt.made)
                made = Derivation(self.space, choices, modules, input)
                self.shares(made)
            except DeadEnd as dead:
                self.failures[(dead.kind, dead.span)] += 1
                if self.examples.setdefault((dead.kind, dead.span), dead) is dead:
                    dead.__traceback__, dead.made = None, tuple(attempt.made)
                long = len(attempt.made) > 1000
                if (long or count % 256 == 255) and monotonic() > deadline:
                    break
                continue
            self.drawn += 1
            return made
        raise self.gave_up(count + 1)

    def trim(self) -> None:
        """Empties the tables where they have grown too large; only between draws, and without effect on them."""
        if self.space.entries > MAX_ENTRIES:
            self.space.clear()

    def samples(self, n: int, seed: int, size: tuple[int, int] | None = None) -> Iterator[Derivation]:
        """Draws 0 … n - 1 of a seed."""
        for index in range(n):
            yield self.draw(seed, index, size)

    def _window(self, size: tuple[int, int] | None) -> tuple[Limits, int]:
        if size is None:
            return self.limits, 0
        least, most = size
        allowed = most if self.limits.modules is None else min(most, self.limits.modules)
        return replace(self.limits, modules=allowed), least

    @property
    def unlimited(self) -> Limits:
        return Limits(elements=None)

    def ends(self, output: ValueType) -> None:
        """Raises DeadEnd unless the output is of the type that the grammar declares."""
        wanted = self.grammar.output
        if wanted is not None and merge((wanted, output)) is None:
            why = Inapplicable("the output is to be {!r}, and is {!r}", None, (wanted, output))
            raise DeadEnd("goal", why, self.grammar.output_span)

    def shares(self, made: Derivation) -> None:
        """Raises DeadEnd where weights that places share have different shapes there."""
        if not self.sharing:
            return
        try:
            check_ties(made.term)
        except EinError as error:
            found = error.diagnostics[0]
            raise DeadEnd("ties", found.message, found.span) from None

    def gave_up(self, attempts: int) -> EinError:
        """What stopped the attempts most often, and what to do."""
        kinds: Counter[str] = Counter()
        for (kind, _), times in self.failures.items():
            kinds[kind] += times
        total = sum(kinds.values())
        often = [f"{100 * times / total:.0f}% {DEAD_ENDS.get(kind, kind)}" for kind, times in kinds.most_common(3)]
        named = [(key, n) for key, n in self.failures.most_common() if key[0] in ("type", "goal")]
        limit = kinds.most_common(1)[0][0]
        help = f'loosen it: --limit "{limit} <= …"' if limit in _LIMITS else ""
        if limit == "choices":
            help = 'bound it: --limit "modules <= 500"'
        message = (
            f"no derivation of `{self.grammar.name}` was found in {attempts:,} attempts "
            f"({self.drawn:,} of {self.attempts:,} succeeded so far); dead ends: {', '.join(often)}"
        )
        if limit not in ("type", "goal") or not named:
            return EinError((Diagnostic("E704", message, help=help),))
        example = self.examples[named[0][0]]
        if len(self.failures) == 1:
            cause = f"every attempt of {attempts:,} stopped here"
            return EinError((self._blamed(Diagnostic(_CODES[limit], example.reason, label=cause), example),))
        return EinError((self._blamed(Diagnostic("E704", message, label=example.reason), example),))

    def _blamed(self, diagnostic: Diagnostic, dead: DeadEnd) -> Diagnostic:
        """The report with the place of a dead end, the branches and macros around it, and what would fit."""
        from ein.grammar.blame import blame

        if dead.span is None or self.grammar.input is None:
            return diagnostic
        found = blame(self.space, self.grammar.input, dead.made, dead.span)
        return replace(diagnostic, span=found.span, labels=found.labels, help=found.help or self._ending(dead))

    def _ending(self, dead: DeadEnd) -> str:
        """What would give the declared output, where another one was reached."""
        from ein.grammar.advice import ending

        if dead.span is None or dead.span != self.grammar.output_span or not isinstance(dead.why, Inapplicable):
            return ""
        end = ending(self.grammar, dead.why.values[1], dead.why.values[0])
        return f"`{end}` at the end of `{self.grammar.start}` would give it" if end else ""


_CODES = {"type": "E301", "goal": "E303"}
DEAD_ENDS = {
    "modules": "have more modules than the limit",
    "depth": "are deeper than the limit",
    "params": "have more parameters than the limit",
    "macs": "have more MACs than the limit",
    "elements": "have more elements than the limit",
    "choices": f"make more than {MAX_CHOICES:,} choices",
    "size": "are too small",
    "type": "do not type-check",
    "goal": "have another type at the end",
    "ties": "share weights between places that need different shapes",
}
_LIMITS = ("modules", "depth", "params", "macs", "elements")
