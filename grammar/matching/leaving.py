"""Where a term leaves a grammar, and what the grammar has in that place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from ein.grammar import term as t
from ein.grammar.diagnostics import EinError, Span, fail
from ein.grammar.matching.chart import Chart, Goal, State
from ein.grammar.matching.cover import Cover
from ein.grammar.matching.items import Item, inside
from ein.grammar.matching.prospects import Rest
from ein.grammar.numbers import Inapplicable
from ein.grammar.steps import Apply, Bind, Call, Copy, Enter, Fork, Instance, Loop
from ein.grammar.types import ValueType

SHOWN = 5
"""How much of what could stand in a place is said."""

_LONGEST = 60

_WORDS: dict[type, str] = {Fork: "branches `… & …`", Copy: "copies `… ^ n`", Loop: "`… * n`", Bind: "`let …`"}


def leaves(cover: Cover, goal: Goal, term: t.TypedTerm) -> EinError:
    """The error for a term that the goal does not cover, at the first item that nothing goes over."""
    message = f"`{cover.space.grammar.name}` does not derive this term"
    row = _row(term, ())
    chart = cover.chart(goal)
    while chart.passed < len(row):
        deeper = next(_within(cover, chart, goal[1].parts[chart.passed]), None)
        if deeper is None:
            break
        place, goal = deeper
        node, around = row[chart.passed]
        row = _row(inside(node)[place], around)
        chart = cover.chart(goal)
    could = _Could(cover)
    could.follow(chart.states)
    if chart.refused is not None and chart.passed and not could.found:
        node, around = row[chart.passed - 1]
        return fail("E707", f"{message}: {chart.refused.reason}", _span(node, around))
    node, around = row[min(chart.passed, len(row) - 1)]
    shown = _short(t.text(node))
    if chart.passed < len(row):
        help = could.words(shown) or "there the rules are at an end"
        return fail("E707", f"{message}: no rule gives `{shown}` there", _span(node, around), help=help)
    if could.found:
        text = f"{message}: it ends too early, after `{shown}`"
        return fail("E707", text, _span(node, around), help=could.words(""))
    return fail("E707", message, help="its rules cover every part of it, but not all of it together")


def _row(term: t.TypedTerm, around: tuple[Span, ...]) -> list[tuple[t.TypedTerm, tuple[Span, ...]]]:
    """The nodes of the items of a term, each with the places of the names around it, inner first."""
    found: list[tuple[t.TypedTerm, tuple[Span, ...]]] = []
    stack = [(term, around)]
    while stack:
        node, around = stack.pop()
        if isinstance(node, t.Named):
            stack.append((node.body, (node.span, *around)))
        elif isinstance(node, t.Series):
            stack += [(part, around) for part in reversed(node.parts)]
        else:
            found.append((node, around))
    return found


def _within(cover: Cover, chart: Chart, item: Item) -> Iterator[tuple[int, Goal]]:
    """The series inside an item that nothing covers, where the item itself would do: its number, and what to cover."""
    for state in chart.states:
        if state.rest.kind == item.kind and item.inner:
            try:
                goals = list(_goals(cover, state, item))
            except Inapplicable:
                continue
            yield from ((place, goal) for place, goal in enumerate(goals) if not cover.answer(goal))


def _goals(cover: Cover, state: State, item: Item) -> Iterator[Goal]:
    """Of a `let` the first value only: what the others are depends on it."""
    meant, input = state.wanted.meant, state.input
    match state.rest.step:
        case Fork(programs) as fork if fork.takes == item.detail:
            for program, items, given in zip(programs, item.inner, fork.inputs(input), strict=True):
                yield cover.goal(program, items, meant, given)
        case Copy(count, program, tied) as copy if (count, tied) == item.detail:
            yield cover.goal(program, item.inner[0], meant, copy.input(input))
        case Loop(count, program, tied) if (count, tied) == item.detail:
            yield cover.goal(program, item.inner[0], meant, input)
        case Bind() as bind:
            yield cover.goal(bind.programs[0], item.inner[0], meant, input)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _span(node: t.TypedTerm, around: tuple[Span, ...]) -> Span | None:
    """The place of an item in the file of the whole term: where a macro of another file is used, that use."""
    own = next((each.span for each in t.walk(node) if isinstance(each, t.Op)), None)
    if own is None or not around:
        return own
    return next((span for span in (own, *around) if span.source is around[-1].source), own)


@dataclass(slots=True, eq=False)
class _Could:
    """What could stand in a place: the text of operators and the shapes of other items, with a rule that has it."""

    cover: Cover
    found: dict[str, str] = field(default_factory=dict)
    seen: set[tuple[Instance, ValueType]] = field(default_factory=set)

    def follow(self, states: list[State]) -> None:
        """All that can begin where the states stand, whatever the term has there."""
        for state in states:
            rule = "" if state.wanted.instance is None else repr(state.wanted.instance)
            self._begin(state.rest, state.input, rule)

    def _begin(self, rest: Rest, input: ValueType, rule: str) -> None:
        stack = [(rest, input, rule)]
        while stack:
            rest, input, rule = stack.pop()
            match rest.step:
                case Apply(application):
                    if not isinstance(application.look(input), Inapplicable):
                        self.found.setdefault(f"`{application.text}`", rule)
                case Enter():
                    entered = self.cover.prospects.entered(self.cover.space, rest, input)
                    stack += [] if entered is None else [(entered, input, rule)]
                case Call(instance) if not instance.rule.packed and (instance, input) not in self.seen:
                    self.seen.add((instance, input))
                    fitting = self.cover.prospects.fitting(self.cover.space, instance, input, None)
                    inner = rule if instance.rule.anonymous else repr(instance)
                    stack += [(each, input, inner) for _, _, each, _ in reversed(fitting)]
                case step if type(step) in _WORDS:
                    self.found.setdefault(_WORDS[type(step)], rule)

    def words(self, text: str) -> str:
        """The nearest to `text` first."""
        if not self.found:
            return ""
        near = _various(sorted(self.found, key=lambda each: _alike(text, each), reverse=True), text)
        shown = [f"{each} (`{self.found[each]}`)" if self.found[each] else each for each in near[:SHOWN]]
        more = f" and {len(self.found) - len(shown)} more" if len(self.found) > len(shown) else ""
        return f"there could be {', '.join(shown)}{more}"


def _various(near: list[str], text: str) -> list[str]:
    """Each operator once, but all uses of the one that stands there."""
    first: dict[str, str] = {}
    for each in near:
        first.setdefault(_operator(each), each)
    return [each for each in near if first[_operator(each)] == each or _operator(each) == _operator(text)]


def _operator(text: str) -> str:
    return text.strip("`").partition("(")[0]


def _alike(text: str, other: str) -> tuple[float, float]:
    """Names count before arguments."""
    names = SequenceMatcher(None, _operator(text), _operator(other))
    return names.ratio(), SequenceMatcher(None, text, other.strip("`")).ratio()
