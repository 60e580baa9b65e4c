"""One step of an operator's body as a Python expression over its operands.

Axes of a step are counted without the batch; a value that depends on the input has the batch in front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ein.compiler.emit_forms import axis_of, dims, form, method
from ein.compiler.emit_host import application
from ein.compiler.fillings import drawn
from ein.compiler.memo import per_step
from ein.compiler.source import (
    ATOM,
    COMPARISON,
    POWER,
    PRODUCT,
    SUM,
    UNARY,
    Doc,
    Expression,
    Group,
    Hole,
    Power,
    Row,
    number,
)
from ein.compiler.symbols import real
from ein.grammar.bodies.elements import COMPARISONS, is_truth
from ein.grammar.bodies.tensors import Step
from ein.grammar.bodies.vetted import FUNCTIONS, LAYERS, Required

ATTENTION = "F.scaled_dot_product_attention"
_INFIX = {"+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT, "%": PRODUCT}
_FUNCTIONAL = frozenset(("relu", "gelu", "silu", "softplus"))
_REDUCTIONS = {"sum": "sum", "mean": "mean", "max": "amax", "min": "amin", "logsumexp": "logsumexp", "var": "var"}


ATTRIBUTE = Hole(-1)
"""Where the name stands that a layer, parameter or buffer has in the class."""

_LOOKING = frozenset("and or not minimum maximum clamp where einsum zeros flatten copies slice lookup truth".split())
"""Names and operators of steps whose expression depends on the steps that they read."""


def looks(step: Step) -> bool:
    """Whether its expression depends on more than the step."""
    return step.op in _LOOKING or step.name in _LOOKING


def expression(step: Step, operands: Sequence[Step]) -> Expression:
    """`operands` are the steps that it reads.

    A comparison is boolean here. The language has no truth values: but as the condition of `where`, a comparison
    is used through a step `cast` of it and of a tensor whose element type it gets.
    """
    match step.op:
        case "weight" | "buffer":
            return Expression(ATTRIBUTE)
        case "draw":
            return drawn(step)
        case "number":
            text = number(step.argument("value"))
            return Expression(text, UNARY if text.startswith("-") else ATOM)
        case "host":
            return application(step, ATTRIBUTE)
        case "call":
            return Expression(Group(ATTRIBUTE, tuple(map(Hole, range(len(operands))))))
        case "layer":
            applied = Group(ATTRIBUTE, tuple(map(Hole, range(len(operands)))))
            return Expression(Row((applied, "[0]")) if LAYERS[step.name].several_results else applied)
        case "function" if step.name == ATTENTION and len(step.sizes) == 2:
            return _attention_of_one_head(step)
        case "function":
            return Expression(Group(step.name, (*map(Hole, range(len(operands))), *arguments(step))))
        case "pointwise":
            return _pointwise(step, operands)
        case "reduce":
            return _reduce(step)
        case "einsum":
            return _einsum(step, operands)
        case "concat" | "stack":
            parts = Group("", tuple(Hole(i) for i in range(len(operands))), "[]")
            name = "torch.cat" if step.op == "concat" else "torch.stack"
            return Expression(Group(name, (parts, f"dim={axis_of(step, step.argument('axis'))}")))
        case "part" if step.name == "unbind":
            at = replace(step, op="index", arguments=(("axis", step.argument("axis")), ("at", step.argument("index"))))
            return form(at, operands)
        case "part":
            return Expression(Row((chunks(step).doc, f"[{step.argument('index')}]")))
        case "eye" | "svd" | "qr" | "item" | "scan" | "carried" | "each" | "filled":
            return _of_lines(step)
        case _:
            return form(step, operands)


def _attention_of_one_head(step: Step) -> Expression:
    """With an axis for the head: torch's fused kernels take four axes, and three go a slower way."""
    operands = [Row((Hole(i, ATOM), "[:, None]")) for i in range(len(step.inputs))]
    return Expression(Row((Group(step.name, (*operands, *arguments(step))), "[:, 0]")))


def _of_lines(step: Step) -> Expression:
    """Steps that only the lines of a body make: starts, and what stands around a loop."""
    match step.op:
        case "eye":
            return Expression(Group("torch.eye", tuple(map(str, dict.fromkeys(step.sizes)))))
        case "svd":
            return Expression(Group("torch.linalg.svd", (Hole(0), "full_matrices=False")))
        case "qr":
            return Expression(Group("torch.linalg.qr", (Hole(0),)))
        case "item":
            return Expression(Row((Hole(0, ATOM), f"[{step.argument('which')}]")))
        case "each":
            return method("unbind", str(axis_of(step, step.argument("axis"))))
        case "filled":
            return _filled(step)
        case _:
            return Expression(Row(tuple(Hole(i) for i in range(len(step.inputs)))) if step.op == "scan" else Hole(0))


