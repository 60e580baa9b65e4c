"""Layers and functions of torch for several copies at once.

Linear      on one input   Linear(d, n * out)
            on n inputs    einsum with a weight [n, out, d]
Conv        on one input   Conv(c, n * out)
            on n inputs    Conv(n * c, n * out, groups = n * groups)
BatchNorm, InstanceNorm, GroupNorm     of n * c channels
LayerNorm                              normalisation, then scale and shift of [n, d]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ein.compiler.copying import Copying, Joined, Layout, Many, NoCopies, Rule
from ein.compiler.weights import Sizes
from ein.grammar.bodies.tensors import Step
from ein.grammar.bodies.vetted import LAYERS

CHANNELWISE = frozenset(
    "F.max_pool1d F.max_pool2d F.avg_pool1d F.avg_pool2d F.lp_pool2d F.adaptive_avg_pool1d F.adaptive_avg_pool2d"
    " F.adaptive_max_pool2d F.interpolate F.unfold F.fold F.pixel_shuffle F.pixel_unshuffle".split()
)
"""Functions that treat each channel, the first axis, on its own and keep their order."""

ELEMENTWISE = frozenset("F.leaky_relu F.elu F.selu F.celu F.gelu F.mish F.hardswish F.hardsigmoid F.hardtanh".split())
ATTENTION = "F.scaled_dot_product_attention"
CHANNELS = Layout(0, folded=True)


def _function(made: Copying, step: Step, operands: list[Many]) -> Many:
    if step.name in ELEMENTWISE:
        (value,) = operands
        return made.many(step, value.layout, step, [value.forms[value.layout]])
    if step.name in CHANNELWISE:
        return made.many(step, CHANNELS, step, [made.form(operands[0], CHANNELS)])
    if step.name == "F.layer_norm" and len(step.argument("normalized_shape")) == 1:
        layout = made.features(operands[0])
        return made.many(step, layout, step, [operands[0].forms[layout]])
    if step.name == ATTENTION:
        return made.many(step, Layout(0), step, [made.form(value, Layout(0)) for value in operands])
    raise NoCopies(step.name)


def _layer(made: Copying, step: Step, operands: list[Many]) -> Many:
    name = step.name.rstrip("123d")
    if len(operands) > 1 or name not in LAYER_RULES:
        raise NoCopies(step.name)
    return LAYER_RULES[name](made, step, operands)


def _kept(made: Copying, step: Step, given: Sizes) -> Mapping[str, Sizes]:
    """The entries of the layer of one copy."""
    found = dict(LAYERS[step.name].facts(dict(step.arguments), given).weights)
    if step.name.startswith("nn.BatchNorm"):
        found |= {"running_mean": found["weight"], "running_var": found["weight"], "num_batches_tracked": ()}
    return found


def _widened(made: Copying, step: Step, value: Many, layout: Layout, source: int, **arguments: Any) -> Many:
    """The layer with more channels or features; its entries are those of the copies, one behind the other."""
    found = made.many(step, layout, step, [source], **arguments)
    for entry in _kept(made, step, value.one.sizes):
        made.keep(found.forms[layout], entry, len(made.values), Joined(entry))
    return found


def _linear(made: Copying, step: Step, operands: list[Many]) -> Many:
    (value,) = operands
    rank, out = len(step.sizes), step.argument("out_features")
    if value.shared:
        layout = Layout(rank - 1, folded=True)
        return _widened(made, step, value, layout, value.forms[None], out_features=made.copies * out)
    bound = step.argument("in_features") ** -0.5
    begin, old = ("uniform", -bound, bound), len(made.values)
    weight = made.parameter("weight", (out, step.argument("in_features")), begin, old, Joined("weight"))
    layout = made.features(value, split=True)
    written = "acdefghijklmopqrstuvwxyz"[: rank - 1]
    before, behind = written[: layout.axis], written[layout.axis :]
    letters = ((f"{before}n{behind}z", "nyz"), f"{before}n{behind}y")
    inputs = [value.forms[layout], weight.forms[Layout(0)]]
    einsum = Step("einsum", (), step.sizes, "", (("letters", letters),))
    product = made.many(einsum, layout, einsum, inputs)
    if not step.argument("bias"):
        return product
    bias = made.parameter("bias", (out,), begin, old, Joined("bias"))
    return _by_elements(made, "+", product, bias, step)


def _by_elements(made: Copying, name: str, value: Many, parameter: Many, step: Step) -> Many:
    plain = Step("pointwise", (), step.sizes, name)
    return made.rules["pointwise"](made, plain, [value, parameter])


def _conv(made: Copying, step: Step, operands: list[Many]) -> Many:
    (value,) = operands
    out, groups = made.copies * step.argument("out_channels"), step.argument("groups")
    if value.shared:
        if groups > 1:
            raise NoCopies("groups of one input")
        return _widened(made, step, value, CHANNELS, value.forms[None], out_channels=out)
    source = made.form(value, CHANNELS)
    channels = made.copies * step.argument("in_channels")
    changed = {"in_channels": channels, "out_channels": out, "groups": made.copies * groups}
    return _widened(made, step, value, CHANNELS, source, **changed)


def _conv_transpose(made: Copying, step: Step, operands: list[Many]) -> Many:
    """On one input the weight, [c, out, k, k] in one copy, is [c, n * out, k, k]."""
    made_ = _conv(made, step, operands)
    if operands[0].shared:
        sizes = _kept(made, step, operands[0].one.sizes)["weight"]
        order = (1, 0, *range(2, len(sizes) + 1))
        made.keep(made_.forms[CHANNELS], "weight", len(made.values), Joined("weight", (made.copies, *sizes), order))
    return made_


def _norm_of_channels(made: Copying, step: Step, operands: list[Many]) -> Many:
    (value,) = operands
    if value.shared:
        raise NoCopies("channels of one input")
    counts = {name: made.copies * number for name, number in step.arguments if name.startswith("num_")}
    return _widened(made, step, value, CHANNELS, made.form(value, CHANNELS), **counts)


def _layer_norm(made: Copying, step: Step, operands: list[Many]) -> Many:
    (value,) = operands
    size = step.argument("normalized_shape")
    arguments = (("normalized_shape", (size,)), ("eps", step.argument("eps")))
    plain = Step("function", (), step.sizes, "F.layer_norm", arguments)
    layout = None if value.shared else made.features(value)
    normal = made.many(plain, layout, plain, [value.forms[layout]])
    old = len(made.values)
    weight = made.parameter("weight", (size,), ("constant", 1.0), old, Joined("weight"))
    scaled = _by_elements(made, "*", normal, weight, step)
    bias = made.parameter("bias", (size,), ("constant", 0.0), old, Joined("bias"))
    return _by_elements(made, "+", scaled, bias, step)


def _prelu(made: Copying, step: Step, operands: list[Many]) -> Many:
    (value,) = operands
    number = step.argument("num_parameters")
    layout = Layout(0) if number == 1 else CHANNELS
    return _widened(made, step, value, layout, made.form(value, layout), num_parameters=made.copies * number)


LAYER_RULES: Mapping[str, Rule] = {
    "nn.Linear": _linear,
    "nn.Conv": _conv,
    "nn.ConvTranspose": _conv_transpose,
    "nn.BatchNorm": _norm_of_channels,
    "nn.InstanceNorm": _norm_of_channels,
    "nn.GroupNorm": _norm_of_channels,
    "nn.LayerNorm": _layer_norm,
    "nn.PReLU": _prelu,
}
RULES: Mapping[str, Rule] = {"function": _function, "layer": _layer}
