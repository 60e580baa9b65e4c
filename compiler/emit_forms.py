"""Steps that look at tensors another way, choose from them, or transform them, as Python expressions."""

from __future__ import annotations

from collections.abc import Sequence

from ein.compiler.source import ATOM, COMPARISON, PRODUCT, Doc, Expression, Group, Hole, Row, number
from ein.compiler.symbols import Whole
from ein.grammar.bodies.elements import is_truth
from ein.grammar.bodies.tensors import Step

_CHANNELS = {2: "F.dropout1d", 3: "F.dropout2d", 4: "F.dropout3d"}
"""By the number of axes: dropout of the first one, channels."""


def axis_of(step: Step, axis: int) -> int:
    return axis + step.batched


def method(name: str, *arguments: Doc) -> Expression:
    return Expression(Group(Row((Hole(0, ATOM), f".{name}")), arguments))


def dims(axes: tuple[int, ...], rank: int) -> str:
    """The last axis of several is -1."""
    if len(axes) == 1:
        return str(axes[0]) if axes[0] < rank - 1 or not axes[0] else "-1"
    return str(axes)


def form(step: Step, operands: Sequence[Step]) -> Expression:
    """`operands` are the steps of `step.inputs`; raises ValueError for a step that is written otherwise."""
    match step.op:
        case "cast" if step.element == "int":
            return method("long")
        case "cast":
            return Expression(Group(Row((Hole(0, ATOM), ".type_as")), (Hole(1),)))
        case "truth":
            truth = is_truth(operands[0])
            return Expression(Hole(0)) if truth else Expression(Row((Hole(0, ATOM), " != 0")), COMPARISON)
        case "whole":
            return method("long")
        case "as_float":
            return method("float")
        case "range":
            return Expression(Group("torch.arange", tuple(map(str, step.sizes))))
        case "zeros":
            return _zeros(step, operands[0])
        case "permute" | "unflatten" | "flatten" | "unsqueeze" | "broadcast" | "expand" | "copies":
            return _view(step, operands[0])
        case "index" | "slice" | "lookup" | "take" | "topk" | "one_hot" | "examples":
            return _chosen(step, operands[0])
        case _:
            return _transformed(step, operands[0])


def _zeros(step: Step, operand: Step) -> Expression:
    if step.element == operand.element:
        if step.sizes == operand.sizes:
            return Expression(Group("torch.zeros_like", (Hole(0),)))
        return method("new_zeros", Row((Hole(0, ATOM), ".shape[0]")), *map(str, step.sizes))
    dtype = [f"dtype=torch.{'long' if step.element == 'int' else 'bool'}"] if step.element != "float" else []
    examples, device = Row((Hole(0, ATOM), ".shape[0]")), Row(("device=", Hole(0, ATOM), ".device"))
    return Expression(Group("torch.zeros", (examples, *map(str, step.sizes), *dtype, device)))


# --- views


def _view(step: Step, operand: Step) -> Expression:
    match step.op:
        case "permute":
            return _permute(step)
        case "unflatten":
            return method("unflatten", str(axis_of(step, step.argument("axis"))), _parts(step.argument("sizes")))
        case "flatten":
            first, last = step.argument("first"), step.argument("last")
            to_the_end = last == len(operand.sizes) - 1
            axes = (axis_of(step, first),) if to_the_end else (axis_of(step, first), axis_of(step, last))
            return method("flatten", *map(str, axes))
        case "unsqueeze":
            return _unsqueeze(step)
        case "broadcast":
            return method("expand", *["-1"] * step.batched, *map(str, step.sizes))
        case "copies":
            rest = ["-1"] * len(operand.sizes)
            if not step.batched:
                return method("expand", str(step.argument("count")), *rest)
            beside = Row((Hole(0, ATOM), "[:, None].expand"))
            return Expression(Group(beside, ("-1", str(step.argument("count")), *rest)))
        case _:
            return method("expand", Row((Hole(1, ATOM), ".shape[0]")), *["-1"] * len(step.sizes))


def _parts(sizes: tuple[int, ...]) -> str:
    """Of what is split; torch finds the last one that has a name itself."""
    named = [at for at, size in enumerate(sizes) if isinstance(size, Whole)]
    return str(tuple("?" if at in named[-1:] else size for at, size in enumerate(sizes))).replace("'?'", "-1")


def _permute(step: Step) -> Expression:
    order = tuple(axis_of(step, axis) for axis in step.argument("order"))
    order = (0, *order) if step.batched else order
    moved = [axis for axis, source in enumerate(order) if axis != source]
    if len(moved) == 2:
        return method("transpose", *map(str, moved))
    return method("permute", *map(str, order))


