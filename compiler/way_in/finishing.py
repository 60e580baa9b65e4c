"""Formulas in a row become one, and take in the simple operators of `std` that stand among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ein.compiler.way_in.formulas import (
    Apply,
    Expr,
    Formula,
    Given,
    Infix,
    Kept,
    Label,
    Reading,
    rebuilt,
    renamed,
    weight,
)
from ein.compiler.way_in.network import Network, Node
from ein.compiler.way_in.separating import readers
from ein.compiler.way_in.views import Value, View

LONGEST = 40
"""Names, numbers and functions in one formula."""
SMALL = 8
"""Of a formula that is written out wherever it is read."""

_UNARY = frozenset("relu sigmoid tanh softplus silu gelu".split())
_FOLDS = {"add": "+", "mul": "*"}


def fused(net: Network, results: Sequence[Value]) -> None:
    """In place; nodes keep their numbers, and what was taken in is read by nobody."""
    changed = True
    while changed:
        changed = False
        for number in range(len(net.nodes)):
            changed |= _took_in(net, number, results)


def _took_in(net: Network, number: int, results: Sequence[Value]) -> bool:
    """Whether a node took in a formula that it reads."""
    node = net.nodes[number]
    read_by = readers(net, results)
    if number not in read_by:
        return False
    found = dict.fromkeys(value.node for value in node.inputs if _may_go_in(net, value.node, number, read_by))
    for sources in (frozenset(found), *(frozenset((each,)) for each in found)):
        made = _with(net, node, sources) if sources else None
        if made is not None:
            net.nodes[number] = made
            return True
    return False


def _may_go_in(net: Network, source: int, reader: int, read_by: dict[int, list[int]]) -> bool:
    made = net.nodes[source]
    formula = as_formula(made)
    if formula is None or -1 in read_by[source] or any(label.of for group in formula.out for label in group):
        return False
    if made.formula is None and net.nodes[reader].formula is None:
        return False
    if set(read_by[source]) == {reader}:
        return True
    return (
        weight(formula.body) <= SMALL
        and not formula.kept
        and all(as_formula(net.nodes[each]) for each in read_by[source])
    )


def _with(net: Network, node: Node, taken: frozenset[int]) -> Node | None:
    """The node with what others compute written into it. Operators of std are left alone where that has several
    inputs."""
    formula = as_formula(node)
    if formula is None:
        return None
    plain = node.formula is None
    inputs: list[Value] = []
    reads: list[Reading] = []
    sources: list[int] = []
    places: dict[int, Expr] = {}
    kept, weights = list(formula.kept), dict(node.weights if node.formula is not None else _own_weights(node))
    for at, reading in enumerate(formula.reads):
        value = node.inputs[formula.source(at)]
        made = as_formula(net.nodes[value.node]) if value.node in taken else None
        if made is None:
            places[at] = Given(len(reads))
            reads.append(reading)
            sources.append(_input(inputs, value))
            continue
        inner = net.nodes[value.node]
        plain |= inner.formula is None
        mark = f"_{len(kept)}" if made.kept else ""
        fresh = renamed(made, reading, mark)
        if fresh is None:
            return None
        shift = {which: len(reads) + which for which in range(len(fresh.reads))}
        places[at] = rebuilt(fresh.body, lambda leaf, shift=shift: _shifted(leaf, shift), lambda each: each)  # type: ignore[misc]
        reads += fresh.reads
        sources += [_input(inputs, inner.inputs[fresh.source(which)]) for which in range(len(fresh.reads))]
        kept += fresh.kept
        given = inner.weights if inner.formula is not None else _own_weights(inner)
        weights |= {name + mark: view for name, view in given.items()}
    body = rebuilt(
        formula.body, lambda leaf: places[leaf.which] if isinstance(leaf, Given) else leaf, lambda each: each
    )
    if weight(body) > LONGEST or len(inputs) > 3 or (plain and len(inputs) > 1):
        return None
    whole = Formula(tuple(reads), tuple(kept), body, formula.out, tuple(sources))
    return replace(node, name="", given=(), inputs=tuple(inputs), weights=weights, formula=whole)


def _shifted(leaf: Expr, shift: dict[int, int]) -> Expr:
    return Given(shift[leaf.which]) if isinstance(leaf, Given) else leaf


def _input(inputs: list[Value], value: Value) -> int:
    for at, each in enumerate(inputs):
        if (each.node, each.port) == (value.node, value.port):
            return at
    inputs.append(value)
    return len(inputs) - 1


# --- operators of std as formulas


def as_formula(node: Node) -> Formula | None:
    """What a node computes, where that is a formula or simple."""
    if node.formula is not None:
        return node.formula
    if node.name in _UNARY and not node.given:
        return _elementwise(node, Apply(node.name, (), (Given(0),)))
    if node.name in _FOLDS:
        folded: Expr = Given(0)
        for which in range(1, len(node.inputs)):
            folded = Infix(_FOLDS[node.name], folded, Given(which))
        return _elementwise(node, folded)
    if node.name == "layer_scale":
        reading = _reading(node)
        at = 0 if node.types[0].kind == "im" else len(reading) - 1
        return Formula((reading,), (("g", reading[at]),), Infix("*", Given(0), Kept("g")), reading)
    if node.name == "pool_features":
        rows, features = _reading_of(node.inputs[0].sizes)
        return Formula(((rows, features),), (), Apply("mean", features, (Given(0),)), (rows,))
    return None


def _elementwise(node: Node, body: Expr) -> Formula:
    reading = _reading(node)
    return Formula((reading,) * len(node.inputs), (), body, reading)


def _reading(node: Node) -> Reading:
    return _reading_of(node.types[0].sizes)


def _reading_of(sizes: Sequence[int]) -> Reading:
    return tuple((Label(size),) if size > 1 else () for size in sizes)


def _own_weights(node: Node) -> dict[str, View]:
    """Of an operator of std, as the formula calls them."""
    found = {name.removeprefix("param_"): view for name, view in node.weights.items()}
    return found
