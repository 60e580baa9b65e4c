"""Several copies of an operator's body as one body: each step for all copies at once.

What differs between copies has one axis more, or one axis that holds all of them (`Layout`); what is the same for
all of them, such as an input that they share, is left as it is. Parameters of the copies become one parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from string import ascii_lowercase
from typing import Any, TypeAlias

from ein.compiler.weights import Sizes, start
from ein.grammar.bodies.tensors import Body, Step


class NoCopies(Exception):
    """A body that is not written for several copies at once; the text names what stands in the way."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the copies stand: along an axis of their own in front of `axis`, or folded into `axis`, copy by copy."""

    axis: int
    folded: bool = False

    def sizes(self, copies: int, sizes: Sizes) -> Sizes:
        """Of all copies, where one has `sizes`."""
        if self.folded:
            return (*sizes[: self.axis], copies * sizes[self.axis], *sizes[self.axis + 1 :])
        return (*sizes[: self.axis], copies, *sizes[self.axis :])


@dataclass(frozen=True, slots=True)
class Joined:
    """An entry of what several copies keep: an entry of each of them, one behind the other along the first axis.

    That is viewed as `viewed` and permuted to `order`, as in `ein.compiler.weights.Moved`.
    """

    entry: str
    viewed: Sizes | None = None
    order: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Many:
    """A value for all copies: what it is for one, and its steps by layout (None: it is the same for all)."""

    one: Step
    forms: dict[Layout | None, int] = field(default_factory=dict)

    @property
    def shared(self) -> bool:
        return None in self.forms

    @property
    def layout(self) -> Layout:
        """The one that it came in."""
        found = next(iter(self.forms))
        assert found is not None
        return found


Rule: TypeAlias = "Callable[[Copying, Step, list[Many]], Many]"


