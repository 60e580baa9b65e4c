"""The regions of a graph, against what the wires say of the nodes in each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from ein.compiler import regions as compiler_regions
from ein.compiler.flow import Flow, flow
from ein.compiler.lower import lower
from ein.compiler.nodes import Scope
from ein.compiler.passes import optimise
from ein.compiler.regions import Region, nodes, tree
from ein.grammar.check import load_grammar
from ein.grammar.derivations.sample import Sampler


@cache
def drawn() -> tuple[tuple[Flow, tuple[Region, ...]], ...]:
    """Optimised: the passes move operators across the edges of scopes, and some scopes are whole no more."""
    sampler = Sampler.of(load_grammar("hnb201"))
    flows = [flow(optimise(lower(sampler.draw(5, index).term)).graph) for index in range(4)]
    return tuple((found, tuple(tree(found))) for found in flows)


def regions() -> Iterator[tuple[Flow, Region, set[int]]]:
    for found, tree_of in drawn():
        yield from ((found, region, set(nodes(region))) for region in tree_of)


def test_every_node_stands_once_and_after_what_it_reads() -> None:
    for found, (root, *_) in drawn():
        order = list(nodes(root))
        assert sorted(order) == sorted(found.order)
        place = {number: at for at, number in enumerate(order)}
        read = [(port.node, number) for number in order for port in found.sources[number] if port is not None]
        assert all(place.get(source, -1) < place[number] for source, number in read)


def test_inputs_and_outputs_are_the_ports_that_wires_cross_an_edge_with() -> None:
    inner = 0
    for found, region, inside in regions():
        if region.parent is None:
            continue
        inner += 1
        read = {number: {port for port in found.sources[number] if port is not None} for number in found.order}
        into = {port for number in inside for port in read[number] if port.node not in inside}
        outside = {port for number in found.order if number not in inside for port in read[number]} | {*found.results}
        assert set(region.inputs) == into
        assert set(region.outputs) == {port for port in outside if port.node in inside}
    assert inner > 100


def test_a_region_holds_two_nodes_at_least_and_not_a_region_alone() -> None:
    inner = [(region, inside) for _, region, inside in regions() if region.parent is not None]
    assert all(len(inside) > 1 and len(region.items) > 1 for region, inside in inner)


def test_a_region_is_in_its_parent_and_of_a_scope_of_all_its_nodes() -> None:
    for found, region, inside in regions():
        assert region.parent is None or region in region.parent.items
        assert region.scope is None or all(region.scope in found.uses[number].path for number in inside)


def test_some_of_the_scopes_are_dissolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the laws above are about them too; no region of theirs is left."""
    gone: set[Scope | None] = set()

    def noted(*given: Any) -> Any:
        *_, stuck = given
        gone.update(region.scope for region in stuck)
        return dissolved(*given)

    dissolved = compiler_regions._dissolved
    monkeypatch.setattr(compiler_regions, "_dissolved", noted)
    left = {region.scope for found, _ in drawn() for region in tree(found)}
    assert gone and left.isdisjoint(gone)
