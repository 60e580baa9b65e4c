"""Formulas that are an operator of `std`, told by their results: `x * sigmoid(x)` is `silu`, however it is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ein.compiler.interpret import Interpreter
from ein.compiler.lower import lower
from ein.compiler.way_in.declared import Learned, declaration
from ein.compiler.way_in.formulas import Formula, Number, walk
from ein.compiler.way_in.network import UNKIND, Network, Node
from ein.compiler.way_in.separating import readers
from ein.compiler.way_in.views import Value, View
from ein.grammar.architecture import architecture
from ein.grammar.check import load_grammar
from ein.grammar.diagnostics import EinError, Source

_PLAIN = "relu relu6 gelu gelu_tanh silu mish hardswish sigmoid tanh softplus square_relu softmax".split()
LARGEST = 4096
"""Elements of what formulas are tried on."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    given: tuple[tuple[str, Any], ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        said = ", ".join(f"{name} = {value!r}" for name, value in self.given)
        return f"{self.name}({said})" if said else self.name


def recognise(net: Network, results: Sequence[Value]) -> None:
    """In place."""
    known: dict[str, _Candidate | None] = {}
    for number in sorted(readers(net, results)):
        node = net.nodes[number]
        if node.formula is None or len(node.inputs) != 1 or len(node.weights) > 2 or node.types[0].kind == UNKIND:
            continue
        if node.types[0].sizes != node.inputs[0].sizes or node.inputs[0].type.elements > LARGEST:
            continue
        type = node.inputs[0].type
        kept = {name: Learned("= 1", True) for name in node.weights}
        text = declaration("own_one", node.formula, [type.kind], node.types[0].kind, kept)
        key = f"{text}{type!r}"
        if key not in known:
            known[key] = _found(text, node, repr(type))
        found = known[key]
        if found is not None:
            weights = dict(zip(found.kept, node.weights.values(), strict=True))
            net.nodes[number] = replace(node, name=found.name, given=found.given, weights=weights, formula=None)


def _found(text: str, node: Node, type: str) -> _Candidate | None:
    assert node.formula is not None
    own = _module(f"{text}\n\narch net : {type} -> _ = own_one")
    if own is None:
        return None
    generator = torch.Generator().manual_seed(0)
    given = torch.randn(4, *node.inputs[0].sizes, generator=generator, dtype=torch.float64) * 3
    weights = [
        torch.rand(_sizes(view), generator=generator, dtype=torch.float64) + 0.5 for view in node.weights.values()
    ]
    wanted = _run(own, [f"param_{name}" for name in node.weights], weights, given)
    for candidate in _candidates(node.formula, list(node.weights.values())):
        module = _module(f"arch net : {type} -> {type} = {candidate.text}")
        if module is None:
            continue
        found = _run(module, list(candidate.kept), weights, given)
        if found is not None and wanted is not None and torch.allclose(found, wanted, rtol=1e-10, atol=1e-12):
            return candidate
    return None


def _candidates(formula: Formula, weights: Sequence[View]) -> Iterator[_Candidate]:
    small = {each.value for each in walk(formula.body) if isinstance(each, Number) and 0 < each.value < 0.1}
    if not weights:
        yield from map(_Candidate, _PLAIN)
        yield from (_Candidate("l2_norm", (("eps", eps),)) for eps in small)
    elif len(weights) == 1 and len(weights[0].dims) == 1:
        yield from (_Candidate("rms_norm", (("eps", eps),), ("param_g",)) for eps in small)
    elif all(len(view.dims) == 1 for view in weights):
        for eps in small:
            yield _Candidate("layer_norm", (("eps", eps),), ("layernorm.weight", "layernorm.bias"))


def _sizes(view: View) -> tuple[int, ...]:
    return view.sizes


def _module(text: str) -> Interpreter | None:
    try:
        return Interpreter(
            lower(architecture(load_grammar(Source("tried", f"ein 1\nimport std\n{text}\n"))).term)
        ).double()
    except EinError:
        return None


def _run(module: Interpreter, names: Sequence[str], weights: Sequence[Tensor], given: Tensor) -> Tensor | None:
    """With these weights; None where it has others."""
    state = module.state_dict()
    keys = [next((key for key in state if key.partition(".")[2] == name), None) for name in names]
    if (
        None in keys
        or len(state) != len(keys)
        or any(state[k].shape != w.shape for k, w in zip(keys, weights, strict=True) if k)
    ):
        return None
    module.load_state_dict(dict(zip((key for key in keys if key), weights, strict=True)))
    with torch.no_grad():
        result: Tensor = module.eval()(given)
    return result
