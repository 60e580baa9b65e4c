"""What an operator's body may name: functions of numbers and tensors, layers and functions of torch.

No listed name has a shape that depends on values.
"""

from __future__ import annotations

from ein.grammar.bodies.functions import FUNCTIONS
from ein.grammar.bodies.layers import LAYERS
from ein.grammar.bodies.rows import REQUIRED, Facts, Required, Row, bind

__all__ = [
    "ALONG",
    "FUNCTIONS",
    "LAYERS",
    "POINTWISE",
    "POINTWISE_NAMED",
    "REDUCTIONS",
    "REQUIRED",
    "Facts",
    "Required",
    "Row",
    "bind",
]

POINTWISE = frozenset(
    "exp log log1p expm1 sqrt rsqrt abs sign floor ceil round sin cos tan acos asin atan sinh cosh tanh sigmoid erf"
    " relu gelu silu softplus".split()
)
"""Functions of one tensor, element by element."""

POINTWISE_NAMED = {
    "minimum": ("a", "b"),
    "maximum": ("a", "b"),
    "clamp": ("x", "min", "max"),
    "where": ("condition", "a", "b"),
    "real": ("x",),
    "imag": ("x",),
    "complex": ("re", "im"),
}
"""Further functions, element by element, of tensors or numbers with these names."""

REDUCTIONS = frozenset("sum mean prod max min any all logsumexp var norm argmax argmin".split())
"""`f[axes](x)` removes the axes."""

ALONG = frozenset("softmax log_softmax cumsum cumprod flip sort".split())
"""`f[axis](x)` keeps the axes."""
