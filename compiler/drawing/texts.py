"""Types and costs as the words of a picture."""

from __future__ import annotations

import unicodedata

from ein.grammar.cfg import Cost
from ein.grammar.types import Size, Tensor, ValueType

COSTS = ("params", "macs", "memory")
"""What a picture can show of a box: parameters, multiply-accumulates and the bytes of its results for one example."""
UNITS = {"params": "params", "macs": "MACs", "memory": "B"}
NAMES = {"params": "parameters", "macs": "MACs", "memory": "activation memory in bytes"}
BYTES = 4
"""Of an element: float32."""


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


def quantity(cost: Cost, name: str) -> int:
    """One of COSTS as a number: parameters, MACs, or bytes of activations in float32."""
    return {"params": cost.parameters, "macs": cost.macs, "memory": BYTES * cost.elements}[name]


def cost_text(cost: Cost, names: tuple[str, ...] = ("params", "macs")) -> str:
    """`36.9 K params · 37.7 M MACs`; what is zero is left out."""
    parts = [(quantity(cost, name), name) for name in names]
    return " · ".join(with_unit(amount(number), name) for number, name in parts if number)


def with_unit(text: str, name: str) -> str:
    """`36.9 K params`, `4 MB`: an amount of one of COSTS."""
    return f"{text}{'' if name == 'memory' and text[-1].isalpha() else ' '}{UNITS[name]}"


def network_text(cost: Cost) -> str:
    """`12 modules · 0 params · 0 MACs`: of a whole network, zeros too."""
    modules = f"{cost.modules:,} module{'s' * (cost.modules != 1)}"
    return f"{modules} · {amount(cost.parameters)} params · {amount(cost.macs)} MACs"


def clean(text: str) -> str:
    """One line of characters that may stand in XML: white space becomes a space, other controls U+FFFD."""
    return without_controls(" ".join(text.split()))


def without_controls(text: str) -> str:
    """Controls, halves of characters and marks that turn the direction of writing become U+FFFD."""
    return "".join("\ufffd" if unicodedata.category(c)[0] == "C" else c for c in text)
