"""Which of several operators take an input, asked together: what many of them depend on is looked at once.

Of the alternatives of a rule many compare the same sizes (`add` and `concat` along each axis) or depend on the same
one (`split` in two, four or eight), and tables of alternatives are filled for thousands of types.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ein.grammar.closed_forms import ClosedForm
from ein.grammar.operators import Application
from ein.grammar.size_places import Pair
from ein.grammar.types import MAX_SIZE, Regular, ValueType

Answers: TypeAlias = tuple[bool, ...]


@dataclass(slots=True, eq=False)
class _Sized:
    """Operators that depend on the sizes of the same axes; `known` are the answers by these."""

    axes: tuple[int, ...]
    forms: list[ClosedForm]
    known: dict[Any, Answers] = field(default_factory=dict)

    def ask(self, input: Any) -> Answers:
        sizes = tuple([input.shape[axis] for axis in self.axes])
        found = self.known.get(sizes)
        if found is None:
            found = self.known[sizes] = tuple([form.fits(input) for form in self.forms])
        return found


@dataclass(slots=True, eq=False)
class _Paired:
    """Operators that want sizes to be the same; `unsure` are those that want more, by what is the same."""

    forms: list[ClosedForm]
    pairs: list[Pair]
    unsure: dict[Answers, list[ClosedForm]] = field(default_factory=dict)

    def ask(self, input: Any) -> Hashable:
        members = input.members
        if input.elements > MAX_SIZE:
            return tuple([form.fits(input) for form in self.forms])
        same = tuple(
            [members[member].sizes[axis] == members[second].sizes[place] for member, axis, second, place in self.pairs]
        )
        more = self.unsure.get(same)
        if more is None:
            more = self.unsure[same] = self._more(same)
        return (same, *[form.fits(input) for form in more]) if more else same

    def _more(self, same: Answers) -> list[ClosedForm]:
        right = {pair for pair, answer in zip(self.pairs, same, strict=True) if answer}
        return [form for form in self.forms if not form.settled and right.issuperset(form.pairs)]


Ask: TypeAlias = Callable[[Any], Hashable]


@dataclass(slots=True, eq=False)
class Together:
    """`found` is for the caller: what it made of the inputs that are alike to all operators."""

    asks: list[Ask]
    found: dict[Hashable, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, applications: Sequence[Application], form: Regular, asks: Sequence[Ask]) -> Together | None:
        """With what else is to be asked; None while an operator has no closed forms for inputs of the form."""
        sized: dict[tuple[int, ...], list[ClosedForm]] = {}
        paired: list[ClosedForm] = []
        asks = [*asks]
        for application in applications:
            closed = application.ready.get(form)
            if closed is None:
                return None
            if len(closed) > 1:
                asks.append(application.fits)
            for each in closed if len(closed) == 1 else ():
                if each.axes is not None:
                    sized.setdefault(each.axes, []).append(each)
                elif each.pairs:
                    paired.append(each)
                else:
                    asks.append(each.fits)
        if paired:
            pairs = dict.fromkeys(pair for each in paired for pair in each.pairs)
            asks.append(_Paired(paired, [*pairs]).ask)
        return cls(asks + [_Sized(axes, forms).ask for axes, forms in sized.items()])

    def ask(self, input: ValueType) -> Hashable:
        """Equal for inputs that the same operators take."""
        return tuple([ask(input) for ask in self.asks])
