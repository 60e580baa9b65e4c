"""The weights of a module of torch under the names of the network that ein compiles."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ein.compiler.carry import carry
from ein.compiler.emit import weight_map
from ein.compiler.graph import OpGraph
from ein.compiler.interpret import Interpreter
from ein.compiler.passes import optimise
from ein.compiler.way_in.network import Network
from ein.compiler.way_in.views import View, Weight, size
from ein.compiler.way_in.written import Written
from ein.compiler.weights import TIED


def plain_state(net: Network, written: Written, graph: OpGraph) -> dict[str, Tensor]:
    """Of the graph as lowered, under the names of the interpreter."""
    uses = [node for _, node in graph.uses()]
    if len(uses) != len(written.uses):
        raise AssertionError(f"the file has {len(uses)} uses of operators, and {len(written.uses)} were written")
    found: dict[str, Tensor] = {}
    for use, leaf in zip(uses, written.uses, strict=True):
        if leaf.node is None:
            continue
        node = net.nodes[leaf.node]
        for name, view in node.weights.items():
            if node.formula is not None:
                assert isinstance(view.base, Weight)
                name = f"{'param' if view.base.trained else 'buffer'}_{name}"
            key = dict(node.given).get("key") if name == "param_table" else None
            found[f"{use.key}.{name}" if key is None else f"{TIED}.param_{key}"] = tensor(net, view)
    return found


def state(net: Network, written: Written, graph: OpGraph) -> dict[str, Tensor]:
    """Of the module that `ein.build` makes of the graph: lowered, with all passes."""
    made = optimise(graph)
    rewritten = Interpreter(made.graph)
    inner = carry(made.weights, rewritten.state_dict(), _whole(net, written, graph))
    names = weight_map(made.graph)
    return {names[name]: value for name, value in inner.items() if name in names}


def _whole(net: Network, written: Written, graph: OpGraph) -> dict[str, Any]:
    """With what the module does not keep, such as the counters of batches, as it starts."""
    fresh = {name: value.clone() for name, value in Interpreter(graph).state_dict().items()}
    return fresh | plain_state(net, written, graph)


def tensor(net: Network, view: View) -> Tensor:
    """A weight of the module as an operator wants it."""
    assert isinstance(view.base, Weight)
    value: Tensor = net.weights[view.base.name].detach()
    digits = [digit for dim in view.dims for digit in dim]
    order, cut = [], []
    for number, length in enumerate(view.base.sizes, 1):
        own = sorted((digit for digit in digits if digit.axis == number), key=lambda digit: -digit.stride)
        if length > 1 and sum(1 for _ in own) == 0:
            raise AssertionError(f"an axis of {view.base.name} is not read")
        cut += [digit.size for digit in own]
        order += own
    places = {digit: at for at, digit in enumerate(order)}
    value = value.reshape(cut).permute([places[digit] for digit in digits])
    return torch.clone(value.reshape([size(dim) for dim in view.dims]), memory_format=torch.contiguous_format)
