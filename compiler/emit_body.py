"""One step of an operator's body as a Python expression over its operands.

Axes of a step are counted without the batch; a value that depends on the input has the batch in front.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
from ein.grammar.tensors import Step
from ein.grammar.vetted import FUNCTIONS, LAYERS, Required

COMPARISONS = frozenset(("<", "<=", ">", ">=", "==", "!="))
ATTENTION = "F.scaled_dot_product_attention"
_INFIX = {"+": SUM, "-": SUM, "*": PRODUCT, "/": PRODUCT, "%": PRODUCT}
_FUNCTIONAL = frozenset(("relu", "gelu", "silu", "softplus"))
_REDUCTIONS = {"sum": "sum", "mean": "mean", "max": "amax", "min": "amin", "logsumexp": "logsumexp", "var": "var"}


def expression(step: Step, operands: Sequence[Step], attribute: str = "") -> Expression:
    """`operands` are the steps of `step.inputs`; `attribute` is the name in the class of a layer or parameter.

    A comparison is boolean here. The language has no truth values: but as the condition of `where`, a comparison
    is used through a step `cast` of it and of a tensor whose element type it gets.
    """
    match step.op:
        case "weight":
            return Expression(f"self.{attribute}")
        case "number":
            text = number(step.argument("value"))
            return Expression(text, UNARY if text.startswith("-") else ATOM)
        case "layer":
            return Expression(Group(f"self.{attribute}", (Hole(0),)))
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
            return Expression(Group(name, (parts, f"dim={_axis(step, step.argument('axis'))}")))
        case "part":
            return Expression(Row((chunks(step).doc, f"[{step.argument('index')}]")))
        case _:
            return _view(step, operands[0])


def _attention_of_one_head(step: Step) -> Expression:
    """With an axis for the head: torch's fused kernels take four axes, and three go a slower way."""
    operands = [Row((Hole(i, ATOM), "[:, None]")) for i in range(len(step.inputs))]
    return Expression(Row((Group(step.name, (*operands, *arguments(step))), "[:, 0]")))


def chunks(step: Step) -> Expression:
    """All the parts that a `part` step takes one of."""
    return _method("chunk", str(step.argument("of")), f"dim={_axis(step, step.argument('axis'))}")


def layer(step: Step) -> Group:
    """The constructor of a `layer` step."""
    return Group(step.name, tuple(arguments(step)))


def arguments(step: Step) -> list[Doc]:
    """Arguments of a layer or function: by position without a default, by name where they differ from it."""
    row = FUNCTIONS[step.name] if step.op == "function" else LAYERS[step.name]
    given = dict(step.arguments)
    made: list[Doc] = []
    for name, _, default in row.parameters:
        if isinstance(default, Required):
            made.append(_literal(given[name]))
        elif given[name] != default:
            made.append(f"{name}={_literal(given[name])}")
    return made


def _literal(value: Any) -> str:
    match value:
        case bool() | None:
            return str(value)
        case str():
            return f'"{value}"'
        case _:
            return number(value)


def _axis(step: Step, axis: int) -> int:
    return axis + step.batched


def _method(name: str, *arguments: Doc) -> Expression:
    return Expression(Group(Row((Hole(0, ATOM), f".{name}")), arguments))


# --- element by element


def _pointwise(step: Step, operands: Sequence[Step]) -> Expression:
    name = step.name
    if name in _INFIX:
        binding = _INFIX[name]
        return Expression(Row((Hole(0, binding), f" {name} ", Hole(1, binding + 1))), binding)
    match name:
        case "**":
            return Expression(Power(Hole(0, ATOM), Hole(1, UNARY)), POWER)
        case "//":  # torch's floor_divide has no derivative
            return Expression(Group("torch.floor", (Row((Hole(0, PRODUCT), " / ", Hole(1, PRODUCT + 1))),)))
        case "neg":
            return Expression(Row(("-", Hole(0, UNARY))), UNARY)
        case "minimum" | "maximum":
            return _bound(name, operands)
        case "clamp":
            return _clamp(operands)
        case "where":
            return _where(operands)
    if name in COMPARISONS:
        return Expression(Row((Hole(0, SUM), f" {name} ", Hole(1, SUM))), COMPARISON)
    return Expression(Group(f"{'F' if name in _FUNCTIONAL else 'torch'}.{name}", (Hole(0),)))


def is_comparison(step: Step) -> bool:
    return step.op == "pointwise" and step.name in COMPARISONS


