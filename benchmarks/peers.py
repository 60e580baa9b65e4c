"""Other tools on a module grammar of five productions: `python benchmarks/peers.py NAME`, one JSON object.

`derivations.py` runs this, with any Python that has them: `pip install deap alogos geneticengine pyglove`, and
`neural-pipeline-search`. None of them knows tensors or shapes. Depth policies and weights differ, so nodes for each
second of processor time say more than trees do.
"""

from __future__ import annotations

import json
import random
import sys
from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from time import process_time
from typing import Any

SECONDS = 2.0

Row = dict[str, Any]


def rate(action: Callable[[], Any], size: Callable[[Any], float] = lambda made: 1) -> tuple[float, float]:
    """How often an action can be done in a second of processor time, and how much of `size` it makes then."""
    done, made, began = 0, 0.0, process_time()
    while process_time() - began < SECONDS:
        made += size(action())
        done += 1
    spent = process_time() - began
    return done / spent, made / spent


def deap() -> Row:
    """`gp` with typed primitives; trees of depth 2 to 5, half full and half grown."""
    gp = import_module("deap.gp")

    class M:
        """A module."""

    primitives = gp.PrimitiveSetTyped("net", [M], M)
    primitives.addPrimitive(lambda a, b: None, [M, M], M, name="series")
    primitives.addPrimitive(lambda a, b: None, [M, M], M, name="branches")
    for name in ("conv", "relu", "norm"):
        primitives.addTerminal(None, M, name=name)

    def draw() -> Any:
        return gp.PrimitiveTree(gp.genHalfAndHalf(primitives, 2, 5))

    trees = [draw() for _ in range(200)]

    def mutant() -> Any:
        tree = gp.PrimitiveTree(random.choice(trees))
        return gp.mutUniform(tree, lambda pset, type_: gp.genFull(pset, 0, 2, type_), primitives)[0]

    def child() -> Any:
        return gp.cxOnePoint(*(gp.PrimitiveTree(random.choice(trees)) for _ in range(2)))

    draws, nodes = rate(draw, len)
    return {"draws": draws, "nodes": nodes, "mutants": rate(mutant)[0], "crossovers": rate(child)[0]}


def alogos() -> Row:
    """Context-free grammars in BNF, without types."""
    al = import_module("alogos")
    grammar = al.Grammar(bnf_text="<m> ::= conv | relu | norm | <m> >> <m> | ( <m> & <m> )")
    gp = al.systems.cfggp
    genotype = gp.representation.Genotype

    def draw() -> Any:
        return grammar.generate_derivation_tree()

    trees = [genotype(draw()) for _ in range(200)]
    draws, nodes = rate(draw, lambda tree: tree.num_nodes())
    mutants, _ = rate(lambda: gp.mutation.subtree_replacement(grammar, random.choice(trees)))
    pairs, _ = rate(lambda: gp.crossover.subtree_exchange(grammar, random.choice(trees), random.choice(trees)))
    return {"draws": draws, "nodes": nodes, "mutants": mutants, "crossovers": pairs}


class Module(ABC):  # noqa: B024
    """The nonterminal of the dataclass grammar."""


@dataclass
class Conv(Module):
    pass


@dataclass
class Relu(Module):
    pass


@dataclass
class Norm(Module):
    pass


@dataclass
class Series(Module):
    first: Module
    second: Module


@dataclass
class Branches(Module):
    first: Module
    second: Module


def geneticengine() -> Row:
    """A grammar of Python dataclasses; trees of depth 5 at most."""
    tree = import_module("geneticengine.core.representations.tree.treebased")
    extract = import_module("geneticengine.core.grammar").extract_grammar
    source = import_module("geneticengine.core.random.sources").RandomSource(0)
    grammar = extract([Conv, Relu, Norm, Series, Branches], Module)

    def draw() -> Any:
        return tree.random_node(source, grammar, 5, Module)

    trees = [draw() for _ in range(200)]
    draws, nodes = rate(draw, lambda made: made.gengy_nodes)
    mutants, _ = rate(lambda: tree.mutate_inner(source, grammar, random.choice(trees), 5, Module, False, False))
    return {"draws": draws, "nodes": nodes, "mutants": mutants}


def pyglove() -> Row:
    """A finite space: the same productions, unrolled to depth 3. A node is a decision."""
    pg = import_module("pyglove")

    def module(depth: int) -> Any:
        leaves = ["conv", "relu", "norm"]
        if not depth:
            return pg.oneof(leaves)
        pairs = [pg.Dict(kind=kind, a=module(depth - 1), b=module(depth - 1)) for kind in ("series", "branches")]
        return pg.oneof([*leaves, *pairs])

    spec = pg.dna_spec(module(3))
    source = random.Random(0)
    draws, nodes = rate(lambda: pg.random_dna(spec, source), lambda dna: len(dna.to_numbers()))
    return {"draws": draws, "nodes": nodes, "size": spec.space_size}


def neps() -> Row:
    """A recursive space as its documentation writes one; a node is a decision."""
    space = import_module("neps.space.neps_spaces.parameters")
    resolve = import_module("neps.space.neps_spaces.neps_space").resolve
    samplers = import_module("neps.space.neps_spaces.sampling")

    def built(*parts: Any) -> tuple[Any, ...]:
        return parts

    again = space.Resample(space.ByName("module"))

    class Net(space.PipelineSpace):  # type: ignore[misc, name-defined]
        pair = space.Operation(operator=built, args=(again, again))
        module = space.Categorical(("conv", "relu", "norm", space.Resample(space.ByName("pair"))))

    net = Net()
    draws, nodes = rate(
        lambda: resolve(net, domain_sampler=samplers.RandomSampler({})), lambda made: len(made[1].samplings_made)
    )
    return {"draws": draws, "nodes": nodes}


PEERS: dict[str, tuple[str, Callable[[], Row]]] = {
    "DEAP gp": ("deap", deap),
    "alogos": ("alogos", alogos),
    "GeneticEngine": ("geneticengine", geneticengine),
    "PyGlove": ("pyglove", pyglove),
    "NePS": ("neural-pipeline-search", neps),
}


def main() -> None:
    random.seed(0)
    distribution, measure = PEERS[sys.argv[1]]
    found = version(distribution)
    print(json.dumps({"version": found, **measure()}))


if __name__ == "__main__":
    main()
