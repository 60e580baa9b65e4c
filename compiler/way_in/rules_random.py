"""Masks that are drawn for each example: stochastic depth, however it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ein.compiler.way_in.calls import Call, Unsaid
from ein.compiler.way_in.network import Network
from ein.compiler.way_in.rules_elements import on_elements
from ein.compiler.way_in.views import View


@dataclass(frozen=True, slots=True)
class Noise:
    """Numbers that a call draws: 1 with probability `keep` and 0 else, times `scale`; not drawn yet without `keep`."""

    sizes: tuple[int, ...]
    keep: float | None = None
    scale: float = 1


def empty(net: Network, call: Call) -> Noise:
    assert call.sizes is not None
    return Noise(call.sizes)


def _bernoulli(net: Network, call: Call) -> Noise:
    noise, keep = call.arguments["self"], call.arguments["p"]
    if not isinstance(noise, Noise) or noise.keep is not None:
        raise Unsaid("it draws with probabilities that are computed")
    return replace(noise, keep=float(keep))


def _scaled(net: Network, call: Call) -> Any:
    """Noise over a number, or a value times noise."""
    one, other = call.arguments["self"], call.arguments["other"]
    if isinstance(one, Noise) and isinstance(other, int | float):
        return replace(one, scale=one.scale * (other if call.op == "mul" else 1 / other))
    view, noise = (other, one) if isinstance(one, Noise) else (one, other)
    if call.op != "mul" or not isinstance(view, View) or not isinstance(noise, Noise) or noise.keep is None:
        raise Unsaid("it computes with numbers that are drawn")
    if noise.sizes != (net.batch, *(1,) * (len(view.dims) - 1)) or abs(noise.scale * noise.keep - 1) > 1e-6:
        raise Unsaid("it drops other parts than whole examples, or does not scale those that it keeps")
    return on_elements(net, view, "drop_path", p=round(1 - noise.keep, 6))


RULES: dict[str, Callable[[Network, Call], Any]] = {"bernoulli": _bernoulli, "mul": _scaled, "div": _scaled}
"""Of calls that are given noise."""
