"""What works element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ein.compiler.way_in.calls import Call, Unsaid
from ein.compiler.way_in.formulas import Apply, Expr, Infix, Number
from ein.compiler.way_in.labelling import Labelled, aligned, computed, labelled
from ein.compiler.way_in.network import Network
from ein.compiler.way_in.views import Value, View, Weight, whole

Rule = Callable[[Network, Call], Any]

POSITIONS = (0.02, 1.0)
"""Deviations that positions start with: those of transformers, and those of einspace."""


def on_elements(net: Network, view: View, name: str, **given: Any) -> View:
    """An operator of `std` that works on every element of what is seen, in whatever order."""
    if isinstance(view.base, Weight):
        raise Unsaid("it computes with weights alone")
    return View(net.use(name, [view.base], **given), view.dims)


def _named(name: str) -> Rule:
    return lambda net, call: on_elements(net, call.arguments["self"], name)


def function(net: Network, view: View, body: Callable[[Expr], Expr]) -> View:
    """The same, as a formula."""
    keys = range(len(view.dims))
    return computed(net, labelled([view], [keys]), keys, lambda given: body(given[0]))


def _pointwise(name: str) -> Rule:
    return lambda net, call: function(net, call.arguments["self"], lambda x: Apply(name, (), (x,)))


def _own(name: str, *defaults: tuple[str, str, Any]) -> Rule:
    """An operator of std where torch's arguments have their defaults, else the function with them."""

    def rule(net: Network, call: Call) -> View:
        given = tuple(
            (ours, repr(call.arguments[theirs])) for ours, theirs, value in defaults if call.arguments[theirs] != value
        )
        if not given:
            return on_elements(net, call.arguments["self"], name)
        return function(net, call.arguments["self"], lambda x: Apply(f"F.{name}", (), (x,), given))

    return rule


def _leaky_relu(net: Network, call: Call) -> View:
    return on_elements(net, call.arguments["self"], "leaky_relu", slope=float(call.arguments["negative_slope"]))


def _gelu(net: Network, call: Call) -> View:
    return on_elements(net, call.arguments["self"], "gelu_tanh" if call.arguments["approximate"] == "tanh" else "gelu")


def _clamp(net: Network, call: Call) -> View:
    x: View = call.arguments["self"]
    low, high = call.arguments.get("min"), call.arguments.get("max")
    low, high = call.arguments.get("min_val", low), call.arguments.get("max_val", high)
    if (low, high) == (0, 6):
        return on_elements(net, x, "relu6")
    ends = tuple(
        Number(float("-inf" if end == 0 else "inf") if each is None else each) for end, each in enumerate((low, high))
    )
    return function(net, x, lambda given: Apply("clamp", (), (given, *ends)))


def _dropout(net: Network, call: Call) -> View:
    given: View = call.arguments["input"]
    p = float(call.arguments["p"])
    return given if p == 0 else on_elements(net, given, "dropout", p=p)


def _feature_dropout(net: Network, call: Call) -> View:
    view: View = call.arguments["input"]
    p = float(call.arguments["p"])
    if p == 0:
        return view
    value = net.forced(view)
    return whole(net.use("dropout_channels", [value], p=p), net.batch)


def _prelu(net: Network, call: Call) -> View:
    view, weight = call.arguments["self"], net.weight(call.arguments["weight"])
    if weight.sizes == (1,) and view.dims[1:2] != ((),):
        keys = range(len(view.dims))
        found = labelled([view, View(weight.base, ())], [keys, ()])
        return computed(net, found, keys, lambda given: _leak(given[0], given[1]))
    value, groups = net.gather(view, range(1, len(view.dims)))
    return net.viewed(view, range(1, len(view.dims)), groups, net.use("prelu", [value], {"param_a": weight}))


def _leak(x: Expr, slope: Expr) -> Expr:
    return Apply("where", (), (Infix(">", x, Number(0)), x, Infix("*", slope, x)))


def _binary(operator: str) -> Rule:
    """`self operator other`, either of which may be a number."""

    def rule(net: Network, call: Call) -> View:
        left, right = call.arguments["self"], call.arguments.get("other", call.arguments.get("exponent"))
        scale = call.arguments.get("alpha", 1)
        if call.arguments.get("rounding_mode"):
            raise Unsaid("a division that rounds")
        if scale != 1:
            right = (
                right * scale
                if not isinstance(right, View)
                else function(net, right, lambda x: Infix("*", Number(scale), x))
            )
        return infix(net, operator, left, right)

    return rule


def _reversed(operator: str) -> Rule:
    return lambda net, call: infix(net, operator, call.arguments["other"], call.arguments["self"])


def infix(net: Network, operator: str, left: Any, right: Any) -> View:
    if not isinstance(right, View):
        if (operator, right) in (("+", 0), ("-", 0), ("*", 1), ("/", 1)):
            return left  # type: ignore[no-any-return]
        if operator == "*":
            return function(net, left, lambda x: Infix("*", Number(right), x))
        return function(net, left, lambda x: Infix(operator, x, Number(right)))
    if not isinstance(left, View):
        return function(net, right, lambda x: Infix(operator, Number(left), x))
    if isinstance(left.base, Weight) and operator in "+*":
        left, right = right, left
    keys, result = aligned([left, right])
    found = labelled([left, right], keys)
    return (
        _learned(net, operator, found)
        or _joined(net, operator, found)
        or computed(net, found, result, lambda given: Infix(operator, *given))
    )


