"""Which network a graph is: an id that two derivations of one network share.

The id is of the graph as lowered, after a normal form of its own that takes out what computes
nothing and merges equal computations without weights; never of the optimised graph, so a new pass
changes no id. `VERSION` is part of the id and changes with the normal form.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from functools import lru_cache

from ein.compiler.graph import OpGraph, Port
from ein.compiler.lower import lower
from ein.compiler.nodes import Input, Use
from ein.compiler.passes.wires import remove_wires
from ein.compiler.weights import slots
from ein.grammar.bodies.tensors import all_steps
from ein.grammar.cfg import Applied, value_text
from ein.grammar.derivations.derivation import Derivation
from ein.grammar.notation import syntax as s
from ein.grammar.notation.printer import print_statement

VERSION = 2


def derivation_identity(derivation: Derivation) -> str:
    """The identity of the network that a derivation builds."""
    return identity(lower(derivation.term))


def identity(graph: OpGraph) -> str:
    """`2:` and 32 hex digits. Equal for graphs that differ in node numbers, wires and shared arithmetic only.

    The nodes are listed as the output reaches them, inputs in order; each says its operator, arguments,
    sources, and which weights it holds, by the order in which weights are met. So shared and separate
    weights differ, and so do `a - b` and `b - a`; but not the names of keys, nor a key that ties nothing.
    """
    listing = _Listing(remove_wires(graph).graph)
    text = "\n".join(listing.rows())
    return f"{VERSION}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


class _Listing:
    def __init__(self, graph: OpGraph) -> None:
        self.graph = graph
        self.index: dict[int, int] = {}
        self.weights: dict[str, int] = {}
        self.keys: dict[str, int] = {}
        self.tying = _tying(graph)
        self.known: dict[str, int] = {}
        self.lines: list[str] = []

    def rows(self) -> list[str]:
        """Post-order from the output, on an explicit stack."""
        stack: list[tuple[int, bool]] = [(self.graph.output, False)]
        while stack:
            number, ready = stack.pop()
            if number in self.index:
                continue
            sources = self.graph.sources(number)
            if ready:
                self._list(number, sources)
            else:
                stack.append((number, True))
                stack += [(port.node, False) for port in reversed(sources) if port.node not in self.index]
        return self.lines

    def _list(self, number: int, sources: tuple[Port, ...]) -> None:
        node = self.graph.node(number)
        fed = " ".join(f"{self.index[port.node]}.{port.port}" for port in sources)
        if not isinstance(node, Use):
            types = node.outputs if isinstance(node, Input) else node.inputs
            self._add(number, f"{type(node).__name__} {fed} {' '.join(f'{t.kind}{list(t.sizes)}' for t in types)}")
            return
        row = f"{self._meaning(node.applied)} {fed}"
        if any(slot.key not in self.tying for slot in slots(node.applied.body)):
            kept = self.weights.setdefault(node.key, len(self.weights))
            self._add(number, f"{row} weights {kept}")
        elif row in self.known and not _random(node.applied):
            self.index[number] = self.known[row]
        else:
            self.known[row] = self._add(number, row)

    def _add(self, number: int, row: str) -> int:
        self.index[number] = len(self.lines)
        self.lines.append(row)
        return self.index[number]

    def _meaning(self, applied: Applied) -> str:
        """Operator and arguments: its declaration, since another file may call something else by its name."""
        keys = applied.operator.keys
        said = [
            f"{name}={self._key(value) if name in keys else value_text(value)}"
            for name, value in applied.arguments.items()
        ]
        return f"{_declared(applied.operator.declaration)}({','.join(said)})"

    def _key(self, key: str) -> str:
        """Keys by the order in which they are met."""
        return str(self.keys.setdefault(key, len(self.keys))) if key in self.tying else "none"


def _tying(graph: OpGraph) -> set[str]:
    """The keys that tie one weight to another."""
    homes = {(node.key, slot.name, slot.key) for _, node in graph.uses() for slot in slots(node.applied.body)}
    found = Counter(key for _, _, key in homes if key is not None)
    return {key for key, count in found.items() if count > 1}


def _random(applied: Applied) -> bool:
    """Whether two uses on one input may give different results."""
    return any(step.op in ("host", "dropout") for step in all_steps(applied.body))


@lru_cache(maxsize=4096)
def _declared(declaration: s.OpDecl) -> str:
    digest = hashlib.sha256(print_statement(declaration).encode()).hexdigest()[:12]
    return f"{declaration.name}:{digest}"