def cast(comparison: int, like: int, step: Step) -> Step:
    """The comparison `step`, which is value `comparison`, as 0 and 1 of the element type of the value `like`."""
    return Step("cast", (comparison, like), step.sizes, batched=step.batched)


def _where(operands: Sequence[Step]) -> Expression:
    """Numbers become floats: of two integers torch would make a tensor of integers."""
    condition = Hole(0) if is_comparison(operands[0]) else Row((Hole(0, SUM), " != 0"))
    rest = (number(float(o.argument("value"))) if o.op == "number" else Hole(i) for i, o in enumerate(operands) if i)
    return Expression(Group("torch.where", (condition, *rest)))


def _clamp(operands: Sequence[Step]) -> Expression:
    x, low, high = operands
    if x.op != "number" and low.op == high.op == "number":
        return _method("clamp", number(low.argument("value")), number(high.argument("value")))
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
    axes = tuple(_axis(step, axis) for axis in step.argument("axes"))
    if not axes:
        return _reduce_nothing(step)
    dim = _dims(axes, len(step.sizes) + len(axes) + step.batched)
    match step.name:
        case "prod":
            doc: Doc = Hole(0, ATOM)
            for axis in reversed(axes):
                doc = Group(Row((doc, ".prod")), (str(axis),))
            return Expression(doc)
        case "norm":
            return Expression(Group("torch.linalg.vector_norm", (Hole(0), f"dim={dim}")))
        case "var":
            return _method("var", dim, "correction=0")
        case name:
            return _method(_REDUCTIONS[name], dim)


def _reduce_nothing(step: Step) -> Expression:
    """Over a run of no axes. Torch would take none for all."""
    match step.name:
        case "norm":
            return Expression(Group("torch.abs", (Hole(0),)))
        case "var":
            return Expression(Group("torch.zeros_like", (Hole(0),)))
        case _:
            return Expression(Hole(0))


def _dims(axes: tuple[int, ...], rank: int) -> str:
    """The last axis of several is -1."""
    if len(axes) == 1:
        return str(axes[0]) if axes[0] < rank - 1 or not axes[0] else "-1"
    return str(axes)


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


# --- shape


def _view(step: Step, operand: Step) -> Expression:
    match step.op:
        case "cast":
            return Expression(Group(Row((Hole(0, ATOM), ".type_as")), (Hole(1),)))
        case "along":
            dim = _dims((_axis(step, step.argument("axis")),), len(step.sizes) + step.batched)
            return _method("flip", dim) if step.name == "flip" else _method(step.name, dim)
        case "permute":
            return _permute(step)
        case "unflatten":
            return _method("unflatten", str(_axis(step, step.argument("axis"))), str(step.argument("sizes")))
        case "flatten":
            first, last = step.argument("first"), step.argument("last")
            to_the_end = last == len(operand.sizes) - 1
            axes = (_axis(step, first),) if to_the_end else (_axis(step, first), _axis(step, last))
            return _method("flatten", *map(str, axes))
        case "unsqueeze":
            return _unsqueeze(step)
        case "expand":
            return _method("expand", Row((Hole(1, ATOM), ".shape[0]")), *["-1"] * len(step.sizes))
        case "index":
            entries = [":"] * _axis(step, step.argument("axis")) + [str(step.argument("at"))]
            return Expression(Row((Hole(0, ATOM), f"[{', '.join(entries)}]")))
    raise ValueError(f"a step `{step.op}` has no expression")


def _permute(step: Step) -> Expression:
    order = tuple(_axis(step, axis) for axis in step.argument("order"))
    order = (0, *order) if step.batched else order
    moved = [axis for axis, source in enumerate(order) if axis != source]
    if len(moved) == 2:
        return _method("transpose", *map(str, moved))
    return _method("permute", *map(str, order))


def _unsqueeze(step: Step) -> Expression:
    """`x[:, None]`; of the axes that stay whole the last ones are left out, or `...` stands for the first ones."""
    axes = {_axis(step, axis) for axis in step.argument("axes")}
    rank = len(step.sizes) + step.batched
    entries = ["None" if axis in axes else ":" for axis in range(rank)]
    while entries[-1] == ":":
        entries.pop()
    whole = entries.index("None")
    if whole > 1 and len(entries) == rank and ":" not in entries[whole:]:
        entries = ["...", *entries[whole:]]
    return Expression(Row((Hole(0, ATOM), f"[{', '.join(entries)}]")))