def _filled(step: Step) -> Expression:
    """For as many examples as the second operand has, in the element type of the first."""
    sizes: list[Doc] = [Row((Hole(1, ATOM), ".shape[0]"))] if step.batched else []
    sizes += map(str, step.sizes)
    value = step.argument("value")
    if value in (0.0, 1.0):
        return method("new_ones" if value else "new_zeros", *(sizes or ["()"]))
    shape = Row(("(", sizes[0], ",)")) if len(sizes) == 1 else Group("", tuple(sizes))
    return method("new_full", shape, number(value))


def stacked(step: Step) -> Expression:
    """All that a state of a scan is left as, from the list of it."""
    return Expression(Group("torch.stack", (Hole(0), *([f"dim={int(step.batched)}"] if step.batched else []))))


def chunks(step: Step) -> Expression:
    """All the parts that a `part` step takes one of."""
    if step.name == "unbind":
        return method("unbind", str(axis_of(step, step.argument("axis"))))
    return method("chunk", str(step.argument("of")), f"dim={axis_of(step, step.argument('axis'))}")


@per_step
def layer(step: Step) -> Group:
    """The constructor of a `layer` step."""
    return Group(step.name, tuple(arguments(step)))


def arguments(step: Step) -> list[Doc]:
    """Arguments of a layer or function: by position without a default, by name where they differ from it."""
    row = FUNCTIONS[step.name] if step.op == "function" else LAYERS[step.name]
    given = dict(step.arguments)
    made: list[Doc] = []
    by_position = True
    for name, _, default in row.parameters:
        by_position = by_position and isinstance(default, Required)
        if by_position:
            made.append(_literal(given[name]))
        elif given[name] != default:
            made.append(f"{name}={_literal(given[name])}")
    return [*made, *(f"{name}={_literal(value)}" for name, value in row.fixed)]


def _literal(value: Any) -> str:
    match value:
        case bool() | None:
            return str(value)
        case str():
            return f'"{value}"'
        case _:
            return number(value)


# --- element by element


def _pointwise(step: Step, operands: Sequence[Step]) -> Expression:
    name = step.name
    if name in _INFIX:
        binding = _INFIX[name]
        return Expression(Row((Hole(0, binding), f" {name} ", Hole(1, binding + 1))), binding)
    match name:
        case "**":
            return Expression(Power(Hole(0, ATOM), Hole(1, UNARY)), POWER)
        case "//" if step.element == "int":
            return Expression(Row((Hole(0, PRODUCT), " // ", Hole(1, PRODUCT + 1))), PRODUCT)
        case "and" | "or":
            sign = " & " if name == "and" else " | "
            return Expression(Row((_truth(0, operands), sign, _truth(1, operands))), COMPARISON)
        case "not":
            return Expression(Row(("~", _truth(0, operands))), UNARY)
        case "real" | "imag":
            return Expression(Row((Hole(0, ATOM), f".{name}")))
        case "complex":
            return Expression(Group("torch.complex", (Hole(0), Hole(1))))
        case "//":  # torch's floor_divide has no derivative
            return Expression(Group("torch.floor", (Row((Hole(0, PRODUCT), " / ", Hole(1, PRODUCT + 1))),)))
        case "neg":
            return Expression(Row(("-", Hole(0, ATOM))), UNARY)
        case "minimum" | "maximum":
            return _bound(name, operands)
        case "clamp":
            return _clamp(operands)
        case "where":
            return _where(step, operands)
    if name in COMPARISONS:
        return Expression(Row((Hole(0, SUM), f" {name} ", Hole(1, SUM))), COMPARISON)
    return Expression(Group(f"{'F' if name in _FUNCTIONAL else 'torch'}.{name}", (Hole(0),)))


def cast(step: Step) -> Step:
    """Reads the truth `step` and another tensor: the truth as 0 and 1 of the element type of that."""
    return Step("cast", (0, 1), step.sizes, batched=step.batched, element=step.element)


def _where(step: Step, operands: Sequence[Step]) -> Expression:
    """Numbers become floats, unless all is of integers: of two integers torch would make a tensor of integers."""
    condition = Hole(0) if _says(operands[0]) else Row((Hole(0, SUM), " != 0"))
    rest: list[Doc] = [Hole(1), Hole(2)]
    for i, operand in enumerate(operands):
        if i and operand.op == "number" and step.element != "int":
            rest[i - 1] = number(real(operand.argument("value")))
    return Expression(Group("torch.where", (condition, *rest)))


def _says(step: Step) -> bool:
    """Whether the step is boolean as it is written."""
    return is_truth(step) or step.element == "bool"