def _unsqueeze(step: Step) -> Expression:
    """`x[:, None]`; of the axes that stay whole the last ones are left out, or `...` stands for the first ones."""
    axes = {axis_of(step, axis) for axis in step.argument("axes")}
    rank = len(step.sizes) + step.batched
    entries = ["None" if axis in axes else ":" for axis in range(rank)]
    while entries[-1] == ":":
        entries.pop()
    whole = entries.index("None")
    if whole > 1 and len(entries) == rank and ":" not in entries[whole:]:
        entries = ["...", *entries[whole:]]
    return _indexed(*entries)


def _indexed(*entries: Doc) -> Expression:
    """`x[entries]`."""
    return Expression(Group(Hole(0, ATOM), entries, "[]"))


# --- choices


def _chosen(step: Step, operand: Step) -> Expression:
    match step.op:
        case "index":
            return _indexed(*[":"] * axis_of(step, step.argument("axis")), str(step.argument("at")))
        case "slice":
            return _slice(step, operand)
        case "lookup":
            whole = step.argument("axis") + int(operand.batched and not step.argument("examples"))
            return _indexed(*[":"] * whole, *(Hole(i) for i in range(1, len(step.inputs))))
        case "take":
            return method("gather", str(axis_of(step, step.argument("axis"))), Hole(1))
        case "topk":
            dim = dims((axis_of(step, step.argument("axis")),), len(step.sizes) + step.batched)
            return _attribute("topk", (str(step.argument("count")), f"dim={dim}"), "indices")
        case "one_hot":
            return Expression(Group("F.one_hot", (Hole(0), str(step.argument("count")))))
        case _:
            count: Doc = Row((Hole(0, ATOM), ".shape[0]"))
            made = Group("torch.arange", (count, Row(("device=", Hole(0, ATOM), ".device"))))
            beside = f"[{', '.join([':'] + ['None'] * len(step.sizes))}]" if step.sizes else ""
            return Expression(Row((made, beside)) if beside else made)


def _slice(step: Step, operand: Step) -> Expression:
    axis, first, end = step.argument("axis"), step.argument("first"), step.argument("end")
    size = operand.sizes[axis]
    written = f"{first or ''}:{end if end < size else ''}"
    at = axis_of(step, axis)
    if at > 1 and axis == len(step.sizes) - 1:
        return _indexed("...", written)
    return _indexed(*[":"] * at, written)


def _attribute(name: str, arguments: tuple[Doc, ...], attribute: str) -> Expression:
    """`x.name(arguments).attribute`."""
    return Expression(Row((method(name, *arguments).doc, f".{attribute}")))


# --- along axes


def _transformed(step: Step, operand: Step) -> Expression:
    match step.op:
        case "along":
            dim = dims((axis_of(step, step.argument("axis")),), len(step.sizes) + step.batched)
            return _attribute("sort", (dim,), "values") if step.name == "sort" else method(step.name, dim)
        case "pad":
            behind = len(step.sizes) - 1 - step.argument("axis")
            ends = ", ".join(map(str, [0, 0] * behind + [step.argument("before"), step.argument("after")]))
            return Expression(Group("F.pad", (Hole(0), f"({ends})")))
        case "windows":
            at = axis_of(step, step.argument("axis"))
            return method("unfold", str(at), str(step.argument("size")), str(step.argument("by")))
        case "roll":
            return method("roll", str(step.argument("by")), str(axis_of(step, step.argument("axis"))))
        case "spectrum":
            return _spectrum(step)
        case "dropout":
            return _dropout(step)
    raise ValueError(f"a step `{step.op}` has no expression")


def _spectrum(step: Step) -> Expression:
    axes = tuple(axis_of(step, axis) for axis in step.argument("axes"))
    name = f"torch.fft.{step.name}{'n' * (len(axes) > 1)}"
    size = [f"n={step.argument('size')}"] if step.argument("size") is not None else []
    return Expression(Group(name, (Hole(0), *size, f"dim={dims(axes, len(step.sizes) + step.batched)}")))


def _dropout(step: Step) -> Expression:
    """By torch's word for it where it has one, else by a mask that is spread over the axes."""
    axes, rank = step.argument("axes"), len(step.sizes)
    rest = (number(step.argument("p")), "self.training")
    if not axes:
        return Expression(Group("F.dropout", (Hole(0), *rest)))
    if axes == tuple(range(1, rank)) and rank in _CHANNELS:
        return Expression(Group(_CHANNELS[rank], (Hole(0), *rest)))
    entries = [":", *(":1" if axis in axes else ":" for axis in range(rank))]
    while entries[-1] == ":":
        entries.pop()
    like = Group("torch.ones_like", (Group(Hole(0, ATOM), tuple(entries), "[]"),))
    return Expression(Row((Hole(0, ATOM), " * ", Group("F.dropout", (like, *rest)))), PRODUCT)