class Copying:
    """A body while it is written for several copies."""

    def __init__(self, body: Body, copies: int, given: Sequence[Layout | None], rules: Mapping[str, Rule]) -> None:
        self.body = body
        self.copies = copies
        self.given = given
        self.rules = rules
        self.steps: list[Step] = []
        self.kept: dict[tuple[int, str], tuple[int, Joined]] = {}
        self.values: list[Many] = []

    def run(self) -> None:
        """Fills `values`, one for each step of the body."""
        if self.body.starts or self.body.ties:
            raise NoCopies("weights that start from others, or are tied")
        for step in self.body.steps:
            self.values.append(self.value(step, [self.values[source] for source in step.inputs]))

    def value(self, step: Step, operands: list[Many]) -> Many:
        if step.op == "input":
            return self.many(step, self.given[step.argument("which")], step, ())
        if step.op in ("weight", "buffer"):
            return self._weight(step)
        if step.op in ("number", "range"):
            return self.same(step, operands)
        if step.op not in self.rules:
            raise NoCopies(step.op)
        if step.op != "layer" and all(value.shared for value in operands):
            return self.same(step, operands)
        return self.rules[step.op](self, step, operands)

    # --- steps

    def add(self, step: Step, inputs: Sequence[int], full: Sizes | None = None, /, **arguments: Any) -> int:
        """The index of a new step: `step` with other inputs, sizes, and arguments where some are given."""
        changed = tuple({**dict(step.arguments), **arguments}.items())
        made = replace(step, inputs=tuple(inputs), sizes=step.sizes if full is None else full, arguments=changed)
        self.steps.append(made)
        return len(self.steps) - 1

    def view(self, op: str, source: int, full: Sizes, /, **arguments: Any) -> int:
        """A step that only looks at another one in another way."""
        like = self.steps[source]
        self.steps.append(Step(op, (source,), full, "", tuple(arguments.items()), like.batched, like.element))
        return len(self.steps) - 1

    def many(self, one: Step, layout: Layout | None, step: Step, inputs: Sequence[int], /, **arguments: Any) -> Many:
        """The value of a new step in this layout."""
        sizes = one.sizes if layout is None else layout.sizes(self.copies, one.sizes)
        return Many(one, {layout: self.add(step, inputs, sizes, **arguments)})

    def same(self, step: Step, operands: Sequence[Many]) -> Many:
        """A value that is the same for all copies."""
        return self.many(step, None, step, [value.forms[None] for value in operands])

    def _weight(self, step: Step) -> Many:
        """One parameter for all copies, each of which starts as it would alone."""
        begin = start(step)
        if begin.kind == "computed":
            raise NoCopies("weights that start from others")
        made = self.many(step, Layout(0), step, (), start=(begin.kind, *begin.numbers), after=0)
        self.keep(made.forms[Layout(0)], "", len(self.values), Joined(""))
        return made

    def parameter(self, name: str, sizes: Sizes, begin: tuple[Any, ...], old: int, joined: Joined) -> Many:
        """A parameter in place of an entry of the layer at the step `old`; `sizes` are those of one copy."""
        taken = {step.name for step in (*self.steps, *self.body.steps) if step.op in ("weight", "buffer")}
        free = next(n for i in count(1) if (n := name if i == 1 else f"{name}_{i}") not in taken)
        one = Step("weight", (), sizes, free, (("start", begin), ("after", 0)), batched=False)
        made = self.many(one, Layout(0), one, ())
        self.keep(made.forms[Layout(0)], "", old, joined)
        return made

    def keep(self, step: int, entry: str, old: int, joined: Joined) -> None:
        self.kept[step, entry] = (old, joined)

    # --- layouts

    def form(self, value: Many, layout: Layout) -> int:
        """The step of a value in a layout; one that all copies share is repeated."""
        if layout not in value.forms:
            value.forms[layout] = self._repeated(value, layout) if value.shared else self._changed(value, layout)
        return value.forms[layout]

    def split(self, value: Many) -> Layout:
        """A layout of the value in which the copies have an axis of their own; it is made."""
        found = next((each for each in value.forms if each is not None and not each.folded), None)
        if found is None:
            found = Layout(value.layout.axis)
            self.form(value, found)
        return found

    def features(self, value: Many, split: bool = False) -> Layout:
        """A layout of the value in which the last axis is that of one copy; it is made."""
        last = len(value.one.sizes) - 1
        found = value.layout
        if split or (found.folded and found.axis == last):
            found = self.split(value)
        if not found.folded and found.axis > last:
            found = Layout(last)
            self.form(value, found)
        return found

    def _changed(self, value: Many, layout: Layout) -> int:
        sizes = layout.sizes(self.copies, value.one.sizes)
        if layout.folded:
            split = self.form(value, Layout(layout.axis))
            return self.view("flatten", split, sizes, first=layout.axis, last=layout.axis + 1)
        found = next((each for each in value.forms if each is not None and not each.folded), None)
        if found is None:
            folded = value.layout
            unfolded = Layout(folded.axis)
            parts = (self.copies, value.one.sizes[folded.axis])
            full = unfolded.sizes(self.copies, value.one.sizes)
            step = value.forms[unfolded] = self.view(
                "unflatten", value.forms[folded], full, axis=folded.axis, sizes=parts
            )
            return step if unfolded == layout else self._changed(value, layout)
        order = [axis for axis in range(len(sizes)) if axis != found.axis]
        order.insert(layout.axis, found.axis)
        return self.view("permute", value.forms[found], sizes, order=tuple(order))

    def _repeated(self, value: Many, layout: Layout) -> int:
        if layout.folded:
            split = self.form(value, Layout(layout.axis))
            sizes = layout.sizes(self.copies, value.one.sizes)
            return self.view("flatten", split, sizes, first=layout.axis, last=layout.axis + 1)
        single = self.lengthened(value.forms[None], (layout.axis,))
        return self.view("broadcast", single, layout.sizes(self.copies, value.one.sizes))

    def lengthened(self, step: int, axes: tuple[int, ...]) -> int:
        """With axes of size 1 at these places of the result."""
        given = iter(self.steps[step].sizes)
        rank = len(self.steps[step].sizes) + len(axes)
        sizes = tuple(1 if axis in axes else next(given) for axis in range(rank))
        return self.view("unsqueeze", step, sizes, axes=axes)

    def aligned(self, value: Many, rank: int, axis: int) -> int:
        """An operand of a step by elements, of `rank` axes in one copy, all copies standing in front of `axis`.

        What has fewer axes lines up with the last ones.
        """
        before = rank - len(value.one.sizes)
        if value.shared:
            step = value.forms[None]
            if value.one.op == "number" or (before >= axis and not value.one.batched):
                return step
            return self.lengthened(step, (max(axis - before, 0),))
        if axis >= before:
            return self.form(value, Layout(axis - before))
        return self.lengthened(self.form(value, Layout(0)), tuple(range(1, 1 + before - axis)))


def letter(used: str) -> str:
    """One for the copies that an einsum does not use yet; `b` is the batch."""
    return next(each for each in f"n{ascii_lowercase}" if each not in used and each != "b")