def _learned(net: Network, operator: str, found: Labelled) -> View | None:
    """Positions that are added, or a scale for each channel."""
    left, right = found.views
    if not isinstance(left.base, Value) or not isinstance(right.base, Weight) or not right.base.trained:
        return None
    if len(left.dims) < len(right.dims):
        return None
    reading, labels = found.reading(0), set(found.digits[1].values())
    if operator == "+" and labels == {label for group in reading for label in group}:
        return View(
            net.use("pos_enc", [left.base], {"param_p": _as_read(found, reading)}, std=_spread(net, right.base)),
            left.dims,
        )
    at = 0 if left.base.type.kind == "im" else len(reading) - 1
    if operator == "*" and labels and labels == set(reading[at]):
        start = _start(net, right.base)
        return View(
            net.use("layer_scale", [left.base], {"param_g": _as_read(found, reading[at : at + 1])}, init=start),
            left.dims,
        )
    return None


def _as_read(found: Labelled, reading: Any) -> View:
    """The weight of the second tensor with the axes of the first."""
    digits = {label: digit for digit, label in found.digits[1].items()}
    return View(found.views[1].base, tuple(tuple(digits[label] for label in group) for group in reading))


def _spread(net: Network, weight: Weight) -> float:
    found = float(net.weights[weight.name].double().std(correction=0))
    return min(POSITIONS, key=lambda std: max(std / found, found / std)) if found > 0 else POSITIONS[0]


def _start(net: Network, weight: Weight) -> float:
    values = net.weights[weight.name].double().flatten()
    first = float(f"{float(values[0]):.6g}")
    return first if bool((values == values[0]).all()) else 1e-6


def _joined(net: Network, operator: str, found: Labelled) -> View | None:
    """Two tensors of one size: `add` or `mul`, the second laid out as the first."""
    left, right = found.views
    name = {"+": "add", "*": "mul"}.get(operator)
    if name is None or not isinstance(left.base, Value) or not isinstance(right.base, Value):
        return None
    if left.sizes != right.sizes or any(digit.axis < 0 for view in (left, right) for dim in view.dims for digit in dim):
        return None
    first = 1 if _lies_as_torch(net, right) and not _lies_as_torch(net, left) else 0
    kept, moved = found.views[first], found.views[1 - first]
    digits = {label: digit for digit, label in found.digits[1 - first].items()}
    groups = tuple(tuple(digits[label] for label in group) for group in found.reading(first))
    other = net.laid_out(moved, groups)
    assert isinstance(kept.base, Value)
    if other.type.kind != kept.base.type.kind:
        return None
    both = [kept.base, other]
    return View(net.use(name, both if first == 0 else both[::-1]), kept.dims)


def _lies_as_torch(net: Network, view: View) -> bool:
    return isinstance(view.base, Value) and view.dims == whole(view.base, net.batch).dims


def _where(net: Network, call: Call) -> View:
    """`masked_fill(x, mask, value)` and `where(mask, x, value)`, with a mask that is the same for all examples."""
    if "mask" in call.arguments:
        chosen, mask, other = (call.arguments[name] for name in ("self", "mask", "value"))
        return _masked(net, mask, other, chosen)
    return _masked(net, call.arguments["condition"], call.arguments["self"], call.arguments["other"])


def _masked(net: Network, mask: View, yes: Any, no: Any) -> View:
    views = [each for each in (mask, yes, no) if isinstance(each, View)]
    keys, result = aligned(views)

    def body(given: Any) -> Expr:
        rest = iter(given)
        condition = next(rest)
        a, b = (next(rest) if isinstance(each, View) else Number(each) for each in (yes, no))
        return Apply("where", (), (Infix("!=", condition, Number(0)), a, b))

    return computed(net, labelled(views, keys), result, body)


RULES: dict[str, Rule] = {
    **{name: _named(name) for name in ("relu", "relu6", "silu", "mish", "hardswish", "sigmoid", "tanh")},
    **{
        name: _pointwise(name)
        for name in "exp log log1p expm1 sqrt rsqrt abs sign floor ceil sin cos tan sinh cosh erf".split()
    },
    **{name: _pointwise(f"F.{name}") for name in ("selu", "celu", "hardsigmoid")},
    "zeros_like": _named("zero"),
    "elu": _own("elu", ("alpha", "alpha", 1.0)),
    "softplus": _own("softplus", ("beta", "beta", 1), ("threshold", "threshold", 20)),
    "leaky_relu": _leaky_relu,
    "gelu": _gelu,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp,
    "hardtanh": _clamp,
    "dropout": _dropout,
    "feature_dropout": _feature_dropout,
    "prelu": _prelu,
    "add": _binary("+"),
    "sub": _binary("-"),
    "mul": _binary("*"),
    "div": _binary("/"),
    "true_divide": _binary("/"),
    "pow": _binary("**"),
    "rsub": _reversed("-"),
    "neg": lambda net, call: infix(net, "*", call.arguments["self"], -1),
    "reciprocal": lambda net, call: function(net, call.arguments["self"], lambda x: Infix("/", Number(1), x)),
    "square": lambda net, call: infix(net, "**", call.arguments["self"], 2),
    "minimum": lambda net, call: _pair(net, call, "minimum"),
    "maximum": lambda net, call: _pair(net, call, "maximum"),
    "masked_fill": _where,
    "where": _where,
}


def _pair(net: Network, call: Call, name: str) -> View:
    views = [call.arguments["self"], call.arguments["other"]]
    keys, result = aligned(views)
    return computed(net, labelled(views, keys), result, lambda given: Apply(name, (), tuple(given)))
