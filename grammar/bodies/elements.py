"""Element types in the bodies of operators: what may be computed with what, and what comes out.

A tensor is of float, int, bool or complex numbers; complex ones live inside a body only. Numbers of the
file have no type of their own: an integer fits every tensor, and a real one makes an int tensor float.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from ein.grammar.diagnostics import Span
from ein.grammar.numbers import Inapplicable

if TYPE_CHECKING:
    from ein.grammar.bodies.tensors import Step, Value

Operand: TypeAlias = "Value | float"

COMPARISONS = frozenset(("<", "<=", ">", ">=", "==", "!="))
CONNECTIVES = frozenset(("and", "or", "not"))
QUANTIFIERS = frozenset(("any", "all"))

_NUMBERS = ("float", "int", "complex")
_REAL = ("float", "int")
_ARITHMETIC = frozenset(("+", "-", "*", "/", "**", "neg"))
_APART = frozenset(("where", "complex", "real", "imag"))
"""Functions that do not leave floats floats."""
_OF_INTEGERS = frozenset(("abs", "sign", "relu"))
"""Functions that leave integers integers."""
_OF_COMPLEX = frozenset(("exp", "abs"))
_ORDER = ("int", "float", "complex")


def is_truth(step: Step) -> bool:
    """Whether a step says yes or no: as a number 1 and 0, unless it is about flags alone."""
    if step.op == "pointwise":
        return step.name in COMPARISONS or step.name in CONNECTIVES
    return step.op == "truth" or (step.op == "reduce" and step.name in QUANTIFIERS)


def only(name: str, values: Sequence[Value], wanted: Sequence[str], span: Span) -> None:
    """Raises Inapplicable unless all tensors are of one of the element types `wanted`."""
    for value in values:
        if value.element not in wanted:
            said = " or ".join(wanted)
            hint = "; `1.0 * x` makes it float" if value.element == "int" and "float" in wanted else ""
            raise Inapplicable(f"`{name}` computes with {said}, and this is {value.element}{hint}", span)


def promoted(operands: Sequence[Operand]) -> str:
    """The element type in which all operands can be computed with; of numbers alone: float."""
    found = [_of(operand) for operand in operands]
    if all(isinstance(operand, int | float) for operand in operands):
        return "float"
    return max(found, key=_ORDER.index)


def pointwise(name: str, operands: Sequence[Operand], span: Span) -> str:
    """The element type of what is computed element by element; raises Inapplicable where it cannot be."""
    tensors = [operand for operand in operands if not isinstance(operand, int | float)]
    if name not in _APART and all([tensor.element == "float" for tensor in tensors]):
        return "float"
    if name in CONNECTIVES:
        only(name, tensors, (*_REAL, "bool"), span)
        return truth(*(tensor.element for tensor in tensors))
    if name == "where":
        return _selected(operands, span)
    if name in COMPARISONS:
        only(name, tensors, _REAL, span)
        return tensors[0].element
    if name in _ARITHMETIC:
        only(name, tensors, _NUMBERS, span)
        return _of_arithmetic(name, operands, span)
    if name in ("//", "%", "minimum", "maximum", "clamp"):
        only(name, tensors, _REAL, span)
        return promoted(operands)
    if name == "complex":
        if len(tensors) < len(operands):
            raise Inapplicable("`complex` takes two tensors", span)
        only(name, tensors, ("float",), span)
        return "complex"
    if name in ("real", "imag"):
        only(name, tensors, ("complex",), span)
        return "float"
    allowed = ["float", *["int"] * (name in _OF_INTEGERS), *["complex"] * (name in _OF_COMPLEX)]
    only(name, tensors, allowed, span)
    return "float" if name == "abs" and tensors[0].element == "complex" else tensors[0].element


def reduced(name: str, value: Value, span: Span) -> str:
    """The element type of `name[axes](value)`."""
    match name:
        case "any" | "all":
            only(name, [value], (*_REAL, "bool"), span)
            return truth(value.element)
        case "argmax" | "argmin":
            only(name, [value], _REAL, span)
            return "int"
        case "sum" | "prod":
            only(name, [value], _NUMBERS, span)
        case "max" | "min":
            only(name, [value], _REAL, span)
        case "mean":
            only(name, [value], ("float", "complex"), span)
        case _:
            only(name, [value], ("float",), span)
    return value.element


def along(name: str, value: Value, span: Span) -> None:
    """Raises Inapplicable where `name[axis](value)` cannot be computed; the element type stays."""
    match name:
        case "softmax" | "log_softmax":
            only(name, [value], ("float",), span)
        case "cumsum" | "cumprod":
            only(name, [value], _NUMBERS, span)
        case "sort":
            only(name, [value], _REAL, span)
        case _:
            pass


def truth(*found: str) -> str:
    """What a truth about such elements is: of numbers a number, of flags a flag."""
    return next((element for element in _REAL if element in found), "bool")


def _of(operand: Operand) -> str:
    if isinstance(operand, int | float):
        return "int" if isinstance(operand, int) else "float"
    return operand.element


def _of_arithmetic(name: str, operands: Sequence[Operand], span: Span) -> str:
    found = promoted(operands)
    if found != "int":
        return found
    if name == "**" and isinstance(operands[1], int) and operands[1] < 0:
        raise Inapplicable("a negative power of integers; `1.0 * x` makes them float", span)
    return "float" if name == "/" else "int"


def _selected(operands: Sequence[Operand], span: Span) -> str:
    condition, *cases = operands
    if not isinstance(condition, int | float):
        only("where", [condition], (*_REAL, "bool"), span)
    tensors = [case for case in cases if not isinstance(case, int | float)]
    if tensors and all(case.element == "bool" for case in tensors) and len(tensors) == len(cases):
        return "bool"
    only("where", tensors, _NUMBERS, span)
    return promoted(cases)
