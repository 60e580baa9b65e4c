"""Names, shapes and starts of what a network keeps, and how weights move when a pass rewrites it.

A name is `key.slot` for a parameter or buffer of a body and `key.slot.entry` for what a layer of torch keeps:
`pos_enc_1.param_p`, `kan_rbf_1.buffer_centre`, `linear_2.linear.weight`; a parameter that a key ties to others is
`tied.param_wte`. These are the interpreter's names, and the passes'; `ein.compiler.emit.weight_map` leads from them
to the names in emitted source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal, NamedTuple, TypeAlias

from ein.compiler.memo import per_body
from ein.grammar.bodies.tensors import Body, Step
from ein.grammar.bodies.vetted import LAYERS
from ein.grammar.host import HostUse

Sizes: TypeAlias = tuple[int, ...]
Entries: TypeAlias = Mapping[str, Sizes]

TIED = "tied"
"""Where parameters are kept that have a key; no use of an operator is called so."""

_RUNNING = ("running_mean", "running_var")
_PREFIXES = {"weight": "param_", "buffer": "buffer_"}


@dataclass(frozen=True, slots=True)
class Slot:
    """A step of a body that keeps something: a layer (`linear`, `conv2d_2`), a parameter (`param_p`) or a buffer
    (`buffer_g`). `path` is its index among the steps, or that of the scan around it and then the one inside."""

    name: str
    path: tuple[int, ...]
    step: Step
    given: tuple[Sizes, ...] = ()
    """The sizes of what a layer is applied to."""

    @property
    def key(self) -> str | None:
        """What ties a parameter to others."""
        return None if self.step.op != "weight" else dict(self.step.arguments).get("key")

    def home(self, use: str) -> tuple[str, str]:
        """Where it is kept in a network: (key of the use, name), or (`tied`, `param_wte`) with its own key."""
        key = self.key
        return (use, self.name) if key is None else (TIED, f"{_PREFIXES['weight']}{key}")


@dataclass(frozen=True, slots=True)
class Start:
    """How a tensor starts: `constant` (value), `uniform` (low, high), `normal` (mean, std), `trunc_normal` (std),
    `orthogonal` (the last two axes, each block on its own), `computed` (which of the body's starts it is)."""

    kind: str
    numbers: tuple[float, ...] = ()


class Entry(NamedTuple):
    """The name and shape of something that a network keeps."""

    name: str
    sizes: Sizes


@dataclass(frozen=True, slots=True)
class Moved:
    """An entry of a rewritten graph, made of entries of the graph before.

    The sources are laid one behind the other along their first axis; that is viewed as `viewed`, the axes of which are
    put in the order `order` (None: as they are), and given the shape `sizes`. Numbers without an axis get one; but
    where the result has no axes either there is only the first: they are alike (`num_batches_tracked`).
    """

    sources: tuple[Entry, ...]
    sizes: Sizes
    viewed: Sizes | None = None
    order: tuple[int, ...] | None = None


Recipe: TypeAlias = Literal["norm_weight", "norm_bias", "scaled", "product", "product_bias"]


@dataclass(frozen=True, slots=True)
class Folded:
    """An entry of a rewritten graph, computed from entries of the graph before; there is no way back.

    The recipes, with their sources in order and their number:
    `norm_weight` (weight, gamma, variance; eps): weight * gamma / sqrt(variance + eps), row by row
    `norm_bias` (gamma, variance, mean, beta, maybe bias; eps): beta + (bias - mean) * gamma / sqrt(variance + eps)
    `scaled` (one entry; factor): times the factor
    `product` (outer, inner): the product of the matrices
    `product_bias` (outer, inner bias, maybe outer bias): outer times the inner bias, plus the outer one
    """

    recipe: Recipe
    sources: tuple[Entry, ...]
    sizes: Sizes
    number: float = 0.0


Moves: TypeAlias = tuple[Mapping[str, Moved | Folded], ...]
"""A map for each rewriting, the first one first. By the name after it; what is not listed keeps its name and shape,
and what is gone is not listed either. `ein.compiler.carry` moves the tensors, there and back; no way leads
back from what is folded."""


@per_body
def slots(body: Body) -> tuple[Slot, ...]:
    """In the order of the steps; the names are distinct."""
    return tuple(_slots(body, (), Counter()))


def _slots(body: Body, path: tuple[int, ...], counts: Counter[str]) -> Iterator[Slot]:
    for index, step in enumerate(body.steps):
        here = (*path, index)
        if step.op in _PREFIXES:
            yield Slot(f"{_PREFIXES[step.op]}{step.name}", here, step)
        elif step.op == "layer" or (step.op == "host" and step.argument("host").host.is_layer):
            base = step.name.removeprefix("nn.").lower() if step.op == "layer" else "layer"
            counts[base] += 1
            name = base if counts[base] == 1 else f"{base}_{counts[base]}"
            yield Slot(name, here, step, tuple(body.steps[source].sizes for source in step.inputs))
        elif step.op == "scan":
            yield from _slots(step.argument("body"), here, counts)


@per_body
def entries(body: Body) -> Entries:
    """Shapes by name within a use: `{"linear.weight": (64, 3), "linear.bias": (64,)}`; buffers included, and
    parameters with a key left out."""
    found: dict[str, Sizes] = {}
    for slot in slots(body):
        if slot.step.op in ("layer", "host"):
            found |= {f"{slot.name}.{name}": sizes for name, sizes in _kept(slot.step, slot.given).items()}
        elif slot.key is None:
            found[slot.name] = slot.step.sizes
    return found


def _kept(step: Step, given: tuple[Sizes, ...]) -> dict[str, Sizes]:
    if step.op == "host":
        use: HostUse = step.argument("host")
        return dict(use.host.kept(use.given))
    weights = dict(LAYERS[step.name].facts(dict(step.arguments), *given).weights)
    if step.name.startswith("nn.BatchNorm"):
        weights |= dict.fromkeys(_RUNNING, weights["weight"]) | {"num_batches_tracked": ()}
    return weights


def start(step: Step) -> Start:
    """The start of a weight, buffer or draw; `kaiming` and `xavier` are the uniform distributions that they stand for.

    As in torch, fan-in is the product of all axes but the first, and of a vector its length.
    """
    kind, *numbers = step.argument("start")
    sizes = step.sizes or (1,)
    fan_in = prod(sizes[1:]) if len(sizes) > 1 else sizes[0]
    match kind:
        case "kaiming":
            bound = fan_in**-0.5
            return Start("uniform", (-bound, bound))
        case "xavier":
            fan_out = prod(sizes) // (sizes[1] if len(sizes) > 1 else 1)
            bound = (6 / (fan_in + fan_out)) ** 0.5
            return Start("uniform", (-bound, bound))
        case "orthogonal" if len(sizes) < 2:
            raise ValueError(f"an orthogonal start needs two axes, and `{step.name}` has {len(step.sizes)}")
        case _:
            return Start(kind, tuple(numbers))
