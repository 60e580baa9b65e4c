"""Bodies that are one word: `wires`, `rearrange`, `einsum`, `zeros`. What they do, the signature says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from ein.grammar.bodies.axes import Axes
from ein.grammar.bodies.contractions import dot
from ein.grammar.bodies.structure import stack, unstack
from ein.grammar.bodies.tensors import Tape, Value
from ein.grammar.diagnostics import EinError, fail
from ein.grammar.notation import syntax as s
from ein.grammar.numbers import Inapplicable
from ein.grammar.types import Bundle, ValueType, leaves

Named: TypeAlias = "Value | list[Any]"
"""An input with its axes named, or a bundle of such."""

_Block: TypeAlias = tuple[s.Type, range]
"""A part of a pattern that is moved as one, and the numbers of its tensors."""


def unwrap(type: s.Type) -> s.Type:
    """A bundle of one is its member."""
    return unwrap(type.members[0].type) if isinstance(type, s.BundleType) and len(type.members) == 1 else type


# --- wires


def route(declaration: s.OpDecl, env: Mapping[str, Any], input: ValueType, output: ValueType) -> list[int]:
    """Which tensor of the input each tensor of the output is.

    What has a name on the left has it on the right: as often in the same order; once for all copies; the last
    ones where the right has fewer; and of several the one that the operator's parameter counts, from 1.
    """
    have, wanted = _blocks(declaration.input, input, 0), _blocks(declaration.output, output, 0)
    found: list[int] = []
    taken: dict[s.Type, list[range]] = {}
    for label, _ in wanted:
        if label not in taken:
            ports = [where for each, where in have if each == label]
            taken[label] = _picked(declaration, env, ports, sum(each == label for each, _ in wanted))
        found += taken[label].pop(0)
    _check_sizes(declaration, found, input, output)
    return found


def _blocks(pattern: s.Type, type: ValueType, first: int) -> list[_Block]:
    pattern = unwrap(pattern)
    if isinstance(pattern, s.BundleType | s.PowerType) and isinstance(type, Bundle):
        found: list[_Block] = []
        for at, member in enumerate(type.members):
            inner = pattern.base if isinstance(pattern, s.PowerType) else pattern.members[at].type
            found += _blocks(inner, member, first)
            first += sum(1 for _ in leaves(member))
        return found
    return [(pattern, range(first, first + sum(1 for _ in leaves(type))))]


def _picked(declaration: s.OpDecl, env: Mapping[str, Any], ports: list[range], count: int) -> list[range]:
    if not ports:
        raise _no_wires(declaration, "something on the right does not stand on the left")
    if len(ports) == count or len(ports) == 1:
        return ports * (count // len(ports))
    if count > len(ports):
        raise _no_wires(declaration, f"{len(ports)} values cannot become {count}")
    if count > 1:
        return ports[-count:]
    if len(declaration.parameters) != 1:
        raise _no_wires(declaration, f"one of {len(ports)} is chosen by the only parameter, counted from 1")
    chosen = env[declaration.parameters[0].name]
    if not isinstance(chosen, int) or not 1 <= chosen <= len(ports):
        raise Inapplicable(f"there are {len(ports)} to choose from, and none has the number {chosen}")
    return [ports[chosen - 1]]


def _no_wires(declaration: s.OpDecl, why: str) -> EinError:
    help = "wires keep names: `t -> t`, `t ^ b -> t`, `(t, u) -> (u, t)`"
    return fail("E424", f"these wires do not follow from the signature: {why}", declaration.output.span, help=help)


def _check_sizes(declaration: s.OpDecl, found: Sequence[int], input: ValueType, output: ValueType) -> None:
    given, wanted = list(leaves(input)), list(leaves(output))
    for at, leaf in zip(found, wanted, strict=True):
        if (given[at].kind, given[at].sizes) != (leaf.kind, leaf.sizes):
            raise Inapplicable(f"a wire leads {given[at]!r} to {leaf!r}", declaration.output.span)


# --- what is computed with axes alone


def rearrange(declaration: s.OpDecl, tape: Tape, axes: Axes, given: Named) -> list[Value]:
    """Splits the grids of the left, orders as the right, merges its grids; `^ b` is an axis of copies."""
    left, right = unwrap(declaration.input), unwrap(declaration.output)
    value = _one_value(declaration, tape, left, given)
    if None in value.axes:
        raise fail("E418", "`rearrange` needs a name for every axis on the left", declaration.input.span)
    if isinstance(right, s.PowerType):
        name = _count(right)
        made = tape.arrange(value, [[name], *_groups(axes, unwrap(right.base), declaration)], declaration.output.span)
        return unstack(tape, [name], made, declaration.output.span)
    return [tape.arrange(value, _groups(axes, right, declaration), declaration.output.span)]


def _one_value(declaration: s.OpDecl, tape: Tape, left: s.Type, given: Named) -> Value:
    """The input as one tensor, of a bundle with an axis for its members in front."""
    if isinstance(given, Value):
        return given
    if not isinstance(left, s.PowerType) or not all(isinstance(each, Value) for each in given):
        raise fail("E418", "`rearrange` takes one tensor, or equal ones: `t ^ b`", declaration.input.span)
    return stack(tape, [_count(left)], given, declaration.input.span)


def _count(type: s.PowerType) -> str:
    if not isinstance(type.count, s.Name):
        raise fail("E418", "here the number of tensors needs a name: `seq[l, d] ^ b`", type.span)
    return type.count.name


def _groups(axes: Axes, type: s.Type, declaration: s.OpDecl) -> list[list[str | None]]:
    if not isinstance(type, s.KindType):
        raise fail("E418", "the right side names the axes of one tensor", declaration.output.span)
    return [[name for name, _ in group] for dim in type.dims for group in axes.dim_axes(dim, 0)]


def einsum(declaration: s.OpDecl, tape: Tape, axes: Axes, given: Named) -> Value:
    """The product of the inputs, summed over the axes that the right side does not have."""
    values = [given] if isinstance(given, Value) else given
    if not all(isinstance(each, Value) for each in values):
        raise fail("E418", "`einsum` takes tensors side by side", declaration.input.span)
    groups = _groups(axes, unwrap(declaration.output), declaration)
    kept = {name for group in groups for name in group}
    names = dict.fromkeys(axis for value in values for axis in value.axes)
    if None in names:
        raise fail("E418", "`einsum` needs a name for every axis on the left", declaration.input.span)
    summed = [name for name in names if name is not None and name not in kept]
    return tape.arrange(dot(tape, summed, values, declaration.span), groups, declaration.output.span)


def zeros(tape: Tape, input: Value, output: ValueType) -> list[Value]:
    """As many examples as the input has, and nothing of what it holds."""
    made = []
    for leaf in leaves(output):
        none = (None,) * len(leaf.sizes)
        made.append(tape.value("zeros", [input], none, leaf.sizes, element=leaf.element))
    return made