def _truth(index: int, operands: Sequence[Step]) -> Doc:
    """An operand of `&`, which binds more tightly than a comparison."""
    return Hole(index, SUM) if _says(operands[index]) else Row(("(", Hole(index, SUM), " != 0)"))


def _clamp(operands: Sequence[Step]) -> Expression:
    x, low, high = operands
    if x.op != "number" and low.op == high.op == "number":
        return method("clamp", number(low.argument("value")), number(high.argument("value")))
    inner = _bound("maximum", (x, low), (Hole(0, ATOM), Hole(1, ATOM)))
    if x.op == low.op == "number":
        inner = Expression(number(max(x.argument("value"), low.argument("value"))))
        return _bound("minimum", (x, high), (inner.doc, Hole(2, ATOM)))
    return _bound("minimum", (Step("clamp", (), ()), high), (inner.doc, Hole(2, ATOM)))


def _bound(name: str, operands: Sequence[Step], places: tuple[Doc, Doc] = (Hole(0, ATOM), Hole(1, ATOM))) -> Expression:
    """`minimum` or `maximum` of two, of which one may be a number."""
    for i, operand in enumerate(operands):
        if operand.op == "number":
            keyword = "max" if name == "minimum" else "min"
            literal = places[i] if isinstance(places[i], str) else number(operand.argument("value"))
            return Expression(Group(Row((places[1 - i], ".clamp")), (f"{keyword}={literal}",)))
    return Expression(Group(f"torch.{name}", places))


# --- across axes


def _reduce(step: Step) -> Expression:
    axes = tuple(axis_of(step, axis) for axis in step.argument("axes"))
    if not axes:
        return _reduce_nothing(step)
    dim = dims(axes, len(step.sizes) + len(axes) + step.batched)
    match step.name:
        case "argmax" | "argmin" | "any" | "all":
            return method(step.name, dim)
        case "prod":
            doc: Doc = Hole(0, ATOM)
            for axis in reversed(axes):
                doc = Group(Row((doc, ".prod")), (str(axis),))
            return Expression(doc)
        case "norm":
            return Expression(Group("torch.linalg.vector_norm", (Hole(0), f"dim={dim}")))
        case "var":
            return method("var", dim, "correction=0")
        case name:
            return method(_REDUCTIONS[name], dim)


def _reduce_nothing(step: Step) -> Expression:
    """Over a run of no axes. Torch would take none for all."""
    match step.name:
        case "norm":
            return Expression(Group("torch.abs", (Hole(0),)))
        case "var":
            return Expression(Group("torch.zeros_like", (Hole(0),)))
        case _:
            return Expression(Hole(0))


def _einsum(step: Step, operands: Sequence[Step]) -> Expression:
    """A matrix product where it is one, else einsum; `b` stands for the batch."""
    terms, result = step.argument("letters")
    if len(operands) == 2:
        product = _matrix_product(terms, result, operands[1].batched)
        if product is not None:
            return product
    written = [f"{'b' * operand.batched}{term}" for operand, term in zip(operands, terms, strict=True)]
    equation = f'"{",".join(written)}->{"b" * step.batched}{result}"'
    return Expression(Group("torch.einsum", (equation, *(Hole(i) for i in range(len(operands))))))


def _matrix_product(terms: tuple[str, str], result: str, batched: bool) -> Expression | None:
    """`x[…, i, k]` with `y[…, k, j]` or `y[…, j, k]`, or with a matrix of weights, summed over `k`."""
    left, right = terms
    if len(set(left)) < len(left) or len(set(right)) < len(right):
        return None
    run = left[:-2] if batched else left[:-1]
    if not batched:
        if len(right) != 2 or left[-1:] not in right or not left:
            return None
        other = right.replace(left[-1], "")
        if result != run + other:
            return None
        if right == other + left[-1]:
            return Expression(Group("F.linear", (Hole(0), Hole(1))))
        return Expression(Row((Hole(0, PRODUCT), " @ ", Hole(1, PRODUCT + 1))), PRODUCT)
    if len(left) < 2 or len(right) != len(left) or right[:-2] != run or len(result) != len(left):
        return None
    summed = set(left[-2:]) & set(right[-2:])
    if len(summed) != 1 or result[:-2] != run:
        return None
    k = summed.pop()
    i, j = left[-2:].replace(k, ""), right[-2:].replace(k, "")
    if result[-2:] != i + j:
        return None
    first: Doc = Hole(0, PRODUCT) if left.endswith(k) else Row((Hole(0, ATOM), ".mT"))
    second: Doc = Hole(1, PRODUCT + 1) if right.endswith(j) else Row((Hole(1, ATOM), ".mT"))
    return Expression(Row((first, " @ ", second)), PRODUCT)
