"""What operators can make of types of which the sizes are not known.

`outcomes` errs to one side only: what an operator gives for a type is an instance of one of the shapes
that it gives for the type's shape, so where it gives none the operator refuses every such type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from ein.grammar.analyses.partial import OPEN
from ein.grammar.analyses.shapes import Anything, Shape, Side, Sides, Some, agree, beside, form, meet
from ein.grammar.cfg import Operator
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Formula, Inapplicable, formula, permuted
from ein.grammar.patterns import KIND
from ein.grammar.types import Bundle, Tensor

_TYPES = "type of "
"""Names of types are bound apart from those of sizes: a `Known` holds them with this before them."""

Known: TypeAlias = dict[str, Any]
"""What is known of the names of a signature: arguments, counts; a run as a list, of which the length is right."""


def matches(type: s.Type, shape: Shape, known: Known, names: frozenset[str], tensors: bool = False) -> Iterator[Known]:
    """Ways in which a type of this shape may fit a pattern; none: no such type fits.

    `names` are bound already, be they known or not. With `tensors` a bare name is one tensor.
    """
    match type:
        case s.Blank():
            yield from _bound(None, shape, known, tensors)
        case s.TypeName(name):
            yield from _bound(_TYPES + name, shape, known, tensors)
        case s.KindType(kind, dims):
            yield from _tensor(kind, dims, shape, known, names)
        case s.BundleType((member,)):
            yield from matches(member.type, shape, known, names, tensors)
        case s.BundleType(members):
            parts = _members(shape, len(members))
            ways = [known] if parts is not None else []
            for member, part in zip(members, parts or (), strict=bool(parts)):
                ways = [found for way in ways for found in matches(member.type, part, way, names, tensors)]
            yield from ways
        case s.PowerType(base, count):
            yield from _power(base, count, shape, known, names, tensors)


def _bound(name: str | None, shape: Shape, known: Known, tensors: bool) -> Iterator[Known]:
    if tensors and isinstance(shape, Bundle | Side | Sides):
        return
    found: Shape | None = Some() if tensors and isinstance(shape, Anything) else shape
    if found is not None and name is not None and name in known:
        found = meet(known[name], found)
    if found is not None:
        yield known if name is None else {**known, name: found}


def _members(shape: Shape, count: int) -> tuple[Shape, ...] | None:
    match shape:
        case Bundle(members=members) | Side(members) if len(members) == count:
            return members
        case Sides() | Anything():
            return (Anything(),) * count
        case _:
            return None


def _tensor(kind: str, dims: tuple[s.Dim, ...], shape: Shape, known: Known, names: frozenset[str]) -> Iterator[Known]:
    """Kind and number of axes; the sizes are not looked at."""
    given = form(shape) if isinstance(shape, Tensor) else Some() if isinstance(shape, Anything) else shape
    if not isinstance(given, Some):
        return
    wanted = known.get(KIND) if kind == KIND else kind
    if not agree(wanted, given.kind):
        return
    if kind == KIND:
        known = {**known, KIND: wanted or given.kind}
    runs = [dim.operand.name for dim in dims if isinstance(dim, s.Star) and isinstance(dim.operand, s.Name)]
    fixed = len(dims) - sum(isinstance(dim, s.Star) for dim in dims)
    if given.axes is None:
        yield {name: value for name, value in known.items() if name not in runs}
        return
    for split in _splits(given.axes - fixed, len(runs)):
        if all(agree(_length(known, name), length) for name, length in zip(runs, split, strict=True)):
            yield {**known, **{name: [1] * length for name, length in zip(runs, split, strict=True)}}


def _length(known: Known, run: str) -> int | None:
    return len(known[run]) if isinstance(known.get(run), list) else None


def _splits(free: int, runs: int) -> Iterator[tuple[int, ...]]:
    """The lengths of `runs` runs that come to `free` axes."""
    if runs == 0:
        yield from ([()] if free == 0 else [])
    elif runs == 1:
        yield from ([(free,)] if free >= 0 else [])
    else:
        for first in range(free + 1):
            yield from ((first, *rest) for rest in _splits(free - first, runs - 1))


def _power(
    base: s.Type, count: s.Expr, shape: Shape, known: Known, names: frozenset[str], tensors: bool
) -> Iterator[Known]:
    if isinstance(shape, Tensor | Some):
        return
    parts = shape.members if isinstance(shape, Bundle | Side) else None
    if parts is not None and isinstance(count, s.Name) and count.name not in names:
        known = {**known, count.name: len(parts)}
    wanted = evaluated(formula(count), known)
    if parts is not None and isinstance(wanted, int) and wanted != len(parts):
        return
    member: Shape | None = Anything()
    for part in parts or ():
        member = None if member is None else meet(member, form(part) if _each(base) else part)
    if member is not None:
        yield from matches(base, member, known, names, tensors)


def _each(base: s.Type) -> bool:
    return isinstance(base, s.KindType) and any(isinstance(dim, s.EachDim) for dim in base.dims)


# --- what a signature gives


class Refused(Exception):
    """A size or count that no type has."""


def evaluated(number: Formula, known: Known) -> Any:
    """The value of a number or condition, or None where a name in it is open. Raises Refused where it has none."""
    if not all(name in known and _usable(name, known, number) for name in number.names):
        return None
    try:
        return number.evaluate(known)
    except Inapplicable:
        raise Refused from None


def _usable(name: str, known: Known, number: Formula) -> bool:
    """Of a run only its length is known."""
    return not isinstance(known[name], list) or not _outside_len(name, number.expr)


def _outside_len(name: str, node: Any) -> bool:
    match node:
        case s.Call(s.Name("len"), (s.Argument(s.Name()),)):
            return False
        case s.Name(other):
            return other == name
        case s.Unary(_, operand) | s.Star(operand):
            return _outside_len(name, operand)
        case s.Binary(_, left, right):
            return _outside_len(name, left) or _outside_len(name, right)
        case s.Number() | s.Percent() | s.String() | s.Boolean():
            return False
        case _:
            return True


def built(type: s.Type, known: Known) -> Shape:
    """The shape of the right side of a signature. Raises Refused where there is no such type."""
    match type:
        case s.TypeName(name):
            found: Shape = known.get(_TYPES + name, Anything())
            return found
        case s.KindType(kind, dims):
            lengths = [_axes(dim, known) for dim in dims]
            axes = None if None in lengths else sum(length for length in lengths if length is not None)
            return Some(known.get(KIND) if kind == KIND else kind, axes)
        case s.BundleType((member,)):
            return built(member.type, known)
        case s.BundleType(members):
            return beside([built(member.type, known) for member in members])
        case s.PowerType(base, count):
            number = evaluated(formula(count), known)
            if number is None:
                return Sides()
            if not isinstance(number, int) or not 2 <= number <= 4096:
                raise Refused
            return beside([built(base, known)] * number)
        case s.Blank():
            return Anything()


def _axes(dim: s.Dim, known: Known) -> int | None:
    """How many axes a dimension of the right side comes to."""
    match dim:
        case s.Star(s.Name(name)):
            return _length(known, name)
        case s.Star(s.Call(s.Name("permuted"), (s.Argument(s.Name(run)), s.Argument(s.Name(order))))):
            length = _length(known, run)
            if length is not None and order in known:
                try:
                    permuted([1] * length, known[order])
                except Inapplicable:
                    raise Refused from None
            return length
        case s.Star():
            return None
        case _:
            return 1


def outcomes(operator: Operator, arguments: Mapping[str, Any], shape: Shape) -> set[Shape]:
    """What one overload may give for the types of a shape; `arguments` are those that are known."""
    tensors = not operator.routes
    found = set()
    for known in matches(operator.declaration.input, shape, dict(arguments), operator.names, tensors):
        try:
            if all(evaluated(guard, known) in (None, True) for guard in operator.guards):  # None: it is open
                found.add(built(operator.declaration.output, known))
        except Refused:
            continue
    return found


def arguments(operator: Operator, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that are known: given ones that are not open, and defaults that follow from them."""
    found: dict[str, Any] = {}
    for parameter in operator.parameters:
        if parameter.name in given:
            if given[parameter.name] is not OPEN:
                found[parameter.name] = given[parameter.name]
        elif parameter.default is not None:
            try:
                default = evaluated(parameter.default, found)
            except Refused:
                continue
            if default is not None:
                found[parameter.name] = default
    return found
