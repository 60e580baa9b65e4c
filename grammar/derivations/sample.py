"""Drawing derivations: exact rejection with early abort.

Each choice is drawn from the stated distribution over what applies to the type at hand, and an attempt
that cannot be finished is thrown away whole: so what comes back is distributed as the product of its
choices, conditioned on being valid and within the limits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from time import monotonic

from ein.grammar.cfg import Grammar, Limits
from ein.grammar.derivations.attempt import MAX_CHOICES, Attempt, DeadEnd
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.diagnostics import Diagnostic, EinError, Span
from ein.grammar.minima import settle
from ein.grammar.numbers import Inapplicable
from ein.grammar.space import Space
from ein.grammar.ties import check_ties, may_conflict
from ein.grammar.types import ValueType, merge

MAX_ENTRIES = 300_000
"""Options held in the tables before they are emptied."""

SIZES = 200
"""Draws that show which sizes there are, where a window of sizes has none."""

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
    walked: int = 0
    """choices made, those of abandoned attempts included"""
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
        settle(space)
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

        for count in range(attempts):
            attempt = Attempt(self.space, limits)
            self.attempts += 1
            try:
                output = attempt.draw(input, random)
                modules = allowed - attempt.modules_left
                if modules < least:
                    raise DeadEnd("size", f"fewer than {least} modules")
                self.ends(output)
                choices = tuple([candidate.choice for candidate in attempt.made])
                made = Derivation(self.space, choices, modules, input)
                self.shares(made)
            except DeadEnd as dead:
                self.walked += len(attempt.made)
                self.failures[(dead.kind, dead.place)] += 1
                if self.examples.setdefault((dead.kind, dead.place), dead) is dead:
                    dead.__traceback__, dead.made = None, tuple(attempt.made)
                long = len(attempt.made) > 1000
                if (long or count % 256 == 255) and monotonic() > deadline:
                    break
                continue
            self.drawn += 1
            self.walked += len(made.choices)
            return made
        raise self.gave_up(count + 1, size)

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

    def commonest(self, kinds: tuple[str, ...]) -> DeadEnd | None:
        """An example of what stopped the attempts most often, of some kinds."""
        found = (key for key, _ in self.failures.most_common() if key[0] in kinds)
        key = next(found, None)
        return None if key is None else self.examples[key]

    def _sizes(self, window: tuple[int, int]) -> str:
        """Which sizes there are near the one asked for."""
        other = Sampler(self.grammar, self.limits, self.space)
        try:
            seen = sorted({drawn.modules for drawn in other.samples(SIZES, 0)})
        except EinError:
            return "no derivation of any size was found either"
        near = sorted(sorted(seen, key=lambda n: max(window[0] - n, n - window[1]))[:8])
        return f"{SIZES} draws have, nearest to that, {', '.join(f'{n:,}' for n in near)} modules"

    def gave_up(self, attempts: int, window: tuple[int, int] | None = None) -> EinError:
        """What stopped the attempts most often, and what to do."""
        kinds: Counter[str] = Counter()
        for (kind, _), times in self.failures.items():
            kinds[kind] += times
        total = sum(kinds.values())
        often = [f"{100 * times / total:.0f}% {DEAD_ENDS.get(kind, kind)}" for kind, times in kinds.most_common(3)]
        example = self.commonest(("type", "goal", "dead"))
        limit = kinds.most_common(1)[0][0]
        help = f'loosen it: --limit "{limit} <= …"' if limit in _LIMITS else ""
        if limit == "choices":
            help = 'bound it: --limit "modules <= 500"'
        before = f" ({self.drawn:,} of {self.attempts:,} succeeded so far)" if self.drawn else ""
        of = "" if window is None else f" of {' to '.join(f'{n:,}' for n in dict.fromkeys(window))} modules"
        message = (
            f"no derivation of `{self.grammar.name}`{of} was found in {attempts:,} attempts{before}; "
            f"dead ends: {', '.join(often)}"
        )
        if window is not None:
            return EinError((Diagnostic("E704", message, help=self._sizes(window)),))
        if limit not in ("type", "goal", "dead") or example is None:
            return EinError((Diagnostic("E704", message, help=help),))
        if len(self.failures) == 1:
            cause = f"every attempt of {attempts:,} stopped here"
            return EinError((self._blamed(Diagnostic(_CODES[limit], example.reason, label=cause), example),))
        return EinError((self._blamed(Diagnostic("E704", message, label=example.reason), example),))

    def _blamed(self, diagnostic: Diagnostic, dead: DeadEnd) -> Diagnostic:
        """The report with the place of a dead end, the branches and macros around it, and what would fit."""
        from ein.grammar.analyses.blame import blame

        if dead.span is None or self.grammar.input is None:
            return diagnostic
        found = blame(self.space, self.grammar.input, dead.made, dead.span)
        return replace(diagnostic, span=found.span, labels=found.labels, help=found.help or self._ending(dead))

    def _ending(self, dead: DeadEnd) -> str:
        """What would give the declared output, where another one was reached."""
        from ein.grammar.analyses.advice import ending

        if dead.span is None or dead.span != self.grammar.output_span or not isinstance(dead.why, Inapplicable):
            return ""
        end = ending(self.grammar, dead.why.values[1], dead.why.values[0])
        return f"`{end}` at the end of `{self.grammar.start}` would give it" if end else ""


_CODES = {"type": "E301", "goal": "E303", "dead": "E303"}
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
    "dead": "give a result that does not depend on the input",
    "ties": "share weights between places that need different shapes",
}
_LIMITS = ("modules", "depth", "params", "macs", "elements")
