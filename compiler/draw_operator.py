"""How a use of an operator is shown: its group with a style, and types and costs as words."""

from __future__ import annotations

from enum import Enum

from ein.compiler.draw_dot import Style
from ein.grammar.cfg import Applied, Cost
from ein.grammar.types import Size, Tensor, ValueType, leaves

LAYOUT_STEPS = frozenset({"input", "permute", "unflatten", "flatten", "unsqueeze"})
LAYOUT_FUNCTIONS = frozenset({"F.unfold", "F.fold", "F.pixel_shuffle", "F.pixel_unshuffle", "F.channel_shuffle"})


class Group(Enum):
    """The four of einspace (Ericsson et al., 2024, section 3)."""

    BRANCHING = "branching"
    AGGREGATION = "aggregation"
    ROUTING = "routing"
    COMPUTATION = "computation"


# The colours of Okabe and Ito, as tints that differ in lightness too; routing is dashed.
STYLES = {
    Group.BRANCHING: Style("#fde3b0", "#9a6500"),
    Group.AGGREGATION: Style("#a6d9c7", "#00634a"),
    Group.ROUTING: Style("#f4f4f4", "#5c5c5c", "filled,rounded,dashed"),
    Group.COMPUTATION: Style("#d3e8f7", "#005a94"),
}


def group(applied: Applied) -> Group:
    """By signature first: one value to several branches, several to fewer aggregate; then by the body."""
    before, after = len(list(leaves(applied.input))), len(list(leaves(applied.output)))
    if after > before:
        return Group.BRANCHING
    if applied.operator.routes:
        return Group.ROUTING
    if after < before:
        return Group.AGGREGATION
    return Group.ROUTING if _moves_only(applied) else Group.COMPUTATION


def _moves_only(applied: Applied) -> bool:
    """Whether the body changes the place of values and nothing else."""
    return all(
        step.op in LAYOUT_STEPS or (step.op == "function" and step.name in LAYOUT_FUNCTIONS)
        for step in applied.body.steps
    )


def type_text(value: ValueType) -> str:
    """`im 64 x 32 x 32`, `seq (16·16) x 48`, `4 of im 64 x 8 x 8`, `(vec 3, vec 5)`."""
    if isinstance(value, Tensor):
        return f"{value.kind} {' x '.join(map(_size_text, value.shape))}".rstrip()
    first = value.members[0]
    if all(member is first for member in value.members):
        return f"{len(value.members)} of {type_text(first)}"
    return f"({', '.join(map(type_text, value.members))})"


def _size_text(size: Size) -> str:
    return str(size) if isinstance(size, int) else f"({'·'.join(map(_size_text, size))})"


def amount(number: int) -> str:
    """Three digits and a magnitude: `950`, `1.23 K`, `11.7 M`, `4.1 G`."""
    value = float(number)
    for unit in ("", " K", " M", " G", " T"):
        if value < 999.5 or unit == " T":
            break
        value /= 1000
    digits = f"{value:.3g}" if value < 999.5 else f"{value:.0f}"
    return f"{digits}{unit}"


def cost_text(cost: Cost) -> str:
    """`36.9 K params · 37.7 M MACs`; what is zero is left out."""
    parts = [(cost.parameters, "params"), (cost.macs, "MACs")]
    return " · ".join(f"{amount(number)} {name}" for number, name in parts if number)


def network_text(cost: Cost) -> str:
    """`12 modules · 0 params · 0 MACs`: of a whole network, zeros too."""
    modules = f"{cost.modules:,} module{'s' * (cost.modules != 1)}"
    return f"{modules} · {amount(cost.parameters)} params · {amount(cost.macs)} MACs"
