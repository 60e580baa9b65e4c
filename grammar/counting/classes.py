"""Outputs by class, where what follows does not depend on more.

The class of a live tensor of floats is its kind and number of axes or, finer, also which of its sizes are put together
of others (`outline`); all other values are a class each. A rule whose alternatives take every tensor of a class (or
none), and say the class that comes out, has one table for the class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ein.grammar.counting.joins import Sorting, Table, form
from ein.grammar.counting.keys import Form, Sort, form_of, sort_after
from ein.grammar.derivations.options import options
from ein.grammar.diagnostics import EinError
from ein.grammar.forms import first_takes_form, takes_form
from ein.grammar.matching.lanes import Value
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import formula
from ein.grammar.patterns import KIND
from ein.grammar.steps import Apply, Call, Candidate, Instance, Options, Program, Step
from ein.grammar.types import Tensor, ValueType, tensor

if TYPE_CHECKING:
    from ein.grammar.cfg import Application, Operator
    from ein.grammar.counting.counts import Tables

SIZE = 64
"""Of the axes of a tensor that stands for all of its form."""


def outline(value: Any) -> Sort | None:
    """The form where all sizes are numbers, else the kind and the sizes without their numbers."""
    if not isinstance(value, Tensor) or value.regular is None:
        return None
    return value.form if value.shape == value.sizes else (value.kind, _filled(value.shape, 0))


def composed(value: Any) -> Sort | None:
    """As `outline`, with the sizes that are put together: where branches agree in these, what joins them is alike."""
    if not isinstance(value, Tensor) or value.regular is None or value.shape == value.sizes:
        return form(value)
    return value.kind, tuple([size if isinstance(size, tuple) else 0 for size in value.shape])


def _filled(size: Any, number: int) -> Any:
    return tuple([_filled(part, number) for part in size]) if isinstance(size, tuple) else number


class Classes:
    """By form or by outline; values of the form of `output`, the one that a grammar declares, are told apart."""

    def __init__(self, tables: Tables, output: ValueType | None, sort: Sorting) -> None:
        self.tables = tables
        self.sort = sort
        self.outlines = sort is outline
        self.meeting: Sorting = composed if self.outlines else form
        self.exact = output.form if isinstance(output, Tensor) else None
        kinds = tables.space.grammar.kinds.items()
        forms = [(kind, len(axes)) for kind, (axes, element) in kinds if element == "float"]
        self.forms: list[Form] = [form for form in forms if form != self.exact]
        self.by_class: dict[tuple[Any, Sort, int], Table | None] = {}
        self.passed: dict[Any, int] = {}
        self.failing: dict[Any, int] = {}
        self.by_options: dict[tuple[int, Sort, int], tuple[Options, Table | None]] = {}

    def coarse(self, value: Any) -> bool:
        """Whether the class holds other values too."""
        return isinstance(value, Tensor) and value.regular is not None and value.form != self.exact

    def of(self, value: Any) -> Any:
        """The class of a value, or of a finer class."""
        if type(value) is tuple:
            return value if self.outlines else form_of(value)
        return self.sort(value) if self.coarse(value) else value

    def table(self, table: Table) -> Table:
        out: Table = {}
        for value, weight in table.items():
            key = self.of(value)
            out[key] = out.get(key, 0) + weight
        return out

    def formal(self, step: Step, n: int) -> bool:
        """Whether what the step makes in n modules follows from the class, whatever the kind."""
        key = _key(step)
        if key is None or self.tables.sharing.any:
            return False
        if n >= self.failing.get(key, n + 1):
            return False
        for m in range(self.passed.get(key, 0), n + 1):  # all of them: the answer is not to depend on what was asked
            if any(self.after(step, form, m) is None for form in self.forms):
                self.failing[key] = m
                return False
            self.passed[key] = m + 1
        return any(self.after(step, form, n) for form in self.forms)  # what takes no tensor may take branches, apart

    def if_follows(self, step: Step, before: Table, n: int) -> Table | None:
        """The table, if that is so for all classes in it."""
        if all(self.after(step, each, n) is not None for each in before if isinstance(each, tuple)):
            return before
        self.failing[_key(step)] = n
        return None

    def after(self, step: Step, sort: Sort, n: int) -> Table | None:
        """What the step makes of a class in n modules, by class; None: it depends on the sizes."""
        key = _key(step)
        return None if key is None else self._made(key, sort, n)

    def _made(self, key: Instance | Application, sort: Sort, n: int) -> Table | None:
        asked = key, sort, n
        if asked not in self.by_class:
            self.by_class[asked] = None  # what asks for itself again depends on more
            try:
                self.by_class[asked] = self._make(key, sort, n)
            except BaseException:
                del self.by_class[asked]
                raise
        return self.by_class[asked]

    def known(self, instance: Instance, value: Any, n: int) -> Table | None:
        """What a rule gives at a type, if it follows from the class, or from it and which alternatives apply.

        That is so where no other rule is in it and all its operators say the class that comes out; the outputs
        themselves are not looked at.
        """
        if not isinstance(value, Tensor) or value.regular is None or instance.rule.match is not None:
            return None
        sort = self.sort(value)
        assert sort is not None
        made = None if self.tables.sharing.any or value.form == self.exact else self._made(instance, sort, n)
        if made is not None:
            return made
        found = options(self.tables.space, instance, value)
        key = id(found), sort, n
        if key not in self.by_options:
            self.by_options[key] = found, self._settled(found, sort, n)
        return self.by_options[key][1]

    def _settled(self, found: Options, sort: Sort, n: int) -> Table | None:
        out: Table = {}
        for candidate, probability in zip(found.candidates, found.probabilities, strict=True):
            given: Sort | None = sort
            if candidate.first is not None:
                given = sort_after(candidate.first, sort)
            if not candidate.simple or candidate.rest or given is None or form_of(given) == self.exact:
                return None
            if n == len(candidate.program) * self.tables.module:
                given = self.of(given)
                out[given] = out.get(given, 0) + self.tables.weight(probability)
        return out

    def _make(self, key: Instance | Application, sort: Sort, n: int) -> Table | None:
        kind, axes = sort
        some = tensor(kind, (SIZE,) * axes if isinstance(axes, int) else _filled(axes, SIZE))
        try:
            if isinstance(key, Instance):
                return self._rule(key, some, sort, n)
            return self._operator(key, some, sort) if n == self.tables.module else {}
        except EinError:
            return None

    def _operator(self, application: Application, some: Tensor, sort: Sort) -> Table | None:
        answer = takes_form(application, some, self.outlines)
        if not answer:
            return {} if answer is False else None
        applied = application.at(some)
        if not first_takes_form(application, some, self.outlines):
            given = sort_after(application, sort)  # of whichever overload it is
            if given is None or self.of(given) != self.of(applied.output):
                return None
        if self.coarse(applied.output):
            return {self.of(applied.output): 1}
        return {applied.output: 1} if _constant(applied.operator) else None

    def _rule(self, instance: Instance, some: Tensor, sort: Sort, n: int) -> Table | None:
        if instance.rule.match is not None or instance.rule.packed or instance.claims:
            return None
        found = options(self.tables.space, instance, some)
        form = instance.forms.get(some.form)
        decided = form is not None and all(self._decided(candidate, some) for candidate in form.unsure)
        if instance.always is None and not decided:
            return None
        out: Table = {}
        for candidate, probability in zip(found.candidates, found.probabilities, strict=True):
            if self.tables.least(candidate.program) > n:
                continue
            table = None if candidate.binds else self._program(candidate.program, sort, n)
            if table is None:
                return None
            for each, weight in table.items():
                out[each] = out.get(each, 0) + weight * self.tables.weight(probability)
        return out

    def _decided(self, candidate: Candidate, some: Tensor) -> bool:
        first = candidate.first
        return self.outlines and first is not None and takes_form(first, some, True) is not None

    def _program(self, program: Program, sort: Sort, n: int) -> Table | None:
        if len(program) == 1:
            return self.after(program[0], sort, n)
        out: Table = {}
        for k in self.tables.sizes(program[:-1], n, program[-1:]):
            before = self._program(program[:-1], sort, k)
            if before is None:
                return None
            for each, weight in before.items():
                table = self._any(program[-1], each, n - k)
                if table is None:
                    return None
                for output, more in table.items():
                    out[output] = out.get(output, 0) + weight * more
        return out

    def _any(self, step: Step, each: Sort | Value, n: int) -> Table | None:
        return self.after(step, each, n) if isinstance(each, tuple) else self.tables.step(step, each, (), n, self)


def _key(step: Step) -> Instance | Application | None:
    if isinstance(step, Call):
        return step.instance
    return step.application if isinstance(step, Apply) else None


def _constant(operator: Operator) -> bool:
    """Whether the output follows from the arguments alone."""
    type = operator.declaration.output
    if not isinstance(type, s.KindType) or type.kind == KIND:
        return False
    plain = not any(isinstance(dim, s.EachDim | s.Star | s.Group | s.Blank) for dim in type.dims)
    return plain and all(formula(dim).names <= operator.names for dim in type.dims)  # type: ignore[arg-type]
